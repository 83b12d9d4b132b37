//! Codes of profiles: 40xxx.

use super::texts::{ASK_SUPPORT, CORRECT_ROW, NEEDS_ADMIN, REPORT_BUG, TABLES_2023_AND_2025};
use super::{CodeInfo, DATA_LEFT, FATAL, OF_ONE_ITEM};
use crate::domain::language::Translated;

/// In ascending order.
pub(super) static CODES: &[CodeInfo] = &[
    CodeInfo {
        codes: 40_001..=40_001,
        meaning: Translated::new("a parameter is wrong", "参数错误"),
        advice: CORRECT_ROW,
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_002..=40_002,
        meaning: Translated::new("the request names no account", "请求中没有账号"),
        advice: REPORT_BUG,
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_003..=40_003,
        meaning: Translated::new("the account does not exist", "账号不存在"),
        advice: Translated::new("check the id or import the account", "请检查 ID 或导入账号"),
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_004..=40_004,
        meaning: NEEDS_ADMIN,
        advice: Translated::new("name an admin in `[app] identifier`", "请在 `[app] identifier` 中填写管理员"),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 40_005..=40_005,
        meaning: Translated::new("a field holds a sensitive word", "字段中包含敏感词"),
        advice: Translated::new("change the value", "请修改字段值"),
        source: Translated::new("old error code table", "旧错误码表"),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_006..=40_006,
        meaning: Translated::new(
            "an error within the server, also while account_delete clears the profile",
            "服务器内部错误，也可能发生在 account_delete 清除资料时",
        ),
        advice: ASK_SUPPORT,
        source: Translated::new(
            "page account_delete; error code tables 2023 and 2025",
            "account_delete 页面；2023 年和 2025 年错误码表",
        ),
        rule: DATA_LEFT,
    },
    CodeInfo {
        codes: 40_007..=40_007,
        meaning: Translated::new("reading a field is not allowed", "没有该字段的读权限"),
        advice: Translated::new(
            "give the app the right to the field in the console",
            "请在控制台为应用授予该字段的权限",
        ),
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_008..=40_008,
        meaning: Translated::new("writing a field is not allowed", "没有该字段的写权限"),
        advice: Translated::new(
            "give the app the right to the field in the console",
            "请在控制台为应用授予该字段的权限",
        ),
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_009..=40_009,
        meaning: Translated::new("there is no such tag", "该 Tag 字段不存在"),
        advice: Translated::new(
            "create the custom field in the console; it can be used after about five minutes",
            "请在控制台创建该自定义字段，约五分钟后生效",
        ),
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_601..=40_601,
        meaning: Translated::new("a value has more than 500 bytes", "字段值超过 500 字节"),
        advice: Translated::new("shorten the value", "请缩短字段值"),
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_605..=40_605,
        meaning: Translated::new("a value is not valid", "字段值无效"),
        advice: CORRECT_ROW,
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_610..=40_610,
        meaning: Translated::new("a value is of the wrong type", "字段值的类型不匹配"),
        advice: CORRECT_ROW,
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
];

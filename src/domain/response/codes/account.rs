//! Codes of accounts and signatures: 7xxxx, and 9xxxx of services around them.

use super::texts::{
    ASK_SUPPORT, COMPLETE_USERSIG, ENABLE_FEATURE, FEATURE_NOT_ENABLED, NAME_OR_MAKE_ADMIN, NEEDS_ADMIN, OPENIM_PAGES,
    REPORT_BUG, SERVER_ERROR, SERVER_TIME_OUT, TABLE_2023, TABLE_2025, TABLES_2023_AND_2025,
};
use super::{
    CodeInfo, DATA_LEFT, ErrorClass, FATAL, FATAL_FOR_OPERATION, HALF_DONE, OF_ONE_ITEM, RENEW, Rule, SLOW_COMMAND,
    Scope, TIMED_OUT,
};
use crate::domain::language::Translated;

/// In ascending order.
pub(super) static CODES: &[CodeInfo] = &[
    CodeInfo {
        codes: 70_001..=70_001,
        meaning: Translated::new("the UserSig has expired", "UserSig 已过期"),
        advice: Translated::new(
            "set IMBULK_SECRET_KEY, from which imbulk makes a new UserSig in time; check the clock of this machine",
            "请设置 IMBULK_SECRET_KEY，imbulk 会及时用它生成新的 UserSig；并检查本机时钟",
        ),
        source: TABLES_2023_AND_2025,
        rule: RENEW,
    },
    CodeInfo {
        codes: 70_002..=70_002,
        meaning: Translated::new("the UserSig is empty", "UserSig 为空"),
        advice: COMPLETE_USERSIG,
        source: TABLE_2023,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_003..=70_003,
        meaning: Translated::new(
            "the UserSig is malformed; often it is incomplete",
            "UserSig 格式错误，通常是因为内容不完整",
        ),
        advice: COMPLETE_USERSIG,
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_005..=70_005,
        meaning: Translated::new(
            "the UserSig is malformed; often it is incomplete",
            "UserSig 格式错误，通常是因为内容不完整",
        ),
        advice: COMPLETE_USERSIG,
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_009..=70_009,
        meaning: Translated::new(
            "the signature is wrong, as if made with the key of another app",
            "签名错误，可能使用了其他应用的密钥",
        ),
        advice: Translated::new(
            "check that the secret key is the one of `[app] sdkappid`",
            "请检查密钥是否属于 `[app] sdkappid`",
        ),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_013..=70_013,
        meaning: Translated::new("the UserSig was made for another identifier", "UserSig 是为另一个 identifier 生成的"),
        advice: Translated::new(
            "make `[app] identifier` and the UserSig agree",
            "请使 `[app] identifier` 与 UserSig 一致",
        ),
        source: TABLE_2023,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_014..=70_014,
        meaning: Translated::new("the UserSig was made for another SDKAppID", "UserSig 是为另一个 SDKAppID 生成的"),
        advice: Translated::new("make `[app] sdkappid` and the UserSig agree", "请使 `[app] sdkappid` 与 UserSig 一致"),
        source: TABLE_2023,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_016..=70_016,
        meaning: Translated::new(
            "the server has no key for this app: the app may be in another data center",
            "服务器没有该应用的密钥：应用可能属于其他数据中心",
        ),
        advice: Translated::new("check `[app] sdkappid` and `region`", "请检查 `[app] sdkappid` 和 `region`"),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_017..=70_017,
        meaning: Translated::new("the UserSig was revoked", "UserSig 已被撤销"),
        advice: Translated::new(
            "set IMBULK_SECRET_KEY; see who invalidated the logins of the admin",
            "请设置 IMBULK_SECRET_KEY，并查明是谁使管理员的登录态失效",
        ),
        source: Translated::new("public client SDKs", "公开的客户端 SDK"),
        rule: RENEW,
    },
    CodeInfo {
        codes: 70_020..=70_020,
        meaning: Translated::new(
            "the app is not found: it may be in another data center",
            "找不到该应用：应用可能属于其他数据中心",
        ),
        advice: Translated::new("check `[app] sdkappid` and `region`", "请检查 `[app] sdkappid` 和 `region`"),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_050..=70_050,
        meaning: Translated::new("the signature is wrong and was sent too often", "签名错误，且发送过于频繁"),
        advice: Translated::new("wait a minute and check the secret key", "请等待一分钟，并检查密钥"),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_051..=70_051,
        meaning: Translated::new("the account is on the blocklist of the app", "该账号在应用的黑名单中"),
        advice: Translated::new(
            "if it is the admin, use another `[app] identifier`",
            "如果它是管理员，请在 `[app] identifier` 中换用其他管理员",
        ),
        source: TABLE_2023,
        rule: Rule::ByLevel { request: ErrorClass::Fatal(Scope::App), item: ErrorClass::ItemFailed },
    },
    CodeInfo {
        codes: 70_052..=70_052,
        meaning: Translated::new("the UserSig was invalidated", "UserSig 已失效"),
        advice: Translated::new(
            "set IMBULK_SECRET_KEY, from which imbulk makes a new UserSig",
            "请设置 IMBULK_SECRET_KEY，imbulk 会用它生成新的 UserSig",
        ),
        source: Translated::new("old error code table", "旧错误码表"),
        rule: RENEW,
    },
    CodeInfo {
        codes: 70_107..=70_107,
        meaning: Translated::new("the account does not exist", "账号不存在"),
        advice: Translated::new(
            "if it was to be deleted, nothing; otherwise check the id or import the account",
            "如果本来就要删除该账号，无需处理；否则请检查 ID 或导入账号",
        ),
        source: Translated::new("page account_delete; error code table 2025", "account_delete 页面；2025 年错误码表"),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 70_114..=70_114,
        meaning: Translated::new(
            "the security policy restricts how often the account logs in",
            "安全策略限制了该账号的登录频率",
        ),
        advice: Translated::new("nothing; if it continues, run less often", "无需处理；如果持续出现，请降低运行的频率"),
        source: TABLE_2023,
        rule: SLOW_COMMAND,
    },
    CodeInfo {
        codes: 70_169..=70_169,
        meaning: SERVER_TIME_OUT,
        advice: ASK_SUPPORT,
        source: Translated::new("page account_delete; error code table 2023", "account_delete 页面；2023 年错误码表"),
        rule: TIMED_OUT,
    },
    CodeInfo {
        codes: 70_202..=70_202,
        meaning: SERVER_TIME_OUT,
        advice: ASK_SUPPORT,
        source: Translated::new("page account_delete; error code table 2023", "account_delete 页面；2023 年错误码表"),
        rule: TIMED_OUT,
    },
    CodeInfo {
        codes: 70_206..=70_206,
        meaning: Translated::new("the number of accounts in the request is not allowed", "请求中的账号数量不符合要求"),
        advice: Translated::new("nothing: imbulk sends smaller requests", "无需处理：imbulk 会发送更小的请求"),
        source: TABLE_2023,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 70_398..=70_398,
        meaning: Translated::new("the app has as many accounts as its plan allows", "应用的账号数已达套餐包上限"),
        advice: Translated::new("delete accounts or change the plan", "请删除部分账号或变更套餐包"),
        source: Translated::new("error code table 2025; page account_import", "2025 年错误码表；account_import 页面"),
        rule: FATAL_FOR_OPERATION,
    },
    CodeInfo {
        codes: 70_399..=70_399,
        meaning: Translated::new(
            "the id was deleted less than three months ago and cannot be imported again",
            "该 ID 删除后未满三个月，不能再次导入",
        ),
        advice: Translated::new("wait, or take another id", "请等待，或换用其他 ID"),
        source: TABLE_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 70_402..=70_402,
        meaning: Translated::new("a parameter is not valid", "参数无效"),
        advice: Translated::new(
            "`imbulk results NAME --outcome failed` shows the item; correct it",
            "`imbulk results NAME --outcome failed` 会显示该条目；请修正它",
        ),
        source: Translated::new("page account_delete", "account_delete 页面"),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 70_403..=70_403,
        meaning: NEEDS_ADMIN,
        advice: NAME_OR_MAKE_ADMIN,
        source: Translated::new("page account_delete", "account_delete 页面"),
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_404..=70_404,
        meaning: Translated::new("the client is too old", "客户端版本过低"),
        advice: Translated::new(
            "ask Tencent Cloud support: no server call should get this code",
            "请联系腾讯云技术支持：服务端调用不应返回此错误码",
        ),
        source: TABLE_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 70_500..=70_500,
        meaning: SERVER_ERROR,
        advice: ASK_SUPPORT,
        source: Translated::new("page account_delete; error code table 2025", "account_delete 页面；2025 年错误码表"),
        rule: DATA_LEFT,
    },
    CodeInfo {
        codes: 71_000..=71_000,
        meaning: Translated::new("the app does not allow deleting accounts", "应用不允许删除账号"),
        advice: Translated::new(
            "allow deleting accounts in the console, or delete them in an app with the trial plan",
            "请在控制台允许删除账号，或在体验版应用中删除",
        ),
        source: Translated::new(
            "page account_delete; error code table 2025 has a new text",
            "account_delete 页面；2025 年错误码表的描述有变",
        ),
        rule: FATAL_FOR_OPERATION,
    },
    CodeInfo {
        codes: 72_000..=72_000,
        meaning: Translated::new("the trial plan has used up its daily active users", "体验版的日活跃用户数已达上限"),
        advice: Translated::new("wait for the next day, or buy a plan", "请等到次日，或购买套餐包"),
        source: TABLE_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 72_001..=72_001,
        meaning: FEATURE_NOT_ENABLED,
        advice: ENABLE_FEATURE,
        source: TABLES_2023_AND_2025,
        rule: FATAL_FOR_OPERATION,
    },
    CodeInfo {
        codes: 72_002..=72_002,
        meaning: Translated::new("the trial plan has used up its monthly active users", "体验版的月活跃用户数已达上限"),
        advice: Translated::new("wait for the next month, or buy a plan", "请等到下月，或购买套餐包"),
        source: TABLE_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 72_010..=72_010,
        meaning: Translated::new("one account is used too often", "单个账号的使用过于频繁"),
        advice: ASK_SUPPORT,
        source: TABLE_2025,
        rule: SLOW_COMMAND,
    },
    CodeInfo {
        codes: 72_011..=72_011,
        meaning: FEATURE_NOT_ENABLED,
        advice: ENABLE_FEATURE,
        source: TABLES_2023_AND_2025,
        rule: FATAL_FOR_OPERATION,
    },
    CodeInfo {
        codes: 72_012..=72_012,
        meaning: FEATURE_NOT_ENABLED,
        advice: ENABLE_FEATURE,
        source: TABLES_2023_AND_2025,
        rule: FATAL_FOR_OPERATION,
    },
    CodeInfo {
        codes: 80_005..=80_005,
        meaning: Translated::new("the service of the app is deactivated", "应用的服务已停用"),
        advice: Translated::new("activate the app in the console", "请在控制台恢复应用的服务"),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 90_001..=90_001,
        meaning: Translated::new("the server could not read the JSON of the request", "服务器无法解析请求中的 JSON"),
        advice: REPORT_BUG,
        source: OPENIM_PAGES,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 90_009..=90_009,
        meaning: NEEDS_ADMIN,
        advice: Translated::new("name an admin in `[app] identifier`", "请在 `[app] identifier` 中填写管理员"),
        source: OPENIM_PAGES,
        rule: FATAL,
    },
    CodeInfo {
        codes: 90_992..=90_992,
        meaning: SERVER_ERROR,
        advice: ASK_SUPPORT,
        source: OPENIM_PAGES,
        rule: HALF_DONE,
    },
    CodeInfo {
        codes: 90_994..=90_994,
        meaning: SERVER_ERROR,
        advice: ASK_SUPPORT,
        source: OPENIM_PAGES,
        rule: HALF_DONE,
    },
    CodeInfo {
        codes: 90_995..=90_995,
        meaning: SERVER_ERROR,
        advice: ASK_SUPPORT,
        source: OPENIM_PAGES,
        rule: HALF_DONE,
    },
    CodeInfo {
        codes: 91_000..=91_000,
        meaning: SERVER_ERROR,
        advice: ASK_SUPPORT,
        source: OPENIM_PAGES,
        rule: HALF_DONE,
    },
];

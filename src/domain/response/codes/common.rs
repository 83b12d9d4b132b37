//! Codes that every command may answer with: 600xx, as a rule the verdict on a whole request.

use super::texts::{ASK_SUPPORT, NAME_OR_MAKE_ADMIN, REPORT_BUG, REST_API_OVERVIEW, TABLE_2025, TABLES_2023_AND_2025};
use super::{CodeInfo, FATAL, FATAL_FOR_OPERATION, OF_ONE_ITEM, RENEW_OR_WAIT, SLOW_APP, SLOW_COMMAND, TIMED_OUT};
use crate::domain::language::Translated;

/// In ascending order.
pub(super) static CODES: &[CodeInfo] = &[
    CodeInfo {
        codes: 60_002..=60_002,
        meaning: Translated::new(
            "the server could not read the HTTP request or its URL",
            "服务器无法解析 HTTP 请求或其 URL",
        ),
        advice: Translated::new(
            "check `[app] endpoint`; a proxy may have changed the request",
            "请检查 `[app] endpoint`；代理可能改动了请求",
        ),
        source: REST_API_OVERVIEW,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_003..=60_003,
        meaning: Translated::new("the server could not read the JSON of the request", "服务器无法解析请求中的 JSON"),
        advice: REPORT_BUG,
        source: REST_API_OVERVIEW,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 60_004..=60_004,
        meaning: Translated::new(
            "the check of the signing account or its UserSig failed",
            "签名账号或其 UserSig 校验失败",
        ),
        advice: Translated::new(
            "if the code comes back, check `[app] identifier` and the secret key",
            "如果再次出现此错误码，请检查 `[app] identifier` 和密钥",
        ),
        source: Translated::new(
            "REST API overview; error code table 2025 has a new text",
            "REST API 简介；2025 年错误码表的描述有变",
        ),
        rule: RENEW_OR_WAIT,
    },
    CodeInfo {
        codes: 60_005..=60_005,
        meaning: Translated::new(
            "the check of the signing account or its UserSig failed",
            "签名账号或其 UserSig 校验失败",
        ),
        advice: Translated::new(
            "if the code comes back, check `[app] identifier` and the secret key",
            "如果再次出现此错误码，请检查 `[app] identifier` 和密钥",
        ),
        source: Translated::new(
            "REST API overview; error code table 2025 has a new text",
            "REST API 简介；2025 年错误码表的描述有变",
        ),
        rule: RENEW_OR_WAIT,
    },
    CodeInfo {
        codes: 60_006..=60_006,
        meaning: Translated::new("the SDKAppID is not valid", "SDKAppID 无效"),
        advice: Translated::new("check `[app] sdkappid`", "请检查 `[app] sdkappid`"),
        source: REST_API_OVERVIEW,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_007..=60_007,
        meaning: Translated::new("too many calls of this command per second", "该命令的调用频率超过每秒限制"),
        advice: Translated::new(
            "nothing; if it continues, lower `[limits] calls_per_second`, or find other callers of it",
            "无需处理；如果持续出现，请调低 `[limits] calls_per_second`，或找出该命令的其他调用方",
        ),
        source: TABLES_2023_AND_2025,
        rule: SLOW_COMMAND,
    },
    // The code has two meanings. The one that may have taken effect decides.
    CodeInfo {
        codes: 60_008..=60_008,
        meaning: Translated::new(
            "the service had a time-out, or could not read the request",
            "服务请求超时，或无法解析请求",
        ),
        advice: Translated::new(
            "nothing; if every request gets this code, something between imbulk and the API changes them",
            "无需处理；如果每个请求都返回此错误码，说明 imbulk 与 API 之间有组件改动了请求",
        ),
        source: TABLES_2023_AND_2025,
        rule: TIMED_OUT,
    },
    CodeInfo {
        codes: 60_009..=60_009,
        meaning: Translated::new("the path of the URL is not a command of the API", "URL 的路径不是 API 的命令"),
        advice: Translated::new(
            "check `[app] endpoint`: it must not contain a path",
            "请检查 `[app] endpoint`：其中不能包含路径",
        ),
        source: REST_API_OVERVIEW,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_010..=60_010,
        meaning: Translated::new("the signing account is not an admin of the app", "签名账号不是 App 管理员"),
        advice: NAME_OR_MAKE_ADMIN,
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_011..=60_011,
        meaning: Translated::new(
            "too many calls to this app per second, all commands together",
            "该应用所有命令合计的调用频率超过每秒限制",
        ),
        advice: Translated::new(
            "nothing; if it continues, lower `[limits] app_calls_per_second`; other programs share this limit",
            "无需处理；如果持续出现，请调低 `[limits] app_calls_per_second`；其他程序也共用此限制",
        ),
        source: Translated::new("REST API overview; error code table 2023", "REST API 简介；2023 年错误码表"),
        rule: SLOW_APP,
    },
    CodeInfo {
        codes: 60_012..=60_012,
        meaning: Translated::new("the URL lacks the SDKAppID", "URL 中缺少 SDKAppID"),
        advice: REPORT_BUG,
        source: REST_API_OVERVIEW,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_013..=60_013,
        meaning: Translated::new(
            "a part of the server could not read the answer of another part",
            "服务器内部模块无法解析其他模块的应答",
        ),
        advice: ASK_SUPPORT,
        source: TABLES_2023_AND_2025,
        rule: TIMED_OUT,
    },
    CodeInfo {
        codes: 60_014..=60_014,
        meaning: Translated::new("the check of the account had a time-out", "账号校验超时"),
        advice: ASK_SUPPORT,
        source: TABLES_2023_AND_2025,
        rule: TIMED_OUT,
    },
    CodeInfo {
        codes: 60_015..=60_015,
        meaning: Translated::new("an account in the request is not a string", "请求中的账号不是字符串"),
        advice: REPORT_BUG,
        source: REST_API_OVERVIEW,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 60_016..=60_016,
        meaning: Translated::new("the app is disabled", "应用已停用"),
        advice: Translated::new("enable the app in the console", "请在控制台启用应用"),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_017..=60_017,
        meaning: Translated::new("the API has disabled this request for the app", "API 已对该应用禁用此请求"),
        advice: Translated::new("ask Tencent Cloud support", "请联系腾讯云技术支持"),
        source: TABLES_2023_AND_2025,
        rule: FATAL_FOR_OPERATION,
    },
    // No page says what 60018 and 60019 count, so the wider scope slows down.
    CodeInfo {
        codes: 60_018..=60_018,
        meaning: Translated::new("requests come too often", "请求过于频繁"),
        advice: Translated::new(
            "nothing; if it continues, lower `[limits] app_calls_per_second`",
            "无需处理；如果持续出现，请调低 `[limits] app_calls_per_second`",
        ),
        source: TABLES_2023_AND_2025,
        rule: SLOW_APP,
    },
    CodeInfo {
        codes: 60_019..=60_019,
        meaning: Translated::new("requests come too often", "请求过于频繁"),
        advice: Translated::new(
            "nothing; if it continues, lower `[limits] app_calls_per_second`",
            "无需处理；如果持续出现，请调低 `[limits] app_calls_per_second`",
        ),
        source: Translated::new("REST API overview; error code table 2023", "REST API 简介；2023 年错误码表"),
        rule: SLOW_APP,
    },
    CodeInfo {
        codes: 60_020..=60_020,
        meaning: Translated::new(
            "the plan of the app has expired, was not bought, or is not paid",
            "应用的套餐包已过期、尚未购买或欠费",
        ),
        advice: Translated::new(
            "renew the plan in the console; it takes effect after about five minutes",
            "请在控制台续费套餐包，约五分钟后生效",
        ),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_021..=60_021,
        meaning: Translated::new("calls from this IP address are not allowed", "不允许从该 IP 地址发起调用"),
        advice: Translated::new(
            "run imbulk on an allowed machine, or allow this one in the console",
            "请在允许的机器上运行 imbulk，或在控制台放行本机",
        ),
        source: TABLES_2023_AND_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_025..=60_025,
        meaning: Translated::new(
            "one of the URL parameters sdkappid, identifier, usersig or contenttype is wrong",
            "URL 参数 sdkappid、identifier、usersig、contenttype 中有一个错误",
        ),
        advice: Translated::new(
            "check `[app] sdkappid` and `identifier`, and the secret key",
            "请检查 `[app] sdkappid`、`identifier` 和密钥",
        ),
        source: TABLE_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_026..=60_026,
        meaning: Translated::new(
            "the domain belongs to another data center than that of the app",
            "请求的域名与应用所属的数据中心不一致",
        ),
        advice: Translated::new("correct `[app] region`", "请修正 `[app] region`"),
        source: TABLE_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_027..=60_027,
        meaning: Translated::new("the app is of another product", "该应用属于其他产品"),
        advice: Translated::new(
            "check `[app] sdkappid`: it must be an app of Chat",
            "请检查 `[app] sdkappid`：它必须是即时通信 IM 的应用",
        ),
        source: TABLE_2025,
        rule: FATAL,
    },
    CodeInfo {
        codes: 60_028..=60_028,
        meaning: Translated::new(
            "the trial plan has used up its calls of 24 hours",
            "体验版 24 小时内的调用次数已用完",
        ),
        advice: Translated::new("run again tomorrow, or buy a plan", "请明天再运行，或购买套餐包"),
        source: TABLE_2025,
        rule: FATAL,
    },
];

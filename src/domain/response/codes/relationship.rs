//! Codes of friendships: 3xxxx.

use super::texts::{
    ASK_SUPPORT, NAME_OR_MAKE_ADMIN, NEEDS_ADMIN, ONLY_FRIEND_REQUESTS, PAGE_FRIEND_DELETE, REPORT_BUG, SERVER_ERROR,
    SERVER_TIME_OUT, TABLE_2023, TABLE_2025, TABLES_2023_AND_2025,
};
use super::{CodeInfo, ErrorClass, FATAL, HALF_DONE, OF_ONE_ITEM, PAUSE_COMMAND, Rule, TIMED_OUT, TRANSIENT};
use crate::domain::language::Translated;

/// In ascending order.
pub(super) static CODES: &[CodeInfo] = &[
    CodeInfo {
        codes: 30_001..=30_001,
        meaning: Translated::new(
            "a parameter is wrong; or the accounts are no friends, or are friends already (some commands)",
            "参数错误；在某些命令中，也表示两个账号不是好友，或已经是好友",
        ),
        advice: Translated::new(
            "`imbulk results NAME` shows the API's reason, which says what it means",
            "`imbulk results NAME` 会显示 API 给出的原因，据此判断具体含义",
        ),
        source: Translated::new(
            "pages friend_delete, friend_delete_all and friend_update; FAQ on relationships",
            "friend_delete、friend_delete_all、friend_update 页面；关系链常见问题",
        ),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_002..=30_002,
        meaning: Translated::new(
            "the account or the SDKAppID of the request is not valid",
            "请求中的账号或 SDKAppID 无效",
        ),
        advice: Translated::new(
            "check the account, and `[app] sdkappid` if every item fails",
            "请检查账号；如果每个条目都失败，请检查 `[app] sdkappid`",
        ),
        source: Translated::new(
            "pages friend_delete and friend_update; error code table 2025 has a new text",
            "friend_delete、friend_update 页面；2025 年错误码表的描述有变",
        ),
        rule: Rule::OfFromAccount,
    },
    CodeInfo {
        codes: 30_003..=30_003,
        meaning: Translated::new("the account that the call is about does not exist", "调用所针对的账号不存在"),
        advice: Translated::new(
            "if its friends were to be deleted, nothing; otherwise check the id or import the account",
            "如果本来就要删除它的好友，无需处理；否则请检查 ID 或导入账号",
        ),
        source: Translated::new(
            "pages friend_delete, friend_delete_all and friend_update",
            "friend_delete、friend_delete_all、friend_update 页面",
        ),
        rule: Rule::OfFromAccount,
    },
    CodeInfo {
        codes: 30_004..=30_004,
        meaning: NEEDS_ADMIN,
        advice: NAME_OR_MAKE_ADMIN,
        source: Translated::new(
            "pages friend_delete, friend_delete_all and friend_update",
            "friend_delete、friend_delete_all、friend_update 页面",
        ),
        rule: FATAL,
    },
    CodeInfo {
        codes: 30_005..=30_005,
        meaning: Translated::new(
            "a field holds a sensitive word; or the follow feature is not enabled",
            "字段中包含敏感词；或未开通关注功能",
        ),
        advice: Translated::new(
            "change the value, or enable the feature in the console",
            "请修改字段值，或在控制台开通该功能",
        ),
        source: Translated::new(
            "old error code table; error code table 2025 has a new text",
            "旧错误码表；2025 年错误码表的描述有变",
        ),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_006..=30_006,
        meaning: SERVER_ERROR,
        advice: ASK_SUPPORT,
        source: Translated::new(
            "pages account_delete, friend_delete_all and friend_update",
            "account_delete、friend_delete_all、friend_update 页面",
        ),
        rule: HALF_DONE,
    },
    CodeInfo {
        codes: 30_007..=30_007,
        meaning: SERVER_TIME_OUT,
        advice: ASK_SUPPORT,
        source: Translated::new(
            "pages account_delete, friend_delete_all and friend_update",
            "account_delete、friend_delete_all、friend_update 页面",
        ),
        rule: TIMED_OUT,
    },
    CodeInfo {
        codes: 30_008..=30_008,
        meaning: Translated::new("another write to the same account was in progress", "同一账号的另一个写操作正在进行"),
        advice: Translated::new(
            "make sure that no other program writes these accounts now; imbulk itself never does so",
            "请确认当前没有其他程序在写这些账号；imbulk 自身绝不会并发写同一账号",
        ),
        source: Translated::new(
            "pages account_delete, friend_delete_all and friend_update",
            "account_delete、friend_delete_all、friend_update 页面",
        ),
        rule: Rule::Always(ErrorClass::Conflict),
    },
    CodeInfo {
        codes: 30_009..=30_009,
        meaning: Translated::new("the admin forbids this account to add friends", "管理员禁止该账号添加好友"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLE_2023,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_010..=30_010,
        meaning: Translated::new("the friend list of the account is full", "该账号的好友数已达上限"),
        advice: Translated::new(
            "delete friends of the account: a list has at most 3000",
            "请删除该账号的部分好友：好友列表最多 3000 人",
        ),
        source: Translated::new("page friend_import", "friend_import 页面"),
        rule: Rule::OfFromAccount,
    },
    CodeInfo {
        codes: 30_011..=30_011,
        meaning: Translated::new("the account has as many friend groups as are allowed", "该账号的好友分组数已达上限"),
        advice: Translated::new(
            "use an existing group, or delete some of the account's groups",
            "请使用已有分组，或删除该账号的部分分组",
        ),
        source: Translated::new("pages friend_update and friend_import", "friend_update、friend_import 页面"),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_012..=30_012,
        meaning: Translated::new("the list of pending friend requests is full", "好友申请未决列表已满"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_013..=30_013,
        meaning: Translated::new("the blocklist of the account is full", "该账号的黑名单已满"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLES_2023_AND_2025,
        rule: Rule::OfFromAccount,
    },
    CodeInfo {
        codes: 30_014..=30_014,
        meaning: Translated::new("the friend list of the other account is full", "对方的好友数已达上限"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLES_2023_AND_2025,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_015..=30_015,
        meaning: Translated::new("the two accounts are friends already", "两个账号已经是好友"),
        advice: Translated::new(
            "if the fields of the friend matter, set them with friend_update",
            "如果需要设置好友的字段，请使用 friend_update",
        ),
        source: Translated::new("public client SDKs", "公开的客户端 SDK"),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_515..=30_515,
        meaning: Translated::new("the account has blocked the other one", "对方在该账号的黑名单中"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLE_2023,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_516..=30_516,
        meaning: Translated::new("the other account does not allow others to add it", "对方不允许任何人添加自己为好友"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLE_2023,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_525..=30_525,
        meaning: Translated::new("the other account has blocked this one", "该账号在对方的黑名单中"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLE_2023,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_539..=30_539,
        meaning: Translated::new("the other account must agree first", "需要对方先同意"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLE_2023,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 30_540..=30_540,
        meaning: Translated::new(
            "the security policy finds that friends are added too often",
            "添加好友过于频繁，触发了安全策略",
        ),
        advice: Translated::new("lower `[limits] calls_per_second`", "请调低 `[limits] calls_per_second`"),
        source: TABLE_2023,
        rule: PAUSE_COMMAND,
    },
    CodeInfo {
        codes: 30_614..=30_614,
        meaning: Translated::new("there is no such pending friend request", "不存在该未决好友申请"),
        advice: ONLY_FRIEND_REQUESTS,
        source: TABLE_2023,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 31_701..=31_701,
        meaning: Translated::new("the number of friends in the request is not allowed", "请求中的好友数量不符合要求"),
        advice: Translated::new("nothing: imbulk sends smaller requests", "无需处理：imbulk 会发送更小的请求"),
        source: PAGE_FRIEND_DELETE,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 31_702..=31_702,
        meaning: Translated::new("the DeleteType is not valid", "DeleteType 无效"),
        advice: REPORT_BUG,
        source: PAGE_FRIEND_DELETE,
        rule: Rule::Always(ErrorClass::ItemFailed),
    },
    CodeInfo {
        codes: 31_703..=31_703,
        meaning: Translated::new("the server could not check the friendship", "服务器未能校验好友关系"),
        advice: ASK_SUPPORT,
        source: PAGE_FRIEND_DELETE,
        rule: TRANSIENT,
    },
    CodeInfo {
        codes: 31_704..=31_704,
        meaning: Translated::new("the two accounts are not friends", "两个账号不是好友"),
        advice: Translated::new("nothing if the friendship was to be deleted", "如果本来就要删除好友关系，无需处理"),
        source: PAGE_FRIEND_DELETE,
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 31_705..=31_705,
        meaning: Translated::new("the server could not clear the data of the friendship", "服务器未能清除好友关系数据"),
        advice: Translated::new(
            "nothing; if an item ends `in_doubt`, check the friendship",
            "无需处理；如果条目的结果是 `in_doubt`，请检查好友关系",
        ),
        source: PAGE_FRIEND_DELETE,
        rule: HALF_DONE,
    },
    CodeInfo {
        codes: 31_706..=31_706,
        meaning: Translated::new(
            "the server could not remove the account from the friend's own list",
            "服务器未能把该账号从对方的好友列表中移除",
        ),
        advice: Translated::new(
            "nothing; if an item ends `in_doubt`, check the friend's own list",
            "无需处理；如果条目的结果是 `in_doubt`，请检查对方的好友列表",
        ),
        source: PAGE_FRIEND_DELETE,
        rule: HALF_DONE,
    },
    CodeInfo {
        codes: 31_707..=31_707,
        meaning: Translated::new(
            "the security policy finds that friends are deleted too often",
            "删除好友过于频繁，触发了安全策略",
        ),
        advice: Translated::new(
            "lower `[limits] calls_per_second`; run the rest later with `imbulk run`",
            "请调低 `[limits] calls_per_second`，稍后用 `imbulk run` 发送其余部分",
        ),
        source: PAGE_FRIEND_DELETE,
        rule: PAUSE_COMMAND,
    },
    CodeInfo {
        codes: 31_804..=31_804,
        meaning: Translated::new(
            "the account, or the pending friend request, does not exist",
            "账号或未决好友申请不存在",
        ),
        advice: ONLY_FRIEND_REQUESTS,
        source: Translated::new("error code table 2023; 2025 has a new text", "2023 年错误码表；2025 年的描述有变"),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 32_216..=32_216,
        meaning: Translated::new("the two accounts are not friends", "两个账号不是好友"),
        advice: Translated::new("check the row", "请检查该行"),
        source: Translated::new("page group_add", "group_add 页面"),
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 38_000..=39_000,
        meaning: Translated::new(
            "a webhook of your app refused the call, with its own code",
            "您的应用的第三方回调拒绝了该调用，并返回了自定义错误码",
        ),
        advice: Translated::new("ask the people who run the webhook", "请联系该回调的维护人员"),
        source: TABLE_2025,
        rule: OF_ONE_ITEM,
    },
];

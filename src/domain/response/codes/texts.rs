//! Texts that several codes share, in every language.

use crate::domain::language::Translated;

pub(super) const ASK_SUPPORT: Translated = Translated::new(
    "nothing; if it continues, ask Tencent Cloud support",
    "无需处理；如果持续出现，请联系腾讯云技术支持",
);
pub(super) const COMPLETE_USERSIG: Translated = Translated::new(
    "check that IMBULK_USERSIG is complete, or set IMBULK_SECRET_KEY",
    "请检查 IMBULK_USERSIG 是否完整，或设置 IMBULK_SECRET_KEY",
);
pub(super) const CORRECT_ROW: Translated = Translated::new(
    "`imbulk results NAME` shows the API's reason; correct the row",
    "`imbulk results NAME` 会显示 API 给出的原因；请修正该行",
);
pub(super) const ENABLE_FEATURE: Translated = Translated::new("enable it in the console", "请在控制台开通");
pub(super) const FEATURE_NOT_ENABLED: Translated =
    Translated::new("a feature that the call needs is not enabled", "调用所需的功能未开通");
pub(super) const NAME_OR_MAKE_ADMIN: Translated = Translated::new(
    "name an admin in `[app] identifier`, or make this account one in the console",
    "请在 `[app] identifier` 中填写管理员，或在控制台把该账号设为管理员",
);
pub(super) const NEEDS_ADMIN: Translated =
    Translated::new("the call needs an admin of the app", "调用需要 App 管理员权限");
pub(super) const ONLY_FRIEND_REQUESTS: Translated =
    Translated::new("nothing here: only friend requests get this code", "无需处理：只有好友申请才会返回此错误码");
pub(super) const OPENIM_PAGES: Translated = Translated::new("pages of the openim commands", "openim 各命令的页面");
pub(super) const PAGE_FRIEND_DELETE: Translated = Translated::new("page friend_delete", "friend_delete 页面");
pub(super) const REPORT_BUG: Translated = Translated::new("report this as a bug of imbulk", "请作为 imbulk 的缺陷上报");
pub(super) const REST_API_OVERVIEW: Translated = Translated::new("REST API overview", "REST API 简介");
pub(super) const SERVER_ERROR: Translated = Translated::new("an error within the server", "服务器内部错误");
pub(super) const SERVER_TIME_OUT: Translated = Translated::new("the server had a time-out", "服务器内部超时");
pub(super) const TABLES_2023_AND_2025: Translated =
    Translated::new("error code tables 2023 and 2025", "2023 年和 2025 年错误码表");
pub(super) const TABLE_2023: Translated = Translated::new("error code table 2023", "2023 年错误码表");
pub(super) const TABLE_2025: Translated = Translated::new("error code table 2025", "2025 年错误码表");

/// Cases, as parts of a sentence.
pub(super) const ALWAYS: Translated = Translated::new("always", "任何情况");
pub(super) const OF_REQUEST: Translated = Translated::new("as the verdict on a whole request", "作为对整个请求的判定");
pub(super) const OF_ITEM: Translated = Translated::new("as the verdict on an item", "作为对单个条目的判定");
pub(super) const OTHERWISE_EVERY_ITEM: Translated =
    Translated::new("otherwise, for every item concerned", "其他情况，对每个相关条目");

/// What imbulk does with a class, as parts of a sentence.
pub(super) const TREAT_ALREADY_DONE: Translated = Translated::new(
    "if it proves the whole requested state: the item is `already_done`, or `succeeded` after an earlier attempt that \
     may have arrived; if it proves only a part of it: `in_doubt`, unless a lookup settles it",
    "如果它证明期望状态已全部存在：条目的结果是 `already_done`，若更早的尝试可能已到达服务器，则为 `succeeded`；\
     如果它只证明了其中一部分：结果是 `in_doubt`，除非回查能够确认",
);
pub(super) const TREAT_TRANSIENT: Translated = Translated::new(
    "sent again after a random, growing delay; counts as an attempt",
    "经过随机且逐次增长的延迟后重发；计为一次尝试",
);
pub(super) const TREAT_UNKNOWN_EFFECT: Translated = Translated::new(
    "sent again after a random, growing delay; counts as an attempt; it may have taken effect, so \"already done\" is \
     then `succeeded`",
    "经过随机且逐次增长的延迟后重发；计为一次尝试；它可能已经生效，因此之后若应答“已是期望状态”，结果为 `succeeded`",
);
pub(super) const TREAT_PARTIAL_EFFECT: Translated = Translated::new(
    "sent again after a random, growing delay; counts as an attempt; a part may have taken effect, so \"already done\" \
     is then `in_doubt`",
    "经过随机且逐次增长的延迟后重发；计为一次尝试；它可能已部分生效，因此之后若应答“已是期望状态”，结果为 `in_doubt`",
);
pub(super) const TREAT_DATA_LEFT: Translated = Translated::new(
    "sent again after a random, growing delay; counts as an attempt; a part may have taken effect, so \"already done\" \
     is then `in_doubt`, and on account_delete `succeeded` with this code, since data may remain",
    "经过随机且逐次增长的延迟后重发；计为一次尝试；它可能已部分生效，因此之后若应答“已是期望状态”，结果为 `in_doubt`；\
     对于 account_delete，结果为 `succeeded` 并带有此错误码，因为可能仍有数据残留",
);
pub(super) const TREAT_CONFLICT: Translated = Translated::new(
    "sent again after a delay, while nothing else is sent for the account; counts as an attempt; \"already done\" is \
     then `in_doubt`",
    "延迟后重发，其间不为该账号发送其他请求；计为一次尝试；之后若应答“已是期望状态”，结果为 `in_doubt`",
);
pub(super) const TREAT_SLOW_COMMAND: Translated = Translated::new(
    "calls of this command slow down and then speed up again; does not count as an attempt",
    "该命令的调用先降速，再逐步恢复；不计为尝试",
);
pub(super) const TREAT_SLOW_APP: Translated = Translated::new(
    "all calls to the app slow down and then speed up again; does not count as an attempt",
    "对该应用的所有调用先降速，再逐步恢复；不计为尝试",
);
pub(super) const TREAT_LONG_PAUSE: Translated = Translated::new(
    "nothing of this command is sent for 90 s, then it starts slowly; does not count as an attempt",
    "90 秒内不发送该命令的任何调用，之后缓慢恢复；不计为尝试",
);
pub(super) const TREAT_RENEW_OR_FATAL: Translated = Translated::new(
    "the call is sent once more with a new UserSig; if that is refused as well, the code is fatal",
    "用新的 UserSig 再发送一次该调用；如果仍被拒绝，此错误码按 fatal 处理",
);
pub(super) const TREAT_RENEW_OR_TRANSIENT: Translated = Translated::new(
    "the call is sent once more with a new UserSig; if that is refused as well, the code is transient",
    "用新的 UserSig 再发送一次该调用；如果仍被拒绝，此错误码按 transient 处理",
);
pub(super) const TREAT_SPLIT: Translated = Translated::new(
    "a batch is halved until the bad item is alone; then the class for an item applies",
    "一批条目逐次对半拆分，直到有问题的条目单独发送；之后按条目的错误类别处理",
);
pub(super) const TREAT_ITEM_FAILED: Translated =
    Translated::new("the item is `failed`; it is not sent again", "条目的结果是 `failed`；不再发送");
pub(super) const TREAT_FATAL_FOR_OPERATION: Translated = Translated::new(
    "nothing more of this job is sent, the work stays `pending`, and the exit code is 4; other jobs go on; if other \
     items of the same answer succeeded, only this item is `failed`",
    "不再发送该作业的任何请求，剩余工作保持 `pending`，退出码为 4；其他作业继续运行；\
     如果同一应答中有其他条目成功，则只有该条目的结果是 `failed`",
);
pub(super) const TREAT_FATAL: Translated = Translated::new(
    "nothing more of the jobs of this app is sent, their work stays `pending`, and the exit code is 4; the jobs of \
     other apps go on; if other items of the same answer succeeded, only this item is `failed`",
    "不再发送该应用所有作业的任何请求，其剩余工作保持 `pending`，退出码为 4；其他应用的作业继续运行；\
     如果同一应答中有其他条目成功，则只有该条目的结果是 `failed`",
);
pub(super) const TREAT_UNKNOWN_CODE: Translated = Translated::new(
    "a whole request is sent once more, then halved until an item is alone; the item is `failed`, is counted \
     separately, and never counts as success",
    "整个请求再发送一次，然后逐次对半拆分，直到条目单独发送；该条目的结果是 `failed`，单独计数，绝不计为成功",
);

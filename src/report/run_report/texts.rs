//! The words of a report, in both languages.

use crate::domain::language::Translated;
use crate::domain::response::outcome::Outcome;
use crate::report::state::StateName;

/// Signs between words.
pub(super) const COLON: Translated = Translated::new(": ", "：");
pub(super) const COMMA: Translated = Translated::new(", ", "、");

/// Titles.
pub(super) const ROWS: Translated = Translated::new("Rows", "行");
pub(super) const NEXT: Translated = Translated::new("Next", "下一步");
pub(super) const CODES: Translated = Translated::new("Codes", "错误码");
pub(super) const INPUT: Translated = Translated::new("Input", "输入");
pub(super) const EARLIER_RUNS: Translated = Translated::new("Earlier runs of this job", "该作业更早的运行");
pub(super) const CANNOT_TELL: Translated = Translated::new("What this report cannot tell", "本报告无法说明的内容");
pub(super) const WHY_IT_ENDED: Translated = Translated::new("Why it ended", "为何结束");
pub(super) const WHAT_TO_DO: Translated = Translated::new("What to do", "如何处理");
pub(super) const ROWS_BY_OUTCOME: Translated = Translated::new("Rows by outcome", "各结果的行数");
pub(super) const OUTCOMES_CAPTION: Translated = Translated::new(
    "Every row of the input has one outcome. Parts of the bar have the order of this table.",
    "输入的每一行都有且只有一个结果。条形图各部分的顺序与本表相同。",
);
pub(super) const CODES_CAPTION: Translated = Translated::new(
    "Codes of the API that decided an outcome, the most frequent first. Rows are named by file and line.",
    "决定了结果的 API 错误码，最常见的在前。行以文件名和行号表示。",
);

/// Over time.
pub(super) const OVER_TIME: Translated = Translated::new("Over time", "随时间的变化");
pub(super) const SESSIONS: Translated = Translated::new("sessions", "会话");
pub(super) const SECONDS_OF_A_BAR: Translated = Translated::new("Seconds of a bar", "每条的秒数");
pub(super) const TIMELINE_LEGEND: Translated = Translated::new(
    "A bar has the mean of its numbers. Times without a session are shortened.",
    "每条为其时间内的平均值。无会话的时间已缩短。",
);
pub(super) const RESTART_LEGEND: Translated =
    Translated::new("▼ a session begins, × a session begins after a kill.", "▼ 会话开始，× 被强制终止后会话开始。");
pub(super) const LIMITS_CAPTION: Translated =
    Translated::new("What limited the speed, by share of the time of sending", "限制速度的因素及其占发送用时的比例");
pub(super) const SESSIONS_CAPTION: Translated = Translated::new("The last sessions", "最近的会话");
pub(super) const HEAD_LIMITED_BY: Translated = Translated::new("limited by", "限制因素");
pub(super) const HEAD_TIME: Translated = Translated::new("time", "用时");
pub(super) const HEAD_SESSION: Translated = Translated::new("session", "会话");
pub(super) const HEAD_BEGAN: Translated = Translated::new("began", "开始");
pub(super) const HEAD_SEEN: Translated = Translated::new("last seen", "最后出现");
pub(super) const HEAD_END: Translated = Translated::new("end", "结束");

/// Heads of tables, and names of facts.
pub(super) const HEAD_OUTCOME: Translated = Translated::new("outcome", "结果");
pub(super) const HEAD_OUTCOMES: Translated = Translated::new("outcomes", "各结果的行数");
pub(super) const HEAD_ROWS: Translated = Translated::new("rows", "行数");
pub(super) const HEAD_SHARE: Translated = Translated::new("share", "占比");
pub(super) const HEAD_SUM: Translated = Translated::new("sum", "合计");
pub(super) const HEAD_CODE: Translated = Translated::new("code", "错误码");
pub(super) const HEAD_CLASS: Translated = Translated::new("class", "类别");
pub(super) const HEAD_MEANING: Translated = Translated::new("meaning", "含义");
pub(super) const HEAD_ADVICE: Translated = Translated::new("what to do", "建议");
pub(super) const HEAD_FIRST_ROWS: Translated = Translated::new("first rows", "前几行的位置");
pub(super) const HEAD_LOADED: Translated = Translated::new("loaded", "载入时间");
pub(super) const RUN: Translated = Translated::new("run", "运行");
pub(super) const JOB: Translated = Translated::new("job", "作业");
pub(super) const OPERATION: Translated = Translated::new("operation", "操作");
pub(super) const STATE: Translated = Translated::new("state", "状态");
pub(super) const EXIT_CODE: Translated = Translated::new("exit code", "退出码");
pub(super) const SENT: Translated = Translated::new("sent", "发送时间");
pub(super) const VERIFIED: Translated = Translated::new("verified", "核验");
pub(super) const FORGOTTEN: Translated = Translated::new("forgotten", "已清除");
pub(super) const RESULTS: Translated = Translated::new("results", "结果文件");
pub(super) const DIGEST: Translated = Translated::new("BLAKE3 of all bytes", "全部字节的 BLAKE3 值");
pub(super) const NONE: Translated = Translated::new("none", "无");

/// What the queue does not know.
pub(super) const UNKNOWN: &[Translated] = &[
    Translated::new(
        "Which files have its results: `imbulk results` does not store where it writes.",
        "哪些文件包含其结果：`imbulk results` 不记录写入的位置。",
    ),
    Translated::new(
        "What other programs and people changed on the same accounts at the same time.",
        "其他程序和人员同时对这些账号做了哪些改动。",
    ),
    Translated::new(
        "What the service keeps in its own backups and logs after a deletion.",
        "删除之后，服务方在其自身的备份和日志中保留了什么。",
    ),
];

pub(super) const NO_SESSION: Translated = Translated::new(
    "Who started the run, its guards and its calls: they were not stored, or removed by `imbulk forget`.",
    "谁启动了运行，以及它的护栏和调用：未曾记录，或已被 `imbulk forget` 移除。",
);

/// Sections of names and values.
pub(super) const PROMISES: Translated = Translated::new("Promises", "承诺");
pub(super) const GUARDS: Translated = Translated::new("Guards", "护栏");
pub(super) const SLOW: Translated = Translated::new("Rows that took the longest", "耗时最长的行");
pub(super) const BACKUP: Translated = Translated::new("Backup", "备份");
pub(super) const HALTED_THE_RUN: Translated = Translated::new("halted the run: ", "中止了运行：");

/// What a command is for.
pub(super) const STATUS: Translated =
    Translated::new("shows why rows are left, and what to do", "显示为何有剩余的行，以及如何处理");
pub(super) const FAILED: Translated = Translated::new("shows which rows failed, and why", "显示哪些行失败及其原因");
pub(super) const IN_DOUBT: Translated = Translated::new("shows rows whose effect is unknown", "显示效果未知的行");
pub(super) const REJECTED: Translated = Translated::new(
    "shows rows that could not be sent: correct them, and use the file as input",
    "显示无法发送的行：请修正后将该文件用作输入",
);
pub(super) const ALL_ROWS: Translated =
    Translated::new("exports one row for each row of the input", "为输入的每一行导出一行结果");

pub(super) const EXIT_OF_REJECTS: Translated = Translated::new(
    "3, or 0 if the job allows rejected rows (input.rejects)",
    "3；如果作业允许被拒绝的行（input.rejects），则为 0",
);

/// The name of an outcome, with its meaning where the name is not of the language.
pub(super) const fn outcome(outcome: Outcome) -> Translated {
    match outcome {
        Outcome::Succeeded => Translated::new("succeeded", "成功（succeeded）"),
        Outcome::AlreadyDone => Translated::new("already_done", "已是期望状态（already_done）"),
        Outcome::Failed => Translated::new("failed", "失败（failed）"),
        Outcome::InDoubt => Translated::new("in_doubt", "存疑（in_doubt）"),
        Outcome::Pending => Translated::new("pending", "待处理（pending）"),
        Outcome::Rejected => Translated::new("rejected", "被拒绝（rejected）"),
        Outcome::Duplicate => Translated::new("duplicate", "重复（duplicate）"),
        Outcome::Protected => Translated::new("protected", "受保护（protected）"),
    }
}

/// The name of a state.
pub(super) const fn state(state: StateName) -> Translated {
    match state {
        StateName::Planned => Translated::new("planned", "已计划"),
        StateName::Sending => Translated::new("sending", "发送中"),
        StateName::Stopped => Translated::new("stopped", "已停止"),
        StateName::Halted => Translated::new("halted", "已中止"),
        StateName::Interrupted => Translated::new("interrupted", "已中断"),
        StateName::Finished => Translated::new("finished", "已完成"),
        StateName::Superseded => Translated::new("superseded", "已被取代"),
    }
}

//! What the queue proves of a run: its sessions, its calls, its guards, the accounts with the most work and its backup.

use schemars::JsonSchema;
use serde::Serialize;

use super::guards_of_run::{GuardOfRun, guards_of_run};
use crate::domain::call_counts::CallCounts;
use crate::domain::language::Translated;
use crate::domain::response::outcome::Outcome;
use crate::domain::session_start::DailyLimit;
use crate::domain::timestamp::rfc3339;
use crate::queue::{LargeAccount, ManyCalls, RepeatedRows, RowPlace, StoredSession};
use crate::report::figures::Figures;
use crate::report::json::DateTime;
use crate::report::state::StateName;
use crate::report::text::{count, counted, visible};

/// What the queue knows of how a run was sent.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Evidence {
    /// Its sessions, the first one first; empty for a run that was sent by a version that did not store them.
    pub sessions: Vec<SessionOfRun>,
    /// The figures of the promises.
    pub promises: PromiseFigures,
    /// Each guard with its value and its limit, as of the last session.
    pub guards: Vec<GuardOfRun>,
    /// The From_Accounts with the most items, the largest first, named by their first rows.
    pub largest_accounts: Vec<LargestAccount>,
    /// The requests with the most calls, if some needed several.
    pub most_calls: Vec<ManyCalls>,
    /// The files of its backup.
    pub backups: Vec<BackupFileOfRun>,
}

/// A session of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SessionOfRun {
    /// When it began.
    #[schemars(with = "DateTime")]
    pub began_at: String,
    /// The user who began it.
    pub user: String,
    /// The machine on which it ran.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// The version of imbulk that sent.
    pub imbulk_version: String,
    /// The id of the plan that it carried out.
    pub plan: String,
    /// `stop.window`.
    pub window: Option<String>,
    /// `stop.until`.
    pub until: Option<String>,
    /// `stop.max_runtime`.
    pub max_runtime_seconds: Option<u64>,
    /// Its calls of the run; null while it sends, and if it was killed.
    pub calls: Option<CallCounts>,
}

/// The figures of the promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PromiseFigures {
    /// Answers that said "too many calls"; null if no session stored them.
    pub throttles: Option<u64>,
    /// The most calls of all its commands that began within one second; null if no session stored them.
    pub fullest_second: Option<u64>,
    /// Calls per second that the job allowed for the command; null if no session is stored.
    pub calls_per_second: Option<u32>,
    /// Calls per second that the job allowed for all commands to the app; null if no session is stored.
    pub app_calls_per_second: Option<u32>,
    /// Sessions whose calls are not known, because they were killed or are sending.
    pub uncounted_sessions: u64,
    /// Rows of requests that needed several calls.
    pub several_calls: u64,
    /// Rows of requests that were in doubt at some time, because a call had no clear answer.
    pub once_in_doubt: u64,
    /// Rows whose outcome is `in_doubt`.
    pub still_in_doubt: u64,
    /// Whether every row was read back, compared with its checksum and counted when the run was finished.
    pub read_back: bool,
}

/// A From_Account and the amount of its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LargestAccount {
    /// Where its first row is in the input.
    pub first: RowPlace,
    /// Its items.
    pub items: u64,
    /// Its requests, as loaded. One is sent after the other.
    pub requests: u64,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BackupFileOfRun {
    /// Its path.
    pub file: String,
    /// Its lines with what was read.
    pub lines: u64,
    /// The BLAKE3 digest of its bytes now; null if it cannot be read.
    pub blake3: Option<String>,
}

/// What was read of a run.
#[derive(Debug, Default)]
pub struct EvidenceParts {
    /// Its sessions.
    pub sessions: Vec<StoredSession>,
    /// Rows that one call did not settle.
    pub repeated: RepeatedRows,
    /// The requests with the most calls.
    pub most_calls: Vec<ManyCalls>,
    /// The largest accounts, each with the place of its first row.
    pub largest_accounts: Vec<(LargeAccount, RowPlace)>,
    /// The files of its backup.
    pub backups: Vec<BackupFileOfRun>,
}

impl Evidence {
    pub(super) fn new(parts: EvidenceParts, figures: &Figures) -> Self {
        let EvidenceParts { sessions, repeated, most_calls, largest_accounts, backups } = parts;
        let largest = |(account, first): (LargeAccount, RowPlace)| LargestAccount {
            first,
            items: account.items,
            requests: account.requests,
        };
        Self {
            promises: promises(&sessions, repeated, figures),
            guards: sessions.last().map(|last| guards_of_run(&last.start, figures)).unwrap_or_default(),
            sessions: sessions.into_iter().map(session_of_run).collect(),
            largest_accounts: largest_accounts.into_iter().map(largest).collect(),
            most_calls,
            backups,
        }
    }
}

fn session_of_run(StoredSession { began_at, start, calls }: StoredSession) -> SessionOfRun {
    let (window, until) = match start.daily {
        Some(DailyLimit::Window(window)) => (Some(window), None),
        Some(DailyLimit::Until(until)) => (None, Some(until)),
        None => (None, None),
    };
    SessionOfRun {
        began_at: rfc3339(began_at),
        user: start.user,
        host: start.host,
        pid: start.pid,
        imbulk_version: start.version,
        plan: start.plan,
        window,
        until,
        max_runtime_seconds: start.max_runtime.map(|longest| longest.as_secs()),
        calls,
    }
}

fn promises(sessions: &[StoredSession], repeated: RepeatedRows, figures: &Figures) -> PromiseFigures {
    let counted = || sessions.iter().filter_map(|session| session.calls);
    let last = sessions.last().map(|session| &session.start);
    PromiseFigures {
        throttles: counted().map(|calls| calls.throttles).reduce(|sum, more| sum + more),
        fullest_second: counted().map(|calls| calls.fullest_second).max(),
        calls_per_second: last.map(|start| start.calls_per_second.get()),
        app_calls_per_second: last.map(|start| start.app_calls_per_second.get()),
        uncounted_sessions: (sessions.len() - counted().count()) as u64,
        several_calls: repeated.several_calls,
        once_in_doubt: repeated.once_in_doubt,
        still_in_doubt: figures.outcomes[Outcome::InDoubt],
        read_back: figures.state == StateName::Finished,
    }
}

impl Evidence {
    /// Who began the run, and its sending window.
    pub(super) fn facts(&self) -> Vec<(Translated, Translated<String>)> {
        let Some(last) = self.sessions.last() else { return Vec::new() };
        let (user, host) = (visible(&last.user), visible(&last.host));
        let mut by = Translated::new(format!("{user} on {host}"), format!("{user}，主机 {host}"));
        if self.sessions.len() > 1 {
            let sessions = count(self.sessions.len() as u64);
            by.en.push_str(&format!(", the last of {sessions} sessions"));
            by.zh.push_str(&format!("，共 {sessions} 个会话，此为最后一个"));
        }
        let (plan, version) = (visible(&last.plan), visible(&last.imbulk_version));
        let plan =
            Translated::new(format!("{plan}, sent by imbulk {version}"), format!("{plan}，由 imbulk {version} 发送"));
        let same = |text: &String| Translated::new(visible(text).into_owned(), visible(text).into_owned());
        let mut facts = vec![(Translated::new("started by", "启动者"), by)];
        facts.extend(last.window.iter().map(|window| (Translated::new("window", "时间窗口"), same(window))));
        facts.extend(last.until.iter().map(|until| (Translated::new("until", "截止时间"), same(until))));
        facts.push((Translated::new("plan", "计划"), plan));
        facts
    }

    /// Each promise with its figure.
    pub(super) fn promise_lines(&self) -> Vec<(Translated, Translated<String>)> {
        if self.sessions.is_empty() {
            return Vec::new();
        }
        let owned = |text: Translated| Translated::new(text.en.to_owned(), text.zh.to_owned());
        let stored = if self.promises.read_back {
            Translated::new(
                "every row was read back and compared with its checksum, and the outcomes were counted again",
                "每一行都已读回并与其校验和比较，各结果的行数也已重新统计",
            )
        } else {
            Translated::new(
                "the numbers of rows by outcome add up; the rows are read back when the run is finished",
                "各结果的行数之和正确；运行完成时会读回各行",
            )
        };
        let mut lines = vec![(Translated::new("calls per second", "每秒调用数"), self.fullest_second())];
        if let Some(throttles) = self.promises.throttles.filter(|throttles| *throttles > 0) {
            let text = Translated::new(
                format!(
                    "{} throttled the calls; imbulk lowered the rate and sent again",
                    counted(throttles, "answer", "answers")
                ),
                format!("{} 次应答触发限流；imbulk 降低了速率并重发", count(throttles)),
            );
            lines.push((Translated::new("throttled", "被限流"), text));
        }
        let writes = Translated::new(
            "never two at the same time: a request reserves all accounts that it names, and a violation ends imbulk",
            "绝不同时进行两个：请求会占用其涉及的所有账号，一旦违反，imbulk 即退出",
        );
        lines.push((Translated::new("writes to one account", "对同一账号的写操作"), owned(writes)));
        lines.push((Translated::new("sent again", "重发"), self.repetitions()));
        lines.push((Translated::new("doubts", "存疑情况"), self.doubts()));
        lines.push((Translated::new("stored", "持久化"), owned(stored)));
        lines
    }

    fn repetitions(&self) -> Translated<String> {
        match self.promises.several_calls {
            0 => Translated::new("no row needed a second call".to_owned(), "没有需要再次调用的行".to_owned()),
            rows => Translated::new(
                format!("{} several calls", counted(rows, "row needed", "rows needed")),
                format!("{} 行需要多次调用", count(rows)),
            ),
        }
    }

    fn doubts(&self) -> Translated<String> {
        let (once, left) = (self.promises.once_in_doubt, self.promises.still_in_doubt);
        let were = |rows| counted(rows, "row was", "rows were");
        let are = |rows| counted(rows, "row is", "rows are");
        match (once, left) {
            (0, 0) => Translated::new(
                "none: every call had a clear answer".to_owned(),
                "无：每次调用都有明确的应答".to_owned(),
            ),
            (0, _) => Translated::new(
                format!("{} in doubt by the codes of the answers", are(left)),
                format!("{} 行因应答中的错误码而存疑", count(left)),
            ),
            (_, 0) => Translated::new(
                format!("{} in doubt at some time, all settled", were(once)),
                format!("{} 行曾经存疑，均已确定", count(once)),
            ),
            _both => Translated::new(
                format!("{} in doubt at some time; {} still in doubt", were(once), are(left)),
                format!("{} 行曾经存疑；{} 行仍存疑", count(once), count(left)),
            ),
        }
    }

    /// `at most 98 calls of this run, lookups included, began within one second; allowed: 200 of all commands to the …`
    fn fullest_second(&self) -> Translated<String> {
        let PromiseFigures { fullest_second, calls_per_second, app_calls_per_second, uncounted_sessions, .. } =
            self.promises;
        let number = |number: Option<u32>| count(number.unwrap_or_default().into());
        let (of_app, of_command) = (number(app_calls_per_second), number(calls_per_second));
        let mut text = match fullest_second {
            Some(calls) => Translated::new(
                format!(
                    "at most {} of this run, lookups included, began within one second",
                    counted(calls, "call", "calls")
                ),
                format!("本次运行（包括回查）在一秒内最多开始了 {} 次调用", count(calls)),
            ),
            None => Translated::new("not counted".to_owned(), "未计数".to_owned()),
        };
        let limits = Translated::new(
            format!("; allowed: {of_app} of all commands to the app, {of_command} of one command"),
            format!("；允许：该应用的所有命令 {of_app} 次，单个命令 {of_command} 次"),
        );
        text.en.push_str(&limits.en);
        text.zh.push_str(&limits.zh);
        if uncounted_sessions > 0 {
            let sessions = counted(uncounted_sessions, "session that was killed", "killed sessions");
            text.en.push_str(&format!("; not counted: {sessions}"));
            text.zh.push_str(&format!("；未计数：{} 个进程被终止的会话", count(uncounted_sessions)));
        }
        text
    }

    /// Where the work was that one request after the other had to do, and what needed the most calls.
    pub(super) fn slow_lines(&self) -> Vec<(String, Translated<String>)> {
        let place = |first: &RowPlace| format!("{}:{}", visible(&first.source), first.line);
        let several = self.largest_accounts.iter().filter(|account| account.requests > 1);
        let large = several.map(|LargestAccount { first, items, requests }| {
            let work = Translated::new(
                format!(
                    "account with {} in {}, sent one after the other",
                    counted(*items, "item", "items"),
                    counted(*requests, "request", "requests")
                ),
                format!("该账号有 {} 个条目，分为 {} 个请求依次发送", count(*items), count(*requests)),
            );
            (place(first), work)
        });
        let repeated = self.most_calls.iter().map(|ManyCalls { calls, rows, first }| {
            let work = Translated::new(
                format!("request with {} and {}", counted(*rows, "row", "rows"), counted(*calls, "call", "calls")),
                format!("该请求有 {} 行，共 {} 次调用", count(*rows), count(*calls)),
            );
            (place(first), work)
        });
        large.chain(repeated).collect()
    }

    /// The files of the backup.
    pub(super) fn backup_lines(&self) -> Vec<(String, Translated<String>)> {
        let line = |BackupFileOfRun { file, lines, blake3 }: &BackupFileOfRun| {
            let digest = blake3.as_ref().map_or_else(
                || Translated::new("the file cannot be read now".to_owned(), "目前无法读取该文件".to_owned()),
                |digest| Translated::new(format!("BLAKE3 {digest}"), format!("BLAKE3 值 {digest}")),
            );
            let en = counted(*lines, "line", "lines");
            let lines = Translated::new(en, format!("{} 行", count(*lines)));
            let text = Translated::new(format!("{}, {}", lines.en, digest.en), format!("{}，{}", lines.zh, digest.zh));
            (visible(file).into_owned(), text)
        };
        self.backups.iter().map(line).collect()
    }
}

//! Why runs stop before their end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::scheduled_job::JobNo;
use crate::domain::guard::{Bytes, OutcomeCounts};
use crate::domain::hint::Message;
use crate::domain::outage::Outage;
use crate::domain::rate_limit::calls_per_day::DayUsedUp;
use crate::domain::response::codes::Scope;
use crate::domain::response::outcome::Count;
use crate::domain::run_choice::EndedBy;

/// A signal that asks the process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopSignal {
    /// SIGHUP: the terminal or the ssh session is closed.
    Hangup,
    /// SIGTERM: the machine shuts down, or another program ends the run.
    Terminate,
    /// SIGINT: a person pressed Ctrl-C.
    Interrupt,
}

impl StopSignal {
    /// Its name in signal(7).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

/// The key of the job file that limits the time of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineKey {
    /// `stop.until`
    Until,
    /// `stop.window`
    Window,
    /// `stop.max_runtime`
    MaxRuntime,
}

/// What a reason to stop concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopScope {
    /// One job: the others go on.
    Job(JobNo),
    /// The jobs of one app: those of other apps go on.
    App,
    /// All jobs of the session.
    Session,
}

/// Why a run stops before its end. If there are several reasons, the gravest one counts: the last one of this list. The
/// derived order of the variants is this order of gravity, and a test states it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// As many items as `--limit` allows have their outcomes.
    ItemLimit,
    /// A limit of the session in time.
    Deadline(DeadlineKey),
    /// `limits.calls_per_day`.
    CallsPerDay(DayUsedUp),
    /// A signal.
    Signal(StopSignal),
    /// `imbulk ctl NAME drain`.
    Drain {
        /// The person who asked for it.
        who: String,
    },
    /// No call succeeded for the time of `stop.outage`.
    Outage(Outage),
    /// The disk has less free space than recording the requests in flight may need.
    DiskFull {
        /// The path of the queue.
        queue: PathBuf,
        /// The free space.
        free: Bytes,
        /// The space that must stay free.
        reserve: Bytes,
    },
    /// More items than `guard.max_already_done` allows were already done.
    AlreadyDone {
        /// The job.
        job: JobNo,
        /// Items that were already done.
        already_done: Count,
        /// Items with an outcome.
        ended: Count,
    },
    /// Too many items of the canary failed or were already done.
    Canary {
        /// The job.
        job: JobNo,
        /// Items that failed or are in doubt.
        failed: Count,
        /// Items that were already done.
        already_done: Count,
        /// Items with an outcome.
        ended: Count,
    },
    /// Too many items failed.
    Fuse {
        /// The job.
        job: JobNo,
        /// Items that failed or are in doubt.
        failed: Count,
        /// Items with an outcome.
        ended: Count,
    },
    /// No call of a job can succeed.
    Fatal {
        /// Whether that is known of this job only or of the whole app.
        scope: Scope,
        /// The job.
        job: JobNo,
        /// The code of the answer, if there was one.
        code: Option<i64>,
        /// The text.
        reason: String,
    },
    /// A backup cannot be written, with the cause.
    BackupFailed(String),
    /// The path of the queue refers to another file or to none, so a later run would not find what is recorded.
    QueueLost,
    /// The file in which processes share the call limit cannot be used any more, with the cause and what to do.
    LedgerLost(Message),
}

/// A job whose share of failed items came close to its fuse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CloseFuse {
    /// The job.
    pub job: JobNo,
    /// The outcomes of the session when the fuse came close.
    pub counts: OutcomeCounts,
    /// The share of failed items at which the run halts.
    pub failed_share: f64,
}

impl StopReason {
    /// The name in the log. Scripts depend on it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ItemLimit => "limit",
            Self::Deadline(_) => "deadline",
            Self::CallsPerDay(_) => "calls_per_day",
            Self::Signal(_) => "signal",
            Self::Drain { .. } => "drain",
            Self::Outage(_) => "outage",
            Self::DiskFull { .. } => "disk_full",
            Self::AlreadyDone { .. } => "max_already_done",
            Self::Canary { .. } => "canary",
            Self::Fuse { .. } => "fuse",
            Self::Fatal { .. } => "fatal",
            Self::BackupFailed(_) => "backup_failed",
            Self::QueueLost => "queue_lost",
            Self::LedgerLost(_) => "ledger_lost",
        }
    }

    /// What the reason concerns.
    pub const fn scope(&self) -> StopScope {
        match self {
            Self::AlreadyDone { job, .. }
            | Self::Canary { job, .. }
            | Self::Fuse { job, .. }
            | Self::Fatal { scope: Scope::Command, job, .. } => StopScope::Job(*job),
            Self::CallsPerDay(_) | Self::Outage(_) | Self::Fatal { scope: Scope::App, .. } => StopScope::App,
            Self::ItemLimit
            | Self::Deadline(_)
            | Self::Signal(_)
            | Self::Drain { .. }
            | Self::DiskFull { .. }
            | Self::BackupFailed(_)
            | Self::QueueLost
            | Self::LedgerLost(_) => StopScope::Session,
        }
    }

    /// The outage, if it is the reason.
    pub const fn outage(&self) -> Option<&Outage> {
        if let Self::Outage(outage) = self { Some(outage) } else { None }
    }

    /// The code of the answer that stopped the run, if one did.
    pub const fn code(&self) -> Option<i64> {
        match self {
            Self::Fatal { code, .. } => *code,
            Self::ItemLimit
            | Self::Deadline(_)
            | Self::CallsPerDay(_)
            | Self::Signal(_)
            | Self::Drain { .. }
            | Self::Outage(_)
            | Self::DiskFull { .. }
            | Self::AlreadyDone { .. }
            | Self::Canary { .. }
            | Self::Fuse { .. }
            | Self::BackupFailed(_)
            | Self::QueueLost
            | Self::LedgerLost(_) => None,
        }
    }

    /// The kind of reason, as the queue stores it.
    pub const fn ended_by(&self) -> EndedBy {
        match self {
            Self::ItemLimit => EndedBy::Limit,
            Self::Deadline(_) => EndedBy::Deadline,
            Self::CallsPerDay(_) => EndedBy::CallsPerDay,
            Self::Signal(StopSignal::Interrupt) | Self::Drain { .. } => EndedBy::Person,
            Self::Signal(StopSignal::Terminate | StopSignal::Hangup) => EndedBy::Shutdown,
            Self::Outage(_) => EndedBy::Outage,
            Self::DiskFull { .. } => EndedBy::DiskFull,
            Self::AlreadyDone { .. } | Self::Canary { .. } | Self::Fuse { .. } => EndedBy::Guard,
            Self::Fatal { .. } => EndedBy::FatalCode,
            Self::BackupFailed(_) => EndedBy::BackupFailed,
            // Nothing more can be stored in a lost queue. If the file was only moved, the run in it resumes as after a
            // kill.
            Self::QueueLost => EndedBy::Kill,
            Self::LedgerLost(_) => EndedBy::LedgerLost,
        }
    }
}

/// Why jobs stop, as far as the queue has it.
#[derive(Debug, Default)]
pub struct StoredStops(BTreeMap<JobNo, StopReason>);

impl StoredStops {
    /// Whether the queue does not have this reason of a job yet. A later reason can be of the same kind, such as a
    /// drain after Ctrl-C.
    pub fn is_new(&mut self, job: JobNo, reason: &StopReason) -> bool {
        if self.0.get(&job) == Some(reason) {
            return false;
        }
        self.0.insert(job, reason.clone());
        true
    }
}

/// How the session of a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every row has its outcome.
    Complete,
    /// It was stopped, and rows are left.
    Stopped(StopReason),
}

impl End {
    /// The end of a run with this number of pending rows. `stop`: why its job was stopped, if it was.
    pub fn of(stop: Option<&StopReason>, has_item_limit: bool, pending: Count) -> Self {
        match stop {
            Some(reason) if pending > 0 => Self::Stopped(reason.clone()),
            None if pending > 0 && has_item_limit => Self::Stopped(StopReason::ItemLimit),
            Some(_) | None => Self::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_stored_once_and_a_later_one_of_the_same_kind_as_well() {
        let mut stored = StoredStops::default();
        let (signal, drain) = (StopReason::Signal(StopSignal::Interrupt), StopReason::Drain { who: "a@b".to_owned() });
        assert_eq!(signal.ended_by(), drain.ended_by());
        let found = [(0, &signal), (0, &signal), (1, &signal), (0, &drain), (0, &drain)];
        assert_eq!(found.map(|(job, reason)| stored.is_new(job, reason)), [true, false, true, true, false]);
    }

    #[test]
    fn a_reason_and_the_item_limit_count_only_while_rows_are_left() {
        let signal = StopReason::Signal(StopSignal::Terminate);
        assert_eq!(End::of(Some(&signal), true, 1), End::Stopped(signal.clone()));
        assert_eq!(End::of(None, true, 1), End::Stopped(StopReason::ItemLimit));
        for (stop, has_item_limit, pending) in [(Some(&signal), true, 0), (None, true, 0), (None, false, 0)] {
            assert_eq!(End::of(stop, has_item_limit, pending), End::Complete);
        }
    }

    #[test]
    fn a_graver_reason_counts_more_than_any_reason_before_it() {
        let (job, ended, reason) = (0, 1, "x".to_owned());
        let free = (Bytes(0), Bytes(1));
        let in_order_of_gravity = [
            StopReason::ItemLimit,
            StopReason::Deadline(DeadlineKey::MaxRuntime),
            StopReason::Signal(StopSignal::Hangup),
            StopReason::Signal(StopSignal::Terminate),
            StopReason::Signal(StopSignal::Interrupt),
            StopReason::Drain { who: "a@b".to_owned() },
            StopReason::DiskFull { queue: PathBuf::new(), free: free.0, reserve: free.1 },
            StopReason::AlreadyDone { job, already_done: 1, ended },
            StopReason::Canary { job, failed: 1, already_done: 0, ended },
            StopReason::Fuse { job, failed: 1, ended },
            StopReason::Fatal { scope: Scope::Command, job, code: None, reason: reason.clone() },
            StopReason::BackupFailed(reason.clone()),
            StopReason::QueueLost,
            StopReason::LedgerLost(Message::new(reason)),
        ];
        assert!(in_order_of_gravity.is_sorted_by(|before, after| before < after));
    }
}

//! What a schedule is told and what it answers.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::breaker::Outage;
use crate::domain::guard::Bytes;
use crate::domain::ids::RequestId;
use crate::domain::job::{Retry, Stop};
use crate::domain::operation::BoundOperation;
use crate::domain::request::{Keys, Request};
use crate::domain::response::call_result::CallResult;
use crate::domain::response::codes::{Pause, RenewFallback, Scope};
use crate::domain::response::outcome::Count;
use crate::domain::response::settlement::{FollowUp, Settlement};
use crate::domain::response::tally::Tally;
use crate::domain::run_choice::EndedBy;

/// Time since the runner's start.
pub type Now = Duration;
/// Index of a job among those that run together.
pub type JobNo = usize;

/// What the schedule needs to know of a job.
#[derive(Debug, Clone)]
pub struct JobPlan {
    /// The command.
    pub operation: BoundOperation,
    /// The most calls a second.
    pub calls_per_second: NonZeroU32,
    /// How often again.
    pub retry: Retry,
    /// The most requests in flight; none: as many as the rate needs.
    pub max_in_flight: Option<usize>,
    /// When to stop early.
    pub stop: Stop,
    /// The share of `already_done` items at which the run halts.
    pub max_already_done: Option<f64>,
    /// The first requests with this many items are judged before the rest is sent; 0: none are.
    pub canary: u64,
    /// Rows by outcome at the start.
    pub tally: Tally,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A request was found `sending` at the start: an earlier runner was killed, and the server may still be writing.
    Rescued {
        /// Its job; none where it belongs to no job of this runner, and only its accounts are to be kept free.
        job: Option<JobNo>,
        /// The request.
        request: Request,
        /// The accounts that it writes.
        keys: Keys,
    },
    /// The answer to [`Command::Fetch`].
    Page {
        /// The job.
        job: JobNo,
        /// Pending requests in the order of their numbers; fewer than asked for: there are no more.
        requests: Vec<Request>,
    },
    /// The answer to [`Command::Load`].
    Loaded {
        /// The job.
        job: JobNo,
        /// The request.
        request: Request,
    },
    /// The intent to send these is on disk.
    Intended(Vec<RequestId>),
    /// The request has its slot, its bytes leave.
    Sent {
        /// The job.
        job: JobNo,
        /// The request.
        request: RequestId,
    },
    /// The request was held back before any byte left ([`Command::HoldBack`]).
    HeldBack(RequestId),
    /// The exchange is over.
    Replied {
        /// The request.
        request: RequestId,
        /// What came back.
        result: CallResult,
        /// Which UserSig it was sent with.
        generation: u64,
    },
    /// The settlement is on disk.
    Recorded {
        /// The request that was sent.
        request: RequestId,
        /// Its parts, each with the number that it has from now on.
        follow_ups: Vec<FollowUp>,
    },
    /// The intent is taken back on disk.
    Withdrawn(RequestId),
    /// The rescued request is pending again on disk.
    Reopened(RequestId),
    /// The answer to [`Command::Renew`] where no other UserSig can be made.
    NotRenewed {
        /// The job whose call was refused.
        job: JobNo,
        /// The code by which it was refused.
        code: i64,
        /// How to treat that code now.
        fallback: RenewFallback,
    },
    /// Time has passed.
    Tick,
    /// Stop, for this reason.
    Stop(StopReason),
}

/// Something is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Read pending requests of a job.
    Fetch {
        /// The job.
        job: JobNo,
        /// Numbers above this one.
        after: RequestId,
        /// At most so many.
        limit: u32,
    },
    /// Read one request.
    Load {
        /// The job.
        job: JobNo,
        /// Its number.
        request: RequestId,
    },
    /// Write down that these are about to be sent.
    Intend(Vec<RequestId>),
    /// Send, as soon as there is a slot.
    Send {
        /// The job.
        job: JobNo,
        /// The request.
        request: RequestId,
        /// The body of the call.
        body: Vec<u8>,
    },
    /// Record what an exchange changed.
    Record {
        /// The job.
        job: JobNo,
        /// The change.
        settlement: Settlement,
        /// Whether something waits for it; otherwise it may be committed a little later, together with others.
        urgent: bool,
    },
    /// Take the intent back: no byte left.
    Withdraw(RequestId),
    /// Make a rescued request pending again: whatever an earlier runner sent is over by now.
    Reopen(RequestId),
    /// Slow down: a call of this job was answered so.
    Slow {
        /// The job.
        job: JobNo,
        /// What slows down.
        scope: Scope,
        /// For how long nothing is sent.
        pause: Pause,
    },
    /// Make a new UserSig, unless the one of this generation was replaced already.
    Renew {
        /// The job whose call was refused.
        job: JobNo,
        /// The generation that was refused.
        generation: u64,
        /// The code by which it was refused.
        code: i64,
        /// How to treat that code if no other UserSig can be made.
        fallback: RenewFallback,
    },
    /// Let nothing leave that has not left.
    HoldBack,
}

/// A signal that asks the process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopSignal {
    /// SIGHUP: the terminal or the ssh session is gone.
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

/// Why a run stops before its end. The later in this list, the graver; the gravest is reported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// As many items as `--limit` allows have their outcomes.
    Limit,
    /// `stop.until` has come.
    Deadline,
    /// A signal.
    Signal(StopSignal),
    /// Nothing has worked for too long.
    Outage(Outage),
    /// The disk has less room than recording what is in flight may need.
    DiskFull {
        /// The queue.
        queue: PathBuf,
        /// What is left.
        free: Bytes,
        /// What must stay free.
        reserve: Bytes,
    },
    /// More items than allowed were already done.
    AlreadyDone {
        /// The job.
        job: JobNo,
        /// Items that were already done.
        already_done: Count,
        /// Items with an outcome.
        ended: Count,
    },
    /// Of the first items, too many failed or were already done.
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
    /// Nothing can succeed.
    Fatal {
        /// The job whose call was answered so.
        job: JobNo,
        /// The code.
        code: Option<i64>,
        /// In words.
        reason: String,
    },
    /// The queue is not the file with its name any more: what is recorded in it is not found again.
    QueueLost,
    /// The file in which processes share the call limit can't be used any more.
    LedgerLost,
}

impl StopReason {
    /// The kind of reason, as the queue keeps it.
    pub const fn ended_by(&self) -> EndedBy {
        match self {
            Self::Limit => EndedBy::Limit,
            Self::Deadline => EndedBy::Deadline,
            Self::Signal(StopSignal::Interrupt) => EndedBy::Person,
            Self::Signal(StopSignal::Terminate | StopSignal::Hangup) => EndedBy::Shutdown,
            Self::Outage(_) => EndedBy::Outage,
            Self::DiskFull { .. } => EndedBy::DiskFull,
            Self::AlreadyDone { .. } | Self::Canary { .. } | Self::Fuse { .. } => EndedBy::Guard,
            Self::Fatal { .. } => EndedBy::FatalCode,
            // The note of it is lost with the queue; a moved one goes on as after a kill.
            Self::QueueLost | Self::LedgerLost => EndedBy::Kill,
        }
    }
}

/// How a schedule ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Nothing is left to send.
    Complete,
    /// It was stopped; work may be left.
    Stopped(StopReason),
}

/// What keeps everything that is left from being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// The accounts are being written.
    Accounts,
    /// The delay before the next attempt.
    Delays,
}

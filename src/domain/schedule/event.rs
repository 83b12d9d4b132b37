//! The input of the schedule, and its decisions.

use std::num::NonZeroU32;

use super::scheduled_job::JobNo;
use super::stop::StopReason;
use super::time::ScheduleTime;
use crate::domain::change::{Change, Changed};
use crate::domain::ids::RequestId;
use crate::domain::rate_limit::calls_per_day::DayUsedUp;
use crate::domain::request::{AccountKeys, CallKind, Request};
use crate::domain::response::call_result::CallResult;
use crate::domain::response::codes::{Pause, RenewFallback, Scope};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A request was found `sending` at the start: an earlier runner was killed, and the server may still be working on
    /// its call.
    Recovered {
        /// The job; `None` if this runner does not send the request, because it belongs to no job of the runner or an
        /// item limit keeps it back. Then only its accounts are leased.
        job: Option<JobNo>,
        /// The request.
        request: Request,
        /// The accounts that it writes.
        keys: AccountKeys,
    },
    /// The answer to [`Action::Fetch`].
    Page {
        /// The job.
        job: JobNo,
        /// Pending requests in ascending order. If there are fewer than asked for, these are the last.
        requests: Vec<Request>,
    },
    /// The answer to [`Action::ReadParked`].
    ParkedRead {
        /// The job.
        job: JobNo,
        /// The request.
        request: Request,
    },
    /// The request has its slot, and its bytes leave.
    Sent(RequestId),
    /// The request was held back before any byte left: by [`Action::HoldBack`], or because it got its slot too late.
    HeldBack(RequestId),
    /// The call is over.
    Replied {
        /// The request.
        request: RequestId,
        /// How the call ended.
        result: CallResult,
        /// The generation of the UserSig with which it was sent.
        generation: u64,
    },
    /// A change is on disk.
    Changed(Changed),
    /// The answer to [`Action::Renew`] if no other UserSig can be made.
    NotRenewed {
        /// The job whose call was refused.
        job: JobNo,
        /// The code of the refusal.
        code: i64,
        /// How the code is treated now.
        fallback: RenewFallback,
    },
    /// Time has passed.
    Tick,
    /// All jobs are to stop for this reason.
    Stop(StopReason),
    /// The calls of this day of the app of a job are used up.
    DayUsedUp {
        /// The job.
        job: JobNo,
        /// The day.
        day: DayUsedUp,
    },
    /// No new call of a job may begin.
    Pause(JobNo),
    /// Calls of a paused job may begin again.
    Resume(JobNo),
    /// The rate of a job changes.
    SetRate {
        /// The job.
        job: JobNo,
        /// The maximum number of calls per second.
        calls_per_second: NonZeroU32,
    },
}

/// Something that the runner must do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Read pending requests of a job.
    Fetch {
        /// The job.
        job: JobNo,
        /// Only requests after this one.
        after: RequestId,
        /// The maximum number of requests.
        limit: u32,
    },
    /// Read one request.
    ReadParked {
        /// The job.
        job: JobNo,
        /// The request.
        request: RequestId,
    },
    /// Make a change durable.
    Commit {
        /// The change.
        change: Change,
        /// Whether something waits for it. Otherwise it may wait some milliseconds, so that several changes share one
        /// commit.
        urgent: bool,
    },
    /// Make a call as soon as there is a slot.
    Send(CallToSend),
    /// Lower the rate, because a call of this job was throttled.
    Slow {
        /// The job.
        job: JobNo,
        /// The kind of the call.
        kind: CallKind,
        /// Whether the command or the whole app is throttled.
        scope: Scope,
        /// For how long nothing is sent.
        pause: Pause,
    },
    /// Make a new UserSig, unless this generation was already replaced.
    Renew {
        /// The job whose call was refused.
        job: JobNo,
        /// The generation that was refused.
        generation: u64,
        /// The code of the refusal.
        code: i64,
        /// How the code is treated if no other UserSig can be made.
        fallback: RenewFallback,
    },
    /// Send no request of a job that has not left yet. Requests of later [`Action::Send`] may leave.
    HoldBack(JobNo),
}

/// A call for a request whose intent is on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct CallToSend {
    /// The job.
    pub job: JobNo,
    /// The request.
    pub request: RequestId,
    /// The number of its items.
    pub items: usize,
    /// The number of the call for this request, from 1.
    pub number: u32,
    /// The kind of the call.
    pub kind: CallKind,
    /// The body of the call.
    pub body: Vec<u8>,
    /// The call may not start after this moment; then it is held back.
    pub not_after: Option<ScheduleTime>,
}

impl Action {
    /// A change for which something waits.
    pub(super) const fn commit_now(change: Change) -> Self {
        Self::Commit { change, urgent: true }
    }
}

//! What the schedule keeps of each request.

use super::leases::LeaseId;
use super::retry_budget::RetryCost;
use super::scheduled_job::JobNo;
use super::stage::Stage;
use super::time::{CHANGE_AFTER_BACKUP, ScheduleTime};
use crate::domain::operation::Preparations;
use crate::domain::request::{CallKind, Purpose, Request};
use crate::domain::response::outcome::{Count, Outcome};
use crate::domain::response::verdict::{Charge, ServerHealth};

/// A request in memory that waits for its lease, holds it, or is being sent.
#[derive(Debug)]
pub(super) struct RequestState {
    pub(super) job: JobNo,
    pub(super) lease: LeaseId,
    pub(super) request: Request,
    pub(super) stage: Stage,
    /// `None` until it has an answer in this session.
    pub(super) previous: Option<PreviousCall>,
    pub(super) payment: Payment,
    /// What its preparations cost since it has its lease. If the change succeeds, it gets this back as well.
    pub(super) prepaid: RetryCost,
    /// The moment by which the call must start, because its preparation is too old afterwards.
    pub(super) not_after: Option<ScheduleTime>,
    /// Whether a preparation of its change was answered since it has its lease.
    pub(super) follows_preparation: bool,
    /// When the bytes of the last call of its backup left, once the backup is complete.
    pub(super) backed_up_at: Option<ScheduleTime>,
    /// When its bytes left; meaningful from [`Stage::InFlight`].
    pub(super) sent_at: ScheduleTime,
}

impl RequestState {
    /// Begins with the first preparation of the change, if there is one. What was read under an earlier lease does not
    /// count, because other requests may have changed it since.
    pub(super) fn prepare(&mut self, preparations: Preparations) {
        self.not_after = None;
        match self.request.purpose {
            Purpose::Change | Purpose::Prepare(_) | Purpose::Backup(_) => {
                let first = Purpose::before_change(preparations, self.request.charged);
                self.request.purpose = first.unwrap_or(Purpose::Change);
            }
            Purpose::LookUp(_) | Purpose::ReverseSide(_) | Purpose::Verify(_) => {}
        }
    }

    /// A request whose last preparation is made again under the same lease.
    pub(super) fn prepared_again(record: &PendingRecord, request: Request, previous: PreviousCall) -> Self {
        Self {
            job: record.job,
            lease: record.lease,
            request,
            stage: Stage::Ready,
            previous: Some(previous),
            payment: Payment::Paid(RetryCost::FREE),
            prepaid: RetryCost::FREE,
            not_after: None,
            follows_preparation: false,
            backed_up_at: record.backed_up_at,
            sent_at: ScheduleTime::START,
        }
    }

    /// Makes again what was read too long ago: the online check, or with the backup every preparation.
    pub(super) fn prepare_again_if_old(&mut self, preparations: Preparations, now: ScheduleTime) {
        if self.backed_up_at.is_some_and(|at| at + CHANGE_AFTER_BACKUP < now) {
            self.backed_up_at = None;
            self.prepare(preparations);
        } else if self.not_after.is_some_and(|end| end < now) {
            self.prepare(Preparations { backup: None, ..preparations });
        }
    }
}

/// How the retry budget paid for a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payment {
    /// It was charged this.
    Paid(RetryCost),
    /// It was not asked: `max_attempts` alone bounds the request, and the call counts as an attempt even in an outage.
    Exempt,
}

impl Payment {
    pub(super) fn cost(self) -> RetryCost {
        match self {
            Self::Paid(cost) => cost,
            Self::Exempt => RetryCost::FREE,
        }
    }
}

/// The last call of a request that is sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct PreviousCall {
    /// What sending it again costs.
    pub(super) cost: RetryCost,
    /// When its bytes left.
    pub(super) sent_at: ScheduleTime,
    /// Whether its result is one that counts as an attempt. In an outage it did not count.
    pub(super) charge: Charge,
    pub(super) blame: Blame,
}

/// What may have caused the failure of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The server: no call that left later is known to have succeeded.
    Server,
    /// The request itself: a call that left later succeeded, or other items of the same call did.
    Request,
}

/// An answered request whose result is not on disk yet.
#[derive(Debug)]
pub(super) struct PendingRecord {
    pub(super) job: JobNo,
    pub(super) lease: LeaseId,
    pub(super) items: usize,
    /// When its bytes left.
    pub(super) sent_at: ScheduleTime,
    /// When the bytes of the last call of an earlier backup left.
    pub(super) backed_up_at: Option<ScheduleTime>,
    /// What the call said of the server.
    pub(super) health: ServerHealth,
    /// The cause of a failure, as far as it was known before this call.
    pub(super) blame: Blame,
    /// What the call cost, and the preparations before it.
    pub(super) paid: RetryCost,
    /// What the call was for.
    pub(super) kind: CallKind,
    /// Items and rows that have their outcome, by outcome.
    pub(super) ended: Vec<(Outcome, Count, Count)>,
}

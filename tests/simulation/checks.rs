//! The invariants that hold in every scenario.

use std::fmt;
use std::time::Duration;

/// The meaning of each invariant. Each check is in the module that can observe the violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invariant {
    /// Two calls that the server processes at the same time share no account, even after kills and broken connections.
    CallsShareNoAccount,
    /// A request is sent only after its intent is durable, and exactly as the queue stores it.
    IntentBeforeBytes,
    /// A request whose items have their outcomes is not sent again.
    NothingAfterItsOutcome,
    /// A settlement contains each row of its request once, and no other row.
    EveryRowOnce,
    /// The schedule's tally equals the queue's tally after every event.
    SumsAgree,
    /// No item has more counted attempts than `max_attempts`.
    AttemptsAreBounded,
    /// No call gets its slot after `HoldBack`, after a reason to stop, or while its job is paused.
    NothingAfterHoldBack,
    /// The outcomes `succeeded` and `already_done` match the state of the server.
    SuccessIsTrue,
    /// The result of an earlier attempt by imbulk is not `already_done`.
    OwnWorkIsNotAlreadyDone,
    /// Every session ends, and every job completes.
    Terminates,
    /// When there is nothing to do, the runner sleeps.
    Sleeps,
    /// Requests that are not linked by shared accounts, directly or through other requests, do not wait for each other.
    UnrelatedDoNotWait,
    /// Retries are paid from a bucket of 500 tokens that only successes fill.
    RepetitionsArePaid,
    /// During an outage, one probe is sent at a time, at least one second after the previous probe.
    ProbesAreApart,
    /// No item fails because of attempts that were made during an outage.
    NothingFailsInAnOutage,
    /// When a probe succeeds, sending continues.
    SendsAfterRecovery,
    /// Requests in memory that share an account are sent in the order in which they were loaded.
    NothingIsOvertaken,
    /// Only the canary is sent until its items have outcomes and its shares are below their limits.
    CanaryComesFirst,
    /// A reason that concerns one job ends only this job, and the others go on until they complete.
    OthersGoOn,
    /// An account is deleted only if the last answer about it says that it is offline.
    OnlineIsKept,
    /// This answer is one to its own request, received in the same session, and its question left at most 5 s earlier.
    OnlineCheckIsFresh,
    /// Everything that the backup of a change needs was received in the same session, after any earlier change.
    BackupIsComplete,
    /// The last call of this backup left at most five minutes before the change.
    BackupIsFresh,
    /// From the first preparation until the result of the change is stored, no other request of its accounts is sent.
    LeaseSpansPreparation,
    /// A stored result has the number of calls that were made for its items, preparations and lookups included.
    CallsAreCounted,
    /// The number of requests in memory is bounded for every length of the queue.
    MemoryIsBounded,
}

/// A violated invariant, with the time and the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) at: Duration,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} broken at {:?}: {}", self.invariant, self.at, self.what)
    }
}

//! What must hold in every night, each stated once.

use std::fmt;
use std::time::Duration;

/// What must hold. The checks stand where the world can see the breach; here is what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invariant {
    /// Two calls that the server works on at once share no account, whatever was killed or cut off in between.
    CallsShareNoAccount,
    /// A request is sent, as the queue holds it, only after the intent to do so is durable.
    IntentBeforeBytes,
    /// A request whose items have their outcomes is not sent again.
    NothingAfterItsOutcome,
    /// A settlement speaks of each row of its request once, and only of those.
    EveryRowOnce,
    /// The schedule's tally is the queue's, at every step.
    SumsAgree,
    /// No item has more attempts that count than `max_attempts`.
    AttemptsAreBounded,
    /// No call gets its slot after `HoldBack`, or after a reason to stop.
    NothingAfterHoldBack,
    /// `succeeded` and `already_done` are what the server did and said.
    SuccessIsBorneOut,
    /// What an earlier attempt of ours brought about is not `already_done`.
    OwnWorkIsNotAlreadyDone,
    /// A session ends, and the jobs do.
    Terminates,
    /// When nothing can be done, the runner sleeps.
    Sleeps,
    /// What shares no account, over however many requests, does not wait for each other.
    UnrelatedDoNotWait,
    /// Repetitions are paid out of a bucket of 500 that only success fills.
    RepetitionsArePaid,
    /// When nothing works, one probe goes out at a time, a second or more after the one before.
    ProbesAreApart,
    /// No item ends for want of attempts that were used up while nothing worked.
    NothingFailsInAnOutage,
    /// When a probe succeeds, sending goes on.
    GoesOnAfterRecovery,
    /// Requests in memory that share an account set out in the order of their coming.
    NobodyIsOvertaken,
    /// Nothing but the canary is sent until it is decided and its shares are below their limits.
    CanaryComesFirst,
    /// However long the queue, the requests in memory are bounded.
    MemoryIsBounded,
}

/// A breach.
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

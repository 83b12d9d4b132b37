//! What a runner changes in the queue, and what it may do once a change is on disk.
//!
//! The schedule decides the changes of requests. The queue makes any number of changes in one transaction.

use super::backup::BackupPart;
use super::control::AppliedInstruction;
use super::heartbeat::Heartbeat;
use super::hint::Message;
use super::ids::{RequestId, RunId};
use super::response::settlement::{FollowUp, Settlement};
use super::run_choice::EndedBy;

/// A change of the queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Stores the intent to send these requests.
    Intend(Vec<RequestId>),
    /// The same for calls that only read. If the process is killed, they leave no doubt.
    IntendToRead(Vec<RequestId>),
    /// Stores the result of a call.
    Record {
        /// The run of the request.
        run: RunId,
        /// The outcomes and the follow-ups.
        settlement: Settlement,
    },
    /// Stores a part of a backup, which is on disk.
    StoreBackup(BackupPart),
    /// Takes back the intent for a request of which no byte was sent.
    Withdraw(RequestId),
    /// Makes a request pending again that an earlier runner may have sent.
    Reopen(RequestId),
    /// Stores the progress of a run.
    StoreHeartbeat {
        /// The run.
        run: RunId,
        /// Its progress.
        heartbeat: Heartbeat,
    },
    /// Stores how a run went over time.
    StoreTimeSeries {
        /// The run.
        run: RunId,
        /// Its series, as JSON.
        series: String,
    },
    /// Stores why a run ends before its last row.
    StoreEnd {
        /// The run.
        run: RunId,
        /// The kind of reason.
        ended_by: EndedBy,
        /// The reason in words.
        why: Message,
    },
    /// Stores an instruction that was applied or refused.
    Control(AppliedInstruction),
}

/// A change of requests that is on disk.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    /// These requests may be sent.
    Intended(Vec<RequestId>),
    /// The outcomes of a request may be counted.
    Recorded {
        /// The request that was sent.
        request: RequestId,
        /// The requests that follow it, each with its own number.
        follow_ups: Vec<FollowUp>,
    },
    /// The request is pending again, as if it had not been sent.
    Withdrawn(RequestId),
    /// The request is pending again, in doubt.
    Reopened(RequestId),
}

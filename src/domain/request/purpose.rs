//! What the next call for a request is for.

use serde::{Deserialize, Serialize};

use super::BackupProgress;
use crate::domain::ids::RunId;
use crate::domain::operation::{Operation, Preparation, Preparations};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verdict::ItemResult;

/// What the next call for the items of a request is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It makes the change that the rows ask for.
    #[default]
    Change,
    /// It reads what must be known before the change. The queue stores it like the change: the next session begins with
    /// the preparation, because what it has shown is too old by then.
    #[serde(skip)]
    Prepare(Preparation),
    /// It reads a part of what is stored in the backup before the change. The queue stores it like the change.
    #[serde(skip)]
    Backup(Box<BackupProgress>),
    /// It looks up whether earlier calls have made the change.
    LookUp(Box<Question>),
    /// Of a friendship that is deleted on both sides, a lookup found only the friend's own side. It deletes this side.
    /// With what is known of the item: the outcome if no call followed.
    ReverseSide(Box<ItemResult>),
    /// It looks up, long after the changes, whether the effects of this run are there.
    Verify(RunId),
}

/// What a lookup is to find out. All items of a request have the same question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The outcome of the items if the lookup does not answer it.
    pub fallback: ItemResult,
    /// Their outcome if the requested state is there: `succeeded`, or `already_done` if no earlier call can have
    /// caused it.
    pub reached: Outcome,
    /// The code that their row then has.
    pub reached_code: Option<i64>,
    /// Whether an earlier call may have left data of the item behind, which no lookup can see.
    pub data_left: bool,
    /// Whether a call was already sent to delete the friend's own side.
    pub reverse_side_sent: bool,
}

/// The kind of a call: calls of one kind go to the same command of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// It writes.
    Change,
    /// It looks up an effect.
    Lookup,
    /// It prepares a change.
    Preparation(Preparation),
}

impl CallKind {
    /// Whether calls of this kind write nothing.
    pub const fn only_reads(self) -> bool {
        match self {
            Self::Change => false,
            Self::Lookup | Self::Preparation(_) => true,
        }
    }
}

impl Purpose {
    /// The first preparation of a change, if the job asks for one. `charged`: the attempts of the request that were
    /// charged.
    pub fn before_change(preparations: Preparations, charged: u32) -> Option<Self> {
        let backup = preparations.backup.map(|source| Self::Backup(Box::new(BackupProgress::begin(source, charged))));
        backup.or_else(|| preparations.after_backup().map(Self::Prepare))
    }

    /// The kind of the call.
    pub fn call_kind(&self) -> CallKind {
        match self {
            Self::Change | Self::ReverseSide(_) => CallKind::Change,
            Self::Prepare(preparation) => CallKind::Preparation(*preparation),
            Self::Backup(progress) => CallKind::Preparation(progress.preparation()),
            Self::LookUp(_) | Self::Verify(_) => CallKind::Lookup,
        }
    }

    /// The maximum number of items in a call for this purpose, of a request whose change has no more than allowed.
    pub fn items_per_call(&self, operation: &Operation) -> usize {
        let lookup = operation.lookup.filter(|_| self.call_kind() == CallKind::Lookup);
        lookup.map_or(operation.items_per_request, |lookup| lookup.command().items_per_request)
    }

    /// The form in the queue. `None` for a change and its preparations, so that most requests store nothing.
    pub fn to_json(&self) -> Option<String> {
        // Texts and numbers: serialising can't fail.
        let is_stored = !matches!(self, Self::Change | Self::Prepare(_) | Self::Backup(_));
        is_stored.then(|| serde_json::to_string(self).expect("texts and numbers are JSON"))
    }

    /// Reads the stored form.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

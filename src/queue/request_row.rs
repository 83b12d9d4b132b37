//! A request as it is read back: nothing of it is believed before its checksums hold.

use sqlx::FromRow;

use super::QueueError;
use super::checksum::Checksum;
use crate::domain::account::UserId;
use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::{Doubt, Item};
use crate::domain::response::code_history::CodeHistory;
use crate::stored_request::{DecodeError, StoredRequest};

/// A SELECT of [`RequestRow`] from both tables, with what comes after their join. The line of `payload` may be missing, so
/// that a request that has lost its own is found, not passed over.
macro_rules! select_stored {
    ($index:literal, $rest:literal) => {
        concat!(
            "SELECT id, run, state, item_count, row_count, attempts, charged, in_doubt, finished_at, checksum_ok,
                    from_account, accounts, rows, tags, history, payload.checksum AS payload_checksum
             FROM request ",
            $index,
            " LEFT JOIN payload ON payload.request = request.id WHERE ",
            $rest
        )
    };
}
pub(super) use select_stored;

/// A line of `request` and the one of `payload` that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(super) struct RequestRow {
    pub(super) id: RequestId,
    pub(super) run: RunId,
    pub(super) state: String,
    item_count: u32,
    row_count: u32,
    pub(super) attempts: u32,
    pub(super) charged: u32,
    in_doubt: u8,
    pub(super) finished_at: Option<i64>,
    checksum_ok: Option<bool>,
    pub(super) from_account: Option<String>,
    pub(super) accounts: Option<String>,
    pub(super) rows: Option<String>,
    pub(super) tags: Option<String>,
    history: Option<String>,
    payload_checksum: Option<i64>,
}

impl RequestRow {
    /// The lists of accounts and rows, if the request is as it was written.
    fn lists(&self) -> Result<(&str, &str), QueueError> {
        let (Some(accounts), Some(rows)) = (&self.accounts, &self.rows) else {
            return Err(self.damaged("has lost its items"));
        };
        if self.checksum_ok != Some(true) {
            return Err(self.damaged("has a wrong checksum in table request"));
        }
        let (from, tags, history) = (&self.from_account, &self.tags, &self.history);
        let lists = [from.as_deref(), Some(accounts), Some(rows), tags.as_deref(), history.as_deref()];
        if self.payload_checksum != Some(payload(self.id, self.run, self.item_count, self.row_count, lists)) {
            return Err(self.damaged("has a wrong checksum in table payload"));
        }
        Ok((accounts, rows))
    }

    /// How many rows end with it, if the request is as it was written: the checksum is of this number, too.
    pub(super) fn row_count(&self) -> Result<u64, QueueError> {
        self.lists().map(|_| self.row_count.into())
    }

    /// What is asked for, if the request is as it was written.
    pub(super) fn items(&self) -> Result<Vec<Item>, QueueError> {
        let (accounts, rows) = self.lists()?;
        let decoded = StoredRequest::decode(accounts, rows, self.tags.as_deref());
        let decoded = decoded.map_err(|error: DecodeError| self.damaged(&format!("can't be read: {error}")))?;
        let counted: u64 = decoded.iter().map(Item::row_count).sum();
        if decoded.len() as u64 != u64::from(self.item_count) || counted != u64::from(self.row_count) {
            return Err(self.damaged("has lists of another length than it says"));
        }
        Ok(decoded)
    }

    /// The account whose list is changed.
    pub(super) fn from(&self) -> Result<Option<UserId>, QueueError> {
        let from = self.from_account.as_deref().map(UserId::new).transpose();
        from.map_err(|error| self.damaged(&format!("has a From_Account that {error}")))
    }

    /// What is not known of earlier attempts. The gravest is the safe reading of what can't be.
    pub(super) fn doubt(&self) -> Doubt {
        Doubt::numbered(self.in_doubt).unwrap_or(Doubt::MayHaveArrived)
    }

    /// The codes of earlier answers. Only after [`RequestRow::items`], which checks them, too.
    pub(super) fn history(&self) -> Result<CodeHistory, QueueError> {
        let history = self.history.as_deref().map_or_else(|| Ok(CodeHistory::default()), CodeHistory::from_json);
        history.map_err(|error| self.damaged(&format!("has a history that can't be read: {error}")))
    }

    pub(super) fn damaged(&self, what: &str) -> QueueError {
        QueueError::Damaged(format!("request {} {what}", self.id))
    }
}

/// The checksum of a line of `payload`: its account and lists, and what `request` says that never changes without them.
pub(super) fn payload(id: RequestId, run: RunId, item_count: u32, row_count: u32, lists: [Option<&str>; 5]) -> i64 {
    let head = Checksum::new().number(id.get()).number(run.get()).number(item_count.into()).number(row_count.into());
    lists.into_iter().fold(head, Checksum::text_if_any).sum()
}

//! A request as it is read back. Nothing of it is used before its checksums are compared.

use crate::queue::error::QueueError;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::states::StoredState;
use sqlx::FromRow;

use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::request::account::UserId;
use crate::domain::request::{Doubt, Item, Purpose};
use crate::domain::response::code_history::CodeHistory;
use crate::domain::response::earlier_effect::doubt_of_unsent;
use crate::stored_request::{StoredRequest, StoredRequestError};

/// A SELECT of [`RequestRow`] from both tables, with the rest of the statement after their join. A LEFT JOIN, so that a
/// request without a row in `payload` is found and reported.
macro_rules! select_request {
    ($index:literal, $rest:literal) => {
        concat!(
            "SELECT id, run, state, item_count, row_count, attempts, charged, in_doubt, reads, finished_at, checksum_ok,
                    from_account, accounts, rows, fields, history, purpose, payload.checksum AS payload_checksum
             FROM request ",
            $index,
            " LEFT JOIN payload ON payload.request = request.id WHERE ",
            $rest
        )
    };
}
pub(in crate::queue) use select_request;

/// A row of `request` and the row of `payload` that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(in crate::queue) struct RequestRow {
    pub(in crate::queue) id: RequestId,
    pub(in crate::queue) run: RunId,
    pub(in crate::queue) state: StoredState,
    item_count: u32,
    row_count: u32,
    pub(in crate::queue) attempts: u32,
    pub(in crate::queue) charged: u32,
    in_doubt: u8,
    /// Whether its last intent is for a call that only reads.
    pub(in crate::queue) reads: bool,
    pub(in crate::queue) finished_at: Option<i64>,
    checksum_ok: Option<bool>,
    pub(in crate::queue) from_account: Option<String>,
    pub(in crate::queue) accounts: Option<String>,
    pub(in crate::queue) rows: Option<String>,
    pub(in crate::queue) fields: Option<String>,
    history: Option<String>,
    purpose: Option<String>,
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
        let (from, fields, history) = (&self.from_account, &self.fields, &self.history);
        let lists = [from.as_deref(), Some(accounts), Some(rows), fields.as_deref(), history.as_deref()];
        if self.payload_checksum
            != Some(checksum::payload_of_lists(
                self.id,
                self.run,
                (self.item_count, self.row_count),
                lists,
                self.purpose.as_deref(),
            ))
        {
            return Err(self.damaged("has a wrong checksum in table payload"));
        }
        Ok((accounts, rows))
    }

    /// The number of its rows, if the request is as it was written. The checksum covers this number.
    pub(in crate::queue) fn row_count(&self) -> Result<u64, QueueError> {
        self.lists().map(|_| self.row_count.into())
    }

    /// Its items, if the request is as it was written.
    pub(in crate::queue) fn items(&self) -> Result<Vec<Item>, QueueError> {
        let (accounts, rows) = self.lists()?;
        let decoded = StoredRequest::decode(accounts, rows, self.fields.as_deref());
        let decoded = decoded.map_err(|error: StoredRequestError| self.damaged(&format!("cannot be read: {error}")))?;
        let counted: u64 = decoded.iter().map(Item::row_count).sum();
        if decoded.len() as u64 != u64::from(self.item_count) || counted != u64::from(self.row_count) {
            return Err(self.damaged("has lists of another length than its counts"));
        }
        Ok(decoded)
    }

    /// The account whose list is changed.
    pub(in crate::queue) fn from(&self) -> Result<Option<UserId>, QueueError> {
        let from = self.from_account.as_deref().map(UserId::new).transpose();
        from.map_err(|error| self.damaged(&format!("has a From_Account that {error}")))
    }

    /// Whether an earlier call may have taken effect. A number without a meaning counts as the gravest doubt.
    pub(in crate::queue) fn doubt(&self) -> Doubt {
        Doubt::numbered(self.in_doubt).unwrap_or(Doubt::EffectUnknown)
    }

    /// The same, if its run does not send it any more.
    pub(in crate::queue) fn doubt_if_not_sent_again(&self) -> Result<Doubt, QueueError> {
        let sent = self.state == StoredState::Sending && !self.reads;
        Ok(doubt_of_unsent(self.doubt(), &self.purpose()?, sent))
    }

    /// The codes of earlier responses. Call [`RequestRow::items`] first, which compares their checksum.
    pub(in crate::queue) fn history(&self) -> Result<CodeHistory, QueueError> {
        let history = self.history.as_deref().map_or_else(|| Ok(CodeHistory::default()), CodeHistory::from_json);
        history.map_err(|error| self.damaged(&format!("has a history that cannot be read: {error}")))
    }

    /// What its next call is for. Call [`RequestRow::items`] first, which compares its checksum.
    pub(in crate::queue) fn purpose(&self) -> Result<Purpose, QueueError> {
        let purpose = self.purpose.as_deref().map_or_else(|| Ok(Purpose::Change), Purpose::from_json);
        purpose.map_err(|error| self.damaged(&format!("has a purpose that cannot be read: {error}")))
    }

    pub(in crate::queue) fn damaged(&self, what: &str) -> QueueError {
        QueueError::Damaged(format!("request {} {what}", self.id))
    }
}

//! A request: the items that travel in one call. Its modules are what it consists of: rows of the input, the accounts
//! that they name, and the items made of them.

pub mod account;
mod account_key;
mod backup_progress;
mod doubt;
mod item;
pub mod line_span;
pub mod own_row;
mod purpose;
pub mod row;
pub mod skipped_row;

pub use account_key::{AccountKey, AccountKeys};
pub use backup_progress::{BackupProgress, ListOwner, ListPage, ListTurn, UnreadList, UnreadPart};
pub use doubt::Doubt;
pub use item::{Item, Updates};
pub use purpose::{CallKind, Purpose, Question};

use self::account::UserId;
use super::ids::RequestId;
use super::response::code_history::CodeHistory;

/// The items of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number in the queue.
    pub id: RequestId,
    /// The account whose list is changed, for operations on (From_Account, To_Account).
    pub from: Option<UserId>,
    /// What is asked for; never empty.
    pub items: Vec<Item>,
    /// Calls that were begun for these items, those that do not count against `max_attempts` included.
    pub calls: u32,
    /// The attempts: those of them that count against `max_attempts`.
    pub charged: u32,
    /// Whether an earlier call may have arrived and taken effect.
    pub doubt: Doubt,
    /// The codes of earlier answers; the same for all items.
    pub history: CodeHistory,
    /// What its next call is for.
    pub purpose: Purpose,
}

impl Request {
    /// The accounts of its items.
    pub fn ids(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.account.as_str()).collect()
    }

    /// The number of input rows of its items.
    pub fn row_count(&self) -> u64 {
        self.items.iter().map(Item::row_count).sum()
    }
}

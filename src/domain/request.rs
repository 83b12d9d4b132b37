//! A request: the items that go out together in one call, and the accounts that the call writes.

use std::hash::BuildHasher;

use super::account::UserId;
use super::ids::RequestId;
use super::response::code_history::CodeHistory;
use super::row::{RowNo, Tags};

/// What the API reports on: one account or one friend, and the input rows that asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `UserID`, `To_Account`, or the `From_Account` of friend_delete_all.
    pub account: UserId,
    /// The first row that asked for it.
    pub row: RowNo,
    /// What to set, row by row; only for friend_update.
    pub updates: Option<Box<Updates>>,
}

/// All rows that update one friend, in input order: at least one, the first one being [`Item::row`].
pub type Updates = Vec<(RowNo, Tags)>;

impl Item {
    /// How many input rows share this item's outcome.
    pub fn row_count(&self) -> u64 {
        self.updates.as_ref().map_or(1, |updates| updates.len() as u64)
    }

    /// The rows that share this item's outcome.
    pub fn rows(&self) -> impl Iterator<Item = RowNo> {
        let merged = self.updates.iter().flat_map(|updates| updates.iter().skip(1).map(|(row, _)| *row));
        std::iter::once(self.row).chain(merged)
    }

    /// What to send: the tags of all rows, the later row winning tag by tag.
    pub fn merged_tags(&self) -> Tags {
        let rows = self.updates.iter().flat_map(|updates| updates.iter());
        rows.flat_map(|(_, tags)| tags.clone()).collect()
    }
}

/// The items of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its number in the queue.
    pub id: RequestId,
    /// The account whose list is changed, for operations on (From_Account, To_Account).
    pub from: Option<UserId>,
    /// What is asked for; never empty.
    pub items: Vec<Item>,
    /// HTTP calls that were begun for these items.
    pub attempts: u32,
    /// Those of them that count against `max_attempts`.
    pub charged: u32,
    /// Whether an earlier attempt may have arrived and taken effect.
    pub doubt: Doubt,
    /// The codes of earlier answers; the same for all items.
    pub history: CodeHistory,
}

impl Request {
    /// How many input rows end with this request.
    pub fn row_count(&self) -> u64 {
        self.items.iter().map(Item::row_count).sum()
    }
}

/// Whether an earlier attempt may have taken effect without our knowing. Once there, a doubt stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Doubt {
    /// Every earlier attempt was answered for certain, or none was made.
    #[default]
    None,
    /// One was answered with a time-out of the server's own: "already done" may be our own doing.
    TimedOut,
    /// One was sent and not answered: nobody knows what became of it.
    MayHaveArrived,
}

impl Doubt {
    /// All of them; their places are their numbers in the queue.
    pub const ALL: [Self; 3] = [Self::None, Self::TimedOut, Self::MayHaveArrived];

    /// Its number in the queue.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The doubt with this number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|doubt| doubt.number() == number)
    }
}

/// An account that a call writes, as a 64-bit hash.
///
/// Two accounts with one hash would merely wait for each other, so the table of busy accounts need not keep
/// their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64);

impl Key {
    /// The key of an account: the same in every run of the program.
    pub fn of(account: &UserId) -> Self {
        Self(foldhash::quality::FixedState::with_seed(0x696d_6275_6c6b).hash_one(account.as_str()))
    }
}

/// The accounts that a call writes, as far as the request names them: each once, in order; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// The keys of these accounts, each once.
    pub fn of<'a>(accounts: impl IntoIterator<Item = &'a UserId>) -> Self {
        let mut keys: Vec<Key> = accounts.into_iter().map(Key::of).collect();
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    /// The keys, in order.
    pub fn as_slice(&self) -> &[Key] {
        &self.0
    }
}

//! How far the backup of a request is read.

use std::collections::VecDeque;

use super::account::UserId;
use crate::domain::operation::{BackupSource, Preparation};

/// How far the backup of a request is read. It is only in memory: after a restart it is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupProgress {
    /// The attempts of the request that were charged before its backup was begun. Every call that reads a part has the
    /// remaining ones.
    pub charged: u32,
    /// The part that the next call reads.
    pub part: UnreadPart,
}

/// A part of a backup that is read next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnreadPart {
    /// The profiles of the accounts of the request.
    Profiles,
    /// A page of a friend list.
    List(UnreadList),
}

/// A friend list that is read page by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadList {
    /// Whose list it is.
    pub of: ListOwner,
    /// The page that is read next.
    pub page: ListPage,
}

/// Whose friend list is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListOwner {
    /// The account whose list the request changes.
    Own {
        /// The friends on the pages before, if their own lists are read afterwards.
        friends: Vec<UserId>,
    },
    /// A friend of that account. Only that account is looked for on the list.
    Friend(ListTurn),
    /// An account whose profile was read. The whole list is read.
    Account(ListTurn),
}

/// An account whose list is read now, and those whose lists are read after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTurn {
    /// The account.
    pub owner: UserId,
    /// The accounts after it.
    pub later: VecDeque<UserId>,
}

/// A page of a friend list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListPage {
    /// Where it begins.
    pub start: u64,
    /// The number of friends on the pages before it.
    pub friends_before: u64,
    /// The sequence numbers of the list at the first page.
    pub sequences: Option<(i64, i64)>,
    /// How often the list was read from its start again.
    pub restarts: u32,
}

impl BackupProgress {
    /// The first call of a backup.
    pub fn begin(source: BackupSource, charged: u32) -> Self {
        let part = match source {
            BackupSource::Profiles => UnreadPart::Profiles,
            BackupSource::Friends => UnreadPart::List(UnreadList::from_start(ListOwner::Own { friends: Vec::new() })),
        };
        Self { charged, part }
    }

    /// The kind of the next call.
    pub const fn preparation(&self) -> Preparation {
        match self.part {
            UnreadPart::Profiles => Preparation::ReadProfiles,
            UnreadPart::List(_) => Preparation::ReadFriends,
        }
    }
}

impl UnreadList {
    /// The first page of a list.
    pub fn from_start(of: ListOwner) -> Self {
        Self { of, page: ListPage::default() }
    }
}

impl ListTurn {
    /// The first of these accounts; `None` without one.
    pub fn first_of(mut owners: VecDeque<UserId>) -> Option<Self> {
        let owner = owners.pop_front()?;
        Some(Self { owner, later: owners })
    }
}

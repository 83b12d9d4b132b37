//! How far the backup of a request is read.

use super::account::UserId;
use crate::domain::operation::{BackupSource, Preparation};

/// How far the backup of a request is read. It is only in memory: after a restart it is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupProgress {
    /// What is read first.
    pub source: BackupSource,
    /// The attempts of the request that were charged before its backup was begun. Every call that reads a part has the
    /// remaining ones.
    pub charged: u32,
    /// The friends whose lists are read after that of the request's own account.
    pub friends: Vec<UserId>,
    /// The list that is read: 0 is that of the request's own account, the others are those of the friends.
    pub list: usize,
    /// The part of this list that is read next.
    pub page: ListPage,
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
        Self { source, charged, friends: Vec::new(), list: 0, page: ListPage::default() }
    }

    /// The kind of the next call.
    pub fn preparation(&self) -> Preparation {
        match self.source {
            BackupSource::Profiles if self.list == 0 => Preparation::ReadProfiles,
            BackupSource::Profiles | BackupSource::Friends => Preparation::ReadFriends,
        }
    }

    /// The first page of the next list.
    #[must_use]
    pub fn next_list(self) -> Self {
        Self { list: self.list + 1, page: ListPage::default(), ..self }
    }

    /// The friend whose list is read; `None` for the list of the request's own account.
    pub fn friend(&self) -> Option<&UserId> {
        self.friends.get(self.list.checked_sub(1)?)
    }
}

use serde::{Deserialize, Serialize};

/// A command of the API that the stand-in knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Page `account_delete`: up to 100 accounts, 100 calls/s.
    AccountDelete,
    /// Page `friend_delete`: up to 1000 friends of one user.
    FriendDelete,
    /// Page `friend_delete_all`: the whole list of one user.
    FriendDeleteAll,
    /// Page `friend_update`: tags of up to 1000 friends of one user.
    FriendUpdate,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AccountDelete, Self::FriendDelete, Self::FriendDeleteAll, Self::FriendUpdate];

    /// The last segment of the path, which is also the name in rules and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountDelete => "account_delete",
            Self::FriendDelete => "friend_delete",
            Self::FriendDeleteAll => "friend_delete_all",
            Self::FriendUpdate => "friend_update",
        }
    }

    /// The path of the URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::AccountDelete => "/v4/im_open_login_svc/account_delete",
            Self::FriendDelete => "/v4/sns/friend_delete",
            Self::FriendDeleteAll => "/v4/sns/friend_delete_all",
            Self::FriendUpdate => "/v4/sns/friend_update",
        }
    }

    /// Whether the answer lists its items; `friend_delete_all` has one verdict for the request.
    pub(crate) fn lists_items(self) -> bool {
        match self {
            Self::AccountDelete | Self::FriendDelete | Self::FriendUpdate => true,
            Self::FriendDeleteAll => false,
        }
    }

    pub(crate) fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.path() == path)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

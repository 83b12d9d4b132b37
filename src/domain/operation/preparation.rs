//! The read-only calls before a change: which ones a job asks for, and what an answer says of an account's status.

use std::collections::HashMap;

use super::read_answer::statuses;
use super::{
    AlreadyDone, AlreadyDoneCode, AnswerShape, BoundOperation, FieldFamily, InputShape, ItemPlace, ItemsBefore,
    Operation, ProtectedList, ReadCommand,
};
use crate::domain::language::Translated;
use crate::domain::request::AccountKeys;

/// A call that only reads, before each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// Whether the accounts are online (page query_online_status).
    OnlineCheck,
    /// A page of a friend list, for the backup (page friend_get).
    ReadFriends,
    /// The profiles of accounts, for the backup (page portrait_get).
    ReadProfiles,
}

/// What a backup of an operation consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupSource {
    /// Friend lists.
    Friends,
    /// Profiles of accounts.
    Profiles,
}

/// What a job asks for before each change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preparations {
    /// Only accounts that are not online are deleted.
    pub unless_online: bool,
    /// What is read and stored before it is changed.
    pub backup: Option<BackupSource>,
    /// Whether the backup of accounts also has their friend lists.
    pub with_friends: bool,
}

/// The calls of one kind before the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreparationCalls {
    /// The kind.
    pub preparation: Preparation,
    /// The smallest number of calls, without retries.
    pub calls: u64,
    /// The largest number of calls, without retries. It differs if the calls depend on what only the server knows.
    pub at_most: u64,
    /// Why the number is not known before, as a clause; none if it is exact.
    pub why: Option<&'static str>,
}

/// The maximum number of friends of an account (page friend_import).
const MAX_FRIENDS: u64 = 3_000;
/// The friends on a page of friend_get. No current page of the API says it; the one of 2019 has 100 as the maximum.
const FRIENDS_ON_A_PAGE: u64 = 100;
/// The maximum number of calls that read one list.
const MAX_PAGES: u64 = MAX_FRIENDS.div_ceil(FRIENDS_ON_A_PAGE);

/// A list takes a call for each of its pages.
const LONG_LISTS: &str = "a list takes one call for each 100 of its friends, of whom it has at most 3000";
/// A list that is emptied on both sides also takes calls for the list of each of its friends, who are not known before.
const LISTS_OF_FRIENDS: &str = "a list and those of its friends take one call for each 100 friends, of at most 3000";

impl Preparations {
    /// What follows the backup.
    pub fn after_backup(self) -> Option<Preparation> {
        self.unless_online.then_some(Preparation::OnlineCheck)
    }

    /// The calls before the changes of requests with this number of items.
    pub fn calls(self, operation: BoundOperation, requests: u64, items: u64) -> Vec<PreparationCalls> {
        let exact = |preparation, calls| PreparationCalls { preparation, calls, at_most: calls, why: None };
        let lists = |calls: u64, lists_at_most: u64, why| {
            let at_most = lists_at_most.saturating_mul(MAX_PAGES);
            PreparationCalls { preparation: Preparation::ReadFriends, calls, at_most, why: Some(why) }
        };
        let (both, pairs) = (operation.deletes_both_sides(), operation.shape.from.is_some());
        let with_friends = requests.saturating_mul(1 + MAX_FRIENDS);
        let backup = match self.backup {
            Some(BackupSource::Friends) if both && pairs => Some(lists(requests + items, requests + items, LONG_LISTS)),
            Some(BackupSource::Friends) if both => Some(lists(requests, with_friends, LISTS_OF_FRIENDS)),
            Some(BackupSource::Friends) => Some(lists(requests, requests, LONG_LISTS)),
            Some(BackupSource::Profiles) => Some(exact(Preparation::ReadProfiles, requests)),
            None => None,
        };
        let friends = self.reads_friends_of_accounts().then(|| lists(items, items, LONG_LISTS));
        let check = self.after_backup().map(|preparation| exact(preparation, requests));
        backup.into_iter().chain(friends).chain(check).collect()
    }

    /// Whether the friend lists of accounts are read.
    pub fn reads_friends_of_accounts(self) -> bool {
        self.backup == Some(BackupSource::Profiles) && self.with_friends
    }
}

/// Whether an account is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnlineStatus {
    /// It is neither connected nor reachable by push.
    Offline,
    /// It is connected, or its app still receives pushes. With the word of the answer.
    Online(String),
    /// The answer has no status for it, one that no page has, or two different ones.
    Unknown,
}

impl OnlineStatus {
    fn of(status: &str) -> Self {
        match status {
            "Offline" => Self::Offline,
            "Online" | "PushOnline" => Self::Online(status.to_owned()),
            _ => Self::Unknown,
        }
    }
}

impl Preparation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OnlineCheck, Self::ReadFriends, Self::ReadProfiles];

    /// The command.
    pub const fn command(self) -> ReadCommand {
        match self {
            Self::OnlineCheck => ReadCommand::QUERY_ONLINE_STATUS,
            Self::ReadFriends => ReadCommand::FRIEND_GET,
            Self::ReadProfiles => ReadCommand::PORTRAIT_GET,
        }
    }

    /// The status of each account in an answer to [`Preparation::OnlineCheck`].
    pub fn online_statuses(body: &[u8]) -> HashMap<String, OnlineStatus> {
        let of = |status: Option<String>| status.as_deref().map_or(OnlineStatus::Unknown, OnlineStatus::of);
        statuses(body).into_iter().map(|(id, status)| (id, of(status))).collect()
    }
}

impl BoundOperation {
    /// The command of a backup, whose answers are read like those of an operation: "already done" means that there is
    /// nothing to read.
    pub fn reading(preparation: Preparation) -> Self {
        Self::plain(match preparation {
            Preparation::OnlineCheck | Preparation::ReadFriends => &FRIEND_GET,
            Preparation::ReadProfiles => &PORTRAIT_GET,
        })
    }
}

static FRIEND_GET: Operation = Operation {
    name: ReadCommand::FRIEND_GET.name,
    path: ReadCommand::FRIEND_GET.path,
    items_per_request: ReadCommand::FRIEND_GET.items_per_request,
    calls_per_second: ReadCommand::FRIEND_GET.calls_per_second,
    shape: InputShape { from: None, account: "From_Account", items: ItemPlace::Body, fields: FieldFamily::NONE },
    options: &[],
    effect: Translated::new("friend lists read", "已读取好友列表"),
    protected_list: ProtectedList::Optional,
    items_before: ItemsBefore::Exist,
    writes: |_, _| AccountKeys::of([]),
    answer: AnswerShape::Whole,
    // The account does not exist.
    already_done: AlreadyDone { codes: &[AlreadyDoneCode { code: 30003, info: &[] }], ..AlreadyDone::NEVER },
    lookup: None,
    online_check: false,
    backup: None,
};

static PORTRAIT_GET: Operation = Operation {
    name: ReadCommand::PORTRAIT_GET.name,
    path: ReadCommand::PORTRAIT_GET.path,
    items_per_request: ReadCommand::PORTRAIT_GET.items_per_request,
    shape: InputShape { from: None, account: "To_Account", items: ItemPlace::Ids, fields: FieldFamily::NONE },
    answer: AnswerShape::Items { key: "To_Account" },
    // The account does not exist.
    already_done: AlreadyDone {
        codes: &[AlreadyDoneCode { code: 40003, info: &[] }, AlreadyDoneCode { code: 70107, info: &[] }],
        ..AlreadyDone::NEVER
    },
    calls_per_second: ReadCommand::PORTRAIT_GET.calls_per_second,
    options: &[],
    effect: Translated::new("profiles read", "已读取资料"),
    protected_list: ProtectedList::Optional,
    items_before: ItemsBefore::Exist,
    writes: |_, _| AccountKeys::of([]),
    lookup: None,
    online_check: false,
    backup: None,
};

//! The read-only commands that are called before a change: what a job asks for, their bodies, and what their answers
//! say.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::{
    AlreadyDone, AlreadyDoneCode, AnswerShape, BoundOperation, FieldFamily, InputShape, ItemPlace, ItemsBefore,
    LookupCommand, Operation, ProtectedList,
};
use crate::domain::request::{AccountKeys, Request};

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
    /// The number of calls, without retries.
    pub calls: u64,
    /// What takes more calls than these, as a clause; none if nothing does.
    pub more: Option<&'static str>,
}

/// A list takes a call for each of its pages.
const LONG_LISTS: &str = "long friend lists take more";
/// A list that is emptied on both sides also takes a call for each of its friends, who are not known before.
const LISTS_OF_FRIENDS: &str = "each friend on a list takes one more, and long friend lists take more";

impl Preparations {
    /// What follows the backup.
    pub fn after_backup(self) -> Option<Preparation> {
        self.unless_online.then_some(Preparation::OnlineCheck)
    }

    /// The calls before the changes of requests with this number of items.
    pub fn calls(self, operation: BoundOperation, requests: u64, items: u64) -> Vec<PreparationCalls> {
        let of = |preparation, calls, more| PreparationCalls { preparation, calls, more };
        let lists = |calls, more| of(Preparation::ReadFriends, calls, Some(more));
        let (both, pairs) = (operation.deletes_both_sides(), operation.shape.from.is_some());
        let backup = match self.backup {
            Some(BackupSource::Friends) if both && pairs => Some(lists(requests + items, LONG_LISTS)),
            Some(BackupSource::Friends) if both => Some(lists(requests, LISTS_OF_FRIENDS)),
            Some(BackupSource::Friends) => Some(lists(requests, LONG_LISTS)),
            Some(BackupSource::Profiles) => Some(of(Preparation::ReadProfiles, requests, None)),
            None => None,
        };
        let friends = self.reads_friends_of_accounts().then(|| lists(items, LONG_LISTS));
        let check = self.after_backup().map(|preparation| of(preparation, requests, None));
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
    pub const fn command(self) -> LookupCommand {
        let (name, path, items_per_request) = match self {
            Self::OnlineCheck => ("query_online_status", "v4/openim/query_online_status", 500),
            Self::ReadFriends => ("friend_get", "v4/sns/friend_get", 1),
            Self::ReadProfiles => ("portrait_get", "v4/profile/portrait_get", 100),
        };
        LookupCommand { name, path, items_per_request, calls_per_second: 200 }
    }

    /// The body of the online check of the items of a request.
    pub fn online_check_body(request: &Request) -> Vec<u8> {
        json!({"To_Account": ids(request)}).to_string().into_bytes()
    }

    /// The body of a call that reads the profiles of the items of a request.
    pub fn profiles_body(request: &Request) -> Vec<u8> {
        json!({"To_Account": ids(request), "TagList": PROFILE_TAGS}).to_string().into_bytes()
    }

    /// The body of a call that reads a page of a friend list. A sequence number of 0 asks for all fields of all
    /// friends.
    pub fn friends_body(owner: &str, start: u64) -> Vec<u8> {
        let body = json!({"From_Account": owner, "StartIndex": start, "StandardSequence": 0, "CustomSequence": 0});
        body.to_string().into_bytes()
    }

    /// The status of each account in an answer to [`Preparation::OnlineCheck`].
    pub fn online_statuses(body: &[u8]) -> HashMap<String, OnlineStatus> {
        let answer: WireStatuses = serde_json::from_slice(body).unwrap_or_default();
        let mut statuses: HashMap<String, OnlineStatus> = HashMap::new();
        for item in answer.items {
            let status = item.status.as_deref().map_or(OnlineStatus::Unknown, OnlineStatus::of);
            let known = statuses.entry(item.id).or_insert_with(|| status.clone());
            if *known != status {
                *known = OnlineStatus::Unknown;
            }
        }
        statuses
    }
}

/// The fields of a profile that the page lists.
const PROFILE_TAGS: [&str; 12] = [
    "Tag_Profile_IM_Nick",
    "Tag_Profile_IM_Gender",
    "Tag_Profile_IM_BirthDay",
    "Tag_Profile_IM_Location",
    "Tag_Profile_IM_SelfSignature",
    "Tag_Profile_IM_AllowType",
    "Tag_Profile_IM_Language",
    "Tag_Profile_IM_Image",
    "Tag_Profile_IM_MsgSettings",
    "Tag_Profile_IM_AdminForbidType",
    "Tag_Profile_IM_Level",
    "Tag_Profile_IM_Role",
];

fn ids(request: &Request) -> Vec<&str> {
    request.items.iter().map(|item| item.account.as_str()).collect()
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
    name: "friend_get",
    path: Preparation::ReadFriends.command().path,
    items_per_request: 1,
    calls_per_second: 200,
    shape: InputShape { from: None, account: "From_Account", items: ItemPlace::Body, fields: FieldFamily::NONE },
    options: &[],
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
    name: "portrait_get",
    path: Preparation::ReadProfiles.command().path,
    items_per_request: 100,
    shape: InputShape { from: None, account: "To_Account", items: ItemPlace::Ids, fields: FieldFamily::NONE },
    answer: AnswerShape::Items { key: "To_Account" },
    // The account does not exist.
    already_done: AlreadyDone {
        codes: &[AlreadyDoneCode { code: 40003, info: &[] }, AlreadyDoneCode { code: 70107, info: &[] }],
        ..AlreadyDone::NEVER
    },
    calls_per_second: 200,
    options: &[],
    protected_list: ProtectedList::Optional,
    items_before: ItemsBefore::Exist,
    writes: |_, _| AccountKeys::of([]),
    lookup: None,
    online_check: false,
    backup: None,
};

#[derive(Default, Deserialize)]
struct WireStatuses {
    #[serde(rename = "QueryResult", default)]
    items: Vec<WireStatus>,
}

#[derive(Deserialize)]
struct WireStatus {
    #[serde(rename = "To_Account")]
    id: String,
    #[serde(rename = "Status")]
    status: Option<String>,
}

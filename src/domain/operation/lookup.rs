//! The read-only commands that show whether a call has had its effect: their bodies, and what their answers say.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::json;

use super::{BoundOperation, ItemsBefore};
use crate::domain::request::Request;
use crate::domain::request::account::UserId;

/// How the effect of an operation is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupKind {
    /// Whether the accounts exist (page account_check).
    Accounts,
    /// Whether the accounts are friends (page friend_check).
    Friends,
    /// The fields of friends (page friend_get_list).
    FriendFields,
    /// The friend list of one account (page friend_get).
    FriendList,
}

/// A read-only command of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupCommand {
    /// Its name: the last part of its path.
    pub name: &'static str,
    /// The path of the command below the endpoint, without a leading slash.
    pub path: &'static str,
    /// The maximum number of items in one call.
    pub items_per_request: usize,
    /// The maximum number of calls per second that the limits page allows one app.
    pub calls_per_second: u32,
}

impl LookupKind {
    /// The command.
    pub const fn command(self) -> LookupCommand {
        match self {
            Self::Accounts => LookupCommand {
                name: "account_check",
                path: "v4/im_open_login_svc/account_check",
                items_per_request: 100,
                calls_per_second: 100,
            },
            Self::Friends => LookupCommand {
                name: "friend_check",
                path: "v4/sns/friend_check",
                items_per_request: 1000,
                calls_per_second: 200,
            },
            // The page advises at most 100 friends, since large answers may fail.
            Self::FriendFields => LookupCommand {
                name: "friend_get_list",
                path: "v4/sns/friend_get_list",
                items_per_request: 100,
                calls_per_second: 200,
            },
            Self::FriendList => LookupCommand {
                name: "friend_get",
                path: "v4/sns/friend_get",
                items_per_request: 1,
                calls_per_second: 200,
            },
        }
    }
}

/// What a lookup shows of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupFinding {
    /// The requested state is there.
    Reached,
    /// Of a friendship that is to be deleted on both sides, only the friend's own list still has the other account.
    ReverseSide,
    /// The requested state is not there.
    NotReached,
}

impl BoundOperation {
    /// The body of a lookup of the items of a request.
    pub fn lookup_body(self, lookup: LookupKind, request: &Request) -> Vec<u8> {
        let ids: Vec<&str> = request.items.iter().map(|item| item.account.as_str()).collect();
        let from = request.from.as_ref().map(UserId::as_str);
        let sides = if self.deletes_both_sides() { "CheckResult_Type_Both" } else { "CheckResult_Type_Single" };
        let body = match lookup {
            LookupKind::Accounts => {
                json!({"CheckItem": ids.iter().map(|id| json!({"UserID": id})).collect::<Vec<_>>()})
            }
            LookupKind::Friends => json!({"From_Account": from, "To_Account": ids, "CheckType": sides}),
            LookupKind::FriendFields => {
                let tags = request.items.iter().flat_map(|item| item.merged_tags().into_keys());
                let tags: BTreeSet<Box<str>> = tags.collect();
                json!({"From_Account": from, "To_Account": ids, "TagList": tags})
            }
            // The sequences of 0 ask for all data. The first page says how many friends there are.
            LookupKind::FriendList => json!({
                "From_Account": ids.first(),
                "StartIndex": 0,
                "StandardSequence": 0,
                "CustomSequence": 0,
            }),
        };
        body.to_string().into_bytes()
    }

    /// Whether a call creates its items, so that the requested state is that they exist.
    pub(super) fn creates_items(self) -> bool {
        self.items_before == ItemsBefore::Missing
    }

    /// What the status of an item in the answer to a lookup shows. `None` for a status that no page has.
    fn finding(self, status: &str) -> Option<LookupFinding> {
        let is_there = match status {
            "NotImported" | "CheckResult_Type_NoRelation" => false,
            "CheckResult_Type_BWithA" if self.deletes_both_sides() => return Some(LookupFinding::ReverseSide),
            "Imported" | "CheckResult_Type_AWithB" | "CheckResult_Type_BothWay" => true,
            _ => return None,
        };
        let is_reached = is_there == self.creates_items();
        Some(if is_reached { LookupFinding::Reached } else { LookupFinding::NotReached })
    }

    /// What the answer to a lookup shows of each item. An item without a status, or with two different ones, is left
    /// out. Whether the answer can be believed is not decided here: that depends on the codes.
    pub fn findings(self, body: &[u8]) -> HashMap<String, LookupFinding> {
        let answer: WireLookup = serde_json::from_slice(body).unwrap_or_default();
        let mut found: HashMap<String, Option<LookupFinding>> = HashMap::new();
        for item in answer.items {
            let finding = item.status.as_deref().and_then(|status| self.finding(status));
            found.entry(item.id).and_modify(|known| *known = known.filter(|_| *known == finding)).or_insert(finding);
        }
        found.into_iter().filter_map(|(id, finding)| Some((id, finding?))).collect()
    }
}

impl LookupKind {
    /// What a finding proves, as a fragment of a reason.
    pub const fn proves(self, finding: LookupFinding, both_sides: bool) -> &'static str {
        match (self, finding, both_sides) {
            (Self::Accounts, LookupFinding::Reached, _) => "a lookup shows that the account does not exist",
            (Self::Accounts, LookupFinding::NotReached | LookupFinding::ReverseSide, _) => {
                "a lookup shows that the account still exists"
            }
            (Self::Friends, LookupFinding::Reached, true) => {
                "a lookup shows that neither account has the other as a friend"
            }
            (Self::Friends, LookupFinding::Reached, false) => {
                "a lookup shows that From_Account does not have the friend"
            }
            (Self::Friends, LookupFinding::ReverseSide, _) => {
                "a lookup shows that only the friend's own list still has From_Account"
            }
            (Self::Friends, LookupFinding::NotReached, _) => "a lookup shows that From_Account still has the friend",
            (Self::FriendFields | Self::FriendList, LookupFinding::Reached, _) => "a lookup shows the requested state",
            (Self::FriendFields | Self::FriendList, LookupFinding::NotReached | LookupFinding::ReverseSide, _) => {
                "a lookup shows another state"
            }
        }
    }
}

#[derive(Default, Deserialize)]
struct WireLookup {
    #[serde(rename = "ResultItem", alias = "InfoItem", default)]
    items: Vec<WireFinding>,
}

#[derive(Deserialize)]
struct WireFinding {
    #[serde(rename = "UserID", alias = "To_Account")]
    id: String,
    #[serde(rename = "AccountStatus", alias = "Relation")]
    status: Option<String>,
}

//! The read-only commands that show whether the requested state is there: their bodies.
//!
//! A lookup settles the doubts of a run, and `imbulk verify` uses the same one long after the calls.

use std::collections::BTreeSet;

use serde_json::json;

use super::{BoundOperation, Field, FieldName};
use crate::domain::request::Request;
use crate::domain::request::account::UserId;

/// How the effect of an operation is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupKind {
    /// Whether the accounts exist (page account_check).
    Accounts,
    /// Whether the accounts exist, and fields of their profiles (page portrait_get).
    Profiles,
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
            Self::Profiles => LookupCommand {
                name: "portrait_get",
                path: "v4/profile/portrait_get",
                items_per_request: 100,
                calls_per_second: 200,
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
            // A list of tags must not be empty, and a row may set no field.
            LookupKind::Profiles => json!({"To_Account": ids, "TagList": self.profile_tags()}),
            LookupKind::Friends => json!({"From_Account": from, "To_Account": ids, "CheckType": sides}),
            LookupKind::FriendFields => {
                let fields: BTreeSet<Box<str>> =
                    request.items.iter().flat_map(|item| item.merged_fields().into_keys()).collect();
                let tags: BTreeSet<&str> = fields.iter().map(|field| self.tag_of(field)).collect();
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

    /// The tag under which answers show a field of the operation.
    pub(super) fn tag_of(self, field: &str) -> &str {
        self.shape.fields.field(field).map_or(field, |known| known.tag(field))
    }

    fn profile_tags(self) -> Vec<&'static str> {
        let tag = |field: &Field| match field.name {
            FieldName::Exact(name) => Some(field.tag(name)),
            FieldName::Custom { .. } => None,
        };
        self.shape.fields.fields.iter().filter_map(tag).collect()
    }
}

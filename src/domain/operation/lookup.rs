//! The read-only commands that show whether the requested state is there: their bodies.
//!
//! A lookup settles the doubts of a run, and `imbulk verify` uses the same one long after the calls.

use std::collections::BTreeSet;

use super::{BoundOperation, Field, FieldName, ReadCommand, read_command};
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

impl LookupKind {
    /// The command.
    pub const fn command(self) -> ReadCommand {
        match self {
            Self::Accounts => ReadCommand::ACCOUNT_CHECK,
            Self::Profiles => ReadCommand::PORTRAIT_GET,
            Self::Friends => ReadCommand::FRIEND_CHECK,
            Self::FriendFields => ReadCommand::FRIEND_GET_LIST,
            Self::FriendList => ReadCommand::FRIEND_GET,
        }
    }
}

impl BoundOperation {
    /// The body of a lookup of the items of a request.
    pub fn lookup_body(self, lookup: LookupKind, request: &Request) -> Vec<u8> {
        let ids = request.ids();
        let from = request.from.as_ref().map_or("", UserId::as_str);
        match lookup {
            LookupKind::Accounts => read_command::account_check(&ids),
            // A row may set no field, so the answer must show all fields that a row can set.
            LookupKind::Profiles => read_command::portrait_get(&ids, &self.profile_tags()),
            LookupKind::Friends => {
                let both = self.deletes_both_sides();
                let check_type = if both { "CheckResult_Type_Both" } else { "CheckResult_Type_Single" };
                read_command::friend_check(from, &ids, check_type)
            }
            LookupKind::FriendFields => {
                let fields: BTreeSet<Box<str>> =
                    request.items.iter().flat_map(|item| item.merged_fields().into_keys()).collect();
                let tags: BTreeSet<&str> = fields.iter().map(|field| self.tag_of(field)).collect();
                read_command::friend_get_list(from, &ids, &tags.into_iter().collect::<Vec<_>>())
            }
            // The first page says how many friends there are.
            LookupKind::FriendList => read_command::friend_get(ids.first().copied().unwrap_or_default(), 0),
        }
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

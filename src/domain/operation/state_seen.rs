//! What the answer to a lookup shows of the state that rows ask for.

use std::borrow::Cow;

use serde_json::Value;

use super::read_answer::{FriendPage, ShownFields, shown_items, statuses};
use super::{BoundOperation, LookupKind, NOT_A_FRIEND, says_one_of};
use crate::domain::request::row::FieldValue;
use crate::domain::request::{Item, Request};

/// What a lookup shows of the state that an item asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSeen {
    /// Whether it is the requested state.
    pub finding: LookupFinding,
    /// The state, as a clause for reasons.
    pub state: Cow<'static, str>,
}

/// How the state that a lookup shows relates to the requested state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupFinding {
    /// The requested state is there.
    Reached,
    /// Of friends that are to be deleted on both sides, the list of From_Account has none. No lookup shows the other
    /// lists.
    OwnSideReached,
    /// Of a friendship that is to be deleted on both sides, only the friend's own list still has the other account.
    ReverseSide,
    /// The requested state is not there.
    NotReached,
}

impl LookupFinding {
    fn with(self, state: impl Into<Cow<'static, str>>) -> StateSeen {
        StateSeen { finding: self, state: state.into() }
    }
}

impl BoundOperation {
    /// What the answer to a lookup shows of each item; none if it shows nothing that imbulk knows, or two different
    /// things. Whether the answer can be believed is not decided here: that depends on the codes.
    pub fn states_seen(self, lookup: LookupKind, request: &Request, body: &[u8]) -> Vec<Option<StateSeen>> {
        match lookup {
            LookupKind::Accounts | LookupKind::Friends => {
                let statuses = statuses(body);
                let seen = |item: &Item| self.of_status(statuses.get(item.account.as_str())?.as_deref()?);
                request.items.iter().map(seen).collect()
            }
            LookupKind::Profiles | LookupKind::FriendFields => {
                let shown = shown_items(body);
                let seen = |item: &Item| {
                    let shown = shown.get(item.account.as_str())?.as_ref()?;
                    Some(self.of_fields(item, shown.fields.as_ref()?))
                };
                request.items.iter().map(seen).collect()
            }
            LookupKind::FriendList => {
                let seen = FriendPage::parse(body).map(|page| match page.friend_num {
                    0 => self.own_list_empty("the list of From_Account is empty"),
                    1 => LookupFinding::NotReached.with("the list of From_Account has 1 friend"),
                    friends => {
                        LookupFinding::NotReached.with(format!("the list of From_Account has {friends} friends"))
                    }
                });
                request.items.iter().map(|_| seen.clone()).collect()
            }
        }
    }

    /// What the status of an item shows. `None` for a status that no page has.
    fn of_status(self, status: &str) -> Option<StateSeen> {
        let both = self.deletes_both_sides();
        Some(match status {
            "NotImported" => LookupFinding::Reached.with("the account does not exist"),
            "Imported" => LookupFinding::NotReached.with("the account exists"),
            "CheckResult_Type_NoRelation" if both => {
                LookupFinding::Reached.with("neither account has the other as a friend")
            }
            "CheckResult_Type_NoRelation" => LookupFinding::Reached.with(NO_FRIEND),
            "CheckResult_Type_BWithA" if both => {
                LookupFinding::ReverseSide.with("only the friend's own list still has From_Account")
            }
            "CheckResult_Type_AWithB" | "CheckResult_Type_BothWay" => {
                LookupFinding::NotReached.with("From_Account has the friend")
            }
            _ => return None,
        })
    }

    /// Compares the fields that an item sets with those that the answer shows.
    fn of_fields(self, item: &Item, shown: &ShownFields) -> StateSeen {
        let differs = |(field, value): &(Box<str>, FieldValue)| {
            !is_same(value, shown.get(self.tag_of(field)).unwrap_or(&Value::Null))
        };
        let differing: Vec<Box<str>> =
            item.merged_fields().into_iter().filter(differs).map(|(field, _)| field).collect();
        if differing.is_empty() {
            LookupFinding::Reached.with("the fields are there as requested")
        } else {
            LookupFinding::NotReached.with(format!("the server has another value of {}", differing.join(", ")))
        }
    }

    /// The list of From_Account has no friend. With both sides, this leaves the lists of the friends open.
    fn own_list_empty(self, state: &'static str) -> StateSeen {
        if self.deletes_both_sides() {
            LookupFinding::OwnSideReached.with(format!("{state}, but not whether its friends still have From_Account"))
        } else {
            LookupFinding::Reached.with(state)
        }
    }

    /// What a code says about the state of an item, if it says something of it rather than of the call. `info` is the
    /// text that the API sends beside the code.
    pub fn state_of_code(self, lookup: LookupKind, code: i64, info: &str) -> Option<StateSeen> {
        match (lookup, code) {
            // An account that does not exist has no friends.
            (LookupKind::FriendList, 30003) => Some(self.own_list_empty("From_Account does not exist")),
            (LookupKind::FriendFields, 30001) if says_one_of(info, NOT_A_FRIEND) => {
                Some(LookupFinding::NotReached.with(NO_FRIEND))
            }
            (LookupKind::Profiles, 40003 | 70107) => Some(LookupFinding::NotReached.with("the account does not exist")),
            (
                LookupKind::Accounts
                | LookupKind::Profiles
                | LookupKind::Friends
                | LookupKind::FriendFields
                | LookupKind::FriendList,
                _,
            ) => None,
        }
    }
}

const NO_FRIEND: &str = "From_Account does not have the friend";

/// Whether a shown value is the one that was set. A cleared field may be shown as empty or not at all, groups may come
/// in any sequence, and a number may be shown as text.
fn is_same(set: &FieldValue, shown: &Value) -> bool {
    match set {
        FieldValue::Groups(groups) => {
            let mut set: Vec<&str> = groups.iter().map(AsRef::as_ref).collect();
            let Some(mut shown) = texts(shown) else { return false };
            set.sort_unstable();
            shown.sort_unstable();
            set == shown
        }
        FieldValue::Text(text) => as_text(shown) == **text,
        FieldValue::Integer(number) => as_text(shown) == number.to_string(),
    }
}

fn texts(shown: &Value) -> Option<Vec<&str>> {
    match shown {
        Value::Null => Some(Vec::new()),
        Value::String(text) if text.is_empty() => Some(Vec::new()),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
    }
}

fn as_text(shown: &Value) -> String {
    match shown {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => shown.to_string(),
    }
}

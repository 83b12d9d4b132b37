//! Answers: what they say of a call and its items, and the parts that all bodies share.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::commands::{AnswerForm, Command};
use crate::refusal::Refusal;

/// The result of one item. Code 0 is success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MockItem {
    pub(crate) id: String,
    pub(crate) code: u32,
    /// The text beside the code; with code 0 of a read-only command, what it found.
    pub(crate) info: Cow<'static, str>,
    pub(crate) listed: Listed,
}

/// Where an answer names an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// As the page has it.
    ByCode,
    /// In `ResultItem` and, whatever its code, in `Fail_Account`.
    Blamed,
    /// In `Fail_Account` alone.
    OnlyFailed,
    /// In `Invalid_Account` alone.
    OnlyInvalid,
}

impl MockItem {
    pub(crate) fn ok(id: &str) -> Self {
        Self { id: id.to_owned(), code: 0, info: Cow::Borrowed(""), listed: Listed::ByCode }
    }

    pub(crate) fn refused(id: &str, refusal: Refusal) -> Self {
        Self { id: id.to_owned(), code: refusal.code, info: refusal.info, listed: Listed::ByCode }
    }

    /// What a read-only command found of it, as JSON; none if it was refused.
    pub(crate) fn found(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.info).ok().filter(|_| self.code == 0)
    }

    /// Whether it is in `ResultItem`.
    pub(crate) fn has_result(&self) -> bool {
        matches!(self.listed, Listed::ByCode | Listed::Blamed)
    }

    /// Whether it is in `Fail_Account`; `by_code`: whether its code puts it there.
    pub(crate) fn is_failed(&self, by_code: bool) -> bool {
        match self.listed {
            Listed::ByCode => by_code,
            Listed::Blamed | Listed::OnlyFailed => true,
            Listed::OnlyInvalid => false,
        }
    }

    /// Whether it is in `Invalid_Account`; `by_code`: whether its code puts it there.
    pub(crate) fn is_invalid(&self, by_code: bool) -> bool {
        self.listed == Listed::OnlyInvalid || (self.listed == Listed::ByCode && by_code)
    }
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MockAnswer {
    /// The request is refused as a whole.
    Refused(Refusal),
    /// Item by item; top-level OK even if no item succeeded.
    Items(Vec<MockItem>),
    /// The request succeeded as a whole.
    Done,
}

/// The answer of `command`, as bytes of JSON.
pub(crate) fn body(command: Command, answer: &MockAnswer) -> Vec<u8> {
    let done = || plain(command, "OK", 0, "");
    match (answer, command.definition().answer) {
        (MockAnswer::Refused(refusal), _) => refused(Some(command), refusal),
        (MockAnswer::Items(items), AnswerForm::Items(body) | AnswerForm::Failures(body)) => body(items),
        (MockAnswer::Items(_), AnswerForm::Whole) | (MockAnswer::Done, _) => done(),
    }
}

/// A refusal, with `ErrorDisplay` where the command has one.
pub(crate) fn refused(command: Option<Command>, refusal: &Refusal) -> Vec<u8> {
    match command {
        Some(command) => plain(command, "FAIL", refusal.code, &refusal.info),
        None => json(&PlainBody {
            action_status: "FAIL",
            error_code: refusal.code,
            error_info: &refusal.info,
            error_display: None,
        }),
    }
}

fn plain(command: Command, action_status: &'static str, error_code: u32, error_info: &str) -> Vec<u8> {
    let error_display = command.definition().error_display.then_some("");
    json(&PlainBody { action_status, error_code, error_info, error_display })
}

pub(crate) fn json(body: &impl Serialize) -> Vec<u8> {
    // Structs of strings and numbers always serialize.
    serde_json::to_vec(body).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PlainBody<'a> {
    action_status: &'static str,
    error_code: u32,
    error_info: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_display: Option<&'static str>,
}

/// A body that shows each item in a list, with code 0 for the request.
pub(crate) struct ListBody<'a, Shown> {
    /// The name of the list.
    pub(crate) list: &'static str,
    pub(crate) shown: Vec<Shown>,
    /// The list `Fail_Account`.
    pub(crate) failed: Option<Vec<&'a str>>,
    /// The list `Invalid_Account`.
    pub(crate) invalid: Option<Vec<&'a str>>,
    pub(crate) error_info: &'static str,
}

impl<'a, Shown: From<&'a MockItem>> ListBody<'a, Shown> {
    /// `Fail_Account` is there only if at least one item failed, and `Invalid_Account` is not.
    pub(crate) fn new(list: &'static str, items: &'a [MockItem]) -> Self {
        let shown = items.iter().filter(|item| item.has_result()).map(Shown::from).collect();
        let failed = some_ids(items, |item| item.is_failed(item.code != 0));
        Self { list, shown, failed, invalid: None, error_info: "" }
    }
}

impl<Shown: Serialize> Serialize for ListBody<'_, Shown> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry(self.list, &self.shown)?;
        for (name, ids) in [("Fail_Account", &self.failed), ("Invalid_Account", &self.invalid)] {
            if let Some(ids) = ids {
                body.serialize_entry(name, ids)?;
            }
        }
        body.serialize_entry("ActionStatus", "OK")?;
        body.serialize_entry("ErrorCode", &0)?;
        body.serialize_entry("ErrorInfo", self.error_info)?;
        body.serialize_entry("ErrorDisplay", "")?;
        body.end()
    }
}

/// The ids of the items for which `is_listed` holds.
pub(crate) fn ids(items: &[MockItem], is_listed: impl Fn(&MockItem) -> bool) -> Vec<&str> {
    items.iter().filter(|item| is_listed(item)).map(|item| item.id.as_str()).collect()
}

/// The same, for a list that is there only if it names somebody.
pub(crate) fn some_ids(items: &[MockItem], is_listed: impl Fn(&MockItem) -> bool) -> Option<Vec<&str>> {
    Some(ids(items, is_listed)).filter(|ids| !ids.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_and_refusals_are_like_those_of_the_pages() {
        let text = |command, answer: &MockAnswer| String::from_utf8(body(command, answer)).unwrap();
        assert_eq!(
            text(Command::FriendDeleteAll, &MockAnswer::Done),
            r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#
        );
        assert_eq!(
            text(Command::AccountDelete, &MockAnswer::Refused(Refusal::new(60015))),
            r#"{"ActionStatus":"FAIL","ErrorCode":60015,"ErrorInfo":"body account invalid"}"#
        );
    }
}

//! The bodies of answers, field for field and in the order of the pages' samples.

use std::borrow::Cow;

use serde::Serialize;

use crate::command::Command;
use crate::refusal::Refusal;

/// The result of one item. Code 0 is success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) code: u32,
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

impl Item {
    pub(crate) fn ok(id: &str) -> Self {
        Self { id: id.to_owned(), code: 0, info: Cow::Borrowed(""), listed: Listed::ByCode }
    }

    pub(crate) fn refused(id: &str, refusal: Refusal) -> Self {
        Self { id: id.to_owned(), code: refusal.code, info: refusal.info, listed: Listed::ByCode }
    }

    /// Whether it is in `ResultItem`.
    fn has_result(&self) -> bool {
        matches!(self.listed, Listed::ByCode | Listed::Blamed)
    }

    /// Whether it is in `Fail_Account`; `by_code`: whether its code puts it there.
    fn is_failed(&self, by_code: bool) -> bool {
        match self.listed {
            Listed::ByCode => by_code,
            Listed::Blamed | Listed::OnlyFailed => true,
            Listed::OnlyInvalid => false,
        }
    }

    fn is_invalid(&self, by_code: bool) -> bool {
        self.listed == Listed::OnlyInvalid || (self.listed == Listed::ByCode && by_code)
    }
}

/// What a call is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As a whole no.
    Refused(Refusal),
    /// Item by item; top-level OK even if no item succeeded.
    Items(Vec<Item>),
    /// As a whole yes (`friend_delete_all`).
    Done,
}

/// The item code that puts a `To_Account` of `friend_delete` on the list `Invalid_Account`.
pub(crate) const ILLEGAL_ACCOUNT: u32 = 30003;

/// The answer of `command`, as bytes of JSON.
pub(crate) fn body(command: Command, verdict: &Verdict) -> Vec<u8> {
    match verdict {
        Verdict::Refused(refusal) => refused(Some(command), refusal),
        Verdict::Done => json(&DONE),
        Verdict::Items(items) => match command {
            Command::AccountDelete => json(&AccountsBody {
                action_status: "OK",
                error_code: 0,
                error_info: "",
                result_item: results(items),
                fail_account: some_ids(items, |item| item.is_failed(false)),
                invalid_account: some_ids(items, |item| item.is_invalid(false)),
            }),
            Command::FriendDelete => json(&deleted(items)),
            Command::FriendUpdate => json(&updated(items)),
            Command::FriendDeleteAll => json(&DONE),
        },
    }
}

/// A refusal, with `ErrorDisplay` where the command belongs to `sns`.
pub(crate) fn refused(command: Option<Command>, refusal: &Refusal) -> Vec<u8> {
    let error_display = match command {
        None | Some(Command::AccountDelete) => None,
        Some(Command::FriendDelete | Command::FriendDeleteAll | Command::FriendUpdate) => Some(""),
    };
    json(&PlainBody { action_status: "FAIL", error_code: refusal.code, error_info: &refusal.info, error_display })
}

fn json(body: &impl Serialize) -> Vec<u8> {
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

const DONE: PlainBody<'_> = PlainBody { action_status: "OK", error_code: 0, error_info: "", error_display: Some("") };

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountsBody<'a> {
    action_status: &'static str,
    error_code: u32,
    error_info: &'static str,
    result_item: Vec<AccountResult<'a>>,
    /// Not on the page: only where a fault asks for it.
    #[serde(rename = "Fail_Account", skip_serializing_if = "Option::is_none")]
    fail_account: Option<Vec<&'a str>>,
    #[serde(rename = "Invalid_Account", skip_serializing_if = "Option::is_none")]
    invalid_account: Option<Vec<&'a str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountResult<'a> {
    result_code: u32,
    result_info: &'a str,
    #[serde(rename = "UserID")]
    user_id: &'a str,
}

impl<'a> From<&'a Item> for AccountResult<'a> {
    fn from(item: &'a Item) -> Self {
        Self { result_code: item.code, result_info: &item.info, user_id: &item.id }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FriendsBody<'a> {
    result_item: Vec<FriendResult<'a>>,
    #[serde(rename = "Fail_Account", skip_serializing_if = "Option::is_none")]
    fail_account: Option<Vec<&'a str>>,
    #[serde(rename = "Invalid_Account", skip_serializing_if = "Option::is_none")]
    invalid_account: Option<Vec<&'a str>>,
    action_status: &'static str,
    error_code: u32,
    error_info: &'static str,
    error_display: &'static str,
}

#[derive(Serialize)]
struct FriendResult<'a> {
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    #[serde(rename = "ResultCode")]
    result_code: u32,
    #[serde(rename = "ResultInfo")]
    result_info: &'a str,
}

impl<'a> From<&'a Item> for FriendResult<'a> {
    fn from(item: &'a Item) -> Self {
        Self { to_account: &item.id, result_code: item.code, result_info: &item.info }
    }
}

/// Page `friend_delete`: both lists always there, and success says `"ErrorInfo": "0"`.
fn deleted(items: &[Item]) -> FriendsBody<'_> {
    let is_invalid = |item: &Item| item.is_invalid(item.code == ILLEGAL_ACCOUNT);
    let is_failed = |item: &Item| item.is_failed(item.code != 0 && item.code != ILLEGAL_ACCOUNT);
    FriendsBody {
        result_item: results(items),
        fail_account: Some(ids(items, is_failed)),
        invalid_account: Some(ids(items, is_invalid)),
        action_status: "OK",
        error_code: 0,
        error_info: "0",
        error_display: "",
    }
}

fn results<'a, T: From<&'a Item>>(items: &'a [Item]) -> Vec<T> {
    items.iter().filter(|item| item.has_result()).map(T::from).collect()
}

fn ids(items: &[Item], is_listed: impl Fn(&Item) -> bool) -> Vec<&str> {
    items.iter().filter(|item| is_listed(item)).map(|item| item.id.as_str()).collect()
}

/// A list that is there only if it names somebody.
fn some_ids(items: &[Item], is_listed: impl Fn(&Item) -> bool) -> Option<Vec<&str>> {
    Some(ids(items, is_listed)).filter(|ids| !ids.is_empty())
}

/// Page `friend_update`: `Fail_Account` only when at least one item failed.
fn updated(items: &[Item]) -> FriendsBody<'_> {
    FriendsBody {
        result_item: results(items),
        fail_account: some_ids(items, |item| item.is_failed(item.code != 0)),
        invalid_account: some_ids(items, |item| item.is_invalid(false)),
        action_status: "OK",
        error_code: 0,
        error_info: "",
        error_display: "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(command: Command, verdict: &Verdict) -> String {
        String::from_utf8(body(command, verdict)).unwrap()
    }

    #[test]
    fn account_delete_answers_like_its_page() {
        let verdict = Verdict::Items(vec![Item::ok("UserID_1"), Item::refused("UserID_2", Refusal::new(70107))]);
        assert_eq!(
            text(Command::AccountDelete, &verdict),
            r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ResultItem":[{"ResultCode":0,"ResultInfo":"","UserID":"UserID_1"},{"ResultCode":70107,"ResultInfo":"Err_TLS_PT_Open_Login_Account_Not_Exist","UserID":"UserID_2"}]}"#
        );
    }

    #[test]
    fn friend_delete_answers_like_its_page() {
        let verdict = Verdict::Items(vec![Item::ok("id1")]);
        assert_eq!(
            text(Command::FriendDelete, &verdict),
            r#"{"ResultItem":[{"To_Account":"id1","ResultCode":0,"ResultInfo":""}],"Fail_Account":[],"Invalid_Account":[],"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"0","ErrorDisplay":""}"#
        );
    }

    #[test]
    fn friend_update_answers_like_its_page() {
        let verdict = Verdict::Items(vec![Item::ok("id1"), Item::refused("id2", Refusal::new(30011))]);
        assert_eq!(
            text(Command::FriendUpdate, &verdict),
            r#"{"ResultItem":[{"To_Account":"id1","ResultCode":0,"ResultInfo":""},{"To_Account":"id2","ResultCode":30011,"ResultInfo":"Err_SNS_FriendUpdate_Group_Num_Exceed_Threshold"}],"Fail_Account":["id2"],"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#
        );
        let all_well = text(Command::FriendUpdate, &Verdict::Items(vec![Item::ok("id1")]));
        assert!(!all_well.contains("Fail_Account"));
    }

    #[test]
    fn friend_delete_all_and_refusals_answer_like_their_pages() {
        assert_eq!(
            text(Command::FriendDeleteAll, &Verdict::Done),
            r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}"#
        );
        assert_eq!(
            text(Command::AccountDelete, &Verdict::Refused(Refusal::new(60015))),
            r#"{"ActionStatus":"FAIL","ErrorCode":60015,"ErrorInfo":"body account invalid"}"#
        );
    }
}

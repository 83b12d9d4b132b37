//! Reads the answers of the API.
//!
//! Items are matched by id, never by position, because the pages do not promise an order. What the pages do not
//! describe is an error here, so that it cannot be taken for success.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Deserialize;

/// An answer as the pages describe it. Its texts are borrowed from the body, since most are read only once.
#[derive(Debug)]
pub struct Answer<'a> {
    /// `ErrorCode`: 0 or the verdict on the whole request.
    pub code: i64,
    /// The contradiction, if `ErrorCode` is 0 and `ActionStatus` is not OK: FAIL, or another word.
    pub contradiction: Option<String>,
    /// `ErrorInfo`, which is not empty for some successes (page friend_delete shows `"0"`).
    pub info: String,
    /// `ResultItem`, or the list of a call that only reads, as the answer gives it.
    listed: Vec<WireItem<'a>>,
    /// Ids of `Fail_Account`.
    failed: Vec<JsonText<'a>>,
    /// Ids of `Invalid_Account`.
    invalid: Vec<JsonText<'a>>,
    /// Ids of `FailAccounts`.
    failed_accounts: Vec<JsonText<'a>>,
}

/// What an answer says about one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemAnswer {
    /// One code, and its `ResultInfo`.
    Code(i64, String),
    /// A contradiction: the item is listed twice, or has code 0 and is in a list of failed ids. With the codes other
    /// than 0.
    Contradicted(Vec<i64>),
    /// The item is not in `ResultItem`, only in this list.
    OnlyIn(FailureList),
}

impl ItemAnswer {
    /// The codes other than 0.
    fn refusals(&self) -> Vec<i64> {
        match self {
            Self::Code(0, _) | Self::OnlyIn(_) => Vec::new(),
            Self::Code(code, _) => vec![*code],
            Self::Contradicted(codes) => codes.clone(),
        }
    }
}

/// A list of ids beside `ResultItem`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureList {
    /// `Fail_Account`: the ids that were not processed.
    FailAccount,
    /// `Invalid_Account`: the ids of the request that are not valid.
    InvalidAccount,
    /// `FailAccounts`: the accounts that were not imported.
    FailAccounts,
}

impl FailureList {
    /// The name of the field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FailAccount => "Fail_Account",
            Self::InvalidAccount => "Invalid_Account",
            Self::FailAccounts => "FailAccounts",
        }
    }
}

/// The maximum number of characters that are kept of a server's text, because the queue stores it once per item. Texts
/// on the pages have some dozens.
const LONGEST_TEXT: usize = 500;

/// Why an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not JSON, has other types than on the pages, or has no `ErrorCode`. The message may quote the value that
    /// was found.
    #[error("the answer does not have the form that the API documents: {0}")]
    Unreadable(String),
}

#[derive(Deserialize)]
struct WireAnswer<'a> {
    #[serde(rename = "ActionStatus", borrow)]
    action_status: Option<JsonText<'a>>,
    #[serde(rename = "ErrorCode")]
    error_code: i64,
    #[serde(rename = "ErrorInfo", borrow)]
    error_info: Option<JsonText<'a>>,
    #[serde(rename = "ResultItem", borrow)]
    result_item: Option<Vec<WireItem<'a>>>,
    #[serde(rename = "InfoItem", alias = "UserProfileItem", borrow)]
    info_item: Option<Vec<WireItem<'a>>>,
    #[serde(rename = "Fail_Account", borrow)]
    fail_account: Option<Vec<JsonText<'a>>>,
    #[serde(rename = "Invalid_Account", borrow)]
    invalid_account: Option<Vec<JsonText<'a>>>,
    #[serde(rename = "FailAccounts", borrow)]
    fail_accounts: Option<Vec<JsonText<'a>>>,
}

#[derive(Debug, Deserialize)]
struct WireItem<'a> {
    #[serde(rename = "UserID", alias = "To_Account", borrow)]
    id: JsonText<'a>,
    #[serde(rename = "ResultCode")]
    result_code: i64,
    #[serde(rename = "ResultInfo", borrow)]
    result_info: Option<JsonText<'a>>,
}

/// A text of the body. It is copied only if it contains escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct JsonText<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct WireOnline<'a> {
    #[serde(rename = "QueryResult", borrow)]
    found: Option<Vec<WireFound<'a>>>,
    #[serde(rename = "ErrorList", borrow)]
    failed: Option<Vec<WireNotFound<'a>>>,
}

#[derive(Deserialize)]
struct WireFound<'a> {
    #[serde(rename = "To_Account", borrow)]
    id: JsonText<'a>,
}

#[derive(Deserialize)]
struct WireNotFound<'a> {
    #[serde(rename = "To_Account", borrow)]
    id: JsonText<'a>,
    #[serde(rename = "ErrorCode")]
    code: i64,
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, AnswerError> {
    // If the whole body is UTF-8, serde_json need not check each string. If it is not, the invalid bytes may be in a
    // field that is not read.
    let read = std::str::from_utf8(body).map_or_else(|_| serde_json::from_slice(body), serde_json::from_str);
    read.map_err(|error: serde_json::Error| AnswerError::Unreadable(short(&error.to_string())))
}

impl<'a> Answer<'a> {
    /// Reads the body of an HTTP 200.
    pub fn parse(body: &'a [u8]) -> Result<Self, AnswerError> {
        Ok(Self::of(WireAnswer { info_item: None, ..read(body)? }))
    }

    /// The same of a call that only reads. Some commands list their items in `InfoItem` or `UserProfileItem`.
    pub fn parse_read(body: &'a [u8]) -> Result<Self, AnswerError> {
        read(body).map(Self::of)
    }

    /// The same of `query_online_status`, which lists the accounts that it found in `QueryResult` and the others in
    /// `ErrorList`.
    pub fn parse_online_status(body: &'a [u8]) -> Result<Self, AnswerError> {
        let WireOnline { found, failed } = read(body)?;
        let found = found.unwrap_or_default().into_iter().map(|item| (item.id, 0));
        let failed = failed.unwrap_or_default().into_iter().map(|item| (item.id, item.code));
        let items = found.chain(failed).map(|(id, result_code)| WireItem { id, result_code, result_info: None });
        let wire = WireAnswer { result_item: Some(items.collect()), info_item: None, ..read(body)? };
        Ok(Self::of(wire))
    }

    fn of(wire: WireAnswer<'a>) -> Self {
        let contradiction = wire.action_status.filter(|status| wire.error_code == 0 && status.0 != "OK");
        Self {
            code: wire.error_code,
            contradiction: contradiction.map(|status| short(&status.0)),
            info: short_if_any(wire.error_info.as_ref()),
            listed: wire.result_item.or(wire.info_item).unwrap_or_default(),
            failed: wire.fail_account.unwrap_or_default(),
            invalid: wire.invalid_account.unwrap_or_default(),
            failed_accounts: wire.fail_accounts.unwrap_or_default(),
        }
    }

    /// Whether its own code is 0 and it names exactly these ids, in this order, each with code 0, and none as failed.
    /// Nearly all answers are like this. Then no id must be looked up: [`by_id`](Self::by_id) would have the same
    /// result for each.
    pub fn is_success_of<'b>(&self, ids: impl ExactSizeIterator<Item = &'b str>) -> bool {
        self.code == 0
            && self.contradiction.is_none()
            && self.failed.is_empty()
            && self.invalid.is_empty()
            && self.failed_accounts.is_empty()
            && self.listed.len() == ids.len()
            && self.listed.iter().zip(ids).all(|(item, id)| item.result_code == 0 && item.id.0 == id)
    }

    /// What it says about each item. Ids that were not sent are ignored.
    pub fn by_id(&self) -> HashMap<&str, ItemAnswer> {
        let mut items = HashMap::with_capacity(self.listed.len());
        for item in &self.listed {
            let answer = ItemAnswer::Code(item.result_code, short_if_any(item.result_info.as_ref()));
            match items.entry(&*item.id.0) {
                Entry::Vacant(place) => {
                    place.insert(answer);
                }
                Entry::Occupied(mut place) => {
                    if !same_code(place.get(), &answer) {
                        let codes = [place.get(), &answer].into_iter().flat_map(ItemAnswer::refusals).collect();
                        place.insert(ItemAnswer::Contradicted(codes));
                    }
                }
            }
        }
        // `Invalid_Account` is more precise, so it is used if both lists name an id.
        let lists = [
            (FailureList::InvalidAccount, &self.invalid),
            (FailureList::FailAccount, &self.failed),
            (FailureList::FailAccounts, &self.failed_accounts),
        ];
        for (id, list) in lists.into_iter().flat_map(|(list, ids)| ids.iter().map(move |id| (id, list))) {
            match items.entry(&*id.0) {
                Entry::Vacant(place) => drop(place.insert(ItemAnswer::OnlyIn(list))),
                Entry::Occupied(mut place) => {
                    if matches!(place.get(), ItemAnswer::Code(0, _)) {
                        place.insert(ItemAnswer::Contradicted(Vec::new()));
                    }
                }
            }
        }
        items
    }
}

/// The start of a text, and whether the text was longer.
fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn short_if_any(text: Option<&JsonText<'_>>) -> String {
    text.map_or_else(String::new, |text| short(&text.0))
}

fn same_code(a: &ItemAnswer, b: &ItemAnswer) -> bool {
    matches!((a, b), (ItemAnswer::Code(a, _), ItemAnswer::Code(b, _)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(answer: &Answer<'_>, id: &str) -> Option<i64> {
        match answer.by_id().get(id)? {
            ItemAnswer::Code(code, _) => Some(*code),
            ItemAnswer::Contradicted(_) | ItemAnswer::OnlyIn(_) => None,
        }
    }

    #[test]
    fn the_pages_samples_are_read() {
        let sample = br#"{"ActionStatus": "OK","ErrorCode": 0,"ErrorInfo": "","ResultItem": [
            {"ResultCode": 0,"ResultInfo": "","UserID": "UserID_1"},
            {"ResultCode": 70107,"ResultInfo": "Err_TLS_PT_Open_Login_Account_Not_Exist","UserID": "UserID_2"}]}"#;
        let answer = Answer::parse(sample).unwrap();
        assert_eq!((answer.code, code(&answer, "UserID_1"), code(&answer, "UserID_2")), (0, Some(0), Some(70107)));

        let sample = br#"{"ResultItem":[{"To_Account":"id1","ResultCode":0,"ResultInfo":""}],"Fail_Account":[],
            "Invalid_Account":[],"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"0","ErrorDisplay":""}"#;
        let answer = Answer::parse(sample).unwrap();
        assert_eq!((answer.code, code(&answer, "id1")), (0, Some(0)));
    }

    #[test]
    fn an_item_that_is_done_and_failed_at_once_is_neither() {
        let body = br#"{"ErrorCode":0,
            "ResultItem":[{"To_Account":"a","ResultCode":0},{"To_Account":"b","ResultCode":0}],"Fail_Account":["a"]}"#;
        let answer = Answer::parse(body).unwrap();
        assert_eq!(answer.by_id()["a"], ItemAnswer::Contradicted(vec![]));
        assert_eq!(code(&answer, "b"), Some(0));

        let body = br#"{"ErrorCode":0,"ResultItem":[{"UserID":"a","ResultCode":0},{"UserID":"a","ResultCode":70500}]}"#;
        assert_eq!(Answer::parse(body).unwrap().by_id()["a"], ItemAnswer::Contradicted(vec![70500]));
        let body = br#"{"ErrorCode":0,"ResultItem":[{"UserID":"a","ResultCode":0},{"UserID":"a","ResultCode":0}]}"#;
        assert_eq!(code(&Answer::parse(body).unwrap(), "a"), Some(0));
    }

    #[test]
    fn an_id_that_only_a_list_of_failures_names_is_known_by_that_list() {
        let body =
            br#"{"ErrorCode":0,"ResultItem":[{"To_Account":"a","ResultCode":0},{"To_Account":"b","ResultCode":31704}],
            "Fail_Account":["b","c","d"],"Invalid_Account":["d","e"]}"#;
        let answer = Answer::parse(body).unwrap();
        let by_id = answer.by_id();
        assert_eq!((code(&answer, "a"), code(&answer, "b")), (Some(0), Some(31704)));
        assert_eq!(by_id["c"], ItemAnswer::OnlyIn(FailureList::FailAccount));
        assert_eq!(by_id["d"], ItemAnswer::OnlyIn(FailureList::InvalidAccount));
        assert_eq!(by_id["e"], ItemAnswer::OnlyIn(FailureList::InvalidAccount));
    }

    #[test]
    fn what_is_not_plain_success_of_each_in_order_is_looked_up_by_id() {
        let is_success = |items: &str, rest: &str| {
            let body = format!(r#"{{"ErrorCode":0,"ResultItem":[{items}]{rest}}}"#);
            Answer::parse(body.as_bytes()).unwrap().is_success_of(["a", "b"].into_iter())
        };
        let [a, b] = ["a", "b"].map(|id| format!(r#"{{"UserID":"{id}","ResultCode":0,"ResultInfo":"x"}}"#));
        assert!(is_success(&format!("{a},{b}"), ""));
        assert!(is_success(&format!("{a},{b}"), r#","Fail_Account":[]"#));
        let escaped = r#"{"UserID":"\u0062","ResultCode":0}"#;
        assert!(is_success(&format!("{a},{escaped}"), ""));
        let failed = r#"{"UserID":"b","ResultCode":70107}"#;
        for items in
            [format!("{b},{a}"), a.clone(), format!("{a},{b},{a}"), format!("{a},{a}"), format!("{a},{failed}")]
        {
            assert!(!is_success(&items, ""), "{items}");
        }
        assert!(!is_success(&format!("{a},{b}"), r#","Fail_Account":["b"]"#));
        assert!(!is_success(&format!("{a},{b}"), r#","Invalid_Account":["c"]"#));
        let refused = format!(r#"{{"ErrorCode":70500,"ResultItem":[{a},{b}]}}"#);
        let refused = Answer::parse(refused.as_bytes()).unwrap();
        assert!(!refused.is_success_of(["a", "b"].into_iter()), "the request's own code comes first");
    }

    #[test]
    fn of_a_text_without_measure_the_start_is_kept() {
        let long = "信".repeat(300_000);
        let kept = "信".repeat(500) + "…";
        let body = format!(
            r#"{{"ErrorCode":1,"ErrorInfo":"{long}",
                "ResultItem":[{{"UserID":"a","ResultCode":1,"ResultInfo":"{long}"}}]}}"#
        );
        let answer = Answer::parse(body.as_bytes()).unwrap();
        assert_eq!((&answer.info, &answer.by_id()["a"]), (&kept, &ItemAnswer::Code(1, kept.clone())));
        let error = Answer::parse(format!(r#"{{"ErrorCode":"{long}"}}"#).as_bytes()).unwrap_err().to_string();
        assert!(error.chars().count() < 600, "{} characters", error.chars().count());
        let body = format!(r#"{{"ErrorCode":0,"ActionStatus":"{long}"}}"#);
        assert_eq!(Answer::parse(body.as_bytes()).unwrap().contradiction.as_ref(), Some(&kept));
        let body = format!(r#"{{"ErrorCode":1,"ErrorInfo":"{}"}}"#, &long[..1500]);
        assert_eq!(Answer::parse(body.as_bytes()).unwrap().info, long[..1500]);
    }

    #[test]
    fn what_does_not_fit_the_pages_is_no_answer() {
        for body in [
            "",
            "<html>502</html>",
            "{}",
            "[]",
            r#"{"ErrorCode":"0"}"#,
            r#"{"ErrorCode":0,"ResultItem":{}}"#,
            r#"{"ErrorCode":0,"ResultItem":[{"ResultCode":0}]}"#,
            r#"{"ErrorCode":0,"ResultItem":[{"UserID":"a"}]}"#,
            r#"{"ErrorCode":0,"ResultItem":[{"UserID":7,"ResultCode":0}]}"#,
            r#"{"ErrorCode":0.5}"#,
            r#"{"ErrorCode":0} {"ErrorCode":0}"#,
        ] {
            assert!(matches!(Answer::parse(body.as_bytes()), Err(AnswerError::Unreadable(_))), "{body}");
        }
        let fail = br#"{"ActionStatus":"FAIL","ErrorCode":0}"#;
        assert_eq!(Answer::parse(fail).unwrap().contradiction.as_deref(), Some("FAIL"));
        let deep = "[".repeat(100_000);
        assert!(Answer::parse(deep.as_bytes()).is_err());
    }
}

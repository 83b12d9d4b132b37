//! The API's answer, read.
//!
//! Items are matched by id, never by position: the pages promise no order. What does not fit the pages is an
//! error here, so that it can't be taken for success.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Deserialize;

/// An answer as the pages describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `ErrorCode`: 0 or the verdict on the whole request.
    pub code: i64,
    /// `ErrorInfo`; not empty even for some successes (page friend_delete shows `"0"`).
    pub info: String,
    /// `ResultItem` by id. Ids that we did not send are of no concern.
    pub items: HashMap<Box<str>, ItemAnswer>,
}

/// What an answer says of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemAnswer {
    /// One code, and its `ResultInfo`.
    Code(i64, String),
    /// Two different things: listed twice, or with code 0 and among the failed.
    Contradicted,
}

/// At most this many characters of a text of the server's are kept: it goes into the queue once for each item. What
/// the pages show has some dozens.
const LONGEST_TEXT: usize = 500;

/// Why an answer can't be read.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not JSON, not of the pages' types, or without `ErrorCode`; may quote what was found there.
    #[error("the answer is not what the API sends: {0}")]
    Unreadable(String),
    /// `ErrorCode` 0 together with `ActionStatus` other than OK.
    #[error("the answer contradicts itself: ErrorCode 0 with ActionStatus {0:?}")]
    Contradiction(String),
}

#[derive(Deserialize)]
struct WireAnswer {
    #[serde(rename = "ActionStatus")]
    action_status: Option<String>,
    #[serde(rename = "ErrorCode")]
    error_code: i64,
    #[serde(rename = "ErrorInfo")]
    error_info: Option<String>,
    #[serde(rename = "ResultItem")]
    result_item: Option<Vec<WireItem>>,
    #[serde(rename = "Fail_Account")]
    fail_account: Option<Vec<String>>,
    #[serde(rename = "Invalid_Account")]
    invalid_account: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct WireItem {
    #[serde(rename = "UserID", alias = "To_Account")]
    id: Box<str>,
    #[serde(rename = "ResultCode")]
    result_code: i64,
    #[serde(rename = "ResultInfo")]
    result_info: Option<String>,
}

impl Answer {
    /// Reads the body of an HTTP 200.
    pub fn parse(body: &[u8]) -> Result<Self, AnswerError> {
        let wire: WireAnswer =
            serde_json::from_slice(body).map_err(|error| AnswerError::Unreadable(short(error.to_string())))?;
        if let (0, Some(status)) = (wire.error_code, wire.action_status)
            && status != "OK"
        {
            return Err(AnswerError::Contradiction(short(status)));
        }
        let mut items = by_id(wire.result_item.unwrap_or_default());
        for id in wire.fail_account.into_iter().chain(wire.invalid_account).flatten() {
            if let Some(item @ ItemAnswer::Code(0, _)) = items.get_mut(id.as_str()) {
                *item = ItemAnswer::Contradicted;
            }
        }
        Ok(Self { code: wire.error_code, info: wire.error_info.map(short).unwrap_or_default(), items })
    }
}

fn by_id(wire: Vec<WireItem>) -> HashMap<Box<str>, ItemAnswer> {
    let mut items = HashMap::with_capacity(wire.len());
    for item in wire {
        let answer = ItemAnswer::Code(item.result_code, item.result_info.map(short).unwrap_or_default());
        match items.entry(item.id) {
            Entry::Vacant(place) => {
                place.insert(answer);
            }
            Entry::Occupied(mut place) => {
                if !same_code(place.get(), &answer) {
                    place.insert(ItemAnswer::Contradicted);
                }
            }
        }
    }
    items
}

/// The start of a text, and whether it went on.
fn short(text: String) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn same_code(a: &ItemAnswer, b: &ItemAnswer) -> bool {
    matches!((a, b), (ItemAnswer::Code(a, _), ItemAnswer::Code(b, _)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(answer: &Answer, id: &str) -> Option<i64> {
        match answer.items.get(id)? {
            ItemAnswer::Code(code, _) => Some(*code),
            ItemAnswer::Contradicted => None,
        }
    }

    #[test]
    fn the_pages_samples_are_read() {
        let sample = br#"{"ActionStatus": "OK","ErrorCode": 0,"ErrorInfo": "","ResultItem": [{"ResultCode": 0,"ResultInfo": "","UserID": "UserID_1"},{"ResultCode": 70107,"ResultInfo": "Err_TLS_PT_Open_Login_Account_Not_Exist","UserID": "UserID_2"}]}"#;
        let answer = Answer::parse(sample).unwrap();
        assert_eq!((answer.code, code(&answer, "UserID_1"), code(&answer, "UserID_2")), (0, Some(0), Some(70107)));

        let sample = br#"{"ResultItem":[{"To_Account":"id1","ResultCode":0,"ResultInfo":""}],"Fail_Account":[],"Invalid_Account":[],"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"0","ErrorDisplay":""}"#;
        let answer = Answer::parse(sample).unwrap();
        assert_eq!((answer.code, code(&answer, "id1")), (0, Some(0)));
    }

    #[test]
    fn an_item_that_is_done_and_failed_at_once_is_neither() {
        let body = br#"{"ErrorCode":0,"ResultItem":[{"To_Account":"a","ResultCode":0},{"To_Account":"b","ResultCode":0}],"Fail_Account":["a"]}"#;
        let answer = Answer::parse(body).unwrap();
        assert_eq!(answer.items["a"], ItemAnswer::Contradicted);
        assert_eq!(code(&answer, "b"), Some(0));

        let body = br#"{"ErrorCode":0,"ResultItem":[{"UserID":"a","ResultCode":0},{"UserID":"a","ResultCode":70500}]}"#;
        assert_eq!(Answer::parse(body).unwrap().items["a"], ItemAnswer::Contradicted);
        let body = br#"{"ErrorCode":0,"ResultItem":[{"UserID":"a","ResultCode":0},{"UserID":"a","ResultCode":0}]}"#;
        assert_eq!(code(&Answer::parse(body).unwrap(), "a"), Some(0));
    }

    #[test]
    fn of_a_text_without_measure_the_start_is_kept() {
        let long = "信".repeat(300_000);
        let kept = "信".repeat(500) + "…";
        let body = format!(
            r#"{{"ErrorCode":1,"ErrorInfo":"{long}","ResultItem":[{{"UserID":"a","ResultCode":1,"ResultInfo":"{long}"}}]}}"#
        );
        let answer = Answer::parse(body.as_bytes()).unwrap();
        assert_eq!((answer.info, &answer.items["a"]), (kept.clone(), &ItemAnswer::Code(1, kept)));
        for body in [format!(r#"{{"ErrorCode":"{long}"}}"#), format!(r#"{{"ErrorCode":0,"ActionStatus":"{long}"}}"#)] {
            let error = Answer::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.chars().count() < 600, "{} characters", error.chars().count());
        }
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
        assert!(matches!(Answer::parse(fail), Err(AnswerError::Contradiction(_))));
        let deep = "[".repeat(100_000);
        assert!(Answer::parse(deep.as_bytes()).is_err());
    }
}

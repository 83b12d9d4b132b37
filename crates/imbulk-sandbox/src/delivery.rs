//! From an answer to what goes over the wire: the answer of the page, or the broken one that a fault asks for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use serde_json::Value;

use crate::answer::{self, Listed, MockAnswer, MockItem};
use crate::commands::Command;
use crate::fault_rule::{CallFault, ItemFault};
use crate::faults::ChosenFaults;
use crate::journal::ResponseRecord;
use crate::refusal::Refusal;

/// What the caller receives in answer to a call.
#[derive(Debug)]
pub(crate) enum Delivery {
    Reply(StatusCode, Payload),
    /// The connection is reset (RST).
    Reset,
    /// The connection is closed without an answer (FIN).
    Close,
    /// Nothing is said; the connection stays open.
    Silence,
}

impl Delivery {
    pub(crate) fn ok(body: Vec<u8>) -> Self {
        Self::Reply(StatusCode::OK, Payload::whole(body))
    }

    /// What a caller can read in it.
    pub(crate) fn said(&self) -> ResponseRecord {
        match self {
            Self::Reply(StatusCode::OK, payload) => payload.said(),
            Self::Reply(status, _) => ResponseRecord::Status(status.as_u16()),
            Self::Reset | Self::Close | Self::Silence => ResponseRecord::Nothing,
        }
    }
}

const JSON: &str = "application/json";

const PAGE: &str = "<html><head><title>upstream</title></head><body><center><h1>Bad Gateway</h1>\
                    </center><hr><center>nginx</center></body></html>\r\n";

/// The id of the item that nobody asked about.
const FOREIGN_ID: &str = "sandbox-foreign";

/// The delivery of `answer`, changed by the faults in `chosen`.
pub(crate) fn deliver(command: Command, answer: MockAnswer, chosen: &ChosenFaults) -> Delivery {
    let mut answer = answer;
    if let MockAnswer::Items(items) = &mut answer {
        play_items(items, &chosen.items);
        play_list(items, chosen.call.as_ref());
    }
    let body = answer::body(command, &answer);
    let Some(fault) = &chosen.call else {
        return Delivery::ok(body);
    };
    match fault {
        CallFault::Slow(_) | CallFault::Foreign | CallFault::Shuffle => Delivery::ok(body),
        CallFault::Code(code, _) | CallFault::Storm(code, _) | CallFault::Poison(code, _) => {
            Delivery::ok(answer::refused(Some(command), &Refusal::new(*code)))
        }
        CallFault::Http(status, _) => Delivery::Reply(*status, Payload::page()),
        CallFault::Reset(_) => Delivery::Reset,
        CallFault::Close(_) => Delivery::Close,
        CallFault::Silence(_) => Delivery::Silence,
        CallFault::Garbage => Delivery::Reply(StatusCode::OK, Payload::page()),
        CallFault::Cut => Delivery::ok(half(body)),
        CallFault::Truncated => {
            let claimed = body.len();
            Delivery::Reply(StatusCode::OK, Payload::short(half(body), claimed))
        }
        CallFault::Huge => Delivery::Reply(StatusCode::OK, Payload::padded(body)),
        CallFault::StringCode => Delivery::ok(retyped(body, |fields| {
            if let Some(code) = fields.get_mut("ErrorCode") {
                *code = Value::String(code.to_string());
            }
        })),
        CallFault::Shape2025 => Delivery::ok(retyped(body, |fields| {
            fields.remove("Fail_Account");
            fields.remove("Invalid_Account");
            fields.insert("ErrorInfo".to_owned(), "0".into());
        })),
        CallFault::FailWith(code) => Delivery::ok(headed(body, "FAIL", *code)),
        CallFault::OkWith(code) => Delivery::ok(headed(body, "OK", *code)),
        CallFault::FailZero => Delivery::ok(headed(body, "FAIL", 0)),
        CallFault::ObjectItems => Delivery::ok(retyped(body, |fields| {
            for name in ["ResultItem", "InfoItem", "UserProfileItem"] {
                if let Some(items) = fields.get_mut(name) {
                    *items = serde_json::json!({ "0": items.take() });
                }
            }
        })),
    }
}

fn play_items(items: &mut Vec<MockItem>, faults: &[Option<ItemFault>]) {
    if faults.iter().all(Option::is_none) {
        return;
    }
    let faults = faults.iter().copied().chain(std::iter::repeat(None));
    *items = std::mem::take(items)
        .into_iter()
        .zip(faults)
        .flat_map(|(item, fault)| match fault {
            Some(ItemFault::Missing) => vec![],
            Some(ItemFault::Duplicate) => vec![item.clone(), item],
            Some(ItemFault::Twice(code)) => {
                let refused = MockItem::refused(&item.id, Refusal::new(code));
                vec![item, refused]
            }
            Some(ItemFault::Blamed) => vec![MockItem { listed: Listed::Blamed, ..item }],
            Some(ItemFault::OnlyFailed) => vec![MockItem { listed: Listed::OnlyFailed, ..item }],
            Some(ItemFault::OnlyInvalid) => vec![MockItem { listed: Listed::OnlyInvalid, ..item }],
            Some(ItemFault::Code(_) | ItemFault::Partial(_)) | None => vec![item],
        })
        .collect();
}

fn play_list(items: &mut Vec<MockItem>, fault: Option<&CallFault>) {
    if matches!(fault, Some(CallFault::Foreign)) {
        // In front, where a client that goes by position takes it for the first of its own.
        items.insert(0, MockItem::ok(FOREIGN_ID));
    }
    if matches!(fault, Some(CallFault::Shuffle)) {
        items.reverse();
    }
}

fn half(mut body: Vec<u8>) -> Vec<u8> {
    body.truncate(body.len() / 2);
    body
}

fn retyped(body: Vec<u8>, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    match serde_json::from_slice(&body) {
        Ok(Value::Object(mut fields)) => {
            change(&mut fields);
            Value::Object(fields).to_string().into_bytes()
        }
        Ok(_) | Err(_) => body,
    }
}

/// With another status and code at the top.
fn headed(body: Vec<u8>, status: &str, code: u32) -> Vec<u8> {
    retyped(body, |fields| {
        fields.insert("ActionStatus".to_owned(), status.into());
        fields.insert("ErrorCode".to_owned(), code.into());
    })
}

/// The body of a response.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) content_type: &'static str,
    first: Option<Bytes>,
    then: Then,
}

/// What comes after the first chunk.
#[derive(Debug)]
enum Then {
    End,
    /// This number of bytes was promised in all; after a pause, in which the first chunk goes out, the
    /// connection breaks.
    Break {
        claimed: u64,
        pause: Pause,
    },
    /// This number of further chunks of blanks, which are legal after JSON.
    Blanks(usize),
}

#[derive(Clone, Copy, Debug)]
enum Pause {
    Ahead,
    Over,
}

static BLANKS: [u8; 64 * 1024] = [b' '; 64 * 1024];
/// 4 MiB: well above what any reader of these answers should take.
const BLANK_CHUNKS: usize = 64;

impl Payload {
    pub(crate) fn whole(body: impl Into<Bytes>) -> Self {
        Self { content_type: JSON, first: Some(body.into()), then: Then::End }
    }

    fn page() -> Self {
        Self { content_type: "text/html", ..Self::whole(PAGE) }
    }

    fn short(body: Vec<u8>, claimed: usize) -> Self {
        Self {
            content_type: JSON,
            first: Some(body.into()),
            then: Then::Break { claimed: claimed as u64, pause: Pause::Ahead },
        }
    }

    fn padded(body: Vec<u8>) -> Self {
        Self { content_type: JSON, first: Some(body.into()), then: Then::Blanks(BLANK_CHUNKS) }
    }

    /// What can be read in it; nothing where there is more than a client needs to read.
    fn said(&self) -> ResponseRecord {
        match (&self.then, &self.first) {
            (Then::End, Some(body)) => ResponseRecord::read(body),
            (Then::End, None) | (Then::Break { .. } | Then::Blanks(_), _) => ResponseRecord::Nothing,
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match &mut self.then {
            Then::End | Then::Blanks(0) => Poll::Ready(None),
            Then::Blanks(left) => {
                *left -= 1;
                let chunk = Bytes::from_static(&BLANKS);
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
            Then::Break { pause, .. } => match pause {
                Pause::Ahead => {
                    *pause = Pause::Over;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Pause::Over => Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into()))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && matches!(self.then, Then::End)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.first.as_ref().map_or(0, Bytes::len) as u64;
        match self.then {
            Then::End => SizeHint::with_exact(rest),
            Then::Break { claimed, .. } => SizeHint::with_exact(claimed),
            Then::Blanks(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(rule: &str, ids: &[&str]) -> String {
        let rule = format!("any:{rule}:#1").parse().unwrap();
        let chosen = crate::faults::Faults::new(vec![rule], 0).choose(Command::AccountDelete, ids, 0);
        let verdict = MockAnswer::Items(ids.iter().map(|id| MockItem::ok(id)).collect());
        match deliver(Command::AccountDelete, verdict, &chosen) {
            Delivery::Reply(_, payload) => String::from_utf8(payload.first.unwrap().to_vec()).unwrap(),
            Delivery::Reset | Delivery::Close | Delivery::Silence => String::new(),
        }
    }

    fn ids(rule: &str) -> Vec<String> {
        let answer: Value = serde_json::from_str(&text(rule, &["a", "b", "c"])).unwrap();
        let items = answer["ResultItem"].as_array().unwrap();
        let id = |item: &Value| item["UserID"].as_str().unwrap().to_owned();
        items.iter().map(id).collect()
    }

    #[test]
    fn lists_lack_repeat_add_or_turn_round_their_items() {
        assert_eq!(ids("missing"), ["b"]);
        assert_eq!(ids("duplicate"), ["a", "a", "b", "c", "c"]);
        assert_eq!(ids("foreign"), [FOREIGN_ID, "a", "b", "c"]);
        assert_eq!(ids("shuffle"), ["c", "b", "a"]);
        assert_eq!(ids("slow=1ms"), ["a", "b", "c"]);
    }

    #[test]
    fn answers_contradict_themselves_on_order() {
        let head = |rule: &str| {
            let answer: Value = serde_json::from_str(&text(rule, &["a"])).unwrap();
            let code = |value: &Value| value.as_u64().unwrap();
            let status = answer["ActionStatus"].as_str().unwrap().to_owned();
            (status, code(&answer["ErrorCode"]), code(&answer["ResultItem"][0]["ResultCode"]))
        };
        assert_eq!(head("fail-with=70500"), ("FAIL".to_owned(), 70500, 0));
        assert_eq!(head("ok-with=70500"), ("OK".to_owned(), 70500, 0));
        assert_eq!(head("fail-zero"), ("FAIL".to_owned(), 0, 0));
        assert!(
            text("twice=70500", &["a"]).contains(r#""ResultCode":0,"ResultInfo":"","UserID":"a"},{"ResultCode":70500"#)
        );
        assert!(text("blamed", &["a"]).ends_with(r#""UserID":"a"}],"Fail_Account":["a"]}"#));
        assert!(text("only-failed", &["a", "b"]).contains(r#""Fail_Account":["a"]"#));
        assert_eq!(ids("only-invalid"), ["b"]);
        assert!(text("shape-2025", &["a"]).contains(r#""ErrorInfo":"0""#));
    }

    #[test]
    fn types_are_wrong_on_order() {
        assert!(text("string-code", &["a"]).contains(r#""ErrorCode":"0""#));
        assert!(text("object-items", &["a"]).contains(r#""ResultItem":{"0":[{"#));
    }

    #[test]
    fn a_cut_answer_is_no_json_any_more() {
        let cut = text("cut", &["a"]);
        assert!(cut.starts_with('{'));
        assert!(serde_json::from_str::<Value>(&cut).is_err());
    }
}

//! The modes, and the class of each according to docs/reference/api.md, `imbulk explain` and decision 0005.

use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use imbulk_testkit::http::response;
use imbulk_testkit::scripted_server::Step;

use super::server::{Ask, Script};

/// The effect of a response on an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Effect {
    Succeeded,
    AlreadyDone,
    /// The API refused it permanently.
    Failed(i64),
    /// It is sent again. The server says that it did nothing.
    Refused(i64),
    /// It is sent again. The server says that it does not know.
    TimedOut(i64),
    /// It is sent again, in doubt.
    InDoubt,
    /// It is sent again, in doubt, with this code beside code 0.
    TwoCodes(i64),
}

/// A way to misbehave. It is used for the calls with its name as `From_Account`.
pub(super) struct Mode {
    pub(super) name: &'static str,
    /// The effects on the first, the second and the third item of the call.
    pub(super) effects: [Effect; 3],
    pub(super) play: Box<Script>,
}

/// The last step of a connection, if it ends.
type NextStep = fn() -> Option<Step>;

const MIB: usize = 1 << 20;
const DOUBT: [Effect; 3] = [Effect::InDoubt; 3];
const FINE: [Effect; 3] = [Effect::Succeeded; 3];

fn mode(name: &'static str, effects: [Effect; 3], play: impl Fn(&Ask) -> Vec<Step> + Send + Sync + 'static) -> Mode {
    Mode { name, effects, play: Box::new(play) }
}

/// Sends these bytes, and then makes the next step.
fn wire(name: &'static str, bytes: impl Into<Vec<u8>>, then: NextStep) -> Mode {
    let bytes = bytes.into();
    mode(name, DOUBT, move |_| [Step::Write(bytes.clone())].into_iter().chain(then()).collect())
}

fn flood(name: &'static str, head: &'static str, unit: &'static [u8]) -> Mode {
    mode(name, DOUBT, move |_| vec![Step::Write(head.into()), Step::Endless(unit.to_vec())])
}

/// A whole answer with this status and this body.
fn page(name: &'static str, effects: [Effect; 3], status: &'static str, body: impl Into<Vec<u8>>) -> Mode {
    let body = body.into();
    mode(name, effects, move |_| vec![Step::Write(response(status, "", &body))])
}

/// A body with status 200 that is not an answer of the API.
fn unreadable(name: &'static str, body: impl Into<Vec<u8>>) -> Mode {
    page(name, DOUBT, "200 OK", body)
}

/// A body with the API's usual start, made from the three items.
fn body(name: &'static str, effects: [Effect; 3], body: fn(&[String]) -> Value) -> Mode {
    mode(name, effects, move |ask| vec![Step::Write(ok(&body(&ask.to)))])
}

/// An HTTP answer with this JSON.
pub(super) fn ok(body: &Value) -> Vec<u8> {
    response("200 OK", "", body.to_string().as_bytes())
}

/// The API's answer with a code for each item.
pub(super) fn items(items: &[(&str, i64)]) -> Value {
    let item = |(id, code): &(&str, i64)| json!({"To_Account": id, "ResultCode": code, "ResultInfo": "r"});
    let items: Vec<Value> = items.iter().map(item).collect();
    json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": "", "ResultItem": items})
}

/// The same code for each of them.
pub(super) fn all(ids: &[String], code: i64) -> Value {
    items(&ids.iter().map(|id| (id.as_str(), code)).collect::<Vec<_>>())
}

/// All modes that do not end the run. They are built once, because compressing hundreds of mebibytes takes long.
pub(super) static MODES: LazyLock<Vec<Mode>> = LazyLock::new(|| {
    [
        broken_off(),
        slow(),
        without_end(),
        not_http(),
        statuses(),
        not_the_api(),
        wrong_types(),
        lists_of_items(),
        item_codes(),
    ]
    .into_iter()
    .flatten()
    .collect()
});

fn broken_off() -> Vec<Mode> {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n";
    let whole = format!("{HEAD}\r\n{{\"ErrorCode\":0");
    let ends: [(NextStep, [&str; 4]); 2] = [
        (|| Some(Step::Reset), ["reset-no-answer", "reset-in-head", "reset-after-head", "reset-in-body"]),
        (|| Some(Step::Close), ["close-no-answer", "close-in-head", "close-after-head", "close-in-body"]),
    ];
    let at = [0, 20, HEAD.len() + 2, whole.len()];
    let cut = |then, names: [&'static str; 4]| {
        let whole = whole.clone();
        names.into_iter().zip(at).map(move |(name, at)| wire(name, &whole[..at], then)).collect::<Vec<_>>()
    };
    let mut modes: Vec<Mode> = ends.into_iter().flat_map(|(then, names)| cut(then, names)).collect();
    modes.push(wire("close-in-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"Er", || {
        Some(Step::Close)
    }));
    modes
}

fn slow() -> Vec<Mode> {
    let silence = || Some(Step::Silence);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    vec![
        wire("silence", "", silence),
        wire("silence-in-head", &head[..20], silence),
        wire("silence-in-body", format!("{head}{{"), silence),
        wire("silence-after-100", "HTTP/1.1 100 Continue\r\n\r\n", silence),
        wire("drip", "", || Some(Step::Drip(response("200 OK", "", b"{}"), Duration::from_secs(1)))),
        wire("drip-body", head, || Some(Step::Drip(vec![b' '; 100], Duration::from_secs(1)))),
    ]
}

fn without_end() -> Vec<Mode> {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bomb = {
        // Three times 64 MiB of blanks: a client that unpacked them would have all of them in memory.
        let mut gz = GzEncoder::new(Vec::new(), Compression::best());
        (0..192).for_each(|_| gz.write_all(&vec![b' '; MIB]).expect("memory"));
        let packed = gz.finish().expect("memory");
        response("200 OK", "Content-Encoding: gzip\r\nContent-Type: application/json\r\n", &packed)
    };
    vec![
        flood("1-gib", "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", b" "),
        flood("no-length", "HTTP/1.1 200 OK\r\n\r\n", b" "),
        flood("chunks", CHUNKED, b"10\r\n                \r\n"),
        flood("one-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n", b" "),
        flood("chunk-extension", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        flood("trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: and more\r\n"),
        flood("header-without-end", "HTTP/1.1 200 OK\r\nX: ", b"x"),
        flood("headers-without-end", "HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
        flood("status-line-without-end", "HTTP/1.1 200 ", b"O"),
        flood("100-without-end", "", b"HTTP/1.1 100 Continue\r\n\r\n"),
        flood("103-without-end", "", b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"),
        flood("502-without-end", "HTTP/1.1 502 Bad Gateway\r\n\r\n", b" "),
        flood("gzip-without-end", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", b"\x1f\x8b\x08\0\0\0\0\0\0\xff"),
        wire("gzip-bomb", bomb, || None),
        wire("header-of-1-mib", format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(MIB)), || Some(Step::Close)),
        mode("20-times-100", FINE, |ask| {
            let early = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(20);
            vec![Step::Write([early, ok(&all(&ask.to, 0))].concat())]
        }),
    ]
}

fn not_http() -> Vec<Mode> {
    let close = || Some(Step::Close);
    let malformed = |name, headers: &str| wire(name, format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{{}}"), close);
    vec![
        wire("ssh", "SSH-2.0-OpenSSH_9.6\r\n\r\n", close),
        wire("http-2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", close),
        wire("tls-alert", b"\x15\x03\x03\0\x02\x02\x28", close),
        wire("noise", (0..2000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect::<Vec<_>>(), close),
        wire("zeros", vec![0; 2000], close),
        wire("only-the-body", "{\"ErrorCode\":0}", close),
        wire("status-word", "HTTP/1.1 OK\r\n\r\n", close),
        wire("http-9", "HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n", close),
        malformed("two-lengths", "Content-Length: 2\r\nContent-Length: 3"),
        malformed("length-below-0", "Content-Length: -2"),
        malformed("length-beyond-64-bits", "Content-Length: 99999999999999999999999"),
        malformed("length-is-a-word", "Content-Length: two"),
        malformed("chunks-of-no-number", "Transfer-Encoding: chunked"),
        malformed("nul-in-a-header", "X-\0: y"),
        malformed("line-without-colon", "what is this"),
        // Bytes after an answer must never be read as the answer to the next call.
        mode("answer-and-another", FINE, |ask| {
            let no = json!({"ActionStatus": "FAIL", "ErrorCode": 30003, "ErrorInfo": "meant for nobody"});
            vec![Step::Write([ok(&all(&ask.to, 0)), ok(&no)].concat())]
        }),
        mode("http-1-0", FINE, |ask| {
            let answer = String::from_utf8(ok(&all(&ask.to, 0))).expect("text");
            vec![Step::Write(answer.replace("HTTP/1.1", "HTTP/1.0").into()), Step::Close]
        }),
    ]
}

/// Only statuses after which the call may have arrived, according to the documents. The others halt the run.
fn statuses() -> Vec<Mode> {
    [
        ("408", "408 Request Timeout"),
        ("500", "500 Internal Server Error"),
        ("502", "502 Bad Gateway"),
        ("503", "503 Service Unavailable"),
        ("504", "504 Gateway Timeout"),
        ("599", "599 Who Knows"),
        ("999", "999 Nobody"),
    ]
    .map(|(name, status)| page(name, DOUBT, status, "{\"ErrorCode\":0,\"ActionStatus\":\"OK\"}"))
    .into()
}

fn not_the_api() -> Vec<Mode> {
    let nested = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
    let utf_16: Vec<u8> = "{\"ErrorCode\":0}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut long = json!({"ActionStatus": "OK", "ErrorCode": 0});
    long["ErrorCode"] = Value::from("x".repeat(900_000));
    vec![
        unreadable("html", "<!DOCTYPE html><html><body><h1>Login</h1></body></html>"),
        unreadable("empty", ""),
        unreadable("blanks", " ".repeat(1000)),
        unreadable("text", "OK"),
        unreadable("truncated", "{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ResultItem\":[{\"To_Account\":\"a"),
        unreadable("deep-arrays", nested("[", "]")),
        unreadable("deep-objects", nested("{\"a\":", "}").replace(":}", ":0}")),
        unreadable("deep-unknown-field", format!("{{\"ErrorCode\":0,\"Extra\":{}}}", nested("[", "]"))),
        unreadable("deep-and-cut", "[".repeat(100_000)),
        unreadable("invalid-utf-8", b"{\"ErrorCode\":0,\"ErrorInfo\":\"\xff\xfe\xc0\xaf\"}"),
        unreadable("lone-surrogate", "{\"ErrorCode\":0,\"ErrorInfo\":\"\\ud800\"}"),
        unreadable("byte-order-mark", "\u{feff}{\"ErrorCode\":0}"),
        unreadable("utf-16", utf_16),
        unreadable("raw-line-end-in-text", "{\"ErrorCode\":0,\"ErrorInfo\":\"a\nb\"}"),
        unreadable("two-documents", "{\"ErrorCode\":0}{\"ErrorCode\":0}"),
        unreadable("list", "[{\"ErrorCode\":0}]"),
        unreadable("null", "null"),
        unreadable("no-code", "{\"ActionStatus\":\"OK\"}"),
        unreadable("ok-and-fail", "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":0}"),
        unreadable("900-kb-for-a-number", long.to_string()),
    ]
}

fn wrong_types() -> Vec<Mode> {
    let code = |name, code: &str| unreadable(name, format!("{{\"ActionStatus\":\"OK\",\"ErrorCode\":{code}}}"));
    let with = |name, field: &str| unreadable(name, format!("{{\"ErrorCode\":0,{field}}}"));
    vec![
        code("code-text", "\"0\""),
        code("code-fraction", "0.5"),
        code("code-point-0", "0.0"),
        code("code-exponent", "0e5"),
        code("code-1e400", "1e400"),
        code("code-30-digits", "111111111111111111111111111111"),
        code("code-beyond-i64", "9223372036854775808"),
        code("code-nan", "NaN"),
        code("code-infinity", "-Infinity"),
        code("code-bool", "false"),
        code("code-null", "null"),
        code("code-list", "[0]"),
        code("code-hex", "0x0"),
        with("status-number", "\"ActionStatus\":1"),
        with("info-number", "\"ErrorInfo\":7"),
        with("items-object", "\"ResultItem\":{}"),
        with("items-text", "\"ResultItem\":\"none\""),
        with("items-of-null", "\"ResultItem\":[null]"),
        with("items-of-lists", "\"ResultItem\":[[\"a\",0]]"),
        with("item-code-text", "\"ResultItem\":[{\"To_Account\":\"a\",\"ResultCode\":\"0\"}]"),
        with("item-code-missing", "\"ResultItem\":[{\"To_Account\":\"a\"}]"),
        with("item-id-number", "\"ResultItem\":[{\"To_Account\":7,\"ResultCode\":0}]"),
        with("item-id-null", "\"ResultItem\":[{\"To_Account\":null,\"ResultCode\":0}]"),
        with("failed-list-object", "\"Fail_Account\":{}"),
        with("code-twice", "\"ErrorCode\":30003"),
        with("code-twice-the-same", "\"ErrorCode\":0"),
    ]
}

/// Lists that lack items, repeat them, or contain others.
fn lists_of_items() -> Vec<Mode> {
    use Effect::{InDoubt, Succeeded, TwoCodes};
    vec![
        body("missing-one", [Succeeded, InDoubt, Succeeded], |to| items(&[(&to[0], 0), (&to[2], 0)])),
        body("missing-all", DOUBT, |_| items(&[])),
        body("no-list", DOUBT, |_| json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""})),
        body("list-null", DOUBT, |_| json!({"ActionStatus": "OK", "ErrorCode": 0, "ResultItem": null})),
        body("foreign-only", DOUBT, |_| items(&[("nobody-asked", 0), ("nobody-either", 0), ("nor-here", 0)])),
        body("ids-in-other-case", DOUBT, |to| {
            items(
                &to.iter()
                    .map(|id| id.to_uppercase())
                    .collect::<Vec<_>>()
                    .iter()
                    .map(|id| (id.as_str(), 0))
                    .collect::<Vec<_>>(),
            )
        }),
        body("extra", FINE, |to| {
            let mut answer = all(to, 0);
            let extra = json!({"To_Account": "nobody-asked", "ResultCode": 30003});
            answer["ResultItem"].as_array_mut().expect("a list").insert(0, extra);
            answer
        }),
        body("ten-thousand-extra", FINE, |to| {
            let mut ids: Vec<String> = (0..10_000).map(|n| format!("nobody-{n}")).collect();
            ids.extend_from_slice(to);
            all(&ids, 0)
        }),
        body("twice", FINE, |to| all(&[to, to].concat(), 0)),
        body("twice-with-two-codes", [TwoCodes(30006), Succeeded, Succeeded], |to| {
            items(&[(&to[0], 0), (&to[1], 0), (&to[2], 0), (&to[0], 30006)])
        }),
        body("thrice-with-two-codes", [TwoCodes(30003), Succeeded, Succeeded], |to| {
            items(&[(&to[0], 0), (&to[0], 30003), (&to[0], 0), (&to[1], 0), (&to[2], 0)])
        }),
    ]
}

/// Codes of items and of whole batches.
fn item_codes() -> Vec<Mode> {
    use Effect::{AlreadyDone, Failed, InDoubt, Refused, Succeeded, TimedOut};
    vec![
        body("other-order", [Succeeded, AlreadyDone, Failed(30002)], |to| {
            items(&[(&to[2], 30002), (&to[1], 31704), (&to[0], 0)])
        }),
        body("code-0-with-failures", [Failed(30002), Failed(30002), AlreadyDone], |to| {
            items(&[(&to[0], 30002), (&to[1], 30002), (&to[2], 31704)])
        }),
        body("done-and-in-failed-list", [InDoubt, Succeeded, InDoubt], |to| {
            let mut answer = all(to, 0);
            answer["Fail_Account"] = json!([to[0]]);
            answer["Invalid_Account"] = json!([to[2]]);
            answer
        }),
        body("unknown-codes", [Failed(i64::MAX), Failed(-1), Failed(4_294_967_296)], |to| {
            items(&[(&to[0], i64::MAX), (&to[1], -1), (&to[2], 4_294_967_296)])
        }),
        body("passing-codes", [Refused(30006), TimedOut(60008), TimedOut(30007)], |to| {
            items(&[(&to[0], 30006), (&to[1], 60008), (&to[2], 30007)])
        }),
        body("no-to-the-account", [Failed(30003); 3], |_| json!({"ActionStatus": "FAIL", "ErrorCode": 30003})),
        body("server-error", [Refused(30006); 3], |_| json!({"ActionStatus": "FAIL", "ErrorCode": 30006})),
        body("server-time-out", [TimedOut(60008); 3], |_| json!({"ActionStatus": "FAIL", "ErrorCode": 60008})),
        body("conflict", [Refused(30008); 3], |_| json!({"ActionStatus": "FAIL", "ErrorCode": 30008})),
        body(
            "900-kb-of-info",
            [Failed(30002); 3],
            |_| json!({"ActionStatus": "FAIL", "ErrorCode": 30002, "ErrorInfo": "x".repeat(900_000)}),
        ),
        body(
            "item-under-two-names",
            DOUBT,
            |to| json!({"ErrorCode": 0, "ResultItem": [{"To_Account": to[0], "UserID": to[0], "ResultCode": 0}]}),
        ),
    ]
}

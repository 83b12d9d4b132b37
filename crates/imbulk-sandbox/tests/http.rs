//! The sandbox, seen from outside: raw HTTP over TCP, so that nothing between hides what it does.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use imbulk_sandbox::{App, Caps, Command, Config, FaultRule, Latency, Report, ResponseRecord, Sandbox, World};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const SDKAPPID: u64 = 1_400_000_001;
const KEY: &str = "a key of nobody";
const DEADLINE: Duration = Duration::from_secs(20);

/// A `UserSig` of `administrator`, made here from the description and not by the client's code.
fn usersig(key: &str, valid_from: u64, seconds: u64) -> String {
    let message =
        format!("TLS.identifier:administrator\nTLS.sdkappid:{SDKAPPID}\nTLS.time:{valid_from}\nTLS.expire:{seconds}\n");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    let claims = json!({
        "TLS.ver": "2.0", "TLS.identifier": "administrator", "TLS.sdkappid": SDKAPPID,
        "TLS.time": valid_from, "TLS.expire": seconds,
        "TLS.sig": STANDARD.encode(mac.finalize().into_bytes()),
    });
    let mut zlib = flate2::read::ZlibEncoder::new(io::Cursor::new(claims.to_string()), flate2::Compression::default());
    let mut compressed = Vec::new();
    io::Read::read_to_end(&mut zlib, &mut compressed).unwrap();
    STANDARD.encode(compressed).replace('+', "*").replace('/', "-").replace('=', "_")
}

fn good_query() -> String {
    let usersig = usersig(KEY, 1_700_000_000, 10_000_000_000);
    format!("sdkappid={SDKAPPID}&identifier=administrator&usersig={usersig}&random=7&contenttype=json")
}

fn config() -> Config {
    Config {
        app: App { sdkappid: SDKAPPID, admins: vec!["administrator".to_owned()], key: Some(KEY.into()) },
        caps: Command::ALL
            .into_iter()
            .fold(Caps::default().with_app(10_000), |caps, command| caps.with(command, 10_000)),
        ..Config::default()
    }
}

fn rules(texts: &[&str]) -> Vec<FaultRule> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

async fn start(config: Config) -> Sandbox {
    Sandbox::start(config, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

async fn start_with_faults(texts: &[&str]) -> Sandbox {
    let faults = rules(texts);
    start(Config { faults, ..config() }).await
}

/// What came back before the connection ended.
#[derive(Debug)]
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    fn code(&self) -> u64 {
        self.json()["ErrorCode"].as_u64().unwrap()
    }

    fn item_codes(&self) -> Vec<u64> {
        let json = self.json();
        let items = json["ResultItem"].as_array().unwrap().iter();
        items.map(|item| item["ResultCode"].as_u64().unwrap()).collect()
    }

    fn item_ids(&self, field: &str) -> Vec<String> {
        let json = self.json();
        let items = json["ResultItem"].as_array().unwrap().iter();
        items.map(|item| item[field].as_str().unwrap().to_owned()).collect()
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

async fn send(sandbox: &Sandbox, method: &str, target: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(sandbox.addr()).await.unwrap();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads to the end of the connection.
async fn receive(mut stream: TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("no answer in time")?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = bytes.split_at(end.map_or(bytes.len(), |end| end + 4));
    Ok(Answer { head: String::from_utf8_lossy(head).to_lowercase(), body: body.to_vec() })
}

async fn request(sandbox: &Sandbox, method: &str, target: &str, body: &str) -> Answer {
    receive(send(sandbox, method, target, body).await).await.unwrap()
}

async fn send_call(sandbox: &Sandbox, command: Command, body: &Value) -> TcpStream {
    let target = format!("{}?{}", command.path(), good_query());
    send(sandbox, "POST", &target, &body.to_string()).await
}

async fn call(sandbox: &Sandbox, command: Command, body: &Value) -> Answer {
    receive(send_call(sandbox, command, body).await).await.unwrap()
}

async fn delete_accounts(sandbox: &Sandbox, ids: &[&str]) -> Answer {
    call(sandbox, Command::AccountDelete, &accounts(ids)).await
}

fn accounts(ids: &[&str]) -> Value {
    let items: Vec<Value> = ids.iter().map(|id| json!({"UserID": id})).collect();
    json!({"DeleteItem": items})
}

/// Waits for something that the sandbox is about to do.
async fn until(sandbox: &Sandbox, seen: impl Fn(&Report) -> bool) {
    let start = Instant::now();
    while !seen(&sandbox.report()) {
        assert!(start.elapsed() < DEADLINE, "{:#?}", sandbox.report());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_four_commands_do_what_their_pages_say() {
    let sandbox = start(config()).await;
    let answer = delete_accounts(&sandbox, &["UserID_1", "UserID_1"]).await;
    assert_eq!(
        String::from_utf8(answer.body).unwrap(),
        concat!(
            r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ResultItem":[{"ResultCode":0,"ResultInfo":"","#,
            r#""UserID":"UserID_1"},{"ResultCode":70107,"ResultInfo":"Err_TLS_PT_Open_Login_Account_Not_Exist","#,
            r#""UserID":"UserID_1"}]}"#
        )
    );
    let both = json!({"From_Account": "id", "To_Account": ["id1", "id2"], "DeleteType": "Delete_Type_Both"});
    let answer = call(&sandbox, Command::FriendDelete, &both).await.json();
    assert_eq!((&answer["ErrorInfo"], &answer["Invalid_Account"]), (&json!("0"), &json!([])));
    let answer = call(&sandbox, Command::FriendDelete, &both).await;
    assert_eq!(answer.item_codes(), [31704, 31704]);
    assert_eq!(answer.json()["Fail_Account"], json!(["id1", "id2"]));
    let all = json!({"From_Account": "owner"});
    let answer = call(&sandbox, Command::FriendDeleteAll, &all).await;
    assert_eq!(answer.json(), json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": "", "ErrorDisplay": ""}));
    let remark = json!([{"Tag": "Tag_SNS_IM_Remark", "Value": "备注"}]);
    let update = json!({"From_Account": "x", "UpdateItem": [{"To_Account": "y", "SnsItem": remark}]});
    assert_eq!(call(&sandbox, Command::FriendUpdate, &update).await.item_codes(), [0]);

    let world = sandbox.world();
    assert!(!world.account_exists("UserID_1"));
    assert!(!world.is_friend("id", "id1") && !world.is_friend("id1", "id"));
    assert!(!world.is_friend("owner", "id") && world.is_friend("id", "owner"));
    assert_eq!(world.tags("x", "y").unwrap()["Tag_SNS_IM_Remark"], "备注");
    let touches = world.friend_counters("id", "id1");
    assert_eq!((touches.received, touches.written), (2, 1));
    assert_eq!(world.items_received(), 5);
}

#[tokio::test]
async fn the_read_only_commands_show_the_tables_and_write_nothing() {
    let world = World::seeded(["a", "b", "c"], [("a", "b"), ("b", "a"), ("c", "a")]);
    let sandbox = start(Config { world, ..config() }).await;
    let update = json!({"From_Account": "a", "UpdateItem": [
        {"To_Account": "b", "SnsItem": [{"Tag": "Tag_SNS_IM_Remark", "Value": "Bo"}]}]});
    assert_eq!(call(&sandbox, Command::FriendUpdate, &update).await.item_codes(), [0]);
    sandbox.world().set_online("b", true);
    let answer = async |command, body: Value| call(&sandbox, command, &body).await.json();
    let check = json!({"From_Account": "a", "To_Account": ["b", "c", "x"], "CheckType": "CheckResult_Type_Both"});
    let check = answer(Command::FriendCheck, check).await;
    let relations = json!(["CheckResult_Type_BothWay", "CheckResult_Type_BWithA", "CheckResult_Type_NoRelation"]);
    let found: Vec<&Value> = check["InfoItem"].as_array().unwrap().iter().map(|item| &item["Relation"]).collect();
    assert_eq!(json!(found), relations);
    let list = answer(Command::FriendGet, json!({"From_Account": "a", "StartIndex": 0})).await;
    let remark = json!([{"Tag": "Tag_SNS_IM_Remark", "Value": "Bo"}]);
    assert_eq!(list["UserDataItem"], json!([{"To_Account": "b", "ValueItem": remark}]));
    let fields = json!({"From_Account": "a", "To_Account": ["b"], "TagList": ["Tag_SNS_IM_Remark"]});
    assert_eq!(answer(Command::FriendGetList, fields).await["InfoItem"][0]["SnsProfileItem"], remark);
    let profile = json!({"To_Account": ["b"], "TagList": ["Tag_Profile_IM_Nick"]});
    assert_eq!(answer(Command::PortraitGet, profile).await["UserProfileItem"][0]["ProfileItem"], json!([]));
    let online = answer(Command::QueryOnlineStatus, json!({"To_Account": ["a", "b"]})).await;
    let status: Vec<&Value> = online["QueryResult"].as_array().unwrap().iter().map(|item| &item["Status"]).collect();
    assert_eq!(status, ["Offline", "Online"]);
    let unknown = json!({"From_Account": "x", "To_Account": ["a"], "CheckType": "CheckResult_Type_Both"});
    assert_eq!(answer(Command::FriendCheck, unknown).await["ErrorCode"], 30003);
    assert_eq!(sandbox.report().items_written, 1);
    assert_eq!(sandbox.world().items_received(), 1, "items that are only read are not counted in the world");
}

#[tokio::test]
async fn a_lookup_does_not_conflict_with_a_write() {
    let sandbox = start_with_faults(&["account_delete:slow=3600s:#1"]).await;
    let _waiting = send_call(&sandbox, Command::AccountDelete, &accounts(&["a"])).await;
    until(&sandbox, |report| report.faults.contains_key("slow=3600000ms")).await;
    let check = call(&sandbox, Command::AccountCheck, &json!({"CheckItem": [{"UserID": "a"}]})).await;
    assert_eq!(check.json()["ResultItem"][0]["AccountStatus"], "Imported");
}

#[tokio::test]
async fn a_seeded_world_and_a_share_missing_answer_with_their_codes() {
    let world = World::seeded(["a", "b"], [("a", "b")]);
    let sandbox = start(Config { world, ..config() }).await;
    assert_eq!(delete_accounts(&sandbox, &["x"]).await.item_codes(), [70107]);
    let body = json!({"From_Account": "x", "To_Account": ["a"]});
    assert_eq!(call(&sandbox, Command::FriendDelete, &body).await.code(), 30003);
    let body = json!({"From_Account": "a", "To_Account": ["b", "x", ""]});
    let answer = call(&sandbox, Command::FriendDelete, &body).await;
    assert_eq!(answer.item_codes(), [0, 31704, 30003]);
    assert_eq!(answer.json()["Invalid_Account"], json!([""]));

    let world = World::open_with_missing(0, 1.0, 0.0);
    let sandbox = start(Config { world, ..config() }).await;
    assert_eq!(delete_accounts(&sandbox, &["x"]).await.item_codes(), [70107]);
}

#[tokio::test]
async fn a_wrong_url_or_usersig_is_refused_with_its_code_and_nothing_is_done() {
    let sandbox = start(config()).await;
    let good = good_query();
    let signature = good.split("usersig=").nth(1).unwrap();
    let signature = signature.split('&').next().unwrap();
    let expired = usersig(KEY, 1_700_000_000, 60);
    let forged = usersig("another key", 1_700_000_000, 10_000_000_000);
    for (old, new, code) in [
        ("sdkappid=1400000001&", "", 60012),
        ("sdkappid=1400000001", "sdkappid=14", 60006),
        ("contenttype=json", "contenttype=xml", 60025),
        ("random=7", "random=-1", 60025),
        ("identifier=administrator", "identifier=bob", 70013),
        (signature, "", 70002),
        (signature, "xxx", 70003),
        (signature, expired.as_str(), 70001),
        (signature, forged.as_str(), 70009),
    ] {
        let target = format!("{}?{}", Command::AccountDelete.path(), good.replace(old, new));
        let body = accounts(&["a"]).to_string();
        let answer = request(&sandbox, "POST", &target, &body).await;
        assert_eq!((answer.status(), answer.code()), ("200", code), "{new}");
        assert_eq!(answer.json()["ActionStatus"], "FAIL");
    }
    let report = sandbox.report();
    assert_eq!((report.calls, report.accepted), (9, 0));
    assert_eq!((report.usersig_failures, report.bad_requests), (5, 4));
    assert!(sandbox.world().account_exists("a"));
}

#[tokio::test]
async fn a_bad_request_is_refused_with_its_code() {
    let sandbox = start(config()).await;
    for (command, body, code) in [
        (Command::AccountDelete, json!([]), 60003),
        (Command::AccountDelete, json!({"DeleteItem": []}), 70402),
        (Command::AccountDelete, json!({"DeleteItem": [{"UserID": 7}]}), 60015),
        (Command::FriendDelete, json!({"From_Account": "a", "To_Account": []}), 31701),
        (Command::FriendDelete, json!({"From_Account": "a", "To_Account": ["b"], "DeleteType": "x"}), 31702),
        (Command::FriendDeleteAll, json!({}), 30001),
        (Command::FriendUpdate, json!({"From_Account": "a", "UpdateItem": [{"To_Account": "b"}]}), 30001),
    ] {
        assert_eq!(call(&sandbox, command, &body).await.code(), code, "{body}");
    }
    assert_eq!(sandbox.report().bad_requests, 7);
    let target = format!("{}?{}", Command::AccountDelete.path(), good_query());
    assert_eq!(request(&sandbox, "GET", &target, "").await.code(), 60002);
    assert_eq!(request(&sandbox, "POST", "/v4/sns/friend_add", "{}").await.code(), 60009);
    assert_eq!(sandbox.report().unknown_paths, 1);
}

#[tokio::test]
async fn calls_above_a_cap_are_turned_away_and_counted_apart() {
    let caps = Caps::default().with(Command::AccountDelete, 0);
    let sandbox = start(Config { caps, ..config() }).await;
    assert_eq!(delete_accounts(&sandbox, &["a"]).await.code(), 60007);
    sandbox.set_caps(Caps::default().with_app(0));
    assert_eq!(delete_accounts(&sandbox, &["a"]).await.code(), 60011);
    let report = sandbox.report();
    assert_eq!((report.throttled, report.throttled_app, report.accepted), (1, 1, 0));
    assert!(report.worst_second >= 1, "{report:?}");
    assert_eq!(report.worst_second_accepted, 0);
    assert!(sandbox.world().account_exists("a"));
    sandbox.set_caps(Caps::default());
    assert_eq!(delete_accounts(&sandbox, &["a"]).await.item_codes(), [0]);
    assert_eq!(sandbox.report().commands[&Command::AccountDelete].accepted, 1);
}

#[tokio::test]
async fn a_second_writer_of_an_account_gets_30008() {
    let sandbox = start_with_faults(&["account_delete:slow=3600s:#1"]).await;
    let first = send_call(&sandbox, Command::AccountDelete, &accounts(&["a", "b"])).await;
    until(&sandbox, |report| report.faults.contains_key("slow=3600000ms")).await;
    assert_eq!(delete_accounts(&sandbox, &["b", "c"]).await.code(), 30008);
    assert_eq!(delete_accounts(&sandbox, &["c"]).await.item_codes(), [0]);
    let both = json!({"From_Account": "x", "To_Account": ["a"], "DeleteType": "Delete_Type_Both"});
    assert_eq!(call(&sandbox, Command::FriendDelete, &both).await.code(), 30008);
    let single = json!({"From_Account": "x", "To_Account": ["a"]});
    assert_eq!(call(&sandbox, Command::FriendDelete, &single).await.item_codes(), [0]);
    assert_eq!(sandbox.report().overlaps, 2);

    // The caller hangs up, the call goes on: still a conflict, but one that nobody could avoid.
    drop(first);
    let start = Instant::now();
    while sandbox.report().overlaps_with_abandoned == 0 {
        assert_eq!(delete_accounts(&sandbox, &["a"]).await.code(), 30008);
        assert!(start.elapsed() < DEADLINE, "{:?}", sandbox.report());
    }
}

#[tokio::test]
async fn accounts_are_free_again_when_the_answer_is_there() {
    let latency = Latency { fixed: Duration::from_millis(2), jitter: Duration::from_millis(2) };
    let sandbox = start(Config { latency, ..config() }).await;
    for _ in 0..20 {
        let answer = delete_accounts(&sandbox, &["a"]).await;
        assert_eq!(answer.code(), 0);
    }
    assert_eq!(sandbox.report().overlaps, 0);
}

/// Plays one fault on the first call, which deletes account `a`.
async fn played(rule: &str) -> (Sandbox, io::Result<Answer>) {
    let sandbox = start_with_faults(&[&format!("any:{rule}:#1")]).await;
    let stream = send_call(&sandbox, Command::AccountDelete, &accounts(&["a", "b", "c"])).await;
    let answer = receive(stream).await;
    assert_eq!(sandbox.report().faults.len(), 1, "{rule}");
    (sandbox, answer)
}

fn was_written(sandbox: &Sandbox) -> bool {
    !sandbox.world().account_exists("b")
}

#[tokio::test]
async fn refusals_and_http_failures_come_before_or_after_the_write() {
    for (rule, written) in [("code=30006", false), ("code-after=30006", true)] {
        let (sandbox, answer) = played(rule).await;
        assert_eq!(answer.unwrap().code(), 30006);
        assert_eq!(was_written(&sandbox), written, "{rule}");
    }
    for (rule, status, written) in [
        ("http=502", "502", false),
        ("http-after=502", "502", true),
        ("http=500", "500", false),
        ("http=429", "429", false),
        ("http=404", "404", false),
        ("http=302", "302", false),
    ] {
        let (sandbox, answer) = played(rule).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.head.contains("content-type: text/html"), "{}", answer.head);
        assert_eq!(answer.head.contains("location:"), status == "302");
        assert_eq!(was_written(&sandbox), written, "{rule}");
    }
}

#[tokio::test]
async fn connections_are_reset_or_closed_before_or_after_the_write() {
    for (rule, written) in [("reset-before", false), ("reset-after", true)] {
        let (sandbox, answer) = played(rule).await;
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(was_written(&sandbox), written, "{rule}");
    }
    for (rule, written) in [("close-before", false), ("close-after", true)] {
        let (sandbox, answer) = played(rule).await;
        let answer = answer.unwrap();
        assert!(answer.head.is_empty() && answer.body.is_empty(), "{answer:?}");
        assert_eq!(was_written(&sandbox), written, "{rule}");
    }
}

#[tokio::test]
async fn silence_holds_the_connection_and_frees_the_accounts() {
    for (rule, codes) in [("silence-before", [0]), ("silence-after", [70107])] {
        let sandbox = start_with_faults(&[&format!("any:{rule}:#1")]).await;
        let mut stream = send_call(&sandbox, Command::AccountDelete, &accounts(&["a"])).await;
        until(&sandbox, |report| report.faults.contains_key(rule)).await;
        let answer = loop {
            let answer = delete_accounts(&sandbox, &["a"]).await;
            if answer.code() != 30008 {
                break answer;
            }
        };
        assert_eq!(answer.item_codes(), codes, "{rule}");
        let nothing = timeout(Duration::from_millis(50), stream.read_u8()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
}

#[tokio::test]
async fn a_slow_call_takes_longer_and_succeeds() {
    let start = Instant::now();
    let (sandbox, answer) = played("slow=60ms").await;
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!(answer.unwrap().item_codes(), [0, 0, 0]);
    assert!(was_written(&sandbox));
}

#[tokio::test]
async fn a_storm_goes_on_until_its_time_or_other_rules() {
    let (sandbox, answer) = played("storm=60011/3600s").await;
    assert_eq!(answer.unwrap().code(), 60011);
    assert_eq!(delete_accounts(&sandbox, &["a"]).await.code(), 60011);
    sandbox.set_faults(vec![]);
    assert_eq!(delete_accounts(&sandbox, &["a"]).await.item_codes(), [0]);
    assert_eq!(sandbox.report().faults["storm=60011/3600000ms"], 2);
}

#[tokio::test]
async fn a_poisoned_id_sinks_its_request_and_no_other() {
    let sandbox = start_with_faults(&["account_delete:poison=70402/bad:1"]).await;
    assert_eq!(delete_accounts(&sandbox, &["a", "bad"]).await.code(), 70402);
    assert_eq!(delete_accounts(&sandbox, &["a"]).await.item_codes(), [0]);
}

#[tokio::test]
async fn answers_are_broken_on_order_and_the_write_is_done() {
    for rule in ["garbage", "truncated", "cut", "huge", "string-code", "object-items"] {
        let (sandbox, answer) = played(rule).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), "200", "{rule}");
        let claimed = answer.head.split("content-length: ").nth(1);
        let claimed = claimed.and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        let text = String::from_utf8_lossy(&answer.body);
        match rule {
            "garbage" => assert!(text.starts_with("<html>")),
            "truncated" => {
                assert!(!answer.body.is_empty());
                assert_eq!(claimed.unwrap() / 2, answer.body.len());
            }
            "cut" => {
                assert_eq!(claimed.unwrap(), answer.body.len());
                assert!(serde_json::from_str::<Value>(&text).is_err());
            }
            "huge" => assert!(answer.body.len() > 2 * 1024 * 1024),
            "string-code" => assert_eq!(answer.json()["ErrorCode"], "0"),
            _ => assert!(answer.json()["ResultItem"].is_object()),
        }
        assert!(was_written(&sandbox), "{rule}");
    }
}

#[tokio::test]
async fn lists_of_items_are_wrong_on_order_and_the_write_is_done() {
    for (rule, ids) in [
        ("missing", vec!["b"]),
        ("duplicate", vec!["a", "a", "b", "c", "c"]),
        ("foreign", vec!["sandbox-foreign", "a", "b", "c"]),
        ("shuffle", vec!["c", "b", "a"]),
    ] {
        let (sandbox, answer) = played(rule).await;
        assert_eq!(answer.unwrap().item_ids("UserID"), ids, "{rule}");
        assert!(was_written(&sandbox), "{rule}");
    }
    let (sandbox, answer) = played("item=70500").await;
    assert_eq!(answer.unwrap().item_codes(), [70500, 0, 70500]);
    let world = sandbox.world();
    assert!(world.account_exists("a") && !world.account_exists("b") && world.account_exists("c"));
}

#[tokio::test]
async fn the_report_is_the_same_over_http() {
    let sandbox = start_with_faults(&["any:item=70500:#1"]).await;
    delete_accounts(&sandbox, &["a", "b"]).await;
    let answer = request(&sandbox, "GET", "/sandbox/report", "").await;
    let report: Report = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(report, sandbox.report());
    assert_eq!((report.items_received, report.items_written), (2, 1));
}

#[tokio::test]
async fn only_loopback_is_served() {
    for addr in ["0.0.0.0:0", "[::]:0"] {
        let refused = Sandbox::start(config(), addr.parse().unwrap()).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    assert!(Sandbox::start(config(), "[::1]:0".parse().unwrap()).await.is_ok());
}

#[tokio::test]
async fn stopping_ends_connections_and_calls() {
    let sandbox = start_with_faults(&["any:slow=3600s:1"]).await;
    let addr = sandbox.addr();
    let stream = send_call(&sandbox, Command::AccountDelete, &accounts(&["a"])).await;
    until(&sandbox, |report| !report.faults.is_empty()).await;
    timeout(DEADLINE, sandbox.stop()).await.expect("stops at once");
    let answer = receive(stream).await.unwrap();
    assert!(answer.head.is_empty());
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn the_journal_tells_what_was_asked_what_was_done_and_what_the_caller_could_read() {
    let faults = ["account_delete:item=70500:#1", "account_delete:reset-after:#2", "account_delete:garbage:#3"];
    let sandbox = start_with_faults(&faults).await;
    delete_accounts(&sandbox, &["a", "b"]).await;
    assert_eq!(sandbox.journal(), [], "it is kept for those who ask for it");
    sandbox.set_faults(rules(&faults));
    sandbox.keep_journal();
    let body = json!({ "DeleteItem": [{ "UserID": "a" }, { "UserID": "c" }] });
    for _ in 0..3 {
        // The second one has no answer.
        let _reset = receive(send_call(&sandbox, Command::AccountDelete, &body).await).await;
    }
    let both = json!({ "From_Account": "d", "DeleteType": "Delete_Type_Both" });
    call(&sandbox, Command::FriendDeleteAll, &both).await;
    let journal = sandbox.journal();
    let items = |codes: [u32; 2]| ResponseRecord::Items(["a", "c"].map(str::to_owned).into_iter().zip(codes).collect());
    let results: Vec<_> = journal.iter().map(|entry| (entry.did.clone(), entry.said.clone())).collect();
    assert_eq!(results[0], (items([70500, 0]), items([70500, 0])));
    assert_eq!(results[1], (items([0, 70107]), ResponseRecord::Nothing), "a is gone, and nobody received the answer");
    assert_eq!(results[2], (items([70107, 70107]), ResponseRecord::Nothing));
    assert_eq!(results[3], (ResponseRecord::Whole(0), ResponseRecord::Whole(0)));
    assert_eq!((journal[0].from.as_deref(), journal[0].both, journal[0].items.len()), (None, false, 2));
    assert_eq!((journal[3].from.as_deref(), journal[3].both, journal[3].items.len()), (Some("d"), true, 1));
    assert!(journal.windows(2).all(|pair| pair[0].arrived < pair[1].arrived));
    assert!(journal.iter().all(|entry| entry.done.is_some_and(|done| entry.arrived < done)));
}

#[tokio::test]
async fn the_journal_knows_a_call_whose_caller_hung_up_while_it_was_at_work() {
    let sandbox = start_with_faults(&["any:slow=200ms:#1"]).await;
    sandbox.keep_journal();
    let stream = send_call(&sandbox, Command::AccountDelete, &json!({ "DeleteItem": [{ "UserID": "a" }] })).await;
    until(&sandbox, |report| report.items_received == 1).await;
    drop(stream);
    until(&sandbox, |report| report.items_written == 1).await;
    while sandbox.journal()[0].done.is_none() {
        tokio::task::yield_now().await;
    }
    let entry = &sandbox.journal()[0];
    assert!(entry.closed < entry.done, "{entry:?}");
    assert_eq!(
        (&entry.did, &entry.said),
        (&ResponseRecord::Items(vec![("a".to_owned(), 0)]), &ResponseRecord::Nothing)
    );
}

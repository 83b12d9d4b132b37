//! Modes that end the run, slow it down, or act before its first request is read. Each has a run of its own.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use super::server::{Ask, Observed, start, start_with};
use super::table::{all, ok};
use super::{LOOKUP_REFUSED, MAX_ANSWER, NOT_A_FRIEND, TIME_OUT, UNNOTICED, job, nice, play};
use imbulk_testkit::Workspace;
use imbulk_testkit::http::response;
use imbulk_testkit::rows::{InputRow, ResultRow, csv, parse, tally};
use imbulk_testkit::scripted_server::{Door, ServerSetup, Step};

/// Rows for this number of accounts, each with this number of friends.
fn pairs(accounts: usize, friends: usize) -> Vec<InputRow> {
    let of = |n| (0..friends).map(move |m| InputRow::pair(&format!("user-{n}"), &format!("friend-{m}")));
    (0..accounts).flat_map(of).collect()
}

fn not_a_friend(ask: &Ask) -> Vec<Step> {
    vec![Step::Write(ok(&all(&ask.to, NOT_A_FRIEND)))]
}

/// Statuses after which, according to the documents, no call of the job can succeed, with their headers.
const HALTING: [(&str, &str); 15] = [
    ("101 Switching Protocols", "Connection: upgrade\r\nUpgrade: websocket\r\n"),
    ("201 Created", ""),
    ("204 No Content", ""),
    ("206 Partial Content", "Content-Range: bytes 0-14/15\r\n"),
    ("300 Multiple Choices", "Location: ELSEWHERE\r\n"),
    ("301 Moved Permanently", "Location: ELSEWHERE\r\n"),
    ("302 Found", "Location: ELSEWHERE\r\n"),
    ("303 See Other", "Location: ELSEWHERE\r\n"),
    ("304 Not Modified", ""),
    ("307 Temporary Redirect", "Location: ELSEWHERE\r\n"),
    ("308 Permanent Redirect", "Location: ELSEWHERE\r\n"),
    ("400 Bad Request", ""),
    ("401 Unauthorized", "WWW-Authenticate: Basic\r\n"),
    ("403 Forbidden", ""),
    ("404 Not Found", ""),
];

#[test]
fn a_status_that_the_api_never_sends_halts_the_run_and_leaves_all_rows_pending() {
    let elsewhere = start(nice);
    std::thread::scope(|scope| {
        for cases in HALTING.chunks(HALTING.len() / 4) {
            let url = elsewhere.url();
            scope
                .spawn(move || cases.iter().for_each(|(status, head)| halts(status, &head.replace("ELSEWHERE", &url))));
        }
    });
    assert_eq!(elsewhere.seen().connections, 0, "a redirect was followed");
}

fn halts(status: &'static str, head: &str) {
    let page = response(status, head, b"{\"ErrorCode\":0,\"ActionStatus\":\"OK\"}");
    let server = start(move |ask| match ask.call {
        0 => vec![Step::Write(page.clone()), Step::Endless(b" ".to_vec())],
        _ => not_a_friend(ask),
    });
    let asked = pairs(30, 2);
    let (workspace, job) = job(&server, 1).rows(&asked).with("limits", "max_in_flight", 1).in_a_workspace();
    workspace.run(&job).expect(4).says(&format!("HTTP status {}", &status[..3]));
    let rows = workspace.results("job");
    assert_eq!(tally(&rows), [("pending", 60)].into(), "{status}");
    assert_eq!(rows.iter().filter(|row| row.attempts > 0).count(), 2, "{status}: nothing is sent after it");
    let seen = Observed::of(&server);
    assert_eq!(seen.calls.values().sum::<usize>(), 1, "{status}");
    assert!(seen.taken.values().all(|taken| *taken <= UNNOTICED), "{status}: its body is read: {:?}", seen.taken);
    // A status that says "accepted" leaves a doubt about its two rows, which the lookups of this server do not settle.
    // After the others, nothing was executed: there is no doubt.
    let (exit, expected) = match &status[..3] {
        "201" | "204" | "206" | "303" => (3, [("already_done", 58), ("in_doubt", 2)].into()),
        _ => (0, [("already_done", 60)].into()),
    };
    workspace.run(&job).expect(exit);
    assert_eq!(tally(&workspace.results("job")), expected, "{status}");
}

#[test]
fn status_429_slows_down_and_costs_neither_an_attempt_nor_a_doubt() {
    let server = start(|ask| match (ask.from.as_str(), ask.nth) {
        ("user-3" | "user-4", 1) => vec![Step::Write(response("429 Too Many Requests", "Retry-After: 86400\r\n", b""))],
        _ => not_a_friend(ask),
    });
    let played = play(&server, &pairs(20, 2), 1);
    assert_eq!(played.output.code, 0, "{:#?}", played.output);
    assert_eq!(tally(&played.rows), [("already_done", 40)].into());
    assert_eq!(played.seen.calls["user-3"], 2);
}

/// One call for each of three accounts, with a body larger than one packet. Returns the number of rows in doubt.
fn meet(door: &Door) -> usize {
    let server =
        start_with(ServerSetup { door: door.clone(), door_times: Some(3), ..ServerSetup::default() }, not_a_friend);
    let played = play(&server, &pairs(3, 1000), 1);
    // A lookup may come through such a door as well.
    let once = |row: &ResultRow| row.attempts == 1 || row.outcome == "in_doubt";
    assert!(played.rows.iter().all(once), "{door:?}: {:?}", tally(&played.rows));
    for (_, waited) in &played.seen.waits {
        assert!(*waited <= TIME_OUT + Duration::from_secs(1) + 2 * played.lag, "{door:?}: {waited:?}");
    }
    let count = |outcome| played.rows.iter().filter(|row| row.outcome == outcome).count();
    let (in_doubt, already_done) = (count("in_doubt"), count("already_done"));
    assert_eq!(in_doubt + already_done, 3000, "{door:?}: {:?}", tally(&played.rows));
    let arrived = played.seen.calls.values().sum::<usize>();
    assert!(arrived <= 3 && arrived * 1000 >= already_done, "{door:?}: {:?}", played.seen.calls);
    in_doubt
}

#[test]
fn a_partly_received_request_is_in_doubt_and_one_without_a_connection_was_not_sent() {
    std::thread::scope(|scope| {
        let in_part = [1, 100, 5000].map(Door::ResetAfter).into_iter().chain([Door::SilentAfter(5000), Door::Silent]);
        for door in in_part {
            scope.spawn(move || assert_eq!(meet(&door), 3000, "{door:?}"));
        }
        // Only the client's kernel knows whether the end of the connection or the first byte came first.
        let early = Door::Early(response("200 OK", "", b"{\"ErrorCode\":0}"));
        for door in [Door::Close, Door::Reset, early] {
            scope.spawn(move || eprintln!("{door:?}: {} of 3000 in doubt", meet(&door)));
        }
    });
}

#[test]
fn a_run_waits_after_refused_connections_and_counts_them_as_not_sent() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("it is bound").port()
    };
    let url = format!("\"http://127.0.0.1:{port}\"");
    let (workspace, job) = imbulk_testkit::JobFile::new("job", imbulk_sandbox::Command::FriendDelete)
        .rows(&pairs(20, 2))
        .with("app", "endpoint", url)
        .with("retry", "max_attempts", 1)
        .in_a_workspace();
    let mut running = workspace.start_run(&job);
    let probing =
        |workspace: &Workspace| workspace.imbulk(&["status", "job", "--json"]).stdout.contains("Connection refused");
    while running.is_alive() && !probing(&workspace) {
        workspace.nap();
    }
    running.signal(Signal::TERM);
    running.wait().expect(5);
    let rows = workspace.results("job");
    assert!(rows.iter().all(|row| row.outcome == "pending" && row.attempts == 0), "{rows:#?}");
    let server = start_with(ServerSetup { port, ..ServerSetup::default() }, not_a_friend);
    workspace.run(&job).expect(0);
    assert!(workspace.results("job").iter().all(|row| row.outcome == "already_done" && row.attempts == 1));
    assert_eq!(server.requests().len(), 20);
}

/// The server closes every third connection at the moment when the next request arrives on it.
#[test]
fn a_connection_that_closes_as_a_request_is_sent_never_repeats_the_request_silently() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let server = start(move |ask| {
        let races = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed).is_multiple_of(3);
        nice(ask).into_iter().chain(races.then_some(Step::CloseOnNext)).collect()
    });
    let played = play(&server, &pairs(400, 1), 10);
    assert_eq!(played.output.code, 0, "{:#?}", played.output);
    let raced = played.rows.iter().filter(|row| row.attempts > 1).count();
    // The number depends on the machine; one would be enough.
    assert!(raced >= 5, "only {raced} met a closing connection");
    for row in &played.rows {
        // The server did not read the calls on these connections, so each arrived once.
        let arrived = played.seen.calls[row.from.as_deref().expect("an account")];
        assert_eq!((row.outcome.as_str(), arrived), ("succeeded", 1), "{row:?}");
    }
    eprintln!("{raced} of 400 met a closing connection");
}

/// Control sequences of a terminal, a line that looks like a message of imbulk, and characters that change the
/// direction of the text.
const NASTY: &str =
    "\u{1b}[2J\u{1b}]0;title\u{7}red\r\nerror: all rows are done\n\u{202e}back\0\u{9b}31m\u{2028}end, \"quoted\"";

fn assert_harmless(what: &str, text: &str) {
    let acts = |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{2028}');
    assert_eq!(text.chars().find(acts), None, "{what}: {text:?}");
    assert!(!text.lines().any(|line| line.starts_with("error: all rows")), "{what}: {text}");
}

#[test]
fn texts_of_the_server_stay_in_their_line_and_are_unchanged_in_the_results() {
    let says = |code: i64, words: &str| {
        let body = json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": words});
        vec![Step::Write(ok(&body))]
    };
    let server = start(move |ask| match ask.from.as_str() {
        "user-0" => says(12345, NASTY),
        "user-1" => vec![Step::Write(ok(&json!({"ErrorCode": NASTY})))],
        "user-2" => vec![Step::Write(ok(&json!({"ErrorCode": 0, "ActionStatus": NASTY})))],
        "user-3" => vec![Step::Write(format!("HTTP/1.1 502 {NASTY}\r\n\r\n").into()), Step::Close],
        "user-4" => vec![Step::Write(format!("{NASTY}\r\n\r\n").into()), Step::Close],
        _ => says(70403, NASTY),
    });
    let (workspace, file) = job(&server, 1).rows(&pairs(5, 2)).in_a_workspace();
    let output = workspace.imbulk(&["run", &file, "--execute", "--yes", "-vv"]).expect(3);
    assert_harmless("the run", &output.stdout);
    assert_harmless("its log", &output.stderr);
    for args in [&["results", "job"][..], &["results", "job", "--format", "jsonl"]] {
        let text = workspace.imbulk(args).expect(0).stdout;
        let rows: Vec<String> = match args.len() {
            2 => parse(&text).into_iter().map(|row: ResultRow| row.reason).collect(),
            _ => text.lines().map(reason_of).collect(),
        };
        assert_eq!(rows.len(), 10);
        assert_eq!(
            rows.iter().filter(|reason| reason.trim_end_matches(LOOKUP_REFUSED) == NASTY).count(),
            2,
            "{args:?}: {rows:?}"
        );
    }
    workspace.write("job.csv", csv(imbulk_sandbox::Command::FriendDelete, &[InputRow::pair("user-9", "friend")]));
    let output = workspace.imbulk(&["run", &file, "--execute", "--yes", "-vv"]).expect(4).says("70403");
    assert_harmless("the run that it ended", &[output.stdout, output.stderr].concat());
    for args in [&["status", "job"][..], &["status"], &["plan", &file]] {
        let output = workspace.imbulk(args);
        assert_harmless(args[0], &[output.stdout, output.stderr].concat());
    }
    assert!(Observed::of(&server).taken.values().all(|taken| *taken <= MAX_ANSWER));
}

fn reason_of(line: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    line["reason"].as_str().expect("text").to_owned()
}

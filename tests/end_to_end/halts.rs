//! Stops before the end of a run, and before its first call.

use std::time::Duration;

use imbulk::api::{SecretKey, sign};
use imbulk_sandbox::Command;

use imbulk_testkit::results_check::{Completion, ResultsCheck};
use imbulk_testkit::rows::{InputRow, csv, operations, plain, tally};
use imbulk_testkit::{ADMIN, APP, JobFile, KEY, PATIENCE, Workspace};

/// A job with one call in flight, so that the calls before a stop are known.
fn one_by_one(operation: Command, rows: usize) -> (Workspace, String, Vec<InputRow>) {
    let asked = plain(operation, rows);
    let (workspace, job) =
        JobFile::new("job", operation).rows(&asked).with("limits", "max_in_flight", 1).in_a_workspace();
    (workspace, job, asked)
}

fn halted_by(operation: Command, code: u32, fault: &str, calls: u64) {
    let (workspace, job, asked) = one_by_one(operation, 700);
    workspace.faults(&[fault]);
    workspace.run(&job).expect(4).says(&code.to_string());
    assert_eq!(workspace.report().calls, calls, "{fault}: nothing is sent after it");
    let results = workspace.results("job");
    let early = ResultsCheck::clean(&workspace, operation, &asked, &results);
    ResultsCheck { completion: Completion::Partial, ..early }.check(&workspace);
    assert!(tally(&results)["pending"] > 100);
    workspace.run(&job).expect(4);
    workspace.faults(&[]);
    let done = workspace.run(&job);
    assert!([0, 3].contains(&done.code), "{done:#?}");
    let results = workspace.results("job");
    ResultsCheck { resends: 3000, ..ResultsCheck::clean(&workspace, operation, &asked, &results) }.check(&workspace);
    assert!(!tally(&results).contains_key("pending"));
}

#[test]
fn a_missing_right_halts_account_delete() {
    halted_by(Command::AccountDelete, 70403, "any:code=70403:#3,4,5,6", 3);
}

#[test]
fn an_app_whose_accounts_cannot_be_deleted_halts_even_if_only_items_say_so() {
    halted_by(Command::AccountDelete, 71000, "account_delete:item=71000:1", 1);
}

#[test]
fn an_identifier_that_is_no_admin_halts_every_operation() {
    for operation in operations() {
        halted_by(operation, 60010, "any:code=60010:1", 1);
    }
}

#[test]
fn a_caller_without_rights_over_friends_halts() {
    halted_by(Command::FriendDelete, 30004, "any:code=30004:1", 1);
    halted_by(Command::FriendUpdate, 30004, "friend_update:item=30004:1", 1);
}

#[test]
fn a_page_of_a_gateway_instead_of_the_api_halts() {
    halted_by(Command::FriendDelete, 403, "any:http=403:1", 1);
}

#[test]
fn more_items_than_max_items_are_not_sent_until_the_guard_is_raised() {
    let asked = plain(Command::AccountDelete, 300);
    let job = |most: u32| JobFile::new("job", Command::AccountDelete).with("guard", "max_items", most);
    let (workspace, file) = job(299).rows(&asked).in_a_workspace();
    workspace.run(&file).expect(4).says("max_items");
    assert_eq!(workspace.report().calls, 0);
    workspace.run(&job(300).write(&workspace)).expect(0);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results).check(&workspace);
}

#[test]
fn an_input_many_times_the_usual_size_is_not_sent() {
    let asked = plain(Command::AccountDelete, 2000);
    let (workspace, job) =
        JobFile::new("job", Command::AccountDelete).with("guard", "max_change", "3.0").in_a_workspace();
    for night in 0..3 {
        workspace.write("job.csv", csv(Command::AccountDelete, &asked[night * 100..][..100]));
        workspace.run(&job).expect(0);
    }
    // A night without items is not among the nights that the next ones are compared with.
    for night in 3..11 {
        workspace.write("job.csv", [csv(Command::AccountDelete, &[]), vec![b'\n'; night]].concat());
        workspace.run(&job).expect(0);
    }
    workspace.write("job.csv", csv(Command::AccountDelete, &asked[300..400]));
    workspace.run(&job).expect(0);
    let calls = workspace.report().calls;
    workspace.write("job.csv", csv(Command::AccountDelete, &asked[400..]));
    workspace.run(&job).expect(4).says("max_change");
    assert_eq!(workspace.report().calls, calls);
}

#[test]
fn the_fuse_halts_a_run_in_which_too_much_fails() {
    let asked = plain(Command::AccountDelete, 3000);
    let job = JobFile::new("job", Command::AccountDelete)
        .rows(&asked)
        .with("limits", "max_in_flight", 1)
        .with("stop", "failed_share", "0.1")
        .with("stop", "after_items", 500);
    let (workspace, job) = job.in_a_workspace();
    workspace.faults(&["account_delete:item=70402:0.2"]);
    workspace.run(&job).expect(4).says("fuse");
    assert_eq!(workspace.report().calls, 5);
    let results = workspace.results("job");
    let early = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    ResultsCheck { completion: Completion::Partial, refusals: &[70402], ..early }.check(&workspace);
}

#[test]
fn at_the_time_of_until_the_session_drains_and_the_next_one_continues() {
    let asked = plain(Command::FriendDeleteAll, 400);
    let (mut workspace, job) = JobFile::new("job", Command::FriendDeleteAll)
        .rows(&asked)
        .with("limits", "calls_per_second", 100)
        .with("stop", "until", "\"06:00\"")
        .in_a_workspace();
    workspace.set_env("TZ", &zone_in_which_it_is(5 * 3600 + 59 * 60 + 58));
    workspace.run(&job).expect(5).says("until");
    let results = workspace.results("job");
    let early = ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results);
    ResultsCheck { completion: Completion::Partial, ..early }.check(&workspace);
    workspace.set_env("TZ", &zone_in_which_it_is(12 * 3600));
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results).check(&workspace);
}

/// A value of `TZ` with which clocks now show this number of seconds after midnight.
pub(crate) fn zone_in_which_it_is(seconds: i64) -> String {
    let utc = imbulk::clock::now().as_second().rem_euclid(86_400);
    // From 12 h behind UTC to 12 h ahead of it. POSIX has the opposite sign.
    let ahead = (seconds - utc + 43_200).rem_euclid(86_400) - 43_200;
    let (sign, off) = if ahead < 0 { ('+', -ahead) } else { ('-', ahead) };
    format!("<HERE>{sign}{:02}:{:02}:{:02}", off / 3600, off / 60 % 60, off % 60)
}

#[test]
fn a_usersig_that_is_refused_once_is_renewed() {
    let (workspace, job, asked) = one_by_one(Command::AccountDelete, 500);
    workspace.faults(&["any:code=70001:#3"]);
    workspace.run(&job).expect(0);
    assert_eq!(workspace.report().calls, 6);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results);
    ResultsCheck { resends: 100, ..case }.check(&workspace);
}

#[test]
fn a_usersig_that_is_always_refused_halts() {
    halted_by(Command::AccountDelete, 70001, "any:code=70001:1", 2);
}

#[test]
fn an_expired_usersig_from_the_environment_halts_with_a_hint() {
    let (mut workspace, job, asked) = one_by_one(Command::AccountDelete, 200);
    let key = SecretKey::new(KEY.to_owned()).expect("a key");
    let identifier = imbulk::domain::request::account::UserId::new(ADMIN).expect("an id");
    let usersig = |from: i64| {
        let from = jiff::Timestamp::from_second(from).expect("a moment");
        let app = APP.try_into().expect("not zero");
        sign(&key, app, &identifier, from, Duration::from_hours(24)).expose().to_owned()
    };
    workspace.unset_env("IMBULK_SECRET_KEY");
    workspace.set_env("IMBULK_USERSIG", &usersig(1_600_000_000));
    workspace.run(&job).expect(4).says("hint:").says("IMBULK_USERSIG");
    workspace.set_env("IMBULK_USERSIG", &usersig(imbulk::clock::now().as_second()));
    workspace.run(&job).expect(0);
    let results = workspace.results("job");
    ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results).check(&workspace);
}

#[test]
fn the_key_of_another_app_halts() {
    let (mut workspace, job, _) = one_by_one(Command::AccountDelete, 200);
    workspace.set_env("IMBULK_SECRET_KEY", "the-key-of-another-app");
    workspace.run(&job).expect(4).says("70009");
    assert_eq!(workspace.report().calls, 1);
}

/// Halts after 3 s in which every call fails and few are repeated. The next run continues when the server works again.
fn halted_by_an_outage(fault: &str, says: &str) {
    let asked = plain(Command::FriendDeleteAll, 400);
    let job = JobFile::new("job", Command::FriendDeleteAll)
        .rows(&asked)
        .with("limits", "calls_per_second", 200)
        .with("limits", "max_in_flight", 20)
        .with("retry", "base_delay", "\"500ms\"")
        .with("retry", "max_delay", "\"2s\"")
        .with("stop", "outage", "\"3s\"");
    let (workspace, job) = job.in_a_workspace();
    workspace.faults(&[fault]);
    let halted = workspace.imbulk(&["run", &job, "--execute", "--yes", "--json"]).expect(4);
    let (calls, stopped) = session(&halted.stdout);
    for word in ["every call failed for ", "probe", says, "hint: ", "stop.outage"] {
        assert!(stopped.contains(word), "no {word:?} in {stopped:?}");
    }
    let results = workspace.results("job");
    assert_eq!(tally(&results)["pending"], 400, "{fault}: nothing fails for it");
    // A row that was sent has attempts, and each is a call.
    let firsts = results.iter().filter(|row| row.attempts > 0).count() as u64;
    let probes =
        stopped.split(", ").find_map(|part| part.split_once(" probe")?.0.parse::<u64>().ok()).expect("a count");
    assert!(firsts < 400 || calls > firsts, "{fault}: {calls} calls of {firsts} rows");
    assert!(calls <= firsts + 500 / 14 + probes, "{fault}: {calls} calls of {firsts} rows, {probes} probes");
    workspace.faults(&[]);
    let done = workspace.run(&job);
    assert!([0, 3].contains(&done.code), "{done:#?}");
    let results = workspace.results("job");
    ResultsCheck { resends: calls, ..ResultsCheck::clean(&workspace, Command::FriendDeleteAll, &asked, &results) }
        .check(&workspace);
}

/// The calls of the job's session, and why it stopped.
fn session(json: &str) -> (u64, String) {
    let summaries: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let calls = summaries[0]["session"]["calls"].as_u64().expect("a number");
    (calls, summaries[0]["stopped"].as_str().expect("it stopped").to_owned())
}

#[test]
fn when_every_call_is_answered_by_a_code_that_passes_few_are_sent_again_and_it_halts() {
    halted_by_an_outage("any:code=30006:1", "code 30006");
}

#[test]
fn when_every_call_meets_a_broken_gateway_few_are_sent_again_and_it_halts() {
    halted_by_an_outage("any:http=502:1", "HTTP status 502");
}

#[test]
fn when_every_connection_is_reset_few_calls_are_sent_again_and_it_halts() {
    halted_by_an_outage("any:reset-before:1", "reset");
}

#[test]
fn when_no_call_is_answered_in_time_few_are_sent_again_and_it_halts() {
    halted_by_an_outage("any:silence-before:1", "time");
}

#[test]
fn an_endpoint_that_cannot_be_reached_halts_and_costs_no_attempt() {
    let asked = plain(Command::FriendDeleteAll, 400);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    let job = JobFile::new("job", Command::FriendDeleteAll).rows(&asked).with("stop", "outage", "\"3s\"");
    let (workspace, job) = job.with("app", "endpoint", format!("\"http://{nobody}\"")).in_a_workspace();
    let halted = workspace.imbulk(&["run", &job, "--execute", "--yes", "--json"]).expect(4);
    let (calls, stopped) = session(&halted.stdout);
    assert!(stopped.contains("the endpoint could not be reached for ") && stopped.contains("hint: "), "{stopped}");
    assert!(calls <= 400 + 500 / 14 + 3, "{calls} calls");
    let results = workspace.results("job");
    assert!(results.iter().all(|row| row.outcome == "pending" && row.attempts == 0), "{results:#?}");
}

#[test]
fn an_outage_that_is_waited_out_costs_no_row() {
    let asked = plain(Command::AccountDelete, 6000);
    let (workspace, job) =
        JobFile::new("job", Command::AccountDelete).rows(&asked).with("stop", "outage", "\"never\"").in_a_workspace();
    workspace.faults(&["any:code=70500:1"]);
    let mut running = workspace.start_run(&job);
    let begun = std::time::Instant::now();
    loop {
        let status = workspace.imbulk(&["status", "job", "--json"]);
        let why = serde_json::from_str::<serde_json::Value>(&status.stdout).unwrap_or_default();
        if why["heartbeat"]["bottleneck"]["text"]
            .as_str()
            .is_some_and(|why| why.contains("every call fails: code 70500"))
        {
            break;
        }
        assert!(running.is_alive() && begun.elapsed() < PATIENCE, "{status:#?}");
        workspace.nap();
    }
    let calls = workspace.report().calls;
    assert!(calls <= 60 + 500 / 14 + 60, "{calls} calls of 60 requests");
    workspace.faults(&[]);
    running.wait().expect(0);
    let results = workspace.results("job");
    let resends = calls * 100;
    ResultsCheck { resends, ..ResultsCheck::clean(&workspace, Command::AccountDelete, &asked, &results) }
        .check(&workspace);
}

//! `run` sends what `plan` shows, in the same order, or it sends nothing.

use std::collections::BTreeSet;

use imbulk_sandbox::{Command, World};
use rustix::process::Signal;
use serde_json::Value;

use imbulk_testkit::rows::{InputRow, csv, plain, tally};
use imbulk_testkit::{JobFile, ProgramOutput, Workspace, WorkspaceSetup};

const OPERATION: Command = Command::FriendDeleteAll;

/// A workspace with 150 rows. A signal has ended their run after some calls.
fn stopped_by(signal: Signal) -> (Workspace, String) {
    let (workspace, job) = slow_job()
        .rows(&plain(OPERATION, 150))
        .on(WorkspaceSetup { latency: std::time::Duration::from_millis(5), ..everybody_exists() });
    let mut running = workspace.start_run(&job);
    workspace.until_calls(10, &mut running);
    running.signal(signal);
    running.wait().expect(5);
    (workspace, job)
}

fn slow_job() -> JobFile {
    JobFile::new("job", OPERATION).with("limits", "calls_per_second", 100).with("limits", "max_in_flight", 4)
}

/// No account is missing, so that every finished run exits with 0.
fn everybody_exists() -> WorkspaceSetup {
    WorkspaceSetup { world: || World::open_with_missing(7, 0.0, 0.0), ..WorkspaceSetup::default() }
}

/// Accounts that are not in the first input.
fn others(count: usize) -> Vec<InputRow> {
    (0..count).map(|n| InputRow::account(&format!("new_{n}"))).collect()
}

fn plan(workspace: &Workspace, job: &str, code: i32) -> Value {
    let output = workspace.imbulk(&["plan", job, "--json"]).expect(code);
    serde_json::from_str::<Value>(&output.stdout).expect("JSON")[0].take()
}

fn plan_id(workspace: &Workspace, job: &str) -> String {
    plan(workspace, job, 0)["plan_id"].as_str().expect("an id").to_owned()
}

fn run_plan(workspace: &Workspace, job: &str, id: &str) -> ProgramOutput {
    workspace.imbulk(&["run", job, "--execute", "--yes", "--plan", id])
}

/// Whether the server has received a call for any of these accounts.
fn received(workspace: &Workspace, asked: &[InputRow]) -> usize {
    workspace.world(|world| asked.iter().filter(|row| world.list_counters(&row.account).received > 0).count())
}

#[test]
fn a_run_that_a_person_ended_is_not_continued_after_the_input_changed() {
    let (workspace, job) = stopped_by(Signal::INT);
    let calls = workspace.report().calls;
    workspace.write("job.csv", csv(OPERATION, &others(3)));
    let shown = plan(&workspace, &job, 4);
    assert_eq!(shown["conditions"]["continues"][0]["ended_by"], "person", "{shown:#}");
    assert_eq!(shown["conditions"]["continues"][0]["same_input"], false);
    workspace.run(&job).expect(4).says("--resume").says("--again");
    assert_eq!(workspace.report().calls, calls);
    assert_eq!(status(&workspace)[0]["state"], "stopped");

    workspace.imbulk(&["run", &job, "--execute", "--yes", "--resume"]).expect(0);
    assert_eq!(received(&workspace, &plain(OPERATION, 150)), 150);
    assert_eq!(received(&workspace, &others(3)), 0, "--resume finishes the older run and nothing else");
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--resume"]).expect(2).says("no unfinished run");
    workspace.run(&job).expect(0);
    assert_eq!(received(&workspace, &others(3)), 3);
}

#[test]
fn again_supersedes_a_run_that_a_person_ended() {
    let (workspace, job) = stopped_by(Signal::INT);
    let before = received(&workspace, &plain(OPERATION, 150));
    workspace.write("job.csv", csv(OPERATION, &others(3)));
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]).expect(0);
    assert_eq!((received(&workspace, &plain(OPERATION, 150)), received(&workspace, &others(3))), (before, 3));
    let states: Vec<Value> = status(&workspace).iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["superseded", "finished"]);
}

#[test]
fn an_unchanged_input_is_continued_whatever_ended_the_run() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (workspace, job) = stopped_by(signal);
        let shown = plan(&workspace, &job, 0);
        assert_eq!(shown["conditions"]["continues"][0]["same_input"], true, "{shown:#}");
        workspace.run(&job).expect(0);
        assert_eq!(received(&workspace, &plain(OPERATION, 150)), 150);
    }
}

#[test]
fn a_plan_names_the_older_run_that_goes_first_and_its_id_covers_both() {
    let (workspace, job) = stopped_by(Signal::TERM);
    workspace.write("job.csv", csv(OPERATION, &others(3)));
    let shown = plan(&workspace, &job, 0);
    let older = &shown["conditions"]["continues"][0];
    let sent = received(&workspace, &plain(OPERATION, 150));
    assert_eq!(older["rows_left"], 150 - sent, "{shown:#}");
    assert_eq!((&older["ended_by"], &shown["rows"]), (&"shutdown".into(), &3.into()));
    // Every request has one row, and the job allows 100 calls per second.
    assert_eq!(older["requests_left"], older["rows_left"], "{shown:#}");
    let left = older["requests_left"].as_u64().expect("a number");
    let takes = std::time::Duration::from_secs_f64(older["at_least_seconds"].as_f64().expect("a number"));
    assert_eq!(takes, std::time::Duration::from_millis(left * 10), "{shown:#}");
    workspace.imbulk(&["plan", &job]).expect(0).says("goes first").says("an older input");
    let id = shown["plan_id"].as_str().expect("an id");
    run_plan(&workspace, &job, id).expect(0);
    assert_eq!((received(&workspace, &plain(OPERATION, 150)), received(&workspace, &others(3))), (150, 3));
    run_plan(&workspace, &job, id).expect(4).says("nothing is left to be sent");
}

#[test]
fn only_the_plan_with_the_id_is_sent_and_what_is_different_is_named() {
    let job = || JobFile::new("job", OPERATION).rows(&others(5)).protecting("somebody\n");
    let (workspace, file) = job().on(everybody_exists());
    let id = plan_id(&workspace, &file);
    assert_eq!(plan_id(&workspace, &file), id, "nothing has changed");
    run_plan(&workspace, &file, "0123456789ab").expect(4).says(&id);

    let refuses = |what: &str| {
        run_plan(&workspace, &file, &id).expect(4).says("nothing is sent").says(what);
        assert_eq!(workspace.report().calls, 0, "{what}");
    };
    workspace.write("job.csv", csv(OPERATION, &others(6)));
    refuses("the input changed");
    workspace.write("job.csv", csv(OPERATION, &others(5)));
    workspace.write("keep.txt", "somebody\nnew_1\n");
    refuses("the protected list changed");
    workspace.write("keep.txt", "somebody\n");
    job().with("limits", "calls_per_second", 7).write(&workspace);
    refuses("limits");
    job().both().write(&workspace);
    refuses("options");
    job().with("app", "sdkappid", 1_400_000_002).write(&workspace);
    refuses("what would be sent now is plan");
    job().write(&workspace);
    run_plan(&workspace, &file, &id).expect(0);
    assert_eq!(received(&workspace, &others(6)), 5);
}

#[test]
fn a_run_that_differs_from_the_last_plan_says_so_and_a_later_one_does_not() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&others(5)).on(everybody_exists());
    workspace.imbulk(&["plan", &job]).expect(0);
    workspace.write("job.csv", csv(OPERATION, &others(6)));
    workspace.imbulk(&["plan", &job]).expect(0).says("since then the input changed");
    workspace.write("job.csv", csv(OPERATION, &others(7)));
    let output = workspace.run(&job).expect(0);
    assert!(output.stderr.contains("not as planned") && output.stderr.contains("the input changed"), "{output:#?}");
    workspace.write("job.csv", csv(OPERATION, &others(8)));
    let output = workspace.run(&job).expect(0);
    assert!(!output.stderr.contains("planned"), "no plan was shown since the last run: {output:#?}");
}

#[test]
fn again_after_a_plan_of_the_finished_input_does_not_call_the_input_changed() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&others(3)).on(everybody_exists());
    workspace.run(&job).expect(0);
    workspace.imbulk(&["plan", &job]).expect(0);
    let again = workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]).expect(0);
    let again = again.says("since then --again requested a new run");
    assert!(!again.stderr.contains("input changed"), "{again:#?}");
}

#[test]
fn a_changed_endpoint_is_not_shown_as_a_change_of_the_jobs_settings() {
    let (mut workspace, job) = JobFile::new("job", OPERATION).rows(&others(3)).in_a_workspace();
    workspace.imbulk(&["plan", &job]).expect(0);
    workspace.set_env("IMBULK_ENDPOINT", "http://127.0.0.1:9");
    let shown = workspace.imbulk(&["plan", &job]).expect(0).says("since then the endpoint changed");
    assert!(!shown.stderr.contains("limits") && !shown.stdout.contains("limits, retries"), "{shown:#?}");
}

#[test]
fn a_limit_is_kept_to_the_item_and_the_rest_is_sent_later() {
    let asked = plain(Command::AccountDelete, 250);
    let (workspace, job) = JobFile::new("job", Command::AccountDelete).rows(&asked).on(everybody_exists());
    let limited = |limit: &str| workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", limit]);
    let mut ended = 0;
    for (limit, code) in [("0", 5), ("7", 5), ("130", 5)] {
        limited(limit).expect(code).says("--limit");
        ended += limit.parse::<usize>().expect("a number");
        let left = tally(&workspace.results("job"))["pending"];
        assert_eq!(250 - left, ended);
        let received = |row: &&InputRow| workspace.world(|world| world.account_counters(&row.account).received > 0);
        assert_eq!(asked.iter().filter(received).count(), ended);
    }
    assert_eq!(status(&workspace)[0]["state"], "stopped");
    limited("113").expect(0);
    assert!(!tally(&workspace.results("job")).contains_key("pending"));
}

#[test]
fn a_planned_run_is_held_until_its_time_has_passed() {
    let (workspace, held) =
        JobFile::new("job", OPERATION).rows(&others(5)).with("guard", "hold", "\"1h\"").on(everybody_exists());
    workspace.run(&held).expect(4).says("guard.hold");
    workspace.imbulk(&["plan", &held]).expect(4).says("guard.hold");
    assert_eq!(workspace.report().calls, 0);
    let short = JobFile::new("job", OPERATION).with("guard", "hold", "\"1ms\"").write(&workspace);
    workspace.nap();
    workspace.nap();
    workspace.run(&short).expect(0);
    assert_eq!(received(&workspace, &others(5)), 5);
}

#[test]
fn a_finished_run_counts_as_it_did_when_it_is_run_again() {
    let (workspace, job) =
        JobFile::new("job", Command::AccountDelete).rows(&plain(Command::AccountDelete, 30)).on(everybody_exists());
    workspace.faults(&["account_delete:item=70402:#1"]);
    workspace.run(&job).expect(3);
    let calls = workspace.report().calls;
    workspace.run(&job).expect(3).says("finished");
    assert_eq!(workspace.report().calls, calls);
}

#[test]
fn the_plan_is_for_the_app_that_the_environment_names() {
    let (mut workspace, job) = JobFile::new("job", OPERATION).rows(&others(5)).on(everybody_exists());
    workspace.set_env("IMBULK_SDKAPPID", "1400000009");
    let shown = plan(&workspace, &job, 0);
    let app = &shown["conditions"]["target"]["sdkappid"];
    assert_eq!((&app["value"], &app["source"]), (&"1400000009".into(), &"IMBULK_SDKAPPID".into()));
    assert_eq!(shown["conditions"]["target"]["admin"]["source"], "job.toml");
    workspace.unset_env("IMBULK_SECRET_KEY");
    let refusals = plan(&workspace, &job, 4)["conditions"]["refusals"].to_string();
    assert!(refusals.contains("no credentials"), "{refusals}");
}

#[test]
fn a_person_sees_the_plan_and_types_the_sdkappid_before_anything_is_sent() {
    let (workspace, job) =
        JobFile::new("job", OPERATION).rows(&others(5)).protecting("somebody\n").on(everybody_exists());
    workspace.imbulk(&["plan", &job]).expect(0);
    let refused = workspace.at_a_terminal(&["run", &job, "--execute"], "1400000002\n").expect(2);
    assert_eq!(workspace.report().calls, 0);
    for shown in [
        "friend_delete_all",
        "rows           5",
        "job.csv  5 rows",
        "endpoint",
        "admin          administrator",
        "takes",
        "2 ids",
        "last plan",
    ] {
        assert!(refused.stdout.contains(shown), "{shown}: {}", refused.stdout);
    }
    assert!(!refused.stdout.contains("--yes"), "no way around the question: {}", refused.stdout);
    let args = ["-v", "run", &job, "--execute", "--log-file", "night.log"];
    workspace.at_a_terminal(&args, "1400000001\n").expect(0);
    assert_eq!(received(&workspace, &others(5)), 5);
    let log = std::fs::read_to_string(workspace.path("night.log")).expect("a log");
    let checked: Vec<&str> = log.lines().filter(|line| line.contains("event=guard ")).collect();
    let guards: BTreeSet<&str> = checked.iter().filter_map(|line| line.split("guard=").nth(1)).collect();
    assert!(!guards.is_empty() && guards.len() == checked.len(), "each guard is logged once: {checked:#?}");
}

#[test]
fn standard_input_that_was_planned_before_is_read_once_for_the_question_and_the_run() {
    let job = JobFile::new("job", OPERATION).rows(&others(5)).with("input", "path", "\"-\"");
    let (workspace, job) = job.on(everybody_exists());
    workspace.imbulk_reading(&["plan", &job], &csv(OPERATION, &others(5))).expect(0);
    workspace.write("job.csv", csv(OPERATION, &others(5)));
    let output = workspace.at_a_terminal(&["run", &job, "--execute", "<", "job.csv"], "1400000001\n").expect(0);
    assert!(output.stdout.contains("rows           5"), "{}", output.stdout);
    assert_eq!(received(&workspace, &others(5)), 5);
}

#[test]
fn a_person_sees_the_older_run_and_the_current_input_in_one_question() {
    let (workspace, job) = stopped_by(Signal::TERM);
    workspace.write("job.csv", csv(OPERATION, &others(3)));
    let output = workspace.at_a_terminal(&["run", &job, "--execute"], "1400000001\n").expect(0);
    assert!(output.stdout.contains("goes first") && output.stdout.contains("rows           3"), "{}", output.stdout);
    assert_eq!((received(&workspace, &plain(OPERATION, 150)), received(&workspace, &others(3))), (150, 3));
}

/// The question removes ids that were protected since. The rounds after it meet the runs that it showed.
#[test]
fn a_confirmed_plan_of_several_older_runs_is_sent_although_the_protected_list_grew() {
    let first: Vec<_> = (0..20).map(|n| InputRow::account(&format!("first_{n}"))).collect();
    let (workspace, job) = slow_job().rows(&first).protecting("somebody\n").on(everybody_exists());
    workspace.faults(&["any:poison=70402/first_0:1"]);
    workspace.run(&job).expect(3);
    let run = status(&workspace)[0]["run"].as_str().expect("an id").to_owned();
    workspace.write("job.csv", csv(OPERATION, &others(30)));
    workspace.faults(&["any:slow=3s:1"]);
    let mut running = workspace.start_run(&job);
    workspace.until_calls(workspace.report().calls + 1, &mut running);
    running.signal(Signal::TERM);
    running.wait().expect(5);
    workspace.imbulk(&["retry", &run]).expect(0);
    workspace.faults(&[]);
    workspace.write("job.csv", csv(OPERATION, &plain(OPERATION, 5)));
    workspace.write("keep.txt", "somebody\nnew_29\n");
    let output = workspace.at_a_terminal(&["run", &job, "--execute"], "1400000001\n").expect(0);
    assert!(output.stdout.matches("goes first").count() == 2, "{}", output.stdout);
    let other = others(30);
    assert_eq!(received(&workspace, &other[29..]), 0, "protected since");
    assert_eq!((received(&workspace, &other[..29]), received(&workspace, &plain(OPERATION, 5))), (29, 5));
}

#[test]
fn the_report_names_the_plan_that_was_shown_although_another_job_has_nothing_to_send() {
    let (workspace, done) = JobFile::new("done", OPERATION).rows(&plain(OPERATION, 3)).on(everybody_exists());
    workspace.run(&done).expect(0);
    let job = JobFile::new("job", OPERATION).rows(&others(5)).write(&workspace);
    let shown = workspace.imbulk(&["plan", &done, &job, "--json"]).expect(0).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    workspace.at_a_terminal(&["run", &done, &job, "--execute"], "1400000001\n").expect(0);
    workspace.imbulk(&["report", "job", "--output", "report.json"]).expect(0);
    let report = std::fs::read(workspace.path("report.json")).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert!(shown[1]["plan_id"].is_string(), "{shown:#}");
    assert_eq!(report["sessions"][0]["plan"], shown[1]["plan_id"]);
}

#[test]
fn again_at_a_terminal_begins_the_new_run_in_place_of_the_unfinished_one() {
    let (workspace, job) = stopped_by(Signal::TERM);
    let again = ["run", &job, "--execute", "--again"];
    let output = workspace.at_a_terminal(&again, "1400000002\n").expect(2);
    assert!(output.stdout.contains("is given up"), "{}", output.stdout);
    workspace.at_a_terminal(&again, "1400000001\n").expect(0);
    let states: Vec<Value> = status(&workspace).iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["superseded", "finished"]);
}

#[test]
fn an_again_that_was_declined_sends_nothing_later() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&others(5)).on(everybody_exists());
    workspace.run(&job).expect(0);
    workspace.at_a_terminal(&["run", &job, "--execute", "--again"], "no\n").expect(2);
    let calls = workspace.report().calls;
    workspace.imbulk(&["plan", &job]).expect(0).says("this input is finished");
    workspace.run(&job).expect(0).says("finished");
    assert_eq!(workspace.report().calls, calls);
}

#[test]
fn two_presses_of_ctrl_c_require_a_decision_as_well() {
    let (workspace, job) = slow_job().rows(&plain(OPERATION, 150)).on(everybody_exists());
    workspace.faults(&["any:silence-after:#5"]);
    let mut running = workspace.start_run(&job);
    workspace.until_calls(5, &mut running);
    running.signal(Signal::INT);
    // The call without a response delays the end. The cause is recorded before it.
    while status(&workspace)[0]["state"] != "stopped" {
        assert!(running.is_alive(), "the call is not answered");
    }
    running.signal(Signal::INT);
    running.wait().expect(5).says("interrupted twice");
    workspace.faults(&[]);
    let calls = workspace.report().calls;
    workspace.write("job.csv", csv(OPERATION, &others(3)));
    workspace.run(&job).expect(4).says("Ctrl-C");
    assert_eq!(workspace.report().calls, calls);
}

#[test]
fn requests_that_were_in_flight_at_a_kill_count_against_a_limit() {
    let (workspace, job) = slow_job()
        .rows(&plain(OPERATION, 150))
        .on(WorkspaceSetup { latency: std::time::Duration::from_millis(5), ..everybody_exists() });
    let mut running = workspace.start_run(&job);
    workspace.until_calls(10, &mut running);
    running.kill();
    let calls = workspace.report().calls;
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--limit", "2"]).expect(5);
    assert_eq!(workspace.report().calls, calls + 2);
    workspace.run(&job).expect(0);
    assert_eq!(received(&workspace, &plain(OPERATION, 150)), 150);
}

#[test]
fn a_plan_checks_the_guards_for_the_older_run_too() {
    let (workspace, _) = stopped_by(Signal::TERM);
    workspace.write("job.csv", csv(OPERATION, &others(3)));
    let job = slow_job().with("guard", "max_items", 100).write(&workspace);
    let calls = workspace.report().calls;
    workspace.imbulk(&["plan", &job]).expect(4).says("guard.max_items");
    workspace.run(&job).expect(4).says("guard.max_items");
    assert_eq!(workspace.report().calls, calls);
}

#[test]
fn a_plan_says_that_the_older_run_is_finished_and_the_current_input_then_refused() {
    let (workspace, _) = stopped_by(Signal::TERM);
    workspace.write("job.csv", csv(OPERATION, &others(3)));
    let job = slow_job().with("guard", "min_items", 10).write(&workspace);
    let shown = workspace.imbulk(&["plan", &job]).expect(4);
    assert!(shown.stdout.contains("then refused: ") && shown.stdout.contains("would finish"), "{}", shown.stdout);
    // The same guards check the older run.
    workspace.run(&job).expect(4).says("guard.min_items");
    assert_eq!((received(&workspace, &plain(OPERATION, 150)), received(&workspace, &others(3))), (150, 0));
}

#[test]
fn a_run_that_a_person_ended_is_not_continued_after_the_job_changed() {
    let (workspace, job) = stopped_by(Signal::INT);
    let calls = workspace.report().calls;
    slow_job().with("limits", "calls_per_second", 90).write(&workspace);
    workspace.imbulk(&["plan", &job]).expect(4).says("the input or the job changed");
    workspace.run(&job).expect(4).says("--resume");
    assert_eq!(workspace.report().calls, calls);
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--resume"]).expect(0);
    assert_eq!(received(&workspace, &plain(OPERATION, 150)), 150);
}

#[test]
fn a_new_queue_is_announced_with_its_full_path() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&others(5)).on(everybody_exists());
    let path = workspace.folder().canonicalize().expect("it is there").join("imbulk.db");
    let first = workspace.imbulk(&["plan", &job]).expect(0);
    assert!(first.stderr.contains(&format!("created the queue {}", path.display())), "{}", first.stderr);
    let second = workspace.imbulk(&["plan", &job]).expect(0);
    assert!(!second.stderr.contains("created"), "{}", second.stderr);
}

#[test]
fn a_run_that_the_fuse_halted_is_not_continued_after_the_input_changed() {
    let (workspace, job) = slow_job()
        .rows(&plain(OPERATION, 150))
        .with("stop", "failed_share", 0.5)
        .with("stop", "after_items", 10)
        .on(everybody_exists());
    workspace.faults(&["friend_delete_all:code=30002:1"]);
    workspace.run(&job).expect(4).says("fuse");
    workspace.faults(&[]);
    let calls = workspace.report().calls;
    workspace.write("job.csv", csv(OPERATION, &others(3)));
    let shown = plan(&workspace, &job, 4);
    assert_eq!(shown["conditions"]["continues"][0]["ended_by"], "guard", "{shown:#}");
    workspace.run(&job).expect(4).says("a guard ended run");
    assert_eq!(workspace.report().calls, calls);
    assert_eq!(status(&workspace)[0]["state"], "halted");
    workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]).expect(0);
}

#[test]
fn a_key_file_is_enough_to_sign_with_and_is_refused_where_others_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (mut workspace, job) = JobFile::new("job", OPERATION).rows(&others(3)).on(everybody_exists());
    workspace.write("key", imbulk_testkit::KEY);
    let path = workspace.path("key").display().to_string();
    let chmod = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a file of ours");
    chmod(0o644);
    workspace.unset_env("IMBULK_SECRET_KEY");
    workspace.set_env("IMBULK_SECRET_KEY_FILE", &path);
    workspace.run(&job).expect(2).says("IMBULK_SECRET_KEY_FILE").says("chmod 600");
    chmod(0o600);
    let shown = plan(&workspace, &job, 0);
    assert_eq!(shown["conditions"]["target"]["credentials"]["source"], "IMBULK_SECRET_KEY_FILE");
    workspace.run(&job).expect(0);
    workspace.imbulk(&["results", "job", "--output", "key"]).expect(2).says("the file with the secret key");
    assert_eq!(std::fs::read_to_string(&path).expect("a file of ours"), imbulk_testkit::KEY);
}

fn status(workspace: &Workspace) -> Vec<Value> {
    let output = workspace.imbulk(&["status", "--json"]).expect(0);
    let status: Value = serde_json::from_str(&output.stdout).expect("JSON");
    status["runs"].as_array().expect("runs").clone()
}

//! `imbulk ctl`: a run is controlled from another terminal, in every state that it can be in.

use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command};

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, PROTECTED, csv, plain};
use imbulk_testkit::{JobFile, ProgramOutput, RunningProgram, Workspace, WorkspaceSetup};

const OPERATION: Command = Command::FriendDeleteAll;
const CAP: u32 = 200;

/// A job of this number of rows at the published rate. Calls take 10 to 20 ms.
fn prepared(rows: usize) -> (Workspace, Vec<InputRow>) {
    let caps = Caps::default().with_app(CAP).with(OPERATION, CAP);
    let workspace =
        Workspace::with(WorkspaceSetup { caps, latency: Duration::from_millis(10), ..WorkspaceSetup::default() });
    let asked = plain(OPERATION, rows);
    workspace.write("job.csv", csv(OPERATION, &asked));
    workspace.write("keep.txt", PROTECTED);
    job("job").write(&workspace);
    (workspace, asked)
}

fn job(name: &str) -> JobFile {
    JobFile::new(name, OPERATION)
        .with("limits", "calls_per_second", CAP)
        .with("limits", "app_calls_per_second", CAP)
        .with("retry", "max_attempts", 40)
        .with("guard", "protected", "\"keep.txt\"")
}

fn start(workspace: &Workspace) -> RunningProgram {
    workspace.start(&["run", "job.toml", "--execute", "--yes"], b"")
}

/// Runs `imbulk ctl job …`, which answers within a second, apart from the time that a busy machine needs to start it.
fn ctl(workspace: &Workspace, instruction: &str) -> ProgramOutput {
    let begun = Instant::now();
    let output = workspace.imbulk(&[&["ctl", "job"], &instruction.split(' ').collect::<Vec<_>>()[..]].concat());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    output
}

#[test]
fn a_verification_is_paused_slowed_down_resumed_and_drained() {
    let (workspace, asked) = prepared(800);
    start(&workspace).wait().expect(0);
    let sent = workspace.report().calls;
    let mut running = workspace.start(&["verify", "job"], b"");
    workspace.until_calls(sent + 20, &mut running);
    let paused = ctl(&workspace, "pause").expect(0).says("job: paused: no new calls;");
    let in_flight = if paused.stdout.contains("no call is") { 0 } else { number_after(&paused.stdout, "; ") };
    assert_no_call_begins(&workspace, in_flight);
    ctl(&workspace, "rate 201").expect(2).says("at most 200 calls/s");
    ctl(&workspace, "rate 100").expect(0).says("200 calls/s → 100 calls/s");
    ctl(&workspace, "resume").expect(0).says("calls begin again");
    let calls = workspace.report().calls;
    workspace.until_calls(calls + 10, &mut running);
    ctl(&workspace, "drain").expect(0).says("draining: no new calls");
    running.wait().expect(5).says("drained, as ");
    assert!(workspace.report().calls < sent + 800, "it was over before it was drained");
    // The next one continues, at the rate of the run again.
    workspace.imbulk(&["verify", "job"]).expect(0).says("continues the verification").says("at most 200 calls/s");
    assert_eq!(workspace.report().calls, sent + asked.len() as u64, "no row is looked up twice");
    ctl(&workspace, "pause").expect(2).says("is finished");
}

/// The number before a word.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split_once(word).map(|(before, _)| before.trim_end()).expect(text);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).expect(text)
}

/// The number after a mark.
fn number_after(text: &str, mark: &str) -> u64 {
    let after = text.split_once(mark).map(|(_, after)| after).expect(text);
    after.split(' ').next().and_then(|number| number.parse().ok()).expect(text)
}

/// Fails if more than `in_flight` calls begin after an answer, within half a second and more.
fn assert_no_call_begins(workspace: &Workspace, in_flight: u64) {
    let before = workspace.report().calls;
    for _ in 0..500 {
        workspace.nap();
    }
    let begun = workspace.report().calls - before;
    assert!(begun <= in_flight, "{begun} calls arrived after the pause, with {in_flight} in flight");
}

fn check(workspace: &Workspace, asked: &[InputRow]) {
    let results = workspace.results("job");
    ResultsCheck::clean(workspace, OPERATION, asked, &results).check(workspace);
}

#[test]
fn a_run_at_200_calls_per_second_is_paused_resumed_slowed_down_and_drained() {
    let (workspace, asked) = prepared(1_500);
    let mut running = start(&workspace);
    workspace.until_calls(50, &mut running);
    let paused = ctl(&workspace, "pause").expect(0).says("job: paused: no new calls;");
    let in_flight = if paused.stdout.contains("no call is") { 0 } else { number_after(&paused.stdout, "; ") };
    assert_no_call_begins(&workspace, in_flight);
    ctl(&workspace, "pause").expect(0).says("it was paused before");
    workspace.imbulk(&["status", "job"]).expect(0).says("`imbulk ctl job resume` ends the pause");
    ctl(&workspace, "resume").expect(0).says("calls begin again");
    ctl(&workspace, "resume").expect(0).says("it was not paused");
    let calls = workspace.report().calls;
    workspace.until_calls(calls + 20, &mut running);
    ctl(&workspace, "rate 201").expect(2).says("limits.calls_per_second of the job allows at most 200 calls/s");
    ctl(&workspace, "rate 20").expect(0).says("200 calls/s → 20 calls/s");
    ctl(&workspace, "drain").expect(0).says("draining: no new calls");
    running.wait().expect(5).says("drained, as ").says("job: rate 20, as ");
    // The rate belongs to the run.
    let mut running = start(&workspace);
    let calls = workspace.report().calls;
    workspace.until_calls(calls + 5, &mut running);
    ctl(&workspace, "rate 200").expect(0).says("20 calls/s → 200 calls/s");
    running.wait().expect(0);
    check(&workspace, &asked);
    ctl(&workspace, "pause").expect(2).says("is finished");
}

#[test]
fn a_pause_during_an_outage_holds_and_the_run_goes_on_when_the_server_works_again() {
    let (workspace, asked) = prepared(300);
    workspace.faults(&["any:http=503:1"]);
    let mut running = start(&workspace);
    workspace.until_calls(40, &mut running);
    ctl(&workspace, "pause").expect(0).says("job: paused");
    let calls = workspace.report().calls;
    workspace.faults(&[]);
    assert_no_call_begins(&workspace, CAP.into());
    assert!(workspace.report().calls < calls + 100, "the pause holds");
    ctl(&workspace, "resume").expect(0).says("calls begin again");
    running.wait().expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, OPERATION, &asked, &results);
    ResultsCheck { resends: u64::MAX, ..case }.check(&workspace);
}

#[test]
fn a_pause_outlives_a_kill_and_a_new_process_sends_nothing_until_resume() {
    let (workspace, asked) = prepared(400);
    let mut running = start(&workspace);
    workspace.until_calls(50, &mut running);
    ctl(&workspace, "pause").expect(0).says("job: paused");
    running.kill();
    let calls = workspace.report().calls;
    let plan = workspace.imbulk(&["plan", "job.toml"]).expect(0).says("sends nothing until `imbulk ctl job resume`");
    assert!(plan.stdout.contains("\ncontrol        run "), "{}", plan.stdout);
    workspace.run("job.toml").expect(5).says("paused by").says("hint: `imbulk ctl job resume`, then run again");
    assert_eq!(workspace.report().calls, calls);
    ctl(&workspace, "resume")
        .expect(0)
        .says("no process is sending this run: it is not paused for the next `imbulk run`");
    workspace.run("job.toml").expect(0);
    let results = workspace.results("job");
    let case = ResultsCheck::clean(&workspace, OPERATION, &asked, &results);
    ResultsCheck { resends: u64::from(CAP), ..case }.check(&workspace);
    assert!(!workspace.path("imbulk.db-control").exists(), "the owner has removed it");
}

#[test]
fn instructions_from_several_terminals_at_once_are_each_applied_once() {
    let (workspace, _) = prepared(3_000);
    let all = |rates: std::ops::Range<u32>| {
        let rates = rates.map(|rate| workspace.start(&["ctl", "job", "rate", &rate.to_string()], b""));
        rates.collect::<Vec<_>>().into_iter().map(|running| running.wait().expect(0)).collect::<Vec<_>>()
    };
    let mut running = start(&workspace);
    workspace.until_calls(50, &mut running);
    let answers = all(10..16);
    // Each rate is set once, and each answer names the rate before it.
    let mut before: Vec<u64> = answers.iter().map(|answer| number_before(&answer.stdout, "calls/s →")).collect();
    let last = number_before(&ctl(&workspace, "rate 200").expect(0).stdout, "calls/s →");
    before.push(last);
    before.sort_unstable();
    assert_eq!(before, [10, 11, 12, 13, 14, 15, 200]);
    ctl(&workspace, "drain").expect(0);
    running.wait().expect(5);
    for answer in all(20..26) {
        assert!(answer.stdout.contains("no process is sending this run"), "{answer:#?}");
    }
}

#[test]
fn an_instruction_while_the_first_input_is_read_takes_effect_before_the_first_call() {
    let (workspace, asked) = prepared(50);
    job("job").with("input", "path", "\"-\"").write(&workspace);
    workspace.write("reading", "");
    let script = "(cat job.csv; while test -e reading; do sleep 0.02; done) | \"$0\" \"$@\"";
    let running = workspace.start_under(&["sh", "-c", script], &["run", "job.toml", "--execute", "--yes"], b"");
    let begun = Instant::now();
    while !workspace.path("imbulk.db").exists() && begun.elapsed() < Duration::from_secs(30) {
        workspace.nap();
    }
    let answer = |output: &ProgramOutput| output.stdout.contains("takes effect before the first call of the run");
    let mut output = ctl(&workspace, "pause");
    // The process that creates the file takes a moment until it owns the queue.
    while !answer(&output) && begun.elapsed() < Duration::from_secs(30) {
        output = ctl(&workspace, "pause");
    }
    assert!(answer(&output.expect(0)));
    std::fs::remove_file(workspace.path("reading")).expect("it was written");
    // The process answers once it has loaded its input.
    while !ctl(&workspace, "pause").stdout.contains("it was paused before") && begun.elapsed() < Duration::from_mins(1)
    {
    }
    assert_no_call_begins(&workspace, 0);
    assert_eq!(workspace.report().calls, 0);
    ctl(&workspace, "resume").expect(0).says("calls begin again");
    running.wait().expect(0);
    check(&workspace, &asked);
}

#[test]
fn a_run_that_is_being_loaded_is_found_by_the_name_of_its_job() {
    let (workspace, _) = prepared(1);
    workspace.run("job.toml").expect(0);
    workspace.write("large.csv", csv(OPERATION, &plain(OPERATION, 150_000)));
    job("large").write(&workspace);
    let mut running = workspace.start(&["run", "large.toml", "--execute", "--yes"], b"");
    let calls = workspace.report().calls;
    let mut pause = workspace.imbulk(&["ctl", "large", "pause"]);
    while pause.code == 2 && running.is_alive() {
        pause = workspace.imbulk(&["ctl", "large", "pause"]);
    }
    pause.expect(0).says("of job large on").says(": loading");
    while running.is_alive() && !workspace.imbulk(&["ctl", "large", "pause"]).stdout.contains("it was paused before") {}
    assert_eq!(workspace.report().calls, calls, "the pause came before the first call");
    workspace.imbulk(&["ctl", "large", "drain"]).expect(0).says("no call is in flight");
    running.wait().expect(5);
}

#[test]
fn a_user_who_may_not_write_the_queue_may_not_control_its_runs() {
    use std::os::unix::fs::PermissionsExt;
    let (workspace, _) = prepared(5);
    workspace.imbulk(&["plan", "job.toml"]).expect(0);
    // As after a process that ended before SQLite had removed it.
    let wal = workspace.path("imbulk.db-wal");
    std::fs::write(&wal, "").expect("a file");
    for (path, mode) in [(workspace.folder().to_owned(), 0o755), (workspace.path("imbulk.db"), 0o444), (wal, 0o600)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("an own file");
    }
    // The permissions of a file mean nothing to root.
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let wrapper = if rustix::process::geteuid().is_root() { &nobody[..] } else { &[] };
    let output = workspace.start_under(wrapper, &["ctl", "job", "pause"], b"").wait();
    output.expect(2).says("this user may not write the queue, and so not control its runs");
    assert!(!workspace.path("imbulk.db-control").exists());
}

/// Jobs of the same operation share its limit.
#[test]
fn a_shared_limit_rises_when_the_job_that_kept_it_low_has_ended() {
    const LOW: u32 = 5;
    let (workspace, _) = prepared(5);
    let others: Vec<InputRow> = (0..100).map(|n| InputRow::account(&format!("other_{n}"))).collect();
    job("other").rows(&others).write(&workspace);
    job("job").with("", "priority", 1).with("limits", "calls_per_second", LOW).write(&workspace);
    workspace.imbulk(&["run", "job.toml", "other.toml", "--execute", "--yes"]).expect(0);
    let worst = workspace.report().worst_second;
    assert!(worst > 2 * LOW as usize, "at most {worst} calls in a second");
}

#[test]
fn only_rate_takes_a_number() {
    let (workspace, _) = prepared(5);
    workspace.imbulk(&["plan", "job.toml"]).expect(0);
    ctl(&workspace, "rate").expect(2);
    ctl(&workspace, "rate 0").expect(2);
    ctl(&workspace, "pause 3").expect(2).says("only `rate` takes a number");
    ctl(&workspace, "rate 3").expect(0).says("the next `imbulk run` sends at most 3 calls/s");
    let plan = workspace.imbulk(&["plan", "job.toml"]).expect(0).says("at most 3 calls/s, set with `imbulk ctl`");
    assert!(plan.stdout.contains(": 3 calls/s"), "{}", plan.stdout);
}

#[test]
fn a_rate_above_the_limit_of_the_job_file_is_refused_although_no_process_sends_the_run() {
    let (workspace, _) = prepared(5);
    let limited = job("job").with("limits", "calls_per_second", 50).write(&workspace);
    workspace.imbulk(&["plan", &limited]).expect(0);
    ctl(&workspace, "rate 51").expect(2).says("allows at most 50 calls/s").says("hint: name a rate from 1 to 50");
    ctl(&workspace, "rate 50").expect(0).says("at most 50 calls/s");
    // Without the job file only the published cap is known.
    std::fs::remove_file(workspace.path("job.toml")).expect("it is there");
    ctl(&workspace, "rate 200").expect(0).says("never more than the job allows");
    ctl(&workspace, "rate 201")
        .expect(2)
        .says("the published cap of friend_delete_all is 200 calls/s")
        .says("hint: name a rate");
}

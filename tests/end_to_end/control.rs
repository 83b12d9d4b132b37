//! `imbulk ctl`: a run is controlled from another terminal, in every state that it can be in.

use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command};

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, PROTECTED, csv, plain};
use imbulk_testkit::{Bench, BenchSetup, JobFile, ProgramOutput, RunningProgram};

const OPERATION: Command = Command::FriendDeleteAll;
const CAP: u32 = 200;

/// A job of this number of rows at the published rate. Calls take 10 to 20 ms.
fn prepared(rows: usize) -> (Bench, Vec<InputRow>) {
    let caps = Caps::default().with_app(CAP).with(OPERATION, CAP);
    let bench = Bench::with(BenchSetup { caps, latency: Duration::from_millis(10), ..BenchSetup::default() });
    let asked = plain(OPERATION, rows);
    bench.write("job.csv", csv(OPERATION, &asked));
    bench.write("keep.txt", PROTECTED);
    job("job").write(&bench);
    (bench, asked)
}

fn job(name: &str) -> JobFile {
    JobFile::new(name, OPERATION)
        .with("limits", "calls_per_second", CAP)
        .with("limits", "app_calls_per_second", CAP)
        .with("retry", "max_attempts", 40)
        .with("guard", "protected", "\"keep.txt\"")
}

fn start(bench: &Bench) -> RunningProgram {
    bench.start(&["run", "job.toml", "--execute", "--yes"], b"")
}

/// Runs `imbulk ctl job …`, which answers within a second, apart from the time that a busy machine needs to start it.
fn ctl(bench: &Bench, instruction: &str) -> ProgramOutput {
    let begun = Instant::now();
    let output = bench.imbulk(&[&["ctl", "job"], &instruction.split(' ').collect::<Vec<_>>()[..]].concat());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    output
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
fn assert_no_call_begins(bench: &Bench, in_flight: u64) {
    let before = bench.report().calls;
    for _ in 0..500 {
        bench.nap();
    }
    let begun = bench.report().calls - before;
    assert!(begun <= in_flight, "{begun} calls arrived after the pause, with {in_flight} in flight");
}

fn check(bench: &Bench, asked: &[InputRow]) {
    let results = bench.results("job");
    ResultsCheck::clean(bench, OPERATION, asked, &results).check(bench);
}

#[test]
fn a_run_at_200_calls_per_second_is_paused_resumed_slowed_down_and_drained() {
    let (bench, asked) = prepared(1_500);
    let mut running = start(&bench);
    bench.until_calls(50, &mut running);
    let paused = ctl(&bench, "pause").expect(0).says("job: paused: no new calls;");
    let in_flight = if paused.stdout.contains("no call is") { 0 } else { number_after(&paused.stdout, "; ") };
    assert_no_call_begins(&bench, in_flight);
    ctl(&bench, "pause").expect(0).says("it was paused before");
    bench.imbulk(&["status", "job"]).expect(0).says("`imbulk ctl job resume` ends the pause");
    ctl(&bench, "resume").expect(0).says("calls begin again");
    ctl(&bench, "resume").expect(0).says("it was not paused");
    let calls = bench.report().calls;
    bench.until_calls(calls + 20, &mut running);
    ctl(&bench, "rate 201").expect(2).says("limits.calls_per_second of the job allows at most 200 calls/s");
    ctl(&bench, "rate 20").expect(0).says("200 calls/s → 20 calls/s");
    ctl(&bench, "drain").expect(0).says("draining: no new calls");
    running.wait().expect(5).says("drained, as ").says("job: rate 20, as ");
    // The rate belongs to the run.
    let mut running = start(&bench);
    let calls = bench.report().calls;
    bench.until_calls(calls + 5, &mut running);
    ctl(&bench, "rate 200").expect(0).says("20 calls/s → 200 calls/s");
    running.wait().expect(0);
    check(&bench, &asked);
    ctl(&bench, "pause").expect(2).says("is finished");
}

#[test]
fn a_pause_during_an_outage_holds_and_the_run_goes_on_when_the_server_works_again() {
    let (bench, asked) = prepared(300);
    bench.faults(&["any:http=503:1"]);
    let mut running = start(&bench);
    bench.until_calls(40, &mut running);
    ctl(&bench, "pause").expect(0).says("job: paused");
    let calls = bench.report().calls;
    bench.faults(&[]);
    assert_no_call_begins(&bench, CAP.into());
    assert!(bench.report().calls < calls + 100, "the pause holds");
    ctl(&bench, "resume").expect(0).says("calls begin again");
    running.wait().expect(0);
    let results = bench.results("job");
    let case = ResultsCheck::clean(&bench, OPERATION, &asked, &results);
    ResultsCheck { resends: u64::MAX, ..case }.check(&bench);
}

#[test]
fn a_pause_outlives_a_kill_and_a_new_process_sends_nothing_until_resume() {
    let (bench, asked) = prepared(400);
    let mut running = start(&bench);
    bench.until_calls(50, &mut running);
    ctl(&bench, "pause").expect(0).says("job: paused");
    running.kill();
    let calls = bench.report().calls;
    let plan = bench.imbulk(&["plan", "job.toml"]).expect(0).says("sends nothing until `imbulk ctl job resume`");
    assert!(plan.stdout.contains("\ncontrol        run "), "{}", plan.stdout);
    bench.run("job.toml").expect(5).says("paused by").says("hint: `imbulk ctl job resume`, then run again");
    assert_eq!(bench.report().calls, calls);
    ctl(&bench, "resume").expect(0).says("no process is sending this run: it is not paused for the next `imbulk run`");
    bench.run("job.toml").expect(0);
    let results = bench.results("job");
    let case = ResultsCheck::clean(&bench, OPERATION, &asked, &results);
    ResultsCheck { resends: u64::from(CAP), ..case }.check(&bench);
    assert!(!bench.path("imbulk.db-control").exists(), "the owner has removed it");
}

#[test]
fn instructions_from_several_terminals_at_once_are_each_applied_once() {
    let (bench, _) = prepared(3_000);
    let all = |rates: std::ops::Range<u32>| {
        let rates = rates.map(|rate| bench.start(&["ctl", "job", "rate", &rate.to_string()], b""));
        rates.collect::<Vec<_>>().into_iter().map(|running| running.wait().expect(0)).collect::<Vec<_>>()
    };
    let mut running = start(&bench);
    bench.until_calls(50, &mut running);
    let answers = all(10..16);
    // Each rate is set once, and each answer names the rate before it.
    let mut before: Vec<u64> = answers.iter().map(|answer| number_before(&answer.stdout, "calls/s →")).collect();
    let last = number_before(&ctl(&bench, "rate 200").expect(0).stdout, "calls/s →");
    before.push(last);
    before.sort_unstable();
    assert_eq!(before, [10, 11, 12, 13, 14, 15, 200]);
    ctl(&bench, "drain").expect(0);
    running.wait().expect(5);
    for answer in all(20..26) {
        assert!(answer.stdout.contains("no process is sending this run"), "{answer:#?}");
    }
}

#[test]
fn an_instruction_while_the_first_input_is_read_takes_effect_before_the_first_call() {
    let (bench, asked) = prepared(50);
    job("job").with("input", "path", "\"-\"").write(&bench);
    bench.write("reading", "");
    let script = "(cat job.csv; while test -e reading; do sleep 0.02; done) | \"$0\" \"$@\"";
    let running = bench.start_under(&["sh", "-c", script], &["run", "job.toml", "--execute", "--yes"], b"");
    let begun = Instant::now();
    while !bench.path("imbulk.db").exists() && begun.elapsed() < Duration::from_secs(30) {
        bench.nap();
    }
    let answer = |output: &ProgramOutput| output.stdout.contains("takes effect before the first call of the run");
    let mut output = ctl(&bench, "pause");
    // The process that creates the file takes a moment until it owns the queue.
    while !answer(&output) && begun.elapsed() < Duration::from_secs(30) {
        output = ctl(&bench, "pause");
    }
    assert!(answer(&output.expect(0)));
    std::fs::remove_file(bench.path("reading")).expect("it was written");
    // The process answers once it has loaded its input.
    while !ctl(&bench, "pause").stdout.contains("it was paused before") && begun.elapsed() < Duration::from_mins(1) {}
    assert_no_call_begins(&bench, 0);
    assert_eq!(bench.report().calls, 0);
    ctl(&bench, "resume").expect(0).says("calls begin again");
    running.wait().expect(0);
    check(&bench, &asked);
}

#[test]
fn a_run_that_is_being_loaded_is_found_by_the_name_of_its_job() {
    let (bench, _) = prepared(1);
    bench.run("job.toml").expect(0);
    bench.write("large.csv", csv(OPERATION, &plain(OPERATION, 150_000)));
    job("large").write(&bench);
    let mut running = bench.start(&["run", "large.toml", "--execute", "--yes"], b"");
    let calls = bench.report().calls;
    let mut pause = bench.imbulk(&["ctl", "large", "pause"]);
    while pause.code == 2 && running.is_alive() {
        pause = bench.imbulk(&["ctl", "large", "pause"]);
    }
    pause.expect(0).says("of job large on").says(": loading");
    while running.is_alive() && !bench.imbulk(&["ctl", "large", "pause"]).stdout.contains("it was paused before") {}
    assert_eq!(bench.report().calls, calls, "the pause came before the first call");
    bench.imbulk(&["ctl", "large", "drain"]).expect(0).says("no call is in flight");
    running.wait().expect(5);
}

#[test]
fn a_user_who_may_not_write_the_queue_may_not_control_its_runs() {
    use std::os::unix::fs::PermissionsExt;
    let (bench, _) = prepared(5);
    bench.imbulk(&["plan", "job.toml"]).expect(0);
    for (path, mode) in [(bench.folder().to_owned(), 0o755), (bench.path("imbulk.db"), 0o444)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("an own file");
    }
    // The permissions of a file mean nothing to root.
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let wrapper = if rustix::process::geteuid().is_root() { &nobody[..] } else { &[] };
    let output = bench.start_under(wrapper, &["ctl", "job", "pause"], b"").wait();
    output.expect(2).says("this user may not write the queue, and so not control its runs");
    assert!(!bench.path("imbulk.db-control").exists());
}

#[test]
fn only_rate_takes_a_number() {
    let (bench, _) = prepared(5);
    bench.imbulk(&["plan", "job.toml"]).expect(0);
    ctl(&bench, "rate").expect(2);
    ctl(&bench, "rate 0").expect(2);
    ctl(&bench, "pause 3").expect(2).says("only `rate` takes a number");
    ctl(&bench, "rate 201")
        .expect(2)
        .says("the published cap of friend_delete_all is 200 calls/s")
        .says("hint: name a rate");
    ctl(&bench, "rate 3").expect(0).says("the next `imbulk run` sends at most 3 calls/s");
    let plan = bench.imbulk(&["plan", "job.toml"]).expect(0).says("at most 3 calls/s, set with `imbulk ctl`");
    assert!(plan.stdout.contains(": 3 calls/s"), "{}", plan.stdout);
}

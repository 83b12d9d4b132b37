//! The wall clock of the program jumps during a run, by hours and by days, in both directions.
//!
//! The clock of the sandbox is not changed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command};
use jiff::Timestamp;

use imbulk_testkit::requirements::{Requirement, are_met};
use imbulk_testkit::results_check::{Completion, ResultsCheck};
use imbulk_testkit::rows::{InputRow, plain, tally};
use imbulk_testkit::{JobFile, ProgramOutput, Workspace, WorkspaceSetup};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn can(test: &str) -> bool {
    are_met(test, &[Requirement::Tool("faketime")])
}

/// The path of the library on Debian, in its version for programs with threads.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("it is there").filter_map(Result::ok);
    let mut found =
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists());
    found.next().expect("faketime comes with its library")
}

/// A workspace that starts the program with a clock that reads its offset from a file.
struct Clock {
    workspace: Workspace,
}

impl Clock {
    fn new(setup: WorkspaceSetup, offset: i64) -> Self {
        let mut workspace = Workspace::with(setup);
        workspace.set_env("LD_PRELOAD", library().to_str().expect("text"));
        workspace.set_env("FAKETIME_TIMESTAMP_FILE", workspace.path("clock").to_str().expect("text"));
        workspace.set_env("FAKETIME_NO_CACHE", "1");
        workspace.set_env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let clock = Self { workspace };
        clock.set(offset);
        clock
    }

    /// Sets the offset of the clock in seconds.
    fn set(&self, offset: i64) {
        // The file is replaced as a whole, because it can be read at any moment.
        self.workspace.write("clock.new", format!("{offset:+}"));
        std::fs::rename(self.workspace.path("clock.new"), self.workspace.path("clock"))
            .expect("the folder can be written to");
    }

    /// Runs the job. After every `every` calls the clock is set to the next of these offsets.
    fn run(&self, job: &str, every: u64, offsets: &[i64]) -> (ProgramOutput, Duration) {
        let begun = Instant::now();
        let mut running = self.workspace.start_run(job);
        for offset in offsets {
            self.workspace.until_calls(self.workspace.report().calls + every, &mut running);
            self.set(*offset);
        }
        (running.wait(), begun.elapsed())
    }
}

/// A job that deletes the friends of `rows` accounts, at `cap` calls per second.
fn job(rows: usize, cap: u32) -> (JobFile, Vec<InputRow>) {
    let asked = plain(Command::FriendDeleteAll, rows);
    let job = JobFile::new("job", Command::FriendDeleteAll).rows(&asked);
    (job.with("limits", "calls_per_second", cap).with("retry", "max_attempts", 40), asked)
}

fn capped(cap: u32) -> WorkspaceSetup {
    let caps = Caps::default().with_app(cap).with(Command::FriendDeleteAll, cap);
    WorkspaceSetup { caps, latency: Duration::from_millis(10), ..WorkspaceSetup::default() }
}

/// A run with retries, quarantines and a cap. Its clock is set to these offsets one after the other.
fn under(offsets: &[i64]) -> (Vec<Timestamp>, Duration) {
    const CAP: u32 = 200;
    let clock = Clock::new(capped(CAP), 0);
    let (job, asked) = job(700, CAP);
    let faults =
        ["any:code=30006:0.05", "any:silence-after:#50,100", "any:reset-after:#200,300,400", "any:garbage:0.02"];
    clock.workspace.faults(&faults);
    let (output, took) = clock.run(&job.write(&clock.workspace), 40, offsets);
    assert!([0, 3].contains(&output.code), "{output:#?}");
    let results = clock.workspace.results("job");
    let report = clock.workspace.report();
    let resends = report.faults.values().sum();
    ResultsCheck { resends, ..ResultsCheck::clean(&clock.workspace, Command::FriendDeleteAll, &asked, &results) }
        .check(&clock.workspace);
    assert_eq!((report.usersig_failures, report.throttled), (0, 0), "{report:#?}");
    let finished = results.iter().map(|row| row.finished_at.parse().unwrap_or_else(|e| panic!("{e}: {row:?}")));
    (finished.collect(), took)
}

#[test]
fn a_clock_that_jumps_changes_neither_pace_nor_retries_nor_the_validity_of_signatures() {
    if !can("a_clock_that_jumps_changes_neither_pace_nor_retries_nor_the_validity_of_signatures") {
        return;
    }
    let jumps =
        [HOUR, -HOUR, 25 * HOUR, -20 * HOUR, 3 * DAY, 0, 400 * DAY, 399 * DAY, -23 * HOUR, 19 * HOUR, 21 * HOUR, 0];
    let ((steady, control), (finished, took)) = std::thread::scope(|scope| {
        let control = scope.spawn(|| under(&[]));
        let jumping = scope.spawn(|| under(&jumps));
        (control.join().expect("the control"), jumping.join().expect("the run"))
    });
    let span = |times: &[Timestamp]| {
        let (first, last) = (times.iter().min().expect("rows"), times.iter().max().expect("rows"));
        last.duration_since(*first).as_secs()
    };
    // The program saw the jumps; otherwise the rest would prove nothing.
    assert!(span(&steady) < HOUR && span(&finished) > 400 * DAY, "{} {}", span(&steady), span(&finished));
    assert!(took < control * 2 && control < took * 2, "{took:?} with jumps, {control:?} without");
    eprintln!("{took:?} with {} jumps, {control:?} without", jumps.len());
}

#[test]
fn a_clock_that_is_days_slow_halts_the_run_with_a_hint_and_the_run_continues_with_a_right_clock() {
    const CAP: u32 = 100;
    if !can("a_clock_that_is_days_slow_halts_the_run_with_a_hint_and_the_run_continues_with_a_right_clock") {
        return;
    }
    let clock = Clock::new(capped(CAP), 0);
    let (job, asked) = job(400, CAP);
    let job = job.write(&clock.workspace);
    let (output, _) = clock.run(&job, 50, &[-3 * DAY]);
    output.expect(4).says("check the clock of this machine");
    let report = clock.workspace.report();
    // The calls in flight when the first and the second signature were refused.
    assert!((2..u64::from(CAP) / 2).contains(&report.usersig_failures), "{report:#?}");
    let results = clock.workspace.results("job");
    assert!(tally(&results)["pending"] > 200, "{:?}", tally(&results));
    let early = ResultsCheck::clean(&clock.workspace, Command::FriendDeleteAll, &asked, &results);
    ResultsCheck { completion: Completion::Partial, ..early }.check(&clock.workspace);
    clock.set(0);
    let output = clock.workspace.run(&job);
    assert!([0, 3].contains(&output.code), "{output:#?}");
    let results = clock.workspace.results("job");
    ResultsCheck::clean(&clock.workspace, Command::FriendDeleteAll, &asked, &results).check(&clock.workspace);
}

#[test]
fn a_signature_that_expires_sooner_at_the_server_than_here_is_renewed_in_time() {
    const CAP: u32 = 80;
    if !can("a_signature_that_expires_sooner_at_the_server_than_here_is_renewed_in_time") {
        return;
    }
    // Every signature of 24 h is valid for its last four seconds only.
    let clock = Clock::new(capped(CAP), -(DAY - 4));
    let (job, asked) = job(480, CAP);
    let (output, _) = clock.run(&job.write(&clock.workspace), 0, &[]);
    assert!([0, 3].contains(&output.code), "{output:#?}");
    let results = clock.workspace.results("job");
    ResultsCheck::clean(&clock.workspace, Command::FriendDeleteAll, &asked, &results).check(&clock.workspace);
    let refused = clock.workspace.report().usersig_failures;
    assert!((1..100).contains(&refused), "{refused} calls were refused");
}

/// The clock of the program shows noon, the run may last until six in the morning, and the clock is set to these
/// offsets one after the other.
fn until_six(offsets: &[i64]) -> ProgramOutput {
    const CAP: u32 = 100;
    let mut clock = Clock::new(capped(CAP), 0);
    let (job, asked) = job(400, CAP);
    clock.workspace.set_env("TZ", &zone_in_which_it_is(12 * HOUR));
    let job = job.with("stop", "until", "\"06:00\"").write(&clock.workspace);
    let (output, _) = clock.run(&job, 60, offsets);
    let results = clock.workspace.results("job");
    let end = if output.code == 5 { Completion::Partial } else { Completion::Complete };
    let case = ResultsCheck::clean(&clock.workspace, Command::FriendDeleteAll, &asked, &results);
    ResultsCheck { completion: end, ..case }.check(&clock.workspace);
    output
}

#[test]
fn until_ends_the_session_when_a_jumping_clock_reaches_or_passes_it() {
    if !can("until_ends_the_session_when_a_jumping_clock_reaches_or_passes_it") {
        return;
    }
    std::thread::scope(|scope| {
        let jumped_over = scope.spawn(|| until_six(&[2 * DAY]));
        // The clock jumps from noon to 16:00 of the day before. 18:00 then comes on the same day, not on the next.
        let set_back = scope.spawn(|| until_six(&[-20 * HOUR, -20 * HOUR + 14 * HOUR + 30]));
        let before_it = scope.spawn(|| until_six(&[-20 * HOUR, 17 * HOUR, 0]));
        jumped_over.join().expect("a run").expect(5).says("until");
        set_back.join().expect("a run").expect(5).says("until");
        let output = before_it.join().expect("a run");
        assert_eq!(output.code, 5, "it passed six in the morning: {output:#?}");
        assert_eq!(until_six(&[5 * HOUR, -2 * HOUR, HOUR, 17 * HOUR]).code, 0, "six has not come");
    });
}

/// A value of `TZ` with which a clock now shows this number of seconds after midnight.
fn zone_in_which_it_is(seconds: i64) -> String {
    let utc = imbulk::clock::now().as_second().rem_euclid(DAY);
    // From 12 h behind to 12 h ahead. In POSIX the sign is reversed.
    let ahead = (seconds - utc + DAY / 2).rem_euclid(DAY) - DAY / 2;
    let (sign, off) = if ahead < 0 { ('+', -ahead) } else { ('-', ahead) };
    format!("<HERE>{sign}{:02}:{:02}:{:02}", off / HOUR, off / 60 % 60, off % 60)
}

#[test]
fn a_run_over_midnight_has_the_calls_of_both_days() {
    if !can("a_run_over_midnight_has_the_calls_of_both_days") {
        return;
    }
    let per_day = 100;
    let clock = Clock::new(capped(200), 0);
    let (job, _) = job(150, 200);
    let job = job.with("limits", "calls_per_day", per_day).write(&clock.workspace);
    // Over the night in the middle of the run, and not again.
    let (output, _) = clock.run(&job, 60, &[DAY]);
    output.expect(0);
    assert_eq!(clock.workspace.report().calls, 150);
    // On the second day at least 50 calls were sent, and at most 90.
    let again = clock.workspace.imbulk(&["run", &job, "--execute", "--yes", "--again"]);
    again.expect(5).says("limits.calls_per_day: the 100 calls of this day are used up; the next day begins");
    let calls = clock.workspace.report().calls;
    assert!((160..=200).contains(&calls), "{calls}");
    clock.set(2 * DAY);
    clock.workspace.run(&job).expect(5);
    assert_eq!(clock.workspace.report().calls, calls + per_day);
    let _gone = std::fs::remove_file(clock.workspace.ledger());
}

//! `limits.calls_per_day`: the calls of a day, over processes, kills and runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imbulk_sandbox::{Caps, Command};

use imbulk_testkit::results_check::{Completion, ResultsCheck};
use imbulk_testkit::rows::plain;
use imbulk_testkit::{JobFile, Workspace, WorkspaceSetup};

const OPERATION: Command = Command::FriendDeleteAll;
const CAP: u32 = 200;

/// A workspace whose ledger is removed at the end: a daily limit keeps it until the day ends.
struct LimitedWorkspace(Workspace);

impl LimitedWorkspace {
    #[expect(clippy::disallowed_methods, reason = "the test chooses a time zone by the wall clock")]
    fn new() -> Self {
        let caps = Caps::default().with_app(CAP).with(OPERATION, CAP);
        let mut workspace =
            Workspace::with(WorkspaceSetup { caps, latency: Duration::from_millis(5), ..WorkspaceSetup::default() });
        // A time zone whose day does not end while the test runs.
        let hour = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 3_600 % 24;
        workspace.set_env("TZ", if (6..18).contains(&hour) { "UTC" } else { "Etc/GMT+12" });
        Self(workspace)
    }

    fn job(&self, name: &str, rows: usize, per_day: u64) -> String {
        let job = JobFile::new(name, OPERATION).rows(&plain(OPERATION, rows));
        job.with("limits", "calls_per_day", per_day).with("retry", "max_attempts", 40).write(&self.0)
    }
}

impl Drop for LimitedWorkspace {
    fn drop(&mut self) {
        for file in [self.0.ledger(), self.0.ledger().with_extension("slots.users")] {
            let _gone = std::fs::remove_file(file);
        }
    }
}

#[test]
fn a_run_stops_when_the_calls_of_the_day_are_used_up_and_plan_shows_how_many_are_left() {
    let workspace = LimitedWorkspace::new();
    let job = workspace.job("job", 120, 50);
    let workspace = &workspace.0;
    let plan = workspace.imbulk(&["plan", &job]).expect(0).says("calls_per_day  50 of 50 calls left today");
    plan.says("120 calls take at least 3 days; the next day begins ");
    // Calls that are sent again count as well.
    workspace.faults(&["any:code=30006:#3,6"]);
    let stopped = workspace.run(&job).expect(5);
    assert!(stopped.stdout.contains("limits.calls_per_day: the 50 calls of this day are used up"), "{stopped:#?}");
    assert_eq!(workspace.report().calls, 50);
    let results = workspace.results("job");
    let asked = plain(OPERATION, 120);
    let case = ResultsCheck::clean(workspace, OPERATION, &asked, &results);
    ResultsCheck { completion: Completion::Partial, resends: 2, ..case }.check(workspace);
    assert_eq!(results.iter().filter(|row| row.outcome == "pending").count(), 72);
    let plan = workspace.imbulk(&["plan", &job]).expect(0);
    let plan = plan.says("calls_per_day  0 of 50 calls left today: sends nothing now");
    plan.says("72 calls take at least 3 days");
    workspace.imbulk(&["status", "job"]).expect(0).says("the next day begins");
    workspace.run(&job).expect(5);
    assert_eq!(workspace.report().calls, 50, "the ledger has kept the count");
}

#[test]
fn two_processes_together_never_exceed_the_calls_of_the_day() {
    let workspace = LimitedWorkspace::new();
    let jobs = ["one", "other"].map(|name| workspace.job(name, 90, 100));
    let start =
        |job: &String, queue: &str| workspace.0.start(&["--queue", queue, "run", job, "--execute", "--yes"], b"");
    let running = [start(&jobs[0], "one.db"), start(&jobs[1], "other.db")];
    for running in running {
        let output = running.wait();
        assert!([0, 5].contains(&output.code), "{output:#?}");
    }
    assert_eq!(workspace.0.report().calls, 100);
}

#[test]
fn killed_processes_lose_no_counted_call() {
    let workspace = LimitedWorkspace::new();
    let job = workspace.job("job", 2_000, 100);
    for calls in [20, 40, 60] {
        let mut running = workspace.0.start_run(&job);
        workspace.0.until_calls(calls, &mut running);
        running.kill();
    }
    workspace.0.run(&job).expect(5).says("calls of this day are used up");
    let calls = workspace.0.report().calls;
    // Calls that were counted just before a kill may not have been sent.
    assert!((60..=100).contains(&calls), "{calls}");
}

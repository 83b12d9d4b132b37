//! Jobs of two apps in one command, each sent to a sandbox of its own.

use std::time::Duration;

use imbulk_sandbox::{Caps, Command, World};
use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, plain};
use imbulk_testkit::{ADMIN, APP, JobFile, Workspace, WorkspaceSetup};
use serde_json::Value;

const OTHER_APP: u64 = APP + 1;
const OTHER_KEY: &str = "the-key-of-the-other-app";
const CAP: u32 = 50;
const OPERATION: Command = Command::FriendDeleteAll;

/// Two workspaces with a job each. The binary runs in the first one, whose environment has the keys of both apps.
struct TwoApps {
    first: Workspace,
    other: Workspace,
    jobs: [String; 2],
    rows: Vec<InputRow>,
}

impl TwoApps {
    fn new(rows: usize) -> Self {
        let setup = WorkspaceSetup {
            caps: Caps::default().with_app(CAP),
            world: World::open,
            latency: Duration::from_millis(5),
            ..WorkspaceSetup::default()
        };
        let mut first = Workspace::with(setup);
        let other = Workspace::of_app(setup, OTHER_APP, OTHER_KEY);
        first.set_env(&format!("IMBULK_SECRET_KEY_{OTHER_APP}"), OTHER_KEY);
        let rows = plain(OPERATION, rows);
        let job = |name: &str, app: u64, workspace: &Workspace| {
            let job =
                JobFile::new(name, OPERATION).with("app", "sdkappid", app).with("limits", "app_calls_per_second", CAP);
            let file = job.rows(&rows).write(workspace);
            workspace.path(&file).to_str().expect("UTF-8").to_owned()
        };
        let jobs = [job("first", APP, &first), job("other", OTHER_APP, &other)];
        Self { first, other, jobs, rows }
    }

    fn command<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let [first, other] = &self.jobs;
        [&["run", first, other, "--execute"], words].concat()
    }

    fn status(&self, job: &str) -> Value {
        serde_json::from_str(&self.first.imbulk(&["status", job, "--json"]).stdout).expect("JSON")
    }

    fn calls(&self) -> [u64; 2] {
        [&self.first, &self.other].map(|workspace| workspace.report().calls)
    }
}

#[test]
fn jobs_of_two_apps_run_side_by_side_each_under_its_own_cap_and_key_also_after_a_kill() {
    let apps = TwoApps::new(150);
    let mut running = apps.first.start(&apps.command(&["--yes"]), b"");
    apps.first.until_calls(20, &mut running);
    apps.other.until_calls(20, &mut running);
    running.kill();
    let resends: u64 = 64;
    apps.first.imbulk(&apps.command(&["--yes"])).expect(0).says("resume");
    for (job, workspace) in [("first", &apps.first), ("other", &apps.other)] {
        let report = workspace.report();
        assert_eq!((report.throttled_app, report.usersig_failures, report.overlaps), (0, 0, 0), "{job}: {report:?}");
        let results = apps.first.results(job);
        let check = ResultsCheck::clean(workspace, OPERATION, &apps.rows, &results);
        ResultsCheck { resends, caps: (check.caps.0, CAP), ..check }.check(workspace);
    }
}

/// The jobs would wait together if they shared their limits.
#[test]
fn a_long_pause_of_one_app_leaves_the_calls_of_the_other_app_alone() {
    let apps = TwoApps::new(150);
    // After this code no call of the command is sent for 90 s.
    apps.first.faults(&["any:code=31707:1"]);
    let mut running = apps.first.start(&apps.command(&["--yes"]), b"");
    apps.other.until_calls(150, &mut running);
    let [first, other] = apps.calls();
    assert!(first > 0 && first <= u64::from(CAP), "{first} calls of the app that was paused");
    assert_eq!(other, 150);
    running.kill();
}

#[test]
fn a_wrong_key_of_one_app_ends_only_the_jobs_of_this_app() {
    let mut apps = TwoApps::new(60);
    apps.first.set_env(&format!("IMBULK_SECRET_KEY_{OTHER_APP}"), "a-wrong-key");
    let ran = apps.first.imbulk(&[&["-v"], apps.command(&["--yes", "--json"]).as_slice()].concat()).expect(4);
    let ran = ran.says(&format!("app {OTHER_APP}: stopping: other: code 70009")).says("the jobs of other apps go on");
    let summaries: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let states = [&summaries[0]["state"], &summaries[1]["state"]];
    assert_eq!(states, ["finished", "halted"], "{summaries}");
    let stopping = ran.stderr.lines().find(|line| line.contains("event=stopping")).expect("it is logged");
    assert!(stopping.contains("job=other") && !stopping.contains("job=first"), "{stopping}");
    let results = apps.first.results("first");
    let check = ResultsCheck::clean(&apps.first, OPERATION, &apps.rows, &results);
    ResultsCheck { caps: (check.caps.0, CAP), ..check }.check(&apps.first);
    assert_eq!(apps.other.report().usersig_failures, apps.calls()[1], "no call of the other app had an effect");
    // With the right key, only the job that was halted is sent.
    apps.first.set_env(&format!("IMBULK_SECRET_KEY_{OTHER_APP}"), OTHER_KEY);
    let before = apps.calls()[0];
    apps.first.imbulk(&apps.command(&["--yes"])).expect(0);
    assert_eq!((apps.calls()[0], &apps.status("other")["state"]), (before, &Value::from("finished")));
}

#[test]
fn a_person_agrees_to_each_app_and_values_that_fit_only_one_app_are_refused() {
    let mut apps = TwoApps::new(5);
    let [first, other] = apps.jobs.clone();
    let typed = format!("{APP}\n{APP}\n");
    let asked = apps.first.at_a_terminal(&apps.command(&[]), &typed).expect(2);
    for shown in [format!("{APP} on loopback"), format!("{OTHER_APP} on loopback"), apps.other.endpoint()] {
        assert!(asked.stdout.contains(&shown), "{shown} is missing: {}", asked.stdout);
    }
    assert_eq!(apps.calls(), [0, 0]);
    let plan = apps.first.imbulk(&["plan", &first, &other, "--json"]).expect(0).stdout;
    let plans: Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(plans[0]["plan_id"], plans[1]["plan_id"], "{plan}");
    let source = |at: usize| plans[at]["conditions"]["target"]["credentials"]["source"].clone();
    assert_eq!([source(0), source(1)], ["IMBULK_SECRET_KEY".to_owned(), format!("IMBULK_SECRET_KEY_{OTHER_APP}")]);
    let refused = |apps: &TwoApps, why: &str| {
        apps.first.imbulk(&["plan", &first, &other]).expect(2).says(why);
        apps.first.imbulk(&apps.command(&["--yes"])).expect(2).says(why);
        assert_eq!(apps.calls(), [0, 0], "{why}");
    };
    apps.first.set_env("IMBULK_SDKAPPID", &APP.to_string());
    refused(&apps, "IMBULK_SDKAPPID would replace");
    apps.first.unset_env("IMBULK_SDKAPPID");
    let endpoint = apps.first.endpoint();
    apps.first.set_env("IMBULK_ENDPOINT", &endpoint);
    refused(&apps, "IMBULK_ENDPOINT would replace");
    apps.first.unset_env("IMBULK_ENDPOINT");
    apps.first.set_env("IMBULK_IDENTIFIER", ADMIN);
    apps.first.imbulk(&["plan", &first, &other]).expect(0);
    let text = std::fs::read_to_string(&other).expect("a job file");
    let own_admin = text.replace(&format!("identifier = \"{ADMIN}\""), "identifier = \"another-admin\"");
    assert_ne!(own_admin, text);
    std::fs::write(&other, own_admin).expect("an own file");
    refused(&apps, "IMBULK_IDENTIFIER would replace");
    std::fs::write(&other, text).expect("an own file");
    apps.first.unset_env("IMBULK_IDENTIFIER");
    apps.first.unset_env(&format!("IMBULK_SECRET_KEY_{OTHER_APP}"));
    refused(&apps, "IMBULK_SECRET_KEY would sign the calls of two apps");
    apps.first.set_env(&format!("IMBULK_SECRET_KEY_{OTHER_APP}"), OTHER_KEY);
    apps.first.at_a_terminal(&apps.command(&[]), &format!("{APP}\n{OTHER_APP}\n")).expect(0);
    assert_eq!(apps.calls(), [5, 5]);
}

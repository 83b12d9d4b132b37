//! Several jobs at the same time, in one process and in two.

use imbulk_sandbox::{Caps, Command, World};
use serde_json::json;

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, plain};
use imbulk_testkit::{Bench, BenchSetup, JobFile};

const CAP: u32 = 100;

fn capped() -> BenchSetup {
    BenchSetup {
        caps: Caps::default().with_app(CAP),
        world: World::open,
        latency: std::time::Duration::from_millis(5),
        ..BenchSetup::default()
    }
}

fn at_full_speed(name: &str, operation: Command) -> JobFile {
    JobFile::new(name, operation).with("limits", "calls_per_second", 200).with("limits", "app_calls_per_second", CAP)
}

#[test]
fn two_jobs_of_one_run_share_accounts_and_the_cap_of_the_app() {
    let bench = Bench::with(capped());
    // Both jobs write the friend lists of the same few accounts.
    let pairs = |of: &str| {
        (0..600).map(|n| InputRow::pair(&format!("user_{}", n / 5), &format!("{of}_{n}"))).collect::<Vec<_>>()
    };
    let deleted = pairs("former");
    let updated: Vec<InputRow> =
        pairs("present").into_iter().map(|row| row.tag("Tag_SNS_IM_Remark", json!("still here"))).collect();
    let delete = at_full_speed("delete", Command::FriendDelete).rows(&deleted).both().write(&bench);
    let update = at_full_speed("update", Command::FriendUpdate).rows(&updated).write(&bench);
    bench.imbulk(&["run", &delete, &update, "--execute", "--yes"]).expect(0);
    for (job, operation, asked) in
        [("delete", Command::FriendDelete, &deleted), ("update", Command::FriendUpdate, &updated)]
    {
        let results = bench.results(job);
        let case = ResultsCheck::clean(&bench, operation, asked, &results);
        ResultsCheck { both: operation == Command::FriendDelete, others: 600, ..case }.check(&bench);
    }
    assert_eq!(bench.report().throttled + bench.report().throttled_app, 0);
}

#[test]
fn two_processes_with_a_queue_each_share_the_cap_of_the_app() {
    let bench = Bench::with(capped());
    let asked = plain(Command::FriendDeleteAll, 300);
    let (one, other) = asked.split_at(150);
    let mut running = Vec::new();
    for (name, rows) in [("one", one), ("other", other)] {
        let job = at_full_speed(name, Command::FriendDeleteAll).rows(rows).write(&bench);
        let queue = format!("{name}.db");
        running.push(bench.start(&["--queue", &queue, "run", &job, "--execute", "--yes"], b""));
    }
    for process in running {
        process.wait().expect(0);
    }
    for (name, rows) in [("one", one), ("other", other)] {
        let results = bench.results_with(&["--queue", &format!("{name}.db"), "results", name]);
        let case = ResultsCheck::clean(&bench, Command::FriendDeleteAll, rows, &results);
        ResultsCheck { others: 150, ..case }.check(&bench);
    }
    assert_eq!(bench.report().throttled + bench.report().throttled_app, 0);
}

#[test]
fn a_job_with_a_higher_priority_is_sent_first_and_plan_shows_it_first() {
    let bench = Bench::with(capped());
    let pairs = |of: &str| (0..60).map(|n| InputRow::pair(&format!("{of}_{n}"), "friend")).collect::<Vec<_>>();
    let job = |name: &str, operation, rows: &[InputRow], priority: u32| {
        at_full_speed(name, operation).with("", "priority", priority).rows(rows)
    };
    let later = job("later", Command::FriendDelete, &pairs("l"), 1).write(&bench);
    let urgent: Vec<InputRow> =
        pairs("u").into_iter().map(|row| row.tag("Tag_SNS_IM_Remark", json!("first"))).collect();
    let first = job("first", Command::FriendUpdate, &urgent, 2).write(&bench);
    let plan = bench.imbulk(&["plan", &later, &first]).expect(0).stdout;
    let place = |name: &str| plan.find(&format!("job            {name}")).expect("both are planned");
    assert!(place("first") < place("later"), "{plan}");
    bench.imbulk(&["run", &later, &first, "--execute", "--yes"]).expect(0);
    let journal = bench.journal();
    let positions = |operation| journal.iter().enumerate().filter(move |(_, call)| call.command == operation);
    let last_urgent = positions(Command::FriendUpdate).map(|(at, _)| at).max().expect("it was sent");
    let early = positions(Command::FriendDelete).filter(|(at, _)| *at < last_urgent).count();
    // The last calls of the first job may arrive late.
    assert!(early <= 5, "{early} calls of the later job came before the last one of the first job");
    assert_eq!(positions(Command::FriendDelete).count(), 60);
}

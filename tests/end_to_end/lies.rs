//! The judge itself, against lies about a run that went well.

use imbulk_sandbox::{Command, World};

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, PROTECTED, ResultRow, csv, mixed};
use imbulk_testkit::{Bench, BenchSetup, JobFile};

struct Told {
    bench: Bench,
    asked: Vec<InputRow>,
    results: Vec<ResultRow>,
}

fn told(operation: Command) -> Told {
    let bench = Bench::new();
    let asked = mixed(operation, 100);
    bench.write("job.csv", csv(operation, &asked));
    bench.write("keep.txt", PROTECTED);
    let job = JobFile::new("job", operation).with("guard", "protected", "\"keep.txt\"").write(&bench);
    bench.run(&job).expect(3);
    let results = bench.results("job");
    ResultsCheck::clean(&bench, operation, &asked, &results).check(&bench);
    Told { bench, asked, results }
}

impl Told {
    fn complaints(&self, operation: Command, lie: impl FnOnce(&mut ResultsCheck<'_>)) -> Vec<String> {
        let mut case = ResultsCheck::clean(&self.bench, operation, &self.asked, &self.results);
        lie(&mut case);
        self.bench.world(|world| case.complaints(world))
    }

    /// The complaints if one row of an outcome said something else.
    fn with_row(&self, operation: Command, outcome: &str, lie: impl FnOnce(&mut ResultRow)) -> Vec<String> {
        let mut results = self.results.clone();
        let row = results.iter_mut().find(|row| row.outcome == outcome);
        lie(row.unwrap_or_else(|| panic!("no row is {outcome}")));
        let case = ResultsCheck::clean(&self.bench, operation, &self.asked, &results);
        self.bench.world(|world| case.complaints(world))
    }
}

#[test]
fn an_outcome_that_the_journal_does_not_explain_is_found() {
    let operation = Command::AccountDelete;
    let told = told(operation);
    let outcomes = ["succeeded", "already_done", "rejected", "protected", "duplicate"];
    for true_one in outcomes {
        for lie in
            ["succeeded", "already_done", "failed", "in_doubt", "pending", "rejected", "protected", "duplicate", ""]
        {
            if lie != true_one {
                let found = told.with_row(operation, true_one, |row| row.outcome = lie.to_owned());
                assert!(!found.is_empty(), "{true_one} as {lie}");
            }
        }
    }
}

#[test]
fn a_success_that_never_happened_is_found_whatever_it_says() {
    let told = told(Command::AccountDelete);
    let found = told.with_row(Command::AccountDelete, "already_done", |row| {
        row.outcome = "succeeded".to_owned();
        row.code = None;
        row.attempts = 2;
    });
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_row_without_a_result_and_one_with_two_are_found() {
    let mut told = told(Command::FriendDelete);
    let lost = told.results.pop().expect("a row");
    assert!(!told.complaints(Command::FriendDelete, |_| ()).is_empty());
    told.results.push(lost.clone());
    assert!(told.complaints(Command::FriendDelete, |_| ()).is_empty());
    told.results.push(lost);
    assert!(!told.complaints(Command::FriendDelete, |_| ()).is_empty());
    told.results.pop();
    told.results.swap(0, 1);
    assert!(!told.complaints(Command::FriendDelete, |_| ()).is_empty());
}

#[test]
fn a_touched_row_that_must_not_be_touched_is_found() {
    let told = told(Command::FriendDelete);
    let found = told.complaints(Command::FriendDelete, |case| case.protected.push("friend_00007".to_owned()));
    assert!(found.iter().any(|wrong| wrong.contains("must not be sent, but was touched")), "{found:#?}");
    let fewer: Vec<InputRow> = told.asked.iter().filter(|row| row.account != "friend_00007").cloned().collect();
    let results: Vec<ResultRow> = told.results.iter().filter(|row| row.account != "friend_00007").cloned().collect();
    let case = ResultsCheck::clean(&told.bench, Command::FriendDelete, &fewer, &results);
    let found = told.bench.world(|world| case.complaints(world));
    assert!(found.iter().any(|wrong| wrong.contains("items were touched, of those asked for")), "{found:#?}");
}

#[test]
fn overlaps_and_a_second_above_the_cap_are_found() {
    let told = told(Command::FriendUpdate);
    let found = told.complaints(Command::FriendUpdate, |case| case.report.overlaps = 1);
    assert_eq!(found, ["1 overlapping writes"]);
    let found = told.complaints(Command::FriendUpdate, |case| case.report.overlaps_with_abandoned = 1);
    assert_eq!(found, ["1 overlaps with calls that were given up"]);
    let found = told.complaints(Command::FriendUpdate, |case| case.caps.1 = 1);
    assert_eq!(found.len(), 1, "{found:#?}");
    let found = told.complaints(Command::FriendUpdate, |case| case.caps.0 = 1);
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_tag_that_did_not_arrive_is_found() {
    let mut told = told(Command::FriendUpdate);
    let done = told.results.iter().position(|row| row.outcome == "succeeded").expect("a row");
    told.asked[done].tags.insert("Tag_SNS_Custom_Age".to_owned(), serde_json::json!(7));
    assert!(!told.complaints(Command::FriendUpdate, |_| ()).is_empty());
}

#[test]
fn what_was_sent_again_after_a_certain_answer_is_found() {
    let told = told(Command::AccountDelete);
    told.bench.imbulk(&["run", "job.toml", "--execute", "--yes", "--again"]).expect(3);
    let found = told.complaints(Command::AccountDelete, |_| ());
    assert!(found.iter().any(|wrong| wrong.contains("items came in again")), "{found:#?}");
    assert!(found.iter().any(|wrong| wrong.contains("came in 2 times, but has 1 attempts")), "{found:#?}");
}

#[test]
fn a_two_way_success_that_the_other_row_had_is_found_unless_an_earlier_attempt_explains_it() {
    let bench = Bench::with(BenchSetup { world: World::open, ..BenchSetup::default() });
    let operation = Command::FriendDelete;
    let asked = [InputRow::pair("a", "b"), InputRow::pair("b", "a"), InputRow::pair("c", "d")];
    bench.write("job.csv", csv(operation, &asked));
    bench.run(&JobFile::new("job", operation).both().write(&bench)).expect(3);
    let complaints = |both, attempts| {
        let mut results = bench.results("job");
        let second = results.iter_mut().find(|row| row.outcome == "in_doubt").expect("one side was gone");
        second.outcome = "succeeded".to_owned();
        second.attempts = attempts;
        let case = ResultsCheck { both, ..ResultsCheck::clean(&bench, operation, &asked, &results) };
        bench.world(|world| case.complaints(world)).len()
    };
    assert_eq!((complaints(true, 2), complaints(true, 1), complaints(false, 2)), (0, 1, 1));
}

#[test]
fn a_failure_without_a_reason_is_found() {
    let told = told(Command::FriendDelete);
    let found = told.with_row(Command::FriendDelete, "failed", |row| row.code = Some(30006));
    assert_eq!(found.len(), 1, "{found:#?}");
    let found = told.complaints(Command::FriendDelete, |case| case.refusals = &[30006]);
    assert!(found.is_empty(), "{found:#?}");
}

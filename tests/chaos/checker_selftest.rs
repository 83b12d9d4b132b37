//! Tests of the checker: it accepts correct evidence. If one thing in the evidence is changed, it reports it with the
//! right reason.

use std::sync::LazyLock;
use std::time::Duration;

use imbulk_sandbox::{CallRecord, Command, ResponseRecord};

use imbulk_testkit::journal_check::{Evidence, InFlightRequest, Kill, MAY_BE_WRITING, QueueRow, SECOND};
use imbulk_testkit::rows::{PROTECTED, ResultRow, mixed};
use imbulk_testkit::{JobFile, WorkspaceSetup};

const OPERATION: Command = Command::FriendDelete;

/// A run with faults and a kill, up to its end.
static TRUTH: LazyLock<Evidence> = LazyLock::new(|| {
    let asked = mixed(OPERATION, 300);
    let job = JobFile::new("job", OPERATION).rows(&asked).protecting(PROTECTED);
    let job = job.with("limits", "max_in_flight", 8).with("retry", "max_attempts", 40);
    let (workspace, job) = job.on(WorkspaceSetup { latency: Duration::from_millis(5), ..WorkspaceSetup::default() });
    workspace.faults(&["any:code=30006:0.05", "any:item=30011:0.03", "any:missing:0.03", "any:reset-after:#20,40"]);
    let mut running = workspace.start_run(&job);
    workspace.until_calls(60, &mut running);
    running.kill();
    let sending = InFlightRequest::read(&workspace.path("imbulk.db"), &mut std::collections::HashSet::new());
    assert!(!sending.is_empty(), "it was killed with calls in flight");
    let kills = [Kill { at: workspace.now(), sending }];
    workspace.run(&job).expect(3);
    Evidence::of(&workspace, "job", OPERATION, &asked, &kills)
});

/// Asserts that the checker reports the changed evidence with this text.
#[track_caller]
fn caught(complaint: &str, lie: impl FnOnce(&mut Evidence)) {
    let mut evidence = TRUTH.clone();
    lie(&mut evidence);
    let wrong = evidence.compare().wrong;
    assert!(wrong.iter().any(|wrong| wrong.contains(complaint)), "no {complaint:?} in {wrong:#?}");
}

/// Asserts that the checker accepts the changed evidence.
#[track_caller]
fn passes(change: impl FnOnce(&mut Evidence)) {
    let mut evidence = TRUTH.clone();
    change(&mut evidence);
    evidence.check();
}

/// Changes what the queue says about the first row of an outcome, in all places.
fn say(evidence: &mut Evidence, outcome: &str, change: impl Fn(&mut String, &mut Option<i64>)) {
    let ended = |line: &&mut QueueRow| line.outcome == outcome && line.request.is_some();
    let line = evidence.queue.rows.iter_mut().find(ended).unwrap_or_else(|| panic!("no row is {outcome}"));
    change(&mut line.outcome, &mut line.code);
    let (row, line) = (line.row, line.clone());
    let ResultRow { outcome: shown, code, .. } = &mut evidence.results[row];
    change(shown, code);
    let item = evidence.queue.items.iter_mut().find(|item| item.row == row).expect("a line in the view");
    change(&mut item.outcome, &mut item.code);
    *evidence.queue.tally.get_mut(outcome).expect("a count") -= 1;
    *evidence.queue.tally.entry(line.outcome).or_default() += 1;
}

/// The last call that succeeded as a whole and is not followed by a later call for its account.
fn answered(evidence: &Evidence) -> CallRecord {
    let done = |entry: &&CallRecord| {
        let ResponseRecord::Items(items) = &entry.said else { return false };
        if entry.command != OPERATION {
            return false;
        }
        // The fault `missing` may leave an answer without items.
        !items.is_empty() && items.iter().all(|(_, code)| *code == 0)
    };
    evidence.journal.iter().rev().find(done).expect("a call").clone()
}

/// Adds a call and keeps the journal sorted.
fn arrive(evidence: &mut Evidence, arrived: u64, mut entry: CallRecord) {
    let took = entry.done.expect("it ended") - entry.arrived;
    entry.arrived = arrived;
    entry.done = Some(arrived + took);
    entry.closed = entry.done;
    evidence.journal.push(entry);
    evidence.journal.sort_by_key(|entry| entry.arrived);
}

fn sending(job: &str, entry: &CallRecord) -> Vec<InFlightRequest> {
    let (from, accounts) = (entry.from.clone(), entry.items.clone());
    vec![InFlightRequest { job: job.to_owned(), request: 1, attempts: 1, from, accounts }]
}

#[test]
fn correct_evidence_passes_and_contains_all_kinds_of_rows() {
    TRUTH.check();
    for outcome in ["succeeded", "already_done", "failed", "rejected", "protected", "duplicate"] {
        assert!(TRUTH.queue.tally.get(outcome).is_some_and(|rows| *rows > 0), "{outcome}: {:?}", TRUTH.queue.tally);
    }
    assert!(TRUTH.journal.iter().any(|entry| entry.said == ResponseRecord::Nothing));
}

#[test]
fn a_row_without_exactly_one_outcome_is_found() {
    caught("is lost", |evidence| drop(evidence.queue.rows.pop()));
    caught("is in the queue twice", |evidence| {
        let again = evidence.queue.rows[7].clone();
        evidence.queue.rows.push(again);
    });
    caught("was never asked for", |evidence| drop(evidence.asked.pop()));
    caught("is pending, and must be", |evidence| {
        say(evidence, "succeeded", |outcome, _| "pending".clone_into(outcome));
    });
    caught("has an outcome without a settled request", |evidence| evidence.queue.unsettled.push(3));
    caught("row 0 is about", |evidence| {
        let line = evidence.queue.rows.iter_mut().find(|line| line.row == 0).expect("a row");
        line.account.push('x');
    });
}

#[test]
fn sums_and_sources_that_differ_are_found() {
    caught("the tally says", |evidence| *evidence.queue.tally.get_mut("succeeded").expect("a count") += 1);
    caught("the queue (\"", |evidence| evidence.results[0].outcome.push('x'));
    caught("results of", |evidence| drop(evidence.results.pop()));
    caught("says line", |evidence| evidence.results.swap(3, 4));
    caught("the view says", |evidence| evidence.queue.items[0].attempts += 1);
    caught("the view lacks", |evidence| drop(evidence.queue.items.pop()));
    caught("is not the first of an item", |evidence| evidence.queue.items[0].row += 100_000);
}

#[test]
fn an_outcome_that_the_journal_does_not_explain_is_found() {
    let unborne = "but the server saw";
    caught(unborne, |evidence| {
        let call = answered(evidence);
        evidence.journal.retain(|entry| *entry != call);
    });
    caught(unborne, |evidence| {
        let call = answered(evidence);
        let entry = evidence.journal.iter_mut().find(|entry| **entry == call).expect("it is there");
        entry.did = ResponseRecord::Nothing;
    });
    caught(unborne, |evidence| say(evidence, "failed", |_, code| *code = Some(12_345)));
    caught(unborne, |evidence| say(evidence, "failed", |_, code| *code = None));
    let untrue = [
        ("succeeded", "failed", Some(30011)),
        ("succeeded", "already_done", Some(31704)),
        ("failed", "succeeded", None),
        ("failed", "already_done", Some(31704)),
        ("already_done", "succeeded", None),
        ("already_done", "failed", Some(30011)),
    ];
    for (truth, lie, number) in untrue {
        caught(unborne, |evidence| {
            say(evidence, truth, |outcome, code| {
                lie.clone_into(outcome);
                *code = number;
            });
        });
    }
}

#[test]
fn doubt_without_a_reason_is_found() {
    // The first answer to these was "already done".
    for lie in ["succeeded", "in_doubt"] {
        caught("but the server saw", |evidence| {
            say(evidence, "already_done", |outcome, _| lie.clone_into(outcome));
        });
    }
}

#[test]
fn a_row_that_was_sent_and_must_not_be_is_found() {
    caught("must not be sent", |evidence| {
        let mut entry = answered(evidence);
        entry.items = vec!["vip_1".to_owned()];
        arrive(evidence, entry.arrived + 100 * SECOND, entry);
    });
    caught("but the server saw", |evidence| {
        let item = answered(evidence);
        let of_call = |line: &&mut QueueRow| {
            line.request.is_some() && line.is_first && line.from == item.from && line.account == item.items[0]
        };
        evidence.queue.rows.iter_mut().find(of_call).expect("its row").attempts = 0;
    });
}

#[test]
fn two_writes_at_once_are_found_whatever_the_sandbox_responded() {
    let at_once = "two writes to";
    caught(at_once, |evidence| {
        let entry = answered(evidence);
        arrive(evidence, entry.done.expect("it ended") - 1, entry);
    });
    // The accounts are free after the answer.
    let clash = |evidence: &mut Evidence, said: ResponseRecord, gap: u64| {
        let entry = answered(evidence);
        let first = entry.arrived + 100 * SECOND;
        arrive(evidence, first, CallRecord { said, ..entry.clone() });
        arrive(evidence, first + gap, entry);
        evidence.compare().wrong.iter().any(|wrong| wrong.contains(at_once))
    };
    let again = ResponseRecord::Whole(30006);
    assert!(!clash(&mut TRUTH.clone(), again, SECOND));
    // Without an answer, the server may still be writing for three seconds.
    assert!(clash(&mut TRUTH.clone(), ResponseRecord::Nothing, MAY_BE_WRITING - 1));
    assert!(!clash(&mut TRUTH.clone(), ResponseRecord::Nothing, MAY_BE_WRITING));
    assert!(clash(&mut TRUTH.clone(), ResponseRecord::Status(502), SECOND));
}

#[test]
fn two_writes_at_once_are_found_between_jobs_and_on_either_side_of_a_two_way_delete() {
    let clash = |other: &dyn Fn(&CallRecord) -> CallRecord| {
        let mut evidence = TRUTH.clone();
        let entry = answered(&evidence);
        let first = entry.arrived + 100 * SECOND;
        arrive(&mut evidence, first, entry.clone());
        arrive(&mut evidence, first + 1, other(&entry));
        evidence.compare().wrong.iter().any(|wrong| wrong.contains("two writes to"))
    };
    let (update, stranger) = (Command::FriendUpdate, || Some("stranger".to_owned()));
    assert!(clash(&|entry| CallRecord { command: update, items: vec!["another".to_owned()], ..entry.clone() }));
    assert!(!clash(&|entry| CallRecord { command: update, from: stranger(), ..entry.clone() }));
    let of_a_stranger = |entry: &CallRecord| CallRecord {
        from: stranger(),
        items: entry.from.clone().into_iter().collect(),
        ..entry.clone()
    };
    assert!(clash(&|entry| CallRecord { both: true, ..of_a_stranger(entry) }));
    assert!(!clash(&of_a_stranger));
}

#[test]
fn a_second_above_the_cap_is_found_at_any_phase() {
    let crowd = |phase: u64, gap: u64| {
        let mut evidence = TRUTH.clone();
        evidence.caps = evidence.caps.with_app(100).with(OPERATION, 100);
        let entry = answered(&evidence);
        evidence.journal = (0..101).map(|n| CallRecord { arrived: phase + n * gap, ..entry.clone() }).collect();
        let wrong = evidence.compare().wrong;
        wrong.iter().filter(|wrong| wrong.contains("101 calls in a second, the cap of")).count()
    };
    for phase in [0, SECOND / 2, SECOND - 1] {
        assert_eq!(crowd(phase, SECOND / 100 - 1), 2, "of the app and of the command");
        assert_eq!(crowd(phase, SECOND / 100), 0, "101 calls over exactly a second");
    }
}

#[test]
fn an_item_that_was_sent_again_after_a_final_response_is_found_unless_a_kill_explains_it() {
    let again = |evidence: &mut Evidence, kill: Option<(u64, Vec<InFlightRequest>)>| {
        let entry = answered(evidence);
        arrive(evidence, entry.arrived + 100 * SECOND, entry.clone());
        let row = |line: &mut QueueRow| {
            if line.from == entry.from && entry.items.contains(&line.account) && line.request.is_some() {
                line.attempts += 1;
            }
        };
        evidence.queue.rows.iter_mut().chain(&mut evidence.queue.items).for_each(row);
        evidence.kills.extend(kill.map(|(at, sending)| Kill { at: entry.arrived + at, sending }));
        let judgement = evidence.compare();
        (judgement.wrong.iter().any(|wrong| wrong.contains("again, which had a final response")), judgement.sent_again)
    };
    let entry = answered(&TRUTH);
    let before = TRUTH.compare().sent_again;
    assert_eq!(again(&mut TRUTH.clone(), None), (true, before));
    assert_eq!(again(&mut TRUTH.clone(), Some((SECOND, sending("job", &entry)))), (false, before + 1));
    // The process was killed, but this request was not in flight, or that of another job was; or it was killed after
    // the resend.
    assert_eq!(again(&mut TRUTH.clone(), Some((SECOND, Vec::new()))), (true, before));
    assert_eq!(again(&mut TRUTH.clone(), Some((SECOND, sending("other", &entry)))), (true, before));
    assert_eq!(again(&mut TRUTH.clone(), Some((200 * SECOND, sending("job", &entry)))), (true, before));
}

#[test]
fn an_item_may_be_sent_again_after_a_response_that_is_not_final() {
    for said in [
        ResponseRecord::Nothing,
        ResponseRecord::Status(502),
        ResponseRecord::Whole(30006),
        ResponseRecord::Items(Vec::new()),
    ] {
        let mut evidence = TRUTH.clone();
        let entry = answered(&evidence);
        let before = CallRecord { said, did: ResponseRecord::Nothing, ..entry.clone() };
        // The call was long before, so that it overlaps with no other call.
        evidence.journal.iter_mut().for_each(|entry| {
            entry.arrived += 10 * SECOND;
            entry.done = entry.done.map(|done| done + 10 * SECOND);
            entry.closed = entry.closed.map(|closed| closed + 10 * SECOND);
        });
        evidence.kills.iter_mut().for_each(|kill| kill.at += 10 * SECOND);
        arrive(&mut evidence, 0, before);
        let wrong = evidence.compare().wrong;
        assert!(!wrong.iter().any(|wrong| wrong.contains("again, which had a final response")), "{wrong:#?}");
    }
}

#[test]
fn rows_may_be_pending_after_an_interrupted_run() {
    passes(|evidence| {
        evidence.completion = imbulk_testkit::results_check::Completion::Partial;
        say(evidence, "succeeded", |outcome, _| "pending".clone_into(outcome));
    });
}

//! Verifications: which items they copy, what they record, and what remains of them.

use imbulk::domain::ids::RunId;
use imbulk::domain::request::row::RowNo;
use imbulk::domain::request::{CallKind, Item, Purpose, Request};
use imbulk::domain::response::outcome::Outcome::{self, AlreadyDone, Failed, InDoubt, Pending, Succeeded};
use imbulk::domain::response::verification::{Verified, VerifiedRows};
use imbulk::queue::{Queue, RetrySelection, Verification, VerifySample, VerifySelection};

use crate::fixture::*;

fn selection(outcomes: &[Outcome], sample: Option<(u64, u64)>) -> VerifySelection {
    let sample = sample.map(|(items, seed)| VerifySample { items: items.try_into().unwrap(), seed });
    VerifySelection { outcomes: outcomes.to_vec(), sample }
}

async fn begin(queue: &mut Queue, run: RunId, selection: VerifySelection, most: usize) -> Option<Verification> {
    let run = queue.run(run).await.unwrap();
    queue.begin_verification(&run, selection, most, "0192-verification", NOW + 1).await.unwrap()
}

fn rows(requests: &[Request]) -> Vec<Vec<RowNo>> {
    requests.iter().map(|request| request.items.iter().flat_map(Item::rows).collect()).collect()
}

/// A finished run: rows 0 to 5 of list `a`, and row 6 of list `b`.
async fn finished(queue: &mut Queue) -> RunId {
    let load = [(Some("a"), items(0..3)), (Some("a"), items(3..6)), (Some("b"), items(6..7))];
    let run = begun(queue, "friend_delete", &load).await;
    let verdicts = [
        vec![done(), failed(9), ended(AlreadyDone, Some(31704))],
        vec![done(), done(), ended(InDoubt, None)],
        vec![done()],
    ];
    for (request, verdicts) in pending(queue, run).await.iter().zip(verdicts) {
        record_call(queue, run, request, verdicts).await;
    }
    queue.finish(run, NOW).await.unwrap();
    run
}

#[tokio::test]
async fn it_copies_the_selected_items_of_a_list_into_as_few_lookups_as_possible() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = finished(&mut queue).await;
    for (outcomes, most, expected) in [
        (vec![Succeeded, AlreadyDone], 100, vec![vec![0, 2, 3, 4], vec![6]]),
        (vec![Succeeded, AlreadyDone], 3, vec![vec![0, 2, 3], vec![4], vec![6]]),
        (vec![Failed], 100, vec![vec![1]]),
        (vec![InDoubt, Failed], 100, vec![vec![1, 5]]),
    ] {
        let verification = begin(&mut queue, run, selection(&outcomes, None), most).await.unwrap();
        let requests = pending(&queue, verification.run.id).await;
        assert_eq!(rows(&requests), expected);
        for request in &requests {
            assert_eq!((&request.purpose, request.purpose.call_kind()), (&Purpose::Verify(run), CallKind::Lookup));
        }
        let selected = expected.iter().flatten().count() as u64;
        assert_eq!(sums(&mut queue, verification.run.id).await, [(Pending, selected)]);
        queue.end_verification(verification.run.id).await.unwrap();
    }
    let merged = begun(&mut queue, "friend_update", &[(Some("a"), vec![merged(&[0, 2]), merged(&[1])])]).await;
    let requests = pending(&queue, merged).await;
    assert_eq!(begin(&mut queue, merged, selection(&[Succeeded], None), 9).await, None, "nothing is settled");
    record_call(&mut queue, merged, &requests[0], vec![done(), failed(1)]).await;
    let verification = begin(&mut queue, merged, selection(&[Succeeded], None), 9).await.unwrap();
    assert_eq!(rows(&pending(&queue, verification.run.id).await), [[0, 2]]);
}

#[tokio::test]
async fn no_list_of_runs_has_it_and_nothing_of_it_remains() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = finished(&mut queue).await;
    let before = place.lines().await;
    let chosen = selection(&[Succeeded], None);
    let verification = begin(&mut queue, run, chosen.clone(), 9).await.unwrap();
    let reader = queue.reader().await.unwrap();
    assert_eq!(reader.runs().await.unwrap().iter().map(|run| run.id).collect::<Vec<_>>(), [run]);
    assert_eq!(place.number("SELECT count(DISTINCT run) FROM item").await, 1);
    drop(reader);
    drop(queue);
    let mut queue = place.open().await;
    let found = queue.verification_of(run).await.unwrap().expect("it is not complete");
    assert_eq!((found.run.id, &found.selection), (verification.run.id, &chosen));
    queue.end_verification(found.run.id).await.unwrap();
    assert_eq!(queue.verification_of(run).await.unwrap(), None);
    assert_eq!(place.lines().await, before);
}

/// Records what a lookup of each item showed.
async fn looked_up(queue: &mut Queue, run: RunId, outcomes: &[Outcome]) -> Verification {
    let chosen = selection(&[Succeeded, AlreadyDone, Failed, InDoubt], None);
    let verification = begin(queue, run, chosen, 100).await.unwrap();
    let mut verdicts = outcomes.iter().map(|outcome| match outcome {
        Succeeded => done(),
        other => ended(*other, None),
    });
    for request in pending(queue, verification.run.id).await {
        let verdicts = verdicts.by_ref().take(request.items.len()).collect();
        record_call(queue, verification.run.id, &request, verdicts).await;
    }
    verification
}

async fn verified(queue: &Queue, run: RunId) -> Vec<(RowNo, Verified)> {
    let rows = snapshot(queue).await.verified(run, 0..100).await.unwrap();
    rows.into_iter().map(|row| (row.row, row.verified)).collect()
}

#[tokio::test]
async fn each_row_has_what_its_last_lookup_showed() {
    use Verified::{Confirmed, Contradicted, Unknown};
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = finished(&mut queue).await;
    let first = [Succeeded, Failed, Succeeded, Failed, InDoubt, Succeeded, Succeeded];
    let verification = looked_up(&mut queue, run, &first).await;
    let expected = [Confirmed, Contradicted, Confirmed, Contradicted, Unknown, Confirmed, Confirmed];
    assert_eq!(verified(&queue, run).await, (0..).zip(expected).collect::<Vec<_>>());
    let outcomes = sums(&mut queue, run).await;
    assert_eq!(outcomes, [(Succeeded, 4), (AlreadyDone, 1), (Failed, 1), (InDoubt, 1)], "outcomes stay as they are");
    queue.end_verification(verification.run.id).await.unwrap();
    looked_up(&mut queue, run, &[Failed; 7]).await;
    assert_eq!(verified(&queue, run).await, (0..7).map(|row| (row, Contradicted)).collect::<Vec<_>>());
    let counted = queue.reader().await.unwrap().verified_rows(run).await.unwrap();
    assert_eq!(counted, VerifiedRows { confirmed: 0, contradicted: 7, unknown: 0 });
    let columns = "SELECT count(*) FROM item WHERE verified = 'contradicted' AND verified_at > 0";
    assert_eq!(place.number(columns).await, 7);
}

#[tokio::test]
async fn contradicted_rows_are_pending_again_whatever_their_outcome_and_an_unfinished_verification_ends() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = finished(&mut queue).await;
    let ended = [Failed, Failed, Failed, Succeeded, InDoubt, Failed, Succeeded];
    looked_up(&mut queue, run, &ended).await;
    assert!(queue.verification_of(run).await.unwrap().is_some());
    let stored = queue.run(run).await.unwrap();
    let retried = queue.retry(&stored, RetrySelection::Contradicted).await.unwrap().codes;
    assert_eq!(retried_rows(&retried), 4);
    let outcomes: Vec<_> = retried.iter().map(|rows| (rows.outcome, rows.code, rows.rows)).collect();
    let expected = [(Succeeded, None, 1), (AlreadyDone, Some(31704), 1), (Failed, Some(9), 1), (InDoubt, None, 1)];
    assert_eq!(outcomes, expected);
    let mut again: Vec<RowNo> = rows(&pending(&queue, run).await).concat();
    again.sort_unstable();
    assert_eq!(again, [0, 1, 2, 5]);
    assert!(pending(&queue, run).await.iter().all(|request| request.purpose == Purpose::Change));
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 3), (Pending, 4)]);
    assert_eq!(verified(&queue, run).await.into_iter().map(|(row, _)| row).collect::<Vec<_>>(), [3, 4, 6]);
    assert_eq!(queue.verification_of(run).await.unwrap(), None, "it would look up pending rows");
    let counted = queue.reader().await.unwrap().verified_rows(run).await.unwrap();
    assert_eq!(counted, VerifiedRows { confirmed: 2, contradicted: 0, unknown: 1 });
}

#[tokio::test]
async fn a_sample_is_the_same_for_the_same_seed_also_after_rows_have_moved() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..50)), (None, items(50..100))]).await;
    for request in pending(&queue, run).await {
        let verdicts = (0..50).map(|row| if row % 2 == 0 { done() } else { failed(9) }).collect();
        record_call(&mut queue, run, &request, verdicts).await;
    }
    let all = [Succeeded, Failed];
    let mut chosen = Vec::new();
    for seed in [1, 1, 2] {
        let verification = begin(&mut queue, run, selection(&all, Some((10, seed))), 100).await.unwrap();
        chosen.push(rows(&pending(&queue, verification.run.id).await).concat());
        queue.end_verification(verification.run.id).await.unwrap();
    }
    assert!(chosen[0].len() == 10 && chosen[0] == chosen[1] && chosen[0] != chosen[2], "{chosen:?}");
    let stored = queue.run(run).await.unwrap();
    queue.retry(&stored, FAILED).await.unwrap();
    for request in pending(&queue, run).await {
        let verdicts = request.items.iter().map(|_| done()).collect();
        record_call(&mut queue, run, &request, verdicts).await;
    }
    let verification = begin(&mut queue, run, selection(&all, Some((10, 1))), 100).await.unwrap();
    let mut again = rows(&pending(&queue, verification.run.id).await).concat();
    again.sort_unstable();
    chosen[0].sort_unstable();
    assert_eq!(again, chosen[0]);
}

#[tokio::test]
async fn a_changed_result_is_damage_and_a_forgotten_run_has_none() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = finished(&mut queue).await;
    looked_up(&mut queue, run, &[Failed; 7]).await;
    place.tamper("UPDATE verified SET verified = 'confirmed' WHERE row = 3").await;
    let error = snapshot(&queue).await.verified(run, 0..100).await.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains("row 3"), "{error}");
    queue.forget(run, "digest", NOW).await.unwrap();
    for table in ["verified", "verified_tally", "verification", "request", "outcome"] {
        assert_eq!(place.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
}

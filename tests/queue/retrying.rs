//! Sending failed items again.

use imbulk::domain::ids::RunId;
use imbulk::domain::request::row::{FieldValue, FieldValues, RowNo};
use imbulk::domain::request::{Doubt, Item, Request};
use imbulk::domain::response::outcome::Outcome::{self, AlreadyDone, Failed, InDoubt, Pending, Succeeded};
use imbulk::domain::response::verdict::{BatchSplit, Verdict};
use imbulk::queue::{Queue, QueueError, RetrySelection, RunState};

use crate::fixture::*;

const DOUBTFUL: RetrySelection = RetrySelection::Ended { outcome: InDoubt, code: None };

async fn retry(queue: &mut Queue, run: RunId, selection: RetrySelection) -> u64 {
    let run = queue.run(run).await.unwrap();
    retried_rows(&queue.retry(&run, selection).await.unwrap().codes)
}

/// Loads these requests, and ends each with these verdicts.
async fn ended_run(
    queue: &mut Queue,
    operation: &'static str,
    requests: Vec<(Option<&str>, Vec<Item>, Vec<Verdict>)>,
) -> RunId {
    let load: Vec<_> = requests.iter().map(|(from, items, _)| (*from, items.clone())).collect();
    let run = begun(queue, operation, &load).await;
    for (request, (_, _, verdicts)) in pending(queue, run).await.iter().zip(requests) {
        record_call(queue, run, request, verdicts).await;
    }
    queue.finish(run, NOW).await.unwrap();
    run
}

fn rows(requests: &[Request]) -> Vec<Vec<RowNo>> {
    requests.iter().map(|request| request.items.iter().flat_map(Item::rows).collect()).collect()
}

#[tokio::test]
async fn only_what_ended_as_selected_is_pending_again() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let verdicts = vec![failed(1), done(), failed(2), ended(InDoubt, None), ended(AlreadyDone, Some(1)), failed(1)];
    let run = ended_run(&mut queue, "account_delete", vec![(None, items(0..6), verdicts)]).await;
    let code = |code| RetrySelection::Ended { outcome: Failed, code: Some(code) };
    assert_eq!(retry(&mut queue, run, code(3)).await, 0);
    assert_eq!(queue.run(run).await.unwrap().state(), RunState::Finished, "nothing selected, nothing changed");

    assert_eq!(retry(&mut queue, run, code(1)).await, 2);
    assert_eq!(rows(&pending(&queue, run).await), [[0, 5]]);
    let again = queue.run(run).await.unwrap();
    assert_eq!((again.state(), again.finished_at), (RunState::Running, None));
    let kept = [(Succeeded, 1), (AlreadyDone, 1), (Failed, 1), (InDoubt, 1), (Pending, 2)];
    assert_eq!(sums(&mut queue, run).await, kept);

    assert_eq!(retry(&mut queue, run, FAILED).await, 1);
    assert_eq!(retry(&mut queue, run, DOUBTFUL).await, 1);
    assert_eq!(retry(&mut queue, run, FAILED).await, 0, "what is pending is not failed any more");
    assert_eq!(rows(&pending(&queue, run).await), [vec![0, 5], vec![2], vec![3]]);
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 1), (AlreadyDone, 1), (Pending, 4)]);
    for request in pending(&queue, run).await {
        let all = request.items.len();
        record_call(&mut queue, run, &request, vec![done(); all]).await;
    }
    queue.finish(run, NOW).await.unwrap();
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 5), (AlreadyDone, 1)]);
}

#[tokio::test]
async fn empty_requests_are_deleted_and_their_items_fill_new_requests() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    // account_delete takes 100 items a call.
    let requests = (0..130).map(|at| (None, items(2 * at..2 * at + 2), vec![failed(1); 2])).collect();
    let run = ended_run(&mut queue, "account_delete", requests).await;
    assert_eq!(retry(&mut queue, run, FAILED).await, 260);
    let packed = pending(&queue, run).await;
    assert_eq!(packed.iter().map(|request| request.items.len()).collect::<Vec<_>>(), [100, 100, 60]);
    assert_eq!(rows(&packed).concat(), (0..260).collect::<Vec<_>>());
    assert_eq!(place.number("SELECT count(*) FROM request").await, 3);
    assert_eq!(place.number("SELECT count(*) FROM payload").await, 3);
    assert_eq!(place.number("SELECT count(*) FROM outcome").await, 0);
    assert!(packed.iter().all(|request| (request.calls, request.charged, request.doubt) == (1, 0, Doubt::None)));
    assert_eq!(sums(&mut queue, run).await, [(Pending, 260)]);
}

#[tokio::test]
async fn items_of_different_lists_never_share_a_request() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let requests = ["a", "a", "b", "a"]
        .into_iter()
        .zip(0..)
        .map(|(from, at)| (Some(from), items(3 * at..3 * at + 3), vec![failed(1), done(), failed(1)]));
    let run = ended_run(&mut queue, "friend_delete", requests.collect()).await;
    assert_eq!(retry(&mut queue, run, FAILED).await, 8);
    let packed = pending(&queue, run).await;
    assert_eq!(rows(&packed), [vec![0, 2, 3, 5], vec![6, 8], vec![9, 11]]);
    let from: Vec<_> = packed.iter().map(|request| request.from.as_ref().unwrap().as_str()).collect();
    assert_eq!(from, ["a", "b", "a"]);
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 4), (Pending, 8)]);
}

#[tokio::test]
async fn merged_rows_are_retried_together_with_their_fields() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let load = vec![merged(&[0, 4]), merged(&[1]), merged(&[2, 3, 5])];
    let request = (Some("a"), load.clone(), vec![failed(1), failed(2), failed(1)]);
    let run = ended_run(&mut queue, "friend_update", vec![request]).await;
    assert_eq!(retry(&mut queue, run, RetrySelection::Ended { outcome: Failed, code: Some(1) }).await, 5);
    assert_eq!(pending(&queue, run).await[0].items, [load[0].clone(), load[2].clone()]);
    assert_eq!(sums(&mut queue, run).await, [(Failed, 1), (Pending, 5)]);
}

#[tokio::test]
async fn doubt_stays_with_its_items_and_reaches_no_others() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let requests = (0..3).map(|at| (None, items(2 * at..2 * at + 2))).collect::<Vec<_>>();
    let run = begun(&mut queue, "account_delete", &requests).await;
    let page = pending(&queue, run).await;
    record_call(&mut queue, run, &page[0], vec![failed(1), ended(InDoubt, None)]).await;
    let follow_ups =
        record_call(&mut queue, run, &page[1], vec![again(Doubt::EffectUnknown, BatchSplit::Whole); 2]).await;
    record_call(&mut queue, run, &follow_ups[0].request, vec![failed(1); 2]).await;
    record_call(&mut queue, run, &page[2], vec![failed(1); 2]).await;
    assert_eq!(retry(&mut queue, run, FAILED).await, 5);
    assert_eq!(retry(&mut queue, run, DOUBTFUL).await, 1);
    let packed = pending(&queue, run).await;
    let doubts: Vec<_> = rows(&packed).into_iter().zip(packed.iter().map(|request| request.doubt)).collect();
    let (none, doubt) = (Doubt::None, Doubt::EffectUnknown);
    assert_eq!(doubts, [(vec![0], none), (vec![2, 3], doubt), (vec![4, 5], none), (vec![1], doubt)]);
    assert_eq!(packed[1].calls, 2, "all calls are before them");
}

#[tokio::test]
async fn requests_that_were_cut_for_their_size_are_not_packed_larger() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let long = |row| {
        let fields = FieldValues::from([("Tag_SNS_Custom_a".into(), FieldValue::Text("x".repeat(200 << 10).into()))]);
        Item { updates: Some(Box::new(vec![(row, fields)])), ..item(row) }
    };
    let requests = (0..4).map(|row| (Some("a"), vec![long(row)], vec![failed(1)])).collect();
    let run = ended_run(&mut queue, "friend_update", requests).await;
    assert_eq!(retry(&mut queue, run, FAILED).await, 4);
    assert_eq!(rows(&pending(&queue, run).await), [[0, 1], [2, 3]]);
}

#[tokio::test]
async fn a_run_that_was_given_up_is_not_retried() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..2)), (None, items(2..4))]).await;
    let request = pending(&queue, run).await.remove(0);
    record_call(&mut queue, run, &request, vec![failed(1); 2]).await;
    queue.supersede(run).await.unwrap();
    let stored = queue.run(run).await.unwrap();
    let refused = queue.retry(&stored, FAILED).await;
    assert!(matches!(refused, Err(QueueError::Unexpected(_))), "{refused:?}");
    assert_eq!(sums(&mut queue, run).await, [(Outcome::Failed, 2), (Pending, 2)]);
    begun(&mut queue, "account_delete", &[(None, items(0..2))]).await;
}

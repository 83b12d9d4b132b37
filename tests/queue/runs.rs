//! The states of a run: planned, running, finished, superseded.

use imbulk::domain::hint::Message;
use imbulk::domain::ids::RunId;
use imbulk::domain::request::{Doubt, Request};
use imbulk::domain::response::outcome::Outcome::{Pending, Succeeded};
use imbulk::domain::response::verdict::BatchSplit;
use imbulk::domain::run_choice::EndedBy;
use imbulk::domain::target::RunTarget;
use imbulk::queue::{Loader, Queue, QueueError, RunState};
use imbulk::stored_request::StoredRequest;

use crate::fixture::*;

async fn planned(queue: &mut Queue) -> RunId {
    let mut loader = Loader::begin(queue, &new_run("account_delete")).await.unwrap();
    loader.request(StoredRequest::encode(None, &items(0..2))).await.unwrap();
    loader.finish(&[]).await.unwrap()
}

async fn state(queue: &mut Queue, run: RunId) -> RunState {
    queue.run(run).await.unwrap().state()
}

#[tokio::test]
async fn a_run_is_finished_only_once_nothing_of_it_is_pending_or_sending() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = planned(&mut queue).await;
    assert!(queue.finish(run, NOW).await.is_err(), "it has not begun");
    queue.begin(run, NOW, None).await.unwrap();
    assert!(queue.finish(run, NOW).await.is_err(), "it is pending");
    intend(&mut queue, &ids([1])).await.unwrap();
    assert!(queue.finish(run, NOW).await.is_err(), "it is sending");
    recover(&mut queue).await;
    let request = pending(&queue, run).await.remove(0);
    record_call(&mut queue, run, &request, vec![done(); 2]).await;
    queue.finish(run, NOW + 1).await.unwrap();
    let stored = queue.run(run).await.unwrap();
    assert_eq!((stored.state(), stored.started_at, stored.finished_at), (RunState::Finished, Some(NOW), Some(NOW + 1)));
}

#[tokio::test]
async fn a_resumed_run_keeps_its_start_and_forgets_why_it_stopped() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = planned(&mut queue).await;
    assert!(queue.store_stop(run, EndedBy::Person, &Message::new("no")).await.is_err(), "it has not begun");
    queue.begin(run, NOW, None).await.unwrap();
    let late = Message::new("it's late").add_hint("run it again");
    queue.store_stop(run, EndedBy::Deadline, &late).await.unwrap();
    let stopped = queue.run(run).await.unwrap();
    assert_eq!((stopped.end_reason.as_ref(), stopped.ended_by()), (Some(&late), EndedBy::Deadline));
    drop(queue);
    let mut queue = place.open().await;
    assert_eq!(queue.run(run).await.unwrap().ended_by(), EndedBy::Deadline, "what is stored stays");
    queue.begin(run, NOW + 5, None).await.unwrap();
    let stored = queue.run(run).await.unwrap();
    assert_eq!((stored.has_ended(), stored.end_reason, stored.started_at), (false, None, Some(NOW)));
    drop(queue);
    let mut queue = place.open().await;
    let killed = queue.run(run).await.unwrap();
    assert_eq!((killed.has_ended(), killed.ended_by()), (true, EndedBy::Kill));
}

#[tokio::test]
async fn the_last_plan_of_a_job_is_kept_until_a_run_begins_on_its_target() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    assert_eq!(queue.shown_plan("job", RunTarget::Sandbox).await.unwrap(), None);
    for (target, parts) in [("sandbox", "one"), ("1400000001", "real"), ("sandbox", "two")] {
        queue.store_plan("job", target.parse().unwrap(), parts, NOW).await.unwrap();
    }
    let shown = queue.shown_plan("job", RunTarget::Sandbox).await.unwrap().unwrap();
    assert_eq!((shown.parts.as_str(), shown.shown_at), ("two", NOW));
    let run = planned(&mut queue).await;
    queue.begin(run, NOW, None).await.unwrap();
    assert_eq!(queue.shown_plan("job", RunTarget::Sandbox).await.unwrap(), None);
    assert_eq!(queue.shown_plan("job", "1400000001".parse().unwrap()).await.unwrap().unwrap().parts, "real");
    place.tamper("UPDATE shown_plan SET parts = 'other'").await;
    assert!(matches!(queue.shown_plan("job", "1400000001".parse().unwrap()).await, Err(QueueError::Damaged(_))));
}

#[tokio::test]
async fn forbidden_changes_of_state_fail_and_change_nothing() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let [planned, running, finished, superseded] = four(&mut queue).await;
    let all = [planned, running, finished, superseded];
    let lines = place.lines().await;
    for run in [finished, superseded, RunId::new(99)] {
        assert!(matches!(queue.begin(run, NOW, None).await, Err(QueueError::Unexpected(_))));
        assert!(queue.finish(run, NOW).await.is_err());
        assert!(queue.store_stop(run, EndedBy::Person, &Message::new("x")).await.is_err());
    }
    for run in [planned, finished, superseded, RunId::new(99)] {
        assert!(queue.supersede(run).await.is_err());
    }
    for run in [running, finished, superseded, RunId::new(99)] {
        assert!(queue.discard(run).await.is_err());
    }
    assert_eq!(place.lines().await, lines);
    let mut states = Vec::new();
    for run in all {
        states.push(state(&mut queue, run).await);
    }
    assert_eq!(states, [RunState::Planned, RunState::Running, RunState::Finished, RunState::Superseded]);
}

async fn four(queue: &mut Queue) -> [RunId; 4] {
    let runs = [planned(queue).await, planned(queue).await, planned(queue).await, planned(queue).await];
    for run in &runs[1..] {
        queue.begin(*run, NOW, None).await.unwrap();
    }
    let request = pending(queue, runs[2]).await.remove(0);
    record_call(queue, runs[2], &request, vec![done(); 2]).await;
    queue.finish(runs[2], NOW).await.unwrap();
    queue.supersede(runs[3]).await.unwrap();
    runs
}

#[tokio::test]
async fn a_superseded_run_keeps_its_rows_and_its_requests_are_recovered() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = planned(&mut queue).await;
    queue.begin(run, NOW, None).await.unwrap();
    intend(&mut queue, &ids([1])).await.unwrap();
    queue.supersede(run).await.unwrap();
    assert_eq!(sums(&mut queue, run).await, [(Pending, 2)]);
    assert_eq!(queue.recover().await.unwrap()[0].0, run, "its accounts may still be written");
}

#[tokio::test]
async fn a_discarded_run_leaves_nothing_and_others_are_not_changed() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let kept = begun(&mut queue, "account_delete", &[(None, items(0..4))]).await;
    let request: Request = pending(&queue, kept).await.remove(0);
    let verdicts =
        vec![done(), failed(9), again(Doubt::None, BatchSplit::Whole), again(Doubt::None, BatchSplit::Halves)];
    record_call(&mut queue, kept, &request, verdicts).await;
    let lines = place.lines().await;
    let discarded = planned(&mut queue).await;
    assert!(place.lines().await > lines);
    queue.discard(discarded).await.unwrap();
    assert_eq!(place.lines().await, lines);
    assert_eq!(sums(&mut queue, kept).await[0], (Succeeded, 1));
    let reader = queue.reader().await.unwrap();
    assert_eq!(reader.runs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn wrong_sums_are_reported_whatever_was_changed() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..4)), (None, items(4..8))]).await;
    let request = pending(&queue, run).await.remove(0);
    record_call(&mut queue, run, &request, vec![done(), done(), failed(9), failed(9)]).await;
    let changes = [
        (
            "UPDATE tally SET rows = rows + 1 WHERE outcome = 'failed'",
            "UPDATE tally SET rows = rows - 1 WHERE outcome = 'failed'",
        ),
        (
            "UPDATE request SET row_count = row_count + 1 WHERE id = 2",
            "UPDATE request SET row_count = row_count - 1 WHERE id = 2",
        ),
        (
            "UPDATE outcome SET outcome = 'in_doubt' WHERE row = 2",
            "UPDATE outcome SET outcome = 'failed' WHERE row = 2",
        ),
        (
            "UPDATE request SET item_count = 1, row_count = 1 WHERE id = 1",
            "UPDATE request SET row_count = 4 WHERE id = 1",
        ),
    ];
    for (wrong, right) in changes {
        place.tamper(wrong).await;
        let stored = queue.run(run).await.unwrap();
        assert!(matches!(queue.check_sums(&stored).await, Err(QueueError::Sums { .. })), "{wrong}");
        place.tamper(right).await;
        sums(&mut queue, run).await;
    }
    let mut shorter = queue.run(run).await.unwrap();
    shorter.row_count = 7;
    assert!(matches!(queue.check_sums(&shorter).await, Err(QueueError::Sums { .. })));
}

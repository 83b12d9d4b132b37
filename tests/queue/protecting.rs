//! Ids that are protected after a load.

use imbulk::domain::ids::RunId;
use imbulk::domain::response::outcome::Outcome::{Failed, InDoubt, Pending, Protected, Succeeded};
use imbulk::queue::{Queue, QueueError, RetrySelection};

use crate::fixture::*;

async fn protect(queue: &mut Queue, run: RunId, ids: &'static [&'static str]) -> u64 {
    let run = queue.run(run).await.unwrap();
    queue.protect(&run, &|id| ids.contains(&id), "new digest", 7).await.unwrap()
}

#[tokio::test]
async fn rows_with_a_protected_id_are_skipped_and_removed_from_their_requests() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let requests = [(None, items(0..3)), (None, items(3..4)), (None, items(4..6))];
    let run = begun(&mut queue, "account_delete", &requests).await;
    let page = pending(&queue, run).await;
    assert_eq!(protect(&mut queue, run, &["u1", "u3"]).await, 2);
    assert_eq!(queue.run(run).await.unwrap().protected_digest, "new digest");
    let left = pending(&queue, run).await;
    assert_eq!((left[0].items.as_slice(), left[0].id), (&[item(0), item(2)][..], page[0].id));
    assert_eq!(left[1..], page[2..], "what names none is as it was");
    assert_eq!(sums(&mut queue, run).await, [(Pending, 4), (Protected, 2)]);
    let skipped_rows = snapshot(&queue).await.skipped_rows(run, 0..100).await.unwrap();
    assert_eq!(
        skipped_rows.iter().map(|skipped| skipped.account.as_deref().unwrap()).collect::<Vec<_>>(),
        ["u1", "u3"]
    );
    assert_eq!(skipped_rows[0].reason.as_deref(), Some("`u1` is on the protected list"));
    assert_eq!(protect(&mut queue, run, &["u1", "u3"]).await, 0, "once");
}

#[tokio::test]
async fn a_protected_from_account_skips_all_its_friends_and_merged_rows_keep_their_fields() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let requests =
        [(Some("boss"), vec![merged(&[0, 4]), merged(&[1])]), (Some("a"), vec![merged(&[2, 5, 6]), merged(&[3])])];
    let run = begun(&mut queue, "friend_update", &requests).await;
    assert_eq!(protect(&mut queue, run, &["boss", "u2"]).await, 6);
    let left = pending(&queue, run).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].items, [merged(&[3])]);
    let skipped_rows = snapshot(&queue).await.skipped_rows(run, 0..100).await.unwrap();
    assert_eq!(skipped_rows.iter().map(|skipped| skipped.row).collect::<Vec<_>>(), [0, 1, 2, 4, 5, 6]);
    let (row, fields) = merged(&[2, 5, 6]).updates.unwrap().remove(1);
    let skipped = skipped_rows.iter().find(|skipped| skipped.row == row).unwrap();
    assert_eq!(
        (&skipped.fields, skipped.from.as_deref(), skipped.account.as_deref()),
        (&fields, Some("a"), Some("u2"))
    );
    assert_eq!(sums(&mut queue, run).await, [(Pending, 1), (Protected, 6)]);
}

#[tokio::test]
async fn settled_rows_keep_their_outcome() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..2)), (None, items(2..4))]).await;
    let page = pending(&queue, run).await;
    record_call(&mut queue, run, &page[0], vec![done(), failed(9)]).await;
    assert_eq!(protect(&mut queue, run, &["u0", "u1", "u2"]).await, 1);
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 1), (Failed, 1), (Pending, 1), (Protected, 1)]);
}

#[tokio::test]
async fn rows_that_were_sending_at_a_crash_are_in_doubt_and_not_sent_again() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..2)), (None, items(2..3))]).await;
    intend(&mut queue, &ids([1, 2])).await.unwrap();
    drop(queue);
    let mut queue = place.open().await;
    assert_eq!(protect(&mut queue, run, &["u0", "u2"]).await, 2);
    let recovered = queue.recover().await.unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].1.items, [item(1)]);
    assert_eq!(sums(&mut queue, run).await, [(InDoubt, 2), (Pending, 1)]);
}

#[tokio::test]
async fn other_runs_are_not_changed() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let other = begun(&mut queue, "account_delete", &[(None, items(0..2))]).await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..2))]).await;
    assert_eq!(protect(&mut queue, run, &["u0", "u1"]).await, 2);
    assert_eq!(sums(&mut queue, run).await, [(Protected, 2)]);
    assert_eq!(sums(&mut queue, other).await, [(Pending, 2)]);
    queue.finish(run, NOW).await.unwrap();
}

#[tokio::test]
async fn a_failed_row_whose_id_was_protected_later_is_skipped_when_it_is_retried() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    let request = pending(&queue, run).await.remove(0);
    record_call(&mut queue, run, &request, vec![failed(30002), failed(30002), done()]).await;
    assert_eq!(protect(&mut queue, run, &["u0"]).await, 0, "nothing is pending");
    let stored = queue.run(run).await.unwrap();
    let selection = RetrySelection::Ended { outcome: Failed, code: Some(8) };
    assert_eq!(queue.retry(&stored, selection).await.unwrap().codes, []);
    assert_eq!(queue.run(run).await.unwrap().protected_digest, "new digest", "nothing selected, nothing changed");
    assert_eq!(retried_rows(&queue.retry(&stored, FAILED).await.unwrap().codes), 2);
    assert_eq!(
        queue.run(run).await.unwrap().protected_digest,
        "",
        "rows that are pending again were held against no list"
    );
    assert_eq!(protect(&mut queue, run, &["u0"]).await, 1);
    assert_eq!(pending(&queue, run).await[0].items, [item(1)]);
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 1), (Pending, 1), (Protected, 1)]);
}

#[tokio::test]
async fn a_row_in_doubt_whose_id_was_protected_later_stays_in_doubt_when_it_is_retried() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..2))]).await;
    intend(&mut queue, &ids([1])).await.unwrap();
    drop(queue);
    let mut queue = place.open().await;
    assert_eq!(protect(&mut queue, run, &["u0", "u1"]).await, 2);
    queue.finish(run, NOW).await.unwrap();
    let stored = queue.run(run).await.unwrap();
    let selection = RetrySelection::Ended { outcome: InDoubt, code: None };
    assert_eq!(retried_rows(&queue.retry(&stored, selection).await.unwrap().codes), 2);
    assert_eq!(queue.run(run).await.unwrap().protected_digest, "");
    assert_eq!(protect(&mut queue, run, &["u0", "u1"]).await, 2);
    assert_eq!(pending(&queue, run).await, []);
    assert_eq!(sums(&mut queue, run).await, [(InDoubt, 2)]);
    queue.finish(run, NOW).await.unwrap();
}

#[tokio::test]
async fn a_count_that_is_gone_stops_protecting_and_retrying_before_anything_changes() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..2)), (None, items(2..4))]).await;
    let request = pending(&queue, run).await.remove(0);
    record_call(&mut queue, run, &request, vec![failed(9); 2]).await;
    place.tamper("DELETE FROM tally WHERE outcome IN ('protected', 'failed')").await;
    let (stored, lines) = (queue.run(run).await.unwrap(), place.lines().await);
    let refused = queue.protect(&stored, &|id| id == "u2", "new digest", 7).await;
    assert!(matches!(refused, Err(QueueError::Unexpected(_))), "{refused:?}");
    let refused = queue.retry(&stored, FAILED).await;
    assert!(matches!(refused, Err(QueueError::Unexpected(_))), "{refused:?}");
    assert_eq!((queue.run(run).await.unwrap(), place.lines().await), (stored, lines));
}

//! Rows that the next run takes over.

use std::num::NonZeroU32;

use imbulk::domain::ids::{RequestId, RunId};
use imbulk::domain::request::Doubt;
use imbulk::domain::request::line_span::LineSpan;
use imbulk::domain::response::verdict::BatchSplit;
use imbulk::queue::{CarrySource, Loader, Queue};
use imbulk::stored_request::StoredRequest;

use crate::fixture::*;

/// Begins a run of `requests` requests of one item each, which are in the lines from 2 on.
async fn begun_with_lines(queue: &mut Queue, requests: u64) -> RunId {
    let mut loader = Loader::begin(queue, &new_run("friend_delete")).await.unwrap();
    loader.line_span(LineSpan { first_row: 0, source: 0, first_line: 2, step: 1 }).await.unwrap();
    for row in 0..requests {
        loader.request(StoredRequest::encode(Some(&id("boss")), &[item(row)])).await.unwrap();
    }
    let run = loader.finish(&[]).await.unwrap();
    queue.begin(run, NOW, None).await.unwrap();
    run
}

/// The lines of the rows that the next run takes over.
async fn carried_lines(queue: &mut Queue, run: RunId) -> Vec<u64> {
    let run = queue.run(run).await.unwrap();
    let source = CarrySource { run, nights: NonZeroU32::MIN, digest: "digest".to_owned() };
    let (mut snapshot, mut after, mut lines) = (snapshot(queue).await, RequestId::BEFORE_FIRST, Vec::new());
    while let Some(page) = snapshot.carried_page(&source, &mut after).await.unwrap() {
        lines.extend(page.rows.iter().map(|row| row.line));
    }
    lines
}

#[tokio::test]
async fn pending_rows_of_a_run_that_was_given_up_are_carried_over_if_a_call_may_have_had_an_effect() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun_with_lines(&mut queue, 6).await;
    let sent = pending(&queue, run).await;
    // The server says that it did nothing; that it may have done a part; and that another call was in its way.
    for (request, code) in sent.iter().zip([60007, 70500, 30006]) {
        record_call(&mut queue, run, request, vec![again_after(code)]).await;
    }
    record_call(&mut queue, run, &sent[3], vec![again(Doubt::TimedOut, BatchSplit::Whole)]).await;
    intend(&mut queue, &[sent[4].id]).await.unwrap();
    queue.supersede(run).await.unwrap();
    let mut carried = carried_lines(&mut queue, run).await;
    carried.sort_unstable();
    assert_eq!(carried, [3, 4, 5, 6], "not line 2, of which nothing was done, nor line 7, which was never sent");
}

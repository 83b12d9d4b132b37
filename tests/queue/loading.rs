//! A load stores all of a run or nothing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use imbulk::domain::request::Item;
use imbulk::domain::request::line_span::LineSpan;
use imbulk::domain::request::row::{FieldValue, FieldValues, RowNo};
use imbulk::domain::request::skipped_row::{SkipReason, SkippedRow};
use imbulk::domain::response::outcome::Outcome::{Duplicate, Pending, Protected, Rejected};
use imbulk::domain::target::RunTarget;
use imbulk::queue::{Loader, Original, Queue, RunState};
use imbulk::stored_request::StoredRequest;

use crate::fixture::*;

/// More rows than one transaction contains.
const MANY: RowNo = 66_000;

fn skipped(row: RowNo, reason: SkipReason) -> SkippedRow {
    let fields = FieldValues::from([("Tag_SNS_IM_Remark".into(), FieldValue::Text("x".into()))]);
    SkippedRow { row, reason, from: Some("a".into()), account: None, fields }
}

async fn load_many(queue: &mut Queue) -> Loader<'_> {
    let mut loader = Loader::begin(queue, &new_run("friend_delete")).await.unwrap();
    for row in 0..MANY {
        loader.request(StoredRequest::encode(Some(&id("a")), &[item(row)])).await.unwrap();
    }
    loader
}

#[tokio::test]
async fn a_loaded_run_is_read_back_and_adds_up() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let mut loader = Loader::begin(&mut queue, &new_run("friend_update")).await.unwrap();
    loader.request(StoredRequest::encode(Some(&id("a")), &[merged(&[0, 2]), merged(&[1])])).await.unwrap();
    loader
        .skipped_row(skipped(3, SkipReason::Rejected { column: Some("To_Account".into()), reason: "is empty".into() }))
        .await
        .unwrap();
    loader.skipped_row(skipped(4, SkipReason::Duplicate { of: 1 })).await.unwrap();
    loader.skipped_row(skipped(5, SkipReason::Protected { id: "boss".into() })).await.unwrap();
    let first = LineSpan { first_row: 0, source: 0, first_line: 2, step: 1 };
    let second = LineSpan { first_row: 3, source: 1, first_line: 7, step: 0 };
    loader.line_span(first).await.unwrap();
    loader.line_span(second).await.unwrap();
    let run = loader.finish(&["Tag_SNS_IM_Remark".into()]).await.unwrap();

    assert_eq!(sums(&mut queue, run).await, [(Pending, 3), (Rejected, 1), (Duplicate, 1), (Protected, 1)]);
    let stored = queue.run(run).await.unwrap();
    assert_eq!((stored.state(), stored.row_count, stored.item_count), (RunState::Planned, 6, 2));
    assert_eq!(stored.fields(), ["Tag_SNS_IM_Remark"]);
    let reader = queue.reader().await.unwrap();
    assert_eq!(reader.runs().await.unwrap(), std::slice::from_ref(&stored));
    assert_eq!(reader.runs_of("job", RunTarget::Sandbox).await.unwrap(), [stored]);
    assert_eq!(reader.runs_of("job", "1400000001".parse().unwrap()).await.unwrap(), []);
    let mut snapshot = reader.snapshot().await.unwrap();
    let files = snapshot.input_files(run).await.unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a.csv", "b.csv"]);
    assert_eq!(snapshot.line_spans(run, 2..10).await.unwrap(), [first, second], "from the stretch that holds the row");
    assert_eq!(snapshot.line_spans(run, 4..10).await.unwrap(), [second]);
    assert_eq!(reader.request_counts(run).await.unwrap(), (1, 1));
    let skipped_rows = snapshot.skipped_rows(run, 4..10).await.unwrap();
    assert_eq!(
        skipped_rows.iter().map(|skipped| (skipped.row, skipped.outcome)).collect::<Vec<_>>(),
        [(4, Duplicate), (5, Protected)]
    );
    assert_eq!(skipped_rows[0].duplicate_of, Some(Original { row: 1, span: first }));
    assert_eq!(skipped_rows[0].fields, BTreeMap::from([("Tag_SNS_IM_Remark".into(), FieldValue::Text("x".into()))]));
    assert_eq!(skipped_rows[1].reason.as_deref(), Some("`boss` is on the protected list"));
}

#[tokio::test]
async fn a_run_is_invisible_while_it_is_loaded() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let reader = queue.reader().await.unwrap();
    let loader = load_many(&mut queue).await;
    assert!(place.number("SELECT count(*) FROM request").await > 0, "or the test is blind");
    assert_eq!(reader.runs().await.unwrap(), []);
    assert_eq!(reader.runs_of("job", RunTarget::Sandbox).await.unwrap(), []);
    assert_eq!(place.number("SELECT count(*) FROM item").await, 0);
    let run = loader.finish(&[]).await.unwrap();
    assert_eq!(sums(&mut queue, run).await, [(Pending, MANY)]);
    assert_eq!(place.number("SELECT count(*) FROM item").await, MANY.cast_signed());
}

#[tokio::test]
async fn there_is_no_log_before_the_end_of_the_first_load() {
    let place = QueueFolder::new();
    let log = place.folder().join("q.db-wal");
    let mut queue = place.open().await;
    let loader = load_many(&mut queue).await;
    assert!(!log.exists(), "it would be written twice");
    loader.finish(&[]).await.unwrap();
    let second = load_many(&mut queue).await;
    assert!(log.exists(), "others may be reading the first run");
    second.abandon().await.unwrap();
    queue.close().await.unwrap();
    let mut queue = place.open().await;
    let second = load_many(&mut queue).await;
    assert!(log.exists(), "nor does opening it again forget that");
    second.abandon().await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM request").await, MANY.cast_signed());
}

#[tokio::test]
async fn what_a_load_stored_is_removed_with_its_run() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = load_many(&mut queue).await.finish(&[]).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM pragma_foreign_key_check").await, 0);
    let violations = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'";
    assert_eq!(place.number(violations).await, 0, "this also evaluates the CHECKs, which the load skips");
    queue.discard(run).await.unwrap();
    assert_eq!(place.number("SELECT (SELECT count(*) FROM request) + (SELECT count(*) FROM payload)").await, 0);
}

#[tokio::test]
async fn large_requests_are_inserted_in_small_batches() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let mut loader = Loader::begin(&mut queue, &new_run("friend_update")).await.unwrap();
    let fields = FieldValues::from([("Tag_SNS_Custom_a".into(), FieldValue::Text("x".repeat(512 << 10).into()))]);
    // The rows of the next statement would not fit in SQLite's cache, and no reader could open the file.
    for row in 0..70 {
        let item = Item { updates: Some(Box::new(vec![(row, fields.clone())])), ..item(row) };
        loader.request(StoredRequest::encode(Some(&id("a")), &[item])).await.unwrap();
    }
    let stored = place.number("SELECT count(*) FROM request").await;
    assert!((60..70).contains(&stored), "{stored} are committed after 35 MB");
    loader.abandon().await.unwrap();
}

#[tokio::test]
async fn an_abandoned_load_leaves_nothing_although_a_part_was_committed() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let loader = load_many(&mut queue).await;
    assert!(place.number("SELECT count(*) FROM request").await > 0, "or the test is blind");
    loader.abandon().await.unwrap();
    assert_eq!(place.lines().await, 0);
    let run = begun(&mut queue, "friend_delete", &[(Some("a"), items(0..3))]).await;
    assert_eq!(sums(&mut queue, run).await, [(Pending, 3)]);
}

#[tokio::test]
async fn a_load_can_be_abandoned_after_sqlite_refused_a_row() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let mut loader = Loader::begin(&mut queue, &new_run("friend_delete")).await.unwrap();
    let mut refused = Ok(());
    for _ in 0..10_000 {
        // A row cannot be skipped twice.
        refused = loader.skipped_row(skipped(7, SkipReason::Duplicate { of: 1 })).await;
        if refused.is_err() {
            break;
        }
    }
    assert!(refused.is_err());
    loader.abandon().await.unwrap();
    assert_eq!(place.lines().await, 0);
    begun(&mut queue, "friend_delete", &[(Some("a"), items(0..3))]).await;
}

#[tokio::test]
async fn a_load_can_be_abandoned_after_sqlite_rolled_back_as_on_a_full_disk() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let mut loader = load_many(&mut queue).await;
    loader.abandon().await.unwrap();
    place
        .tamper("CREATE TRIGGER full BEFORE INSERT ON skipped BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END")
        .await;
    loader = load_many(&mut queue).await;
    let mut refused = Ok(());
    for row in 0..10_000 {
        refused = loader.skipped_row(skipped(row, SkipReason::Duplicate { of: 1 })).await;
        if refused.is_err() {
            break;
        }
    }
    assert!(refused.unwrap_err().to_string().contains("disk is full"));
    loader.abandon().await.unwrap();
    assert_eq!(place.lines().await, 0);
    begun(&mut queue, "friend_delete", &[(Some("a"), items(0..3))]).await;
}

#[tokio::test]
async fn a_dropped_load_is_removed_at_the_next_open_and_other_runs_are_not() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let other = begun(&mut queue, "friend_delete", &[(Some("a"), items(0..3))]).await;
    let lines = place.lines().await;
    drop(load_many(&mut queue).await);
    drop(queue);
    let mut queue = place.open().await;
    assert_eq!(place.lines().await, lines);
    assert_eq!(sums(&mut queue, other).await, [(Pending, 3)]);
}

#[tokio::test]
async fn a_killed_load_is_removed_at_the_next_open() {
    let place = QueueFolder::new();
    std::fs::write(place.folder().join("child"), "").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "loading::in_a_process_of_its_own", "--ignored", "--nocapture"])
        .current_dir(place.folder())
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("loading")), "the child has not begun to load");
    match Queue::open(&place.file()).await {
        Err(held) => assert!(held.to_string().contains(&format!("pid {}", child.id())), "{held}"),
        Ok(_) => panic!("the child owns the queue"),
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let _queue = place.open().await;
    assert_eq!(place.lines().await, 0);
}

/// Loads until it is killed. Only the test above runs it, with a file beside the queue.
#[tokio::test]
#[ignore = "runs as a child of another test"]
async fn in_a_process_of_its_own() {
    if !Path::new("child").exists() {
        return;
    }
    let mut queue = Queue::open(Path::new("q.db")).await.unwrap();
    let _loader = load_many(&mut queue).await;
    println!("loading");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
}

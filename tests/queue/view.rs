//! The view `item`, for users who read the queue with SQL.

use std::time::{Duration, Instant};

use imbulk::domain::request::Doubt;
use imbulk::domain::response::outcome::Outcome::InDoubt;
use imbulk::domain::response::verdict::BatchSplit;
use sqlx::ConnectOptions;

use crate::fixture::*;

type Line = (Option<String>, String, i64, String, Option<i64>, i64);

#[tokio::test]
async fn every_item_has_one_row_with_its_account_and_its_outcome() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let load = vec![merged(&[0, 5]), merged(&[1]), merged(&[2, 4]), merged(&[3])];
    let run = begun(&mut queue, "friend_update", &[(Some("a"), load)]).await;
    let request = pending(&queue, run).await.remove(0);
    let verdicts = vec![failed(9), done(), again(Doubt::None, BatchSplit::Whole), ended(InDoubt, None)];
    record_call(&mut queue, run, &request, verdicts).await;
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file()).connect().await.unwrap();
    let lines: Vec<Line> =
        sqlx::query_as("SELECT from_account, account, row, outcome, code, attempts FROM item ORDER BY row")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let line = |row: i64, outcome: &str, code| (Some("a".into()), format!("u{row}"), row, outcome.into(), code, 1);
    let expected =
        [line(0, "failed", Some(9)), line(1, "succeeded", None), line(2, "pending", None), line(3, "in_doubt", None)];
    assert_eq!(lines, expected);
    let (fields,): (String,) =
        sqlx::query_as("SELECT fields FROM item WHERE row = 2").fetch_one(&mut connection).await.unwrap();
    let own = serde_json::to_value(
        merged(&[2, 4]).updates.unwrap().into_iter().map(|(_, fields)| fields).collect::<Vec<_>>(),
    );
    assert_eq!(serde_json::from_str::<serde_json::Value>(&fields).unwrap(), own.unwrap());
}

#[tokio::test]
async fn every_item_and_every_skipped_row_has_its_target_file_and_line() {
    use imbulk::domain::request::line_span::LineSpan;
    use imbulk::domain::request::row::FieldValues;
    use imbulk::domain::request::skipped_row::{SkipReason, SkippedRow};
    use imbulk::queue::Loader;
    use imbulk::stored_request::StoredRequest;
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let mut loader = Loader::begin(&mut queue, &new_run("account_delete")).await.unwrap();
    loader.request(StoredRequest::encode(None, &[item(0), item(3)])).await.unwrap();
    let rejected = SkipReason::Rejected { column: Some("UserID".into()), reason: "too long".into() };
    let reasons = [(1, rejected), (2, SkipReason::Duplicate { of: 0 }), (4, SkipReason::Protected { id: "u4".into() })];
    for (row, reason) in reasons {
        let skipped =
            SkippedRow { row, reason, from: None, account: Some(format!("u{row}")), fields: FieldValues::new() };
        loader.skipped_row(skipped).await.unwrap();
    }
    // Rows 0 to 2 in lines 2, 4 and 6 of the first file, the others from line 10 of the second on.
    for (first_row, source, first_line, step) in [(0, 0, 2, 2), (3, 1, 10, 1)] {
        loader.line_span(LineSpan { first_row, source, first_line, step }).await.unwrap();
    }
    loader.finish(&[]).await.unwrap();
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file()).connect().await.unwrap();
    let lines: Vec<(String, String, i64, String, String, Option<String>)> =
        sqlx::query_as("SELECT target, source, line, account, outcome, reason FROM item ORDER BY row")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let line = |source: &str, line, account: &str, outcome: &str, reason: Option<&str>| {
        let [target, source, account, outcome] = ["sandbox", source, account, outcome].map(ToOwned::to_owned);
        (target, source, line, account, outcome, reason.map(ToOwned::to_owned))
    };
    let expected = [
        line("a.csv", 2, "u0", "pending", None),
        line("a.csv", 4, "u1", "rejected", Some("too long")),
        line("a.csv", 6, "u2", "duplicate", Some("duplicate of a.csv:2")),
        line("b.csv", 10, "u3", "pending", None),
        line("b.csv", 11, "u4", "protected", Some("`u4` is on the protected list")),
    ];
    assert_eq!(lines, expected);
}

/// 20,000 items in requests of this size.
async fn filled(size: u64) -> QueueFolder {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let requests: Vec<_> = (0..20_000 / size).map(|at| (Some("a"), items(at * size..(at + 1) * size))).collect();
    begun(&mut queue, "friend_delete", &requests).await;
    place
}

async fn reading_time(place: &QueueFolder) -> Duration {
    let started = Instant::now();
    assert_eq!(place.number("SELECT sum(length(account) > 0) FROM item WHERE outcome = 'pending'").await, 20_000);
    started.elapsed()
}

#[tokio::test]
async fn an_item_of_a_large_request_costs_little_more_than_one_of_a_small_request() {
    let (small, large) = (filled(20).await, filled(1000).await);
    let mut shortest = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        shortest.0 = shortest.0.min(reading_time(&small).await);
        shortest.1 = shortest.1.min(reading_time(&large).await);
    }
    // Usually three to five times. Reading the list again for every item would cost fifty times as much.
    assert!(shortest.1 < shortest.0 * 15, "in requests of 20 and of 1000: {shortest:?}");
}

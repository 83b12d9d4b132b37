//! Damaged bytes are found wherever they are read, and the message names the table row.

use imbulk::domain::change::Change;
use imbulk::domain::ids::RequestId;
use imbulk::domain::ids::RunId;
use imbulk::queue::{Loader, Queue, QueueError, Reader};

use crate::fixture::*;
use imbulk_testkit::reseal::change_and_reseal;

/// A finished run with a row in every table: rows 0..8 sent, 8 rejected, 9 a duplicate of 0.
async fn finished(place: &QueueFolder) -> (Queue, RunId) {
    use imbulk::domain::request::line_span::LineSpan;
    use imbulk::domain::request::skipped_row::{SkipReason, SkippedRow};
    use imbulk::stored_request::StoredRequest;
    let mut queue = place.open().await;
    let mut loader = Loader::begin(&mut queue, &new_run("account_delete")).await.unwrap();
    for rows in [0..4, 4..8] {
        loader.request(StoredRequest::encode(None, &items(rows))).await.unwrap();
    }
    let rejected = SkipReason::Rejected { column: Some("UserID".into()), reason: "too long".into() };
    for (row, reason) in [(8, rejected), (9, SkipReason::Duplicate { of: 0 })] {
        let skipped = SkippedRow {
            row,
            reason,
            from: None,
            account: Some("x".into()),
            fields: imbulk::domain::request::row::FieldValues::new(),
        };
        loader.skipped_row(skipped).await.unwrap();
    }
    loader.line_span(LineSpan { first_row: 0, source: 0, first_line: 2, step: 1 }).await.unwrap();
    let run = loader.finish(&[]).await.unwrap();
    queue.begin(run, NOW, None).await.unwrap();
    for request in pending(&queue, run).await {
        record_call(&mut queue, run, &request, vec![done(), done(), failed(9), done()]).await;
    }
    (queue, run)
}

/// Reads everything of a run, as `imbulk results` and the end of `imbulk run` do.
async fn read_all(queue: &mut Queue, run: RunId) -> Result<(), QueueError> {
    let run = queue.run(run).await?;
    queue.check_sums(&run).await?;
    let reader = queue.reader().await?;
    reader.runs().await?;
    for request in reader.snapshot().await?.request_results(run.id, RequestId::BEFORE_FIRST).await? {
        request.items()?;
    }
    reader.read_back(&run).await
}

#[tokio::test]
async fn a_list_of_tables_that_is_not_text_is_refused_without_a_panic() {
    let place = QueueFolder::new();
    place.open().await.close().await.unwrap();
    let whole = std::fs::read(place.file()).unwrap();
    let wanted = b"description TEXT";
    // The name of the driver's own table. It may occur several times, since pages keep deleted content.
    let places: Vec<usize> = (0..whole.len()).filter(|at| whole[*at..].starts_with(wanted)).collect();
    assert!(!places.is_empty());
    let mut damaged = whole.clone();
    places.into_iter().for_each(|at| damaged[at + wanted.len()] = 0xa9);
    std::fs::write(place.file(), damaged).unwrap();
    let opened = Queue::open(&place.file()).await;
    assert!(matches!(opened, Err(QueueError::Damaged(_))), "{opened:?}");
    assert!(matches!(Reader::open(&place.file()).await, Err(QueueError::Damaged(_))));
    std::fs::write(place.file(), whole).unwrap();
    Reader::open(&place.file()).await.unwrap();
}

/// The columns of every table that have content.
const COLUMNS: [(&str, &[&str]); 8] = [
    (
        "run",
        &[
            "uuid",
            "job",
            "target",
            "operation",
            "definition_digest",
            "input_digest",
            "file_stamps",
            "protected_digest",
            "files",
            "fields",
            "checksum",
        ],
    ),
    (
        "run",
        &[
            "state",
            "options",
            "end_reason",
            "end_hint",
            "row_count",
            "item_count",
            "created_at",
            "started_at",
            "finished_at",
        ],
    ),
    ("source", &["number", "name", "row_count", "blank_rows", "notes", "checksum"]),
    ("line_span", &["first_row", "source", "first_line", "step", "checksum"]),
    (
        "request",
        &["state", "item_count", "row_count", "attempts", "charged", "in_doubt", "parent", "finished_at", "checksum"],
    ),
    ("payload", &["from_account", "accounts", "rows", "fields", "history", "purpose", "checksum"]),
    ("outcome", &["row", "outcome", "code", "reason", "checksum"]),
    (
        "skipped",
        &["row", "outcome", "duplicate_of", "column_name", "reason", "from_account", "account", "fields", "checksum"],
    ),
];

#[tokio::test]
async fn a_value_that_changed_is_found_in_every_column_of_every_table() {
    let place = QueueFolder::new();
    let (mut queue, run) = finished(&place).await;
    read_all(&mut queue, run).await.unwrap();
    for (table, columns) in COLUMNS {
        for column in columns {
            // As a flipped byte would: without a CHECK and without a trigger.
            let changed = match *column {
                "uuid" | "job" | "target" | "operation" | "definition" | "digest" | "stamp" | "protected"
                | "fields" | "state" | "options" | "stopped" | "name" | "from_account" | "accounts" | "rows"
                | "outcome" | "reason" | "column_name" | "account" | "purpose" => {
                    format!("coalesce({column}, '') || 'x'")
                }
                _number => format!("coalesce({column}, 0) + 1"),
            };
            for to in [changed.as_str(), "NULL"] {
                let found = damaged(&place, run, &format!("UPDATE {table} SET {column} = {to}")).await;
                assert!(found, "{table}.{column} = {to}");
            }
        }
    }
}

/// Whether reading finds a change that was made to a copy of the queue.
async fn damaged(place: &QueueFolder, run: RunId, sql: &str) -> bool {
    use sqlx::{ConnectOptions, Connection};
    let copy = QueueFolder::new();
    let options = || sqlx::sqlite::SqliteConnectOptions::new().filename(place.file());
    let mut original = options().connect().await.unwrap();
    let into = format!("VACUUM INTO '{}'", copy.file().display());
    sqlx::query(sqlx::AssertSqlSafe(into)).execute(&mut original).await.unwrap();
    original.close().await.unwrap();
    let mut dark = sqlx::sqlite::SqliteConnectOptions::new().filename(copy.file()).connect().await.unwrap();
    let triggers =
        "DROP TRIGGER request_is_undamaged; DROP TRIGGER request_checksum; PRAGMA ignore_check_constraints = ON";
    for sql in triggers.split("; ") {
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut dark).await.unwrap();
    }
    // The schema forbids these values, so that reading would find them in any case.
    let written = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut dark).await;
    dark.close().await.unwrap();
    let unchanged = written.is_err()
        || (sql.ends_with("NULL") && copy.number(&nulls(sql)).await == place.number(&nulls(sql)).await);
    unchanged
        || match Queue::open(&copy.file()).await {
            Ok(mut queue) => read_all(&mut queue, run).await.is_err(),
            // A new owner reads the runs that are not finished.
            Err(error) => error.is_damage(),
        }
}

fn nulls(sql: &str) -> String {
    let words: Vec<&str> = sql.split(' ').collect();
    format!("SELECT count(*) FROM {} WHERE {} IS NULL", words[1], words[3])
}

#[tokio::test]
async fn missing_rows_are_found() {
    let place = QueueFolder::new();
    let (_queue, run) = finished(&place).await;
    for (table, which) in [
        ("request", "id = 2"),
        ("payload", "request = 1"),
        ("outcome", "row = 2"),
        ("skipped", "row = 9"),
        ("tally", "outcome = 'failed'"),
        ("run", "id = 1"),
    ] {
        let sql = format!("DELETE FROM {table} WHERE {which}");
        assert!(damaged(&place, run, &format!("{sql} -- ")).await, "{sql}");
    }
}

#[tokio::test]
async fn a_damaged_request_is_neither_sent_nor_changed() {
    for sql in
        ["UPDATE payload SET accounts = replace(accounts, 'u1', 'u7')", "UPDATE request SET checksum = checksum + 1"]
    {
        let place = QueueFolder::new();
        let mut queue = place.open().await;
        let run = begun(&mut queue, "account_delete", &[(None, items(0..4))]).await;
        place.tamper(sql).await;
        let page = queue.reader().await.unwrap().page(run, RequestId::BEFORE_FIRST, RequestId::MAX, 9).await;
        assert!(matches!(page, Err(QueueError::Damaged(_))), "{page:?}");
    }
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    begun(&mut queue, "account_delete", &[(None, items(0..4))]).await;
    place.tamper("UPDATE request SET checksum = checksum + 1").await;
    let refused = intend(&mut queue, &ids([1])).await.unwrap_err();
    assert!(refused.is_damage() && refused.to_string().contains("a request is damaged"), "{refused}");
    assert!(queue.write(vec![Change::Withdraw(RequestId::new(1))], NOW).await.is_err());
}

#[tokio::test]
async fn with_new_checksums_a_change_is_not_found() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..4))]).await;
    change_and_reseal(&place.file(), &["UPDATE payload SET accounts = replace(accounts, 'u1', 'u7')"]).await;
    let page = queue.reader().await.unwrap().page(run, RequestId::BEFORE_FIRST, RequestId::MAX, 9).await.unwrap();
    assert_eq!(page[0].items[1].account.as_str(), "u7");
}

#[tokio::test]
async fn a_log_that_is_damaged_before_its_last_commit_is_refused_and_an_incomplete_last_commit_is_not() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..4)), (None, items(4..8))]).await;
    intend(&mut queue, &ids([1])).await.unwrap();
    intend(&mut queue, &ids([2])).await.unwrap();
    let log = place.folder().join("q.db-wal");
    let (db, sound) = (std::fs::read(place.file()).unwrap(), std::fs::read(&log).unwrap());
    let copy = |bytes: &[u8]| {
        let copy = QueueFolder::new();
        std::fs::write(copy.file(), &db).unwrap();
        std::fs::write(copy.folder().join("q.db-wal"), bytes).unwrap();
        copy
    };
    let frame = 24 + 8192;
    let frames = (sound.len() - 32) / frame;
    let commits: Vec<usize> = (0..frames).filter(|at| sound[32 + at * frame + 4..][..4] != [0; 4]).collect();
    let last = 32 + (commits[commits.len() - 2] + 1) * frame;
    for at in [0, 9, 17, 25, 32, 33, 40, 50, 32 + frame + 9, last / 2, last - 1] {
        let mut broken = sound.clone();
        broken[at] ^= 4;
        let copy = copy(&broken);
        for refused in [Queue::open(&copy.file()).await.map(drop), Reader::open(&copy.file()).await.map(drop)] {
            let what = refused.unwrap_err().to_string();
            assert!(
                what.contains("q.db-wal is damaged") || what.contains("q.db-wal has a damaged header"),
                "{at}: {what}"
            );
        }
        assert!(std::fs::read(copy.folder().join("q.db-wal")).unwrap() == broken, "it is left as it is");
    }
    // A power cut in the last commit: any part of it may be on the disk.
    for (torn, pending_now) in [(sound.len(), 0), (sound.len() - 1, 1), (last + 10, 1), (last, 1)] {
        let copy = copy(&sound[..torn]);
        let queue = copy.open().await;
        assert_eq!(pending(&queue, run).await.len(), pending_now);
    }
    let mut torn = sound.clone();
    torn[last + 100] ^= 1;
    let copy = copy(&torn);
    let queue = copy.open().await;
    assert_eq!(pending(&queue, run).await.len(), 1);
}

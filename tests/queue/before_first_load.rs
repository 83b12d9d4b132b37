//! A queue before its first load, and what a kill leaves of it.

use imbulk::queue::{Reader, RunState};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::fixture::{QueueFolder, begun, items};

/// A change so large that SQLite writes to the file before the end of the transaction.
const LARGE: &str = "INSERT INTO run (uuid, job, target, operation, options, definition_digest, input_digest,
                                       file_stamps, protected_digest, fields, state, created_at)
     VALUES ('u', 'new', 't', 'o', '{}', 'd', 'd', hex(zeroblob(1000000)), 'p', '[]', 'loading', 0)";

/// What a process leaves that is killed during this transaction.
async fn killed_in(place: &QueueFolder, sql: &str) -> QueueFolder {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(place.file()).pragma("cache_size", "1");
    let mut connection = options.connect().await.unwrap();
    for sql in ["BEGIN IMMEDIATE", sql] {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    }
    let left = QueueFolder::new();
    for name in ["q.db", "q.db-journal"] {
        std::fs::copy(place.folder().join(name), left.folder().join(name)).unwrap();
    }
    assert_ne!(std::fs::read(left.folder().join("q.db-journal")).unwrap()[0], 0, "its journal is to be played back");
    left
}

#[tokio::test]
async fn before_anything_is_loaded_there_are_no_runs() {
    for sql in [
        "PRAGMA application_id = 0x696D626B",
        "PRAGMA application_id = 0x696D626B; CREATE TABLE _sqlx_migrations (a PRIMARY KEY)",
    ] {
        let place = QueueFolder::new();
        std::fs::write(place.file(), "").unwrap();
        place.tamper(sql).await;
        assert_eq!(Reader::open(&place.file()).await.unwrap().runs().await.unwrap(), [], "{sql}");
    }
    let place = QueueFolder::new();
    place.open().await.close().await.unwrap();
    assert_eq!(Reader::open(&place.file()).await.unwrap().runs().await.unwrap(), []);
}

#[tokio::test]
async fn a_new_queue_takes_three_transactions() {
    let place = QueueFolder::new();
    place.open().await.close().await.unwrap();
    let header = std::fs::read(place.file()).unwrap();
    let changes = u32::from_be_bytes(header[24..28].try_into().unwrap());
    assert_eq!(changes, 3, "each waits for the disk: the mark, all tables, and the name of the file");
}

#[tokio::test]
async fn a_queue_that_lost_its_tables_is_not_a_new_one() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    queue.close().await.unwrap();
    place.tamper("PRAGMA writable_schema = ON; DELETE FROM sqlite_schema").await;
    let error = Reader::open(&place.file()).await.unwrap().runs().await.unwrap_err();
    assert!(error.is_damage(), "{error}");
}

#[tokio::test]
async fn a_reader_rolls_back_the_unfinished_write_of_a_killed_process() {
    let place = QueueFolder::new();
    place.open().await.close().await.unwrap();
    let left = killed_in(&place, LARGE).await;
    assert_eq!(Reader::open(&left.file()).await.unwrap().runs().await.unwrap(), []);
    assert!(!left.folder().join("q.db-journal").exists());
    assert_eq!(left.number("SELECT count(*) FROM run").await, 0);
    left.open().await.close().await.unwrap();
}

#[tokio::test]
async fn a_run_that_was_loaded_before_that_is_unchanged() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..3))]).await;
    queue.close().await.unwrap();
    place.tamper("PRAGMA journal_mode = DELETE").await;
    let change = format!("UPDATE run SET state = 'finished'; {LARGE}");
    let left = killed_in(&place, &change).await;
    let runs = Reader::open(&left.file()).await.unwrap().runs().await.unwrap();
    assert_eq!(runs.iter().map(|run| (run.id, run.state())).collect::<Vec<_>>(), [(run, RunState::Running)]);
}

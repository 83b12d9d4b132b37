//! Queues of earlier versions, from the dumps in tests/fixtures/queues.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// The versions, by the day of the program.
pub const VERSIONS: [&str; 6] = ["2026-11-22", "2026-11-24", "2026-11-26", "2026-11-27", "2026-11-29", "2026-11-30"];

/// The jobs whose runs each queue has.
pub const JOBS: [&str; 6] = ["unfriend", "profiles", "purge", "leavers", "stopped", "later"];

/// A file of the fixtures, such as `2026-11-24/purge.csv`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/queues")).join(name)
}

/// The text of a file of the fixtures.
pub fn fixture_text(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Writes the queue of a version, after `change` has changed its dump.
pub async fn write_queue(file: &Path, version: &str, change: impl Fn(String) -> String) {
    let dump = change(fixture_text(&format!("{version}/queue.dump")));
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true).page_size(8192);
    let mut connection = options.journal_mode(SqliteJournalMode::Wal).connect().await.expect("a new file");
    sqlx::raw_sql(AssertSqlSafe(dump)).execute(&mut connection).await.expect("SQL");
    connection.close().await.expect("the file can be written");
}

//! Recomputes the checksums of a queue after a test has changed its rows, so that the queue accepts the change.
//!
//! It follows docs/decisions/0008 and shares no code with the queue.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

/// Changes a queue with SQL, then recomputes the checksums of its requests and outcomes.
pub async fn change_and_reseal(queue: &Path, changes: &[&str]) {
    let mut connection = SqliteConnectOptions::new().filename(queue).connect().await.expect("a queue");
    for change in changes {
        let sql = sqlx::AssertSqlSafe((*change).to_owned());
        let changed =
            sqlx::query(sql).execute(&mut connection).await.unwrap_or_else(|error| panic!("{change}: {error}"));
        assert!(changed.rows_affected() > 0, "nothing to change: {change}");
    }
    let numbers = "SELECT id, request.run, item_count, row_count";
    let payload = format!(
        "{numbers}, from_account, accounts, rows, fields, history, purpose FROM request JOIN payload ON request = id"
    );
    reseal(&mut connection, &payload, "nnnnooooos", "UPDATE payload SET checksum = ? WHERE request = ?", &[0]).await;
    let outcome = "SELECT run, row, outcome, code, reason FROM outcome";
    reseal(&mut connection, outcome, "nnt?t", "UPDATE outcome SET checksum = ? WHERE run = ? AND row = ?", &[0, 1])
        .await;
    connection.close().await.expect("the file can be written");
}

/// Recomputes the checksums of a table. `kinds` has one letter per column: `n` a number, `?` a number or NULL, `t` a
/// text, `o` a text or NULL, `s` a text that counts only if it is not NULL. `keys` are the columns that identify a row.
async fn reseal(connection: &mut SqliteConnection, select: &str, kinds: &str, update: &str, keys: &[usize]) {
    let select = sqlx::AssertSqlSafe(select.to_owned());
    for row in sqlx::query(select).fetch_all(&mut *connection).await.expect("it can be read") {
        let mut bytes = Vec::new();
        for (at, kind) in kinds.chars().enumerate() {
            let (number, text) = match kind {
                'n' | '?' => (row.get::<Option<i64>, _>(at), None),
                _ => (None, row.get::<Option<String>, _>(at)),
            };
            if matches!(kind, '?' | 'o') {
                bytes.extend(i64::from(number.is_some() || text.is_some()).to_le_bytes());
            }
            if let Some(text) = text {
                bytes.extend((text.len() as u64).to_le_bytes());
                bytes.extend(text.into_bytes());
            }
            bytes.extend(number.into_iter().flat_map(i64::to_le_bytes));
        }
        let mut query =
            sqlx::query(sqlx::AssertSqlSafe(update.to_owned())).bind(i64::from(crc32fast::hash(&bytes).cast_signed()));
        for key in keys {
            query = query.bind(row.get::<i64, _>(*key));
        }
        query.execute(&mut *connection).await.expect("it can be written");
    }
}

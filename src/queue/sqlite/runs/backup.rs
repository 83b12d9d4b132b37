//! The parts of backup files that are on disk.

use sqlx::SqliteConnection;
use sqlx::query::Query;

use crate::domain::backup::BackupPart;
use crate::domain::ids::RunId;
use crate::queue::error::QueueError;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::Failure;
use crate::queue::sqlite::reader::Snapshot;

/// Inserts a part.
pub(in crate::queue) async fn insert(connection: &mut SqliteConnection, part: &BackupPart) -> Result<(), Failure> {
    let BackupPart { run, file, first_byte, bytes, lines, blake3 } = part;
    let numbers = [*first_byte, *bytes, *lines].map(u64::cast_signed);
    let columns = "INSERT INTO backup (run, file, blake3, first_byte, bytes, lines, checksum)
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
    let query = sqlx::query(columns).bind(run).bind(file).bind(blake3);
    let query = numbers.into_iter().fold(query, Query::bind);
    query.bind(checksum::backup(*run, [file, blake3], numbers)).execute(connection).await?;
    Ok(())
}

impl Snapshot {
    /// The parts of the backup of a run, in the sequence in which they were written.
    pub async fn backup_parts(&mut self, run: RunId) -> Result<Vec<BackupPart>, QueueError> {
        let columns = "SELECT file, blake3, first_byte, bytes, lines, checksum FROM backup WHERE run = ? ORDER BY id";
        let rows: Vec<(String, String, i64, i64, i64, i64)> =
            sqlx::query_as(columns).bind(run).fetch_all(&mut *self.transaction).await.map_err(self.fail())?;
        let part = |(file, blake3, first_byte, bytes, lines, sum): (String, String, i64, i64, i64, i64)| {
            if sum != checksum::backup(run, [&file, &blake3], [first_byte, bytes, lines]) {
                return Err(QueueError::Damaged(format!("a part of backup {file} has a wrong checksum")));
            }
            let [first_byte, bytes, lines] = [first_byte, bytes, lines].map(i64::cast_unsigned);
            Ok(BackupPart { run, file, first_byte, bytes, lines, blake3 })
        };
        rows.into_iter().map(part).collect()
    }
}

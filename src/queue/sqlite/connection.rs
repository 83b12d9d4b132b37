//! Connections to the file: options, tables, and what is refused before anything is read.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::error::{migration_error, open_error};
use super::{bulk_insert, busy};
use crate::fail_point::{FailPoint, guarded};
use crate::queue::error::QueueError;

/// The steps from an empty file to the current tables.
pub(in crate::queue) static MIGRATIONS: Migrator = sqlx::migrate!();

/// SQLite before this version can lose committed transactions of a WAL.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// `imbk`, in the header of the file, since other programs store their data in SQLite files as well.
pub(in crate::queue) const APPLICATION_ID: i64 = 0x696D_626B;
pub(in crate::queue) const PAGE_BYTES: u32 = 8192;

/// Marks a new file as a queue, and refuses a database of another program before anything is written to it.
pub(in crate::queue) async fn mark(path: &Path) -> Result<(), QueueError> {
    let fail = open_error(path);
    let mut connection = file(path).page_size(PAGE_BYTES).connect().await.map_err(&fail)?;
    let found: (i64, bool) =
        sqlx::query_as("SELECT application_id, EXISTS (SELECT 1 FROM sqlite_schema) FROM pragma_application_id")
            .fetch_one(&mut connection)
            .await
            .map_err(&fail)?;
    match found {
        (APPLICATION_ID, _) => refuse_damaged_schema(&mut connection, &fail).await?,
        (0, false) => {
            let mark = sqlx::query(bulk_insert::mark(rand::random()));
            guarded(FailPoint::Mark, mark.execute(&mut connection)).await.map_err(&fail)?;
        }
        (_others, _) => return Err(QueueError::NotAQueue(path.to_owned())),
    }
    connection.close().await.map_err(fail)
}

/// The names of tables and columns are text. The driver panics if one is not, because a byte was damaged.
pub(in crate::queue) async fn refuse_damaged_schema(
    executor: impl sqlx::SqliteExecutor<'_>,
    fail: impl Fn(sqlx::Error) -> QueueError,
) -> Result<(), QueueError> {
    let schema = sqlx::query_scalar("SELECT CAST(name || tbl_name || coalesce(sql, '') AS BLOB) FROM sqlite_schema");
    let schema: Vec<Vec<u8>> = schema.fetch_all(executor).await.map_err(fail)?;
    if schema.iter().all(|sql| str::from_utf8(sql).is_ok()) {
        return Ok(());
    }
    Err(QueueError::Damaged("its list of tables is not text".to_owned()))
}

/// Every commit is durable: `synchronous = NORMAL` loses acknowledged outcomes in a power cut. The page and cache
/// sizes are the ones that loaded fastest (docs/decisions/0001).
pub(in crate::queue) fn options(path: &Path) -> SqliteConnectOptions {
    file(path)
        .synchronous(SqliteSynchronous::Full)
        .page_size(PAGE_BYTES)
        // A load only appends: with 16 MiB it was no faster, and intake makes better use of the memory.
        .pragma("cache_size", "-4096")
        .foreign_keys(true)
        .busy_timeout(busy::MAX_WAIT)
        // A long read lets the WAL grow; its space is freed when the read ends.
        .pragma("journal_size_limit", "67108864")
        .pragma("temp_store", "MEMORY")
}

/// The file, without any option that would change it.
pub(in crate::queue) fn file(path: &Path) -> SqliteConnectOptions {
    // `:memory:` and `file:…` have a special meaning for SQLite, but not behind the name of a folder.
    let absolute = std::path::absolute(path).ok().filter(|path| path.to_str().is_some());
    // The current folder may have no name, or one that is not UTF-8, which the driver refuses.
    let file = absolute.unwrap_or_else(|| Path::new(".").join(path));
    SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(10))
}

pub(in crate::queue) fn refuse_other_kinds(path: &Path) -> Result<(), QueueError> {
    if path.to_str().is_none() {
        return Err(QueueError::NotUtf8(path.to_owned()));
    }
    if path.exists() && !path.is_file() { Err(QueueError::NotAQueue(path.to_owned())) } else { Ok(()) }
}

#[cfg(target_os = "linux")]
pub(in crate::queue) fn refuse_network(path: &Path) -> Result<(), QueueError> {
    /// `NFS_SUPER_MAGIC`, `SMB_SUPER_MAGIC`, `SMB2_MAGIC_NUMBER`, `CIFS_SUPER_MAGIC` of statfs(2)
    const NETWORK: [u64; 4] = [0x6969, 0x517B, 0xFE53_4D42, 0xFF53_4D42];
    let unusable = |source: rustix::io::Errno| QueueError::Unusable { path: path.to_owned(), source: source.into() };
    let kind = rustix::fs::statfs(path).map_err(unusable)?.f_type;
    if NETWORK.contains(&(kind.cast_unsigned() & 0xFFFF_FFFF)) {
        return Err(QueueError::Network(path.to_owned()));
    }
    Ok(())
}

/// Only Linux names the kind of a file system in this way. Elsewhere the user has to choose a local disk.
#[cfg(not(target_os = "linux"))]
pub(in crate::queue) const fn refuse_network(_path: &Path) -> Result<(), QueueError> {
    Ok(())
}

pub(in crate::queue) async fn refuse_old_library(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), QueueError> {
    let (version,): (String,) =
        sqlx::query_as("SELECT sqlite_version()").fetch_one(connection).await.map_err(open_error(path))?;
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST_SQLITE {
        return Err(QueueError::OldLibrary(version));
    }
    Ok(())
}

/// Creates the tables, or brings them up to date, in one transaction: each commit waits four times for the disk, and
/// sqlx would make two for each migration.
pub(in crate::queue) async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), QueueError> {
    let migrate = async {
        let mut all = connection.begin().await?;
        MIGRATIONS.run_direct(None, &mut *all, false).await?;
        Ok(all.commit().await?)
    };
    guarded(FailPoint::Migrate, migrate).await.map_err(|error| migration_error(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_special_meaning_for_sqlite_are_names_of_files() {
        for name in [":memory:", "file:q.db?mode=memory"] {
            let options = options(Path::new(name));
            assert_eq!(options.get_filename(), std::env::current_dir().unwrap().join(name));
        }
    }
}

//! Reading a queue beside its owner.
//!
//! A queue has no WAL until its first run is loaded. Until then it cannot be read while its owner writes, and the
//! unfinished write of a killed process is in SQLite's rollback journal, which a reader cannot play back. A queue that
//! has sent anything has no such journal.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, Sqlite, Transaction};

use super::connection::{APPLICATION_ID, file, refuse_damaged_schema, refuse_other_kinds};
use super::error::{cannot_open, is_half_written, read_only_open_error, store_error};
use super::file::identity::own_name;
use super::file::lock::Ownership;
use super::file::wal_check::refuse_damaged_wal;
use super::upgrade::{Versions, versions};
use crate::domain::guard::Bytes;
use crate::queue::error::QueueError;
use crate::queue::path::{beside, resolve};

/// Requests that one page of results contains.
pub(in crate::queue) const REQUESTS_PER_PAGE: u32 = 256;
/// Pages of a file without tables: the first page, and two of the list of tables.
const PAGES_WITHOUT_TABLES: i64 = 3;

/// The application id in the header, the number of our tables, and the pages of the file.
type Found = (i64, i64, i64);

/// Reads a queue beside its owner. Its reads are short and block no writer.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(in crate::queue) path: PathBuf,
    pub(in crate::queue) pool: SqlitePool,
    pub(in crate::queue) contents: Contents,
    pub(in crate::queue) lock: Ownership,
}

/// What a file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Contents {
    Tables,
    /// No tables yet, since the first run is still to be loaded.
    Nothing,
}

/// The state of a queue at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub(in crate::queue) path: PathBuf,
    pub(in crate::queue) transaction: Transaction<'static, Sqlite>,
}

impl Reader {
    /// Opens a queue whose tables are those of this version.
    pub(in crate::queue) async fn open_current(path: &Path) -> Result<Self, QueueError> {
        if !path.exists() {
            return Err(QueueError::Missing(path.to_owned()));
        }
        let path = resolve(path);
        refuse_other_kinds(&path)?;
        let unusable = |source| QueueError::Unusable { path: path.clone(), source };
        let lock = Ownership::Asked(Arc::new(File::open(&path).map_err(unusable)?));
        let path = own_name(path).await?;
        let path = path.as_path();
        let owned = lock.is_taken();
        if owned && beside(path, "-journal").exists() {
            let pool = SqlitePoolOptions::new().connect_lazy_with(read_only(path));
            return Ok(Self { path: path.to_owned(), pool, contents: Contents::Nothing, lock });
        }
        // The end of the WAL changes while the owner writes, so only the owner can check it then.
        if !owned
            && let Err(damaged) = refuse_damaged_wal(path)
            && !lock.is_taken()
        {
            return Err(damaged);
        }
        Self::connect(path, lock).await
    }

    /// Opens a queue whose WAL was checked. Its owner reads it in this way as well.
    pub(in crate::queue) async fn connect(path: &Path, lock: Ownership) -> Result<Self, QueueError> {
        let opened = match pool(read_only(path)).await {
            Err(error) if is_half_written(&error) => {
                roll_back(path).await.map_err(read_only_open_error(path))?;
                pool(read_only(path)).await
            }
            // No file can be created beside the queue, so no process can write to it either.
            Err(error) if cannot_open(&error) && has_no_wal(path) => pool(read_only(path).immutable(true)).await,
            opened_or_failed => opened_or_failed,
        };
        let (pool, found) = opened.map_err(read_only_open_error(path))?;
        let contents = match found {
            (0, 0, 0) | (APPLICATION_ID, 0, ..=PAGES_WITHOUT_TABLES) => Contents::Nothing,
            (APPLICATION_ID, ..) => Contents::Tables,
            _others => return Err(QueueError::NotAQueue(path.to_owned())),
        };
        refuse_damaged_schema(&pool, read_only_open_error(path)).await?;
        if contents == Contents::Tables {
            match versions(&pool, path).await? {
                Versions::Current => {}
                Versions::Earlier => return Err(QueueError::Earlier(path.to_owned())),
                Versions::Unknown => return Err(other_version(path)),
            }
        }
        Ok(Self { path: path.to_owned(), pool, contents, lock })
    }

    /// Whether some process owns the queue at the moment.
    pub fn is_owned(&self) -> bool {
        self.lock.is_taken()
    }

    /// The process that owns the queue, if the kernel shows it.
    pub fn owner(&self) -> Option<u32> {
        self.lock.owner()
    }

    /// The size of the queue on disk, with its WAL.
    pub fn size(&self) -> Bytes {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        Bytes(["-wal", "-shm"].iter().map(|suffix| size(&beside(&self.path, suffix))).sum::<u64>() + size(&self.path))
    }

    /// The state of the queue at the first read. Later reads of the snapshot show the same state, even if the owner
    /// writes meanwhile.
    ///
    /// SQLite cannot copy its WAL into the file while a snapshot exists, so drop it as soon as everything is read.
    pub async fn snapshot(&self) -> Result<Snapshot, QueueError> {
        let transaction = self.pool.begin().await.map_err(self.fail())?;
        Ok(Snapshot { path: self.path.clone(), transaction })
    }

    pub(in crate::queue) fn fail(&self) -> impl Fn(sqlx::Error) -> QueueError + use<> {
        store_error(&self.path)
    }
}

impl Snapshot {
    pub(in crate::queue) fn fail(&self) -> impl Fn(sqlx::Error) -> QueueError + use<> {
        store_error(&self.path)
    }
}

fn read_only(path: &Path) -> SqliteConnectOptions {
    // The buffer holds a page of rows, so that SQLite continues while the previous ones are processed.
    let options = file(path).read_only(true).row_buffer_size(REQUESTS_PER_PAGE as usize);
    options.pragma("cache_size", "-16384").pragma("temp_store", "MEMORY")
}

/// Two connections, and what the file contains: SQLite opens it only for the first read.
async fn pool(options: SqliteConnectOptions) -> Result<(SqlitePool, Found), sqlx::Error> {
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
    let found = sqlx::query_as(
        "SELECT application_id, (SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'), page_count
         FROM pragma_application_id, pragma_page_count",
    );
    let found = found.fetch_one(&pool).await?;
    Ok((pool, found))
}

/// Opens the file for writing, so that SQLite plays back the rollback journal of a killed process. Its own locks ensure
/// that this happens once, and never to a process that is alive.
async fn roll_back(path: &Path) -> Result<(), sqlx::Error> {
    let mut connection = file(path).connect().await?;
    let played = sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut connection).await;
    connection.close().await?;
    played.map(drop)
}

fn other_version(path: &Path) -> QueueError {
    QueueError::Migration { path: path.to_owned(), source: "another version of imbulk created them".into() }
}

/// SQLite may have created an empty WAL before it failed.
fn has_no_wal(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).map_or(true, |wal| wal.len() == 0)
}

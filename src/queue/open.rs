//! Opening a queue to read it: beside its owner, after a kill, and before anything is in it.
//!
//! Until its first run is loaded a queue has no log. So long nobody can read it while its owner writes, and what a killed
//! process left half written lies in SQLite's rollback journal, which whoever only reads can't play back. That journal
//! is beside no queue that has ever sent anything.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::lock::Ownership;
use super::read::{Contents, REQUESTS, Reader};
use super::{APPLICATION_ID, QueueError, beside, code, failing, file, identity, primary_code};
use super::{refuse_broken_log, refuse_damaged_schema, refuse_what_is_no_file};

/// `SQLITE_READONLY_ROLLBACK`: a rollback journal is to be played back.
const HALF_WRITTEN: u32 = 776;
/// Pages of a queue before its tables are made: the first one, and two of the list of what makes them.
const PAGES_WITHOUT_TABLES: i64 = 3;

/// The header's application id, the tables that are ours, the pages of the file.
type Found = (i64, i64, i64);

impl Reader {
    /// Opens a queue to read beside its owner. Where nothing can be read because nothing was loaded yet, it has no runs.
    ///
    /// What a killed process left half written before that is taken back, as by everyone who opens an SQLite file to
    /// write; nothing else is changed.
    pub async fn open(path: &Path) -> Result<Self, QueueError> {
        if !path.exists() {
            return Err(QueueError::Missing(path.to_owned()));
        }
        let path = identity::resolve(path);
        refuse_what_is_no_file(&path)?;
        let unusable = |source| QueueError::Unusable { path: path.clone(), source };
        let lock = Ownership::Asked(Arc::new(File::open(&path).map_err(unusable)?));
        let path = identity::own_name(path).await?;
        let path = path.as_path();
        let owned = lock.is_taken();
        if owned && beside(path, "-journal").exists() {
            let pool = SqlitePoolOptions::new().connect_lazy_with(read_only(path));
            return Ok(Self { path: path.to_owned(), pool, contents: Contents::Nothing, lock });
        }
        // While someone writes to it, its end is on the move: then it is for the owner to say.
        if !owned
            && let Err(broken) = refuse_broken_log(path)
            && !lock.is_taken()
        {
            return Err(broken);
        }
        Self::connect(path, lock).await
    }

    /// The same for its owner, who has looked at the log and made the tables.
    pub(super) async fn connect(path: &Path, lock: Ownership) -> Result<Self, QueueError> {
        let opened = match pool(read_only(path)).await {
            Err(error) if code(&error) == Some(HALF_WRITTEN) => {
                take_back(path).await.map_err(unfinished(path))?;
                pool(read_only(path)).await
            }
            // Nothing can be made beside the file, so that nobody can write to it either.
            Err(error) if cannot_open(&error) && has_no_log(path) => pool(read_only(path).immutable(true)).await,
            opened_or_broken => opened_or_broken,
        };
        let (pool, found) = opened.map_err(unfinished(path))?;
        let contents = match found {
            (0, 0, 0) | (APPLICATION_ID, 0, ..=PAGES_WITHOUT_TABLES) => Contents::Nothing,
            (APPLICATION_ID, ..) => Contents::Tables,
            _others => return Err(QueueError::NoQueue(path.to_owned())),
        };
        refuse_damaged_schema(&pool, unfinished(path)).await?;
        Ok(Self { path: path.to_owned(), pool, contents, lock })
    }

    /// Whether some process owns the queue at the moment.
    pub fn is_owned(&self) -> bool {
        self.lock.is_taken()
    }
}

fn read_only(path: &Path) -> SqliteConnectOptions {
    // A page of rows, so that SQLite goes on while those of the last one are looked at.
    let options = file(path).read_only(true).row_buffer_size(REQUESTS as usize);
    options.pragma("cache_size", "-16384").pragma("temp_store", "MEMORY")
}

/// A few connections, and what file it is: SQLite opens it only when it is first read.
async fn pool(options: SqliteConnectOptions) -> Result<(SqlitePool, Found), sqlx::Error> {
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
    let found = sqlx::query_as(
        "SELECT application_id, (SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'), page_count
         FROM pragma_application_id, pragma_page_count",
    );
    let found = found.fetch_one(&pool).await?;
    Ok((pool, found))
}

/// Has SQLite play back the rollback journal of a process that was killed. Its own locks see to it that this is done
/// once, and to no process that lives.
async fn take_back(path: &Path) -> Result<(), sqlx::Error> {
    let mut connection = file(path).connect().await?;
    let played = sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut connection).await;
    connection.close().await?;
    played.map(drop)
}

/// For `map_err`: as [`failing`], where a rollback journal may be left.
fn unfinished(path: &Path) -> impl Fn(sqlx::Error) -> QueueError + use<> {
    let path = path.to_owned();
    move |source| {
        if code(&source) == Some(HALF_WRITTEN) {
            return QueueError::HalfWritten(path.clone());
        }
        failing(&path)(source)
    }
}

fn cannot_open(error: &sqlx::Error) -> bool {
    /// `SQLITE_READONLY`, `SQLITE_CANTOPEN`
    const CANNOT: [u32; 2] = [8, 14];
    /// `SQLITE_IOERR_SHMSIZE`: the disk has no room for the index of the log.
    const NO_ROOM: u32 = 4874;
    code(error) == Some(NO_ROOM) || primary_code(error).is_some_and(|code| CANNOT.contains(&code))
}

/// SQLite may have made an empty one before it gave up.
fn has_no_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).map_or(true, |log| log.len() == 0)
}

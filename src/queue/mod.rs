//! The queue: one SQLite file that knows every row of every run.
//!
//! One process at a time owns it ([`Queue`], by a lock of the kernel's); any number may read beside it ([`Reader`]).
//! Every change is one transaction, durable when it returns (WAL, `synchronous = FULL`).

mod batch_insert;
mod bulk_insert;
mod busy;
mod checksum;
mod claim;
mod edit;
mod figures;
mod free_space;
mod identity;
mod ids;
mod largest;
mod limit;
mod load;
mod lock;
mod open;
mod protect;
mod read;
mod record;
mod request_row;
mod retry;
mod runs;
mod shown_plan;
mod skipped_rows;
mod source;
mod used;
mod verify;
mod wal_check;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, Transaction};

pub use batch_insert::{Gathering, Insert};
pub use busy::Busy;
pub use figures::{CodeRows, Rejected};
pub use free_space::free_bytes;
pub use identity::{Identity, Loss, folder_of, resolve};
pub use largest::LargeAccount;
pub use limit::Limited;
pub use load::{Loader, Writer};
pub use read::{Exception, Original, Reader, RequestResult, SkippedResult, Snapshot};
pub use record::{Write, Written};
pub use retry::Selection;
pub use runs::{NewRun, Run, RunState};
pub use shown_plan::ShownPlan;
pub use source::InputFile;
pub use used::{FileKind, UsedFile};

use crate::domain::hint::Hint;
use crate::domain::ids::RequestId;
use crate::fail_point::{FailPoint, guarded};

/// The steps from an empty file to today's tables.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// SQLite before this version can lose committed transactions of a WAL.
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// `imbk`, in the header of the file: other programs keep their data in SQLite files, too.
const APPLICATION_ID: i64 = 0x696D_626B;
const PAGE_BYTES: u32 = 8192;

/// What can go wrong with a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Another process owns it.
    #[error("another runner owns the queue {}: process {}", queue.display(),
            pid.map_or("not known".to_owned(), |pid| pid.to_string()))]
    Held {
        /// The queue.
        queue: PathBuf,
        /// The process, where proc(5) knows it.
        pid: Option<u32>,
    },
    /// Another program has locked it.
    #[error("{}: another program holds a lock of the queue, and did not release it in time", .0.display())]
    Locked(PathBuf),
    /// It has several names, and under which of them it was used is not known.
    #[error("{}: the queue has several names (hard links), and this is not the one under which it was used last", .0.display())]
    Linked(PathBuf),
    /// Its name means another file now.
    #[error("{}: {loss}", path.display())]
    Lost {
        /// The queue.
        path: PathBuf,
        /// What became of it.
        loss: Loss,
    },
    /// There is no such file.
    #[error("there is no queue at {}", .0.display())]
    Missing(PathBuf),
    /// A file beside the queue can't be used.
    #[error("{}: cannot be used: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file lies where locks can't be trusted.
    #[error("{}: the queue is on a network file system, where a crash or a second machine can damage it", .0.display())]
    Network(PathBuf),
    /// SQLite takes no such name.
    #[error("the path of the queue is not UTF-8, which SQLite needs: {}", .0.display())]
    NotUtf8(PathBuf),
    /// It is another kind of file.
    #[error("{}: is not a queue, or its first page is damaged", .0.display())]
    NoQueue(PathBuf),
    /// A process was killed in the first moments of the queue, and what it left can't be taken back.
    #[error("{}: a process was killed while it loaded the first run into the queue, and this user cannot remove what it left", .0.display())]
    HalfWritten(PathBuf),
    /// SQLite says no.
    #[error("the queue {}: {source}", path.display())]
    Database {
        /// The queue.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// The tables can't be made or are newer than this program.
    #[error("the queue {} cannot be brought up to date: {source}", path.display())]
    Migration {
        /// The queue.
        path: PathBuf,
        /// Why.
        source: MigrateError,
    },
    /// The library is too old.
    #[error("SQLite {0} can lose committed data; 3.51.3 or newer is needed")]
    OldLibrary(String),
    /// Something reads back differently from how it was written.
    #[error("{0}")]
    Damaged(String),
    /// A change met another state than it must.
    #[error("unexpected queue state: {0}")]
    Unexpected(String),
    /// The sums are wrong.
    #[error("the outcomes of run {run} do not add up: {what}")]
    Sums {
        /// The run.
        run: String,
        /// The sums.
        what: String,
    },
}

impl QueueError {
    /// Whether what is in the file is not what was written to it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Unexpected(_) | Self::Sums { .. } => true,
            Self::Database { source, .. } => speaks_of_damage(source),
            Self::Held { .. }
            | Self::Missing(_)
            | Self::Unusable { .. }
            | Self::Network(_)
            | Self::NoQueue(_)
            | Self::NotUtf8(_)
            | Self::HalfWritten(_)
            | Self::Migration { .. }
            | Self::Linked(_)
            | Self::Locked(_)
            | Self::Lost { .. }
            | Self::OldLibrary(_) => false,
        }
    }
}

impl Hint for QueueError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Held { .. } => "`imbulk status` shows what it does",
            Self::Locked(path) => return Some(close_other_program(path).into()),
            Self::Linked(_) => "use that name, or remove the other names: `find DIRECTORY -samefile FILE` lists them",
            Self::Lost { loss, .. } => return loss.hint(),
            Self::Missing(_) => "name it with --queue or IMBULK_QUEUE, or make one with `imbulk plan JOB`",
            Self::Unusable { .. } => "the folder must be writable and its disk must have free space",
            Self::Network(_) => "name a file on a local disk with --queue",
            Self::NotUtf8(_) | Self::NoQueue(_) => "name another file with --queue or IMBULK_QUEUE",
            Self::HalfWritten(_) => {
                "nothing of that run was sent; run this command as a user who may write to the file and its folder"
            }
            Self::Database { source, .. } => return database_hint(source).map(Cow::Borrowed),
            Self::Migration { .. } => {
                "if another version of imbulk made the queue, use that version; if not, the queue is damaged: keep it, and \
                 name a new one with --queue"
            }
            Self::OldLibrary(_) | Self::Damaged(_) | Self::Unexpected(_) | Self::Sums { .. } => return None,
        };
        Some(hint.into())
    }
}

fn close_other_program(queue: &Path) -> String {
    let queue = queue.display();
    format!("close that program, such as a sqlite3 shell or a backup (`fuser {queue}` names it), then run again")
}

/// A queue, owned.
#[derive(Debug)]
pub struct Queue {
    path: PathBuf,
    connection: SqliteConnection,
    next_request: RequestId,
    identity: Identity,
    busy: Busy,
    // After the connection: see there in which order they are to be closed.
    lock: lock::Lock,
}

impl Queue {
    /// Takes the queue into possession; makes the file if there is none.
    pub async fn open(path: &Path) -> Result<Self, QueueError> {
        let path = identity::resolve(path);
        refuse_what_is_no_file(&path)?;
        let lock = lock::Lock::take(&path).await?;
        let path = identity::own_name(path).await?;
        let path = path.as_path();
        let identity = Identity::of(path, lock.file())?;
        refuse_network(path)?;
        refuse_broken_log(path)?;
        mark(path).await?;
        let options = options(path).create_if_missing(true);
        let fail = failing(path);
        let mut connection = options.connect().await.map_err(&fail)?;
        refuse_old_library(&mut connection, path).await?;
        guarded(FailPoint::Migrate, MIGRATIONS.run_direct(None, &mut connection, false))
            .await
            .map_err(|error| migrating(path, error))?;
        let (last,): (RequestId,) = sqlx::query_as("SELECT coalesce(max(id), 0) FROM request")
            .fetch_one(&mut connection)
            .await
            .map_err(&fail)?;
        let busy = Busy::new(path);
        busy.wait(identity::note_name(&mut connection, path)).await.map_err(fail)?;
        let next_request = last.next();
        let mut queue = Self { path: path.to_owned(), connection, next_request, identity, busy, lock };
        queue.discard_unfinished_loads().await?;
        if queue.has_runs().await? {
            queue.use_wal().await?;
        }
        Ok(queue)
    }

    /// A reader of the same file.
    pub async fn reader(&self) -> Result<Reader, QueueError> {
        Reader::connect(&self.path, self.lock.ownership()).await
    }

    /// Folds the log into the file and lets go of the queue.
    pub async fn close(self) -> Result<(), QueueError> {
        let Self { path, connection, mut identity, .. } = self;
        // Where it is another file now, SQLite leaves the log alone, too.
        let found = identity.check();
        guarded(FailPoint::Close, connection.close()).await.map_err(failing(&path))?;
        found
    }

    async fn has_runs(&mut self) -> Result<bool, QueueError> {
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM run)").fetch_one(&mut self.connection).await;
        found.map_err(self.fail())
    }

    /// From now on changes go to a log beside the file, so that others can read while this one writes.
    ///
    /// Not before the first run is loaded: without a log it is written once instead of twice, and nobody could read
    /// anything yet. A log that is in use stays so.
    async fn use_wal(&mut self) -> Result<(), QueueError> {
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL")
            .fetch_one(&mut self.connection)
            .await
            .map_err(self.fail())?;
        if mode == "wal" {
            return Ok(());
        }
        Err(QueueError::Unexpected(format!("SQLite cannot keep a log beside the file: the journal mode stays {mode}")))
    }

    /// Where the file is: its name without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file it is, to be checked while it is in use.
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// The same, with the files that SQLite keeps beside it from the first read on.
    pub fn identity_with_log(&mut self) -> Identity {
        self.identity.watch_log();
        self.identity.clone()
    }

    /// Whether a write waits for another program.
    pub fn busy(&self) -> Busy {
        self.busy.clone()
    }

    /// Begins a transaction that writes. Where another program holds the lock, waits for it.
    async fn transaction(&mut self) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
        self.busy.wait(self.connection.begin_with("BEGIN IMMEDIATE")).await
    }

    fn fail(&self) -> impl Fn(sqlx::Error) -> QueueError + use<> {
        failing(&self.path)
    }
}

/// Marks a new file as a queue, and refuses a database of another program before anything is written to it.
async fn mark(path: &Path) -> Result<(), QueueError> {
    let fail = failing(path);
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
        (_others, _) => return Err(QueueError::NoQueue(path.to_owned())),
    }
    connection.close().await.map_err(fail)
}

/// The names of tables and columns are text: over those that are none, because a byte changed, the database library panics.
async fn refuse_damaged_schema(
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

/// A disk that fails while the tables are made says nothing of their version.
fn migrating(path: &Path, error: MigrateError) -> QueueError {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => failing(path)(source),
        source => QueueError::Migration { path: path.to_owned(), source },
    }
}

/// For `map_err`: which queue it is that SQLite speaks of.
fn failing(path: &Path) -> impl Fn(sqlx::Error) -> QueueError + use<> {
    /// `SQLITE_NOTADB`
    const NOT_A_DATABASE: u32 = 26;
    let path = path.to_owned();
    move |source| {
        let path = path.clone();
        match primary_code(&source) {
            Some(NOT_A_DATABASE) => QueueError::NoQueue(path),
            Some(BUSY) => QueueError::Locked(path),
            _other => QueueError::Database { path, source },
        }
    }
}

/// `SQLITE_BUSY`
const BUSY: u32 = 5;

/// SQLite's result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// What SQLite's result code says in its lower byte.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    Some(code(error)? & 0xFF)
}

/// What SQLite can't make sense of, and what is of another kind than was written.
fn speaks_of_damage(error: &sqlx::Error) -> bool {
    /// `SQLITE_ERROR`, `SQLITE_CORRUPT`, `SQLITE_CONSTRAINT`, `SQLITE_MISMATCH`
    const DAMAGE: [u32; 4] = [1, 11, 19, 20];
    let unreadable = matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
    );
    unreadable || primary_code(error).is_some_and(|code| DAMAGE.contains(&code))
}

fn refuse_broken_log(path: &Path) -> Result<(), QueueError> {
    let log = beside(path, "-wal");
    match wal_check::damage(&log) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(QueueError::Damaged(format!("its log {} {what}", log.display()))),
        Err(source) => Err(QueueError::Unusable { path: log, source }),
    }
}

fn database_hint(error: &sqlx::Error) -> Option<&'static str> {
    /// `SQLITE_READONLY`, `SQLITE_IOERR`, `SQLITE_FULL`, `SQLITE_CANTOPEN`
    const DISK: [u32; 4] = [8, 10, 13, 14];
    if primary_code(error).is_some_and(|code| DISK.contains(&code)) {
        Some("free disk space, make the file and its folder writable, and run again: nothing is lost")
    } else if speaks_of_damage(error) {
        // The command says which file, and what to do.
        None
    } else {
        Some("please report this")
    }
}

fn beside(path: &Path, result: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(result);
    name.into()
}

/// Durable at every commit: `synchronous = NORMAL` loses acknowledged outcomes in a power cut. The page and cache
/// sizes are the ones that loaded fastest (docs/decisions/0001).
fn options(path: &Path) -> SqliteConnectOptions {
    file(path)
        .synchronous(SqliteSynchronous::Full)
        .page_size(PAGE_BYTES)
        .pragma("cache_size", "-16384")
        .foreign_keys(true)
        .busy_timeout(busy::MAX_WAIT)
        // What a long reader made of the log is given back once it is gone.
        .pragma("journal_size_limit", "67108864")
        .pragma("temp_store", "MEMORY")
}

/// The file, with nothing that would change it.
fn file(path: &Path) -> SqliteConnectOptions {
    // SQLite takes `:memory:` and `file:…` for something else than names of files, but not so with a folder before them.
    let absolute = std::path::absolute(path).ok().filter(|path| path.to_str().is_some());
    // Where the current folder has no name, or one that is not UTF-8, which the library refuses.
    let file = absolute.unwrap_or_else(|| Path::new(".").join(path));
    SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_secs(10))
}

fn refuse_what_is_no_file(path: &Path) -> Result<(), QueueError> {
    if path.to_str().is_none() {
        return Err(QueueError::NotUtf8(path.to_owned()));
    }
    if path.exists() && !path.is_file() { Err(QueueError::NoQueue(path.to_owned())) } else { Ok(()) }
}

fn refuse_network(path: &Path) -> Result<(), QueueError> {
    /// `NFS_SUPER_MAGIC`, `SMB_SUPER_MAGIC`, `SMB2_MAGIC_NUMBER`, `CIFS_SUPER_MAGIC` of statfs(2)
    const NETWORK: [u64; 4] = [0x6969, 0x517B, 0xFE53_4D42, 0xFF53_4D42];
    let unusable = |source: rustix::io::Errno| QueueError::Unusable { path: path.to_owned(), source: source.into() };
    let kind = rustix::fs::statfs(path).map_err(unusable)?.f_type;
    if NETWORK.contains(&(kind.cast_unsigned() & 0xFFFF_FFFF)) {
        return Err(QueueError::Network(path.to_owned()));
    }
    Ok(())
}

async fn refuse_old_library(connection: &mut SqliteConnection, path: &Path) -> Result<(), QueueError> {
    let (version,): (String,) =
        sqlx::query_as("SELECT sqlite_version()").fetch_one(connection).await.map_err(failing(path))?;
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST_SQLITE {
        return Err(QueueError::OldLibrary(version));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_to_sqlite_are_names_of_files() {
        for name in [":memory:", "file:q.db?mode=memory"] {
            let options = options(Path::new(name));
            assert_eq!(options.get_filename(), std::env::current_dir().unwrap().join(name));
        }
    }
}

//! What the errors of SQLite and its driver mean for a queue.

use std::path::Path;

use sqlx::migrate::MigrateError;

use crate::queue::error::{FailureKind, QueueError, StoreFailure};

/// `SQLITE_BUSY`
const BUSY: u32 = 5;
/// `SQLITE_READONLY`
const READ_ONLY: u32 = 8;
/// `SQLITE_IOERR`
const IO_ERROR: u32 = 10;
/// `SQLITE_FULL`
const FULL: u32 = 13;
/// `SQLITE_CANTOPEN`
const CANNOT_OPEN: u32 = 14;
/// `SQLITE_NOTADB`
const NOT_A_DATABASE: u32 = 26;
/// `SQLITE_READONLY_ROLLBACK`: a rollback journal has to be played back.
const HALF_WRITTEN: u32 = 776;
/// `SQLITE_IOERR_SHMSIZE`: the disk has no space for the index of the WAL.
const NO_SPACE_FOR_INDEX: u32 = 4874;

/// Why a change could not be made.
pub(in crate::queue) enum Failure {
    Database(sqlx::Error),
    Queue(QueueError),
}

impl Failure {
    /// The error for callers; `fail` adds the path of the queue.
    pub(in crate::queue) fn into_error(self, fail: impl Fn(sqlx::Error) -> QueueError) -> QueueError {
        match self {
            Self::Database(source) => fail(source),
            Self::Queue(error) => error,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Self::Queue(error)
    }
}

/// Refuses a change of more or fewer table rows than it requires.
pub(in crate::queue) fn expect(what: &str, wanted: usize, changed: u64) -> Result<(), Failure> {
    if changed == wanted as u64 {
        return Ok(());
    }
    Err(QueueError::Unexpected(format!("{what}: {changed} of {wanted}")).into())
}

/// For `map_err` where the file is opened: a file that is not a database is not a queue.
pub(in crate::queue) fn open_error(path: &Path) -> impl Fn(sqlx::Error) -> QueueError + use<> {
    let path = path.to_owned();
    move |error| match primary_code(&error) {
        Some(NOT_A_DATABASE) => QueueError::NotAQueue(path.clone()),
        _other => store_error(&path)(error),
    }
}

/// For `map_err` where a reader opens the file: the rollback journal of a killed process may be left.
pub(in crate::queue) fn read_only_open_error(path: &Path) -> impl Fn(sqlx::Error) -> QueueError + use<> {
    let path = path.to_owned();
    move |error| {
        if is_half_written(&error) {
            return QueueError::HalfWritten(path.clone());
        }
        open_error(&path)(error)
    }
}

/// For `map_err` where a queue is read or written that is open.
pub(in crate::queue) fn store_error(path: &Path) -> impl Fn(sqlx::Error) -> QueueError + use<> {
    let path = path.to_owned();
    move |error| match primary_code(&error) {
        Some(BUSY) => QueueError::Locked(path.clone()),
        _other => QueueError::Store { path: path.clone(), failure: failure(error) },
    }
}

/// An error while the tables are created. A failing disk says nothing about their version.
pub(in crate::queue) fn migration_error(path: &Path, error: MigrateError) -> QueueError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => open_error(path)(error),
        source => QueueError::Migration { path: path.to_owned(), source: source.into() },
    }
}

/// Whether a rollback journal has to be played back, which a reader cannot do.
pub(in crate::queue) fn is_half_written(error: &sqlx::Error) -> bool {
    code(error) == Some(HALF_WRITTEN)
}

/// Whether SQLite can create no file beside the queue.
pub(in crate::queue) fn cannot_open(error: &sqlx::Error) -> bool {
    code(error) == Some(NO_SPACE_FOR_INDEX) || matches!(primary_code(error), Some(READ_ONLY | CANNOT_OPEN))
}

fn failure(error: sqlx::Error) -> StoreFailure {
    let kind = match primary_code(&error) {
        Some(IO_ERROR | FULL) => FailureKind::Disk,
        Some(READ_ONLY | CANNOT_OPEN) => FailureKind::Access,
        _other if is_damage(&error) => FailureKind::Damage,
        _other => FailureKind::Other,
    };
    StoreFailure { kind, cause: error.into() }
}

/// Whether SQLite cannot read the file, or a value has another type than the one that was written.
fn is_damage(error: &sqlx::Error) -> bool {
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

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// SQLite's primary result code: the lowest byte of the extended one.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    Some(code(error)? & 0xFF)
}

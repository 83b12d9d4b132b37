//! The queue as its owner uses it.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Sqlite, Transaction};

use super::busy::Busy;
use super::error::store_error;
use super::file::identity::Identity;
use super::file::lock::Lock;
use super::reader::Reader;
use crate::domain::ids::RequestId;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::error::QueueError;

/// A queue that this process owns.
#[derive(Debug)]
pub struct Queue {
    pub(in crate::queue) path: PathBuf,
    pub(in crate::queue) connection: SqliteConnection,
    pub(in crate::queue) next_request: RequestId,
    pub(in crate::queue) identity: Identity,
    pub(in crate::queue) busy: Busy,
    // Dropped after the connection: `lock` documents the sequence.
    pub(in crate::queue) lock: Lock,
}

impl Queue {
    /// A reader of the same file.
    pub async fn reader(&self) -> Result<Reader, QueueError> {
        Reader::connect(&self.path, self.lock.ownership()).await
    }

    /// Copies the WAL into the file and releases the queue.
    pub async fn close(self) -> Result<(), QueueError> {
        let Self { path, connection, mut identity, .. } = self;
        // If another file has taken the name, SQLite leaves the WAL unchanged as well.
        let found = identity.check();
        guarded(FailPoint::Close, connection.close()).await.map_err(store_error(&path))?;
        found
    }

    /// Changes the journal mode to WAL, so that others can read while this process writes.
    ///
    /// A new queue uses no WAL before its first run is loaded: without one each page is written once instead of twice,
    /// and there is nothing to read yet. Once a queue has a WAL it keeps it.
    pub(in crate::queue) async fn use_wal(&mut self) -> Result<(), QueueError> {
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL")
            .fetch_one(&mut self.connection)
            .await
            .map_err(self.fail())?;
        if mode == "wal" {
            return Ok(());
        }
        Err(QueueError::Unexpected(format!("no WAL can be created beside it: the journal mode stays {mode}")))
    }

    /// The path of the file, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The identity of the file, to be checked while the queue is in use.
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// The identity of the file and of the files that SQLite creates beside it with the first read.
    pub fn identity_with_wal(&mut self) -> Identity {
        self.identity.watch_wal();
        self.identity.clone()
    }

    /// Whether a write waits for another program.
    pub fn busy(&self) -> Busy {
        self.busy.clone()
    }

    /// Begins a transaction that writes. Waits while another program holds the write lock.
    pub(in crate::queue) async fn transaction(&mut self) -> Result<Transaction<'_, Sqlite>, sqlx::Error> {
        self.busy.wait(self.connection.begin_with("BEGIN IMMEDIATE")).await
    }

    pub(in crate::queue) fn fail(&self) -> impl Fn(sqlx::Error) -> QueueError + use<> {
        store_error(&self.path)
    }
}

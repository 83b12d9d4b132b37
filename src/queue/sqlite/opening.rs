//! Opening a queue, as its owner or to read it.

use std::path::Path;

use sqlx::ConnectOptions;

use super::busy::Busy;
use super::connection::{mark, migrate, options, refuse_network, refuse_old_library, refuse_other_kinds};
use super::error::open_error;
use super::file::identity::{Identity, own_name, store_name};
use super::file::lock::Lock;
use super::file::wal_check::refuse_damaged_wal;
use super::reader::Reader;
use super::store::Queue;
use super::upgrade::upgrade;
use crate::domain::ids::RequestId;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::error::QueueError;
use crate::queue::path::resolve;

impl Queue {
    /// Opens a queue and becomes its owner. Creates the file if it does not exist.
    pub async fn open(path: &Path) -> Result<Self, QueueError> {
        let path = resolve(path);
        refuse_other_kinds(&path)?;
        let lock = Lock::take(&path).await?;
        let path = own_name(path).await?;
        let path = path.as_path();
        let identity = Identity::of(path, lock.file())?;
        refuse_network(path)?;
        refuse_damaged_wal(path)?;
        mark(path).await?;
        let fail = open_error(path);
        let mut connection = options(path).create_if_missing(true).connect().await.map_err(&fail)?;
        refuse_old_library(&mut connection, path).await?;
        upgrade(&mut connection, path).await?;
        migrate(&mut connection, path).await?;
        let last: RequestId = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM request")
            .fetch_one(&mut connection)
            .await
            .map_err(&fail)?;
        let busy = Busy::new(path);
        busy.wait(store_name(&mut connection, path)).await.map_err(fail)?;
        let next_request = last.next();
        let mut queue = Self { path: path.to_owned(), connection, next_request, identity, busy, lock };
        queue.discard_unfinished_loads().await?;
        queue.adopt_instructions().await?;
        if queue.has_runs().await? {
            queue.use_wal().await?;
            queue.store_kills().await?;
        }
        Ok(queue)
    }

    async fn has_runs(&mut self) -> Result<bool, QueueError> {
        let found = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM run)").fetch_one(&mut self.connection).await;
        found.map_err(self.fail())
    }

    /// Removes the runs that a killed process had not loaded completely.
    async fn discard_unfinished_loads(&mut self) -> Result<(), QueueError> {
        let fail = self.fail();
        let discarded = async {
            let mut transaction = self.transaction().await?;
            sqlx::query("DELETE FROM run WHERE state = 'loading'").execute(&mut *transaction).await?;
            guarded(FailPoint::DiscardLoads, transaction.commit()).await
        };
        discarded.await.map_err(fail)
    }
}

impl Reader {
    /// Opens a queue to read it beside its owner. A queue into which nothing was loaded yet has no runs.
    ///
    /// The unfinished write of a process that was killed before that is rolled back, as by any program that opens an
    /// SQLite file for writing. A queue of an earlier version is upgraded, for which it must have no owner. Nothing
    /// else is changed.
    pub async fn open(path: &Path) -> Result<Self, QueueError> {
        match Self::open_current(path).await {
            Err(QueueError::Earlier(earlier)) => {
                Queue::open(&earlier).await?.close().await?;
                Self::open_current(path).await
            }
            opened_or_failed => opened_or_failed,
        }
    }
}

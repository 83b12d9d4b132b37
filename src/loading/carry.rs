//! Passes the rows that a run takes over to the thread that reads rows.

use std::ops::ControlFlow;
use std::sync::mpsc::SyncSender;

use tokio::sync::mpsc;

use super::batches::{Batches, RowBatch};
use crate::domain::ids::RequestId;
use crate::domain::request::row::RowRef;
use crate::queue::{CarriedFiles, CarriedRow, CarrySource, Loader, QueueError, Reader, Snapshot};

/// Pages of carried rows between the queue and the reading thread.
pub(super) const PAGES: usize = 2;

/// What is carried over, once the queue has stored it.
pub(super) struct Carrying<'a> {
    snapshot: Snapshot,
    source: &'a CarrySource,
    files: CarriedFiles,
}

impl<'a> Carrying<'a> {
    /// Stores which rows are carried over. Their files are numbered after those of the input.
    pub(super) async fn begin(
        loader: &mut Loader<'_>,
        reader: &Reader,
        source: &'a CarrySource,
        input_files: usize,
    ) -> Result<Self, QueueError> {
        let mut snapshot = reader.snapshot().await?;
        let first_file = u32::try_from(input_files).unwrap_or(u32::MAX);
        let files = loader.carry(&mut snapshot, source, first_file).await?;
        Ok(Self { snapshot, source, files })
    }

    /// Reads the rows once more, and sends them until the receiver is closed.
    pub(super) async fn send(mut self, to: mpsc::Sender<Vec<CarriedRow>>) -> Result<(), QueueError> {
        let mut after = RequestId::BEFORE_FIRST;
        while let Some(mut page) = self.snapshot.carried_page(self.source, &mut after).await? {
            for row in &mut page.rows {
                row.source = self.files.get(&row.source).copied().unwrap_or(u32::MAX);
            }
            if to.send(page.rows).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Passes the carried rows on as the first rows of the run, or until the receiver is closed.
pub(super) fn pass_on(mut pages: mpsc::Receiver<Vec<CarriedRow>>, to: &SyncSender<RowBatch>) -> ControlFlow<()> {
    while let Some(rows) = pages.blocking_recv() {
        for of_one_file in rows.chunk_by(|a, b| a.source == b.source) {
            let mut batches = Batches::new(of_one_file[0].source, to);
            for CarriedRow { from, account, fields, line, .. } in of_one_file {
                let from = from.as_deref().map(str::as_bytes);
                batches.push(Ok(RowRef { line: *line, from, account: account.as_bytes(), fields }))?;
            }
            batches.flush()?;
        }
    }
    ControlFlow::Continue(())
}

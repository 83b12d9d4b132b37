//! Finishing a run, after everything that it wrote was read back.

use std::ops::Range;

use crate::domain::ids::{RequestId, RunId};
use crate::domain::request::row::RowNo;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::fail_point::FailPoint;
use crate::queue::error::QueueError;
use crate::queue::run_state::Run;
use crate::queue::sqlite::reader::Reader;
use crate::queue::sqlite::store::Queue;

/// Two subqueries, because with `state IN (…)` SQLite would read every request instead of the partial indexes.
pub(in crate::queue) const FINISH: &str =
    "UPDATE run SET state = 'finished', end_reason = NULL, end_hint = NULL, ended_by = NULL, ended_at = NULL,
        finished_at = ?2
    WHERE id = ?1 AND state = 'running'
      AND NOT EXISTS (SELECT 1 FROM request WHERE run = ?1 AND state = 'pending')
      AND NOT EXISTS (SELECT 1 FROM request WHERE run = ?1 AND state = 'sending')";
/// Rows that are read at once: some 10 MB.
const ROWS_PER_READ: u64 = 1 << 16;

impl Queue {
    /// Marks a run as finished. It has no pending row left, and all of it can be read back as it was written.
    pub async fn finish(&mut self, run: RunId, now: i64) -> Result<(), QueueError> {
        let whole = self.run(run).await?;
        self.identity.check()?;
        self.reader().await?.read_back(&whole).await?;
        self.move_run(FailPoint::Finish, run, sqlx::query(FINISH).bind(run).bind(now)).await
    }
}

impl Reader {
    /// Reads every table row of a run that has nothing pending, compares each with its checksum, and counts the
    /// outcomes once more. An outcome that cannot be read back, or is not found where it belongs, is not recorded.
    pub async fn read_back(&self, run: &Run) -> Result<(), QueueError> {
        let mut snapshot = self.snapshot().await?;
        let mut counted = Tally::default();
        let mut after = RequestId::BEFORE_FIRST;
        loop {
            let page = snapshot.request_results(run.id, after).await?;
            let Some(last) = page.last() else { break };
            after = last.id();
            for request in &page {
                counted[request.outcome()] += request.row_count()?;
            }
        }
        let rows = run.row_count.cast_unsigned();
        for first in (0..rows).step_by(usize::try_from(ROWS_PER_READ).unwrap_or(usize::MAX)) {
            let range: Range<RowNo> = first..rows.min(first + ROWS_PER_READ);
            for exception in snapshot.exceptions(run.id, range.clone()).await? {
                counted[Outcome::Succeeded] = counted[Outcome::Succeeded].saturating_sub(1);
                counted[exception.outcome] += 1;
            }
            for skipped in snapshot.skipped_rows(run.id, range.clone()).await? {
                counted[skipped.outcome] += 1;
            }
            snapshot.line_spans(run.id, range).await?;
        }
        snapshot.input_files(run.id).await?;
        snapshot.backup_parts(run.id).await?;
        let kept = snapshot.check_sums(run).await?;
        if counted == kept && counted[Outcome::Pending] == 0 {
            return Ok(());
        }
        let what = format!("the tally says {kept:?}, reading all back {counted:?}");
        Err(QueueError::Sums { run: run.uuid.clone(), what })
    }
}

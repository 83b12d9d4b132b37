//! Reading a whole run back before it is called finished.

use super::{QueueError, Reader, Run};
use crate::domain::ids::RequestId;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::row::RowNo;

/// Rows whose lines are read at once: some 10 MB.
const ROWS: u64 = 1 << 16;

impl Reader {
    /// Reads every line of a run that has nothing pending, each against its checksum, and counts them once more: a
    /// line that can't be read back or is found in no place where it is looked for is no record of anything.
    pub async fn verify(&self, run: &Run) -> Result<(), QueueError> {
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
        for first in (0..rows).step_by(usize::try_from(ROWS).unwrap_or(usize::MAX)) {
            let range: std::ops::Range<RowNo> = first..rows.min(first + ROWS);
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
        let kept = snapshot.check_sums(run).await?;
        if counted == kept && counted[Outcome::Pending] == 0 {
            return Ok(());
        }
        let what = format!("the tally says {kept:?}, reading all back {counted:?}");
        Err(QueueError::Sums { run: run.uuid.clone(), what })
    }
}

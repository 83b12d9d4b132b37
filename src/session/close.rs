//! Closes the runs of a session: checks their sums, records how they ended, and reads their summaries.

use super::error::SessionError;
use super::figures::figures;
use super::session_run::SessionRun;
use crate::clock;
use crate::domain::exit::{Exit, exit_of};
use crate::domain::response::outcome::Outcome;
use crate::domain::schedule::{End, JobNo};
use crate::queue::Queue;
use crate::report::stop_message::stop_message;
use crate::report::summary::{self, Summary};
use crate::runner;

/// A run of this session after its last call.
pub(super) struct Closed {
    pub(super) exit: Exit,
    pub(super) summary: Summary,
    pub(super) end: End,
}

/// Closes one run.
pub(super) async fn close(
    queue: &mut Queue,
    session_run: &SessionRun<'_>,
    session_end: &runner::SessionEnd,
    job: JobNo,
    jobs: &[&str],
) -> Result<Closed, SessionError> {
    let run = &session_run.ready.run;
    queue.identity().check()?;
    let tally = queue.check_sums(run).await?;
    let end = End::of(session_end.stops[job].as_ref(), session_run.has_item_limit, tally[Outcome::Pending]);
    match &end {
        End::Stopped(reason) => {
            queue.store_stop(run.id, reason.ended_by(), &stop_message(reason, jobs)).await?;
        }
        End::Complete => queue.finish(run.id, clock::now().as_millisecond()).await?,
    }
    queue.store_session_calls(run.id, &session_end.calls[job]).await?;
    let figures = figures(&queue.reader().await?, &queue.run(run.id).await?).await?;
    let rows = session_run.tally[Outcome::Pending] - tally[Outcome::Pending];
    let session = summary::SessionFigures { took: session_end.elapsed, calls: session_end.calls[job], rows };
    let exit = exit_of(&tally, &end, session_run.input.job.input.rejects);
    Ok(Closed { exit, summary: Summary { figures, session }, end })
}

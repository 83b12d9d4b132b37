//! The guards that are checked before anything is sent.

use super::error::SessionError;
use super::events::log_guard;
use super::figures::rejected_rows;
use super::job_input::JobInput;
use crate::clock;
use crate::domain::guard::{Facts, GuardValue, LAST_RUNS};
use crate::domain::response::outcome::Outcome;
use crate::domain::timestamp::local;
use crate::queue::{Queue, Run, RunState};
use crate::report::{refusals, second};

impl JobInput {
    /// Checks the guards of a run that is about to be sent, and logs each of them.
    pub(super) async fn check_guards(&self, queue: &Queue, run: &Run) -> Result<(), SessionError> {
        let guards = self.read_guards(queue, run).await?;
        guards.iter().for_each(|guard| log_guard(run, guard));
        let refusals = self.refusals_of(&guards, queue, run).await?;
        if refusals.is_empty() { Ok(()) } else { Err(SessionError::Refused(refusals)) }
    }

    /// The refusals of the guards; none if the run may be sent.
    pub(super) async fn refusals(&self, queue: &Queue, run: &Run) -> Result<Vec<SessionError>, SessionError> {
        let guards = self.read_guards(queue, run).await?;
        self.refusals_of(&guards, queue, run).await
    }

    async fn refusals_of(
        &self,
        guards: &[GuardValue],
        queue: &Queue,
        run: &Run,
    ) -> Result<Vec<SessionError>, SessionError> {
        let mut refused = Vec::new();
        if !guards.iter().all(GuardValue::allows) {
            let rejects = rejected_rows(&queue.reader().await?, run).await?;
            let messages = refusals(&self.job.file.to_string_lossy(), guards, &rejects);
            refused.extend(messages.into_iter().map(SessionError::Guard));
        }
        refused.extend(self.held(run));
        Ok(refused)
    }

    /// Reads each guard's value and its limit.
    pub(super) async fn read_guards(&self, queue: &Queue, run: &Run) -> Result<Vec<GuardValue>, SessionError> {
        let last_runs = self.last_runs(queue).await?;
        let tally = queue.reader().await?.tally(run).await?;
        let facts = Facts {
            items: run.item_count.cast_unsigned(),
            items_of_input: run.items_of_input(),
            rows: run.rows_of_input(),
            rejected: tally[Outcome::Rejected],
            last_runs: &last_runs,
        };
        Ok(self.job.guard.read(&facts))
    }

    /// The refusal of `guard.hold`, if the planned run is not old enough.
    fn held(&self, run: &Run) -> Option<SessionError> {
        let hold = self.job.guard.hold.filter(|_| run.started_at.is_none())?;
        let zone = clock::local_now().time_zone().clone();
        let planned = local(run.created_at, &zone);
        let from = planned.saturating_add(jiff::SignedDuration::try_from(hold).unwrap_or(jiff::SignedDuration::MAX));
        (clock::now() < from.timestamp()).then(|| SessionError::Hold {
            job: run.job.clone(),
            planned: second(&planned),
            from: second(&from),
        })
    }

    /// The numbers of items in the inputs of the job's last finished runs, for `guard.max_change`. A run without items
    /// says nothing of the usual size, and would make every later one too large.
    async fn last_runs(&self, queue: &Queue) -> Result<Vec<u64>, SessionError> {
        let runs = queue.reader().await?.runs_of(&self.job.name, self.target.name()).await?;
        let finished = runs.iter().rev().filter(|run| run.state() == RunState::Finished);
        Ok(finished.map(Run::items_of_input).filter(|items| *items > 0).take(LAST_RUNS).collect())
    }
}

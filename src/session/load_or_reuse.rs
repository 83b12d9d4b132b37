//! Loads the run that was chosen, or reuses one that was loaded before.

use std::sync::Arc;
use std::time::Instant;

use super::error::SessionError;
use super::events::log_loading;
use super::job_input::{InputState, JobInput};
use super::outlook::{Carry, Outlook};
use super::quarantine::until_calls_have_ended;
use crate::clock;
use crate::domain::ids::{RunId, uuid_v7};
use crate::domain::progress::Phase;
use crate::domain::run_choice::{Refusal, Rerun, RunChoice, previewed};
use crate::domain::state_change::StateChange;
use crate::loading::{LoadSpec, ProgressWatch, load};
use crate::queue::{NewRun, Queue, Run, RunState, folder_of};
use crate::stderr::tell;

/// A run that is ready to be sent.
pub(super) struct ReadyRun {
    pub(super) run: Run,
    /// Unfinished runs that it supersedes once it begins.
    pub(super) replaces: Vec<RunId>,
    /// Whether it is an older run. The current input follows after it.
    pub(super) is_older: bool,
}

impl JobInput {
    /// Loads or reuses the run that is sent next; none if nothing is left to send.
    pub(super) async fn load_or_reuse(
        &mut self,
        queue: &mut Queue,
        mut outlook: Outlook,
        rerun: Rerun,
        watch: &mut ProgressWatch<'_>,
    ) -> Result<Option<ReadyRun>, SessionError> {
        let choice = outlook.choices.first().cloned();
        let ready = match choice {
            Some(RunChoice::Continue(at)) => {
                let is_older = outlook.choices.len() > 1;
                let run = self.protect_loaded(queue, &outlook.runs[at]).await?;
                Some(ReadyRun { run, replaces: Vec::new(), is_older })
            }
            Some(RunChoice::Begin { planned, ref replaces }) => {
                let replaces = replaces.iter().map(|at| outlook.runs[*at].id).collect();
                let run = match planned {
                    Some(at) => self.protect_loaded(queue, &outlook.runs[at]).await?,
                    None => Box::pin(self.load(queue, &mut outlook, watch)).await?,
                };
                Some(ReadyRun { run, replaces, is_older: false })
            }
            Some(RunChoice::Nothing(_) | RunChoice::Refuse(Refusal::NothingToResume)) | None => None,
            Some(RunChoice::Refuse(refusal)) => return Err(self.refused(&outlook, refusal)),
        };
        outlook.discard_stale_plans(queue, rerun).await?;
        // The question shows the same state, also if a file is replaced meanwhile.
        self.keep(outlook.input.take());
        Ok(ready)
    }

    /// Loads or reuses the run of the current input for `plan`, also if an older run goes first or it would be refused.
    pub(super) async fn load_for_plan(
        &mut self,
        queue: &mut Queue,
        outlook: &mut Outlook,
        rerun: Rerun,
        watch: &mut ProgressWatch<'_>,
    ) -> Result<Run, SessionError> {
        let found = previewed(&outlook.choices, &outlook.known);
        // Ids that were protected since are removed from older runs as well.
        for older in outlook.continued() {
            self.protect_loaded(queue, &older).await?;
        }
        let run = match found.map(|at| outlook.runs[at].clone()) {
            Some(run) if run.state() == RunState::Finished => run,
            Some(run) => self.protect_loaded(queue, &run).await?,
            None => Box::pin(self.load(queue, outlook, watch)).await?,
        };
        outlook.discard_stale_plans(queue, rerun).await?;
        self.keep(outlook.input.take());
        Ok(run)
    }

    /// Loads the input as a new run, with the rows that it takes over.
    async fn load(
        &mut self,
        queue: &mut Queue,
        outlook: &mut Outlook,
        watch: &mut ProgressWatch<'_>,
    ) -> Result<Run, SessionError> {
        let input = outlook.take_input()?;
        if let Carry::OtherOperation(run) = &outlook.carry {
            let job = &self.job.name;
            tell(format!(
                "note: {job}: no row of run {run} is carried over: it has another operation or other options"
            ));
        }
        let (stamps, digest) = (input.stamps.clone(), input.digest.clone());
        self.keep(Some(Ok(InputState { sources: Vec::new(), stamps, digest })));
        let now = clock::now().as_millisecond();
        let run = NewRun {
            uuid: uuid_v7(now, rand::random()),
            job: self.job.name.clone(),
            target: self.target.name(),
            operation: self.job.operation,
            definition_digest: self.definition_digest(),
            input_digest: input.digest,
            file_stamps: input.stamps,
            protected_digest: self.protected.digest(),
            files: self.files(&input.sources),
            sources: input.sources.iter().map(|source| source.name().to_owned()).collect(),
            carries: outlook.carry.source().cloned(),
            created_at: now,
        };
        let temp_dir = folder_of(queue.path()).to_owned();
        let protected = Arc::clone(&self.protected);
        let spec = LoadSpec { job: self.job.clone(), sources: input.sources, protected, temp_dir };
        let begun = Instant::now();
        log_loading(&run.uuid, &run.job, &StateChange::PhaseBegun(Phase::Loading).into());
        let id = load(queue, &run, spec, watch).await?;
        let ended = StateChange::PhaseEnded { phase: Phase::Loading, took: begun.elapsed() }.into();
        log_loading(&run.uuid, &run.job, &ended);
        Ok(queue.run(id).await?)
    }

    /// Removes the ids that were protected since from a run that was loaded before, and reads it again.
    async fn protect_loaded(&self, queue: &mut Queue, run: &Run) -> Result<Run, SessionError> {
        if run.protected_digest != self.protected.digest() {
            until_calls_have_ended(&queue.reader().await?, std::slice::from_ref(run)).await?;
            let protects = |id: &str| self.protected.protects(id);
            let rows = queue.protect(run, &protects, &self.protected.digest(), clock::now().as_millisecond()).await?;
            if rows > 0 {
                tracing::info!(
                    event = "protected",
                    run = run.uuid,
                    job = run.job,
                    rows,
                    "rows removed from the run: the protected list names them now"
                );
            }
        }
        Ok(queue.run(run.id).await?)
    }
}

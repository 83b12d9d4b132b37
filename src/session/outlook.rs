//! Chooses the runs that a job sends next. `plan` and `run` both ask here.

use super::error::SessionError;
use super::job_input::{InputState, JobInput};
use crate::domain::plan_id::{ContinuedRun, PlanParts};
use crate::domain::response::outcome::Outcome;
use crate::domain::run_choice::{KnownRun, Refusal, Rerun, RunChoice, stale_plans, upcoming};
use crate::queue::{Queue, Run};

/// What a job is about to do.
pub(super) struct Outlook {
    /// The job's runs on its target, oldest first.
    pub(super) runs: Vec<Run>,
    pub(super) known: Vec<KnownRun>,
    /// What goes first, and what follows.
    pub(super) choices: Vec<RunChoice>,
    /// The input as it is now; none where it does not matter, and once it is loaded.
    pub(super) input: Option<Result<InputState, SessionError>>,
    /// Digest of the input, if it could be read.
    digest: Option<String>,
}

impl JobInput {
    /// Looks at the job's runs and its input, and decides what is done next.
    pub(super) async fn inspect(&mut self, queue: &mut Queue, rerun: Rerun) -> Result<Outlook, SessionError> {
        let runs = queue.reader().await?.runs_of(&self.job.name, &self.address.name()).await?;
        // To finish an older run, the current input is not needed: it may be gone, or be a pipe that nobody writes to.
        let input = match rerun {
            Rerun::Resume => None,
            Rerun::No | Rerun::Again => Some(self.inspect_input(queue.path(), &runs).await),
        };
        let (definition, settings) = (self.definition(), self.settings());
        let digest = input.as_ref().and_then(|input| input.as_ref().ok()).map(|input| input.digest.clone());
        let known: Vec<KnownRun> = runs
            .iter()
            .map(|run| KnownRun {
                progress: run.progress(),
                same_input: digest.as_ref() == Some(&run.digest),
                same_definition: run.definition == definition,
                same_settings: run.settings.as_ref().is_none_or(|earlier| *earlier == settings),
            })
            .collect();
        let choices = upcoming(&known, rerun);
        Ok(Outlook { runs, known, choices, input, digest })
    }

    /// All that the id of the plan depends on.
    pub(super) async fn plan_parts(&self, queue: &Queue, outlook: &Outlook) -> Result<PlanParts, SessionError> {
        let reader = queue.reader().await?;
        let mut continues = Vec::new();
        let mut input = None;
        for choice in &outlook.choices {
            match choice {
                RunChoice::Continue(run) => {
                    let run = &outlook.runs[*run];
                    let rows_left = reader.tally(run).await?[Outcome::Pending];
                    continues.push(ContinuedRun { run: run.uuid.clone(), rows_left });
                }
                RunChoice::Begin { .. } => input.clone_from(&outlook.digest),
                RunChoice::Nothing(_) | RunChoice::Refuse(_) => {}
            }
        }
        Ok(PlanParts {
            job: self.job.name.clone(),
            continues,
            input,
            definition: self.definition(),
            target: self.address.name(),
            endpoint: self.address.endpoint(),
            admin: self.address.admin().map(str::to_owned),
            protected: self.protected.digest(),
            settings: self.settings(),
        })
    }

    /// Why nothing is sent until somebody decides.
    pub(super) fn refused(&self, outlook: &Outlook, refusal: Refusal) -> SessionError {
        let job = self.job.name.clone();
        match refusal {
            Refusal::Ended { run, by } => {
                let left = outlook.runs[run].uuid.clone();
                SessionError::NeedsDecision { job, run: left, by }
            }
            Refusal::Redefined { run } => SessionError::Redefined { job, run: outlook.runs[run].uuid.clone() },
            Refusal::NothingToResume => nothing_to_resume(),
        }
    }
}

impl Outlook {
    /// Whether the input has to be read, and cannot be.
    pub(super) fn is_unreadable(&self) -> bool {
        self.input.as_ref().is_some_and(Result::is_err)
    }

    /// The run that has finished the current input, where nothing is to be sent for that.
    pub(super) fn finished(&self) -> Option<Run> {
        match self.choices.first() {
            Some(RunChoice::Nothing(at)) => Some(self.runs[*at].clone()),
            Some(RunChoice::Continue(_) | RunChoice::Begin { .. } | RunChoice::Refuse(_)) | None => None,
        }
    }

    /// Unfinished runs that are continued, in their order.
    pub(super) fn continued(&self) -> Vec<Run> {
        let continued = self.choices.iter().filter_map(|choice| match choice {
            RunChoice::Continue(at) => Some(self.runs[*at].clone()),
            RunChoice::Begin { .. } | RunChoice::Nothing(_) | RunChoice::Refuse(_) => None,
        });
        continued.collect()
    }

    /// Whether `--resume` finds nothing to resume.
    pub(super) fn resumes_nothing(&self) -> bool {
        self.choices.first() == Some(&RunChoice::Refuse(Refusal::NothingToResume))
    }

    /// Runs that are given up for the current input.
    pub(super) fn replaced(&self) -> Vec<usize> {
        let replaces = self.choices.iter().map(|choice| match choice {
            RunChoice::Begin { replaces, .. } => replaces.as_slice(),
            RunChoice::Continue(_) | RunChoice::Nothing(_) | RunChoice::Refuse(_) => &[],
        });
        replaces.flatten().copied().collect()
    }

    /// Whether a run is of the input as it is now.
    pub(super) fn is_current(&self, run: usize) -> bool {
        self.known[run].same_input && self.known[run].same_definition
    }

    /// The input, to be loaded.
    pub(super) fn take_input(&mut self) -> Result<InputState, SessionError> {
        self.input.take().unwrap_or_else(|| unreachable!("whatever loads the input has looked at it"))
    }

    /// Nothing of them was ever sent, and they are of other rows than the job means now. Where the input cannot be read,
    /// that is not known.
    pub(super) async fn discard_stale_plans(&self, queue: &mut Queue, rerun: Rerun) -> Result<(), SessionError> {
        if self.digest.is_none() {
            return Ok(());
        }
        for at in stale_plans(&self.known, rerun) {
            queue.discard(self.runs[at].id).await?;
        }
        Ok(())
    }
}

/// `--resume`, but no run is unfinished.
pub(super) fn nothing_to_resume() -> SessionError {
    SessionError::usage("nothing is sent: no unfinished run to resume", "leave out --resume")
}

//! Chooses the runs that a job sends next, for `plan` and `run` alike.

use super::digests;
use super::error::SessionError;
use super::job_input::{InputState, JobInput};
use crate::domain::plan_id::{ContinuedRun, PlanParts};
use crate::domain::response::outcome::Outcome;
use crate::domain::run_choice::{KnownRun, Refusal, Rerun, RunChoice, RunProgress, stale_plans, upcoming};
use crate::queue::{CarrySource, Queue, Run, RunState};

/// What the next session does with a job.
pub(super) struct Outlook {
    /// The job's runs on its target, oldest first.
    pub(super) runs: Vec<Run>,
    pub(super) known: Vec<KnownRun>,
    /// What is done first, and what follows.
    pub(super) choices: Vec<RunChoice>,
    /// The current state of the input; none if it is not needed, or already loaded.
    pub(super) input: Option<Result<InputState, SessionError>>,
    /// Digest of the input; none if it is not needed or cannot be read.
    digest: Option<String>,
    /// What `retry.carry_over` adds to the run of the current input.
    pub(super) carry: Carry,
}

/// What `retry.carry_over` adds to the run of the current input.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Carry {
    /// Nothing: it is not set, no run begins, or the last run has no such row.
    Nothing,
    /// Rows of this run.
    From(Box<CarrySource>),
    /// Rows of this unfinished run, which goes first.
    Later(String),
    /// Nothing of this run: its operation or options were other ones.
    OtherOperation(String),
}

impl JobInput {
    /// Inspects the job's runs and its input, and chooses what is done next.
    pub(super) async fn inspect(&mut self, queue: &mut Queue, rerun: Rerun) -> Result<Outlook, SessionError> {
        let runs = queue.reader().await?.runs_of(&self.job.name, self.target.name()).await?;
        // An older run is finished without the current input, which may be deleted, or a pipe without a writer.
        let input = match rerun {
            Rerun::Resume => None,
            Rerun::No | Rerun::Again => Some(self.inspect_input(queue.path(), &runs).await),
        };
        let settings = self.settings_digest();
        let digest = input.as_ref().and_then(|input| input.as_ref().ok()).map(|input| input.digest.clone());
        let mut known: Vec<KnownRun> = runs
            .iter()
            .map(|run| KnownRun {
                progress: run.progress(),
                same_input: digest.as_ref() == Some(&run.input_digest),
                same_definition: self.is_defined_by(&run.definition_digest),
                same_settings: run.settings_digest.as_ref().is_none_or(|earlier| *earlier == settings),
            })
            .collect();
        let carry = self.carry(queue, &runs, &upcoming(&known, rerun)).await?;
        for (known, run) in known.iter_mut().zip(&runs) {
            let has_carried = run.carried.as_ref().map(|carried| &carried.digest) == carry.digest();
            known.same_input &= known.progress != RunProgress::Planned || has_carried;
        }
        let choices = upcoming(&known, rerun);
        Ok(Outlook { runs, known, choices, input, digest, carry })
    }

    /// What `retry.carry_over` adds if these are the choices: rows of the run that began last.
    async fn carry(&self, queue: &Queue, runs: &[Run], choices: &[RunChoice]) -> Result<Carry, SessionError> {
        let Some(nights) = self.job.carry_over else { return Ok(Carry::Nothing) };
        match choices {
            [RunChoice::Begin { .. }] => {}
            [.., RunChoice::Continue(older), RunChoice::Begin { .. }] => {
                return Ok(Carry::Later(runs[*older].uuid.clone()));
            }
            _nothing_begins => return Ok(Carry::Nothing),
        }
        let last = runs.iter().rfind(|run| run.started_at.is_some());
        let Some(run) = last.filter(|run| run.forgotten.is_none()) else { return Ok(Carry::Nothing) };
        let tally = queue.reader().await?.tally(run).await?;
        let given_up = if run.state() == RunState::Finished { 0 } else { tally[Outcome::Pending] };
        if tally[Outcome::Failed] + tally[Outcome::InDoubt] + given_up == 0 {
            return Ok(Carry::Nothing);
        }
        if run.operation != self.job.operation {
            return Ok(Carry::OtherOperation(run.uuid.clone()));
        }
        let digest = digests::digest(&digests::carried(run, nights, &tally));
        Ok(Carry::From(Box::new(CarrySource { run: run.clone(), nights, digest })))
    }

    /// Everything that the plan id depends on.
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
            definition: self.definition_digest(),
            target: self.target.name(),
            endpoint: self.target.endpoint(),
            admin: self.target.admin().map(str::to_owned),
            protected: self.protected.digest(),
            // Endpoint and admin are parts of their own.
            settings: digests::digest(&digests::settings(&self.job, None, None)),
            carried: outlook.carry.digest().cloned(),
        })
    }

    /// The error of a refusal.
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

impl Carry {
    /// The run whose rows are carried over.
    pub(super) fn source(&self) -> Option<&CarrySource> {
        match self {
            Self::From(source) => Some(source),
            Self::Nothing | Self::Later(_) | Self::OtherOperation(_) => None,
        }
    }

    /// Digest of everything that decides which rows are carried over.
    fn digest(&self) -> Option<&String> {
        self.source().map(|source| &source.digest)
    }
}

impl Outlook {
    /// Whether the input is needed and cannot be read.
    pub(super) fn is_unreadable(&self) -> bool {
        self.input.as_ref().is_some_and(Result::is_err)
    }

    /// The finished run of the current input, if it is the reason why nothing is sent.
    pub(super) fn finished(&self) -> Option<Run> {
        match self.choices.first() {
            Some(RunChoice::Nothing(at)) => Some(self.runs[*at].clone()),
            Some(RunChoice::Continue(_) | RunChoice::Begin { .. } | RunChoice::Refuse(_)) | None => None,
        }
    }

    /// The unfinished runs that are continued, in order.
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

    /// The runs that the run of the current input supersedes.
    pub(super) fn replaced(&self) -> Vec<usize> {
        let replaces = self.choices.iter().map(|choice| match choice {
            RunChoice::Begin { replaces, .. } => replaces.as_slice(),
            RunChoice::Continue(_) | RunChoice::Nothing(_) | RunChoice::Refuse(_) => &[],
        });
        replaces.flatten().copied().collect()
    }

    /// Whether a run was loaded from the current input.
    pub(super) fn is_current(&self, run: usize) -> bool {
        self.known[run].same_input && self.known[run].same_definition
    }

    /// Takes the input to load it.
    pub(super) fn take_input(&mut self) -> Result<InputState, SessionError> {
        self.input.take().unwrap_or_else(|| unreachable!("the input is inspected before it is loaded"))
    }

    /// Discards planned runs of another input or definition, of which nothing was sent. If the input cannot be read,
    /// it is unknown which these are.
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

/// The error of `--resume` without an unfinished run.
pub(super) fn nothing_to_resume() -> SessionError {
    SessionError::usage("nothing is sent: no unfinished run to resume", "leave out --resume")
}

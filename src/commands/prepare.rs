//! Which runs a job goes on with, and how they are loaded. `plan` and `run` both ask here.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::error::Error;
use super::load::{Reading, load};
use super::target::Address;
use crate::clock;
use crate::domain::guard::{Facts, GuardReading, LAST_RUNS, Protected};
use crate::domain::job::{Guard, Job, Protection};
use crate::domain::plan_id::{ContinuedRun, PlanParts};
use crate::domain::response::outcome::Outcome;
use crate::domain::run_choice::{KnownRun, Progress, Refusal, Rerun, RunChoice, stale_plans, upcoming};
use crate::input::{self, Source};
use crate::queue::{FileKind, NewRun, Queue, Run, RunId, RunState, UsedFile};
use crate::report::progress::Snapshot;
use crate::report::{Figures, refusal, second};

/// A job, and what it needs to find or load its run.
pub(super) struct JobInput {
    pub(super) job: Job,
    pub(super) protected: Arc<Protected>,
    pub(super) address: Address,
    /// Standard input, once it was read: it cannot be read a second time.
    kept: Option<InputState>,
}

/// What a job is about to do.
pub(super) struct Outlook {
    /// The job's runs on its target, oldest first.
    pub(super) runs: Vec<Run>,
    known: Vec<KnownRun>,
    /// What goes first, and what follows.
    pub(super) choices: Vec<RunChoice>,
    /// The input as it is now; none where it does not matter, and once it is loaded.
    input: Option<Result<InputState, Error>>,
    /// Digest of the input, if it could be read.
    digest: Option<String>,
}

/// A run to be driven.
pub(super) struct Prepared {
    pub(super) run: Run,
    /// Unfinished runs that are given up once it begins.
    pub(super) replaces: Vec<RunId>,
    /// Whether it is an older run, after which the current input follows.
    pub(super) is_older: bool,
}

/// The input as it is now.
struct InputState {
    sources: Vec<Source>,
    stamp: String,
    digest: String,
}

impl JobInput {
    /// A job with its protected list.
    pub(super) fn new(job: Job, protected: Protected, address: Address) -> Self {
        Self { job, protected: Arc::new(protected), address, kept: None }
    }

    /// Looks at the job's runs and its input, and decides what is done next.
    pub(super) async fn inspect(&mut self, queue: &mut Queue, rerun: Rerun) -> Result<Outlook, Error> {
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
    pub(super) async fn plan_parts(&self, queue: &Queue, outlook: &Outlook) -> Result<PlanParts, Error> {
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

    /// Digest of limits, retries, guards and stops, and of where and by whom the calls are made.
    pub(super) fn settings(&self) -> String {
        let Job { limits, retry, guard, stop, input, .. } = &self.job;
        // The list counts by its ids, wherever it lies.
        let guard = Guard { protected: None, ..guard.clone() };
        let (endpoint, admin) = (self.address.endpoint(), self.address.admin());
        let text = format!("{limits:?} {retry:?} {guard:?} {stop:?} {:?} {endpoint:?} {admin:?}", input.rejects);
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// Loads or finds the run that goes next; none where nothing is to be sent.
    pub(super) async fn prepare(
        &mut self,
        queue: &mut Queue,
        mut outlook: Outlook,
        rerun: Rerun,
        watch: &mut (dyn FnMut(&Snapshot) + Send),
    ) -> Result<Option<Prepared>, Error> {
        let choice = outlook.choices.first().cloned();
        let prepared = match choice {
            Some(RunChoice::Continue(at)) => {
                let is_older = outlook.choices.len() > 1;
                let run = self.resume(queue, &outlook.runs[at]).await?;
                self.kept = outlook.input.take().and_then(Result::ok).filter(|input| input.stamp.is_empty());
                Some(Prepared { run, replaces: Vec::new(), is_older })
            }
            Some(RunChoice::Begin { planned, ref replaces }) => {
                let replaces = replaces.iter().map(|at| outlook.runs[*at].id).collect();
                let run = match planned {
                    Some(at) => self.resume(queue, &outlook.runs[at]).await?,
                    None => self.load(queue, outlook.take_input()?, watch).await?,
                };
                Some(Prepared { run, replaces, is_older: false })
            }
            Some(RunChoice::Nothing(_) | RunChoice::Refuse(Refusal::NothingToResume)) | None => None,
            Some(RunChoice::Refuse(refusal)) => return Err(self.refused(&outlook, refusal)),
        };
        outlook.discard_stale_plans(queue, rerun).await?;
        Ok(prepared)
    }

    /// The same for `plan`: the run of the current input, whatever goes before it and whether or not it may be sent.
    pub(super) async fn preview(
        &mut self,
        queue: &mut Queue,
        outlook: &mut Outlook,
        rerun: Rerun,
        watch: &mut (dyn FnMut(&Snapshot) + Send),
    ) -> Result<Run, Error> {
        let current = |choice: &RunChoice| match choice {
            RunChoice::Continue(at) | RunChoice::Nothing(at) => Some(*at),
            RunChoice::Begin { planned, .. } => *planned,
            RunChoice::Refuse(_) => None,
        };
        let is_planned =
            |known: &KnownRun| known.progress == Progress::Planned && known.same_input && known.same_definition;
        let found = match outlook.choices.last() {
            Some(RunChoice::Refuse(_)) | None => outlook.known.iter().rposition(is_planned),
            Some(choice) => current(choice),
        };
        // Older runs go out without what is protected since.
        for older in outlook.continued() {
            self.resume(queue, &older).await?;
        }
        let run = match found.map(|at| outlook.runs[at].clone()) {
            Some(run) if run.state() == RunState::Finished => run,
            Some(run) => self.resume(queue, &run).await?,
            None => self.load(queue, outlook.take_input()?, watch).await?,
        };
        outlook.discard_stale_plans(queue, rerun).await?;
        if self.kept.is_none() {
            self.kept = outlook.input.take().and_then(Result::ok).filter(|input| input.stamp.is_empty());
        }
        Ok(run)
    }

    /// Why nothing is sent until somebody decides.
    pub(super) fn refused(&self, outlook: &Outlook, refusal: Refusal) -> Error {
        let job = self.job.name.clone();
        match refusal {
            Refusal::Ended { run, by } => {
                let left = outlook.runs[run].uuid.clone();
                Error::NeedsDecision { job, run: left, by }
            }
            Refusal::Redefined { run } => Error::Redefined { job, run: outlook.runs[run].uuid.clone() },
            Refusal::NothingToResume => nothing_to_resume(),
        }
    }

    /// Loads a new run of the input.
    async fn load(
        &mut self,
        queue: &mut Queue,
        input: InputState,
        watch: &mut (dyn FnMut(&Snapshot) + Send),
    ) -> Result<Run, Error> {
        if input.stamp.is_empty() {
            self.kept = Some(InputState { sources: Vec::new(), stamp: String::new(), digest: input.digest.clone() });
        }
        let run = NewRun {
            uuid: Uuid::now_v7().to_string(),
            job: self.job.name.clone(),
            target: self.address.name(),
            operation: self.job.operation.name(),
            delete_type: self.job.delete_type,
            definition: self.definition(),
            digest: input.digest,
            stamp: input.stamp,
            protected: self.protected.digest(),
            files: self.files(&input.sources),
            sources: input.sources.iter().map(|source| source.name().to_owned()).collect(),
            created_at: clock::now().as_millisecond(),
        };
        let temp_dir = folder_of(queue.path());
        let protected = Arc::clone(&self.protected);
        let reading = Reading { job: self.job.clone(), sources: input.sources, protected, temp_dir };
        let id = load(queue, &run, reading, watch).await?;
        Ok(queue.run(id).await?)
    }

    /// A run that was loaded before. Ids that were protected since are taken out of it.
    async fn resume(&self, queue: &mut Queue, run: &Run) -> Result<Run, Error> {
        if run.protected != self.protected.digest() {
            let protects = |id: &str| self.protected.protects(id);
            let rows = queue.protect(run, &protects, &self.protected.digest(), clock::now().as_millisecond()).await?;
            if rows > 0 {
                tracing::info!(rows, run = run.uuid, "rows taken out: the protected list names them now");
            }
        }
        Ok(queue.run(run.id).await?)
    }

    /// What the input is, reading its bytes only where its files have changed since the latest run.
    async fn inspect_input(&mut self, queue: &Path, runs: &[Run]) -> Result<InputState, Error> {
        if let Some(kept) = self.kept.take() {
            return Ok(kept);
        }
        let (input, folder) = (self.job.input.clone(), folder_of(queue));
        let known: Vec<(String, String)> =
            runs.iter().rev().map(|run| (run.stamp.clone(), run.digest.clone())).collect();
        let inspect = move || {
            let sources = input::open(&input, &folder)?;
            let stamp = stamp_of(&sources);
            let unchanged = known.into_iter().find(|(known, _)| !stamp.is_empty() && *known == stamp);
            let digest = match unchanged {
                Some((_, digest)) => digest,
                None => digest_of(&sources)?,
            };
            Ok(InputState { sources, stamp, digest })
        };
        tokio::task::spawn_blocking(inspect).await.map_err(super::load::LoadError::from)?
    }

    /// Digest of all that decides what a row of the input asks for.
    fn definition(&self) -> String {
        let Job { operation, delete_type, input, .. } = &self.job;
        let text = format!(
            "{} {} {:?} {:?} {:?} {:?}",
            operation.name(),
            delete_type.name(),
            input.columns,
            input.encoding,
            input.delimiter,
            input.unusual_ids
        );
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// The files that a run of the job is made of.
    fn files(&self, sources: &[Source]) -> Vec<UsedFile> {
        let inputs = sources.iter().filter_map(Source::path).map(|path| UsedFile::new(FileKind::Input, path));
        let list = match &self.job.guard.protected {
            Some(Protection::File(path)) => Some(UsedFile::new(FileKind::ProtectedList, path)),
            Some(Protection::Nobody) | None => None,
        };
        inputs.chain(list).chain([UsedFile::new(FileKind::Job, &self.job.file)]).collect()
    }

    /// Why the guards let the run send nothing.
    pub(super) async fn refusals(&self, queue: &Queue, run: &Run) -> Result<Vec<Error>, Error> {
        let readings = self.read_guards(queue, run).await?;
        let mut refusals = Vec::new();
        if !readings.iter().all(GuardReading::allows) {
            let rejects = Figures::rejects_of(&queue.reader().await?, run).await?;
            refusals.push(Error::Guard(refusal(&self.job.file.to_string_lossy(), &readings, &rejects)));
        }
        refusals.extend(self.held(run));
        Ok(refusals)
    }

    /// Each guard with what it sees of the run.
    pub(super) async fn read_guards(&self, queue: &Queue, run: &Run) -> Result<Vec<GuardReading>, Error> {
        let last_runs = self.last_runs(queue).await?;
        let tally = queue.reader().await?.tally(run).await?;
        Ok(self.job.guard.read(&Facts::of(run.item_count.cast_unsigned(), &tally, &last_runs)))
    }

    /// The refusal of `guard.hold`, while a planned run is not old enough.
    fn held(&self, run: &Run) -> Option<Error> {
        let hold = self.job.guard.hold.filter(|_| run.started_at.is_none())?;
        let zone = clock::local_now().time_zone().clone();
        let planned = super::plan::local(run.created_at, &zone);
        let from = planned.saturating_add(jiff::SignedDuration::try_from(hold).unwrap_or(jiff::SignedDuration::MAX));
        (clock::now() < from.timestamp()).then(|| Error::Hold {
            job: run.job.clone(),
            planned: second(&planned),
            from: second(&from),
        })
    }

    /// Items of the job's last finished runs, for `guard.max_change`.
    async fn last_runs(&self, queue: &Queue) -> Result<Vec<u64>, Error> {
        let runs = queue.reader().await?.runs_of(&self.job.name, &self.address.name()).await?;
        let finished = runs.iter().rev().filter(|run| run.state() == RunState::Finished);
        Ok(finished.take(LAST_RUNS).map(|run| run.item_count.cast_unsigned()).collect())
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
    fn take_input(&mut self) -> Result<InputState, Error> {
        self.input.take().unwrap_or_else(|| unreachable!("whatever loads the input has looked at it"))
    }

    /// Nothing of them was ever sent, and they are of other rows than the job means now. Where the input cannot be read,
    /// that is not known.
    async fn discard_stale_plans(&self, queue: &mut Queue, rerun: Rerun) -> Result<(), Error> {
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
pub(super) fn nothing_to_resume() -> Error {
    Error::Usage("nothing is sent: no unfinished run to resume\nhint: leave out --resume".to_owned())
}

/// Names, sizes and times of the files; empty where one of them has none, as standard input.
fn stamp_of(sources: &[Source]) -> String {
    let stamps: Option<Vec<String>> =
        sources.iter().map(|source| source.stamp().map(|stamp| format!("{:?} {stamp:?}", source.name()))).collect();
    stamps.unwrap_or_default().join("\n")
}

fn digest_of(sources: &[Source]) -> Result<String, Error> {
    let mut all = blake3::Hasher::new();
    for source in sources {
        all.update(source.digest()?.as_bytes());
    }
    Ok(all.finalize().to_hex().to_string())
}

/// The folder that a file is in.
pub(super) fn folder_of(file: &Path) -> std::path::PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => ".".into(),
    }
}

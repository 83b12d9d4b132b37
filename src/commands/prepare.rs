//! Which run a job goes on with: an unfinished one, a planned one, a new one, or none.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::error::Error;
use super::load::{Reading, load};
use crate::clock;
use crate::domain::guard::{LAST_RUNS, Protected};
use crate::domain::job::Job;
use crate::input::{self, Source};
use crate::queue::{FileKind, NewRun, Queue, Run, RunId, RunState, UsedFile};
use crate::report::progress::Snapshot;

/// A job, and what it needs to find or load its run.
pub(super) struct Candidate {
    pub(super) job: Job,
    pub(super) protected: Arc<Protected>,
    /// Where it sends: `sandbox` or the SDKAppID.
    pub(super) target: String,
}

/// Whether a finished or an unfinished run stands in the way of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It does.
    No,
    /// `--again`: it does not.
    Again,
}

/// What a job is to do.
pub(super) enum Step {
    /// This run of the input as it is now is to be driven.
    Drive(Run),
    /// The same, in place of these unfinished ones: they are given up once it begins.
    DriveInstead(Run, Vec<RunId>),
    /// This older run is to be driven first; the input was not looked at.
    Resume(Run),
    /// Its latest run has done this very input.
    AlreadyFinished(Run),
}

impl Candidate {
    /// Finds the job's run, or loads one. `watch` is told how far the load is.
    pub(super) async fn prepare(
        &self,
        queue: &mut Queue,
        repeat: Repeat,
        watch: &mut (dyn FnMut(&Snapshot) + Send),
    ) -> Result<Step, Error> {
        let runs = queue.reader().await?.runs_of(&self.job.name, &self.target).await?;
        let unfinished: Vec<&Run> = runs.iter().filter(|run| run.state() == RunState::Running).collect();
        if let (Some(oldest), Repeat::No) = (unfinished.first(), repeat) {
            // A plan of the input that is being finished was to stand in its place, by an `--again` that ended before it
            // began. Left there, it would send everything once more.
            let equal = |run: &&Run| run.digest == oldest.digest && run.definition == oldest.definition;
            for plan in runs.iter().filter(|run| run.state() == RunState::Planned).filter(equal) {
                queue.discard(plan.id).await?;
            }
            return Ok(Step::Resume(self.go_on(queue, oldest).await?));
        }
        let latest = runs.iter().rev().find(|run| matches!(run.state(), RunState::Planned | RunState::Finished));
        match self.fresh(queue, latest, repeat, watch).await? {
            Step::Drive(run) if !unfinished.is_empty() => {
                Ok(Step::DriveInstead(run, unfinished.into_iter().map(|run| run.id).collect()))
            }
            step => Ok(step),
        }
    }

    /// The same for `plan`: an unfinished run is shown only if it is of the same input.
    pub(super) async fn preview(
        &self,
        queue: &mut Queue,
        watch: &mut (dyn FnMut(&Snapshot) + Send),
    ) -> Result<Step, Error> {
        let runs = queue.reader().await?.runs_of(&self.job.name, &self.target).await?;
        let latest = runs.iter().rev().find(|run| run.state() != RunState::Superseded);
        self.fresh(queue, latest, Repeat::No, watch).await
    }

    /// Goes on with `latest` if it is of the same input, else loads.
    async fn fresh(
        &self,
        queue: &mut Queue,
        latest: Option<&Run>,
        repeat: Repeat,
        watch: &mut (dyn FnMut(&Snapshot) + Send),
    ) -> Result<Step, Error> {
        let input = self.look(queue.path(), latest).await?;
        // Nothing of such a plan was ever sent, and it is of other rows than the user means now.
        let outdated = latest.filter(|run| run.state() == RunState::Planned && !input.is_of(run));
        match latest {
            Some(run) if input.is_of(run) => match run.state() {
                RunState::Planned | RunState::Running => return Ok(Step::Drive(self.go_on(queue, run).await?)),
                RunState::Finished if repeat == Repeat::No => return Ok(Step::AlreadyFinished(run.clone())),
                RunState::Finished | RunState::Loading | RunState::Superseded => {}
            },
            Some(_) | None => {}
        }
        let run = NewRun {
            uuid: Uuid::now_v7().to_string(),
            job: self.job.name.clone(),
            target: self.target.clone(),
            operation: self.job.operation.name(),
            delete_type: self.job.delete_type,
            definition: input.definition,
            digest: input.digest,
            stamp: input.stamp,
            protected: self.protected.digest(),
            files: self.files(&input.sources),
            sources: input.sources.iter().map(|source| source.name().to_owned()).collect(),
            created_at: clock::now().as_millisecond(),
        };
        let temp_dir = folder_of(queue.path());
        let reading =
            Reading { job: self.job.clone(), sources: input.sources, protected: Arc::clone(&self.protected), temp_dir };
        let id = load(queue, &run, reading, watch).await?;
        if let Some(outdated) = outdated {
            queue.discard(outdated.id).await?;
        }
        Ok(Step::Drive(queue.run(id).await?))
    }

    /// An older run goes on by the definition it was loaded with, so the job must still say the same. Ids that were
    /// protected since are taken out of it.
    async fn go_on(&self, queue: &mut Queue, run: &Run) -> Result<Run, Error> {
        if run.definition != self.definition() {
            return Err(Error::Redefined { job: self.job.name.clone(), run: run.uuid.clone() });
        }
        if run.protected != self.protected.digest() {
            let protects = |id: &str| self.protected.protects(id);
            let rows = queue.protect(run, &protects, &self.protected.digest(), clock::now().as_millisecond()).await?;
            if rows > 0 {
                tracing::info!(rows, run = run.uuid, "rows taken out: the protected list names them now");
            }
        }
        Ok(queue.run(run.id).await?)
    }

    /// What the input is, reading its bytes only where its files have changed since `latest`.
    async fn look(&self, queue: &Path, latest: Option<&Run>) -> Result<Input, Error> {
        let (input, folder) = (self.job.input.clone(), folder_of(queue));
        let known = latest.map(|run| (run.stamp.clone(), run.digest.clone()));
        let definition = self.definition();
        let look = move || {
            let sources = input::open(&input, &folder)?;
            let stamp = stamp_of(&sources);
            let digest = match known {
                Some((known_stamp, digest)) if !stamp.is_empty() && known_stamp == stamp => digest,
                Some(_) | None => digest_of(&sources)?,
            };
            Ok(Input { sources, stamp, digest, definition })
        };
        tokio::task::spawn_blocking(look).await.map_err(super::load::LoadError::from)?
    }

    /// Digest of all that decides what a row of the input asks for.
    fn definition(&self) -> String {
        let Job { operation, delete_type, input, .. } = &self.job;
        let text = format!(
            "{} {} {:?} {:?} {:?}",
            operation.name(),
            delete_type.name(),
            input.columns,
            input.encoding,
            input.delimiter
        );
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// The files that a run of the job is made of.
    fn files(&self, sources: &[Source]) -> Vec<UsedFile> {
        let inputs = sources.iter().filter_map(Source::path).map(|path| UsedFile::new(FileKind::Input, path));
        let lists = self.job.guard.protected.iter().map(|path| UsedFile::new(FileKind::ProtectedList, path));
        inputs.chain(lists).chain([UsedFile::new(FileKind::Job, &self.job.file)]).collect()
    }

    /// Whether the guards let the run send anything.
    pub(super) async fn check_guard(&self, queue: &Queue, run: &Run) -> Result<(), Error> {
        let last_runs = self.last_runs(queue).await?;
        let checked = self.job.guard.check(run.item_count.cast_unsigned(), &last_runs);
        checked.map_err(|source| Error::Guard { job: run.job.clone(), source })
    }

    /// Items of the job's last finished runs, for `guard.max_change`.
    async fn last_runs(&self, queue: &Queue) -> Result<Vec<u64>, Error> {
        let runs = queue.reader().await?.runs_of(&self.job.name, &self.target).await?;
        let finished = runs.iter().rev().filter(|run| run.state() == RunState::Finished);
        Ok(finished.take(LAST_RUNS).map(|run| run.item_count.cast_unsigned()).collect())
    }
}

/// The input as it is now.
struct Input {
    sources: Vec<Source>,
    stamp: String,
    digest: String,
    definition: String,
}

impl Input {
    fn is_of(&self, run: &Run) -> bool {
        run.digest == self.digest && run.definition == self.definition
    }
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

/// The folder that a file stands in.
pub(super) fn folder_of(file: &Path) -> std::path::PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => ".".into(),
    }
}

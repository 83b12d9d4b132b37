//! A job, its protected list, its target, and the current state of its input.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::digests;
use super::error::SessionError;
use super::progress_display::StepDisplay;
use super::target_settings::TargetSettings;
use crate::domain::call_settings::CallSettings;
use crate::domain::guard::Protected;
use crate::domain::job::{InputSettings, Job, Protection};
use crate::domain::progress::{Phase, ProgressSnapshot};
use crate::input::{self, ReadProgress, Source};
use crate::loading::LoadError;
use crate::queue::{FileKind, Run, UsedFile, folder_of};
use crate::report::progress::Subject;
use crate::report::target_name;

/// A job with everything that finds or loads its run.
pub(super) struct JobInput {
    pub(super) job: Job,
    pub(super) protected: Arc<Protected>,
    pub(super) target: TargetSettings,
    /// The state of the input for the next inspection: until the question is answered, and if the input cannot be read
    /// twice.
    kept: Option<InputState>,
}

/// The current state of the input.
pub(super) struct InputState {
    pub(super) sources: Vec<Source>,
    /// Names, sizes and times of the files; none if a source can be read only once, such as standard input.
    pub(super) stamps: Option<String>,
    pub(super) digest: String,
}

impl InputState {
    /// Whether the input cannot be read again, such as standard input.
    fn is_read_once(&self) -> bool {
        self.stamps.is_none()
    }
}

impl JobInput {
    /// A job whose input is not inspected yet.
    pub(super) fn new(job: Job, protected: Protected, target: TargetSettings) -> Self {
        Self { job, protected: Arc::new(protected), target, kept: None }
    }

    /// Keeps the state of the input for the next inspection.
    pub(super) fn keep(&mut self, input: Option<Result<InputState, SessionError>>) {
        self.kept = self.kept.take().or_else(|| input.and_then(Result::ok));
    }

    /// From now on the input is inspected again, unless it cannot be read twice.
    pub(super) fn forget_files(&mut self) {
        self.kept = self.kept.take().filter(InputState::is_read_once);
    }

    /// What is loaded, for the progress.
    pub(super) fn subject(&self) -> Subject {
        Subject {
            jobs: vec![self.job.name.clone()],
            operation: Some(self.job.operation.name),
            target: target_name(self.target.name()),
            runs: Vec::new(),
        }
    }

    /// Inspects the input. Its bytes are read only if its files are not those of a known run.
    pub(super) async fn inspect_input(&mut self, queue: &Path, runs: &[Run]) -> Result<InputState, SessionError> {
        if let Some(kept) = self.kept.take() {
            return Ok(kept);
        }
        let stamped = |run: &Run| run.file_stamps.clone().map(|stamps| (stamps, run.input_digest.clone()));
        let known: Vec<(String, String)> = runs.iter().rev().filter_map(stamped).collect();
        inspect(self.job.input.clone(), folder_of(queue), known).await
    }

    /// Digest of everything that decides what a row of the input means.
    pub(super) fn definition_digest(&self) -> String {
        digests::digest(&digests::definition(&self.job))
    }

    /// Whether a run with this digest was loaded with the same definition, also by an earlier version.
    pub(super) fn is_defined_by(&self, digest: &str) -> bool {
        digests::is_definition(&self.job, digest)
    }

    /// Digest of limits, retries, guards, stops, times, rejects, endpoint, admin and backup.
    pub(super) fn settings_digest(&self) -> String {
        digests::digest(&digests::settings(&self.job, self.target.endpoint().as_deref(), self.target.admin()))
    }

    /// How a session of a run calls the API, for commands that have no job file.
    pub(super) fn call_settings(&self, run: &Run) -> CallSettings {
        let daily = self.job.calls_per_day();
        let zone = daily.as_ref().and_then(|limit| limit.zone.as_ref()).and_then(TimeZone::iana_name);
        CallSettings {
            endpoint: self.target.endpoint(),
            identifier: self.target.admin().map(str::to_owned),
            calls_per_second: self.calls_per_second(run),
            app_calls_per_second: self.job.limits.app_calls_per_second,
            calls_per_day: daily.as_ref().map(|limit| limit.calls),
            zone: zone.map(str::to_owned),
            retry: self.job.retry,
            outage: self.job.stop.outage,
        }
    }

    /// The calls per second of a run's command. A resumed run may be of another operation than the job has now.
    pub(super) fn calls_per_second(&self, run: &Run) -> NonZeroU32 {
        let rate = self.job.limits.calls_per_second;
        if run.operation.name == self.job.operation.name {
            return rate;
        }
        NonZeroU32::new(run.operation.calls_per_second).map_or(rate, |cap| rate.min(cap))
    }

    /// The files that a run of the job uses, which an export must not overwrite.
    pub(super) fn files(&self, sources: &[Source]) -> Vec<UsedFile> {
        let inputs = sources.iter().filter_map(Source::path).map(|path| UsedFile::new(FileKind::Input, path));
        let list = match &self.job.guard.protected {
            Some(Protection::File { path, .. }) => Some(UsedFile::new(FileKind::ProtectedList, path)),
            Some(Protection::Nobody) | None => None,
        };
        inputs.chain(list).chain([UsedFile::new(FileKind::Job, &self.job.file)]).collect()
    }
}

/// Inspects an input. Its bytes are read only if its files do not have the stamps of one of the `known` inputs, each
/// with its digest.
pub(super) async fn inspect(
    input: InputSettings,
    folder: &Path,
    known: Vec<(String, String)>,
) -> Result<InputState, SessionError> {
    let folder = folder.to_owned();
    let read = Arc::new(ReadProgress::default());
    let shown = Arc::clone(&read);
    let _shown = StepDisplay::new(Phase::Comparing, move |elapsed| {
        let bytes = shown.bytes();
        ProgressSnapshot { elapsed, bytes, units: bytes.map_or(0, |it| it.done), ..ProgressSnapshot::default() }
    });
    let inspect = move || {
        let mut sources = input::open(&input, &folder)?;
        input::count_reads(&mut sources, &read);
        let stamps = stamps_of(&sources);
        let is_recent = sources.iter().any(Source::is_recent);
        let unchanged = known.into_iter().find(|(known, _)| Some(known) == stamps.as_ref() && !is_recent);
        let digest = match unchanged {
            Some((_, digest)) => digest,
            None => digest_of(&sources)?,
        };
        Ok(InputState { sources, stamps, digest })
    };
    tokio::task::spawn_blocking(inspect).await.map_err(LoadError::from)?
}

/// Names, sizes and times of the sources; none if one of them has no stamp, such as standard input. Those of a recent
/// file do not show a later change, so they are marked, and never equal those that the file has later.
fn stamps_of(sources: &[Source]) -> Option<String> {
    let stamp = |source: &Source| {
        let text = digests::stamp(source.name(), source.stamp()?);
        Some(if source.is_recent() { format!("recent {text}") } else { text })
    };
    let stamps: Option<Vec<String>> = sources.iter().map(stamp).collect();
    stamps.map(|stamps| stamps.join("\n"))
}

fn digest_of(sources: &[Source]) -> Result<String, SessionError> {
    let mut all = blake3::Hasher::new();
    for source in sources {
        all.update(source.digest()?.as_bytes());
    }
    Ok(all.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::clock;
    use crate::domain::job::{Encoding, RejectPolicy, UnusualIds};

    #[tokio::test]
    async fn the_bytes_of_a_recent_file_are_read_although_its_stamps_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, "UserID\na\n").unwrap();
        // Later than any moment at which the test can run.
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::from(clock::now()) + Duration::from_hours(1))
            .unwrap();
        let input = InputSettings {
            paths: vec![path.display().to_string()],
            columns: BTreeMap::new(),
            encoding: Encoding::Utf8,
            delimiter: None,
            rejects: RejectPolicy::Count,
            unusual_ids: UnusualIds::Reject,
        };
        let first = inspect(input.clone(), folder.path(), Vec::new()).await.unwrap();
        let stamps = first.stamps.unwrap();
        assert!(stamps.starts_with("recent "), "{stamps}");
        let known = vec![(stamps, "another digest".to_owned())];
        let second = inspect(input, folder.path(), known).await.unwrap();
        assert_eq!(second.digest, first.digest);
    }
}

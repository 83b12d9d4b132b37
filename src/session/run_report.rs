//! Reads what the report on a run shows.

use std::fs::File;

use jiff::Zoned;

use super::error::SessionError;
use super::figures::{facts, figures, owner, reason};
use crate::clock;
use crate::domain::timestamp::local;
use crate::queue::{CodeRows, QueueError, Reader, Run};
use crate::report::explanation::codes_of;
use crate::report::run_report::{
    BackupFileOfRun, EarlierRun, EvidenceParts, PLACES, PlacesOfCode, ReportParts, RunReport,
};
use crate::report::state::StateName;

/// Codes whose rows a report names at most.
const CODES_WITH_PLACES: usize = 20;
/// Requests with several calls that a report names at most.
const MOST_CALLS: u32 = 5;
/// Earlier runs that a report shows at most.
const EARLIER_RUNS: usize = 7;

/// The report on a run. `results_digest`: of its results, if it is finished and they are still there.
pub async fn run_report(reader: &Reader, run: &Run, results_digest: Option<String>) -> Result<RunReport, SessionError> {
    let now = clock::local_now();
    let runs = reader.runs().await?;
    let mut figures = figures(reader, run).await?;
    figures.stopped = reason(run, figures.state, &runs);
    let mut facts = facts(reader, run, figures.state, &figures.outcomes, &now);
    facts.verified = reader.verified_rows(run.id).await?;
    let operation = run.operation;
    Ok(RunReport::new(ReportParts {
        explained_codes: codes_of(&operation, &figures.codes),
        places: places(reader, run, &figures.codes).await?,
        sent: sent(run, &now),
        input: reader.input_files(run.id).await?,
        input_digest: run.input_digest.clone(),
        results_digest: results_digest.or_else(|| run.forgotten.as_ref().map(|forgotten| forgotten.results.clone())),
        series: reader.time_series(run.id).await?,
        evidence: evidence(reader, run).await?,
        earlier_runs: earlier_runs(reader, run, &runs, &now).await?,
        effect: operation.effect,
        facts,
        figures,
        now,
    }))
}

/// Where the first rows with each of these codes are.
async fn places(reader: &Reader, run: &Run, codes: &[CodeRows]) -> Result<Vec<PlacesOfCode>, QueueError> {
    let limit = u32::try_from(PLACES).unwrap_or(u32::MAX);
    let mut places = Vec::new();
    for &CodeRows { outcome, code, .. } in codes.iter().take(CODES_WITH_PLACES) {
        let rows = reader.places(run.id, (outcome, code), limit).await?;
        places.push(PlacesOfCode { code, outcome, rows });
    }
    Ok(places)
}

/// When the first session began, and when the last one ended; none before both are known.
fn sent(run: &Run, now: &Zoned) -> Option<(Zoned, Zoned)> {
    let ended = run.finished_at.or(run.ended_at)?;
    Some((local(run.started_at?, now.time_zone()), local(ended, now.time_zone())))
}

/// The runs before this one of the same job on the same target, the latest first.
async fn earlier_runs(reader: &Reader, run: &Run, runs: &[Run], now: &Zoned) -> Result<Vec<EarlierRun>, QueueError> {
    let earlier = runs.iter().rev().filter(|it| it.id < run.id && it.job == run.job && it.target == run.target);
    let mut shown = Vec::new();
    for it in earlier.take(EARLIER_RUNS) {
        shown.push(EarlierRun {
            run: it.uuid.clone(),
            state: StateName::of(it, owner(reader)),
            created_at: local(it.created_at, now.time_zone()),
            rows: it.row_count.cast_unsigned(),
            outcomes: reader.tally(it).await?,
        });
    }
    Ok(shown)
}

/// How the run was sent.
async fn evidence(reader: &Reader, run: &Run) -> Result<EvidenceParts, QueueError> {
    let from: Vec<&str> = run.largest_accounts().iter().map(|account| account.from.as_str()).collect();
    let mut first_rows = reader.first_rows(run.id, &from).await?;
    let accounts = run.largest_accounts().iter();
    Ok(EvidenceParts {
        sessions: reader.sessions(run.id).await?,
        repeated: reader.repeated_rows(run.id).await?,
        most_calls: reader.most_calls(run.id, MOST_CALLS).await?,
        largest_accounts: accounts
            .filter_map(|account| Some((account.clone(), first_rows.remove(&account.from)?)))
            .collect(),
        backups: backups(reader, run).await?,
    })
}

/// The files of the backup of the run, with the digests that they have now.
async fn backups(reader: &Reader, run: &Run) -> Result<Vec<BackupFileOfRun>, QueueError> {
    let mut files: Vec<BackupFileOfRun> = Vec::new();
    for part in reader.snapshot().await?.backup_parts(run.id).await? {
        match files.iter_mut().find(|it| it.file == part.file) {
            Some(known) => known.lines += part.lines,
            None => files.push(BackupFileOfRun { blake3: digest_of(&part.file), file: part.file, lines: part.lines }),
        }
    }
    Ok(files)
}

/// The BLAKE3 digest of a file, if it can be read.
fn digest_of(file: &str) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(file).ok()?).ok()?;
    Some(hasher.finalize().to_hex().to_string())
}

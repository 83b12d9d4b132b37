//! Reads what the report on a run shows.

use jiff::Zoned;

use super::error::SessionError;
use super::figures::{facts, figures, owner, reason};
use crate::clock;
use crate::domain::timestamp::local;
use crate::queue::{CodeRows, QueueError, Reader, Run};
use crate::report::explanation::codes_of;
use crate::report::run_report::{EarlierRun, PLACES, PlacesOfCode, ReportParts, RunReport};
use crate::report::state::StateName;

/// Codes whose rows a report names at most.
const CODES_WITH_PLACES: usize = 20;
/// Earlier runs that a report shows at most.
const EARLIER_RUNS: usize = 7;

/// The report on a run.
pub async fn run_report(reader: &Reader, run: &Run) -> Result<RunReport, SessionError> {
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
        series: reader.time_series(run.id).await?,
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

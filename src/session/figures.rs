//! Reads the figures that the texts of `report` show.

use crate::domain::response::outcome::Outcome;
use crate::domain::timestamp::rfc3339;
use crate::queue::{QueueError, Reader, Run, RunState};
use crate::report::json::FormatVersion;
use crate::report::state::{RunnerPresence, StateName};
use crate::report::status::{Detail, Overview, RunStatus};
use crate::report::{Figures, Rejects};

/// Rejected rows that summary, status and refusals show.
const SHOWN_REJECTS: u32 = 5;

/// All runs of a queue.
pub async fn overview(reader: &Reader) -> Result<Overview, QueueError> {
    let owner = owner(reader);
    let mut runs = Vec::new();
    for run in reader.runs().await? {
        let state = StateName::of(&run, owner);
        runs.push(RunStatus {
            operation: run.operation()?.name,
            state,
            runner: RunnerPresence::of(state),
            rows: run.row_count.cast_unsigned(),
            outcomes: reader.tally(&run).await?,
            run: run.uuid,
            job: run.job,
            target: run.target,
            stopped: run.stopped,
        });
    }
    Ok(Overview { schema: FormatVersion, runs, runner: owner })
}

/// A run in detail.
pub async fn detail(reader: &Reader, run: &Run) -> Result<Detail, QueueError> {
    let (requests_left, requests) = reader.request_counts(run.id).await?;
    let figures = figures(reader, run).await?;
    let runner = RunnerPresence::of(figures.state);
    let heartbeat = run.pulse.as_deref().filter(|_| runner == RunnerPresence::Present);
    Ok(Detail {
        figures,
        requests: requests.cast_unsigned(),
        requests_left: requests_left.cast_unsigned(),
        runner,
        pause: reader.control_state(run.id).await?.pause.filter(|_| is_unfinished(run)),
        heartbeat: heartbeat.and_then(|heartbeat| serde_json::from_str(heartbeat).ok()),
    })
}

fn is_unfinished(run: &Run) -> bool {
    match run.state() {
        RunState::Loading | RunState::Planned | RunState::Running => true,
        RunState::Finished | RunState::Superseded => false,
    }
}

/// The figures of a run, with its first rejected rows.
pub(super) async fn figures(reader: &Reader, run: &Run) -> Result<Figures, QueueError> {
    figures_with(reader, run, SHOWN_REJECTS).await
}

/// The figures of a run, with at most this number of its rejected rows.
pub(super) async fn figures_with(reader: &Reader, run: &Run, rejected_rows: u32) -> Result<Figures, QueueError> {
    let outcomes = reader.tally(run).await?;
    let rejected = match outcomes[Outcome::Rejected] {
        0 => Vec::new(),
        _ => reader.rejected(run.id, rejected_rows).await?,
    };
    Ok(Figures {
        schema: FormatVersion,
        run: run.uuid.clone(),
        job: run.job.clone(),
        operation: run.operation()?.name,
        target: run.target.clone(),
        state: StateName::of(run, owner(reader)),
        stopped: run.stopped.clone(),
        rows: run.row_count.cast_unsigned(),
        items: run.item_count.cast_unsigned(),
        created_at: rfc3339(run.created_at),
        started_at: run.started_at.map(rfc3339),
        finished_at: run.finished_at.map(rfc3339),
        outcomes,
        codes: reader.codes(run.id).await?,
        rejects: Rejects(rejected),
    })
}

/// The first rejected rows of a run.
pub(super) async fn rejected_rows(reader: &Reader, run: &Run) -> Result<Rejects, QueueError> {
    Ok(Rejects(reader.rejected(run.id, SHOWN_REJECTS).await?))
}

/// Whether a process owns the queue.
pub(super) fn owner(reader: &Reader) -> RunnerPresence {
    if reader.is_owned() { RunnerPresence::Present } else { RunnerPresence::Absent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::Item;
    use crate::domain::request::line_span::LineSpan;
    use crate::testing::{Bench, Load, id};

    #[tokio::test]
    async fn the_json_of_a_run_names_all_outcomes_and_whether_a_runner_is_there() {
        let item = Item { account: id("a"), row: 0, updates: None };
        let load = Load {
            requests: vec![(None, vec![item])],
            line_spans: vec![LineSpan { first_row: 0, source: 0, first_line: 2, step: 1 }],
            sources: vec!["x.csv".to_owned()],
            ..Load::default()
        };
        let bench = Bench::new("account_delete", load).await;
        let json = serde_json::to_value(detail(&bench.reader, &bench.run).await.unwrap()).unwrap();
        let outcomes = json["outcomes"].as_object().unwrap();
        assert_eq!(outcomes.len(), 8);
        assert_eq!((&outcomes["pending"], &outcomes["failed"]), (&1.into(), &0.into()));
        assert_eq!((&json["runner"], &json["requests_left"]), (&"present".into(), &1.into()));
        bench.queue.close().await.unwrap();
        let all = serde_json::to_value(overview(&bench.reader).await.unwrap()).unwrap();
        assert_eq!((&all["runs"][0]["runner"], &all["runs"][0]["rows"]), (&"absent".into(), &1.into()));
    }
}

//! Reads the figures that the texts of `report` show.

use jiff::Zoned;

use crate::clock;
use crate::domain::hint::Message;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::response::verification::VerifiedRows;
use crate::domain::timestamp::{local, rfc3339};
use crate::queue::{KILLED, QueueError, Reader, Run, RunState};
use crate::report::json::FormatVersion;
use crate::report::state::{RunnerPresence, StateName};
use crate::report::status::{
    Detail, ForgottenRows, Overview, RunStatus, SessionTotals, StateFacts, limited_by, seconds_left,
};
use crate::report::{Figures, Rejects};

/// The number of rows that `status` reads at most to count codes and to find rejected rows, so that it answers at once
/// for a large run as well.
const READ_ROWS: i64 = 100_000;

/// Rejected rows that summary, status and refusals show.
const SHOWN_REJECTS: u32 = 5;

/// All runs of a queue.
pub async fn overview(reader: &Reader) -> Result<Overview, QueueError> {
    let (owner, now) = (owner(reader), clock::local_now());
    let mut shown = Vec::new();
    let runs = reader.runs().await?;
    for run in &runs {
        let state = StateName::of(run, owner);
        let outcomes = reader.tally(run).await?;
        let verified = reader.verified_rows(run.id).await?;
        let is_sending = state == StateName::Sending;
        shown.push(RunStatus {
            operation: run.operation.name,
            state,
            facts: StateFacts { verified, ..facts(reader, run, state, &outcomes, &now) },
            stopped: reason(run, state, &runs),
            limited_by: is_sending.then(|| limited_by(run.heartbeat.as_ref(), &now)),
            rows: run.row_count.cast_unsigned(),
            outcomes,
            run: run.uuid.clone(),
            job: run.job.clone(),
            target: run.target,
        });
    }
    Ok(Overview { schema: FormatVersion, runs: shown, queue_bytes: reader.size(), runner: owner, now })
}

/// A run in detail, named by its complete id. None if the queue does not have it.
pub async fn detail(reader: &Reader, id: &str) -> Result<Option<Detail>, QueueError> {
    let now = clock::local_now();
    let runs = reader.runs().await?;
    let Some(run) = runs.iter().find(|run| run.uuid == id) else { return Ok(None) };
    let outcomes = reader.tally(run).await?;
    let verified = reader.verified_rows(run.id).await?;
    let (with_code, skipped) = (with_code(&outcomes), skipped_rows_to_read(&outcomes));
    let mut figures = figures_without_lists(reader, run, outcomes);
    figures.codes = reader.codes_of_first(run.id, READ_ROWS).await?;
    if outcomes[Outcome::Rejected] > 0 && skipped <= READ_ROWS.cast_unsigned() {
        figures.rejects = Rejects(reader.rejected(run.id, SHOWN_REJECTS).await?);
    }
    figures.stopped = reason(run, figures.state, &runs);
    let heartbeat = run.heartbeat.clone();
    let zone = now.time_zone();
    Ok(Some(Detail {
        facts: StateFacts { verified, ..facts(reader, run, figures.state, &outcomes, &now) },
        is_partial: with_code.max(skipped) > READ_ROWS.cast_unsigned(),
        session: heartbeat.as_ref().map(|it| SessionTotals::new(it, &outcomes, |at| local(at, zone))),
        heartbeat: heartbeat.filter(|_| figures.state == StateName::Sending),
        pause: reader.control_state(run.id).await?.pause.filter(|_| is_unfinished(run)),
        queue_bytes: reader.size(),
        figures,
        now,
    }))
}

/// Rows that may have a code. A success has one only rarely.
fn with_code(outcomes: &Tally) -> u64 {
    [Outcome::AlreadyDone, Outcome::Failed, Outcome::InDoubt].into_iter().map(|outcome| outcomes[outcome]).sum()
}

/// Skipped rows that may have to be read before the first rejected ones are found.
fn skipped_rows_to_read(outcomes: &Tally) -> u64 {
    outcomes[Outcome::Duplicate] + outcomes[Outcome::Protected]
}

pub(super) fn facts(reader: &Reader, run: &Run, state: StateName, outcomes: &Tally, now: &Zoned) -> StateFacts {
    let heartbeat = run.heartbeat.as_ref();
    let since = match state {
        StateName::Planned => Some(run.created_at),
        StateName::Sending => heartbeat.map(|heartbeat| heartbeat.began_at),
        StateName::Stopped | StateName::Halted | StateName::Superseded => run.ended_at,
        StateName::Interrupted => run.ended_at.or(heartbeat.map(|heartbeat| heartbeat.at)),
        StateName::Finished => run.finished_at,
    };
    let sending = heartbeat.filter(|_| state == StateName::Sending);
    let forgotten = run.forgotten.as_ref().map(|forgotten| ForgottenRows {
        at: local(forgotten.at, now.time_zone()),
        results_digest: forgotten.results.clone(),
    });
    StateFacts {
        forgotten,
        verified: VerifiedRows::default(),
        since: since.map(|at| local(at, now.time_zone())),
        pid: sending.and_then(|heartbeat| reader.owner().or(Some(heartbeat.pid))),
        seconds_left: sending.and_then(|heartbeat| seconds_left(heartbeat, outcomes[Outcome::Pending])),
    }
}

/// Why a run is in its state: the reason that its last session stored, or what can be said without one.
pub(super) fn reason(run: &Run, state: StateName, runs: &[Run]) -> Option<Message> {
    match state {
        StateName::Planned | StateName::Sending | StateName::Finished => None,
        StateName::Stopped | StateName::Halted => run.end_reason.clone(),
        StateName::Interrupted => Some(run.end_reason.clone().unwrap_or_else(|| Message::new(KILLED))),
        StateName::Superseded => {
            let newer = runs.iter().find(|it| it.id > run.id && it.job == run.job && it.target == run.target);
            newer.map(|newer| Message::new(format!("given up for run {}", newer.uuid)))
        }
    }
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
    let codes = reader.codes(run.id).await?;
    Ok(Figures { codes, rejects: Rejects(rejected), ..figures_without_lists(reader, run, outcomes) })
}

/// The figures that are read without reading rows.
fn figures_without_lists(reader: &Reader, run: &Run, outcomes: Tally) -> Figures {
    Figures {
        schema: FormatVersion,
        run: run.uuid.clone(),
        job: run.job.clone(),
        operation: run.operation.name,
        target: run.target,
        state: StateName::of(run, owner(reader)),
        stopped: run.end_reason.clone(),
        rows: run.row_count.cast_unsigned(),
        items: run.item_count.cast_unsigned(),
        carried_over: run.carried.as_ref().map(|carried| carried.over.clone()),
        created_at: rfc3339(run.created_at),
        started_at: run.started_at.map(rfc3339),
        finished_at: run.finished_at.map(rfc3339),
        outcomes,
        codes: Vec::new(),
        rejects: Rejects(Vec::new()),
    }
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
    use crate::queue::Queue;
    use crate::testing::{Load, TestQueue, id};

    #[tokio::test]
    async fn the_json_of_a_run_names_all_outcomes_and_its_state() {
        let item = Item { account: id("a"), row: 0, updates: None };
        let load = Load {
            requests: vec![(None, vec![item])],
            line_spans: vec![LineSpan { first_row: 0, source: 0, first_line: 2, step: 1 }],
            sources: vec!["x.csv".to_owned()],
            ..Load::default()
        };
        let test_queue = TestQueue::new("account_delete", load).await;
        let read = detail(&test_queue.reader, &test_queue.run.uuid).await.unwrap();
        let json = serde_json::to_value(read.expect("the run")).unwrap();
        let outcomes = json["outcomes"].as_object().unwrap();
        assert_eq!(outcomes.len(), 8);
        assert_eq!((&outcomes["pending"], &outcomes["failed"]), (&1.into(), &0.into()));
        assert_eq!((&json["state"], &json["session"]), (&"sending".into(), &serde_json::Value::Null));
        let TestQueue { folder, queue, reader, .. } = test_queue;
        drop((queue, reader));
        // Another command than the killed one owns the queue.
        let owner = Queue::open(&folder.path().join("q.db")).await.unwrap();
        let all = serde_json::to_value(overview(&owner.reader().await.unwrap()).await.unwrap()).unwrap();
        assert_eq!(all["runs"][0]["state"], "interrupted");
        assert_eq!((&all["runs"][0]["pid"], &all["runs"][0]["rows"]), (&serde_json::Value::Null, &1.into()));
        assert!(all["queue_bytes"].as_u64() > Some(0));
        assert!(detail(&owner.reader().await.unwrap(), "0").await.unwrap().is_none());
    }
}

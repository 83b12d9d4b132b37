//! Runs: one pass of a job over one input.

use sqlx::{FromRow, SqliteConnection};

use super::checksum::Checksum;
use super::edit::{Failure, expect};
use super::read::Contents;
use super::{LargeAccount, Queue, QueueError, Reader, UsedFile, source};
use crate::domain::ids::RequestId;
use crate::domain::ids::RunId;
use crate::domain::operation::{self, BoundOperation};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::run_choice::{EndedBy, RunProgress};
use crate::fail_point::{FailPoint, guarded};

/// The states stand apart: `state IN (…)` would pass over the partial indexes and read every request.
pub(super) const FINISH: &str = "UPDATE run SET state = 'finished', stopped = NULL, ended_by = NULL, finished_at = ?2
    WHERE id = ?1 AND state = 'running'
      AND NOT EXISTS (SELECT 1 FROM request WHERE run = ?1 AND state = 'pending')
      AND NOT EXISTS (SELECT 1 FROM request WHERE run = ?1 AND state = 'sending')";
pub(super) const LAST_PENDING: &str = "SELECT max(id) FROM request WHERE run = ? AND state = 'pending'";

/// A SELECT of [`Run`]. By their names, since names that come out of a damaged schema may be no text, which the library
/// takes for a broken invariant.
macro_rules! select_run {
    ($rest:literal) => {
        concat!(
            "SELECT id, uuid, job, target, operation, options, definition, digest, stamp, protected, files, tags, largest, state, stopped,
                    settings, ended_by, pulse, row_count, item_count, created_at, started_at, finished_at, checksum FROM run ",
            $rest
        )
    };
}

/// A statement with its values.
type Change<'a> = sqlx::query::Query<'a, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The id that people see.
    pub uuid: String,
    /// The job's name.
    pub job: String,
    /// Where it sends: `sandbox` or the SDKAppID.
    pub target: String,
    /// The operation with its options.
    pub operation: BoundOperation,
    /// Digest of what the job makes of its input.
    pub definition: String,
    /// Digest of the input's bytes.
    pub digest: String,
    /// Names, sizes and times of the input's files.
    pub stamp: String,
    /// Digest of the protected list.
    pub protected: String,
    /// The files that it is made of.
    pub files: Vec<UsedFile>,
    /// The input's files, as results name them.
    pub sources: Vec<String>,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// A run, as the queue has it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The id that people see.
    pub uuid: String,
    /// The job's name.
    pub job: String,
    /// Where it sends: `sandbox` or the SDKAppID.
    pub target: String,
    #[sqlx(rename = "operation")]
    operation_name: String,
    #[sqlx(rename = "options")]
    option_list: String,
    /// Digest of what the job makes of its input.
    pub definition: String,
    /// Digest of the input's bytes.
    pub digest: String,
    /// Names, sizes and times of the input's files.
    pub stamp: String,
    /// Digest of the protected list that its pending rows were held against; empty after a retry.
    pub protected: String,
    #[sqlx(rename = "files")]
    file_list: String,
    #[sqlx(rename = "tags")]
    tag_list: String,
    #[sqlx(rename = "largest")]
    largest_list: String,
    #[sqlx(rename = "state")]
    state_name: String,
    /// Why the last session ended before the run did.
    pub stopped: Option<String>,
    /// Digest of the job's limits, retries, guards and stops, and of endpoint and admin, as of the last session.
    pub settings: Option<String>,
    #[sqlx(rename = "ended_by")]
    ended_by_name: Option<String>,
    /// How it goes, noted every few seconds while it does: JSON.
    pub pulse: Option<String>,
    /// Rows of the input.
    pub row_count: i64,
    /// Items to be sent.
    pub item_count: i64,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub started_at: Option<i64>,
    /// Milliseconds since 1970.
    pub finished_at: Option<i64>,
    checksum: i64,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Its input is being read. Never seen by others than the loader.
    Loading,
    /// Loaded; nothing was ever sent.
    Planned,
    /// Begun, and not at its end.
    Running,
    /// Every row has its outcome.
    Finished,
    /// Another run was begun in its place before its end.
    Superseded,
}

impl RunState {
    /// The name in the queue and in `status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Superseded => "superseded",
        }
    }
}

impl Run {
    /// The checksum of its line.
    fn sum(&self) -> i64 {
        let texts = [
            &self.uuid,
            &self.job,
            &self.target,
            &self.operation_name,
            &self.option_list,
            &self.definition,
            &self.digest,
            &self.stamp,
            &self.protected,
            &self.file_list,
            &self.tag_list,
            &self.largest_list,
            &self.state_name,
        ];
        let checksum =
            texts.into_iter().fold(Checksum::new().number(self.id.get()), |checksum, text| checksum.text(text));
        let checksum = checksum
            .text_if_any(self.stopped.as_deref())
            .text_if_any(self.settings.as_deref())
            .text_if_any(self.ended_by_name.as_deref());
        let checksum = checksum.number(self.row_count).number(self.item_count);
        checksum.number(self.created_at).number_if_any(self.started_at).number_if_any(self.finished_at).sum()
    }

    /// The run, if it is as it was written.
    fn checked(self) -> Result<Self, QueueError> {
        if self.checksum == self.sum() {
            return Ok(self);
        }
        Err(QueueError::Damaged(format!("run {} ({}) has a wrong checksum in table run", self.id, self.uuid)))
    }

    /// Where it stands.
    pub fn state(&self) -> RunState {
        match self.state_name.as_str() {
            "loading" => RunState::Loading,
            "planned" => RunState::Planned,
            "running" => RunState::Running,
            "superseded" => RunState::Superseded,
            // The table's CHECK allows no other.
            _ => RunState::Finished,
        }
    }

    /// Whether its last session has noted why it ended before the run did.
    pub const fn has_ended(&self) -> bool {
        self.ended_by_name.is_some()
    }

    /// What ended the last session of a run that is not finished. A session that could not note its end was killed.
    pub fn ended_by(&self) -> EndedBy {
        self.ended_by_name.as_deref().and_then(|name| name.parse().ok()).unwrap_or(EndedBy::Kill)
    }

    /// How far it came.
    pub fn progress(&self) -> RunProgress {
        match self.state() {
            RunState::Loading | RunState::Planned => RunProgress::Planned,
            RunState::Running => RunProgress::Unfinished(self.ended_by()),
            RunState::Finished => RunProgress::Finished,
            RunState::Superseded => RunProgress::Superseded,
        }
    }

    /// The command of the API, with the run's options.
    pub fn operation(&self) -> Result<BoundOperation, QueueError> {
        let unknown = |what: &str| QueueError::Damaged(format!("run {} has {what}", self.uuid));
        let operation = operation::by_name(&self.operation_name)
            .ok_or_else(|| unknown(&format!("the unknown operation {}", self.operation_name)))?;
        let options =
            serde_json::from_str(&self.option_list).map_err(|_| unknown("options that are no JSON object"))?;
        operation.bind(&options).map_err(|error| unknown(&format!("options that do not fit: {error}")))
    }

    /// The files that it was loaded from.
    pub fn files(&self) -> Vec<UsedFile> {
        serde_json::from_str(&self.file_list).unwrap_or_default()
    }

    /// The tags that its rows set, in the order of the results file.
    pub fn tags(&self) -> Vec<String> {
        serde_json::from_str(&self.tag_list).unwrap_or_default()
    }

    /// The From_Accounts with the most items, as loaded, the largest first; none for operations that name no pairs.
    pub fn largest_accounts(&self) -> Vec<LargeAccount> {
        serde_json::from_str(&self.largest_list).unwrap_or_default()
    }
}

impl Queue {
    /// Begins to load a run; [`super::Loader`] goes on.
    pub(super) async fn insert_run(&mut self, run: &NewRun) -> Result<RunId, QueueError> {
        let fail = self.fail();
        // A transaction of its own: who fetches a single row does not hear of a commit that fails after it.
        let mut transaction = self.transaction().await.map_err(&fail)?;
        let (id,): (RunId,) = sqlx::query_as(
            "INSERT INTO run (uuid, job, target, operation, options, definition, digest, stamp, protected, files,
                              tags, state, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '[]', 'loading', ?) RETURNING id",
        )
        .bind(&run.uuid)
        .bind(&run.job)
        .bind(&run.target)
        .bind(run.operation.name)
        .bind(run.operation.options_json())
        .bind(&run.definition)
        .bind(&run.digest)
        .bind(&run.stamp)
        .bind(&run.protected)
        .bind(serde_json::to_string(&run.files).unwrap_or_default())
        .bind(run.created_at)
        .fetch_one(&mut *transaction)
        .await
        .map_err(&fail)?;
        for (number, name) in run.sources.iter().enumerate() {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            source::insert(&mut transaction, id, number, name).await.map_err(&fail)?;
        }
        guarded(FailPoint::InsertRun, transaction.commit()).await.map_err(fail)?;
        Ok(id)
    }

    /// Marks a run as begun: from now on it is finished before any other input of its job.
    pub async fn begin(&mut self, run: RunId, now: i64) -> Result<(), QueueError> {
        self.forget_plan(run).await?;
        self.move_run(
            FailPoint::Begin,
            run,
            sqlx::query(
                "UPDATE run SET state = 'running', stopped = NULL, ended_by = NULL, started_at = coalesce(started_at, ?2)
                 WHERE id = ?1 AND state IN ('planned', 'running')",
            )
            .bind(run)
            .bind(now),
        )
        .await
    }

    /// Keeps by which settings of its job a run is sent.
    pub async fn note_settings(&mut self, run: RunId, settings: &str) -> Result<(), QueueError> {
        let fail = self.fail();
        let noted = async {
            let mut transaction = self.transaction().await?;
            let note = sqlx::query("UPDATE run SET settings = ?2 WHERE id = ?1").bind(run).bind(settings);
            change_run(&mut transaction, run, note).await?;
            Ok(transaction.commit().await?)
        };
        noted.await.map_err(|failure: Failure| failure.told(fail))
    }

    /// What was planned is being done: later runs are not compared with it.
    async fn forget_plan(&mut self, run: RunId) -> Result<(), QueueError> {
        let forget =
            sqlx::query("DELETE FROM shown_plan WHERE (job, target) = (SELECT job, target FROM run WHERE id = ?)");
        let fail = self.fail();
        let mut transaction = self.transaction().await.map_err(&fail)?;
        forget.bind(run).execute(&mut *transaction).await.map_err(&fail)?;
        transaction.commit().await.map_err(fail)
    }

    /// Notes which unfinished runs a killed process left behind, so that their state shows it.
    pub async fn note_kills(&mut self) -> Result<(), QueueError> {
        let fail = self.fail();
        let killed: Vec<RunId> =
            sqlx::query_scalar("SELECT id FROM run NOT INDEXED WHERE state = 'running' AND ended_by IS NULL")
                .fetch_all(&mut self.connection)
                .await
                .map_err(fail)?;
        for run in killed {
            self.note_stop(run, EndedBy::Kill, "the process was killed, or the machine went down").await?;
        }
        Ok(())
    }

    /// Notes why a session ended before its run did: the kind of reason, and the reason in words.
    pub async fn note_stop(&mut self, run: RunId, by: EndedBy, why: &str) -> Result<(), QueueError> {
        let fail = self.fail();
        let noted = async {
            let mut transaction = self.transaction().await?;
            note_end(&mut transaction, run, by, why).await?;
            Ok(guarded(FailPoint::NoteStop, transaction.commit()).await?)
        };
        noted.await.map_err(|failure: Failure| failure.told(fail))
    }

    /// Marks a run as finished. It has no pending row left, and every line of it can be read back as it was written.
    pub async fn finish(&mut self, run: RunId, now: i64) -> Result<(), QueueError> {
        let whole = self.run(run).await?;
        self.identity.check()?;
        self.reader().await?.verify(&whole).await?;
        self.move_run(FailPoint::Finish, run, sqlx::query(FINISH).bind(run).bind(now)).await
    }

    /// Gives a run up in favour of a new one; its pending rows stay pending.
    pub async fn supersede(&mut self, run: RunId) -> Result<(), QueueError> {
        let given_up = sqlx::query("UPDATE run SET state = 'superseded' WHERE id = ? AND state = 'running'");
        self.move_run(FailPoint::Supersede, run, given_up.bind(run)).await
    }

    /// Removes a run of which nothing was ever sent.
    pub async fn discard(&mut self, run: RunId) -> Result<(), QueueError> {
        let fail = self.fail();
        let discarded = async {
            let mut transaction = self.transaction().await?;
            let query = sqlx::query("DELETE FROM run WHERE id = ? AND state IN ('loading', 'planned')").bind(run);
            expect("runs discarded", 1, query.execute(&mut *transaction).await?.rows_affected())?;
            Ok(guarded(FailPoint::Discard, transaction.commit()).await?)
        };
        discarded.await.map_err(|failure: Failure| failure.told(fail))
    }

    /// A run by its number.
    pub async fn run(&mut self, id: RunId) -> Result<Run, QueueError> {
        let fail = self.fail();
        read_run(&mut self.connection, id).await.map_err(|failure| failure.told(fail))
    }

    /// Loads that a killed process left behind.
    pub(super) async fn discard_unfinished_loads(&mut self) -> Result<(), QueueError> {
        let fail = self.fail();
        let discarded = async {
            let mut transaction = self.transaction().await?;
            sqlx::query("DELETE FROM run WHERE state = 'loading'").execute(&mut *transaction).await?;
            guarded(FailPoint::DiscardLoads, transaction.commit()).await
        };
        discarded.await.map_err(fail)
    }

    async fn move_run(&mut self, deed: FailPoint, run: RunId, change: Change<'_>) -> Result<(), QueueError> {
        let fail = self.fail();
        let moved = async {
            let mut transaction = self.transaction().await?;
            change_run(&mut transaction, run, change).await?;
            Ok(guarded(deed, transaction.commit()).await?)
        };
        moved.await.map_err(|failure: Failure| failure.told(fail))
    }

    /// Recounts a run from its requests and rows, and compares with the tally kept along the way and with the number
    /// of rows read. At the end of every session, in release builds too.
    pub async fn check_sums(&mut self, run: &Run) -> Result<Tally, QueueError> {
        let fail = self.fail();
        checked_sums(&mut self.connection, run).await.map_err(|failure| failure.told(fail))
    }
}

impl Reader {
    /// All runs, oldest first.
    pub async fn runs(&self) -> Result<Vec<Run>, QueueError> {
        match self.contents {
            Contents::Nothing => return Ok(Vec::new()),
            Contents::Tables => {}
        }
        // Not by an index, and not without a look at another table: a run that is not found would be done again.
        let runs: Vec<Run> = sqlx::query_as(select_run!("NOT INDEXED WHERE state <> 'loading' ORDER BY id"))
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail())?;
        let counted: Vec<RunId> = sqlx::query_scalar("SELECT DISTINCT run FROM tally ORDER BY run")
            .fetch_all(&self.pool)
            .await
            .map_err(self.fail())?;
        let runs = runs.into_iter().map(Run::checked).collect::<Result<Vec<_>, _>>()?;
        if runs.iter().map(|run| run.id).eq(counted.iter().copied()) {
            return Ok(runs);
        }
        let found: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        Err(QueueError::Damaged(format!("table run has the runs {found:?}, table tally {counted:?}")))
    }

    /// The runs of a job that send to this target, oldest first.
    pub async fn runs_of(&self, job: &str, target: &str) -> Result<Vec<Run>, QueueError> {
        let runs = self.runs().await?.into_iter();
        Ok(runs.filter(|run| run.job == job && run.target == target).collect())
    }

    /// Rows by outcome.
    pub async fn tally(&self, run: &Run) -> Result<Tally, QueueError> {
        let mut connection = self.pool.acquire().await.map_err(self.fail())?;
        let tally = kept_tally(&mut connection, run.id).await.map_err(self.fail())?;
        let (rows, counted) = (run.row_count.cast_unsigned(), tally.total());
        if rows == counted {
            return Ok(tally);
        }
        Err(QueueError::Sums { run: run.uuid.clone(), what: format!("{rows} rows were read, the tally has {counted}") })
    }

    /// Requests of a run that are not settled, and all of them.
    pub async fn request_counts(&self, run: RunId) -> Result<(i64, i64), QueueError> {
        let counts: (i64, i64) =
            sqlx::query_as("SELECT count(*) FILTER (WHERE state <> 'settled'), count(*) FROM request WHERE run = ?")
                .bind(run)
                .fetch_one(&self.pool)
                .await
                .map_err(self.fail())?;
        Ok(counts)
    }

    /// The largest number of a run's requests as loaded; later ones are parts of them.
    pub async fn last_request(&self, run: RunId) -> Result<RequestId, QueueError> {
        let last: Option<RequestId> =
            sqlx::query_scalar(LAST_PENDING).bind(run).fetch_one(&self.pool).await.map_err(self.fail())?;
        Ok(last.unwrap_or(RequestId::BEFORE_FIRST))
    }
}

/// Notes why a session ends before its run does.
pub(super) async fn note_end(
    connection: &mut SqliteConnection,
    run: RunId,
    by: EndedBy,
    why: &str,
) -> Result<(), Failure> {
    let note = sqlx::query("UPDATE run SET ended_by = ?2, stopped = ?3 WHERE id = ?1 AND state = 'running'");
    change_run(connection, run, note.bind(run).bind(by.name()).bind(why)).await
}

/// Changes one run that is as it was written, and writes its checksum anew.
pub(super) async fn change_run(
    connection: &mut SqliteConnection,
    run: RunId,
    change: Change<'_>,
) -> Result<(), Failure> {
    read_run(connection, run).await?;
    expect("runs changed", 1, change.execute(&mut *connection).await?.rows_affected())?;
    Ok(write_run_checksum(connection, run).await?)
}

/// Writes the checksum of a run that was changed.
pub(super) async fn write_run_checksum(connection: &mut SqliteConnection, run: RunId) -> Result<(), sqlx::Error> {
    let changed: Run = sqlx::query_as(select_run!("WHERE id = ?")).bind(run).fetch_one(&mut *connection).await?;
    let sealed = sqlx::query("UPDATE run SET checksum = ? WHERE id = ?").bind(changed.sum()).bind(run);
    sealed.execute(connection).await.map(drop)
}

async fn read_run(connection: &mut SqliteConnection, run: RunId) -> Result<Run, Failure> {
    let found: Option<Run> = sqlx::query_as(select_run!("WHERE id = ?")).bind(run).fetch_optional(connection).await?;
    let lost = || QueueError::Unexpected(format!("there is no run {run}"));
    Ok(found.ok_or_else(lost)?.checked()?)
}

pub(super) async fn kept_tally(connection: &mut SqliteConnection, run: RunId) -> Result<Tally, sqlx::Error> {
    let rows = sqlx::query_as("SELECT outcome, rows FROM tally WHERE run = ?").bind(run).fetch_all(connection).await?;
    Ok(tally_of(rows))
}

/// Recounts a run.
pub(super) async fn checked_sums(connection: &mut SqliteConnection, run: &Run) -> Result<Tally, Failure> {
    let kept = kept_tally(connection, run.id).await?;
    let counted = counted_tally(connection, run.id).await?;
    let rows = run.row_count.cast_unsigned();
    if kept == counted && counted.total() == rows {
        return Ok(counted);
    }
    let what = format!("{rows} rows were read, the tally says {kept:?}, the tables say {counted:?}");
    Err(QueueError::Sums { run: run.uuid.clone(), what }.into())
}

async fn counted_tally(connection: &mut SqliteConnection, run: RunId) -> Result<Tally, sqlx::Error> {
    let rows = sqlx::query_as(
        "WITH settled (rows) AS (SELECT coalesce(sum(row_count), 0) FROM request NOT INDEXED
                                   WHERE run = ?1 AND state = 'settled')
         SELECT 'pending', coalesce(sum(row_count), 0) FROM request NOT INDEXED
             WHERE run = ?1 AND state IN ('pending', 'sending')
         UNION ALL SELECT outcome, count(*) FROM outcome WHERE run = ?1 GROUP BY outcome
         UNION ALL SELECT outcome, count(*) FROM skipped WHERE run = ?1 GROUP BY outcome
         UNION ALL SELECT 'succeeded', max(0, (SELECT rows FROM settled) - (SELECT count(*) FROM outcome WHERE run = ?1))",
    );
    Ok(tally_of(rows.bind(run).fetch_all(connection).await?))
}

fn tally_of(rows: Vec<(String, i64)>) -> Tally {
    let known =
        rows.into_iter().filter_map(|(name, rows)| Some((name.parse::<Outcome>().ok()?, u64::try_from(rows).ok()?)));
    known.collect()
}

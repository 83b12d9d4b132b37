//! Rows of table `run`: reading one with its checksum, and changing one.

use serde::de::DeserializeOwned;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{FromRow, Sqlite, SqliteConnection};

use crate::domain::hint::Message;
use crate::domain::ids::RunId;
use crate::domain::operation::{self, BoundOperation};
use crate::domain::run_choice::EndedBy;
use crate::queue::error::QueueError;
use crate::queue::run_state::{Forgotten, Run, RunState};
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::{Failure, expect};

/// A SELECT of [`RunRow`]. It names the columns: the driver panics if a damaged schema returns a name that is not text.
macro_rules! select_run {
    ($rest:literal) => {
        concat!(
            "SELECT id, uuid, job, target, operation, options, definition_digest, input_digest, file_stamps,
                    protected_digest, files, fields, largest_accounts, state, end_reason, end_hint, settings_digest,
                    ended_by, heartbeat, row_count, item_count, created_at, started_at, finished_at,
                    ended_at, forgotten_at, results_digest, carried, call_settings, checksum
             FROM run ",
            $rest
        )
    };
}
pub(in crate::queue) use select_run;

/// A statement with its values.
pub(in crate::queue) type Statement<'a> = Query<'a, Sqlite, SqliteArguments>;

/// The columns of a run.
#[derive(FromRow)]
pub(in crate::queue) struct RunRow {
    id: RunId,
    uuid: String,
    job: String,
    target: String,
    operation: String,
    options: String,
    definition_digest: String,
    input_digest: String,
    file_stamps: String,
    protected_digest: String,
    files: String,
    fields: String,
    largest_accounts: String,
    state: RunState,
    end_reason: Option<String>,
    end_hint: Option<String>,
    settings_digest: Option<String>,
    ended_by: Option<String>,
    heartbeat: Option<String>,
    row_count: i64,
    item_count: i64,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    ended_at: Option<i64>,
    forgotten_at: Option<i64>,
    results_digest: Option<String>,
    carried: Option<String>,
    call_settings: Option<String>,
    checksum: i64,
}

impl RunRow {
    fn checksum(&self) -> i64 {
        let texts = [
            self.uuid.as_str(),
            &self.job,
            &self.target,
            &self.operation,
            &self.options,
            &self.definition_digest,
            &self.input_digest,
            &self.file_stamps,
            &self.protected_digest,
            &self.files,
            &self.fields,
            &self.largest_accounts,
            self.state.name(),
        ];
        let optional_texts = [&self.end_reason, &self.end_hint, &self.settings_digest, &self.ended_by];
        let numbers = [self.row_count, self.item_count, self.created_at];
        checksum::run(
            self.id,
            texts,
            optional_texts.map(Option::as_deref),
            numbers,
            [self.started_at, self.finished_at],
            (
                self.forgotten_at.zip(self.results_digest.as_deref()),
                [&self.carried, &self.call_settings].map(Option::as_deref),
            ),
        )
    }

    /// The run, if it is as it was written.
    pub(in crate::queue) fn into_run(self) -> Result<Run, QueueError> {
        if self.checksum != self.checksum() {
            let text = format!("run {} ({}) has a wrong checksum in table run", self.id, self.uuid);
            return Err(QueueError::Damaged(text));
        }
        self.into_unchecked()
    }

    /// The run as it is stored, whatever its checksum.
    pub(in crate::queue) fn into_unchecked(self) -> Result<Run, QueueError> {
        let name = format!("run {} ({})", self.id, self.uuid);
        let unreadable = |column| {
            QueueError::Damaged(format!("{name} has a value in column {column} of table run that cannot be read"))
        };
        Ok(Run {
            operation: self.bound_operation()?,
            files: json(&self.files).ok_or_else(|| unreadable("files"))?,
            fields: json(&self.fields).ok_or_else(|| unreadable("fields"))?,
            largest_accounts: json(&self.largest_accounts).ok_or_else(|| unreadable("largest_accounts"))?,
            state: self.state,
            ended_by: (self.ended_by.as_deref().map(|name| name.parse().map_err(|()| unreadable("ended_by"))))
                .transpose()?,
            carried: optional_json(self.carried.as_deref()).ok_or_else(|| unreadable("carried"))?,
            call_settings: optional_json(self.call_settings.as_deref()).ok_or_else(|| unreadable("call_settings"))?,
            // It has no checksum, and only informs people.
            heartbeat: self.heartbeat.as_deref().and_then(json),
            id: self.id,
            uuid: self.uuid,
            job: self.job,
            target: self.target.parse().map_err(|_| unreadable("target"))?,
            definition_digest: self.definition_digest,
            input_digest: self.input_digest,
            file_stamps: Some(self.file_stamps).filter(|stamps| !stamps.is_empty()),
            protected_digest: self.protected_digest,
            end_reason: self.end_reason.map(|text| Message { text, hint: self.end_hint }),
            settings_digest: self.settings_digest,
            row_count: self.row_count,
            item_count: self.item_count,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            ended_at: self.ended_at,
            forgotten: self.forgotten_at.zip(self.results_digest).map(|(at, results)| Forgotten { at, results }),
        })
    }
}

impl RunRow {
    /// The operation with its options.
    fn bound_operation(&self) -> Result<BoundOperation, QueueError> {
        let unknown = |what| QueueError::UnknownOperation { run: self.uuid.clone(), what };
        let operation = operation::by_name(&self.operation).ok_or_else(|| unknown(self.operation.clone()))?;
        let options = json(&self.options).ok_or_else(|| unknown(format!("the options {}", self.options)))?;
        operation.bind(&options).map_err(|error| unknown(error.to_string()))
    }
}

/// The value of a column; none if it cannot be read.
fn json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

/// The value of a column that may be NULL; none if it cannot be read.
#[expect(clippy::option_option, reason = "NULL is a value")]
fn optional_json<T: DeserializeOwned>(text: Option<&str>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| json(text).map(Some))
}

/// Reads a run.
pub(in crate::queue) async fn read_run(connection: &mut SqliteConnection, run: RunId) -> Result<Run, Failure> {
    let select = sqlx::query_as(select_run!("WHERE id = ?")).bind(run);
    let found: Option<RunRow> = select.fetch_optional(connection).await?;
    let missing = || QueueError::Unexpected(format!("there is no run {run}"));
    Ok(found.ok_or_else(missing)?.into_run()?)
}

/// Changes a run that is as it was written, and updates its checksum.
pub(in crate::queue) async fn change_run(
    connection: &mut SqliteConnection,
    run: RunId,
    change: Statement<'_>,
) -> Result<(), Failure> {
    read_run(connection, run).await?;
    expect("runs changed", 1, change.execute(&mut *connection).await?.rows_affected())?;
    Ok(update_checksum(connection, run).await?)
}

/// Updates the checksum of a run that was changed.
pub(in crate::queue) async fn update_checksum(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<(), sqlx::Error> {
    let select = sqlx::query_as(select_run!("WHERE id = ?")).bind(run);
    let changed: RunRow = select.fetch_one(&mut *connection).await?;
    let update = sqlx::query("UPDATE run SET checksum = ? WHERE id = ?").bind(changed.checksum()).bind(run);
    update.execute(connection).await.map(drop)
}

/// Stores why a session ends before its run does, and when.
pub(in crate::queue) async fn store_end(
    connection: &mut SqliteConnection,
    run: RunId,
    by: EndedBy,
    why: &Message,
    at: Option<i64>,
) -> Result<(), Failure> {
    let store = sqlx::query(
        "UPDATE run SET ended_by = ?2, end_reason = ?3, end_hint = ?4, ended_at = ?5
         WHERE id = ?1 AND state = 'running'",
    );
    change_run(connection, run, store.bind(run).bind(by.name()).bind(&why.text).bind(&why.hint).bind(at)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    type ChangeRow = fn(&mut RunRow);
    type SetColumn = fn(&mut RunRow, String);

    /// A row with a right checksum, as a session has left it.
    fn row(change: impl FnOnce(&mut RunRow)) -> RunRow {
        let text = str::to_owned;
        let mut row = RunRow {
            id: RunId::new(1),
            uuid: text("0190e8b0"),
            job: text("job"),
            target: text("sandbox"),
            operation: text("account_delete"),
            options: text("{}"),
            definition_digest: String::new(),
            input_digest: String::new(),
            file_stamps: String::new(),
            protected_digest: String::new(),
            files: text("[]"),
            fields: text("[]"),
            largest_accounts: text("[]"),
            state: RunState::Running,
            end_reason: None,
            end_hint: None,
            settings_digest: None,
            ended_by: Some(text("guard")),
            heartbeat: None,
            row_count: 1,
            item_count: 1,
            created_at: 0,
            started_at: None,
            finished_at: None,
            ended_at: None,
            forgotten_at: None,
            results_digest: None,
            carried: None,
            call_settings: None,
            checksum: 0,
        };
        change(&mut row);
        row.checksum = row.checksum();
        row
    }

    #[test]
    fn an_operation_that_this_version_does_not_know_is_named() {
        let text = str::to_owned;
        let known =
            row(|row| (row.operation, row.options) = (text("friend_delete"), text("{\"delete_type\":\"both\"}")));
        assert_eq!(known.into_run().unwrap().operation.name, "friend_delete");
        let cases: [(ChangeRow, &str); 3] = [
            (|row| row.operation = "group_destroy".to_owned(), "group_destroy"),
            (|row| row.options = "[]".to_owned(), "the options []"),
            (|row| row.options = "{\"delete_type\":\"both\"}".to_owned(), "delete_type"),
        ];
        for (change, what) in cases {
            let error = row(change).into_run().unwrap_err().to_string();
            assert!(error.contains("run 0190e8b0 has an operation") && error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_is_damage_and_never_nothing() {
        let text = || "of a newer version".to_owned();
        let columns: [(&str, SetColumn); 7] = [
            ("target", |row, text| row.target = text),
            ("files", |row, text| row.files = text),
            ("fields", |row, text| row.fields = text),
            ("largest_accounts", |row, text| row.largest_accounts = text),
            ("ended_by", |row, text| row.ended_by = Some(text)),
            ("carried", |row, text| row.carried = Some(text)),
            ("call_settings", |row, text| row.call_settings = Some(text)),
        ];
        for (column, set) in columns {
            let error = row(|row| set(row, text())).into_run().unwrap_err().to_string();
            assert!(error.contains(&format!("in column {column} of table run")), "{error}");
        }
        assert_eq!(row(|_| {}).into_run().unwrap().ended_by(), EndedBy::Guard);
        assert_eq!(row(|row| row.heartbeat = Some(text())).into_run().unwrap().heartbeat, None);
    }
}

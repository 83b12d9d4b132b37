//! Lines of rows that are not sent.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};

use super::RunId;
use super::crc::Crc;
use super::sql::{LINES, insert};
use crate::domain::packed::{Aside, Cause};
use crate::domain::row::RowNo;

const COLUMNS: &str = "aside (run, row, outcome, duplicate_of, column_name, reason, from_account, account, tags, crc)";

/// Writes them, [`LINES`] a statement.
pub(super) async fn insert_asides(
    connection: &mut SqliteConnection,
    run: RunId,
    mut asides: Vec<Aside>,
) -> Result<(), sqlx::Error> {
    while !asides.is_empty() {
        let later = asides.split_off(asides.len().min(LINES));
        bind_asides(run, asides).execute(&mut *connection).await?;
        asides = later;
    }
    Ok(())
}

/// The statement that writes them: no more than [`LINES`].
pub(super) fn bind_asides(run: RunId, asides: Vec<Aside>) -> Query<'static, Sqlite, SqliteArguments> {
    let mut query = sqlx::query(insert(COLUMNS, 10, asides.len()));
    for aside in asides {
        let outcome = aside.cause.outcome().name();
        let (duplicate_of, column, reason) = match aside.cause {
            Cause::Rejected { column, reason } => (None, column, Some(reason)),
            Cause::Duplicate { of } => (Some(of), None, None),
            Cause::Protected { id } => (None, None, Some(format!("`{id}` is on the protected list"))),
        };
        let tags = (!aside.tags.is_empty()).then(|| serde_json::to_string(&aside.tags).unwrap_or_default());
        let texts = [&column, &reason, &aside.from, &aside.account, &tags].map(Option::as_deref);
        let crc = crc(run, aside.row, outcome, duplicate_of, texts);
        let duplicate_of = duplicate_of.map(RowNo::cast_signed);
        query = query.bind(run).bind(aside.row.cast_signed()).bind(outcome).bind(duplicate_of);
        query = query.bind(column).bind(reason).bind(aside.from).bind(aside.account).bind(tags).bind(crc);
    }
    query
}

/// The checksum of a line. `texts`: column_name, reason, from_account, account, tags.
pub(super) fn crc(run: RunId, row: RowNo, outcome: &str, duplicate_of: Option<RowNo>, texts: [Option<&str>; 5]) -> i64 {
    let head = Crc::new().number(run).row(row).text(outcome).number_if_any(duplicate_of.map(RowNo::cast_signed));
    texts.into_iter().fold(head, Crc::text_if_any).sum()
}

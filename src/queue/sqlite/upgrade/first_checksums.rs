//! Calculates checksums of rows that had none.

use sqlx::{FromRow, SqliteConnection};

use crate::domain::ids::RunId;
use crate::domain::request::line_span::LineSpan;
use crate::queue::sqlite::checksum;

/// Rows that are read at once.
const ROWS_PER_READ: i64 = 1024;

#[derive(FromRow)]
struct Skipped {
    run: RunId,
    row: i64,
    outcome: String,
    duplicate_of: Option<i64>,
    column_name: Option<String>,
    reason: Option<String>,
    from_account: Option<String>,
    account: Option<String>,
    fields: Option<String>,
}

/// Calculates the checksums of line spans, outcomes and skipped rows.
pub(super) async fn write(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    write_line_spans(connection).await?;
    write_outcomes(connection).await?;
    write_skipped(connection).await
}

async fn write_line_spans(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let select = "SELECT run, first_row, source, first_line, step FROM line_span";
    let spans: Vec<(RunId, i64, u32, i64, i64)> = sqlx::query_as(select).fetch_all(&mut *connection).await?;
    for (run, first_row, source, first_line, step) in spans {
        let span = LineSpan {
            first_row: first_row.cast_unsigned(),
            source,
            first_line: first_line.cast_unsigned(),
            step: step.cast_unsigned(),
        };
        let update = sqlx::query("UPDATE line_span SET checksum = ? WHERE run = ? AND first_row = ?");
        let update = update.bind(checksum::line_span(run, &span)).bind(run).bind(first_row);
        update.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn write_outcomes(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut after = (RunId::new(0), -1);
    loop {
        let page: Vec<(RunId, i64, String, Option<i64>, String)> = sqlx::query_as(
            "SELECT run, row, outcome, code, reason FROM outcome WHERE (run, row) > (?, ?) ORDER BY run, row LIMIT ?",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(ROWS_PER_READ)
        .fetch_all(&mut *connection)
        .await?;
        let Some((run, row, ..)) = page.last() else { return Ok(()) };
        after = (*run, *row);
        for (run, row, outcome, code, reason) in page {
            let update = sqlx::query("UPDATE outcome SET checksum = ? WHERE run = ? AND row = ?");
            let update = update.bind(checksum::outcome(run, row.cast_unsigned(), &outcome, code, &reason));
            update.bind(run).bind(row).execute(&mut *connection).await?;
        }
    }
}

async fn write_skipped(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut after = (RunId::new(0), -1);
    loop {
        let page: Vec<Skipped> = sqlx::query_as(
            "SELECT run, row, outcome, duplicate_of, column_name, reason, from_account, account, fields
             FROM skipped WHERE (run, row) > (?, ?) ORDER BY run, row LIMIT ?",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(ROWS_PER_READ)
        .fetch_all(&mut *connection)
        .await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = (last.run, last.row);
        for row in page {
            let texts = [&row.column_name, &row.reason, &row.from_account, &row.account, &row.fields];
            let duplicate_of = row.duplicate_of.map(i64::cast_unsigned);
            let number = row.row.cast_unsigned();
            let checksum = checksum::skipped(row.run, number, &row.outcome, duplicate_of, texts.map(Option::as_deref));
            let update = sqlx::query("UPDATE skipped SET checksum = ? WHERE run = ? AND row = ?");
            update.bind(checksum).bind(row.run).bind(row.row).execute(&mut *connection).await?;
        }
    }
}

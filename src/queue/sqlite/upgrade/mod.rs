//! Upgrades a queue of an earlier version of imbulk, whose first migration was another one.
//!
//! One transaction renames the earlier tables, creates the current ones, copies every row, and removes the earlier
//! tables. Every checksum that cannot be copied is compared before a new one is calculated, so that damage stays
//! visible.

mod first_checksums;
mod layout;
mod rows;

use std::path::Path;

use layout::EarlierLayout;
use sqlx::sqlite::SqlitePool;
use sqlx::{Connection, SqliteConnection};

use super::connection::MIGRATIONS;
use super::error::{Failure, migration_error, open_error, read_only_open_error};
use crate::fail_point::{FailPoint, guarded};
use crate::queue::error::QueueError;

const IGNORE_FOREIGN_KEYS: &str = "PRAGMA foreign_keys = OFF";
const CHECK_FOREIGN_KEYS: &str = "PRAGMA foreign_keys = ON";
const RENAME_TABLES: &str = include_str!("rename_tables.sql");
const ADD_CHECKSUMS: &str = include_str!("add_checksums.sql");
const ADD_COLUMNS: &str = include_str!("add_columns.sql");
const COPY_ROWS: &str = include_str!("copy_rows.sql");
const DROP_TABLES: &str = include_str!("drop_tables.sql");

/// How the tables of a file relate to those of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Versions {
    /// They are the same.
    Current,
    /// An earlier version created them, and this one can upgrade them.
    Earlier,
    /// They are of a later version, or of none that is known.
    Unknown,
}

impl Versions {
    /// Compares the migrations that were applied, each with its version and checksum.
    pub(in crate::queue) fn of(applied: &[(i64, Vec<u8>)]) -> Self {
        let known: Vec<(i64, Vec<u8>)> =
            MIGRATIONS.iter().map(|migration| (migration.version, migration.checksum.to_vec())).collect();
        match applied {
            all if all == known => Self::Current,
            [(_, first)] if EarlierLayout::of(first).is_some() => Self::Earlier,
            fewer if !fewer.is_empty() && known.starts_with(fewer) => Self::Earlier,
            _others => Self::Unknown,
        }
    }
}

/// A reader creates no tables, so it compares the versions that the file names with those of this program. Without
/// this, the first column that another version does not have would be reported as damage.
pub(in crate::queue) async fn versions(pool: &SqlitePool, path: &Path) -> Result<Versions, QueueError> {
    let fail = read_only_open_error(path);
    let has_versions = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')";
    if !sqlx::query_scalar(has_versions).fetch_one(pool).await.map_err(&fail)? {
        // The list was lost, and the tables with it: the first read of a table reports the damage.
        return Ok(Versions::Current);
    }
    let applied = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version");
    let applied: Vec<(i64, Vec<u8>)> = applied.fetch_all(pool).await.map_err(&fail)?;
    Ok(Versions::of(&applied))
}

/// Converts the tables of an earlier layout into the current ones. Any other queue is left unchanged.
pub(in crate::queue) async fn upgrade(connection: &mut SqliteConnection, path: &Path) -> Result<(), QueueError> {
    let fail = open_error(path);
    let has_versions = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')";
    if !sqlx::query_scalar(has_versions).fetch_one(&mut *connection).await.map_err(&fail)? {
        return Ok(());
    }
    let first = sqlx::query_scalar("SELECT checksum FROM _sqlx_migrations WHERE version = 1");
    let first: Option<Vec<u8>> = first.fetch_optional(&mut *connection).await.map_err(&fail)?;
    let Some(layout) = first.as_deref().and_then(EarlierLayout::of) else { return Ok(()) };
    // Both have no effect within a transaction.
    sqlx::query(IGNORE_FOREIGN_KEYS).execute(&mut *connection).await.map_err(&fail)?;
    convert(connection, layout, path).await.map_err(|failure| failure.into_error(&fail))?;
    sqlx::query(CHECK_FOREIGN_KEYS).execute(connection).await.map_err(fail)?;
    tracing::warn!(queue = %path.display(), layout = layout.name, "the queue of an earlier version was upgraded");
    Ok(())
}

async fn convert(connection: &mut SqliteConnection, layout: &EarlierLayout, path: &Path) -> Result<(), Failure> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(RENAME_TABLES).execute(&mut *transaction).await?;
    if !layout.has_checksums {
        sqlx::raw_sql(ADD_CHECKSUMS).execute(&mut *transaction).await?;
    }
    if !layout.is_complete {
        sqlx::raw_sql(ADD_COLUMNS).execute(&mut *transaction).await?;
    }
    let migrated = MIGRATIONS.run_direct(None, &mut *transaction, false).await;
    migrated.map_err(|error| migration_error(path, error))?;
    sqlx::raw_sql(COPY_ROWS).execute(&mut *transaction).await?;
    rows::convert_runs(&mut transaction, layout).await?;
    if !layout.is_complete {
        rows::convert_sources(&mut transaction, layout).await?;
        rows::convert_payloads(&mut transaction, layout).await?;
    }
    if !layout.has_checksums {
        first_checksums::write(&mut transaction).await?;
    }
    sqlx::raw_sql(DROP_TABLES).execute(&mut *transaction).await?;
    Ok(guarded(FailPoint::Upgrade, transaction.commit()).await?)
}

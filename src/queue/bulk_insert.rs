//! The one place where SQL is put together, out of constants, numbers and question marks.

use sqlx::AssertSqlSafe;

/// Lines of one INSERT: each statement costs a hand-over to SQLite's thread. A whole load of 2 M friend rows took 0.93 of the
/// time with 1024 that it took with 256 (docs/decisions/0001); more gain nothing.
pub(super) const LINES: usize = 1024;

/// An INSERT of so many lines. `table` names its columns, too: `"request (id, run)"`.
pub(super) fn insert(table: &'static str, columns: usize, lines: usize) -> AssertSqlSafe<String> {
    let line = format!("({})", vec!["?"; columns].join(","));
    AssertSqlSafe(format!("INSERT INTO {table} VALUES {}", vec![line; lines].join(",")))
}

/// Marks a file as a queue, and as this one: a number by chance tells it from another that is written over it.
pub(super) fn mark(number: i32) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("PRAGMA application_id = 0x696D626B; PRAGMA user_version = {number}"))
}

/// How SQLite would go about a query.
#[cfg(test)]
pub(super) fn explained(query: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"))
}

//! Composes the SQL that depends on a number or a path, from constants, numbers, question marks and quoted paths.

use std::path::Path;

use sqlx::AssertSqlSafe;

/// Table rows of one INSERT. Each statement costs a switch to SQLite's thread: a load of 2 million friend rows took 7 %
/// less time with 1024 than with 256 (docs/decisions/0001). More gain nothing.
pub(in crate::queue) const MAX_ROWS: usize = 1024;

/// The value of a column in each row of an INSERT. Values that all rows share are not bound, since each bound value is
/// copied three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum Value {
    Bound,
    Number(i64),
    Null,
}

/// An INSERT of this number of table rows. `table` includes its columns: `"request (id, run)"`.
pub(in crate::queue) fn insert(table: &'static str, columns: &[Value], rows: usize) -> AssertSqlSafe<String> {
    let value = |column: &Value| match column {
        Value::Bound => "?".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null => "NULL".to_owned(),
    };
    let row = format!(",({})", columns.iter().map(value).collect::<Vec<_>>().join(","));
    AssertSqlSafe(format!("INSERT INTO {table} VALUES {}", &row.repeat(rows)[1..]))
}

/// Marks a file as a queue, in one transaction, with a random number that distinguishes it from a file written over it.
pub(in crate::queue) fn mark(number: i32) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("BEGIN; PRAGMA application_id = 0x696D626B; PRAGMA user_version = {number}; COMMIT"))
}

/// Lets SQLite create its temporary files in this folder, as other temporary files of imbulk.
pub(in crate::queue) fn temporary_folder(folder: &Path) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("PRAGMA temp_store_directory = '{}'", folder.to_string_lossy().replace('\'', "''")))
}

/// The query that returns SQLite's plan for another query.
#[cfg(test)]
pub(in crate::queue) fn explained(query: &'static str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"))
}

//! Lines that database clients, loggers and scripts write next to rows.

use super::is_digits;

/// What database clients, loggers and scripts write next to rows.
pub(super) fn is_log_output(id: &str) -> bool {
    const STARTS: [&str; 22] = [
        "Query OK",
        "Empty set",
        "Rows matched",
        "no rows selected",
        "Traceback ",
        "mysql: ",
        "mysql>",
        "MariaDB [",
        "sqlite>",
        "SQL>",
        "hive>",
        "postgres=#",
        "postgres=>",
        "SELECT ",
        "INSERT ",
        "COPY ",
        "CREATE TABLE",
        "DROP TABLE",
        "LOCK TABLES",
        "UNLOCK TABLES",
        "SET NAMES",
        "Connection to ",
    ];
    const COMMANDS: [&str; 2] = ["UPDATE ", "DELETE "];
    const COMMENTS: [&str; 4] = ["-- ", "# ", "// ", "/*"];
    if is_end(id) {
        return true;
    }
    // All others have a blank, or a sign that few ids have.
    id.contains([' ', '>', ':', ']', '=', '*'])
        && (STARTS.iter().chain(&COMMENTS).any(|start| id.starts_with(start))
            || COMMANDS.iter().any(|command| id.strip_prefix(command).is_some_and(is_digits))
            || is_leveled(id)
            || is_count(id))
}

/// `INFO start`, `[WARN] x`, `error: y`: a level, and something behind it.
fn is_leveled(id: &str) -> bool {
    const LEVELS: [&str; 9] = ["trace", "debug", "info", "notice", "warn", "warning", "error", "fatal", "critical"];
    let inner = id.strip_prefix('[').unwrap_or(id);
    let (level, rest) = inner.split_at(inner.find([' ', ':', ']']).unwrap_or(inner.len()));
    let is_upper = level.bytes().all(|byte| byte.is_ascii_uppercase());
    LEVELS.iter().any(|known| level.eq_ignore_ascii_case(known))
        && (rest.starts_with(": ") || rest.starts_with("] ") || is_upper && rest.starts_with([' ', ':', ']']))
}

/// `Done.`, `Export complete!`, `end of file`, `EOF`
pub(super) fn is_end(id: &str) -> bool {
    const WORDS: [&str; 6] = ["done", "finished", "complete", "completed", "success", "successfully"];
    const THINGS: [&str; 9] = ["file", "data", "export", "report", "list", "output", "results", "rows", "records"];
    if !id.ends_with(['.', '!']) && !id.contains(' ') {
        return id == "EOF";
    }
    let last = id.rsplit(' ').next().unwrap_or(id);
    let word = last.trim_end_matches(['.', '!']);
    let is_one_of = |words: &[&str], word: &str| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    let end = id.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let of = end.get(..7).filter(|of| of.eq_ignore_ascii_case("end of "));
    word.len() < last.len() && is_one_of(&WORDS, word) || of.is_some() && is_one_of(&THINGS, &end[7..])
}

/// `(2 rows affected)`, `Exported 3 rows`, `Rows: 3`, `Time: 12.3 ms`: a number of rows or of seconds.
fn is_count(id: &str) -> bool {
    const NOUNS: [&str; 11] =
        ["row", "rows", "record", "records", "line", "lines", "entries", "items", "users", "accounts", "results"];
    const EAST_ASIAN_NOUNS: [char; 4] = ['行', '条', '件', '행'];
    const UNITS: [&str; 7] = ["ms", "sec", "secs", "second", "seconds", "minutes", "bytes"];
    const LABELS: [&str; 15] = [
        "rows",
        "records",
        "lines",
        "total",
        "count",
        "time",
        "elapsed",
        "duration",
        "affected",
        "exported",
        "selected",
        "inserted",
        "returned",
        "processed",
        "deleted",
    ];
    let id = id.to_ascii_lowercase().replace("(s)", "s");
    let bare = |word: &str| word.trim_matches(|c: char| c.is_ascii_punctuation()).to_owned();
    let words: Vec<(&str, String)> = id.split(' ').map(|word| (word, bare(word))).collect();
    let is_number = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(|c| c.is_ascii_digit() || ".,".contains(c))
    };
    words.windows(2).any(|pair| {
        let [(written, word), (_, next)] = pair else { return false };
        let is_noun = NOUNS.contains(&&**next) || next.starts_with(EAST_ASIAN_NOUNS) || UNITS.contains(&&**next);
        let is_label = written.ends_with([':', '=']) && LABELS.contains(&&**word);
        is_number(word) && is_noun || is_label && next.starts_with(|c: char| c.is_ascii_digit())
    })
}

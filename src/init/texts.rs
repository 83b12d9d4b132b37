//! The texts of the files that `imbulk init` writes.

use std::collections::BTreeMap;

use super::columns::ColumnGuess;
use super::input_facts::InputFacts;
use crate::domain::job::{Delimiter, Encoding};
use crate::domain::operation::{Operation, ProtectedList};
use crate::settings::{JOB_KEYS, JobKey};

/// The file with the JSON schema, next to the job.
pub const SCHEMA_FILE: &str = "imbulk-job.schema.json";

/// A protected list to begin with.
pub const PROTECTED_LIST: &str = "\
# Ids that are never sent, one per line; `*` matches any characters. Lines that begin with # are ignored.
# The admins are protected in any case; this one is here as an example. Others could be:
# support
# official_*

administrator
";

/// The environment of a job, to be copied and filled in.
pub const ENV_EXAMPLE: &str = "\
# Credentials of imbulk. Copy this file, fill it in, and load it before you run imbulk:
#   cp imbulk.env.example imbulk.env && chmod 600 imbulk.env
#   set -a; . ./imbulk.env; set +a
# Exactly one of the first three is needed. Keep the copy out of version control.

# the secret key of the app, from the console
IMBULK_SECRET_KEY=
# or a file with that key (mode 0600)
# IMBULK_SECRET_KEY_FILE=/etc/imbulk/key
# or a UserSig in place of the key; it cannot be renewed
# IMBULK_USERSIG=
# of several apps, each has its own: append _ and the SDKAppID to the name
# IMBULK_SECRET_KEY_1400000001=

# override [app] of the job file
# IMBULK_SDKAPPID=1400000001
# IMBULK_IDENTIFIER=administrator

# the queue file
# IMBULK_QUEUE=imbulk.db
";

/// Rows from which on a share of one percent says something.
const MANY_ROWS: u64 = 1000;

/// Values of keys that are known, as TOML, by section and name.
pub type KnownValues = BTreeMap<(&'static str, &'static str), String>;

/// The first lines of a job file of `imbulk init`.
pub const INIT_HEADING: &[&str] =
    &["Written by `imbulk init`. Lines that begin with # are optional; where the comment says default, the line \
       shows it."];

/// A job that is written for the first time.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its operation.
    pub operation: &'static Operation,
    /// Its input, if a file was named.
    pub input: Option<&'a InputFacts>,
    /// The first lines, without the signs of comments.
    pub heading: &'a [&'a str],
    /// Values in place of examples and defaults.
    pub known: &'a KnownValues,
}

/// How a key is written.
enum KeySetting {
    /// In use.
    Used(String),
    /// As a comment.
    Unused(String),
    /// Not at all.
    LeftOut,
}

/// The text of the job file. It has every key, either in use or as a comment.
pub fn job_text(job: &NewJob<'_>) -> String {
    let mut text = format!("#:schema ./{SCHEMA_FILE}\n");
    job.heading.iter().for_each(|line| text.push_str(&format!("# {line}\n")));
    text.push('\n');
    let mut section = "";
    for key in JOB_KEYS {
        if key.section != section {
            if section == "input" {
                text.push_str(&columns_text(job));
                text.push_str(&options_text(job.operation));
            }
            section = key.section;
            text.push_str(&format!("\n[{section}]\n"));
        }
        let comment = comment(job, key);
        match setting(job, key) {
            KeySetting::Used(value) => push_line(&mut text, &format!("{} = {value}", key.name), &comment),
            KeySetting::Unused(value) => push_line(&mut text, &format!("# {} = {value}", key.name), &comment),
            KeySetting::LeftOut => {}
        }
    }
    text
}

fn push_line(text: &mut String, code: &str, comment: &str) {
    text.push_str(format!("{code:<36} # {comment}").trim_end_matches("# ").trim_end());
    text.push('\n');
}

fn setting(job: &NewJob<'_>, key: &JobKey) -> KeySetting {
    let guards = job.input.filter(|input| input.items > 0).map(Guards::of);
    let used = |value: &dyn std::fmt::Display| KeySetting::Used(value.to_string());
    if let Some(value) = job.known.get(&(key.section, key.name)) {
        return KeySetting::Used(value.clone());
    }
    match (key.section, key.name) {
        // The known endpoint is used in its place.
        ("app", "region") if job.known.contains_key(&("app", "endpoint")) => KeySetting::Unused(key.example.to_owned()),
        ("", "name") => used(&quoted(job.name)),
        ("", "operation") => used(&quoted(job.operation.name)),
        ("input", "path") => used(&quoted(job.input.map_or("rows.csv", |input| &input.path))),
        ("input", "encoding") if job.input.is_some_and(|input| input.encoding == Encoding::Gbk) => used(&quoted("gbk")),
        ("input", "delimiter") => KeySetting::Unused(quoted(delimiter(job.input.and_then(|input| input.delimiter)))),
        ("input", "columns") => KeySetting::LeftOut,
        ("app", "sdkappid" | "identifier" | "region") => used(&key.example),
        ("limits", "calls_per_second") => KeySetting::Unused(job.operation.calls_per_second.to_string()),
        ("guard", "protected") => {
            let file = quoted(&protected_list(job.name));
            match job.operation.protected_list {
                ProtectedList::Required => KeySetting::Used(file),
                ProtectedList::Optional => KeySetting::Unused(file),
            }
        }
        ("guard", "min_items") => guards.map_or(KeySetting::Used("1".to_owned()), |guards| used(&guards.min_items)),
        ("guard", "max_items") => guards.map_or(KeySetting::Used("1000".to_owned()), |guards| used(&guards.max_items)),
        ("guard", "max_rejected") => match guards.and_then(|guards| guards.max_rejected) {
            Some(share) => KeySetting::Used(share),
            None => KeySetting::Unused(key.example.to_owned()),
        },
        ("stop", "after_items") => match guards.and_then(|guards| guards.after_items) {
            Some(items) => KeySetting::Used(items),
            None => KeySetting::Unused(key.example.to_owned()),
        },
        _ => KeySetting::Unused(key.example.to_owned()),
    }
}

fn comment(job: &NewJob<'_>, key: &JobKey) -> String {
    let rows = job.input.map(|input| format!("{} row{}", grouped(input.rows), if input.rows == 1 { "" } else { "s" }));
    let is_placeholder =
        matches!(setting(job, key), KeySetting::Used(_)) && !job.known.contains_key(&(key.section, key.name));
    let start = match (key.section, key.name, rows) {
        ("app", "sdkappid" | "identifier" | "region", _) if is_placeholder => "replace it with your own; ".to_owned(),
        ("input", "path", Some(rows)) => format!("{rows}; "),
        ("guard", "max_rejected", _) if matches!(setting(job, key), KeySetting::Unused(_)) => {
            return "default, which also allows one rejected row".to_owned();
        }
        _ if key.is_default && matches!(setting(job, key), KeySetting::Unused(_)) => "default; ".to_owned(),
        _ => String::new(),
    };
    start + key.about
}

/// The name of the protected list of a job.
pub fn protected_list(job: &str) -> String {
    format!("{job}.protected.txt")
}

/// The section `[input.columns]`.
fn columns_text(job: &NewJob<'_>) -> String {
    let mut text = "\n[input.columns]                      # the API's name = the file's own name\n".to_owned();
    let Some(input) = job.input else {
        for api in job.operation.shape.all_columns().iter().filter(|api| !api.ends_with('*')) {
            text.push_str(&format!("# {api} = \"your_column\"\n"));
        }
        return text;
    };
    for ColumnGuess { api, names } in &input.columns {
        match names.as_slice() {
            [one] if one == api => {}
            [one] => text.push_str(&format!("{api} = {}\n", quoted(one))),
            several => {
                text.push_str(&format!("# CHOOSE: {} columns can be {api}; remove the # of one line\n", several.len()));
                several.iter().for_each(|name| text.push_str(&format!("# {api} = {}\n", quoted(name))));
            }
        }
    }
    text
}

/// The section `[options]`, if the operation has options. A required option gets its first value, which has the
/// smallest effect.
fn options_text(operation: &Operation) -> String {
    if operation.options.is_empty() {
        return String::new();
    }
    let mut text = "\n[options]\n".to_owned();
    for option in operation.options {
        for value in option.values {
            text.push_str(&format!("# {} = \"{}\": {}\n", option.name, value.name, value.effect));
        }
        let value = option.default.or_else(|| Some(option.values.first()?.name)).unwrap_or_default();
        let comment = if option.default.is_some() { "default" } else { "required: check that it is what you mean" };
        push_line(&mut text, &format!("{} = {}", option.name, quoted(value)), comment);
    }
    text
}

/// Numbers of guards that fit a file.
struct Guards {
    min_items: String,
    max_items: String,
    /// None if the default fits better.
    max_rejected: Option<String>,
    /// None if the default fits.
    after_items: Option<String>,
}

impl Guards {
    /// Half the items, a tenth more than the rows (10 at least), twice the share of rejected rows, and a fifth of the
    /// items for the fuse, which would otherwise never be evaluated in a small run.
    ///
    /// A share above the default is not written: many rejected rows are a reason not to send.
    fn of(input: &InputFacts) -> Self {
        let percent = (input.rejected * 200).div_ceil(input.rows.max(1)).max(1);
        let fits = input.rows >= MANY_ROWS && percent < 10;
        Self {
            min_items: grouped((input.items / 2).max(1)),
            max_items: grouped(round_up(input.rows + input.rows.div_ceil(10).max(10))),
            max_rejected: fits.then(|| format!("0.{percent:02}")),
            after_items: (input.items / 5 < MANY_ROWS).then(|| (input.items / 5).max(10).to_string()),
        }
    }
}

/// The next number with two digits and zeros.
fn round_up(number: u64) -> u64 {
    let unit = 10_u64.pow(number.max(1).ilog10().saturating_sub(1));
    number.div_ceil(unit) * unit
}

/// A number as TOML, with `_` between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join("_")
}

const fn delimiter(delimiter: Option<Delimiter>) -> &'static str {
    match delimiter {
        Some(Delimiter::Comma) | None => ",",
        Some(Delimiter::Semicolon) => ";",
        Some(Delimiter::Tab) => "tab",
        Some(Delimiter::Pipe) => "|",
    }
}

/// A text as TOML, on one line.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation;
    use crate::settings::{Env, load_job};

    fn facts(rows: u64, rejected: u64, columns: Vec<ColumnGuess>) -> InputFacts {
        InputFacts {
            path: "export \"1\".csv".to_owned(),
            encoding: Encoding::Gbk,
            delimiter: Some(Delimiter::Tab),
            columns,
            rows,
            rejected,
            items: rows - rejected,
        }
    }

    fn text(operation: &str, input: Option<&InputFacts>) -> String {
        let operation = operation::by_name(operation).expect("an operation");
        job_text(&NewJob { name: "purge", operation, input, heading: INIT_HEADING, known: &KnownValues::new() })
    }

    #[test]
    fn every_text_is_a_job_file_that_loads() {
        let column = |names: &[&str]| {
            vec![ColumnGuess { api: "UserID", names: names.iter().map(|name| (*name).to_owned()).collect() }]
        };
        let files = [facts(0, 0, Vec::new()), facts(3984, 8, Vec::new())];
        for operation in operation::ALL {
            for input in [None, files.first(), files.last()] {
                loads(&text(operation.name, input));
            }
        }
        for names in [&["UserID"][..], &["user_id"], &["a\"b\\c\u{1}"], &["'it's'"], &["uid", "user_id"]] {
            let loaded = loads(&text("account_delete", Some(&facts(5, 0, column(names)))));
            let mapped = loaded.input.columns.get("UserID").map(String::as_str);
            let expected = if names.len() == 1 && *names != ["UserID"] { names.first().copied() } else { None };
            assert_eq!(mapped, expected, "{names:?}");
        }
    }

    fn loads(text: &str) -> crate::domain::job::Job {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.toml");
        std::fs::write(&file, text).unwrap();
        load_job(&file, &Env::default()).unwrap_or_else(|error| panic!("{error} in\n{text}"))
    }

    #[test]
    fn the_numbers_of_the_guards_fit_the_file() {
        let guards = |rows, rejected| {
            let Guards { min_items, max_items, max_rejected, .. } = Guards::of(&facts(rows, rejected, Vec::new()));
            (min_items, max_items, max_rejected.unwrap_or_default())
        };
        let expected = |min: &str, max: &str, share: &str| (min.to_owned(), max.to_owned(), share.to_owned());
        assert_eq!(guards(1, 0), expected("1", "11", ""));
        assert_eq!(guards(3, 0), expected("1", "13", ""));
        assert_eq!(guards(3984, 8), expected("1_988", "4_400", "0.01"));
        assert_eq!(guards(1_000_000, 30_000), expected("485_000", "1_100_000", "0.06"));
        assert_eq!(guards(1_000_000, 300_000).2, "", "many rejected rows are not made normal");

        let after_items = |rows| Guards::of(&facts(rows, 0, Vec::new())).after_items;
        assert_eq!([3, 500, 4_999].map(after_items), ["10", "100", "999"].map(|items| Some(items.to_owned())));
        assert_eq!(after_items(5_000), None, "the default is reached");
    }

    #[test]
    fn a_required_option_has_its_first_value_and_says_that_it_is_a_choice() {
        let text = text("friend_delete", None);
        let line = text.lines().find(|line| line.starts_with("delete_type")).expect("the option");
        assert!(line.starts_with("delete_type = \"single\" ") && line.contains("required"), "{line}");
        assert!(text.contains("# delete_type = \"both\": neither has the other\n"));
    }

    #[test]
    fn the_protected_list_is_accepted() {
        let list = crate::domain::guard::Protected::parse(PROTECTED_LIST, &["user_id"]).expect("a list");
        assert_eq!((list.ids(), list.patterns()), (1, 0));
    }
}

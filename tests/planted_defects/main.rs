//! Generates input files with exactly one defect each, and checks that imbulk sends no id that the file does not
//! contain, and loses no row silently.
//!
//! `IMBULK_PLANTED_CASES=10000 cargo test --test planted_defects` checks more files. A failure names its seed, and
//! `IMBULK_PLANTED_SEED` repeats that case. A new kind of defect is a variant of [`files::FileDefect`] or
//! [`rows::RowDefect`], with the forms it applies to, the required result, and the code that plants it.

mod defect;
mod file;
mod files;
mod rows;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use imbulk::domain::job::{InputSettings, RejectPolicy, UnusualIds};
use imbulk::domain::operation;
use imbulk::domain::request::row::RejectedRow;
use imbulk::domain::source_facts::SourceFacts;
use imbulk::input::open;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use defect::{Defect, Expect};
use file::File;

/// Cases of each kind of defect in a usual test run.
const CASES_PER_DEFECT: u64 = 12;

/// The result of reading a file.
#[derive(Debug)]
enum Read {
    Refused(String),
    Rows { good: Vec<(u64, Option<String>, String)>, bad: Vec<RejectedRow>, facts: SourceFacts },
}

fn read(file: &File) -> Read {
    let folder = tempfile::tempdir().expect("disk space");
    let path = folder.path().join(file.name());
    std::fs::write(&path, file.bytes()).expect("disk space");
    let input = InputSettings {
        paths: vec![path.to_str().expect("UTF-8").to_owned()],
        columns: BTreeMap::new(),
        encoding: file.form.declared,
        delimiter: None,
        rejects: RejectPolicy::Count,
        unusual_ids: UnusualIds::Reject,
    };
    let shape = operation::by_name(file.form.operation).expect("an operation").shape;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("a good row is text");
    let read = open(&input, folder.path()).and_then(|sources| {
        sources[0].read(&shape, &input, &mut |row| {
            match row {
                Ok(row) => good.push((row.line, row.from.map(text), text(row.account))),
                Err(row) => bad.push(row),
            }
            ControlFlow::Continue(())
        })
    });
    match read {
        Ok(facts) => Read::Rows { good, bad, facts },
        Err(error) => Read::Refused(error.to_string()),
    }
}

/// The lines that a message names: "lines 3 to 7". `first` is the line in its place.
fn lines_named(first: u64, sentence: &str) -> std::ops::RangeInclusive<u64> {
    let mut numbers = sentence.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
    let last = numbers.next_back().unwrap_or(first);
    first..=last.max(first)
}

/// Describes how a result breaks the rules, if it does.
fn failure(file: &File, defect: Defect, read: &Read) -> Option<String> {
    let (good, bad, facts) = match read {
        Read::Refused(why) => {
            return (defect.expect() == Expect::Harmless).then(|| format!("refused: {why}"));
        }
        Read::Rows { good, bad, facts } => (good, bad, facts),
    };
    let noted: Vec<_> = facts
        .notes
        .iter()
        .filter_map(|note| {
            let (place, sentence) = note.split_once(": ")?;
            let line = place.rsplit_once(':')?.1.parse().ok()?;
            Some(lines_named(line, sentence))
        })
        .collect();
    for (line, from, account) in good {
        let written = file.rows.iter().any(|row| !row.damaged && row.from == *from && row.account == *account);
        if !written && !noted.iter().any(|lines| lines.contains(line)) {
            return Some(format!("line {line} would be sent as {from:?} {account:?}"));
        }
    }
    let rejected: Vec<_> =
        bad.iter().map(|row| lines_named(row.line, row.reason.rsplit('(').next().unwrap_or(""))).collect();
    for (row, line) in file.rows.iter().zip(file.row_lines()) {
        let sent = good.iter().any(|(_, from, account)| *from == row.from && *account == row.account);
        let is_reported = rejected.iter().chain(&noted).any(|lines| lines.contains(&line));
        if !sent && !is_reported {
            return Some(format!("the row of line {line} is lost: {row:?}"));
        }
    }
    let is_reported = !bad.is_empty() || !facts.notes.is_empty() || facts.blank_rows > 0;
    match defect.expect() {
        Expect::Harmless if !bad.is_empty() => Some("a row is rejected".to_owned()),
        Expect::Reported if !is_reported => Some("nothing is said".to_owned()),
        Expect::Harmless | Expect::Reported => None,
    }
}

fn check(seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let defect = Defect::all()[usize::try_from(seed).expect("few") % Defect::all().len()];
    let mut file = File::new(&mut rng, defect);
    defect.plant(&mut file, &mut rng);
    let read = read(&file);
    if let Some(failure) = failure(&file, defect, &read) {
        let shown = file.bytes().escape_ascii().to_string();
        let shown: String = shown.replace("\\n", "\\n\n").chars().take(3000).collect();
        panic!("IMBULK_PLANTED_SEED={seed}, {defect:?}: {failure}\n{:?}\n{read:#?}\n{shown}", file.form);
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment chooses the number of cases, or one of them")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn no_planted_defect_sends_another_id_or_loses_a_row_silently() {
    if let Some(seed) = number("IMBULK_PLANTED_SEED") {
        return check(seed);
    }
    let cases = number("IMBULK_PLANTED_CASES").unwrap_or(CASES_PER_DEFECT * Defect::all().len() as u64);
    (0..cases).for_each(check);
}

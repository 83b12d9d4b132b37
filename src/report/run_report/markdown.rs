//! A report as Markdown, to paste into a message.

use std::fmt::{self, Display, Formatter};

use super::RunReport;
use crate::domain::language::Language;
use crate::report::text::{count, minute, visible};

/// Writes the report as Markdown.
pub(super) struct Markdown<'a>(pub(super) &'a RunReport);

impl Display for Markdown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        writeln!(f, "# {}\n", plain(&report.verdict))?;
        if let Some((why, hint)) = report.reason() {
            writeln!(f, "**Why it ended:** {}\n", plain(&why))?;
            if let Some(hint) = hint {
                writeln!(f, "**What to do:** {}\n", plain(&hint))?;
            }
        }
        for (name, value) in report.facts_of_run() {
            writeln!(f, "- {name}: {}", plain(&value))?;
        }
        writeln!(f, "\n## Rows\n\n| outcome | rows | share |\n| --- | ---: | ---: |")?;
        for (outcome, rows) in report.outcomes() {
            writeln!(f, "| {outcome} | {} | {} |", count(rows), report.share(rows))?;
        }
        writeln!(f, "\n{}\n\n## Next\n", report.sum())?;
        for next in &report.next {
            writeln!(f, "- `{}` {}", next.command, next.purpose)?;
        }
        self.codes(f)?;
        writeln!(f, "\n## Input\n")?;
        for line in report.input_lines() {
            writeln!(f, "- {}", plain(&line))?;
        }
        writeln!(f, "- BLAKE3 of all bytes: `{}`", report.input_digest)?;
        self.earlier(f)?;
        writeln!(f, "\n## What this report cannot tell\n")?;
        report.unknown.iter().try_for_each(|text| writeln!(f, "- {text}"))?;
        writeln!(
            f,
            "\nWritten {} by imbulk {}: `{}`",
            minute(&report.written_at),
            report.imbulk_version,
            report.command
        )
    }
}

impl Markdown<'_> {
    fn codes(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.explained_codes.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n## Codes\n\n| code | class | rows | meaning | what to do | first rows |")?;
        writeln!(f, "| ---: | --- | --- | --- | --- | --- |")?;
        for code in &self.0.explained_codes {
            let number = code.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
            writeln!(
                f,
                "| {number} | {} | {} | {} | {} | {} |",
                code.class.unwrap_or("none"),
                code.rows_by_outcome(Language::En),
                plain(code.meaning_text().en),
                plain(code.advice.en),
                plain(&self.0.places_of(code)),
            )?;
        }
        Ok(())
    }

    fn earlier(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.earlier_runs.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n## Earlier runs\n\n| loaded | run | state | rows | outcomes |\n| --- | --- | --- | ---: | --- |"
        )?;
        for run in &self.0.earlier_runs {
            let (loaded, rows) = (minute(&run.created_at), count(run.rows));
            writeln!(f, "| {loaded} | {} | {} | {rows} | {} |", run.run, run.state.name(), run.outcomes())?;
        }
        Ok(())
    }
}

/// A text without characters that Markdown would act on.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in visible(text).chars() {
        if matches!(character, '|' | '<' | '>' | '[' | ']' | '*' | '_' | '#' | '\\' | '&') {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}

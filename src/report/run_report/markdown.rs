//! A report as Markdown, to paste into a message.

use std::fmt::{self, Display, Formatter};

use super::{RunReport, texts};
use crate::domain::language::{Language, Translated};
use crate::report::text::{count, minute, visible};

/// Writes the report as Markdown.
pub(super) struct Markdown<'a> {
    pub(super) report: &'a RunReport,
    pub(super) language: Language,
}

impl Display for Markdown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { report, language } = *self;
        let colon = self.t(texts::COLON);
        writeln!(f, "# {}\n", plain(report.verdict.as_str().of(language)))?;
        if let Some((why, hint)) = report.reason() {
            writeln!(f, "**{}{}** {}\n", self.t(texts::WHY_IT_ENDED), colon.trim_end(), plain(&why))?;
            if let Some(hint) = hint {
                writeln!(f, "**{}{}** {}\n", self.t(texts::WHAT_TO_DO), colon.trim_end(), plain(&hint))?;
            }
        }
        for (name, value) in report.facts_of_run(language) {
            writeln!(f, "- {name}{colon}{}", plain(&value))?;
        }
        self.title(f, texts::ROWS)?;
        self.head(f, &[texts::HEAD_OUTCOME, texts::HEAD_ROWS, texts::HEAD_SHARE], "| --- | ---: | ---: |")?;
        for (outcome, rows) in report.outcomes() {
            let name = texts::outcome(outcome).of(language);
            writeln!(f, "| {name} | {} | {} |", count(rows), report.share(rows))?;
        }
        writeln!(f, "\n{}", report.sum(language))?;
        self.title(f, texts::NEXT)?;
        for next in &report.next {
            writeln!(f, "- `{}` {}", next.command, self.t(next.purpose))?;
        }
        self.codes(f)?;
        self.over_time(f)?;
        self.title(f, texts::INPUT)?;
        for line in report.input_lines(language) {
            writeln!(f, "- {}", plain(&line))?;
        }
        writeln!(f, "- {}{colon}`{}`", self.t(texts::DIGEST), report.input_digest)?;
        for section in report.sections(language) {
            writeln!(f, "\n## {}\n", section.title)?;
            for (name, value) in &section.lines {
                writeln!(f, "- {}{colon}{}", plain(name), plain(value))?;
            }
        }
        self.earlier(f)?;
        self.title(f, texts::CANNOT_TELL)?;
        report.unknown.iter().try_for_each(|text| writeln!(f, "- {}", self.t(*text)))?;
        let written = written(report).of(language);
        writeln!(f, "\n{written}{colon}`{}`", report.command(language))
    }
}

/// `Written 2026-11-22 09:00 +08:00 by imbulk 0.1.0`
fn written(report: &RunReport) -> Translated<String> {
    let (at, version) = (minute(&report.written_at), report.imbulk_version);
    Translated::new(format!("Written {at} by imbulk {version}"), format!("由 imbulk {version} 于 {at} 生成"))
}

impl Markdown<'_> {
    /// A text in the language of the report.
    fn t(&self, text: Translated) -> &'static str {
        text.of(self.language)
    }

    fn title(&self, f: &mut Formatter<'_>, title: Translated) -> fmt::Result {
        writeln!(f, "\n## {}\n", self.t(title))
    }

    /// The head of a table, and the line below it.
    fn head(&self, f: &mut Formatter<'_>, names: &[Translated], below: &str) -> fmt::Result {
        let names: Vec<&str> = names.iter().map(|name| self.t(*name)).collect();
        writeln!(f, "| {} |\n{below}", names.join(" | "))
    }

    fn codes(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.report.explained_codes.is_empty() {
            return Ok(());
        }
        self.title(f, texts::CODES)?;
        let heads = [
            texts::HEAD_CODE,
            texts::HEAD_CLASS,
            texts::HEAD_ROWS,
            texts::HEAD_MEANING,
            texts::HEAD_ADVICE,
            texts::HEAD_FIRST_ROWS,
        ];
        self.head(f, &heads, "| ---: | --- | --- | --- | --- | --- |")?;
        for code in &self.report.explained_codes {
            let number = code.code.map_or_else(|| self.t(texts::NONE).to_owned(), |code| code.to_string());
            writeln!(
                f,
                "| {number} | {} | {} | {} | {} | {} |",
                code.class.unwrap_or_else(|| self.t(texts::NONE)),
                code.rows_by_outcome(self.language),
                plain(self.t(code.meaning_text())),
                plain(&self.report.advice_of(code).of(self.language)),
                plain(&self.report.places_of(code)),
            )?;
        }
        Ok(())
    }

    fn over_time(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(timeline) = &self.report.timeline else { return Ok(()) };
        self.title(f, texts::OVER_TIME)?;
        for (name, value) in timeline.key_numbers(self.language) {
            writeln!(f, "- {name}{}{}", self.t(texts::COLON), plain(&value))?;
        }
        writeln!(f)?;
        let heads = [texts::HEAD_LIMITED_BY, texts::HEAD_MEANING, texts::HEAD_TIME, texts::HEAD_SHARE];
        self.head(f, &heads, "| --- | --- | ---: | ---: |")?;
        for line in timeline.limit_lines() {
            let (kind, meaning) = (plain(line.kind), plain(self.t(line.meaning)));
            writeln!(f, "| {kind} | {meaning} | {} | {} |", line.time, plain(&line.share))?;
        }
        Ok(())
    }

    fn earlier(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.report.earlier_runs.is_empty() {
            return Ok(());
        }
        self.title(f, texts::EARLIER_RUNS)?;
        let heads = [texts::HEAD_LOADED, texts::RUN, texts::STATE, texts::HEAD_ROWS, texts::HEAD_OUTCOMES];
        self.head(f, &heads, "| --- | --- | --- | ---: | --- |")?;
        for run in &self.report.earlier_runs {
            let (loaded, rows) = (minute(&run.created_at), count(run.rows));
            let state = texts::state(run.state).of(self.language);
            writeln!(f, "| {loaded} | {} | {state} | {rows} | {} |", run.run, run.outcomes(self.language))?;
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

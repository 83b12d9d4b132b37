//! A report as one HTML page that needs neither the network nor a script.

use askama::Template;

use super::{EarlierRun, RunReport, texts};
use crate::domain::language::{Language, Translated};
use crate::domain::response::outcome::Outcome;
use crate::report::explanation::CodeOfRun;
use crate::report::text::{count, minute};

/// Of the bar of outcomes.
const BAR_WIDTH: f64 = 1000.0;
/// The least width of a part of the bar: one row of a million can be seen.
const LEAST_WIDTH: f64 = 6.0;

/// The page.
#[derive(Template)]
#[template(path = "page.html", config = "src/report/run_report/askama.toml")]
struct Page<'a> {
    report: &'a RunReport,
    language: Language,
    parts: Vec<OutcomeBar>,
}

/// A part of the bar of outcomes.
pub(super) struct OutcomeBar {
    outcome: Outcome,
    rows: u64,
    pub(super) x: f64,
    pub(super) width: f64,
}

/// Writes the page.
pub(super) fn page(report: &RunReport, language: Language) -> String {
    let page = Page { report, language, parts: parts(&report.outcomes(), report.figures.rows) };
    page.render().expect("a String takes every text")
}

impl Page<'_> {
    /// The language, as the attribute `lang` names it.
    fn tag(&self) -> &'static str {
        match self.language {
            Language::En => "en",
            Language::Zh => "zh-CN",
        }
    }

    /// A text in the language of the page.
    fn t(&self, text: Translated) -> &'static str {
        text.of(self.language)
    }

    fn code(&self, code: &CodeOfRun) -> String {
        code.code.map_or_else(|| self.t(texts::NONE).to_owned(), |code| code.to_string())
    }

    fn outcome(&self, outcome: Outcome) -> &'static str {
        texts::outcome(outcome).of(self.language)
    }

    fn state(&self, run: &EarlierRun) -> &'static str {
        texts::state(run.state).of(self.language)
    }

    fn advice(&self, code: &CodeOfRun) -> String {
        self.report.advice_of(code).of(self.language)
    }

    fn places(&self, code: &CodeOfRun) -> String {
        self.report.places_of(code)
    }

    fn loaded(run: &EarlierRun) -> String {
        minute(&run.created_at)
    }

    fn number(number: u64) -> String {
        count(number)
    }

    fn verdict(&self) -> &str {
        self.report.verdict.as_str().of(self.language)
    }

    fn written(&self) -> String {
        let (at, version) = (minute(&self.report.written_at), self.report.imbulk_version);
        Translated::new(
            format!("Written {at} by imbulk {version}. This command writes it again, as long as the queue has the run"),
            format!("由 imbulk {version} 于 {at} 生成。只要队列中还有该运行，此命令可再次生成本报告"),
        )
        .of(self.language)
    }
}

/// The parts of the bar. Small ones are wider than their share, and the others pay for it.
pub(super) fn parts(outcomes: &[(Outcome, u64)], rows: u64) -> Vec<OutcomeBar> {
    #[expect(clippy::cast_precision_loss, reason = "the width of a bar")]
    let share = |rows_of: u64| rows_of as f64 / rows.max(1) as f64;
    let widths: Vec<f64> = outcomes.iter().map(|(_, rows)| (share(*rows) * BAR_WIDTH).max(LEAST_WIDTH)).collect();
    let scale = BAR_WIDTH / widths.iter().sum::<f64>().max(BAR_WIDTH);
    let mut x = 0.0;
    let part = |(&(outcome, rows), width): (&(Outcome, u64), f64)| {
        let part = OutcomeBar { outcome, rows, x, width: width * scale };
        x += part.width;
        part
    };
    outcomes.iter().zip(widths).map(part).collect()
}

//! A report as one HTML page that needs neither the network nor a script.

use askama::Template;

use super::{EarlierRun, RunReport};
use crate::domain::language::Language;
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
pub(super) fn page(report: &RunReport) -> String {
    let page = Page { report, parts: parts(&report.outcomes(), report.figures.rows) };
    page.render().expect("a String takes every text")
}

impl Page<'_> {
    fn code(code: &CodeOfRun) -> String {
        code.code.map_or_else(|| "none".to_owned(), |code| code.to_string())
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

    fn written(&self) -> String {
        minute(&self.report.written_at)
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

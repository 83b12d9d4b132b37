//! The picture of the figures, as SVG: a bar for each program.

use std::fmt::Write as _;

use crate::goals::{Line, Verdict};
use crate::measurements::{Measurements, Place, significant};

/// What is better.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    More,
    Less,
    /// There is a limit, and a ratio says nothing. The words name it.
    AtMost(&'static str),
}

struct Panel {
    title: &'static str,
    unit: &'static str,
    better: Better,
    /// The first one is ours.
    bars: &'static [(&'static str, Place<'static>)],
}

const PANELS: [Panel; 6] = [
    Panel {
        title: "Fullest second at the server, where 200 calls/s are allowed",
        unit: "calls",
        better: Better::AtMost("at most 200 are allowed"),
        bars: &[
            ("imbulk", ("cap", "account_delete", "imbulk", "worst_second")),
            ("asyncio, aiohttp, aiolimiter", ("cap", "account_delete", "asyncio", "worst_second")),
            ("GNU parallel + curl", ("cap", "account_delete", "parallel + curl", "worst_second")),
        ],
    },
    Panel {
        title: "Calls that the server refused because of the limit, in one run of a minute",
        unit: "calls",
        better: Better::AtMost("none is best"),
        bars: &[
            ("imbulk", ("cap", "account_delete", "imbulk", "throttled")),
            ("asyncio, aiohttp, aiolimiter", ("cap", "account_delete", "asyncio", "throttled")),
            ("GNU parallel + curl", ("cap", "account_delete", "parallel + curl", "throttled")),
        ],
    },
    Panel {
        title: "Share of a core at 200 calls/s, account_delete by 100",
        unit: "of one core",
        better: Better::Less,
        bars: &[
            ("imbulk, every outcome on disk", ("cap", "account_delete", "imbulk", "core")),
            ("asyncio, aiohttp, aiolimiter", ("cap", "account_delete", "asyncio", "core")),
            ("GNU parallel + curl", ("cap", "account_delete", "parallel + curl", "core")),
        ],
    },
    Panel {
        title: "Peak memory of the same",
        unit: "MiB",
        better: Better::Less,
        bars: &[
            ("imbulk, 1.3 M rows", ("cap", "account_delete", "imbulk", "peak_mib")),
            ("asyncio, aiohttp, aiolimiter", ("cap", "account_delete", "asyncio", "peak_mib")),
        ],
    },
    Panel {
        title: "Load 10 M friend rows into a file",
        unit: "s",
        better: Better::Less,
        bars: &[
            ("imbulk: check, find equal rows, group", ("load", "friends 10 M", "imbulk", "wall_s")),
            ("DuckDB: group by account", ("load", "friends 10 M", "DuckDB, grouped", "wall_s")),
            ("DuckDB: load only", ("load", "friends 10 M", "DuckDB", "wall_s")),
            ("sqlite3 .import: load only", ("load", "friends 10 M", "sqlite3 .import", "wall_s")),
        ],
    },
    Panel {
        title: "Delete accounts by 100 from a server without a limit",
        unit: "items/s",
        better: Better::More,
        bars: &[
            ("imbulk, every outcome on disk", ("uncapped", "accounts", "imbulk", "items_per_s")),
            ("asyncio, aiohttp, uvloop", ("uncapped", "accounts", "asyncio", "items_per_s")),
            ("GNU parallel + curl", ("uncapped", "accounts", "parallel + curl", "items_per_s")),
        ],
    },
];

const WIDTH: f64 = 880.0;
const LEFT: f64 = 290.0;
const LONGEST: f64 = 300.0;
const BAR: f64 = 20.0;
const STEP: f64 = 28.0;
const OURS: &str = "#2563eb";
const THEIRS: &str = "#a8b3c4";

/// Draws the panels for which there are figures.
pub(crate) fn draw(measurements: &Measurements, lines: &[Line]) -> String {
    let mut body = String::new();
    let mut y = 58.0;
    for panel in &PANELS {
        y = draw_panel(&mut body, measurements, panel, y);
    }
    let count = |verdict| lines.iter().filter(|line| line.verdict() == verdict).count();
    let (met, missed, unknown) = (count(Verdict::Met), count(Verdict::Missed), count(Verdict::Unknown));
    let busy = if unknown == 0 { String::new() } else { format!(" ({unknown} more unknown: the machine was busy)") };
    let height = y + 30.0;
    let foot = format!(
        "Medians; the programs take turns on one machine, which also runs the server. Goals met: {met} of {}{busy}. \
         Each run: figures.csv. What is measured: docs/explanation/benchmarks.md.",
        met + missed
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif\" role=\"img\">\n\
         <title>imbulk compared with what one would otherwise use</title>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"10\" fill=\"#ffffff\" stroke=\"#d7dde5\"/>\n\
         <text x=\"24\" y=\"36\" font-size=\"19\" font-weight=\"650\" fill=\"#1b2430\">\
         imbulk compared with what one would otherwise use</text>\n{body}\
         <text x=\"24\" y=\"{}\" font-size=\"11.5\" fill=\"#697586\">{foot}</text>\n</svg>\n",
        WIDTH - 1.0,
        height - 1.0,
        height - 16.0,
    )
}

/// Returns where the next panel begins.
fn draw_panel(out: &mut String, measurements: &Measurements, panel: &Panel, top: f64) -> f64 {
    let bars =
        panel.bars.iter().filter_map(|(name, place)| measurements.median(*place).map(|value| (*name, *place, value)));
    let bars: Vec<(&str, Place<'_>, f64)> = bars.collect();
    let Some(&(_, first, _)) = bars.first() else {
        return top;
    };
    let longest = bars.iter().map(|(_, _, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let hint = match panel.better {
        Better::More => "longer is better",
        Better::Less => "shorter is better",
        Better::AtMost(limit) => limit,
    };
    let Panel { title, .. } = panel;
    let _always = writeln!(
        out,
        "<text x=\"24\" y=\"{:.1}\" font-size=\"14\" font-weight=\"600\" fill=\"#1b2430\">{title} \
         <tspan font-weight=\"400\" font-size=\"12\" fill=\"#697586\"> {hint}</tspan></text>",
        top + 18.0
    );
    let mut y = top + 30.0;
    for (name, place, value) in bars {
        let ours = place.2 == "imbulk";
        let length = (value / longest * LONGEST).max(2.0);
        let color = if ours { OURS } else { THEIRS };
        let weight = if ours { 600 } else { 400 };
        let label = format!("{} {}", significant(value), panel.unit);
        let ratio = if ours { String::new() } else { compared(measurements, panel.better, first, place) };
        let _always = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"13\" text-anchor=\"end\" fill=\"#344054\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"3\" fill=\"{color}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"13\" font-weight=\"{weight}\" fill=\"#1b2430\">{label}\
             <tspan dx=\"12\" font-weight=\"400\" fill=\"#697586\">{ratio}</tspan></text>",
            LEFT - 10.0,
            y + 14.5,
            LEFT + length + 8.0,
            y + 14.5,
        );
        y += STEP;
    }
    y + 10.0
}

/// The ratio of our figure to that of a peer, round by round as in the table.
fn compared(measurements: &Measurements, better: Better, ours: Place<'_>, theirs: Place<'_>) -> String {
    let (above, below) = match better {
        Better::More => (ours, theirs),
        Better::Less => (theirs, ours),
        Better::AtMost(_) => return String::new(),
    };
    let ratio = measurements.ratio(above, below);
    ratio.map_or_else(String::new, |ratio| format!("imbulk {} times better", significant(ratio)))
}

//! The bars, and how far they are reached.

use comfy_table::{CellAlignment, Table, presets};

use crate::measurements::{Measurements, Place, significant};
use crate::peers::{ASYNCIO, CURL};

/// What is compared with a bar.
pub(crate) enum Figure {
    /// A median.
    Of(Place<'static>),
    /// The first over the second, round by round.
    Ratio(Place<'static>, Place<'static>),
    /// The median of the first over that of the second: of cases that do not run in pairs.
    Medians(Place<'static>, Place<'static>),
}

#[derive(Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// Only reported.
    None,
}

pub(crate) struct Goal {
    pub(crate) what: &'static str,
    /// Whose figure is in the column "ours". The other one is in the column "peer".
    pub(crate) ours: Place<'static>,
    pub(crate) peer: Option<Place<'static>>,
    pub(crate) unit: &'static str,
    pub(crate) figure: Figure,
    pub(crate) bar: Bar,
}

const US: &str = "imbulk";

/// Ours over the peer's, of one measure.
const fn more(
    what: &'static str,
    (scenario, case): (&'static str, &'static str),
    peer: &'static str,
    (measure, unit): (&'static str, &'static str),
    bar: Bar,
) -> Goal {
    let ours = (scenario, case, US, measure);
    let theirs = (scenario, case, peer, measure);
    Goal { what, ours, peer: Some(theirs), unit, figure: Figure::Ratio(ours, theirs), bar }
}

/// The peer's over ours: how many times less.
const fn less(
    what: &'static str,
    (scenario, case): (&'static str, &'static str),
    peer: &'static str,
    (measure, unit): (&'static str, &'static str),
    bar: Bar,
) -> Goal {
    let ours = (scenario, case, US, measure);
    let theirs = (scenario, case, peer, measure);
    Goal { what, ours, peer: Some(theirs), unit, figure: Figure::Ratio(theirs, ours), bar }
}

/// One figure of ours.
const fn own(
    what: &'static str,
    (scenario, case): (&'static str, &'static str),
    (measure, unit): (&'static str, &'static str),
    bar: Bar,
) -> Goal {
    let ours = (scenario, case, US, measure);
    Goal { what, ours, peer: None, unit, figure: Figure::Of(ours), bar }
}

/// One case of ours over another.
const fn growth(
    what: &'static str,
    (scenario, large, small): (&'static str, &'static str, &'static str),
    (measure, unit): (&'static str, &'static str),
    bar: Bar,
) -> Goal {
    let ours = (scenario, large, US, measure);
    let other = (scenario, small, US, measure);
    Goal { what, ours, peer: Some(other), unit, figure: Figure::Medians(ours, other), bar }
}

use Bar::{AtLeast, AtMost};

const LOAD: &str = "load";
const SQLITE: &str = "sqlite3 .import";
const DUCKDB: &str = "DuckDB";
const DUCKDB_GROUPED: &str = "DuckDB, grouped";
const BARE: &str = "bare reqwest";
const WALL: (&str, &str) = ("wall_s", "s");
const CPU: (&str, &str) = ("cpu_s", "s cpu");
const PEAK: (&str, &str) = ("peak_mib", "MiB");
const RATE: (&str, &str) = ("items_per_s", "items/s");
const CPU_ITEM: (&str, &str) = ("cpu_us_per_item", "us cpu/item");
const SHARE: (&str, &str) = ("share_of_cap", "of the cap");
const LATER_SHARE: (&str, &str) = ("later_share_of_cap", "of the cap");
const CORE: (&str, &str) = ("core", "cores");
const SMALL_PEAK: Bar = AtMost(128.0);

/// All bars, in the order of the table.
pub(crate) const GOALS: &[Goal] = &[
    less("load 2 M friend rows: times the speed", (LOAD, "friends 2 M"), SQLITE, WALL, AtLeast(2.5)),
    less("load 10 M friend rows: times the speed", (LOAD, "friends 10 M"), SQLITE, WALL, AtLeast(2.5)),
    less("load 2 M account ids: times the speed", (LOAD, "accounts 2 M"), SQLITE, WALL, AtLeast(2.5)),
    less("load 10 M friend rows: times the speed", (LOAD, "friends 10 M"), DUCKDB, WALL, Bar::None),
    less("load 10 M friend rows: times the speed", (LOAD, "friends 10 M"), DUCKDB_GROUPED, WALL, Bar::None),
    less("load 2 M account ids: times the speed", (LOAD, "accounts 2 M"), DUCKDB, WALL, Bar::None),
    less("load 10 M friend rows: times less memory", (LOAD, "friends 10 M"), DUCKDB_GROUPED, PEAK, Bar::None),
    less("load 10 M friend rows: times less processor", (LOAD, "friends 10 M"), SQLITE, CPU, Bar::None),
    own("load 10 M friend rows: peak memory", (LOAD, "friends 10 M"), PEAK, SMALL_PEAK),
    growth("load: time of 10 M over that of 1 M", (LOAD, "friends 10 M", "friends 1 M"), WALL, AtMost(11.0)),
    own("load 10 M friend rows: queue file over input", (LOAD, "friends 10 M"), ("file_ratio", "x"), AtMost(1.0)),
    own("load 2 M account ids: queue file over input", (LOAD, "accounts 2 M"), ("file_ratio", "x"), Bar::None),
    own("cap: friend_delete 200 calls/s x 1000", ("cap", "friend_delete"), SHARE, Bar::None),
    own(
        "cap: friend_delete, calls of those that the slots allow",
        ("cap", "friend_delete"),
        ("share_of_slots", "of them"),
        AtLeast(0.99),
    ),
    own("cap: friend_delete, fullest second", ("cap", "friend_delete"), ("worst_second", "calls"), AtMost(200.0)),
    own("cap: friend_delete, runner", ("cap", "friend_delete"), CORE, AtMost(0.6)),
    own("cap: account_delete 200 calls/s x 100", ("cap", "account_delete"), SHARE, AtLeast(0.99)),
    own("cap: account_delete, fullest second", ("cap", "account_delete"), ("worst_second", "calls"), AtMost(200.0)),
    own("cap: account_delete, runner", ("cap", "account_delete"), CORE, AtMost(0.15)),
    more("cap: account_delete, times the calls/s", ("cap", "account_delete"), ASYNCIO, SHARE, Bar::None),
    less("cap: account_delete, times less processor", ("cap", "account_delete"), ASYNCIO, CORE, Bar::None),
    less("cap: account_delete, times less memory", ("cap", "account_delete"), ASYNCIO, PEAK, Bar::None),
    more("cap: account_delete, times the calls/s", ("cap", "account_delete"), CURL, SHARE, Bar::None),
    less("cap: account_delete, times less processor", ("cap", "account_delete"), CURL, CORE, Bar::None),
    more("no cap: account_delete, times the items/s", ("uncapped", "accounts"), ASYNCIO, RATE, AtLeast(4.0)),
    less("no cap: account_delete, times less processor", ("uncapped", "accounts"), ASYNCIO, CPU_ITEM, AtLeast(8.0)),
    more("no cap: account_delete, processor over a bare client's", ("uncapped", "accounts"), BARE, CPU_ITEM, Bar::None),
    less("no cap: whole job, load to results: times the speed", ("uncapped", "whole job"), ASYNCIO, WALL, Bar::None),
    less("no cap: times less memory", ("uncapped", "accounts"), ASYNCIO, PEAK, Bar::None),
    more("no cap: account_delete, times the items/s", ("uncapped", "accounts"), CURL, RATE, Bar::None),
    less("no cap: account_delete, times less processor", ("uncapped", "accounts"), CURL, CPU_ITEM, Bar::None),
    own("no cap: friend_delete by 1000", ("uncapped", "friends"), RATE, AtLeast(1_000_000.0)),
    own("no cap: friend_delete, runner", ("uncapped", "friends"), CORE, Bar::None),
    own("no cap: friend_delete, server beside it", ("uncapped", "friends"), ("server_core", "cores"), Bar::None),
    growth(
        "scale: processor a call, 10 M queued over 10 k",
        ("scale", "10 M", "10 k"),
        ("cpu_us_per_call", "us"),
        AtMost(1.1),
    ),
    growth(
        "scale: the same, both ways among friends of each other",
        ("scale", "2 M, both ways", "10 k"),
        ("cpu_us_per_call", "us"),
        Bar::None,
    ),
    own("scale: first call after `run`, 10 M queued", ("scale", "10 M"), ("first_call_s", "s"), AtMost(1.0)),
    own(
        "scale: first call after kill -9, 10 M queued",
        ("scale", "10 M"),
        ("first_call_after_kill_s", "s"),
        AtMost(1.0),
    ),
    own("scale: `status` beside a run of 10 M", ("scale", "10 M"), ("status_ms", "ms"), AtMost(100.0)),
    own("results of 10 M rows", ("results", "10 M"), ("rows_per_s", "rows/s"), AtLeast(1_000_000.0)),
    growth("results: memory for 10 M over that for 1 M", ("results", "10 M", "1 M"), PEAK, AtMost(1.25)),
    own("start: --help", ("start", "--help"), ("wall_ms", "ms"), AtMost(10.0)),
    own(
        "start: job of 100 rows, beyond its 100 ms round trip",
        ("start", "100 rows"),
        ("beyond_ms", "ms"),
        AtMost(100.0),
    ),
    own("latency 20 ms: calls of the cap", ("latency", "20 ms"), SHARE, Bar::None),
    own("latency 100 ms: calls of the cap", ("latency", "100 ms"), SHARE, Bar::None),
    own("latency 500 ms: calls of the cap", ("latency", "500 ms"), SHARE, Bar::None),
    own("latency 20 ms, 1 % take 3 s: calls of the cap", ("latency", "slow"), SHARE, Bar::None),
    own("latency 20 ms: calls of the cap after ten seconds", ("latency", "20 ms"), LATER_SHARE, AtLeast(0.98)),
    own("latency 100 ms: calls of the cap after ten seconds", ("latency", "100 ms"), LATER_SHARE, AtLeast(0.98)),
    own("latency 500 ms: calls of the cap after ten seconds", ("latency", "500 ms"), LATER_SHARE, AtLeast(0.98)),
    own(
        "latency 20 ms, 1 % take 3 s: calls of the cap after ten seconds",
        ("latency", "slow"),
        LATER_SHARE,
        AtLeast(0.95),
    ),
    own("build: program", ("build", "release"), ("size_mib", "MiB"), Bar::None),
    own("build: clean, all dependencies", ("build", "release"), WALL, Bar::None),
];

/// A goal with its figures.
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) ours: String,
    pub(crate) peer: String,
    pub(crate) figure: f64,
    pub(crate) compared: bool,
    pub(crate) bar: Bar,
    pub(crate) rounds: usize,
    /// Whether others used the machine before or after: then no figure shows anything.
    disturbed: bool,
}

/// Whether a figure reaches its goal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// Others used the machine.
    Unknown,
    NoGoal,
}

/// Cores that others may use.
const QUIET: f64 = 0.2;

impl Line {
    pub(crate) fn verdict(&self) -> Verdict {
        let met = match self.bar {
            AtLeast(bar) => self.figure >= bar,
            AtMost(bar) => self.figure <= bar,
            Bar::None => return Verdict::NoGoal,
        };
        match (self.disturbed, met) {
            (true, _) => Verdict::Unknown,
            (false, true) => Verdict::Met,
            (false, false) => Verdict::Missed,
        }
    }
}

/// The goals of which there are figures.
pub(crate) fn lines(measurements: &Measurements) -> Vec<Line> {
    GOALS.iter().filter_map(|goal| line(measurements, goal)).collect()
}

fn line(measurements: &Measurements, goal: &Goal) -> Option<Line> {
    let figure = match goal.figure {
        Figure::Of(place) => measurements.median(place),
        Figure::Ratio(above, below) => measurements.ratio(above, below),
        Figure::Medians(above, below) => measurements.median(above).zip(measurements.median(below)).map(|(a, b)| a / b),
    }?;
    let shown = |place| measurements.median(place).map_or_else(String::new, significant);
    Some(Line {
        what: goal.what,
        ours: format!("{} {}", shown(goal.ours), goal.unit),
        peer: goal.peer.map_or_else(String::new, |(scenario, case, who, measure)| {
            let other = if who == US { case } else { who };
            format!("{} ({other})", shown((scenario, case, who, measure)))
        }),
        figure,
        compared: goal.peer.is_some(),
        bar: goal.bar,
        rounds: measurements.rounds(goal.ours),
        disturbed: measurements.largest(("machine", goal.ours.0, "others", "cores")).is_none_or(|cores| cores > QUIET),
    })
}

/// The table as Markdown.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["figure", "imbulk", "beside it", "ratio", "goal", "", "rounds"]);
    for line in lines {
        let goal = match line.bar {
            AtLeast(bar) => format!(">= {}", significant(bar)),
            AtMost(bar) => format!("<= {}", significant(bar)),
            Bar::None => String::new(),
        };
        let met = match line.verdict() {
            Verdict::Met => "met",
            Verdict::Missed => "NOT MET",
            Verdict::Unknown => "machine was busy",
            Verdict::NoGoal => "",
        };
        let ratio = if line.compared { significant(line.figure) } else { String::new() };
        let rounds = line.rounds.to_string();
        table.add_row([line.what, &line.ours, &line.peer, &ratio, &goal, met, &rounds]);
    }
    for column in [3, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

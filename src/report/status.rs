//! The state of runs: all of them as a table, or one in detail, also while a process is sending.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::bottleneck::bottleneck_text;
use super::control::who_and_when;
use super::figures::{Figures, target};
use super::json::{self, DateTime, FormatVersion, RowsByOutcome};
use super::progress::heartbeat_line;
use super::state::{RunnerPresence, StateName};
use super::text::{Text, count, share, visible};
use crate::domain::control::RunPause;
use crate::domain::hint::Message;
use crate::domain::progress::Heartbeat;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::timestamp::rfc3339;

/// What `imbulk status --json` prints.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StatusOutput {
    /// All runs of a queue.
    Overview(Overview),
    /// One run.
    Detail(Box<Detail>),
}

/// A run in detail.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Detail {
    /// Its state.
    #[serde(flatten)]
    pub figures: Figures,
    /// Requests of the run.
    pub requests: u64,
    /// Those of them that are not settled.
    pub requests_left: u64,
    /// Whether a process is sending it.
    pub runner: RunnerPresence,
    /// Its progress, while a process is sending it.
    #[serde(serialize_with = "heartbeat_as_json")]
    #[schemars(with = "Option<HeartbeatFigures>")]
    pub heartbeat: Option<Heartbeat>,
    /// The pause by a person, while there is one.
    #[serde(skip)]
    pub pause: Option<RunPause>,
}

/// All runs of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Overview {
    /// The version of the format.
    pub schema: FormatVersion,
    /// Oldest first.
    pub runs: Vec<RunStatus>,
    /// Whether a process owns the queue, whatever it does.
    #[serde(skip)]
    pub runner: RunnerPresence,
}

/// A run among others.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RunStatus {
    /// The run's id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// The operation's name.
    pub operation: &'static str,
    /// `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    pub target: String,
    /// Its state.
    pub state: StateName,
    /// Whether a process is sending it.
    pub runner: RunnerPresence,
    /// Why the last session ended before the run did.
    #[serde(serialize_with = "json::message")]
    #[schemars(with = "Option<String>")]
    pub stopped: Option<Message>,
    /// Rows of the input.
    pub rows: u64,
    /// Rows by outcome.
    #[serde(serialize_with = "json::by_name")]
    #[schemars(with = "RowsByOutcome")]
    pub outcomes: Tally,
}

impl StatusOutput {
    /// The text for people. See [`Overview::text`].
    pub fn text(&self, width: Option<u16>) -> String {
        match self {
            Self::Overview(overview) => overview.text(width),
            Self::Detail(detail) => detail.text(),
        }
    }
}

impl Detail {
    /// The text for people.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        let figures = &self.figures;
        figures.head(&mut text);
        figures.outcomes(&mut text);
        let (left, all) = (count(self.requests_left), count(self.requests));
        text.figure("requests left", &format!("{left} of {all}"));
        let runner = match self.runner {
            RunnerPresence::Present => "a process is sending this run",
            RunnerPresence::Absent => "none",
        };
        text.figure("runner", runner);
        if let Some(heartbeat) = &self.heartbeat {
            text.figure("pace", &heartbeat_line(heartbeat));
        }
        if let Some(pause) = &self.pause {
            let job = visible(&figures.job);
            text.figure("paused", &format!("{}: `imbulk ctl {job} resume` ends the pause", who_and_when(pause)));
        }
        if let Some(started) = &figures.started_at {
            text.figure("started", started);
        }
        if let Some(finished) = &figures.finished_at {
            text.figure("finished", finished);
        }
        if let Some(why) = &figures.stopped {
            text.stopped(why);
        }
        figures.codes(&mut text);
        figures.rejects(&mut text);
        text.into()
    }
}

impl Overview {
    /// The table for people. Cells are wrapped so that lines have no more columns than `width`, if it is known.
    pub fn text(&self, width: Option<u16>) -> String {
        if self.runs.is_empty() {
            return match self.runner {
                RunnerPresence::Present => {
                    "no runs yet, but a process owns the queue: it may be loading the first one\n"
                }
                RunnerPresence::Absent => "no runs yet: imbulk plan JOB loads one\n",
            }
            .to_owned();
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        table.set_header(["job", "run", "on", "state", "rows", "ended", "failed", "stopped"]);
        table.add_rows(self.runs.iter().map(RunStatus::cells));
        for column in [4, 5, 6] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().map(|line| line.trim().to_owned() + "\n").collect()
    }
}

/// A heartbeat for programs.
#[derive(Serialize, JsonSchema)]
struct HeartbeatFigures {
    /// When the process stored it.
    #[schemars(with = "DateTime")]
    at: String,
    /// Items that got their outcome, per second.
    items_per_second: f64,
    /// Calls begun, per second.
    calls_per_second: f64,
    /// Calls that are not answered yet.
    in_flight: u64,
    /// What limits the speed, in words; null if it is the limits of the job.
    bottleneck: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde passes the field")]
fn heartbeat_as_json<S: Serializer>(heartbeat: &Option<Heartbeat>, serializer: S) -> Result<S::Ok, S::Error> {
    let figures = heartbeat.as_ref().map(|heartbeat| HeartbeatFigures {
        at: rfc3339(heartbeat.at),
        items_per_second: heartbeat.rates.items,
        calls_per_second: heartbeat.rates.calls,
        in_flight: heartbeat.in_flight,
        bottleneck: heartbeat.bottleneck.as_ref().map(bottleneck_text),
    });
    figures.serialize(serializer)
}

impl RunStatus {
    fn cells(&self) -> [String; 8] {
        let failed = self.outcomes[Outcome::Failed] + self.outcomes[Outcome::InDoubt];
        [
            visible(&self.job).into_owned(),
            visible(&self.run).into_owned(),
            target(&self.target),
            self.state.name().to_owned(),
            count(self.rows),
            share(self.rows - self.rows.min(self.outcomes[Outcome::Pending]), self.rows),
            count(failed),
            self.stopped.as_ref().map(|why| visible(&why.text).into_owned()).unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bottleneck::{Bottleneck, ThrottledRate};
    use crate::domain::progress::Rates;
    use crate::report::testing;

    #[test]
    fn a_run_that_goes_on_shows_what_is_left_and_why_it_stopped_before() {
        let heartbeat = Heartbeat {
            at: 0,
            rates: Rates { items: 14_000.0, calls: 140.0 },
            in_flight: 7,
            bottleneck: Some(Bottleneck::Throttle {
                rate: ThrottledRate { calls_per_second: 140, resumes_in: None },
                cap: 200,
            }),
        };
        let detail = Detail {
            figures: testing::figures(),
            requests: 10_000,
            requests_left: 1,
            runner: RunnerPresence::Present,
            heartbeat: Some(heartbeat),
            pause: Some(RunPause { who: "alice@batch-1 (pid 7)".to_owned(), since: 0 }),
        };
        insta::assert_snapshot!(detail.text(), @r"
        job            purge
        run            0190e8b0-0000-7000-8000-000000000001  halted
        operation      account_delete on app 1400000001
        rows           1,000,012
          succeeded         999,000    99.9 %
          already_done          400   < 0.1 %
          failed                590   < 0.1 %
          in_doubt                8   < 0.1 %
          pending                 2   < 0.1 %
          rejected                7   < 0.1 %
          duplicate               4   < 0.1 %
          protected               1   < 0.1 %
        requests left  1 of 10,000
        runner         a process is sending this run
        pace           14,000 items/s, 140 calls/s, 7 in flight; throttled by the API: 140 of 200 calls/s
        paused         by alice@batch-1 (pid 7) since 1970-01-01T00:00:00.000Z: `imbulk ctl purge resume` ends the pause
        started        2026-11-22T01:00:05.000Z
        stopped        fuse: 812 of 1000 items failed
        codes
            70107  already_done        400  the account does not exist
            70402  failed               90  a parameter is not valid
             none  in_doubt              8  no answer that names one
        codes that imbulk does not know
            99999  failed              500
        rejected rows
          in.csv:3: `UserID` has \u{1b}[2J in it
          and 6 more
          all of them: imbulk results purge --outcome rejected
        ");
    }

    #[test]
    fn all_runs_are_in_one_table() {
        let entry = |job: &str, state, runner, pending, stopped: Option<&str>| RunStatus {
            run: "0190e8b0".to_owned(),
            job: job.to_owned(),
            operation: "account_delete",
            target: "sandbox".to_owned(),
            state,
            runner,
            stopped: stopped.map(Message::new),
            rows: 2_000,
            outcomes: [(Outcome::Pending, pending), (Outcome::Failed, 2_000 - pending)].into_iter().collect(),
        };
        let overview = Overview {
            schema: FormatVersion,
            runs: vec![
                entry("night\nly", StateName::Stopped, RunnerPresence::Absent, 500, Some("signal")),
                entry("purge", StateName::Sending, RunnerPresence::Present, 2_000, None),
                entry("purge", StateName::Finished, RunnerPresence::Absent, 0, None),
            ],
            runner: RunnerPresence::Present,
        };
        insta::assert_snapshot!(overview.text(None), @r"
        job        run       on           state      rows    ended  failed  stopped
        night\nly  0190e8b0  the sandbox  stopped   2,000   75.0 %   1,500  signal
        purge      0190e8b0  the sandbox  sending   2,000    0.0 %       0
        purge      0190e8b0  the sandbox  finished  2,000  100.0 %   2,000
        ");
        let narrow = overview.text(Some(60));
        assert!(narrow.lines().all(|line| line.len() <= 60) && narrow.contains("2,000"), "{narrow}");
        assert!(narrow.lines().count() > 4, "cells are wrapped: {narrow}");
        let none = |runner| Overview { schema: FormatVersion, runs: Vec::new(), runner }.text(None);
        insta::assert_snapshot!(none(RunnerPresence::Absent), @"no runs yet: imbulk plan JOB loads one");
        let loading = "no runs yet, but a process owns the queue: it may be loading the first one\n";
        assert_eq!(none(RunnerPresence::Present), loading);
    }
}

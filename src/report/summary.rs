//! The text at the end of a run, and the same for programs.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::figures::Figures;
use super::text::{Text, count, counted, duration, rate, visible};
use crate::domain::call_counts::CallCounts;
use crate::domain::operation::{ItemsBefore, by_name};
use crate::domain::response::outcome::Outcome;

/// Of this number of items at least one exists, if app and column are right.
const SUSPICIOUS: u64 = 20;

/// What a session did with a run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// The state of the run.
    #[serde(flatten)]
    pub figures: Figures,
    /// What was done in this session.
    pub session: SessionFigures,
}

/// What was done from the start of the program to its end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct SessionFigures {
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    #[schemars(with = "f64")]
    pub took: Duration,
    /// Its calls.
    #[serde(flatten)]
    pub calls: CallCounts,
    /// Rows that got their outcome.
    pub rows: u64,
}

impl SessionFigures {
    /// Rows that got their outcome in a second, over the whole session.
    pub fn rows_per_second(&self) -> f64 {
        if self.took.is_zero() {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of rows stay far below 2^53")]
        let rows = self.rows as f64;
        rows / self.took.as_secs_f64()
    }
}

fn as_seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

impl Summary {
    /// The text for people.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        let figures = &self.figures;
        figures.head(&mut text);
        figures.outcomes(&mut text);
        figures.codes(&mut text);
        figures.rejects(&mut text);
        text.figure("took", &self.took());
        if let Some(why) = &figures.stopped {
            text.stopped(why);
        }
        if let Some(note) = nothing_existed(figures) {
            text.figure("note", &note);
        }
        let steps = next_steps(figures);
        if !steps.is_empty() {
            text.line("next");
            steps.iter().for_each(|step| text.line(&format!("  {step}")));
        }
        text.into()
    }

    fn took(&self) -> String {
        let SessionFigures { took, calls, rows } = self.session;
        let calls = counted(calls.calls, "call", "calls");
        let rows = counted(rows, "row", "rows");
        let speed = rate(self.session.rows_per_second());
        format!("{}, {calls} sent, {rows} ended ({speed}/s)", duration(took))
    }
}

/// A wrong app or column looks like a perfect night: every outcome is `already_done`.
fn nothing_existed(figures: &Figures) -> Option<String> {
    let rows = |outcome: Outcome| figures.outcomes[outcome];
    let others = rows(Outcome::Succeeded) + rows(Outcome::Failed) + rows(Outcome::InDoubt);
    if others > 0 || rows(Outcome::AlreadyDone) < SUSPICIOUS {
        return None;
    }
    let operation = by_name(figures.operation)?;
    if operation.items_before == ItemsBefore::Missing {
        return None;
    }
    let pairs = operation.shape.from.is_some();
    let (all, what) = (count(rows(Outcome::AlreadyDone)), if pairs { "friendships" } else { "accounts" });
    let sent = if rows(Outcome::Pending) > 0 { " that were sent" } else { "" };
    Some(format!("none of the {all} {what}{sent} existed: is this the right app and column?"))
}

/// What the user can do now.
fn next_steps(figures: &Figures) -> Vec<String> {
    let job = visible(&figures.job);
    let rows = |outcome: Outcome| figures.outcomes[outcome];
    let mut steps = Vec::new();
    if rows(Outcome::Pending) > 0 {
        let left = counted(rows(Outcome::Pending), "row is", "rows are");
        steps.push(format!("{left} left: the next `imbulk run` of the job, without --again, sends them"));
    }
    if rows(Outcome::Failed) > 0 {
        steps.push(format!("imbulk results {job} --outcome failed     shows which rows failed, and why"));
        steps.push(format!("imbulk retry {job}                        makes these rows pending again"));
    }
    if rows(Outcome::InDoubt) > 0 {
        steps.push(format!("imbulk results {job} --outcome in_doubt   shows rows whose effect is unknown"));
        steps.push(format!("imbulk retry {job} --outcome in_doubt     sends them again"));
    }
    if rows(Outcome::Rejected) > 0 {
        steps.push(format!(
            "imbulk results {job} --outcome rejected   correct these rows: the file can be used as input"
        ));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::state::StateName;
    use crate::report::testing;

    fn summary() -> Summary {
        Summary {
            figures: testing::figures(),
            session: SessionFigures {
                took: Duration::from_secs(200),
                calls: CallCounts { calls: 1_234, throttles: 5, fullest_second: 99 },
                rows: 1_000_000,
            },
        }
    }

    #[test]
    fn a_run_with_every_outcome_shows_all_of_it() {
        insta::assert_snapshot!(summary().text(), @r"
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
        took           3 min 20 s, 1,234 calls sent, 1,000,000 rows ended (5,000/s)
        stopped        fuse: 812 of 1000 items failed
        next
          2 rows are left: the next `imbulk run` of the job, without --again, sends them
          imbulk results purge --outcome failed     shows which rows failed, and why
          imbulk retry purge                        makes these rows pending again
          imbulk results purge --outcome in_doubt   shows rows whose effect is unknown
          imbulk retry purge --outcome in_doubt     sends them again
          imbulk results purge --outcome rejected   correct these rows: the file can be used as input
        ");
    }

    #[test]
    fn the_json_of_a_run_names_every_outcome() {
        let Summary { figures, session } = summary();
        let figures = Figures { codes: Vec::new(), ..figures };
        insta::assert_json_snapshot!(Summary { figures, session }, @r#"
        {
          "schema": 1,
          "run": "0190e8b0-0000-7000-8000-000000000001",
          "job": "purge",
          "operation": "account_delete",
          "target": "1400000001",
          "state": "halted",
          "stopped": "fuse: 812 of 1000 items failed",
          "rows": 1000012,
          "carried_over": null,
          "items": 1000000,
          "created_at": "2026-11-22T01:00:00.000Z",
          "started_at": "2026-11-22T01:00:05.000Z",
          "finished_at": null,
          "outcomes": {
            "succeeded": 999000,
            "already_done": 400,
            "failed": 590,
            "in_doubt": 8,
            "pending": 2,
            "rejected": 7,
            "duplicate": 4,
            "protected": 1
          },
          "codes": [],
          "rejects": [
            {
              "source": "in.csv",
              "line": 3,
              "column": "UserID",
              "reason": "`UserID` has \u001b[2J in it"
            }
          ],
          "session": {
            "seconds": 200.0,
            "calls": 1234,
            "throttles": 5,
            "fullest_second": 99,
            "rows": 1000000
          }
        }
        "#);
    }

    #[test]
    fn the_json_of_a_run_names_every_code() {
        let json = serde_json::to_value(summary()).unwrap();
        insta::assert_json_snapshot!(json["codes"], @r#"
        [
          {
            "code": 99999,
            "outcome": "failed",
            "rows": 500,
            "meaning": null
          },
          {
            "code": 70107,
            "outcome": "already_done",
            "rows": 400,
            "meaning": "the account does not exist"
          },
          {
            "code": 70402,
            "outcome": "failed",
            "rows": 90,
            "meaning": "a parameter is not valid"
          },
          {
            "code": null,
            "outcome": "in_doubt",
            "rows": 8,
            "meaning": null
          }
        ]
        "#);
    }

    #[test]
    fn a_run_in_which_nothing_existed_says_so() {
        let note = |operation, counts: &[(Outcome, u64)]| {
            let outcomes = counts.iter().copied().collect();
            nothing_existed(&Figures { operation, outcomes, ..testing::figures() })
        };
        let all = [(Outcome::AlreadyDone, 3_000), (Outcome::Rejected, 7), (Outcome::Duplicate, 1)];
        assert_eq!(
            note("account_delete", &all).as_deref(),
            Some("none of the 3,000 accounts existed: is this the right app and column?")
        );
        let some = [(Outcome::AlreadyDone, 20), (Outcome::Pending, 5)];
        assert_eq!(
            note("friend_delete", &some).as_deref(),
            Some("none of the 20 friendships that were sent existed: is this the right app and column?")
        );
        assert_eq!(note("account_delete", &[(Outcome::AlreadyDone, 19)]), None);
        assert_eq!(note("friend_import", &all), None, "what is imported existed before");
        for other in [Outcome::Succeeded, Outcome::Failed, Outcome::InDoubt] {
            assert_eq!(note("account_delete", &[(Outcome::AlreadyDone, 3_000), (other, 1)]), None);
        }
    }

    #[test]
    fn a_clean_run_says_no_more_than_it_must() {
        let mut figures = testing::figures();
        figures.outcomes = [(Outcome::Succeeded, 3)].into_iter().collect();
        figures.rows = 3;
        figures.codes.clear();
        figures.rejects.0.clear();
        figures.stopped = None;
        figures.state = StateName::Finished;
        let session = SessionFigures {
            took: Duration::ZERO,
            calls: CallCounts { calls: 1, throttles: 0, fullest_second: 1 },
            rows: 3,
        };
        insta::assert_snapshot!(Summary { figures, session }.text(), @r"
        job            purge
        run            0190e8b0-0000-7000-8000-000000000001  finished
        operation      account_delete on app 1400000001
        rows           3
          succeeded               3   100.0 %
        took           0 ms, 1 call sent, 3 rows ended (0.0/s)
        ");
    }
}

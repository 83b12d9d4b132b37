//! Figures that several tests of texts share.

use super::figures::{Figures, Rejects};
use super::job_result::JobResult;
use super::json::FormatVersion;
use super::state::StateName;
use crate::domain::exit::Exit;
use crate::domain::hint::Message;
use crate::domain::job::{Notify, Reporting};
use crate::domain::response::outcome::Outcome;
use crate::queue::{CodeRows, Rejected};

/// A run with every outcome and something hostile in it.
pub(super) fn figures() -> Figures {
    let code = |outcome, code, rows| CodeRows { outcome, code, rows };
    Figures {
        schema: FormatVersion,
        run: "0190e8b0-0000-7000-8000-000000000001".to_owned(),
        job: "purge".to_owned(),
        operation: "account_delete",
        target: "1400000001".parse().unwrap(),
        state: StateName::Halted,
        stopped: Some(Message::new("fuse: 812 of 1000 items failed")),
        rows: 1_000_012,
        items: 1_000_000,
        carried_over: None,
        created_at: "2026-11-22T01:00:00.000Z".to_owned(),
        started_at: Some("2026-11-22T01:00:05.000Z".to_owned()),
        finished_at: None,
        outcomes: Outcome::ALL.into_iter().zip([999_000, 400, 590, 8, 2, 7, 4, 1]).collect(),
        codes: vec![
            code(Outcome::Failed, Some(99_999), 500),
            code(Outcome::AlreadyDone, Some(70_107), 400),
            code(Outcome::Failed, Some(70_402), 90),
            code(Outcome::InDoubt, None, 8),
        ],
        rejects: Rejects(vec![Rejected {
            source: "in.csv".to_owned(),
            line: 3,
            column: Some("UserID".to_owned()),
            reason: "`UserID` has \u{1b}[2J in it".to_owned(),
        }]),
    }
}

/// What is known of a job before a command has done anything.
pub(crate) fn job_result(name: &str) -> JobResult {
    JobResult {
        job: name.to_owned(),
        operation: "account_delete",
        target: "1400000001".parse().unwrap(),
        reporting: Reporting::default(),
        notify: Notify::default(),
        begun: Vec::new(),
        summaries: Vec::new(),
        finished_before: None,
        error: None,
        exit: Exit::Done,
        is_over: false,
    }
}

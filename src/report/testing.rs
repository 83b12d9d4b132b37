//! What tests of this room share: figures, and a real queue in a folder of its own.

use tempfile::TempDir;

use super::figures::{Figures, Rejects};
use super::state::StateName;
use crate::domain::account::UserId;
use crate::domain::line_span::LineSpan;
use crate::domain::operation::DeleteType;
use crate::domain::request::{Item, Request};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::settlement::Settlement;
use crate::domain::response::verdict::{Verdict, Verdicts};
use crate::domain::skipped_row::SkippedRow;
use crate::queue::{CodeRows, Loader, NewRun, Queue, Reader, Rejected, Run, Write};
use crate::stored_request::StoredRequest;

/// A run with every outcome and something hostile in it.
pub(super) fn figures() -> Figures {
    let code = |outcome, code, rows| CodeRows { outcome, code, rows };
    Figures {
        run: "0190e8b0-0000-7000-8000-000000000001".to_owned(),
        job: "purge".to_owned(),
        operation: "account_delete",
        target: "1400000001".to_owned(),
        state: StateName::Halted,
        stopped: Some("fuse: 812 of 1000 items failed".to_owned()),
        rows: 1_000_012,
        items: 1_000_000,
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

/// A queue with one run.
pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) queue: Queue,
    pub(super) reader: Reader,
    pub(super) run: Run,
}

/// What the run is loaded with.
#[derive(Default)]
pub(super) struct Load {
    pub(super) requests: Vec<(Option<UserId>, Vec<Item>)>,
    pub(super) skipped_rows: Vec<SkippedRow>,
    pub(super) line_spans: Vec<LineSpan>,
    pub(super) sources: Vec<String>,
    pub(super) tags: Vec<String>,
}

impl Bench {
    /// Loads a run of the job `job` and begins it.
    pub(super) async fn new(operation: &'static str, load: Load) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(&folder.path().join("q.db")).await.unwrap();
        let run = NewRun {
            uuid: "0190e8b0-0000-7000-8000-000000000001".to_owned(),
            job: "job".to_owned(),
            target: "sandbox".to_owned(),
            operation,
            delete_type: DeleteType::Single,
            definition: String::new(),
            digest: String::new(),
            protected: String::new(),
            files: Vec::new(),
            stamp: String::new(),
            sources: load.sources,
            created_at: 0,
        };
        let mut loader = Loader::begin(&mut queue, &run).await.unwrap();
        for span in load.line_spans {
            loader.line_span(span).await.unwrap();
        }
        for (from, items) in &load.requests {
            loader.request(StoredRequest::encode(from.as_ref(), items)).await.unwrap();
        }
        for skipped in load.skipped_rows {
            loader.skipped_row(skipped).await.unwrap();
        }
        let id = loader.finish(&load.tags).await.unwrap();
        let reader = queue.reader().await.unwrap();
        queue.begin(id, 1_000).await.unwrap();
        let run = reader.runs().await.unwrap().remove(0);
        Self { folder, queue, reader, run }
    }

    /// Pending requests.
    pub(super) async fn pending(&self) -> Vec<Request> {
        self.reader.page(self.run.id, 0, i64::MAX, 10_000).await.unwrap()
    }

    /// Sends a request, and records these verdicts at the moment `now`.
    pub(super) async fn exchange(&mut self, mut request: Request, verdicts: Vec<Verdict>, now: i64) {
        self.queue.write(vec![Write::Intend(vec![request.id])], now).await.unwrap();
        request.attempts += 1;
        let settlement = Settlement::new("account_delete", request, Verdicts::Each(verdicts));
        let run = self.run.id;
        self.queue.write(vec![Write::Record { run, settlement }], now).await.unwrap();
    }
}

/// An id that keeps the rules.
pub(super) fn id(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

//! A real queue in a temporary folder, for the unit tests of several modules.

use crate::domain::ids::RequestId;
use tempfile::TempDir;

use crate::domain::change::Change;
use crate::domain::operation::{BoundOperation, JobOption, by_name};
use crate::domain::request::account::UserId;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::skipped_row::SkippedRow;
use crate::domain::request::{Item, Request};
use crate::domain::response::settlement::Settlement;
use crate::domain::response::verdict::{Verdict, Verdicts};
use crate::domain::target::RunTarget;
use crate::queue::{Loader, NewRun, Queue, Reader, Run};
use crate::stored_request::StoredRequest;

/// A queue with one run.
pub(crate) struct TestQueue {
    pub(crate) folder: TempDir,
    pub(crate) queue: Queue,
    pub(crate) reader: Reader,
    pub(crate) run: Run,
}

/// What the run is loaded with.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) requests: Vec<(Option<UserId>, Vec<Item>)>,
    pub(crate) skipped_rows: Vec<SkippedRow>,
    pub(crate) line_spans: Vec<LineSpan>,
    pub(crate) sources: Vec<String>,
    pub(crate) fields: Vec<String>,
}

/// The operation with the first value of each option.
fn bound(operation: &str) -> BoundOperation {
    let operation = by_name(operation).unwrap();
    let first = |option: &JobOption| (option.name.to_owned(), option.values[0].name.to_owned());
    operation.bind(&operation.options.iter().map(first).collect()).unwrap()
}

impl TestQueue {
    /// Loads a run of the job `job` and begins it.
    pub(crate) async fn new(operation: &'static str, load: Load) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut queue = Queue::open(&folder.path().join("q.db")).await.unwrap();
        let run = NewRun {
            uuid: "0190e8b0-0000-7000-8000-000000000001".to_owned(),
            job: "job".to_owned(),
            target: RunTarget::Sandbox,
            operation: bound(operation),
            definition_digest: String::new(),
            input_digest: String::new(),
            protected_digest: String::new(),
            files: Vec::new(),
            file_stamps: None,
            sources: load.sources,
            carries: None,
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
        let id = loader.finish(&load.fields).await.unwrap();
        let reader = queue.reader().await.unwrap();
        queue.begin(id, 1_000, None).await.unwrap();
        let run = reader.runs().await.unwrap().remove(0);
        Self { folder, queue, reader, run }
    }

    /// Pending requests.
    pub(crate) async fn pending(&self) -> Vec<Request> {
        self.reader.page(self.run.id, RequestId::BEFORE_FIRST, RequestId::MAX, 10_000).await.unwrap()
    }

    /// Sends a request, and records these verdicts at the moment `now`.
    pub(crate) async fn record_call(&mut self, mut request: Request, verdicts: Vec<Verdict>, now: i64) {
        self.queue.write(vec![Change::Intend(vec![request.id])], now).await.unwrap();
        request.calls += 1;
        let settlement = Settlement::new(by_name("account_delete").unwrap(), request, Verdicts::Each(verdicts));
        let run = self.run.id;
        self.queue.write(vec![Change::Record { run, settlement }], now).await.unwrap();
    }
}

/// An id that keeps the rules.
pub(crate) fn id(text: &str) -> UserId {
    UserId::new(text).unwrap()
}

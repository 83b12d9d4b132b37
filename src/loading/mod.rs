//! Loads an input: rows become requests, which the queue stores as a planned run.
//!
//! Two threads and the caller form a pipeline. The first thread reads and checks rows (`read_sources`). The second
//! numbers them, groups them by account and packs them into requests (`read`). The caller stores these (`store`).
//! Bounded channels connect them, so that memory stays bounded and two processors are busy nearly all the time.

mod batches;
mod carry;

use crate::domain::ids::RunId;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::guard::Protected;
use crate::domain::hint::Hint;
use crate::domain::job::Job;
use crate::domain::progress::{Phase, ProgressSnapshot};
use crate::domain::source_facts::SourceFacts;
use crate::input::{InputError, ReadProgress, Source, count_reads};
use crate::intake::{Intake, IntakeError, IntakeOptions, IntakeOutput, SinkClosed};
use crate::queue::{BatchInsert, CarriedRow, Gathering, Loader, NewRun, Queue, QueueError, Reader};
use batches::{Batches, RowBatch};
use carry::{Carrying, PAGES, pass_on};

/// Batches of rows between the reading thread and the intake thread.
const ROW_BATCHES: usize = 8;
/// Batches of outputs between the intake thread and the queue, enough to absorb the bursts of both.
const CHANNEL: usize = 8;
/// Outputs per batch.
const OUTPUTS_PER_BATCH: usize = 1024;
/// Bytes per batch of outputs: together with the channel at most about 10 MiB wait.
const BATCH_BYTES: usize = 1 << 20;
/// The interval between two snapshots of the progress.
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// Why an input could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file can't be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Temporary data can't be written, or rows do not add up.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The queue can't take them.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The thread that groups rows panicked.
    #[error("the thread that groups rows ended early: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

impl Hint for LoadError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Input(error) => error.hint(),
            Self::Intake(error) => error.hint(),
            Self::Queue(error) => error.hint(),
            Self::Thread(_) => Some("please report this".into()),
        }
    }
}

/// What is read, and by which rules.
#[derive(Debug)]
pub struct LoadSpec {
    /// The job, for its operation and the rules of its input.
    pub job: Job,
    /// The files, in their order.
    pub sources: Vec<Source>,
    /// The accounts that are never sent.
    pub protected: Arc<Protected>,
    /// The folder for rows that do not fit in memory: that of the queue.
    pub temp_dir: PathBuf,
}

/// What the progress of a load is computed from.
#[derive(Debug, Default)]
struct LoadProgress {
    /// Rows that intake has taken.
    rows: AtomicU64,
    /// Bytes of the input that were read.
    bytes: Arc<ReadProgress>,
    /// Whether all rows were read.
    is_read: AtomicBool,
}

impl LoadProgress {
    /// `packed`: rows in the outputs of intake so far.
    fn now(&self, packed: u64, elapsed: Duration) -> (Phase, ProgressSnapshot) {
        let rows = self.rows.load(Ordering::Relaxed);
        let snapshot = ProgressSnapshot { elapsed, ..ProgressSnapshot::default() };
        if self.is_read.load(Ordering::Acquire) {
            let rows_total = Some(rows);
            (Phase::Packing, ProgressSnapshot { rows_done: packed, rows_total, units: packed, ..snapshot })
        } else {
            let bytes = self.bytes.bytes();
            (Phase::Loading, ProgressSnapshot { rows_done: rows, bytes, units: rows, ..snapshot })
        }
    }
}

/// Receives the phase, and a snapshot of its progress, a few times per second.
pub type ProgressWatch<'w> = dyn FnMut(Phase, &ProgressSnapshot) + Send + 'w;

/// Loads a new run. The rows that it takes over from an earlier run come first.
pub async fn load(
    queue: &mut Queue,
    run: &NewRun,
    mut spec: LoadSpec,
    watch: &mut ProgressWatch<'_>,
) -> Result<RunId, LoadError> {
    let progress = Arc::new(LoadProgress::default());
    count_reads(&mut spec.sources, &progress.bytes);
    // A queue without a run cannot be read while it is written to.
    let reader = if run.carries.is_some() { Some(queue.reader().await?) } else { None };
    let mut loader = Loader::begin(queue, run).await?;
    let error = match fill(&mut loader, run, spec, (reader.as_ref(), &progress), watch).await {
        Ok(read) => {
            loader.describe_input(&read.facts).await?;
            return Ok(loader.finish(&read.fields).await?);
        }
        Err(error) => error,
    };
    // The next start repeats a cleanup that fails here.
    match loader.abandon().await {
        Ok(()) => Err(error),
        Err(second) => {
            tracing::warn!(%error, %second, "the interrupted load could not be removed at once");
            Err(after_failed_cleanup(error, second))
        }
    }
}

/// The error of a load whose cleanup failed as well. A session with several jobs goes on after an error of one input.
/// It must not go on with this queue, on which SQLite may still skip its checks.
fn after_failed_cleanup(error: LoadError, second: QueueError) -> LoadError {
    match error {
        LoadError::Input(_) => second.into(),
        LoadError::Intake(_) | LoadError::Queue(_) | LoadError::Thread(_) => error,
    }
}

/// Reads all rows and stores what intake makes of them.
async fn fill(
    loader: &mut Loader<'_>,
    run: &NewRun,
    spec: LoadSpec,
    (reader, progress): (Option<&Reader>, &Arc<LoadProgress>),
    watch: &mut ProgressWatch<'_>,
) -> Result<Read, LoadError> {
    let (to_thread, carried) = mpsc::channel(PAGES);
    let carrying = match run.carries.as_ref().zip(reader) {
        Some((source, reader)) => Some(Carrying::begin(loader, reader, source, spec.sources.len()).await?),
        None => None,
    };
    let (sender, receiver) = mpsc::channel(CHANNEL);
    let of_reader = Arc::clone(progress);
    let thread = tokio::task::spawn_blocking(move || read(&spec, carried, &of_reader, &sender));
    let carry = async move {
        match carrying {
            Some(carrying) => carrying.send(to_thread).await,
            None => Ok(()),
        }
    };
    let (carried, stored) = tokio::join!(carry, store(loader, receiver, progress, watch));
    // The channels are closed by now, so the thread ends. Its own error explains more than a closed channel does.
    match (thread.await?, carried.and(stored)) {
        (Ok(read), Ok(())) => Ok(read),
        (Err(LoadError::Intake(IntakeError::Closed(_))) | Ok(_), Err(error)) => Err(error.into()),
        (Err(error), _) => Err(error),
    }
}

/// Stores the outputs of intake. The next statement is built while SQLite executes the last one.
async fn store(
    loader: &mut Loader<'_>,
    batches: mpsc::Receiver<Vec<IntakeOutput>>,
    progress: &LoadProgress,
    watch: &mut ProgressWatch<'_>,
) -> Result<(), QueueError> {
    let (gathering, writer) = loader.halves();
    let (to_writer, mut inserts) = mpsc::channel(1);
    let write = async move {
        while let Some(insert) = inserts.recv().await {
            writer.insert(insert).await?;
        }
        Ok(())
    };
    let (written, ()) = tokio::join!(write, gather(gathering, batches, to_writer, progress, watch));
    written
}

/// Builds statements from outputs. Ends with the last batch, or once the writer is closed.
async fn gather(
    gathering: &mut Gathering,
    mut batches: mpsc::Receiver<Vec<IntakeOutput>>,
    to_writer: mpsc::Sender<BatchInsert>,
    progress: &LoadProgress,
    watch: &mut ProgressWatch<'_>,
) {
    let mut ticker = tokio::time::interval(WATCH_EVERY);
    let started = Instant::now();
    let mut packed = 0;
    loop {
        let batch = tokio::select! {
            received = batches.recv() => match received {
                Some(batch) => batch,
                None => return,
            },
            _ = ticker.tick() => {
                let (phase, snapshot) = progress.now(packed, started.elapsed());
                watch(phase, &snapshot);
                continue;
            }
            () = to_writer.closed() => return,
        };
        for output in batch {
            packed += rows_of(&output);
            let full = match output {
                IntakeOutput::Request(request) => gathering.request(request),
                IntakeOutput::Skipped(skipped) => gathering.skipped_row(skipped),
                IntakeOutput::LineSpan(span) => gathering.line_span(span),
            };
            if let Some(full) = full
                && to_writer.send(full).await.is_err()
            {
                return;
            }
        }
    }
}

fn rows_of(output: &IntakeOutput) -> u64 {
    match output {
        IntakeOutput::Request(request) => request.row_count.into(),
        IntakeOutput::Skipped(_) => 1,
        IntakeOutput::LineSpan(_) => 0,
    }
}

/// What is known of the input after all of it was read.
struct Read {
    /// The fields that its rows set.
    fields: Vec<String>,
    /// The facts of each source, in order.
    facts: Vec<SourceFacts>,
}

/// Reads all rows and sends the requests and skipped rows that intake makes of them.
fn read(
    spec: &LoadSpec,
    carried: mpsc::Receiver<Vec<CarriedRow>>,
    progress: &LoadProgress,
    sender: &mpsc::Sender<Vec<IntakeOutput>>,
) -> Result<Read, LoadError> {
    let LoadSpec { job, sources, protected, temp_dir } = spec;
    let shape = job.operation.shape;
    let protects = |id: &[u8]| protected.protects(id);
    let plan = IntakeOptions {
        shape,
        items_per_request: u32::try_from(job.operation.items_per_request)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN),
        protects: &protects,
        temp_dir,
        expected_bytes: sources.iter().map(Source::size).sum(),
        memory: crate::intake::MAX_ROW_BYTES_IN_MEMORY,
        body_bytes: crate::stored_request::BODY_BYTES,
    };
    let mut fields = BTreeSet::new();
    let mut outgoing = OutputBatches { sender, batch: Vec::new(), bytes: 0 };
    let sink = |output: IntakeOutput| {
        collect_fields(&mut fields, &output);
        outgoing.push(output)
    };
    let mut intake = Intake::new(plan, sink);
    let (to_intake, batches) = sync_channel(ROW_BATCHES);
    let facts = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read_sources(spec, carried, &to_intake));
        let taken = batches.iter().try_for_each(|batch| take(&mut intake, batch, &progress.rows));
        // After an error in intake the reading thread must not wait for a receiver.
        drop(batches);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        taken.map_err(LoadError::from).and(read.map_err(LoadError::from))
    })?;
    progress.is_read.store(true, Ordering::Release);
    intake.finish()?;
    outgoing.flush().map_err(IntakeError::from)?;
    Ok(Read { fields: fields.into_iter().collect(), facts })
}

/// Reads the carried rows and all sources, or until the receiver is closed.
fn read_sources(
    spec: &LoadSpec,
    carried: mpsc::Receiver<Vec<CarriedRow>>,
    to: &SyncSender<RowBatch>,
) -> Result<Vec<SourceFacts>, InputError> {
    let shape = spec.job.operation.shape;
    let mut facts = Vec::new();
    if pass_on(carried, to).is_break() {
        return Ok(facts);
    }
    for (number, source) in (0..).zip(&spec.sources) {
        let mut batches = Batches::new(number, to);
        facts.push(source.read(&shape, &spec.job.input, &mut |row| batches.push(row))?);
        if batches.flush().is_break() {
            break;
        }
    }
    Ok(facts)
}

fn take<S>(intake: &mut Intake<'_, S>, batch: RowBatch, rows: &AtomicU64) -> Result<(), IntakeError>
where
    S: FnMut(IntakeOutput) -> Result<(), SinkClosed>,
{
    rows.fetch_add(batch.len() as u64, Ordering::Relaxed);
    let source = batch.source;
    batch.each(|row| match row {
        Ok(row) => intake.row(source, row),
        Err(rejected) => intake.reject(source, rejected),
    })
}

/// Sends outputs in batches: passing single requests would cost more than storing them.
struct OutputBatches<'a> {
    sender: &'a mpsc::Sender<Vec<IntakeOutput>>,
    batch: Vec<IntakeOutput>,
    bytes: usize,
}

impl OutputBatches<'_> {
    fn push(&mut self, output: IntakeOutput) -> Result<(), SinkClosed> {
        if let IntakeOutput::Request(request) = &output {
            self.bytes += request.accounts.len() + request.rows.len() + request.fields.as_ref().map_or(0, String::len);
        }
        self.batch.push(output);
        if self.batch.len() >= OUTPUTS_PER_BATCH || self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), SinkClosed> {
        self.bytes = 0;
        self.sender.blocking_send(std::mem::take(&mut self.batch)).map_err(|_| SinkClosed)
    }
}

fn collect_fields(fields: &mut BTreeSet<String>, output: &IntakeOutput) {
    match output {
        IntakeOutput::Request(request) => {
            let lists = request.fields.as_deref().map(serde_json::from_str::<Vec<Vec<BTreeMap<&str, &RawValue>>>>);
            for field in lists.into_iter().flatten().flatten().flatten().flat_map(BTreeMap::into_keys) {
                if !fields.contains(field) {
                    fields.insert(field.to_owned());
                }
            }
        }
        IntakeOutput::Skipped(skipped) => fields.extend(skipped.fields.keys().map(ToString::to_string)),
        IntakeOutput::LineSpan(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::spool;

    #[test]
    fn no_job_goes_on_with_a_queue_whose_checks_may_be_off() {
        let second = || QueueError::Damaged("x".to_owned());
        let input = spool("rows.csv", &b""[..], "/no/such/folder".as_ref()).unwrap_err().into();
        assert!(matches!(after_failed_cleanup(input, second()), LoadError::Queue(QueueError::Damaged(_))));
        let first = QueueError::Unexpected("y".to_owned()).into();
        assert!(matches!(after_failed_cleanup(first, second()), LoadError::Queue(QueueError::Unexpected(_))));
    }
}

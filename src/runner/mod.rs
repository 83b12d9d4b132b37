//! The runner: carries out what the schedule decides, and reports to it what happened.
//!
//! One loop handles one event at a time. All slow work runs concurrently and ends in an event: the recorder owns the
//! writing side of the queue, each request in flight has a sender, and each page has a reader.

mod backup_writer;
mod control;
mod deadline;
mod failed_backup;
mod heartbeat;
mod ledger_watch;
mod progress;
mod queue_watch;
mod reading;
mod recorder;
mod sender;
mod signals;
#[cfg(test)]
mod tests;
mod time_series;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::api::{Client, Renewal};
use crate::domain::call_counts::{CallCounter, CallCounts};
use crate::domain::change::{Change, Changed};
use crate::domain::hint::{Hint, Message};
use crate::domain::ids::{RequestId, RunId};
use crate::domain::progress::ProgressSnapshot;
use crate::domain::rate_limit::Cap;
use crate::domain::request::{AccountKeys, CallKind, Request};
use crate::domain::response::codes::{Pause, RenewFallback, Scope};
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::schedule::{
    Action, CallToSend, Event, JobNo, Schedule, ScheduleTime, ScheduledJob, StopReason, StopScope, StopSignal,
    StoredStops,
};
use crate::domain::session_control::JobCommand;
use crate::domain::session_state::AppStop;
use crate::queue::{ControlFile, Loss, Queue, QueueError, Reader};
use crate::rate_limiter::{CommandLimiter, LedgerError};
pub use backup_writer::{BackupError, BackupWriter, check_folder};
use control::RunControl;
pub use deadline::Deadline;
use heartbeat::Heartbeats;
use ledger_watch::LedgerState;
use progress::AppMeter;
use queue_watch::QueueWatch;
use recorder::Recorder;
use sender::{HoldBack, Sender};
pub use signals::Signals;
use time_series::SeriesOfJobs;

/// How often the watcher receives a progress snapshot.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// How long a session that ends with an error may take to store what it knows.
const TO_STORE: Duration = Duration::from_secs(2);
/// How long calls in flight may take to end once the queue or the ledger is lost, so that the process ends within two
/// seconds. The outcomes of a queue that was moved are in the moved file.
const CALLS_END_AFTER_LOSS: Duration = Duration::from_secs(1);
/// The most events between two looks at timers.
const AT_ONCE: usize = 64;

/// A job of this session: what the loop needs in addition to the schedule.
#[derive(Debug)]
pub struct RunnerJob {
    /// The last of its requests that may be sent. Requests that are split off later have higher numbers.
    pub last_request: RequestId,
    /// Whether others are kept back (`--limit`). Then what a killed process left in flight is kept back, too.
    pub has_item_limit: bool,
    /// The id of its run.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Says in words why a job stops.
    pub explain_stop: fn(&StopReason) -> Message,
    /// The calls per second of the job file; a rate that a person set may be lower.
    pub max_rate: NonZeroU32,
    /// What the schedule needs to know.
    pub scheduled: ScheduledJob,
    /// Who makes its calls.
    pub client: Arc<Client>,
    /// Decides when a change may be sent.
    pub limiter: CommandLimiter,
    /// The commands of its calls that only read.
    pub reading: Vec<ReadOnlyCommand>,
    /// Writes its backup, if it has one.
    pub backup: Option<BackupWriter>,
}

/// A command of a job that only reads.
#[derive(Debug)]
pub struct ReadOnlyCommand {
    /// The calls that it serves.
    pub kind: CallKind,
    /// Its path.
    pub path: &'static str,
    /// The maximum number of its calls per second.
    pub cap: NonZeroU32,
    /// Decides when a call may be sent.
    pub limiter: CommandLimiter,
}

impl ReadOnlyCommand {
    fn is_preparation(&self) -> bool {
        matches!(self.kind, CallKind::Preparation(_))
    }
}

impl RunnerJob {
    /// The path of the command of a call, and the limiter.
    fn command(&self, kind: CallKind) -> (&'static str, &CommandLimiter) {
        if kind == CallKind::Change {
            return (self.scheduled.operation.path, &self.limiter);
        }
        // A call that only reads must never be sent as a change.
        let reading = self.reading.iter().find(|reading| reading.kind == kind);
        let reading = reading.unwrap_or_else(|| panic!("{} has no command for {kind:?}", self.name));
        (reading.path, &reading.limiter)
    }

    /// Slows down the calls of a kind. A preparation is made only for its change, so it is never faster.
    fn slow(&self, kind: CallKind, scope: Scope, pause: Pause) {
        self.command(kind).1.throttled(scope, pause);
        let preparations = self.reading.iter().filter(|reading| kind == CallKind::Change && reading.is_preparation());
        // The app as a whole was slowed down already.
        preparations.for_each(|reading| reading.limiter.throttled(Scope::Command, pause));
    }

    /// Its commands, that of the change first, each with its limiter.
    fn commands(&self) -> impl Iterator<Item = (JobCommand, &CommandLimiter)> {
        let change = (JobCommand { path: self.scheduled.operation.path, cap: self.max_rate }, &self.limiter);
        let reading = self.reading.iter();
        iter::once(change).chain(reading.map(|own| (JobCommand { path: own.path, cap: own.cap }, &own.limiter)))
    }

    /// Sets the calls per second of each of its commands.
    fn set_caps(&self, caps: &[NonZeroU32]) {
        for ((_, limiter), cap) in self.commands().zip(caps) {
            limiter.set_cap(Cap::try_from(*cap).expect("the limits of a job are caps"));
        }
    }
}

/// What goes wrong in the runner itself.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The queue can't be read or written.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The queue is not the file with its name any more.
    #[error(
        "{}: {loss}: {recorded} rows of this session have an outcome in it, {unrecorded} requests in flight have none",
        queue.display()
    )]
    Lost {
        /// The queue.
        queue: PathBuf,
        /// What became of it.
        loss: Loss,
        /// Rows with an outcome in it.
        recorded: u64,
        /// Requests whose outcome could not be recorded.
        unrecorded: u64,
    },
    /// Another program kept the queue from being written for too long, or until a signal came.
    #[error(
        "{}: {}another program held the write lock of the queue: {unrecorded} requests in flight have no outcome",
        queue.display(),
        signal.map_or(String::new(), |signal| format!("stopped by the signal {} while ", signal.name()))
    )]
    Busy {
        /// The queue.
        queue: PathBuf,
        /// The signal, if one came.
        signal: Option<StopSignal>,
        /// Requests whose outcome could not be recorded.
        unrecorded: u64,
    },
    /// A backup can't be written.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The slots can't be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The same during a run: it was ended, and what was in flight recorded as far as there was time.
    #[error(
        "{source}: nothing more is sent; {recorded} rows of this session have an outcome in the queue, \
         {unrecorded} requests in flight have none"
    )]
    LedgerLost {
        /// What is wrong with the ledger.
        source: LedgerError,
        /// Rows with an outcome in the queue.
        recorded: u64,
        /// Requests whose outcome could not be recorded.
        unrecorded: u64,
    },
}

impl Hint for RunnerError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Queue(error) => error.hint(),
            Self::Backup(error) => error.hint(),
            Self::Lost { loss, .. } => loss.hint(),
            Self::Busy { queue, .. } => Some(
                format!(
                    "close that program, such as a sqlite3 shell or a backup (`fuser {}` names it), then run again: \
                     these requests are sent again",
                    queue.display()
                )
                .into(),
            ),
            Self::Ledger(error) | Self::LedgerLost { source: error, .. } => error.hint(),
        }
    }
}

/// What a session came to.
#[derive(Debug)]
pub struct SessionEnd {
    /// Why each job was stopped, if it was.
    pub stops: Vec<Option<StopReason>>,
    /// The calls of each job.
    pub calls: Vec<CallCounts>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What the concurrent work sends to the loop.
#[derive(Debug)]
enum Inbound {
    Event(Event),
    /// A call began.
    Begun {
        job: JobNo,
        request: RequestId,
        kind: CallKind,
        at: Instant,
    },
    /// The end of a call.
    Replied {
        job: JobNo,
        event: Event,
        /// How long the call took.
        took: Duration,
    },
    Broken(RunnerError),
}

/// Drives the runs to their end or until something stops them. `watch` receives a progress snapshot a few times a
/// second.
///
/// Returns the queue, for the sums to be checked.
pub async fn drive(
    mut queue: Queue,
    mut jobs: Vec<RunnerJob>,
    deadlines: &mut Vec<Deadline>,
    seed: u64,
    signals: &mut Signals,
    watch: &mut (dyn FnMut(&ProgressSnapshot) + Send),
) -> Result<(Queue, SessionEnd), RunnerError> {
    let reader = queue.reader().await?;
    let recovered = queue.recover().await?;
    let control = RunControl::new(ControlFile::of(queue.path()), reader.applied_ids().await?, &jobs);
    let (identity, busy) = (queue.identity_with_wal(), queue.busy());
    let (to_loop, inbox) = mpsc::unbounded_channel();
    let backups = jobs.iter_mut().filter_map(|job| job.backup.take()).collect();
    let recorder = Recorder::start(queue, backups, to_loop.clone());
    let calls = jobs.iter().map(|_| CallCounter::default()).collect();
    let ended = |tally: &Tally| tally.total() - tally[Outcome::Pending];
    let done_before = jobs.iter().map(|job| ended(&job.scheduled.tally)).sum();
    let schedule = Schedule::new(jobs.iter().map(|job| job.scheduled.clone()).collect(), seed);
    let heartbeats = Heartbeats::new(&jobs);
    let series = SeriesOfJobs::begin(&jobs, &reader).await?;
    let hold_back = jobs.iter().map(|_| HoldBack::new(signals.first())).collect();
    signals.set_driving(true);
    let runner = Runner {
        signals,
        ledger: LedgerState::default(),
        control,
        queue_watch: QueueWatch { identity, busy, lost: None, signalled: None, wal_reported: 0 },
        apps: schedule.app_numbers().map(|_| AppMeter::default()).collect(),
        schedule,
        deadlines,
        stored_stops: StoredStops::default(),
        jobs,
        reader,
        recorder,
        senders: JoinSet::new(),
        to_loop,
        inbox,
        hold_back,
        started: Instant::now(),
        calls,
        done_before,
        heartbeats,
        series,
        failed_backup: None,
    };
    let driven = runner.run(recovered, watch).await;
    // Also after an error: what follows must end within a limited time once a signal came.
    signals.set_driving(false);
    driven
}

struct Runner<'a> {
    signals: &'a mut Signals,
    queue_watch: QueueWatch,
    ledger: LedgerState,
    control: RunControl,
    schedule: Schedule,
    jobs: Vec<RunnerJob>,
    deadlines: &'a mut Vec<Deadline>,
    reader: Reader,
    recorder: Recorder,
    /// The calls under way.
    senders: JoinSet<()>,
    to_loop: mpsc::UnboundedSender<Inbound>,
    inbox: mpsc::UnboundedReceiver<Inbound>,
    /// For the senders of each job. After it was set, later senders get a new one.
    hold_back: Vec<HoldBack>,
    started: Instant,
    calls: Vec<CallCounter>,
    /// Rows that had their outcome before this session.
    done_before: u64,
    /// What is measured of each app.
    apps: Vec<AppMeter>,
    heartbeats: Heartbeats,
    series: SeriesOfJobs,
    /// Why each run ends, as far as it is stored.
    stored_stops: StoredStops,
    /// When a backup could not be written, and why.
    failed_backup: Option<(tokio::time::Instant, BackupError)>,
}

impl Runner<'_> {
    async fn run(
        mut self,
        recovered: Vec<(RunId, Request, AccountKeys)>,
        watch: &mut (dyn FnMut(&ProgressSnapshot) + Send),
    ) -> Result<(Queue, SessionEnd), RunnerError> {
        let job_numbers: HashMap<RunId, JobNo> =
            self.jobs.iter().enumerate().map(|(no, job)| (job.scheduled.run, no)).collect();
        for (run, request, keys) in recovered {
            let job = job_numbers.get(&run).copied().filter(|job| !self.jobs[*job].has_item_limit);
            self.handle(Event::Recovered { job, request, keys });
        }
        match self.until_the_end(watch).await {
            Ok(()) => self.finish(watch).await,
            Err(error) => Err(self.store_before_error(error).await),
        }
    }

    /// Sends until the schedule has ended, or until an error prevents it.
    async fn until_the_end(&mut self, watch: &mut (dyn FnMut(&ProgressSnapshot) + Send)) -> Result<(), RunnerError> {
        let mut ticker = tokio::time::interval(WATCH_EVERY);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.look_at_all_before_sending()?;
        while !self.schedule.is_over() {
            self.store_due_effects();
            self.recorder.hand_over();
            let timer = self.schedule.wake_at().map(|due| self.instant_of(due));
            let stops = self.stops();
            let wake_at = timer.into_iter().chain(self.recorder.due()).min().unwrap_or_else(far_away);
            tokio::select! {
                biased;
                signal = self.signals.next() => self.stop_by(signal),
                _ = ticker.tick() => {
                    self.look_at_the_clock();
                    self.look_at_the_queue()?;
                    self.look_at_the_control_file();
                    self.raise_limits_of_ended_jobs();
                    self.look_at_the_ledger()?;
                    self.look_at_the_backup()?;
                    let snapshot = self.take_snapshot();
                    self.store_progress_if_due(&snapshot);
                    watch(&snapshot);
                }
                inbound = self.inbox.recv() => {
                    self.take(inbound.unwrap_or_else(|| unreachable!("the loop holds a sender of its own")))?;
                }
                () = tokio::time::sleep_until(wake_at) => self.handle(Event::Tick),
            }
            // A person who has pressed Ctrl-C sees at once what is being waited for.
            if self.stops() != stops {
                watch(&self.take_snapshot());
            }
        }
        Ok(())
    }

    /// Stores what can still be stored before the session ends with an error, so that `imbulk status` shows it. A queue
    /// that caused the error is left alone.
    async fn store_before_error(mut self, error: RunnerError) -> RunnerError {
        match error {
            RunnerError::Backup(_) | RunnerError::LedgerLost { .. } => {
                self.send_all_answers();
                let last = self.take_snapshot();
                self.store_last_progress(&last);
                // The error that ends the session is the one to report.
                let recorder = std::mem::replace(&mut self.recorder, Recorder::ended());
                let _stored = tokio::time::timeout(TO_STORE, recorder.finish(&mut self.inbox)).await;
            }
            RunnerError::Queue(_) | RunnerError::Lost { .. } | RunnerError::Busy { .. } | RunnerError::Ledger(_) => {}
        }
        error
    }

    async fn finish(
        mut self,
        watch: &mut (dyn FnMut(&ProgressSnapshot) + Send),
    ) -> Result<(Queue, SessionEnd), RunnerError> {
        // The calls of an app that an outage stopped are not awaited. The same command may go on with another run, and
        // the quarantine of their accounts begins when it reads the queue, so they must have ended by then.
        self.senders.shutdown().await;
        self.send_all_answers();
        let last = self.take_snapshot();
        self.store_last_progress(&last);
        watch(&last);
        self.refuse_lost_queue()?;
        let calls = self.calls.iter().map(CallCounter::counts).collect();
        let elapsed = self.started.elapsed();
        let recorder = std::mem::replace(&mut self.recorder, Recorder::ended());
        let queue = recorder.finish(&mut self.inbox).await.map_err(|error| self.explain(error))?;
        self.refuse_lost_ledger()?;
        if let Some((_, error)) = self.failed_backup.take() {
            return Err(error.into());
        }
        Ok((queue, SessionEnd { stops: self.schedule.stops(), calls, elapsed }))
    }

    /// Loading may have taken longer than there was time, and more than there was disk.
    fn look_at_all_before_sending(&mut self) -> Result<(), RunnerError> {
        self.look_at_the_clock();
        self.look_at_the_disk();
        self.look_at_the_queue()?;
        self.look_at_the_control_file();
        self.handle(Event::Tick);
        Ok(())
    }

    /// Handles an event, and those that arrived with it, before the loop sets its timers again.
    fn take(&mut self, first: Inbound) -> Result<(), RunnerError> {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(inbound) = next {
            // Senders have seen the signal already. The schedule must be stopping before it learns which requests
            // they did not send.
            if let Some(signal) = self.signals.take() {
                self.stop_by(signal);
            }
            match inbound {
                Inbound::Event(event) => self.handle(event),
                Inbound::Begun { job, request, kind, at } => {
                    self.count_call(job, kind, at.saturating_duration_since(self.started));
                    self.handle(Event::Sent(request));
                }
                Inbound::Replied { job, event, took } => {
                    self.call_ended(job, took);
                    self.handle(event);
                }
                Inbound::Broken(RunnerError::Ledger(error)) => self.lose_ledger(error),
                Inbound::Broken(RunnerError::Backup(error)) => self.fail_backup(error),
                Inbound::Broken(error) => return Err(self.explain(error)),
            }
            self.recorder.hand_over();
            taken += 1;
            let more = taken < AT_ONCE && !self.schedule.is_over();
            next = if more { self.inbox.try_recv().ok() } else { None };
        }
        Ok(())
    }

    fn look_at_the_clock(&mut self) {
        if let Some(key) = self.deadlines.iter_mut().find_map(Deadline::has_come) {
            self.deadlines.clear();
            self.handle(Event::Stop(StopReason::Deadline(key)));
        }
    }

    /// Stops before the disk is full: what is in flight then still has to be recorded.
    fn look_at_the_disk(&mut self) {
        if !self.schedule.is_stopping()
            && let Some(disk) = self.reader.disk_space(self.schedule.items_under_way())
            && disk.is_short()
        {
            let queue = self.reader.path().to_owned();
            self.handle(Event::Stop(StopReason::DiskFull { queue, free: disk.free, reserve: disk.reserve() }));
        }
    }

    fn handle(&mut self, event: Event) {
        // Before any of these leaves. It takes some microseconds, the commit before it took much longer.
        if let Event::Changed(Changed::Intended(_)) = event {
            self.look_at_the_disk();
        }
        let actions = self.schedule.handle(self.now(), event);
        actions.into_iter().for_each(|action| self.carry_out(action));
        self.store_ends();
    }

    /// The time of the schedule.
    fn now(&self) -> ScheduleTime {
        ScheduleTime::after_start(self.started.elapsed())
    }

    fn instant_of(&self, moment: ScheduleTime) -> Instant {
        self.started + moment.since_start()
    }

    /// Stores what ends a run as soon as it is known: the process may be killed before the run has ended.
    fn store_ends(&mut self) {
        for job in 0..self.jobs.len() {
            let RunnerJob { explain_stop, scheduled, .. } = &self.jobs[job];
            // A run without rows that are left is finished, whatever stops the session before it is closed.
            if let Some(reason) = self.schedule.stop_of(job)
                && self.schedule.tally(job)[Outcome::Pending] > 0
                && self.stored_stops.is_new(job, reason)
            {
                let (run, ended_by, why) = (scheduled.run, reason.ended_by(), explain_stop(reason));
                self.recorder.write(Change::StoreEnd { run, ended_by, why }, true);
            }
        }
    }

    /// Why jobs stop, each reason once.
    fn stops(&self) -> Vec<AppStop> {
        let stop = |job| {
            let reason = self.schedule.stop_of(job)?;
            let app = self.schedule.named_app(self.schedule.app_of(job)).filter(|_| reason.scope() == StopScope::App);
            Some((app, reason))
        };
        let stops: BTreeSet<_> = (0..self.jobs.len()).filter_map(stop).collect();
        stops.into_iter().map(|(app, reason)| AppStop { app, reason: reason.clone() }).collect()
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Fetch { job, after, limit } => self.fetch(job, after, limit),
            Action::ReadParked { job, request } => self.read_parked(job, request),
            Action::Commit { change, urgent } => self.recorder.write(change, urgent),
            Action::Send(call) => self.send(call),
            Action::Slow { job, kind, scope, pause } => {
                self.calls[job].throttled();
                self.jobs[job].slow(kind, scope, pause);
            }
            Action::Renew { job, generation, code, fallback } => self.renew(job, generation, code, fallback),
            Action::HoldBack(job) => {
                let later = self.hold_back[job].for_later();
                std::mem::replace(&mut self.hold_back[job], later).set();
                self.recorder.flush();
            }
        }
    }

    fn send(&mut self, call: CallToSend) {
        // The set keeps those that have ended until they are taken out.
        while self.senders.try_join_next().is_some() {}
        let job = &self.jobs[call.job];
        let (path, limiter) = job.command(call.kind);
        let sender = Sender {
            path,
            not_after: call.not_after.map(|end| self.instant_of(end)),
            client: Arc::clone(&job.client),
            limiter: limiter.clone(),
            hold_back: self.hold_back[call.job].clone(),
            call,
            to_loop: self.to_loop.clone(),
        };
        self.senders.spawn(sender.run());
    }

    fn renew(&mut self, job: JobNo, generation: u64, code: i64, fallback: RenewFallback) {
        match self.jobs[job].client.renew(generation) {
            Renewal::Renewed => {
                let app = self.schedule.app_of(job);
                self.apps[app].refused_usersig = Some((generation, code));
            }
            Renewal::NotPossible => self.handle(Event::NotRenewed { job, code, fallback }),
        }
    }
}

/// Later than any run.
fn far_away() -> Instant {
    Instant::now() + Duration::from_hours(24)
}

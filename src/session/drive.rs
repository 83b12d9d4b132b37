//! Drives the runs of the jobs until they are finished or a stop ends the session.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};

use super::approval::Approvals;
use super::close::{Closed, close};
use super::error::SessionError;
use super::events;
use super::job_input::JobInput;
use super::load_or_reuse::ReadyRun;
use super::open_queue::open_queue;
use super::outlook::{Outlook, nothing_to_resume};
use super::plan::plan_job;
use super::plan_comparison::PlanComparison;
use super::progress_display::{ProgressDisplay, StepDisplay, only_time};
use super::run_log::RunLog;
use super::run_options::RunOptions;
use super::service_manager::ServiceManager;
use super::session_run::{SessionRun, admit, app_cap, begin, calls_per_day, runner_job};
use super::target::Target;
use super::target_settings::TargetSettings;
use super::{confirm, jobs};
use crate::api::CALL_TIMEOUT;
use crate::clock;
use crate::domain::exit::{Exit, exit_of_finished, exit_of_stop};
use crate::domain::hint::{Hint, Message};
use crate::domain::next_round::{NextStep, SentRun, next_steps};
use crate::domain::progress::{Phase, ProgressSnapshot};
use crate::domain::run_choice::Rerun;
use crate::domain::schedule::{QUARANTINE, StopReason};
use crate::domain::state_change::{StateChange, StateWatch};
use crate::domain::target::RunTarget;
use crate::log;
use crate::queue::{Queue, Run};
use crate::rate_limiter::LedgerUser;
use crate::report::control::pause_message;
use crate::report::input::Input;
use crate::report::job_result::{JobError, JobResult};
use crate::report::progress::Subject;
use crate::report::state_change::line_above_progress;
use crate::report::stop_message::not_sent_message;
use crate::report::summary::Summary;
use crate::report::{moment_ahead, target_name as target_text, wrap};
use crate::runner::{self, Deadline, RunnerError, RunnerJob, SessionEnd, Signals};
use crate::settings::Env;
use crate::stderr::{self, tell, tell_error, tell_terminal};
use crate::stdout::{print, print_json};

/// Carries out `imbulk run`: drives the runs of the jobs, and prints a summary of each. `results` has one for
/// each job, and receives what is known of it, also if this fails.
pub async fn run(
    options: RunOptions,
    env: &Env,
    queue: &Path,
    log: &mut RunLog,
    manager: &ServiceManager,
    results: &mut [JobResult],
) -> Result<Exit, SessionError> {
    jobs::check_environment(env)?;
    let mut jobs = options.jobs;
    jobs::tell_zone(&jobs);
    jobs::leave_out_closed(&mut jobs, results);
    if jobs.is_empty() {
        return Ok(Exit::Stopped);
    }
    let deadlines: Vec<Deadline> = jobs.iter().flat_map(|job| Deadline::starting_now(&job.times)).collect();
    if let Some(due) = deadlines.iter().map(Deadline::due).min() {
        tell(format!("until {}", moment_ahead(due, &clock::local_now())));
    }
    let targets = if options.sandbox { vec![Target::sandbox(&jobs).await?] } else { Target::of(&jobs, env)? };
    let proxies: BTreeSet<String> = targets.iter().filter_map(Target::proxy).map(ToString::to_string).collect();
    proxies.iter().for_each(|proxy| tell(format!("calls go through the proxy {proxy}")));
    jobs.iter().try_for_each(jobs::check_backup)?;
    let approvals = Approvals::new(options.approval, options.plan.clone(), &jobs)?;
    let mut inputs = Vec::new();
    for job in jobs {
        let settings = if options.sandbox { TargetSettings::sandbox(&job) } else { TargetSettings::of(&job, env)? };
        if settings.is_real() {
            jobs::check_protection(&job, &job.operation)?;
        }
        inputs.push(jobs::with_protected(job, settings)?);
    }
    let mut session = Session {
        inputs,
        targets,
        signals: Signals::listen(end_at_once).map_err(SessionError::io("cannot listen for signals"))?,
        deadlines,
        summaries: Vec::new(),
        not_shown: None,
        confirmed: options.sandbox || options.yes || !confirm::is_at_a_terminal(),
        json: options.json,
        limit: options.limit,
        comparison: PlanComparison::new(options.plan),
        approvals,
        log,
        manager,
        results,
    };
    let queue = or_signal(&mut session.signals, open_queue(queue)).await?;
    let driven = session.drive(queue, options.rerun).await;
    // The summaries are printed also if a later step failed.
    let users: Vec<LedgerUser> = session.targets.iter_mut().filter_map(Target::user).collect();
    let exit = session.end();
    for user in users {
        user.leave().await;
    }
    let exit = exit?;
    driven.map(|()| exit)
}

/// Ends the process at once. Like after a kill, the queue on disk is consistent.
pub(super) fn end_at_once(why: &str) {
    events::log_left(Exit::Stopped, why);
    tell(format!("{why}: ended without waiting for the calls in flight; the next `imbulk run` of the job continues"));
    log::finish();
    std::process::exit(Exit::Stopped.code().into());
}

struct Session<'a> {
    inputs: Vec<JobInput>,
    /// One for each app, or a sandbox for all jobs.
    targets: Vec<Target>,
    signals: Signals,
    deadlines: Vec<Deadline>,
    summaries: Vec<Summary>,
    /// The first error of printing a summary.
    not_shown: Option<SessionError>,
    /// Whether the session is confirmed, or needs no confirmation.
    confirmed: bool,
    json: bool,
    /// Items that `--limit` still allows; none without `--limit`.
    limit: Option<u64>,
    comparison: PlanComparison,
    approvals: Approvals,
    log: &'a mut RunLog,
    manager: &'a ServiceManager,
    results: &'a mut [JobResult],
}

impl Session<'_> {
    /// The result of a job of this command.
    fn result(&mut self, job: &str) -> &mut JobResult {
        result_of(self.results, job)
    }

    /// Nothing more is sent for these jobs.
    fn end_jobs(&mut self, jobs: &BTreeSet<String>) {
        jobs.iter().for_each(|job| self.result(job).is_over = true);
        self.inputs.retain(|input| !jobs.contains(&input.job.name));
    }

    async fn drive(&mut self, queue: Queue, mut rerun: Rerun) -> Result<(), SessionError> {
        let mut queue = Some(queue);
        // After an older run is finished, the input is inspected again. A new input is the next round.
        while let Some(owned) = queue {
            let mut identity = owned.identity();
            queue = self.round(owned, rerun).await.map_err(|error| error.or_loss(&mut identity))?;
            rerun = Rerun::No;
        }
        Ok(())
    }

    /// Drives one run of each job. Returns the queue if older runs were finished, so that another round has to follow.
    async fn round(&mut self, mut queue: Queue, rerun: Rerun) -> Result<Option<Queue>, SessionError> {
        let ready = self.ready_runs(&mut queue, rerun).await?;
        let idle = self.inputs.iter().zip(&ready).filter(|(_, ready)| ready.is_none());
        let idle: BTreeSet<String> = idle.map(|(input, _)| input.job.name.clone()).collect();
        let ready: Vec<ReadyRun> = ready.into_iter().flatten().collect();
        self.end_jobs(&idle);
        if ready.is_empty() {
            queue.close().await?;
            return Ok(None);
        }
        let targets: BTreeSet<RunTarget> = ready.iter().map(|it| it.run.target).collect();
        let clearances = self.approvals.clear_all(&mut queue, &self.inputs, &ready).await?;
        self.confirm(&mut queue, rerun, &targets).await?;
        self.inputs.iter_mut().for_each(JobInput::forget_files);
        let (mut runs, mut withheld) = (Vec::new(), Vec::new());
        for (input, ready) in self.inputs.iter().zip(ready) {
            let admitted = admit(&mut queue, input, ready, &mut self.limit);
            let run = or_signal(&mut self.signals, admitted).await?;
            // A run of which `--limit` allows nothing is not begun.
            if run.is_withheld { withheld.push(input.job.name.clone()) } else { runs.push(run) }
        }
        if runs.is_empty() {
            self.withhold(withheld.into_iter().map(|job| (job, StopReason::ItemLimit)).collect());
            queue.close().await?;
            return Ok(None);
        }
        let runner_jobs = connect(&self.targets, &runs)?;
        // A signal does not interrupt this: the runner takes it, and stores it as the end of the runs that have begun.
        begin(&mut queue, &runs, clearances, self.comparison.plan_id()).await?;
        for run in &runs {
            result_of(self.results, &run.ready.run.job).begun.push(run.ready.run.uuid.clone());
            self.log.start(run);
        }
        let sending = (runner_jobs, subject(&runs));
        let sent = send(queue, sending, &mut self.deadlines, &mut self.signals, (self.log, self.manager));
        let (mut queue, end) = sent.await?;
        let (closed, failed) = close_all(&mut queue, &runs, &end, &mut self.signals, self.log).await;
        let steps = steps_after(&runs, &end, &closed);
        self.add_closed(closed.into_iter().flatten().collect());
        let mut over = BTreeSet::new();
        let mut not_sent: Vec<_> = withheld.into_iter().map(|job| (job, StopReason::ItemLimit)).collect();
        for (job, step) in steps {
            match step {
                NextStep::CurrentInput => {}
                NextStep::Nothing => _ = over.insert(job),
                NextStep::Withheld(reason) => not_sent.push((job, reason)),
            }
        }
        self.end_jobs(&over);
        self.withhold(not_sent);
        if let Some(error) = failed {
            return Err(error);
        }
        if !self.inputs.is_empty() {
            return Ok(Some(queue));
        }
        queue.close().await?;
        Ok(None)
    }

    /// Nothing of the current input of these jobs is sent, for these reasons.
    fn withhold(&mut self, jobs: Vec<(String, StopReason)>) {
        for (job, reason) in &jobs {
            let message = not_sent_message(job, reason);
            tell(message.with_hint());
            let exit = exit_of_stop(reason);
            events::log_not_sent(job, exit, reason.name());
            self.result(job).add_exit(exit);
        }
        self.end_jobs(&jobs.into_iter().map(|(job, _)| job).collect());
    }

    /// Takes the exit codes and the summaries of runs that have ended, and prints the summaries.
    fn add_closed(&mut self, closed: Vec<Closed>) {
        let done_before = self.summaries.len();
        for Closed { exit, summary, .. } in closed {
            self.result(&summary.figures.job).add_run(summary.clone(), exit);
            self.summaries.push(summary);
        }
        if !self.json {
            // A summary that cannot be printed does not stop the session: its outcomes are recorded.
            let shown = self.summaries[done_before..].iter().try_for_each(|it| print(&it.text()));
            self.not_shown = self.not_shown.take().or(shown.map_err(SessionError::io("stdout")).err());
        }
    }

    /// Loads or reuses the run of each job; none if the job has nothing to send. Leaves out jobs that are refused, if
    /// others go on. Nothing is sent if this fails.
    async fn ready_runs(&mut self, queue: &mut Queue, rerun: Rerun) -> Result<Vec<Option<ReadyRun>>, SessionError> {
        let (mut outlooks, mut parts) = (Vec::new(), Vec::new());
        for input in &mut self.inputs {
            let outlook = or_signal(&mut self.signals, input.inspect(queue, rerun)).await?;
            parts.push(input.plan_parts(queue, &outlook).await?);
            outlooks.push(outlook);
        }
        if outlooks.iter().all(Outlook::resumes_nothing) {
            return Err(nothing_to_resume());
        }
        self.comparison.check(queue, parts, rerun).await?;
        // A plan that was asked for or confirmed is sent completely or not at all.
        let may_go_on = self.results.len() > 1 && !self.comparison.is_binding();
        let (mut all, mut inputs) = (Vec::new(), Vec::new());
        for (mut input, outlook) in std::mem::take(&mut self.inputs).into_iter().zip(outlooks) {
            match self.ready_run(queue, &mut input, outlook, rerun).await {
                Err(error) if may_go_on && error.concerns_one_job() => {
                    self.refuse(&input.job.name, &error);
                    continue;
                }
                ready => all.push(ready?),
            }
            inputs.push(input);
        }
        self.inputs = inputs;
        Ok(all)
    }

    /// Loads or reuses the run of a job. Refuses a run that the guards do not allow.
    async fn ready_run(
        &mut self,
        queue: &mut Queue,
        input: &mut JobInput,
        outlook: Outlook,
        rerun: Rerun,
    ) -> Result<Option<ReadyRun>, SessionError> {
        if let Some(finished) = outlook.finished() {
            self.already_finished(queue, input, &finished).await?;
        }
        let mut progress = ProgressDisplay::new(input.subject());
        let manager = self.manager;
        let mut watch = |phase, snapshot: &_| {
            progress.show(phase, snapshot);
            manager.progress(phase, snapshot);
        };
        let ready = or_signal(&mut self.signals, input.load_or_reuse(queue, outlook, rerun, &mut watch)).await;
        drop(progress);
        let ready = ready?;
        if let Some(ReadyRun { run, .. }) = &ready {
            // A resumed run may be of another operation than the job has now.
            if input.target.is_real() {
                jobs::check_protection(&input.job, &run.operation)?;
            }
            input.check_guards(queue, run).await?;
            tell_notes(queue, run).await?;
        }
        self.unless_paused(queue, ready).await
    }

    /// Reports that nothing of a job is sent, while other jobs go on.
    fn refuse(&mut self, job: &str, error: &SessionError) {
        error.messages().into_iter().for_each(tell_error);
        tell(format!("{job}: nothing is sent; the other jobs go on"));
        let (exit, text) = (error.exit(), error.to_string());
        events::log_refused(job, exit, &text);
        self.result(job).fail(exit, JobError { text, without_content: error.without_content() });
    }

    /// Nothing of a paused run is sent.
    async fn unless_paused(
        &mut self,
        queue: &mut Queue,
        ready: Option<ReadyRun>,
    ) -> Result<Option<ReadyRun>, SessionError> {
        let Some(ReadyRun { run, .. }) = &ready else { return Ok(None) };
        let Some(pause) = queue.control_state(run.id).await?.pause else { return Ok(ready) };
        tell(pause_message(&run.job, &run.uuid, &pause).with_hint());
        events::log_not_sent(&run.job, Exit::Stopped, "paused");
        self.result(&run.job).add_exit(Exit::Stopped);
        Ok(None)
    }

    /// Shows the plan and asks for confirmation, if that is required. Nothing is loaded twice: the plan finds the runs
    /// that are ready. If an older run goes first, it loads the current input, whose rows the question shows too.
    async fn confirm(
        &mut self,
        queue: &mut Queue,
        rerun: Rerun,
        targets: &BTreeSet<RunTarget>,
    ) -> Result<(), SessionError> {
        if std::mem::replace(&mut self.confirmed, true) {
            return Ok(());
        }
        let (mut text, mut parts) = (String::new(), Vec::new());
        for input in &mut self.inputs {
            let (plan, part) = plan_job(input, queue, rerun).await?;
            text.push_str(&plan.question());
            parts.push(part);
        }
        self.comparison.confirm(parts);
        let is_sent_to = |target: &&Target| targets.contains(&target.name);
        let apps: Vec<NonZeroU64> = self.targets.iter().filter(is_sent_to).map(|target| target.sdkappid).collect();
        confirm::ask(&apps, &text, &mut self.signals).await
    }

    /// Reports that a run has finished this input before. Nothing is sent, and the exit code is that of the run.
    async fn already_finished(&mut self, queue: &Queue, input: &JobInput, run: &Run) -> Result<(), SessionError> {
        let tally = queue.reader().await?.tally(run).await?;
        let exit = exit_of_finished(&tally, input.job.input.rejects);
        let result = self.result(&run.job);
        result.add_exit(exit);
        result.finished_before = Some(tally);
        // In a later round it can be a run that this session has just finished.
        if self.summaries.iter().all(|summary| summary.figures.run != run.uuid) {
            events::log_finished_before(run, exit, &tally);
            let (job, id) = (&run.job, &run.uuid);
            let note = Message::new(format!("{job}: this input is finished (run {id}); nothing is sent"));
            tell(note.add_hint("--again makes a new run of it").with_hint());
        }
        Ok(())
    }

    fn end(self) -> Result<Exit, SessionError> {
        if self.json {
            print_json(&self.summaries).map_err(SessionError::io("stdout"))?;
        }
        if let Some(seen) = self.targets.iter().find_map(Target::seen) {
            let (calls, worst, overlaps) = (seen.calls, seen.worst_second, seen.overlaps);
            tell(format!("the sandbox saw {calls} calls, at most {worst} in a second, {overlaps} overlapping writes"));
        }
        let exit = self.results.iter().map(|result| result.exit).max();
        self.not_shown.map_or(Ok(exit.unwrap_or(Exit::Done)), Err)
    }
}

fn result_of<'a>(results: &'a mut [JobResult], job: &str) -> &'a mut JobResult {
    let found = results.iter_mut().find(|result| result.job == job);
    found.unwrap_or_else(|| unreachable!("each job of the command has a result"))
}

/// What follows for the job of each run that was sent and closed.
fn steps_after(runs: &[SessionRun<'_>], end: &SessionEnd, closed: &[Option<Closed>]) -> Vec<(String, NextStep)> {
    let closed = runs.iter().zip(&end.stops).zip(closed);
    let (jobs, sent): (Vec<String>, Vec<SentRun<'_>>) = closed
        .filter_map(|((run, stop), closed)| {
            let (ReadyRun { run, is_older, .. }, end) = (&run.ready, &closed.as_ref()?.end);
            let sent = SentRun { target: run.target, is_older: *is_older, stop: stop.as_ref(), end };
            Some((run.job.clone(), sent))
        })
        .unzip();
    jobs.into_iter().zip(next_steps(&sent)).collect()
}

/// What the runner needs of the runs: each is sent to its own target, and those of one target share its client and its
/// limits.
fn connect(targets: &[Target], runs: &[SessionRun<'_>]) -> Result<Vec<RunnerJob>, SessionError> {
    let mut jobs: Vec<Option<RunnerJob>> = runs.iter().map(|_| None).collect();
    for target in targets {
        let is_own = |run: &SessionRun<'_>| target.name == run.ready.run.target;
        let own: Vec<&SessionRun<'_>> = runs.iter().filter(|run| is_own(run)).collect();
        if own.is_empty() {
            continue;
        }
        let (client, limiter) = target.connect(app_cap(&own), calls_per_day(&own))?;
        let (endpoint, is_real) = (target.endpoint(), target.is_real());
        for (job, run) in jobs.iter_mut().zip(runs).filter(|(_, run)| is_own(run)) {
            *job = Some(runner_job(run, &client, &limiter, (&endpoint, is_real))?);
        }
    }
    let job = |job: Option<RunnerJob>| job.unwrap_or_else(|| unreachable!("a run has the target of its job"));
    Ok(jobs.into_iter().map(job).collect())
}

/// A call in flight has ended and is recorded after this time, however the server behaves.
const CALLS_END_WITHIN: Duration = CALL_TIMEOUT.saturating_add(QUARANTINE);

/// What is sent, for the progress.
fn subject(runs: &[SessionRun<'_>]) -> Subject {
    let runs = || runs.iter().map(|it| &it.ready.run);
    let operations: BTreeSet<&str> = runs().map(|run| run.operation.name).collect();
    let only = operations.first().copied().filter(|_| operations.len() == 1);
    let targets: BTreeSet<String> = runs().map(|run| target_text(run.target)).collect();
    Subject {
        jobs: runs().map(|run| run.job.clone()).collect(),
        operation: only,
        target: targets.into_iter().collect::<Vec<_>>().join(", "),
        runs: runs().map(|run| run.uuid.clone()).collect(),
    }
}

/// Sends the requests of the runs, shows the progress, and logs what changes.
pub(super) async fn send(
    queue: Queue,
    (jobs, subject): (Vec<RunnerJob>, Subject),
    deadlines: &mut Vec<Deadline>,
    signals: &mut Signals,
    (log, manager): (&RunLog, &ServiceManager),
) -> Result<(Queue, SessionEnd), RunnerError> {
    let names = subject.jobs.clone();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut progress = ProgressDisplay::new(subject);
    let mut state = StateWatch::default();
    let mut watch = |snapshot: &ProgressSnapshot| {
        for change in state.changes(&snapshot.state) {
            log.change(&change);
            let local = clock::local_now();
            let line = line_above_progress(&change, &names, snapshot.in_flight, CALLS_END_WITHIN, &local);
            tell_terminal(wrap(&line, stderr::columns()).trim_end());
        }
        progress.show(Phase::Sending, snapshot);
        manager.progress(Phase::Sending, snapshot);
    };
    log.change(&StateChange::PhaseBegun(Phase::Sending).into());
    let (queue, end) = runner::drive(queue, jobs, deadlines, rand::random(), signals, &mut watch).await?;
    manager.sent();
    log.change(&StateChange::PhaseEnded { phase: Phase::Sending, took: end.elapsed }.into());
    drop(progress);
    Ok((queue, end))
}

/// Closes the runs, in the order of their jobs. A run that cannot be closed does not keep the others from it. Returns
/// those that were closed, each at the place of its run, and the first error.
async fn close_all(
    queue: &mut Queue,
    runs: &[SessionRun<'_>],
    end: &SessionEnd,
    signals: &mut Signals,
    log: &mut RunLog,
) -> (Vec<Option<Closed>>, Option<SessionError>) {
    let begun = Instant::now();
    log.change(&StateChange::PhaseBegun(Phase::FinalCheck).into());
    let shown = StepDisplay::new(Phase::FinalCheck, only_time);
    let names: Vec<&str> = runs.iter().map(|it| it.ready.run.job.as_str()).collect();
    let (mut closed, mut failed, mut is_interrupted) = (Vec::new(), None, false);
    for (job, run) in runs.iter().enumerate() {
        if is_interrupted {
            closed.push(None);
            continue;
        }
        let done = or_signal(signals, close(queue, run, end, job, &names)).await;
        is_interrupted = matches!(done, Err(SessionError::Interrupted(_)));
        closed.push(done.map_err(|error| failed.get_or_insert(error)).ok());
    }
    drop(shown);
    log.change(&StateChange::PhaseEnded { phase: Phase::FinalCheck, took: begun.elapsed() }.into());
    closed.iter().flatten().for_each(|closed| log.end(closed));
    (closed, failed)
}

/// Waits for a step that a signal may interrupt, because the next session can repeat it.
pub(super) async fn or_signal<T>(
    signals: &mut Signals,
    doing: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, SessionError> {
    tokio::select! {
        biased;
        signal = signals.next() => Err(SessionError::Interrupted(signal)),
        done = doing => done,
    }
}

/// Prints the notes on the input before its first row is sent.
async fn tell_notes(queue: &Queue, run: &Run) -> Result<(), SessionError> {
    if run.started_at.is_none() {
        Input(queue.reader().await?.input_files(run.id).await?).notes().for_each(tell);
    }
    Ok(())
}

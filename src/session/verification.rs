//! Verifies a run: looks up at the server whether the effects of its rows are there.
//!
//! A verification is a run that only reads, driven as any other. It knows the run, its target and its limits from the
//! queue alone; only the credentials come from the environment.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;

use jiff::tz::TimeZone;

use super::drive::{or_signal, send};
use super::error::SessionError;
use super::events;
use super::named_run::find;
use super::run_log::RunLog;
use super::service_manager::ServiceManager;
use super::target::{Target, cap};
use super::target_settings::target_name;
use super::{jobs, refuse_forgotten};
use crate::clock;
use crate::domain::call_counts::CallCounts;
use crate::domain::call_settings::CallSettings;
use crate::domain::exit::{Exit, exit_of};
use crate::domain::ids::uuid_v7;
use crate::domain::job::{App, EndpointChoice, RejectPolicy, Stop};
use crate::domain::operation::{LookupKind, Preparations, ReadCommand};
use crate::domain::rate_limit::calls_per_day::CallsPerDay;
use crate::domain::request::CallKind;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::tally::Tally;
use crate::domain::response::verification::VerifiedRows;
use crate::domain::schedule::{End, ScheduledJob};
use crate::domain::target::RunTarget;
use crate::queue::{Queue, Reader, Run, RunState, Verification, VerifySample, VerifySelection};
use crate::report::json::FormatVersion;
use crate::report::progress::Subject;
use crate::report::stop_message::stop_message;
use crate::report::target_name as target_text;
use crate::report::verification::{VerifyIntent, VerifyReport, selection_text};
use crate::runner::{ReadOnlyCommand, RunnerJob, SessionEnd, Signals};
use crate::settings::{self, Env};
use crate::stderr::tell;

/// What `imbulk verify` was asked for.
#[derive(Debug)]
pub struct VerifyOptions {
    /// The name of the run.
    pub name: String,
    /// Its target, if the job has several.
    pub target: Option<String>,
    /// Rows with these outcomes are looked up.
    pub outcomes: Vec<Outcome>,
    /// The number of random items; none: all.
    pub sample: Option<NonZeroU64>,
    /// The seed of the random choice; none: a random one.
    pub seed: Option<u64>,
}

/// Carries out `imbulk verify`.
pub async fn verify(
    options: &VerifyOptions,
    env: &Env,
    path: &Path,
    log: &mut RunLog,
    manager: &ServiceManager,
) -> Result<(VerifyReport, Exit), SessionError> {
    jobs::check_environment(env)?;
    // Opened for reading first: a missing queue is an error here, while opening it for writing would create it.
    let run = find(&options.name, options.target.as_deref(), &Reader::open(path).await?).await?;
    let lookup = refuse_unverifiable(&run)?;
    let settings = call_settings(&run, env)?;
    let calls_per_day = calls_per_day(&run, &settings)?;
    let mut target = Target::of_app(&app_of(&run, &settings, env)?, env)?;
    let mut signals =
        Signals::listen(super::drive::end_at_once).map_err(SessionError::io("cannot listen for signals"))?;
    let mut queue = or_signal(&mut signals, async { Ok(Queue::open(path).await?) }).await?;
    let begun = or_signal(&mut signals, begin(&mut queue, &run, options, lookup)).await?;
    let Some(verification) = begun else {
        tell("no row of the run has one of these outcomes: nothing is looked up");
        queue.close().await?;
        return Ok((
            VerifyReport::of_nothing(&run, VerifySelection { outcomes: options.outcomes.clone(), sample: None })?,
            Exit::Done,
        ));
    };
    let user = target.user();
    let session = VerifySession { run: &run, verification, lookup, settings, calls_per_day, target: &target };
    let done = session.carry_out(queue, &mut signals, log, manager).await;
    if let Some(user) = user {
        user.leave().await;
    }
    done
}

/// The lookup of the run's operation, if the run can be verified.
fn refuse_unverifiable(run: &Run) -> Result<ReadCommand, SessionError> {
    refuse_forgotten(run)?;
    let id = &run.uuid;
    if run.started_at.is_none() || run.state() == RunState::Loading {
        let hint = format!("`imbulk run` sends it; `imbulk status {}` shows it", run.job);
        return Err(SessionError::usage(format!("nothing of run {id} was sent, so there is nothing to verify"), hint));
    }
    if run.target == RunTarget::Sandbox {
        let text = format!("run {id} was sent to the mock server of `run --sandbox`, which has ended");
        let hint = "to rehearse a verification, start `imbulk sandbox` and send the job there with IMBULK_ENDPOINT";
        return Err(SessionError::usage(text, hint));
    }
    let operation = run.operation;
    operation.lookup.map(LookupKind::command).ok_or_else(|| {
        let text = format!("no read-only call shows the effects of {}", operation.name);
        SessionError::usage(text, "compare the results with a list of your own")
    })
}

/// How the run was sent, with what the environment says instead.
fn call_settings(run: &Run, env: &Env) -> Result<CallSettings, SessionError> {
    let stored = run.call_settings.clone();
    let published = NonZeroU32::new(run.operation.calls_per_second).unwrap_or(NonZeroU32::MIN);
    let mut settings = stored.unwrap_or(CallSettings {
        endpoint: None,
        identifier: None,
        calls_per_second: published,
        app_calls_per_second: settings::APP_CALLS_PER_SECOND,
        calls_per_day: None,
        zone: None,
        retry: settings::DEFAULT_RETRY,
        outage: settings::DEFAULT_STOP.outage,
    });
    if let Some(endpoint) = &env.endpoint {
        settings.endpoint = Some(endpoint.clone());
    }
    if let Some(identifier) = &env.identifier {
        settings.identifier = Some(identifier.as_str().to_owned());
    }
    let missing = |what: &str, variable: &str| {
        let text = format!("the queue does not know the {what} of run {}", run.uuid);
        SessionError::usage(text, format!("set {variable}, as for `imbulk run`"))
    };
    if settings.endpoint.is_none() {
        return Err(missing("endpoint", "IMBULK_ENDPOINT"));
    }
    if settings.identifier.is_none() {
        return Err(missing("admin account", "IMBULK_IDENTIFIER"));
    }
    Ok(settings)
}

/// `limits.calls_per_day` of the run. A day of another zone would begin at another time, so the zone must be known.
fn calls_per_day(run: &Run, settings: &CallSettings) -> Result<Option<CallsPerDay>, SessionError> {
    let Some(calls) = settings.calls_per_day else { return Ok(None) };
    let zone = settings.zone.as_deref().map(|name| {
        TimeZone::get(name).map_err(|_| {
            let text =
                format!("run {} counts its calls by the day of {name:?}, a zone unknown to this machine", run.uuid);
            SessionError::usage(text, "install the time zones (package tzdata), or verify the run on its own machine")
        })
    });
    Ok(Some(CallsPerDay { calls, zone: zone.transpose()? }))
}

/// The app of the run. Refuses an environment that names another one.
fn app_of(run: &Run, settings: &CallSettings, env: &Env) -> Result<App, SessionError> {
    let sdkappid = run.target.sdkappid();
    if let Some(other) = env.sdkappid.filter(|other| Some(*other) != sdkappid) {
        let text = format!("run {} was sent to {}, and IMBULK_SDKAPPID is {other}", run.uuid, run.target);
        return Err(SessionError::usage(text, "unset IMBULK_SDKAPPID, and set the credentials of the run's app"));
    }
    let app = App {
        sdkappid,
        identifier: settings.identifier.clone(),
        endpoint: settings.endpoint.clone().map(EndpointChoice::Url),
    };
    let named = target_name(&app);
    if named != run.target {
        let endpoint = settings.endpoint.as_deref().unwrap_or_default();
        let text = format!("run {} was sent to {}, and {endpoint} is {named}", run.uuid, run.target);
        return Err(SessionError::usage(text, "unset IMBULK_ENDPOINT, or set it to a server of this target"));
    }
    Ok(app)
}

/// Resumes the verification that an earlier process began, or begins a new one. None if no row is selected.
async fn begin(
    queue: &mut Queue,
    run: &Run,
    options: &VerifyOptions,
    lookup: ReadCommand,
) -> Result<Option<Verification>, SessionError> {
    if let Some(earlier) = queue.verification_of(run.id).await? {
        if options.asks_for(&earlier.selection) {
            queue.resume_verification(earlier.run.id).await?;
            tell(format!("continues the verification that ended early: {}", selection_text(&earlier.selection)));
            return Ok(Some(earlier));
        }
        tell("a verification of other rows ended early; it is given up for this one");
        queue.end_verification(earlier.run.id).await?;
    }
    let sample = options.sample.map(|items| VerifySample { items, seed: options.seed.unwrap_or_else(rand::random) });
    let selection = VerifySelection { outcomes: options.outcomes.clone(), sample };
    let now = clock::now().as_millisecond();
    let uuid = uuid_v7(now, rand::random());
    Ok(queue.begin_verification(run, selection, lookup.items_per_request, &uuid, now).await?)
}

impl VerifyOptions {
    /// Whether these are the rows of a verification. Without a seed, any seed will do.
    fn asks_for(&self, selection: &VerifySelection) -> bool {
        let seed = selection.sample.map(|sample| sample.seed);
        self.outcomes == selection.outcomes
            && self.sample == selection.sample.map(|sample| sample.items)
            && (self.seed.is_none() || self.seed == seed)
    }
}

/// A verification that is about to be driven.
struct VerifySession<'a> {
    run: &'a Run,
    verification: Verification,
    lookup: ReadCommand,
    settings: CallSettings,
    calls_per_day: Option<CallsPerDay>,
    target: &'a Target,
}

impl VerifySession<'_> {
    async fn carry_out(
        &self,
        queue: Queue,
        signals: &mut Signals,
        log: &mut RunLog,
        manager: &ServiceManager,
    ) -> Result<(VerifyReport, Exit), SessionError> {
        let own = &self.verification.run;
        let reader = queue.reader().await?;
        let before = reader.tally(own).await?;
        let (calls, _) = reader.request_counts(own.id).await?;
        let intent = VerifyIntent {
            rows: before[Outcome::Pending],
            calls: calls.cast_unsigned(),
            command: self.lookup.name,
            calls_per_second: self.rate(),
            endpoint: self.target.endpoint(),
            target: self.run.target,
            admin: self.target.identifier.as_str(),
        };
        tell(intent.text());
        let job = self.runner_job(&reader, before).await?;
        drop(reader);
        let mut identity = queue.identity();
        log.begin(self.run);
        let sent = send(queue, (vec![job], self.subject()), &mut Vec::new(), signals, (log, manager)).await;
        let (mut queue, session_end) = sent.map_err(|error| SessionError::from(error).or_loss(&mut identity))?;
        let (report, exit) = or_signal(signals, self.close(&mut queue, &session_end)).await?;
        events::log_verified(&report, exit);
        queue.close().await?;
        Ok((report, exit))
    }

    /// The maximum of lookups per second: the run's own limit, and that of the command.
    fn rate(&self) -> NonZeroU32 {
        let published = NonZeroU32::new(self.lookup.calls_per_second).unwrap_or(NonZeroU32::MIN);
        self.settings.calls_per_second.min(published)
    }

    async fn runner_job(&self, reader: &Reader, tally: Tally) -> Result<RunnerJob, SessionError> {
        let own = &self.verification.run;
        let calls_per_day = self.calls_per_day.iter().cloned().collect();
        let (client, limiter) = self.target.connect(self.settings.app_calls_per_second, calls_per_day)?;
        let limiter = limiter.command(self.lookup.name, cap(self.rate())?)?;
        Ok(RunnerJob {
            last_request: reader.last_request(own.id).await?,
            has_item_limit: false,
            uuid: own.uuid.clone(),
            name: self.run.job.clone(),
            explain_stop: |reason| stop_message(reason, &[]),
            max_rate: self.rate(),
            scheduled: ScheduledJob {
                run: own.id,
                sdkappid: self.run.target.sdkappid(),
                priority: 0,
                operation: own.operation,
                preparations: Preparations::default(),
                calls_per_second: self.rate(),
                retry: self.settings.retry,
                max_in_flight: None,
                // A contradicted row is what a verification looks for, and no reason to stop.
                stop: Stop { failed_share: f64::INFINITY, outage: self.settings.outage, ..settings::DEFAULT_STOP },
                max_already_done: None,
                canary: 0,
                ended_items: 0,
                tally,
            },
            client,
            limiter: limiter.clone(),
            reading: vec![ReadOnlyCommand {
                kind: CallKind::Lookup,
                path: self.lookup.path,
                cap: self.rate(),
                limiter,
            }],
            backup: None,
        })
    }

    fn subject(&self) -> Subject {
        Subject {
            jobs: vec![format!("verify {}", self.run.job)],
            operation: Some(self.lookup.name),
            target: target_text(self.run.target),
            runs: vec![self.run.uuid.clone()],
        }
    }

    /// Checks the sums, and removes the verification if it is complete.
    async fn close(&self, queue: &mut Queue, session_end: &SessionEnd) -> Result<(VerifyReport, Exit), SessionError> {
        let own = &self.verification.run;
        queue.identity().check()?;
        let tally = queue.check_sums(own).await?;
        let end = End::of(session_end.stops[0].as_ref(), false, tally[Outcome::Pending]);
        let reasons = queue.reader().await?.verified_reasons(own).await?;
        let stopped = match &end {
            End::Stopped(reason) => {
                let why = stop_message(reason, &[]);
                queue.store_stop(own.id, reason.ended_by(), &why).await?;
                Some(why)
            }
            End::Complete => {
                queue.end_verification(own.id).await?;
                None
            }
        };
        let CallCounts { calls, .. } = session_end.calls[0];
        let report = VerifyReport {
            schema: FormatVersion,
            run: self.run.uuid.clone(),
            job: self.run.job.clone(),
            operation: own.operation.name,
            target: self.run.target,
            selection: self.verification.selection.clone(),
            verified: VerifiedRows::of(&tally),
            pending: tally[Outcome::Pending],
            reasons,
            stopped,
            seconds: session_end.elapsed.as_secs_f64(),
            calls,
        };
        Ok((report, exit_of(&tally, &end, RejectPolicy::Count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Load, TestQueue};

    #[tokio::test]
    async fn a_limit_per_day_is_not_counted_by_the_days_of_another_zone() {
        let TestQueue { run, .. } = TestQueue::new("account_delete", Load::default()).await;
        let settings = |calls, zone: Option<&str>| CallSettings {
            endpoint: None,
            identifier: None,
            calls_per_second: NonZeroU32::MIN,
            app_calls_per_second: NonZeroU32::MIN,
            calls_per_day: NonZeroU64::new(calls),
            zone: zone.map(str::to_owned),
            retry: settings::DEFAULT_RETRY,
            outage: None,
        };
        let zone = |calls, zone| {
            let limit = calls_per_day(&run, &settings(calls, zone))?;
            Ok::<_, SessionError>(limit.map(|limit| limit.zone.and_then(|zone| zone.iana_name().map(str::to_owned))))
        };
        assert_eq!(zone(5, Some("Asia/Shanghai")).unwrap(), Some(Some("Asia/Shanghai".to_owned())));
        assert_eq!((zone(5, None).unwrap(), zone(0, Some("Asia/Atlantis")).unwrap()), (Some(None), None));
        let error = zone(5, Some("Asia/Atlantis")).unwrap_err().to_string();
        assert!(error.contains("the day of \"Asia/Atlantis\""), "{error}");
    }
}

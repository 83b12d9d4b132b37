//! When jobs stop early: outages, fatal codes, guards. A reason that concerns one job, or the jobs of one app, stops
//! only these.

use std::time::Duration;

use super::app::AppNo;
use super::leases::LeaseId;
use super::retry_budget::RetryCost;
use super::stage::Stage;
use super::stop::StopReason;
use super::time::{GRACE_AFTER_OUTAGE, ScheduleTime};
use super::timers::Timer;
use super::usersig_state::RefusedUserSig;
use super::{Action, JobNo, Schedule};
use crate::domain::ids::RequestId;
use crate::domain::outage::Outage;
use crate::domain::request::CallKind;
use crate::domain::response::codes::{RenewFallback, Scope};
use crate::domain::response::verdict::{AppNotice, ServerHealth};

impl Schedule {
    /// Stops these jobs, and holds back what has not left. The gravest reason counts.
    pub(super) fn stop(&mut self, jobs: Vec<JobNo>, reason: &StopReason, out: &mut Vec<Action>) {
        let first: Vec<JobNo> = jobs.into_iter().filter(|job| self.jobs[*job].stop_for(reason.clone())).collect();
        for job in &first {
            out.push(Action::HoldBack(*job));
            let parked = self.parking.drop_parked(*job);
            (0..parked).for_each(|_| self.jobs[*job].moved(Stage::Parked, Stage::Stored, 0, false));
        }
        first.into_iter().for_each(|job| self.unload_requests(job, out));
    }

    /// Takes the requests of a stopped job that wait for their lease or have no intent out of the memory, so that they
    /// block no account. On disk they are pending.
    fn unload_requests(&mut self, job: JobNo, out: &mut Vec<Action>) {
        let waits = |(lease, id): (&LeaseId, &RequestId)| (self.requests[id].job == job).then_some((*lease, *id));
        let waiting: Vec<(LeaseId, RequestId)> = self.waiting.iter().filter_map(waits).collect();
        for (lease, id) in waiting {
            // The end of one lease may let the next one of the job be held.
            if self.waiting.remove(&lease).is_some() {
                self.unload(id, Stage::AwaitingLease, out);
            }
        }
        self.jobs[job].take_all_ready().into_iter().for_each(|id| self.unload(id, Stage::Ready, out));
    }

    /// Takes a request out of the memory and ends its lease.
    pub(super) fn unload(&mut self, id: RequestId, from: Stage, out: &mut Vec<Action>) {
        let (_, lease) = self.advance(id, from, Stage::Stored);
        self.requests.remove(&id);
        let released = self.leases.end(lease);
        self.pass_on(&released, out);
    }

    /// Stops the jobs of an app because of an outage. Each call in flight would take its whole time-out, so the jobs do
    /// not wait for these calls.
    fn stop_for_outage(&mut self, now: ScheduleTime, app: AppNo, outage: Outage, out: &mut Vec<Action>) {
        self.stop(self.jobs_of(app), &StopReason::Outage(outage), out);
        self.timers.start(now + GRACE_AFTER_OUTAGE, Timer::AbandonCalls(app));
    }

    /// Tells the circuit breaker of the job's app what a call showed of the server's health.
    pub(super) fn update_breaker(
        &mut self,
        now: ScheduleTime,
        (job, id): (JobNo, RequestId),
        health: &ServerHealth,
        (sent_at, paid): (ScheduleTime, RetryCost),
        out: &mut Vec<Action>,
    ) {
        let app = self.app_of(job);
        let (patience, breaker) = (self.patience(app), &mut self.apps[app].breaker);
        match health {
            ServerHealth::Working => breaker.succeeded(sent_at, paid),
            ServerHealth::Unknown => breaker.probe_is_over(now, id),
            ServerHealth::Failing(trouble) => {
                let outage = breaker.failed(now, id, trouble.clone());
                if let Some(outage) = outage.filter(|outage| patience.is_some_and(|most| outage.lasts >= most)) {
                    self.stop_for_outage(now, app, outage, out);
                }
            }
        }
    }

    /// Stops the jobs of each app of which no call has succeeded for the time of `stop.outage`.
    pub(super) fn stop_if_patience_is_over(&mut self, now: ScheduleTime, out: &mut Vec<Action>) {
        for app in self.app_numbers() {
            if self.patience_ends_at(app).is_some_and(|end| end <= now) {
                self.stop_for_outage(now, app, self.apps[app].breaker.failures_as_outage(now), out);
            }
        }
    }

    /// When [`Schedule::stop_if_patience_is_over`] is due for an app.
    pub(super) fn patience_ends_at(&self, app: AppNo) -> Option<ScheduleTime> {
        self.apps[app].breaker.patience_ends_at(self.patience(app))
    }

    /// The shortest `stop.outage` of the jobs of an app that are neither over, paused nor stopped; `None` means no
    /// limit.
    pub(super) fn patience(&self, app: AppNo) -> Option<Duration> {
        let busy = self.states_of(app).filter(|job| !job.is_over() && job.is_active());
        busy.filter_map(|job| job.scheduled.stop.outage).min()
    }

    pub(super) fn apply_notice(
        &mut self,
        (job, kind): (JobNo, CallKind),
        generation: u64,
        notice: AppNotice,
        out: &mut Vec<Action>,
    ) {
        let app = self.app_of(job);
        let usersig = &mut self.apps[app].usersig;
        match notice {
            AppNotice::Accepted => usersig.accepted(generation),
            AppNotice::Nothing => {}
            AppNotice::Throttled(scope, pause) => {
                usersig.accepted(generation);
                out.push(Action::Slow { job, kind, scope, pause });
            }
            AppNotice::Renew { code, reason, fallback } => match usersig.refused(generation) {
                RefusedUserSig::Replaced => {}
                RefusedUserSig::First => out.push(Action::Renew { job, generation, code, fallback }),
                RefusedUserSig::Repeated => {
                    let reason =
                        format!("{reason}; a new UserSig was refused as well: check the clock of this machine");
                    self.stop_app(job, code, reason, out);
                }
            },
            AppNotice::Fatal { scope, code, reason } => {
                let jobs = match scope {
                    Scope::App => self.jobs_of(app),
                    Scope::Command => vec![job],
                };
                self.stop(jobs, &StopReason::Fatal { scope, job, code, reason }, out);
            }
        }
    }

    /// Stops the jobs of the app of a job of which the API refuses the UserSig.
    fn stop_app(&mut self, job: JobNo, code: i64, reason: String, out: &mut Vec<Action>) {
        let reason = StopReason::Fatal { scope: Scope::App, job, code: Some(code), reason };
        self.stop(self.jobs_of(self.app_of(job)), &reason, out);
    }

    /// No other UserSig can be made, so the code that refused this one is treated as its fallback says.
    pub(super) fn not_renewed(&mut self, job: JobNo, code: i64, fallback: RenewFallback, out: &mut Vec<Action>) {
        let app = self.app_of(job);
        self.apps[app].usersig.cannot_be_replaced();
        match fallback {
            RenewFallback::Transient => {}
            RenewFallback::Fatal => {
                let reason = "the UserSig is refused, and there is no key to make another: set a new one in \
                              IMBULK_USERSIG (or in IMBULK_USERSIG_N, if the app N has its own), or set a key";
                self.stop_app(job, code, reason.to_owned(), out);
            }
        }
    }
}

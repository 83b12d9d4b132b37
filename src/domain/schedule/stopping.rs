//! When jobs stop early: outages, fatal codes, guards. A reason that concerns one job stops only this job.

use std::time::Duration;

use super::leases::LeaseId;
use super::request_state::Payment;
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
    /// Stops the jobs that the reason concerns, and holds back what has not left. The gravest reason counts.
    pub(super) fn stop(&mut self, reason: &StopReason, out: &mut Vec<Action>) {
        let jobs = reason.only_job().map_or(0..self.jobs.len(), |job| job..job + 1);
        let first: Vec<JobNo> = jobs.filter(|job| self.jobs[*job].stop_for(reason.clone())).collect();
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

    /// Stops because of an outage. Each call in flight would take its whole time-out, so the run does not wait for
    /// these calls.
    fn stop_for_outage(&mut self, now: ScheduleTime, outage: Outage, out: &mut Vec<Action>) {
        self.stop(&StopReason::Outage(outage), out);
        self.timers.start(now + GRACE_AFTER_OUTAGE, Timer::AbandonCalls);
    }

    /// Tells the circuit breaker what a call showed of the server's health.
    pub(super) fn update_breaker(
        &mut self,
        now: ScheduleTime,
        id: RequestId,
        health: &ServerHealth,
        (sent_at, payment): (ScheduleTime, Payment),
        out: &mut Vec<Action>,
    ) {
        match health {
            ServerHealth::Working => self.breaker.succeeded(sent_at, payment.cost()),
            ServerHealth::Unknown => self.breaker.probe_is_over(now, id),
            ServerHealth::Failing(trouble) => {
                let (outage, patience) = (self.breaker.failed(now, id, trouble.clone()), self.patience());
                if let Some(outage) = outage.filter(|outage| patience.is_some_and(|most| outage.lasts >= most)) {
                    self.stop_for_outage(now, outage, out);
                }
            }
        }
    }

    /// Stops if no call has succeeded for the time of `stop.outage`.
    pub(super) fn stop_if_patience_is_over(&mut self, now: ScheduleTime, out: &mut Vec<Action>) {
        if self.breaker.patience_ends_at(self.patience()).is_some_and(|end| end <= now) {
            self.stop_for_outage(now, self.breaker.failures_as_outage(now), out);
        }
    }

    /// When [`Schedule::stop_if_patience_is_over`] is due.
    pub(super) fn patience_ends_at(&self) -> Option<ScheduleTime> {
        self.breaker.patience_ends_at(self.patience())
    }

    /// The shortest `stop.outage` of the jobs that are neither over, paused nor stopped; `None` means no limit.
    pub(super) fn patience(&self) -> Option<Duration> {
        let busy = self.jobs.iter().filter(|job| !job.is_over() && job.is_active());
        busy.filter_map(|job| job.scheduled.stop.outage).min()
    }

    pub(super) fn apply_notice(
        &mut self,
        (job, kind): (JobNo, CallKind),
        generation: u64,
        notice: AppNotice,
        out: &mut Vec<Action>,
    ) {
        match notice {
            AppNotice::Accepted => self.usersig.accepted(generation),
            AppNotice::Nothing => {}
            AppNotice::Throttled(scope, pause) => {
                self.usersig.accepted(generation);
                out.push(Action::Slow { job, kind, scope, pause });
            }
            AppNotice::Renew { code, reason, fallback } => match self.usersig.refused(generation) {
                RefusedUserSig::Replaced => {}
                RefusedUserSig::First => out.push(Action::Renew { job, generation, code, fallback }),
                RefusedUserSig::Repeated => {
                    let reason =
                        format!("{reason}; a new UserSig was refused as well: check the clock of this machine");
                    self.stop(&StopReason::Fatal { scope: Scope::App, job, code: Some(code), reason }, out);
                }
            },
            AppNotice::Fatal { scope, code, reason } => self.stop(&StopReason::Fatal { scope, job, code, reason }, out),
        }
    }

    /// No other UserSig can be made, so the code that refused this one is treated as its fallback says.
    pub(super) fn not_renewed(&mut self, job: JobNo, code: i64, fallback: RenewFallback, out: &mut Vec<Action>) {
        self.usersig.cannot_be_replaced();
        match fallback {
            RenewFallback::Transient => {}
            RenewFallback::Fatal => {
                let reason = "the UserSig is refused, and there is no key to make another: set \
                              IMBULK_SECRET_KEY, or set IMBULK_USERSIG to a new UserSig";
                let reason = reason.to_owned();
                self.stop(&StopReason::Fatal { scope: Scope::App, job, code: Some(code), reason }, out);
            }
        }
    }
}

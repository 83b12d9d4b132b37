//! When the run stops early: outages, fatal codes, guards.

use std::time::Duration;

use super::breaker::Outage;
use super::request_state::Payment;
use super::signature::RefusedUserSig;
use super::stop::StopReason;
use super::time::{GRACE_AFTER_OUTAGE, Now};
use super::timers::Timer;
use super::{Command, JobNo, Schedule};
use crate::domain::ids::RequestId;
use crate::domain::response::codes::RenewFallback;
use crate::domain::response::verdict::{ServerHealth, Signal};

impl Schedule {
    /// Stores the reason and holds back what has not left. The gravest reason counts.
    pub(super) fn stop(&mut self, reason: StopReason, out: &mut Vec<Command>) {
        if self.stop.is_none() {
            out.extend((0..self.jobs.len()).map(Command::HoldBack));
        }
        self.stop = self.stop.take().max(Some(reason));
    }

    /// Stops because of an outage. Each call in flight would take its whole time-out, so the run does not wait for
    /// these calls.
    fn stop_for_outage(&mut self, now: Now, outage: Outage, out: &mut Vec<Command>) {
        self.stop(StopReason::Outage(outage), out);
        self.timers.start(now + GRACE_AFTER_OUTAGE, Timer::AbandonCalls);
    }

    /// Tells the circuit breaker what a call showed of the server's health.
    pub(super) fn update_breaker(
        &mut self,
        now: Now,
        id: RequestId,
        health: &ServerHealth,
        (sent_at, payment): (Now, Payment),
        out: &mut Vec<Command>,
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
    pub(super) fn give_up(&mut self, now: Now, out: &mut Vec<Command>) {
        if self.breaker.gives_up_at(self.patience()).is_some_and(|end| end <= now) {
            self.stop_for_outage(now, self.breaker.failures_as_outage(now), out);
        }
    }

    /// When [`Schedule::give_up`] is due.
    pub(super) fn gives_up_at(&self) -> Option<Now> {
        self.breaker.gives_up_at(self.patience()).filter(|_| self.stop.is_none())
    }

    /// The shortest `stop.outage` of the jobs that are neither over nor paused; `None` means no limit.
    pub(super) fn patience(&self) -> Option<Duration> {
        let busy = self.jobs.iter().filter(|job| !job.is_over() && !job.is_paused());
        busy.filter_map(|job| job.plan.stop.outage).min()
    }

    pub(super) fn apply_signal(&mut self, job: JobNo, generation: u64, signal: Signal, out: &mut Vec<Command>) {
        match signal {
            Signal::Fine => self.signature.accepted(generation),
            Signal::Silent => {}
            Signal::Throttled(scope, pause) => {
                self.signature.accepted(generation);
                out.push(Command::Slow { job, scope, pause });
            }
            Signal::Renew { code, reason, fallback } => match self.signature.refused(generation) {
                RefusedUserSig::Replaced => {}
                RefusedUserSig::First => out.push(Command::Renew { job, generation, code, fallback }),
                RefusedUserSig::Repeated => {
                    let reason =
                        format!("{reason}; a new UserSig was refused as well: check the clock of this machine");
                    self.stop(StopReason::Fatal { job, code: Some(code), reason }, out);
                }
            },
            Signal::Fatal { code, reason } => self.stop(StopReason::Fatal { job, code, reason }, out),
        }
    }

    /// No other UserSig can be made, so the code that refused this one is treated as its fallback says.
    pub(super) fn not_renewed(&mut self, job: JobNo, code: i64, fallback: RenewFallback, out: &mut Vec<Command>) {
        self.signature.cannot_be_replaced();
        match fallback {
            RenewFallback::Transient => {}
            RenewFallback::Fatal => {
                let reason = "the UserSig is refused, and there is no key to make another: set \
                              IMBULK_SECRET_KEY, or set IMBULK_USERSIG to a new UserSig";
                self.stop(StopReason::Fatal { job, code: Some(code), reason: reason.to_owned() }, out);
            }
        }
    }
}

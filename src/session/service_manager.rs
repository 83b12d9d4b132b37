//! Reports to systemd, if it started the process with `Type=notify`. Without it nothing is sent.
//!
//! A tokio task sends the reports, so that a service manager that does not read delays no call. It feeds the
//! watchdog on its own while the input is loaded or checked. While requests are sent, it does so only if the loop of
//! the runner has reported since the last time: a loop that hangs is killed. The loop also reports in a pause and in an
//! outage. The library reads `NOTIFY_SOCKET` and `WATCHDOG_USEC`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;

use crate::clock;
use crate::domain::progress::{Phase, ProgressSnapshot, RateMeter, TimeLeft};
use crate::report::progress::{ProgressView, Subject};

/// The time between two reports; a watchdog may need a shorter one.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Reports within the time of the watchdog, so that one may be late.
const REPORTS_PER_WATCHDOG: u32 = 4;

/// The service manager that started this process.
#[derive(Debug)]
pub struct ServiceManager {
    next: Arc<Mutex<NextReport>>,
    reporter: JoinHandle<()>,
}

/// What is known since the last report.
#[derive(Debug, Default)]
struct NextReport {
    /// The phase that the meters measure.
    phase: Option<Phase>,
    meter: RateMeter,
    left: TimeLeft,
    /// Whether the loop of the runner runs.
    sending: bool,
    /// Whether it has reported.
    alive: bool,
    status: Option<String>,
    /// Whether the session is stopping, and whether that was sent.
    stopping: (bool, bool),
}

impl NextReport {
    fn progress(&mut self, phase: Phase, now: &ProgressSnapshot) {
        self.sending = phase == Phase::Sending;
        self.alive = true;
        if self.phase.replace(phase) != Some(phase) {
            (self.meter, self.left) = (RateMeter::default(), TimeLeft::default());
        }
        let rates = self.meter.rates(now);
        let (left, clock) = (self.left.update(now, rates), clock::local_now());
        self.status =
            Some(ProgressView { phase, subject: &Subject::default(), now, rates, left, clock: &clock }.line());
        self.stopping.0 |= now.state.is_stopping;
    }

    /// The lines to send now, in the protocol of systemd.
    fn take(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let alive = std::mem::take(&mut self.alive);
        if alive || !self.sending {
            lines.push("WATCHDOG=1".to_owned());
        }
        if self.stopping == (true, false) {
            self.stopping.1 = true;
            lines.push("STOPPING=1".to_owned());
        }
        lines.extend(self.status.take().map(|status| format!("STATUS={status}")));
        lines
    }
}

impl ServiceManager {
    /// Reports that the process has started.
    pub fn start() -> Self {
        let next = Arc::new(Mutex::new(NextReport::default()));
        let watchdog = sd_notify::watchdog_enabled().map(|within| within / REPORTS_PER_WATCHDOG);
        let every = watchdog.map_or(REPORT_EVERY, |within| within.clamp(Duration::from_millis(10), REPORT_EVERY));
        send(&["READY=1".to_owned()]);
        let reported = Arc::clone(&next);
        let reporter = tokio::spawn(async move {
            let mut ticker = tokio::time::interval(every);
            loop {
                ticker.tick().await;
                let lines = locked(&reported).take();
                send(&lines);
            }
        });
        Self { next, reporter }
    }

    /// The progress of a phase.
    pub(super) fn progress(&self, phase: Phase, now: &ProgressSnapshot) {
        locked(&self.next).progress(phase, now);
    }

    /// The loop of the runner has ended.
    pub(super) fn sent(&self) {
        locked(&self.next).sending = false;
    }

    /// The session has ended; what follows is short.
    pub fn stop(self) {
        self.reporter.abort();
        let mut next = locked(&self.next);
        next.stopping.0 = true;
        send(&next.take());
    }
}

/// Every step under the lock is complete in itself.
fn locked(next: &Mutex<NextReport>) -> MutexGuard<'_, NextReport> {
    next.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let states: Vec<NotifyState<'_>> = lines.iter().map(|line| NotifyState::Custom(line)).collect();
    // A service manager that cannot be reached changes nothing for the run.
    let _unreachable = sd_notify::notify(&states);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(lines: &[String], what: &str) -> bool {
        lines.iter().any(|line| line.starts_with(what))
    }

    #[test]
    fn only_a_loop_that_runs_feeds_the_watchdog_while_requests_are_sent() {
        let mut next = NextReport::default();
        assert!(has(&next.take(), "WATCHDOG=1") && has(&next.take(), "WATCHDOG=1"), "before the input is loaded");
        next.progress(Phase::Loading, &ProgressSnapshot::default());
        assert!(has(&next.take(), "STATUS="));
        assert!(has(&next.take(), "WATCHDOG=1"), "a long commit while loading");
        next.progress(Phase::Sending, &ProgressSnapshot::default());
        assert!(has(&next.take(), "WATCHDOG=1"));
        assert!(next.take().is_empty(), "the loop hangs");
        next.sending = false;
        assert!(has(&next.take(), "WATCHDOG=1"), "the final check");
    }

    #[test]
    fn stopping_is_reported_once() {
        let mut next = NextReport::default();
        let mut snapshot = ProgressSnapshot::default();
        snapshot.state.is_stopping = true;
        next.progress(Phase::Sending, &snapshot);
        assert!(has(&next.take(), "STOPPING=1"));
        next.progress(Phase::Sending, &snapshot);
        assert!(!has(&next.take(), "STOPPING=1"));
    }
}

//! SIGINT, SIGTERM and SIGHUP.
//!
//! A separate thread listens for them, so that they are noticed whatever the other threads wait for: a file system
//! that does not answer, a lock of another program, or a reader of stdout that reads nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::domain::schedule::StopSignal;

/// After a signal the process has this long to react before the listening thread ends it. Outside of [`drive`] every
/// wait ends with the signal itself, so this is for waits that cannot be ended.
///
/// [`drive`]: super::drive
const TO_REACT: Duration = Duration::from_secs(2);
/// The same while calls may be in flight: their outcomes are worth more patience.
const TO_REACT_DRIVING: Duration = Duration::from_secs(10);
/// After the last call in flight has ended, this long for the counts, its end in the queue and the summary.
const TO_CLOSE: Duration = Duration::from_secs(30);
/// How often the listening thread looks whether the time is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The signals that stop a run. The first one stops it in order; a second one ends the process at once.
#[derive(Debug)]
pub struct Signals {
    first: watch::Receiver<Option<StopSignal>>,
    reaction: Arc<Mutex<Reaction>>,
}

/// What became of the first signal.
#[derive(Debug)]
struct Reaction {
    taken: bool,
    driving: bool,
    since: Instant,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves. `leave` ends it after a second signal, or if
    /// there is no reaction to the first one. Its argument is the reason.
    pub fn listen(end_at_once: impl FnOnce(&str) + Send + 'static) -> std::io::Result<Self> {
        let (tell, first) = watch::channel(None);
        let reaction = Arc::new(Mutex::new(Reaction { taken: false, driving: false, since: Instant::now() }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _context = runtime.enter();
            Listener::new()?
        };
        let watched = Arc::clone(&reaction);
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || {
            let why = runtime.block_on(listener.run(&tell, &watched));
            end_at_once(&why);
        })?;
        Ok(Self { first, reaction })
    }

    /// The first signal, once. Later ones end the process.
    pub async fn next(&mut self) -> StopSignal {
        loop {
            if let Some(signal) = self.take() {
                return signal;
            }
            if self.is_taken() || self.first.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// As [`Signals::next`], without waiting.
    pub(super) fn take(&mut self) -> Option<StopSignal> {
        let signal = (*self.first.borrow_and_update())?;
        let taken = std::mem::replace(&mut locked(&self.reaction).taken, true);
        (!taken).then_some(signal)
    }

    /// The first signal, even where nothing takes it.
    pub(super) fn first(&self) -> watch::Receiver<Option<StopSignal>> {
        self.first.clone()
    }

    /// Whether calls may be in flight from now on.
    pub(super) fn set_driving(&self, driving: bool) {
        let mut reaction = locked(&self.reaction);
        reaction.driving = driving;
        reaction.since = Instant::now();
    }

    fn is_taken(&self) -> bool {
        locked(&self.reaction).taken
    }
}

/// Every step under the lock is complete in itself.
fn locked(reaction: &Mutex<Reaction>) -> MutexGuard<'_, Reaction> {
    reaction.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reaction {
    /// When the process is to be ended although its work is not.
    fn ends_at(&self, signalled: Instant) -> Option<Instant> {
        match (self.driving, self.taken) {
            (true, true) => None,
            (true, false) => Some(signalled + TO_REACT_DRIVING),
            (false, true) => Some(self.since.max(signalled) + TO_CLOSE),
            (false, false) => Some(signalled + TO_REACT),
        }
    }
}

struct Listener {
    interrupt: Signal,
    terminate: Signal,
    /// None where it is ignored, as under `nohup`.
    hang_up: Option<Signal>,
}

impl Listener {
    fn new() -> std::io::Result<Self> {
        let hang_up = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    async fn run(mut self, tell: &watch::Sender<Option<StopSignal>>, reaction: &Mutex<Reaction>) -> String {
        let first = self.next().await;
        let signalled = Instant::now();
        tell.send_replace(Some(first));
        loop {
            tokio::select! {
                biased;
                second = self.next() => return format!("interrupted twice, the second time by {}", second.name()),
                () = sleep(LOOK_EVERY) => {
                    if locked(reaction).ends_at(signalled).is_some_and(|end| end <= Instant::now()) {
                        return format!("interrupted by {}", first.name());
                    }
                }
            }
        }
    }

    async fn next(&mut self) -> StopSignal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = hang_up => StopSignal::Hangup,
        }
    }
}

/// `nohup` sets SIGHUP to be ignored, on purpose. The thread listens for SIGINT in any case, because a shell sets it to
/// be ignored for background processes.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores_hangup(&status)
}

/// Bit 0 of the mask in proc(5) is signal 1, SIGHUP.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen_in_the_mask_of_ignored_signals() {
        assert!(ignores_hangup("Name:\timbulk\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("Name:\timbulk\nSigIgn:\t0000000000001000\nSigCgt:\t1\n"));
        assert!(!ignores_hangup(""));
    }

    #[test]
    fn a_process_that_does_not_react_is_ended_and_calls_in_flight_are_waited_for() {
        let since = Instant::now();
        let reaction = |driving, taken| Reaction { taken, driving, since };
        assert_eq!(reaction(true, true).ends_at(since), None);
        assert_eq!(reaction(true, false).ends_at(since), Some(since + TO_REACT_DRIVING));
        assert_eq!(reaction(false, true).ends_at(since), Some(since + TO_CLOSE));
        assert_eq!(reaction(false, false).ends_at(since), Some(since + TO_REACT));
    }
}

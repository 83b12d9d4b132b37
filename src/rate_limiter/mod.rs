//! The rate limiter: one permit for every call, and none that could break the cap.
//!
//! A call waits for three things. The *slots* in the ledger file keep every one-second window of the server at or below
//! the cap, over all processes of the machine and across kills and restarts. The *pace* spreads the sends of all
//! processes, and keeps a limit below the cap. The *throttle* finds that limit when the server throttles calls.
//!
//! A permit is for a request that is sent at once. Its slot is spent, whatever happens then.

mod command_limit;
mod ledger;
mod process_pace;
#[cfg(test)]
mod simulation;
mod users;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::command_limit::CommandLimits;
use self::ledger::{Ledger, NoSlots, TakenSlots};
pub use self::ledger::{LedgerError, calls_today};
pub use self::users::LedgerUser;
use crate::clock;
use crate::domain::hint::Hint;
use crate::domain::rate_limit::calls_per_day::{CallsPerDay, DayUsedUp};
use crate::domain::rate_limit::speed::Speed;
use crate::domain::rate_limit::{Cap, Moment};
use crate::domain::response::codes::{Pause, Scope};

/// Timers fire on whole milliseconds, so asking more often would be useless.
const RECHECK_MIN: Duration = Duration::from_millis(1);
/// The wait after another process held the lock for longer than imbulk does.
const RECHECK_LOCK: Duration = Duration::from_millis(5);
/// The longest wait, because slots of other processes may become free earlier than expected.
const RECHECK_MAX: Duration = Duration::from_millis(50);

/// The folder of the ledgers: all users and all sessions of a machine share it. `TMPDIR` is not used, because it may
/// differ between users. `/dev/shm` is not used, because it is emptied when its owner logs out.
pub fn shared_directory() -> &'static Path {
    Path::new("/tmp")
}

/// The settings of a limiter.
#[derive(Debug, Clone)]
pub struct LimiterSettings {
    /// The file in which processes that send to the app share its slots, normally in [`shared_directory`]. It must be
    /// named after the app, and is created if it is missing.
    pub ledger: PathBuf,
    /// The cap of all calls to the app.
    pub app_cap: Cap,
    /// The limits of all calls to the app on one calendar day. All of them hold.
    pub calls_per_day: Vec<CallsPerDay>,
    /// The maximum duration of a call from its permit to its answer; then its connection is closed. It must be the same
    /// in all processes.
    pub call_timeout: Duration,
}

/// The limiter of one app. Clones share it.
#[derive(Debug, Clone)]
pub struct Limiter {
    shared: Arc<LimiterState>,
}

/// The limiter of one command of the app. Clones share it, and wait in one queue.
#[derive(Debug, Clone)]
pub struct CommandLimiter {
    shared: Arc<LimiterState>,
    number: usize,
    /// Locked by the waiter that is next. The lock serves waiters in their order.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Why a call may not be sent.
#[derive(Debug)]
pub enum NoPermit {
    /// The ledger cannot be read or written any more, so nothing may be sent.
    Ledger(LedgerError),
    /// The calls of the day are used up.
    DayUsedUp(DayUsedUp),
}

/// The right to send one call. A permit that is dropped without an answer counts as unanswered.
#[derive(Debug)]
#[must_use = "a permit that is not used has spent a slot for nothing"]
pub struct Permit {
    shared: Arc<LimiterState>,
    number: usize,
    /// The slots of the call; `None` once its result was reported.
    taken: Option<TakenSlots>,
}

/// The rates of a command and of the app, and what keeps them below their caps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimiterStatus {
    /// The rate of the command's own limit.
    pub command: Speed,
    /// The rate of the app's limit, shared with other commands.
    pub app: Speed,
}

#[derive(Debug)]
struct LimiterState {
    clock: SystemClock,
    limits: Mutex<CommandLimits>,
    turns: Mutex<Vec<Arc<tokio::sync::Mutex<()>>>>,
    /// The moment from which another process has held the ledger's lock, and the error.
    locked: Mutex<Option<(Instant, LedgerError)>>,
}

impl Limiter {
    /// Opens the ledger.
    ///
    /// # Errors
    /// The ledger cannot be used, so nothing may be sent.
    pub fn open(settings: &LimiterSettings) -> Result<Self, LedgerError> {
        let clock = SystemClock::start();
        let ledger = Ledger::open(&settings.ledger, settings.call_timeout)?;
        let limits = CommandLimits::new(ledger, settings.app_cap, &settings.calls_per_day);
        let shared =
            LimiterState { clock, limits: Mutex::new(limits), turns: Mutex::default(), locked: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The limiter of the command with this name. A second call returns the same one, with the lower of both caps.
    ///
    /// # Errors
    /// The ledger cannot be used or has no free section for the command.
    pub fn command(&self, name: &str, cap: Cap) -> Result<CommandLimiter, LedgerError> {
        let number = self.shared.limits().command(name, cap)?;
        let turn = self.shared.turn(number);
        Ok(CommandLimiter { shared: Arc::clone(&self.shared), number, turn })
    }
}

impl CommandLimiter {
    /// Waits until a call may be sent. Waiters are served in their order. Dropping the future takes no slot.
    ///
    /// # Errors
    /// The call cannot be sent today, or not at all.
    pub async fn acquire(&self) -> Result<Permit, NoPermit> {
        let _turn = self.turn.lock().await;
        loop {
            let taken = self.shared.limits().take(self.number, &clock::local_now(), || self.shared.clock.now());
            let taken = match taken {
                Err(locked @ LedgerError::Locked { .. }) => {
                    self.shared.set_locked(locked);
                    sleep(RECHECK_LOCK).await;
                    continue;
                }
                taken => taken.map_err(NoPermit::Ledger)?,
            };
            self.shared.clear_locked();
            match taken {
                Ok(taken) => {
                    return Ok(Permit { shared: Arc::clone(&self.shared), number: self.number, taken: Some(taken) });
                }
                Err(NoSlots::DayUsedUp(day)) => return Err(NoPermit::DayUsedUp(day)),
                Err(NoSlots::Until(next)) => {
                    let wait = next.since(self.shared.clock.now());
                    sleep(wait.clamp(RECHECK_MIN, RECHECK_MAX)).await;
                }
            }
        }
    }

    /// Checks that the ledger is still the file that other processes open.
    ///
    /// # Errors
    /// It was removed, renamed or replaced: nothing more may be sent.
    pub fn check(&self) -> Result<(), LedgerError> {
        self.shared.limits().check()
    }

    /// The time for which another process has held the ledger's lock, with the error that says so. Nothing is sent
    /// meanwhile.
    pub fn locked(&self) -> Option<(Duration, String)> {
        let locked = self.shared.locked.lock().unwrap_or_else(PoisonError::into_inner);
        locked.as_ref().map(|(since, error)| (since.elapsed(), error.with_hint()))
    }

    /// An answer throttled this command or the app: the one that was read last, or one some milliseconds before it.
    /// After a [`Pause::Long`] this process sends no call of it for 90 s.
    pub fn throttled(&self, scope: Scope, pause: Pause) {
        let received = self.shared.limits().throttled(self.number, (scope, pause), || self.shared.clock.now());
        if let Err(error) = received {
            // The next permit meets the same error.
            tracing::warn!(%error, "cannot tell other processes to slow down");
        }
    }

    /// Sets the cap of the command in this process, from the next call on.
    pub fn set_cap(&self, cap: Cap) {
        self.shared.limits().set_cap(self.number, cap);
    }

    /// The rates now, and what keeps them below the caps.
    pub fn status(&self) -> LimiterStatus {
        let (command, app) = self.shared.limits().speeds(self.number, self.shared.clock.now());
        LimiterStatus { command, app }
    }
}

impl Permit {
    /// An answer was read just now, `round_trip` after the request was written. The slots are free one second after the
    /// server counted the call, as far as the shortest round trip shows.
    pub fn answered(mut self, round_trip: Duration) {
        let now = self.shared.clock.now();
        let Some(taken) = self.taken.take() else { return };
        let settled = self.shared.limits().answered(self.number, taken, round_trip, now);
        if let Err(error) = settled {
            // The slots stay taken as if there had been no answer, and the next permit meets the same error.
            tracing::warn!(%error, "cannot free slots");
        }
    }

    /// No answer came within the time-out, or the connection broke. The server may count the call at any later moment,
    /// so its slots stay taken until the server answers a call that leaves after the end of this one.
    pub fn unanswered(self) {}

    /// No byte of the call left: there was no connection.
    pub fn not_sent(mut self) {
        let Some(taken) = self.taken.take() else { return };
        if let Err(error) = self.shared.limits().not_sent(taken) {
            tracing::warn!(%error, "cannot free slots");
        }
    }
}

impl LimiterState {
    /// Every step under this lock is complete, so a panic of another thread leaves no partial change.
    fn limits(&self) -> MutexGuard<'_, CommandLimits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_locked(&self, error: LedgerError) {
        let mut locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner);
        locked.get_or_insert((Instant::now(), error));
    }

    fn clear_locked(&self) {
        *self.locked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn turn(&self, number: usize) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        while turns.len() <= number {
            turns.push(Arc::default());
        }
        Arc::clone(&turns[number])
    }
}

/// CLOCK_MONOTONIC through tokio, so that tests can move the clock.
#[derive(Debug)]
struct SystemClock {
    start: Moment,
    started: Instant,
}

impl SystemClock {
    fn start() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let seconds = Duration::from_secs(time.tv_sec.try_into().unwrap_or_default());
        let start = Moment::from_nanos(time.tv_nsec.try_into().unwrap_or_default()).plus(seconds);
        Self { start, started: Instant::now() }
    }

    fn now(&self) -> Moment {
        self.start.plus(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tokio::time::timeout;

    use super::*;
    use crate::domain::rate_limit::speed::Pressure;
    use crate::domain::rate_limit::throttle::PAUSE;

    fn cap(calls: u32) -> Cap {
        Cap::try_from(NonZeroU32::new(calls).expect("not zero")).expect("low enough")
    }

    fn limiter(folder: &tempfile::TempDir, app_cap: u32) -> Limiter {
        let ledger = folder.path().join("ledger");
        let call_timeout = Duration::from_millis(400);
        Limiter::open(&LimiterSettings { ledger, app_cap: cap(app_cap), calls_per_day: Vec::new(), call_timeout })
            .expect("a ledger")
    }

    async fn time_to_the_next(limiter: &CommandLimiter) -> Duration {
        let asked = Instant::now();
        let _permit = limiter.acquire().await.expect("the ledger works");
        asked.elapsed()
    }

    #[tokio::test]
    async fn an_answered_call_frees_its_slot_in_a_second_an_unanswered_one_after_the_time_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let limiter = limiter(&folder, 1).command("friend_delete", cap(1)).expect("a section");
        limiter.acquire().await.expect("free").answered(Duration::from_millis(20));
        let answered = Instant::now();
        limiter.acquire().await.expect("after 1 s").unanswered();
        assert!(answered.elapsed() >= Duration::from_millis(990), "{:?}", answered.elapsed());
        assert!(time_to_the_next(&limiter).await >= Duration::from_millis(1390));
    }

    #[tokio::test]
    async fn waiters_are_served_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let limiter = limiter(&folder, 50).command("friend_delete", cap(50)).expect("a section");
        let (report, mut received) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..9 {
            let (limiter, report) = (limiter.clone(), report.clone());
            tokio::spawn(async move {
                limiter.acquire().await.expect("the ledger works").answered(Duration::ZERO);
                report.send(n).expect("someone listens");
            });
        }
        for n in 0..9 {
            assert_eq!(received.recv().await, Some(n));
        }
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_lets_the_next_one_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let limiter = limiter(&folder, 1).command("friend_delete", cap(1)).expect("a section");
        limiter.acquire().await.expect("free").unanswered();
        for _ in 0..5 {
            timeout(Duration::from_millis(10), limiter.acquire()).await.expect_err("taken for 1.4 s");
        }
        let next = timeout(Duration::from_mins(1), limiter.acquire()).await;
        next.expect("the next waiter is served").expect("the ledger works").unanswered();
    }

    #[tokio::test]
    async fn a_throttled_command_leaves_the_others_alone_and_a_throttled_app_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let limiter = limiter(&folder, 200);
        let deletes = limiter.command("friend_delete", cap(200)).expect("a section");
        let updates = limiter.command("friend_update", cap(200)).expect("a section");
        deletes.throttled(Scope::Command, Pause::Short);
        assert!(matches!(deletes.status().command.pressure, Pressure::Paused { .. }));
        assert_eq!(updates.status().command.pressure, Pressure::None);
        assert_eq!(updates.status().app.pressure, Pressure::None);
        let received = Instant::now();
        updates.throttled(Scope::App, Pause::Short);
        assert!(matches!(deletes.status().app.pressure, Pressure::Paused { .. }));
        updates.acquire().await.expect("the ledger works").unanswered();
        assert!(received.elapsed() >= PAUSE, "{:?}", received.elapsed());
    }

    #[tokio::test]
    async fn a_command_asked_for_twice_has_one_limit_with_the_lower_cap() {
        let folder = tempfile::tempdir().expect("a folder");
        let limiter = limiter(&folder, 200);
        let first = limiter.command("friend_delete", cap(100)).expect("a section");
        let higher = limiter.command("friend_delete", cap(150)).expect("a section");
        assert_eq!(higher.status().command.cap, cap(100));
        limiter.command("friend_delete", cap(50)).expect("a section");
        assert_eq!(first.status().command.cap, cap(50));
    }
}

//! The limits of the app and of each command: throttle, pace and slots. Nothing here waits.

use std::time::Duration;

use jiff::Zoned;

use super::ledger::{Ledger, LedgerError, LedgerSection, NoSlots, TakenSlots};
use super::process_pace::ProcessPace;
use crate::domain::rate_limit::calls_per_day::{CallsPerDay, DayBudget};
use crate::domain::rate_limit::shared_pace::SLACK;
use crate::domain::rate_limit::slots::{RoundTrips, WINDOW};
use crate::domain::rate_limit::speed::Speed;
use crate::domain::rate_limit::throttle::Throttle;
use crate::domain::rate_limit::{Cap, Moment};
use crate::domain::response::codes::{Pause, Scope};

/// The maximum delay of a stalled network that later calls make up for while slots keep a limit below the cap. The time
/// of a pause is never made up for.
const MAX_MAKE_UP: Duration = Duration::from_millis(500);

/// The limits of the app and of its commands, which share one ledger.
#[derive(Debug)]
pub(super) struct CommandLimits {
    ledger: Ledger,
    round_trips: RoundTrips,
    app: CommandLimit,
    commands: Vec<(String, CommandLimit)>,
    days: Vec<DayBudget>,
    /// Slots that are not written yet, because another process held the lock.
    unwritten: Vec<(TakenSlots, SlotRelease)>,
    /// Rejections that are not processed yet, for the same reason, at most one for each limit: the command, what is
    /// throttled, and when it was sent.
    rejections: Vec<(usize, Scope, Moment)>,
}

/// When the slots of a call are free.
#[derive(Debug, Clone, Copy)]
pub(super) enum SlotRelease {
    /// It was answered, and its slots are free at this moment.
    FreeAt(Moment),
    /// No byte of the call left.
    NotSent,
}

/// The limit of one command, or of the app.
#[derive(Debug)]
struct CommandLimit {
    cap: Cap,
    section: LedgerSection,
    pace: ProcessPace,
    throttle: Throttle,
    /// When the call was sent whose answer was read last.
    answered: Moment,
}

impl CommandLimits {
    pub(super) fn new(ledger: Ledger, app_cap: Cap, calls_per_day: &[CallsPerDay]) -> Self {
        let app = CommandLimit::new(app_cap, Ledger::app(app_cap));
        let (round_trips, commands) = (RoundTrips::default(), Vec::new());
        let days = calls_per_day.iter().cloned().map(DayBudget::new).collect();
        Self { ledger, round_trips, app, commands, days, unwritten: Vec::new(), rejections: Vec::new() }
    }

    /// The index of the command's limit, which is created if there is none. Of two caps the lower one counts.
    pub(super) fn command(&mut self, name: &str, cap: Cap) -> Result<usize, LedgerError> {
        if let Some(number) = self.commands.iter().position(|(known, _)| known == name) {
            let limit = &mut self.commands[number].1;
            limit.set_cap(cap.min(limit.cap));
            return Ok(number);
        }
        let section = self.ledger.section(name, cap)?;
        self.commands.push((name.to_owned(), CommandLimit::new(cap, section)));
        Ok(self.commands.len() - 1)
    }

    /// Sets the cap of a command. No second contains more calls than the larger of both caps: a call keeps its slot
    /// until it is free, and the process takes only the slots with the lowest numbers.
    pub(super) fn set_cap(&mut self, command: usize, cap: Cap) {
        self.commands[command].1.set_cap(cap);
    }

    /// Takes the slots for a call of the command that leaves now. `today` is the moment by the wall clock.
    pub(super) fn take(
        &mut self,
        command: usize,
        today: &Zoned,
        clock: impl Fn() -> Moment,
    ) -> Result<Result<TakenSlots, NoSlots>, LedgerError> {
        self.write_delayed(&clock)?;
        let (app, command) = (&mut self.app, &mut self.commands[command].1);
        let now = clock();
        // Other processes may have published a cut.
        app.adopt(now);
        command.adopt(now);
        let trips = &self.round_trips;
        if let Err(later) = command.reserve(now, trips).and_then(|()| app.reserve(now, trips)) {
            return Ok(Err(NoSlots::Until(later)));
        }
        let taken = self.ledger.take(&mut app.section, &mut command.section, (&mut self.days, today), clock)?;
        if taken.is_ok() {
            app.pace.spend(now);
            command.pace.spend(now);
        }
        Ok(taken)
    }

    /// The answer to a call was read.
    pub(super) fn answered(
        &mut self,
        command: usize,
        taken: TakenSlots,
        round_trip: Duration,
        now: Moment,
    ) -> Result<(), LedgerError> {
        for limit in [&mut self.app, &mut self.commands[command].1] {
            limit.answered = taken.at;
            limit.section.answered(taken.at);
        }
        let free_at = self.round_trips.free_at(now, round_trip);
        self.write(taken, SlotRelease::FreeAt(free_at))
    }

    /// No byte of the call left.
    pub(super) fn not_sent(&mut self, taken: TakenSlots) -> Result<(), LedgerError> {
        self.write(taken, SlotRelease::NotSent)
    }

    /// Writes now, or later if another process holds the lock.
    fn write(&mut self, taken: TakenSlots, release: SlotRelease) -> Result<(), LedgerError> {
        self.unwritten.push((taken, release));
        match self.write_all() {
            Err(LedgerError::Locked { .. }) => Ok(()),
            written => written,
        }
    }

    fn write_all(&mut self) -> Result<(), LedgerError> {
        while let Some((taken, release)) = self.unwritten.last() {
            match release {
                SlotRelease::FreeAt(moment) => self.ledger.free(taken, *moment)?,
                SlotRelease::NotSent => self.ledger.return_unsent(taken)?,
            }
            self.unwritten.pop();
        }
        Ok(())
    }

    /// Writes what could not be written while another process held the lock.
    fn write_delayed(&mut self, clock: impl Fn() -> Moment) -> Result<(), LedgerError> {
        self.write_all()?;
        while let Some((command, scope, sent)) = self.rejections.first().copied() {
            self.process_rejection(command, scope, sent, &clock)?;
            self.rejections.remove(0);
        }
        Ok(())
    }

    /// The answer that was read last throttled the call. The cut is published to the other processes; if one of them
    /// holds the lock, before the next call.
    pub(super) fn throttled(
        &mut self,
        command: usize,
        (scope, pause): (Scope, Pause),
        clock: impl Fn() -> Moment,
    ) -> Result<(), LedgerError> {
        let limit = self.limit(command, scope);
        if pause == Pause::Long {
            limit.throttle.pause_long(clock());
        }
        let sent = limit.answered;
        match self.process_rejection(command, scope, sent, clock) {
            Err(LedgerError::Locked { .. }) => {
                self.keep_rejection(command, scope, sent);
                Ok(())
            }
            processed => processed,
        }
    }

    /// Of one limit the first rejection is kept: the calls of the others had left before it is processed, so they are
    /// no news then.
    fn keep_rejection(&mut self, command: usize, scope: Scope, sent: Moment) {
        let is_of_limit = |(of, kept, _): &(usize, Scope, Moment)| match scope {
            Scope::Command => *kept == scope && *of == command,
            Scope::App => *kept == scope,
        };
        if !self.rejections.iter().any(is_of_limit) {
            self.rejections.push((command, scope, sent));
        }
    }

    fn process_rejection(
        &mut self,
        command: usize,
        scope: Scope,
        sent: Moment,
        clock: impl Fn() -> Moment,
    ) -> Result<(), LedgerError> {
        let limit = match scope {
            Scope::Command => &mut self.commands[command].1,
            Scope::App => &mut self.app,
        };
        self.ledger.publish_cut(&mut limit.section, &mut limit.throttle, sent, clock)
    }

    fn limit(&mut self, command: usize, scope: Scope) -> &mut CommandLimit {
        match scope {
            Scope::Command => &mut self.commands[command].1,
            Scope::App => &mut self.app,
        }
    }

    /// Checks that the ledger is still the file that other processes open.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        self.ledger.check()
    }

    /// The rates of the command and of the app.
    pub(super) fn speeds(&self, command: usize, now: Moment) -> (Speed, Speed) {
        (self.commands[command].1.throttle.speed(now), self.app.throttle.speed(now))
    }
}

/// The number of slots that calls of this rate occupy if each occupies its own for a second and `excess`, up to the
/// cap. Calls that a stalled network delays then block the slots of later calls, so that they do not arrive together.
fn slots_for(rate: f64, excess: Duration, cap: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is above 0 and at most 65,536")]
    let slots = (rate * (WINDOW + excess).as_secs_f64()).ceil() as u32;
    slots.min(cap)
}

impl CommandLimit {
    fn new(cap: Cap, mut section: LedgerSection) -> Self {
        section.keep_some_for_probes();
        let answered = Moment::from_nanos(0);
        Self { cap, section, pace: ProcessPace::new(cap), throttle: Throttle::new(cap), answered }
    }

    fn set_cap(&mut self, cap: Cap) {
        if cap != self.cap {
            self.pace = ProcessPace::new(cap);
            self.section.set_cap(cap);
        }
        self.cap = cap;
        self.throttle.set_cap(cap);
    }

    /// Checks the pause and the pace of this process, and sets the pace and the number of slots that all processes
    /// share.
    ///
    /// # Errors
    /// The call is too early. The error is the moment at which to ask again.
    fn reserve(&mut self, now: Moment, trips: &RoundTrips) -> Result<(), Moment> {
        self.throttle.paused_until(now).map_or(Ok(()), Err)?;
        let rate = self.throttle.rate(now);
        let cap = self.cap.get();
        if rate < f64::from(cap) {
            let excess = trips.usual_excess(now);
            self.section.set_slots(excess.map_or(cap, |excess| slots_for(rate, excess, cap)));
            let slack = excess.map_or(SLACK, |_| self.throttle.unpaused(now).clamp(SLACK, MAX_MAKE_UP));
            self.section.set_pace(Duration::from_secs_f64(1.0 / rate), slack);
        } else {
            self.section.set_pace(Duration::ZERO, Duration::ZERO);
            self.section.set_slots(cap);
        }
        self.pace.draw(now)
    }

    /// Adopts the last cut of all processes.
    fn adopt(&mut self, now: Moment) {
        if let Some(cut) = self.section.published_cut() {
            self.throttle.adopt(cut, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::num::NonZeroU32;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::domain::rate_limit::speed::Pressure;

    fn ms(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn cap(calls: u32) -> Cap {
        NonZeroU32::new(calls).unwrap().try_into().unwrap()
    }

    #[test]
    fn every_limit_that_was_rejected_while_the_ledger_was_locked_is_cut_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::open(&path, Duration::from_secs(5)).unwrap();
        let mut limits = CommandLimits::new(ledger, cap(200), &[]);
        let today: Zoned = "2026-11-22T12:00Z[UTC]".parse().unwrap();
        let commands = ["account_delete", "friend_delete"].map(|name| limits.command(name, cap(100)).unwrap());
        for command in commands {
            let mut moments = (1000..).map(ms);
            let mut taken = None;
            while taken.is_none() {
                let now = moments.next().unwrap();
                taken = limits.take(command, &today, || now).unwrap().ok();
            }
            limits.answered(command, taken.unwrap(), Duration::from_millis(10), ms(5000)).unwrap();
        }
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        for (command, scope) in [(0, Scope::Command), (1, Scope::Command), (0, Scope::App), (1, Scope::Command)] {
            limits.throttled(commands[command], (scope, Pause::Short), || ms(5000)).unwrap();
        }
        assert_eq!(limits.rejections.len(), 3);
        drop(other);
        let _ = limits.take(commands[0], &today, || ms(5001)).unwrap();
        for command in commands {
            let (of_command, of_app) = limits.speeds(command, ms(5001));
            assert!(matches!(of_command.pressure, Pressure::Paused { .. }), "{command}: {of_command:?}");
            assert!(matches!(of_app.pressure, Pressure::Paused { .. }), "{of_app:?}");
        }
    }

    #[test]
    fn processes_that_are_throttled_at_the_same_time_publish_one_cut() {
        let folder = tempfile::tempdir().unwrap();
        let today: Zoned = "2026-11-22T12:00Z[UTC]".parse().unwrap();
        for round in 0..100 {
            let path = folder.path().join(format!("ledger{round}"));
            let clock = AtomicU64::new(5_000);
            let clock = || ms(clock.fetch_add(1, Ordering::SeqCst));
            let mut processes = [(); 2].map(|()| {
                let ledger = Ledger::open(&path, Duration::from_secs(5)).unwrap();
                let mut limits = CommandLimits::new(ledger, cap(200), &[]);
                limits.command("friend_delete", cap(100)).unwrap();
                limits
            });
            for limits in &mut processes {
                let taken = limits.take(0, &today, || ms(1_000)).unwrap().unwrap();
                limits.answered(0, taken, Duration::from_millis(10), ms(1_010)).unwrap();
            }
            let together = &Barrier::new(2);
            std::thread::scope(|scope| {
                for limits in &mut processes {
                    scope.spawn(move || {
                        together.wait();
                        limits.throttled(0, (Scope::Command, Pause::Short), clock).unwrap();
                        while limits.write_delayed(clock).is_err() {
                            std::thread::yield_now();
                        }
                    });
                }
            });
            let [one, other] = processes.each_ref().map(|limits| limits.commands[0].1.section.published_cut());
            assert!(one.is_some() && one == other, "round {round}: {one:?} {other:?}");
        }
    }

    #[test]
    fn a_lower_limit_uses_the_slots_that_its_calls_occupy_up_to_the_cap() {
        let slots = |rate, excess| slots_for(rate, Duration::from_millis(excess), 200);
        assert_eq!([slots(40.0, 0), slots(40.0, 30), slots(0.2, 0), slots(199.0, 100)], [40, 42, 1, 200]);
    }
}

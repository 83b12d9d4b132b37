//! What stands between a call and the wire, without waiting: throttle, pace and slots of the app and of each command.

use std::time::Duration;

use super::ledger::{Ledger, LedgerError, Section, Taken};
use super::process_pace::Pace;
use crate::domain::rate_limit::shared_pace::SLACK;
use crate::domain::rate_limit::slots::{RoundTrips, WINDOW};
use crate::domain::rate_limit::speed::Speed;
use crate::domain::rate_limit::throttle::Throttle;
use crate::domain::rate_limit::{Cap, Moment};
use crate::domain::response::codes::{Pause, Scope};

/// Where slots see to it that no second holds more than a lower limit, calls that a stalled network held up are made up for; but
/// none of a pause.
const MADE_UP: Duration = Duration::from_millis(500);

/// The app's lane and those of its commands, over one ledger.
#[derive(Debug)]
pub(super) struct Lanes {
    ledger: Ledger,
    round_trips: RoundTrips,
    app: Lane,
    commands: Vec<(String, Lane)>,
    /// What could not be written yet, since another process held the lock.
    unwritten: Vec<(Taken, After)>,
    /// A rejection that was not looked into yet, for the same reason: of which command, and what slows down.
    rejection: Option<(usize, Scope, Moment)>,
}

/// What became of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum After {
    /// It was answered: its slots are free at that moment.
    FreeAt(Moment),
    /// No byte of it left.
    NotSent,
}

/// The calls of one command, or of the app.
#[derive(Debug)]
struct Lane {
    cap: Cap,
    section: Section,
    pace: Pace,
    throttle: Throttle,
    /// When the call was sent whose answer was read last.
    answered: Moment,
}

impl Lanes {
    pub(super) fn new(ledger: Ledger, app_cap: Cap) -> Self {
        let app = Lane::new(app_cap, Ledger::app(app_cap));
        let (round_trips, commands) = (RoundTrips::default(), Vec::new());
        Self { ledger, round_trips, app, commands, unwritten: Vec::new(), rejection: None }
    }

    /// The number of the command's lane, which is made if there is none. The lower one of two caps holds.
    pub(super) fn command(&mut self, name: &str, cap: Cap) -> Result<usize, LedgerError> {
        if let Some(number) = self.commands.iter().position(|(known, _)| known == name) {
            let lane = &mut self.commands[number].1;
            lane.set_cap(cap.min(lane.cap));
            return Ok(number);
        }
        let section = self.ledger.section(name, cap)?;
        self.commands.push((name.to_owned(), Lane::new(cap, section)));
        Ok(self.commands.len() - 1)
    }

    pub(super) fn set_cap(&mut self, command: usize, cap: Cap) {
        self.commands[command].1.set_cap(cap);
    }

    /// A call of the command may leave now, with these slots; or says when to ask again.
    pub(super) fn take(
        &mut self,
        command: usize,
        clock: impl Fn() -> Moment,
    ) -> Result<Result<Taken, Moment>, LedgerError> {
        self.catch_up(&clock)?;
        let (app, command) = (&mut self.app, &mut self.commands[command].1);
        let now = clock();
        // Others may have left word at the last take.
        app.heed(now);
        command.heed(now);
        let trips = &self.round_trips;
        if let Err(later) = command.ready(now, trips).and_then(|()| app.ready(now, trips)) {
            return Ok(Err(later));
        }
        let taken = self.ledger.take(&mut app.section, &mut command.section, clock)?;
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
        taken: Taken,
        round_trip: Duration,
        now: Moment,
    ) -> Result<(), LedgerError> {
        for lane in [&mut self.app, &mut self.commands[command].1] {
            lane.answered = taken.at;
            lane.section.heard(taken.at);
        }
        let free_at = self.round_trips.free_at(now, round_trip);
        self.write(taken, After::FreeAt(free_at))
    }

    /// No byte of the call left.
    pub(super) fn not_sent(&mut self, taken: Taken) -> Result<(), LedgerError> {
        self.write(taken, After::NotSent)
    }

    /// Now, or once no other process holds the lock.
    fn write(&mut self, taken: Taken, after: After) -> Result<(), LedgerError> {
        self.unwritten.push((taken, after));
        match self.write_all() {
            Err(LedgerError::Locked { .. }) => Ok(()),
            written => written,
        }
    }

    fn write_all(&mut self) -> Result<(), LedgerError> {
        while let Some((taken, after)) = self.unwritten.last() {
            match after {
                After::FreeAt(moment) => self.ledger.settle(taken, *moment)?,
                After::NotSent => self.ledger.give_back(taken)?,
            }
            self.unwritten.pop();
        }
        Ok(())
    }

    /// Does what could not be done while another process held the lock.
    fn catch_up(&mut self, clock: impl Fn() -> Moment) -> Result<(), LedgerError> {
        self.write_all()?;
        if let Some((command, scope, sent)) = self.rejection {
            self.look_into(command, scope, sent, clock())?;
            self.rejection = None;
        }
        Ok(())
    }

    /// The answer that was read last said: too fast. The other processes are told; if another process holds the lock, before the
    /// next call.
    pub(super) fn throttled(
        &mut self,
        command: usize,
        (scope, pause): (Scope, Pause),
        now: Moment,
    ) -> Result<(), LedgerError> {
        let lane = self.lane(command, scope);
        if pause == Pause::Long {
            lane.throttle.pause_long(now);
        }
        let sent = lane.answered;
        match self.look_into(command, scope, sent, now) {
            Err(LedgerError::Locked { .. }) => {
                self.rejection = Some((command, scope, sent));
                Ok(())
            }
            looked_into => looked_into,
        }
    }

    fn look_into(&mut self, command: usize, scope: Scope, sent: Moment, now: Moment) -> Result<(), LedgerError> {
        let lane = match scope {
            Scope::Command => &mut self.commands[command].1,
            Scope::App => &mut self.app,
        };
        self.ledger.hear(&mut lane.section)?;
        lane.heed(now);
        if !lane.throttle.is_news(sent) {
            return Ok(());
        }
        let calls = self.ledger.sent(&lane.section, sent)?;
        let cut = lane.throttle.rejected(now, sent, calls);
        cut.map_or(Ok(()), |cut| self.ledger.tell(&mut lane.section, cut))
    }

    fn lane(&mut self, command: usize, scope: Scope) -> &mut Lane {
        match scope {
            Scope::Command => &mut self.commands[command].1,
            Scope::App => &mut self.app,
        }
    }

    /// The ledger is still the one that other processes find.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        self.ledger.check()
    }

    /// How fast the command and the app may go.
    pub(super) fn speeds(&self, command: usize, now: Moment) -> (Speed, Speed) {
        (self.commands[command].1.throttle.speed(now), self.app.throttle.speed(now))
    }
}

/// As many slots as calls of this rate hold when each holds its own for a second and that excess: what a stalled network holds up
/// then takes the slots of what would come after it, so that they do not arrive together. Never more than those of the cap.
fn slots_for(rate: f64, excess: Duration, cap: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is above 0 and at most 65,536")]
    let slots = (rate * (WINDOW + excess).as_secs_f64()).ceil() as u32;
    slots.min(cap)
}

impl Lane {
    fn new(cap: Cap, mut section: Section) -> Self {
        section.keep_some_for_probes();
        let answered = Moment::from_nanos(0);
        Self { cap, section, pace: Pace::new(cap), throttle: Throttle::new(cap), answered }
    }

    fn set_cap(&mut self, cap: Cap) {
        if cap != self.cap {
            self.pace = Pace::new(cap);
            self.section.set_cap(cap);
        }
        self.cap = cap;
        self.throttle.set_cap(cap);
    }

    /// Neither a pause nor this process's own pace is in the way; otherwise, until when. Tells the ledger the pace of a lower limit
    /// and how many slots it takes, which all processes keep together.
    fn ready(&mut self, now: Moment, trips: &RoundTrips) -> Result<(), Moment> {
        self.throttle.paused_until(now).map_or(Ok(()), Err)?;
        let rate = self.throttle.rate(now);
        let cap = self.cap.get();
        if rate < f64::from(cap) {
            let excess = trips.usual_excess(now);
            self.section.set_slots(excess.map_or(cap, |excess| slots_for(rate, excess, cap)));
            let slack = excess.map_or(SLACK, |_| self.throttle.unpaused(now).clamp(SLACK, MADE_UP));
            self.section.set_pace(Duration::from_secs_f64(1.0 / rate), slack);
        } else {
            self.section.set_pace(Duration::ZERO, Duration::ZERO);
            self.section.set_slots(cap);
        }
        self.pace.draw(now)
    }

    /// What other processes were told counts here, too.
    fn heed(&mut self, now: Moment) {
        if let Some(cut) = self.section.told() {
            self.throttle.heed(cut, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_limit_takes_the_slots_that_its_calls_hold_and_never_more_than_those_of_the_cap() {
        let slots = |rate, excess| slots_for(rate, Duration::from_millis(excess), 200);
        assert_eq!([slots(40.0, 0), slots(40.0, 30), slots(0.2, 0), slots(199.0, 100)], [40, 42, 1, 200]);
    }
}

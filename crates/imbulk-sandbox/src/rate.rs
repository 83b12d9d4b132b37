//! Exact one-second windows: what arrived, what was let in, and the caps.

use std::collections::VecDeque;

use crate::commands::Command;

/// How many calls any one second may hold before the API turns them away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    app: u32,
    commands: [u32; Command::ALL.len()],
}

impl Default for Caps {
    /// The published caps: of each command, and 200 calls/s for the app.
    fn default() -> Self {
        Self { app: 200, commands: Command::ALL.map(|command| command.definition().calls_per_second) }
    }
}

impl Caps {
    /// The cap of everything together; above it calls get 60011.
    pub fn app(&self) -> u32 {
        self.app
    }

    /// The cap of one command; above it calls get 60007.
    pub fn of(&self, command: Command) -> u32 {
        self.commands[command.index()]
    }

    /// These with another cap of the app.
    #[must_use]
    pub fn with_app(mut self, calls_per_second: u32) -> Self {
        self.app = calls_per_second;
        self
    }

    /// These with another cap of one command.
    #[must_use]
    pub fn with(mut self, command: Command, calls_per_second: u32) -> Self {
        self.commands[command.index()] = calls_per_second;
        self
    }
}

/// Which seconds contain no more calls than a cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Counting {
    /// Every second, at any phase.
    #[default]
    Any,
    /// The seconds of the wall clock.
    Clock,
}

const SECOND: u64 = 1_000_000_000;

/// The calls of the last second and the fullest second so far. A second is half-open, so that two
/// calls exactly one second apart never share one; every phase counts, since each call's own second is
/// looked at as the call ends it.
#[derive(Debug, Default)]
struct Window {
    times: VecDeque<u64>,
    worst: usize,
}

impl Window {
    /// The calls in the second that ends at `now`; `now` must not go back.
    fn count(&mut self, now: u64) -> usize {
        while self.times.front().is_some_and(|&time| time + SECOND <= now) {
            self.times.pop_front();
        }
        self.times.len()
    }

    fn add(&mut self, now: u64) {
        self.worst = self.worst.max(self.count(now) + 1);
        self.times.push_back(now);
    }
}

/// One window for the app and one for each command.
#[derive(Debug, Default)]
struct Windows {
    app: Window,
    commands: [Window; Command::ALL.len()],
}

impl Windows {
    fn add(&mut self, command: Command, now: u64) {
        self.app.add(now);
        self.commands[command.index()].add(now);
    }

    /// Forgets the calls before the moment.
    fn forget_before(&mut self, begun: u64) {
        for window in std::iter::once(&mut self.app).chain(&mut self.commands) {
            while window.times.front().is_some_and(|&time| time < begun) {
                window.times.pop_front();
            }
        }
    }

    fn worst(&self, command: Option<Command>) -> usize {
        command.map_or(&self.app, |one| &self.commands[one.index()]).worst
    }
}

/// Whether the URL of a call that arrives was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Known,
    Stranger,
}

/// What the gate decides about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    LetIn,
    /// Over the command's cap: 60007.
    OverCommand,
    /// Over the app's cap: 60011.
    OverApp,
}

/// Counts every call; lets in as many as the caps allow. A call that is turned away does not use the capacity of
/// the next one, but is in the count of arrivals.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) caps: Caps,
    counting: Counting,
    /// The part of the wall clock's second that was over at time 0, in nanoseconds.
    phase: u64,
    arrived: Windows,
    let_in: Windows,
}

impl Gate {
    pub(crate) fn new(caps: Caps, counting: Counting, phase: u64) -> Self {
        Self { caps, counting, phase, arrived: Windows::default(), let_in: Windows::default() }
    }

    /// A call at `now`, in nanoseconds of a clock that never goes back.
    pub(crate) fn arrive(&mut self, command: Command, arrival: Arrival, now: u64) -> Admission {
        self.arrived.add(command, now);
        if self.counting == Counting::Clock {
            let begun = now.saturating_sub((now + self.phase) % SECOND);
            self.let_in.forget_before(begun);
        }
        let in_command = self.let_in.commands[command.index()].count(now);
        let in_app = self.let_in.app.count(now);
        if in_command >= self.caps.of(command) as usize {
            Admission::OverCommand
        } else if in_app >= self.caps.app() as usize {
            Admission::OverApp
        } else {
            if arrival == Arrival::Known {
                self.let_in.add(command, now);
            }
            Admission::LetIn
        }
    }

    /// The most calls that arrived in any one second; of the app for `None`.
    pub(crate) fn worst_arrived(&self, command: Option<Command>) -> usize {
        self.arrived.worst(command)
    }

    /// The most calls that were let in in any one second; of the app for `None`.
    pub(crate) fn worst_let_in(&self, command: Option<Command>) -> usize {
        self.let_in.worst(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn calls_exactly_a_second_apart_share_no_second() {
        let mut window = Window::default();
        window.add(0);
        assert_eq!(window.count(SECOND - 1), 1);
        assert_eq!(window.count(SECOND), 0);
        window.add(SECOND);
        assert_eq!(window.worst, 1);
    }

    #[test]
    fn a_burst_across_the_turn_of_a_clock_second_is_seen() {
        let mut window = Window::default();
        for i in 0..200 {
            window.add(900 * MS + i * MS);
        }
        assert_eq!(window.worst, 200);
    }

    #[test]
    fn over_the_cap_of_the_command_is_not_over_the_cap_of_the_app() {
        let caps = Caps::default().with_app(3).with(Command::AccountDelete, 2);
        let mut gate = Gate::new(caps, Counting::Any, 0);
        let mut arrive = |command, now| gate.arrive(command, Arrival::Known, now);
        assert_eq!(arrive(Command::AccountDelete, 0), Admission::LetIn);
        assert_eq!(arrive(Command::AccountDelete, 1), Admission::LetIn);
        assert_eq!(arrive(Command::AccountDelete, 2), Admission::OverCommand);
        assert_eq!(arrive(Command::FriendDelete, 3), Admission::LetIn);
        assert_eq!(arrive(Command::FriendDelete, 4), Admission::OverApp);
        assert_eq!(arrive(Command::FriendDelete, SECOND), Admission::LetIn);
        assert_eq!(gate.worst_arrived(None), 5);
        assert_eq!(gate.worst_let_in(None), 3);
        assert_eq!(gate.worst_arrived(Some(Command::AccountDelete)), 3);
    }

    #[test]
    fn a_stranger_is_counted_but_uses_no_capacity() {
        let mut gate = Gate::new(Caps::default().with(Command::FriendUpdate, 1), Counting::Any, 0);
        gate.arrive(Command::FriendUpdate, Arrival::Stranger, 0);
        let ruling = gate.arrive(Command::FriendUpdate, Arrival::Known, 1);
        assert_eq!(ruling, Admission::LetIn);
        assert_eq!(gate.worst_arrived(None), 2);
        assert_eq!(gate.worst_let_in(None), 1);
    }

    proptest! {
        #[test]
        fn the_worst_second_is_that_of_a_plain_search(
            mut times in prop::collection::vec(0..3 * SECOND, 1..200),
        ) {
            times.sort_unstable();
            let mut window = Window::default();
            for &time in &times {
                window.add(time);
            }
            let fullest = times.iter().map(|&start| {
                times.iter().filter(|&&t| t >= start && t < start + SECOND).count()
            });
            prop_assert_eq!(Some(window.worst), fullest.max());
        }
    }
}

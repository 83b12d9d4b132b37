//! What happened at the sandbox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::commands::Command;
use crate::conflicts::Caller;
use crate::rate::{Admission, Gate};

/// Counts since the start, over all commands; also what `GET /sandbox/report` answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Calls to a command of the API that were read in full.
    pub calls: u64,
    /// Calls with good URL parameters and within the caps.
    pub accepted: u64,
    /// Calls over the cap of their command: 60007.
    pub throttled: u64,
    /// Calls over the cap of the app: 60011.
    pub throttled_app: u64,
    /// The most calls that arrived in any one second, whatever became of them.
    pub worst_second: usize,
    /// The most calls that were accepted in any one second.
    pub worst_second_accepted: usize,
    /// Calls that would have written an account that a call with a waiting caller was writing: 30008.
    pub overlaps: u64,
    /// The same, but the caller of the earlier call had hung up, and could not know: 30008 as well.
    pub overlaps_with_abandoned: u64,
    /// Calls whose `UserSig` was not valid: 70001, 70002, 70003, 70009, 70013, 70014.
    pub usersig_failures: u64,
    /// Calls with another wrong URL parameter, a wrong method, or a body that breaks a rule of its page.
    pub bad_requests: u64,
    /// Requests for any other path: 60009.
    pub unknown_paths: u64,
    /// Items of the well-formed calls that were accepted.
    pub items_received: u64,
    /// Items that were deleted or updated.
    pub items_written: u64,
    /// Faults played, by kind: calls, or items for the faults of items.
    pub faults: BTreeMap<String, u64>,
    /// The same counts of each command.
    pub commands: BTreeMap<Command, CommandReport>,
}

/// Counts of one command; the fields mean what they mean in [`Report`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "documented at the fields of the same names above")]
pub struct CommandReport {
    pub calls: u64,
    pub accepted: u64,
    pub throttled: u64,
    pub throttled_app: u64,
    pub worst_second: usize,
    pub worst_second_accepted: usize,
    pub overlaps: u64,
    pub overlaps_with_abandoned: u64,
    pub usersig_failures: u64,
    pub bad_requests: u64,
    pub items_received: u64,
    pub items_written: u64,
}

/// Something that happens to a call; a call may meet several.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CountedEvent {
    BadUserSig,
    BadRequest,
    Ruled(Admission),
    Received { items: u64 },
    Overlap(Caller),
    Written { items: u64 },
}

/// The running counts.
#[derive(Debug, Default)]
pub(crate) struct RunningCounts {
    commands: [CommandReport; Command::ALL.len()],
    unknown_paths: u64,
}

impl RunningCounts {
    pub(crate) fn call(&mut self, command: Command) {
        self.commands[command.index()].calls += 1;
    }

    pub(crate) fn unknown_path(&mut self) {
        self.unknown_paths += 1;
    }

    pub(crate) fn count(&mut self, command: Command, event: CountedEvent) {
        let counts = &mut self.commands[command.index()];
        match event {
            CountedEvent::BadUserSig => counts.usersig_failures += 1,
            CountedEvent::BadRequest => counts.bad_requests += 1,
            CountedEvent::Ruled(Admission::LetIn) => counts.accepted += 1,
            CountedEvent::Ruled(Admission::OverCommand) => counts.throttled += 1,
            CountedEvent::Ruled(Admission::OverApp) => counts.throttled_app += 1,
            CountedEvent::Received { items } => counts.items_received += items,
            CountedEvent::Overlap(Caller::Waiting) => counts.overlaps += 1,
            CountedEvent::Overlap(Caller::Gone) => counts.overlaps_with_abandoned += 1,
            CountedEvent::Written { items } => counts.items_written += items,
        }
    }

    pub(crate) fn report(&self, gate: &Gate, faults: BTreeMap<String, u64>) -> Report {
        let mut report = Report {
            worst_second: gate.worst_arrived(None),
            worst_second_accepted: gate.worst_let_in(None),
            unknown_paths: self.unknown_paths,
            faults,
            ..Report::default()
        };
        for command in Command::ALL {
            let mut counts = self.commands[command.index()].clone();
            counts.worst_second = gate.worst_arrived(Some(command));
            counts.worst_second_accepted = gate.worst_let_in(Some(command));
            report.add(&counts);
            report.commands.insert(command, counts);
        }
        report
    }
}

impl Report {
    fn add(&mut self, counts: &CommandReport) {
        self.calls += counts.calls;
        self.accepted += counts.accepted;
        self.throttled += counts.throttled;
        self.throttled_app += counts.throttled_app;
        self.overlaps += counts.overlaps;
        self.overlaps_with_abandoned += counts.overlaps_with_abandoned;
        self.usersig_failures += counts.usersig_failures;
        self.bad_requests += counts.bad_requests;
        self.items_received += counts.items_received;
        self.items_written += counts.items_written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::{Caps, Counting};

    #[test]
    fn the_sum_over_the_commands_is_the_report_and_it_survives_json() {
        let mut tally = RunningCounts::default();
        for command in [Command::AccountDelete, Command::FriendUpdate] {
            tally.call(command);
            tally.count(command, CountedEvent::Ruled(Admission::LetIn));
            tally.count(command, CountedEvent::Written { items: 3 });
        }
        tally.count(Command::FriendUpdate, CountedEvent::Overlap(Caller::Gone));
        let report = tally.report(&Gate::new(Caps::default(), Counting::Any, 0), BTreeMap::new());
        assert_eq!((report.calls, report.accepted, report.items_written), (2, 2, 6));
        assert_eq!((report.overlaps, report.overlaps_with_abandoned), (0, 1));
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains(r#""account_delete":{"calls":1"#), "{json}");
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}

//! One process of the runner: the state that a kill destroys.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use imbulk::domain::change::Change;
use imbulk::domain::ids::RequestId;
use imbulk::domain::request::Request;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::CallToSend;

use crate::budget::RetryBudgetModel;
use crate::canary::Canary;
use crate::overtaking::OvertakingCheck;
use crate::preparation_check::PreparationCheck;
use crate::progress::Progress;
use crate::scenario::Pause;
use crate::scheduler_under_test::SchedulerUnderTest;

/// The outcomes in a recorded settlement: outcome, items, rows.
type EndedRows = Vec<(Outcome, u64, u64)>;

/// One process of the runner.
pub(super) struct Session<'b> {
    pub(super) number: u64,
    pub(super) scheduler: Box<dyn SchedulerUnderTest + 'b>,
    pub(super) started: Duration,
    /// The jobs of this session.
    pub(super) jobs: Vec<usize>,
    pub(super) last: RequestId,
    pub(super) inbox_after: Duration,
    pub(super) uncommitted: Vec<Change>,
    /// When the uncommitted changes are due.
    pub(super) commit_due: Option<Duration>,
    pub(super) committing: Option<Vec<Change>>,
    pub(super) send_queues: Vec<SendQueue>,
    /// The jobs that stop.
    pub(super) stopped: Vec<bool>,
    /// The jobs of which no call may get its slot.
    pub(super) paused: Vec<bool>,
    pub(super) pauses: VecDeque<Pause>,
    pub(super) events: u64,
    /// Tallies according to the events that the loop has received.
    pub(super) expected_tallies: Vec<Tally>,
    pub(super) ended_rows: HashMap<RequestId, VecDeque<EndedRows>>,
    pub(super) in_memory: HashMap<RequestId, u64>,
    pub(super) memory: Vec<(u64, i64)>,
    pub(super) progress: Progress,
    /// The retry budget of each app.
    pub(super) budgets: Vec<RetryBudgetModel>,
    pub(super) overtaking: OvertakingCheck,
    pub(super) canaries: Vec<Canary>,
    pub(super) preparations: PreparationCheck,
}

#[derive(Debug, Default)]
pub(super) struct SendQueue {
    pub(super) waiting: VecDeque<CallToSend>,
    pub(super) next_slot: Duration,
    pub(super) slot_requested: bool,
}

/// The most requests in memory at once. `memory` contains each load (+1) and unload (−1) with its step.
pub(super) fn most(mut memory: Vec<(u64, i64)>, still_there: &HashMap<RequestId, u64>) -> usize {
    memory.extend(still_there.values().map(|since| (*since, 1)));
    memory.sort_unstable();
    let mut there = 0;
    let most = memory.into_iter().map(|(_, change)| {
        there += change;
        there
    });
    usize::try_from(most.max().unwrap_or(0)).unwrap_or(0)
}

impl Session<'_> {
    /// Takes the next pause, if it is due.
    pub(super) fn next_pause(&mut self) -> Option<Pause> {
        self.pauses.pop_front_if(|pause| pause.after <= self.events)
    }

    pub(super) fn loaded(&mut self, request: &Request) {
        self.in_memory.insert(request.id, self.events);
    }

    /// The request was in memory from its load until now.
    pub(super) fn unloaded(&mut self, request: RequestId) {
        if let Some(since) = self.in_memory.remove(&request) {
            self.memory.extend([(since, 1), (self.events, -1)]);
        }
    }

    /// The request was not in memory, because the schedule loads it again.
    pub(super) fn parked(&mut self, request: RequestId) {
        self.in_memory.remove(&request);
    }
}

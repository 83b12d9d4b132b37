//! One life of the runner: all that a kill takes with it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use imbulk::domain::change::Change;
use imbulk::domain::ids::RequestId;
use imbulk::domain::request::Request;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::tally::Tally;

use crate::budget::Account;
use crate::canary::Canary;
use crate::order::Order;
use crate::progress::Progress;
use crate::scheduler_under_test::SchedulerUnderTest;

/// What a record ended: outcome, items, rows.
type Moved = Vec<(Outcome, u64, u64)>;

/// One life of the runner.
pub(super) struct Session<'b> {
    pub(super) number: u64,
    pub(super) brain: Box<dyn SchedulerUnderTest + 'b>,
    pub(super) started: Duration,
    /// The jobs that it runs.
    pub(super) jobs: Vec<usize>,
    pub(super) last: RequestId,
    pub(super) inbox_after: Duration,
    pub(super) uncommitted: Vec<Change>,
    /// When what is uncommitted is to be written.
    pub(super) commit_due: Option<Duration>,
    pub(super) committing: Option<Vec<Change>>,
    pub(super) lanes: Vec<Lane>,
    pub(super) hold_back: bool,
    pub(super) events: u64,
    /// Tallies as the loop was told.
    pub(super) told: Vec<Tally>,
    pub(super) moved: HashMap<RequestId, VecDeque<Moved>>,
    pub(super) in_memory: HashMap<RequestId, u64>,
    pub(super) memory: Vec<(u64, i64)>,
    pub(super) progress: Progress,
    pub(super) account: Account,
    pub(super) order: Order,
    pub(super) canaries: Vec<Canary>,
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) waiting: VecDeque<RequestId>,
    pub(super) next_slot: Duration,
    pub(super) called: bool,
}

/// The most requests in memory at once: `memory` holds the comings and goings by step.
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
    pub(super) fn takes_in(&mut self, request: &Request) {
        self.in_memory.insert(request.id, self.events);
    }

    /// It was in memory from the time it was taken in until now.
    pub(super) fn lets_go(&mut self, request: RequestId) {
        if let Some(since) = self.in_memory.remove(&request) {
            self.memory.extend([(since, 1), (self.events, -1)]);
        }
    }

    /// It was not in memory: the schedule asks for it again.
    pub(super) fn had_parked(&mut self, request: RequestId) {
        self.in_memory.remove(&request);
    }
}

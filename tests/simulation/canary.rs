//! The canary as the documentation describes it: the first requests must have acceptable outcomes before any other
//! request is sent.

use std::collections::{HashSet, VecDeque};

use imbulk::domain::ids::RequestId;
use imbulk::domain::request::Request;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::settlement::FollowUp;
use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::{End, StopReason};

use crate::directed::{friend, run_scenario, scenario_with};
use crate::scenario::{FaultModel, Scenario};

/// The settings of a job that concern the canary.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CanarySettings {
    pub(crate) items: u64,
    pub(crate) failed_share: f64,
    pub(crate) max_already_done: Option<f64>,
}

/// A model of the canary of one job in one session.
#[derive(Debug, Default)]
pub(crate) struct Canary {
    settings: CanarySettings,
    admitted: u64,
    /// Requests of the canary without an outcome.
    undecided: HashSet<RequestId>,
    /// Requests that must not be sent yet, in order, and how many items each has.
    held: VecDeque<(RequestId, u64)>,
    over: bool,
    counts: [u64; 3],
}

impl Canary {
    pub(crate) fn new(settings: CanarySettings, ended_items: u64, earlier: &Tally) -> Self {
        let mut canary = Self { settings, over: settings.items == 0, ..Self::default() };
        for (outcome, rows) in earlier.iter() {
            canary.count(outcome, rows);
        }
        canary.over |= ended_items.min(canary.counts[0]) >= settings.items && !canary.is_dead();
        canary.counts = [0; 3];
        canary
    }

    pub(crate) fn recovered(&mut self, request: &Request) {
        self.admitted += request.items.len() as u64;
        self.undecided.insert(request.id);
    }

    /// Returns whether the request may be sent before the canary is decided.
    pub(crate) fn admit(&mut self, request: &Request) -> bool {
        if !self.over && self.admitted >= self.settings.items {
            self.held.push_back((request.id, request.items.len() as u64));
            return false;
        }
        self.admitted += request.items.len() as u64;
        self.undecided.insert(request.id);
        true
    }

    /// Returns the requests that the canary no longer delays.
    pub(crate) fn recorded(
        &mut self,
        request: RequestId,
        follow_ups: &[FollowUp],
        ended: &[(Outcome, u64, u64)],
    ) -> Vec<RequestId> {
        ended.iter().for_each(|(outcome, items, _)| self.count(*outcome, *items));
        self.undecided.remove(&request);
        self.undecided.extend(follow_ups.iter().map(|follow_up| follow_up.request.id));
        let left_out: u64 =
            ended.iter().filter(|(outcome, ..)| *outcome == Outcome::Protected).map(|(_, items, _)| items).sum();
        let mut admitted = Vec::new();
        if !self.over {
            // Items that were left out show nothing, so the canary takes as many others.
            self.admitted -= left_out;
            while self.admitted < self.settings.items
                && let Some((id, items)) = self.held.pop_front()
            {
                self.admitted += items;
                self.undecided.insert(id);
                admitted.push(id);
            }
        }
        let decided = self.undecided.is_empty() && self.admitted >= self.settings.items;
        if !self.over && decided && !self.is_dead() {
            self.over = true;
            admitted.extend(std::mem::take(&mut self.held).into_iter().map(|(id, _)| id));
        }
        admitted
    }

    /// Whether the request must not be sent yet.
    pub(crate) fn holds(&self, request: RequestId) -> bool {
        self.held.iter().any(|(id, _)| *id == request)
    }

    /// The requests of the canary without an outcome, if other requests wait for them.
    pub(crate) fn waiting(&self) -> Option<HashSet<RequestId>> {
        (!self.held.is_empty()).then(|| self.undecided.clone())
    }

    fn count(&mut self, outcome: Outcome, items: u64) {
        let [ended, failed, already_done] = &mut self.counts;
        match outcome {
            Outcome::Succeeded => {}
            Outcome::AlreadyDone => *already_done += items,
            Outcome::Failed | Outcome::InDoubt => *failed += items,
            Outcome::Pending | Outcome::Rejected | Outcome::Duplicate | Outcome::Protected => return,
        }
        *ended += items;
    }

    fn is_dead(&self) -> bool {
        let [ended, failed, already_done] = self.counts.map(|count| f64::from(u32::try_from(count).expect("few")));
        let limits = [(failed, Some(self.settings.failed_share)), (already_done, self.settings.max_already_done)];
        limits.iter().any(|(count, share)| *count > 0.0 && share.is_some_and(|share| *count >= share * ended))
    }
}

/// Every call is answered with a final error.
const ALL_FAIL: FaultModel = FaultModel { bad_calls: 1000, code: Some(30_011), ..FaultModel::HEALTHY };

fn with_canary(requests: u32, items: u64, faults: FaultModel) -> Scenario {
    let friends = (0..requests).map(|number| friend(number, &format!("a{number}"))).collect();
    let mut scenario = scenario_with("friend_delete", 200, friends, faults);
    scenario.jobs[0].canary = items;
    scenario.jobs[0].stop.failed_share = 0.5;
    scenario
}

#[test]
fn a_canary_that_fails_halts_the_run_before_anything_else_is_sent() {
    for (seed, items) in [(1, 10), (2, 40), (3, 300)] {
        let mut scenario = with_canary(1000, items, ALL_FAIL);
        scenario.seed = seed;
        // The simulation resumes the run until every item has an outcome. Only the first session matters here.
        let report = run_scenario(&scenario);
        let Some((at, End::Stopped(StopReason::Canary { job: 0, failed, already_done: 0, ended }))) =
            report.ends.first()
        else {
            panic!("seed {seed}: {:?}", report.ends.first());
        };
        assert_eq!((*failed, *ended), (items, items), "seed {seed}");
        let sent: HashSet<_> = report.sent.iter().filter(|(sent, _)| sent < at).map(|(_, id)| *id).collect();
        let friends = sent.iter().filter(|id| id.get() <= 1000).count();
        assert_eq!(friends as u64, items, "seed {seed}");
    }
}

#[test]
fn a_canary_that_passes_costs_little_more_than_its_own_time() {
    let took = |items| {
        let report = run_scenario(&with_canary(2000, items, FaultModel::HEALTHY));
        assert_eq!(report.ends.iter().map(|(_, end)| end).collect::<Vec<_>>(), [&End::Complete]);
        report.took
    };
    let (with, without) = (took(100), took(0));
    // The last call of the canary, two commits, and the slots that pass in the meantime.
    assert!(with <= without + 3 * FaultModel::HEALTHY.work, "{with:?} instead of {without:?}");
}

#[test]
fn a_run_with_fewer_items_than_its_canary_completes() {
    let report = run_scenario(&with_canary(30, 100, ALL_FAIL));
    assert_eq!(report.ends.iter().map(|(_, end)| end).collect::<Vec<_>>(), [&End::Complete]);
    assert_eq!(report.rows.keys().collect::<Vec<_>>(), [&Outcome::Failed]);
}

#[test]
fn failing_items_of_the_canary_use_up_their_attempts_and_are_not_taken_for_an_outage() {
    let mut scenario = with_canary(1000, 100, FaultModel { poisoned: Some(8), ..FaultModel::HEALTHY });
    scenario.jobs[0].retry.max_attempts = 8.try_into().expect("not zero");
    scenario.jobs[0].stop.outage = Some(std::time::Duration::from_mins(2));
    let report = run_scenario(&scenario);
    assert_eq!(report.ends.iter().map(|(_, end)| end).collect::<Vec<_>>(), [&End::Complete]);
    // Lookups show which of them are in the requested state nevertheless.
    assert!(report.rows[&Outcome::Failed] > 90);
    assert_eq!(report.settled_by_lookups.values().sum::<u64>(), 125);
}

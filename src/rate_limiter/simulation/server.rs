//! A simulated server that counts the calls that arrive, and enforces a limit of its own.

use std::collections::{BTreeMap, VecDeque};

use super::SECOND;

/// A server that allows `limit(now)` calls in any second. A strict server also counts the calls that it rejects.
pub(super) struct Server {
    limit: Box<dyn Fn(u64) -> u32>,
    pub(super) strict: bool,
    counted: VecDeque<u64>,
    arrivals: Vec<(u64, Decision)>,
    /// The number of accepted calls of each process.
    accepted: BTreeMap<usize, u32>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Decision {
    Accepted,
    Rejected,
}

impl Server {
    pub(super) fn new(limit: impl Fn(u64) -> u32 + 'static) -> Self {
        Self {
            limit: Box::new(limit),
            strict: false,
            counted: VecDeque::new(),
            arrivals: Vec::new(),
            accepted: BTreeMap::new(),
        }
    }

    pub(super) fn receive(&mut self, peer: usize, now: u64) -> Decision {
        while self.counted.front().is_some_and(|first| now - first >= SECOND) {
            self.counted.pop_front();
        }
        let full = self.counted.len() >= (self.limit)(now) as usize;
        if !full || self.strict {
            self.counted.push_back(now);
        }
        let decision = if full { Decision::Rejected } else { Decision::Accepted };
        *self.accepted.entry(peer).or_default() += u32::from(decision == Decision::Accepted);
        self.arrivals.push((now, decision));
        decision
    }

    /// The maximum number of calls in any second, whenever it begins.
    pub(super) fn fullest_second(&self) -> usize {
        self.fullest(SECOND)
    }

    /// The maximum number of calls in any span of this length.
    pub(super) fn fullest(&self, span: u64) -> usize {
        let (mut fullest, mut first) = (0, 0);
        for (last, (now, _)) in self.arrivals.iter().enumerate() {
            while now - self.arrivals[first].0 >= span {
                first += 1;
            }
            fullest = fullest.max(last + 1 - first);
        }
        fullest
    }

    /// Makes this moment the zero of all arrivals.
    pub(super) fn begin_at(&mut self, zero: u64) {
        self.arrivals.iter_mut().for_each(|(at, _)| *at -= zero);
    }

    /// The calls accepted from the process with the fewest, as a share of the mean of all processes.
    pub(super) fn least_share(&self) -> f64 {
        let all: u32 = self.accepted.values().sum();
        let least = self.accepted.values().copied().min().unwrap_or(0);
        let processes = u32::try_from(self.accepted.len()).expect("few");
        f64::from(least) * f64::from(processes) / f64::from(all)
    }

    pub(super) fn count(&self, decision: Decision, from: u64, to: u64) -> f64 {
        let within = |(at, found): &&(u64, Decision)| *found == decision && (from * SECOND..to * SECOND).contains(at);
        f64::from(u32::try_from(self.arrivals.iter().filter(within).count()).expect("few"))
    }
}

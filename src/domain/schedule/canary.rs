//! The canary: the first requests of a job must have outcomes before the others are sent.
//!
//! Later requests are withheld before they join the queue of any account. So no request of the canary waits for a
//! withheld one, and a canary that has passed costs nothing.

use std::collections::VecDeque;

use crate::domain::request::Request;
use crate::domain::response::outcome::Count;

/// The canary of one job.
#[derive(Debug)]
pub(super) struct Canary {
    /// How many items it needs; 0 once it has passed.
    wanted: Count,
    /// How many items its requests have.
    admitted: Count,
    /// Requests that come after it.
    withheld: VecDeque<Request>,
}

impl Canary {
    /// A canary of `wanted` items; 0 means none.
    pub(super) fn new(wanted: Count) -> Self {
        Self { wanted, admitted: 0, withheld: VecDeque::new() }
    }

    /// Returns a request that belongs to the canary, or comes after it has passed. Withholds any other.
    pub(super) fn admit(&mut self, request: Request) -> Option<Request> {
        if self.is_full() {
            self.withheld.push_back(request);
            return None;
        }
        self.count(&request);
        Some(request)
    }

    /// Counts a request that an earlier runner sent. It belongs to the canary even if that is full.
    pub(super) fn count(&mut self, request: &Request) {
        self.admitted += request.items.len() as Count;
    }

    /// Items of its requests were left out, because their accounts are online. They show nothing, so the canary takes
    /// as many others, and returns the withheld requests that have them.
    pub(super) fn leave_out(&mut self, items: Count) -> Vec<Request> {
        if !self.is_open() {
            return Vec::new();
        }
        self.admitted -= items;
        let mut admitted = Vec::new();
        while !self.is_full()
            && let Some(request) = self.withheld.pop_front()
        {
            self.count(&request);
            admitted.push(request);
        }
        admitted
    }

    /// Whether it has all its items and has not passed.
    pub(super) fn is_full(&self) -> bool {
        self.wanted > 0 && self.admitted >= self.wanted
    }

    /// Whether it is full, and all items of its requests have been sent and have outcomes.
    pub(super) fn is_decided(&self, ended: Count) -> bool {
        self.is_full() && ended >= self.admitted
    }

    /// Whether there is a canary that has not passed.
    pub(super) const fn is_open(&self) -> bool {
        self.wanted > 0
    }

    pub(super) fn withholds_any(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// Drops the withheld requests, because the job stops. The canary has not passed.
    pub(super) fn drop_withheld(&mut self) {
        self.withheld.clear();
    }

    /// Ends the canary and returns the withheld requests.
    pub(super) fn pass(&mut self) -> VecDeque<Request> {
        self.wanted = 0;
        std::mem::take(&mut self.withheld)
    }
}

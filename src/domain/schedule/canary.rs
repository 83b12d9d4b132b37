//! The canary: the first requests of a job are judged before the rest is sent.
//!
//! Later requests are held before they join any queue for accounts. So no request of the canary ever waits for one that
//! the canary itself holds, and nothing is looked at once it has passed.

use std::collections::VecDeque;

use crate::domain::request::Request;
use crate::domain::response::outcome::Count;

/// The canary of one job.
#[derive(Debug)]
pub(super) struct Canary {
    /// Items that are judged first; 0 once they were.
    wanted: Count,
    /// Items of the requests that belong to it.
    admitted: Count,
    /// Requests that came after those.
    held: VecDeque<Request>,
}

impl Canary {
    /// A canary of `wanted` items; 0: none.
    pub(super) fn new(wanted: Count) -> Self {
        Self { wanted, admitted: 0, held: VecDeque::new() }
    }

    /// Takes a request in, or holds it.
    pub(super) fn admit(&mut self, request: Request) -> Option<Request> {
        if self.is_full() {
            self.held.push_back(request);
            return None;
        }
        self.count(&request);
        Some(request)
    }

    /// A request belongs to it whether it is full or not: it was sent before.
    pub(super) fn count(&mut self, request: &Request) {
        self.admitted += request.items.len() as Count;
    }

    /// Whether it has all of its items and is not judged yet.
    pub(super) fn is_full(&self) -> bool {
        self.wanted > 0 && self.admitted >= self.wanted
    }

    /// Whether it holds requests.
    pub(super) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// It is judged. Returns the requests that it held.
    pub(super) fn pass(&mut self) -> VecDeque<Request> {
        self.wanted = 0;
        std::mem::take(&mut self.held)
    }
}

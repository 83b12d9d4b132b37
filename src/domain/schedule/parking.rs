//! Requests of busy accounts, kept by number only.
//!
//! Without it, the requests of a hot account would fill the memory and keep out all others.

use std::collections::VecDeque;

use super::event::Action;
use super::{JobNo, Numbered};
use crate::domain::ids::RequestId;
use crate::domain::request::AccountKey;

/// How many requests may wait for or hold the lease of one account before further ones are parked: the one that holds
/// it, and the next.
pub(super) const MAX_QUEUED_PER_ACCOUNT: usize = 2;

/// The parked requests.
#[derive(Debug, Default)]
pub(super) struct Parking {
    /// By the account for which they were parked, in their order.
    parked: Numbered<AccountKey, VecDeque<(JobNo, RequestId)>>,
    /// Those that are being loaded, with the account for which they were parked.
    reading: Numbered<RequestId, AccountKey>,
}

impl Parking {
    pub(super) fn park(&mut self, account: AccountKey, job: JobNo, request: RequestId) {
        self.parked.entry(account).or_default().push_back((job, request));
    }

    pub(super) fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Loads requests that were parked for an account, as many as may queue for it. `queued`: how many do.
    pub(super) fn read_for(&mut self, account: AccountKey, queued: usize, out: &mut Vec<Action>) {
        let Some(parked) = self.parked.get_mut(&account) else { return };
        let reading = self.reading.values().filter(|parked_for| **parked_for == account).count();
        for _ in queued + reading..MAX_QUEUED_PER_ACCOUNT {
            let Some((job, request)) = parked.pop_front() else { break };
            self.reading.insert(request, account);
            out.push(Action::ReadParked { job, request });
        }
        if parked.is_empty() {
            self.parked.remove(&account);
        }
    }

    /// A parked request is in memory. Returns the account for which it was parked.
    ///
    /// # Panics
    /// If it was not being loaded.
    pub(super) fn read_ended(&mut self, request: RequestId) -> AccountKey {
        self.reading.remove(&request).expect("only a parked request is read")
    }

    /// Drops the requests of a job that are not being loaded, and returns their number.
    pub(super) fn drop_parked(&mut self, job: JobNo) -> usize {
        let count = |parked: &Numbered<AccountKey, VecDeque<_>>| parked.values().map(VecDeque::len).sum::<usize>();
        let before = count(&self.parked);
        self.parked.retain(|_, requests| {
            requests.retain(|(of, _)| *of != job);
            !requests.is_empty()
        });
        before - count(&self.parked)
    }
}

//! Recovered requests, which were found `sending` at the start, and the accounts that they write.
//!
//! The server may still be working on the calls of the earlier runner, so nothing is sent for these accounts until the
//! quarantine is over.

use std::collections::HashSet;

use super::leases::LeaseId;
use super::{JobNo, Numbered};
use crate::domain::ids::RequestId;
use crate::domain::request::{AccountKey, AccountKeys, Request};

/// A recovered request.
#[derive(Debug)]
pub(super) struct RecoveredRequest {
    pub(super) lease: LeaseId,
    /// The job and the request; `None` if this runner does not send it.
    pub(super) own: Option<(JobNo, Request)>,
}

/// The recovered requests until their quarantine is over and they are pending again.
#[derive(Debug, Default)]
pub(super) struct RecoveredRequests {
    requests: Numbered<RequestId, RecoveredRequest>,
    /// Their accounts. A request that writes one of them is parked: while it waited for its lease, it would block all
    /// others at its other accounts.
    accounts: HashSet<AccountKey, foldhash::fast::FixedState>,
    /// All that were found. Once they are pending, a page may bring them: again, or although an item limit keeps them
    /// back.
    found: HashSet<RequestId>,
}

impl RecoveredRequests {
    pub(super) fn add(&mut self, id: RequestId, keys: &AccountKeys, request: RecoveredRequest) {
        self.accounts.extend(keys.as_slice());
        self.found.insert(id);
        self.requests.insert(id, request);
    }

    /// Takes a request out that is pending again.
    ///
    /// # Panics
    /// If it is not among the recovered requests.
    pub(super) fn remove(&mut self, id: RequestId) -> RecoveredRequest {
        self.requests.remove(&id).expect("only a recovered request is reopened")
    }

    /// The lease of a recovered request has ended. No other recovered request has one of its accounts.
    pub(super) fn remove_accounts(&mut self, keys: &AccountKeys) {
        for key in keys.as_slice() {
            self.accounts.remove(key);
        }
    }

    pub(super) fn has_accounts(&self) -> bool {
        !self.accounts.is_empty()
    }

    pub(super) fn contains_account(&self, account: AccountKey) -> bool {
        self.accounts.contains(&account)
    }

    /// Whether a request was recovered, so that it must not be taken from a page.
    pub(super) fn knows(&self, id: RequestId) -> bool {
        self.found.contains(&id)
    }
}

//! Requests that were found `sending` at the start, and the accounts that they write.
//!
//! The server may still be working on the calls of the earlier runner, so nothing is sent for these accounts until that
//! cannot be the case any more.

use std::collections::HashSet;

use super::leases::LeaseId;
use super::{JobNo, Numbered};
use crate::domain::ids::RequestId;
use crate::domain::request::{AccountKey, AccountKeys, Request};

/// A request that was found `sending`.
#[derive(Debug)]
pub(super) struct QuarantinedRequest {
    pub(super) lease: LeaseId,
    /// The job and the request; `None` if it belongs to no job of this runner.
    pub(super) own: Option<(JobNo, Request)>,
}

/// The recovered requests until they are pending again.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    requests: Numbered<RequestId, QuarantinedRequest>,
    /// Their accounts. A request that writes one of them is parked: while it waited for its lease, it would block all
    /// others at its other accounts.
    accounts: HashSet<AccountKey, foldhash::fast::FixedState>,
    /// The own ones, because a page brings them again once they are pending.
    own: HashSet<RequestId>,
}

impl Quarantine {
    pub(super) fn add(&mut self, id: RequestId, keys: &AccountKeys, request: QuarantinedRequest) {
        self.accounts.extend(keys.as_slice());
        if request.own.is_some() {
            self.own.insert(id);
        }
        self.requests.insert(id, request);
    }

    /// Takes a request out that is pending again.
    ///
    /// # Panics
    /// If it is not in quarantine.
    pub(super) fn remove(&mut self, id: RequestId) -> QuarantinedRequest {
        self.requests.remove(&id).expect("only a recovered request is reopened")
    }

    /// These accounts are free.
    pub(super) fn release(&mut self, keys: &AccountKeys) {
        if !self.accounts.is_empty() {
            for key in keys.as_slice() {
                self.accounts.remove(key);
            }
        }
    }

    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    pub(super) fn has_accounts(&self) -> bool {
        !self.accounts.is_empty()
    }

    pub(super) fn contains_account(&self, account: AccountKey) -> bool {
        self.accounts.contains(&account)
    }

    /// Whether a request is or was in quarantine, so that a page must not bring it once more.
    pub(super) fn knows(&self, id: RequestId) -> bool {
        self.own.contains(&id)
    }
}

//! Who may write which accounts: leases on sets of accounts, all or nothing, in the order of the requests.
//!
//! Every account has a queue of leases. A lease is held once it is first in the queues of all its accounts. No lease
//! overtakes another, so a large set cannot starve behind small ones. A lease joins all its queues at once, so no two
//! leases can wait for each other.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use super::Numbered;
use crate::domain::request::{AccountKey, AccountKeys};

/// A lease, held or waited for. Later leases have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct LeaseId(u64);

/// The leases of all jobs.
#[derive(Debug, Default)]
pub(super) struct Leases {
    queues: Numbered<AccountKey, LeaseQueue>,
    /// All leases, whether they are held or not.
    all: Numbered<LeaseId, Lease>,
    next: u64,
}

/// The queue of one account. It nearly always has one lease, and then needs no memory of its own.
#[derive(Debug)]
struct LeaseQueue {
    first: LeaseId,
    #[expect(clippy::box_collection, reason = "a pointer is a third of the size, and most queues have none")]
    others: Option<Box<VecDeque<LeaseId>>>,
}

impl LeaseQueue {
    fn of(first: LeaseId) -> Self {
        Self { first, others: None }
    }

    fn push(&mut self, lease: LeaseId) {
        self.others.get_or_insert_default().push_back(lease);
    }

    /// Removes the first lease and returns the next one. Without a next one the queue is empty and must be removed.
    fn pop(&mut self) -> Option<LeaseId> {
        self.first = self.others.as_mut()?.pop_front()?;
        Some(self.first)
    }

    /// Removes a lease that is not the first.
    fn remove(&mut self, lease: LeaseId) {
        self.others.iter_mut().for_each(|others| others.retain(|other| *other != lease));
    }

    fn len(&self) -> usize {
        1 + self.others.as_ref().map_or(0, |others| others.len())
    }
}

#[derive(Debug)]
struct Lease {
    keys: AccountKeys,
    /// In how many queues other leases are before it.
    blocked_by: usize,
}

/// Whether a lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseState {
    Held,
    /// Another lease holds one of its accounts, or waits for one before it.
    Waiting,
}

/// What the release of a lease changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Released {
    /// The leases that are held from now on, earliest first.
    pub(super) granted: Vec<LeaseId>,
    /// The accounts of the released lease.
    pub(super) keys: AccountKeys,
}

impl Leases {
    /// Joins the queues of these accounts at their ends.
    pub(super) fn request(&mut self, keys: AccountKeys) -> (LeaseId, LeaseState) {
        let id = LeaseId(self.next);
        self.next += 1;
        let mut blocked_by = 0;
        for key in keys.as_slice() {
            match self.queues.entry(*key) {
                Entry::Vacant(queue) => {
                    queue.insert(LeaseQueue::of(id));
                }
                Entry::Occupied(mut queue) => {
                    blocked_by += 1;
                    queue.get_mut().push(id);
                }
            }
        }
        self.all.insert(id, Lease { keys, blocked_by });
        (id, if blocked_by == 0 { LeaseState::Held } else { LeaseState::Waiting })
    }

    /// Returns a lease.
    ///
    /// # Panics
    /// If the lease is not held: two calls would have written one account.
    pub(super) fn release(&mut self, id: LeaseId) -> Released {
        let is_held = self.all.get(&id).is_some_and(|lease| lease.blocked_by == 0);
        assert!(is_held, "only a lease that is held can be released");
        self.end(id)
    }

    /// Ends a lease, whether it is held or not.
    ///
    /// # Panics
    /// If the lease has ended before.
    pub(super) fn end(&mut self, id: LeaseId) -> Released {
        let lease = self.all.remove(&id).expect("a lease ends once");
        let mut granted = Vec::new();
        for key in lease.keys.as_slice() {
            granted.extend(self.leave_queue(*key, id));
        }
        granted.sort_unstable();
        Released { granted, keys: lease.keys }
    }

    /// Whether other leases wait for an account of this one.
    pub(super) fn is_awaited(&self, id: LeaseId) -> bool {
        let shared = |key: &AccountKey| self.queue_length(*key) > 1;
        self.all.get(&id).is_some_and(|lease| lease.keys.as_slice().iter().any(shared))
    }

    /// How many leases of this account are held or waited for.
    pub(super) fn queue_length(&self, key: AccountKey) -> usize {
        self.queues.get(&key).map_or(0, LeaseQueue::len)
    }

    /// Removes a lease from a queue. If it was the first one, returns the next one if that waited for nothing else.
    fn leave_queue(&mut self, key: AccountKey, id: LeaseId) -> Option<LeaseId> {
        let Entry::Occupied(mut queue) = self.queues.entry(key) else {
            unreachable!("a lease is in the queues of all its accounts");
        };
        if queue.get().first != id {
            queue.get_mut().remove(id);
            return None;
        }
        let Some(next) = queue.get_mut().pop() else {
            queue.remove();
            return None;
        };
        let lease = self.all.get_mut(&next).expect("a lease in a queue is known");
        lease.blocked_by -= 1;
        (lease.blocked_by == 0).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::request::account::UserId;
    use proptest::prelude::*;

    fn accounts(names: &[u64]) -> AccountKeys {
        let names: Vec<UserId> = names.iter().map(|name| UserId::new(&name.to_string()).unwrap()).collect();
        AccountKeys::of(&names)
    }

    #[test]
    fn a_large_set_is_not_overtaken_by_small_ones() {
        let mut leases = Leases::default();
        let (first, state) = leases.request(accounts(&[1]));
        assert_eq!(state, LeaseState::Held);
        let (large, state) = leases.request(accounts(&[1, 2, 3]));
        assert_eq!(state, LeaseState::Waiting);
        let (late, state) = leases.request(accounts(&[2]));
        assert_eq!(state, LeaseState::Waiting, "account 2 is free, but the large set waits for it");
        assert_eq!(leases.release(first).granted, [large]);
        assert_eq!(leases.release(large).granted, [late]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Request(Vec<u64>),
        Release(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => prop::collection::btree_set(0..8_u64, 1..5).prop_map(|keys| Step::Request(keys.into_iter().collect())),
            6 => any::<prop::sample::Index>().prop_map(Step::Release),
        ]
    }

    fn disjoint(a: &AccountKeys, b: &AccountKeys) -> bool {
        a.as_slice().iter().all(|key| !b.as_slice().contains(key))
    }

    proptest! {
        /// The model: a lease is held exactly if it has no account in common with an earlier one.
        #[test]
        fn a_lease_is_held_exactly_if_it_shares_no_account_with_an_earlier_one(
            steps in prop::collection::vec(step(), 1..80),
        ) {
            let mut leases = Leases::default();
            let mut live: Vec<(LeaseId, AccountKeys)> = Vec::new();
            let mut held: BTreeSet<LeaseId> = BTreeSet::new();
            for step in steps {
                let keys = match step {
                    Step::Request(keys) => accounts(&keys),
                    Step::Release(which) => {
                        if let Some(id) = held.iter().nth(which.index(held.len().max(1))).copied() {
                            held.remove(&id);
                            live.retain(|(other, _)| *other != id);
                            held.extend(leases.release(id).granted);
                        }
                        prop_assert_eq!(&held, &model(&live));
                        continue;
                    }
                };
                let (id, state) = leases.request(keys.clone());
                live.push((id, keys));
                if state == LeaseState::Held {
                    held.insert(id);
                }
                prop_assert_eq!(&held, &model(&live));
            }
            while let Some(id) = held.pop_first() {
                live.retain(|(other, _)| *other != id);
                held.extend(leases.release(id).granted);
            }
            prop_assert!(live.is_empty(), "every lease was held once");
            prop_assert!(leases.queues.is_empty() && leases.all.is_empty());
        }
    }

    fn model(live: &[(LeaseId, AccountKeys)]) -> BTreeSet<LeaseId> {
        let free = |at: usize| live[..at].iter().all(|(_, earlier)| disjoint(earlier, &live[at].1));
        (0..live.len()).filter(|at| free(*at)).map(|at| live[at].0).collect()
    }
}

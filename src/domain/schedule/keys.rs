//! Who may write which accounts: leases on sets of keys, all or nothing, first come first served.
//!
//! Every key has a queue. A ticket holds its keys once it stands first in the queues of all of them; nobody
//! overtakes, so a large set can't starve behind small ones, and since all tickets join all their queues at one
//! moment, no two can wait for each other. A ticket for [`Keys::Every`] holds once all earlier ones have left, and
//! later ones wait for it.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::domain::request::{Key, Keys};

/// A place in the queues, in the order of joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// The queues.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    queues: HashMap<Key, VecDeque<Ticket>, foldhash::fast::FixedState>,
    live: BTreeMap<Ticket, Place>,
    /// Live tickets for every account.
    exclusive: BTreeSet<Ticket>,
    next: u64,
}

#[derive(Debug)]
struct Place {
    keys: Keys,
    /// In how many respects it has to wait: queues in which others stand before it, and earlier exclusive tickets
    /// (or, for an exclusive one, all earlier ones) as one.
    waits: u32,
}

/// Whether a ticket holds its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// It may write.
    Held,
    /// Others hold some of its keys, or wait for them before it.
    Waiting,
}

/// What a ticket leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The tickets that hold their keys from now on, earliest first.
    pub(super) freed: Vec<Ticket>,
    /// The keys that it held.
    pub(super) keys: Keys,
}

impl KeyTable {
    /// Joins the queues of these keys, at their ends.
    pub(super) fn join(&mut self, keys: Keys) -> (Ticket, Lease) {
        let ticket = Ticket(self.next);
        self.next += 1;
        let waits = match &keys {
            Keys::Accounts(keys) => {
                let mut waits = u32::from(!self.exclusive.is_empty());
                for key in keys {
                    let queue = self.queues.entry(*key).or_default();
                    waits += u32::from(!queue.is_empty());
                    queue.push_back(ticket);
                }
                waits
            }
            Keys::Every => {
                self.exclusive.insert(ticket);
                u32::from(!self.live.is_empty())
            }
        };
        self.live.insert(ticket, Place { keys, waits });
        (ticket, if waits == 0 { Lease::Held } else { Lease::Waiting })
    }

    /// Gives the keys back, and says who holds theirs from now on.
    ///
    /// # Panics
    /// If the ticket does not hold its keys: two calls would have written one account.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Left {
        let place = self.live.remove(&ticket).expect("only a live ticket leaves");
        assert_eq!(place.waits, 0, "only a ticket that holds its keys gives them back");
        let mut freed = Vec::new();
        match &place.keys {
            Keys::Accounts(keys) => keys.iter().for_each(|key| self.advance(*key, ticket, &mut freed)),
            Keys::Every => {
                self.exclusive.remove(&ticket);
                self.reopen(&mut freed);
            }
        }
        self.admit_exclusive(&mut freed);
        freed.sort_unstable();
        Left { freed, keys: place.keys }
    }

    /// How many tickets hold or await this key.
    pub(super) fn depth(&self, key: Key) -> usize {
        self.queues.get(&key).map_or(0, VecDeque::len)
    }

    fn advance(&mut self, key: Key, ticket: Ticket, freed: &mut Vec<Ticket>) {
        let Entry::Occupied(mut queue) = self.queues.entry(key) else {
            unreachable!("a live ticket stands in the queues of all its keys");
        };
        assert_eq!(queue.get_mut().pop_front(), Some(ticket), "who holds a key stands first in its queue");
        match queue.get().front().copied() {
            Some(next) => self.release(next, freed),
            None => drop(queue.remove()),
        }
    }

    /// An exclusive ticket, the first of all live ones, has left: up to the next exclusive one all may go.
    fn reopen(&mut self, freed: &mut Vec<Ticket>) {
        let end = self.exclusive.first().copied().unwrap_or(Ticket(self.next));
        let reopened: Vec<Ticket> = self.live.range(..end).map(|(ticket, _)| *ticket).collect();
        reopened.into_iter().for_each(|ticket| self.release(ticket, freed));
    }

    /// An exclusive ticket holds once it is the first of all.
    fn admit_exclusive(&mut self, freed: &mut Vec<Ticket>) {
        if let (Some(exclusive), Some((first, place))) = (self.exclusive.first(), self.live.first_key_value())
            && exclusive == first
            && place.waits > 0
        {
            let ticket = *exclusive;
            self.release(ticket, freed);
        }
    }

    fn release(&mut self, ticket: Ticket, freed: &mut Vec<Ticket>) {
        let place = self.live.get_mut(&ticket).expect("who stands in a queue is live");
        place.waits -= 1;
        if place.waits == 0 {
            freed.push(ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accounts(keys: &[u64]) -> Keys {
        Keys::Accounts(keys.iter().copied().map(Key).collect())
    }

    #[test]
    fn a_large_set_is_not_overtaken_by_small_ones() {
        let mut table = KeyTable::default();
        let (first, lease) = table.join(accounts(&[1]));
        assert_eq!(lease, Lease::Held);
        let (large, lease) = table.join(accounts(&[1, 2, 3]));
        assert_eq!(lease, Lease::Waiting);
        let (late, lease) = table.join(accounts(&[2]));
        assert_eq!(lease, Lease::Waiting, "key 2 is free, but the large set waits for it");
        assert_eq!(table.leave(first).freed, [large]);
        assert_eq!(table.leave(large).freed, [late]);
    }

    #[test]
    fn an_exclusive_ticket_waits_for_all_before_it_and_is_waited_for_by_all_after_it() {
        let mut table = KeyTable::default();
        let (a, _) = table.join(accounts(&[1]));
        let (b, _) = table.join(accounts(&[2]));
        let (every, lease) = table.join(Keys::Every);
        assert_eq!(lease, Lease::Waiting);
        let (c, lease) = table.join(accounts(&[3]));
        assert_eq!(lease, Lease::Waiting);
        let (second, _) = table.join(Keys::Every);
        assert_eq!(table.leave(b).freed, []);
        assert_eq!(table.leave(a).freed, [every]);
        assert_eq!(table.leave(every).freed, [c]);
        assert_eq!(table.leave(c).freed, [second]);
        assert_eq!(table.leave(second).freed, []);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Join(Vec<u64>),
        JoinEvery,
        Leave(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => prop::collection::btree_set(0..8_u64, 1..5).prop_map(|keys| Step::Join(keys.into_iter().collect())),
            1 => Just(Step::JoinEvery),
            6 => any::<prop::sample::Index>().prop_map(Step::Leave),
        ]
    }

    fn disjoint(a: &Keys, b: &Keys) -> bool {
        match (a, b) {
            (Keys::Accounts(a), Keys::Accounts(b)) => a.iter().all(|key| !b.contains(key)),
            (Keys::Every, _) | (_, Keys::Every) => false,
        }
    }

    proptest! {
        /// The model: a ticket holds exactly if it shares nothing with any earlier live ticket.
        #[test]
        fn who_holds_is_who_shares_nothing_with_anyone_earlier(steps in prop::collection::vec(step(), 1..80)) {
            let mut table = KeyTable::default();
            let mut live: Vec<(Ticket, Keys)> = Vec::new();
            let mut held: BTreeSet<Ticket> = BTreeSet::new();
            for step in steps {
                let keys = match step {
                    Step::Join(keys) => accounts(&keys),
                    Step::JoinEvery => Keys::Every,
                    Step::Leave(which) => {
                        if let Some(ticket) = held.iter().nth(which.index(held.len().max(1))).copied() {
                            held.remove(&ticket);
                            live.retain(|(other, _)| *other != ticket);
                            held.extend(table.leave(ticket).freed);
                        }
                        prop_assert_eq!(&held, &model(&live));
                        continue;
                    }
                };
                let (ticket, lease) = table.join(keys.clone());
                live.push((ticket, keys));
                if lease == Lease::Held {
                    held.insert(ticket);
                }
                prop_assert_eq!(&held, &model(&live));
            }
            while let Some(ticket) = held.pop_first() {
                live.retain(|(other, _)| *other != ticket);
                held.extend(table.leave(ticket).freed);
            }
            prop_assert!(live.is_empty(), "everybody had a turn");
            prop_assert!(table.queues.is_empty() && table.live.is_empty() && table.exclusive.is_empty());
        }
    }

    fn model(live: &[(Ticket, Keys)]) -> BTreeSet<Ticket> {
        let free = |at: usize| live[..at].iter().all(|(_, earlier)| disjoint(earlier, &live[at].1));
        (0..live.len()).filter(|at| free(*at)).map(|at| live[at].0).collect()
    }
}

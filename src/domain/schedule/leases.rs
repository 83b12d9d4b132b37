//! Who may write which accounts: leases on sets of keys, all or nothing, first come first served.
//!
//! Every key has a queue. A ticket holds its keys once it stands first in the queues of all of them; nobody
//! overtakes, so a large set can't starve behind small ones, and since all tickets join all their queues at one
//! moment, no two can wait for each other.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::domain::request::{Key, Keys};

/// A place in the queues, in the order of joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// The queues.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    queues: HashMap<Key, Queue, foldhash::fast::FixedState>,
    live: HashMap<Ticket, Place, foldhash::fast::FixedState>,
    next: u64,
}

/// The queue of one key. It is nearly always of one ticket, which then takes no memory of its own.
#[derive(Debug)]
struct Queue {
    first: Ticket,
    others: Option<Box<Others>>,
}

type Others = VecDeque<Ticket>;

impl Queue {
    fn of(first: Ticket) -> Self {
        Self { first, others: None }
    }

    fn push(&mut self, ticket: Ticket) {
        self.others.get_or_insert_default().push_back(ticket);
    }

    /// Takes the first one off. Returns the next one; without any the queue is over.
    fn pop(&mut self) -> Option<Ticket> {
        self.first = self.others.as_mut()?.pop_front()?;
        Some(self.first)
    }

    fn len(&self) -> usize {
        1 + self.others.as_ref().map_or(0, |others| others.len())
    }
}

#[derive(Debug)]
struct Place {
    keys: Keys,
    /// In how many queues others stand before it.
    waits: usize,
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
        let mut waits = 0;
        for key in keys.as_slice() {
            match self.queues.entry(*key) {
                Entry::Vacant(place) => {
                    place.insert(Queue::of(ticket));
                }
                Entry::Occupied(mut queue) => {
                    waits += 1;
                    queue.get_mut().push(ticket);
                }
            }
        }
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
        for key in place.keys.as_slice() {
            freed.extend(self.advance(*key, ticket));
        }
        freed.sort_unstable();
        Left { freed, keys: place.keys }
    }

    /// Whether others wait for a key of this ticket.
    pub(super) fn is_awaited(&self, ticket: Ticket) -> bool {
        self.live.get(&ticket).is_some_and(|place| place.keys.as_slice().iter().any(|key| self.depth(*key) > 1))
    }

    /// How many tickets hold or await this key.
    pub(super) fn depth(&self, key: Key) -> usize {
        self.queues.get(&key).map_or(0, Queue::len)
    }

    /// Takes a ticket off the front of a queue. Returns the next one if this was all that it waited for.
    fn advance(&mut self, key: Key, ticket: Ticket) -> Option<Ticket> {
        let Entry::Occupied(mut queue) = self.queues.entry(key) else {
            unreachable!("a live ticket stands in the queues of all its keys");
        };
        assert_eq!(queue.get().first, ticket, "who holds a key stands first in its queue");
        let Some(next) = queue.get_mut().pop() else {
            queue.remove();
            return None;
        };
        let place = self.live.get_mut(&next).expect("who stands in a queue is live");
        place.waits -= 1;
        (place.waits == 0).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::account::UserId;
    use proptest::prelude::*;

    fn accounts(names: &[u64]) -> Keys {
        let names: Vec<UserId> = names.iter().map(|name| UserId::new(&name.to_string()).unwrap()).collect();
        Keys::of(&names)
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

    #[derive(Debug, Clone)]
    enum Step {
        Join(Vec<u64>),
        Leave(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => prop::collection::btree_set(0..8_u64, 1..5).prop_map(|keys| Step::Join(keys.into_iter().collect())),
            6 => any::<prop::sample::Index>().prop_map(Step::Leave),
        ]
    }

    fn disjoint(a: &Keys, b: &Keys) -> bool {
        a.as_slice().iter().all(|key| !b.as_slice().contains(key))
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
            prop_assert!(table.queues.is_empty() && table.live.is_empty());
        }
    }

    fn model(live: &[(Ticket, Keys)]) -> BTreeSet<Ticket> {
        let free = |at: usize| live[..at].iter().all(|(_, earlier)| disjoint(earlier, &live[at].1));
        (0..live.len()).filter(|at| free(*at)).map(|at| live[at].0).collect()
    }
}

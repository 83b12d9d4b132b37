//! A request that is being filled with items of other requests.

use super::edit::NewRequest;
use crate::domain::ids::{RequestId, RunId};
use crate::domain::request::account::UserId;
use crate::domain::request::{Item, Purpose};
use crate::domain::response::earlier_effect::EarlierCalls;
use crate::stored_request::{BODY_BYTES, StoredRequest};

/// What all items of a request have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::queue) struct SharedFields {
    pub(in crate::queue) from: Option<UserId>,
    pub(in crate::queue) calls: EarlierCalls,
}

/// A request that is being filled.
#[derive(Debug, Default)]
pub(in crate::queue) struct Filling {
    shared: SharedFields,
    items: Vec<Item>,
    attempts: u32,
    bytes: usize,
}

impl Filling {
    pub(in crate::queue) fn new(shared: SharedFields) -> Self {
        Self { shared, ..Self::default() }
    }

    /// What its items have in common.
    pub(in crate::queue) const fn shared(&self) -> &SharedFields {
        &self.shared
    }

    /// Whether the item fits into a request of at most `most` items.
    pub(in crate::queue) fn fits(&self, item: &Item, most: usize) -> bool {
        self.items.is_empty() || (self.items.len() < most && self.bytes + bytes_of(item) <= BODY_BYTES)
    }

    /// Adds an item, for which this number of calls was begun.
    pub(in crate::queue) fn push(&mut self, item: Item, attempts: u32) {
        self.bytes += bytes_of(&item);
        self.items.push(item);
        self.attempts = self.attempts.max(attempts);
    }

    /// Takes the items out as a new request; none if there are no items.
    pub(in crate::queue) fn take(&mut self, run: RunId, next_request: &mut RequestId) -> Option<NewRequest> {
        let empty = Self::new(self.shared.clone());
        let Self { shared: SharedFields { from, calls }, items, attempts, .. } = std::mem::replace(self, empty);
        (!items.is_empty()).then(|| NewRequest {
            id: next_request.take(),
            run,
            encoded: StoredRequest::encode(from.as_ref(), &items),
            attempts,
            charged: 0,
            doubt: calls.doubt,
            history: calls.history,
            purpose: Purpose::Change,
            parent: None,
            finished_at: None,
        })
    }
}

/// The bytes of an item in the lists of its request.
fn bytes_of(item: &Item) -> usize {
    let fields = item.updates.iter().flat_map(|updates| updates.iter());
    let fields = fields.map(|(_, fields)| serde_json::to_string(fields).map_or(0, |fields| fields.len() + 1));
    item.account.as_str().len() + 1 + fields.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(account: &str, row: u64) -> Item {
        Item { account: UserId::new(account).unwrap(), row, updates: None }
    }

    #[test]
    fn a_request_is_full_by_its_items_or_by_their_bytes_and_takes_one_item_in_any_case() {
        let (mut filling, mut next) = (Filling::default(), RequestId::new(7));
        assert!(filling.take(RunId::new(1), &mut next).is_none());
        assert_eq!(next, RequestId::new(7), "no number is taken for nothing");
        filling.push(item("a", 0), 3);
        filling.push(item("b", 1), 2);
        assert!(filling.fits(&item("c", 2), 3) && !filling.fits(&item("c", 2), 2));
        let taken = filling.take(RunId::new(1), &mut next).expect("two items");
        assert_eq!((taken.id, taken.attempts, taken.encoded.item_count), (RequestId::new(7), 3, 2));
        filling.bytes = BODY_BYTES;
        assert!(filling.fits(&item("c", 2), 3), "it is empty");
        filling.push(item("d", 3), 1);
        assert!(!filling.fits(&item("c", 2), 3), "its bytes are used up");
        assert_eq!(filling.take(RunId::new(1), &mut next).map(|taken| taken.attempts), Some(1));
    }
}

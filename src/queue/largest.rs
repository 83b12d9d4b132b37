//! The accounts with the most items of a run: found while it is loaded, since looking for them afterwards would read
//! every request again.

use serde::{Deserialize, Serialize};

use crate::stored_request::StoredRequest;

/// How many are kept.
const KEPT: usize = 5;

/// An account whose list is changed, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeAccount {
    /// The From_Account.
    #[serde(rename = "From_Account")]
    pub from: String,
    /// Its items.
    pub items: u64,
    /// Its requests.
    pub requests: u64,
}

/// Finds the largest accounts among requests of which those of one account follow each other.
#[derive(Debug, Default)]
pub(super) struct Largest {
    /// The largest so far, the largest first; of equal ones that with the lesser name.
    found: Vec<LargeAccount>,
    /// The one at work.
    current: Option<LargeAccount>,
}

impl Largest {
    /// Takes the next request.
    pub(super) fn request(&mut self, request: &StoredRequest) {
        let Some(from) = &request.from else { return };
        let items = u64::from(request.item_count);
        match &mut self.current {
            Some(current) if current.from == *from => {
                current.items += items;
                current.requests += 1;
            }
            Some(_) | None => {
                let next = LargeAccount { from: from.clone(), items, requests: 1 };
                let before = self.current.replace(next);
                self.place(before);
            }
        }
    }

    /// The largest, the largest first; none for operations that name no pairs.
    pub(super) fn finish(mut self) -> Vec<LargeAccount> {
        let last = self.current.take();
        self.place(last);
        self.found
    }

    fn place(&mut self, account: Option<LargeAccount>) {
        let Some(account) = account else { return };
        let is_before = |a: &LargeAccount, b: &LargeAccount| (b.items, &a.from) < (a.items, &b.from);
        let at = self.found.partition_point(|found| is_before(found, &account));
        if at < KEPT {
            self.found.insert(at, account);
            self.found.truncate(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(from: &str, item_count: u32) -> StoredRequest {
        let (accounts, rows) = ("[]".to_owned(), "[]".to_owned());
        StoredRequest { from: Some(from.to_owned()), accounts, rows, tags: None, item_count, row_count: item_count }
    }

    proptest! {
        #[test]
        fn they_are_those_with_the_most_items_and_of_equal_ones_the_first_by_name(
            lanes in prop::collection::btree_map(0..30_u32, prop::collection::vec(1..4_u32, 1..4), 0..12)
        ) {
            let mut largest = Largest::default();
            for (lane, requests) in &lanes {
                requests.iter().for_each(|items| largest.request(&request(&format!("u{lane}"), *items)));
            }
            let sized = lanes.iter().map(|(lane, requests)| LargeAccount {
                from: format!("u{lane}"),
                items: requests.iter().map(|items| u64::from(*items)).sum(),
                requests: requests.len() as u64,
            });
            let mut all: Vec<LargeAccount> = sized.collect();
            all.sort_by(|a, b| b.items.cmp(&a.items).then_with(|| a.from.cmp(&b.from)));
            all.truncate(KEPT);
            prop_assert_eq!(largest.finish(), all);
        }
    }
}

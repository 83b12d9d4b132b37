//! The accounts with the most items of a run. They are found during the load, since finding them later would read every
//! request again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stored_request::StoredRequest;

/// The number of accounts that are stored.
const KEPT: usize = 5;

/// An account whose list of friends a run changes, and the amount of its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LargeAccount {
    /// The From_Account.
    #[serde(rename = "From_Account")]
    pub from: String,
    /// Its items.
    pub items: u64,
    /// Its requests.
    pub requests: u64,
}

/// Finds the largest accounts. The requests of one account must follow each other.
#[derive(Debug, Default)]
pub(super) struct Largest {
    /// The largest so far, sorted by size and then by name.
    found: Vec<LargeAccount>,
    /// The account of the last request.
    current: Option<LargeAccount>,
}

impl Largest {
    /// Adds the next request.
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

    /// The largest accounts, the largest first; none for operations without pairs.
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
        StoredRequest { from: Some(from.to_owned()), accounts, rows, fields: None, item_count, row_count: item_count }
    }

    proptest! {
        #[test]
        fn they_are_those_with_the_most_items_and_of_equal_ones_the_first_by_name(
            accounts in prop::collection::btree_map(0..30_u32, prop::collection::vec(1..4_u32, 1..4), 0..12)
        ) {
            let mut largest = Largest::default();
            for (account, requests) in &accounts {
                requests.iter().for_each(|items| largest.request(&request(&format!("u{account}"), *items)));
            }
            let sized = accounts.iter().map(|(account, requests)| LargeAccount {
                from: format!("u{account}"),
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

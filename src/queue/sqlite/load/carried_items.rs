//! The rows that a run takes over, while it is loaded: what is known of each, and the requests of their items.
//!
//! They are numbered before the rows of the input, so that the first row of an item says whether it is carried over.
//! Their requests follow all others: the canary evaluates the input.

use std::collections::{BTreeMap, HashSet};

use crate::domain::ids::{RequestId, RunId};
use crate::domain::request::Item;
use crate::domain::request::account::UserId;
use crate::domain::request::row::RowNo;
use crate::domain::request::skipped_row::{SkipReason, SkippedRow};
use crate::domain::response::earlier_effect::EarlierCalls;
use crate::queue::carried::CarriedRow;
use crate::queue::sqlite::requests::edit::NewRequest;
use crate::queue::sqlite::requests::filling::{Filling, SharedFields};
use crate::stored_request::StoredRequest;

/// The distance between the number of the first request of a load and that of its first carried request. No load has as
/// many requests.
const GAP: i64 = 1 << 32;

/// The rows that a run takes over.
#[derive(Debug)]
pub(in crate::queue) struct CarriedItems {
    run: RunId,
    next_request: RequestId,
    /// The most items of a request.
    most: usize,
    /// What earlier calls left, each once: few of millions of rows differ.
    histories: Vec<EarlierCalls>,
    /// For each row its place in `histories`, and the calls that were begun for it.
    rows: Vec<(usize, u32)>,
    /// Rows that a row of the input repeats.
    repeated: HashSet<RowNo>,
    /// Items that no row of the input names.
    only_carried: u64,
    /// The `From_Account` of the requests that are being filled.
    from: Option<UserId>,
    /// The requests that are being filled, by the place in `histories`.
    filling: BTreeMap<usize, Filling>,
}

impl CarriedItems {
    pub(in crate::queue) fn new(run: RunId, first_request: RequestId) -> Self {
        Self {
            run,
            next_request: RequestId::new(first_request.get() + GAP),
            most: usize::MAX,
            histories: Vec::new(),
            rows: Vec::new(),
            repeated: HashSet::new(),
            only_carried: 0,
            from: None,
            filling: BTreeMap::new(),
        }
    }

    /// Adds the next row.
    pub(in crate::queue) fn add(&mut self, row: &CarriedRow) {
        let known = self.histories.iter().position(|earlier| *earlier == row.earlier);
        let earlier = known.unwrap_or_else(|| {
            self.histories.push(row.earlier.clone());
            self.histories.len() - 1
        });
        self.rows.push((earlier, row.attempts));
    }

    /// Sets the most items of a request.
    pub(in crate::queue) fn limit_items(&mut self, most: usize) {
        self.most = most;
    }

    /// The number of rows.
    pub(in crate::queue) fn row_count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// The number of items that no row of the input names.
    pub(in crate::queue) fn only_carried(&self) -> u64 {
        self.only_carried
    }

    /// The number for the next request, if any was made.
    pub(in crate::queue) fn next_request(&self, first_request: RequestId) -> Option<RequestId> {
        (self.next_request.get() > first_request.get() + GAP).then_some(self.next_request)
    }

    /// Remembers the carried row that a row of the input repeats, if it repeats one. Intake passes skipped rows before
    /// the request of their item.
    pub(in crate::queue) fn add_skipped(&mut self, skipped: &SkippedRow) {
        match skipped.reason {
            SkipReason::Duplicate { of } if of < self.row_count() && skipped.row >= self.row_count() => {
                self.repeated.insert(of);
            }
            SkipReason::Duplicate { .. }
            | SkipReason::Rejected { .. }
            | SkipReason::Protected { .. }
            | SkipReason::Guarded { .. } => {}
        }
    }

    /// Takes the carried items out of a request of intake. Returns what is left of it, and the requests that are full.
    pub(in crate::queue) fn take_from(&mut self, request: StoredRequest) -> (Option<StoredRequest>, Vec<NewRequest>) {
        if self.rows.is_empty() {
            return (Some(request), Vec::new());
        }
        let items = StoredRequest::decode(&request.accounts, &request.rows, request.fields.as_deref());
        let items = items.expect("intake has just encoded it");
        let (carried, others): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| item.row < self.row_count());
        if carried.is_empty() {
            return (Some(request), Vec::new());
        }
        let from = request.from.as_deref().map(|from| UserId::new(from).expect("it was in a request before"));
        let mut full = if from == self.from { Vec::new() } else { self.finish() };
        self.from = from;
        for item in carried {
            full.extend(self.pack(item));
        }
        let rest = (!others.is_empty()).then(|| StoredRequest::encode(self.from.as_ref(), &others));
        (rest, full)
    }

    /// Adds an item to the request of its kind. Returns that request if it was full before.
    fn pack(&mut self, item: Item) -> Option<NewRequest> {
        let is_of_input = item.rows().any(|row| row >= self.row_count() || self.repeated.contains(&row));
        self.only_carried += u64::from(!is_of_input);
        let row = usize::try_from(item.row).ok().and_then(|row| self.rows.get(row));
        let (earlier, attempts) = *row.expect("a carried row is known");
        let shared = || SharedFields { from: self.from.clone(), calls: self.histories[earlier].clone() };
        let filling = self.filling.entry(earlier).or_insert_with(|| Filling::new(shared()));
        let is_full = !filling.fits(&item, self.most);
        let full = if is_full { filling.take(self.run, &mut self.next_request) } else { None };
        filling.push(item, attempts);
        full
    }

    /// The requests that are being filled.
    pub(in crate::queue) fn finish(&mut self) -> Vec<NewRequest> {
        let filling = std::mem::take(&mut self.filling);
        filling.into_values().filter_map(|mut last| last.take(self.run, &mut self.next_request)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::request::Doubt;
    use crate::domain::request::row::FieldValues;
    use crate::domain::response::code_history::CodeHistory;

    /// The most items of a request.
    const MAX_ITEMS: usize = 3;

    fn id(text: &str) -> UserId {
        UserId::new(text).unwrap()
    }

    fn earlier(kind: u8) -> EarlierCalls {
        let doubt = if kind == 0 { Doubt::EffectUnknown } else { Doubt::None };
        EarlierCalls { doubt, history: CodeHistory::from_iter(vec![30_000 + i64::from(kind)]) }
    }

    fn carried(rows: &[u8]) -> CarriedItems {
        let mut carried = CarriedItems::new(RunId::new(7), RequestId::new(100));
        carried.limit_items(MAX_ITEMS);
        for (row, kind) in (0..).zip(rows) {
            carried.add(&CarriedRow {
                from: None,
                account: "any".to_owned(),
                fields: Vec::new(),
                source: 0,
                line: 2,
                row,
                nights: 1,
                attempts: u32::from(*kind) + 1,
                earlier: earlier(*kind),
            });
        }
        carried
    }

    fn item(row: RowNo, merged: Option<RowNo>) -> Item {
        let rows = std::iter::once(row).chain(merged);
        let updates = rows.map(|row| (row, FieldValues::new())).collect();
        Item { account: id(&format!("u{row}")), row, updates: Some(Box::new(updates)) }
    }

    proptest! {
        /// Items of carried rows and of the input, in requests of several `From_Account`s.
        #[test]
        fn each_item_is_in_one_request_and_keeps_what_its_calls_left(
            kinds in prop::collection::vec(0..3_u8, 0..12),
            others in 0..6_u64,
            owners in prop::collection::vec(0..3_usize, 18),
        ) {
            let first_other = kinds.len() as u64;
            let mut requests: BTreeMap<usize, Vec<Item>> = BTreeMap::new();
            for row in 0..first_other + others {
                requests.entry(owners[usize::try_from(row).unwrap()]).or_default().push(item(row, None));
            }
            let mut items = carried(&kinds);
            let (mut kept, mut moved) = (Vec::new(), Vec::new());
            for (owner, of_owner) in &requests {
                let from = id(&format!("owner{owner}"));
                let (rest, full) = items.take_from(StoredRequest::encode(Some(&from), of_owner));
                kept.extend(rest);
                moved.extend(full);
            }
            moved.extend(items.finish());
            let read = |stored: &StoredRequest| {
                StoredRequest::decode(&stored.accounts, &stored.rows, stored.fields.as_deref()).unwrap()
            };
            let owner = |stored: &StoredRequest| stored.from.clone().unwrap();
            let mut found: Vec<(RowNo, String)> = Vec::new();
            for stored in &kept {
                found.extend(read(stored).iter().map(|item| (item.row, owner(stored))));
                prop_assert!(read(stored).iter().all(|item| item.row >= first_other));
            }
            let mut last = RequestId::new(100 + GAP - 1);
            for new in &moved {
                prop_assert_eq!((new.id, new.charged, new.run), (last.next(), 0, RunId::new(7)));
                last = new.id;
                let items = read(&new.encoded);
                prop_assert!(items.len() <= MAX_ITEMS);
                for item in items {
                    let kind = kinds[usize::try_from(item.row).unwrap()];
                    prop_assert_eq!(&earlier(kind), &EarlierCalls { doubt: new.doubt, history: new.history.clone() });
                    prop_assert_eq!(new.attempts, u32::from(kind) + 1);
                    found.push((item.row, owner(&new.encoded)));
                }
            }
            found.sort();
            let owner_of = |row: RowNo| format!("owner{}", owners[usize::try_from(row).unwrap()]);
            let expected: Vec<_> = (0..first_other + others).map(|row| (row, owner_of(row))).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(items.only_carried(), first_other);
            prop_assert_eq!(items.next_request(RequestId::new(100)).is_some(), !kinds.is_empty());
        }
    }

    #[test]
    fn an_item_that_the_input_names_as_well_does_not_count_as_only_carried() {
        let mut items = carried(&[1, 1, 1]);
        let repeats = |row, of| SkippedRow {
            row,
            reason: SkipReason::Duplicate { of },
            from: None,
            account: None,
            fields: FieldValues::new(),
        };
        items.add_skipped(&repeats(3, 0));
        // The repeated row is not carried, and the row that repeats another carried row is.
        items.add_skipped(&repeats(5, 4));
        items.add_skipped(&repeats(2, 1));
        let all = [item(0, None), item(1, Some(6)), item(2, None), item(4, None)];
        let (rest, full) = items.take_from(StoredRequest::encode(None, &all));
        assert_eq!((rest.map(|rest| rest.item_count), full.len()), (Some(1), 0));
        assert_eq!((items.only_carried(), items.finish()[0].encoded.row_count), (1, 4));
    }

    #[test]
    #[should_panic(expected = "a carried row is known")]
    fn an_item_whose_carried_row_is_unknown_is_never_dropped() {
        carried(&[1]).pack(item(1, None));
    }

    #[test]
    fn without_carried_rows_requests_pass_unchanged() {
        let request = StoredRequest::encode(None, &[item(0, None)]);
        let (rest, full) = carried(&[]).take_from(request.clone());
        assert_eq!((rest, full.len()), (Some(request), 0));
    }
}

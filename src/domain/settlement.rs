//! What one exchange changes in the queue: items that ended, and items that go out again.

use std::collections::BTreeMap;

use super::outcome::{Count, Outcome};
use super::request::{Item, Request, RequestId};
use super::verdict::{Again, Charge, Ending, Shape, Verdict, Wait};

/// The change that one exchange makes, recorded in one transaction: afterwards every item of the request is in
/// exactly one request still.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The request that was sent, without its items.
    pub request: RequestId,
    /// HTTP exchanges begun for the items, this one included.
    pub attempts: u32,
    /// Items with an outcome.
    pub ended: Vec<(Item, Ending)>,
    /// Items that go out again, by the way in which they do; each part is a request of its own.
    pub parts: Vec<Part>,
}

/// Items that go out again together.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The request as it goes out again; its id is the sent request's until the queue gives it one of its own.
    pub request: Request,
    /// What must pass before.
    pub wait: Wait,
}

impl Settlement {
    /// Sorts the items of a request by what its exchange says of them. One verdict an item, in order.
    pub fn new(request: Request, verdicts: Vec<Verdict>) -> Self {
        assert_eq!(request.items.len(), verdicts.len(), "one verdict an item");
        let mut frame = request;
        let items = std::mem::take(&mut frame.items);
        let settled = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Settled(_))).count();
        let mut ended = Vec::with_capacity(settled);
        let mut again: Vec<(Again, Vec<Item>)> = Vec::new();
        for (item, verdict) in items.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Settled(ending) => ended.push((item, ending)),
                Verdict::Again(how) => match again.iter_mut().find(|(other, _)| *other == how) {
                    Some((_, items)) => items.push(item),
                    None => again.push((how, vec![item])),
                },
            }
        }
        let parts = again.into_iter().flat_map(|(how, items)| parts(&frame, how, items)).collect();
        Self { request: frame.id, attempts: frame.attempts, ended, parts }
    }

    /// How many items and how many rows ended in each outcome.
    pub fn ended_by_outcome(&self) -> Vec<(Outcome, Count, Count)> {
        let mut sums: BTreeMap<Outcome, (Count, Count)> = BTreeMap::new();
        for (item, ending) in &self.ended {
            let (items, rows) = sums.entry(ending.outcome).or_default();
            *items += 1;
            *rows += item.row_count();
        }
        sums.into_iter().map(|(outcome, (items, rows))| (outcome, items, rows)).collect()
    }
}

/// `frame`: the request that was sent, without its items.
fn parts(frame: &Request, how: Again, mut items: Vec<Item>) -> Vec<Part> {
    let batches = match how.shape {
        Shape::Whole => vec![items],
        Shape::Halves => {
            let second = items.split_off(items.len() / 2);
            vec![items, second]
        }
    };
    let charged = match how.charge {
        Charge::Free => frame.charged,
        Charge::Attempt => frame.charged + 1,
    };
    let request = |items| Request { items, charged, doubt: how.doubt, ..frame.clone() };
    let batches = batches.into_iter().filter(|items| !items.is_empty());
    batches.map(|items| Part { request: request(items), wait: how.wait }).collect()
}

#[cfg(test)]
mod tests;

//! What one call changes in the queue: items with an outcome, and items that are sent again.

use std::collections::BTreeMap;

use super::code_history::CodeHistory;
use super::outcome::{Count, Outcome};
use super::verdict::{BatchSplit, Charge, ItemResult, Resend, Verdict, Verdicts, Wait};
use crate::domain::backup::BackupLine;
use crate::domain::ids::RequestId;
use crate::domain::operation::Operation;
use crate::domain::request::account::UserId;
use crate::domain::request::{Doubt, Item, Purpose, Request};

/// The change that one call makes, recorded in one transaction. Afterwards every item of the request is still in
/// exactly one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The request that was sent, without its items.
    pub request: RequestId,
    /// The account whose list is changed.
    pub from: Option<UserId>,
    /// The number of calls begun for the items, this one included.
    pub calls: u32,
    /// The codes that the items had met before this call.
    pub history: CodeHistory,
    /// What the call was for.
    pub purpose: Purpose,
    /// Items with an outcome, in the request's order.
    pub ended: Vec<EndedItems>,
    /// Items that are sent again. Each group is a request of its own.
    pub follow_ups: Vec<FollowUp>,
    /// What was read for the backup.
    pub lines: Vec<BackupLine>,
}

/// Adjacent items of a request with the same outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedItems {
    /// The outcome and its cause.
    pub result: ItemResult,
    /// The items; at least one.
    pub items: Vec<Item>,
}

impl EndedItems {
    /// The number of rows with this outcome.
    pub fn row_count(&self) -> Count {
        self.items.iter().map(Item::row_count).sum()
    }
}

/// Items that are sent again together.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowUp {
    /// The request as it is sent again. It has the id of the sent request until the queue gives it an id of its own.
    pub request: Request,
    /// The condition or delay before it is sent.
    pub wait: Wait,
    /// Whether it is the first call for its purpose, and not a repetition.
    pub is_first: bool,
}

impl Settlement {
    /// Groups the items of a request by their verdicts.
    ///
    /// `operation` decides what the codes of earlier answers mean.
    pub fn new(operation: &Operation, request: Request, verdicts: Verdicts) -> Self {
        let mut frame = request;
        let items = std::mem::take(&mut frame.items);
        let (mut ended, mut again): (Vec<EndedItems>, Vec<(NextCall, Vec<Item>)>) = Default::default();
        match verdicts {
            Verdicts::All(Verdict::Final(result)) => ended.push(EndedItems { result, items }),
            Verdicts::All(Verdict::Resend(how)) => again.push((NextCall::Again(how), items)),
            Verdicts::All(Verdict::Next(purpose, wait)) => again.push((NextCall::For(purpose, wait), items)),
            Verdicts::Each(verdicts) => {
                assert_eq!(items.len(), verdicts.len(), "one verdict an item");
                for (item, verdict) in items.into_iter().zip(verdicts) {
                    match verdict {
                        Verdict::Final(result) => match ended.last_mut() {
                            Some(last) if last.result == result => last.items.push(item),
                            _ => ended.push(EndedItems { result, items: vec![item] }),
                        },
                        Verdict::Resend(how) => NextCall::Again(how).add(item, &mut again),
                        Verdict::Next(purpose, wait) => NextCall::For(purpose, wait).add(item, &mut again),
                    }
                }
            }
        }
        let follow_ups =
            again.into_iter().flat_map(|(next, items)| next.follow_ups(operation, &frame, items)).collect();
        let Request { id: request, from, calls, history, purpose, .. } = frame;
        Self { request, from, calls, history, purpose, ended, follow_ups, lines: Vec::new() }
    }

    /// The numbers of items and of rows for each outcome.
    pub fn ended_by_outcome(&self) -> Vec<(Outcome, Count, Count)> {
        let mut sums: BTreeMap<Outcome, (Count, Count)> = BTreeMap::new();
        for ended in &self.ended {
            let (items, rows) = sums.entry(ended.result.outcome).or_default();
            *items += ended.items.len() as Count;
            *rows += ended.row_count();
        }
        sums.into_iter().map(|(outcome, (items, rows))| (outcome, items, rows)).collect()
    }
}

/// The call that follows for items.
#[derive(PartialEq)]
enum NextCall {
    /// The same call.
    Again(Resend),
    /// A call for another purpose.
    For(Purpose, Wait),
}

impl NextCall {
    /// Adds an item to those that the same call follows.
    fn add(self, item: Item, all: &mut Vec<(Self, Vec<Item>)>) {
        match all.iter_mut().find(|(other, _)| *other == self) {
            Some((_, items)) => items.push(item),
            None => all.push((self, vec![item])),
        }
    }

    /// `frame`: the request that was sent, without its items.
    fn follow_ups(self, operation: &Operation, frame: &Request, items: Vec<Item>) -> Vec<FollowUp> {
        match self {
            Self::Again(how) => again(operation, frame, how, items),
            Self::For(purpose @ Purpose::ReverseSide(_), wait) => {
                // Each friend has a list of its own. What happened before is known, so it decides nothing any more.
                let request = |item| Request {
                    items: vec![item],
                    charged: 0,
                    doubt: Doubt::None,
                    history: CodeHistory::default(),
                    purpose: purpose.clone(),
                    ..frame.clone()
                };
                items.into_iter().map(|item| FollowUp { request: request(item), wait, is_first: true }).collect()
            }
            Self::For(purpose, wait) => {
                // A change and its preparation share their attempts: otherwise the preparation would renew them.
                let charged = match &frame.purpose {
                    Purpose::Prepare(_) => frame.charged,
                    Purpose::Backup(progress) => progress.charged,
                    Purpose::Change | Purpose::LookUp(_) | Purpose::ReverseSide(_) | Purpose::Verify(_) => 0,
                };
                let request = |items| Request { items, charged, purpose: purpose.clone(), ..frame.clone() };
                let batches = batches(items, purpose.items_per_call(operation));
                batches.map(|items| FollowUp { request: request(items), wait, is_first: true }).collect()
            }
        }
    }
}

/// The items in batches of at most this size.
fn batches(mut items: Vec<Item>, size: usize) -> impl Iterator<Item = Vec<Item>> {
    std::iter::from_fn(move || {
        let rest = items.split_off(size.min(items.len()));
        let batch = std::mem::replace(&mut items, rest);
        (!batch.is_empty()).then_some(batch)
    })
}

fn again(operation: &Operation, frame: &Request, how: Resend, mut items: Vec<Item>) -> Vec<FollowUp> {
    let batches = match how.split {
        BatchSplit::Whole => vec![items],
        BatchSplit::Halves => {
            let second = items.split_off(items.len() / 2);
            vec![items, second]
        }
    };
    let charged = match how.charge {
        Charge::Free => frame.charged,
        Charge::Attempt => frame.charged + 1,
    };
    let history = frame.history.clone().with(operation, how.met);
    let request = |items| Request { items, charged, doubt: how.doubt, history: history.clone(), ..frame.clone() };
    let batches = batches.into_iter().filter(|items| !items.is_empty());
    batches.map(|items| FollowUp { request: request(items), wait: how.wait, is_first: false }).collect()
}

#[cfg(test)]
mod tests;

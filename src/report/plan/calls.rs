//! The calls that a plan shows beside its requests: those before each change, and lookups.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::text::{count, counted};
use crate::domain::operation::{BoundOperation, LookupKind, PreparationCalls};

/// The lookups that may follow the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlannedLookups {
    /// The name of their command.
    pub command: &'static str,
    /// The number of calls, without retries, if every item that is left is in doubt for the same reason as the others
    /// of its request. Without a doubt there is none.
    pub calls_if_all_in_doubt: u64,
    /// The maximum number of calls, without retries: each item that is left is looked up alone. Of a friendship that is
    /// deleted on both sides, the friend's own side is deleted alone, and looked up once more.
    pub calls_at_most: u64,
}

impl PlannedLookups {
    /// `batches`: the lookups of all items that are left, request by request.
    pub(super) fn new(operation: BoundOperation, lookup: LookupKind, batches: u64, items_left: u64) -> Self {
        let of_pairs = operation.shape.from.is_some();
        let calls_of_an_item = if of_pairs && operation.deletes_both_sides() { 3 } else { 1 };
        let calls_at_most = items_left * calls_of_an_item;
        Self { command: lookup.command().name, calls_if_all_in_doubt: batches, calls_at_most }
    }

    pub(super) fn line(self) -> String {
        let Self { command, calls_if_all_in_doubt, calls_at_most } = self;
        let all = counted(calls_if_all_in_doubt, "call", "calls");
        let more = if calls_at_most > calls_if_all_in_doubt {
            format!(", at most {} if each is alone", count(calls_at_most))
        } else {
            String::new()
        };
        format!("only for rows in doubt, with {command}: {all} if all are{more}")
    }
}

/// The calls of one kind before the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlannedPreparation {
    /// The name of their command.
    pub command: &'static str,
    /// The smallest number of calls, without retries.
    pub calls: u64,
    /// The largest number of calls, without retries.
    pub calls_at_most: u64,
    /// Whether `calls` is a minimum: long friend lists, or the lists of friends who are not known yet, take more calls.
    pub is_minimum: bool,
    /// Why it is one.
    #[serde(skip)]
    why: Option<&'static str>,
}

impl PlannedPreparation {
    pub(super) fn new(calls: PreparationCalls) -> Self {
        let PreparationCalls { preparation, calls, at_most, why } = calls;
        let command = preparation.command().name;
        Self { command, calls, calls_at_most: at_most, is_minimum: why.is_some(), why }
    }

    pub(super) fn line(self) -> String {
        let Self { command, calls, calls_at_most, why, .. } = self;
        match why {
            None => format!("exactly {} with {command}, without retries", counted(calls, "call", "calls")),
            Some(why) => format!(
                "at least {} with {command}, at most {}, without retries: {why}",
                counted(calls, "call", "calls"),
                count(calls_at_most)
            ),
        }
    }
}

//! Compares the input, the results of a run, and the accounts and friend lists of the sandbox afterwards, row by row.
//!
//! The check knows nothing about how imbulk works. The test states which faults it injected ([`ResultsCheck::resends`],
//! [`ResultsCheck::refusals`]); every other difference is an error.

use std::collections::{BTreeMap, HashMap, HashSet};

use imbulk_sandbox::{Command, ItemCounters, Report, World};

use crate::rows::{Fields, InputRow, ItemKind, ResultRow, Validity, item_kind};
use crate::workspace::Workspace;

/// Codes that mean that the wanted state existed before; the last one only for friend_delete_all.
pub const ALREADY: [i64; 3] = [70107, 31704, 30003];

/// The code that means that an imported friend was on the list before; this says nothing of the fields of the friend.
pub const FRIEND_EXISTS: i64 = 30001;

/// Codes after which a part of the effect may have taken place.
const PARTS: [&str; 6] = ["30006", "30008", "31705", "31706", "40006", "70500"];

/// A run, and what is allowed in its results.
pub struct ResultsCheck<'a> {
    /// The operation of the job.
    pub operation: Command,
    /// Whether deletions are two-way.
    pub both: bool,
    /// The input.
    pub asked: &'a [InputRow],
    /// The results, in input order.
    pub results: &'a [ResultRow],
    /// Ids that must not be sent.
    pub protected: Vec<String>,
    /// The accounts and friend lists before the run.
    pub before: &'a World,
    /// The sandbox's counts.
    pub report: Report,
    /// Calls per second: of the operation, of the app.
    pub caps: (u32, u32),
    /// Whether rows may still be pending.
    pub completion: Completion,
    /// Codes that injected faults gave to items, beyond those that the accounts and friend lists explain.
    pub refusals: &'a [i64],
    /// Whether responses may have been lost in every attempt.
    pub in_doubt: InDoubt,
    /// The largest number of items that the sandbox may have received again, in total.
    pub resends: u64,
    /// The number of items that other jobs sent to the sandbox.
    pub others: usize,
}

/// Whether rows may still be pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// Every row has a final outcome.
    Complete,
    /// The run was interrupted or stopped.
    Partial,
}

/// Whether rows may be in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InDoubt {
    /// No row.
    Never,
    /// Any row that was sent.
    Allowed,
}

/// An item and the rows that name it.
struct Item<'a> {
    rows: Vec<usize>,
    asked: &'a InputRow,
}

impl<'a> ResultsCheck<'a> {
    /// A complete run without injected faults.
    pub fn clean(
        workspace: &'a Workspace,
        operation: Command,
        asked: &'a [InputRow],
        results: &'a [ResultRow],
    ) -> Self {
        Self {
            operation,
            both: false,
            asked,
            results,
            protected: crate::rows::protected(),
            before: &workspace.pristine,
            report: workspace.report(),
            caps: (workspace.caps.of(operation), workspace.caps.app()),
            completion: Completion::Complete,
            refusals: &[],
            in_doubt: InDoubt::Never,
            resends: 0,
            others: 0,
        }
    }

    /// Fails with the differences.
    #[track_caller]
    pub fn check(&self, workspace: &Workspace) {
        let wrong = workspace.world(|world| self.complaints(world));
        let shown: Vec<_> = wrong.iter().take(20).collect();
        assert!(wrong.is_empty(), "{} complaints, the first: {shown:#?}\n{:#?}", wrong.len(), self.report);
    }

    /// The differences. `world` is the state after the run.
    pub fn complaints(&self, world: &World) -> Vec<String> {
        let mut wrong = Vec::new();
        self.calls(&mut wrong);
        if self.lines(&mut wrong) {
            let items = self.items();
            self.not_sent(world, &items, &mut wrong);
            let mut again = 0;
            for item in &items {
                self.item(world, item, &mut wrong);
                again += u64::from(self.touches(world, item.asked).received.saturating_sub(1));
            }
            if again > self.resends {
                wrong.push(format!("{again} items came in again, at most {} had a reason", self.resends));
            }
            wrong.extend(self.strangers(world));
        }
        wrong
    }

    /// Reports items that the sandbox received although no row names them. Does not read the results.
    pub fn strangers(&self, world: &World) -> Option<String> {
        let touched = world.items_received();
        let received = self.items().iter().filter(|item| self.touches(world, item.asked).received > 0).count();
        let strange = touched != received + self.friends_sides(world) + self.others;
        strange.then(|| format!("the sandbox received {touched} items, {received} of them from the input"))
    }

    /// How often the side of a friend alone was deleted, without a row of its own that asks for it.
    fn friends_sides(&self, world: &World) -> usize {
        let asked: HashSet<_> = self.items().iter().map(|item| item.asked.item()).collect();
        let sides = asked.iter().filter_map(|(from, to)| Some((*to, (*from)?))).filter(|_| self.both);
        let others = sides.filter(|(from, to)| !asked.contains(&(Some(*from), *to)));
        others.filter(|(from, to)| world.friend_counters(from, to).received > 0).count()
    }

    /// Reports rows whose results claim an effect that did not take place. The other differences are not checked,
    /// because a damaged queue may have lost attempts.
    pub fn undone(&self, world: &World) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.lines(&mut wrong) {
            for item in self.items() {
                let first = &self.results[item.rows[0]];
                if matches!(first.outcome.as_str(), "succeeded" | "already_done") && !self.is_done(world, &item) {
                    wrong.push(format!("line {}: {first:?}, but it was not done", first.line));
                }
            }
        }
        wrong
    }

    fn calls(&self, wrong: &mut Vec<String>) {
        let Report { overlaps, overlaps_with_abandoned, bad_requests, unknown_paths, worst_second, .. } = self.report;
        for (count, what) in [
            (overlaps, "overlapping writes"),
            (overlaps_with_abandoned, "overlaps with calls that were given up"),
            (bad_requests, "calls that break a rule of their page"),
            (unknown_paths, "calls of unknown commands"),
        ] {
            if count > 0 {
                wrong.push(format!("{count} {what}"));
            }
        }
        if worst_second > self.caps.1 as usize {
            wrong.push(format!("{worst_second} calls in a second, the app's cap is {}", self.caps.1));
        }
        let own = self.report.commands.get(&self.operation).map_or(0, |counts| counts.worst_second);
        if own > self.caps.0 as usize {
            wrong.push(format!("{own} calls in a second, the operation's cap is {}", self.caps.0));
        }
    }

    /// The results have one row per input row, in input order, with the same accounts.
    fn lines(&self, wrong: &mut Vec<String>) -> bool {
        if self.asked.len() != self.results.len() {
            wrong.push(format!("{} rows, but {} results", self.asked.len(), self.results.len()));
            return false;
        }
        for (n, (asked, row)) in self.asked.iter().zip(self.results).enumerate() {
            let line = n as u64 + 2;
            if row.line != line {
                wrong.push(format!("row {n} is in line {line}, not {}", row.line));
            }
            if (row.from.as_deref(), row.account.as_str()) != asked.item() {
                wrong.push(format!("line {line} is about {:?}, not {:?} {}", asked.item(), row.from, row.account));
            }
        }
        true
    }

    fn items(&self) -> Vec<Item<'a>> {
        let mut at: HashMap<(Option<&str>, &str), usize> = HashMap::new();
        let mut items: Vec<Item<'a>> = Vec::new();
        for (row, asked) in self.asked.iter().enumerate().filter(|(_, asked)| self.is_sent(asked)) {
            let index = *at.entry(asked.item()).or_insert(items.len());
            if index == items.len() {
                items.push(Item { rows: Vec::new(), asked });
            }
            items[index].rows.push(row);
        }
        items
    }

    fn is_sent(&self, asked: &InputRow) -> bool {
        asked.validity == Validity::Valid && !asked.names_one_of(&self.protected)
    }

    /// Rows that must be rejected or protected, and that the sandbox must not have received.
    fn not_sent(&self, world: &World, items: &[Item<'_>], wrong: &mut Vec<String>) {
        let sent: HashSet<_> = items.iter().map(|item| item.asked.item()).collect();
        for (asked, row) in self.asked.iter().zip(self.results).filter(|(asked, _)| !self.is_sent(asked)) {
            let due = if asked.validity == Validity::Invalid { "rejected" } else { "protected" };
            if row.outcome != due {
                wrong.push(format!("line {} must be {due}, is {}", row.line, row.outcome));
            }
            if row.reason.is_empty() || row.attempts > 0 {
                wrong.push(format!("line {} is {due} with {} attempts, {:?}", row.line, row.attempts, row.reason));
            }
            if !sent.contains(&asked.item()) && self.touches(world, asked) != ItemCounters::default() {
                wrong.push(format!("line {} must not be sent, but the sandbox received it", row.line));
            }
        }
    }

    fn item(&self, world: &World, item: &Item<'_>, wrong: &mut Vec<String>) {
        let (first, others) = item.rows.split_first().expect("an item has a row");
        let first = &self.results[*first];
        for (earlier, other) in item.rows.iter().zip(others) {
            self.further_row(first, &self.results[*other], &item.rows, *earlier, wrong);
        }
        let line = first.line;
        let touches = self.touches(world, item.asked);
        let ItemCounters { received, written } = touches;
        let mutual = self.other_side_was_asked(item.asked);
        // The call for the friend's own side of the other row may name the same pair.
        if received > first.attempts && !mutual {
            wrong.push(format!("line {line} came in {received} times, but has {} attempts", first.attempts));
        }
        let done = self.is_done(world, item);
        let there = self.was_there(item.asked);
        let looked_up = first.reason.contains("a lookup shows");
        let right = match first.outcome.as_str() {
            // The list of an account that does not exist is empty.
            "succeeded" if looked_up => {
                let is_empty = self.operation == Command::FriendDeleteAll && !there;
                (done || is_empty) && received > 0 && first.attempts > 1
            }
            "failed" if looked_up => !done && received > 0,
            // "Already done" counts as success only after an earlier attempt that may have arrived.
            "succeeded" if written == 0 => {
                (!there || (done && self.other_side_was_asked(item.asked)))
                    && received > 0
                    && first.attempts > 1
                    && (self.says_already(first) || self.says_data_left(first))
            }
            "succeeded" => done,
            "already_done" => {
                received > 0
                    && (written == 0 || mutual)
                    && self.says_already(first)
                    && (!there || self.other_side_was_asked(item.asked))
            }
            // An injected refusal may follow an attempt that took effect and whose response was lost.
            "failed" if written > 0 => {
                first.attempts > 1 && first.code.is_some_and(|code| self.refusals.contains(&code))
            }
            "failed" => received > 0 && self.may_fail(item.asked, first.code),
            "in_doubt" => received > 0 && (self.in_doubt == InDoubt::Allowed || self.proves_a_part(first)),
            "pending" => self.completion == Completion::Partial,
            _ => false,
        };
        if !right {
            wrong.push(format!("line {line}: {first:?}, but {touches:?}, done {done}, there before {there}"));
        }
        let ended = !matches!(first.outcome.as_str(), "pending");
        if ended == first.finished_at.is_empty() {
            wrong.push(format!("line {line} is {} and finished at {:?}", first.outcome, first.finished_at));
        }
    }

    /// Checks a row after the first one of its item: a duplicate, or merged with the item and of the same outcome.
    fn further_row(
        &self,
        first: &ResultRow,
        other: &ResultRow,
        rows: &[usize],
        earlier: usize,
        wrong: &mut Vec<String>,
    ) {
        let fields = |row: usize| &self.asked[row].fields;
        let own = usize::try_from(other.line - 2).expect("small");
        let equal = rows.iter().any(|row| *row <= earlier && fields(*row) == fields(own));
        let asked_nothing = self.asked[own].fields.is_empty();
        let right = match other.outcome.as_str() {
            "duplicate" => equal && other.attempts == 0,
            same => !asked_nothing && same == first.outcome && fields(earlier) != fields(own),
        };
        if !right {
            wrong.push(format!(
                "line {} is {}, after line {}, which is {}",
                other.line, other.outcome, first.line, first.outcome
            ));
        }
    }

    fn touches(&self, world: &World, asked: &InputRow) -> ItemCounters {
        let (from, account) = asked.item();
        match item_kind(self.operation) {
            ItemKind::Account => world.account_counters(account),
            ItemKind::List => world.list_counters(account),
            ItemKind::Friend => world.friend_counters(from.unwrap_or_default(), account),
        }
    }

    fn is_done(&self, world: &World, item: &Item<'_>) -> bool {
        match (self.operation, item.asked.item()) {
            // It has no effect that could be missing.
            (
                Command::AccountCheck
                | Command::FriendCheck
                | Command::FriendGet
                | Command::FriendGetList
                | Command::PortraitGet
                | Command::QueryOnlineStatus,
                _,
            ) => true,
            (Command::AccountDelete, (_, user)) => !world.account_exists(user),
            (Command::AccountImport, (_, user)) => world.profile(user) == Some(self.stored(item)),
            (Command::FriendDeleteAll, (_, user)) => world.list_counters(user).written > 0,
            (Command::FriendDelete, (from, to)) => {
                let from = from.unwrap_or_default();
                let back = self.both && world.is_friend(to, from);
                !back && !world.is_friend(from, to)
            }
            (Command::FriendUpdate | Command::FriendImport, (from, to)) => {
                world.tags(from.unwrap_or_default(), to) == Some(self.stored(item))
            }
        }
    }

    /// The fields that the sandbox keeps of an item after all of its rows.
    fn stored(&self, item: &Item<'_>) -> Fields {
        self.merged(item).into_iter().map(|(field, value)| (stored_under(&field).to_owned(), value)).collect()
    }

    /// The fields of an item after all of its rows: for each field the last row wins.
    fn merged(&self, item: &Item<'_>) -> Fields {
        let mut merged = BTreeMap::new();
        item.rows.iter().for_each(|row| merged.extend(self.asked[*row].fields.clone()));
        merged
    }

    fn was_there(&self, asked: &InputRow) -> bool {
        let (from, account) = asked.item();
        match item_kind(self.operation) {
            ItemKind::Account | ItemKind::List => self.before.account_exists(account),
            ItemKind::Friend => self.before.is_friend(from.unwrap_or_default(), account),
        }
    }

    fn other_side_was_asked(&self, asked: &InputRow) -> bool {
        let back = (Some(asked.account.as_str()), asked.from.as_deref().unwrap_or_default());
        self.both && self.asked.iter().any(|other| other.item() == back)
    }

    /// Whether the row has the code that means that the wanted state existed before.
    fn says_already(&self, row: &ResultRow) -> bool {
        let already = match self.operation {
            Command::AccountDelete => Some(70107),
            Command::FriendDelete => Some(31704),
            Command::FriendDeleteAll => Some(30003),
            Command::FriendImport => Some(FRIEND_EXISTS),
            Command::AccountImport
            | Command::FriendUpdate
            | Command::AccountCheck
            | Command::FriendCheck
            | Command::FriendGet
            | Command::FriendGetList
            | Command::PortraitGet
            | Command::QueryOnlineStatus => None,
        };
        already.is_some() && row.code == already
    }

    /// Whether the row says that the account is deleted but its data may not be.
    fn says_data_left(&self, row: &ResultRow) -> bool {
        self.operation == Command::AccountDelete && matches!(row.code, Some(40006 | 70500))
    }

    /// Whether "already done" proves only a part of the effect: one of two sides, a friend without its fields, or after
    /// a code that allows a partial effect.
    fn proves_a_part(&self, row: &ResultRow) -> bool {
        let before =
            row.reason.rsplit_once("before: ").map_or("", |(_, codes)| codes.split(';').next().unwrap_or_default());
        let left_a_part = before.split(", ").any(|code| PARTS.contains(&code));
        let always = self.operation == Command::FriendImport || self.both && self.operation == Command::FriendDelete;
        self.says_already(row) && (left_a_part || always)
    }

    /// Whether the API may refuse the row permanently, because of its state or of an injected fault.
    fn may_fail(&self, asked: &InputRow, code: Option<i64>) -> bool {
        let Some(code) = code else { return false };
        let owner = asked.from.as_deref().unwrap_or(&asked.account);
        let by_world = match self.operation {
            Command::AccountDelete
            | Command::AccountImport
            | Command::FriendDeleteAll
            | Command::AccountCheck
            | Command::FriendCheck
            | Command::FriendGet
            | Command::FriendGetList
            | Command::PortraitGet
            | Command::QueryOnlineStatus => false,
            Command::FriendDelete => code == 30003 && !self.before.account_exists(owner),
            Command::FriendImport => {
                code == 30003 && [owner, &asked.account].iter().any(|account| !self.before.account_exists(account))
            }
            Command::FriendUpdate => {
                (code == 30003 && !self.before.account_exists(owner)) || (code == 30001 && !self.was_there(asked))
            }
        };
        by_world || self.refusals.contains(&code)
    }
}

/// The tag under which the sandbox keeps a field of an import.
fn stored_under(field: &str) -> &str {
    match field {
        "Nick" => "Tag_Profile_IM_Nick",
        "FaceUrl" => "Tag_Profile_IM_Image",
        "AddSource" => "Tag_SNS_IM_AddSource",
        "Remark" => "Tag_SNS_IM_Remark",
        "GroupName" => "Tag_SNS_IM_Group",
        "AddWording" => "Tag_SNS_IM_AddWording",
        "AddTime" => "Tag_SNS_IM_AddTime",
        tag => tag,
    }
}

//! The one judge: compares what was asked, what the results say and what the stand-in saw, row by row.
//!
//! It knows nothing of how imbulk works. It is told how often things went wrong on order ([`Case::resends`],
//! [`Case::refusals`]) and believes nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};

use imbulk::sandbox::{Command, Report, Touches, World};

use crate::bench::Bench;
use crate::rows::{Asked, Fit, Row, Tags};

/// Codes by which the state asked for was there before.
const ALREADY: [i64; 2] = [70107, 31704];

/// A run to be judged.
pub(crate) struct Case<'a> {
    pub(crate) operation: Command,
    /// Whether deletes take both sides off.
    pub(crate) both: bool,
    pub(crate) asked: &'a [Asked],
    pub(crate) results: &'a [Row],
    pub(crate) protected: Vec<String>,
    /// The accounts and friend lists as they were before.
    pub(crate) before: &'a World,
    pub(crate) report: Report,
    /// Calls a second: of the operation, of the app.
    pub(crate) caps: (u32, u32),
    /// Whether rows may still be pending.
    pub(crate) end: End,
    /// Codes that faults gave to items, beyond what the world says.
    pub(crate) refusals: &'a [i64],
    /// Whether answers may have been lost for good.
    pub(crate) in_doubt: InDoubt,
    /// The most items that may have come in again, all together.
    pub(crate) resends: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Early,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InDoubt {
    Never,
    Allowed,
}

/// What is known of an item before its results are read.
struct Item<'a> {
    rows: Vec<usize>,
    asked: &'a Asked,
}

impl<'a> Case<'a> {
    /// A run to its end in which nothing went wrong.
    pub(crate) fn clean(bench: &'a Bench, operation: Command, asked: &'a [Asked], results: &'a [Row]) -> Self {
        Self {
            operation,
            both: false,
            asked,
            results,
            protected: crate::rows::protected(),
            before: &bench.pristine,
            report: bench.report(),
            caps: (bench.caps.of(operation), bench.caps.app()),
            end: End::Complete,
            refusals: &[],
            in_doubt: InDoubt::Never,
            resends: 0,
        }
    }

    /// Fails with all that is wrong.
    #[track_caller]
    pub(crate) fn check(&self, bench: &Bench) {
        let wrong = bench.world(|world| self.complaints(world));
        let shown: Vec<_> = wrong.iter().take(20).collect();
        assert!(wrong.is_empty(), "{} complaints, the first: {shown:#?}\n{:#?}", wrong.len(), self.report);
    }

    /// All that is wrong; `world` is as the run left it.
    pub(crate) fn complaints(&self, world: &World) -> Vec<String> {
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
            let touched = world.items_touched();
            let received = items.iter().filter(|item| self.touches(world, item.asked).received > 0).count();
            if touched != received {
                wrong.push(format!("{touched} items were touched, of those asked for {received}"));
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

    /// A line per row, in order, saying what the row said.
    fn lines(&self, wrong: &mut Vec<String>) -> bool {
        if self.asked.len() != self.results.len() {
            wrong.push(format!("{} rows, but {} results", self.asked.len(), self.results.len()));
            return false;
        }
        for (n, (asked, row)) in self.asked.iter().zip(self.results).enumerate() {
            let line = n as u64 + 2;
            if row.line != line {
                wrong.push(format!("row {n} stands in line {line}, not {}", row.line));
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

    fn is_sent(&self, asked: &Asked) -> bool {
        asked.fit == Fit::Good && !asked.names_one_of(&self.protected)
    }

    /// Rows that are rejected or protected, and nothing of them arrived.
    fn not_sent(&self, world: &World, items: &[Item<'_>], wrong: &mut Vec<String>) {
        let sent: HashSet<_> = items.iter().map(|item| item.asked.item()).collect();
        for (asked, row) in self.asked.iter().zip(self.results).filter(|(asked, _)| !self.is_sent(asked)) {
            let due = if asked.fit == Fit::Bad { "rejected" } else { "protected" };
            if row.outcome != due {
                wrong.push(format!("line {} must be {due}, is {}", row.line, row.outcome));
            }
            if row.reason.is_empty() || row.attempts > 0 {
                wrong.push(format!("line {} is {due} with {} attempts, {:?}", row.line, row.attempts, row.reason));
            }
            if !sent.contains(&asked.item()) && self.touches(world, asked) != Touches::default() {
                wrong.push(format!("line {} must not be sent, but was touched", row.line));
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
        let Touches { received, written } = touches;
        if received > first.attempts {
            wrong.push(format!("line {line} came in {received} times, but has {} attempts", first.attempts));
        }
        let done = self.is_done(world, item);
        let there = self.was_there(item.asked);
        let right = match first.outcome.as_str() {
            // Only an earlier attempt that may have arrived makes a success of "already done".
            "succeeded" if written == 0 => {
                !there && received > 0 && first.attempts > 1 && first.code.is_some_and(|code| ALREADY.contains(&code))
            }
            "succeeded" => done,
            "already_done" => {
                let code = first.code.is_some_and(|code| ALREADY.contains(&code));
                received > 0 && written == 0 && code && (!there || self.other_side_was_asked(item.asked))
            }
            "failed" => received > 0 && written == 0 && self.may_fail(item.asked, first.code),
            "in_doubt" => received > 0 && self.in_doubt == InDoubt::Allowed,
            "pending" => self.end == End::Early,
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

    /// A row after the first one of its item: a duplicate of one before, or merged and of the same outcome.
    fn further_row(&self, first: &Row, other: &Row, rows: &[usize], earlier: usize, wrong: &mut Vec<String>) {
        let tags = |row: usize| &self.asked[row].tags;
        let own = usize::try_from(other.line - 2).expect("small");
        let equal = rows.iter().any(|row| *row <= earlier && tags(*row) == tags(own));
        let right = match other.outcome.as_str() {
            "duplicate" => equal && other.attempts == 0,
            same => self.operation == Command::FriendUpdate && same == first.outcome && tags(earlier) != tags(own),
        };
        if !right {
            wrong.push(format!("line {} is {}, after line {}, which is {}", other.line, other.outcome, first.line, first.outcome));
        }
    }

    fn touches(&self, world: &World, asked: &Asked) -> Touches {
        match (self.operation, asked.item()) {
            (Command::AccountDelete, (_, user)) => world.account_touches(user),
            (Command::FriendDeleteAll, (_, user)) => world.list_touches(user),
            (Command::FriendDelete | Command::FriendUpdate, (from, to)) => {
                world.friend_touches(from.unwrap_or_default(), to)
            }
        }
    }

    fn is_done(&self, world: &World, item: &Item<'_>) -> bool {
        match (self.operation, item.asked.item()) {
            (Command::AccountDelete, (_, user)) => !world.account_exists(user),
            (Command::FriendDeleteAll, (_, user)) => world.list_touches(user).written > 0,
            (Command::FriendDelete, (from, to)) => {
                let from = from.unwrap_or_default();
                !world.is_friend(from, to) && !(self.both && world.is_friend(to, from))
            }
            (Command::FriendUpdate, (from, to)) => world.tags(from.unwrap_or_default(), to) == Some(self.merged(item)),
        }
    }

    /// What the rows of an item come to: the later one wins, tag by tag.
    fn merged(&self, item: &Item<'_>) -> Tags {
        let mut merged = BTreeMap::new();
        item.rows.iter().for_each(|row| merged.extend(self.asked[*row].tags.clone()));
        merged
    }

    fn was_there(&self, asked: &Asked) -> bool {
        match (self.operation, asked.item()) {
            (Command::AccountDelete | Command::FriendDeleteAll, (_, user)) => self.before.account_exists(user),
            (Command::FriendDelete | Command::FriendUpdate, (from, to)) => {
                self.before.is_friend(from.unwrap_or_default(), to)
            }
        }
    }

    fn other_side_was_asked(&self, asked: &Asked) -> bool {
        let back = (Some(asked.account.as_str()), asked.from.as_deref().unwrap_or_default());
        self.both && self.asked.iter().any(|other| other.item() == back)
    }

    /// What the API refuses for good, in this world or on order.
    fn may_fail(&self, asked: &Asked, code: Option<i64>) -> bool {
        let Some(code) = code else { return false };
        let owner = asked.from.as_deref().unwrap_or(&asked.account);
        let by_world = match self.operation {
            Command::AccountDelete => false,
            Command::FriendDelete | Command::FriendDeleteAll => code == 30003 && !self.before.account_exists(owner),
            Command::FriendUpdate => {
                (code == 30003 && !self.before.account_exists(owner)) || (code == 30001 && !self.was_there(asked))
            }
        };
        by_world || self.refusals.contains(&code)
    }
}

/// The checker itself, against lies about a run that went well.
mod lies {
    use super::*;
    use crate::bench::Job;
    use crate::rows::{PROTECTED, csv, mixed};

    struct Told {
        bench: Bench,
        asked: Vec<Asked>,
        results: Vec<Row>,
    }

    fn told(operation: Command) -> Told {
        let bench = Bench::new();
        let asked = mixed(operation, 100);
        bench.write("job.csv", csv(operation, &asked));
        bench.write("keep.txt", PROTECTED);
        let job = Job::new("job", operation).with("guard", "protected", "\"keep.txt\"").write(&bench);
        bench.run(&job).expect(3);
        let results = bench.results("job");
        Case::clean(&bench, operation, &asked, &results).check(&bench);
        Told { bench, asked, results }
    }

    impl Told {
        fn complaints(&self, operation: Command, lie: impl FnOnce(&mut Case<'_>)) -> Vec<String> {
            let mut case = Case::clean(&self.bench, operation, &self.asked, &self.results);
            lie(&mut case);
            self.bench.world(|world| case.complaints(world))
        }

        /// The complaints if one row of an outcome said something else.
        fn with_row(&self, operation: Command, outcome: &str, lie: impl FnOnce(&mut Row)) -> Vec<String> {
            let mut results = self.results.clone();
            let row = results.iter_mut().find(|row| row.outcome == outcome);
            lie(row.unwrap_or_else(|| panic!("no row is {outcome}")));
            let case = Case::clean(&self.bench, operation, &self.asked, &results);
            self.bench.world(|world| case.complaints(world))
        }
    }

    #[test]
    fn an_outcome_that_the_server_does_not_bear_out_is_found() {
        let operation = Command::AccountDelete;
        let told = told(operation);
        let outcomes = ["succeeded", "already_done", "rejected", "protected", "duplicate"];
        for true_one in outcomes {
            for lie in ["succeeded", "already_done", "failed", "in_doubt", "pending", "rejected", "protected", "duplicate", ""] {
                if lie != true_one {
                    let found = told.with_row(operation, true_one, |row| row.outcome = lie.to_owned());
                    assert!(!found.is_empty(), "{true_one} as {lie}");
                }
            }
        }
    }

    #[test]
    fn a_success_that_never_happened_is_found_whatever_it_says() {
        let told = told(Command::AccountDelete);
        let found = told.with_row(Command::AccountDelete, "already_done", |row| {
            row.outcome = "succeeded".to_owned();
            row.code = None;
            row.attempts = 2;
        });
        assert_eq!(found.len(), 1, "{found:#?}");
    }

    #[test]
    fn a_row_without_a_result_and_one_with_two_are_found() {
        let mut told = told(Command::FriendDelete);
        let lost = told.results.pop().expect("a row");
        assert!(!told.complaints(Command::FriendDelete, |_| ()).is_empty());
        told.results.push(lost.clone());
        assert!(told.complaints(Command::FriendDelete, |_| ()).is_empty());
        told.results.push(lost);
        assert!(!told.complaints(Command::FriendDelete, |_| ()).is_empty());
        told.results.pop();
        told.results.swap(0, 1);
        assert!(!told.complaints(Command::FriendDelete, |_| ()).is_empty());
    }

    #[test]
    fn a_touched_row_that_must_not_be_touched_is_found() {
        let told = told(Command::FriendDelete);
        let found = told.complaints(Command::FriendDelete, |case| case.protected.push("friend_00007".to_owned()));
        assert!(found.iter().any(|wrong| wrong.contains("must not be sent, but was touched")), "{found:#?}");
        let fewer: Vec<Asked> = told.asked.iter().filter(|row| row.account != "friend_00007").cloned().collect();
        let results: Vec<Row> = told.results.iter().filter(|row| row.account != "friend_00007").cloned().collect();
        let case = Case::clean(&told.bench, Command::FriendDelete, &fewer, &results);
        let found = told.bench.world(|world| case.complaints(world));
        assert!(found.iter().any(|wrong| wrong.contains("items were touched, of those asked for")), "{found:#?}");
    }

    #[test]
    fn overlaps_and_a_second_above_the_cap_are_found() {
        let told = told(Command::FriendUpdate);
        let found = told.complaints(Command::FriendUpdate, |case| case.report.overlaps = 1);
        assert_eq!(found, ["1 overlapping writes"]);
        let found = told.complaints(Command::FriendUpdate, |case| case.report.overlaps_with_abandoned = 1);
        assert_eq!(found, ["1 overlaps with calls that were given up"]);
        let found = told.complaints(Command::FriendUpdate, |case| case.caps.1 = 1);
        assert_eq!(found.len(), 1, "{found:#?}");
        let found = told.complaints(Command::FriendUpdate, |case| case.caps.0 = 1);
        assert_eq!(found.len(), 1, "{found:#?}");
    }

    #[test]
    fn a_tag_that_did_not_arrive_is_found() {
        let mut told = told(Command::FriendUpdate);
        let done = told.results.iter().position(|row| row.outcome == "succeeded").expect("a row");
        told.asked[done].tags.insert("Tag_SNS_Custom_Age".to_owned(), serde_json::json!(7));
        assert!(!told.complaints(Command::FriendUpdate, |_| ()).is_empty());
    }

    #[test]
    fn what_was_sent_again_after_a_certain_answer_is_found() {
        let told = told(Command::AccountDelete);
        told.bench.imbulk(&["run", "job.toml", "--execute", "--yes", "--again"]).expect(3);
        let found = told.complaints(Command::AccountDelete, |_| ());
        assert!(found.iter().any(|wrong| wrong.contains("items came in again")), "{found:#?}");
        assert!(found.iter().any(|wrong| wrong.contains("came in 2 times, but has 1 attempts")), "{found:#?}");
    }

    #[test]
    fn a_failure_without_a_reason_is_found() {
        let told = told(Command::FriendDelete);
        let found = told.with_row(Command::FriendDelete, "failed", |row| row.code = Some(30006));
        assert_eq!(found.len(), 1, "{found:#?}");
        let found = told.complaints(Command::FriendDelete, |case| case.refusals = &[30006]);
        assert!(found.is_empty(), "{found:#?}");
    }
}

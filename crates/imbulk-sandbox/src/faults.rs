//! Which faults a call gets: seeded, so that the same calls in the same order get the same ones.

use std::collections::BTreeMap;

use crate::commands::Command;
use crate::fault_rule::{CallFault, FaultKind, FaultRule, ItemFault, When};
use crate::key::Draw;

/// The faults of one call.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ChosenFaults {
    pub(crate) call: Option<CallFault>,
    /// By the index of the item; empty if no item has one.
    pub(crate) items: Vec<Option<ItemFault>>,
}

/// The rules in force and how far they have been played.
#[derive(Debug)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
    draw: Draw,
    played: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    label: String,
    seen: u64,
    played: u64,
    /// Nanoseconds; the end of a storm that has broken out.
    storm_until: u64,
}

impl Faults {
    pub(crate) fn new(rules: Vec<FaultRule>, seed: u64) -> Self {
        let mut faults = Self { armed: Vec::new(), draw: Draw::new(seed), played: BTreeMap::new() };
        faults.replace(rules);
        faults
    }

    /// Other rules from now on; they count calls from 1 again, and what was played stays counted.
    pub(crate) fn replace(&mut self, rules: Vec<FaultRule>) {
        let arm = |rule: FaultRule| Armed { label: rule.kind.to_string(), rule, seen: 0, played: 0, storm_until: 0 };
        self.armed = rules.into_iter().map(arm).collect();
    }

    /// How often each kind was played: calls, or items for the faults of items.
    pub(crate) fn played(&self) -> &BTreeMap<String, u64> {
        &self.played
    }

    /// The faults of a call of `command` on the items `ids` at `now` (nanoseconds). Of the faults of
    /// whole calls the first rule that strikes wins, and the same for each item.
    pub(crate) fn choose(&mut self, command: Command, ids: &[&str], now: u64) -> ChosenFaults {
        let mut chosen = ChosenFaults::default();
        for armed in &mut self.armed {
            if !armed.is_for(command) {
                continue;
            }
            let before = armed.played;
            match armed.rule.kind.clone() {
                FaultKind::Call(fault) => {
                    let strikes = armed.strikes_call(&fault, ids, now, &mut self.draw);
                    if strikes && chosen.call.is_none() {
                        armed.played += 1;
                        chosen.call = Some(fault);
                    }
                }
                FaultKind::Item(fault) => {
                    chosen.items.resize(ids.len(), None);
                    armed.strike_items(fault, &mut chosen.items, &mut self.draw);
                }
            }
            if armed.played > before {
                *self.played.entry(armed.label.clone()).or_default() += armed.played - before;
            }
        }
        chosen
    }
}

impl Armed {
    fn is_for(&self, command: Command) -> bool {
        self.rule.command.is_none_or(|own| own == command) && command.shows(&self.rule.kind)
    }

    fn is_used_up(&self) -> bool {
        self.rule.max.is_some_and(|max| self.played >= max.get())
    }

    fn strikes_call(&mut self, fault: &CallFault, ids: &[&str], now: u64, draw: &mut Draw) -> bool {
        if let CallFault::Poison(_, id) = fault
            && !ids.contains(&id.as_str())
        {
            return false;
        }
        self.seen += 1;
        if now < self.storm_until {
            return true;
        }
        let struck = match &self.rule.when {
            When::Share(share) => draw.fraction() < *share,
            When::Calls(numbers) => numbers.iter().any(|number| number.get() == self.seen),
        };
        if !struck || self.is_used_up() {
            return false;
        }
        if let CallFault::Storm(_, lasts) = fault {
            let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
            self.storm_until = now.saturating_add(lasts);
        }
        true
    }

    /// A share strikes each item by itself; in a call that is named by its number every other item is
    /// struck, the first included.
    fn strike_items(&mut self, fault: ItemFault, items: &mut [Option<ItemFault>], draw: &mut Draw) {
        self.seen += 1;
        for (index, item) in items.iter_mut().enumerate() {
            let struck = match &self.rule.when {
                When::Share(share) => draw.fraction() < *share,
                When::Calls(numbers) => index % 2 == 0 && numbers.iter().any(|number| number.get() == self.seen),
            };
            if struck && item.is_none() && !self.is_used_up() {
                *item = Some(fault);
                self.played += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rules: &[&str]) -> Faults {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        Faults::new(rules, 7)
    }

    fn calls(faults: &mut Faults, command: Command, count: usize) -> Vec<bool> {
        (0..count).map(|_| faults.choose(command, &["a"], 0).call.is_some()).collect()
    }

    #[test]
    fn numbers_name_the_calls_of_the_rules_command() {
        let mut faults = faults(&["friend_delete:reset:#2,3"]);
        assert_eq!(calls(&mut faults, Command::FriendUpdate, 2), [false; 2]);
        let struck = calls(&mut faults, Command::FriendDelete, 4);
        assert_eq!(struck, [false, true, true, false]);
    }

    #[test]
    fn a_share_strikes_its_share_and_the_same_calls_with_the_same_seed() {
        let run = || calls(&mut faults(&["any:reset:0.1"]), Command::AccountDelete, 5000);
        let struck = run().iter().filter(|&&struck| struck).count();
        assert!((400..600).contains(&struck), "{struck}");
        assert_eq!(run(), run());
    }

    #[test]
    fn a_rule_ends_after_its_most_times() {
        let mut faults = faults(&["any:reset:1:max=2"]);
        let struck = calls(&mut faults, Command::AccountDelete, 4);
        assert_eq!(struck, [true, true, false, false]);
        assert_eq!(faults.played()["reset-before"], 2);
    }

    #[test]
    fn the_first_rule_that_strikes_wins_and_alone_is_counted() {
        let mut faults = faults(&["any:reset:#1", "any:close:1"]);
        let chosen = faults.choose(Command::FriendDelete, &["a"], 0);
        assert_eq!(chosen.call.unwrap().to_string(), "reset-before");
        assert!(!faults.played().contains_key("close-before"));
        let chosen = faults.choose(Command::FriendDelete, &["a"], 0);
        assert_eq!(chosen.call.unwrap().to_string(), "close-before");
    }

    #[test]
    fn a_storm_lasts_its_time() {
        let mut faults = faults(&["any:storm=60007/1s:#1"]);
        let second = 1_000_000_000;
        let strikes = |faults: &mut Faults, now| {
            let chosen = faults.choose(Command::FriendDelete, &["a"], now);
            chosen.call.is_some()
        };
        assert!(strikes(&mut faults, 5));
        assert!(strikes(&mut faults, second + 4));
        assert!(!strikes(&mut faults, second + 5));
    }

    #[test]
    fn a_poisoned_id_strikes_only_the_calls_that_name_it() {
        let mut faults = faults(&["any:poison=30001/bob:1"]);
        let mut strikes = |ids: &[&str]| {
            let chosen = faults.choose(Command::FriendDelete, ids, 0);
            chosen.call.is_some()
        };
        assert!(strikes(&["a", "bob"]));
        assert!(!strikes(&["a"]));
        assert!(strikes(&["bob"]));
    }

    #[test]
    fn items_are_struck_one_by_one_and_only_where_an_answer_lists_them() {
        let mut faults = faults(&["any:item=70500:0.2", "any:missing:#1"]);
        let ids = vec!["a"; 1000];
        let chosen = faults.choose(Command::FriendDeleteAll, &["a"], 0);
        assert_eq!(chosen, ChosenFaults::default());
        let chosen = faults.choose(Command::FriendDelete, &ids, 0);
        let of = |fault| chosen.items.iter().filter(|&&item| item == Some(fault)).count();
        let coded = of(ItemFault::Code(70500));
        assert!((150..250).contains(&coded), "{coded}");
        let left_out = of(ItemFault::Missing);
        assert!((350..450).contains(&left_out), "every other of the rest: {left_out}");
        assert_eq!(faults.played()["missing"], left_out as u64);
    }
}

//! The calls, whatever they were about: how many in a second, and which at once. Worked out from the journal alone;
//! the stand-in's own counts and its 30008 are not asked.

use std::collections::{HashMap, VecDeque};

use imbulk_sandbox::{CallRecord, Caps, Command, ResponseRecord};

pub(super) const SECOND: u64 = 1_000_000_000;

/// The server gives up on a call after this time (page "REST API overview"); until then a call whose caller has heard
/// nothing may still be writing (docs/decisions/0004).
pub(super) const MAY_BE_WRITING: u64 = 3 * SECOND;

/// No second, wherever it begins, holds more calls than the caps.
pub(super) fn windows(journal: &[CallRecord], caps: Caps, wrong: &mut Vec<String>) {
    let all = journal.iter().map(|entry| entry.arrived);
    window("the app", all, caps.app(), wrong);
    for command in Command::ALL {
        let own = journal.iter().filter(|entry| entry.command == command).map(|entry| entry.arrived);
        window(command.name(), own, caps.of(command), wrong);
    }
}

fn window(whose: &str, arrivals: impl Iterator<Item = u64>, cap: u32, wrong: &mut Vec<String>) {
    let mut second = VecDeque::new();
    let mut worst = 0;
    for now in arrivals {
        while second.front().is_some_and(|first| first + SECOND <= now) {
            second.pop_front();
        }
        second.push_back(now);
        worst = worst.max(second.len());
    }
    if worst > cap as usize {
        wrong.push(format!("{worst} calls in a second, the cap of {whose} is {cap}"));
    }
}

/// No call arrives while another one is writing one of its accounts, or may be.
pub(super) fn overlaps(journal: &[CallRecord], wrong: &mut Vec<String>) {
    let mut busy: HashMap<&str, (u64, &CallRecord)> = HashMap::new();
    for entry in journal {
        let until = writing_until(entry);
        for account in written(entry) {
            let held = busy.insert(account, (until, entry));
            // A call may name an account twice.
            let held = held.filter(|(until, other)| *until > entry.arrived && !std::ptr::eq(*other, entry));
            if let Some((held_until, other)) = held {
                let (now, before) = (entry.arrived, other.arrived);
                wrong.push(format!(
                    "two writes to {account:?} at once: one from {before} to {held_until}, one at {now}"
                ));
                busy.insert(account, (until.max(held_until), entry));
            }
        }
    }
}

/// The accounts that a call names and writes. Those whom only the server knows it keeps apart itself
/// (docs/decisions/0003).
fn written(entry: &CallRecord) -> impl Iterator<Item = &str> {
    let others: &[String] = match entry.command {
        Command::AccountDelete => &entry.items,
        Command::FriendDelete if entry.both => &entry.items,
        Command::FriendDelete | Command::FriendUpdate | Command::FriendDeleteAll => &[],
    };
    entry.from.iter().chain(others).map(String::as_str)
}

fn writing_until(entry: &CallRecord) -> u64 {
    if is_answered(&entry.said) {
        return entry.done.unwrap_or(u64::MAX);
    }
    // Once the caller has gone, the work of a server that takes longer than it says is nobody's fault.
    let closed = entry.closed.unwrap_or(u64::MAX);
    closed.max(entry.arrived + MAY_BE_WRITING)
}

/// Whether the caller knows by the answer that the server is done.
pub(super) fn is_answered(said: &ResponseRecord) -> bool {
    match said {
        ResponseRecord::Nothing => false,
        // A gateway's word.
        ResponseRecord::Status(status) => *status != 408 && *status < 500,
        ResponseRecord::Whole(_) | ResponseRecord::Items(_) => true,
    }
}

//! Calls per second and overlapping writes, computed from the journal alone.
//!
//! The sandbox's own counts, and its code 30008 for overlaps, are not used.

use std::collections::{HashMap, VecDeque};

use imbulk_sandbox::{CallRecord, Caps, Command, ResponseRecord};

/// In nanoseconds, as all times of the journal.
pub const SECOND: u64 = 1_000_000_000;

/// The server may process a call for this time (page "REST API overview"). A call whose caller received no response may
/// write until then (docs/decisions/0004).
pub const MAY_BE_WRITING: u64 = 3 * SECOND;

/// No second, wherever it starts, contains more calls than the caps.
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

/// No call arrives while another one is writing one of its accounts, or may be writing it.
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

/// The accounts that a call names and writes. The server itself serializes writes to accounts that only it knows
/// (docs/decisions/0003).
fn written(entry: &CallRecord) -> impl Iterator<Item = &str> {
    let others: &[String] = match entry.command {
        Command::AccountDelete | Command::AccountImport => &entry.items,
        Command::FriendDelete if entry.both => &entry.items,
        Command::FriendDelete
        | Command::FriendUpdate
        | Command::FriendImport
        | Command::FriendDeleteAll
        | Command::AccountCheck
        | Command::FriendCheck
        | Command::FriendGet
        | Command::FriendGetList
        | Command::PortraitGet
        | Command::QueryOnlineStatus => &[],
    };
    let from = entry.from.iter().filter(|_| !entry.command.reads_only());
    from.chain(others).map(String::as_str)
}

fn writing_until(entry: &CallRecord) -> u64 {
    if is_answered(&entry.said) {
        return entry.done.unwrap_or(u64::MAX);
    }
    // The client waits for the documented time after it closed the connection, and cannot know of slower servers.
    let closed = entry.closed.unwrap_or(u64::MAX);
    closed.max(entry.arrived + MAY_BE_WRITING)
}

/// Whether the response tells the caller that the server has finished.
pub(super) fn is_answered(said: &ResponseRecord) -> bool {
    match said {
        ResponseRecord::Nothing => false,
        // A gateway sent it; the server behind may still be working.
        ResponseRecord::Status(status) => *status != 408 && *status < 500,
        ResponseRecord::Whole(_) | ResponseRecord::Items(_) => true,
    }
}

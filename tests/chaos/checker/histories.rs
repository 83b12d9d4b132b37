//! What became of each item at the server, call by call: whether its outcome is borne out, and whether there was a
//! reason each time that it came in again.

use std::collections::{BTreeMap, HashMap, HashSet};

use imbulk_sandbox::{CallRecord, Command, ResponseRecord};

use super::calls::{MAY_BE_WRITING, is_answered};
use super::{Evidence, ItemId, Line};
use crate::harness::checker::{ALREADY, End};

/// Codes that pass by themselves, or with a new signature, and are no last word.
const AGAIN: [u32; 16] =
    [30006, 30007, 30008, 31707, 40006, 60004, 60007, 60008, 60011, 60014, 60018, 60019, 70001, 70169, 70202, 70500];
/// Codes that refuse a whole batch for what may be one bad item.
const SPLIT: [u32; 2] = [30001, 70402];
/// Codes by which the server says that it timed out within itself.
const TIMED_OUT: [u32; 5] = [30007, 60008, 60014, 70169, 70202];

/// Codes by which the server failed half way.
const PARTS: [u32; 6] = [30006, 30008, 31705, 31706, 40006, 70500];
/// Those of them after which an account that is gone may have left data behind.
const DATA_LEFT: [u32; 2] = [40006, 70500];

/// An item in a call.
#[derive(Debug, Clone, Copy)]
struct Reception {
    call: usize,
    arrived: u64,
    heard: Heard,
    written: bool,
    /// Whether the call was to write the list of the item as well.
    both: bool,
}

/// What the caller can read of the item in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// Nothing, or only that something went wrong on the way.
    Nothing,
    /// The answer names other items, or this one twice and differently.
    Unclear,
    /// A code, and of how many items it speaks.
    Code(u32, usize),
}

impl Heard {
    /// Whether an attempt that ended so may have taken effect without our knowing.
    fn leaves_doubt(self) -> bool {
        match self {
            Self::Nothing | Self::Unclear => true,
            Self::Code(code, _) => TIMED_OUT.contains(&code),
        }
    }

    fn is_final(self) -> bool {
        match self {
            Self::Nothing | Self::Unclear => false,
            Self::Code(code, of) => !AGAIN.contains(&code) && (of == 1 || !SPLIT.contains(&code)),
        }
    }

    fn code(self) -> Option<u32> {
        match self {
            Self::Nothing | Self::Unclear => None,
            Self::Code(code, _) => Some(code),
        }
    }
}

type Histories<'a> = HashMap<ItemId<'a>, Vec<Reception>>;

/// Returns how many calls sent something again that was answered for good, to a process that was killed.
pub(super) fn judge(evidence: &Evidence, by_row: &[Option<&Line>], wrong: &mut Vec<String>) -> usize {
    let histories = histories(&evidence.journal, evidence.operation);
    let killed = killed(evidence);
    let sent = evidence.asked.iter().zip(by_row).filter_map(|(asked, line)| Some((asked.item(), (*line)?)));
    let sent: HashMap<ItemId<'_>, &Line> = sent.filter(|(_, line)| line.request.is_some() && line.is_first).collect();
    for (item, line) in &sent {
        let history = histories.get(item).map_or(&[][..], Vec::as_slice);
        let doubt = Doubt::of(history, line, killed.get(item));
        if !is_borne_out(line, history, &doubt, evidence.end) {
            wrong.push(format!("row {}: {line:?}, but the server saw {history:?}", line.row));
        }
    }
    let strangers = histories.keys().filter(|item| !sent.contains_key(*item));
    wrong.extend(strangers.map(|item| format!("{item:?} came in, and must not be sent")));
    sent_again(&histories, &killed, &evidence.retried, wrong)
}

fn histories(journal: &[CallRecord], operation: Command) -> Histories<'_> {
    let mut histories: Histories<'_> = HashMap::new();
    for (call, entry) in journal.iter().enumerate().filter(|(_, entry)| entry.command == operation) {
        let (did, said) = (codes(&entry.did), codes(&entry.said));
        for item in &entry.items {
            let from = entry.from.as_deref().filter(|_| operation != Command::FriendDeleteAll);
            let written = matches!(of(&entry.did, &did, item, entry), Heard::Code(0, _));
            let heard = of(&entry.said, &said, item, entry);
            let reception = Reception { call, arrived: entry.arrived, heard, written, both: entry.both };
            histories.entry((from, item)).or_default().push(reception);
        }
    }
    histories
}

/// The codes of items; none of those that have two.
fn codes(said: &ResponseRecord) -> HashMap<&str, Option<u32>> {
    let ResponseRecord::Items(items) = said else { return HashMap::new() };
    let mut codes = HashMap::with_capacity(items.len());
    for (id, code) in items {
        codes
            .entry(id.as_str())
            .and_modify(|other| {
                if *other != Some(*code) {
                    *other = None;
                }
            })
            .or_insert(Some(*code));
    }
    codes
}

fn of(said: &ResponseRecord, codes: &HashMap<&str, Option<u32>>, item: &str, entry: &CallRecord) -> Heard {
    match said {
        _ if !is_answered(said) => Heard::Nothing,
        ResponseRecord::Nothing | ResponseRecord::Status(_) => Heard::Unclear,
        ResponseRecord::Whole(code) => Heard::Code(*code, entry.items.len()),
        ResponseRecord::Items(_) => {
            codes.get(item).copied().flatten().map_or(Heard::Unclear, |code| Heard::Code(code, 1))
        }
    }
}

/// When the program was killed with an item in flight: long enough after it for the last bytes to have come in, and
/// not so long that the next process could have sent it again.
type Killed<'a> = HashMap<ItemId<'a>, Vec<u64>>;

fn killed(evidence: &Evidence) -> Killed<'_> {
    let mut killed: Killed<'_> = HashMap::new();
    for kill in &evidence.kills {
        for sending in evidence.in_flight(kill) {
            for account in &sending.accounts {
                let moments = killed.entry((sending.from.as_deref(), account)).or_default();
                moments.push(kill.at + MAY_BE_WRITING);
            }
        }
    }
    killed
}

/// What may make "already done" our own doing, or leave an item in doubt.
struct Doubt {
    /// By an attempt before the last one.
    before: bool,
    /// By any attempt.
    ever: bool,
}

impl Doubt {
    fn of(history: &[Reception], line: &Line, killed: Option<&Vec<u64>>) -> Self {
        // An attempt that the server never saw, or a process that did not live to read the answer.
        let lost = line.attempts as usize > history.len() || killed.is_some();
        let earlier = history.split_last().map_or(&[][..], |(_, earlier)| earlier);
        let unclear = |receptions: &[Reception]| receptions.iter().any(|one| one.heard.leaves_doubt());
        Self { before: lost || unclear(earlier), ever: lost || unclear(history) }
    }
}

fn is_borne_out(line: &Line, history: &[Reception], doubt: &Doubt, end: End) -> bool {
    if history.len() > line.attempts as usize {
        return false;
    }
    let last = history.last().and_then(|reception| reception.heard.code());
    let code = line.code.and_then(|code| u32::try_from(code).ok());
    let written = history.iter().any(|reception| reception.written);
    let is_already = line.code.is_some_and(|code| ALREADY.contains(&code));
    let met = |codes: &[u32]| history.iter().any(|one| one.heard.code().is_some_and(|code| codes.contains(&code)));
    match line.outcome.as_str() {
        "succeeded" if code.is_none() => last == Some(0) && written,
        "succeeded" if code.is_some_and(|code| DATA_LEFT.contains(&code)) => last == Some(70107) && met(&DATA_LEFT),
        "succeeded" => is_already && last == code && doubt.before,
        "already_done" => is_already && last == code && !written,
        "failed" => code.is_some() && last == code,
        "in_doubt" if is_already && last == code => met(&PARTS) || history.iter().any(|reception| reception.both),
        "in_doubt" => doubt.ever,
        "pending" => end == End::Early,
        _ => false,
    }
}

/// An item comes in again only if the answer before was no last word, or if nobody lived to hear it.
fn sent_again(histories: &Histories<'_>, killed: &Killed<'_>, retried: &[u32], wrong: &mut Vec<String>) -> usize {
    let mut again = HashSet::new();
    let mut without: BTreeMap<usize, (usize, ItemId<'_>)> = BTreeMap::new();
    for (item, history) in histories {
        for (before, after) in history.iter().zip(&history[1..]) {
            if !before.heard.is_final() || before.heard.code().is_some_and(|code| retried.contains(&code)) {
                continue;
            }
            let moments = killed.get(item).into_iter().flatten();
            if moments.into_iter().any(|moment| (before.arrived..after.arrived).contains(moment)) {
                again.insert(after.call);
            } else {
                without.insert(after.call, (before.call, *item));
            }
        }
    }
    for (call, (before, item)) in without {
        wrong.push(format!("call {call} sends {item:?} again, which call {before} had answered for good"));
    }
    again.len()
}

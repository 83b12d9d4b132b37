//! The calls that contained each item: whether they explain its outcome, and whether each repetition had a reason.

use std::collections::{BTreeMap, HashMap, HashSet};

use imbulk_sandbox::{CallRecord, Command, ResponseRecord};
use serde_json::Value;

use super::calls::{MAY_BE_WRITING, is_answered};
use super::{Evidence, ItemId, QueueRow};
use crate::results_check::{ALREADY, Completion, FRIEND_EXISTS};
use crate::rows::Fields;

/// Codes after which an item may be sent again.
const AGAIN: [u32; 18] = [
    30006, 30007, 30008, 31705, 31706, 31707, 40006, 60004, 60007, 60008, 60011, 60014, 60018, 60019, 70001, 70169,
    70202, 70500,
];
/// Codes that refuse a whole batch, possibly because of one item.
const SPLIT: [u32; 2] = [30001, 70402];
/// Codes that mean a timeout within the server.
const TIMED_OUT: [u32; 5] = [30007, 60008, 60014, 70169, 70202];

/// Codes after which a part of the effect may have taken place.
const PARTS: [u32; 6] = [30006, 30008, 31705, 31706, 40006, 70500];
/// Those of them after which a deleted account may have left data behind.
const DATA_LEFT: [u32; 2] = [40006, 70500];

/// An item in a call.
#[derive(Debug, Clone, Copy)]
struct Reception {
    call: usize,
    arrived: u64,
    answer: ItemAnswer,
    written: bool,
    /// Whether the call was to write the list of the item as well.
    both: bool,
}

/// What the response says about the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ItemAnswer {
    /// There was no response, or only a status from a gateway.
    Nothing,
    /// The response names other items, or this one twice with different codes.
    Unclear,
    /// A code, and the number of items to which it applies.
    Code(u32, usize),
}

impl ItemAnswer {
    /// Whether an attempt with this response may have taken effect.
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

/// What lookups found of items, and what became of the friend's own sides that they found.
#[derive(Default)]
struct Lookups<'a> {
    /// When each lookup with an answer came, and what it found; an empty text if it refused the item.
    found: HashMap<ItemId<'a>, Vec<(u64, &'a str)>>,
    /// The calls that deleted the side of a friend, by the item of the job.
    friends_sides: HashMap<ItemId<'a>, Vec<&'a CallRecord>>,
}

impl<'a> Lookups<'a> {
    fn read(journal: &'a [CallRecord]) -> Self {
        let mut lookups = Self::default();
        for entry in journal {
            if let Some(item) = lookups.friends_side_of(entry) {
                lookups.friends_sides.entry(item).or_default().push(entry);
            }
            let found = entry.found.iter().map(|(id, status)| (id, status.as_str()));
            let refused = refused(entry).map(|id| (id, ""));
            // The item of a friend list is its owner.
            let from = entry.from.as_deref().filter(|_| entry.command != Command::FriendGet);
            for (id, status) in found.chain(refused) {
                lookups.found.entry((from, id)).or_default().push((entry.arrived, status));
            }
        }
        lookups
    }

    /// The item of whose friend a call deletes the own side, after a lookup has found this side alone.
    fn friends_side_of(&self, entry: &'a CallRecord) -> Option<ItemId<'a>> {
        let [account] = entry.items.as_slice() else { return None };
        let item = (Some(account.as_str()), entry.from.as_deref()?);
        let (_, status) = self.found.get(&item)?.last()?;
        (entry.command == Command::FriendDelete && !entry.both && *status == "CheckResult_Type_BWithA").then_some(item)
    }

    fn is_friends_side(&self, entry: &CallRecord) -> bool {
        self.friends_sides.values().flatten().any(|side| std::ptr::eq(*side, entry))
    }

    /// Whether the last lookup, which came after every change, explains the outcome.
    fn explain(&self, item: ItemId<'_>, line: &QueueRow, history: &[Reception], requested: &Requested) -> bool {
        let Some((arrived, status)) = self.found.get(&item).and_then(|found| found.last()) else { return false };
        if history.last().is_none_or(|last| last.arrived > *arrived) || history.len() >= line.attempts as usize {
            return false;
        }
        let is_reached = requested.is_shown_by(status);
        let sides = self.friends_sides.get(&item).into_iter().flatten();
        let is_deleted =
            |side: &&&CallRecord| side.arrived > *arrived && matches!(code_of(&side.said), Some(0 | 31704));
        let written = history.iter().any(|reception| reception.written);
        match line.outcome.as_str() {
            "succeeded" => is_reached || sides.filter(is_deleted).count() > 0,
            "already_done" => is_reached && !written,
            "failed" => !is_reached,
            // No lookup shows the lists of the friends.
            "in_doubt" => {
                requested.operation == Command::FriendDeleteAll && is_reached && history.iter().any(|one| one.both)
            }
            _ => false,
        }
    }
}

/// The items that a call which only reads refused. The list of an account that does not exist is refused as a whole.
fn refused(entry: &CallRecord) -> impl Iterator<Item = &String> {
    let is_missing = entry.command == Command::FriendGet && entry.did == ResponseRecord::Whole(30003);
    let missing = entry.items.iter().filter(move |_| is_missing);
    let items = match &entry.did {
        ResponseRecord::Items(items) if entry.command.reads_only() => items.as_slice(),
        ResponseRecord::Items(_) | ResponseRecord::Nothing | ResponseRecord::Status(_) | ResponseRecord::Whole(_) => {
            &[]
        }
    };
    items.iter().filter(|(_, code)| *code != 0).map(|(id, _)| id).chain(missing)
}

/// The state that an item asks for.
struct Requested {
    operation: Command,
    fields: Fields,
}

impl Requested {
    /// Whether the answer to a lookup shows this state.
    fn is_shown_by(&self, status: &str) -> bool {
        match self.operation {
            Command::AccountDelete | Command::FriendDelete => {
                matches!(status, "NotImported" | "CheckResult_Type_NoRelation")
            }
            // An account that does not exist has no friends.
            Command::FriendDeleteAll => {
                status.is_empty() || serde_json::from_str::<Value>(status).is_ok_and(|page| page["FriendNum"] == 0)
            }
            _ => {
                let shown: Option<Vec<Value>> = serde_json::from_str(status).ok();
                let has = |fields: &[Value], name: &str, value: &Value| {
                    fields.iter().any(|field| field["Tag"] == shown_as(name).as_str() && field["Value"] == *value)
                };
                shown.is_some_and(|fields| self.fields.iter().all(|(name, value)| has(&fields, name, value)))
            }
        }
    }
}

/// The tag under which a lookup shows a field.
fn shown_as(field: &str) -> String {
    match field {
        "Nick" => "Tag_Profile_IM_Nick".to_owned(),
        "FaceUrl" => "Tag_Profile_IM_Image".to_owned(),
        "GroupName" => "Tag_SNS_IM_Group".to_owned(),
        tag if tag.starts_with("Tag_") => tag.to_owned(),
        plain => format!("Tag_SNS_IM_{plain}"),
    }
}

/// The code of the only item of a call.
fn code_of(said: &ResponseRecord) -> Option<u32> {
    match said {
        ResponseRecord::Items(items) => items.first().map(|(_, code)| *code),
        ResponseRecord::Whole(code) => Some(*code),
        ResponseRecord::Nothing | ResponseRecord::Status(_) => None,
    }
}

type Histories<'a> = HashMap<ItemId<'a>, Vec<Reception>>;

/// Returns the number of calls that repeated an item with a final response after a kill.
pub(super) fn compare(evidence: &Evidence, by_row: &[Option<&QueueRow>], wrong: &mut Vec<String>) -> usize {
    let lookups = Lookups::read(&evidence.journal);
    let histories = histories(&evidence.journal, evidence.operation, &lookups);
    let killed = killed(evidence);
    let sent = evidence.asked.iter().zip(by_row).filter_map(|(asked, line)| Some((asked.item(), (*line)?)));
    let sent: HashMap<ItemId<'_>, &QueueRow> =
        sent.filter(|(_, line)| line.request.is_some() && line.is_first).collect();
    let mut requested: HashMap<ItemId<'_>, Requested> = HashMap::new();
    for row in &evidence.asked {
        // Rows of one item are merged; the later one wins.
        let of_item = requested.entry(row.item());
        let of_item = of_item.or_insert_with(|| Requested { operation: evidence.operation, fields: Fields::new() });
        of_item.fields.extend(row.fields.clone());
    }
    for (item, line) in &sent {
        let history = histories.get(item).map_or(&[][..], Vec::as_slice);
        let doubt = Doubt::of(history, line, killed.get(item));
        let by_lookup = lookups.explain(*item, line, history, &requested[item]);
        if !by_lookup && !is_explained(line, history, &doubt, evidence.completion) {
            wrong.push(format!("row {}: {line:?}, but the server saw {history:?}", line.row));
        }
    }
    let strangers = histories.keys().filter(|item| !sent.contains_key(*item));
    wrong.extend(strangers.map(|item| format!("{item:?} came in, and must not be sent")));
    sent_again(&histories, &killed, &evidence.retried, wrong)
}

fn histories<'a>(journal: &'a [CallRecord], operation: Command, lookups: &Lookups<'_>) -> Histories<'a> {
    let mut histories: Histories<'_> = HashMap::new();
    let own = |entry: &CallRecord| entry.command == operation && !lookups.is_friends_side(entry);
    for (call, entry) in journal.iter().enumerate().filter(|(_, entry)| own(entry)) {
        let (did, said) = (codes(&entry.did), codes(&entry.said));
        for item in &entry.items {
            let from = entry.from.as_deref().filter(|_| operation != Command::FriendDeleteAll);
            let written = matches!(of(&entry.did, &did, item, entry), ItemAnswer::Code(0, _));
            let answer = of(&entry.said, &said, item, entry);
            let reception = Reception { call, arrived: entry.arrived, answer, written, both: entry.both };
            histories.entry((from, item)).or_default().push(reception);
        }
    }
    histories
}

/// The codes of items. An item with two different codes has none.
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

fn of(said: &ResponseRecord, codes: &HashMap<&str, Option<u32>>, item: &str, entry: &CallRecord) -> ItemAnswer {
    match said {
        _ if !is_answered(said) => ItemAnswer::Nothing,
        ResponseRecord::Nothing | ResponseRecord::Status(_) => ItemAnswer::Unclear,
        ResponseRecord::Whole(code) => ItemAnswer::Code(*code, entry.items.len()),
        ResponseRecord::Items(_) => {
            codes.get(item).copied().flatten().map_or(ItemAnswer::Unclear, |code| ItemAnswer::Code(code, 1))
        }
    }
}

/// When the program was killed with an item in flight. The time is late enough for the last bytes to have arrived, and
/// too early for the next process to have sent the item again.
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

/// Whether an attempt may have taken effect without a response: it explains "already done" and `in_doubt`.
struct Doubt {
    /// An attempt before the last one may have.
    before: bool,
    /// Any attempt may have.
    ever: bool,
}

impl Doubt {
    fn of(history: &[Reception], line: &QueueRow, killed: Option<&Vec<u64>>) -> Self {
        // The server never received an attempt, or the process was killed before it read the response.
        let lost = line.attempts as usize > history.len() || killed.is_some();
        let earlier = history.split_last().map_or(&[][..], |(_, earlier)| earlier);
        let unclear = |receptions: &[Reception]| receptions.iter().any(|one| one.answer.leaves_doubt());
        Self { before: lost || unclear(earlier), ever: lost || unclear(history) }
    }
}

fn is_explained(line: &QueueRow, history: &[Reception], doubt: &Doubt, completion: Completion) -> bool {
    if history.len() > line.attempts as usize {
        return false;
    }
    let last = history.last().and_then(|reception| reception.answer.code());
    let code = line.code.and_then(|code| u32::try_from(code).ok());
    let written = history.iter().any(|reception| reception.written);
    let is_already = line.code.is_some_and(|code| ALREADY.contains(&code));
    let met = |codes: &[u32]| history.iter().any(|one| one.answer.code().is_some_and(|code| codes.contains(&code)));
    match line.outcome.as_str() {
        "succeeded" if code.is_none() => last == Some(0) && written,
        "succeeded" if code.is_some_and(|code| DATA_LEFT.contains(&code)) => last == Some(70107) && met(&DATA_LEFT),
        "succeeded" => is_already && last == code && doubt.before,
        "already_done" => is_already && last == code && !written,
        "failed" => code.is_some() && last == code,
        "in_doubt" if line.code == Some(FRIEND_EXISTS) => last == code,
        "in_doubt" if is_already && last == code => met(&PARTS) || history.iter().any(|reception| reception.both),
        "in_doubt" => doubt.ever,
        "pending" => completion == Completion::Partial,
        _ => false,
    }
}

/// An item is sent again only after a response that is not final, or after a kill.
fn sent_again(histories: &Histories<'_>, killed: &Killed<'_>, retried: &[u32], wrong: &mut Vec<String>) -> usize {
    let mut again = HashSet::new();
    let mut without: BTreeMap<usize, (usize, ItemId<'_>)> = BTreeMap::new();
    for (item, history) in histories {
        for (before, after) in history.iter().zip(&history[1..]) {
            if !before.answer.is_final() || before.answer.code().is_some_and(|code| retried.contains(&code)) {
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
        wrong.push(format!("call {call} sends {item:?} again, which had a final response in call {before}"));
    }
    again.len()
}

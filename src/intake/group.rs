//! Finds equals among the rows of one part, and merges what belongs to one friend.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::record::{Record, Seeded, read_text, write_text};
use super::{IntakeError, parse_tags};
use crate::domain::row::{RowNo, Tags};

/// The rows of one part, by lane and item. Cleared and used again from part to part.
#[derive(Debug)]
pub(super) struct Group {
    /// Every text once, with its length before it.
    texts: Vec<u8>,
    lanes: Vec<Lane>,
    items: Vec<Item>,
    kept: Vec<Kept>,
    lane_table: HashTable<u32>,
    item_table: HashTable<u32>,
    /// Items that several rows share.
    merged: HashMap<u32, Merged, RandomState>,
    seed: Seeded,
}

/// Where a text stands among the texts.
#[derive(Debug, Clone, Copy)]
struct Text(u32);

/// No next one.
const END: u32 = u32::MAX;

/// The items of one `From_Account`, a chain in row order.
#[derive(Debug, Clone, Copy)]
struct Lane {
    from: Option<Text>,
    first: u32,
    last: u32,
}

/// What is sent once, and the chain of the rows that share it.
#[derive(Debug, Clone, Copy)]
struct Item {
    account: Text,
    lane: u32,
    next: u32,
    first: u32,
    last: u32,
}

/// A row that is no duplicate.
#[derive(Debug, Clone, Copy)]
struct Kept {
    row: RowNo,
    tags: Text,
    next: u32,
}

/// What the rows of one item come to.
#[derive(Debug, Default)]
struct Merged {
    values: Tags,
    /// The last kept row with these tags.
    rows: HashMap<Box<[u8]>, RowNo, RandomState>,
}

/// An item, to be packed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grouped<'a> {
    pub(super) from: Option<&'a [u8]>,
    pub(super) account: &'a [u8],
    group: &'a Group,
    item: Item,
}

impl Group {
    pub(super) fn new() -> Self {
        Self {
            texts: Vec::new(),
            lanes: Vec::new(),
            items: Vec::new(),
            kept: Vec::new(),
            lane_table: HashTable::new(),
            item_table: HashTable::new(),
            merged: HashMap::default(),
            // Apart from the seeds of parting, which count from 0.
            seed: Seeded::new(u64::MAX),
        }
    }

    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.lanes.clear();
        self.items.clear();
        self.kept.clear();
        self.lane_table.clear();
        self.item_table.clear();
        self.merged.clear();
    }

    /// Takes the next row; if it says nothing new, gives the row that it is a duplicate of.
    pub(super) fn row(&mut self, record: &Record<'_>) -> Result<Option<RowNo>, IntakeError> {
        let overfull = IntakeError::Overfull { row: record.row };
        let lane = self.lane(record.from);
        let Some(item) = lane.and_then(|lane| self.item(lane, record.account)) else {
            return Err(overfull);
        };
        let equal = self.equal(item, record)?;
        if equal.is_none() {
            self.keep(item, record).ok_or(overfull)?;
        }
        Ok(equal)
    }

    /// The items, those of a lane together, lanes in order of their first row.
    pub(super) fn items(&self) -> impl Iterator<Item = Grouped<'_>> {
        self.lanes.iter().flat_map(move |lane| {
            let from = lane.from.map(|from| from.of(&self.texts));
            let items = chain(&self.items, lane.first, |item| item.next);
            items.map(move |&item| Grouped { from, account: item.account.of(&self.texts), group: self, item })
        })
    }

    pub(super) fn item_count(&self) -> u64 {
        self.items.len() as u64
    }

    /// The lane of this account; a new one if there is none. None if there is no room.
    fn lane(&mut self, from: Option<&[u8]>) -> Option<u32> {
        let hash_of = |from: Option<&[u8]>| from.map_or(0, |from| self.seed.hash(0, from));
        let from_of = |&lane: &u32| self.lanes[lane as usize].from.map(|text| text.of(&self.texts));
        let entry = self.lane_table.entry(hash_of(from), |lane| from_of(lane) == from, |lane| hash_of(from_of(lane)));
        match entry {
            Entry::Occupied(found) => Some(*found.get()),
            Entry::Vacant(place) => {
                let lane = index(self.lanes.len())?;
                let from = match from {
                    Some(from) => Some(Text::add(from, &mut self.texts)?),
                    None => None,
                };
                let (first, last) = (END, END);
                self.lanes.push(Lane { from, first, last });
                place.insert(lane);
                Some(lane)
            }
        }
    }

    /// The item of this account in its lane; a new one if there is none. None if there is no room.
    fn item(&mut self, lane: u32, account: &[u8]) -> Option<u32> {
        let Self { items, texts, seed, .. } = self;
        let key_of = |&item: &u32| (items[item as usize].lane, items[item as usize].account.of(texts));
        let hash_of = |(lane, account): (u32, &[u8])| seed.hash(lane, account);
        let entry = self.item_table.entry(
            hash_of((lane, account)),
            |item| key_of(item) == (lane, account),
            |item| hash_of(key_of(item)),
        );
        let place = match entry {
            Entry::Occupied(found) => return Some(*found.get()),
            Entry::Vacant(place) => place,
        };
        let item = index(items.len())?;
        let account = Text::add(account, texts)?;
        let (next, first, last) = (END, END, END);
        items.push(Item { account, lane, next, first, last });
        place.insert(item);
        let lane = &mut self.lanes[lane as usize];
        if lane.first == END {
            lane.first = item;
        } else {
            items[lane.last as usize].next = item;
        }
        lane.last = item;
        Some(item)
    }

    /// The earlier row that says what this one says, if the state that the rows come to stays as it is.
    fn equal(&mut self, item: u32, record: &Record<'_>) -> Result<Option<RowNo>, IntakeError> {
        let Item { first, last, .. } = self.items[item as usize];
        if first == END {
            return Ok(None);
        }
        let last = &self.kept[last as usize];
        if last.tags.of(&self.texts) == record.tags {
            return Ok(Some(last.row));
        }
        let damaged = IntakeError::Damaged { row: record.row };
        let Some(tags) = parse_tags(record.tags) else {
            return Err(damaged);
        };
        let merged = self.merged.entry(item).or_default();
        if merged.rows.is_empty() {
            // The second row of the item: until now the first one alone was the state.
            let first = &self.kept[first as usize];
            let text = first.tags.of(&self.texts);
            merged.keep(first.row, text, parse_tags(text).ok_or(damaged)?);
        }
        Ok(merged.take(record.row, record.tags, tags))
    }

    /// Puts a row at the end of its item's rows. None if there is no room.
    fn keep(&mut self, item: u32, record: &Record<'_>) -> Option<()> {
        let kept = index(self.kept.len())?;
        let tags = Text::add(record.tags, &mut self.texts)?;
        let (row, next) = (record.row, END);
        self.kept.push(Kept { row, tags, next });
        let item = &mut self.items[item as usize];
        if item.first == END {
            item.first = kept;
        } else {
            self.kept[item.last as usize].next = kept;
        }
        item.last = kept;
        Some(())
    }
}

impl<'a> Grouped<'a> {
    /// Whether several rows share it.
    pub(super) fn is_merged(self) -> bool {
        self.item.first != self.item.last
    }

    /// The rows that share the item, with their tags, in row order.
    pub(super) fn rows(self) -> impl Iterator<Item = (RowNo, &'a [u8])> + Clone {
        let kept = chain(&self.group.kept, self.item.first, |kept| kept.next);
        kept.map(|kept| (kept.row, kept.tags.of(&self.group.texts)))
    }
}

impl Merged {
    /// Takes a row; if it changes nothing and an equal row went before, gives that one instead.
    fn take(&mut self, row: RowNo, text: &[u8], tags: Tags) -> Option<RowNo> {
        let changes_nothing = tags.iter().all(|(tag, value)| self.values.get(tag) == Some(value));
        let equal = self.rows.get(text).filter(|_| changes_nothing);
        if equal.is_some() {
            return equal.copied();
        }
        self.keep(row, text, tags);
        None
    }

    fn keep(&mut self, row: RowNo, text: &[u8], tags: Tags) {
        self.values.extend(tags);
        self.rows.insert(text.into(), row);
    }
}

impl Text {
    /// Adds a text; none if there is no room.
    fn add(text: &[u8], texts: &mut Vec<u8>) -> Option<Self> {
        let at = u32::try_from(texts.len()).ok()?;
        write_text(text, texts);
        Some(Self(at))
    }

    fn of(self, texts: &[u8]) -> &[u8] {
        let mut rest = texts.get(self.0 as usize..).unwrap_or_default();
        read_text(&mut rest).unwrap_or_default()
    }
}

/// The index of the next element, as the chains hold it.
fn index(length: usize) -> Option<u32> {
    u32::try_from(length).ok().filter(|&index| index != END)
}

/// The elements of a chain.
fn chain<T>(all: &[T], first: u32, next: impl Fn(&T) -> u32 + Clone) -> impl Iterator<Item = &T> + Clone {
    std::iter::successors(all.get(first as usize), move |element| all.get(next(element) as usize))
}

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
    more: Vec<More>,
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

/// What is sent once: its first row, and the chain of others that share it. In one place, since items of a lane lie far apart.
#[derive(Debug, Clone, Copy)]
struct Item {
    row: RowNo,
    account: Text,
    tags: Text,
    lane: u32,
    next: u32,
    first_more: u32,
    last_more: u32,
}

/// A further row of an item that is no duplicate.
#[derive(Debug, Clone, Copy)]
struct More {
    row: RowNo,
    tags: Text,
    next: u32,
}

/// Whether an item is there already.
enum Known {
    /// It is, with this number.
    Before(u32),
    /// The row made it.
    New,
}

/// What the rows of one item come to.
#[derive(Debug, Default)]
struct Merged {
    values: Tags,
    /// The last row that is no duplicate with these tags.
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
            more: Vec::new(),
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
        self.more.clear();
        self.lane_table.clear();
        self.item_table.clear();
        self.merged.clear();
    }

    /// Takes the next row; if it says nothing new, gives the row that it is a duplicate of.
    pub(super) fn row(&mut self, record: &Record<'_>) -> Result<Option<RowNo>, IntakeError> {
        let overfull = IntakeError::Overfull { row: record.row };
        let Some(item) = self.lane(record.from).and_then(|lane| self.item(lane, record)) else {
            return Err(overfull);
        };
        let Known::Before(item) = item else {
            return Ok(None);
        };
        let equal = self.equal(item, record)?;
        if equal.is_none() {
            self.add(item, record).ok_or(overfull)?;
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

    /// The item of this row in its lane; a new one if there is none. None if there is no room.
    fn item(&mut self, lane: u32, record: &Record<'_>) -> Option<Known> {
        let account = record.account;
        let Self { items, texts, seed, .. } = self;
        let key_of = |&item: &u32| (items[item as usize].lane, items[item as usize].account.of(texts));
        let hash_of = |(lane, account): (u32, &[u8])| seed.hash(lane, account);
        let entry = self.item_table.entry(
            hash_of((lane, account)),
            |item| key_of(item) == (lane, account),
            |item| hash_of(key_of(item)),
        );
        let place = match entry {
            Entry::Occupied(found) => return Some(Known::Before(*found.get())),
            Entry::Vacant(place) => place,
        };
        let item = index(items.len())?;
        let (account, tags) = (Text::add(account, texts)?, Text::add(record.tags, texts)?);
        let (row, next, first_more, last_more) = (record.row, END, END, END);
        items.push(Item { row, account, tags, lane, next, first_more, last_more });
        place.insert(item);
        let lane = &mut self.lanes[lane as usize];
        if lane.first == END {
            lane.first = item;
        } else {
            items[lane.last as usize].next = item;
        }
        lane.last = item;
        Some(Known::New)
    }

    /// The earlier row that says what this one says, if the state that the rows come to stays as it is.
    fn equal(&mut self, item: u32, record: &Record<'_>) -> Result<Option<RowNo>, IntakeError> {
        let first = &self.items[item as usize];
        let last = self.more.get(first.last_more as usize);
        let (row, tags) = last.map_or((first.row, first.tags), |last| (last.row, last.tags));
        if tags.of(&self.texts) == record.tags {
            return Ok(Some(row));
        }
        let damaged = IntakeError::Damaged { row: record.row };
        let Some(tags) = parse_tags(record.tags) else {
            return Err(damaged);
        };
        let merged = self.merged.entry(item).or_default();
        if merged.rows.is_empty() {
            // The second row of the item: until now the first one alone was the state.
            let text = first.tags.of(&self.texts);
            merged.keep(first.row, text, parse_tags(text).ok_or(damaged)?);
        }
        Ok(merged.take(record.row, record.tags, tags))
    }

    /// Puts a row at the end of its item's rows. None if there is no room.
    fn add(&mut self, item: u32, record: &Record<'_>) -> Option<()> {
        let more = index(self.more.len())?;
        let tags = Text::add(record.tags, &mut self.texts)?;
        let (row, next) = (record.row, END);
        self.more.push(More { row, tags, next });
        let item = &mut self.items[item as usize];
        if item.first_more == END {
            item.first_more = more;
        } else {
            self.more[item.last_more as usize].next = more;
        }
        item.last_more = more;
        Some(())
    }
}

impl<'a> Grouped<'a> {
    /// Whether several rows share it.
    pub(super) fn is_merged(self) -> bool {
        self.item.first_more != END
    }

    /// The rows that share the item, with their tags, in row order.
    pub(super) fn rows(self) -> impl Iterator<Item = (RowNo, &'a [u8])> + Clone {
        let more = chain(&self.group.more, self.item.first_more, |more| more.next);
        let rows = std::iter::once((self.item.row, self.item.tags)).chain(more.map(|more| (more.row, more.tags)));
        rows.map(|(row, tags)| (row, tags.of(&self.group.texts)))
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

//! Finds equals among the rows of one part, and merges what belongs to one friend.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::record::{Places, Record, Seeded, read_from, read_text};
use super::{IntakeError, parse_tags};
use crate::domain::row::{RowNo, Tags};

/// The rows of one part, by lane and item. Cleared and used again from part to part.
#[derive(Debug)]
pub(super) struct Group {
    /// The rows as they were laid aside. Their texts stay there.
    texts: Vec<u8>,
    tables: Tables,
}

#[derive(Debug)]
struct Tables {
    lanes: Vec<Lane>,
    items: Vec<Item>,
    more: Vec<More>,
    lane_table: HashTable<u32>,
    item_table: HashTable<u32>,
    /// Items that several rows share.
    merged: HashMap<u32, Merged, RandomState>,
    seed: Seeded,
}

/// Where a text stands among the rows, its length before it.
#[derive(Debug, Clone, Copy)]
struct Text(u32);

/// No next one.
const END: u32 = u32::MAX;

/// The items of one `From_Account`, a chain in row order.
#[derive(Debug, Clone, Copy)]
struct Lane {
    from: Text,
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
        let tables = Tables {
            lanes: Vec::new(),
            items: Vec::new(),
            more: Vec::new(),
            lane_table: HashTable::new(),
            item_table: HashTable::new(),
            merged: HashMap::default(),
            // Apart from the seeds of parting, which count from 0.
            seed: Seeded::new(u64::MAX),
        };
        Self { texts: Vec::new(), tables }
    }

    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.tables.clear();
    }

    /// Takes the rows of a block, which come after the row `last`. One that says nothing new is handed out, with the row that it
    /// is a duplicate of. Gives the last row.
    pub(super) fn rows(
        &mut self,
        block: &[u8],
        mut last: RowNo,
        mut duplicate: impl FnMut(&Record<'_>, RowNo) -> Result<(), IntakeError>,
    ) -> Result<RowNo, IntakeError> {
        let Self { texts, tables } = self;
        let (start, kept) = (texts.len(), tables.kept());
        texts.extend_from_slice(block);
        let mut rest = &texts[start..];
        while !rest.is_empty() {
            let at = texts.len() - rest.len();
            let (record, places) = Record::read(last, &mut rest).ok_or(IntakeError::Damaged { row: last })?;
            last = record.row;
            if let Some(of) = tables.row(texts, at, &record, places)? {
                duplicate(&record, of)?;
            }
        }
        // There may be no end of rows that say the same.
        if tables.kept() == kept {
            texts.truncate(start);
        }
        Ok(last)
    }

    /// The items, those of a lane together, lanes in order of their first row.
    pub(super) fn items(&self) -> impl Iterator<Item = Grouped<'_>> {
        let Tables { lanes, items, .. } = &self.tables;
        lanes.iter().flat_map(move |lane| {
            let from = lane.from.of_lane(&self.texts);
            let items = chain(items, lane.first, |item| item.next);
            items.map(move |&item| Grouped { from, account: item.account.of(&self.texts), group: self, item })
        })
    }

    pub(super) fn item_count(&self) -> u64 {
        self.tables.items.len() as u64
    }
}

impl Tables {
    fn clear(&mut self) {
        self.lanes.clear();
        self.items.clear();
        self.more.clear();
        self.lane_table.clear();
        self.item_table.clear();
        self.merged.clear();
    }

    /// How many rows are no duplicates.
    fn kept(&self) -> usize {
        self.items.len() + self.more.len()
    }

    /// Takes the next row, which stands there among the texts; if it says nothing new, gives the row that it is a duplicate of.
    fn row(
        &mut self,
        texts: &[u8],
        at: usize,
        record: &Record<'_>,
        places: Places,
    ) -> Result<Option<RowNo>, IntakeError> {
        let overfull = || IntakeError::Overfull { row: record.row };
        let text = |place| Text::at(at + place).ok_or_else(overfull);
        let (account, tags) = (text(places.account)?, text(places.tags)?);
        let lane = self.lane(texts, record.from, text(places.from)?).ok_or_else(overfull)?;
        match self.item(texts, lane, record, (account, tags)).ok_or_else(overfull)? {
            Known::New => Ok(None),
            Known::Before(item) => {
                let equal = self.equal(texts, item, record)?;
                if equal.is_none() {
                    self.add(item, record.row, tags).ok_or_else(overfull)?;
                }
                Ok(equal)
            }
        }
    }

    /// The lane of this account; a new one if there is none. None if there is no room.
    fn lane(&mut self, texts: &[u8], from: Option<&[u8]>, place: Text) -> Option<u32> {
        let Self { lanes, lane_table, seed, .. } = self;
        let hash_of = |from: Option<&[u8]>| from.map_or(0, |from| seed.hash(0, from));
        let from_of = |&lane: &u32| lanes[lane as usize].from.of_lane(texts);
        let entry = lane_table.entry(hash_of(from), |lane| from_of(lane) == from, |lane| hash_of(from_of(lane)));
        match entry {
            Entry::Occupied(found) => Some(*found.get()),
            Entry::Vacant(free) => {
                let lane = index(lanes.len())?;
                let (first, last) = (END, END);
                lanes.push(Lane { from: place, first, last });
                free.insert(lane);
                Some(lane)
            }
        }
    }

    /// The item of this row in its lane; a new one if there is none. None if there is no room.
    fn item(&mut self, texts: &[u8], lane: u32, record: &Record<'_>, (account, tags): (Text, Text)) -> Option<Known> {
        let Self { items, item_table, seed, .. } = self;
        let key_of = |&item: &u32| (items[item as usize].lane, items[item as usize].account.of(texts));
        let hash_of = |(lane, account): (u32, &[u8])| seed.hash(lane, account);
        let key = (lane, record.account);
        let entry = item_table.entry(hash_of(key), |item| key_of(item) == key, |item| hash_of(key_of(item)));
        let free = match entry {
            Entry::Occupied(found) => return Some(Known::Before(*found.get())),
            Entry::Vacant(free) => free,
        };
        let item = index(items.len())?;
        let (row, next, first_more, last_more) = (record.row, END, END, END);
        items.push(Item { row, account, tags, lane, next, first_more, last_more });
        free.insert(item);
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
    fn equal(&mut self, texts: &[u8], item: u32, record: &Record<'_>) -> Result<Option<RowNo>, IntakeError> {
        let first = &self.items[item as usize];
        let last = self.more.get(first.last_more as usize);
        let (row, tags) = last.map_or((first.row, first.tags), |last| (last.row, last.tags));
        if tags.of(texts) == record.tags {
            return Ok(Some(row));
        }
        let damaged = IntakeError::Damaged { row: record.row };
        let Some(tags) = parse_tags(record.tags) else {
            return Err(damaged);
        };
        let merged = self.merged.entry(item).or_default();
        if merged.rows.is_empty() {
            // The second row of the item: until now the first one alone was the state.
            let text = first.tags.of(texts);
            merged.keep(first.row, text, parse_tags(text).ok_or(damaged)?);
        }
        Ok(merged.take(record.row, record.tags, tags))
    }

    /// Puts a row at the end of its item's rows. None if there is no room.
    fn add(&mut self, item: u32, row: RowNo, tags: Text) -> Option<()> {
        let more = index(self.more.len())?;
        self.more.push(More { row, tags, next: END });
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
        let more = chain(&self.group.tables.more, self.item.first_more, |more| more.next);
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
    /// None if that is too far.
    fn at(place: usize) -> Option<Self> {
        u32::try_from(place).ok().map(Self)
    }

    fn of(self, texts: &[u8]) -> &[u8] {
        read_text(&mut self.rest(texts)).unwrap_or_default()
    }

    /// Where it is the `From_Account` of a row, which may have none.
    fn of_lane(self, texts: &[u8]) -> Option<&[u8]> {
        read_from(&mut self.rest(texts)).unwrap_or_default()
    }

    fn rest(self, texts: &[u8]) -> &[u8] {
        texts.get(self.0 as usize..).unwrap_or_default()
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

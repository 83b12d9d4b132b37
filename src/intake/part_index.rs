//! Finds equal rows in one part, and merges the rows of one friend.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::waiting_row::{SeededHash, TextOffsets, WaitingRow, read_from, read_text};
use super::{IntakeError, parse_fields};
use crate::domain::request::row::{FieldValues, RowNo};

/// The rows of one part, by account group and item. Cleared and reused for each part.
#[derive(Debug)]
pub(super) struct PartIndex {
    /// The rows as they are stored in their blocks.
    texts: Vec<u8>,
    tables: Tables,
}

#[derive(Debug)]
struct Tables {
    groups: Vec<AccountGroup>,
    items: Vec<IndexedItem>,
    more: Vec<ExtraRow>,
    group_table: HashTable<u32>,
    item_table: HashTable<u32>,
    /// Items that several rows share.
    merged: HashMap<u32, MergedRows, RandomState>,
    seed: SeededHash,
}

/// The offset of a text among the rows. Its length is before it.
#[derive(Debug, Clone, Copy)]
struct TextOffset(u32);

/// The end of a chain.
const END: u32 = u32::MAX;

/// The items of one `From_Account`, a chain in row order.
#[derive(Debug, Clone, Copy)]
struct AccountGroup {
    from: TextOffset,
    first: u32,
    last: u32,
}

/// An item: its first row, and the chain of later rows that share it. The items of a group are far apart in memory, so
/// the fields are in one place.
#[derive(Debug, Clone, Copy)]
struct IndexedItem {
    row: RowNo,
    account: TextOffset,
    fields: TextOffset,
    group: u32,
    next: u32,
    first_extra: u32,
    last_extra: u32,
}

/// A later row of an item that is no duplicate.
#[derive(Debug, Clone, Copy)]
struct ExtraRow {
    row: RowNo,
    fields: TextOffset,
    next: u32,
}

/// The result of a lookup.
enum Lookup {
    /// The item exists and has this number.
    Existing(u32),
    /// The row is the first of its item.
    New,
}

/// The merged fields of the rows of one item.
#[derive(Debug, Default)]
struct MergedRows {
    values: FieldValues,
    /// The last row that is no duplicate with these fields.
    rows: HashMap<Box<[u8]>, RowNo, RandomState>,
}

/// An item with its rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupedItem<'a> {
    pub(super) from: Option<&'a [u8]>,
    pub(super) account: &'a [u8],
    part_index: &'a PartIndex,
    item: IndexedItem,
}

impl PartIndex {
    pub(super) fn new() -> Self {
        let tables = Tables {
            groups: Vec::new(),
            items: Vec::new(),
            more: Vec::new(),
            group_table: HashTable::new(),
            item_table: HashTable::new(),
            merged: HashMap::default(),
            // Differs from the seeds of the partitions, which count from 0.
            seed: SeededHash::new(u64::MAX),
        };
        Self { texts: Vec::new(), tables }
    }

    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.tables.clear();
    }

    /// Adds the rows of a block, which follow the row `last`, and returns the last one. `duplicate` receives each row
    /// that changes nothing, and the row that it repeats.
    pub(super) fn rows(
        &mut self,
        block: &[u8],
        mut last: RowNo,
        mut duplicate: impl FnMut(&WaitingRow<'_>, RowNo) -> Result<(), IntakeError>,
    ) -> Result<RowNo, IntakeError> {
        let Self { texts, tables } = self;
        let (start, kept) = (texts.len(), tables.kept());
        texts.extend_from_slice(block);
        let mut rest = &texts[start..];
        while !rest.is_empty() {
            let at = texts.len() - rest.len();
            let (waiting, offsets) = WaitingRow::read(last, &mut rest).ok_or(IntakeError::Damaged { row: last })?;
            last = waiting.row;
            if let Some(of) = tables.row(texts, at, &waiting, offsets)? {
                duplicate(&waiting, of)?;
            }
        }
        // A row that was not kept needs no text: without this, any number of duplicates would fill the memory.
        if tables.kept() == kept {
            texts.truncate(start);
        }
        Ok(last)
    }

    /// The items, grouped by `From_Account` in the order of the first rows.
    pub(super) fn items(&self) -> impl Iterator<Item = GroupedItem<'_>> {
        let Tables { groups, items, .. } = &self.tables;
        groups.iter().flat_map(move |group| {
            let from = group.from.of_from(&self.texts);
            let items = chain(items, group.first, |item| item.next);
            items.map(move |&item| GroupedItem { from, account: item.account.of(&self.texts), part_index: self, item })
        })
    }

    pub(super) fn item_count(&self) -> u64 {
        self.tables.items.len() as u64
    }
}

impl Tables {
    fn clear(&mut self) {
        self.groups.clear();
        self.items.clear();
        self.more.clear();
        self.group_table.clear();
        self.item_table.clear();
        self.merged.clear();
    }

    /// The number of rows that are no duplicates.
    fn kept(&self) -> usize {
        self.items.len() + self.more.len()
    }

    /// Adds the next row, at this offset of the texts. Returns the row that it repeats, if it changes nothing.
    fn row(
        &mut self,
        texts: &[u8],
        at: usize,
        waiting: &WaitingRow<'_>,
        offsets: TextOffsets,
    ) -> Result<Option<RowNo>, IntakeError> {
        let overfull = || IntakeError::Overfull { row: waiting.row };
        let text = |place| TextOffset::at(at + place).ok_or_else(overfull);
        let (account, fields) = (text(offsets.account)?, text(offsets.fields)?);
        let group = self.group(texts, waiting.from, text(offsets.from)?).ok_or_else(overfull)?;
        match self.item(texts, group, waiting, (account, fields)).ok_or_else(overfull)? {
            Lookup::New => Ok(None),
            Lookup::Existing(item) => {
                let equal = self.find_or_merge(texts, item, waiting)?;
                if equal.is_none() {
                    self.add(item, waiting.row, fields).ok_or_else(overfull)?;
                }
                Ok(equal)
            }
        }
    }

    /// Finds or adds the group of this account. None if there are too many.
    fn group(&mut self, texts: &[u8], from: Option<&[u8]>, place: TextOffset) -> Option<u32> {
        let Self { groups, group_table, seed, .. } = self;
        let hash_of = |from: Option<&[u8]>| from.map_or(0, |from| seed.hash(0, from));
        let from_of = |&group: &u32| groups[group as usize].from.of_from(texts);
        let entry = group_table.entry(hash_of(from), |group| from_of(group) == from, |group| hash_of(from_of(group)));
        match entry {
            Entry::Occupied(found) => Some(*found.get()),
            Entry::Vacant(free) => {
                let group = index(groups.len())?;
                let (first, last) = (END, END);
                groups.push(AccountGroup { from: place, first, last });
                free.insert(group);
                Some(group)
            }
        }
    }

    /// Finds or adds the item of this row in its group. None if there are too many.
    fn item(
        &mut self,
        texts: &[u8],
        group: u32,
        waiting: &WaitingRow<'_>,
        (account, fields): (TextOffset, TextOffset),
    ) -> Option<Lookup> {
        let Self { items, item_table, seed, .. } = self;
        let key_of = |&item: &u32| (items[item as usize].group, items[item as usize].account.of(texts));
        let hash_of = |(group, account): (u32, &[u8])| seed.hash(group, account);
        let key = (group, waiting.account);
        let entry = item_table.entry(hash_of(key), |item| key_of(item) == key, |item| hash_of(key_of(item)));
        let free = match entry {
            Entry::Occupied(found) => return Some(Lookup::Existing(*found.get())),
            Entry::Vacant(free) => free,
        };
        let item = index(items.len())?;
        let (row, next, first_extra, last_extra) = (waiting.row, END, END, END);
        items.push(IndexedItem { row, account, fields, group, next, first_extra, last_extra });
        free.insert(item);
        let group = &mut self.groups[group as usize];
        if group.first == END {
            group.first = item;
        } else {
            items[group.last as usize].next = item;
        }
        group.last = item;
        Some(Lookup::New)
    }

    /// The earlier row that this row repeats, if it does not change the merged fields.
    fn find_or_merge(
        &mut self,
        texts: &[u8],
        item: u32,
        waiting: &WaitingRow<'_>,
    ) -> Result<Option<RowNo>, IntakeError> {
        let first = &self.items[item as usize];
        let last = self.more.get(first.last_extra as usize);
        let (row, fields) = last.map_or((first.row, first.fields), |last| (last.row, last.fields));
        if fields.of(texts) == waiting.fields {
            return Ok(Some(row));
        }
        let damaged = IntakeError::Damaged { row: waiting.row };
        let Some(fields) = parse_fields(waiting.fields) else {
            return Err(damaged);
        };
        let merged = self.merged.entry(item).or_default();
        if merged.rows.is_empty() {
            // This is the second row of the item, so the merged fields are those of the first.
            let text = first.fields.of(texts);
            merged.keep(first.row, text, parse_fields(text).ok_or(damaged)?);
        }
        Ok(merged.take(waiting.row, waiting.fields, fields))
    }

    /// Appends a row to the rows of its item. None if there are too many.
    fn add(&mut self, item: u32, row: RowNo, fields: TextOffset) -> Option<()> {
        let more = index(self.more.len())?;
        self.more.push(ExtraRow { row, fields, next: END });
        let item = &mut self.items[item as usize];
        if item.first_extra == END {
            item.first_extra = more;
        } else {
            self.more[item.last_extra as usize].next = more;
        }
        item.last_extra = more;
        Some(())
    }
}

impl<'a> GroupedItem<'a> {
    /// The rows that share the item, in row order.
    pub(super) fn rows(self) -> impl Iterator<Item = RowNo> {
        std::iter::once(self.item.row).chain(self.more().map(|more| more.row))
    }

    /// The fields of these rows.
    pub(super) fn fields(self) -> impl Iterator<Item = &'a [u8]> {
        let fields = std::iter::once(self.item.fields).chain(self.more().map(|more| more.fields));
        fields.map(|fields| fields.of(&self.part_index.texts))
    }

    /// The rows after the first.
    fn more(self) -> impl Iterator<Item = &'a ExtraRow> {
        chain(&self.part_index.tables.more, self.item.first_extra, |more| more.next)
    }
}

impl MergedRows {
    /// Adds a row. If it changes nothing and repeats an earlier row, returns that row instead.
    fn take(&mut self, row: RowNo, text: &[u8], fields: FieldValues) -> Option<RowNo> {
        let changes_nothing = fields.iter().all(|(field, value)| self.values.get(field) == Some(value));
        let equal = self.rows.get(text).filter(|_| changes_nothing);
        if equal.is_some() {
            return equal.copied();
        }
        self.keep(row, text, fields);
        None
    }

    fn keep(&mut self, row: RowNo, text: &[u8], fields: FieldValues) {
        self.values.extend(fields);
        self.rows.insert(text.into(), row);
    }
}

impl TextOffset {
    /// None if the offset is too large.
    fn at(place: usize) -> Option<Self> {
        u32::try_from(place).ok().map(Self)
    }

    fn of(self, texts: &[u8]) -> &[u8] {
        read_text(&mut self.rest(texts)).unwrap_or_default()
    }

    /// The `From_Account` of a row at this offset. A row may have none.
    fn of_from(self, texts: &[u8]) -> Option<&[u8]> {
        read_from(&mut self.rest(texts)).unwrap_or_default()
    }

    fn rest(self, texts: &[u8]) -> &[u8] {
        texts.get(self.0 as usize..).unwrap_or_default()
    }
}

/// The index of the next element, as the chains store it.
fn index(length: usize) -> Option<u32> {
    u32::try_from(length).ok().filter(|&index| index != END)
}

/// The elements of a chain.
fn chain<T>(all: &[T], first: u32, next: impl Fn(&T) -> u32 + Clone) -> impl Iterator<Item = &T> + Clone {
    std::iter::successors(all.get(first as usize), move |element| all.get(next(element) as usize))
}

//! Packs items into requests, in the encoding that the queue stores.

use super::part_index::GroupedItem;
use super::{IntakeError, IntakeOptions, text};
use crate::domain::request::row::RowNo;
use crate::stored_request::{StoredRequest, distance};

/// The request that is being filled. Its buffers are reused for the next one.
#[derive(Debug)]
pub(super) struct Packer {
    /// Whether items carry fields beside their ids.
    has_fields: bool,
    most_items: u32,
    most_bytes: usize,
    from: Option<Vec<u8>>,
    accounts: Vec<u8>,
    rows: Vec<u8>,
    tags: Vec<u8>,
    item_count: u32,
    row_count: u64,
    /// The first row of the last item. The first row of the next item is relative to it.
    before: RowNo,
    /// The last row that was added, for messages.
    last: RowNo,
    /// Rows in all complete requests.
    packed_rows: u64,
}

impl Packer {
    pub(super) fn new(options: &IntakeOptions<'_>) -> Self {
        Self {
            has_fields: !options.shape.fields.is_empty(),
            most_items: options.items_per_request.get(),
            most_bytes: options.body_bytes,
            from: None,
            accounts: Vec::new(),
            rows: Vec::new(),
            tags: Vec::new(),
            item_count: 0,
            row_count: 0,
            before: 0,
            last: 0,
            packed_rows: 0,
        }
    }

    /// Rows in all complete requests.
    pub(super) fn rows(&self) -> u64 {
        self.packed_rows
    }

    /// Adds an item. Returns the previous request if the item does not fit into it.
    pub(super) fn item(&mut self, item: GroupedItem<'_>) -> Result<Option<StoredRequest>, IntakeError> {
        let full = if self.fits(item) { None } else { self.finish()? };
        if self.item_count == 0 {
            self.from = item.from.map(<[u8]>::to_vec);
        }
        self.item_count += 1;
        if !self.accounts.is_empty() {
            self.accounts.push(b'\n');
        }
        self.accounts.extend_from_slice(item.account);
        self.write_rows(item);
        if self.has_fields {
            self.write_tags(item);
        }
        Ok(full)
    }

    /// The request that is being filled, unless it is empty.
    pub(super) fn finish(&mut self) -> Result<Option<StoredRequest>, IntakeError> {
        if self.item_count == 0 {
            return Ok(None);
        }
        let row = self.last;
        let encoded = StoredRequest {
            from: self.from.take().map(String::from_utf8).transpose().map_err(|_| IntakeError::Damaged { row })?,
            accounts: take_text(&mut self.accounts, row)?,
            rows: take_list(&mut self.rows, row)?,
            tags: self.has_fields.then(|| take_list(&mut self.tags, row)).transpose()?,
            item_count: self.item_count,
            row_count: u32::try_from(self.row_count).map_err(|_| IntakeError::Overfull { row })?,
        };
        self.packed_rows += self.row_count;
        self.item_count = 0;
        self.row_count = 0;
        self.before = 0;
        Ok(Some(encoded))
    }

    /// Whether the item fits into the request.
    fn fits(&self, item: GroupedItem<'_>) -> bool {
        if self.item_count == self.most_items || self.from.as_deref() != item.from {
            return false;
        }
        let accounts = self.accounts.len() + 1 + item.account.len();
        let tags = if self.has_fields {
            // A bracket or comma before the element, a bracket after the last.
            self.tags.len() + item.tags().map(|tags| tags.len() + 1).sum::<usize>() + 3
        } else {
            0
        };
        accounts + tags <= self.most_bytes
    }

    fn write_rows(&mut self, item: GroupedItem<'_>) {
        open_element(&mut self.rows);
        if item.is_merged() {
            self.rows.push(b'[');
        }
        let mut start = self.before;
        for (nth, row) in item.rows().enumerate() {
            if nth > 0 {
                self.rows.push(b',');
            }
            serde_json::to_writer(&mut self.rows, &distance(start, row)).expect("memory takes every byte");
            if nth == 0 {
                start = row;
                self.before = row;
            }
            self.row_count += 1;
            self.last = row;
        }
        if item.is_merged() {
            self.rows.push(b']');
        }
    }

    fn write_tags(&mut self, item: GroupedItem<'_>) {
        open_element(&mut self.tags);
        self.tags.push(b'[');
        for (nth, tags) in item.tags().enumerate() {
            if nth > 0 {
                self.tags.push(b',');
            }
            self.tags.extend_from_slice(tags);
        }
        self.tags.push(b']');
    }
}

/// Starts the next element of a JSON list.
fn open_element(list: &mut Vec<u8>) {
    list.push(if list.is_empty() { b'[' } else { b',' });
}

/// Closes the list and takes it out of its buffer.
fn take_list(list: &mut Vec<u8>, row: RowNo) -> Result<String, IntakeError> {
    list.push(b']');
    take_text(list, row)
}

/// Takes the text out of its buffer, in an allocation of its size.
fn take_text(buffer: &mut Vec<u8>, row: RowNo) -> Result<String, IntakeError> {
    let text = text(buffer, row).map(str::to_owned);
    buffer.clear();
    text
}

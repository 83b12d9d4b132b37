//! Packs items into requests, in the encoding that the queue stores.

use super::part_index::GroupedItem;
use super::{IntakeError, IntakeOptions};
use crate::domain::request::row::RowNo;
use crate::stored_request::{RequestWriteError, RequestWriter, StoredRequest};

/// The request that is being filled.
#[derive(Debug)]
pub(super) struct Packer {
    /// Whether items carry fields beside their ids.
    has_fields: bool,
    most_items: u32,
    most_bytes: usize,
    from: Option<Vec<u8>>,
    request: RequestWriter,
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
            request: RequestWriter::default(),
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
        if self.request.item_count() == 0 {
            self.from = item.from.map(<[u8]>::to_vec);
        }
        let mut last = self.last;
        let rows = item.rows().inspect(|row| last = *row);
        self.request.add(item.account, rows, self.has_fields.then(|| item.fields()));
        self.last = last;
        Ok(full)
    }

    /// The request that is being filled, unless it is empty.
    pub(super) fn finish(&mut self) -> Result<Option<StoredRequest>, IntakeError> {
        if self.request.item_count() == 0 {
            return Ok(None);
        }
        let (row, rows) = (self.last, self.request.row_count());
        let written = self.request.take(self.from.take()).map_err(|error| match error {
            RequestWriteError::NotText => IntakeError::Damaged { row },
            RequestWriteError::TooManyRows => IntakeError::Overfull { row },
        });
        self.packed_rows += rows;
        written.map(Some)
    }

    /// Whether the item fits into the request.
    fn fits(&self, item: GroupedItem<'_>) -> bool {
        if self.request.item_count() == self.most_items || self.from.as_deref() != item.from {
            return false;
        }
        let fields = if self.has_fields {
            // A bracket or comma before the element, a bracket after the last.
            item.fields().map(|fields| fields.len() + 1).sum::<usize>() + 3
        } else {
            0
        };
        self.request.bytes() + 1 + item.account.len() + fields <= self.most_bytes
    }
}

//! Batches of rows between the reading thread and the intake thread. Passing single rows would cost more than reading
//! them.

use std::ops::ControlFlow;
use std::sync::mpsc::SyncSender;

use crate::domain::request::row::{RejectedRow, RowRef};

/// Bytes of text per batch, so few that they stay in the processor's cache between the threads.
const BATCH_BYTES: usize = 64 << 10;
/// Rows per batch. Nearly all batches reach their bytes of text first.
const BATCH_ROWS: usize = BATCH_BYTES / 16;

/// Rows of one source, in order.
#[derive(Debug)]
pub(super) struct RowBatch {
    pub(super) source: u32,
    text: Vec<u8>,
    rows: Vec<BatchRow>,
}

/// A row of a batch. It is small because it is copied between processors.
#[derive(Debug)]
enum BatchRow {
    /// A checked row. Its ids and fields follow each other in the text of the batch; these are their lengths.
    Good {
        line: u64,
        from: Option<u8>,
        account: u8,
        fields: u32,
    },
    Rejected(Box<RejectedRow>),
}

const _: () = assert!(size_of::<BatchRow>() == 16);

impl RowBatch {
    fn new(source: u32) -> Self {
        Self { source, text: Vec::with_capacity(BATCH_BYTES), rows: Vec::with_capacity(BATCH_ROWS) }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn push(&mut self, row: Result<RowRef<'_>, RejectedRow>) {
        self.rows.push(match row {
            Ok(RowRef { line, from, account, fields }) => {
                self.text.extend_from_slice(from.unwrap_or_default());
                self.text.extend_from_slice(account);
                self.text.extend_from_slice(fields);
                BatchRow::Good { line, from: from.map(length), account: length(account), fields: length(fields) }
            }
            Err(rejected) => BatchRow::Rejected(Box::new(rejected)),
        });
    }

    /// Passes each row to `take`, until it returns an error.
    pub(super) fn each<E>(
        self,
        mut take: impl FnMut(Result<RowRef<'_>, RejectedRow>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = self.text.as_slice();
        for row in self.rows {
            take(match row {
                BatchRow::Good { line, from, account, fields } => Ok(RowRef {
                    line,
                    from: from.map(|length| split(&mut rest, length.into())),
                    account: split(&mut rest, account.into()),
                    fields: split(&mut rest, fields as usize),
                }),
                BatchRow::Rejected(rejected) => Err(*rejected),
            })?;
        }
        Ok(())
    }
}

/// # Panics
/// If the reader accepted a longer text than a row may have.
fn length<T: TryFrom<usize, Error: std::fmt::Debug>>(text: &[u8]) -> T {
    T::try_from(text.len()).expect("the reader checked it")
}

fn split<'t>(rest: &mut &'t [u8], length: usize) -> &'t [u8] {
    let (text, behind) = rest.split_at(length);
    *rest = behind;
    text
}

/// Collects the rows of one source and sends them in batches.
pub(super) struct Batches<'s> {
    to: &'s SyncSender<RowBatch>,
    filling: RowBatch,
}

impl<'s> Batches<'s> {
    pub(super) fn new(source: u32, to: &'s SyncSender<RowBatch>) -> Self {
        Self { to, filling: RowBatch::new(source) }
    }

    /// Adds a row. Breaks if the receiver is closed.
    pub(super) fn push(&mut self, row: Result<RowRef<'_>, RejectedRow>) -> ControlFlow<()> {
        self.filling.push(row);
        if self.filling.text.len() < BATCH_BYTES && self.filling.len() < BATCH_ROWS {
            return ControlFlow::Continue(());
        }
        self.flush()
    }

    /// Sends the rows that were collected.
    pub(super) fn flush(&mut self) -> ControlFlow<()> {
        let empty = RowBatch::new(self.filling.source);
        let full = std::mem::replace(&mut self.filling, empty);
        self.to.send(full).map_or(ControlFlow::Break(()), ControlFlow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::request::row::FieldValues;

    type Row = (u64, Option<String>, String, String, bool);

    #[expect(clippy::result_large_err, reason = "as the readers hand rows over")]
    fn send(row: &Row) -> Result<RowRef<'_>, RejectedRow> {
        let (line, from, account, fields, rejected) = row;
        if *rejected {
            let (reason, fields) = (fields.clone(), FieldValues::new());
            return Err(RejectedRow { line: *line, column: None, reason, from: from.clone(), account: None, fields });
        }
        Ok(RowRef {
            line: *line,
            from: from.as_deref().map(str::as_bytes),
            account: account.as_bytes(),
            fields: fields.as_bytes(),
        })
    }

    proptest! {
        #[test]
        fn rows_are_received_unchanged_and_in_order(
            rows in prop::collection::vec(
                (any::<u64>(), prop::option::of("\\PC{0,40}"), "\\PC{0,40}", any::<String>(), any::<bool>()),
                0..40,
            ),
        ) {
            let (to, batches) = sync_channel(rows.len() + 1);
            let mut gathering = Batches::new(7, &to);
            for (nth, row) in rows.iter().enumerate() {
                prop_assert!(gathering.push(send(row)).is_continue());
                if nth % 5 == 0 {
                    prop_assert!(gathering.flush().is_continue());
                }
            }
            prop_assert!(gathering.flush().is_continue());
            drop(to);
            let mut expected = rows.iter();
            for batch in batches {
                prop_assert_eq!(batch.source, 7);
                batch.each(|row| {
                    prop_assert_eq!(row, send(expected.next().expect("no more than went in")));
                    Ok(())
                })?;
            }
            prop_assert!(expected.next().is_none());
        }
    }

    #[test]
    fn adding_rows_breaks_once_the_receiver_is_closed() {
        let (to, batches) = sync_channel(1);
        drop(batches);
        let mut gathering = Batches::new(0, &to);
        let long = "x".repeat(BATCH_BYTES);
        assert!(gathering.push(Ok(RowRef { line: 1, from: None, account: b"a", fields: long.as_bytes() })).is_break());
    }
}

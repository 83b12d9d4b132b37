//! Rows on their way from the thread that reads and checks to the one that numbers and parts: in batches, since handing over
//! single ones would cost more than reading them.

use std::ops::ControlFlow;
use std::sync::mpsc::SyncSender;

use crate::domain::row::{BadRow, RowRef};

/// Text of a batch: it stays in the processor's cache from one thread to the other.
const BATCH_BYTES: usize = 64 << 10;

/// Rows of one source, in order.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) source: u32,
    text: String,
    rows: Vec<Entry>,
}

#[derive(Debug)]
enum Entry {
    /// Lengths of what stands in the text, one after the other.
    Good {
        line: u64,
        from: Option<usize>,
        account: usize,
        tags: usize,
    },
    Bad(Box<BadRow>),
}

impl Batch {
    fn new(source: u32) -> Self {
        Self { source, text: String::with_capacity(BATCH_BYTES), rows: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn push(&mut self, row: Result<RowRef<'_>, BadRow>) {
        self.rows.push(match row {
            Ok(RowRef { line, from, account, tags }) => {
                self.text.extend(from);
                self.text.extend([account, tags]);
                Entry::Good { line, from: from.map(str::len), account: account.len(), tags: tags.len() }
            }
            Err(bad) => Entry::Bad(Box::new(bad)),
        });
    }

    /// Hands the rows out again, until one is refused.
    pub(super) fn each<E>(self, mut take: impl FnMut(Result<RowRef<'_>, BadRow>) -> Result<(), E>) -> Result<(), E> {
        let mut rest = self.text.as_str();
        for entry in self.rows {
            take(match entry {
                Entry::Good { line, from, account, tags } => Ok(RowRef {
                    line,
                    from: from.map(|length| split(&mut rest, length)),
                    account: split(&mut rest, account),
                    tags: split(&mut rest, tags),
                }),
                Entry::Bad(bad) => Err(*bad),
            })?;
        }
        Ok(())
    }
}

fn split<'t>(rest: &mut &'t str, length: usize) -> &'t str {
    let (text, behind) = rest.split_at(length);
    *rest = behind;
    text
}

/// Gathers the rows of one source and sends them on.
pub(super) struct Batches<'s> {
    to: &'s SyncSender<Batch>,
    filling: Batch,
}

impl<'s> Batches<'s> {
    pub(super) fn new(source: u32, to: &'s SyncSender<Batch>) -> Self {
        Self { to, filling: Batch::new(source) }
    }

    /// Takes a row; breaks off if nobody takes batches any more.
    pub(super) fn push(&mut self, row: Result<RowRef<'_>, BadRow>) -> ControlFlow<()> {
        self.filling.push(row);
        if self.filling.text.len() < BATCH_BYTES && self.filling.len() < BATCH_BYTES / 16 {
            return ControlFlow::Continue(());
        }
        self.flush()
    }

    /// Sends what was gathered.
    pub(super) fn flush(&mut self) -> ControlFlow<()> {
        let empty = Batch::new(self.filling.source);
        let full = std::mem::replace(&mut self.filling, empty);
        self.to.send(full).map_or(ControlFlow::Break(()), ControlFlow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::row::Tags;

    type Row = (u64, Option<String>, String, String, bool);

    #[expect(clippy::result_large_err, reason = "as the readers hand rows over")]
    fn send(row: &Row) -> Result<RowRef<'_>, BadRow> {
        let (line, from, account, tags, bad) = row;
        if *bad {
            let (reason, tags) = (tags.clone(), Tags::new());
            return Err(BadRow { line: *line, column: None, reason, from: from.clone(), account: None, tags });
        }
        Ok(RowRef { line: *line, from: from.as_deref(), account, tags })
    }

    proptest! {
        #[test]
        fn rows_come_out_as_they_went_in_and_in_order(
            rows in prop::collection::vec((any::<u64>(), any::<Option<String>>(), any::<String>(), any::<String>(), any::<bool>()), 0..40),
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
    fn it_breaks_off_when_nobody_takes_batches_any_more() {
        let (to, batches) = sync_channel(1);
        drop(batches);
        let mut gathering = Batches::new(0, &to);
        let long = "x".repeat(BATCH_BYTES);
        assert!(gathering.push(Ok(RowRef { line: 1, from: None, account: &long, tags: "" })).is_break());
    }
}

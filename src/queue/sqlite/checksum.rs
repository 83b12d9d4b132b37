//! Checksums of the table rows: SQLite has none for its pages, and a damaged byte would be read as if it had been
//! written.
//!
//! Each is a CRC-32: it detects every change within 32 consecutive bits, and all but one in four billion other changes.
//! Every column is hashed with its length, so that no two table rows give the same bytes. Table `request` has a sum
//! that SQL can calculate, since SQL changes many of its rows at once.

use flate2::Crc;

use crate::domain::ids::{RequestId, RunId};
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::row::RowNo;
use crate::stored_request::StoredRequest;

/// A row of `run`. The columns are grouped by their types, each group in the sequence of the table. `forgotten`: when
/// the rows of the run were removed, and the digest of its results. `added`: what it has taken over, and its call
/// settings. Nothing is added for a run without them.
pub(in crate::queue) fn run(
    id: RunId,
    texts: [&str; 13],
    optional_texts: [Option<&str>; 4],
    numbers: [i64; 3],
    optional_numbers: [Option<i64>; 2],
    (forgotten, added): (Option<(i64, &str)>, [Option<&str>; 2]),
) -> i64 {
    let sum = run_columns(id, texts, optional_texts, numbers, optional_numbers);
    let sum = forgotten.into_iter().fold(sum, |sum, (at, digest)| sum.number(at).text(digest));
    added.into_iter().flatten().fold(sum, Checksum::text).finish()
}

/// A row of `run` of an earlier version, which had fewer columns.
pub(in crate::queue) fn earlier_run<'a>(
    id: RunId,
    texts: impl IntoIterator<Item = &'a str>,
    optional_texts: impl IntoIterator<Item = Option<&'a str>>,
    numbers: [i64; 3],
    optional_numbers: [Option<i64>; 2],
) -> i64 {
    run_columns(id, texts, optional_texts, numbers, optional_numbers).finish()
}

fn run_columns<'a>(
    id: RunId,
    texts: impl IntoIterator<Item = &'a str>,
    optional_texts: impl IntoIterator<Item = Option<&'a str>>,
    numbers: [i64; 3],
    optional_numbers: [Option<i64>; 2],
) -> Checksum {
    let sum = texts.into_iter().fold(Checksum::new().number(id.get()), Checksum::text);
    let sum = optional_texts.into_iter().fold(sum, Checksum::optional_text);
    let sum = numbers.into_iter().fold(sum, Checksum::number);
    optional_numbers.into_iter().fold(sum, Checksum::optional_number)
}

/// A row of `shown_plan`.
pub(in crate::queue) fn shown_plan(job: &str, target: &str, parts: &str, shown_at: i64) -> i64 {
    Checksum::new().text(job).text(target).text(parts).number(shown_at).finish()
}

/// A row of `control`. `texts`: instruction, command, who, effect.
pub(in crate::queue) fn control(run: RunId, texts: [&str; 4], applied_at: i64) -> i64 {
    texts.into_iter().fold(Checksum::new().number(run.get()), Checksum::text).number(applied_at).finish()
}

/// A row of `session`.
pub(in crate::queue) fn session(run: RunId, began_at: i64, start: &str, calls: Option<&str>) -> i64 {
    Checksum::new().number(run.get()).number(began_at).text(start).optional_text(calls).finish()
}

/// A row of `backup`. `texts`: file, blake3. `numbers`: first_byte, bytes, lines.
pub(in crate::queue) fn backup(run: RunId, texts: [&str; 2], numbers: [i64; 3]) -> i64 {
    let sum = texts.into_iter().fold(Checksum::new().number(run.get()), Checksum::text);
    numbers.into_iter().fold(sum, Checksum::number).finish()
}

/// A row of `source`. `rows`: the number of rows, and of blank rows. A file without `carried_from` has the
/// checksum that it had before rows were carried over.
pub(in crate::queue) fn source(
    (run, number): (RunId, i64),
    name: &str,
    rows: (i64, i64),
    notes: &str,
    carried_from: Option<&str>,
) -> i64 {
    let sum = Checksum::new().number(run.get()).number(number).text(name);
    let sum = sum.number(rows.0).number(rows.1).text(notes);
    carried_from.into_iter().fold(sum, Checksum::text).finish()
}

/// A row of `carried`.
pub(in crate::queue) fn carried(place: (RunId, RowNo), source: (RunId, RowNo), nights: u32) -> i64 {
    let sum = Checksum::new().number(place.0.get()).row(place.1);
    sum.number(source.0.get()).row(source.1).number(nights.into()).finish()
}

/// A row of `source` of an earlier version, which stored only the name.
pub(in crate::queue) fn earlier_source(run: RunId, number: i64, name: &str) -> i64 {
    Checksum::new().number(run.get()).number(number).text(name).finish()
}

/// A row of `line_span`.
pub(in crate::queue) fn line_span(run: RunId, span: &LineSpan) -> i64 {
    let sum = Checksum::new().number(run.get()).row(span.first_row).number(span.source.into());
    sum.number(span.first_line.cast_signed()).number(span.step.cast_signed()).finish()
}

/// A row of `request` that was never sent: the formula of the column `checksum_ok` in the migration, with the other
/// columns as a load leaves them. After that the table itself updates the checksum with every change.
pub(in crate::queue) const fn new_request(id: RequestId, run: RunId, item_count: u32, row_count: u32) -> i64 {
    /// The largest prime of two bytes.
    const MODULUS: i64 = 65_521;
    let (id, run) = (id.get() % MODULUS, run.get() % MODULUS);
    let loaded = id * 3 + run * 7_877 + item_count as i64 * 15_013 + row_count as i64 * 22_501;
    (loaded + 23 * 52_501 + 29 * 59_999) % MODULUS
}

/// The row of `payload` that belongs to a request.
pub(in crate::queue) fn payload(
    id: RequestId,
    run: RunId,
    encoded: &StoredRequest,
    (history, purpose): (Option<&str>, Option<&str>),
) -> i64 {
    let StoredRequest { from, accounts, rows, fields, item_count, row_count } = encoded;
    let lists = [from.as_deref(), Some(accounts), Some(rows), fields.as_deref(), history];
    payload_of_lists(id, run, (*item_count, *row_count), lists, purpose)
}

/// The same of its columns. `counts`: the items and the rows of the request, which change only together with the lists.
/// `lists`: from_account, accounts, rows, fields, history; earlier versions had no history. A payload without a purpose
/// has the checksum that it had before there were purposes.
pub(in crate::queue) fn payload_of_lists<const N: usize>(
    id: RequestId,
    run: RunId,
    counts: (u32, u32),
    lists: [Option<&str>; N],
    purpose: Option<&str>,
) -> i64 {
    let sum = Checksum::new().number(id.get()).number(run.get()).number(counts.0.into()).number(counts.1.into());
    let sum = lists.into_iter().fold(sum, Checksum::optional_text);
    purpose.into_iter().fold(sum, Checksum::text).finish()
}

/// A row of `outcome`.
pub(in crate::queue) fn outcome(run: RunId, row: RowNo, outcome: &str, code: Option<i64>, reason: &str) -> i64 {
    Checksum::new().number(run.get()).row(row).text(outcome).optional_number(code).text(reason).finish()
}

/// A row of `verified`.
pub(in crate::queue) fn verified(run: RunId, row: RowNo, verified: &str, reason: &str, at: i64) -> i64 {
    Checksum::new().number(run.get()).row(row).text(verified).text(reason).number(at).finish()
}

/// A row of `verification`.
pub(in crate::queue) fn verification(run: RunId, of_run: RunId, selection: &str) -> i64 {
    Checksum::new().number(run.get()).number(of_run.get()).text(selection).finish()
}

/// A row of `approval`. `texts`: request, requester, approver.
pub(in crate::queue) fn approval(run: RunId, texts: [&str; 3]) -> i64 {
    texts.into_iter().fold(Checksum::new().number(run.get()), Checksum::text).finish()
}

/// A row of `time_series`.
pub(in crate::queue) fn time_series(run: RunId, series: &str) -> i64 {
    Checksum::new().number(run.get()).text(series).finish()
}

/// A row of `certificate_secret`.
pub(in crate::queue) fn certificate_secret(run: RunId, secret: &[u8]) -> i64 {
    Checksum::new().number(run.get()).bytes(secret).finish()
}

/// A row of `certificate`. `texts`: head, root.
pub(in crate::queue) fn certificate(run: RunId, number: i64, texts: [&str; 2]) -> i64 {
    texts.into_iter().fold(Checksum::new().number(run.get()).number(number), Checksum::text).finish()
}

/// A row of `skipped`. `texts`: column_name, reason, from_account, account, fields.
pub(in crate::queue) fn skipped(
    run: RunId,
    row: RowNo,
    outcome: &str,
    duplicate_of: Option<RowNo>,
    texts: [Option<&str>; 5],
) -> i64 {
    let sum = Checksum::new().number(run.get()).row(row).text(outcome);
    let sum = sum.optional_number(duplicate_of.map(RowNo::cast_signed));
    texts.into_iter().fold(sum, Checksum::optional_text).finish()
}

/// A CRC-32. Short columns are hashed together, because each call of the library has a cost of its own.
struct Checksum {
    crc: Crc,
    /// Bytes that are not hashed yet, at most [`Checksum::BLOCK`].
    waiting: Vec<u8>,
}

impl Checksum {
    const BLOCK: usize = 512;

    fn new() -> Self {
        Self { crc: Crc::new(), waiting: Vec::with_capacity(Self::BLOCK) }
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        if self.waiting.len() + bytes.len() > Self::BLOCK {
            self.crc.update(&self.waiting);
            self.waiting.clear();
        }
        if bytes.len() > Self::BLOCK {
            self.crc.update(bytes);
        } else {
            self.waiting.extend_from_slice(bytes);
        }
        self
    }

    fn number(self, number: i64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    fn row(self, row: RowNo) -> Self {
        self.number(row.cast_signed())
    }

    fn text(self, text: &str) -> Self {
        // No text is as long as the largest i64.
        self.number(i64::try_from(text.len()).unwrap_or(i64::MAX)).bytes(text.as_bytes())
    }

    /// No number differs from 0.
    fn optional_number(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.number(1).number(number),
            None => self.number(0),
        }
    }

    /// No text differs from an empty one.
    fn optional_text(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.number(1).text(text),
            None => self.number(0),
        }
    }

    /// The checksum as it is stored: signed, since SQLite needs six bytes for half of all unsigned ones.
    fn finish(mut self) -> i64 {
        self.crc.update(&self.waiting);
        self.crc.sum().cast_signed().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_the_crc_of_all_bytes_in_their_sequence() {
        let lengths = [0, 1, 300, 496, 497, 511, 512, 513, 5000];
        for (first, second) in lengths.iter().flat_map(|first| lengths.map(|second| (*first, second))) {
            let (first, second) = ("a".repeat(first), "b".repeat(second));
            let mut all = Crc::new();
            for text in [&first, &second] {
                all.update(&(text.len() as u64).to_le_bytes());
                all.update(text.as_bytes());
            }
            let sum = Checksum::new().text(&first).text(&second).finish();
            assert_eq!(sum, i64::from(all.sum().cast_signed()), "{} and {} bytes", first.len(), second.len());
        }
    }
}

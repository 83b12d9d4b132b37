//! The rows of requests by range: in memory while they are few, else in an unlinked file.
//!
//! All ranges share one file, because a large run has more ranges than a process may open files.

use crate::domain::ids::RequestId;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::ExportError;
use crate::domain::request::row::RowNo;
use crate::domain::response::outcome::Outcome;

/// Bytes that all ranges together buffer before they write.
const BUFFERED_BYTES: usize = 32 << 20;
/// A smaller write would cost more than it saves.
const SMALLEST_CHUNK: usize = 16 << 10;

/// One row of a request, with what the request knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SentRow<'a> {
    /// The row.
    pub(super) row: RowNo,
    /// The From_Account; empty for operations without one.
    pub(super) from: &'a str,
    /// The item's account.
    pub(super) account: &'a str,
    /// The row's fields as a JSON object; empty for operations without fields.
    pub(super) fields: &'a str,
    /// The codes that the request met before it succeeded, as a text; empty if there are none.
    pub(super) earlier: &'a str,
    /// Calls begun.
    pub(super) attempts: u32,
    /// Succeeded or pending.
    pub(super) outcome: Outcome,
    /// Milliseconds since 1970.
    pub(super) finished_at: Option<i64>,
}

/// The rows of all ranges.
pub(super) struct Spill {
    folder: PathBuf,
    /// Rows of all ranges.
    rows: u64,
    /// Rows of a range.
    range: u64,
    /// Bytes that a range buffers before it writes.
    max_tail: usize,
    ranges: Vec<SpillRange>,
    file: Option<File>,
    /// Bytes in the file.
    end: u64,
}

#[derive(Default)]
struct SpillRange {
    /// Offset and length of its chunks in the file.
    chunks: Vec<(u64, usize)>,
    /// Encoded rows that are not in the file yet.
    tail: Vec<u8>,
}

impl Spill {
    /// A spill for `rows` rows in ranges of `range` rows.
    pub(super) fn new(folder: &Path, rows: u64, range: u64) -> Self {
        let count = usize::try_from(rows.div_ceil(range)).unwrap_or(usize::MAX);
        Self {
            folder: folder.to_owned(),
            rows,
            range,
            max_tail: (BUFFERED_BYTES / count.max(1)).max(SMALLEST_CHUNK),
            ranges: std::iter::repeat_with(SpillRange::default).take(count).collect(),
            file: None,
            end: 0,
        }
    }

    /// Adds a row of a request.
    pub(super) fn add(&mut self, request: RequestId, sent_row: SentRow<'_>) -> Result<(), ExportError> {
        let index = usize::try_from(sent_row.row / self.range).unwrap_or(usize::MAX);
        let stray = ExportError::Stray { request, row: sent_row.row, rows: self.rows };
        let range = match self.ranges.get_mut(index) {
            Some(range) if sent_row.row < self.rows => range,
            Some(_) | None => return Err(stray),
        };
        sent_row.encode(&mut range.tail);
        if range.tail.len() < self.max_tail {
            return Ok(());
        }
        self.flush(index).map_err(self.fail())
    }

    /// Takes all rows of the range that begins with row `first`, encoded and unordered.
    pub(super) fn read(&mut self, first: RowNo) -> Result<Vec<u8>, ExportError> {
        let index = usize::try_from(first / self.range).unwrap_or(usize::MAX);
        let Some(range) = self.ranges.get_mut(index).map(std::mem::take) else {
            return Ok(Vec::new());
        };
        let Some(file) = &self.file else {
            return Ok(range.tail);
        };
        let length = range.tail.len() + range.chunks.iter().map(|(_, length)| length).sum::<usize>();
        let mut bytes = Vec::with_capacity(length);
        for (start, length) in range.chunks {
            let filled = bytes.len();
            bytes.resize(filled + length, 0);
            file.read_exact_at(&mut bytes[filled..], start).map_err(self.fail())?;
        }
        bytes.extend_from_slice(&range.tail);
        Ok(bytes)
    }

    fn flush(&mut self, index: usize) -> Result<(), std::io::Error> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.folder)?),
        };
        let range = &mut self.ranges[index];
        file.write_all(&range.tail)?;
        range.chunks.push((self.end, range.tail.len()));
        self.end += range.tail.len() as u64;
        range.tail.clear();
        Ok(())
    }

    fn fail(&self) -> impl Fn(std::io::Error) -> ExportError + use<> {
        let folder = self.folder.clone();
        move |source| ExportError::Temporary { folder: folder.clone(), source }
    }
}

/// Bytes before the texts of an encoded row: row, attempts, outcome, time, and the lengths of four texts.
const HEAD: usize = 8 + 4 + 1 + 8 + 4 * 4;

impl<'a> SentRow<'a> {
    /// Encodes that the row is not finished.
    const NEVER: i64 = i64::MIN;

    fn encode(&self, into: &mut Vec<u8>) {
        let texts = [self.from, self.account, self.fields, self.earlier];
        into.reserve(HEAD + texts.iter().map(|text| text.len()).sum::<usize>());
        into.extend_from_slice(&self.row.to_le_bytes());
        into.extend_from_slice(&self.attempts.to_le_bytes());
        into.push(self.outcome as u8);
        into.extend_from_slice(&self.finished_at.unwrap_or(Self::NEVER).to_le_bytes());
        for text in texts {
            into.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        texts.iter().for_each(|text| into.extend_from_slice(text.as_bytes()));
    }

    /// Decodes the first row of `bytes` and removes it from them; none if they do not begin with one.
    pub(super) fn decode(bytes: &mut &'a [u8]) -> Option<Self> {
        let row = u64::from_le_bytes(take(bytes)?);
        let attempts = u32::from_le_bytes(take(bytes)?);
        let [outcome] = take(bytes)?;
        let finished_at = i64::from_le_bytes(take(bytes)?);
        let mut length = || usize::try_from(u32::from_le_bytes(take(bytes)?)).ok();
        let [from, account, fields, earlier] = [length()?, length()?, length()?, length()?];
        // UTF-8 is checked once for all four texts: most are short, and a check costs more than its bytes.
        let all = from.checked_add(account)?.checked_add(fields)?.checked_add(earlier)?;
        let (texts, rest) = bytes.split_at_checked(all)?;
        *bytes = rest;
        let (from, texts) = std::str::from_utf8(texts).ok()?.split_at_checked(from)?;
        let (account, texts) = texts.split_at_checked(account)?;
        let (fields, earlier) = texts.split_at_checked(fields)?;
        Some(Self {
            row,
            from,
            account,
            fields,
            earlier,
            attempts,
            outcome: Outcome::ALL.into_iter().find(|known| *known as u8 == outcome)?,
            finished_at: (finished_at != Self::NEVER).then_some(finished_at),
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

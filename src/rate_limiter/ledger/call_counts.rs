//! The calls of the last 32 hours, counted in the ledger for each quarter of an hour.
//!
//! A call is counted before it is sent, under the lock that also protects its slots. A process that is killed in
//! between has counted a call that was not sent; no call is sent that was not counted.

use std::path::Path;

use jiff::{Timestamp, Zoned};
use rustix::fs::OFlags;

use super::file::open;
use super::layout::{COUNT, COUNTED_QUARTERS, COUNTS, COUNTS_NEEDED_UNTIL, MOMENT};
use super::{Duration, Ledger, LedgerError, io_error};
use crate::domain::rate_limit::calls_per_day::{CallsPerDay, DayBudget, DayUsedUp, QuarterCount, quarter_of, seconds};

impl Ledger {
    /// Counts a call that leaves now, unless the calls of a day are used up. Under the lock.
    pub(super) fn count_call(&self, days: &mut [DayBudget], now: &Zoned) -> Result<Option<DayUsedUp>, LedgerError> {
        let quarter = quarter_of(now.timestamp());
        if !days.is_empty() {
            let counts = self.counts()?;
            if let Some(used_up) = days.iter_mut().find_map(|day| day.used_up(&counts, now)) {
                return Ok(Some(used_up));
            }
            self.keep_counts(days)?;
        }
        let place = COUNTS + quarter % COUNTED_QUARTERS as u64 * COUNT as u64;
        let mut bytes = [0; COUNT];
        self.read(place, &mut bytes)?;
        let counted = count_from(&bytes);
        // A count of another quarter is at least 32 hours older, or the clock was set back.
        let calls = if counted.quarter == quarter { counted.calls.saturating_add(1) } else { 1 };
        self.write(place, &count_to_bytes(QuarterCount { quarter, calls }))?;
        Ok(None)
    }

    /// Notes that the file is needed until the end of the day, even if no process uses it.
    fn keep_counts(&self, days: &[DayBudget]) -> Result<(), LedgerError> {
        let until = days.iter().map(DayBudget::needs_counts_until).max().unwrap_or_default();
        if self.counts_needed_until()? < until {
            self.write(COUNTS_NEEDED_UNTIL, &until.to_le_bytes())?;
        }
        Ok(())
    }

    /// Whether a limit of the current day needs the counts.
    pub(super) fn needs_counts(&self, now: Timestamp) -> Result<bool, LedgerError> {
        Ok(seconds(now) < self.counts_needed_until()?)
    }

    fn counts_needed_until(&self) -> Result<u64, LedgerError> {
        let mut bytes = [0; MOMENT];
        self.read(COUNTS_NEEDED_UNTIL, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn counts(&self) -> Result<Vec<QuarterCount>, LedgerError> {
        let mut bytes = vec![0; COUNT * COUNTED_QUARTERS];
        self.read(COUNTS, &mut bytes)?;
        let (counts, _) = bytes.as_chunks();
        Ok(counts.iter().map(count_from).collect())
    }
}

fn count_from(bytes: &[u8; COUNT]) -> QuarterCount {
    let (numbers, _) = bytes.as_chunks();
    let [quarter, calls] = [0, 1].map(|n| u64::from_le_bytes(numbers[n]));
    QuarterCount { quarter, calls }
}

fn count_to_bytes(count: QuarterCount) -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    bytes[..MOMENT].copy_from_slice(&count.quarter.to_le_bytes());
    bytes[MOMENT..].copy_from_slice(&count.calls.to_le_bytes());
    bytes
}

/// The calls of the current day in a ledger, which need not exist.
///
/// # Errors
/// The file cannot be read, or it is not a ledger.
pub fn calls_today(path: &Path, limit: &CallsPerDay, now: &Zoned) -> Result<u64, LedgerError> {
    let file = match open(path, OFlags::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(0),
        Err(error) => return Err(io_error(path, "open", error.into())),
    };
    let ledger = Ledger { file, path: path.to_owned(), call_timeout: Duration::ZERO };
    ledger.refuse_other_files()?;
    let counts = ledger.counts()?;
    Ok(limit.day(now).map_or(0, |day| day.calls(&counts)))
}

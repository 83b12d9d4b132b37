//! The ledger: the slots of one app in a small file that all processes of the machine share.
//!
//! [`layout`] describes the bytes of the file.
//!
//! A slot is three moments: from when it is free, and when it was taken the last time and the time before. The first
//! one has all bits set until the answer to the call is read. Moments are nanoseconds of CLOCK_MONOTONIC, little
//! endian. That clock is the same for all processes, no program sets it, and the time-outs of calls use it as well:
//! both stop while the machine sleeps. CLOCK_BOOTTIME would free slots whose calls have not left yet. The clock
//! restarts at boot, so moments too far in the future are corrected. The file is sparse; with a cap of 200 it takes
//! some KiB.
//!
//! The header of a section is what its processes share: the moment of the last cut, its limit × 256 + its confidence,
//! and the moment at which the last call was due.
//!
//! Each process uses the first `cap` slots of a section, so different caps never add up to more than the largest. The
//! slots of a killed process stay taken until a call is answered that was sent after the end of all its calls
//! ([`slots`](crate::domain::rate_limit::slots)).
//!
//! The ledger is the open file, not its name. If its path refers to another file, or to none, all processes that have
//! it open stop.
//!
//! No process waits for the lock, because any process that can open the file can hold its lock indefinitely.

mod call_counts;
mod error;
mod file;
mod layout;

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Zoned;
use rustix::fs::OFlags;

pub use self::call_counts::calls_today;
pub use self::error::LedgerError;
use self::error::io_error;
use self::file::open;
pub(super) use self::file::open_or_create;
use self::layout::{
    HEADER, HEADERS, MAGIC, MOMENT, NAME, SECTION, SECTIONS, SLOT, SLOTS, bytes, from_bytes, numbers, to_bytes,
};
use crate::clock;
use crate::domain::rate_limit::calls_per_day::{DayBudget, DayUsedUp};
use crate::domain::rate_limit::shared_pace;
use crate::domain::rate_limit::slots::{
    Slot, SlotRules, SlotScan, UNANSWERED, WINDOW, all_free_from, held_until, scan_slots,
};
use crate::domain::rate_limit::throttle::{RateCut, Throttle};
use crate::domain::rate_limit::{Cap, Moment};
use crate::fail_point::{self, FailPoint};

/// The bits of a cut's confidence, below those of its limit.
const CONFIDENCE_BITS: u32 = 8;
/// All slots are scanned if none is known to be free, and after this time, because other processes send calls as well.
const SCAN_EVERY: Duration = Duration::from_millis(10);
/// imbulk holds the lock for microseconds. It is requested this often, and other processes may run in between.
const LOCK_RETRIES: u32 = 500;

/// The open file.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    call_timeout: Duration,
}

/// The slots of the app or of one command, and which of them were free at the last scan.
#[derive(Debug)]
pub(super) struct LedgerSection {
    /// Not known before the first take.
    number: Option<u32>,
    name: [u8; NAME],
    /// The number of slots that this process knows: those with the lowest numbers.
    cap: u32,
    /// The number of slots in use.
    slots: u32,
    /// Whether some slots are reserved for probes.
    probes: bool,
    /// The time between two calls.
    interval: Duration,
    /// The maximum delay of a call that the next calls make up for.
    slack: Duration,
    free: Vec<u32>,
    /// What the last scan found, and what this process did since then.
    known: KnownCalls,
    /// The header as it was last read.
    header: SectionHeader,
}

/// What is known of the calls of a section.
#[derive(Debug, Clone, Copy, Default)]
struct KnownCalls {
    /// The moment of the last scan.
    scanned_at: Option<Moment>,
    /// The moment at which the first slot is free, as far as was known then.
    next: Option<Moment>,
    unanswered: u32,
    last: Option<Moment>,
    last_answered: Option<Moment>,
    unanswered_since: Option<Moment>,
}

/// What the processes share: the two halves of a cut, and when the last call was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SectionHeader {
    cut: [u64; 2],
    last: Moment,
}

/// A slot that may be taken.
#[derive(Debug, Clone, Copy)]
struct FreeSlot {
    /// Its offset in the file.
    place: u64,
    /// The moment at which it was last taken.
    taken: Moment,
}

/// One slot of the app and one of a command, taken together.
#[derive(Debug)]
pub(super) struct TakenSlots {
    /// Their offsets in the file.
    slots: [u64; 2],
    /// The moment at which they were taken.
    pub(super) at: Moment,
}

/// Why no slots were taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSlots {
    /// When to try again, as far as is known: slots of other processes may be free sooner.
    Until(Moment),
    /// No call may be sent before the next day.
    DayUsedUp(DayUsedUp),
}

impl Ledger {
    /// Opens the ledger, which is made if it is not there, for everyone to write: users of one machine share the
    /// limit of an app. In a folder that others can write to, too, nothing is trusted: no links are followed, and
    /// a file that is not a ledger is never written to.
    pub(super) fn open(path: &Path, call_timeout: Duration) -> Result<Self, LedgerError> {
        let file = open_or_create(path).map_err(|source| io_error(path, "open", source))?;
        let ledger = Self { file, path: path.to_owned(), call_timeout };
        ledger.refuse_other_files()?;
        ledger.initialize()?;
        Ok(ledger)
    }

    /// The app's own section.
    pub(super) fn app(cap: Cap) -> LedgerSection {
        LedgerSection::new(Some(0), cap)
    }

    /// The section of a command, by the command's name. Where another process holds the lock, it is looked up later.
    pub(super) fn section(&self, command: &str, cap: Cap) -> Result<LedgerSection, LedgerError> {
        let mut name = [0; NAME];
        let place = name.get_mut(..command.len());
        place.ok_or_else(|| self.full(command.as_bytes()))?.copy_from_slice(command.as_bytes());
        let mut section = LedgerSection { name, ..LedgerSection::new(None, cap) };
        match self.lock() {
            Ok(_lock) => self.locate(&mut section)?,
            Err(LedgerError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(section)
    }

    /// Finds the section by its name, or makes it. Under the lock.
    fn locate(&self, section: &mut LedgerSection) -> Result<(), LedgerError> {
        if section.number.is_some() {
            return Ok(());
        }
        for number in 1..SECTIONS {
            let mut found = [0; NAME];
            let place = u64::from(number) * NAME as u64;
            self.read(place, &mut found)?;
            if found == [0; NAME] {
                self.write(place, &section.name)?;
                found = section.name;
            }
            if found == section.name {
                section.number = Some(number);
                return Ok(());
            }
        }
        Err(self.full(&section.name))
    }

    fn full(&self, command: &[u8]) -> LedgerError {
        let command = String::from_utf8_lossy(command).trim_end_matches('\0').to_owned();
        LedgerError::Full { path: self.path.clone(), command }
    }

    /// Takes a slot of the app and one of the command, both or none, and counts the call for the day of `now`. `clock`
    /// is read once the file is locked, so that waiting for the lock does not count.
    ///
    /// Blocks for some µs: under the lock it makes five reads and three writes of cached pages, five below the cap. A
    /// process that is suspended exactly there blocks the others until it resumes or is killed.
    pub(super) fn take(
        &self,
        app: &mut LedgerSection,
        command: &mut LedgerSection,
        (days, today): (&mut [DayBudget], &Zoned),
        clock: impl Fn() -> Moment,
    ) -> Result<Result<TakenSlots, NoSlots>, LedgerError> {
        let _lock = self.lock()?;
        self.locate(command)?;
        let now = clock();
        if self.read_header(app)? | self.read_header(command)? {
            return Ok(Err(NoSlots::Until(now)));
        }
        let due = match both(command.due(now), app.due(now)) {
            Ok(due) => due,
            Err(next) => return Ok(Err(NoSlots::Until(next))),
        };
        for section in [&mut *app, &mut *command] {
            if section.known.scanned_at.is_none_or(|scanned_at| now.since(scanned_at) >= SCAN_EVERY) {
                self.scan(section, now)?;
            }
            if let Some(next) = section.holds_back(now, self.call_timeout) {
                return Ok(Err(NoSlots::Until(next)));
            }
        }
        let slots = match both(self.find_free(command, now)?, self.find_free(app, now)?) {
            Ok(slots) => slots,
            Err(next) => return Ok(Err(NoSlots::Until(next))),
        };
        fail_point::before(FailPoint::TakeSlots);
        if let Some(used_up) = self.count_call(days, today)? {
            return Ok(Err(NoSlots::DayUsedUp(used_up)));
        }
        for ((slot, due), section) in slots.iter().zip(due).zip([command, app]) {
            self.write(slot.place, &to_bytes(Slot { free_at: UNANSWERED, taken: now, taken_before: slot.taken }))?;
            section.free.pop();
            section.known.took(now);
            // Without a pace the moment at which the last call was due is not used.
            if !section.interval.is_zero() {
                section.header.last = due;
                self.write(section.header_offset(), &section.header.to_bytes())?;
            }
        }
        fail_point::after(FailPoint::TakeSlots);
        Ok(Ok(TakenSlots { slots: slots.map(|slot| slot.place), at: now }))
    }

    /// Frees the slots of a call at that moment. If the answer came so late that other calls have taken the slots, they
    /// stay unchanged.
    pub(super) fn free(&self, taken: &TakenSlots, free_at: Moment) -> Result<(), LedgerError> {
        self.change(taken, |slot| Slot { free_at, ..slot })
    }

    /// Frees the slots of a call that was not sent. They stay taken for the maximum duration of a call, and the call
    /// proves nothing about other calls.
    pub(super) fn return_unsent(&self, taken: &TakenSlots) -> Result<(), LedgerError> {
        let free_at = held_until(taken.at, self.call_timeout);
        self.change(taken, |slot| Slot { free_at, taken: Moment::from_nanos(0), ..slot })
    }

    fn change(&self, taken: &TakenSlots, change: impl Fn(Slot) -> Slot) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
        fail_point::before(FailPoint::FreeSlots);
        for place in taken.slots {
            let slot = self.slot(place)?;
            if slot.taken == taken.at && slot.free_at == UNANSWERED {
                self.write(place, &to_bytes(change(slot)))?;
            }
        }
        fail_point::after(FailPoint::FreeSlots);
        Ok(())
    }

    /// Checks that the path still refers to this file.
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        let lost = |what| Err(LedgerError::Lost { path: self.path.clone(), what });
        let own = self.file.metadata().map_err(|source| io_error(&self.path, "look at", source))?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (own.dev(), own.ino()) => Ok(()),
            Ok(_) => lost("replaced"),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                lost(if own.nlink() == 0 { "removed" } else { "renamed" })
            }
            Err(source) => Err(io_error(&self.path, "look at", source)),
        }
    }

    /// An answer to a call that was sent at `sent` throttled the section: publishes the cut to all processes, unless
    /// one of them published a cut that includes this call. All under one lock, since several can be throttled at once.
    pub(super) fn publish_cut(
        &self,
        section: &mut LedgerSection,
        throttle: &mut Throttle,
        sent: Moment,
        clock: impl Fn() -> Moment,
    ) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
        let now = clock();
        self.locate(section)?;
        self.read_header(section)?;
        if let Some(cut) = section.published_cut() {
            throttle.adopt(cut, now);
        }
        if !throttle.is_news(sent) {
            return Ok(());
        }
        let Some(cut) = throttle.rejected(now, sent, self.sent(section, sent)?) else { return Ok(()) };
        section.header.cut = [cut.at.as_nanos(), u64::from(cut.limit) << CONFIDENCE_BITS | u64::from(cut.confidence)];
        self.write(section.header_offset(), &section.header.to_bytes())
    }

    /// The number of calls of the section that all processes sent in the second that ended at `end`, which may be up to
    /// a second ago.
    fn sent(&self, section: &LedgerSection, end: Moment) -> Result<u32, LedgerError> {
        // All slots are read, because the caps of other processes may be higher.
        let begin = end.minus(WINDOW);
        let slots = self.slots(section, Cap::MAX)?;
        let moments = slots.iter().flat_map(|slot| [slot.taken, slot.taken_before]);
        let sent = moments.filter(|taken| begin < *taken && *taken <= end).count();
        Ok(u32::try_from(sent).unwrap_or(Cap::MAX))
    }

    /// Reads the cuts of other processes, under the lock. Returns whether there is a new cut.
    fn read_header(&self, section: &mut LedgerSection) -> Result<bool, LedgerError> {
        let mut bytes = [0; 3 * MOMENT];
        self.read(section.header_offset(), &mut bytes)?;
        let before = std::mem::replace(&mut section.header, SectionHeader::from_bytes(bytes));
        Ok(section.header.cut != before.cut)
    }

    /// Finds a free slot of the section, the last of `free`. The inner error is the moment at which a slot is free
    /// again.
    fn find_free(&self, section: &mut LedgerSection, now: Moment) -> Result<Result<FreeSlot, Moment>, LedgerError> {
        let rules = section.rules(self.call_timeout);
        loop {
            while let Some(number) = section.free.last() {
                let place = section.place(*number);
                let slot = self.slot(place)?;
                if rules.is_free(&slot, now) {
                    return Ok(Ok(FreeSlot { place, taken: slot.taken }));
                }
                section.free.pop();
            }
            if section.known.scanned_at == Some(now) {
                return Ok(Err(section.known.next.unwrap_or_else(|| held_until(now, self.call_timeout))));
            }
            self.scan(section, now)?;
        }
    }

    /// Scans all slots.
    fn scan(&self, section: &mut LedgerSection, now: Moment) -> Result<(), LedgerError> {
        self.check()?;
        let rules = section.rules(self.call_timeout);
        let found = scan_slots(&self.slots(section, section.cap)?, now, section.known.last_answered, rules);
        for (number, slot) in &found.changed {
            self.write(section.place(*number), &to_bytes(*slot))?;
        }
        section.known = KnownCalls::of(&found, now);
        section.free = found.free;
        Ok(())
    }

    /// The first slots of the section.
    fn slots(&self, section: &LedgerSection, count: u32) -> Result<Vec<Slot>, LedgerError> {
        let mut bytes = vec![0; count as usize * SLOT];
        self.read(section.place(0), &mut bytes)?;
        let (slots, _) = bytes.as_chunks();
        Ok(slots.iter().map(from_bytes).collect())
    }

    /// Turns a new file into a ledger, and refuses other files. Two processes that create a ledger at the same time
    /// write the same bytes.
    fn initialize(&self) -> Result<(), LedgerError> {
        let mut found = [0; MAGIC.len()];
        match self.read(0, &mut found)? {
            0 => self.write(0, &MAGIC),
            _ if found == MAGIC => Ok(()),
            _ => Err(self.not_a_ledger("some other file")),
        }
    }

    fn refuse_other_files(&self) -> Result<(), LedgerError> {
        let file = self.file.metadata().map_err(|source| io_error(&self.path, "look at", source))?;
        if !file.is_file() {
            return Err(self.not_a_ledger("not a regular file"));
        }
        // A hard link could refer to a file of another user.
        if file.nlink() > 1 {
            return Err(self.not_a_ledger("a file with several names"));
        }
        Ok(())
    }

    fn slot(&self, place: u64) -> Result<Slot, LedgerError> {
        let mut bytes = [0; SLOT];
        self.read(place, &mut bytes)?;
        Ok(from_bytes(&bytes))
    }

    /// Reads a part of the file. Beyond its end nothing was ever written, so the bytes stay zero, which means free.
    fn read(&self, place: u64, into: &mut [u8]) -> Result<usize, LedgerError> {
        let mut done = 0;
        while done < into.len() {
            match self.file.read_at(&mut into[done..], place + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(io_error(&self.path, "read", source)),
            }
        }
        Ok(done)
    }

    fn write(&self, place: u64, bytes: &[u8]) -> Result<(), LedgerError> {
        self.file.write_all_at(bytes, place).map_err(|source| io_error(&self.path, "write", source))
    }

    fn not_a_ledger(&self, what: &'static str) -> LedgerError {
        LedgerError::NotALedger { path: self.path.clone(), what }
    }
}

impl Ledger {
    fn lock(&self) -> Result<LockGuard<'_>, LedgerError> {
        for _ in 0..LOCK_RETRIES {
            match self.file.try_lock() {
                Ok(()) => return Ok(LockGuard(&self.file)),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(source)) => return Err(io_error(&self.path, "lock", source)),
            }
        }
        Err(LedgerError::Locked { path: self.path.clone() })
    }
}

/// The lock of the file. It ends when this value is dropped or the process ends.
struct LockGuard<'a>(&'a File);

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // Unlocking fails only for a file that is not open.
        let _ = self.0.unlock();
    }
}

impl LedgerSection {
    fn new(number: Option<u32>, cap: Cap) -> Self {
        Self {
            number,
            name: [0; NAME],
            cap: cap.get(),
            slots: cap.get(),
            probes: false,
            interval: Duration::ZERO,
            slack: Duration::ZERO,
            free: Vec::new(),
            known: KnownCalls::default(),
            header: SectionHeader::from_bytes([0; 3 * MOMENT]),
        }
    }

    /// Reserves some slots for calls that find out whether the server answers again.
    pub(super) fn keep_some_for_probes(&mut self) {
        self.probes = true;
    }

    /// Sets how many slots there are.
    pub(super) fn set_cap(&mut self, cap: Cap) {
        self.cap = cap.get();
        self.set_slots(cap.get());
    }

    /// A call of the section was answered that left at this moment.
    pub(super) fn answered(&mut self, sent: Moment) {
        self.known.last_answered = self.known.last_answered.max(Some(sent));
    }

    /// Sets how many slots are used. The others are not taken any more.
    pub(super) fn set_slots(&mut self, slots: u32) {
        if slots != self.slots {
            self.slots = slots;
            self.cap = self.cap.max(slots);
            self.free.clear();
            self.known.scanned_at = None;
        }
    }

    /// Sets the time between two calls, and the delay that the next calls make up for.
    pub(super) fn set_pace(&mut self, interval: Duration, slack: Duration) {
        self.interval = interval;
        self.slack = slack;
    }

    /// The last published cut, as far as it was read.
    pub(super) fn published_cut(&self) -> Option<RateCut> {
        let [at, limit_and_confidence] = self.header.cut;
        let limit = u32::try_from(limit_and_confidence >> CONFIDENCE_BITS).ok().filter(|limit| *limit > 0)?;
        let confidence = u8::try_from(limit_and_confidence & ((1 << CONFIDENCE_BITS) - 1)).ok()?;
        Some(RateCut { at: Moment::from_nanos(at), limit, confidence })
    }

    fn rules(&self, call_timeout: Duration) -> SlotRules {
        SlotRules { cap: self.cap, used: self.slots, call_timeout }
    }

    /// If answers have stopped, calls are sent one at a time to see whether the server answers again. Then this says
    /// when the next one may be sent.
    fn holds_back(&self, now: Moment, call_timeout: Duration) -> Option<Moment> {
        let rules = self.rules(call_timeout);
        let silent = self.known.unanswered_since.is_some_and(|since| now.since(since) >= call_timeout);
        let full = self.known.unanswered >= self.cap - rules.kept_for_probes();
        let next = self.known.last?.plus(call_timeout);
        (self.probes && (silent || full) && next > now).then_some(next)
    }

    fn due(&self, now: Moment) -> Result<Moment, Moment> {
        shared_pace::next(self.header.last, self.interval, self.slack, now)
    }

    fn place(&self, slot: u32) -> u64 {
        SLOTS + self.number() * SECTION + u64::from(slot) * SLOT as u64
    }

    fn header_offset(&self) -> u64 {
        HEADERS + self.number() * HEADER
    }

    /// The number of the app's section is known from the start, that of a command from its first slot.
    fn number(&self) -> u64 {
        u64::from(self.number.expect("the section was located"))
    }
}

impl KnownCalls {
    fn of(found: &SlotScan, now: Moment) -> Self {
        Self {
            scanned_at: Some(now),
            next: found.next,
            unanswered: found.unanswered,
            last: found.last,
            last_answered: found.last_answered,
            unanswered_since: found.unanswered_since,
        }
    }

    fn took(&mut self, now: Moment) {
        self.unanswered += 1;
        self.last = Some(now);
    }
}

impl SectionHeader {
    fn from_bytes(bytes: [u8; 3 * MOMENT]) -> Self {
        let [at, limit_and_confidence, last] = numbers(&bytes);
        Self { cut: [at, limit_and_confidence], last: Moment::from_nanos(last) }
    }

    fn to_bytes(self) -> [u8; 3 * MOMENT] {
        bytes([self.cut[0], self.cut[1], self.last.as_nanos()])
    }
}

/// Both values, or the later of the moments to ask again.
fn both<T>(one: Result<T, Moment>, other: Result<T, Moment>) -> Result<[T; 2], Moment> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok([one, other]),
        (Err(next), Ok(_)) | (Ok(_), Err(next)) => Err(next),
        (Err(one), Err(other)) => Err(one.max(other)),
    }
}

/// From when all slots of the app are free, in a ledger that no process uses; `None` while a call may still wait at the
/// server, or if the file cannot be read.
pub(super) fn unused_from(path: &Path, now: Moment) -> Option<Moment> {
    let file = match open(path, OFlags::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Some(now),
        Err(_) => return None,
    };
    let ledger = Ledger { file, path: path.to_owned(), call_timeout: Duration::ZERO };
    let mut mark = [0; MAGIC.len()];
    // A file that is no ledger is never removed.
    if ledger.refuse_other_files().is_err() {
        return None;
    }
    let is_empty = matches!(ledger.read(0, &mut mark), Ok(0));
    let is_ours = is_empty || mark == MAGIC;
    if !is_ours || ledger.needs_counts(clock::now()).unwrap_or(true) {
        return None;
    }
    all_free_from(&ledger.slots(&Ledger::app(Cap::HIGHEST), Cap::MAX).ok()?, now)
}

#[cfg(test)]
mod tests;

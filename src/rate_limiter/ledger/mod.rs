//! The ledger: the slots of one app in a small file that all processes of the machine share.
//!
//! ```text
//! 0        "imbulk slots v2\n"
//! 64 n     name of the command with section n, 1 ≤ n < 64, padded with zeros
//! 4096     word of section n, at 32 n
//! 8192     section 0, the app: 65,536 slots of 24 bytes
//! …        section n, a command: the same
//! ```
//!
//! A slot is three moments: from which it is free, and at which it was taken the last time and the time before. The first one has
//! all its bits set while no answer to the call was read. They are
//! nanoseconds of CLOCK_MONOTONIC, little endian. That clock is the same for all processes, nobody sets it, and it is the
//! one that the time-outs of the exchanges run on: when the machine sleeps, both stand still, while CLOCK_BOOTTIME would
//! free slots whose calls have yet to leave. It starts again at boot, so moments too far ahead are clamped. The file is
//! sparse; with a cap of 200 it takes some KiB.
//!
//! The word of a section is what its processes tell each other: the moment of the last cut, its limit × 256 + its trust,
//! and the moment at which the last call was due.
//!
//! Each process uses the first `cap` slots of a section, so different caps never add up to more than the largest.
//! What is taken stays taken when a process dies, until a call is answered that was sent after any exchange of that process was over
//! ([`slots`](crate::domain::rate_limit::slots)).
//!
//! The ledger is the open file, not its name: if its path refers to another file, or to none, all processes that have it open stop.
//!
//! No lock is waited for. Any process that can open the file can hold its lock indefinitely.

mod error;
mod file;

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

pub use self::error::LedgerError;
use self::error::io_error;
use self::file::open;
pub(super) use self::file::open_or_create;
use crate::domain::rate_limit::shared_pace;
use crate::domain::rate_limit::slots::{Slot, Survey, Terms, UNANSWERED, WINDOW, held_until, survey, unheld_from};
use crate::domain::rate_limit::throttle::Cut;
use crate::domain::rate_limit::{Cap, Moment};
use crate::fail_point::{self, FailPoint};

const MAGIC: [u8; 16] = *b"imbulk slots v2\n";
const NAME: usize = 64;
const SECTIONS: u32 = 64;
const MOMENT: usize = size_of::<u64>();
const WORDS: u64 = 4096;
const WORD: u64 = 32;
const SLOTS: u64 = 8192;
const SLOT: usize = 3 * MOMENT;
const SECTION: u64 = SLOT as u64 * Cap::MAX as u64;
/// The bits of a cut's trust, below those of its limit.
const TRUST: u32 = 8;
/// All slots are looked over when none is known to be free, and after so long: calls of other processes leave meanwhile, and
/// are answered or not.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// imbulk holds the lock for microseconds. It is tried this often, and other processes may run in between.
const LOCK_TRIES: u32 = 500;

/// The open file.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    call_timeout: Duration,
}

/// The slots of the app or of one command, and which of them were free when last looked over.
#[derive(Debug)]
pub(super) struct Section {
    /// Not known before the first take.
    number: Option<u32>,
    name: [u8; NAME],
    /// How many there are, as this process sees it: those with lower numbers.
    cap: u32,
    /// How many of them are used.
    slots: u32,
    /// Whether some are kept for probes.
    probes: bool,
    /// Calls are this far apart.
    apart: Duration,
    /// So late a call may be that the next ones make up for.
    slack: Duration,
    free: Vec<u32>,
    /// What the last look over all slots found, and what this process did since.
    seen: Seen,
    /// The word as it was last read.
    word: Word,
}

/// What is known of the calls of a section.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// When all slots were looked over.
    looked: Option<Moment>,
    /// When the first slot falls free, as far as was known then.
    next: Option<Moment>,
    unanswered: u32,
    last: Option<Moment>,
    heard: Option<Moment>,
    waiting_since: Option<Moment>,
}

/// What the processes tell each other: the two halves of a cut, and when the last call was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    cut: [u64; 2],
    last: Moment,
}

/// A slot that may be taken.
#[derive(Debug, Clone, Copy)]
struct Free {
    /// Where in the file it stands.
    place: u64,
    /// When it was taken the last time.
    taken: Moment,
}

/// One slot of the app and one of a command, taken together.
#[derive(Debug)]
pub(super) struct Taken {
    /// Where in the file they stand.
    slots: [u64; 2],
    /// When.
    pub(super) at: Moment,
}

impl Ledger {
    /// Opens the ledger, which is made if it is not there, for everyone to write: users of one machine share the
    /// limit of an app. In a folder that others can write to, too, nothing is trusted: no links are followed, and
    /// a file that is not a ledger is never written to.
    pub(super) fn open(path: &Path, call_timeout: Duration) -> Result<Self, LedgerError> {
        let file = open_or_create(path).map_err(|source| io_error(path, "open", source))?;
        let ledger = Self { file, path: path.to_owned(), call_timeout };
        ledger.refuse_other_files()?;
        ledger.begin()?;
        Ok(ledger)
    }

    /// The app's own section.
    pub(super) fn app(cap: Cap) -> Section {
        Section::new(Some(0), cap)
    }

    /// The section of a command, by the command's name. Where another process holds the lock, it is looked up later.
    pub(super) fn section(&self, command: &str, cap: Cap) -> Result<Section, LedgerError> {
        let mut name = [0; NAME];
        let place = name.get_mut(..command.len());
        place.ok_or_else(|| self.full(command.as_bytes()))?.copy_from_slice(command.as_bytes());
        let mut section = Section { name, ..Section::new(None, cap) };
        match self.lock() {
            Ok(_lock) => self.locate(&mut section)?,
            Err(LedgerError::Locked { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(section)
    }

    /// Finds the section by its name, or makes it. Under the lock.
    fn locate(&self, section: &mut Section) -> Result<(), LedgerError> {
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

    /// Takes a slot of the app and one of the command, both or none; or says when to try again at the earliest, as
    /// far as is known: slots in the hands of other processes may be free sooner. `clock` is asked once the
    /// file is locked, so that waiting for the lock does not count.
    ///
    /// Blocks for some µs: what happens under the lock is four reads and two writes of cached pages, four below the cap. A process
    /// that is stopped exactly there stops the others until it goes on or dies.
    pub(super) fn take(
        &self,
        app: &mut Section,
        command: &mut Section,
        clock: impl Fn() -> Moment,
    ) -> Result<Result<Taken, Moment>, LedgerError> {
        let _lock = self.lock()?;
        self.locate(command)?;
        let now = clock();
        if self.listen(app)? | self.listen(command)? {
            return Ok(Err(now));
        }
        let due = match both(command.due(now), app.due(now)) {
            Ok(due) => due,
            Err(next) => return Ok(Err(next)),
        };
        for section in [&mut *app, &mut *command] {
            if section.seen.looked.is_none_or(|looked| now.since(looked) >= LOOK_EVERY) {
                self.look_over(section, now)?;
            }
            if let Some(next) = section.holds_back(now, self.call_timeout) {
                return Ok(Err(next));
            }
        }
        let slots = match both(self.find(command, now)?, self.find(app, now)?) {
            Ok(slots) => slots,
            Err(next) => return Ok(Err(next)),
        };
        fail_point::before(FailPoint::TakeSlots);
        for ((slot, due), section) in slots.iter().zip(due).zip([command, app]) {
            self.write(slot.place, &to_bytes(Slot { free_at: UNANSWERED, taken: now, before: slot.taken }))?;
            section.free.pop();
            section.seen.took(now);
            // Where no pace is kept nobody asks when the last call was due.
            if !section.apart.is_zero() {
                section.word.last = due;
                self.write(section.place_of_word(), &section.word.to_bytes())?;
            }
        }
        fail_point::after(FailPoint::TakeSlots);
        Ok(Ok(Taken { slots: slots.map(|slot| slot.place), at: now }))
    }

    /// Frees the slots of a call at that moment; if it took too long and they passed on to others, leaves them alone.
    pub(super) fn settle(&self, taken: &Taken, free_at: Moment) -> Result<(), LedgerError> {
        self.change(taken, |slot| Slot { free_at, ..slot })
    }

    /// No byte of the call left. Its slots are held for as long as a call lasts that can't be made, and prove nothing.
    pub(super) fn give_back(&self, taken: &Taken) -> Result<(), LedgerError> {
        let free_at = held_until(taken.at, self.call_timeout);
        self.change(taken, |slot| Slot { free_at, taken: Moment::from_nanos(0), ..slot })
    }

    fn change(&self, taken: &Taken, change: impl Fn(Slot) -> Slot) -> Result<(), LedgerError> {
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

    /// The name still refers to this file.
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

    /// So many calls of the section, of whatever process, were sent in the second that ended at that moment; it may lie
    /// up to a second back.
    pub(super) fn sent(&self, section: &Section, end: Moment) -> Result<u32, LedgerError> {
        let _lock = self.lock()?;
        // All of them: the caps of other processes may be higher than ours.
        let begin = end.minus(WINDOW);
        let slots = self.slots(section, Cap::MAX)?;
        let moments = slots.iter().flat_map(|slot| [slot.taken, slot.before]);
        let sent = moments.filter(|taken| begin < *taken && *taken <= end).count();
        Ok(u32::try_from(sent).unwrap_or(Cap::MAX))
    }

    /// Tells all processes of a cut.
    pub(super) fn tell(&self, section: &mut Section, cut: Cut) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
        self.locate(section)?;
        self.listen(section)?;
        section.word.cut = [cut.at.as_nanos(), u64::from(cut.limit) << TRUST | u64::from(cut.trust)];
        self.write(section.place_of_word(), &section.word.to_bytes())
    }

    /// Reads what others told.
    pub(super) fn hear(&self, section: &mut Section) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
        self.locate(section)?;
        self.listen(section)?;
        Ok(())
    }

    /// As [`Ledger::hear`], under the lock. Returns whether there is news of a cut.
    fn listen(&self, section: &mut Section) -> Result<bool, LedgerError> {
        let mut bytes = [0; 3 * MOMENT];
        self.read(section.place_of_word(), &mut bytes)?;
        let before = std::mem::replace(&mut section.word, Word::from_bytes(bytes));
        Ok(section.word.cut != before.cut)
    }

    /// A free slot of the section, the last of `free`; or when there is one again.
    fn find(&self, section: &mut Section, now: Moment) -> Result<Result<Free, Moment>, LedgerError> {
        let terms = section.terms(self.call_timeout);
        loop {
            while let Some(number) = section.free.last() {
                let place = section.place(*number);
                let slot = self.slot(place)?;
                if terms.is_free(&slot, now) {
                    return Ok(Ok(Free { place, taken: slot.taken }));
                }
                section.free.pop();
            }
            if section.seen.looked == Some(now) {
                return Ok(Err(section.seen.next.unwrap_or_else(|| held_until(now, self.call_timeout))));
            }
            self.look_over(section, now)?;
        }
    }

    /// Looks over all slots.
    fn look_over(&self, section: &mut Section, now: Moment) -> Result<(), LedgerError> {
        self.check()?;
        let terms = section.terms(self.call_timeout);
        let found = survey(&self.slots(section, section.cap)?, now, section.seen.heard, terms);
        for (number, slot) in &found.changed {
            self.write(section.place(*number), &to_bytes(*slot))?;
        }
        section.seen = Seen::of(&found, now);
        section.free = found.free;
        Ok(())
    }

    /// The first slots of the section.
    fn slots(&self, section: &Section, count: u32) -> Result<Vec<Slot>, LedgerError> {
        let mut bytes = vec![0; count as usize * SLOT];
        self.read(section.place(0), &mut bytes)?;
        let (slots, _) = bytes.as_chunks();
        Ok(slots.iter().map(from_bytes).collect())
    }

    /// A new file becomes a ledger, an old one must be one. Two processes that make one at the same time write the same.
    fn begin(&self) -> Result<(), LedgerError> {
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
        // A hard link could be to anyone's file.
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

    /// Reads what the file has there; what lies beyond its end was never written and stays zero, which is free.
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
    fn lock(&self) -> Result<Locked<'_>, LedgerError> {
        for _ in 0..LOCK_TRIES {
            match self.file.try_lock() {
                Ok(()) => return Ok(Locked(&self.file)),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
                Err(TryLockError::Error(source)) => return Err(io_error(&self.path, "lock", source)),
            }
        }
        Err(LedgerError::Locked { path: self.path.clone() })
    }
}

/// The file is ours alone, until this is dropped or the process dies.
struct Locked<'a>(&'a File);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Fails only for a file that is not open, and ours is.
        let _ = self.0.unlock();
    }
}

impl Section {
    fn new(number: Option<u32>, cap: Cap) -> Self {
        Self {
            number,
            name: [0; NAME],
            cap: cap.get(),
            slots: cap.get(),
            probes: false,
            apart: Duration::ZERO,
            slack: Duration::ZERO,
            free: Vec::new(),
            seen: Seen::default(),
            word: Word::from_bytes([0; 3 * MOMENT]),
        }
    }

    /// Where answers stop coming, some slots are kept for calls that find out whether the server answers again.
    pub(super) fn keep_some_for_probes(&mut self) {
        self.probes = true;
    }

    /// There are so many slots from now on.
    pub(super) fn set_cap(&mut self, cap: Cap) {
        self.cap = cap.get();
        self.set_slots(cap.get());
    }

    /// A call of the section was answered that had left then.
    pub(super) fn heard(&mut self, sent: Moment) {
        self.seen.heard = self.seen.heard.max(Some(sent));
    }

    /// So many slots are used from now on; those above are left to fall free.
    pub(super) fn set_slots(&mut self, slots: u32) {
        if slots != self.slots {
            self.slots = slots;
            self.cap = self.cap.max(slots);
            self.free.clear();
            self.seen.looked = None;
        }
    }

    /// Calls are this far apart from now on, and make up for so much lateness.
    pub(super) fn set_pace(&mut self, apart: Duration, slack: Duration) {
        self.apart = apart;
        self.slack = slack;
    }

    /// The last cut that a process told of, as far as was read.
    pub(super) fn told(&self) -> Option<Cut> {
        let [at, limit_and_trust] = self.word.cut;
        let limit = u32::try_from(limit_and_trust >> TRUST).ok().filter(|limit| *limit > 0)?;
        let trust = u8::try_from(limit_and_trust & ((1 << TRUST) - 1)).ok()?;
        Some(Cut { at: Moment::from_nanos(at), limit, trust })
    }

    fn terms(&self, call_timeout: Duration) -> Terms {
        Terms { cap: self.cap, used: self.slots, call_timeout }
    }

    /// Where answers have stopped coming, calls leave one at a time, to see whether the server answers again: then this says when the
    /// next one may.
    fn holds_back(&self, now: Moment, call_timeout: Duration) -> Option<Moment> {
        let terms = self.terms(call_timeout);
        let silent = self.seen.waiting_since.is_some_and(|since| now.since(since) >= call_timeout);
        let full = self.seen.unanswered >= self.cap - terms.kept_for_probes();
        let next = self.seen.last?.plus(call_timeout);
        (self.probes && (silent || full) && next > now).then_some(next)
    }

    fn due(&self, now: Moment) -> Result<Moment, Moment> {
        shared_pace::next(self.word.last, self.apart, self.slack, now)
    }

    fn place(&self, slot: u32) -> u64 {
        SLOTS + self.number() * SECTION + u64::from(slot) * SLOT as u64
    }

    fn place_of_word(&self) -> u64 {
        WORDS + self.number() * WORD
    }

    /// The app's is known from the start, that of a command from the first take on, before which nothing is asked of it.
    fn number(&self) -> u64 {
        u64::from(self.number.expect("the section was located"))
    }
}

impl Seen {
    fn of(found: &Survey, now: Moment) -> Self {
        Self {
            looked: Some(now),
            next: found.next,
            unanswered: found.unanswered,
            last: found.last,
            heard: found.heard,
            waiting_since: found.waiting_since,
        }
    }

    fn took(&mut self, now: Moment) {
        self.unanswered += 1;
        self.last = Some(now);
    }
}

impl Word {
    fn from_bytes(bytes: [u8; 3 * MOMENT]) -> Self {
        let [at, limit_and_trust, last] = numbers(&bytes);
        Self { cut: [at, limit_and_trust], last: Moment::from_nanos(last) }
    }

    fn to_bytes(self) -> [u8; 3 * MOMENT] {
        bytes([self.cut[0], self.cut[1], self.last.as_nanos()])
    }
}

fn from_bytes(bytes: &[u8; SLOT]) -> Slot {
    let [free_at, taken, before] = numbers(bytes).map(Moment::from_nanos);
    Slot { free_at, taken, before }
}

fn to_bytes(slot: Slot) -> [u8; SLOT] {
    bytes([slot.free_at, slot.taken, slot.before].map(Moment::as_nanos))
}

fn numbers(bytes: &[u8; 3 * MOMENT]) -> [u64; 3] {
    let (numbers, _) = bytes.as_chunks();
    [0, 1, 2].map(|n| u64::from_le_bytes(numbers[n]))
}

fn bytes(numbers: [u64; 3]) -> [u8; 3 * MOMENT] {
    let mut bytes = [0; 3 * MOMENT];
    for (place, number) in bytes.chunks_exact_mut(MOMENT).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// Both, or the later of the moments to ask again.
fn both<T>(one: Result<T, Moment>, other: Result<T, Moment>) -> Result<[T; 2], Moment> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok([one, other]),
        (Err(next), Ok(_)) | (Ok(_), Err(next)) => Err(next),
        (Err(one), Err(other)) => Err(one.max(other)),
    }
}

/// From when on no slot of the app is held, in a ledger that nobody uses; none while a call may still wait at the server, or
/// where the file can't be read.
pub(super) fn unused_from(path: &Path, now: Moment) -> Option<Moment> {
    let file = match open(path, OFlags::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Some(now),
        Err(_) => return None,
    };
    let ledger = Ledger { file, path: path.to_owned(), call_timeout: Duration::ZERO };
    let mut mark = [0; MAGIC.len()];
    // What is no ledger is not ours to remove.
    let is_ours = ledger.refuse_other_files().is_ok() && matches!(ledger.read(0, &mut mark), Ok(0)) || mark == MAGIC;
    if !is_ours {
        return None;
    }
    unheld_from(&ledger.slots(&Ledger::app(Cap::HIGHEST), Cap::MAX).ok()?, now)
}

#[cfg(test)]
mod tests;

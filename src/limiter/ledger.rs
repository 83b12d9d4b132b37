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
//! A slot is three moments: from which it is free, and at which it was taken the last time and the time before. They are
//! nanoseconds of CLOCK_MONOTONIC, little endian. That clock is the same for all processes, nobody sets it, and it is the
//! one that the time-outs of the exchanges run on: when the machine sleeps, both stand still, while CLOCK_BOOTTIME would
//! free slots whose calls have yet to leave. It starts again at boot, so moments too far ahead are clamped. The file is
//! sparse; with a cap of 200 it takes some KiB.
//!
//! The word of a section is what its processes tell each other: the moment of the last cut, its limit × 256 + its trust,
//! and the moment at which the last call was due.
//!
//! Each process uses the first `cap` slots of a section, so different caps never add up to more than the largest.
//! What is taken stays taken when a process dies, until the moment written at the take.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use crate::domain::limit::pace;
use crate::domain::limit::slots::{WINDOW, held_until, survey};
use crate::domain::limit::throttle::Cut;
use crate::domain::limit::{Cap, Moment};
use crate::fail_point::{self, Deed};

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

/// The open file.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    exchange_timeout: Duration,
}

/// The slots of the app or of one command, and which of them were free when last looked over.
#[derive(Debug)]
pub(super) struct Section {
    number: u32,
    /// Those with lower numbers are used.
    slots: u32,
    /// Calls are this far apart.
    apart: Duration,
    /// So late a call may be that the next ones make up for.
    slack: Duration,
    free: Vec<u32>,
    /// The word as it was last read.
    word: Word,
}

/// What the processes tell each other: the two halves of a cut, and when the last call was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    cut: [u64; 2],
    last: Moment,
}

/// The moments of a slot.
#[derive(Debug, Clone, Copy)]
struct Slot {
    free_at: Moment,
    taken: Moment,
    before: Moment,
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
    until: Moment,
    /// When.
    pub(super) at: Moment,
}

/// What is wrong with a ledger. Without it nothing can be sent: others could be sending to the same app.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It can't be opened, read or written.
    #[error("{}: can't {action} the file in which processes share the call limit: {source}", path.display())]
    Io {
        /// The ledger's.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Something else stands at its place.
    #[error("{}: {what}, not the file in which processes share the call limit", path.display())]
    NotALedger {
        /// The ledger's.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
    /// The file was removed while in use: a process that starts now would not see our calls.
    #[error("{}: the file in which processes share the call limit was removed", path.display())]
    Removed {
        /// The ledger's.
        path: PathBuf,
    },
    /// It has no section for the command and can take none.
    #[error("{}: no room for the slots of {command}", path.display())]
    Full {
        /// The ledger's.
        path: PathBuf,
        /// The command's name.
        command: String,
    },
}

impl LedgerError {
    /// The ledger, where its disk is what failed.
    pub fn disk(&self) -> Option<&Path> {
        match self {
            Self::Io { path, source, .. } => is_full(source).then_some(path),
            Self::NotALedger { .. } | Self::Removed { .. } | Self::Full { .. } => None,
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { source, .. } if is_full(source) => "make room there and run again: nothing is lost",
            Self::Io { .. } => "the user that runs imbulk must be able to read and write this file and its folder",
            Self::NotALedger { .. } => "move it away, if nothing else needs it; imbulk makes a new one",
            Self::Removed { .. } => "run again, once no other imbulk sends to this app",
            Self::Full { .. } => "delete the file while no imbulk is running; a new one is made",
        }
    }
}

impl Ledger {
    /// Opens the ledger, which is made if it is not there, for everyone to write: users of one machine share the
    /// limit of an app. In a folder that others can write to, too, nothing is trusted: no links are followed, and
    /// a file that is not a ledger is never written to.
    pub(super) fn open(path: &Path, exchange_timeout: Duration) -> Result<Self, LedgerError> {
        let file = open_or_create(path).map_err(|source| io_error(path, "open", source))?;
        let ledger = Self { file, path: path.to_owned(), exchange_timeout };
        ledger.refuse_other_files()?;
        ledger.begin()?;
        Ok(ledger)
    }

    /// The app's own section.
    pub(super) fn app(cap: Cap) -> Section {
        Section::new(0, cap)
    }

    /// The section of a command, by the command's name.
    pub(super) fn section(&self, command: &str, cap: Cap) -> Result<Section, LedgerError> {
        let full = || LedgerError::Full { path: self.path.clone(), command: command.to_owned() };
        let mut name = [0; NAME];
        name.get_mut(..command.len()).ok_or_else(full)?.copy_from_slice(command.as_bytes());
        let _lock = self.lock()?;
        for number in 1..SECTIONS {
            let mut found = [0; NAME];
            let place = u64::from(number) * NAME as u64;
            self.read(place, &mut found)?;
            if found == [0; NAME] {
                self.write(place, &name)?;
                found = name;
            }
            if found == name {
                return Ok(Section::new(number, cap));
            }
        }
        Err(full())
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
        let now = clock();
        if self.listen(app)? | self.listen(command)? {
            return Ok(Err(now));
        }
        let due = match both(command.due(now), app.due(now)) {
            Ok(due) => due,
            Err(next) => return Ok(Err(next)),
        };
        let until = held_until(now, self.exchange_timeout);
        let slots = match both(self.find(command, now, until)?, self.find(app, now, until)?) {
            Ok(slots) => slots,
            Err(next) => return Ok(Err(next)),
        };
        fail_point::before(Deed::TakeSlots);
        for ((slot, due), section) in slots.iter().zip(due).zip([command, app]) {
            self.write(slot.place, &Slot { free_at: until, taken: now, before: slot.taken }.to_bytes())?;
            section.free.pop();
            // Where no pace is kept nobody asks when the last call was due.
            if !section.apart.is_zero() {
                section.word.last = due;
                self.write(section.place_of_word(), &section.word.to_bytes())?;
            }
        }
        fail_point::after(Deed::TakeSlots);
        Ok(Ok(Taken { slots: slots.map(|slot| slot.place), until, at: now }))
    }

    /// Frees the slots of a call at that moment; if it took too long and they passed on to others, leaves them alone.
    pub(super) fn settle(&self, taken: &Taken, free_at: Moment) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
        fail_point::before(Deed::FreeSlots);
        for place in taken.slots {
            if self.slot(place)?.free_at == taken.until {
                self.write(place, &free_at.as_nanos().to_le_bytes())?;
            }
        }
        fail_point::after(Deed::FreeSlots);
        Ok(())
    }

    /// So many calls of the section, of whatever process, were sent in the second that ended at that moment; it may lie
    /// up to a second back.
    pub(super) fn sent(&self, section: &Section, end: Moment) -> Result<u32, LedgerError> {
        let _lock = self.lock()?;
        // All of them: the caps of other processes may be higher than ours.
        let mut bytes = vec![0; Cap::MAX as usize * SLOT];
        self.read(section.place(0), &mut bytes)?;
        let (slots, _) = bytes.as_chunks();
        let begin = end.minus(WINDOW);
        let moments = slots.iter().map(Slot::from_bytes).flat_map(|slot| [slot.taken, slot.before]);
        let sent = moments.filter(|taken| begin < *taken && *taken <= end).count();
        Ok(u32::try_from(sent).unwrap_or(Cap::MAX))
    }

    /// Tells all processes of a cut.
    pub(super) fn tell(&self, section: &mut Section, cut: Cut) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
        self.listen(section)?;
        section.word.cut = [cut.at.as_nanos(), u64::from(cut.limit) << TRUST | u64::from(cut.trust)];
        self.write(section.place_of_word(), &section.word.to_bytes())
    }

    /// Reads what others told.
    pub(super) fn hear(&self, section: &mut Section) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
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

    /// A free slot of the section, the last of `free`; or when there is one again. The section is looked over
    /// only when all slots that were free the last time are gone.
    fn find(&self, section: &mut Section, now: Moment, until: Moment) -> Result<Result<Free, Moment>, LedgerError> {
        while let Some(number) = section.free.last() {
            let place = section.place(*number);
            let slot = self.slot(place)?;
            if slot.free_at <= now {
                return Ok(Ok(Free { place, taken: slot.taken }));
            }
            section.free.pop();
        }
        self.look_over(section, now, until)
    }

    fn look_over(
        &self,
        section: &mut Section,
        now: Moment,
        until: Moment,
    ) -> Result<Result<Free, Moment>, LedgerError> {
        if self.file.metadata().is_ok_and(|file| file.nlink() == 0) {
            return Err(LedgerError::Removed { path: self.path.clone() });
        }
        let mut bytes = vec![0; section.slots as usize * SLOT];
        self.read(section.place(0), &mut bytes)?;
        let (slots, _) = bytes.as_chunks();
        let slots: Vec<Slot> = slots.iter().map(Slot::from_bytes).collect();
        let found = survey(slots.iter().map(|slot| slot.free_at), now, until);
        for number in found.impossible {
            self.write(section.place(number), &until.as_nanos().to_le_bytes())?;
        }
        section.free = found.free;
        let free = |number: &u32| Free { place: section.place(*number), taken: slots[*number as usize].taken };
        Ok(section.free.last().map(free).ok_or(found.next.unwrap_or(until)))
    }

    /// A new file becomes a ledger, an old one must be one.
    fn begin(&self) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
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
        Ok(Slot::from_bytes(&bytes))
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
        loop {
            match self.file.lock() {
                Ok(()) => return Ok(Locked(&self.file)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(io_error(&self.path, "lock", source)),
            }
        }
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
    fn new(number: u32, cap: Cap) -> Self {
        let word = Word::from_bytes([0; 3 * MOMENT]);
        Self { number, slots: cap.get(), apart: Duration::ZERO, slack: Duration::ZERO, free: Vec::new(), word }
    }

    /// So many slots are used from now on; those above are left to fall free.
    pub(super) fn set_slots(&mut self, slots: u32) {
        if slots != self.slots {
            self.slots = slots;
            self.free.clear();
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

    fn due(&self, now: Moment) -> Result<Moment, Moment> {
        pace::next(self.word.last, self.apart, self.slack, now)
    }

    fn place(&self, slot: u32) -> u64 {
        SLOTS + u64::from(self.number) * SECTION + u64::from(slot) * SLOT as u64
    }

    fn place_of_word(&self) -> u64 {
        WORDS + u64::from(self.number) * WORD
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

impl Slot {
    fn from_bytes(bytes: &[u8; SLOT]) -> Self {
        let [free_at, taken, before] = numbers(bytes).map(Moment::from_nanos);
        Self { free_at, taken, before }
    }

    fn to_bytes(self) -> [u8; SLOT] {
        bytes([self.free_at, self.taken, self.before].map(Moment::as_nanos))
    }
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

/// First without creating: Linux (`fs.protected_regular`) forbids to open another user's file in a folder like
/// `/tmp` by a call that could create it.
fn open_or_create(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let open = |extra| rustix::fs::open(path, flags | extra, Mode::from_raw_mode(0o666)).map(File::from);
    match open(OFlags::empty()) {
        Err(rustix::io::Errno::NOENT) => {}
        opened => return Ok(opened?),
    }
    match open(OFlags::CREATE | OFlags::EXCL) {
        Ok(file) => {
            // What the umask took away.
            file.set_permissions(Permissions::from_mode(0o666))?;
            Ok(file)
        }
        // Another process was quicker.
        Err(rustix::io::Errno::EXIST) => Ok(open(OFlags::empty())?),
        Err(error) => Err(error.into()),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn io_error(path: &Path, action: &'static str, source: io::Error) -> LedgerError {
    LedgerError::Io { path: path.to_owned(), action, source }
}

#[cfg(test)]
mod tests;

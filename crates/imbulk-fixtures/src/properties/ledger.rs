//! Ledgers: a file with any content is refused and left unchanged, or its slots become free in time.

use std::fs::File;
use std::num::{NonZeroU32, NonZeroU64};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use imbulk::domain::hint::Hint;
use imbulk::domain::rate_limit::Cap;
use imbulk::domain::rate_limit::calls_per_day::CallsPerDay;
use imbulk::rate_limiter::{LedgerError, Limiter, LimiterSettings, NoPermit};
use rustix::time::{ClockId, clock_gettime};

const TIMEOUT: Duration = Duration::from_secs(5);
const CAP: u32 = 200;
/// A slot of a call without an answer.
const UNANSWERED: u64 = u64::MAX;
/// The longest time for which slots may be taken: a fifth of them, five seconds each.
const LONGEST_HOLD_NANOS: u64 = 5_000_000_000 * (CAP as u64 / 5);
const COMMAND: &str = "friend_delete";
/// The layout of the file: the offset of section 0, the length of a section, and the length of a slot.
const SLOTS: u64 = 8192;
const SECTION: u64 = SLOT * 65_536;
const SLOT: u64 = 24;

/// The first byte is the number of bytes at the start of the file. The rest are slots: a section, a number, and the
/// time from which the slot is free, in eight bytes.
pub fn ledger_file(data: &[u8]) {
    let (length, rest) = super::split(data);
    let (head, slots) = rest.split_at(usize::from(length).min(rest.len()));
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let handle = file.as_file();
    handle.write_all_at(head, 0).expect("a temporary file");
    for slot in slots.chunks_exact(10) {
        let place = SLOTS + u64::from(slot[0] % 64) * SECTION + u64::from(slot[1] % 8) * SLOT;
        handle.write_all_at(&slot[2..], place).expect("a temporary file");
    }
    let before = start(handle);
    match use_it(file.path()) {
        Ok(()) => check_slots(handle),
        Err(error) => {
            assert!(!error.to_string().is_empty() && error.hint().is_some());
            if let LedgerError::NotALedger { .. } = error {
                assert_eq!(start(handle), before, "what is no ledger is left as it is");
            }
        }
    }
}

/// Asks for a permit, and drops it.
fn use_it(path: &Path) -> Result<(), LedgerError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let cap = Cap::try_from(NonZeroU32::new(CAP).expect("not zero")).expect("low enough");
    let per_day = CallsPerDay { calls: NonZeroU64::MAX, zone: None };
    let limiter = Limiter::open(&LimiterSettings {
        ledger: path.to_owned(),
        app_cap: cap,
        calls_per_day: vec![per_day],
        call_timeout: TIMEOUT,
    })?;
    let limiter = limiter.command(COMMAND, cap)?;
    // In this time the slots are looked at, if they do not have to be waited for.
    let acquired = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(50), limiter.acquire()).await });
    match acquired {
        Ok(Err(NoPermit::Ledger(error))) => Err(error),
        Ok(Ok(permit)) => {
            permit.unanswered();
            Ok(())
        }
        Ok(Err(NoPermit::DayUsedUp(_))) => Ok(()),
        Err(_none_yet) => Ok(()),
    }
}

/// No slot that counts is held for longer than a call without an answer keeps it, so nobody waits longer than that.
fn check_slots(file: &File) {
    let limit = now() + LONGEST_HOLD_NANOS;
    let own = (1..64).find(|section| name(file, *section) == named()).expect("a section of the command");
    let slots = |section| {
        (0..u64::from(CAP)).map(move |slot| {
            let place = SLOTS + section * SECTION + slot * SLOT;
            let (free_at, taken) = (moment(file, place), moment(file, place + 8));
            if free_at == UNANSWERED { taken.saturating_add(LONGEST_HOLD_NANOS) } else { free_at }
        })
    };
    // A section is looked over once a slot of it is needed; that of the command comes first.
    assert!(slots(own).all(|free_at| free_at <= limit), "the command's slots are held beyond {limit}");
    let of_app = slots(0).filter(|free_at| *free_at <= limit).count();
    assert!(of_app > 0, "all of the app's slots are held beyond {limit}");
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

fn named() -> [u8; 64] {
    let mut name = [0; 64];
    name[..COMMAND.len()].copy_from_slice(COMMAND.as_bytes());
    name
}

fn name(file: &File, section: u64) -> [u8; 64] {
    let mut name = [0; 64];
    let _beyond_the_end = file.read_at(&mut name, section * 64).expect("a temporary file");
    name
}

fn moment(file: &File, place: u64) -> u64 {
    let mut bytes = [0; 8];
    let _beyond_the_end = file.read_at(&mut bytes, place).expect("a temporary file");
    u64::from_le_bytes(bytes)
}

fn start(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    let length = file.read_at(&mut bytes, 0).expect("a temporary file");
    bytes.truncate(length);
    bytes
}

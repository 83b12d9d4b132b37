//! The users of a ledger that the last user removes: a ledger for an endpoint on this machine.
//!
//! Each user holds a shared lock on a file beside the ledger. The kernel releases the lock when the process ends. A
//! process that leaves and can then lock the file exclusively is the last user. It removes both files once all slots
//! are free. The files of a killed process are removed when another process joins any ledger in the same folder.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::SystemClock;
use super::ledger::{open_or_create, unused_from};
use crate::domain::rate_limit::Moment;

const SUFFIX: &str = ".users";
/// The maximum wait for the shared lock. A process that holds the lock exclusively removes two files and ends, which
/// may take a while on a busy machine.
const TO_JOIN: Duration = Duration::from_secs(2);
/// The maximum wait for free slots, which are free within a second of the last answer.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A user of such a ledger.
#[derive(Debug)]
pub struct LedgerUser {
    ledger: PathBuf,
    /// The file with the shared lock. Without the lock the ledger stays, and a later user removes it.
    lock: Option<File>,
}

impl LedgerUser {
    /// Joins the users of the ledger, which need not exist yet, and removes unused ledgers beside it.
    pub fn join(ledger: &Path) -> Self {
        let path = beside(ledger);
        remove_unused(ledger, &path);
        let begun = Instant::now();
        let mut lock = try_join(&path);
        while lock.is_none() && begun.elapsed() < TO_JOIN {
            std::thread::yield_now();
            lock = try_join(&path);
        }
        Self { ledger: ledger.to_owned(), lock }
    }

    /// Removes the ledger if no other process uses it. This takes up to a second, until its last slots are free. The
    /// next process creates a new ledger, in which all slots are free.
    pub async fn leave(self) {
        let Some(lock) = self.lock else { return };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let now = SystemClock::start().now();
            match unused_from(&self.ledger, now) {
                None => return,
                Some(from) if from <= now => return remove(&lock, &self.ledger, now),
                Some(from) => sleep(from.since(now).min(PATIENCE)).await,
            }
        }
    }
}

fn beside(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// Opens the file and takes the shared lock. The result is `None` if that fails, or if the file was removed between its
/// opening and the lock.
fn try_join(path: &Path) -> Option<File> {
    let file = open_or_create(path).ok()?;
    file.try_lock_shared().ok()?;
    is_named(&file, path).then_some(file)
}

/// Whether the path still refers to this file.
fn is_named(file: &File, path: &Path) -> bool {
    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let (own, named) = (file.metadata().map(id), std::fs::symlink_metadata(path).map(id));
    own.is_ok_and(|own| named.is_ok_and(|named| own == named))
}

/// Removes the ledger and the file of its users if that file can be locked exclusively.
fn remove(lock: &File, ledger: &Path, now: Moment) {
    // In the meantime other processes may have used the ledger and left, or removed it and created a new one.
    let users = beside(ledger);
    if lock.try_lock().is_ok() && is_named(lock, &users) && unused_from(ledger, now).is_some_and(|from| from <= now) {
        // A file that cannot be removed stays for a later user.
        let _stays = std::fs::remove_file(ledger);
        let _stays = std::fs::remove_file(users);
    }
}

fn remove_unused(own: &Path, own_users: &Path) {
    let now = SystemClock::start().now();
    let Some(files) = own.parent().and_then(|folder| std::fs::read_dir(folder).ok()) else {
        return;
    };
    for path in files.flatten().map(|file| file.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path != own_users
            && name.starts_with("imbulk-")
            && let Some(ledger) = name.strip_suffix(SUFFIX)
            && let Ok(lock) = open_or_create(&path)
        {
            remove(&lock, &path.with_file_name(ledger), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::rate_limiter::{Limiter, LimiterSettings};

    fn limiter(ledger: &Path) -> Limiter {
        let cap = NonZeroU32::new(5).expect("not zero").try_into().expect("low enough");
        let call_timeout = Duration::from_secs(5);
        Limiter::open(&LimiterSettings {
            ledger: ledger.to_owned(),
            app_cap: cap,
            calls_per_day: Vec::new(),
            call_timeout,
        })
        .expect("a ledger")
    }

    async fn call(ledger: &Path) {
        let limiter = limiter(ledger);
        let cap = NonZeroU32::new(5).expect("not zero").try_into().expect("low enough");
        let command = limiter.command("friend_delete", cap).expect("a section");
        command.acquire().await.expect("free").answered(Duration::ZERO);
    }

    fn files(folder: &tempfile::TempDir) -> usize {
        std::fs::read_dir(folder.path()).expect("a folder").count()
    }

    #[tokio::test]
    async fn the_last_user_removes_the_ledger_once_its_slots_are_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = folder.path().join("imbulk-1.slots");
        let (first, second) = (LedgerUser::join(&ledger), LedgerUser::join(&ledger));
        call(&ledger).await;
        let answered = Instant::now();
        first.leave().await;
        assert_eq!(files(&folder), 2, "another uses it");
        second.leave().await;
        assert!(answered.elapsed() >= Duration::from_millis(900), "{:?}", answered.elapsed());
        assert_eq!(files(&folder), 0);
    }

    #[tokio::test]
    async fn the_next_user_removes_the_files_of_a_killed_process_and_keeps_files_in_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        drop((LedgerUser::join(&place("imbulk-1.slots")), limiter(&place("imbulk-1.slots"))));
        let (used, _open) = (LedgerUser::join(&place("imbulk-2.slots")), limiter(&place("imbulk-2.slots")));
        let own = LedgerUser::join(&place("imbulk-3.slots"));
        assert!(!place("imbulk-1.slots").exists() && !place("imbulk-1.slots.users").exists());
        assert!(place("imbulk-2.slots").exists());
        own.leave().await;
        used.leave().await;
    }

    #[tokio::test]
    async fn a_user_of_a_removed_ledger_does_not_remove_its_successor() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = folder.path().join("imbulk-1.slots");
        let first = LedgerUser::join(&ledger);
        let found = File::open(beside(&ledger)).expect("the file of its users");
        let _gone = limiter(&ledger);
        first.leave().await;
        assert_eq!(files(&folder), 0);
        let (second, _open) = (LedgerUser::join(&ledger), limiter(&ledger));
        remove(&found, &ledger, SystemClock::start().now());
        assert_eq!(files(&folder), 2, "it is in use");
        second.leave().await;
    }

    #[tokio::test]
    async fn a_ledger_whose_calls_may_still_wait_at_the_server_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = folder.path().join("imbulk-1.slots");
        let user = LedgerUser::join(&ledger);
        let cap = NonZeroU32::new(5).expect("not zero").try_into().expect("low enough");
        let command = limiter(&ledger).command("friend_delete", cap).expect("a section");
        command.acquire().await.expect("free").unanswered();
        user.leave().await;
        assert_eq!(files(&folder), 2);
    }
}

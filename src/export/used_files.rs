//! Files that an export must not overwrite: those that imbulk uses, under any of their names.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ExportError;
use crate::queue::{Reader, resolve};

/// Files of SQLite beside a database, and the lock of earlier versions of imbulk.
const BESIDE: [(&str, &str); 4] = [
    ("-wal", "the WAL of the queue"),
    ("-shm", "an index of the queue"),
    ("-journal", "a journal of the queue"),
    (".lock", "a lock of the queue"),
];

/// The first bytes of files that imbulk writes for itself.
const BEGINNINGS: [(&[u8], &str); 5] = [
    (b"SQLite format 3\0", "a database, such as a queue"),
    (&[0x37, 0x7F, 0x06, 0x82], "the log of a database"),
    (&[0x37, 0x7F, 0x06, 0x83], "the log of a database"),
    (&[0xD9, 0xD5, 0x05, 0xF9, 0x20, 0xA1, 0x63, 0xD7], "the journal of a database"),
    (b"imbulk slots", "a ledger of calls"),
];

/// Refuses an output that is a file of the queue, a ledger, the secret key, or an input, job file or protected list
/// of a run.
pub async fn refuse_used_file(
    output: &Path,
    reader: &Reader,
    mut keys: impl Iterator<Item = &Path>,
) -> Result<(), ExportError> {
    let target = resolve(output);
    let what = match keys.find(|key| is_same(&target, key)) {
        Some(_) => Some("the file with the secret key".to_owned()),
        None => used_file(&target, reader).await?,
    };
    match what {
        Some(what) => Err(ExportError::UsedFile { path: output.to_owned(), what }),
        None => Ok(()),
    }
}

async fn used_file(target: &Path, reader: &Reader) -> Result<Option<String>, ExportError> {
    match queue_file(target, reader.path()) {
        Some(what) => Ok(Some(what.to_owned())),
        None => Ok(file_of_a_run(target, reader).await?.or_else(|| own_file(target).map(ToOwned::to_owned))),
    }
}

fn queue_file(target: &Path, queue: &Path) -> Option<&'static str> {
    if is_same(target, queue) {
        return Some("the queue");
    }
    BESIDE.iter().find(|(ending, _)| is_same(target, &with_ending(queue, ending))).map(|(_, what)| *what)
}

async fn file_of_a_run(target: &Path, reader: &Reader) -> Result<Option<String>, ExportError> {
    for run in reader.runs().await?.iter().rev() {
        if let Some(used) = run.files().iter().find(|used| is_same(target, &used.path)) {
            return Ok(Some(format!("{} of the job `{}`", used.kind.words(), run.job)));
        }
    }
    Ok(None)
}

/// A file of another queue, or a ledger, recognised by its first bytes or by its name.
fn own_file(target: &Path) -> Option<&'static str> {
    let begins = beginning(target);
    if let Some((_, what)) = BEGINNINGS.iter().find(|(beginning, _)| begins.starts_with(beginning)) {
        return Some(what);
    }
    let name = target.file_name()?.to_string_lossy();
    if name.starts_with("imbulk-") && name.ends_with(".slots") {
        return Some("a ledger of calls");
    }
    let (ending, what) = BESIDE.iter().find(|(ending, _)| name.ends_with(ending))?;
    let database = target.with_file_name(name.strip_suffix(ending)?);
    beginning(&database).starts_with(BEGINNINGS[0].0).then_some(what)
}

fn beginning(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Reading a pipe would wait for its writer. An unreadable file is reported when it is written.
    if path.is_file()
        && let Ok(file) = File::open(path)
    {
        let _unreadable = file.take(16).read_to_end(&mut bytes);
    }
    bytes
}

/// Whether two paths are the same file; if one does not exist yet, whether they are the same path.
fn is_same(one: &Path, other: &Path) -> bool {
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => one == resolve(other),
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_queues_and_ledgers_are_known_by_their_beginning_or_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("other.db"), b"SQLite format 3\0 and more").unwrap();
        std::fs::write(path("copy.csv"), [0x37, 0x7F, 0x06, 0x82, 0, 0]).unwrap();
        std::fs::write(path("slots.csv"), b"imbulk slots v9\n").unwrap();
        std::fs::write(path("old.csv"), b"source,line,UserID\n").unwrap();
        for name in
            ["other.db", "other.db-wal", "other.db-shm", "other.db-journal", "copy.csv", "slots.csv", "imbulk-1.slots"]
        {
            assert!(own_file(&path(name)).is_some(), "{name}");
        }
        for name in ["old.csv", "old.csv-wal", "new.csv", "new.db-wal"] {
            assert_eq!(own_file(&path(name)), None, "{name}");
        }
    }

    #[test]
    fn one_file_is_known_under_all_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = resolve(folder.path());
        let queue = root.join("q.db");
        std::fs::write(&queue, "x").unwrap();
        std::fs::hard_link(&queue, root.join("hard")).unwrap();
        std::os::unix::fs::symlink("q.db-wal", root.join("soft")).unwrap();
        assert_eq!(queue_file(&resolve(&root.join("hard")), &queue), Some("the queue"));
        assert_eq!(queue_file(&resolve(&root.join("soft")), &queue), Some("the WAL of the queue"));
        assert_eq!(queue_file(&resolve(&root.join("q.db-journal")), &queue), Some("a journal of the queue"));
        assert_eq!(queue_file(&resolve(&root.join("r.csv")), &queue), None);
    }
}

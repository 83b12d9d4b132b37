//! The identity of a queue's file. One file may have several names, and another file may take its name while it is in
//! use. Outcomes would then be written to a file that no other process finds under that name.

use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::{ConnectOptions, Connection};

use crate::queue::error::{Loss, QueueError};
use crate::queue::path::beside;
use crate::queue::sqlite::connection::file;
use crate::queue::sqlite::error::open_error;

/// Device and inode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct FileId(u64, u64);

impl FileId {
    pub(in crate::queue) fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

/// The file of a queue that is in use, and the files that SQLite keeps beside it.
#[derive(Debug, Clone)]
pub struct Identity {
    path: PathBuf,
    file: Arc<File>,
    id: FileId,
    beside: Vec<(PathBuf, FileId)>,
    /// Its size at the last check. It never becomes shorter while it has a WAL.
    size_at_last_check: u64,
    /// The random number in its header, which no change of the queue touches.
    number: Option<[u8; 4]>,
}

impl Identity {
    pub(in crate::queue) fn of(path: &Path, file: Arc<File>) -> Result<Self, QueueError> {
        let metadata = file.metadata().map_err(|source| QueueError::Unusable { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            id: FileId::of(&metadata),
            beside: Vec::new(),
            size_at_last_check: 0,
            number: None,
        })
    }

    /// Its path, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts to watch the WAL and its index as well. SQLite creates them with the first read and keeps them for as
    /// long as the queue has an owner.
    pub(in crate::queue) fn watch_wal(&mut self) {
        let wals = ["-wal", "-shm"].map(|ending| beside(&self.path, ending));
        self.beside = wals.into_iter().filter_map(|wal| FileId::at(&wal).map(|id| (wal, id))).collect();
        self.size_at_last_check = self.file.metadata().map_or(0, |metadata| metadata.len());
        self.number = self.read_number();
    }

    /// Fails if the path no longer leads to the file of the queue. Takes some microseconds.
    pub fn check(&mut self) -> Result<(), QueueError> {
        match self.loss() {
            Some(loss) => Err(QueueError::Lost { path: self.path.clone(), loss }),
            None => Ok(()),
        }
    }

    /// Reads the number that SQLite calls the user version.
    fn read_number(&self) -> Option<[u8; 4]> {
        /// <https://www.sqlite.org/fileformat2.html#the_database_header>
        const USER_VERSION: u64 = 60;
        let mut number = [0; 4];
        self.file.read_exact_at(&mut number, USER_VERSION).ok().map(|()| number)
    }

    /// What happened to the file, if the path no longer leads to it.
    pub fn loss(&mut self) -> Option<Loss> {
        let own = self.file.metadata().ok()?;
        let named = FileId::at(&self.path);
        if named != Some(self.id) {
            return Some(match (own.nlink(), named) {
                (0, None) => Loss::Removed,
                (0, Some(_)) => Loss::Replaced,
                (_, _) => Loss::Moved,
            });
        }
        if own.len() < self.size_at_last_check || self.number.is_some_and(|number| self.read_number() != Some(number)) {
            return Some(Loss::Overwritten);
        }
        if !self.beside.is_empty() {
            self.size_at_last_check = own.len();
        }
        let lost = self.beside.iter().find(|(path, id)| FileId::at(path) != Some(*id));
        lost.map(|(path, _)| Loss::Companion(path.clone()))
    }
}

/// The name under which a file with several names (hard links) is used. SQLite's WAL is beside that name, and a queue
/// that is opened under another name would lack what the WAL contains.
pub(in crate::queue) async fn own_name(path: PathBuf) -> Result<PathBuf, QueueError> {
    let linked = std::fs::metadata(&path).is_ok_and(|metadata| metadata.nlink() > 1 && metadata.len() > 0);
    if !linked {
        return Ok(path);
    }
    let stored = last_name(&path).await?;
    match stored {
        Some(name) if name == path => Ok(path),
        Some(name) if FileId::at(&name).is_some() && FileId::at(&name) == FileId::at(&path) => Ok(name),
        None => Ok(path),
        Some(_) if beside(&path, "-wal").exists() => Ok(path),
        Some(_) => Err(QueueError::Linked(path)),
    }
}

/// The name under which the queue was last used. Reads only the file, since SQLite would create an empty WAL beside
/// another name.
async fn last_name(path: &Path) -> Result<Option<PathBuf>, QueueError> {
    let fail = open_error(path);
    let mut connection = file(path).read_only(true).immutable(true).connect().await.map_err(&fail)?;
    let stored = async {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'queue_file'";
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut connection).await?;
        if tables == 0 {
            return Ok(None);
        }
        sqlx::query_scalar("SELECT path FROM queue_file").fetch_optional(&mut connection).await
    };
    let stored: Option<Vec<u8>> = stored.await.map_err(&fail)?;
    connection.close().await.map_err(fail)?;
    Ok(stored.map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))))
}

/// Stores the name in the file, for [`own_name`].
pub(in crate::queue) async fn store_name(
    connection: &mut sqlx::SqliteConnection,
    path: &Path,
) -> Result<(), sqlx::Error> {
    let bytes = path.as_os_str().as_bytes();
    let stored: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT path FROM queue_file").fetch_optional(&mut *connection).await?;
    if stored.as_deref() == Some(bytes) {
        return Ok(());
    }
    let note = "INSERT INTO queue_file (id, path) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET path = excluded.path";
    sqlx::query(note).bind(bytes).execute(&mut *connection).await?;
    // `own_name` reads the file without its WAL. If a reader prevents the copying, the old name is refused for a while.
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_to_a_file_that_lost_its_name_is_recognised() {
        type Action = fn(&Path, &Path);
        let cases: [(Action, Loss); 6] = [
            (|file, _| std::fs::remove_file(file).unwrap(), Loss::Removed),
            (|file, other| std::fs::rename(file, other).unwrap(), Loss::Moved),
            (
                |file, other| {
                    std::fs::rename(file, other).unwrap();
                    std::fs::write(file, "another").unwrap();
                },
                Loss::Moved,
            ),
            (
                |file, other| {
                    std::fs::write(other, "another").unwrap();
                    std::fs::rename(other, file).unwrap();
                },
                Loss::Replaced,
            ),
            (|file, _| std::fs::write(file, "an").unwrap(), Loss::Overwritten),
            (|file, _| std::fs::write(file, "another".repeat(99)).unwrap(), Loss::Overwritten),
        ];
        for (action, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let [file, wal, other] = ["q.db", "q.db-wal", "other"].map(|name| folder.path().join(name));
            std::fs::write(&file, "the queue".repeat(9)).unwrap();
            std::fs::write(&wal, "its WAL").unwrap();
            let mut identity = Identity::of(&file, Arc::new(File::open(&file).unwrap())).unwrap();
            identity.watch_wal();
            assert_eq!(identity.loss(), None);
            action(&file, &other);
            assert_eq!(identity.loss(), Some(expected));
        }
    }

    #[test]
    fn the_wal_is_named_if_it_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let [file, wal, shm] = ["q.db", "q.db-wal", "q.db-shm"].map(|name| folder.path().join(name));
        [&file, &wal, &shm].iter().for_each(|path| std::fs::write(path, "x").unwrap());
        let mut identity = Identity::of(&file, Arc::new(File::open(&file).unwrap())).unwrap();
        identity.watch_wal();
        std::fs::rename(&wal, folder.path().join("kept")).unwrap();
        assert_eq!(identity.loss(), Some(Loss::Companion(wal.clone())));
        std::fs::copy(folder.path().join("kept"), &wal).unwrap();
        assert_eq!(identity.loss(), Some(Loss::Companion(wal)));
    }
}

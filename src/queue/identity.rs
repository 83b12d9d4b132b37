//! Which file a queue is. A name may be a link, one file may have several names, and while it is in use another file may
//! take its name: then whatever is recorded goes to a file that no other process finds under that name.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::{ConnectOptions, Connection};

use super::{QueueError, beside, failing, file};
use crate::domain::hint::Hint;

/// As path_resolution(7) has it.
const MAX_LINKS: u32 = 40;

/// Device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

/// What became of a queue that is in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It has no name any more.
    #[error("the queue was removed while it was in use")]
    Removed,
    /// Nothing, or another file, has its name; it has another one.
    #[error("the queue was moved away while it was in use")]
    Moved,
    /// Another file has its name, and it has none.
    #[error("the queue was replaced by another file while it was in use")]
    Replaced,
    /// It has become shorter.
    #[error("the queue was overwritten while it was in use")]
    Overwritten,
    /// SQLite's file with this name beside it is another one, or none.
    #[error("the file {} of the queue was moved, removed or replaced while it was in use", .0.display())]
    Log(PathBuf),
}

impl Hint for Loss {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Moved => {
                "the outcomes are in the moved file and its -wal: move both back together, then run again; rows without an \
                 outcome there are sent again"
            }
            Self::Removed | Self::Replaced | Self::Overwritten => {
                "the outcomes are gone with the file: put back a copy, or run the same input with a new queue; accounts and \
                 friends that are gone are then `already_done`"
            }
            Self::Log(_) => {
                "the latest outcomes are in that file: put it back, then run again; without it they are gone, and their \
                 rows are sent again"
            }
        };
        Some(hint.into())
    }
}

/// The file of a queue that is in use, and those that SQLite keeps beside it.
#[derive(Debug, Clone)]
pub struct Identity {
    path: PathBuf,
    file: Arc<File>,
    id: FileId,
    beside: Vec<(PathBuf, FileId)>,
    /// It never becomes shorter while it has a log.
    shortest: u64,
    /// The number by chance in its header, which no change of it touches.
    number: Option<[u8; 4]>,
}

impl Identity {
    pub(super) fn of(path: &Path, file: Arc<File>) -> Result<Self, QueueError> {
        let metadata = file.metadata().map_err(|source| QueueError::Unusable { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            id: FileId::of(&metadata),
            beside: Vec::new(),
            shortest: 0,
            number: None,
        })
    }

    /// Its name, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// From now on the log and its index are watched, too. SQLite makes them with the first read, and keeps them for as
    /// long as the queue is owned.
    pub(super) fn watch_log(&mut self) {
        let logs = ["-wal", "-shm"].map(|ending| beside(&self.path, ending));
        self.beside = logs.into_iter().filter_map(|log| FileId::at(&log).map(|id| (log, id))).collect();
        self.shortest = self.file.metadata().map_or(0, |metadata| metadata.len());
        self.number = self.read_number();
    }

    /// Fails if the queue is not the file with its name any more. Takes some microseconds.
    pub fn check(&mut self) -> Result<(), QueueError> {
        match self.loss() {
            Some(loss) => Err(QueueError::Lost { path: self.path.clone(), loss }),
            None => Ok(()),
        }
    }

    /// What SQLite calls the user version.
    fn read_number(&self) -> Option<[u8; 4]> {
        /// <https://www.sqlite.org/fileformat2.html#the_database_header>
        const USER_VERSION: u64 = 60;
        let mut number = [0; 4];
        self.file.read_exact_at(&mut number, USER_VERSION).ok().map(|()| number)
    }

    /// What became of the queue, if it is not the file with its name any more.
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
        if own.len() < self.shortest || self.number.is_some_and(|number| self.read_number() != Some(number)) {
            return Some(Loss::Overwritten);
        }
        if !self.beside.is_empty() {
            self.shortest = own.len();
        }
        let lost = self.beside.iter().find(|(path, id)| FileId::at(path) != Some(*id));
        lost.map(|(path, _)| Loss::Log(path.clone()))
    }
}

/// The absolute name without links, also where the file is still to be made: SQLite names its log after the name by which
/// it opens the file.
pub fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = path.read_link() else { break };
        path = folder_of(&path).join(target);
    }
    let named = |folder: PathBuf| Some(folder.join(path.file_name()?));
    let resolved = path.canonicalize().ok().or_else(|| folder_of(&path).canonicalize().ok().and_then(named));
    // The folder is missing: opening the file reports it.
    let resolved = resolved.or_else(|| std::path::absolute(&path).ok());
    // SQLite's library takes no name that is not UTF-8, but one below the current folder whatever that is called.
    resolved.filter(|path| path.to_str().is_some()).unwrap_or(path)
}

/// The folder that a file is in.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Of the names of a file that has several (hard links), the one under which it is used: SQLite's log is beside that
/// one, and under another name what is in the log would be missing.
pub(super) async fn own_name(path: PathBuf) -> Result<PathBuf, QueueError> {
    let linked = std::fs::metadata(&path).is_ok_and(|metadata| metadata.nlink() > 1 && metadata.len() > 0);
    if !linked {
        return Ok(path);
    }
    let noted = noted_name(&path).await?;
    match noted {
        Some(name) if name == path => Ok(path),
        Some(name) if FileId::at(&name).is_some() && FileId::at(&name) == FileId::at(&path) => Ok(name),
        None => Ok(path),
        Some(_) if beside(&path, "-wal").exists() => Ok(path),
        Some(_) => Err(QueueError::Linked(path)),
    }
}

/// Reads the file alone: with a log of another name SQLite would make an empty one.
async fn noted_name(path: &Path) -> Result<Option<PathBuf>, QueueError> {
    let fail = failing(path);
    let mut connection = file(path).read_only(true).immutable(true).connect().await.map_err(&fail)?;
    let noted = async {
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'queue_file'";
        let tables: i64 = sqlx::query_scalar(tables).fetch_one(&mut connection).await?;
        if tables == 0 {
            return Ok(None);
        }
        sqlx::query_scalar("SELECT path FROM queue_file").fetch_optional(&mut connection).await
    };
    let noted: Option<Vec<u8>> = noted.await.map_err(&fail)?;
    connection.close().await.map_err(fail)?;
    Ok(noted.map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))))
}

/// Notes the name in the file, for [`own_name`].
pub(super) async fn note_name(connection: &mut sqlx::SqliteConnection, path: &Path) -> Result<(), sqlx::Error> {
    let bytes = path.as_os_str().as_bytes();
    let noted: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT path FROM queue_file").fetch_optional(&mut *connection).await?;
    if noted.as_deref() == Some(bytes) {
        return Ok(());
    }
    let note = "INSERT INTO queue_file (id, path) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET path = excluded.path";
    sqlx::query(note).bind(bytes).execute(&mut *connection).await?;
    // Into the file itself, where it is looked for. A reader may be in the way; then the old name is refused for a while.
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_also_to_files_that_are_still_to_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.join("folder")).unwrap();
        std::os::unix::fs::symlink("folder/q.db", root.join("first.db")).unwrap();
        std::os::unix::fs::symlink("first.db", root.join("second.db")).unwrap();
        for name in ["real/q.db", "folder/q.db", "first.db", "second.db", "folder/../second.db"] {
            assert_eq!(resolve(&root.join(name)), root.join("real/q.db"), "{name}");
        }
        std::fs::write(root.join("real/q.db"), "").unwrap();
        assert_eq!(resolve(&root.join("second.db")), root.join("real/q.db"));
        assert_eq!(resolve(&root.join("no/such/q.db")), root.join("no/such/q.db"));
    }

    #[test]
    fn a_file_that_loses_its_name_is_told_apart_by_what_became_of_it() {
        type FailPoint = fn(&Path, &Path);
        let cases: [(FailPoint, Loss); 6] = [
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
        for (deed, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            let [file, wal, other] = ["q.db", "q.db-wal", "other"].map(|name| folder.path().join(name));
            std::fs::write(&file, "the queue".repeat(9)).unwrap();
            std::fs::write(&wal, "its log").unwrap();
            let mut identity = Identity::of(&file, Arc::new(File::open(&file).unwrap())).unwrap();
            identity.watch_log();
            assert_eq!(identity.loss(), None);
            deed(&file, &other);
            assert_eq!(identity.loss(), Some(expected));
        }
    }

    #[test]
    fn a_log_that_is_another_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let [file, wal, shm] = ["q.db", "q.db-wal", "q.db-shm"].map(|name| folder.path().join(name));
        [&file, &wal, &shm].iter().for_each(|path| std::fs::write(path, "x").unwrap());
        let mut identity = Identity::of(&file, Arc::new(File::open(&file).unwrap())).unwrap();
        identity.watch_log();
        std::fs::rename(&wal, folder.path().join("kept")).unwrap();
        assert_eq!(identity.loss(), Some(Loss::Log(wal.clone())));
        std::fs::copy(folder.path().join("kept"), &wal).unwrap();
        assert_eq!(identity.loss(), Some(Loss::Log(wal)));
    }
}

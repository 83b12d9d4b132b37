//! A folder that is filled under another name, so that it appears as a whole or not at all.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::fail_point::{self, FailPoint};

/// The folder, until it gets its name. Only its owner can read it and its files.
#[derive(Debug)]
pub struct NewFolder {
    /// Its name in the end. Errors name it, because a temporary name is gone after an error.
    path: PathBuf,
    temporary: TempDir,
}

impl NewFolder {
    /// Makes the folder under another name beside `path`.
    pub fn beside(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), temporary: temporary(path)? })
    }

    /// Its name in the end.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new file of the folder.
    pub fn file(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.temporary.path().join(name))
    }

    /// Writes a new file of the folder to the disk.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.file(name)?;
        file.write_all(bytes).and_then(|()| file.sync_all())
    }

    /// Gives the folder its name. Fails if there is a folder with files: it is never replaced.
    pub fn place(self) -> io::Result<()> {
        self.place_with(|temporary, path| std::fs::rename(temporary, path))
    }

    /// Gives the folder its name. A folder with files is replaced, and removed afterwards.
    pub fn replace(self) -> io::Result<()> {
        self.place_with(|new, path| match std::fs::rename(new, path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                let earlier = temporary(path)?;
                std::fs::rename(path, earlier.path())?;
                std::fs::rename(new, path).or_else(|error| {
                    std::fs::rename(earlier.path(), path)?;
                    Err(error)
                })
            }
            other => other,
        })
    }

    fn place_with(self, rename: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        let Self { path, temporary } = self;
        sync(temporary.path())?;
        fail_point::before(FailPoint::PlaceFile);
        rename(temporary.path(), &path)?;
        // It is not there any more under its first name.
        drop(temporary.keep());
        fail_point::after(FailPoint::PlaceFile);
        sync(parent_of(&path))
    }
}

/// A folder with a name of its own beside `path`, on the same file system.
fn temporary(path: &Path) -> io::Result<TempDir> {
    let private = Permissions::from_mode(0o700);
    tempfile::Builder::new().prefix(".imbulk-").permissions(private).tempdir_in(parent_of(path))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all())
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

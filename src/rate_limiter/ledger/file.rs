//! Opens a ledger in a folder that other users may be able to write to.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Opens the file, and creates it if it is missing. It is opened without creation first, because Linux
/// (`fs.protected_regular`) forbids a call that could create the file if it belongs to another user and the folder is
/// like `/tmp`.
pub(in crate::rate_limiter) fn open_or_create(path: &Path) -> io::Result<File> {
    match open(path, OFlags::empty()) {
        Err(rustix::io::Errno::NOENT) => {}
        opened => return Ok(opened?),
    }
    match open(path, OFlags::CREATE | OFlags::EXCL) {
        Ok(file) => {
            // The umask may have removed permissions.
            file.set_permissions(Permissions::from_mode(0o666))?;
            Ok(file)
        }
        // Another process created the file in the meantime.
        Err(rustix::io::Errno::EXIST) => Ok(open(path, OFlags::empty())?),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn open(path: &Path, extra: OFlags) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags | extra, Mode::from_raw_mode(0o666)).map(File::from)
}

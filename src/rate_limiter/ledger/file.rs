//! How a ledger is opened, in a folder in which others may write, too.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// First without creating: Linux (`fs.protected_regular`) forbids to open another user's file in a folder like
/// `/tmp` by a call that could create it.
pub(in crate::rate_limiter) fn open_or_create(path: &Path) -> io::Result<File> {
    match open(path, OFlags::empty()) {
        Err(rustix::io::Errno::NOENT) => {}
        opened => return Ok(opened?),
    }
    match open(path, OFlags::CREATE | OFlags::EXCL) {
        Ok(file) => {
            // What the umask took away.
            file.set_permissions(Permissions::from_mode(0o666))?;
            Ok(file)
        }
        // Another process was quicker.
        Err(rustix::io::Errno::EXIST) => Ok(open(path, OFlags::empty())?),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn open(path: &Path, extra: OFlags) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags | extra, Mode::from_raw_mode(0o666)).map(File::from)
}

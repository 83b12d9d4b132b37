//! Writes a file as a whole or not at all.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ExportError;
use crate::fail_point::{self, FailPoint};
use crate::queue::folder_of;

/// Mode of a file that lists accounts: only the user can read it.
pub const PRIVATE: u32 = 0o600;
/// Mode of a file that other users read as well, whatever the umask is.
pub const READABLE: u32 = 0o644;

/// Makes a file of the bytes that `fill` writes. It appears as a whole, and a crash leaves the old file.
///
/// # Errors
/// Those of `fill`, and where the file can't be made. The old file then remains.
pub async fn atomic_file<T>(
    path: &Path,
    mode: u32,
    fill: impl AsyncFnOnce(&mut BufWriter<File>) -> Result<T, ExportError>,
) -> Result<T, ExportError> {
    let target = target(path)?;
    let fail = |source| ExportError::File { path: path.to_owned(), source };
    let folder = folder_of(&target);
    let made = tempfile::Builder::new().prefix(".imbulk-").tempfile_in(folder);
    let (handle, temporary) = made.map_err(fail)?.into_parts();
    handle.set_permissions(Permissions::from_mode(mode)).map_err(fail)?;
    let mut out = BufWriter::new(handle);
    let filled = fill(&mut out).await.map_err(|error| match error {
        ExportError::Output(source) => fail(source),
        of_the_queue => of_the_queue,
    })?;
    out.flush().map_err(fail)?;
    out.get_ref().sync_all().map_err(fail)?;
    fail_point::before(FailPoint::PlaceFile);
    temporary.persist(&target).map_err(|error| fail(error.error))?;
    fail_point::after(FailPoint::PlaceFile);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)?;
    Ok(filled)
}

/// Writes these bytes as a file that appears as a whole.
pub async fn write_file(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), ExportError> {
    atomic_file(path, mode, async |out: &mut BufWriter<File>| out.write_all(bytes).map_err(ExportError::Output)).await
}

/// The path of the file, with links followed. A device, a pipe or a folder is refused.
fn target(path: &Path) -> Result<PathBuf, ExportError> {
    let Ok(found) = path.canonicalize() else {
        return Ok(path.to_owned());
    };
    if found.is_file() { Ok(found) } else { Err(ExportError::NotAFile(path.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hint::Hint;

    #[tokio::test]
    async fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.csv");
        std::fs::write(&path, "old").unwrap();
        let failing = atomic_file(&path, PRIVATE, async |out: &mut BufWriter<File>| {
            out.write_all(b"half").map_err(ExportError::Output)?;
            out.flush().map_err(ExportError::Output)?;
            Err::<(), _>(ExportError::Output(std::io::Error::other("no more")))
        });
        assert!(failing.await.is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");

        let whole = atomic_file(&path, PRIVATE, async |out: &mut BufWriter<File>| {
            out.write_all(b"new").map_err(ExportError::Output)
        });
        whole.await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_device_is_never_replaced_and_a_missing_folder_is_named() {
        let fill = async |_: &mut BufWriter<File>| Ok(());
        let error = atomic_file(Path::new("/dev/null"), PRIVATE, fill).await.unwrap_err();
        assert!(matches!(error, ExportError::NotAFile(_)) && error.hint().is_some());
        let error = atomic_file(Path::new("/no/such/folder/r.csv"), PRIVATE, fill).await.unwrap_err();
        assert!(error.to_string().contains("/no/such/folder/r.csv") && error.hint().is_some(), "{error}");
    }
}

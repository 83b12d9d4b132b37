//! The digest of results that are written nowhere.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use super::{Division, ExportError, ExportOptions, Format, write};
use crate::queue::{Reader, Run};

/// The BLAKE3 digest of the results as `imbulk results` writes them as CSV, so that an exported file can be compared
/// with it later. Temporary data is in `folder`.
///
/// # Errors
/// If the queue cannot be read, or temporary data beside it cannot be written.
pub async fn results_digest(reader: &Reader, run: &Run, folder: &Path) -> Result<String, ExportError> {
    let mut hasher = ResultsHasher(blake3::Hasher::new());
    let options =
        ExportOptions { format: Format::Csv, only: None, division: Division::None, rows: &AtomicU64::new(0), folder };
    write(reader, run, options, None, std::slice::from_mut(&mut hasher)).await?;
    Ok(hasher.0.finalize().to_hex().to_string())
}

/// Takes results and keeps only their digest.
struct ResultsHasher(blake3::Hasher);

impl Write for ResultsHasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

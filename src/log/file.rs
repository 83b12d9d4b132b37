//! The file of `--log-file`.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::OFlags;
use tracing_subscriber::fmt::MakeWriter;

use crate::domain::hint::Hint;
use crate::line_writer::LineWriter;
use crate::stderr::tell;

/// The log file of this process, once it is open.
static FILE: OnceLock<LogFile> = OnceLock::new();

/// An open log file. Whole lines are appended, also if several processes share the file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    lines: LineWriter,
}

/// The log file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("--log-file {}: {source}", path.display())]
pub struct LogFileError {
    path: PathBuf,
    source: std::io::Error,
}

impl Hint for LogFileError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self.source.kind() {
            ErrorKind::NotFound => "create its folder, or name a file in a folder that exists",
            ErrorKind::IsADirectory => "name a file in this folder",
            ErrorKind::PermissionDenied => "name a file that this user may write",
            _other => "name another file",
        };
        Some(hint.into())
    }
}

impl LogFile {
    /// Opens the file of this process, and creates it if it does not exist: only its owner may read it.
    pub(super) fn open(path: PathBuf) -> Result<&'static Self, LogFileError> {
        match open(&path) {
            Ok(mut file) => {
                let opened = FILE.get_or_init(|| Self { path, lines: LineWriter::default() });
                // Where no thread can be made, all lines are dropped and counted.
                let _dropped = std::thread::Builder::new()
                    .name("log file".to_owned())
                    .spawn(move || opened.lines.write_to(&mut file));
                Ok(opened)
            }
            Err(source) => Err(LogFileError { path, source }),
        }
    }
}

/// Does not wait for the reader of a named pipe, neither now nor at a write.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)
}

/// Waits until the file has all lines, unless it is blocked. Says how many lines were dropped.
pub(super) fn finish() {
    let Some(file) = FILE.get() else { return };
    file.lines.drain();
    let dropped = file.lines.dropped();
    if dropped > 0 {
        tell(format!("{}: {dropped} lines of the log could not be written and were dropped", file.path.display()));
    }
}

impl<'w> MakeWriter<'w> for &'static LogFile {
    type Writer = LineOfFile;

    fn make_writer(&'w self) -> Self::Writer {
        LineOfFile(&self.lines)
    }
}

/// Each write is a whole line.
#[derive(Debug)]
pub(super) struct LineOfFile(&'static LineWriter);

impl Write for LineOfFile {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.push_log(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

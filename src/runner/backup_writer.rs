//! Backup files: each part is on disk before the change that it is read for.

use std::borrow::Cow;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::clock;
use crate::domain::backup::{BackupEnd, BackupFileLine, BackupHeader, BackupLine, BackupPart};
use crate::domain::hint::Hint;
use crate::domain::ids::RunId;
use crate::fail_point::{self, FailPoint};

/// A good compression that takes little time.
const COMPRESSION_LEVEL: i32 = 3;

/// A backup cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: the backup cannot be written: {source}", place(named_by.as_ref(), path))]
pub struct BackupError {
    /// The line of the job file, if the folder was checked before the run.
    named_by: Option<LineOfJob>,
    path: PathBuf,
    source: io::Error,
}

/// The line of a job file that names the folder.
#[derive(Debug)]
struct LineOfJob {
    file: PathBuf,
    line: usize,
}

/// The line of the job file, if there is one, and the path.
fn place(named_by: Option<&LineOfJob>, path: &Path) -> String {
    let line = named_by.map(|LineOfJob { file, line }| format!("{}:{line}: backup.path: ", file.display()));
    format!("{}{}", line.unwrap_or_default(), path.display())
}

impl BackupError {
    fn during_run(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { named_by: None, path, source }
    }

    /// The file on the disk that is full, if that is the cause.
    pub fn full_disk(&self) -> Option<&Path> {
        (self.source.kind() == io::ErrorKind::StorageFull).then_some(&self.path)
    }
}

impl Hint for BackupError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match (self.full_disk(), &self.named_by) {
            (Some(_), Some(_)) => "free disk space, or name a folder on another disk",
            (None, Some(_)) => "name a folder that can be written, or one that can be created",
            (Some(_), None) => {
                "nothing was changed without its backup: free disk space or change `backup.path`, then run again"
            }
            (None, None) => {
                "nothing was changed without its backup: name a folder in `backup.path` that can be written, then run \
                 again"
            }
        };
        Some(hint.into())
    }
}

/// Whether a backup can be written below a folder that exists or will be created. The folder is named in this line of
/// the job file.
///
/// # Errors
/// It is no folder, or no file can be created in it.
pub fn check_folder(folder: &Path, job_file: &Path, line: usize) -> Result<(), BackupError> {
    let named_by = || Some(LineOfJob { file: job_file.to_owned(), line });
    let failed = |source| BackupError { named_by: named_by(), path: folder.to_owned(), source };
    let absolute = std::path::absolute(folder).map_err(failed)?;
    let existing = absolute.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(&absolute);
    tempfile::tempfile_in(existing).map(drop).map_err(failed)
}

/// Writes the backup of a run in this session. The file is created with its first part.
#[derive(Debug)]
pub struct BackupWriter {
    run: RunId,
    folder: PathBuf,
    header: BackupHeader,
    open: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
    bytes: u64,
    lines: u64,
    hash: blake3::Hasher,
}

impl BackupWriter {
    /// Creates the folder, so that a session without a usable one sends nothing.
    pub fn new(run: RunId, folder: &Path, header: BackupHeader) -> Result<Self, BackupError> {
        let failed = BackupError::during_run(folder);
        // The names of the files are those of jobs and runs, and the files hold personal data.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        Ok(Self { run, folder: folder.to_owned(), header, open: None })
    }

    /// The run whose backup it is.
    pub(super) fn run(&self) -> RunId {
        self.run
    }

    /// Appends lines. When it returns, they are on disk.
    pub(super) fn append(&mut self, lines: &[BackupLine]) -> Result<BackupPart, BackupError> {
        let (mut open, mut text) = match self.open.take() {
            Some(open) => (open, Vec::new()),
            None => {
                let mut text = Vec::new();
                push(&mut text, &BackupFileLine::Header(self.header.clone()));
                (self.create()?, text)
            }
        };
        lines.iter().for_each(|line| push(&mut text, line));
        fail_point::before(FailPoint::WriteBackup);
        let written = open.write(&text);
        fail_point::after(FailPoint::WriteBackup);
        let (first_byte, frame) = written.map_err(BackupError::during_run(&open.path))?;
        let part = BackupPart {
            run: self.run,
            file: open.path.display().to_string(),
            first_byte,
            bytes: frame.len() as u64,
            lines: lines.len() as u64,
            blake3: blake3::hash(&frame).to_hex().to_string(),
        };
        self.open = Some(open);
        Ok(part)
    }

    /// Writes the end line, if there is a file.
    pub(super) fn finish(&mut self) -> Result<(), BackupError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let mut text = Vec::new();
        let blake3 = open.hash.finalize().to_hex().to_string();
        push(&mut text, &BackupFileLine::End(BackupEnd { lines: open.lines, blake3 }));
        open.write(&text).map(drop).map_err(BackupError::during_run(&open.path))
    }

    fn create(&self) -> Result<OpenFile, BackupError> {
        let BackupHeader { job, run, .. } = &self.header;
        let began = clock::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut number = 1;
        loop {
            let suffix = if number == 1 { String::new() } else { format!("-{number}") };
            let path = self.folder.join(format!("{job}-{run}-{began}{suffix}.jsonl.zst"));
            match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => {
                    // The name of the file must survive a power cut as well.
                    let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
                    synced.map_err(BackupError::during_run(&path))?;
                    return Ok(OpenFile { file, path, bytes: 0, lines: 0, hash: blake3::Hasher::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(source) => return Err(BackupError::during_run(&path)(source)),
            }
        }
    }
}

impl OpenFile {
    /// Appends a frame with these lines. Returns where it begins, and its bytes.
    fn write(&mut self, text: &[u8]) -> io::Result<(u64, Vec<u8>)> {
        let mut encoder = zstd::Encoder::new(Vec::new(), COMPRESSION_LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.write_all(text)?;
        let frame = encoder.finish()?;
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        let first_byte = self.bytes;
        self.bytes += frame.len() as u64;
        self.lines += text.split_inclusive(|byte| *byte == b'\n').count() as u64;
        self.hash.update(text);
        Ok((first_byte, frame))
    }
}

fn push(text: &mut Vec<u8>, line: &impl Serialize) {
    // A line that is missing would be a change without its backup.
    text.extend(serde_json::to_vec(line).expect("texts, numbers and lists under text keys"));
    text.push(b'\n');
}

//! The temporary file for blocks of rows that do not fit in memory. It has no name and ends with the process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::IntakeError;

/// One file for all parts, created for the first block.
#[derive(Debug)]
pub(super) struct SpillFile<'a> {
    dir: &'a Path,
    file: Option<File>,
    end: u64,
    buffer: Vec<u8>,
}

/// The place of a block in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    at: u64,
    length: usize,
}

impl<'a> SpillFile<'a> {
    pub(super) fn new(dir: &'a Path) -> Self {
        Self { dir, file: None, end: 0, buffer: Vec::new() }
    }

    pub(super) fn dir(&self) -> &'a Path {
        self.dir
    }

    pub(super) fn is_used(&self) -> bool {
        self.file.is_some()
    }

    /// Appends a block.
    pub(super) fn write(&mut self, block: &[u8]) -> Result<Extent, IntakeError> {
        let failed = |verb| failed(self.dir, verb);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(self.dir).map_err(failed("create"))?),
        };
        file.write_all_at(block, self.end).map_err(failed("write"))?;
        let extent = Extent { at: self.end, length: block.len() };
        self.end += block.len() as u64;
        Ok(extent)
    }

    /// Reads a block.
    pub(super) fn read(&mut self, extent: Extent) -> Result<&[u8], IntakeError> {
        self.buffer.resize(extent.length, 0);
        if let Some(file) = &mut self.file {
            file.read_exact_at(&mut self.buffer, extent.at).map_err(failed(self.dir, "read"))?;
        }
        Ok(&self.buffer)
    }
}

fn failed(dir: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> IntakeError {
    move |error| IntakeError::Temp { dir: dir.to_owned(), verb, error }
}

//! The file through which `imbulk ctl` controls runs: one JSON line per instruction, beside the queue.
//!
//! It is no table of the queue: a process that loads or sends holds the write lock of SQLite nearly all the time, so
//! that a second writer would wait for minutes. Decision 0024 has the alternatives.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::path::beside;
use crate::domain::control::Instruction;

/// The most bytes that are read at once; what follows is read at the next look.
const MAX_READ_BYTES: u64 = 1 << 20;
/// A link is not followed, and another kind of file does not block.
const FLAGS: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();

/// The control file of a queue.
#[derive(Debug)]
pub struct ControlFile {
    queue: PathBuf,
    path: PathBuf,
    /// The file that was read, and up to which byte. It stays open, so that no other file gets its inode.
    read: Option<(File, u64)>,
}

/// An instruction in a control file.
#[derive(Debug)]
pub struct SentInstruction<'a> {
    file: &'a ControlFile,
    line: Vec<u8>,
    /// It stays open, so that no other file gets its inode.
    written_to: File,
}

impl ControlFile {
    /// The control file of the queue with this path, which is free of links.
    pub fn of(queue: &Path) -> Self {
        Self { queue: queue.to_owned(), path: beside(queue, "-control"), read: None }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an instruction. Creates the file with the permissions of the queue.
    pub fn send(&self, instruction: &Instruction) -> std::io::Result<SentInstruction<'_>> {
        // The first line feed ends a line that another process could not complete.
        let line = format!("\n{}\n", serde_json::to_string(instruction)?).into_bytes();
        let written_to = self.append(&line)?;
        Ok(SentInstruction { file: self, line, written_to })
    }

    fn append(&self, line: &[u8]) -> std::io::Result<File> {
        let queue = std::fs::metadata(&self.queue)?;
        let mut file = match self.open(OpenOptions::new().append(true)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let file = self.open(OpenOptions::new().append(true).create(true).mode(0o600))?;
                // As SQLite does with the files beside it: the users of the queue are those of this file.
                if file.metadata()?.gid() == queue.gid() || fchown(&file, None, Some(queue.gid())).is_ok() {
                    file.set_permissions(PermissionsExt::from_mode(queue.mode() & 0o666))?;
                }
                file
            }
            opened => opened?,
        };
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::new(ErrorKind::InvalidInput, "is not a file"));
        }
        file.write_all(line)?;
        Ok(file)
    }

    fn open(&self, options: &mut OpenOptions) -> std::io::Result<File> {
        options.custom_flags(FLAGS).open(&self.path)
    }

    /// The instructions that were appended since the last call. Lines that are no instructions are skipped.
    pub fn read_new(&mut self) -> std::io::Result<Vec<Instruction>> {
        let found = match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.read = None;
                return Ok(Vec::new());
            }
            found => found?,
        };
        let (mut file, from) = match self.read.take() {
            Some((file, up_to)) if is_same(&file, &found) => (file, up_to),
            Some(_) | None => (self.open(OpenOptions::new().read(true))?, 0),
        };
        let (instructions, up_to) = self.read_from(&mut file, from)?;
        self.read = Some((file, up_to));
        Ok(instructions)
    }

    /// Removes the file, whose instructions are all applied. Returns the ones that were appended before it was removed
    /// and after they were read.
    pub(super) fn remove(&mut self) -> std::io::Result<Vec<Instruction>> {
        let Some((mut file, up_to)) = self.read.take() else { return Ok(Vec::new()) };
        std::fs::remove_file(&self.path)?;
        Ok(self.read_from(&mut file, up_to)?.0)
    }

    /// The instructions from this byte on, if only users who may write the queue can have written them, and the byte
    /// from which the next call reads.
    fn read_from(&self, file: &mut File, from: u64) -> std::io::Result<(Vec<Instruction>, u64)> {
        let now = file.metadata()?;
        if now.len() == from {
            return Ok((Vec::new(), from));
        }
        if is_trusted(&now, &std::fs::metadata(&self.queue)?) {
            return complete_lines(file, from);
        }
        tracing::warn!("{}: ignored: users who may not write the queue may write it", self.path.display());
        Ok((Vec::new(), now.len()))
    }
}

impl SentInstruction<'_> {
    /// Appends the instruction once more if the file was removed, since its owner may have read it before. An
    /// instruction has an id, so it is applied once all the same.
    pub fn ensure(&mut self) -> std::io::Result<()> {
        let found = std::fs::symlink_metadata(&self.file.path).ok();
        if found.is_none_or(|found| !is_same(&self.written_to, &found)) {
            self.written_to = self.file.append(&self.line)?;
        }
        Ok(())
    }
}

fn is_same(file: &File, found: &Metadata) -> bool {
    file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (found.dev(), found.ino()))
}

/// The instructions of the complete lines from this byte on, and the end of these lines.
fn complete_lines(file: &mut File, from: u64) -> std::io::Result<(Vec<Instruction>, u64)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
    // A line without an end is read again later, unless it is too long for an instruction.
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let used = if complete == 0 && bytes.len() as u64 == MAX_READ_BYTES { bytes.len() } else { complete };
    let lines = bytes[..complete].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let instructions = lines.filter_map(|line| serde_json::from_slice(line).ok()).filter(Instruction::is_plain);
    Ok((instructions.collect(), from + used as u64))
}

/// Whether only users who may write the queue can have written the file.
fn is_trusted(file: &Metadata, queue: &Metadata) -> bool {
    const GROUP: u32 = 0o020;
    const OTHERS: u32 = 0o002;
    let everybody = queue.mode() & OTHERS != 0;
    let group = queue.mode() & GROUP != 0 && file.gid() == queue.gid();
    let owners = [0, queue.uid(), rustix::process::geteuid().as_raw()];
    let users = group || owners.contains(&file.uid()) && file.mode() & GROUP == 0;
    file.is_file() && (everybody || users && file.mode() & OTHERS == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::control::InstructionKind;

    fn instruction(id: &str) -> Instruction {
        Instruction { id: id.to_owned(), run: "r".to_owned(), kind: InstructionKind::Pause, who: "a@b".to_owned() }
    }

    fn ids(instructions: &[Instruction]) -> Vec<&str> {
        instructions.iter().map(|instruction| instruction.id.as_str()).collect()
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            std::fs::write(place.0.path().join("q.db"), "").unwrap();
            place.set_mode("q.db", 0o600);
            place
        }

        fn file(&self) -> ControlFile {
            ControlFile::of(&self.0.path().join("q.db"))
        }

        fn set_mode(&self, name: &str, mode: u32) {
            std::fs::set_permissions(self.0.path().join(name), PermissionsExt::from_mode(mode)).unwrap();
        }
    }

    #[test]
    fn each_instruction_is_read_once() {
        let place = Place::new();
        let (writer, mut reader) = (place.file(), place.file());
        assert_eq!(reader.read_new().unwrap(), []);
        writer.send(&instruction("1")).unwrap();
        place.file().send(&instruction("2")).unwrap();
        assert_eq!(ids(&reader.read_new().unwrap()), ["1", "2"]);
        assert_eq!(reader.read_new().unwrap(), []);
        writer.send(&instruction("3")).unwrap();
        assert_eq!(ids(&reader.read_new().unwrap()), ["3"]);
    }

    #[test]
    fn a_line_that_was_not_completed_costs_no_other_one() {
        let place = Place::new();
        let mut reader = place.file();
        let torn = |bytes: &[u8]| {
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(reader.path()).unwrap();
            file.write_all(bytes).unwrap();
        };
        torn(b"\n{\"id\":\"1\",\"ru");
        place.file().send(&instruction("2")).unwrap();
        torn(b"\nnot an instruction \xFF\n\n{}\n{\"id\"");
        assert_eq!(ids(&reader.read_new().unwrap()), ["2"]);
        place.file().send(&instruction("3")).unwrap();
        assert_eq!(ids(&reader.read_new().unwrap()), ["3"]);
    }

    #[test]
    fn an_instruction_that_arrives_while_the_file_is_removed_is_not_lost() {
        let place = Place::new();
        let (writer, mut reader) = (place.file(), place.file());
        let mut first = writer.send(&instruction("1")).unwrap();
        reader.read_new().unwrap();
        let mut second = writer.send(&instruction("2")).unwrap();
        assert_eq!(ids(&reader.remove().unwrap()), ["2"]);
        assert!(!reader.path().exists());
        second.ensure().unwrap();
        assert_eq!(ids(&reader.read_new().unwrap()), ["2"], "its id shows that it was applied");
        first.ensure().unwrap();
        first.ensure().unwrap();
        assert_eq!(ids(&reader.read_new().unwrap()), ["1"]);
    }

    #[test]
    fn the_file_has_the_permissions_of_the_queue_and_is_ignored_if_it_has_wider_ones() {
        let place = Place::new();
        let mut reader = place.file();
        for mode in [0o600, 0o660] {
            place.set_mode("q.db", mode);
            place.file().send(&instruction("1")).unwrap();
            assert_eq!(std::fs::metadata(reader.path()).unwrap().mode() & 0o777, mode);
            assert_eq!(reader.read_new().unwrap().len(), 1);
            std::fs::remove_file(reader.path()).unwrap();
        }
        place.set_mode("q.db", 0o600);
        for mode in [0o620, 0o602, 0o666] {
            place.file().send(&instruction("1")).unwrap();
            place.set_mode("q.db-control", mode);
            assert_eq!(reader.read_new().unwrap(), [], "{mode:o}");
            std::fs::remove_file(reader.path()).unwrap();
        }
    }

    #[test]
    fn an_instruction_that_arrives_in_a_file_with_wider_permissions_while_it_is_removed_is_ignored() {
        let place = Place::new();
        let (writer, mut reader) = (place.file(), place.file());
        writer.send(&instruction("1")).unwrap();
        place.set_mode("q.db-control", 0o602);
        assert_eq!(reader.read_new().unwrap(), []);
        writer.send(&instruction("2")).unwrap();
        assert_eq!(reader.remove().unwrap(), []);
        assert!(!reader.path().exists());
    }

    #[test]
    fn a_link_is_neither_followed_nor_read() {
        let place = Place::new();
        let target = place.0.path().join("target");
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, place.file().path()).unwrap();
        place.file().send(&instruction("1")).unwrap_err();
        place.file().read_new().unwrap_err();
        assert_eq!(std::fs::read(target).unwrap(), b"");
    }
}

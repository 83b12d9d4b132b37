//! Detects a damaged WAL. SQLite itself treats the first frame with a wrong checksum as the end of the WAL and silently
//! ignores all commits behind it.
//!
//! A power cut may leave the *last* commit of a WAL incomplete, since it was never reported as durable. With
//! `synchronous = FULL` every earlier commit was. So a wrong frame is damage if frames of a later commit follow.
//! <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use crate::queue::error::QueueError;
use crate::queue::path::beside;
use crate::queue::sqlite::connection::PAGE_BYTES;

/// The bytes before the first frame, and those before the page in each frame.
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The first number of a WAL with checksums over little-endian numbers; for big-endian numbers it is one more.
const MAGIC: u32 = 0x377F_0682;

/// What is wrong with a WAL; none if it is intact.
fn damage(wal: &Path) -> std::io::Result<Option<&'static str>> {
    match File::open(wal) {
        Ok(file) => read(BufReader::with_capacity(1 << 16, file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(mut wal: impl Read) -> std::io::Result<Option<&'static str>> {
    let mut header = [0; HEADER];
    if !filled(&mut wal, &mut header)? {
        return Ok(None);
    }
    let big = number(&header, 0) == MAGIC + 1;
    let mut sum = WalChecksum { big, first: 0, second: 0 };
    sum.add(&header[..24]);
    let header_ok = number(&header, 0) & !1 == MAGIC && sum.is(&header[24..]);
    let page = if header_ok { number(&header, 8) as usize } else { PAGE_BYTES as usize };
    let mut frame = vec![0; FRAME_HEADER + page];
    // A damaged header does not give the salt, so the salt of the first commit is used instead.
    let mut salt = header_ok.then(|| header[16..24].to_vec());
    let mut damaged = !header_ok;
    let mut committed = false;
    while filled(&mut wal, &mut frame)? {
        let (head, content) = frame.split_at(FRAME_HEADER);
        let own = salt.as_deref() == Some(&head[8..16]);
        if !damaged {
            sum.add(&head[..8]);
            sum.add(content);
            if own && sum.is(&head[16..]) {
                continue;
            }
            damaged = true;
        } else if own && committed {
            return Ok(Some(if header_ok { "is damaged before its last commit" } else { "has a damaged header" }));
        }
        if salt.is_none() && number(head, 0) > 0 {
            salt = Some(head[8..16].to_vec());
        }
        committed |= salt.as_deref() == Some(&head[8..16]) && number(head, 4) > 0;
    }
    Ok(None)
}

/// The checksum of the WAL over everything before.
struct WalChecksum {
    big: bool,
    first: u32,
    second: u32,
}

impl WalChecksum {
    fn add(&mut self, bytes: &[u8]) {
        for pair in bytes.as_chunks::<8>().0 {
            let [a, b] = [[pair[0], pair[1], pair[2], pair[3]], [pair[4], pair[5], pair[6], pair[7]]]
                .map(|four| if self.big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) });
            self.first = self.first.wrapping_add(a).wrapping_add(self.second);
            self.second = self.second.wrapping_add(b).wrapping_add(self.first);
        }
    }

    fn is(&self, stored: &[u8]) -> bool {
        (number(stored, 0), number(stored, 4)) == (self.first, self.second)
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Whether enough bytes were left to fill the buffer.
fn filled(wal: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match wal.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses a queue whose WAL is damaged.
pub(in crate::queue) fn refuse_damaged_wal(path: &Path) -> Result<(), QueueError> {
    let wal = beside(path, "-wal");
    match damage(&wal) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(QueueError::Damaged(format!("the WAL file {} {what}", wal.display()))),
        Err(source) => Err(QueueError::Unusable { path: wal, source }),
    }
}

//! Whether SQLite's log was damaged: SQLite itself takes the first frame whose checksum is wrong for the end of the log,
//! and forgets in silence all commits from there on.
//!
//! A power cut may leave the *last* commit of a log in pieces, since it was never told to be durable. With
//! `synchronous = FULL` every earlier one was. So a broken frame is damage where frames of a later commit follow.
//! <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// The bytes before the first frame, and before the page of each.
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Begins a log whose checksums read numbers with the low byte first; with the high byte first it is one more.
const MAGIC: u32 = 0x377F_0682;

/// What is wrong with a log, if anything is.
pub(super) fn damage(log: &Path) -> std::io::Result<Option<&'static str>> {
    match File::open(log) {
        Ok(file) => read(BufReader::with_capacity(1 << 16, file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(mut log: impl Read) -> std::io::Result<Option<&'static str>> {
    let mut header = [0; HEADER];
    if !filled(&mut log, &mut header)? {
        return Ok(None);
    }
    let big = number(&header, 0) == MAGIC + 1;
    let mut sum = Sum { big, first: 0, second: 0 };
    sum.add(&header[..24]);
    let sound = number(&header, 0) & !1 == MAGIC && sum.is(&header[24..]);
    let page = if sound { number(&header, 8) as usize } else { super::PAGE_BYTES as usize };
    let mut frame = vec![0; FRAME_HEADER + page];
    // Whose checksum is wrong is not believed as to its salt either, so a header is no help where it is broken.
    let mut salt = sound.then(|| header[16..24].to_vec());
    let mut broken = !sound;
    let mut committed = false;
    while filled(&mut log, &mut frame)? {
        let (head, content) = frame.split_at(FRAME_HEADER);
        let own = salt.as_deref() == Some(&head[8..16]);
        if !broken {
            sum.add(&head[..8]);
            sum.add(content);
            if own && sum.is(&head[16..]) {
                continue;
            }
            broken = true;
        } else if own && committed {
            return Ok(Some(if sound { "is broken before its last commit" } else { "has a broken header" }));
        }
        if salt.is_none() && number(head, 0) > 0 {
            salt = Some(head[8..16].to_vec());
        }
        committed |= salt.as_deref() == Some(&head[8..16]) && number(head, 4) > 0;
    }
    Ok(None)
}

/// The log's checksum over all that came before.
struct Sum {
    big: bool,
    first: u32,
    second: u32,
}

impl Sum {
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

/// Whether there was enough to fill it.
fn filled(log: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

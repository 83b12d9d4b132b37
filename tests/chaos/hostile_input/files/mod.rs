//! Generates files that no program writes on purpose, and knows which of their rows are good.

mod csv;
mod jsonl;

use std::io::Write;
use std::ops::Range;

use imbulk::domain::job::Encoding;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

/// A malformed file.
pub(super) struct Hostile {
    pub(super) kind: &'static str,
    /// Its name. The extension determines the format.
    pub(super) name: &'static str,
    pub(super) operation: &'static str,
    pub(super) encoding: Encoding,
    pub(super) content: Content,
    pub(super) expect: Expect,
}

/// The kind of file at the path.
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// A pipe with these bytes.
    Pipe(Vec<u8>),
    Folder,
    Nothing,
    /// A link to a file that does not exist.
    BrokenLink,
    Socket,
}

/// The expected result.
pub(super) enum Expect {
    /// These good rows, by line and account, and these bad ones, by line and column at fault; no others.
    Exactly(Vec<(u64, String)>, Vec<(u64, Option<&'static str>)>),
    /// These good rows at least.
    AtLeast(Vec<(u64, String)>),
    /// The file is refused as a whole, with a message that contains these texts.
    Refused(&'static str),
    /// Any result in which every row has its place and its reason.
    Anything,
}

type Kind = fn(&mut Writer) -> Hostile;

/// One file of each kind in turn.
pub(super) fn file(seed: u64, number: usize) -> Hostile {
    let mut writer =
        Writer { rng: SmallRng::seed_from_u64(seed.wrapping_mul(1_000_003) + number as u64), text: Text::default() };
    KINDS[number % KINDS.len()](&mut writer)
}

/// All kinds. A kind that occurs twice has more ways to be wrong.
pub(super) const KINDS: [Kind; 40] = [
    Writer::csv,
    Writer::csv,
    Writer::jsonl,
    Writer::jsonl,
    Writer::wild_csv,
    Writer::wild_csv,
    Writer::wild_jsonl,
    Writer::wild_jsonl,
    Writer::touched_csv,
    Writer::touched_csv,
    Writer::stray_quote,
    Writer::stray_quote,
    Writer::updates_csv,
    Writer::updates_jsonl,
    Writer::bodies,
    Writer::gbk,
    Writer::mark,
    Writer::line_ends,
    Writer::long_cells,
    Writer::blank_lines,
    Writer::wide,
    Writer::gzip,
    Writer::zstd,
    Writer::gzip_cut,
    Writer::zstd_cut,
    Writer::gzip_flipped,
    Writer::bomb_of_one_line,
    Writer::bomb_of_brackets,
    Writer::junk,
    Writer::other_formats,
    Writer::utf16,
    Writer::no_header,
    Writer::header_alone,
    Writer::double_column,
    Writer::broken_header,
    Writer::foreign_column,
    Writer::empty,
    Writer::json_list,
    Writer::deep,
    Writer::no_file,
];

/// A text that is built line by line, with what is known about its lines.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    lines: u64,
    good: Vec<(u64, String)>,
    bad: Vec<(u64, Option<&'static str>)>,
}

impl Text {
    fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.bytes.extend_from_slice(bytes);
        self.bytes.push(b'\n');
        // Files of more than half a megabyte have one line each; counting their lines would take most of the time of
        // the test.
        let within = if bytes.len() > 500_000 { 0 } else { bytes.split(|&byte| byte == b'\n').count() - 1 };
        self.lines += 1 + within as u64;
    }

    fn good(&mut self, id: &str, bytes: impl AsRef<[u8]>) {
        self.good.push((self.lines + 1, id.to_owned()));
        self.raw(bytes);
    }

    fn bad(&mut self, column: Option<&'static str>, bytes: impl AsRef<[u8]>) {
        self.bad.push((self.lines + 1, column));
        self.raw(bytes);
    }
}

pub(super) struct Writer {
    rng: SmallRng,
    text: Text,
}

const ID: Option<&str> = Some("UserID");

impl Writer {
    fn pick(&mut self, range: Range<usize>) -> usize {
        self.rng.random_range(range)
    }

    fn id(&mut self) -> String {
        format!("good_{}_{:x}", self.text.good.len(), self.rng.random::<u16>())
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn made(&mut self, kind: &'static str, name: &'static str, operation: &'static str) -> Hostile {
        let text = std::mem::take(&mut self.text);
        Hostile {
            kind,
            name,
            operation,
            encoding: Encoding::Utf8,
            content: Content::Bytes(text.bytes),
            expect: Expect::Exactly(text.good, text.bad),
        }
    }

    fn refused(kind: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>, why: &'static str) -> Hostile {
        Hostile {
            kind,
            name,
            operation: "account_delete",
            encoding: Encoding::Utf8,
            content: Content::Bytes(bytes.into()),
            expect: Expect::Refused(why),
        }
    }

    /// Bytes are changed, inserted, removed or moved, so the content is unknown.
    fn wild(&mut self, mut file: Hostile, kind: &'static str) -> Hostile {
        let Content::Bytes(bytes) = &mut file.content else { return file };
        for _ in 0..self.rng.random_range(1..8) {
            let at = self.rng.random_range(0..bytes.len());
            let until = (at + self.rng.random_range(1..200)).min(bytes.len());
            match self.rng.random_range(0..5) {
                0 => bytes[at] ^= 1 << self.rng.random_range(0..8),
                1 => bytes[at] = b"\"\n\r,\0{}[]\\"[self.rng.random_range(0..10)],
                2 => drop(bytes.drain(at..until)),
                3 => {
                    let piece = bytes[at..until].to_vec();
                    let to = self.rng.random_range(0..bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => drop(bytes.splice(at..at, self.rng.random::<[u8; 9]>())),
            }
            if bytes.is_empty() {
                break;
            }
        }
        Hostile { kind, expect: Expect::Anything, ..file }
    }

    fn packed(&mut self, pack: fn(&[u8]) -> Vec<u8>, kind: &'static str, name: &'static str) -> Hostile {
        let mut file = if name.contains("json") { self.jsonl() } else { self.csv() };
        if let Content::Bytes(bytes) = &mut file.content {
            *bytes = pack(bytes);
        }
        Hostile { kind, name, ..file }
    }

    fn gzip(&mut self) -> Hostile {
        self.packed(gzip, "gzip", "rows.csv.gz")
    }

    fn zstd(&mut self) -> Hostile {
        self.packed(zstd, "zstd", "rows.jsonl.zst")
    }

    fn cut(&mut self, mut file: Hostile, kind: &'static str, why: &'static str) -> Hostile {
        if let Content::Bytes(bytes) = &mut file.content {
            let keep = self.rng.random_range(bytes.len() / 2..bytes.len());
            bytes.truncate(keep);
        }
        Hostile { kind, expect: Expect::Refused(why), ..file }
    }

    fn gzip_cut(&mut self) -> Hostile {
        let file = self.gzip();
        self.cut(file, "gzip that is cut off", "the gzip data")
    }

    fn zstd_cut(&mut self) -> Hostile {
        let file = self.zstd();
        self.cut(file, "zstd that is cut off", "the zstd data")
    }

    fn gzip_flipped(&mut self) -> Hostile {
        let mut file = self.gzip();
        if let Content::Bytes(bytes) = &mut file.content {
            // After the head, which contains nothing that matters, and not in the upper bits of the last byte of a
            // length.
            let at = self.rng.random_range(10..bytes.len() - 4);
            bytes[at] ^= 1 << self.rng.random_range(0..8);
        }
        Hostile { kind: "gzip with a flipped bit", expect: Expect::Refused(""), ..file }
    }

    /// Some KiB that unpack to many MiB without a line end.
    fn bomb_of_one_line(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        let piece = ["x", "\"x"][self.pick(0..2)];
        self.text.bad(None, piece.repeat(1 << 23));
        self.csv_line_behind();
        let mut file = self.made("a bomb of one line", "rows.csv.gz", "account_delete");
        if let Content::Bytes(bytes) = &mut file.content {
            *bytes = gzip(bytes);
        }
        if piece.starts_with('"') {
            file.expect = Expect::Refused("a quoted cell starts in this row");
        }
        file
    }

    fn junk(&mut self) -> Hostile {
        let length = self.pick(1..60_000);
        let noise = self.noise(length);
        let name = ["rows.csv", "rows.jsonl", "rows"][self.pick(0..3)];
        Hostile { expect: Expect::Anything, ..Self::refused("junk", name, noise, "") }
    }

    fn other_formats(&mut self) -> Hostile {
        let formats: [&[u8]; 5] = [b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"BZh", b"\xfd7zXZ", b"SQLite format 3\0"];
        let start = formats[self.pick(0..5)];
        let rest = self.noise(500);
        Self::refused("another format", "rows.csv", [start, &rest].concat(), "not CSV or JSONL")
    }

    fn utf16(&mut self) -> Hostile {
        let little = self.rng.random();
        let text = if self.rng.random() { "\u{feff}UserID\ngood\n" } else { "UserID\ngood\n" };
        let bytes = text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
        Self::refused("UTF-16", "rows.csv", bytes.collect::<Vec<u8>>(), "UTF-16")
    }

    fn empty(&mut self) -> Hostile {
        let text = ["", "\n", "\r\n\r\n", " ", "\u{feff}"][self.pick(0..5)];
        if self.rng.random() {
            return Self::refused("nothing in it", "rows.csv", text, "rows.csv");
        }
        self.text.bytes = text.into();
        self.made("nothing in it", "rows.jsonl", "account_delete")
    }

    fn no_file(&mut self) -> Hostile {
        let (content, why) = match self.pick(0..5) {
            0 => (Content::Folder, "is a folder"),
            1 => (Content::Nothing, "no such file"),
            2 => (Content::BrokenLink, "no such file"),
            3 => (Content::Socket, "cannot be read"),
            _ => {
                let mut file = self.csv();
                if let Content::Bytes(mut bytes) = file.content {
                    // A stream whose last line has no line end is refused.
                    if bytes.last() != Some(&b'\n') {
                        bytes.push(b'\n');
                    }
                    file.content = Content::Pipe(bytes);
                }
                return Hostile { kind: "a pipe", ..file };
            }
        };
        Hostile { content, ..Self::refused("no file", "rows.csv", "", why) }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory")
}

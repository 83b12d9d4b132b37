//! Files that are packed, cut, blown up, or no rows at all.

use std::io::Write;

use rand::RngExt;

use super::{Content, Expect, Hostile, ID, Writer};

impl Writer {
    pub(super) fn packed(&mut self, pack: fn(&[u8]) -> Vec<u8>, kind: &'static str, name: &'static str) -> Hostile {
        let mut file = if name.contains("json") { self.jsonl() } else { self.csv() };
        if let Content::Bytes(bytes) = &mut file.content {
            *bytes = pack(bytes);
        }
        Hostile { kind, name, ..file }
    }

    pub(super) fn gzip(&mut self) -> Hostile {
        self.packed(gzip, "gzip", "rows.csv.gz")
    }

    pub(super) fn zstd(&mut self) -> Hostile {
        self.packed(zstd, "zstd", "rows.jsonl.zst")
    }

    pub(super) fn cut(&mut self, mut file: Hostile, kind: &'static str, why: &'static str) -> Hostile {
        if let Content::Bytes(bytes) = &mut file.content {
            let keep = self.rng.random_range(bytes.len() / 2..bytes.len());
            bytes.truncate(keep);
        }
        Hostile { kind, expect: Expect::Refused(why), ..file }
    }

    pub(super) fn gzip_cut(&mut self) -> Hostile {
        let file = self.gzip();
        self.cut(file, "gzip that is cut off", "corrupt gzip data")
    }

    pub(super) fn zstd_cut(&mut self) -> Hostile {
        let file = self.zstd();
        self.cut(file, "zstd that is cut off", "corrupt zstd data")
    }

    pub(super) fn gzip_flipped(&mut self) -> Hostile {
        let mut file = self.gzip();
        if let Content::Bytes(bytes) = &mut file.content {
            // Behind the head, which holds nothing that matters; but not the last byte's upper bits of a length.
            let at = self.rng.random_range(10..bytes.len() - 4);
            bytes[at] ^= 1 << self.rng.random_range(0..8);
        }
        Hostile { kind: "gzip with a flipped bit", expect: Expect::Refused(""), ..file }
    }

    /// Some KiB that unpack to many MiB without a line end.
    pub(super) fn bomb_of_one_line(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        let piece = ["x", "\"x"][self.pick(0..2)];
        self.text.bad(None, piece.repeat(1 << 23));
        self.csv_line_behind();
        let mut file = self.made("a bomb of one line", "rows.csv.gz", "account_delete");
        if let Content::Bytes(bytes) = &mut file.content {
            *bytes = gzip(bytes);
        }
        file
    }

    pub(super) fn bomb_of_brackets(&mut self) -> Hostile {
        self.good_json_line();
        let more = self.pick(0..9);
        self.text.bad(None, "[".repeat((16 << 20) + more));
        self.text.bad(None, "[".repeat(8 << 20));
        self.good_json_line();
        let mut file = self.made("a bomb of brackets", "rows.jsonl.zst", "account_delete");
        if let Content::Bytes(bytes) = &mut file.content {
            *bytes = zstd(bytes);
        }
        file
    }

    pub(super) fn junk(&mut self) -> Hostile {
        let length = self.pick(1..60_000);
        let noise = self.noise(length);
        let name = ["rows.csv", "rows.jsonl", "rows"][self.pick(0..3)];
        Hostile { expect: Expect::Anything, ..Self::refused("junk", name, noise, "") }
    }

    pub(super) fn other_formats(&mut self) -> Hostile {
        let formats: [&[u8]; 5] = [b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"BZh", b"\xfd7zXZ", b"SQLite format 3\0"];
        let start = formats[self.pick(0..5)];
        let rest = self.noise(500);
        Self::refused("another format", "rows.csv", [start, &rest].concat(), "not text")
    }

    pub(super) fn utf16(&mut self) -> Hostile {
        let little = self.rng.random();
        let text = if self.rng.random() { "\u{feff}UserID\ngood\n" } else { "UserID\ngood\n" };
        let bytes = text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
        Self::refused("UTF-16", "rows.csv", bytes.collect::<Vec<u8>>(), "UTF-16")
    }

    pub(super) fn no_header(&mut self) -> Hostile {
        let rows: String = (0..self.pick(1..20)).map(|n| format!("user_{n},x\n")).collect();
        Self::refused("no header", "rows.csv", rows, "line 1: has no column `UserID`")
    }

    pub(super) fn header_alone(&mut self) -> Hostile {
        let header = ["UserID", "UserID,note\r", "\n\nUserID;note"][self.pick(0..3)];
        self.text.raw(header);
        self.made("a header alone", "rows.csv", "account_delete")
    }

    pub(super) fn double_column(&mut self) -> Hostile {
        let text = ["UserID,UserID\na,b\n", "UserID;x;UserID\na;b;c\n"][self.pick(0..2)];
        Self::refused("a column twice", "rows.csv", text, "line 1: has two columns for `UserID`")
    }

    pub(super) fn broken_header(&mut self) -> Hostile {
        let text = ["\"UserID\na\nb\n", "\"User\"ID,x\na,b\n", "UserID\ra\rb\r", "UserID,\"x\na,b\n"][self.pick(0..4)];
        Self::refused("a broken header", "rows.csv", text, "line 1: the header")
    }

    pub(super) fn foreign_column(&mut self) -> Hostile {
        let (operation, header) = [
            ("friend_update", "From_Account,To_Account,Tag_SNS_IM_Remarks"),
            ("friend_update", "From_Account,To_Account,tag_sns_im_remark"),
            ("friend_delete", "From_Account,To_Account,DeleteType"),
        ][self.pick(0..3)];
        let file =
            Self::refused("a column that means something else", "rows.csv", format!("{header}\na,b,c\n"), "line 1: ");
        Hostile { operation, ..file }
    }

    pub(super) fn empty(&mut self) -> Hostile {
        let text = ["", "\n", "\r\n\r\n", " ", "\u{feff}"][self.pick(0..5)];
        if self.rng.random() {
            return Self::refused("nothing in it", "rows.csv", text, "rows.csv");
        }
        self.text.bytes = text.into();
        self.made("nothing in it", "rows.jsonl", "account_delete")
    }

    pub(super) fn json_list(&mut self) -> Hostile {
        let text = ["[{\"UserID\":\"a\"}]", "\n \n[", "[\n{\"UserID\":\"a\"}\n]"][self.pick(0..3)];
        Self::refused("one JSON list", "rows.jsonl", text, "is one JSON list")
    }

    pub(super) fn deep(&mut self) -> Hostile {
        let depth = self.pick(1..200_000);
        self.good_json_line();
        self.text.bad(None, format!("{{\"x\":{}", "[".repeat(depth)));
        self.text.bad(None, format!("{{\"x\":{}", "{\"x\":".repeat(depth)));
        self.text.bad(ID, format!("{{\"UserID\":{}{}}}", "[".repeat(depth), "]".repeat(depth)));
        self.good_json_line();
        self.made("deep JSON", "rows.jsonl", "account_delete")
    }

    pub(super) fn no_file(&mut self) -> Hostile {
        let (content, why) = match self.pick(0..5) {
            0 => (Content::Folder, "is a folder"),
            1 => (Content::Nothing, "no such file"),
            2 => (Content::BrokenLink, "no such file"),
            3 => (Content::Socket, "can't be read"),
            _ => {
                let mut file = self.csv();
                if let Content::Bytes(bytes) = file.content {
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

//! Makes files that nobody would write on purpose, and knows which of their rows are good.

mod unusable;

use std::ops::Range;

use imbulk::domain::job::Encoding;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

/// A file that is not as it should be.
pub(super) struct Hostile {
    pub(super) kind: &'static str,
    /// Its name, by whose end its format is told.
    pub(super) name: &'static str,
    pub(super) operation: &'static str,
    pub(super) encoding: Encoding,
    pub(super) content: Content,
    pub(super) expect: Expect,
}

/// What stands at the place of the file.
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// A pipe through which these bytes come.
    Pipe(Vec<u8>),
    Folder,
    Nothing,
    /// A link to nothing.
    BrokenLink,
    Socket,
}

/// What must be made of it.
pub(super) enum Expect {
    /// These good rows, by line and account, and these bad ones, by line and column at fault; no others.
    Exactly(Vec<(u64, String)>, Vec<(u64, Option<&'static str>)>),
    /// These good rows at least.
    AtLeast(Vec<(u64, String)>),
    /// The file is refused as a whole, in words that contain these.
    Refused(&'static str),
    /// Whatever it says, every row has its place and its reason.
    Anything,
}

type Kind = fn(&mut Writer) -> Hostile;

/// One file of each kind in turn.
pub(super) fn file(seed: u64, number: usize) -> Hostile {
    let mut writer =
        Writer { rng: SmallRng::seed_from_u64(seed.wrapping_mul(1_000_003) + number as u64), text: Text::default() };
    KINDS[number % KINDS.len()](&mut writer)
}

/// All kinds. Those that come twice have the most ways to be wrong.
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

/// A text that grows line by line, with what is known of its lines.
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
        // Those of more than a half a megabyte are one line each; to count that would take most of the test's time.
        let within = if bytes.len() > 500_000 { 0 } else { bytes.iter().filter(|&&byte| byte == b'\n').count() };
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

    /// Good and bad lines under `UserID,note`, with this between the cells.
    fn csv_lines(&mut self, count: usize, between: char) {
        self.text.raw(format!("UserID{between}note"));
        for _ in 0..count {
            if self.rng.random_ratio(1, 3) { self.bad_csv_line(between) } else { self.good_csv_line(between) }
        }
    }

    fn good_csv_line(&mut self, d: char) {
        let id = self.id();
        let line = match self.pick(0..6) {
            0 => format!("{id}{d}").into_bytes(),
            1 => format!("\"{id}\"{d}\"say \"\"hi\"\"\"").into_bytes(),
            2 => format!("{id}{d}\"two\nlines{d}and more\"").into_bytes(),
            3 => [format!("{id}{d}").as_bytes(), b"\xff\xc0 no text and no matter"].concat(),
            4 => format!("{id}{d}a \"quote\" within").into_bytes(),
            _ => format!("{id}{d}用户 😀 \u{202e}").into_bytes(),
        };
        self.text.good(&id, line);
    }

    fn bad_csv_line(&mut self, d: char) {
        let (column, line) = match self.pick(0..15) {
            0 => (ID, format!("{d}x").into_bytes()),
            1 => (ID, format!("{}{d}x", "x".repeat(33)).into_bytes()),
            2 => (ID, format!("bell\u{7}{d}x").into_bytes()),
            3 => (ID, format!("nul\0{d}x").into_bytes()),
            4 => (ID, format!(" padded{d}x").into_bytes()),
            5 => (None, b"alone".to_vec()),
            6 => (None, format!("a{d}b{d}c").into_bytes()),
            7 => (None, format!("\"bob\"by{d}x").into_bytes()),
            8 => (ID, [b"\xff\xfe\xc3\x28".as_slice(), format!("{d}x").as_bytes()].concat()),
            9 => (None, format!("UserID{d}note").into_bytes()),
            10 => (ID, format!("half\rway{d}x").into_bytes()),
            11 => (ID, format!("\"two\nlines\"{d}x").into_bytes()),
            12 => (ID, format!("next\u{85}line{d}x").into_bytes()),
            13 => (None, d.to_string().repeat(500).into_bytes()),
            _ => (ID, format!("\"{}\"{d}x", "\"\"".repeat(200)).into_bytes()),
        };
        self.text.bad(column, line);
    }

    fn csv(&mut self) -> Hostile {
        let between = [',', ';', '\t'][self.pick(0..3)];
        let count = self.pick(1..60);
        self.csv_lines(count, between);
        if self.rng.random() {
            self.text.bytes.pop();
        }
        self.made("CSV with good and bad lines", "rows.csv", "account_delete")
    }

    fn good_json_line(&mut self) {
        let id = self.id();
        let line = match self.pick(0..7) {
            0 => format!("{{\"UserID\":\"{id}\",\"x\":1e999}}"),
            1 => format!("  {{ \"UserID\" : \"{id}\" }}\t\r"),
            2 => format!("{{\"x\":{}{},\"UserID\":\"{id}\"}}", "[".repeat(100), "]".repeat(100)),
            3 => format!("{{\"User\\u0049D\":\"{id}\",\"x\":null}}"),
            4 => format!("{{\"UserID\":\"\\u0067{}\"}}", &id[1..]),
            5 => format!("{{\"UserID\":\"{id}\",\"x\":\"{}\"}}", "y".repeat(9000)),
            _ => format!("{{\"UserID\":\"{id}\"}}"),
        };
        self.text.good(&id, line);
    }

    fn bad_json_line(&mut self) {
        let line: (Option<&'static str>, Vec<u8>) = match self.pick(0..20) {
            0 => (None, b"{\"UserID\":\"open".to_vec()),
            1 => (ID, b"{\"UserID\":5}".to_vec()),
            2 => (ID, b"{\"UserID\":null}".to_vec()),
            3 => (ID, b"{\"UserID\":[\"a\"]}".to_vec()),
            4 => (None, b"[1]".to_vec()),
            5 => (None, b"\"text\"".to_vec()),
            6 => (None, b"nul".to_vec()),
            7 => (ID, b"{}".to_vec()),
            8 => (None, b"{\"UserID\":\"a\",\"UserID\":\"b\"}".to_vec()),
            9 => (None, b"{\"UserID\":\"a\"}}".to_vec()),
            10 => (ID, format!("{{\"UserID\":{}{}}}", "[".repeat(300), "]".repeat(300)).into_bytes()),
            11 => (None, [b"{\"UserID\":".as_slice(), &b"[".repeat(100_000)].concat()),
            12 => (ID, b"{\"UserID\":-1e400}".to_vec()),
            13 => (ID, b"{\"UserID\":\"\xff\xfe\"}".to_vec()),
            14 => (ID, b"{\"UserID\":\"\\ud800\"}".to_vec()),
            15 => (ID, b"{\"UserID\":\"a\\u0000\"}".to_vec()),
            16 => (ID, format!("{{\"UserID\":\"{}\"}}", "x".repeat(1 << 20)).into_bytes()),
            17 => (None, b"{\"UserID\":\"a\",}".to_vec()),
            18 => (None, b"UserID,note".to_vec()),
            _ => (ID, b"{\"userid\":\"a\"}".to_vec()),
        };
        self.text.bad(line.0, line.1);
    }

    fn json_lines(&mut self, count: usize) {
        // A list in the first line would be another kind of file.
        self.good_json_line();
        for _ in 0..count {
            match self.pick(0..7) {
                0..=1 => self.bad_json_line(),
                2 => self.text.raw(" \t \r"),
                _ => self.good_json_line(),
            }
        }
    }

    fn jsonl(&mut self) -> Hostile {
        let count = self.pick(0..40);
        self.json_lines(count);
        self.made("JSONL with good and bad lines", "rows.jsonl", "account_delete")
    }

    /// Bytes are changed, put in, taken out, moved: nobody knows what it says now.
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

    fn wild_csv(&mut self) -> Hostile {
        let file = self.csv();
        self.wild(file, "CSV with bytes changed anywhere")
    }

    fn wild_jsonl(&mut self) -> Hostile {
        let file = self.jsonl();
        self.wild(file, "JSONL with bytes changed anywhere")
    }

    /// Some lines are damaged, without quotes and line ends; the others must come through.
    fn touched_csv(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        for _ in 0..self.pick(2..50) {
            let id = self.id();
            if self.rng.random_ratio(1, 4) {
                let mut line = format!("{id},x").into_bytes();
                for _ in 0..self.pick(1..5) {
                    let at = self.pick(0..line.len());
                    line[at] = loop {
                        let byte = self.rng.random();
                        if !matches!(byte, b'"' | b'\n') {
                            break byte;
                        }
                    };
                }
                self.text.raw(line);
            } else {
                self.text.good(&id, format!("{id},x"));
            }
        }
        let mut file = self.made("CSV with damaged lines", "rows.csv", "account_delete");
        if let Expect::Exactly(good, _) = file.expect {
            file.expect = Expect::AtLeast(good);
        }
        file
    }

    /// One quote is opened and never closed.
    fn stray_quote(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        let (count, stray) = (self.pick(1..40), self.pick(0..40));
        for number in 0..=count {
            if number == stray.min(count) {
                let line = ["\"x,y", "x,\"y", "\"", "x,\"y\"\""][self.pick(0..4)];
                self.text.bad(None, line);
            }
            let id = self.id();
            self.text.good(&id, format!("{id},x"));
        }
        self.made("CSV with a stray quote", "rows.csv", "account_delete")
    }

    fn updates_csv(&mut self) -> Hostile {
        const REMARK: Option<&str> = Some("Tag_SNS_IM_Remark");
        const GROUP: Option<&str> = Some("Tag_SNS_IM_Group");
        self.text.raw("From_Account,To_Account,Tag_SNS_IM_Remark,Tag_SNS_IM_Group");
        for _ in 0..self.pick(1..40) {
            let (id, to) = (self.id(), Some("To_Account"));
            match self.pick(0..12) {
                0 => self.text.bad(REMARK, format!("a,b,{},", "r".repeat(97))),
                1 => self.text.bad(GROUP, format!("a,b,,{}", (0..40).map(|n| format!("g{n}|")).collect::<String>())),
                2 => self.text.bad(GROUP, "a,b,,g||h"),
                3 => self.text.bad(None, "a,b,,"),
                4 => self.text.bad(to, "a,a,r,"),
                5 => self.text.bad(Some("From_Account"), ",b,r,"),
                6 => self.text.bad(REMARK, b"a,b,\xff,"),
                _ => self.text.good(&id, format!("a,{id},r,g|h|g")),
            }
        }
        self.made("CSV of updates", "rows.csv", "friend_update")
    }

    fn updates_jsonl(&mut self) -> Hostile {
        const REMARK: Option<&str> = Some("Tag_SNS_IM_Remark");
        const VIP: Option<&str> = Some("Tag_SNS_Custom_Vip");
        let row = |id: &str, tags: &str| format!("{{\"From_Account\":\"a\",\"To_Account\":\"{id}\",{tags}}}");
        for _ in 0..self.pick(1..40) {
            let id = self.id();
            match self.pick(0..14) {
                0 => self.text.bad(REMARK, row("b", "\"Tag_SNS_IM_Remark\":5")),
                1 => self.text.bad(REMARK, row("b", "\"Tag_SNS_IM_Remark\":[\"x\"]")),
                2 => self.text.bad(VIP, row("b", "\"Tag_SNS_Custom_Vip\":18446744073709551616")),
                3 => self.text.bad(VIP, row("b", "\"Tag_SNS_Custom_Vip\":1.5")),
                4 => self.text.bad(VIP, row("b", "\"Tag_SNS_Custom_Vip\":{\"deep\":[]}")),
                5 => self.text.bad(Some("Tag_SNS_IM_Group"), row("b", "\"Tag_SNS_IM_Group\":\"g\"")),
                6 => self.text.bad(Some("tag_sns_im_remark"), row("b", "\"tag_sns_im_remark\":\"x\"")),
                7 => self.text.bad(None, row("b", "\"Tag_SNS_IM_Remark\":null")),
                8 => self.text.good(&id, row(&id, "\"Tag_SNS_Custom_Vip\":-9223372036854775808")),
                _ => self.text.good(&id, row(&id, "\"Tag_SNS_IM_Remark\":\"r\"")),
            }
        }
        self.made("JSONL of updates", "rows.jsonl", "friend_update")
    }

    /// Records in the shape of the API's body, with bad items between good ones.
    fn bodies(&mut self) -> Hostile {
        for _ in 0..self.pick(1..20) {
            match self.pick(0..6) {
                0 => self.text.bad(None, "{\"DeleteItem\":[]}"),
                1 => self.text.bad(None, "{\"DeleteItem\":{\"UserID\":\"a\"}}"),
                2 => self.text.bad(None, "{\"DeleteItem\":[{\"UserID\":\"a\"}],\"UserID\":\"b\"}"),
                _ => {
                    let line = self.text.lines + 1;
                    let ids: Vec<String> = (0..self.pick(1..9)).map(|n| format!("{}_{n}", self.id())).collect();
                    let mut items: Vec<String> = ids.iter().map(|id| format!("{{\"UserID\":\"{id}\"}}")).collect();
                    if self.rng.random() {
                        self.text.bad.push((line, ID));
                        items.insert(self.rng.random_range(0..=items.len()), "{\"UserID\":7}".to_owned());
                    }
                    self.text.good.extend(ids.into_iter().map(|id| (line, id)));
                    self.text.raw(format!("{{\"DeleteItem\":[{}]}}", items.join(",")));
                }
            }
        }
        self.made("JSONL in the shape of the body", "rows.jsonl", "account_delete")
    }

    fn gbk(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        for n in 0..self.pick(1..40) {
            match self.pick(0..5) {
                0 => self.text.bad(ID, b"\xff\xff,x"),
                1 => self.text.bad(ID, b"cut\x81,x"),
                _ => {
                    let id = format!("用户{n}");
                    let (line, _, _) = encoding_rs::GBK.encode(&id);
                    self.text.good(&id, [&line, b",\x81\x20".as_slice()].concat());
                }
            }
        }
        Hostile { encoding: Encoding::Gbk, ..self.made("GBK", "rows.csv", "account_delete") }
    }

    fn mark(&mut self) -> Hostile {
        self.csv_lines(20, ',');
        self.text.bytes.splice(0..0, *b"\xef\xbb\xbf");
        self.made("a byte order mark", "rows.csv", "account_delete")
    }

    fn line_ends(&mut self) -> Hostile {
        self.text.raw("UserID,note\r");
        for _ in 0..self.pick(1..50) {
            let id = self.id();
            match self.pick(0..4) {
                0 => self.text.good(&id, format!("{id},x\r")),
                1 => self.text.good(&id, format!("\"{id}\",\"x\"\r")),
                2 => self.text.bad(None, format!("{id},x\rb,y")),
                _ => self.text.good(&id, format!("{id},x")),
            }
        }
        self.made("mixed line ends", "rows.csv", "account_delete")
    }

    fn long_cells(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        for _ in 0..3 {
            let id = self.id();
            self.text.good(&id, format!("{id},{}", "y".repeat(900_000)));
            let more = self.pick(0..9000);
            self.text.bad(None, format!("b,{}", "z".repeat((1 << 20) + more)));
            self.text.bad(ID, format!("{},x", "i".repeat(1_000_000)));
        }
        self.made("cells of a megabyte", "rows.csv", "account_delete")
    }

    fn blank_lines(&mut self) -> Hostile {
        let blank = self.pick(1..100_000);
        self.text.raw("UserID,note");
        self.text.raw("\r\n".repeat(blank / 2) + &"\n".repeat(blank));
        self.csv_line_behind();
        self.made("a hundred thousand blank lines", "rows.csv", "account_delete")
    }

    fn csv_line_behind(&mut self) {
        let id = self.id();
        self.text.good(&id, format!("{id},x"));
    }

    fn wide(&mut self) -> Hostile {
        let columns = self.pick(1000..20_000);
        self.text.raw(format!("UserID{}", ",c".repeat(columns)));
        for _ in 0..5 {
            let id = self.id();
            self.text.good(&id, format!("{id}{}", ",".repeat(columns)));
            self.text.bad(None, format!("x{}", ",".repeat(columns - 1)));
        }
        self.made("thousands of columns", "rows.csv", "account_delete")
    }
}

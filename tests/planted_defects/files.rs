//! Defects of files, bytes and lines.

use imbulk::domain::job::Encoding;
use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use crate::defect::Expect;
use crate::file::{Compression, File, Form, Format, Quoted, Row, WrittenRow, gzip};

/// A kind of defect in how a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileDefect {
    /// Rows of nothing but delimiters and white space.
    BlankRows,
    /// A name of the header starts with a quote that is closed in a later row, or never.
    CutHeader,
    /// The file ends within its last row.
    CutLastRow,
    /// The file ends within a quoted cell whose text looks like rows.
    CutQuotedCell,
    /// A cell starts with a quote that is never closed.
    OpenQuote,
    /// Two cells of two rows start with a quote: the text between them belongs to the first cell.
    QuotePair,
    /// A quoted cell with quotes that are not doubled and lines that look like rows.
    PlainQuotes,
    /// Text after the closing quote of an id.
    TextBehindQuote,
    /// An id that ends with a quote.
    ClosingQuote,
    /// All lines end with CR CR LF.
    TwoReturns,
    /// All lines end with CR.
    OldMac,
    /// One line ends with CR.
    BareReturn,
    /// Lines end with LF or CR LF.
    MixedLineEnds,
    /// NUL bytes in place of a row.
    Hole,
    /// UTF-8 where the job says GBK.
    Utf8AsGbk,
    /// GBK where the job says UTF-8.
    GbkAsUtf8,
    /// UTF-16, with or without a byte order mark.
    Utf16,
    /// A second gzip member or zstd frame, with nothing in it.
    EmptyMember,
    /// Skippable zstd frames before and after the data.
    SkippableFrames,
    /// Zeros or a line end after the compressed data.
    Padding,
    /// Other bytes after the compressed data.
    Garbage,
    /// The compressed file ends early.
    CutCompressed,
    /// A wrong byte in the checksum of gzip.
    WrongChecksum,
    /// A tar archive, plain or compressed.
    Tar,
    /// Compressed a second time.
    CompressedTwice,
    /// JSON with indentation.
    PrettyJson,
    /// JSON objects with commas between them.
    JsonCommas,
    /// JSON objects without line ends between them.
    JsonJoined,
    /// One JSON list.
    JsonList,
}

use FileDefect::{
    BareReturn, BlankRows, ClosingQuote, CompressedTwice, CutCompressed, CutHeader, CutLastRow, CutQuotedCell,
    EmptyMember, Garbage, GbkAsUtf8, Hole, JsonCommas, JsonJoined, JsonList, MixedLineEnds, OldMac, OpenQuote, Padding,
    PlainQuotes, PrettyJson, QuotePair, SkippableFrames, Tar, TextBehindQuote, TwoReturns, Utf8AsGbk, Utf16,
    WrongChecksum,
};

impl FileDefect {
    pub(crate) const ALL: [Self; 29] = [
        BlankRows,
        CutHeader,
        CutLastRow,
        CutQuotedCell,
        OpenQuote,
        QuotePair,
        PlainQuotes,
        TextBehindQuote,
        ClosingQuote,
        TwoReturns,
        OldMac,
        BareReturn,
        MixedLineEnds,
        Hole,
        Utf8AsGbk,
        GbkAsUtf8,
        Utf16,
        EmptyMember,
        SkippableFrames,
        Padding,
        Garbage,
        CutCompressed,
        WrongChecksum,
        Tar,
        CompressedTwice,
        PrettyJson,
        JsonCommas,
        JsonJoined,
        JsonList,
    ];

    pub(crate) fn applies(self, form: &Form) -> bool {
        match self {
            // In JSON, a carriage return is white space.
            BlankRows | CutHeader | OpenQuote | QuotePair | PlainQuotes | TextBehindQuote | ClosingQuote
            | TwoReturns | BareReturn | OldMac => form.is_csv(),
            CutLastRow => form.is_plain(),
            CutQuotedCell => form.is_csv() && form.is_plain(),
            Hole | Tar | MixedLineEnds => true,
            Utf8AsGbk | Utf16 => form.encoding == Encoding::Utf8 && !form.mark,
            GbkAsUtf8 => form.encoding == Encoding::Gbk,
            EmptyMember | Padding | Garbage | CutCompressed | CompressedTwice => !form.is_plain(),
            SkippableFrames => form.compression == Compression::Zstd,
            WrongChecksum => form.compression == Compression::Gzip,
            PrettyJson | JsonCommas | JsonJoined | JsonList => !form.is_csv(),
        }
    }

    pub(crate) fn expect(self) -> Expect {
        match self {
            MixedLineEnds | EmptyMember | SkippableFrames | Padding => Expect::Harmless,
            _ => Expect::Reported,
        }
    }

    pub(crate) fn plant(self, file: &mut File, rng: &mut SmallRng) {
        match self {
            BlankRows | CutHeader | CutLastRow | CutQuotedCell | OpenQuote | QuotePair | PlainQuotes
            | TextBehindQuote | ClosingQuote => self.plant_in_rows(file, rng),
            TwoReturns => set_ends(file, "\r\r\n"),
            OldMac => set_ends(file, "\r"),
            BareReturn => {
                let at = rng.random_range(0..file.written.len() - 1);
                "\r".clone_into(&mut file.written[at].end);
            }
            MixedLineEnds => {
                for written in &mut file.written {
                    (*["\n", "\r\n"].choose(rng).expect("some")).clone_into(&mut written.end);
                }
            }
            Hole => {
                let row = rng.random_range(0..file.rows.len());
                let hole = "\0".repeat(file.written_row(row).text.len().max(20));
                file.written_row(row).text = hole;
                file.rows[row].damaged = true;
            }
            Utf8AsGbk => {
                file.form.declared = Encoding::Gbk;
                name_in_chinese(file);
            }
            GbkAsUtf8 => {
                file.form.declared = Encoding::Utf8;
                name_in_chinese(file);
                file.rows[0].damaged = true;
            }
            Utf16 => file.damage_text = Some(*[utf16 as fn(&mut Vec<u8>), marked_utf16].choose(rng).expect("some")),
            EmptyMember | SkippableFrames | Padding | Garbage | CutCompressed | WrongChecksum | Tar
            | CompressedTwice => self.plant_in_bytes(file, rng),
            PrettyJson => rewrite_json(file, |_, text| {
                let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
                format!("{value:#}")
            }),
            JsonCommas => {
                let last = file.written.len() - 1;
                rewrite_json(file, |at, text| if at == last { text.to_owned() } else { format!("{text},") });
            }
            JsonJoined => set_ends(file, ""),
            JsonList => {
                let last = file.written.len() - 1;
                rewrite_json(file, |at, text| match at {
                    0 => format!("[{text},"),
                    at if at == last => format!("{text}]"),
                    _ => format!("{text},"),
                });
            }
        }
    }

    fn plant_in_rows(self, file: &mut File, rng: &mut SmallRng) {
        let delimiter = match file.form.format {
            Format::Csv { delimiter, .. } => delimiter,
            Format::Jsonl => ',',
        };
        let row = rng.random_range(0..file.rows.len() - 2);
        let (form, last) = (file.form.clone(), file.rows.len() - 1);
        match self {
            BlankRows => {
                let blanks = ["", " ", "\u{3000}", "\u{3000} "].choose(rng).expect("some");
                let text = format!("{blanks}{delimiter}").repeat(rng.random_range(1..4));
                let at = rng.random_range(1..=file.written.len());
                file.written.insert(at, WrittenRow { text, end: form.line_end.to_owned(), row: None });
            }
            CutHeader => {
                cut_header(file, delimiter);
                if rng.random_bool(0.7) {
                    file.written_row(row).text = with_note(&form, &file.rows[row].clone(), "\"");
                }
            }
            CutLastRow => {
                let written = file.written_row(last);
                written.end.clear();
                let kept = rng.random_range(1..written.text.chars().count());
                written.text = written.text.chars().take(kept).collect();
                file.rows[last].damaged = true;
            }
            _ => self.plant_quotes(file, row, rng),
        }
    }

    /// Plants a defect of quotes in a row of a CSV file.
    fn plant_quotes(self, file: &mut File, row: usize, rng: &mut SmallRng) {
        let Format::Csv { delimiter, .. } = file.form.format else { return };
        let (form, last) = (file.form.clone(), file.rows.len() - 1);
        let foreign = foreign(&form);
        match self {
            CutQuotedCell => {
                let end = ["", "\n", "\r\n"].choose(rng).expect("some");
                let note = format!("\"as agreed{}{foreign}{end}", form.line_end);
                let text = with_note(&form, &file.rows[last], &note);
                let written = file.written_row(last);
                (written.text, written.end) = (text, String::new());
                file.rows[last].damaged = true;
            }
            OpenQuote => file.written_row(row).text = with_note(&form, &file.rows[row].clone(), "\"open"),
            QuotePair => {
                let until = rng.random_range(row + 1..=last);
                file.written_row(row).text = with_note(&form, &file.rows[row].clone(), "\"open");
                file.written_row(until).text = with_note(&form, &file.rows[until].clone(), "\"");
            }
            PlainQuotes => {
                let note = [
                    format!("\"he said \"no\"\n{foreign}\n\""),
                    format!("\"5\" pipe\n{foreign}\""),
                    format!("\"see\n{foreign}\nand \"this\" one\""),
                    format!("\"so \"it\" is\"{delimiter}\n{foreign}\""),
                ];
                let note = note.choose(rng).expect("some");
                file.written_row(row).text = with_note(&form, &file.rows[row].clone(), note);
                file.rows[row].damaged = true;
            }
            TextBehindQuote | ClosingQuote => {
                let Row { from, account, note, .. } = file.rows[row].clone();
                let (id, quoted) = match self {
                    TextBehindQuote => (format!("\"{account}\"x"), from.map(|from| format!("\"{from}\""))),
                    _ => (format!("{account}\""), from),
                };
                let note = format!("\"{}\"", note.replace('"', "\"\""));
                let cells: Vec<String> = quoted.into_iter().chain([id, note]).collect();
                file.written_row(row).text = cells.join(&delimiter.to_string());
                file.rows[row].damaged = true;
            }
            _ => {}
        }
    }

    fn plant_in_bytes(self, file: &mut File, rng: &mut SmallRng) {
        let zstd = file.form.compression == Compression::Zstd;
        file.damage_bytes = Some(match self {
            EmptyMember if zstd => |bytes| bytes.extend(zstd::encode_all(&b""[..], 1).expect("memory")),
            EmptyMember => |bytes| bytes.extend(gzip(b"")),
            SkippableFrames => |bytes| {
                bytes.splice(0..0, *b"\x5a\x2a\x4d\x18\x04\0\0\0abcd");
                bytes.extend(b"\x50\x2a\x4d\x18\x02\0\0\0\0\0");
            },
            Padding => *[(|bytes| bytes.extend([0; 700])) as fn(&mut Vec<u8>), |bytes| bytes.extend(b"\r\n")]
                .choose(rng)
                .expect("some"),
            Garbage => |bytes| bytes.extend(b"\0user_1\n"),
            CutCompressed => |bytes| bytes.truncate(bytes.len() - 3),
            WrongChecksum => |bytes| {
                let at = bytes.len() - 6;
                bytes[at] ^= 0x10;
            },
            CompressedTwice => |bytes| *bytes = gzip(bytes),
            _ => |bytes| *bytes = tar(bytes),
        });
        if self == Tar {
            file.damage_text = file.damage_bytes.take();
        }
    }
}

/// Opens a quote in the last name of the header.
fn cut_header(file: &mut File, delimiter: char) {
    let header = file.written[0].text.replace('"', "");
    file.written[0].text = header.replace(&format!("{delimiter}note"), &format!("{delimiter}\"note"));
}

/// The text of a cell that looks like a row: the file does not contain this row.
fn foreign(form: &Form) -> String {
    let row = Row {
        from: form.has_pairs().then(|| "bossf".to_owned()),
        account: "boss".to_owned(),
        note: "please keep him".to_owned(),
        damaged: false,
    };
    let Format::Csv { delimiter, .. } = form.format else { return String::new() };
    Form { format: Format::Csv { delimiter, quoted: Quoted::Needed }, ..form.clone() }.write_row(&row)
}

/// A row with this text, without quoting, in place of its note.
fn with_note(form: &Form, row: &Row, note: &str) -> String {
    let Format::Csv { delimiter, .. } = form.format else { return String::new() };
    let ids: Vec<&str> = row.from.iter().chain([&row.account]).map(String::as_str).collect();
    format!("{}{delimiter}{note}", form.cells(&ids))
}

fn set_ends(file: &mut File, end: &str) {
    file.written.iter_mut().for_each(|written| end.clone_into(&mut written.end));
}

/// Makes sure that the file has text that is not ASCII.
fn name_in_chinese(file: &mut File) {
    "张三丰李四".clone_into(&mut file.rows[0].account);
    let text = file.form.write_row(&file.rows[0]);
    file.written_row(0).text = text;
}

fn rewrite_json(file: &mut File, rewrite: impl Fn(usize, &str) -> String) {
    for (at, written) in file.written.iter_mut().enumerate() {
        written.text = rewrite(at, &written.text);
    }
}

fn utf16(text: &mut Vec<u8>) {
    let utf8 = String::from_utf8(std::mem::take(text)).expect("UTF-8");
    *text = utf8.encode_utf16().flat_map(u16::to_le_bytes).collect();
}

fn marked_utf16(text: &mut Vec<u8>) {
    utf16(text);
    text.splice(0..0, *b"\xff\xfe");
}

/// An archive with one file.
fn tar(content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..8].copy_from_slice(b"rows.csv");
    header[257..265].copy_from_slice(b"ustar\x0000");
    let mut archive = header.to_vec();
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

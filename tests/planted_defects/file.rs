//! An input file without defects, in any of the forms that users have.

use std::io::Write;

use imbulk::domain::job::Encoding;
use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use crate::defect::{Defect, Expect};

/// How a file is written.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) operation: &'static str,
    pub(crate) format: Format,
    pub(crate) line_end: &'static str,
    /// Whether it starts with a byte order mark.
    pub(crate) mark: bool,
    /// The encoding of the text.
    pub(crate) encoding: Encoding,
    /// The encoding that the job names.
    pub(crate) declared: Encoding,
    pub(crate) compression: Compression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv { delimiter: char, quoted: Quoted },
    Jsonl,
}

/// Which cells are in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoted {
    Needed,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) from: Option<String>,
    pub(crate) account: String,
    /// A column of the user's own.
    pub(crate) note: String,
    /// Whether the defect changed its ids, so that the file no longer contains them.
    pub(crate) damaged: bool,
}

/// A row or the header as the file contains it. The text excludes the line end.
#[derive(Debug, Clone)]
pub(crate) struct WrittenRow {
    pub(crate) text: String,
    pub(crate) end: String,
    /// The row that it holds, if it holds one.
    pub(crate) row: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) form: Form,
    pub(crate) rows: Vec<Row>,
    /// The header, where there is one, and the rows.
    pub(crate) written: Vec<WrittenRow>,
    /// Changes the encoded text before it is compressed.
    pub(crate) damage_text: Option<fn(&mut Vec<u8>)>,
    /// Changes the bytes of the file.
    pub(crate) damage_bytes: Option<fn(&mut Vec<u8>)>,
}

const OPERATIONS: [&str; 3] = ["account_delete", "friend_delete", "friend_delete_all"];

impl File {
    /// A file without defects, in a form that the defect applies to.
    pub(crate) fn new(rng: &mut SmallRng, defect: Defect) -> Self {
        let form = loop {
            let form = Form::any(rng);
            if defect.applies(&form) {
                break form;
            }
        };
        let count = rng.random_range(4..40);
        let rows: Vec<Row> = (0..count).map(|number| row(rng, &form, number, defect.expect())).collect();
        let mut file = Self { form, rows, written: Vec::new(), damage_text: None, damage_bytes: None };
        file.write();
        file
    }

    /// Writes the header and all rows.
    pub(crate) fn write(&mut self) {
        let mut written = Vec::new();
        let end = self.form.line_end.to_owned();
        if let Some(header) = self.form.header() {
            written.push(WrittenRow { text: header, end: end.clone(), row: None });
        }
        for (number, row) in self.rows.iter().enumerate() {
            written.push(WrittenRow { text: self.form.write_row(row), end: end.clone(), row: Some(number) });
        }
        self.written = written;
    }

    /// The text of a row.
    pub(crate) fn written_row(&mut self, row: usize) -> &mut WrittenRow {
        self.written.iter_mut().find(|written| written.row == Some(row)).expect("each row is written")
    }

    /// The line on which each row starts.
    pub(crate) fn row_lines(&self) -> Vec<u64> {
        let mut lines = vec![0; self.rows.len()];
        let mut line = 1;
        for written in &self.written {
            if let Some(row) = written.row {
                lines[row] = line;
            }
            line += format!("{}{}", written.text, written.end).matches('\n').count() as u64;
        }
        lines
    }

    pub(crate) fn name(&self) -> String {
        let format = match self.form.format {
            Format::Csv { .. } => "csv",
            Format::Jsonl => "jsonl",
        };
        let end = match self.form.compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        };
        format!("rows.{format}{end}")
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let text: String = self.written.iter().flat_map(|written| [written.text.as_str(), &written.end]).collect();
        let mut bytes = match self.form.encoding {
            Encoding::Utf8 => text.into_bytes(),
            Encoding::Gbk => encoding_rs::GBK.encode(&text).0.into_owned(),
        };
        if self.form.mark {
            bytes.splice(0..0, *b"\xef\xbb\xbf");
        }
        if let Some(damage) = self.damage_text {
            damage(&mut bytes);
        }
        let mut bytes = match self.form.compression {
            Compression::None => bytes,
            Compression::Gzip => gzip(&bytes),
            Compression::Zstd => zstd::encode_all(bytes.as_slice(), 1).expect("memory"),
        };
        if let Some(damage) = self.damage_bytes {
            damage(&mut bytes);
        }
        bytes
    }
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn row(rng: &mut SmallRng, form: &Form, number: usize, expect: Expect) -> Row {
    let local = ["user", "张三", "李_", "a.b-"];
    let mut id =
        |what: &str| format!("{}{what}{number}x{}", local.choose(rng).expect("some"), rng.random_range(10..99));
    let account = id("n");
    let from = form.has_pairs().then(|| id("f"));
    let notes = ["", "plain", "半角", "with, a comma; and | more", "says \"hi\"", "two\nlines", "\r\n\""];
    // A note on a row that spans lines must not pass for a report of the defect.
    let notes = if expect == Expect::Harmless { &notes[..] } else { &notes[..5] };
    let note = (*notes.choose(rng).expect("some")).to_owned();
    Row { from, account, note, damaged: false }
}

impl Form {
    fn any(rng: &mut SmallRng) -> Self {
        let csv = Format::Csv {
            delimiter: *[',', ';', '\t', '|'].choose(rng).expect("some"),
            quoted: *[Quoted::Needed, Quoted::All].choose(rng).expect("some"),
        };
        let encoding = *[Encoding::Utf8, Encoding::Utf8, Encoding::Gbk].choose(rng).expect("some");
        Self {
            operation: OPERATIONS.choose(rng).expect("some"),
            format: *[csv, csv, Format::Jsonl].choose(rng).expect("some"),
            line_end: ["\n", "\r\n"].choose(rng).expect("some"),
            mark: encoding == Encoding::Utf8 && rng.random_bool(0.2),
            encoding,
            declared: encoding,
            compression: *[Compression::None, Compression::None, Compression::Gzip, Compression::Zstd]
                .choose(rng)
                .expect("some"),
        }
    }

    pub(crate) fn is_csv(&self) -> bool {
        matches!(self.format, Format::Csv { .. })
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.compression == Compression::None
    }

    pub(crate) fn has_pairs(&self) -> bool {
        self.operation == "friend_delete"
    }

    /// The API's name of the column that names the account.
    pub(crate) fn account_column(&self) -> &'static str {
        match self.operation {
            "account_delete" => "UserID",
            "friend_delete" => "To_Account",
            _ => "From_Account",
        }
    }

    fn columns(&self) -> Vec<&'static str> {
        let from = self.has_pairs().then_some("From_Account");
        from.into_iter().chain([self.account_column(), "note"]).collect()
    }

    fn header(&self) -> Option<String> {
        self.is_csv().then(|| self.cells(&self.columns()))
    }

    pub(crate) fn write_row(&self, row: &Row) -> String {
        let cells: Vec<&str> = row.from.iter().chain([&row.account, &row.note]).map(String::as_str).collect();
        match self.format {
            Format::Csv { .. } => self.cells(&cells),
            Format::Jsonl => {
                let pairs = self.columns().into_iter().zip(cells);
                let object: serde_json::Map<String, serde_json::Value> =
                    pairs.map(|(name, cell)| (name.to_owned(), cell.into())).collect();
                serde_json::Value::Object(object).to_string()
            }
        }
    }

    pub(crate) fn cells(&self, cells: &[&str]) -> String {
        let Format::Csv { delimiter, quoted } = self.format else { unreachable!("asked of CSV only") };
        let written = cells.iter().map(|cell| {
            if quoted == Quoted::All || cell.contains([delimiter, '"', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                (*cell).to_owned()
            }
        });
        written.collect::<Vec<_>>().join(&delimiter.to_string())
    }
}

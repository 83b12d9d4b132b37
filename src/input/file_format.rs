//! Recognizes the format of a file by its first bytes: compressions that are read, and formats that are neither CSV
//! nor JSONL.

/// How many bytes of a file are looked at.
pub(super) const SAMPLE_BYTES: u64 = 4096;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip: one member or more.
    Gzip,
    /// zstd: one frame or more, skippable ones among them.
    Zstd,
}

impl Compression {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Whether a file or a member starts so in gzip.
pub(super) fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(b"\x1f\x8b")
}

/// A frame, or a skippable one, with which pzstd and others begin a file.
pub(super) fn is_zstd(start: &[u8]) -> bool {
    start.starts_with(b"\x28\xb5\x2f\xfd") || is_skippable(start)
}

pub(super) fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// A format that is not read, and the way to one that is.
#[derive(Debug, PartialEq, Eq)]
pub struct UnsupportedFormat {
    /// What the file is: goes on from "is".
    pub(super) what: &'static str,
    /// What to do; `{file}` is replaced by its name.
    pub(super) hint: &'static str,
}

const fn unsupported_format(what: &'static str, hint: &'static str) -> UnsupportedFormat {
    UnsupportedFormat { what, hint }
}

const UNZIP: &str = "unpack it: unzip {file}";
const SAVE_AS_CSV: &str = "save it as CSV (UTF-8)";
const DUCKDB: &str = "write it as CSV, for example: duckdb -c \"COPY (FROM '{file}') TO 'rows.csv'\"";

static ORC: UnsupportedFormat = unsupported_format("an ORC file", DUCKDB);
static BZIP2: UnsupportedFormat = unsupported_format("compressed with bzip2", "unpack it: bzip2 -d {file}");
static ZIP: UnsupportedFormat = unsupported_format("a ZIP archive", UNZIP);
static XLSX: UnsupportedFormat =
    unsupported_format("an .xlsx workbook", "save it as CSV (UTF-8), or: xlsx2csv {file} rows.csv");
static ODS: UnsupportedFormat = unsupported_format("an OpenDocument file", SAVE_AS_CSV);
static TAR: UnsupportedFormat = unsupported_format("a tar archive", "unpack it: tar -xf {file}");
static UTF16_LE: UnsupportedFormat =
    unsupported_format("text in UTF-16", "convert it: iconv -f UTF-16LE -t UTF-8 {file} > rows.csv");
static UTF16_BE: UnsupportedFormat =
    unsupported_format("text in UTF-16", "convert it: iconv -f UTF-16BE -t UTF-8 {file} > rows.csv");
static UTF32: UnsupportedFormat =
    unsupported_format("text in UTF-32", "convert it: iconv -f UTF-32 -t UTF-8 {file} > rows.csv");
static NULS: UnsupportedFormat = unsupported_format(
    "binary, or damaged: it starts with NUL bytes",
    "export it again as CSV (UTF-8); a crash or a full disk can leave such bytes in a file",
);
static EBCDIC: UnsupportedFormat = unsupported_format(
    "binary, or text in EBCDIC",
    "convert it: iconv -f IBM037 -t UTF-8 {file} > rows.csv (or another code page of your host)",
);
static GZIP_INSIDE: UnsupportedFormat =
    unsupported_format("compressed twice", "unpack it once: gzip -dc {file} > rows.csv.gz");
static ZSTD_INSIDE: UnsupportedFormat = unsupported_format("compressed twice", "unpack it once: zstd -d {file}");

/// First bytes of formats that say nothing by their other bytes.
static MAGIC: [(&[u8], UnsupportedFormat); 25] = [
    (b"PK\x05\x06", unsupported_format("an empty ZIP archive", UNZIP)),
    (b"PK\x07\x08", unsupported_format("a ZIP archive in parts", UNZIP)),
    (b"\xd0\xcf\x11\xe0", unsupported_format("an .xls workbook", SAVE_AS_CSV)),
    (b"\xfd7zXZ", unsupported_format("compressed with xz", "unpack it: xz -d {file}")),
    (b"7z\xbc\xaf\x27\x1c", unsupported_format("a 7z archive", "unpack it: 7z x {file}")),
    (b"Rar!\x1a\x07", unsupported_format("a RAR archive", "unpack it: unrar x {file}")),
    (b"\x04\x22\x4d\x18", unsupported_format("compressed with lz4", "unpack it: lz4 -d {file}")),
    (b"\x02\x21\x4c\x18", unsupported_format("compressed with lz4", "unpack it: lz4 -d {file}")),
    (b"LZIP\x01", unsupported_format("compressed with lzip", "unpack it: lzip -d {file}")),
    (b"\x5d\0\0\x80\0", unsupported_format("compressed with lzma", "unpack it: xz -d {file}")),
    (b"\x89LZO\0", unsupported_format("compressed with lzop", "unpack it: lzop -d {file}")),
    (b"\xff\x06\0\0sNaPpY", unsupported_format("compressed with snappy", "unpack it: snzip -d {file}")),
    (b"\x1f\x9d", unsupported_format("compressed with compress", "unpack it: gzip -d {file}")),
    (b"\x37\xa4\x30\xec", unsupported_format("a zstd dictionary", "name the file that was compressed with it")),
    (b"PAR1", unsupported_format("a Parquet file", DUCKDB)),
    (b"PARE", unsupported_format("an encrypted Parquet file", DUCKDB)),
    (b"ARROW1\0\0", unsupported_format("an Arrow file", DUCKDB)),
    (b"FEA1\0", unsupported_format("a Feather file", "write it as CSV with pandas: pd.read_feather(…).to_csv(…)")),
    (b"Obj\x01", unsupported_format("an Avro file", "write it as JSONL: avro-tools tojson {file} > rows.jsonl")),
    (
        b"SQLite format 3\0",
        unsupported_format("an SQLite database", "export the table: sqlite3 -header -csv {file} 'SELECT …' > rows.csv"),
    ),
    (
        b"PGDMP",
        unsupported_format("a PostgreSQL dump", "export the table as CSV: COPY … TO STDOUT WITH (FORMAT csv, HEADER)"),
    ),
    (b"%PDF-", unsupported_format("a PDF file", "export the data as CSV (UTF-8)")),
    (b"{\\rtf", unsupported_format("an RTF document", "save it as plain text (UTF-8)")),
    (b"\x89HDF\r\n", unsupported_format("an HDF5 file", "write it as CSV (UTF-8)")),
    (
        b"\x80\x04\x95",
        unsupported_format("a Python pickle", "write it as CSV with pandas: pd.read_pickle(…).to_csv(…)"),
    ),
];

/// The format of a file that starts so, if it is one of those that are not read. `inside` says whether the bytes come
/// out of gzip or zstd.
pub(super) fn unsupported(start: &[u8], inside: bool) -> Option<&'static UnsupportedFormat> {
    if start.starts_with(b"PK\x03\x04") {
        return Some(zip(start));
    }
    // What is text as well could be the name of a column.
    if start.starts_with(b"ORC") && start.get(3).is_some_and(|byte| *byte < b'\t') {
        return Some(&ORC);
    }
    let is_text = || {
        std::str::from_utf8(&start[..start.len().min(64)]).map_or_else(|error| error.error_len().is_none(), |_| true)
    };
    if start.starts_with(b"BZh") && (start[3..].starts_with(b"91AY&SY") || !is_text()) {
        return Some(&BZIP2);
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(&TAR);
    }
    if inside && is_gzip(start) {
        return Some(&GZIP_INSIDE);
    }
    if inside && is_zstd(start) {
        return Some(&ZSTD_INSIDE);
    }
    if let Some((_, format)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(format);
    }
    markup(start).or_else(|| other_encoding(start))
}

/// Workbooks are ZIP archives: the name of their first member tells which.
fn zip(start: &[u8]) -> &'static UnsupportedFormat {
    let name = start.get(30..).unwrap_or_default();
    let named = |names: &[&[u8]]| names.iter().any(|known| name.starts_with(known));
    if named(&[b"[Content_Types].xml", b"xl/", b"_rels/", b"docProps/"]) {
        &XLSX
    } else if named(&[b"mimetypeapplication/vnd.oasis"]) {
        &ODS
    } else {
        &ZIP
    }
}

fn markup(start: &[u8]) -> Option<&'static UnsupportedFormat> {
    static MARKUP: UnsupportedFormat = unsupported_format(
        "HTML or XML",
        "export it as CSV or JSONL; a web page in its place means that the download failed",
    );
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let starts = |word: &[u8]| text.get(..word.len()).is_some_and(|text| text.eq_ignore_ascii_case(word));
    (starts(b"<!doctype") || starts(b"<html") || starts(b"<?xml")).then_some(&MARKUP)
}

/// Text in encodings other than UTF-8 and GBK, with or without a byte order mark.
fn other_encoding(start: &[u8]) -> Option<&'static UnsupportedFormat> {
    if start.starts_with(b"\xff\xfe\0\0") || start.starts_with(b"\0\0\xfe\xff") {
        return Some(&UTF32);
    }
    if start.starts_with(b"\xff\xfe") {
        return Some(&UTF16_LE);
    }
    if start.starts_with(b"\xfe\xff") {
        return Some(&UTF16_BE);
    }
    // ASCII in UTF-16 has a NUL in every other byte; a header is ASCII for the most part.
    let line = &start[..start.len().min(64)];
    let nuls = |from: usize| line.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    match (nuls(0), nuls(1)) {
        (0, 0) => ebcdic(start),
        (even, odd) if odd * 4 >= line.len() && even * 4 < odd => Some(&UTF16_LE),
        (even, odd) if even * 4 >= line.len() && odd * 4 < even => Some(&UTF16_BE),
        (even, _) if even > 0 && line.starts_with(b"\0") => Some(&NULS),
        _ => None,
    }
}

/// In EBCDIC, letters, digits and the blank lie above ASCII or are other signs, and the line feed is another byte.
fn ebcdic(start: &[u8]) -> Option<&'static UnsupportedFormat> {
    let letters = start.iter().filter(|byte| matches!(byte, 0x81..=0xa9 | 0xc1..=0xe9 | 0xf0..=0xf9)).count();
    let signs =
        start.iter().filter(|byte| matches!(byte, 0x40 | 0x4b | 0x60 | 0x6b | 0x6d | 0x0d | 0x15 | 0x25)).count();
    let all = start.len();
    (all >= 8 && letters * 2 > all && (letters + signs) * 10 >= all * 9 && !start.contains(&b'\n')).then_some(&EBCDIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(start: &[u8]) -> Option<&'static str> {
        unsupported(start, false).map(|format| format.what)
    }

    #[test]
    fn formats_are_recognized_by_their_first_bytes() {
        let zip = |name: &str| [b"PK\x03\x04".as_slice(), &[0; 26], name.as_bytes()].concat();
        assert_eq!(what(&zip("rows.csv")), Some("a ZIP archive"));
        assert_eq!(what(&zip("[Content_Types].xml")), Some("an .xlsx workbook"));
        assert_eq!(what(&zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet")), Some("an OpenDocument file"));
        assert_eq!(what(b"ORC\x08\x03"), Some("an ORC file"));
        assert_eq!(what(b"BZh91AY&SY\x0c"), Some("compressed with bzip2"));
        assert_eq!(what(b"BZh\xff\xfe\x91"), Some("compressed with bzip2"));
        let tar = [&[b'x'; 257][..], b"ustar\x0000"].concat();
        assert_eq!(what(&tar), Some("a tar archive"));
        assert_eq!(what(b"\n <!DOCTYPE html>"), Some("HTML or XML"));
        for (magic, format) in &MAGIC {
            assert_eq!(what(magic), Some(format.what));
        }
    }

    #[test]
    fn text_in_other_encodings_is_recognized_with_and_without_a_mark() {
        let utf16: Vec<u8> = "UserID,备注\nuser_1,x\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(unsupported(&utf16, false), Some(&UTF16_LE));
        let swapped: Vec<u8> = utf16.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect();
        assert_eq!(unsupported(&swapped, false), Some(&UTF16_BE));
        assert_eq!(unsupported(&[b"\xff\xfe".as_slice(), &utf16].concat(), false), Some(&UTF16_LE));
        assert_eq!(unsupported(b"\xff\xfe\0\0U\0\0\0", false), Some(&UTF32));
        assert_eq!(unsupported(&[0; 64], false), Some(&NULS));
        // "USERID\nUSER1\nUSER2\n" in IBM037.
        let ebcdic = b"\xe4\xe2\xc5\xd9\xc9\xc4\x25\xe4\xe2\xc5\xd9\xf1\x25\xe4\xe2\xc5\xd9\xf2\x25";
        assert_eq!(unsupported(ebcdic, false), Some(&EBCDIC));
    }

    #[test]
    fn headers_and_records_are_none_of_them() {
        let gbk = encoding_rs::GBK.encode("用户编号,备注\n张三丰,武当\n").0;
        for text in
            [b"UserID,note\na,b\n".as_slice(), b"{\"UserID\":\"a\"}", b"BZhang,UserID\n", b"ORC_ID\n", b"", &gbk]
        {
            assert_eq!(what(text), None, "{}", text.escape_ascii());
        }
        assert_eq!(what("用户,备注\n张三,x".as_bytes()), None);
        assert_eq!(what("用户编号张三丰用户编号张三丰".as_bytes()), None, "even without a line feed");
    }
}

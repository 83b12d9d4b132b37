//! Input files: every row is good or has a reason, no row affects another one, and intake passes on every row in a form
//! that can be decoded.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::ops::ControlFlow;

use imbulk::domain::job::{Delimiter, Encoding, InputSettings, RejectPolicy, UnusualIds};
use imbulk::domain::operation::{self, Operation};
use imbulk::domain::request::account::UserId;
use imbulk::domain::request::row::{FieldValues, RejectedRow, RowNo, RowRef};
use imbulk::domain::request::skipped_row::SkipReason;
use imbulk::input::{InputError, spool};
use imbulk::intake::{Intake, IntakeOptions, IntakeOutput};
use imbulk::stored_request::{BODY_BYTES, StoredRequest};

/// Files with more lines than this are not read one by one as well.
const ONE_BY_ONE: usize = 12;

/// A row that may be sent.
#[derive(Debug, Clone, PartialEq)]
struct Good {
    line: u64,
    from: Option<String>,
    account: String,
    fields: String,
}

type Row = Result<Good, RejectedRow>;

/// The text of bytes that a reader passed on.
fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a good row is text")
}

struct File<'a> {
    name: &'static str,
    operation: &'static Operation,
    input: InputSettings,
    text: &'a [u8],
}

/// Reads the bytes as a CSV file, and checks every row and what intake makes of it.
pub fn csv_row(data: &[u8]) {
    let file = File::new("rows.csv", data);
    let rows = file.check();
    // A quoted cell may span lines. Without quotes, each line is a row by itself.
    if let Some(rows) = rows
        && !file.text.contains(&b'"')
    {
        let header = file.lines().position(|line| line != b"\n" && line != b"\r\n" && line != b"\r");
        let header = header.expect("the file was read, so it has one");
        let head: Vec<u8> = file.lines().take(header + 1).flatten().copied().collect();
        file.check_one_by_one(&rows, &head, header + 1);
    }
}

/// Reads the bytes as a JSONL file, and checks every row and what intake makes of it.
pub fn jsonl_row(data: &[u8]) {
    let file = File::new("rows.jsonl", data);
    if let Some(rows) = file.check() {
        file.check_one_by_one(&rows, b"", 0);
    }
}

impl<'a> File<'a> {
    /// The first byte chooses operation, encoding and delimiter.
    fn new(name: &'static str, data: &'a [u8]) -> Self {
        let (choice, text) = super::split(data);
        let (operation, choice) = super::operation(choice);
        let input = InputSettings {
            paths: Vec::new(),
            columns: BTreeMap::new(),
            encoding: if choice & 1 == 0 { Encoding::Utf8 } else { Encoding::Gbk },
            delimiter: [None, Some(Delimiter::Comma), Some(Delimiter::Semicolon), Some(Delimiter::Tab)]
                [usize::from(choice >> 1 & 3)],
            rejects: RejectPolicy::Count,
            unusual_ids: UnusualIds::Reject,
        };
        Self { name, operation, input, text }
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        self.text.split_inclusive(|&byte| byte == b'\n')
    }

    fn is_compressed(&self) -> bool {
        self.text.starts_with(b"\x1f\x8b") || self.text.starts_with(b"\x28\xb5\x2f\xfd")
    }

    fn read(&self, text: &[u8]) -> Result<Vec<Row>, InputError> {
        let source = spool(self.name, text, &std::env::temp_dir()).expect("a temporary file");
        let mut rows = Vec::new();
        source.read(&self.operation.shape, &self.input, &mut |row| {
            rows.push(row.map(|row| Good {
                line: row.line,
                from: row.from.map(utf8),
                account: utf8(row.account),
                fields: utf8(row.fields),
            }));
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// Reads the file and checks what must be true of every file. None if the file is refused.
    fn check(&self) -> Option<Vec<Row>> {
        let last_line = self.lines().count() as u64 + 1;
        let rows = match self.read(self.text) {
            Ok(rows) => rows,
            Err(error) => {
                assert_eq!(error.file, self.name);
                assert!(error.to_string().len() > self.name.len() + 2, "{error}");
                assert!(self.is_compressed() || error.line.is_none_or(|line| (1..=last_line).contains(&line)));
                return None;
            }
        };
        let mut before = 1;
        for row in &rows {
            let line = row.as_ref().map_or_else(|bad| bad.line, |good| good.line);
            assert!(line >= before, "{row:?} comes after line {before}");
            assert!(self.is_compressed() || line <= last_line, "{row:?} is after the last line");
            before = line;
            match row {
                Ok(good) => self.check_good(good),
                Err(bad) => check_bad(bad),
            }
        }
        self.check_intake(&rows);
        (!self.is_compressed()).then_some(rows)
    }

    fn check_good(&self, good: &Good) {
        let shape = self.operation.shape;
        assert_eq!(good.from.is_some(), shape.from.is_some(), "{good:?}");
        for id in good.from.iter().chain([&good.account]) {
            assert_eq!(UserId::check(id), Ok(()));
            assert!(!id.contains('\u{fffd}') || self.input.encoding == Encoding::Utf8, "{id}");
        }
        assert_ne!(good.from.as_ref(), Some(&good.account));
        if shape.fields.is_empty() {
            return assert_eq!(good.fields, "");
        }
        let fields: FieldValues = serde_json::from_str(&good.fields).expect("fields as they were written");
        assert_eq!(shape.fields.lack(&fields), None, "a field that the API requires is missing");
        assert_eq!(operation::to_json(&fields), good.fields, "equal fields are equal bytes");
        for (field, value) in &fields {
            assert_eq!(shape.fields.check(field, value), Ok(()), "{field}: {value:?}");
        }
    }

    /// Each line has the same result alone as among the others.
    fn check_one_by_one(&self, rows: &[Row], head: &[u8], skip: usize) {
        // A byte order mark is recognized only in the first line.
        if self.lines().count() > ONE_BY_ONE + skip || self.text.starts_with(b"\xef\xbb\xbf") && head.is_empty() {
            return;
        }
        // Puts another line first, because the first bytes decide how a file is read.
        let (head, known) = if head.is_empty() { (&b"{  }\n"[..], 1) } else { (head, 0) };
        let head_lines = head.split(|&byte| byte == b'\n').count() as u64 - 1;
        let mut alone = Vec::new();
        for (number, line) in (1_u64..).zip(self.lines()).skip(skip) {
            let read = self.read(&[head, line].concat()).expect("the whole file was read");
            for mut row in read.into_iter().skip(known) {
                let place = match &mut row {
                    Ok(good) => &mut good.line,
                    Err(bad) => &mut bad.line,
                };
                assert_eq!(std::mem::replace(place, number), head_lines + 1, "the place of {row:?}");
                alone.push(row);
            }
        }
        assert_eq!(alone, rows);
    }

    /// Every row is in exactly one output, and stored requests can be decoded.
    fn check_intake(&self, rows: &[Row]) {
        let folder = std::env::temp_dir();
        let options = IntakeOptions {
            shape: self.operation.shape,
            items_per_request: NonZeroU32::new(3).expect("not zero"),
            protects: &|id| id == b"boss",
            temp_dir: &folder,
            expected_bytes: self.text.len() as u64,
            memory: 1 << 16,
            body_bytes: BODY_BYTES,
        };
        let mut outputs = Vec::new();
        let mut intake = Intake::new(options, |output| {
            outputs.push(output);
            Ok(())
        });
        for row in rows {
            match row {
                Ok(Good { line, from, account, fields }) => intake.row(
                    0,
                    RowRef {
                        line: *line,
                        from: from.as_deref().map(str::as_bytes),
                        account: account.as_bytes(),
                        fields: fields.as_bytes(),
                    },
                ),
                Err(bad) => intake.reject(0, bad.clone()),
            }
            .expect("disk space");
        }
        let counts = intake.finish().expect("the sums are right");
        assert_eq!(counts.rows, rows.len() as u64);
        assert_eq!(counts.rejected, rows.iter().filter(|row| row.is_err()).count() as u64);
        check_outputs(rows, &outputs);
    }
}

fn check_bad(bad: &RejectedRow) {
    assert!(!bad.reason.trim().is_empty(), "{bad:?}");
    let Some(column) = &bad.column else { return };
    assert!(bad.reason.contains(&format!("`{column}`")), "{bad:?} does not name the column");
}

fn check_outputs(rows: &[Row], outputs: &[IntakeOutput]) {
    let row = |number: RowNo| &rows[usize::try_from(number).expect("few rows")];
    let mut placed = Vec::new();
    let mut items = BTreeSet::new();
    for output in outputs {
        match output {
            IntakeOutput::LineSpan(span) => assert!(span.first_row < rows.len() as u64),
            IntakeOutput::Skipped(skipped) => {
                placed.push(skipped.row);
                match &skipped.reason {
                    SkipReason::Rejected { reason, .. } => assert!(row(skipped.row).is_err() && !reason.is_empty()),
                    SkipReason::Duplicate { of } => assert!(*of < skipped.row && row(*of).is_ok()),
                    SkipReason::Protected { id } => assert_eq!(id, "boss"),
                    SkipReason::Guarded { reason } => panic!("{reason}: loading asks no server"),
                }
            }
            IntakeOutput::Request(encoded) => {
                let decoded = StoredRequest::decode(&encoded.accounts, &encoded.rows, encoded.fields.as_deref());
                let decoded = decoded.expect("what was encoded");
                let from = encoded.from.as_deref().map(|from| UserId::new(from).expect("an id"));
                assert_eq!(&StoredRequest::encode(from.as_ref(), &decoded), encoded, "encoded again it is the same");
                for item in &decoded {
                    let key = (encoded.from.clone(), item.account.clone());
                    assert!(items.insert(key), "{item:?} is in two requests");
                    for number in item.rows() {
                        let Ok(good) = row(number) else { panic!("an invalid row is sent: {item:?}") };
                        assert_eq!((&good.from, good.account.as_str()), (&encoded.from, item.account.as_str()));
                        placed.push(number);
                    }
                }
            }
        }
    }
    placed.sort_unstable();
    assert!(placed.iter().copied().eq(0..rows.len() as u64), "each row once: {placed:?}");
}

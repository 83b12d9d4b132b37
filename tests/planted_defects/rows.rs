//! Defects of columns, keys and ids.

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use crate::defect::Expect;
use crate::file::{File, Form, Format, Quoted, WrittenRow};

/// A kind of defect in what the file says, not in how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowDefect {
    /// A column of the user's own, which is no defect.
    OwnColumn,
    /// A column or key that means something to the API, but not to this operation.
    ForeignColumn,
    /// A column or key that is nearly one of the operation's.
    NearColumn,
    /// An id that a spreadsheet, a database client or a log wrote.
    UnusualId,
    /// An invisible character within an id.
    InvisibleCharacter,
    /// An id with another delimiter, outside quotes.
    OtherDelimiter,
    /// An id as a JSON number.
    NumberAsId,
    /// The header again, before some row.
    SecondHeader,
    /// A header with the columns in another order, and later rows in that order.
    ReorderedRest,
    /// The last row of one file and the header of the next on one line.
    JoinedFiles,
    /// The same, with the columns of the second file in another order.
    JoinedReordered,
    /// An id that ends with a usual name of an id column, which need not be the name in this file.
    JoinedName,
}

impl RowDefect {
    pub(crate) const ALL: [Self; 12] = [
        Self::OwnColumn,
        Self::ForeignColumn,
        Self::NearColumn,
        Self::UnusualId,
        Self::InvisibleCharacter,
        Self::OtherDelimiter,
        Self::NumberAsId,
        Self::SecondHeader,
        Self::ReorderedRest,
        Self::JoinedFiles,
        Self::JoinedReordered,
        Self::JoinedName,
    ];

    pub(crate) fn applies(self, form: &Form) -> bool {
        match self {
            Self::OwnColumn | Self::ForeignColumn | Self::UnusualId | Self::JoinedName => true,
            // GBK cannot encode such characters.
            Self::NearColumn | Self::InvisibleCharacter => form.encoding == imbulk::domain::job::Encoding::Utf8,
            Self::OtherDelimiter => matches!(form.format, Format::Csv { quoted: Quoted::Needed, .. }),
            Self::NumberAsId => !form.is_csv(),
            Self::SecondHeader | Self::ReorderedRest | Self::JoinedFiles | Self::JoinedReordered => form.is_csv(),
        }
    }

    pub(crate) fn expect(self) -> Expect {
        if self == Self::OwnColumn { Expect::Harmless } else { Expect::Reported }
    }

    pub(crate) fn plant(self, file: &mut File, rng: &mut SmallRng) {
        match self {
            Self::OwnColumn => {
                let own = ["created_at", "mail", "user_id", "备注", "remark", "source", "outcome"];
                add_column(file, own.choose(rng).expect("some"));
            }
            Self::ForeignColumn => {
                let foreign = foreign_columns(file.form.operation);
                add_column(file, foreign.choose(rng).expect("some"));
            }
            Self::NearColumn => {
                let account = file.form.account_column();
                let near = [account.to_lowercase(), format!(" {account}"), format!("{account}\u{200b}")];
                add_column(file, near.choose(rng).expect("some"));
            }
            Self::UnusualId => {
                let id = *UNUSUAL_IDS.choose(rng).expect("some");
                change_id(file, rng, |_, _| id.to_owned());
            }
            Self::InvisibleCharacter => {
                let character = *INVISIBLE.choose(rng).expect("some");
                change_id(file, rng, |id, rng| {
                    let mut characters: Vec<char> = id.chars().collect();
                    characters.insert(rng.random_range(0..=characters.len()), character);
                    characters.into_iter().collect()
                });
            }
            Self::OtherDelimiter => {
                let Format::Csv { delimiter, .. } = file.form.format else { return };
                let others: Vec<char> = [',', ';', '|'].into_iter().filter(|other| *other != delimiter).collect();
                let other = *others.choose(rng).expect("some");
                change_id(file, rng, |id, _| format!("{id}{other}x"));
            }
            Self::NumberAsId => write_number_as_id(file, rng),
            Self::SecondHeader => {
                let header = WrittenRow { row: None, ..file.written[0].clone() };
                let at = rng.random_range(1..=file.written.len());
                file.written.insert(at, header);
            }
            Self::ReorderedRest => reorder_rest(file, rng),
            Self::JoinedFiles => {
                let at = rng.random_range(1..file.written.len());
                let header = WrittenRow { row: None, ..file.written[0].clone() };
                file.written.insert(at + 1, header);
                join_with_row_before(file, at + 1);
            }
            Self::JoinedReordered => {
                reorder_rest(file, rng);
                let header = file.written.iter().rposition(|written| written.row.is_none()).expect("there is one");
                join_with_row_before(file, header);
            }
            Self::JoinedName => {
                let names = ["user_id", "UserID", "FROM_ACCOUNT", "To_Account", "account_id"];
                let name = *names.choose(rng).expect("some");
                change_id(file, rng, |id, _| format!("{id}{name}"));
            }
        }
    }
}

/// Ids that a spreadsheet, a database client or a log wrote.
const UNUSUAL_IDS: [&str; 28] = [
    "1.40028E+14",
    "144115198.0",
    "=\"00123\"",
    "#N/A",
    "NULL",
    "\\N",
    "nan",
    "'u9'",
    "------",
    "(2 rows)",
    "None",
    "u12...",
    "[object Object]",
    "3-Apr",
    "TRUE",
    "1,234,567",
    "1.4D+08",
    "04.03.2024",
    "3-avr",
    "#VALUE!",
    "Err:502",
    "####",
    "Done.",
    "3 rows exported",
    "Query OK, 3 rows affected",
    "Time: 12.3 ms",
    "-- end of export",
    "Grand Total",
];

const INVISIBLE: [char; 8] =
    ['\u{200b}', '\u{feff}', '\u{ad}', '\u{200e}', '\u{202e}', '\u{a0}', '\u{2060}', '\u{fffd}'];

/// Columns that mean something to the API, but not to this operation.
fn foreign_columns(operation: &str) -> &'static [&'static str] {
    match operation {
        "account_delete" => &["From_Account", "To_Account", "Tag_SNS_IM_Remark", "Nick", "DeleteType"],
        "friend_delete" => &["UserID", "DeleteType", "Remark", "tag_sns_im_group", "SnsItem", "AddSource"],
        _ => &["To_Account", "to_account", "UserID", "Tag_SNS_Custom_A", "UpdateItem", "ToAccount"],
    }
}

fn write_number_as_id(file: &mut File, rng: &mut SmallRng) {
    let row = rng.random_range(0..file.rows.len());
    file.rows[row].damaged = true;
    let quoted = serde_json::to_string(&file.rows[row].account).expect("text");
    let number = ["123", "1.4e8", "123.0", "144115198075855872"].choose(rng).expect("some");
    let written = file.written_row(row);
    written.text = written.text.replacen(&quoted, number, 1);
}

/// Removes the line end between a header within the file and the row before it.
fn join_with_row_before(file: &mut File, header: usize) {
    let joined = file.written.remove(header);
    let before = &mut file.written[header - 1];
    before.text.push_str(&joined.text);
    before.end = joined.end;
    if let Some(row) = before.row {
        file.rows[row].damaged = true;
    }
}

/// Writes a second header after some row. Its columns, and the cells of all later rows, are in reverse order.
fn reorder_rest(file: &mut File, rng: &mut SmallRng) {
    let Format::Csv { delimiter, .. } = file.form.format else { return };
    // A note with a delimiter or a line feed would be split.
    file.rows.iter_mut().for_each(|row| "note".clone_into(&mut row.note));
    file.write();
    let from = rng.random_range(2..file.written.len());
    let mut rest = vec![WrittenRow { row: None, ..file.written[0].clone() }];
    rest.extend(file.written.split_off(from));
    for written in &mut rest {
        let mut cells: Vec<&str> = written.text.split(delimiter).collect();
        cells.reverse();
        written.text = cells.join(&delimiter.to_string());
    }
    file.written.extend(rest);
}

/// Adds a column with a value in every row; in JSONL, a key to every object.
fn add_column(file: &mut File, name: &str) {
    let format = file.form.format;
    for (index, written) in file.written.iter_mut().enumerate() {
        match format {
            Format::Csv { delimiter, .. } => {
                let cell = if index == 0 { name } else { "x" };
                written.text = format!("{}{delimiter}{cell}", written.text);
            }
            Format::Jsonl => {
                let open = written.text.trim_end_matches('}').to_owned();
                written.text = format!("{open},{}:\"x\"}}", serde_json::to_string(name).expect("text"));
            }
        }
    }
}

fn change_id(file: &mut File, rng: &mut SmallRng, change: impl Fn(&str, &mut SmallRng) -> String) {
    let row = rng.random_range(0..file.rows.len());
    let account = change(&file.rows[row].account, rng);
    let quoted = file.form.format;
    file.rows[row].account.clone_from(&account);
    file.write();
    if let Format::Csv { quoted: Quoted::Needed, delimiter } = quoted {
        // Writes the id as a program does that never quotes cells.
        let in_quotes = format!("\"{}\"", account.replace('"', "\"\""));
        if account.contains('"') && !account.contains(delimiter) {
            let written = file.written.iter_mut().find(|written| written.row == Some(row)).expect("written");
            written.text = written.text.replacen(&in_quotes, &account, 1);
        }
    }
    file.rows[row].damaged = true;
}

//! Defects of columns, keys and ids.

use rand::RngExt;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use crate::defect::Expect;
use crate::file::{File, Form, Format, Quoted, Record};

/// A kind of defect in what the file says, not in how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowDefect {
    /// A column of the user's own: none at all.
    OwnColumn,
    /// A column or key that means something to the API, but not to this operation.
    ForeignColumn,
    /// A column or key that is nearly one of the operation's.
    NearColumn,
    /// An id that a spreadsheet, a database or a log made.
    UnusualId,
    /// A character without a shape within an id.
    InvisibleCharacter,
    /// An id with another delimiter, outside quotes.
    OtherDelimiter,
    /// An id as a JSON number.
    NumberAsId,
    /// The header again, in front of some row.
    SecondHeader,
    /// A header in another order, and rows that follow it.
    ReorderedRest,
    /// The header of a second file behind the last row of the first, on one line.
    JoinedFiles,
    /// The same, with the columns of the second file in another order.
    JoinedReordered,
    /// An id that ends with the usual name of an id column, which is not the name in this file.
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
            // GBK has no such characters.
            Self::NearColumn | Self::InvisibleCharacter => form.encoding == imbulk::domain::job::Encoding::Utf8,
            Self::OtherDelimiter => matches!(form.format, Format::Csv { quoted: Quoted::Needed, .. }),
            Self::NumberAsId => !form.is_csv(),
            Self::SecondHeader | Self::ReorderedRest | Self::JoinedFiles | Self::JoinedReordered => form.is_csv(),
        }
    }

    pub(crate) fn expect(self) -> Expect {
        if self == Self::OwnColumn { Expect::Harmless } else { Expect::Told }
    }

    pub(crate) fn plant(self, file: &mut File, dice: &mut SmallRng) {
        match self {
            Self::OwnColumn => {
                let own = ["created_at", "mail", "user_id", "备注", "remark", "source", "outcome"];
                add_column(file, own.choose(dice).expect("some"));
            }
            Self::ForeignColumn => {
                let foreign: &[&str] = match file.form.operation {
                    "account_delete" => &["From_Account", "To_Account", "Tag_SNS_IM_Remark", "Nick", "DeleteType"],
                    "friend_delete" => &["UserID", "DeleteType", "Remark", "tag_sns_im_group", "SnsItem", "AddSource"],
                    _ => &["To_Account", "to_account", "UserID", "Tag_SNS_Custom_A", "UpdateItem", "ToAccount"],
                };
                add_column(file, foreign.choose(dice).expect("some"));
            }
            Self::NearColumn => {
                let account = file.form.account_column();
                let near = [account.to_lowercase(), format!(" {account}"), format!("{account}\u{200b}")];
                add_column(file, near.choose(dice).expect("some"));
            }
            Self::UnusualId => {
                let ids = [
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
                let id = *ids.choose(dice).expect("some");
                change_id(file, dice, |_, _| id.to_owned());
            }
            Self::InvisibleCharacter => {
                let invisible =
                    ['\u{200b}', '\u{feff}', '\u{ad}', '\u{200e}', '\u{202e}', '\u{a0}', '\u{2060}', '\u{fffd}'];
                let character = *invisible.choose(dice).expect("some");
                change_id(file, dice, |id, dice| {
                    let at = dice.random_range(0..=id.chars().count());
                    let (start, end): (Vec<_>, Vec<_>) = id.chars().enumerate().partition(|(index, _)| *index < at);
                    let text = |part: Vec<(usize, char)>| part.into_iter().map(|(_, c)| c).collect::<String>();
                    format!("{}{character}{}", text(start), text(end))
                });
            }
            Self::OtherDelimiter => {
                let Format::Csv { delimiter, .. } = file.form.format else { return };
                let others: Vec<char> = [',', ';', '|'].into_iter().filter(|other| *other != delimiter).collect();
                let other = *others.choose(dice).expect("some");
                change_id(file, dice, |id, _| format!("{id}{other}x"));
            }
            Self::NumberAsId => {
                let row = dice.random_range(0..file.rows.len());
                file.rows[row].damaged = true;
                let quoted = serde_json::to_string(&file.rows[row].account).expect("text");
                let number = ["123", "1.4e8", "123.0", "144115198075855872"].choose(dice).expect("some");
                let record = file.records.iter_mut().find(|record| record.row == Some(row)).expect("written");
                record.text = record.text.replacen(&quoted, number, 1);
            }
            Self::SecondHeader => {
                let header = Record { row: None, ..file.records[0].clone() };
                let at = dice.random_range(1..=file.records.len());
                file.records.insert(at, header);
            }
            Self::ReorderedRest => reorder_rest(file, dice),
            Self::JoinedReordered => {
                reorder_rest(file, dice);
                let header = file.records.iter().rposition(|record| record.row.is_none()).expect("there is one");
                let before = file.records[header - 1].row;
                let joined = file.records.remove(header).text;
                file.records[header - 1].text.push_str(&joined);
                if let Some(row) = before {
                    file.rows[row].damaged = true;
                }
            }
            Self::JoinedName => {
                let name =
                    *["user_id", "UserID", "FROM_ACCOUNT", "To_Account", "account_id"].choose(dice).expect("some");
                change_id(file, dice, |id, _| format!("{id}{name}"));
            }
            Self::JoinedFiles => {
                let at = dice.random_range(1..file.records.len());
                let header = file.records[0].text.clone();
                file.records[at].text.push_str(&header);
                if let Some(row) = file.records[at].row {
                    file.rows[row].damaged = true;
                }
            }
        }
    }
}

/// Writes a second header behind some row, with its columns in reverse order, and all later rows so.
fn reorder_rest(file: &mut File, dice: &mut SmallRng) {
    let Format::Csv { delimiter, .. } = file.form.format else { return };
    // Cells with a delimiter or a line feed in them would be taken apart.
    file.rows.iter_mut().for_each(|row| "note".clone_into(&mut row.note));
    file.write();
    let from = dice.random_range(2..file.records.len());
    let mut rest = vec![Record { row: None, ..file.records[0].clone() }];
    rest.extend(file.records.split_off(from));
    for record in &mut rest {
        let mut cells: Vec<&str> = record.text.split(delimiter).collect();
        cells.reverse();
        record.text = cells.join(&delimiter.to_string());
    }
    file.records.extend(rest);
}

/// Adds a column with a value in every row, or in JSONL a key to every record.
fn add_column(file: &mut File, name: &str) {
    let format = file.form.format;
    for (index, record) in file.records.iter_mut().enumerate() {
        match format {
            Format::Csv { delimiter, .. } => {
                let cell = if index == 0 { name } else { "x" };
                record.text = format!("{}{delimiter}{cell}", record.text);
            }
            Format::Jsonl => {
                let open = record.text.trim_end_matches('}').to_owned();
                record.text = format!("{open},{}:\"x\"}}", serde_json::to_string(name).expect("text"));
            }
        }
    }
}

fn change_id(file: &mut File, dice: &mut SmallRng, change: impl Fn(&str, &mut SmallRng) -> String) {
    let row = dice.random_range(0..file.rows.len());
    let account = change(&file.rows[row].account, dice);
    let quoted = file.form.format;
    file.rows[row].account.clone_from(&account);
    file.write();
    if let Format::Csv { quoted: Quoted::Needed, delimiter } = quoted {
        // As a program that does not know of quotes writes it.
        let written = format!("\"{}\"", account.replace('"', "\"\""));
        if account.contains('"') && !account.contains(delimiter) {
            let record = file.records.iter_mut().find(|record| record.row == Some(row)).expect("written");
            record.text = record.text.replacen(&written, &account, 1);
        }
    }
    file.rows[row].damaged = true;
}

//! The encoding in which the queue stores a request. Module `intake` writes it without building items, and module
//! `queue` reads it back. Nothing else knows it.

use memchr::memchr_iter;
use serde::Deserialize;

use crate::domain::request::account::{UserId, UserIdError};
use crate::domain::request::row::{FieldValues, RowNo};
use crate::domain::request::{Item, Updates};

/// The most bytes of ids and fields in one request.
///
/// The API publishes no maximum for a body. In a body, each id needs about 30 more bytes of JSON. Each tag needs 18
/// more (`{"Tag":…,"Value":…}` for `…:…`), less than the shortest tag (`"Tag_SNS_Custom_a":0,`), so that a body stays
/// below 1 MiB. Requests without fields are far smaller (1000 ids of 32 bytes).
pub const BODY_BYTES: usize = 512 << 10;

/// A request as the queue stores it. The three lists are parallel, with one element per item.
///
/// Most of a queue consists of ids and row numbers, so both are stored in few bytes that can be read fast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRequest {
    /// The account whose list of friends it changes, for operations on pairs.
    pub from: Option<String>,
    /// The ids of the items' accounts, one per line, since no id contains a line break.
    pub accounts: String,
    /// JSON list of the items' rows. Each number is the distance from the first row of the previous item. An item of
    /// merged rows has a list, whose further numbers are distances from its first row: `[7,[2,3],1]` means 7, 9 with
    /// 12, and 10.
    pub rows: String,
    /// JSON list with one list per item, which has one object of fields per row: `[[{"Tag_…":"x"}],[{…},{…}]]`. Only
    /// for operations with fields.
    pub fields: Option<String>,
    /// The number of items.
    pub item_count: u32,
    /// The number of rows; more than items if rows were merged.
    pub row_count: u32,
}

/// Why a stored request cannot be decoded. Another program must have changed the queue.
#[derive(Debug, thiserror::Error)]
pub enum StoredRequestError {
    /// A list is not the JSON that intake writes.
    #[error("a stored list is not what was written: {0}")]
    Json(#[from] serde_json::Error),
    /// An id that intake rejects.
    #[error("a stored id {0}")]
    Id(#[from] UserIdError),
    /// The lists have different lengths.
    #[error("stored lists of different length: {accounts} accounts, {rows} rows, {fields} fields")]
    Uneven {
        /// Accounts listed.
        accounts: usize,
        /// Rows listed.
        rows: usize,
        /// Fields listed.
        fields: usize,
    },
    /// A distance leads to a row number that cannot exist.
    #[error("a stored row is {distance} from row {start}, where none can be")]
    Row {
        /// The row from which the distance is counted.
        start: RowNo,
        /// The distance.
        distance: i64,
    },
}

/// Writes a request item by item. Its buffers are reused for the next request.
#[derive(Debug, Default)]
pub struct RequestWriter {
    accounts: Vec<u8>,
    rows: Vec<u8>,
    /// Empty unless items with fields were added.
    fields: Vec<u8>,
    item_count: u32,
    row_count: u64,
    /// The first row of the last item. The first row of the next item is relative to it.
    before: RowNo,
}

/// Why what was written is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestWriteError {
    /// An id or a field is not UTF-8.
    NotText,
    /// More rows than the queue can count.
    TooManyRows,
}

impl RequestWriter {
    /// Adds an item with its rows. `fields`: the JSON object of the fields of each row, for operations with fields.
    pub fn add<'t>(
        &mut self,
        account: &[u8],
        rows: impl Iterator<Item = RowNo>,
        fields: Option<impl Iterator<Item = &'t [u8]>>,
    ) {
        self.item_count += 1;
        if !self.accounts.is_empty() {
            self.accounts.push(b'\n');
        }
        self.accounts.extend_from_slice(account);
        self.write_rows(rows);
        if let Some(fields) = fields {
            self.write_fields(fields);
        }
    }

    /// The number of items that were added.
    pub const fn item_count(&self) -> u32 {
        self.item_count
    }

    /// The number of their rows.
    pub const fn row_count(&self) -> u64 {
        self.row_count
    }

    /// The bytes of their ids and fields.
    pub const fn bytes(&self) -> usize {
        self.accounts.len() + self.fields.len()
    }

    /// The request with the items that were added. The writer is empty afterwards.
    pub fn take(&mut self, from: Option<Vec<u8>>) -> Result<StoredRequest, RequestWriteError> {
        let has_fields = !self.fields.is_empty();
        let from = from.map(String::from_utf8).transpose().map_err(|_| RequestWriteError::NotText);
        let request = StoredRequest {
            from: from?,
            accounts: take_text(&mut self.accounts)?,
            rows: take_list(&mut self.rows)?,
            fields: has_fields.then(|| take_list(&mut self.fields)).transpose()?,
            item_count: std::mem::take(&mut self.item_count),
            row_count: u32::try_from(self.row_count).map_err(|_| RequestWriteError::TooManyRows)?,
        };
        self.row_count = 0;
        self.before = 0;
        Ok(request)
    }

    fn write_rows(&mut self, rows: impl Iterator<Item = RowNo>) {
        let mut rows = rows.peekable();
        let Some(first) = rows.next() else { return };
        let is_merged = rows.peek().is_some();
        open_element(&mut self.rows);
        if is_merged {
            self.rows.push(b'[');
        }
        write_number(&mut self.rows, distance(std::mem::replace(&mut self.before, first), first));
        self.row_count += 1;
        for row in rows {
            self.rows.push(b',');
            write_number(&mut self.rows, distance(first, row));
            self.row_count += 1;
        }
        if is_merged {
            self.rows.push(b']');
        }
    }

    fn write_fields<'t>(&mut self, fields: impl Iterator<Item = &'t [u8]>) {
        open_element(&mut self.fields);
        self.fields.push(b'[');
        for (nth, fields) in fields.enumerate() {
            if nth > 0 {
                self.fields.push(b',');
            }
            self.fields.extend_from_slice(fields);
        }
        self.fields.push(b']');
    }
}

fn write_number(list: &mut Vec<u8>, number: i64) {
    serde_json::to_writer(list, &number).expect("memory takes every byte");
}

/// Starts the next element of a JSON list.
fn open_element(list: &mut Vec<u8>) {
    list.push(if list.is_empty() { b'[' } else { b',' });
}

/// Closes the list and takes it out of its buffer.
fn take_list(list: &mut Vec<u8>) -> Result<String, RequestWriteError> {
    list.push(b']');
    take_text(list)
}

/// Takes the text out of its buffer, in an allocation of its size.
fn take_text(buffer: &mut Vec<u8>) -> Result<String, RequestWriteError> {
    let text = std::str::from_utf8(buffer).map(str::to_owned).map_err(|_| RequestWriteError::NotText);
    buffer.clear();
    text
}

/// The rows of one item in the list: a distance, or several if rows were merged.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredRows {
    One(i64),
    Merged(Vec<i64>),
}

impl StoredRequest {
    /// Encodes items.
    pub fn encode(from: Option<&UserId>, items: &[Item]) -> Self {
        let has_fields = items.iter().any(|item| item.updates.is_some());
        let mut writer = RequestWriter::default();
        for item in items {
            let fields: Vec<Vec<u8>> = fields_of(item).map(json).collect();
            let fields = has_fields.then(|| fields.iter().map(Vec::as_slice));
            writer.add(item.account.as_str().as_bytes(), item.rows(), fields);
        }
        let written = writer.take(from.map(|id| id.as_str().as_bytes().to_vec()));
        written.unwrap_or_else(|error| unreachable!("ids and fields of items are text: {error:?}"))
    }

    /// Reads items back.
    pub fn decode(accounts: &str, rows: &str, fields: Option<&str>) -> Result<Vec<Item>, StoredRequestError> {
        match fields {
            Some(fields) => {
                let accounts = ids(accounts).map(UserId::new).collect::<Result<_, _>>()?;
                decode_with_fields(
                    accounts,
                    &serde_json::from_str::<Vec<StoredRows>>(rows)?,
                    serde_json::from_str(fields)?,
                )
            }
            None => decode_plain(accounts, &serde_json::from_str::<Vec<i64>>(rows)?),
        }
    }
}

/// The lines of a list of ids. Behind a line break at the end follows an empty line, which is not an id. As the lines
/// are short, finding all line breaks at once takes a fraction of the time of [`str::split`].
fn ids(list: &str) -> impl Iterator<Item = &str> {
    let ends = memchr_iter(b'\n', list.as_bytes()).chain(std::iter::once(list.len()));
    ends.scan(0, |start, end| Some(&list[std::mem::replace(start, end + 1)..end]))
}

fn decode_plain(accounts: &str, distances: &[i64]) -> Result<Vec<Item>, StoredRequestError> {
    let listed = 1 + memchr_iter(b'\n', accounts.as_bytes()).count();
    if listed != distances.len() {
        return Err(StoredRequestError::Uneven { accounts: listed, rows: distances.len(), fields: listed });
    }
    let mut items = Vec::with_capacity(listed);
    let mut row = 0;
    for (id, distance) in ids(accounts).zip(distances) {
        row = behind(row, *distance)?;
        items.push(Item { account: UserId::new(id)?, row, updates: None });
    }
    Ok(items)
}

fn decode_with_fields(
    accounts: Vec<UserId>,
    rows: &[StoredRows],
    fields: Vec<Vec<FieldValues>>,
) -> Result<Vec<Item>, StoredRequestError> {
    if accounts.len() != rows.len() || accounts.len() != fields.len() {
        return Err(StoredRequestError::Uneven { accounts: accounts.len(), rows: rows.len(), fields: fields.len() });
    }
    let mut before = 0;
    let items = accounts.into_iter().zip(rows).zip(fields);
    items
        .map(|((account, rows), fields)| {
            let (row, updates) = updates(rows, fields, before)?;
            before = row;
            Ok(Item { account, row, updates: Some(Box::new(updates)) })
        })
        .collect()
}

/// The first row of an item, and all its rows with their fields. `before` is the first row of the previous item.
fn updates(rows: &StoredRows, fields: Vec<FieldValues>, before: RowNo) -> Result<(RowNo, Updates), StoredRequestError> {
    let (first, others) = match rows {
        StoredRows::One(distance) => (*distance, [].as_slice()),
        StoredRows::Merged(distances) => {
            let none = StoredRequestError::Uneven { accounts: 1, rows: 0, fields: fields.len() };
            distances.split_first().map(|(first, others)| (*first, others)).ok_or(none)?
        }
    };
    if fields.len() != others.len() + 1 {
        return Err(StoredRequestError::Uneven { accounts: 1, rows: others.len() + 1, fields: fields.len() });
    }
    let row = behind(before, first)?;
    let rows = std::iter::once(Ok(row)).chain(others.iter().map(|distance| behind(row, *distance)));
    let updates =
        rows.zip(fields).map(|(row, fields)| Ok((row?, fields))).collect::<Result<_, StoredRequestError>>()?;
    Ok((row, updates))
}

fn behind(start: RowNo, distance: i64) -> Result<RowNo, StoredRequestError> {
    start.checked_add_signed(distance).ok_or(StoredRequestError::Row { start, distance })
}

/// The distance from one row to another, which may precede it.
pub const fn distance(from: RowNo, to: RowNo) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

/// The fields of each row of an item.
fn fields_of(item: &Item) -> impl Iterator<Item = &FieldValues> {
    item.updates.iter().flat_map(|updates| updates.iter().map(|(_, fields)| fields))
}

/// Serialising text, numbers and lists cannot fail.
fn json(fields: &FieldValues) -> Vec<u8> {
    serde_json::to_vec(fields).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::row::FieldValue;

    fn id(text: &str) -> UserId {
        UserId::new(text).unwrap()
    }

    #[test]
    fn an_encoded_request_reads_back() {
        let plain = vec![
            Item { account: id("b"), row: 7, updates: None },
            Item { account: id("c\"用"), row: 9, updates: None },
        ];
        let encoded = StoredRequest::encode(Some(&id("a")), &plain);
        assert_eq!((encoded.accounts.as_str(), encoded.rows.as_str()), ("b\nc\"用", "[7,2]"));
        assert_eq!(StoredRequest::decode(&encoded.accounts, &encoded.rows, encoded.fields.as_deref()).unwrap(), plain);

        let fields = |text: &str| FieldValues::from([("Tag_SNS_IM_Remark".into(), FieldValue::Text(text.into()))]);
        let merged = vec![
            Item { account: id("b"), row: 3, updates: Some(Box::new(vec![(3, fields("x")), (8, fields("y"))])) },
            Item { account: id("c"), row: 4, updates: Some(Box::new(vec![(4, fields("z"))])) },
        ];
        let encoded = StoredRequest::encode(Some(&id("a")), &merged);
        assert_eq!((encoded.rows.as_str(), encoded.item_count, encoded.row_count), ("[[3,5],1]", 2, 3));
        assert_eq!(StoredRequest::decode(&encoded.accounts, &encoded.rows, encoded.fields.as_deref()).unwrap(), merged);
    }

    #[test]
    fn lists_of_different_lengths_are_refused() {
        assert!(StoredRequest::decode("a\nb", "[1]", None).is_err());
        assert!(StoredRequest::decode("a", "[1,2]", None).is_err());
        assert!(StoredRequest::decode("a\n", "[1]", None).is_err());
        assert!(StoredRequest::decode("a\n", "[1,2]", None).is_err());
        assert!(StoredRequest::decode("a", "[[1,2]]", None).is_err());
        assert!(StoredRequest::decode("a", "[[]]", None).is_err());
        assert!(StoredRequest::decode("a", "[1]", Some("[[]]")).is_err());
        assert!(StoredRequest::decode("a", "[[]]", Some("[[{}]]")).is_err());
        assert!(StoredRequest::decode("", "[1]", None).is_err());
        assert!(StoredRequest::decode("a\tb", "[1]", None).is_err());
        assert!(StoredRequest::decode("a", "[-1]", None).is_err());
    }
}

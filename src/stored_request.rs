//! The encoding in which the queue stores a request. Module `intake` writes it without building items, and module
//! `queue` reads it back.

use memchr::memchr_iter;
use serde::{Deserialize, Serialize};

use crate::domain::request::account::{UserId, UserIdError};
use crate::domain::request::row::{RowNo, TagValues};
use crate::domain::request::{Item, Updates};

/// The most bytes of ids and tags in one request.
///
/// The API publishes no maximum for a body. In a body, each id needs about 30 more bytes of JSON. Each tag needs 18
/// more (`{"Tag":…,"Value":…}` for `…:…`), less than the shortest tag (`"Tag_SNS_Custom_a":0,`), so that a body stays
/// below 1 MiB. Requests without tags are far smaller (1000 ids of 32 bytes).
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
    /// JSON list with one list per item, which has one object of tags per row: `[[{"Tag_…":"x"}],[{…},{…}]]`. Only for
    /// operations with tags.
    pub tags: Option<String>,
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
    #[error("stored lists of different length: {accounts} accounts, {rows} rows, {tags} tags")]
    Uneven {
        /// Accounts listed.
        accounts: usize,
        /// Rows listed.
        rows: usize,
        /// Tags listed.
        tags: usize,
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

/// The rows of one item in the list: a distance, or several if rows were merged.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredRows {
    One(i64),
    Merged(Vec<i64>),
}

impl StoredRequest {
    /// Encodes items.
    pub fn encode(from: Option<&UserId>, items: &[Item]) -> Self {
        let accounts: Vec<&str> = items.iter().map(|item| item.account.as_str()).collect();
        let mut before = 0;
        let rows: Vec<StoredRows> = items.iter().map(|item| rows_of(item, &mut before)).collect();
        let tagged = items.iter().any(|item| item.updates.is_some());
        let tags = tagged.then(|| json(&items.iter().map(tags_of).collect::<Vec<_>>()));
        Self {
            from: from.map(|id| id.as_str().to_owned()),
            accounts: accounts.join("\n"),
            rows: json(&rows),
            tags,
            item_count: u32::try_from(items.len()).unwrap_or(u32::MAX),
            row_count: items.iter().map(|item| u32::try_from(item.row_count()).unwrap_or(u32::MAX)).sum(),
        }
    }

    /// Reads items back.
    pub fn decode(accounts: &str, rows: &str, tags: Option<&str>) -> Result<Vec<Item>, StoredRequestError> {
        match tags {
            Some(tags) => {
                let accounts = ids(accounts).map(UserId::new).collect::<Result<_, _>>()?;
                decode_tagged(accounts, &serde_json::from_str::<Vec<StoredRows>>(rows)?, serde_json::from_str(tags)?)
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
        return Err(StoredRequestError::Uneven { accounts: listed, rows: distances.len(), tags: listed });
    }
    let mut items = Vec::with_capacity(listed);
    let mut row = 0;
    for (id, distance) in ids(accounts).zip(distances) {
        row = behind(row, *distance)?;
        items.push(Item { account: UserId::new(id)?, row, updates: None });
    }
    Ok(items)
}

fn decode_tagged(
    accounts: Vec<UserId>,
    rows: &[StoredRows],
    tags: Vec<Vec<TagValues>>,
) -> Result<Vec<Item>, StoredRequestError> {
    if accounts.len() != rows.len() || accounts.len() != tags.len() {
        return Err(StoredRequestError::Uneven { accounts: accounts.len(), rows: rows.len(), tags: tags.len() });
    }
    let mut before = 0;
    let items = accounts.into_iter().zip(rows).zip(tags);
    items
        .map(|((account, rows), tags)| {
            let (row, updates) = updates(rows, tags, before)?;
            before = row;
            Ok(Item { account, row, updates: Some(Box::new(updates)) })
        })
        .collect()
}

/// The first row of an item, and all its rows with their tags. `before` is the first row of the previous item.
fn updates(rows: &StoredRows, tags: Vec<TagValues>, before: RowNo) -> Result<(RowNo, Updates), StoredRequestError> {
    let (first, others) = match rows {
        StoredRows::One(distance) => (*distance, [].as_slice()),
        StoredRows::Merged(distances) => {
            let none = StoredRequestError::Uneven { accounts: 1, rows: 0, tags: tags.len() };
            distances.split_first().map(|(first, others)| (*first, others)).ok_or(none)?
        }
    };
    if tags.len() != others.len() + 1 {
        return Err(StoredRequestError::Uneven { accounts: 1, rows: others.len() + 1, tags: tags.len() });
    }
    let row = behind(before, first)?;
    let rows = std::iter::once(Ok(row)).chain(others.iter().map(|distance| behind(row, *distance)));
    let updates = rows.zip(tags).map(|(row, tags)| Ok((row?, tags))).collect::<Result<_, StoredRequestError>>()?;
    Ok((row, updates))
}

fn behind(start: RowNo, distance: i64) -> Result<RowNo, StoredRequestError> {
    start.checked_add_signed(distance).ok_or(StoredRequestError::Row { start, distance })
}

fn rows_of(item: &Item, before: &mut RowNo) -> StoredRows {
    let distance = distance(std::mem::replace(before, item.row), item.row);
    match &item.updates {
        Some(updates) if updates.len() > 1 => {
            let others = updates.iter().skip(1).map(|(row, _)| self::distance(item.row, *row));
            StoredRows::Merged(std::iter::once(distance).chain(others).collect())
        }
        Some(_) | None => StoredRows::One(distance),
    }
}

/// The distance from one row to another, which may precede it.
pub const fn distance(from: RowNo, to: RowNo) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

fn tags_of(item: &Item) -> Vec<&TagValues> {
    item.updates.iter().flat_map(|updates| updates.iter().map(|(_, tags)| tags)).collect()
}

/// Serialising text, numbers and lists cannot fail.
fn json(list: &impl Serialize) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::row::TagValue;

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
        assert_eq!(StoredRequest::decode(&encoded.accounts, &encoded.rows, encoded.tags.as_deref()).unwrap(), plain);

        let tags = |text: &str| TagValues::from([("Tag_SNS_IM_Remark".into(), TagValue::Text(text.into()))]);
        let merged = vec![
            Item { account: id("b"), row: 3, updates: Some(Box::new(vec![(3, tags("x")), (8, tags("y"))])) },
            Item { account: id("c"), row: 4, updates: Some(Box::new(vec![(4, tags("z"))])) },
        ];
        let encoded = StoredRequest::encode(Some(&id("a")), &merged);
        assert_eq!((encoded.rows.as_str(), encoded.item_count, encoded.row_count), ("[[3,5],1]", 2, 3));
        assert_eq!(StoredRequest::decode(&encoded.accounts, &encoded.rows, encoded.tags.as_deref()).unwrap(), merged);
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

//! What intake hands to the queue: requests ready to store, rows set aside, and where rows stand in their files.

use memchr::memchr_iter;
use serde::{Deserialize, Serialize};

use super::account::{UserId, UserIdError};
use super::request::{Item, Updates};
use super::response::outcome::Outcome;
use super::row::{RowNo, Tags};

/// The most bytes of ids and tags in one request.
///
/// The API publishes no maximum for a body. Inside one each id costs some 30 bytes of JSON around it and each tag
/// 18 (`{"Tag":…,"Value":…}` for `…:…`), less than the shortest tag itself (`"Tag_SNS_Custom_a":0,`): the body stays
/// below 1 MiB. Ids alone (1000 of 32 bytes) never come near.
pub const BODY_BYTES: usize = 512 << 10;

/// A request in the form in which the queue stores it. The three lists run in parallel, an element an item.
///
/// Ids and rows are most of a queue, so they stand in few bytes, which are quickly read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The account whose list is changed, for operations on (From_Account, To_Account).
    pub from: Option<String>,
    /// The items' account ids, one a line: no id holds a line break.
    pub accounts: String,
    /// JSON list of the items' rows, each counted from the first row of the item before it; where rows were merged into one
    /// item a list of its own, the others counted from its first: `[7,[2,3],1]` says 7, 9 with 12, and 10. Small numbers are short.
    pub rows: String,
    /// JSON list with a list of tag objects an item, one object a row, in row order: `[[{"Tag_…":"x"}],[{…},{…}]]`.
    /// Only for operations with tags.
    pub tags: Option<String>,
    /// How many items.
    pub item_count: u32,
    /// How many rows: more than items where rows were merged.
    pub row_count: u32,
}

/// A row that is not sent: rejected, duplicate or protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The row.
    pub row: RowNo,
    /// Why it is not sent.
    pub cause: Cause,
    /// The account whose list was to be changed, as it stands in the file.
    pub from: Option<String>,
    /// The item's account, as it stands in the file.
    pub account: Option<String>,
    /// The tags as far as they were read.
    pub tags: Tags,
}

/// Why a row is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// It breaks a rule.
    Rejected {
        /// The API's name of the column at fault, where one is.
        column: Option<String>,
        /// What is wrong.
        reason: String,
    },
    /// It says what an earlier row says.
    Duplicate {
        /// The earlier row.
        of: RowNo,
    },
    /// It names a protected id.
    Protected {
        /// The id.
        id: String,
    },
}

impl Cause {
    /// The outcome of the row.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected { .. } => Outcome::Rejected,
            Self::Duplicate { .. } => Outcome::Duplicate,
            Self::Protected { .. } => Outcome::Protected,
        }
    }
}

/// A stretch of rows that follow each other at a fixed distance of lines, so that a file of ten million rows
/// needs one entry to tell every row's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The first row of the stretch; it ends where the next one starts.
    pub first_row: RowNo,
    /// Index of the source among the run's sources.
    pub source: u32,
    /// The line of the first row.
    pub first_line: u64,
    /// Lines from one row to the next: 1 as a rule, 0 for the items of one JSONL record.
    pub step: u64,
}

impl Segment {
    /// The line on which a row of this stretch starts.
    pub const fn line_of(&self, row: RowNo) -> u64 {
        self.first_line + (row - self.first_row) * self.step
    }
}

/// Why a stored request can't be read back: its queue file was changed by other hands.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A list is not the JSON that intake writes.
    #[error("a stored list is not what was written: {0}")]
    Json(#[from] serde_json::Error),
    /// An id that intake does not let pass.
    #[error("a stored id {0}")]
    Id(#[from] UserIdError),
    /// The lists do not run in parallel.
    #[error("stored lists of different length: {accounts} accounts, {rows} rows, {tags} tags")]
    Uneven {
        /// Accounts listed.
        accounts: usize,
        /// Rows listed.
        rows: usize,
        /// Tags listed.
        tags: usize,
    },
    /// A distance leads out of all numbers.
    #[error("a stored row is {distance} from row {start}, where none can be")]
    Row {
        /// Where the distance is counted from.
        start: RowNo,
        /// The distance.
        distance: i64,
    },
}

/// The rows of one item as they stand in the list: a distance, or several where rows were merged.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Rows {
    One(i64),
    Merged(Vec<i64>),
}

impl Packed {
    /// Packs items.
    pub fn of(from: Option<&UserId>, items: &[Item]) -> Self {
        let accounts: Vec<&str> = items.iter().map(|item| item.account.as_str()).collect();
        let mut before = 0;
        let rows: Vec<Rows> = items.iter().map(|item| rows_of(item, &mut before)).collect();
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
    pub fn unpack(accounts: &str, rows: &str, tags: Option<&str>) -> Result<Vec<Item>, UnpackError> {
        match tags {
            Some(tags) => {
                let accounts = ids(accounts).map(UserId::new).collect::<Result<_, _>>()?;
                unpack_tagged(accounts, &serde_json::from_str::<Vec<Rows>>(rows)?, serde_json::from_str(tags)?)
            }
            None => unpack_plain(accounts, &serde_json::from_str::<Vec<i64>>(rows)?),
        }
    }
}

/// The lines of a list of ids; one behind a last line break is empty, which no id is. They are short: to look for the ends of all of
/// them at once takes a fraction of what [`str::split`] does.
fn ids(list: &str) -> impl Iterator<Item = &str> {
    let ends = memchr_iter(b'\n', list.as_bytes()).chain(std::iter::once(list.len()));
    ends.scan(0, |start, end| Some(&list[std::mem::replace(start, end + 1)..end]))
}

fn unpack_plain(accounts: &str, distances: &[i64]) -> Result<Vec<Item>, UnpackError> {
    let listed = 1 + memchr_iter(b'\n', accounts.as_bytes()).count();
    if listed != distances.len() {
        return Err(UnpackError::Uneven { accounts: listed, rows: distances.len(), tags: listed });
    }
    let mut items = Vec::with_capacity(listed);
    let mut row = 0;
    for (id, distance) in ids(accounts).zip(distances) {
        row = behind(row, *distance)?;
        items.push(Item { account: UserId::new(id)?, row, updates: None });
    }
    Ok(items)
}

fn unpack_tagged(accounts: Vec<UserId>, rows: &[Rows], tags: Vec<Vec<Tags>>) -> Result<Vec<Item>, UnpackError> {
    if accounts.len() != rows.len() || accounts.len() != tags.len() {
        return Err(UnpackError::Uneven { accounts: accounts.len(), rows: rows.len(), tags: tags.len() });
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

/// The first row of an item, and all of them with their tags. `before` is the first row of the item before.
fn updates(rows: &Rows, tags: Vec<Tags>, before: RowNo) -> Result<(RowNo, Updates), UnpackError> {
    let (first, others) = match rows {
        Rows::One(distance) => (*distance, [].as_slice()),
        Rows::Merged(distances) => {
            let none = UnpackError::Uneven { accounts: 1, rows: 0, tags: tags.len() };
            distances.split_first().map(|(first, others)| (*first, others)).ok_or(none)?
        }
    };
    if tags.len() != others.len() + 1 {
        return Err(UnpackError::Uneven { accounts: 1, rows: others.len() + 1, tags: tags.len() });
    }
    let row = behind(before, first)?;
    let rows = std::iter::once(Ok(row)).chain(others.iter().map(|distance| behind(row, *distance)));
    let updates = rows.zip(tags).map(|(row, tags)| Ok((row?, tags))).collect::<Result<_, UnpackError>>()?;
    Ok((row, updates))
}

fn behind(start: RowNo, distance: i64) -> Result<RowNo, UnpackError> {
    start.checked_add_signed(distance).ok_or(UnpackError::Row { start, distance })
}

fn rows_of(item: &Item, before: &mut RowNo) -> Rows {
    let distance = distance(std::mem::replace(before, item.row), item.row);
    match &item.updates {
        Some(updates) if updates.len() > 1 => {
            let others = updates.iter().skip(1).map(|(row, _)| self::distance(item.row, *row));
            Rows::Merged(std::iter::once(distance).chain(others).collect())
        }
        Some(_) | None => Rows::One(distance),
    }
}

/// From one row to another, which may stand before it.
pub const fn distance(from: RowNo, to: RowNo) -> i64 {
    to.wrapping_sub(from).cast_signed()
}

fn tags_of(item: &Item) -> Vec<&Tags> {
    item.updates.iter().flat_map(|updates| updates.iter().map(|(_, tags)| tags)).collect()
}

/// Strings, numbers and lists with string keys: serialising can't fail.
fn json(list: &impl Serialize) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::row::Value;

    fn id(text: &str) -> UserId {
        UserId::new(text).unwrap()
    }

    #[test]
    fn what_is_packed_reads_back() {
        let plain = vec![
            Item { account: id("b"), row: 7, updates: None },
            Item { account: id("c\"用"), row: 9, updates: None },
        ];
        let packed = Packed::of(Some(&id("a")), &plain);
        assert_eq!((packed.accounts.as_str(), packed.rows.as_str()), ("b\nc\"用", "[7,2]"));
        assert_eq!(Packed::unpack(&packed.accounts, &packed.rows, packed.tags.as_deref()).unwrap(), plain);

        let tags = |text: &str| Tags::from([("Tag_SNS_IM_Remark".into(), Value::Text(text.into()))]);
        let merged = vec![
            Item { account: id("b"), row: 3, updates: Some(Box::new(vec![(3, tags("x")), (8, tags("y"))])) },
            Item { account: id("c"), row: 4, updates: Some(Box::new(vec![(4, tags("z"))])) },
        ];
        let packed = Packed::of(Some(&id("a")), &merged);
        assert_eq!((packed.rows.as_str(), packed.item_count, packed.row_count), ("[[3,5],1]", 2, 3));
        assert_eq!(Packed::unpack(&packed.accounts, &packed.rows, packed.tags.as_deref()).unwrap(), merged);
    }

    #[test]
    fn lists_that_do_not_run_in_parallel_are_refused() {
        assert!(Packed::unpack("a\nb", "[1]", None).is_err());
        assert!(Packed::unpack("a", "[1,2]", None).is_err());
        assert!(Packed::unpack("a\n", "[1]", None).is_err());
        assert!(Packed::unpack("a\n", "[1,2]", None).is_err());
        assert!(Packed::unpack("a", "[[1,2]]", None).is_err());
        assert!(Packed::unpack("a", "[[]]", None).is_err());
        assert!(Packed::unpack("a", "[1]", Some("[[]]")).is_err());
        assert!(Packed::unpack("a", "[[]]", Some("[[{}]]")).is_err());
        assert!(Packed::unpack("", "[1]", None).is_err());
        assert!(Packed::unpack("a\tb", "[1]", None).is_err());
        assert!(Packed::unpack("a", "[-1]", None).is_err());
    }
}

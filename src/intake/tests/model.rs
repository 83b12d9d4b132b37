//! What intake should do, the simple way: everything in one map, every state worked out from scratch.

use std::collections::BTreeMap;

use crate::domain::operation::InputShape;
use crate::domain::request::row::{FieldValues, RejectedRow, RowNo};
use crate::domain::request::skipped_row::{SkipReason, SkippedRow};
use crate::intake::IntakeOutput;
use crate::stored_request::StoredRequest;

/// A row of a test.
#[derive(Debug, Clone)]
pub(super) enum Line {
    Good { from: String, account: String, fields: FieldValues },
    Rejected,
}

/// What identifies an item, and the rows that share it with their fields.
pub(super) type Items = BTreeMap<(Option<String>, String), Vec<(RowNo, FieldValues)>>;

/// What became of all rows.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settled {
    pub(super) items: Items,
    pub(super) skipped_rows: BTreeMap<RowNo, SkippedRow>,
}

/// The id on the protected list.
pub(super) const PROTECTED: &str = "boss";

pub(super) fn rejected(line: u64) -> RejectedRow {
    RejectedRow {
        line,
        column: None,
        reason: "has no id".to_owned(),
        from: None,
        account: None,
        fields: FieldValues::new(),
    }
}

/// What should come out.
pub(super) fn model(shape: InputShape, lines: &[Line]) -> Settled {
    let mut settled = Settled::default();
    for (row, line) in (0..).zip(lines) {
        let skipped = match line {
            Line::Rejected => {
                let RejectedRow { column, reason, from, account, fields, .. } = rejected(0);
                let reason = SkipReason::Rejected { column, reason };
                Some(SkippedRow { row, reason, from, account, fields })
            }
            Line::Good { from, account, fields } => {
                let from = shape.from.map(|_| from.clone());
                let fields = if shape.fields.is_empty() { FieldValues::new() } else { fields.clone() };
                model_row(&mut settled.items, row, from.as_ref(), account, &fields).map(|reason| {
                    let account = Some(account.clone());
                    SkippedRow { row, reason, from, account, fields }
                })
            }
        };
        settled.skipped_rows.extend(skipped.map(|skipped| (row, skipped)));
    }
    settled
}

fn model_row(
    items: &mut Items,
    row: RowNo,
    from: Option<&String>,
    account: &str,
    fields: &FieldValues,
) -> Option<SkipReason> {
    if from.is_some_and(|from| from == PROTECTED) || account == PROTECTED {
        return Some(SkipReason::Protected { id: PROTECTED.to_owned() });
    }
    let kept = items.entry((from.cloned(), account.to_owned())).or_default();
    let state =
        |rows: &[(RowNo, FieldValues)]| -> FieldValues { rows.iter().flat_map(|(_, fields)| fields.clone()).collect() };
    let before = state(kept);
    kept.push((row, fields.clone()));
    let changes_nothing = state(kept) == before;
    let equal = kept.iter().rev().skip(1).find(|(_, earlier)| earlier == fields).map(|&(of, _)| of);
    let of = equal.filter(|_| changes_nothing)?;
    kept.pop();
    Some(SkipReason::Duplicate { of })
}

/// What came out, read as the queue would.
pub(super) fn settled(outputs: &[IntakeOutput]) -> Settled {
    let mut settled = Settled::default();
    for output in outputs {
        match output {
            IntakeOutput::LineSpan(_) => {}
            IntakeOutput::Skipped(skipped) => {
                assert_eq!(settled.skipped_rows.insert(skipped.row, skipped.clone()), None);
            }
            IntakeOutput::Request(request) => {
                for (account, rows) in read_items(request) {
                    let key = (request.from.clone(), account);
                    assert_eq!(settled.items.insert(key, rows), None, "an item in two requests");
                }
            }
        }
    }
    settled
}

pub(super) fn read_items(request: &StoredRequest) -> Vec<(String, Vec<(RowNo, FieldValues)>)> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Rows {
        One(i64),
        Several(Vec<i64>),
    }
    let accounts: Vec<String> = request.accounts.split('\n').map(str::to_owned).collect();
    let rows: Vec<Rows> = serde_json::from_str(&request.rows).unwrap();
    let mut before = 0;
    let mut read = |rows: Rows| {
        let distances = match rows {
            Rows::One(distance) => vec![distance],
            Rows::Several(distances) => {
                assert!(distances.len() > 1);
                distances
            }
        };
        let first = before + distances[0];
        before = first;
        let others = distances[1..].iter().map(|distance| first + distance);
        std::iter::once(first).chain(others).map(|row| RowNo::try_from(row).unwrap()).collect()
    };
    let rows: Vec<Vec<RowNo>> = rows.into_iter().map(&mut read).collect();
    let fields: Vec<Vec<FieldValues>> = match &request.fields {
        Some(fields) => serde_json::from_str(fields).unwrap(),
        None => rows.iter().map(|rows| vec![FieldValues::new(); rows.len()]).collect(),
    };
    assert_eq!((accounts.len(), accounts.len()), (rows.len(), fields.len()));
    assert_eq!(accounts.len(), request.item_count as usize);
    assert_eq!(rows.iter().flatten().count(), request.row_count as usize);
    let zipped = rows.into_iter().zip(fields).map(|(rows, fields)| {
        assert_eq!(rows.len(), fields.len());
        rows.into_iter().zip(fields).collect()
    });
    accounts.into_iter().zip(zipped).collect()
}

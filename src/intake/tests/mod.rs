//! Intake compared with a simple model, and its edge cases.

mod model;

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::domain::operation::{self, InputShape};
use crate::domain::request::row::FieldValue;
use crate::stored_request::BODY_BYTES;
use model::{Line, PROTECTED, model, read_items, rejected, settled};

#[derive(Debug, Clone, Copy)]
struct Limits {
    items_per_request: u32,
    expected_bytes: u64,
    memory: usize,
    body_bytes: usize,
}

/// Limits that never apply.
const WIDE: Limits =
    Limits { items_per_request: 1000, expected_bytes: 0, memory: MAX_ROW_BYTES_IN_MEMORY, body_bytes: BODY_BYTES };

fn shape(operation: &str) -> InputShape {
    operation::by_name(operation).unwrap().shape
}

/// Runs intake in a folder. Returns its outputs and counts.
fn run(
    shape: InputShape,
    limits: Limits,
    dir: &Path,
    lines: &[Line],
) -> Result<(Vec<IntakeOutput>, IntakeCounts), IntakeError> {
    let options = IntakeOptions {
        shape,
        items_per_request: NonZeroU32::new(limits.items_per_request).unwrap(),
        protects: &|id| id == PROTECTED.as_bytes(),
        temp_dir: dir,
        expected_bytes: limits.expected_bytes,
        memory: limits.memory,
        body_bytes: limits.body_bytes,
    };
    let mut outputs = Vec::new();
    let mut intake = Intake::new(options, |output| {
        outputs.push(output);
        Ok(())
    });
    for (line, row) in (1..).zip(lines) {
        match row {
            Line::Good { from, account, fields } => {
                let json = if shape.fields.is_empty() { String::new() } else { serde_json::to_string(fields).unwrap() };
                let from = shape.from.map(|_| from.as_bytes());
                intake.row(0, RowRef { line, from, account: account.as_bytes(), fields: json.as_bytes() })?;
            }
            Line::Rejected => intake.reject(0, rejected(line))?,
        }
    }
    let counts = intake.finish()?;
    Ok((outputs, counts))
}

fn requests(outputs: &[IntakeOutput]) -> Vec<&StoredRequest> {
    let requests = outputs.iter().filter_map(|output| match output {
        IntakeOutput::Request(request) => Some(request),
        IntakeOutput::Skipped(_) | IntakeOutput::LineSpan(_) => None,
    });
    requests.collect()
}

fn check_requests(outputs: &[IntakeOutput], limits: Limits) {
    let requests = requests(outputs);
    for request in &requests {
        let bytes = request.accounts.len() + request.fields.as_ref().map_or(0, String::len);
        assert!(request.item_count > 0 && request.item_count <= limits.items_per_request);
        assert!(request.item_count == 1 || bytes <= limits.body_bytes);
    }
    let account_groups: Vec<_> = requests.chunk_by(|a, b| a.from == b.from).collect();
    let distinct: HashSet<_> = account_groups.iter().map(|group| &group[0].from).collect();
    assert_eq!(distinct.len(), account_groups.len(), "requests of one account are adjacent");
    if limits.body_bytes == BODY_BYTES {
        let full = |request: &&StoredRequest| request.item_count == limits.items_per_request;
        assert!(
            account_groups.iter().all(|group| group[..group.len() - 1].iter().all(full)),
            "short only at the end of a group"
        );
    }
}

fn friend(from: &str, account: u64) -> Line {
    let (from, account) = (from.to_owned(), account.to_string());
    Line::Good { from, account, fields: FieldValues::new() }
}

fn update(fields: &[(&str, &str)]) -> Line {
    let fields = fields.iter().map(|&(field, value)| (field.into(), FieldValue::Text(value.into()))).collect();
    Line::Good { from: "a".to_owned(), account: "b".to_owned(), fields }
}

fn any_line() -> impl Strategy<Value = Line> {
    let id = prop_oneof![
        20 => "[a-d]",
        5 => Just("quo\"te\\".to_owned()),
        5 => "用户[0-9]",
        1 => Just(PROTECTED.to_owned()),
    ];
    let value = prop_oneof![
        "[xy\"]".prop_map(|text| FieldValue::Text(text.into())),
        (0i64..2).prop_map(|number| FieldValue::Integer(number.into())),
        prop::collection::vec("[gh]".prop_map(Into::into), 0..2).prop_map(FieldValue::Groups),
    ];
    let fields = prop::collection::btree_map("Tag_[ab]".prop_map(Into::into), value, 1..3);
    let good = (id.clone(), id, fields).prop_map(|(from, account, fields)| Line::Good { from, account, fields });
    prop_oneof![30 => good, 1 => Just(Line::Rejected)]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let memory = prop_oneof![1 => Just(MAX_ROW_BYTES_IN_MEMORY), 4 => 0usize..6000];
    let body_bytes = prop_oneof![Just(BODY_BYTES), 0usize..300];
    (1u32..6, 0u64..4000, memory, body_bytes).prop_map(|(items_per_request, expected_bytes, memory, body_bytes)| {
        Limits { items_per_request, expected_bytes, memory, body_bytes }
    })
}

proptest! {
    #[test]
    fn what_comes_out_is_what_the_model_says(
        lines in prop::collection::vec(any_line(), 0..250),
        limits in any_limits(),
        operation in prop::sample::select(vec!["account_delete", "friend_delete", "friend_update"]),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (outputs, counts) = run(shape(operation), limits, dir.path(), &lines).unwrap();
        let (found, wanted) = (settled(&outputs), model(shape(operation), &lines));
        prop_assert_eq!(&found, &wanted);
        check_requests(&outputs, limits);

        let line_spans: Vec<_> = outputs.iter().filter(|output| matches!(output, IntakeOutput::LineSpan(_))).collect();
        let whole = IntakeOutput::LineSpan(LineSpan { first_row: 0, source: 0, first_line: 1, step: 1 });
        prop_assert_eq!(line_spans, if lines.is_empty() { vec![] } else { vec![&whole] });

        let rows: usize = found.items.values().map(Vec::len).sum();
        prop_assert_eq!(rows + found.skipped_rows.len(), lines.len());
        prop_assert_eq!(counts.rows, lines.len() as u64);
        prop_assert_eq!(counts.items, found.items.len() as u64);
        prop_assert_eq!(counts.merged, (rows - found.items.len()) as u64);
        prop_assert_eq!(counts.requests, requests(&outputs).len() as u64);
        prop_assert_eq!(counts.rejected + counts.duplicate + counts.protected, found.skipped_rows.len() as u64);
        prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files in the folder have no name");
    }

    #[test]
    fn small_inputs_keep_their_order(lines in prop::collection::vec(any_line(), 0..100)) {
        let (outputs, _) = run(shape("friend_delete"), WIDE, Path::new("/nowhere"), &lines).unwrap();
        let requests = requests(&outputs);
        let rows: Vec<RowNo> = requests.iter().flat_map(|r| read_items(r)).map(|(_, rows)| rows[0].0).collect();
        let firsts: Vec<RowNo> = requests.iter().map(|request| read_items(request)[0].1[0].0).collect();
        prop_assert!(firsts.is_sorted(), "accounts in order of their first row");
        let mut rest = &rows[..];
        for end in requests.iter().map(|request| request.item_count as usize) {
            prop_assert!(rest[..end].is_sorted(), "items in row order");
            rest = &rest[end..];
        }
    }
}

#[test]
fn a_row_is_a_duplicate_only_while_no_later_row_changed_the_fields() {
    let lines = [
        update(&[("Tag_a", "x")]),
        update(&[("Tag_a", "x")]),
        update(&[("Tag_a", "y")]),
        update(&[("Tag_a", "x")]),
        update(&[("Tag_b", "z")]),
        update(&[("Tag_a", "x")]),
    ];
    let (outputs, counts) = run(shape("friend_update"), WIDE, Path::new("/nowhere"), &lines).unwrap();
    let settled = settled(&outputs);
    let of = |row| settled.skipped_rows.get(&row).map(|skipped| skipped.reason.clone());
    assert_eq!(of(1), Some(SkipReason::Duplicate { of: 0 }));
    assert_eq!(of(5), Some(SkipReason::Duplicate { of: 3 }));
    assert_eq!(requests(&outputs)[0].rows, "[[0,2,3,4]]");
    assert_eq!((counts.items, counts.merged, counts.duplicate), (1, 3, 2));
}

#[test]
fn equal_rows_beyond_memory_are_one_item() {
    let dir = tempfile::tempdir().unwrap();
    let lines = vec![friend("a", 1); 20_000];
    let limits = Limits { memory: 1000, ..WIDE };
    let (outputs, counts) = run(shape("friend_delete"), limits, dir.path(), &lines).unwrap();
    assert_eq!((counts.items, counts.duplicate), (1, 19_999));
    let skipped_rows = settled(&outputs).skipped_rows;
    assert!(skipped_rows.values().all(|skipped| skipped.reason == SkipReason::Duplicate { of: 0 }));
}

#[test]
fn a_hot_account_beyond_memory_still_fills_its_requests_and_divides_no_other_group() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<_> = (0..20_000)
        .map(|n| {
            let from = if n % 3 == 0 { format!("u{}", n % 500) } else { "heavy".to_owned() };
            friend(&from, n)
        })
        .collect();
    let limits = Limits { memory: 20_000, items_per_request: 100, ..WIDE };
    let (outputs, counts) = run(shape("friend_delete"), limits, dir.path(), &lines).unwrap();
    check_requests(&outputs, limits);
    assert_eq!(counts.items, 20_000);
    let mut items: HashMap<&str, u32> = HashMap::new();
    for request in requests(&outputs) {
        *items.entry(request.from.as_deref().unwrap()).or_default() += request.item_count;
    }
    let full: u32 = items.values().map(|items| items.div_ceil(100)).sum();
    assert_eq!(counts.requests, u64::from(full));
}

#[test]
fn rows_without_from_account_fill_their_requests_over_all_parts() {
    let dir = tempfile::tempdir().unwrap();
    let lines: Vec<_> = (0..10_050).map(|n| friend("", n)).collect();
    let limits = Limits { memory: 5_000, expected_bytes: 50_000, items_per_request: 100, ..WIDE };
    let (outputs, counts) = run(shape("account_delete"), limits, dir.path(), &lines).unwrap();
    check_requests(&outputs, limits);
    assert_eq!(counts.requests, 101);
}

#[test]
fn a_folder_that_can_not_be_written_is_named_with_a_hint() {
    let lines: Vec<_> = (0..1000).map(|n| friend("a", n)).collect();
    let limits = Limits { memory: 1000, ..WIDE };
    let error = run(shape("friend_delete"), limits, Path::new("/no/such/folder"), &lines).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("/no/such/folder: cannot create a temporary file: "), "{text}");
    assert!(error.hint().is_some(), "{text}");
}

#[test]
fn a_sink_that_is_gone_ends_intake() {
    let options = IntakeOptions {
        shape: shape("friend_delete"),
        items_per_request: NonZeroU32::MIN,
        protects: &|_| true,
        temp_dir: Path::new("/nowhere"),
        expected_bytes: 0,
        memory: MAX_ROW_BYTES_IN_MEMORY,
        body_bytes: BODY_BYTES,
    };
    let mut intake = Intake::new(options, |_| Err(SinkClosed));
    let row = RowRef { line: 1, from: Some(b"a"), account: b"b", fields: b"" };
    assert!(matches!(intake.row(0, row), Err(IntakeError::Closed(SinkClosed))));
}

#[test]
fn numbers_that_do_not_add_up_are_an_error() {
    let counts = IntakeCounts { rows: 5, items: 2, duplicate: 1, rejected: 1, ..IntakeCounts::default() };
    assert_eq!(counts.check(3, 2).unwrap().merged, 1);
    for (packed_rows, grouped) in [(2, 2), (4, 2), (3, 1), (3, 3)] {
        let error = counts.check(packed_rows, grouped).unwrap_err();
        assert!(error.to_string().starts_with("the numbers do not add up: of 5 rows, "));
    }
}

#[test]
fn a_row_rejected_for_its_form_keeps_no_account_that_could_be_sent_from_the_results() {
    let kept =
        |operation: &str, row: RejectedRow| breaks_its_rule_again(&operation::by_name(operation).unwrap().shape, &row);
    let row = |from: &str, account: &str| RejectedRow {
        from: Some(from.into()),
        account: Some(account.into()),
        ..rejected(1)
    };
    assert!(!kept("friend_delete", row("a", "b")), "nothing in it says why it was rejected");
    assert!(!kept("account_delete", row("a", "b")));
    assert!(kept("friend_delete", row("a", "a")));
    assert!(kept("friend_delete", row("a", "")));
    assert!(kept("friend_delete", row(&"a".repeat(33), "b")));
    let fields = FieldValues::from([("Tag_SNS_IM_Remark".into(), FieldValue::Text("x".into()))]);
    let remark = Some("Tag_SNS_IM_Remark".to_owned());
    assert!(kept("friend_update", RejectedRow { column: remark.clone(), fields, ..row("a", "b") }));
    let others = FieldValues::from([("Tag_SNS_Custom_A".into(), FieldValue::Text("x".into()))]);
    assert!(
        !kept("friend_update", RejectedRow { column: remark.clone(), fields: others, ..row("a", "b") }),
        "the bad field is gone"
    );
    assert!(
        kept("friend_update", RejectedRow { column: remark, ..row("a", "b") }),
        "without any field it changes nothing"
    );
}

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value as Json;
use sqlx::{Connection, SqliteConnection};

use super::*;
use crate::domain::request::line_span::LineSpan;
use crate::domain::request::row::{FieldValue, FieldValues};
use crate::domain::request::skipped_row::{SkipReason, SkippedRow};
use crate::domain::request::{Doubt, Item};
use crate::domain::response::verdict::{BatchSplit, Charge, ItemResult, Resend, Verdict, Wait};
use crate::testing::{Load, TestQueue, id};

async fn export(test_queue: &TestQueue, range: u64, format: Format, only: Option<&[Outcome]>) -> (String, Tally) {
    let mut out = Vec::new();
    let folder = test_queue.folder.path();
    let options = ExportOptions { format, only, division: Division::None, rows: &AtomicU64::new(0), folder };
    let tally =
        write_ranges(range, &test_queue.reader, &test_queue.run, (options, None), None, std::slice::from_mut(&mut out))
            .await
            .unwrap();
    (String::from_utf8(out).unwrap(), tally)
}

fn ending(outcome: Outcome, code: Option<i64>, reason: &str) -> Verdict {
    Verdict::Final(ItemResult { outcome, code, reason: reason.to_owned() })
}

const AGAIN: Verdict = Verdict::Resend(Resend {
    charge: Charge::Attempt,
    doubt: Doubt::None,
    wait: Wait::Backoff,
    split: BatchSplit::Whole,
    met: None,
});

fn plain(row: u64, account: &str) -> Item {
    Item { account: id(account), row, updates: None }
}

fn span(first_row: u64, source: u32, first_line: u64, step: u64) -> LineSpan {
    LineSpan { first_row, source, first_line, step }
}

fn skipped(row: u64, account: &str, reason: SkipReason) -> SkippedRow {
    SkippedRow { row, reason, from: None, account: Some(account.to_owned()), fields: FieldValues::new() }
}

/// Two merged rows, a single row, a duplicate and a rejected row; one item fails.
async fn updates() -> TestQueue {
    let text = |field: &str, value: &str| (Box::from(field), FieldValue::Text(value.into()));
    let groups = FieldValue::Groups(vec!["work".into(), "gym".into()]);
    let merged = vec![
        (0, FieldValues::from([text("Tag_SNS_IM_Remark", "=1+1, \"x\"\n")])),
        (2, FieldValues::from([("Tag_SNS_IM_Group".into(), groups)])),
    ];
    let alone = vec![(1, FieldValues::from([("Tag_SNS_Custom_N".into(), FieldValue::Integer(7.into()))]))];
    let item = |account: &str, updates: Vec<(u64, FieldValues)>| Item {
        account: id(account),
        row: updates[0].0,
        updates: Some(Box::new(updates)),
    };
    let rejected =
        SkipReason::Rejected { column: Some("To_Account".to_owned()), reason: "`To_Account` is empty".to_owned() };
    let bad = SkippedRow { from: Some(" a\0\u{9b}".to_owned()), account: None, ..skipped(4, "", rejected) };
    let double = SkippedRow {
        from: Some("-a".to_owned()),
        fields: FieldValues::from([("Tag_SNS_Custom_N".into(), FieldValue::Integer(7.into()))]),
        ..skipped(3, "c,用", SkipReason::Duplicate { of: 1 })
    };
    let load = Load {
        requests: vec![(Some(id("-a")), vec![item("b", merged), item("c,用", alone)])],
        skipped_rows: vec![double, bad],
        line_spans: vec![span(0, 0, 2, 1), span(1, 0, 5, 2), span(3, 1, 2, 1)],
        sources: vec!["x.csv".to_owned(), "y.csv".to_owned()],
        fields: ["Tag_SNS_IM_Remark", "Tag_SNS_IM_Group", "Tag_SNS_Custom_N"].map(str::to_owned).to_vec(),
    };
    let mut test_queue = TestQueue::new("friend_update", load).await;
    let request = test_queue.pending().await.remove(0);
    let verdicts = vec![ending(Outcome::Failed, Some(30_001), "bad \u{1b}[31m"), ending(Outcome::Succeeded, None, "")];
    test_queue.record_call(request, verdicts, 1_700_000_000_042).await;
    test_queue
}

#[tokio::test]
async fn csv_is_byte_exact_and_each_row_shows_its_own_fields() {
    let (csv, tally) = export(&updates().await, 2, Format::Csv, None).await;
    let expected = "source,line,From_Account,To_Account,Tag_SNS_IM_Remark,Tag_SNS_IM_Group,Tag_SNS_Custom_N,\
                    outcome,code,reason,attempts,finished_at,verified,verified_at,class\n\
                    x.csv,2,-a,b,\"=1+1, \"\"x\"\"\n\",,,\
                    failed,30001,bad \u{1b}[31m,1,2023-11-14T22:13:20.042Z,,,item_failed\n\
                    x.csv,5,-a,\"c,用\",,,json:7,succeeded,,,1,2023-11-14T22:13:20.042Z,,,\n\
                    x.csv,7,-a,b,,work|gym,,failed,30001,bad \u{1b}[31m,1,2023-11-14T22:13:20.042Z,,,item_failed\n\
                    y.csv,2,-a,\"c,用\",,,json:7,duplicate,,duplicate of x.csv:5,0,,,,\n\
                    y.csv,3, a\0\u{9b},,,,,rejected,,`To_Account` is empty,0,,,,\n";
    assert_eq!(csv, expected);
    assert_eq!((tally.total(), tally[Outcome::Failed]), (5, 2));
}

#[tokio::test]
async fn jsonl_keeps_the_types_and_only_the_wanted_rows() {
    let test_queue = updates().await;
    let (jsonl, _) = export(&test_queue, 3, Format::Jsonl, Some(&[Outcome::Failed, Outcome::Duplicate])).await;
    let expected = concat!(
        r#"{"source":"x.csv","line":2,"From_Account":"-a","To_Account":"b","Tag_SNS_IM_Remark":"=1+1, \"x\"\n","#,
        r#""outcome":"failed","code":30001,"reason":"bad \u001b[31m","attempts":1,"#,
        r#""finished_at":"2023-11-14T22:13:20.042Z","verified":null,"verified_at":null,"class":"item_failed"}"#,
        "\n",
        r#"{"source":"x.csv","line":7,"From_Account":"-a","To_Account":"b","Tag_SNS_IM_Group":["work","gym"],"#,
        r#""outcome":"failed","code":30001,"reason":"bad \u001b[31m","attempts":1,"#,
        r#""finished_at":"2023-11-14T22:13:20.042Z","verified":null,"verified_at":null,"class":"item_failed"}"#,
        "\n",
        r#"{"source":"y.csv","line":2,"From_Account":"-a","To_Account":"c,用","Tag_SNS_Custom_N":7,"#,
        r#""outcome":"duplicate","code":null,"reason":"duplicate of x.csv:5","attempts":0,"finished_at":null,"#,
        r#""verified":null,"verified_at":null,"class":null}"#,
        "\n"
    );
    assert_eq!(jsonl, expected);
}

#[tokio::test]
async fn a_run_without_rows_is_a_header() {
    let test_queue = TestQueue::new("account_delete", Load::default()).await;
    let (csv, tally) = export(&test_queue, 4, Format::Csv, None).await;
    assert_eq!(csv, "source,line,UserID,outcome,code,reason,attempts,finished_at,verified,verified_at,class\n");
    assert_eq!(tally.total(), 0);
}

/// Exports a run whose rows are damaged.
async fn broken(rows: &[u64], skipped_row: Option<u64>) -> ExportError {
    let items = rows.iter().map(|row| plain(*row, "a")).collect();
    let reason = SkipReason::Protected { id: "a".to_owned() };
    let load = Load {
        requests: vec![(None, items)],
        skipped_rows: skipped_row.map(|row| skipped(row, "a", reason)).into_iter().collect(),
        line_spans: vec![span(0, 0, 2, 1)],
        sources: vec!["x.csv".to_owned()],
        ..Load::default()
    };
    let test_queue = TestQueue::new("account_delete", load).await;
    let folder = test_queue.folder.path();
    let mut out = Vec::new();
    let options =
        ExportOptions { format: Format::Csv, only: None, division: Division::None, rows: &AtomicU64::new(0), folder };
    let written =
        write_ranges(2, &test_queue.reader, &test_queue.run, (options, None), None, std::slice::from_mut(&mut out))
            .await;
    written.unwrap_err()
}

#[tokio::test]
async fn a_row_that_is_missing_doubled_or_not_of_the_input_is_named() {
    let missing = broken(&[0, 2], Some(2)).await;
    assert!(matches!(missing, ExportError::Missing { row: 1, .. }) && missing.to_string().contains("x.csv:3"));
    assert!(matches!(broken(&[0, 1, 1], None).await, ExportError::Doubled { row: 1, .. }));
    assert!(matches!(broken(&[0, 1], Some(1)).await, ExportError::Doubled { row: 1, .. }));
    assert!(matches!(broken(&[0, 2], None).await, ExportError::Stray { row: 2, rows: 2, .. }));
}

#[tokio::test]
async fn an_unreadable_range_is_reported_after_the_rows_before_it() {
    let load = Load {
        requests: vec![(None, vec![plain(0, "a"), plain(1, "b"), plain(2, "c")])],
        skipped_rows: vec![skipped(3, "d", SkipReason::Protected { id: "d".to_owned() })],
        line_spans: vec![span(0, 0, 2, 1)],
        sources: vec!["x.csv".to_owned()],
        ..Load::default()
    };
    let test_queue = TestQueue::new("account_delete", load).await;
    let mut other = SqliteConnection::connect(test_queue.reader.path().to_str().unwrap()).await.unwrap();
    sqlx::query("UPDATE skipped SET account = 'e'").execute(&mut other).await.unwrap();
    let mut out = Vec::new();
    let options = ExportOptions {
        format: Format::Csv,
        only: None,
        division: Division::None,
        rows: &AtomicU64::new(0),
        folder: test_queue.folder.path(),
    };
    let written =
        write_ranges(1, &test_queue.reader, &test_queue.run, (options, None), None, std::slice::from_mut(&mut out))
            .await;
    let error = written.unwrap_err().to_string();
    assert!(error.contains("row 3 has a wrong checksum in table skipped"), "{error}");
    let lines = String::from_utf8(out).unwrap();
    assert!(lines.ends_with("x.csv,4,c,pending,,,0,,,,\n"), "{lines}");
}

#[tokio::test]
async fn rows_that_exceed_the_memory_of_the_spill_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let rows = 4_000_u64;
    // With this number of ranges, each has the smallest buffer.
    let mut spill = Spill::new(folder.path(), rows * 2_000, 1_000);
    let fields = "x".repeat(200);
    for row in 0..rows {
        let account = format!("u{row}");
        let sent_row = SentRow {
            row,
            from: "",
            account: &account,
            fields: &fields,
            earlier: "",
            attempts: 1,
            outcome: Outcome::Pending,
            finished_at: None,
        };
        spill.add(RequestId::new(1), sent_row).unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
    for first in (0..rows).step_by(1_000) {
        let bytes = spill.read(first).unwrap();
        assert!(bytes.len() > 200_000, "it was written in pieces");
        let mut bytes = bytes.as_slice();
        for row in first..first + 1_000 {
            let sent_row = SentRow::decode(&mut bytes).unwrap();
            assert_eq!((sent_row.row, sent_row.account, sent_row.fields), (row, &*format!("u{row}"), &*fields));
        }
        assert!(bytes.is_empty());
    }
}

#[tokio::test]
async fn an_export_shows_one_moment_while_the_run_is_sent() {
    let load = Load {
        requests: vec![(None, vec![plain(0, "a"), plain(1, "b")]), (None, vec![plain(2, "c")])],
        line_spans: vec![span(0, 0, 2, 1)],
        sources: vec!["x.csv".to_owned()],
        ..Load::default()
    };
    let mut test_queue = TestQueue::new("account_delete", load).await;
    let mut snapshot = test_queue.reader.snapshot().await.unwrap();
    let run = test_queue.run.id;
    assert_eq!(snapshot.skipped_rows(run, 0..3).await.unwrap(), []);
    let request = test_queue.pending().await.remove(0);
    // Row 1 moves to a new request behind the last one.
    test_queue.record_call(request, vec![ending(Outcome::Failed, Some(70_500), "no"), AGAIN], 5).await;
    assert_eq!(snapshot.request_results(run, RequestId::BEFORE_FIRST).await.unwrap().len(), 2);
    assert_eq!(snapshot.exceptions(run, 0..3).await.unwrap(), []);
    drop(snapshot);
    let (csv, _) = export(&test_queue, 2, Format::Csv, None).await;
    assert!(
        csv.contains("x.csv,2,a,failed,70500,no,1,1970-01-01T00:00:00.005Z,,,transient\nx.csv,3,b,pending,,,1,,,,\n"),
        "{csv}"
    );
}

/// What a call does with an item.
#[derive(Debug, Clone)]
enum SendResult {
    Ends(Outcome, Option<i64>),
    Resend,
}

/// The kind of an input row.
#[derive(Debug, Clone)]
enum Kind {
    /// A row with its own item.
    Item,
    /// Merged into an earlier item, if there is one.
    Merged(prop::sample::Index),
    Rejected,
    /// Of an earlier row, if there is one.
    Duplicate(prop::sample::Index),
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        4 => Just(Kind::Item),
        2 => any::<prop::sample::Index>().prop_map(Kind::Merged),
        1 => Just(Kind::Rejected),
        1 => any::<prop::sample::Index>().prop_map(Kind::Duplicate),
    ];
    prop::collection::vec(kind, 0..40)
}

fn send_result() -> impl Strategy<Value = SendResult> {
    prop_oneof![
        3 => Just(SendResult::Ends(Outcome::Succeeded, None)),
        1 => Just(SendResult::Ends(Outcome::Succeeded, Some(70_107))),
        1 => Just(SendResult::Ends(Outcome::AlreadyDone, Some(31_704))),
        1 => Just(SendResult::Ends(Outcome::Failed, Some(30_001))),
        1 => Just(SendResult::Ends(Outcome::InDoubt, None)),
        2 => Just(SendResult::Resend),
    ]
}

fn field_of(row: u64) -> FieldValues {
    FieldValues::from([("Tag_SNS_IM_Remark".into(), FieldValue::Text(format!("r{row}").into()))])
}

/// Items of a run and rows that are not sent; the latter with how they should come out.
fn build(kinds: &[Kind], expected: &mut BTreeMap<u64, (Outcome, Option<i64>)>) -> (Vec<Item>, Vec<SkippedRow>) {
    let (mut items, mut skipped_rows): (Vec<Item>, Vec<SkippedRow>) = (Vec::new(), Vec::new());
    for (row, kind) in (0..).zip(kinds) {
        let mut skipped_row = |reason: SkipReason| {
            expected.insert(row, (reason.outcome(), None));
            skipped_rows.push(skipped(row, &format!("u{row}"), reason));
        };
        match kind {
            Kind::Merged(of) if !items.is_empty() => {
                let of = of.index(items.len());
                items[of].updates.as_mut().unwrap().push((row, field_of(row)));
            }
            Kind::Duplicate(of) if row > 0 => {
                skipped_row(SkipReason::Duplicate { of: of.index(usize::try_from(row).unwrap()) as u64 });
            }
            Kind::Rejected => skipped_row(SkipReason::Rejected { column: None, reason: "no".to_owned() }),
            Kind::Item | Kind::Merged(_) | Kind::Duplicate(_) => items.push(Item {
                account: id(&format!("u{row}")),
                row,
                updates: Some(Box::new(vec![(row, field_of(row))])),
            }),
        }
    }
    (items, skipped_rows)
}

/// Sends every request as often as there are send_results for its items.
async fn live(
    test_queue: &mut TestQueue,
    mut send_results: Vec<SendResult>,
    expected: &mut BTreeMap<u64, (Outcome, Option<i64>)>,
) {
    while let Some(request) = test_queue.pending().await.into_iter().next() {
        if send_results.len() < request.items.len() {
            break;
        }
        let mut verdicts = Vec::new();
        for item in &request.items {
            let result = send_results.pop().unwrap();
            let ended = match result {
                SendResult::Ends(outcome, code) => (outcome, code),
                SendResult::Resend => (Outcome::Pending, None),
            };
            expected.extend(item.rows().map(|row| (row, ended)));
            verdicts.push(match result {
                SendResult::Ends(outcome, code) => ending(outcome, code, "why"),
                SendResult::Resend => AGAIN,
            });
        }
        test_queue.record_call(request, verdicts, 7).await;
    }
}

async fn every_row_once(kinds: Vec<Kind>, send_results: Vec<SendResult>, batch: usize, range: u64, step: u64) {
    let mut expected: BTreeMap<_, _> = (0..).zip(&kinds).map(|(row, _)| (row, (Outcome::Pending, None))).collect();
    let (mut items, skipped_rows) = build(&kinds, &mut expected);
    items.reverse();
    let load = Load {
        requests: items.chunks(batch).map(|items| (Some(id("from")), items.to_vec())).collect(),
        skipped_rows,
        line_spans: (0..kinds.len() as u64)
            .step_by(5)
            .map(|row| span(row, u32::from(row > 9), 2 + row * step, step))
            .collect(),
        sources: vec!["x.csv".to_owned(), "y.csv".to_owned()],
        fields: vec!["Tag_SNS_IM_Remark".to_owned()],
    };
    let mut test_queue = TestQueue::new("friend_update", load).await;
    live(&mut test_queue, send_results, &mut expected).await;

    let (jsonl, _) = export(&test_queue, range, Format::Jsonl, None).await;
    let lines: Vec<Json> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), expected.len());
    for ((row, (outcome, code)), line) in expected.iter().zip(&lines) {
        assert_eq!(line["line"], 2 + row * step);
        assert_eq!(line["source"], if *row / 5 * 5 > 9 { "y.csv" } else { "x.csv" });
        assert_eq!((&line["outcome"], &line["code"]), (&outcome.name().into(), &(*code).into()), "row {row}");
        let own =
            matches!(outcome, Outcome::Rejected | Outcome::Duplicate) || line["Tag_SNS_IM_Remark"] == format!("r{row}");
        assert!(own, "row {row} shows another's field: {line}");
    }
    for only in Outcome::ALL {
        let (csv, tally) = export(&test_queue, range, Format::Csv, Some(&[only])).await;
        let count = expected.values().filter(|(outcome, _)| *outcome == only).count();
        assert_eq!((csv.lines().count(), tally.total(), tally[only]), (count + 1, count as u64, count as u64));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_row_of_any_run_is_exported_once_in_order(
        kinds in kinds(),
        send_results in prop::collection::vec(send_result(), 0..80),
        batch in 1..6_usize,
        range in 1..12_u64,
        step in 1..3_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(every_row_once(kinds, send_results, batch, range, step));
    }
}

use rstest::rstest;

use super::*;
use crate::domain::hint::Message;
use crate::domain::language::Language;
use crate::domain::operation::by_name;
use crate::domain::report_file::ReportFormat;
use crate::queue::CodeRows;
use crate::report::explanation::codes_of;
use crate::report::testing;

fn report(figures: Figures) -> RunReport {
    RunReport::new(parts(figures))
}

pub(super) fn parts(figures: Figures) -> ReportParts {
    let now: Zoned = "2026-11-22T09:00:00+08:00[Asia/Shanghai]".parse().expect("a moment");
    let operation = by_name("account_delete").expect("an operation");
    ReportParts {
        facts: StateFacts {
            since: Some("2026-11-22T08:59:00+08:00[Asia/Shanghai]".parse().expect("a moment")),
            pid: None,
            seconds_left: None,
            forgotten: None,
            verified: VerifiedRows::default(),
        },
        effect: operation.effect,
        explained_codes: codes_of(operation, &figures.codes),
        places: vec![PlacesOfCode {
            code: Some(70_402),
            outcome: Outcome::Failed,
            rows: vec![RowPlace { source: "in.csv".to_owned(), line: 7 }],
        }],
        sent: None,
        input: Vec::new(),
        input_digest: "d1ge57".to_owned(),
        earlier_runs: vec![EarlierRun {
            run: "0190e8b0".to_owned(),
            state: StateName::Finished,
            created_at: now.clone(),
            rows: 3,
            outcomes: Outcome::ALL.into_iter().zip([2, 0, 1, 0, 0, 0, 0, 0]).collect(),
        }],
        series: None,
        figures,
        now,
    }
}

#[test]
fn the_markdown_says_what_happened_and_what_to_do_without_any_id() {
    insta::assert_snapshot!(report(testing::figures()).text(ReportFormat::Markdown, Language::En));
}

#[rstest]
#[case(StateName::Planned, "Planned: 1,000,012 rows, nothing was sent")]
#[case(
    StateName::Sending,
    "Being sent, 2 rows are left: 999,000 of 1,000,012 accounts deleted, 400 already done; 605 rows need your attention"
)]
#[case(
    StateName::Interrupted,
    "Cut short, 2 rows are left: 999,000 of 1,000,012 accounts deleted, 400 already done; 605 rows need your attention"
)]
#[case(StateName::Finished, "999,000 of 1,000,012 accounts deleted, 400 already done; 605 rows need your attention")]
fn the_verdict_says_the_state_and_the_numbers(#[case] state: StateName, #[case] verdict: &str) {
    assert_eq!(report(Figures { state, ..testing::figures() }).verdict.en, verdict);
}

#[test]
fn a_perfect_run_says_that_nothing_is_left_to_do() {
    let outcomes = Outcome::ALL.into_iter().zip([5, 0, 0, 0, 0, 0, 0, 0]).collect();
    let figures = Figures { state: StateName::Finished, rows: 5, outcomes, ..testing::figures() };
    let report = report(figures);
    assert_eq!(report.verdict.en, "5 of 5 accounts deleted; no row needs your attention");
    assert_eq!((report.exit_code, report.sum(Language::En)), (Some(0), "5 = 5 rows".to_owned()));
    assert_eq!(report.next.len(), 1);
}

#[test]
fn rejected_rows_alone_leave_the_exit_code_open_and_contradicted_rows_need_attention() {
    let outcomes = Outcome::ALL.into_iter().zip([4, 0, 0, 0, 0, 1, 0, 0]).collect();
    let figures = Figures { state: StateName::Finished, rows: 5, outcomes, ..testing::figures() };
    let rejected = report(figures.clone());
    assert_eq!((rejected.exit_code, rejected.needs_attention), (None, 1));
    assert!(
        rejected
            .text(ReportFormat::Markdown, Language::En)
            .contains("exit code: 3, or 0 if the job allows rejected rows (input.rejects)"),
        "{}",
        rejected.text(ReportFormat::Markdown, Language::En)
    );
    let mut verified = parts(figures);
    verified.facts.verified.contradicted = 2;
    let report = RunReport::new(verified);
    assert_eq!(report.needs_attention, 3);
    assert!(report.verdict.en.ends_with("3 rows need your attention"), "{}", report.verdict.en);
}

#[test]
fn the_page_has_no_text_of_a_server_that_a_browser_acts_on() {
    let hostile = "<img src=x onerror=alert(1)> \u{1b}[2J </title><script>";
    let page = report(Figures { stopped: Some(Message::new(hostile)), ..testing::figures() })
        .text(ReportFormat::Html, Language::En);
    assert!(page.contains("&#60;img src=x") && !page.contains("<img") && !page.contains("<script"), "{page}");
    assert!(!page.contains('\u{1b}'), "{page}");
}

#[test]
fn the_page_stays_small_with_many_codes() {
    let codes = (0..300).map(|code| CodeRows { outcome: Outcome::Failed, code: Some(70_000 + code), rows: 1 });
    let page = report(Figures { codes: codes.collect(), ..testing::figures() }).text(ReportFormat::Html, Language::En);
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn small_outcomes_can_be_seen_in_the_bar_and_the_parts_fill_it() {
    for rows in [[1, 0], [1, 1], [10_000_000, 1], [0, 7]] {
        let outcomes = [(Outcome::Succeeded, rows[0]), (Outcome::Failed, rows[1])];
        let shown: Vec<_> = outcomes.into_iter().filter(|(_, rows)| *rows > 0).collect();
        let parts = html::parts(&shown, rows.iter().sum());
        assert!(parts.iter().all(|part| part.width > 5.0), "{rows:?}");
        let end = parts.last().map_or(0.0, |part| part.x + part.width);
        assert!((end - 1000.0).abs() < 0.001, "{rows:?}: {end}");
    }
}

use rstest::rstest;
use serde_json::Number;

use super::*;
use crate::domain::call_counts::CallCounts;
use crate::domain::guard::GuardValue;
use crate::domain::hint::Message;
use crate::domain::language::Language;
use crate::domain::operation::by_name;
use crate::domain::report_file::ReportFormat;
use crate::domain::session_start::{DailyLimit, SessionStart};
use crate::queue::{CodeRows, LargeAccount, ManyCalls, RepeatedRows, StoredSession};
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
        results_digest: Some("d1ge58".to_owned()),
        evidence: evidence_parts(),
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

fn session() -> StoredSession {
    let start = SessionStart {
        user: "cleanup".to_owned(),
        host: "batch-1".to_owned(),
        pid: 4711,
        version: "0.1.0".to_owned(),
        plan: "8d0c1f2e".to_owned(),
        daily: Some(DailyLimit::Window("02:00-06:00 Asia/Shanghai".to_owned())),
        max_runtime: None,
        calls_per_second: 100.try_into().expect("not 0"),
        app_calls_per_second: 200.try_into().expect("not 0"),
        guards: vec![GuardValue::MaxItems { items: 1_000_000, max: 2_000_000 }],
        protected_ids: 12,
        protected_patterns: 3,
        canary: 100,
        failed_share: 0.5,
        max_already_done: None,
        after_items: 1_000,
        hold: None,
        unless_online: false,
    };
    let calls = CallCounts { calls: 10_050, throttles: 2, fullest_second: 98 };
    StoredSession { began_at: 1_763_773_205_000, start, calls: Some(calls) }
}

fn evidence_parts() -> EvidenceParts {
    let first = |line| RowPlace { source: "in.csv".to_owned(), line };
    let account = LargeAccount { from: "u-secret".to_owned(), items: 2_500, requests: 3 };
    EvidenceParts {
        sessions: vec![session()],
        repeated: RepeatedRows { several_calls: 4_300, once_in_doubt: 30 },
        most_calls: vec![ManyCalls { calls: 5, rows: 100, first: first(700) }],
        largest_accounts: vec![(account, first(12))],
        backups: vec![BackupFileOfRun { file: "backups/a.jsonl.zst".to_owned(), lines: 7, blake3: None }],
    }
}

#[test]
fn a_session_without_counts_and_a_run_without_sessions_are_named() {
    let mut killed = parts(testing::figures());
    killed.evidence.sessions.push(StoredSession { calls: None, ..session() });
    let text = RunReport::new(killed).text(ReportFormat::Markdown, Language::En);
    assert!(text.contains("at most 98 calls of this run, lookups included, began within one second"), "{text}");
    assert!(text.contains("; not counted: 1 session that was killed") && text.contains("the last of 2 sessions"));
    let mut earlier = parts(testing::figures());
    earlier.evidence = EvidenceParts::default();
    let report = RunReport::new(earlier);
    assert!(report.unknown.contains(&texts::NO_SESSION) && report.evidence.guards.is_empty());
    assert!(
        !report.text(ReportFormat::Markdown, Language::En).contains("## Promises"),
        "nothing is claimed that is not known"
    );
}

#[test]
fn rows_that_failed_with_a_code_of_others_are_named_and_their_reasons_advised() {
    let code = |outcome, rows| CodeRows { outcome, code: Some(31_704), rows };
    let codes = vec![code(Outcome::Succeeded, 53), code(Outcome::Failed, 36)];
    let mut parts = parts(Figures { codes, ..testing::figures() });
    parts.explained_codes = codes_of(by_name("friend_delete").expect("an operation"), &parts.figures.codes);
    let places = |outcome, line| PlacesOfCode {
        code: Some(31_704),
        outcome,
        rows: vec![RowPlace { source: "in.csv".to_owned(), line }],
    };
    parts.places = vec![places(Outcome::Succeeded, 2), places(Outcome::Failed, 56)];
    let report = RunReport::new(parts);
    let code = &report.explained_codes[0];
    assert_eq!(report.places_of(code), "to look at: in.csv:56");
    let advice = report.advice_of(code).en;
    assert!(advice.ends_with("--outcome failed`"), "{advice}");
}

#[test]
fn a_guard_that_halts_says_so() {
    let outcomes = Outcome::ALL.into_iter().zip([400, 0, 600, 0, 2, 0, 0, 0]).collect();
    let report = report(Figures { state: StateName::Halted, rows: 1_002, outcomes, ..testing::figures() });
    let halting: Vec<_> = report.evidence.guards.iter().filter(|guard| !guard.allows).collect();
    assert_eq!(halting.len(), 1, "{halting:?}");
    assert_eq!((halting[0].guard, halting[0].value.as_ref()), ("stop.failed_share", Number::from_f64(0.6).as_ref()));
    assert!(
        report
            .text(ReportFormat::Markdown, Language::En)
            .contains("60.0 % of 1,000 rows failed or in doubt, limit 50 %")
    );
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

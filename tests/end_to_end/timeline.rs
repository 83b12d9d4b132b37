//! The timeline of `imbulk report`: its numbers are those of the server's journal and of the results, also after a
//! kill, and the page shows the numbers of the JSON.

use imbulk_sandbox::Command;
use serde_json::Value;

use imbulk_testkit::requirements::{self, Requirement};
use imbulk_testkit::rows::{mixed, plain};
use imbulk_testkit::{JobFile, Workspace};

use crate::reports::{browser, dom_of, json};

const OPERATION: Command = Command::AccountDelete;

/// Outcomes that rows get from calls.
const FROM_CALLS: [&str; 4] = ["succeeded", "already_done", "failed", "in_doubt"];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

/// A number below a million as the page shows it.
fn grouped(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

/// The sum of a number over all buckets.
fn sum(timeline: &Value, of_bucket: impl Fn(&Value) -> u64) -> u64 {
    list(&timeline["buckets"]).iter().map(of_bucket).sum()
}

/// A run with several outcomes that is killed after some outcomes are stored, and then finished.
fn killed_and_finished() -> Workspace {
    let job = JobFile::new("job", OPERATION).with("stop", "failed_share", 1.0);
    let (mut workspace, job) = job.rows(&mixed(OPERATION, 3_000)).in_a_workspace();
    workspace.faults(&["any:item=70402:0.05", "any:code=60007:#4"]);
    workspace.set_env("IMBULK_FAIL_POINT", "AfterRecord:1");
    let killed = workspace.run(&job);
    assert!(killed.code > 100, "{killed:?}");
    workspace.unset_env("IMBULK_FAIL_POINT");
    workspace.run(&job).expect(3);
    workspace
}

#[test]
fn the_buckets_have_the_calls_of_the_journal_and_the_rows_of_the_results() {
    let job = JobFile::new("job", Command::FriendDelete).with("stop", "failed_share", 1.0);
    let (workspace, job) = job.rows(&mixed(Command::FriendDelete, 600)).in_a_workspace();
    workspace.faults(&["any:item=30011:0.1", "any:silence:#3"]);
    workspace.run(&job).expect(3);
    let report = json(&workspace);
    let timeline = &report["timeline"];
    let calls = sum(timeline, |bucket| number(&bucket["calls"]) + number(&bucket["reads"]));
    assert_eq!(calls, workspace.journal().len() as u64);
    assert_eq!(calls, number(&timeline["calls"]) + number(&timeline["reads"]));
    for outcome in FROM_CALLS {
        let rows = sum(timeline, |bucket| number(&bucket["outcomes"][outcome]));
        assert_eq!(rows, number(&report["outcomes"][outcome]), "{outcome}");
    }
    assert_eq!(number(&timeline["rows_without_time"]), 0);
    let fullest = list(&timeline["buckets"]).iter().map(|bucket| number(&bucket["fullest_second"])).max();
    assert_eq!(fullest, timeline["fullest_second"]["calls"].as_u64());
    assert!(fullest <= timeline["cap"].as_u64(), "{timeline:#}");
    let limited = |value: &Value| list(&value["limited_by"]).iter().map(|limit| number(&limit["ms"])).sum::<u64>();
    assert_eq!(limited(timeline), number(&timeline["sending_ms"]));
    assert_eq!(sum(timeline, limited), number(&timeline["sending_ms"]));
    let sessions = list(&timeline["sessions"]);
    assert_eq!((sessions.len(), sessions[0]["end"].as_str()), (1, Some("finished")), "{timeline:#}");
}

#[test]
fn a_kill_leaves_rows_without_a_time_and_the_next_session_is_marked() {
    let workspace = killed_and_finished();
    let report = json(&workspace);
    let timeline = &report["timeline"];
    let ends: Vec<_> = list(&timeline["sessions"]).iter().filter_map(|session| session["end"].as_str()).collect();
    assert_eq!(ends, ["killed", "finished"]);
    let missing = |outcome: &str| {
        number(&report["outcomes"][outcome]) - sum(timeline, |bucket| number(&bucket["outcomes"][outcome]))
    };
    let missing: u64 = FROM_CALLS.into_iter().map(missing).sum();
    assert!(missing > 0, "the kill came before the second time that the series is stored");
    assert_eq!(number(&timeline["rows_without_time"]), missing);
    workspace.imbulk(&["report", "job", "--output", "report.html"]).expect(0);
    let page = std::fs::read_to_string(workspace.path("report.html")).expect("the page");
    assert!(page.contains(">×2</span>") && page.contains("before a kill"), "{page}");
}

#[test]
fn a_run_of_which_nothing_was_sent_or_whose_rows_are_forgotten_has_no_timeline() {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&plain(OPERATION, 5)).in_a_workspace();
    workspace.imbulk(&["plan", &job]).expect(0);
    assert_eq!(json(&workspace)["timeline"], Value::Null);
    workspace.run(&job).expect(0);
    assert_ne!(json(&workspace)["timeline"], Value::Null);
    workspace.imbulk(&["forget", "--run", "job", "--execute"]).expect(0);
    let report = json(&workspace);
    assert_eq!(report["timeline"], Value::Null);
    let unknown = list(&report["unknown"]);
    assert!(unknown.iter().any(|text| text.as_str().is_some_and(|text| text.contains("over time"))), "{unknown:#?}");
}

#[test]
fn the_page_shows_the_numbers_of_the_json_and_prints_on_two_pages() {
    if !requirements::are_met("the test of the timeline in a browser", &[Requirement::Tool("chromium")]) {
        return;
    }
    let workspace = killed_and_finished();
    let timeline = json(&workspace)["timeline"].take();
    workspace.imbulk(&["report", "job", "--output", "report.html"]).expect(0);
    let shown = dom_of(&workspace, "report.html");
    let fullest = number(&timeline["fullest_second"]["calls"]);
    for number_of_json in [
        format!("<dt>calls</dt><dd>{}", grouped(number(&timeline["calls"]))),
        format!("the cap is {}</dd>", grouped(number(&timeline["cap"]))),
        format!("▲ fullest second: {fullest}</span>"),
    ] {
        assert!(shown.contains(&number_of_json), "{number_of_json} is missing in {shown}");
    }
    for limit in list(&timeline["limited_by"]) {
        let milliseconds = |value: &Value| value.as_f64().expect("a number");
        let share = milliseconds(&limit["ms"]) * 100.0 / milliseconds(&timeline["sending_ms"]);
        let row = format!("<th scope=\"row\">{}</th>", limit["kind"].as_str().unwrap_or_default());
        let row = shown.split(&row).nth(1).unwrap_or_else(|| panic!("{row} is missing in {shown}"));
        assert!(row.contains(&format!("<rect width=\"{share:.1}\"")), "{share}: {row}");
    }
    // Calls, durations and each outcome with stored times have a chart, with a text for people who do not see it.
    // The chart of calls has a step for each bucket.
    let charts: Vec<&str> = shown.split("<svg viewBox=\"0 0 1000 100\"").skip(1).collect();
    assert!(charts.len() > 2 && charts.iter().all(|chart| chart.contains("<title id=")), "{shown}");
    let steps =
        charts[0].split("class=\"cap\" d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    assert_eq!(steps.matches('H').count(), list(&timeline["buckets"]).len(), "{steps}");

    let pdf = workspace.path("report.pdf");
    browser(&workspace)
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg(workspace.path("report.html"))
        .output()
        .expect("Chromium starts");
    let pdf = std::fs::read(pdf).expect("the printed report");
    let pages = String::from_utf8_lossy(&pdf).matches("/Type /Page\n").count();
    assert!((1..=2).contains(&pages), "{pages} pages");
}

#[test]
fn a_narrow_screen_needs_no_horizontal_scrolling() {
    if !requirements::are_met("the test of the page on a narrow screen", &[Requirement::Tool("chromium")]) {
        return;
    }
    let workspace = killed_and_finished();
    workspace.imbulk(&["report", "job", "--output", "report.html"]).expect(0);
    let page = std::fs::read_to_string(workspace.path("report.html")).expect("the page");
    let measured = |page: &str, width: u32| {
        let page = page.replace('&', "&amp;").replace('"', "&quot;");
        let frame = format!("<iframe style=\"width:{width}px;height:20000px;border:0\" srcdoc=\"{page}\"></iframe>");
        let script = "const of = document.querySelector('iframe').contentDocument.documentElement;
                      document.querySelector('p').textContent = `width ${of.scrollWidth}.`";
        let frame = format!("{frame}<p></p><script>onload = () => {{ {script} }}</script>");
        workspace.write("frame.html", frame);
        let shown = dom_of(&workspace, "frame.html");
        let width = shown.split("<p>width ").nth(1).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
        width.unwrap_or_else(|| panic!("no width in {shown}"))
    };
    assert_eq!(measured(&page, 360), 360);
    // The measurement can fail.
    assert!(measured(&page.replace("</main>", "<div style=\"width:400px;height:1px\"></div></main>"), 360) > 360);
}

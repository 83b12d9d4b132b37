//! `imbulk report`: page, JSON and Markdown say the same as the results.

use imbulk_sandbox::Command;
use serde_json::Value;

use imbulk_testkit::rows::mixed;
use imbulk_testkit::{JobFile, Workspace};

/// A run with several outcomes and codes.
pub(crate) fn run() -> Workspace {
    let job = JobFile::new("job", Command::FriendDelete).with("stop", "failed_share", 1.0);
    let (workspace, job) = job.rows(&mixed(Command::FriendDelete, 300)).in_a_workspace();
    workspace.faults(&["any:item=30011:0.1"]);
    workspace.run(&job).expect(3);
    workspace
}

pub(crate) fn json(workspace: &Workspace) -> Value {
    workspace.imbulk(&["report", "job", "--output", "report.json"]).expect(0);
    let text = std::fs::read_to_string(workspace.path("report.json")).expect("the report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let schema = workspace.imbulk(&["schema", "report"]).expect(0).stdout;
    let schema = serde_json::from_str(&schema).expect("JSON");
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    let errors: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0], "{report:#}");
    report
}

#[test]
fn every_format_has_the_numbers_of_the_results() {
    let workspace = run();
    let results = workspace.results("job");
    let report = json(&workspace);
    for (outcome, rows) in report["outcomes"].as_object().expect("outcomes") {
        let exported = results.iter().filter(|row| row.outcome == *outcome).count();
        assert_eq!(rows.as_u64(), u64::try_from(exported).ok(), "{outcome}");
    }
    for code in report["explained_codes"].as_array().expect("codes") {
        let exported = results.iter().filter(|row| row.outcome != "succeeded" && row.code == code["code"].as_i64());
        let of_outcomes = code["outcomes"].as_array().expect("outcomes").iter();
        let sum: u64 = of_outcomes.filter(|it| it["outcome"] != "succeeded").filter_map(|it| it["rows"].as_u64()).sum();
        let exported = exported.filter(|row| row.outcome != "rejected" && row.outcome != "duplicate").count();
        assert_eq!(sum, exported as u64, "{code:#}");
    }
    for places in report["places"].as_array().expect("places") {
        let rows = places["rows"].as_array().expect("rows");
        assert!((1..=5).contains(&rows.len()), "{places:#}");
        for row in rows {
            let is_here = |it: &&imbulk_testkit::rows::ResultRow| it.line == row["line"].as_u64().unwrap_or(0);
            let found = results.iter().find(is_here).expect("a row of the results");
            assert_eq!((&places["outcome"], found.code), (&found.outcome.as_str().into(), places["code"].as_i64()));
        }
    }
    let is_there = |from: &str, to: &str| workspace.world(|world| world.is_friend(from, to));
    for row in results.iter().filter(|row| ["succeeded", "already_done"].contains(&row.outcome.as_str())) {
        assert!(!is_there(row.from.as_deref().expect("a pair"), &row.account), "the server contradicts {row:?}");
    }
    let sum = report["rows"].as_u64().expect("a number").to_string();
    let verdict = report["verdict"].as_str().expect("a sentence");
    for file in ["report.html", "report.md"] {
        workspace.imbulk(&["report", "job", "--output", file]).expect(0);
        let text = std::fs::read_to_string(workspace.path(file)).expect("the report");
        let outcomes = report["outcomes"].as_object().expect("outcomes").iter();
        for (outcome, rows) in outcomes.filter(|(_, rows)| **rows != 0) {
            let cells =
                [format!("</span>{outcome}</th><td class=\"n\">{rows}</td>"), format!("| {outcome} | {rows} |")];
            assert!(cells.iter().any(|cell| text.contains(cell)), "{file}: {outcome} {rows}");
        }
        assert!(text.contains(verdict) && text.contains(&format!("= {sum} rows")), "{text}");
        for row in results.iter().filter(|row| row.account.len() > 3) {
            assert!(!text.contains(&row.account), "{file} has the id {}", row.account);
        }
    }
}

#[test]
fn the_report_says_who_sent_the_run_with_which_plan_calls_and_guards() {
    let rows = mixed(Command::FriendDelete, 60);
    let job = JobFile::new("job", Command::FriendDelete).with("guard", "max_items", 5_000);
    let (workspace, job) = job.with("stop", "failed_share", 0.9).rows(&rows).in_a_workspace();
    // One throttle and one time-out: rows that are sent again, and rows in doubt.
    workspace.faults(&["any:code=60007:#1", "any:code=60008:#3"]);
    workspace.imbulk(&["plan", &job]).expect(0);
    let planned: Value = serde_json::from_str(&workspace.imbulk(&["plan", &job, "--json"]).stdout).expect("JSON");
    let sent = workspace.imbulk(&["run", &job, "--execute", "--yes", "--json"]);
    let sent: Value = serde_json::from_str(&sent.stdout).expect("a list of summaries");
    let report = json(&workspace);
    let sessions = report["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 1, "{report:#}");
    assert_eq!(sessions[0]["plan"], planned[0]["plan_id"], "{:#}", planned[0]);
    assert_eq!(sessions[0]["host"], rustix::system::uname().nodename().to_string_lossy().as_ref());
    for key in ["calls", "throttles", "fullest_second"] {
        assert_eq!(sessions[0]["calls"][key], sent[0]["session"][key], "{key}");
    }
    assert_eq!(report["promises"]["fullest_second"], sent[0]["session"]["fullest_second"]);
    assert_eq!((&report["promises"]["read_back"], sessions[0]["calls"]["throttles"].as_u64()), (&true.into(), Some(1)));
    let calls = |row: &&imbulk_testkit::rows::ResultRow| row.attempts > 1;
    let results = workspace.results("job");
    assert_eq!(report["promises"]["several_calls"].as_u64(), Some(results.iter().filter(calls).count() as u64));
    assert!(report["promises"]["once_in_doubt"].as_u64() > Some(0), "{:#}", report["promises"]);
    let max_items = report["guards"].as_array().expect("guards").iter().find(|it| it["guard"] == "guard.max_items");
    let max_items = max_items.expect("the guard that the job sets");
    assert_eq!((&max_items["value"], max_items["limit"].as_u64()), (&report["items"], Some(5_000)));
    let largest = report["largest_accounts"].as_array().expect("accounts");
    assert!(!largest.is_empty(), "{report:#}");
    let at = largest[0]["first"]["line"].as_u64().expect("a line");
    let from = &results.iter().find(|row| row.line == at).expect("a row").from;
    let of_account = |row: &&imbulk_testkit::rows::ResultRow| row.from == *from;
    let first = results.iter().find(of_account).expect("its first row");
    assert_eq!(first.line, at, "the first row of the account");
}

#[test]
fn the_ending_chooses_the_format_and_no_input_is_overwritten() {
    let workspace = run();
    let refused = workspace.imbulk(&["report", "job", "--output", "report.pdf"]).expect(2);
    refused.says("the ending of the file chooses the format: .html, .json or .md");
    let job = std::fs::read_to_string(workspace.path("job.toml")).expect("the job file");
    workspace.write("other.md", job.replace("name = \"job\"", "name = \"other\""));
    workspace.imbulk(&["plan", "other.md"]).expect(0);
    workspace
        .imbulk(&["report", "job", "--output", "other.md"])
        .expect(2)
        .says("other.md: this is the job file of the job `other`");
}

/// Chromium without a window.
pub(crate) fn browser(workspace: &Workspace) -> std::process::Command {
    let mut browser = std::process::Command::new("chromium");
    browser
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", workspace.path("browser").display()));
    browser
}

/// What Chromium makes of a page.
pub(crate) fn dom_of(workspace: &Workspace, page: &str) -> String {
    let mut browser = browser(workspace);
    browser.args(["--virtual-time-budget=2000", "--dump-dom"]).arg(workspace.path(page));
    String::from_utf8_lossy(&browser.output().expect("Chromium starts").stdout).into_owned()
}

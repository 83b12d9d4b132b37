//! `imbulk report`: page, JSON and Markdown say the same as the results.

use imbulk_sandbox::Command;
use serde_json::Value;

use imbulk_testkit::requirements::{self, Requirement};
use imbulk_testkit::rows::mixed;
use imbulk_testkit::{JobFile, Workspace};

/// A run with several outcomes and codes.
fn run() -> Workspace {
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
    let sum = report["rows"].as_u64().expect("a number").to_string();
    let verdict = report["verdict"].as_str().expect("a sentence");
    for file in ["report.html", "report.md"] {
        workspace.imbulk(&["report", "job", "--output", file]).expect(0);
        let text = std::fs::read_to_string(workspace.path(file)).expect("the report");
        assert!(text.contains(verdict) && text.contains(&format!("= {sum} rows")), "{text}");
        for row in results.iter().filter(|row| row.account.len() > 3) {
            assert!(!text.contains(&row.account), "{file} has the id {}", row.account);
        }
    }
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
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--disable-background-networking"])
        .arg(format!("--user-data-dir={}", workspace.path("browser").display()));
    browser
}

/// What Chromium makes of a page.
pub(crate) fn dom_of(workspace: &Workspace, page: &str) -> String {
    let mut browser = browser(workspace);
    browser.args(["--virtual-time-budget=2000", "--dump-dom"]).arg(workspace.path(page));
    String::from_utf8_lossy(&browser.output().expect("Chromium starts").stdout).into_owned()
}

/// What Chromium makes of a page, what it wrote to standard error, and its log of the network.
fn browsed(workspace: &Workspace, page: &str) -> (String, String, String) {
    let output = browser(workspace)
        .args(["--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--log-net-log={}", workspace.path("net.json").display()))
        .arg(workspace.path(page))
        .output()
        .expect("Chromium starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let network = std::fs::read_to_string(workspace.path("net.json")).expect("the log of the network");
    (text(output.stdout), text(output.stderr), network)
}

#[test]
fn a_browser_shows_the_page_without_an_error_and_requests_nothing_else() {
    if !requirements::are_met("the test of the page in a browser", &[Requirement::Tool("chromium")]) {
        return;
    }
    let workspace = run();
    let report = json(&workspace);
    workspace.imbulk(&["report", "job", "--output", "report.html"]).expect(0);
    let (shown, errors, network) = browsed(&workspace, "report.html");
    assert!(shown.contains(&format!("<h1>{}</h1>", report["verdict"].as_str().expect("a sentence"))), "{shown}");
    assert!(!errors.contains("CONSOLE"), "{errors}");
    assert!(!network.contains("http://127.0.0.1"), "the page requested something");
    // The same with a page that breaks the rules, so that the two checks above can fail.
    let page = std::fs::read_to_string(workspace.path("report.html")).expect("the page");
    let (policy, rest) = page.split_once("default-src 'none'").expect("a policy");
    let image = "<img src=\"http://127.0.0.1:9/x.png\"></main>";
    workspace.write("open.html", format!("{policy}default-src *{rest}").replace("</main>", image));
    assert!(browsed(&workspace, "open.html").2.contains("http://127.0.0.1"), "an image is requested");
    workspace.write("closed.html", page.replace("</main>", image));
    let (_, errors, network) = browsed(&workspace, "closed.html");
    assert!(errors.contains("CONSOLE"), "the refusal of an image is an error of the console: {errors}");
    assert!(!network.contains("http://127.0.0.1"), "the policy of the page forbids requests");
}

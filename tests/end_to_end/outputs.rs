//! What scripts and people see: exit codes, messages, and the first run of a new user.

use imbulk_sandbox::Command;

use imbulk_testkit::rows::{csv, mixed, plain, tally};
use imbulk_testkit::{JobFile, Workspace};

/// A workspace with jobs that are good, that are wrong, and whose input is wrong.
fn workspace_with_one_job_per_case() -> Workspace {
    let workspace = Workspace::new();
    let accounts = Command::AccountDelete;
    workspace.write("good.csv", csv(accounts, &plain(accounts, 10)));
    workspace.write("bad.csv", "UserID\nuser_1\nuser_1\nmuch_too_long_for_an_id_of_the_api\n");
    workspace.write("none.csv", "");
    workspace.write("list.txt", "much_too_long_for_an_id_of_the_api\n");
    let job = |name: &str, input: &str| JobFile::new(name, accounts).with("input", "path", format!("{input:?}"));
    job("good", "good.csv").write(&workspace);
    job("rejects", "bad.csv").write(&workspace);
    job("allowed", "bad.csv").with("input", "rejects", "\"allow\"").write(&workspace);
    job("empty", "none.csv").write(&workspace);
    job("lost", "lost.csv").write(&workspace);
    job("guarded", "good.csv").with("guard", "max_items", 1).write(&workspace);
    job("unlisted", "good.csv").with("guard", "protected", "\"lost.txt\"").write(&workspace);
    job("listed", "good.csv").with("guard", "protected", "\"list.txt\"").write(&workspace);
    JobFile::new("untyped", Command::FriendDelete).without_options().write(&workspace);
    JobFile::new("nobody", accounts).without("app", "sdkappid").with("input", "path", "\"good.csv\"").write(&workspace);
    workspace
}

#[test]
fn every_exit_code_is_what_the_contract_says() {
    let workspace = workspace_with_one_job_per_case();
    for (args, code) in [
        ("", 2),
        ("frobnicate", 2),
        ("run", 2),
        ("run good.toml --excute", 2),
        ("plan good.toml", 0),
        ("run good.toml", 0),
        ("run good.toml --execute --yes", 0),
        ("run good.toml --execute --yes", 0),
        ("run rejects.toml --execute --yes", 3),
        ("run allowed.toml --execute --yes", 0),
        ("run empty.toml --execute --yes", 2),
        ("run lost.toml --execute --yes", 2),
        ("run lost-job.toml --execute --yes", 2),
        ("run guarded.toml --execute --yes", 4),
        ("run unlisted.toml --execute --yes", 2),
        ("run listed.toml --execute --yes", 2),
        ("run untyped.toml --execute --yes", 2),
        ("run nobody.toml --execute --yes", 2),
        ("run good.toml good.toml --execute --yes", 2),
        ("status", 0),
        ("status good", 0),
        ("status nothing", 2),
        ("results nothing", 2),
        ("retry nothing", 2),
        ("retry good --outcome succeeded", 2),
        ("results good --outcome done", 2),
        ("--queue lost.db status", 2),
        ("explain 60007", 0),
        ("explain 12345", 0),
        ("explain x", 2),
        ("explain good", 0),
        ("explain 60007 --target loopback", 2),
        ("explain --list", 0),
        ("explain --list --class fatal", 0),
        ("explain --list --class worse", 2),
        ("explain --class fatal", 2),
        ("explain 60007 --lang zh", 0),
        ("explain good --lang zh", 0),
        ("explain --list --lang zh", 0),
        ("explain 60007 --lang zh --json", 2),
        ("report good --output good.html --lang zh", 0),
        ("report good --output good.json --lang zh", 2),
        ("explain", 2),
        ("usersig good.toml", 0),
        ("usersig nobody.toml", 2),
        ("completions bash", 0),
        ("man", 0),
        ("--version", 0),
        ("--help", 0),
    ] {
        let output = workspace.imbulk(&args.split_whitespace().collect::<Vec<_>>());
        assert_eq!(output.code, code, "imbulk {args}: {output:#?}");
        if code == 2 {
            assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "imbulk {args}: {output:#?}");
        }
    }
}

#[test]
fn a_wrong_job_file_is_named_with_its_line_on_stderr() {
    let workspace = Workspace::new();
    let text = JobFile::new("job", Command::AccountDelete)
        .toml(&workspace)
        .replace("calls_per_second = 5000", "calls_per_secnd = 5");
    let line = text.lines().position(|line| line.contains("secnd")).expect("a line") + 1;
    workspace.write("job.toml", text);
    let output = workspace.run("job.toml").expect(2);
    assert!(output.stderr.contains(&format!("job.toml:{line}: ")), "{}", output.stderr);
    assert!(output.stderr.contains("calls_per_second"), "{}", output.stderr);
    assert_eq!(output.stdout, "");
}

#[test]
fn without_a_key_nothing_starts_and_both_ways_to_give_one_are_named() {
    let (mut workspace, job) =
        JobFile::new("job", Command::AccountDelete).rows(&plain(Command::AccountDelete, 10)).in_a_workspace();
    workspace.unset_env("IMBULK_SECRET_KEY");
    workspace.run(&job).expect(2).says("IMBULK_SECRET_KEY").says("IMBULK_USERSIG");
    workspace.set_env("IMBULK_SECRET_KEY", "no key has\ta tab");
    for command in [&["run", &job, "--execute", "--yes"][..], &["plan", &job]] {
        workspace.imbulk(command).expect(2).says("IMBULK_SECRET_KEY");
    }
    assert_eq!(workspace.report().calls, 0);
}

#[test]
fn the_quickstart_shows_every_row_of_its_file() {
    let mut workspace = Workspace::new();
    workspace.unset_env("IMBULK_SECRET_KEY");
    let jobs = concat!(env!("CARGO_MANIFEST_DIR"), "/jobs");
    let output = workspace.imbulk(&["run", &format!("{jobs}/quickstart.toml"), "--sandbox", "--json"]).expect(3);
    assert!(output.stderr.contains(" 0 overlapping writes"), "{}", output.stderr);
    let summary: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let outcomes = summary[0]["outcomes"].as_object().unwrap_or_else(|| panic!("{summary:#}"));
    let sum: u64 = outcomes.values().filter_map(serde_json::Value::as_u64).sum();
    let input = std::fs::read_to_string(format!("{jobs}/quickstart.csv")).expect("it is there");
    // One of its rows has a line feed in a cell.
    assert_eq!(sum, csv::Reader::from_reader(input.as_bytes()).into_records().count() as u64);
    workspace.imbulk(&["results", "quickstart", "--output", "results.csv"]).expect(0);
    let results = std::fs::read_to_string(workspace.path("results.csv")).expect("it was written");
    assert_eq!(results.lines().count(), input.lines().count());
    let rows = imbulk_testkit::rows::parse(&results);
    for (outcome, rows) in tally(&rows) {
        assert_eq!(outcomes[outcome].as_u64(), Some(rows as u64), "{outcome}");
    }
}

/// The rows of `imbulk results`, without the header.
fn lines_of(csv: &str) -> Vec<&str> {
    csv.lines().skip(1).collect()
}

#[test]
fn split_results_have_every_row_in_the_file_of_its_outcome_and_the_sums_of_all_files() {
    let operation = Command::FriendDelete;
    let job = JobFile::new("job", operation).with("stop", "failed_share", 1.0);
    let (workspace, job) = job.rows(&mixed(operation, 400)).in_a_workspace();
    workspace.faults(&["any:item=30006:0.2", "any:item=30011:0.1"]);
    workspace.run(&job);
    let whole = workspace.imbulk(&["results", "job"]).expect(0).stdout;
    let split = workspace.imbulk(&["results", "job", "--split", "out"]).expect(0);
    assert_eq!(split.stdout, "");
    let read = |file: &str| std::fs::read_to_string(workspace.path("out").join(file)).expect("a file");
    let sums: serde_json::Value = serde_json::from_str(&read("sums.json")).expect("JSON");
    let schema = workspace.imbulk(&["schema", "split"]).expect(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
    assert!(schema.is_valid(&sums), "{sums:#}");
    let mut total = 0;
    for file in sums["files"].as_array().expect("a list") {
        let (name, outcome) = (file["file"].as_str().expect("a name"), file["outcome"].as_str().expect("a name"));
        let text = read(name);
        assert_eq!(text.lines().next(), whole.lines().next(), "each file has the header, also without a row");
        let mut expected = lines_of(&whole);
        expected.retain(|line| line.split(',').nth(4) == Some(outcome));
        assert_eq!(lines_of(&text), expected, "{name} is in input order");
        assert_eq!(file["rows"], expected.len(), "{name}");
        total += expected.len();
    }
    assert_eq!((&sums["rows"], &sums["exported_rows"]), (&total.into(), &total.into()));
    assert_eq!(total, lines_of(&whole).len());
    assert!(lines_of(&read("failed.csv")).len() > 5 && lines_of(&read("pending.csv")).is_empty(), "{sums:#}");
}

#[test]
fn a_split_replaces_an_earlier_one_and_refuses_every_other_folder() {
    let operation = Command::AccountDelete;
    let (workspace, job) = JobFile::new("job", operation).rows(&plain(operation, 20)).in_a_workspace();
    workspace.run(&job).expect(0);
    let names = || {
        let files = std::fs::read_dir(workspace.path("out")).expect("a folder");
        let mut names: Vec<_> =
            files.map(|file| file.expect("a file").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    };
    workspace.imbulk(&["results", "job", "--split", "out"]).expect(0);
    assert_eq!(names().len(), 9);
    let only = ["results", "job", "--split", "out", "--outcome", "succeeded,failed", "--format", "jsonl"];
    workspace.imbulk(&only).expect(0);
    assert_eq!(names(), ["failed.jsonl", "succeeded.jsonl", "sums.json"]);
    let rows = std::fs::read_to_string(workspace.path("out/succeeded.jsonl")).expect("a file");
    assert_eq!(rows.lines().count(), tally(&workspace.results("job"))["succeeded"]);
    workspace.write("out/notes.txt", "mine");
    let refused = workspace.imbulk(&["results", "job", "--split", "out"]).expect(2);
    assert!(refused.stderr.contains("out: has the file notes.txt"), "{refused:#?}");
    assert_eq!(names(), ["failed.jsonl", "notes.txt", "succeeded.jsonl", "sums.json"]);
    std::fs::remove_file(workspace.path("out/notes.txt")).expect("it is there");
    let input = JobFile::new("next", operation).rows(&plain(operation, 3)).write(&workspace);
    let text = std::fs::read_to_string(workspace.path(&input)).expect("a job");
    workspace.write(&input, text.replace("next.csv", "out/failed.csv"));
    workspace.imbulk(&["results", "job", "--split", "out"]).expect(0);
    workspace.write("out/failed.csv", "UserID\nu1\n");
    workspace.imbulk(&["plan", &input]).expect(0);
    workspace.imbulk(&["results", "job", "--split", "out"]).expect(2).says("an input of the job `next`");
    assert_eq!(std::fs::read(workspace.path("out/failed.csv")).expect("it is there"), b"UserID\nu1\n");
    workspace.imbulk(&["results", "job", "--split", "out", "--output", "r.csv"]).expect(2);
    workspace.imbulk(&["results", "job", "--split", "job.csv"]).expect(1);
}

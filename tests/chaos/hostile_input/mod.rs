//! Input files that no program writes on purpose.
//!
//! `IMBULK_FILES` sets the number of files, and `IMBULK_SEED` selects other ones.

mod corpora;
mod files;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use imbulk::domain::job::{Encoding, InputSettings, RejectPolicy, UnusualIds};
use imbulk::domain::operation;
use imbulk::domain::request::row::RejectedRow;
use imbulk::input::{InputError, open};
use imbulk::intake::{Intake, IntakeCounts, IntakeOptions, MAX_ROW_BYTES_IN_MEMORY};
use imbulk::stored_request::BODY_BYTES;
use imbulk_fixtures::operations::{bound, options_toml};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::time::{ClockId, clock_gettime};

use files::{Content, Expect, Hostile};
use imbulk_testkit::{ProgramOutput, Workspace};

const FILES: usize = 1000;
/// The maximum processor time for one file, whatever else the machine does.
const SLOWEST: Duration = Duration::from_secs(1);
/// One of this many files is also read by the whole program. The number does not divide the number of kinds.
const SAMPLE: usize = 17;
/// The maximum memory of the program, whatever the unpacked size of the file.
const MEMORY_KIB: u64 = 200 << 10;

/// The result of reading a file.
struct Made {
    good: Vec<(u64, String)>,
    bad: Vec<RejectedRow>,
    counts: IntakeCounts,
}

#[expect(clippy::disallowed_methods, reason = "the environment sets the number of files, or selects some")]
fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn hostile_files() -> impl Iterator<Item = (String, Hostile)> {
    let seed = number("IMBULK_SEED", 1);
    (0..number("IMBULK_FILES", FILES)).map(move |n| {
        let file = files::file(seed as u64, n);
        (format!("IMBULK_SEED={seed}, file {n}, {}", file.kind), file)
    })
}

/// Creates the file. A thread writes to a pipe.
fn put(folder: &Path, file: &Hostile) -> PathBuf {
    let path = folder.join(file.name);
    // One of these exists from the file before.
    let _gone = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
    match &file.content {
        Content::Bytes(bytes) => fs::write(&path, bytes).expect("the disk has space"),
        Content::Folder => fs::create_dir(&path).expect("the disk has space"),
        Content::Nothing => {}
        Content::BrokenLink => std::os::unix::fs::symlink("nowhere", &path).expect("the disk has space"),
        Content::Socket => drop(std::os::unix::net::UnixListener::bind(&path).expect("the disk has space")),
        Content::Pipe(bytes) => {
            mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("the disk has space");
            let (path, bytes) = (path.clone(), bytes.clone());
            std::thread::spawn(move || fs::File::options().write(true).open(path)?.write_all(&bytes));
        }
    }
    path
}

fn input(path: &Path, encoding: Encoding) -> InputSettings {
    let paths = vec![path.to_str().expect("UTF-8").to_owned()];
    InputSettings {
        paths,
        columns: BTreeMap::new(),
        encoding,
        delimiter: None,
        rejects: RejectPolicy::Count,
        unusual_ids: UnusualIds::Reject,
    }
}

/// What a run does with the file before its rows are stored in the queue.
fn read(path: &Path, file: &Hostile) -> Result<Made, InputError> {
    let folder = path.parent().expect("a folder");
    let shape = operation::by_name(file.operation).expect("an operation").shape;
    let input = input(path, file.encoding);
    let source = open(&input, folder)?.remove(0);
    let plan = IntakeOptions {
        shape,
        items_per_request: NonZeroU32::new(100).expect("not zero"),
        protects: &|_| false,
        temp_dir: folder,
        expected_bytes: source.size(),
        memory: MAX_ROW_BYTES_IN_MEMORY,
        body_bytes: BODY_BYTES,
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let mut intake = Intake::new(plan, |_| Ok(()));
    source.read(&shape, &input, &mut |row| {
        match row {
            Ok(row) => {
                good.push((row.line, String::from_utf8(row.account.to_vec()).expect("ids are text")));
                intake.row(0, row).expect("the disk has space");
            }
            Err(row) => {
                bad.push(row.clone());
                intake.reject(0, row).expect("the disk has space");
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(Made { good, bad, counts: intake.finish().expect("the sums are right") })
}

/// The differences between the result and the expected one.
fn complaints(file: &Hostile, path: &Path, made: &Result<Made, InputError>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    match made {
        Err(error) => {
            let (text, place) = (error.to_string(), path.to_str().expect("UTF-8"));
            check(text.starts_with(place) && text.len() > place.len() + 2, format!("no place or no reason: {text}"));
            match file.expect {
                Expect::Refused(why) => check(text.contains(why), format!("not for the reason {why:?}: {text}")),
                Expect::Anything => {}
                Expect::Exactly(..) | Expect::AtLeast(_) => check(false, format!("refused: {text}")),
            }
        }
        Ok(made) => {
            let IntakeCounts { rows, rejected, items, merged, duplicate, .. } = made.counts;
            let (good, bad) = (made.good.len() as u64, made.bad.len() as u64);
            let sums = rows == good + bad && rejected == bad && items + merged + duplicate == good;
            check(sums, format!("sums: {:?}, {good} good, {bad} bad", made.counts));
            let placed = |row: &RejectedRow| row.line > 0 && !row.reason.trim().is_empty();
            check(made.bad.iter().all(placed), "a row without place or reason".to_owned());
            match &file.expect {
                Expect::Exactly(good, bad) => {
                    check(*good == made.good, format!("good rows:\n{:?}\nnot\n{good:?}", made.good));
                    let found: Vec<_> = made.bad.iter().map(|row| (row.line, row.column.as_deref())).collect();
                    check(*bad == found, format!("rejected rows:\n{found:?}\nnot\n{bad:?}"));
                }
                Expect::AtLeast(good) => {
                    let lost: Vec<_> = good.iter().filter(|row| !made.good.contains(row)).collect();
                    check(lost.is_empty(), format!("good rows are lost: {lost:?}"));
                }
                Expect::Refused(why) => check(false, format!("taken, though {why:?}")),
                Expect::Anything => {}
            }
        }
    }
    wrong
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("less than a second"))
}

#[test]
fn a_thousand_malformed_files_cost_no_valid_row_and_each_rejected_row_has_its_place_and_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut slowest = (Duration::ZERO, String::new());
    let (mut rows, mut rejected, mut refused) = (0, 0, 0);
    for (what, file) in hostile_files() {
        let path = put(folder.path(), &file);
        let begun = processor_time();
        let made = read(&path, &file);
        let took = processor_time().saturating_sub(begun);
        let wrong = complaints(&file, &path, &made);
        assert!(wrong.is_empty(), "{what}: {}", wrong.join("\n"));
        match made {
            Ok(made) => (rows, rejected) = (rows + made.counts.rows, rejected + made.counts.rejected),
            Err(_) => refused += 1,
        }
        if took > slowest.0 {
            slowest = (took, what);
        }
    }
    println!("{rows} rows, {rejected} of them rejected; {refused} files refused; the slowest: {slowest:?}");
    assert!(slowest.0 < SLOWEST, "{slowest:?}");
}

#[test]
fn a_lost_row_an_invented_row_and_a_wrong_place_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let both = |file: &Hostile| matches!(&file.expect, Expect::Exactly(good, bad) if good.len() > 1 && bad.len() > 1);
    let file = (0..100).map(|number| files::file(1, number)).find(both).expect("one with valid and rejected rows");
    let path = put(folder.path(), &file);
    let changes: [fn(&mut Made); 6] = [
        |made| drop(made.good.remove(0)),
        |made| made.good.push((99, "made_up".to_owned())),
        |made| drop(made.bad.pop()),
        |made| made.bad[0].line += 1,
        |made| made.bad[0].column = Some("To_Account".to_owned()),
        |made| made.bad[0].reason.clear(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut made = read(&path, &file);
        assert_eq!(complaints(&file, &path, &made), [""; 0]);
        made.as_mut().map(change).expect("it can be read");
        assert_ne!(complaints(&file, &path, &made), [""; 0], "change {number}");
    }
}

/// The job file for a hostile file.
fn job(file: &Hostile) -> String {
    let Hostile { name, operation, encoding, .. } = file;
    let encoding = match encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Gbk => "gbk",
    };
    let options = options_toml(bound(operation));
    format!(
        "name = \"job\"\noperation = {operation:?}\nguard.max_rejected = 1\n[input]\npath = {name:?}\n\
         encoding = {encoding:?}\n{options}"
    )
}

/// Runs `plan` and measures its memory.
fn plan(workspace: &Workspace, queue: &str) -> (ProgramOutput, u64) {
    let mut running = workspace.start(&["--queue", queue, "plan", "job.toml", "--json"], b"");
    let (status, mut most) = (format!("/proc/{}/status", running.pid()), 0);
    let begun = Instant::now();
    while running.is_alive() && begun.elapsed() < imbulk_testkit::PATIENCE {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0));
        workspace.nap();
    }
    (running.wait(), most)
}

#[test]
fn the_program_plans_or_refuses_malformed_files_within_its_memory_limit() {
    let mut most = (0, String::new());
    for (what, file) in hostile_files().step_by(SAMPLE) {
        let workspace = Workspace::new();
        let path = put(workspace.folder(), &file);
        let made = read(&path, &file);
        put(workspace.folder(), &file);
        workspace.write("job.toml", job(&file));
        let (output, memory) = plan(&workspace, "q.db");
        check_plan(&workspace, &what, &made, &output);
        if memory > most.0 {
            most = (memory, what);
        }
    }
    println!("the most memory: {} KiB for {}", most.0, most.1);
    assert!(most.0 > 1000 && most.0 < MEMORY_KIB, "{most:?}");
}

#[test]
fn texts_of_a_file_do_not_control_the_terminal() {
    let workspace = Workspace::new();
    let escape = "\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}\u{85}";
    let csv = format!("UserID,note\n{escape},x\na{escape},x\ngood,{escape}\n\"two\n{escape}\",x\n");
    let header = format!("{escape},\"a\nb\"\nx,y\n");
    let json = format!("{{\"UserID\":\"{}\"}}\n{{\"{escape}\":1}}\n", escape.escape_unicode());
    let tags = format!("From_Account,To_Account,Tag_SNS_{escape}\na,b,c\n");
    for (name, text, operation, code) in [
        ("rows.csv", csv, "account_delete", 0),
        ("header.csv", header, "account_delete", 2),
        ("rows.jsonl", json, "account_delete", 0),
        ("tags.csv", tags, "friend_update", 2),
    ] {
        workspace.write(name, &text);
        workspace.write(
            "job.toml",
            format!("name = \"job\"\noperation = {operation:?}\nguard.max_rejected = 1\n[input]\npath = {name:?}\n"),
        );
        for args in [&["-vvv", "plan", "job.toml"][..], &["-vvv", "run", "job.toml"], &["status"]] {
            let output = workspace.imbulk(args);
            assert!(output.code == code || args == ["status"], "{name}: {output:#?}");
            let said = output.stdout + &output.stderr;
            let acts = |c: &char| c.is_control() && *c != '\n' || *c == '\u{202e}';
            assert_eq!(said.chars().find(acts), None, "{name}: {said:?}");
            let lines = |said: &str| said.lines().filter(|line| line.starts_with("error")).count();
            assert!(lines(&said) <= 1, "{name}: {said}");
        }
    }
}

/// The output of the program agrees with the result of reading the file, row by row.
fn check_plan(workspace: &Workspace, what: &str, made: &Result<Made, InputError>, output: &ProgramOutput) {
    let ProgramOutput { code, stdout, stderr } = output;
    let Ok(made) = made else {
        assert_eq!(*code, 2, "{what}: {stderr}");
        return assert!(
            stderr.lines().any(|line| line.starts_with("error: ")) && stderr.contains("rows"),
            "{what}: {stderr}"
        );
    };
    assert_eq!(*code, 0, "{what}: {stderr}");
    let plan: serde_json::Value = serde_json::from_str(stdout).expect("JSON");
    let outcomes = plan[0]["outcomes"].as_object().unwrap_or_else(|| panic!("{plan}"));
    let sum: u64 = outcomes.values().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(sum, made.counts.rows, "{what}: {plan}");
    assert_eq!(outcomes["rejected"], made.counts.rejected, "{what}: {plan}");
    let results = workspace.imbulk(&["--queue", "q.db", "results", "job", "--format", "jsonl"]).expect(0).stdout;
    let rejected: Vec<(u64, String)> = results
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|row| row["outcome"] == "rejected")
        .map(|row| {
            assert!(row["source"].as_str().is_some_and(|source| source.contains("rows")), "{what}: {row}");
            (row["line"].as_u64().expect("a line"), row["reason"].as_str().expect("a reason").to_owned())
        })
        .collect();
    let wanted: Vec<_> = made.bad.iter().map(|row| (row.line, row.reason.clone())).collect();
    assert_eq!(rejected, wanted, "{what}");
}

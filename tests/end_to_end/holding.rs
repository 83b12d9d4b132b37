//! Interference from outside: the queue is removed or locked, standard error is not read, or an output names a file
//! that is in use.

use std::io::Read;
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::Instant;

use imbulk_sandbox::{Caps, Command};
use rustix::process::Signal;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use imbulk_testkit::rows::{plain, tally};
use imbulk_testkit::{JobFile, PATIENCE, ProgramOutput, RunningProgram, Workspace, WorkspaceSetup};

const OPERATION: Command = Command::FriendDeleteAll;
/// With this number of calls per second, a run of [`MANY`] rows takes longer than any test waits.
const SLOW: u32 = 20;
const MANY: usize = 4_000;
const QUEUE: &str = "imbulk.db";

fn workspace(rows: usize, calls_per_second: u32) -> Workspace {
    let job = JobFile::new("job", OPERATION).rows(&plain(OPERATION, rows));
    let job = job.with("limits", "calls_per_second", calls_per_second).with("limits", "app_calls_per_second", 200);
    job.on(WorkspaceSetup { caps: Caps::default(), ..WorkspaceSetup::default() }).0
}

fn start(workspace: &Workspace) -> RunningProgram {
    workspace.start_run("job.toml")
}

/// Starts imbulk with standard error in a file.
fn start_with(workspace: &Workspace, redirection: &str, args: &[&str]) -> RunningProgram {
    let script = format!("exec \"$0\" \"$@\" {redirection}");
    workspace.start_under(&["sh", "-c", &script], args, b"")
}

async fn connect(queue: &Path) -> SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(queue).connect().await.expect("a queue")
}

/// Expects the end of a run. Some rows fail, because some accounts are missing.
fn done(output: &ProgramOutput) {
    assert!([0, 3].contains(&output.code), "{output:#?}");
}

fn block_on<T>(doing: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(doing)
}

fn until(workspace: &Workspace, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "it does not come");
        workspace.nap();
    }
}

fn move_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for ending in ["", "-wal", "-shm"] {
        let name = format!("{QUEUE}{ending}");
        std::fs::rename(from.join(&name), to.join(&name)).expect("it is there");
    }
}

#[test]
fn a_run_whose_queue_is_removed_stops_and_reports_what_is_recorded() {
    type FailPoint = fn(&Path);
    let deeds: [(FailPoint, &str); 7] = [
        (
            |folder| {
                let files = ["", "-wal", "-shm"].map(|end| folder.join(format!("{QUEUE}{end}")));
                files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
            },
            "was removed",
        ),
        (|folder| move_all(folder, &folder.join("old")), "was moved"),
        (
            |folder| {
                move_all(folder, &folder.join("old"));
                std::fs::copy(folder.join("old").join(QUEUE), folder.join(QUEUE)).unwrap();
            },
            "was moved",
        ),
        (
            |folder| {
                std::fs::copy(folder.join(QUEUE), folder.join("copy")).unwrap();
                std::fs::rename(folder.join("copy"), folder.join(QUEUE)).unwrap();
            },
            "was replaced",
        ),
        (|folder| std::fs::write(folder.join(QUEUE), "no queue").unwrap(), "was overwritten"),
        (|folder| std::fs::remove_file(folder.join(format!("{QUEUE}-wal"))).unwrap(), "-wal of the queue"),
        (|folder| std::fs::rename(folder, folder.with_extension("old")).unwrap(), "was moved"),
    ];
    for (deed, says) in deeds {
        let mut workspace = workspace(MANY, SLOW);
        let folder = workspace.path("queue");
        std::fs::create_dir(&folder).expect("a folder");
        workspace.set_env("IMBULK_QUEUE", folder.join(QUEUE).to_str().expect("text"));
        let mut running = start(&workspace);
        workspace.until_calls(10, &mut running);
        deed(&folder);
        let ProgramOutput { stderr, .. } = running.wait().expect(1).says(says).says("have an outcome in it");
        assert!(workspace.report().calls < MANY as u64, "it stops before its end");
        assert!(stderr.contains("hint: "), "{stderr}");
        for wrong in ["Tally(", "damaged", "nothing is lost", "panic"] {
            assert!(!stderr.contains(wrong), "{says}: {stderr}");
        }
    }
}

#[test]
fn a_queue_that_was_moved_away_and_back_continues_where_it_stopped() {
    let workspace = workspace(60, SLOW);
    let mut running = start(&workspace);
    workspace.until_calls(10, &mut running);
    move_all(workspace.folder(), &workspace.path("old"));
    running.wait().expect(1);
    let calls = workspace.report().calls;
    assert!(calls < 60);
    for file in std::fs::read_dir(workspace.path("old")).unwrap() {
        let file = file.unwrap();
        std::fs::rename(file.path(), workspace.path(file.file_name().to_str().unwrap())).unwrap();
    }
    workspace.run("job.toml");
    assert_eq!(workspace.results("job").len(), 60);
    assert!(workspace.report().calls <= 60 + 20, "only what was in flight is sent again: {}", workspace.report().calls);
}

#[test]
fn a_second_runner_is_refused_under_every_name_of_the_queue() {
    let workspace = workspace(MANY, SLOW);
    let mut running = start(&workspace);
    workspace.until_calls(5, &mut running);
    std::fs::create_dir(workspace.path("links")).expect("a folder");
    std::os::unix::fs::symlink("../imbulk.db", workspace.path("links/soft.db")).expect("a link");
    std::os::unix::fs::symlink("links/soft.db", workspace.path("chain.db")).expect("a link");
    std::fs::hard_link(workspace.path(QUEUE), workspace.path("links/hard.db")).expect("a link");
    for name in ["links/soft.db", "chain.db", "links/hard.db"] {
        let second = workspace.imbulk(&["--queue", name, "run", "job.toml", "--execute", "--yes"]);
        second.expect(6).says(&running.pid().to_string());
        let linked = workspace.imbulk(&["--queue", name, "status", "--json"]).expect(0).stdout;
        assert!(linked.contains("\"sending\""), "the log is read, too: {linked}");
    }
    running.signal(Signal::TERM);
    running.wait().expect(5);
    workspace.imbulk(&["--queue", "links/hard.db", "results", "job"]).expect(0);
}

#[test]
fn standard_error_that_is_not_read_neither_delays_nor_ends_a_run() {
    for redirection in ["2<>blocked", "2>/dev/full", "2>&-"] {
        let workspace = workspace(300, 200);
        let made = Process::new("mkfifo").arg(workspace.path("blocked")).status().expect("mkfifo is there");
        assert!(made.success());
        let args = ["-vv", "run", "job.toml", "--execute", "--yes"];
        done(&start_with(&workspace, redirection, &args).wait());
        assert_eq!(tally(&workspace.results("job")).get("pending"), None, "{redirection}");
    }
}

#[test]
fn a_signal_stops_a_run_whose_standard_error_is_not_read() {
    let workspace = workspace(MANY, 200);
    let made = Process::new("mkfifo").arg(workspace.path("blocked")).status().expect("mkfifo is there");
    assert!(made.success());
    let args = ["-vv", "run", "job.toml", "--execute", "--yes"];
    let mut running = start_with(&workspace, "2<>blocked", &args);
    // More lines than fit into a pipe.
    workspace.until_calls(700, &mut running);
    running.signal(Signal::TERM);
    running.wait().expect(5).says("SIGTERM");
    assert!(workspace.report().calls < MANY as u64);
}

#[test]
fn a_summary_that_cannot_be_printed_is_an_error_and_all_is_recorded() {
    let workspace = workspace(20, 200);
    start_with(&workspace, ">/dev/full", &["run", "job.toml", "--execute", "--yes"]).wait().expect(1).says("stdout");
    let status = workspace.imbulk(&["status", "job", "--json"]).expect(0).stdout;
    assert!(status.contains("\"finished\""), "{status}");
    assert_eq!(workspace.results("job").len(), 20);
}

#[test]
fn a_hang_up_is_ignored_under_nohup() {
    let workspace = workspace(MANY, SLOW);
    let mut running = workspace.start_under(&["nohup"], &["run", "job.toml", "--execute", "--yes"], b"");
    workspace.until_calls(5, &mut running);
    running.signal(Signal::HUP);
    let calls = workspace.report().calls;
    workspace.until_calls(calls + 30, &mut running);
    running.signal(Signal::TERM);
    running.wait().expect(5).says("SIGTERM");
}

#[test]
fn a_run_waits_for_another_programs_lock_and_says_so() {
    let workspace = workspace(60, SLOW);
    let mut running = start_with(&workspace, "2>said.txt", &["run", "job.toml", "--execute", "--yes"]);
    workspace.until_calls(10, &mut running);
    let said = || std::fs::read_to_string(workspace.path("said.txt")).unwrap_or_default();
    let mut other = block_on(connect(&workspace.path(QUEUE)));
    block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut other)).expect("it is free now and then");
    until(&workspace, || said().contains("another program holds the write lock"));
    block_on(sqlx::query("ROLLBACK").execute(&mut other)).expect("it lets go");
    done(&running.wait());
    assert!(said().contains("the write lock of the queue is free"), "{}", said());
    assert_eq!(tally(&workspace.results("job")).get("pending"), None);
}

#[test]
fn a_log_that_another_programs_transaction_keeps_long_is_reported_while_the_run_continues() {
    let workspace = workspace(60, SLOW);
    let mut running = start_with(&workspace, "2>said.txt", &["run", "job.toml", "--execute", "--yes"]);
    workspace.until_calls(10, &mut running);
    let said = || std::fs::read_to_string(workspace.path("said.txt")).unwrap_or_default();
    let mut other = block_on(connect(&workspace.path(QUEUE)));
    block_on(sqlx::raw_sql("BEGIN; SELECT * FROM run").execute(&mut other)).expect("a read transaction");
    // The end of the file is sparse, and SQLite writes the next frames over it.
    let log = std::fs::File::options().write(true).open(workspace.path(&format!("{QUEUE}-wal"))).expect("the log");
    log.set_len(130 << 20).expect("a sparse file");
    until(&workspace, || said().contains("another program keeps a read transaction open"));
    assert!(said().contains("the WAL of the queue has 130.0 MiB"), "{}", said());
    block_on(sqlx::query("ROLLBACK").execute(&mut other)).expect("it ends the transaction");
    done(&running.wait());
    assert_eq!(tally(&workspace.results("job")).get("pending"), None);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_another_programs_lock() {
    let workspace = workspace(MANY, SLOW);
    let mut running = start(&workspace);
    workspace.until_calls(10, &mut running);
    let mut other = block_on(connect(&workspace.path(QUEUE)));
    block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut other)).expect("it is free now and then");
    running.signal(Signal::TERM);
    running.wait().expect(5).says("SIGTERM").says("write lock");
    assert!(workspace.report().calls < MANY as u64);
    workspace.imbulk(&["status"]).expect(0);
}

#[test]
fn a_stalled_reader_of_the_results_keeps_no_transaction_open() {
    let workspace = workspace(20_000, 200);
    workspace.imbulk(&["plan", "job.toml"]).expect(0);
    let mut process = Process::new(imbulk_testkit::program());
    process.args(["results", "job"]).current_dir(workspace.folder()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut results = process.spawn().expect("the binary starts");
    let mut pipe = results.stdout.take().expect("a pipe");
    pipe.read_exact(&mut [0]).expect("the header");
    block_on(async {
        let mut other = connect(&workspace.path(QUEUE)).await;
        let begun = Instant::now();
        loop {
            sqlx::query("UPDATE run SET heartbeat = 'x'").execute(&mut other).await.expect("no other writer");
            let (busy, _, _): (i64, i64, i64) =
                sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut other).await.expect("a log");
            if busy == 0 {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "the log cannot be folded");
        }
        other.close().await.expect("it closes");
    });
    assert!(results.try_wait().expect("a child of ours").is_none(), "its output is larger than a pipe");
    let mut rest = String::new();
    pipe.read_to_string(&mut rest).expect("text");
    assert_eq!(rest.lines().count(), 20_001, "all of it comes in the end");
    assert!(results.wait().expect("a child of ours").success());
}

#[test]
fn no_output_is_written_over_a_file_in_use_whatever_its_name() {
    let workspace = workspace(3, 200);
    workspace.write("keep.txt", "somebody\n");
    JobFile::new("job", OPERATION).with("guard", "protected", "\"keep.txt\"").write(&workspace);
    done(&workspace.run("job.toml"));
    let ledger = workspace.ledger();
    std::os::unix::fs::symlink(QUEUE, workspace.path("soft")).expect("a link");
    std::fs::hard_link(workspace.path("job.csv"), workspace.path("hard")).expect("a link");
    std::os::unix::fs::symlink("imbulk.db-wal", workspace.path("dangling")).expect("a link");
    std::os::unix::fs::symlink(&ledger, workspace.path("ledger")).expect("a link");
    let mut names = vec![QUEUE, "soft", "hard", "dangling", "./imbulk.db", "job.csv", "job.toml", "keep.txt"];
    names.extend(["imbulk.db-wal", "imbulk.db-shm", "imbulk.db-journal"]);
    if ledger.exists() {
        names.push("ledger");
    }
    for name in names {
        // Reading the queue changes the index of its WAL.
        let bytes = || std::fs::read(workspace.path(name)).ok().filter(|_| !name.ends_with("-shm"));
        let before = bytes();
        let refused = workspace.imbulk(&["results", "job", "--output", name]).expect(2);
        refused.says(&format!("error: {name}: this is ")).says("hint: ");
        assert!(bytes() == before, "{name}");
    }
    workspace.imbulk(&["results", "job", "--output", "new.csv"]).expect(0);
    workspace.imbulk(&["results", "job", "--output", "new.csv"]).expect(0);
}

#[test]
fn a_folder_whose_name_is_not_utf8_works_from_within_and_is_named_from_outside() {
    let (workspace, _) =
        JobFile::new("job", Command::AccountDelete).rows(&plain(Command::AccountDelete, 3)).in_a_workspace();
    let within = r#"folder=$(printf '\261\270'); mkdir "$folder" && cp job.* "$folder" && cd "$folder" && exec "$@""#;
    workspace.start_under(&["sh", "-c", within, "sh"], &["plan", "job.toml"], b"").wait().expect(0);
    let outside = r#"folder=$(printf '\261\270'); exec "$@" --queue "$folder/q.db""#;
    let refused = workspace.start_under(&["sh", "-c", outside, "sh"], &["plan", "job.toml"], b"").wait().expect(2);
    assert!(refused.stderr.contains("not UTF-8") && refused.stderr.contains("--queue"), "{refused:#?}");
}

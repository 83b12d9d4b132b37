//! The n-th system call on the queue's files or on the ledger fails, for n = 1, 2, 3 … until a run passes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imbulk_sandbox::{Caps, Command};
use rand::RngExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use imbulk_testkit::requirements::{self, Requirement};
use imbulk_testkit::results_check::{Completion, ResultsCheck};
use imbulk_testkit::rows::{self, InputRow, ResultRow, plain};
use imbulk_testkit::{FAST, JobFile, ProgramOutput, Workspace, WorkspaceSetup};

const NEEDS: &[Requirement] = &[Requirement::Tool("strace")];
/// The system calls on these files that can fail, including reads.
const CALLS: [&str; 9] =
    ["pwrite64", "fdatasync", "fsync", "ftruncate", "pread64", "openat", "write", "unlink", "flock"];
const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];
const ROWS: usize = 90;
const IN_FLIGHT: u64 = 6;
/// Items per call: rows that share an account.
const ITEMS: u64 = 3;
/// The number of runs in parallel, since most of each run is spent in the quarantine of calls in doubt.
const AT_A_TIME: usize = 6;
const SAMPLE: usize = 12;

/// The files whose system calls fail. They are tested separately: the queue is written to first, so a failure would
/// never reach the ledger.
#[derive(Debug, Clone, Copy)]
enum Files {
    Queue,
    Ledger,
}

/// One system call that fails.
#[derive(Debug, Clone, Copy)]
struct Point {
    files: Files,
    call: &'static str,
    error: &'static str,
    /// Counted separately in each thread.
    nth: usize,
}

/// A small run in which a system call fails.
struct Stage {
    workspace: Workspace,
    job: String,
    asked: Vec<InputRow>,
}

impl Stage {
    fn new() -> Self {
        let caps = Caps::default().with_app(FAST).with(Command::FriendDelete, FAST);
        let asked = plain(Command::FriendDelete, ROWS);
        let (workspace, job) = JobFile::new("job", Command::FriendDelete)
            .rows(&asked)
            .with("limits", "max_in_flight", IN_FLIGHT)
            .on(WorkspaceSetup { caps, latency: Duration::from_millis(3), ..WorkspaceSetup::default() });
        Self { workspace, job, asked }
    }

    fn paths(&self, files: Files) -> Vec<String> {
        let queue = ["", "-wal", "-shm"].map(|end| self.workspace.path(&format!("imbulk.db{end}")));
        let paths = match files {
            Files::Queue => queue.to_vec(),
            Files::Ledger => vec![self.workspace.ledger()],
        };
        paths.into_iter().map(|path| path.display().to_string()).collect()
    }

    /// Runs under strace, which observes the system calls on these files only.
    fn traced(&self, files: Files, options: &[&str]) -> ProgramOutput {
        let files = self.paths(files);
        let files = files.iter().flat_map(|file| ["-P", file]);
        let wrapper: Vec<&str> =
            ["strace", "-f", "-qq"].into_iter().chain(files).chain(options.iter().copied()).collect();
        self.workspace.start_under(&wrapper, &["run", &self.job, "--execute", "--yes"], b"").wait()
    }

    /// Every row and its outcome. Empty before the input is loaded.
    fn results(&self) -> Vec<ResultRow> {
        let output = self.workspace.imbulk(&["results", "job"]);
        if output.code == 0 { rows::parse(&output.stdout) } else { Vec::new() }
    }

    fn case<'a>(&'a self, results: &'a [ResultRow]) -> ResultsCheck<'a> {
        let case = ResultsCheck::clean(&self.workspace, Command::FriendDelete, &self.asked, results);
        ResultsCheck { protected: Vec::new(), resends: IN_FLIGHT * ITEMS, ..case }
    }

    /// The accounts of the requests that are found `sending`.
    fn sending(&self) -> BTreeSet<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
        runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(self.workspace.path("imbulk.db"));
            let mut queue = options.connect().await.expect("a queue");
            let found: Vec<(String,)> = sqlx::query_as(
                "SELECT from_account FROM request JOIN payload ON payload.request = request.id WHERE state = 'sending'",
            )
            .fetch_all(&mut queue)
            .await
            .expect("requests");
            queue.close().await.expect("it is there");
            found.into_iter().map(|(from,)| from).collect()
        })
    }

    /// Every item that the server received and that has no outcome must be found `sending`.
    fn nothing_in_flight_is_forgotten(&self, results: &[ResultRow], point: Point) {
        let sending = self.sending();
        for row in results.iter().filter(|row| row.outcome == "pending") {
            let from = row.from.as_deref().expect("a pair");
            let received = self.workspace.world(|world| world.friend_counters(from, &row.account).received);
            assert!(received == 0 || sending.contains(from), "{point:?}: {row:?} came in, and is not in {sending:?}");
        }
    }
}

/// How often each system call is made, in the thread that makes it most often.
fn survey(files: Files) -> BTreeMap<&'static str, usize> {
    let stage = Stage::new();
    let (log, trace) = (stage.workspace.path("trace"), format!("trace={}", CALLS.join(",")));
    stage.traced(files, &["-o", &log.display().to_string(), "-e", &trace]).expect(3);
    let log = std::fs::read_to_string(log).expect("a log");
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in log.lines().filter(|line| !line.contains(" resumed>")) {
        let (thread, call) = line.split_once(' ').expect("thread and call");
        let call = call.trim_start().split('(').next().unwrap_or_default();
        *counts.entry((thread, call)).or_default() += 1;
    }
    let most = |call| counts.iter().filter(|((_, own), _)| *own == call).map(|(_, count)| *count).max();
    CALLS.into_iter().map(|call| (call, most(call).unwrap_or(0))).collect()
}

/// All points, and for each system call one more after its last time.
fn points() -> Vec<Point> {
    let of = |files| {
        let calls = survey(files).into_iter().filter(|(_, count)| *count > 0);
        let calls = calls.flat_map(|(call, count)| (1..=count + 1).map(move |nth| (call, nth)));
        calls.flat_map(move |(call, nth)| ERRORS.map(|error| Point { files, call, error, nth }))
    };
    [Files::Queue, Files::Ledger].into_iter().flat_map(of).collect()
}

/// A run with the fault, the check of what it left, and the next run. Returns whether the first run failed.
fn strike(point: Point) -> bool {
    let stage = Stage::new();
    let inject = format!("inject={}:error={}:when={}", point.call, point.error, point.nth);
    let struck = stage.traced(point.files, &["-o", "/dev/null", "-e", &inject]);
    let results = stage.results();
    if !results.is_empty() {
        ResultsCheck { completion: Completion::Partial, ..stage.case(&results) }.check(&stage.workspace);
        stage.nothing_in_flight_is_forgotten(&results, point);
    }
    let broke_off = match struck.code {
        // Accounts that do not exist are failures.
        3 => false,
        1 => {
            names_file_and_cause(&struck, &stage.workspace, point);
            true
        }
        _ => panic!("{point:?}: {struck:#?}"),
    };
    let next = stage.workspace.run(&stage.job);
    // 0: everything was done already.
    assert!([0, 3].contains(&next.code), "{point:?}: {next:#?}");
    let results = stage.results();
    stage.case(&results).check(&stage.workspace);
    broke_off
}

fn names_file_and_cause(output: &ProgramOutput, workspace: &Workspace, point: Point) {
    let text = &output.stderr;
    let is_plain = text.contains("error: ") && !text.contains("panicked") && !text.contains("internal error");
    let named = match point.files {
        Files::Queue => text.contains("imbulk.db"),
        Files::Ledger => text.contains(&workspace.ledger().display().to_string()),
    };
    let causes = [
        "disk I/O error",
        "disk is full",
        "unable to open",
        // The messages of SQLite if it could open the file only for reading, and if a page cannot be read.
        "readonly database",
        "malformed",
        "Input/output error",
        "No space left on device",
    ];
    let cause = causes.iter().any(|cause| text.contains(cause));
    assert!(is_plain && named && cause && text.contains("hint: "), "{point:?}: {text}");
}

/// The number of points: 12, or the value of `IMBULK_IO_ERRORS`, at most all.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is asked of the environment")]
fn wanted() -> usize {
    std::env::var("IMBULK_IO_ERRORS").map_or(SAMPLE, |points| points.parse().expect("IMBULK_IO_ERRORS is a number"))
}

#[test]
fn if_any_file_operation_fails_nothing_is_lost_and_the_next_run_continues() {
    if !requirements::are_met("I/O errors", NEEDS) {
        return;
    }
    let all = points();
    let wanted = wanted().min(all.len());
    let first = rand::rng().random_range(0..all.len());
    let chosen: Vec<Point> = (0..wanted).map(|n| all[(first + n * all.len() / wanted) % all.len()]).collect();
    let (next, broke_off) = (AtomicUsize::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(point) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let broken = usize::from(strike(*point));
                    *broke_off.lock().expect("no panic holds it") += broken;
                }
            });
        }
    });
    let broke_off = broke_off.into_inner().expect("no panic holds it");
    eprintln!("{wanted} of {} points, {broke_off} runs broke off, 0 lost", all.len());
    assert!(3 * broke_off > wanted, "only {broke_off} of {wanted} faults were felt");
}

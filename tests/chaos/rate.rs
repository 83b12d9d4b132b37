//! Many processes share one cap; and a server has a lower limit than imbulk's cap.
//!
//! `IMBULK_RATE_SECONDS=200 cargo test --release --test chaos rate -- --nocapture` runs for longer and prints the
//! rates. A noisy machine cannot reach 92 % of the cap reliably, so that is asserted in virtual time, in
//! `src/rate_limiter/simulation`.

#![expect(clippy::disallowed_methods, reason = "the environment says how long")]

use std::time::{Duration, Instant};

use imbulk_sandbox::{Caps, Command, Report};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use imbulk_testkit::rows::plain;
use imbulk_testkit::{JobFile, RunningProgram, Workspace, WorkspaceSetup};

const CAP: u32 = 200;
const OPERATION: Command = Command::FriendDeleteAll;
const SECONDS: u32 = 24;

fn seconds() -> u32 {
    std::env::var("IMBULK_RATE_SECONDS").map_or(SECONDS, |seconds| seconds.parse().expect("a number"))
}

/// A sandbox that responds in 10 to 20 ms.
fn workspace(limit: u32) -> Workspace {
    let caps = Caps::default().with_app(CAP).with(OPERATION, limit);
    Workspace::with(WorkspaceSetup { caps, latency: Duration::from_millis(10), ..WorkspaceSetup::default() })
}

/// A process with a queue of its own, and more rows than can be sent in the time of the test.
struct Peer {
    job: String,
    queue: String,
    running: RunningProgram,
}

impl Peer {
    fn must_be_at_work(&mut self) {
        assert!(self.running.is_alive(), "{} ended by itself; it has rows for longer than this", self.job);
    }

    fn start(workspace: &Workspace, name: &str, endpoint: &str, rows: u32) -> Self {
        let rows = plain(OPERATION, usize::try_from(rows).expect("small"));
        let job = JobFile::new(name, OPERATION)
            .rows(&rows)
            .with("limits", "calls_per_second", CAP)
            .with("limits", "app_calls_per_second", CAP)
            .with("app", "endpoint", format!("{endpoint:?}"))
            .with("retry", "max_attempts", 100)
            .write(workspace);
        let queue = format!("{name}.db");
        let running = Self::run(workspace, &job, &queue);
        Self { job, queue, running }
    }

    fn run(workspace: &Workspace, job: &str, queue: &str) -> RunningProgram {
        workspace.start(&["--queue", queue, "run", job, "--execute", "--yes"], b"")
    }

    /// Kills the process with `kill -9` and starts it again.
    fn kill_and_restart(&mut self, workspace: &Workspace) {
        self.running.signal(Signal::KILL);
        while self.running.is_alive() {
            workspace.nap();
        }
        self.running = Self::run(workspace, &self.job, &self.queue);
    }
}

/// The calls between two reports.
struct Span {
    calls: u64,
    rejected: u64,
    seconds: f64,
}

impl Span {
    fn between(before: &Report, after: &Report, time: Duration) -> Self {
        let rejected = |report: &Report| report.throttled + report.throttled_app;
        let (calls, rejected) = (after.calls - before.calls, rejected(after) - rejected(before));
        Self { calls, rejected, seconds: time.as_secs_f64() }
    }

    #[expect(clippy::cast_precision_loss, reason = "few calls")]
    fn share_of(&self, limit: u32) -> f64 {
        (self.calls - self.rejected) as f64 / self.seconds / f64::from(limit)
    }

    #[expect(clippy::cast_precision_loss, reason = "few calls")]
    fn rejected_share(&self) -> f64 {
        self.rejected as f64 / self.calls.max(1) as f64
    }
}

/// Watches for this time, and does something at intervals.
fn watch(workspace: &Workspace, time: Duration, mut meanwhile: impl FnMut()) -> Span {
    let (begun, before) = (Instant::now(), workspace.report());
    let mut next = Duration::ZERO;
    while begun.elapsed() < time {
        if begun.elapsed() >= next {
            meanwhile();
            next += Duration::from_millis(500);
        }
        workspace.nap();
    }
    Span::between(&before, &workspace.report(), begun.elapsed())
}

/// A process is stopped for a while, so that calls are sent late and answers are read late; or it is killed and started
/// again.
fn disturb(workspace: &Workspace, peers: &mut [Peer], rng: &mut SmallRng) {
    let one = rng.random_range(0..peers.len());
    let one = &mut peers[one];
    one.must_be_at_work();
    if rng.random_bool(0.5) {
        return one.kill_and_restart(workspace);
    }
    one.running.signal(Signal::STOP);
    let (stopped, time) = (Instant::now(), Duration::from_millis(rng.random_range(1..300)));
    while stopped.elapsed() < time {
        workspace.nap();
    }
    one.running.signal(Signal::CONT);
}

#[test]
fn one_to_eight_processes_stalled_and_killed_never_exceed_the_cap_together() {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let (workspace, time) = (workspace(CAP), Duration::from_secs(seconds().into()));
    let start = |n: usize| Peer::start(&workspace, &format!("peer{n}"), &workspace.endpoint(), CAP * seconds() * 2);
    let mut peers = vec![start(1)];
    workspace.until_calls(u64::from(CAP), &mut peers[0].running);
    let alone = watch(&workspace, time / 6, || ());
    workspace.faults(&["any:code=30006:0.03", "any:slow=300ms:0.01", "any:close-after:0.001"]);
    let together = watch(&workspace, time * 5 / 6, || {
        if peers.len() < 8 {
            peers.push(start(peers.len() + 1));
        } else {
            disturb(&workspace, &mut peers, &mut rng);
        }
    });
    peers.iter_mut().for_each(Peer::must_be_at_work);
    drop(peers);
    let report = workspace.report();
    let [alone, together] = [alone, together].map(|span| span.share_of(CAP));
    eprintln!(
        "{} calls, {} in the fullest second of {CAP}; {alone:.3} of the cap by one process, {together:.3} by eight \
         that are stalled and killed",
        report.calls, report.worst_second
    );
    assert!(report.worst_second <= CAP as usize, "{} in one second", report.worst_second);
    assert_eq!(report.throttled + report.throttled_app, 0);
    assert!(together >= alone * 0.6, "{together:.3} of the cap by eight, {alone:.3} by one");
}

#[test]
fn processes_that_share_no_ledger_exceed_the_cap_so_these_tests_can_see() {
    let workspace = workspace(2 * CAP);
    // The ledger is named after the host of the endpoint, and this is another name of the same host.
    let elsewhere = workspace.endpoint().replace("127.0.0.1", "localhost");
    let mut one = Peer::start(&workspace, "one", &workspace.endpoint(), 2000);
    let two = Peer::start(&workspace, "two", &elsewhere, 2000);
    workspace.until_calls(1200, &mut one.running);
    drop((one, two));
    let ledger = workspace.ledger().to_string_lossy().replace("127.0.0.1", "localhost");
    std::fs::remove_file(ledger).expect("the other ledger");
    let report = workspace.report();
    assert!(report.worst_second > CAP as usize, "only {} in one second", report.worst_second);
    assert!(report.throttled + report.throttled_app > 0, "{report:?}");
}

#[test]
fn three_processes_find_a_lower_limit_of_the_server_together() {
    const LIMIT: u32 = 40;
    let (workspace, time) = (workspace(LIMIT), Duration::from_secs(seconds().into()));
    let start =
        |n: usize| Peer::start(&workspace, &format!("peer{n}"), &workspace.endpoint(), CAP * seconds().max(100));
    let mut peers: Vec<Peer> = (1..=3).map(start).collect();
    workspace.until_calls(u64::from(LIMIT), &mut peers[0].running);
    let first = watch(&workspace, time / 3, || ());
    let found = watch(&workspace, time * 2 / 3, || ());
    let tell = |what, span: &Span| {
        eprintln!("{what}: {:.3} of {LIMIT} used, {:.4} rejected", span.share_of(LIMIT), span.rejected_share());
    };
    tell("first", &first);
    tell("then", &found);
    assert!(found.rejected_share() <= 0.03, "{:.4} rejected", found.rejected_share());
    assert!(found.share_of(LIMIT) >= 0.6, "{:.3} of the limit used", found.share_of(LIMIT));
    if seconds() > SECONDS {
        workspace.set_caps(Caps::default().with_app(CAP));
        watch(&workspace, Duration::from_mins(1), || ());
        let risen = watch(&workspace, Duration::from_secs(10), || ());
        eprintln!("a minute after it rose: {:.3} of {CAP}", risen.share_of(CAP));
        assert!(risen.share_of(CAP) >= 0.85);
    }
    peers.iter_mut().for_each(Peer::must_be_at_work);
}

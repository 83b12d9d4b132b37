//! The limiter in real time, over several processes: two instances together, and a process that is killed and
//! restarted.

use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use imbulk::domain::rate_limit::Cap;
use imbulk::rate_limiter::{CommandLimiter, Limiter, LimiterSettings};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::sleep;

const CAP: u32 = 100;
const ONE_WAY: Duration = Duration::from_millis(10);

fn cap(calls: u32) -> Cap {
    Cap::try_from(NonZeroU32::new(calls).expect("not zero")).expect("low enough")
}

fn limiter(ledger: &Path) -> CommandLimiter {
    let call_timeout = Duration::from_secs(5);
    let settings =
        LimiterSettings { ledger: ledger.to_owned(), app_cap: cap(200), calls_per_day: Vec::new(), call_timeout };
    let limiter = Limiter::open(&settings).expect("a ledger");
    limiter.command("account_delete", cap(CAP)).expect("a section")
}

fn monotonic_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).expect("positive") * 1_000_000_000 + u64::try_from(time.tv_nsec).expect("positive")
}

/// Sends until the receiver is dropped. Reports when each call would have reached the server.
async fn send(limiter: CommandLimiter, arrived: mpsc::Sender<u64>) {
    loop {
        let permit = limiter.acquire().await.expect("the ledger works");
        let sent = Instant::now();
        sleep(ONE_WAY).await;
        if arrived.send(monotonic_nanos()).is_err() {
            return;
        }
        sleep(ONE_WAY).await;
        permit.answered(sent.elapsed());
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime")
}

/// The child process: it reads the path of the ledger from standard input, and prints its arrivals.
#[test]
#[ignore = "not a test: the other process of the tests below"]
fn the_other_process() {
    let mut ledger = String::new();
    std::io::stdin().read_line(&mut ledger).expect("a line");
    let runtime = runtime();
    let (sender, arrivals) = mpsc::channel();
    let limiter = limiter(Path::new(ledger.trim()));
    for _ in 0..4 {
        runtime.spawn(send(limiter.clone(), sender.clone()));
    }
    for at in arrivals {
        if writeln!(std::io::stdout(), "\narrived {at}").is_err() {
            return;
        }
    }
}

/// Starts the other process, and forwards its arrivals.
fn start_other(ledger: &Path, arrived: mpsc::Sender<u64>) -> (Child, std::thread::JoinHandle<()>) {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "the_other_process", "--ignored", "--nocapture", "--test-threads", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the other process starts");
    writeln!(child.stdin.take().expect("piped"), "{}", ledger.display()).expect("it listens");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let reader = std::thread::spawn(move || {
        let numbers = stdout
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("arrived ").and_then(|at| at.parse().ok()));
        numbers.for_each(|at| arrived.send(at).unwrap_or_default());
    });
    (child, reader)
}

/// Waits for `count` more arrivals.
fn collect(arrivals: &mpsc::Receiver<u64>, count: usize, into: &mut Vec<u64>) {
    into.extend(arrivals.iter().take(count));
}

fn fullest_second(mut arrivals: Vec<u64>) -> usize {
    arrivals.sort_unstable();
    let second = 1_000_000_000;
    let within = |first: usize| arrivals[first..].partition_point(|at| at - arrivals[first] < second);
    (0..arrivals.len()).map(within).max().unwrap_or(0)
}

fn ledger(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("ledger")
}

#[test]
fn two_instances_and_another_process_send_no_more_than_the_cap_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sender, arrivals) = mpsc::channel();
    let runtime = runtime();
    for _ in 0..2 {
        let limiter = limiter(&ledger(&folder));
        for _ in 0..4 {
            runtime.spawn(send(limiter.clone(), sender.clone()));
        }
    }
    let (mut child, reader) = start_other(&ledger(&folder), sender);
    let mut seen = Vec::new();
    collect(&arrivals, 250, &mut seen);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    reader.join().expect("all read");
    drop(runtime);
    seen.extend(arrivals.iter());
    let fullest = fullest_second(seen);
    assert!(fullest <= CAP as usize, "{fullest} in one second");
}

#[test]
fn a_killed_and_restarted_process_sends_no_more_than_the_cap_with_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut seen = Vec::new();
    for _ in 0..3 {
        let (sender, arrivals) = mpsc::channel();
        let (mut child, reader) = start_other(&ledger(&folder), sender);
        collect(&arrivals, 70, &mut seen);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        reader.join().expect("all read");
        seen.extend(arrivals.iter());
    }
    assert!(seen.len() >= 210);
    let fullest = fullest_second(seen);
    assert!(fullest <= CAP as usize, "{fullest} in one second");
}

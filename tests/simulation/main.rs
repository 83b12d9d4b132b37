//! Nights of the schedule in virtual time, each of them drawn from one seed: several jobs, skewed accounts, every kind
//! of answer, kills, signals and restarts. [`checks::Invariant`] says what holds in all of them; `planted_bugs` shows that
//! each check sees its breach.
//!
//! `IMBULK_SEEDS=50000 cargo test --release --test simulation` lives through more of them; a night that fails says
//! how to live through it again.

mod budget;
mod canary;
mod checks;
mod commits;
mod directed;
mod fairness;
mod order;
mod outages;
mod planted_bugs;
mod progress;
mod queue;
mod scenario;
mod scheduler_under_test;
mod server;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use scenario::Scenario;
use world::{Report, live};

/// Nights of an ordinary test run.
const SEEDS: u64 = 1_000;

#[allow(clippy::disallowed_methods, reason = "whoever runs the tests says how many nights, or which one")]
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn live_through(seed: u64) -> Result<Report, String> {
    let night = catch_unwind(AssertUnwindSafe(|| live(&Scenario::drawn(seed), &scheduler_under_test::honest)));
    let failure = match night {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(violation)) => violation.to_string(),
        Err(_) => "the schedule panicked, see above".to_owned(),
    };
    Err(format!("{failure}\nreplay: IMBULK_SEED={seed} cargo test --test simulation every_night"))
}

#[test]
fn every_night_keeps_every_promise() {
    if let Some(seed) = from_environment("IMBULK_SEED") {
        let report = live_through(seed).unwrap_or_else(|failure| panic!("{failure}"));
        println!("{report:?}");
        return;
    }
    let seeds = from_environment("IMBULK_SEEDS").unwrap_or(SEEDS);
    let (next, failures, calls) = (AtomicU64::new(0), Mutex::new(Vec::new()), AtomicU64::new(0));
    let (bounds, sessions) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match live_through(seed) {
                Ok(report) => {
                    calls.fetch_add(report.sent.len() as u64, Ordering::Relaxed);
                    sessions.fetch_add(report.sessions, Ordering::Relaxed);
                    bounds.fetch_add(report.bounds_checked as u64, Ordering::Relaxed);
                }
                Err(failure) => failures.lock().expect("nobody panics here").push(failure),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    println!("{seeds} nights, {sessions:?} sessions, {calls:?} calls, {bounds:?} bounds on progress");
    let failures = failures.into_inner().expect("nobody panics here");
    let first: Vec<&String> = failures.iter().take(5).collect();
    assert!(failures.is_empty(), "{} of {seeds} nights failed:\n{first:#?}", failures.len());
    assert!(bounds.into_inner() > seeds, "hardly a night had its progress checked");
}

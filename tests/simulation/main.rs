//! Simulation of the schedule in virtual time. One seed determines each scenario: several jobs, skewed accounts, every
//! kind of answer, kills, signals and restarts. [`checks::Invariant`] lists what holds in every scenario, and
//! `planted_bugs` shows that each check finds its violation.
//!
//! `IMBULK_SEEDS=50000 cargo test --release --test simulation` runs more scenarios. The message of a failed scenario
//! contains the command that repeats it.

mod apps;
mod budget;
mod canary;
mod checks;
mod commits;
mod directed;
mod fairness;
mod item_limit;
mod outages;
mod overtaking;
mod planted_bugs;
mod preparation_check;
mod preparations;
mod progress;
mod queue;
mod reads;
mod scenario;
mod scheduler_under_test;
mod server;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use imbulk::domain::response::outcome::Outcome;
use scenario::Scenario;
use world::{Report, simulate};

/// The number of scenarios in an ordinary test run.
const SEEDS: u64 = 900;

#[allow(clippy::disallowed_methods, reason = "the environment selects the number of scenarios, or one of them")]
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

fn simulate_seed(seed: u64) -> Result<Report, String> {
    let scenario =
        catch_unwind(AssertUnwindSafe(|| simulate(&Scenario::drawn(seed), &scheduler_under_test::real_scheduler)));
    let failure = match scenario {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(violation)) => violation.to_string(),
        Err(_) => "the schedule panicked, see above".to_owned(),
    };
    Err(format!("{failure}\nreplay: IMBULK_SEED={seed} cargo test --test simulation every_scenario"))
}

#[test]
fn every_scenario_keeps_every_invariant() {
    if let Some(seed) = from_environment("IMBULK_SEED") {
        let report = simulate_seed(seed).unwrap_or_else(|failure| panic!("{failure}"));
        println!("{report:?}");
        return;
    }
    let seeds = from_environment("IMBULK_SEEDS").unwrap_or(SEEDS);
    let (next, failures, calls) = (AtomicU64::new(0), Mutex::new(Vec::new()), AtomicU64::new(0));
    let (bounds, sessions, by_lookups) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            match simulate_seed(seed) {
                Ok(report) => {
                    calls.fetch_add(report.sent.len() as u64, Ordering::Relaxed);
                    sessions.fetch_add(report.sessions, Ordering::Relaxed);
                    let mut by_lookups = by_lookups.lock().expect("no thread panics while it holds the lock");
                    for (outcome, rows) in report.settled_by_lookups {
                        *by_lookups.entry(outcome).or_default() += rows;
                    }
                    bounds.fetch_add(report.bounds_checked as u64, Ordering::Relaxed);
                }
                Err(failure) => failures.lock().expect("no thread panics while it holds the lock").push(failure),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    println!("{seeds} scenarios, {sessions:?} sessions, {calls:?} calls, {bounds:?} bounds on progress");
    let failures = failures.into_inner().expect("no thread panics while it holds the lock");
    let first: Vec<&String> = failures.iter().take(5).collect();
    assert!(failures.is_empty(), "{} of {seeds} scenarios failed:\n{first:#?}", failures.len());
    let by_lookups: BTreeMap<Outcome, u64> = by_lookups.into_inner().expect("no thread panics");
    for outcome in [Outcome::Succeeded, Outcome::AlreadyDone, Outcome::Failed, Outcome::InDoubt] {
        assert!(by_lookups.contains_key(&outcome), "no lookup led to {outcome}: {by_lookups:?}");
    }
    assert!(bounds.into_inner() > seeds, "too few scenarios had their progress checked");
}

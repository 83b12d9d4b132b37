//! What is measured.

mod build;
mod cap;
mod load;
mod results;
mod scale;
mod start;
mod uncapped;

use std::path::{Path, PathBuf};

use crate::inputs::Job;
use crate::measure::Usage;
use crate::{Benchmark, Fallible};

/// Something that can be named on the command line.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn(&mut Benchmark) -> Fallible<()>,
    /// Whether it runs without being named.
    usual: bool,
}

const ALL: [Scenario; 8] = [
    scenario("load", "files to a queue on disk, beside sqlite3 .import and DuckDB", load::run),
    scenario("uncapped", "limits out of the way, beside an asyncio script and GNU parallel with curl", uncapped::run),
    scenario("results", "export of a finished run", results::run),
    scenario("scale", "the same calls from a small and from a large queue; starts, restarts, status", scale::run),
    scenario("start", "--help, and a small job", start::run),
    scenario("latency", "the share of the cap that is reached over slow ways", cap::latency),
    scenario("cap", "a minute at 200 calls/s, beside an asyncio script and GNU parallel with curl", cap::run),
    Scenario {
        usual: false,
        ..scenario("build", "profiles: size, time to build, speed; takes many minutes", build::run)
    },
];

const fn scenario(name: &'static str, what: &'static str, run: fn(&mut Benchmark) -> Fallible<()>) -> Scenario {
    Scenario { name, what, run, usual: true }
}

/// Those of these names; the usual ones if there are none.
pub(crate) fn chosen(names: &[&str]) -> Fallible<Vec<Scenario>> {
    if let Some(unknown) = names.iter().find(|name| ALL.iter().all(|scenario| scenario.name != **name)) {
        let known = ALL.map(|scenario| scenario.name).join(", ");
        return Err(format!("no scenario is named {unknown}; there are {known}").into());
    }
    let wanted = |scenario: &Scenario| if names.is_empty() { scenario.usual } else { names.contains(&scenario.name) };
    Ok(ALL.into_iter().filter(wanted).collect())
}

/// A cap that nothing comes near.
const NO_CAP: u32 = 65_536;
/// Where nothing is to be sent.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Loads a job into a queue.
fn plan(benchmark: &Benchmark, queue: &Path, job: &Path) -> Fallible<Usage> {
    let mut command = benchmark.imbulk(queue);
    command.arg("plan").arg(job);
    crate::measure::run(command, &benchmark.path("plan"), &[0])
}

/// Writes a job file for a server.
fn job(benchmark: &Benchmark, operation: &str, input: &Path, endpoint: &str, cap: u32) -> Fallible<PathBuf> {
    Job { name: "job", operation, input, endpoint, sides: "both", cap }.write(&benchmark.scratch)
}

/// Sends a loaded job to its end.
fn send(benchmark: &Benchmark, queue: &Path, job: &Path) -> Fallible<Usage> {
    let mut command = benchmark.imbulk(queue);
    command.arg("run").arg(job).args(["--execute", "--yes"]);
    crate::measure::run(command, &benchmark.path("run"), &[0])
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn number(count: u64) -> f64 {
    count as f64
}

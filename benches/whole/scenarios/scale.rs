//! What a call costs, and how soon the first one is made, by the size of the queue.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::plan;
use crate::inputs::{self, Job, Kind};
use crate::measure::{self, Running};
use crate::server::{Manner, Server};
use crate::{Benchmark, Fallible};

/// As in use: so that both queues are looked at over the same seconds.
const CAP: u32 = 200;
/// Processor time is taken between these two calls. 10 k rows make some 500.
const WINDOW: (u64, u64) = (40, 440);
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(benchmark: &mut Benchmark) -> Fallible<()> {
    let small = inputs::csv(&benchmark.work, Kind::Friends, 10_000)?;
    let large = inputs::csv(&benchmark.work, Kind::Friends, benchmark.rows(10_000_000))?;
    let queue = benchmark.new_queue("large.db");
    let mut server = Server::start(Manner::Fast)?;
    let large = job(benchmark, "large", "single", &large, &server.endpoint)?;
    let small = job(benchmark, "small", "single", &small, &server.endpoint)?;
    plan(benchmark, &queue, &large)?;
    for round in 0..benchmark.rounds(5) {
        // The large queue goes on from round to round, each time after `kill -9`; a small one would be at its end.
        let first = if round == 0 { "first_call_s" } else { "first_call_after_kill_s" };
        let running = window(benchmark, &mut server, ("10 M", first), (&queue, &large), round)?;
        status(benchmark, &queue, round)?;
        running.kill()?;
        let queue = benchmark.new_queue("small.db");
        plan(benchmark, &queue, &small)?;
        window(benchmark, &mut server, ("10 k", "first_call_s"), (&queue, &small), round)?.kill()?;
    }
    stop(benchmark, &mut server, (&queue, &large))?;
    circle(benchmark, &mut server)
}

/// One way, a call writes one account, so that the size of the queue is all that differs.
fn job(benchmark: &Benchmark, name: &str, sides: &str, input: &Path, endpoint: &str) -> Fallible<PathBuf> {
    Job { name, operation: "friend_delete", input, endpoint, sides, cap: CAP }.write(&benchmark.scratch)
}

/// Both ways, where all are friends of each other: a call writes 21 accounts that many other calls write, too.
fn circle(benchmark: &mut Benchmark, server: &mut Server) -> Fallible<()> {
    let input = inputs::csv(&benchmark.work, Kind::Friends, benchmark.rows(2_000_000))?;
    let job = job(benchmark, "circle", "both", &input, &server.endpoint)?;
    let queue = benchmark.new_queue("circle.db");
    plan(benchmark, &queue, &job)?;
    for round in 0..benchmark.rounds(3) {
        window(benchmark, server, ("2 M, both ways", "first_call_s"), (&queue, &job), round)?.kill()?;
    }
    Ok(())
}

/// Runs a queue past the window, and leaves it running.
fn window(
    benchmark: &mut Benchmark,
    server: &mut Server,
    (case, first): (&str, &str),
    (queue, job): (&Path, &Path),
    round: u32,
) -> Fallible<Running> {
    server.forget()?;
    let mut command = benchmark.imbulk(queue);
    command.arg("run").arg(job).args(["--execute", "--yes"]);
    let running = measure::start(command, &benchmark.path("scale"))?;
    let begun = server.until_calls(WINDOW.0, PATIENCE)?;
    let before = running.cpu()?;
    let ended = server.until_calls(WINDOW.1, PATIENCE)?;
    let used = running.cpu()?.saturating_sub(before);
    let first_call = Duration::from_nanos(begun.first.saturating_sub(running.started_at));
    let place = |measure| ("scale", case, "imbulk", measure);
    let calls = super::number(ended.calls - begun.calls);
    benchmark.measurements.add(place("cpu_us_per_call"), round, used.as_secs_f64() * 1e6 / calls);
    benchmark.measurements.add(place(first), round, first_call.as_secs_f64());
    Ok(running)
}

fn status(benchmark: &mut Benchmark, queue: &Path, round: u32) -> Fallible<()> {
    let mut command = benchmark.imbulk(queue);
    command.arg("status");
    let used = measure::run(command, &benchmark.path("status"), &[0])?;
    benchmark.measurements.add(("scale", "10 M", "imbulk", "status_ms"), round, used.wall.as_secs_f64() * 1e3);
    Ok(())
}

/// A start after an orderly end, too.
fn stop(benchmark: &mut Benchmark, server: &mut Server, (queue, job): (&Path, &Path)) -> Fallible<()> {
    let running = window(benchmark, server, ("10 M", "first_call_after_kill_s"), (queue, job), 5)?;
    running.signal(Signal::TERM)?;
    running.wait(&benchmark.path("scale"), &[5])?;
    window(benchmark, server, ("10 M", "first_call_s"), (queue, job), 6)?.kill()
}

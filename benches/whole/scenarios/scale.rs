//! What a call costs, and how soon the first one is made, by the size of the queue.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::plan;
use crate::inputs::{self, Job, Kind};
use crate::measure::{self, Running};
use crate::server::{Manner, Server};
use crate::{Bench, Fallible};

/// As in use: so that both queues are looked at over the same seconds.
const CAP: u32 = 200;
/// Processor time is taken between these two calls. 10 k rows make some 500.
const WINDOW: (u64, u64) = (40, 440);
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(bench: &mut Bench) -> Fallible<()> {
    let small = inputs::csv(&bench.work, Kind::Friends, 10_000)?;
    let large = inputs::csv(&bench.work, Kind::Friends, bench.rows(10_000_000))?;
    let queue = bench.new_queue("large.db");
    let mut server = Server::start(Manner::Fast)?;
    let large = job(bench, "large", "single", &large, &server.endpoint)?;
    let small = job(bench, "small", "single", &small, &server.endpoint)?;
    plan(bench, &queue, &large)?;
    for round in 0..bench.rounds(5) {
        // The large queue goes on from round to round, each time after `kill -9`; a small one would be at its end.
        let first = if round == 0 { "first_call_s" } else { "first_call_after_kill_s" };
        let running = window(bench, &mut server, ("10 M", first), (&queue, &large), round)?;
        status(bench, &queue, round)?;
        running.kill()?;
        let queue = bench.new_queue("small.db");
        plan(bench, &queue, &small)?;
        window(bench, &mut server, ("10 k", "first_call_s"), (&queue, &small), round)?.kill()?;
    }
    stop(bench, &mut server, (&queue, &large))?;
    circle(bench, &mut server)
}

/// One way, a call writes one account, so that the size of the queue is all that differs.
fn job(bench: &Bench, name: &str, sides: &str, input: &Path, endpoint: &str) -> Fallible<PathBuf> {
    Job { name, operation: "friend_delete", input, endpoint, sides, cap: CAP }.write(&bench.scratch)
}

/// Both ways, where all are friends of each other: a call writes 21 accounts that many other calls write, too.
fn circle(bench: &mut Bench, server: &mut Server) -> Fallible<()> {
    let input = inputs::csv(&bench.work, Kind::Friends, bench.rows(2_000_000))?;
    let job = job(bench, "circle", "both", &input, &server.endpoint)?;
    let queue = bench.new_queue("circle.db");
    plan(bench, &queue, &job)?;
    for round in 0..bench.rounds(3) {
        window(bench, server, ("2 M, both ways", "first_call_s"), (&queue, &job), round)?.kill()?;
    }
    Ok(())
}

/// Runs a queue past the window, and leaves it running.
fn window(
    bench: &mut Bench,
    server: &mut Server,
    (case, first): (&str, &str),
    (queue, job): (&Path, &Path),
    round: u32,
) -> Fallible<Running> {
    server.forget()?;
    let mut command = bench.imbulk(queue);
    command.arg("run").arg(job).args(["--execute", "--yes"]);
    let running = measure::start(command, &bench.path("scale"))?;
    let begun = server.until_calls(WINDOW.0, PATIENCE)?;
    let before = running.cpu()?;
    let ended = server.until_calls(WINDOW.1, PATIENCE)?;
    let used = running.cpu()?.saturating_sub(before);
    let first_call = Duration::from_nanos(begun.first.saturating_sub(running.started_at));
    let place = |measure| ("scale", case, "imbulk", measure);
    let calls = super::number(ended.calls - begun.calls);
    bench.measurements.add(place("cpu_us_per_call"), round, used.as_secs_f64() * 1e6 / calls);
    bench.measurements.add(place(first), round, first_call.as_secs_f64());
    Ok(running)
}

fn status(bench: &mut Bench, queue: &Path, round: u32) -> Fallible<()> {
    let mut command = bench.imbulk(queue);
    command.arg("status");
    let used = measure::run(command, &bench.path("status"), &[0])?;
    bench.measurements.add(("scale", "10 M", "imbulk", "status_ms"), round, used.wall.as_secs_f64() * 1e3);
    Ok(())
}

/// A start after an orderly end, too.
fn stop(bench: &mut Bench, server: &mut Server, (queue, job): (&Path, &Path)) -> Fallible<()> {
    let running = window(bench, server, ("10 M", "first_call_after_kill_s"), (queue, job), 5)?;
    running.signal(Signal::TERM)?;
    running.wait(&bench.path("scale"), &[5])?;
    window(bench, server, ("10 M", "first_call_s"), (queue, job), 6)?.kill()
}

//! At the cap, and on the way there over slow connections: the sandbox counts the calls and reports violations.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{job, mib, plan, send};
use crate::inputs::{self, Kind};
use crate::measure::{self, Usage, share};
use crate::peers::{self, ASYNCIO, CURL, Scripts};
use crate::server::{Manner, Seen, Server};
use crate::{Benchmark, Fallible};

/// Of the app, and of most commands.
const CAP: u32 = 200;

pub(crate) fn run(benchmark: &mut Benchmark) -> Fallible<()> {
    // A minute and some seconds.
    let calls = benchmark.rows(13_000);
    let friends = (Kind::FullFriends, calls * 1000);
    let accounts = (Kind::Accounts, calls * 100);
    let scripts = Scripts::prepared(&benchmark.work)?;
    let with_curl = peers::has_parallel_curl();
    let input = inputs::csv(&benchmark.work, accounts.0, accounts.1)?;
    let usersig = usersig(benchmark)?;
    for round in 0..benchmark.rounds(2) {
        at_cap(benchmark, "friend_delete", friends, round)?;
        at_cap(benchmark, "account_delete", accounts, round)?;
        let results = benchmark.path("asyncio.csv");
        let script = |endpoint: &str| {
            let mut command = scripts.account_delete(endpoint, &input, &results);
            command.args(["--rate", &CAP.to_string(), "--usersig", &usersig]);
            Ok(command)
        };
        peer_at_cap(benchmark, ASYNCIO, script, round)?;
        if with_curl {
            let scratch = benchmark.scratch.clone();
            let curl = |endpoint: &str| {
                // Too slow for all rows. It starts at most this many calls per second.
                let mut command =
                    peers::parallel_curl((endpoint, &usersig), &input, usize::try_from(calls / 4)?, &scratch)?;
                command.args(["--delay", &(1.0 / f64::from(CAP)).to_string()]);
                Ok(command)
            };
            peer_at_cap(benchmark, CURL, curl, round)?;
        }
    }
    Ok(())
}

/// A UserSig that the sandbox accepts: the other programs do not sign.
fn usersig(benchmark: &Benchmark) -> Fallible<String> {
    let mut command = benchmark.imbulk(Path::new("unused.db"));
    command.env("IMBULK_SDKAPPID", "1400000001").env("IMBULK_IDENTIFIER", "administrator").arg("usersig");
    let output = command.output()?;
    let usersig = String::from_utf8(output.stdout)?.trim().to_owned();
    if usersig.is_empty() { Err("`imbulk usersig` printed nothing".into()) } else { Ok(usersig) }
}

/// Another program, which is to make as many calls per second as the cap allows.
fn peer_at_cap(
    benchmark: &mut Benchmark,
    program: &str,
    command: impl FnOnce(&str) -> Fallible<Command>,
    round: u32,
) -> Fallible<()> {
    let mut server = Server::start(Manner::Sandbox { cap: CAP, latency: Duration::ZERO, slow: 0.0 })?;
    let command = command(&server.endpoint)?;
    // The exit code is not compared: curl's calls that got no answer make it 1 and more.
    let used = measure::run(command, &benchmark.path("peer"), &(0..=255).collect::<Vec<_>>())?;
    note(benchmark, ("account_delete", program), round, (used, &server.seen()?));
    Ok(())
}

/// What users meet: the rate, the fullest second, what the server refused, and what the machine needs for it.
fn note(benchmark: &mut Benchmark, (operation, program): (&str, &str), round: u32, (used, seen): (Usage, &Seen)) {
    let place = |measure| ("cap", operation, program, measure);
    let Benchmark { measurements, .. } = benchmark;
    measurements.add(place("share_of_cap"), round, share_of_cap(seen));
    measurements.add(place("worst_second"), round, count(seen.worst_second));
    measurements.add(place("throttled"), round, super::number(seen.throttled));
    measurements.add(place("overlaps"), round, super::number(seen.overlaps));
    // The processor time of the whole process, its start and end included, over the time in which calls came.
    measurements.add(place("core"), round, share(used.cpu, seen.span()));
    measurements.add(place("peak_mib"), round, mib(used.peak));
}

fn at_cap(benchmark: &mut Benchmark, operation: &str, (kind, rows): (Kind, u64), round: u32) -> Fallible<()> {
    let input = inputs::csv(&benchmark.work, kind, rows)?;
    let mut server = Server::start(Manner::Sandbox { cap: CAP, latency: Duration::ZERO, slow: 0.0 })?;
    let job = job(benchmark, operation, &input, &server.endpoint, CAP)?;
    let queue = benchmark.new_queue("cap.db");
    plan(benchmark, &queue, &job)?;
    let before = server.cpu()?;
    let mut command = benchmark.imbulk(&queue);
    command.arg("run").arg(&job).args(["--execute", "--yes"]);
    let log = benchmark.path("run");
    // One log line per call, because the cap leaves time for it.
    let logs = operation == "friend_delete";
    if logs {
        command.arg("-vv");
    }
    let used = measure::run(command, &log, &[0])?;
    let seen = server.seen()?;
    let place = |measure| ("cap", operation, "imbulk", measure);
    if logs {
        let allowed = calls_that_slots_allow(&std::fs::read_to_string(log.with_extension("err"))?)?;
        benchmark.measurements.add(place("share_of_slots"), round, seen.rate() / allowed);
    }
    let Benchmark { measurements, .. } = benchmark;
    let beside = server.cpu()?.saturating_sub(before);
    measurements.add(place("server_core"), round, share(beside, seen.span()));
    note(benchmark, (operation, "imbulk"), round, (used, &seen));
    Ok(())
}

pub(crate) fn latency(benchmark: &mut Benchmark) -> Fallible<()> {
    // A minute: the first seconds of a run hold each slot for longer, until the round trips have proved steady.
    let calls = benchmark.rows(12_000);
    let input = inputs::csv(&benchmark.work, Kind::Accounts, calls * 100)?;
    for (case, milliseconds, slow) in
        [("20 ms", 20, 0.0), ("100 ms", 100, 0.0), ("500 ms", 500, 0.0), ("slow", 20, 0.01)]
    {
        let latency = Duration::from_millis(milliseconds);
        let mut server = Server::start(Manner::Sandbox { cap: CAP, latency, slow })?;
        let job = job(benchmark, "account_delete", &input, &server.endpoint, CAP)?;
        let queue = benchmark.new_queue("latency.db");
        plan(benchmark, &queue, &job)?;
        let used = send(benchmark, &queue, &job)?;
        let seen = server.seen()?;
        let place = |measure| ("latency", case, "imbulk", measure);
        let Benchmark { measurements, .. } = benchmark;
        measurements.add(place("share_of_cap"), 0, share_of_cap(&seen));
        if let Some(rate) = seen.later_rate() {
            measurements.add(place("later_share_of_cap"), 0, rate / f64::from(CAP));
        }
        measurements.add(place("worst_second"), 0, count(seen.worst_second));
        measurements.add(place("throttled"), 0, super::number(seen.throttled));
        measurements.add(place("core"), 0, share(used.cpu, seen.span()));
    }
    Ok(())
}

/// The calls per second that the slots allow. There are as many slots as the cap. A call occupies its slot for a second
/// and its round trip, without the time that it needed to reach the server, which is at least half of the shortest
/// round trip. The log contains the round trips in whole milliseconds.
fn calls_that_slots_allow(log: &str) -> Fallible<f64> {
    let milliseconds = |line: &str| line.split_once(" duration_ms=")?.1.split_whitespace().next()?.parse::<f64>().ok();
    let calls = log.lines().filter(|line| line.contains(" event=call "));
    let round_trips: Vec<f64> = calls.filter_map(milliseconds).collect();
    let shortest = round_trips.iter().copied().reduce(f64::min).ok_or("no call was logged")?;
    let mean = round_trips.iter().sum::<f64>() / count(round_trips.len());
    Ok(f64::from(CAP) / (1.0 + (mean - shortest / 2.0) / 1000.0))
}

fn share_of_cap(seen: &Seen) -> f64 {
    seen.rate() / f64::from(CAP)
}

#[expect(clippy::cast_precision_loss, reason = "a figure")]
fn count(calls: usize) -> f64 {
    calls as f64
}

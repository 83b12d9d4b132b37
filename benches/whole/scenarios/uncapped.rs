//! With the limits out of the way: what a call and an item cost, and what bounds them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use super::{NO_CAP, job, mib, number, plan, send};
use crate::inputs::{self, Kind};
use crate::measure::{self, Usage, share};
use crate::peers::{self, ASYNCIO, CURL, Scripts};
use crate::server::{Manner, Seen, Server};
use crate::{Benchmark, Fallible};

/// Too slow for all the rows; its figures are of each item.
const CURL_CALLS: usize = 500;

pub(crate) fn run(benchmark: &mut Benchmark) -> Fallible<()> {
    let mut server = Server::start(Manner::Fast)?;
    let accounts = inputs::csv(&benchmark.work, Kind::Accounts, benchmark.rows(2_000_000))?;
    let friends = inputs::csv(&benchmark.work, Kind::FullFriends, benchmark.rows(4_000_000))?;
    let scripts = Scripts::prepared(&benchmark.work)?;
    let with_curl = peers::has_parallel_curl();
    // It sends a row a call, not a hundred: it could only show that batches are better than none.
    println!("  {}: qsv fetchpost", if peers::installed("qsv") { "a row a call, so not measured" } else { "absent" });
    for round in 0..benchmark.rounds(5) {
        ours(benchmark, &mut server, ("accounts", "account_delete"), &accounts, round)?;
        asyncio(benchmark, &mut server, &scripts, &accounts, round)?;
        bare(benchmark, &mut server, &accounts, round)?;
        ours(benchmark, &mut server, ("friends", "friend_delete"), &friends, round)?;
        if with_curl {
            let command = peers::parallel_curl((&server.endpoint, "x"), &accounts, CURL_CALLS, &benchmark.scratch)?;
            peer(benchmark, &mut server, CURL, command, round)?;
        }
    }
    Ok(())
}

fn ours(
    benchmark: &mut Benchmark,
    server: &mut Server,
    (case, operation): (&str, &str),
    input: &Path,
    round: u32,
) -> Fallible<()> {
    let job = job(benchmark, operation, input, &server.endpoint, NO_CAP)?;
    let queue = benchmark.new_queue("uncapped.db");
    let loaded = plan(benchmark, &queue, &job)?;
    server.forget()?;
    let before = server.cpu()?;
    let used = send(benchmark, &queue, &job)?;
    let beside = server.cpu()?.saturating_sub(before);
    let seen = server.seen()?;
    all_arrived(&seen, input)?;
    note(benchmark, (case, "imbulk"), round, (used, &seen, beside));
    if case == "accounts" {
        let export = super::results::export(benchmark, &queue)?;
        let wall = loaded.wall + used.wall + export.wall;
        let cpu = loaded.cpu + used.cpu + export.cpu;
        whole_job(benchmark, "imbulk", round, (wall, cpu));
    }
    Ok(())
}

fn asyncio(
    benchmark: &mut Benchmark,
    server: &mut Server,
    scripts: &Scripts,
    input: &Path,
    round: u32,
) -> Fallible<()> {
    let command = scripts.account_delete(&server.endpoint, input, &benchmark.path("asyncio.csv"));
    let used = peer(benchmark, server, ASYNCIO, command, round)?;
    all_arrived(&server.seen()?, input)?;
    all_done(&benchmark.path("asyncio.csv"), input)?;
    whole_job(benchmark, ASYNCIO, round, (used.wall, used.cpu));
    Ok(())
}

/// This program itself, as a client with nothing behind it.
fn bare(benchmark: &mut Benchmark, server: &mut Server, input: &Path, round: u32) -> Fallible<()> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.arg("bare").arg(&server.endpoint).arg(input);
    peer(benchmark, server, "bare reqwest", command, round)?;
    all_arrived(&server.seen()?, input)
}

fn peer(
    benchmark: &mut Benchmark,
    server: &mut Server,
    who: &str,
    command: std::process::Command,
    round: u32,
) -> Fallible<Usage> {
    server.forget()?;
    let before = server.cpu()?;
    let used = measure::run(command, &benchmark.path("peer"), &[0])?;
    let beside = server.cpu()?.saturating_sub(before);
    let seen = server.seen()?;
    note(benchmark, ("accounts", who), round, (used, &seen, beside));
    Ok(used)
}

/// That every row was sent.
fn all_arrived(seen: &Seen, input: &Path) -> Fallible<()> {
    let rows = lines(input)? - 1;
    if seen.items == rows { Ok(()) } else { Err(format!("{} of {rows} rows were sent", seen.items).into()) }
}

/// That the script has a good result of every row.
fn all_done(results: &Path, input: &Path) -> Fallible<()> {
    let rows = lines(input)? - 1;
    let good = BufReader::new(File::open(results)?).lines().map_while(Result::ok).filter(|line| line.ends_with(",0,"));
    let good = good.count() as u64;
    if good == rows { Ok(()) } else { Err(format!("the script did {good} of {rows} rows").into()) }
}

fn lines(path: &Path) -> Fallible<u64> {
    Ok(BufReader::new(File::open(path)?).lines().count() as u64)
}

/// From the input file to the results file.
fn whole_job(benchmark: &mut Benchmark, who: &str, round: u32, (wall, cpu): (Duration, Duration)) {
    benchmark.measurements.add(("uncapped", "whole job", who, "wall_s"), round, wall.as_secs_f64());
    benchmark.measurements.add(("uncapped", "whole job", who, "cpu_s"), round, cpu.as_secs_f64());
}

fn note(
    benchmark: &mut Benchmark,
    (case, who): (&str, &str),
    round: u32,
    (used, seen, beside): (Usage, &Seen, Duration),
) {
    let place = |measure| ("uncapped", case, who, measure);
    let per = |count: u64| used.cpu.as_secs_f64() * 1e6 / number(count);
    let Benchmark { measurements, .. } = benchmark;
    measurements.add(place("items_per_s"), round, seen.items_rate());
    measurements.add(place("calls_per_s"), round, seen.rate());
    measurements.add(place("cpu_us_per_item"), round, per(seen.items));
    measurements.add(place("cpu_us_per_call"), round, per(seen.calls));
    measurements.add(place("peak_mib"), round, mib(used.peak));
    measurements.add(place("wall_s"), round, used.wall.as_secs_f64());
    measurements.add(place("core"), round, share(used.cpu, used.wall));
    measurements.add(place("server_core"), round, share(beside, seen.span()));
}

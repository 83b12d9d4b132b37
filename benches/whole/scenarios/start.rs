//! What is paid before anything happens.

use std::time::Duration;

use super::{job, mib};
use crate::inputs::{self, Kind};
use crate::measure;
use crate::server::{Manner, Server};
use crate::{Benchmark, Fallible};

/// A call to a far region.
const ROUND_TRIP: Duration = Duration::from_millis(100);

pub(crate) fn run(benchmark: &mut Benchmark) -> Fallible<()> {
    let input = inputs::csv(&benchmark.work, Kind::Accounts, 100)?;
    for round in 0..benchmark.rounds(20) {
        let mut help = benchmark.imbulk(&benchmark.path("start.db"));
        help.arg("--help");
        let used = measure::run(help, &benchmark.path("help"), &[0])?;
        let place = |measure| ("start", "--help", "imbulk", measure);
        benchmark.measurements.add(place("wall_ms"), round, used.wall.as_secs_f64() * 1e3);
        benchmark.measurements.add(place("peak_mib"), round, mib(used.peak));
    }
    let server = Server::start(Manner::Sandbox { cap: 200, latency: ROUND_TRIP, slow: 0.0 })?;
    let job = job(benchmark, "account_delete", &input, &server.endpoint, 200)?;
    for round in 0..benchmark.rounds(10) {
        let queue = benchmark.new_queue("start.db");
        let used = super::send(benchmark, &queue, &job)?;
        let beyond = used.wall.saturating_sub(ROUND_TRIP);
        let place = |measure| ("start", "100 rows", "imbulk", measure);
        benchmark.measurements.add(place("wall_ms"), round, used.wall.as_secs_f64() * 1e3);
        benchmark.measurements.add(place("beyond_ms"), round, beyond.as_secs_f64() * 1e3);
    }
    Ok(())
}

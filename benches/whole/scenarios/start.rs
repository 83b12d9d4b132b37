//! What is paid before anything happens.

use std::time::Duration;

use super::{job, mib};
use crate::inputs::{self, Kind};
use crate::measure;
use crate::server::{Manner, Server};
use crate::{Bench, Fallible};

/// A call to a far region.
const ROUND_TRIP: Duration = Duration::from_millis(100);

pub(crate) fn run(bench: &mut Bench) -> Fallible<()> {
    let input = inputs::csv(&bench.work, Kind::Accounts, 100)?;
    for round in 0..bench.rounds(20) {
        let mut help = bench.imbulk(&bench.path("start.db"));
        help.arg("--help");
        let used = measure::run(help, &bench.path("help"), &[0])?;
        let place = |measure| ("start", "--help", "imbulk", measure);
        bench.measurements.add(place("wall_ms"), round, used.wall.as_secs_f64() * 1e3);
        bench.measurements.add(place("peak_mib"), round, mib(used.peak));
    }
    let server = Server::start(Manner::Sandbox { cap: 200, latency: ROUND_TRIP, slow: 0.0 })?;
    let job = job(bench, "account_delete", &input, &server.endpoint, 200)?;
    for round in 0..bench.rounds(10) {
        let queue = bench.new_queue("start.db");
        let used = super::send(bench, &queue, &job)?;
        let beyond = used.wall.saturating_sub(ROUND_TRIP);
        let place = |measure| ("start", "100 rows", "imbulk", measure);
        bench.measurements.add(place("wall_ms"), round, used.wall.as_secs_f64() * 1e3);
        bench.measurements.add(place("beyond_ms"), round, beyond.as_secs_f64() * 1e3);
    }
    Ok(())
}

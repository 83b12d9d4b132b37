//! The export of a finished run.

use std::path::Path;

use super::{NO_CAP, job, mib, number, plan, send};
use crate::inputs::{self, Kind};
use crate::measure::{self, Usage};
use crate::server::{Manner, Server};
use crate::{Benchmark, Fallible};

pub(crate) fn run(benchmark: &mut Benchmark) -> Fallible<()> {
    for (case, rows) in [("1 M", 1_000_000), ("10 M", 10_000_000)] {
        let rows = benchmark.rows(rows);
        let input = inputs::csv(&benchmark.work, Kind::FullFriends, rows)?;
        let server = Server::start(Manner::Fast)?;
        let job = job(benchmark, "friend_delete", &input, &server.endpoint, NO_CAP)?;
        let queue = benchmark.new_queue("results.db");
        plan(benchmark, &queue, &job)?;
        send(benchmark, &queue, &job)?;
        drop(server);
        for round in 0..benchmark.rounds(3) {
            let used = export(benchmark, &queue)?;
            let place = |measure| ("results", case, "imbulk", measure);
            let Benchmark { measurements, .. } = benchmark;
            measurements.add(place("rows_per_s"), round, number(rows) / used.wall.as_secs_f64());
            measurements.add(place("cpu_s"), round, used.cpu.as_secs_f64());
            measurements.add(place("peak_mib"), round, mib(used.peak));
        }
    }
    Ok(())
}

/// Exports the results of a queue's run into a file.
pub(super) fn export(benchmark: &Benchmark, queue: &Path) -> Fallible<Usage> {
    let mut command = benchmark.imbulk(queue);
    command.args(["results", "job", "--output"]).arg(benchmark.path("results.csv"));
    measure::run(command, &benchmark.path("results"), &[0])
}

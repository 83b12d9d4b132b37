//! The export of a finished run.

use std::path::Path;

use super::{NO_CAP, job, mib, number, plan, send};
use crate::inputs::{self, Kind};
use crate::measure::{self, Usage};
use crate::server::{Manner, Server};
use crate::{Bench, Fallible};

pub(crate) fn run(bench: &mut Bench) -> Fallible<()> {
    for (case, rows) in [("1 M", 1_000_000), ("10 M", 10_000_000)] {
        let rows = bench.rows(rows);
        let input = inputs::csv(&bench.work, Kind::FullFriends, rows)?;
        let server = Server::start(Manner::Fast)?;
        let job = job(bench, "friend_delete", &input, &server.endpoint, NO_CAP)?;
        let queue = bench.new_queue("results.db");
        plan(bench, &queue, &job)?;
        send(bench, &queue, &job)?;
        drop(server);
        for round in 0..bench.rounds(3) {
            let used = export(bench, &queue)?;
            let place = |measure| ("results", case, "imbulk", measure);
            let Bench { measurements, .. } = bench;
            measurements.add(place("rows_per_s"), round, number(rows) / used.wall.as_secs_f64());
            measurements.add(place("cpu_s"), round, used.cpu.as_secs_f64());
            measurements.add(place("peak_mib"), round, mib(used.peak));
        }
    }
    Ok(())
}

/// Exports the results of a queue's run into a file.
pub(super) fn export(bench: &Bench, queue: &Path) -> Fallible<Usage> {
    let mut command = bench.imbulk(queue);
    command.args(["results", "job", "--output"]).arg(bench.path("results.csv"));
    measure::run(command, &bench.path("results"), &[0])
}

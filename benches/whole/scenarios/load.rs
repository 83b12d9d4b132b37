//! From a file to a durable queue: read, check, find equals, group by account, store; `sqlite3 .import`, of which it
//! does the first and the last, beside it.

use std::path::Path;

use super::{NOWHERE, job, mib, number, plan};
use crate::inputs::{self, Kind};
use crate::measure::{self, Usage};
use crate::{Bench, Fallible, peers};

const SQLITE: &str = "sqlite3 .import";

pub(crate) fn run(bench: &mut Bench) -> Fallible<()> {
    case(bench, "friends 1 M", Kind::Friends, 1_000_000, 5)?;
    case(bench, "friends 2 M", Kind::Friends, 2_000_000, 5)?;
    case(bench, "accounts 2 M", Kind::Accounts, 2_000_000, 5)?;
    case(bench, "friends 10 M", Kind::Friends, 10_000_000, 3)
}

fn case(bench: &mut Bench, case: &str, kind: Kind, rows: u64, rounds: u32) -> Fallible<()> {
    let input = inputs::csv(&bench.work, kind, bench.rows(rows))?;
    let operation = if kind == Kind::Accounts { "account_delete" } else { "friend_delete" };
    let job = job(bench, operation, &input, NOWHERE, 200)?;
    // Both find the file in memory, in either order.
    let size = std::io::copy(&mut std::fs::File::open(&input)?, &mut std::io::sink())?;
    for round in 0..bench.rounds(rounds) {
        let queue = bench.new_queue("load.db");
        let used = plan(bench, &queue, &job)?;
        note(bench, (case, "imbulk"), round, used, (&queue, size))?;
        let database = bench.new_queue("import.db");
        let import = peers::sqlite_import(&input, &database);
        let used = measure::run(import, &bench.path("import"), &[0])?;
        note(bench, (case, SQLITE), round, used, (&database, size))?;
    }
    Ok(())
}

fn note(
    bench: &mut Bench,
    (case, who): (&str, &str),
    round: u32,
    used: Usage,
    (file, size): (&Path, u64),
) -> Fallible<()> {
    let stored = std::fs::metadata(file)?.len();
    let Bench { measurements, .. } = bench;
    measurements.add(("load", case, who, "wall_s"), round, used.wall.as_secs_f64());
    measurements.add(("load", case, who, "cpu_s"), round, used.cpu.as_secs_f64());
    measurements.add(("load", case, who, "peak_mib"), round, mib(used.peak));
    measurements.add(("load", case, who, "file_ratio"), round, number(stored) / number(size));
    Ok(())
}

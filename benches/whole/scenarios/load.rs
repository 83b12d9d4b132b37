//! From a file to a durable queue: read, check, find equal rows, group by account, store. `sqlite3 .import` and
//! `DuckDB` read and store; `DuckDB` also groups by account, as a second measurement.

use std::path::Path;

use super::{NOWHERE, job, mib, number, plan};
use crate::inputs::{self, Kind};
use crate::measure::{self, Usage};
use crate::peers::{self, Scripts};
use crate::{Benchmark, Fallible};

const SQLITE: &str = "sqlite3 .import";
const DUCKDB: &str = "DuckDB";
const DUCKDB_GROUPED: &str = "DuckDB, grouped";

pub(crate) fn run(benchmark: &mut Benchmark) -> Fallible<()> {
    case(benchmark, "friends 1 M", Kind::Friends, 1_000_000, 5)?;
    case(benchmark, "friends 2 M", Kind::Friends, 2_000_000, 5)?;
    case(benchmark, "accounts 2 M", Kind::Accounts, 2_000_000, 5)?;
    case(benchmark, "friends 10 M", Kind::Friends, 10_000_000, 3)
}

fn case(benchmark: &mut Benchmark, case: &str, kind: Kind, rows: u64, rounds: u32) -> Fallible<()> {
    let input = inputs::csv(&benchmark.work, kind, benchmark.rows(rows))?;
    let operation = if kind == Kind::Accounts { "account_delete" } else { "friend_delete" };
    let job = job(benchmark, operation, &input, NOWHERE, 200)?;
    let scripts = Scripts::prepared(&benchmark.work)?;
    // All of them find the file in memory, in any order.
    let size = std::io::copy(&mut std::fs::File::open(&input)?, &mut std::io::sink())?;
    for round in 0..benchmark.rounds(rounds) {
        let queue = benchmark.new_queue("load.db");
        let used = plan(benchmark, &queue, &job)?;
        note(benchmark, (case, "imbulk"), round, used, (&queue, size))?;
        let database = benchmark.new_queue("import.db");
        let import = peers::sqlite_import(&input, &database);
        let used = measure::run(import, &benchmark.path("import"), &[0])?;
        note(benchmark, (case, SQLITE), round, used, (&database, size))?;
        for (program, options) in [(DUCKDB, &[][..]), (DUCKDB_GROUPED, &["--group"][..])] {
            let database = benchmark.new_queue("duck.db");
            let mut load = scripts.duckdb_load(&input, &database);
            load.args(options);
            let used = measure::run(load, &benchmark.path("duckdb"), &[0])?;
            note(benchmark, (case, program), round, used, (&database, size))?;
        }
    }
    Ok(())
}

fn note(
    benchmark: &mut Benchmark,
    (case, who): (&str, &str),
    round: u32,
    used: Usage,
    (file, size): (&Path, u64),
) -> Fallible<()> {
    let stored = std::fs::metadata(file)?.len();
    let Benchmark { measurements, .. } = benchmark;
    measurements.add(("load", case, who, "wall_s"), round, used.wall.as_secs_f64());
    measurements.add(("load", case, who, "cpu_s"), round, used.cpu.as_secs_f64());
    measurements.add(("load", case, who, "peak_mib"), round, mib(used.peak));
    measurements.add(("load", case, who, "file_ratio"), round, number(stored) / number(size));
    Ok(())
}

//! The release profile, and what else it could be: size, time of a clean build, processor time of a load.

use std::path::Path;
use std::process::Command;

use super::{NOWHERE, job, mib};
use crate::inputs::{self, Kind};
use crate::{Benchmark, Fallible, measure, program};

/// LTO, codegen units, panic.
type Profile = (&'static str, &'static str, &'static str);

/// By name; none: as Cargo.toml has it.
const PROFILES: [(&str, Option<Profile>); 5] = [
    ("release", None),
    ("fat, 1, unwind", Some(("fat", "1", "unwind"))),
    ("thin, 1, unwind", Some(("thin", "1", "unwind"))),
    ("thin, 4, unwind", Some(("thin", "4", "unwind"))),
    ("off, 16, unwind", Some(("off", "16", "unwind"))),
];

pub(crate) fn run(benchmark: &mut Benchmark) -> Fallible<()> {
    let input = inputs::csv(&benchmark.work, Kind::Friends, benchmark.rows(2_000_000))?;
    let job = job(benchmark, "friend_delete", &input, NOWHERE, 200)?;
    let mut programs = Vec::new();
    for (name, profile) in PROFILES {
        let target = benchmark.work.join("build");
        let _not_there = std::fs::remove_dir_all(&target);
        let mut cargo = program::cargo_build(&target);
        if let Some((lto, units, panic)) = profile {
            cargo.env("CARGO_PROFILE_RELEASE_LTO", lto).env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", units);
            cargo.env("CARGO_PROFILE_RELEASE_PANIC", panic);
        }
        let used = measure::run(cargo, &benchmark.path("build"), &[0])?;
        let program = benchmark.path(&name.replace(", ", "-"));
        std::fs::copy(program::in_target(&target), &program)?;
        let place = |measure| ("build", name, "imbulk", measure);
        benchmark.measurements.add(place("wall_s"), 0, used.wall.as_secs_f64());
        benchmark.measurements.add(place("cpu_s"), 0, used.cpu.as_secs_f64());
        benchmark.measurements.add(place("size_mib"), 0, mib(std::fs::metadata(&program)?.len()));
        programs.push((name, program));
    }
    for round in 0..benchmark.rounds(5) {
        for (name, program) in &programs {
            load(benchmark, (name, program), &job, round)?;
        }
    }
    Ok(())
}

fn load(benchmark: &mut Benchmark, (name, program): (&str, &Path), job: &Path, round: u32) -> Fallible<()> {
    let queue = benchmark.new_queue("build.db");
    let mut command = Command::new(program);
    command.env_clear().arg("--queue").arg(queue).arg("plan").arg(job);
    let used = measure::run(command, &benchmark.path("load"), &[0])?;
    benchmark.measurements.add(("build", name, "imbulk", "load_cpu_s"), round, used.cpu.as_secs_f64());
    benchmark.measurements.add(("build", name, "imbulk", "load_wall_s"), round, used.wall.as_secs_f64());
    Ok(())
}

//! Compares the whole program with what one would otherwise use, on the same work.
//! See docs/explanation/benchmarks.md.
//!
//! ```text
//! cargo bench --bench whole                     every scenario but `build`
//! cargo bench --bench whole -- load uncapped    these alone
//! cargo bench --bench whole -- --quick          smaller inputs, fewer rounds; writes nothing to docs/
//! cargo bench --bench whole -- --check          a goal that is not met is an error
//! ```

mod bare;
mod goals;
mod inputs;
mod measure;
mod measurements;
mod peers;
mod picture;
mod program;
mod scenarios;
mod server;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use goals::Verdict;
use measurements::Measurements;

pub(crate) type Fallible<T> = Result<T, Box<dyn Error>>;

/// What all scenarios work with.
pub(crate) struct Benchmark {
    pub(crate) measurements: Measurements,
    /// What is measured.
    program: PathBuf,
    /// Inputs and environments, kept from session to session.
    pub(crate) work: PathBuf,
    /// Queues and results of this session.
    pub(crate) scratch: PathBuf,
    pub(crate) quick: bool,
}

impl Benchmark {
    /// The number of rounds; two in a quick run.
    pub(crate) fn rounds(&self, full: u32) -> u32 {
        if self.quick { full.min(2) } else { full }
    }

    /// The number of rows; a twentieth in a quick run.
    pub(crate) fn rows(&self, full: u64) -> u64 {
        if self.quick { full / 20 } else { full }
    }

    /// The program with the environment of the benchmark and nothing else.
    pub(crate) fn imbulk(&self, queue: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("IMBULK_SECRET_KEY", server::KEY).env("TZ", "UTC").arg("--queue").arg(queue);
        command.current_dir(&self.scratch);
        command
    }

    /// A file of this session.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// A queue that is not there yet.
    pub(crate) fn new_queue(&self, name: &str) -> PathBuf {
        for ending in ["", "-wal", "-shm", ".lock"] {
            let _not_there = std::fs::remove_file(self.path(&format!("{name}{ending}")));
        }
        self.path(name)
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.split_first() {
        Some((first, rest)) if first == "serve" => server::serve(rest).map(|()| ExitCode::SUCCESS),
        Some((first, rest)) if first == "bare" => bare::bare(rest).map(|()| ExitCode::SUCCESS),
        _ => benchmark(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

fn benchmark(args: &[String]) -> Fallible<ExitCode> {
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    // cargo adds `--bench`.
    let named: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--")).collect();
    let chosen = scenarios::chosen(&named)?;
    let names: Vec<&str> = chosen.iter().map(|scenario| scenario.name).collect();
    let quick = flag("--quick");
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("whole");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks");
    let out = if quick { work.clone() } else { docs };
    std::fs::create_dir_all(&work)?;
    std::fs::create_dir_all(&out)?;
    let scratch = tempfile::Builder::new().prefix("session-").tempdir_in(&work)?;
    let figures = out.join(if quick { "quick.csv" } else { "figures.csv" });
    let measurements = Measurements::read_without(&figures, &names)?;
    if quick {
        println!("quick: every input is a twentieth of what its name says");
    }
    let program = program::build()?;
    let mut benchmark = Benchmark { measurements, program, work, scratch: scratch.path().to_owned(), quick };
    for scenario in chosen {
        println!("{}: {}", scenario.name, scenario.what);
        for round in 0..2 {
            if round == 1 {
                (scenario.run)(&mut benchmark)?;
            }
            let others = measure::others()?;
            benchmark.measurements.add(("machine", scenario.name, "others", "cores"), round, others);
        }
        benchmark.measurements.write(&figures)?;
    }
    let lines = goals::lines(&benchmark.measurements);
    println!("\n{}\n", goals::table(&lines));
    let svg = figures.with_extension("svg");
    std::fs::write(&svg, picture::draw(&benchmark.measurements, &lines))?;
    println!("single runs: {}\npicture: {}", figures.display(), svg.display());
    let shown = lines.iter().all(|line| matches!(line.verdict(), Verdict::Met | Verdict::NoGoal));
    Ok(if flag("--check") && !shown { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

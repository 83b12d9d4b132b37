//! The `imbulk` command: only wires.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use clap::Parser;
use imbulk::cli::Cli;
use imbulk::commands::{self, Error};
use imbulk::domain::exit::Exit;
use imbulk::stderr::{self, LogWriter};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

// Items are made by one thread and freed by another, hundreds of thousands a second (docs/decisions/0010).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_memory_private();
    if commands::complete() {
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(give_up));
    let cli = Cli::parse();
    log(cli.verbose);
    // Two at least: one may be blocked because nobody reads what is shown, and the calls under way must go on.
    let threads = std::thread::available_parallelism().map_or(2, NonZeroUsize::get).max(2);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => {
            let exit = fail(Error::io("threads cannot be started")(source));
            stderr::finish();
            return exit;
        }
    };
    // As a tokio task beside those that it starts: from this thread each word between them would wake another.
    let done = runtime.block_on(runtime.spawn(commands::dispatch(cli)));
    // A thread that still reads input has nothing left to say.
    runtime.shutdown_background();
    let exit = match done {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(error)) => fail(error),
        // A panic has ended the process already.
        Err(_panicked) => Exit::Internal.into(),
    };
    stderr::finish();
    exit
}

/// The key is in memory and in the environment: no core file shows it, and no other program of the user but root's.
#[cfg(target_os = "linux")]
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    // Where the kernel refuses, the run is as good as without.
    let _refused = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Other systems have no such switch.
#[cfg(not(target_os = "linux"))]
const fn keep_memory_private() {}

/// Only our own lines: those of the HTTP library may show whole URLs, and a URL carries the signature.
fn log(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    // Colours only where somebody sees them: a log file has no use for escape sequences.
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(|| LogWriter);
    let own = Targets::new().with_target("imbulk", level);
    tracing_subscriber::registry().with(lines).with(own).init();
}

/// A broken invariant anywhere ends the process, as a kill would: what is on disk is right, and the next run goes on.
fn give_up(info: &PanicHookInfo<'_>) {
    let error = Error::Panic(info.to_string());
    let exit = error.exit();
    error.print();
    stderr::finish();
    std::process::exit(exit.code().into());
}

fn fail(error: Error) -> ExitCode {
    let exit = error.exit();
    error.print();
    exit.into()
}

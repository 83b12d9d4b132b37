//! The `imbulk` command: sets up memory, threads and panics, and runs what the command line asks for.

use std::num::NonZeroUsize;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use clap::Parser;
use imbulk::cli::Cli;
use imbulk::commands::{self, Error};
use imbulk::domain::exit::Exit;
use imbulk::log;

// Items are made by one thread and freed by another, hundreds of thousands a second (docs/decisions/0010).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_memory_private();
    if commands::complete() {
        return ExitCode::SUCCESS;
    }
    std::panic::set_hook(Box::new(end_after_panic));
    let cli = Cli::parse();
    if let Err(error) = log::start(cli.log_options()) {
        return end(Err(error.into()));
    }
    // At least two: one can be blocked by output that no program reads, and the calls in flight must go on.
    let threads = std::thread::available_parallelism().map_or(2, NonZeroUsize::get).max(2);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return end(Err(Error::io("threads cannot be started")(source))),
    };
    // As a tokio task beside those that it starts: otherwise each message between them would wake another thread.
    let done = runtime.block_on(runtime.spawn(commands::dispatch(cli)));
    // A thread may still read input whose rows are no longer needed.
    runtime.shutdown_background();
    // A panic has ended the process already.
    end(done.unwrap_or(Ok(Exit::Internal)))
}

/// The key is in memory and in the environment: no core file shows it, and no other program of the user but root's.
#[cfg(target_os = "linux")]
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    // If the kernel refuses, the run works as well.
    let _refused = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Other systems have no such switch.
#[cfg(not(target_os = "linux"))]
const fn keep_memory_private() {}

/// A broken invariant ends the process, as a kill would. The queue on disk is consistent, and the next run continues.
fn end_after_panic(info: &PanicHookInfo<'_>) {
    let error = Error::Panic(info.to_string());
    let exit = error.exit();
    error.print();
    log::finish();
    std::process::exit(exit.code().into());
}

/// Prints the error, if there is one, and waits for messages and log to be written.
fn end(done: Result<Exit, Error>) -> ExitCode {
    let exit = done.unwrap_or_else(|error| {
        let exit = error.exit();
        error.print();
        exit
    });
    log::finish();
    exit.into()
}

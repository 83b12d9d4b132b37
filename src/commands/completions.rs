//! `imbulk completions`, and what the shells call for each completion.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use super::error::Error;
use crate::cli::Cli;
use crate::domain::exit::Exit;
use crate::domain::response::outcome::Outcome;
use crate::queue::{QueueError, Reader, Run};
use crate::settings::{Env, queue_file};

/// The variable with which the script of a shell asks for completions.
const VARIABLE: &str = "IMBULK_COMPLETE";

/// A person waits for a completion no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints the script that registers completions in a shell.
pub(super) fn completions(shell: Shell) -> Result<Exit, Error> {
    let mut script = Vec::new();
    let name = shell.to_string();
    let shells = Shells::builtins();
    if let Some(shell) = shells.completer(&name) {
        shell
            .write_registration(VARIABLE, "imbulk", "imbulk", "imbulk", &mut script)
            .map_err(Error::io("the script"))?;
    }
    super::print(&String::from_utf8_lossy(&script))
}

/// Answers a shell that asks for completions. Returns whether one did; the process then has nothing else to do. Errors
/// are not shown, because they would be written into the line that the user is typing.
pub fn complete() -> bool {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(std::env::args_os(), folder.as_deref())
        .unwrap_or(true)
}

/// The command line, whose arguments know the values that the queue has.
fn command() -> Command {
    Cli::command().mut_subcommands(|subcommand| subcommand.mut_args(with_values))
}

fn with_values(argument: Arg) -> Arg {
    match argument.get_id().as_str() {
        "name" => argument.add(ArgValueCompleter::new(names)),
        "target" => argument.add(ArgValueCandidates::new(targets)),
        "outcome" => argument.add(ArgValueCandidates::new(outcomes)),
        _ => argument,
    }
}

fn outcomes() -> Vec<CompletionCandidate> {
    Outcome::ALL.iter().map(|outcome| CompletionCandidate::new(outcome.name())).collect()
}

fn targets() -> Vec<CompletionCandidate> {
    distinct(runs().into_iter().map(|run| run.target.to_string()))
}

/// The job names, and the ids of runs that begin with what was typed: without a letter of them there are too many.
fn names(typed: &OsStr) -> Vec<CompletionCandidate> {
    let runs = runs();
    let ids = runs
        .iter()
        .filter(|_| !typed.is_empty())
        .map(|run| CompletionCandidate::new(&run.uuid).help(Some(format!("a run of job {}", run.job).into())));
    let all = distinct(runs.iter().map(|run| run.job.clone())).into_iter().chain(ids);
    let typed = typed.to_string_lossy();
    all.filter(|candidate| candidate.get_value().to_string_lossy().starts_with(&*typed)).collect()
}

/// Each value once, the newest first.
fn distinct(values: impl DoubleEndedIterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut found: Vec<String> = Vec::new();
    for value in values.rev() {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found.into_iter().map(CompletionCandidate::new).collect()
}

/// The runs of the queue; none if there is no queue, or if it cannot be read soon enough.
fn runs() -> Vec<Run> {
    let Ok(env) = Env::read() else { return Vec::new() };
    let queue = queue_file(None, &env);
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() else {
        return Vec::new();
    };
    let read = runtime.block_on(async { tokio::time::timeout(PATIENCE, tokio::spawn(read(queue))).await });
    runtime.shutdown_background();
    read.ok().and_then(Result::ok).and_then(Result::ok).unwrap_or_default()
}

async fn read(queue: PathBuf) -> Result<Vec<Run>, QueueError> {
    Reader::open(&queue).await?.runs().await
}

//! What each command does.

mod confirm;
mod error;
mod exit;
mod explain;
mod jobs;
mod load;
mod output;
mod plan;
mod prepare;
mod results;
mod retry;
mod rows;
mod run;
mod sandbox;
mod select;
mod status;
mod target;
mod usersig;
mod verdict;

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::queue::Queue;
use crate::report::tell::drain;
use crate::settings::{Env, queue_file};
pub use error::Error;
pub use exit::Exit;

pub use crate::report::tell::{LogWriter, finish as finish_telling, tell};

/// Does what was typed.
pub async fn dispatch(cli: Cli) -> Result<Exit, Error> {
    let env = Env::read()?;
    let queue = queue_file(cli.queue.as_deref(), &env);
    let done = match cli.command {
        Command::Run(args) => run::run(&args, &env, &queue).await,
        Command::Plan(args) => plan::plan(&args, &env, &queue).await,
        Command::Status(args) => status::status(&args, &queue).await,
        Command::Results(args) => results::results(&args, &env, &queue).await,
        Command::Retry(args) => retry::retry(&args, &queue).await,
        Command::Explain(args) => print(&explain_text(&args)),
        Command::Sandbox(args) => sandbox::sandbox(&args, &env).await,
        Command::Usersig(args) => usersig::usersig(&args, &env),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "imbulk", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(Error::io("the manual page"))?;
            print(&String::from_utf8_lossy(&text))
        }
    };
    done.map_err(|error| error.in_queue(&queue))
}

fn explain_text(args: &crate::cli::Explain) -> String {
    if args.json { format!("{:#}\n", explain::json(args.code)) } else { explain::text(args.code) }
}

/// Takes the queue into possession. Says where it is if there was none before: a wrong folder is noticed at once.
async fn open_queue(path: &Path) -> Result<Queue, Error> {
    let is_new = !path.exists();
    let queue = Queue::open(path).await?;
    if is_new {
        let full = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        tell(format!("note: created the queue {}", full.display()));
    }
    Ok(queue)
}

/// Prints to stdout as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<Exit, Error> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::io("stdout")(error.into()))?;
    print(&text)
}

/// Prints to stdout. A reader that has heard enough (`| head`) is no failure.
fn print(text: &str) -> Result<Exit, Error> {
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    // On a terminal both meet: what was told before is to be read before.
    drain();
    let mut stdout = std::io::stdout().lock();
    match write!(stdout, "{text}{newline}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("stdout")(error)),
        Ok(()) | Err(_) => Ok(Exit::Done),
    }
}

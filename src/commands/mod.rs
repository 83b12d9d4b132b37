//! The subcommands, one file each, and the exit codes of their errors.

mod certify;
mod completions;
mod ctl;
mod doctor;
mod error;
mod explain;
mod forget;
mod history;
mod init;
mod man;
mod metrics;
mod plan;
mod report;
mod report_files;
mod restore;
mod results;
mod retry;
mod run;
mod sandbox;
mod schema;
mod status;
mod usersig;
mod verify;
mod verify_certificate;

use crate::cli::{Cli, CliCommand};
use crate::domain::exit::Exit;
use crate::session::{RunLog, until_signal};
use crate::settings::{Env, queue_file};
use crate::stdout;
pub use completions::complete;
pub use error::Error;

/// Carries out the command. The log has an end of each run, and of a command that was to send and could not.
pub async fn dispatch(cli: Cli) -> Result<Exit, Error> {
    let mut log = RunLog::default();
    let sends = matches!(&cli.command, CliCommand::Run(args) if args.sends());
    let done = carry_out(cli, &mut log).await;
    if let (true, Err(error)) = (sends, &done) {
        log.fail(error.exit(), &error.to_string());
    }
    done
}

async fn carry_out(cli: Cli, log: &mut RunLog) -> Result<Exit, Error> {
    let env = Env::read()?;
    let queue = queue_file(cli.queue.as_deref(), &env);
    let done = match cli.command {
        CliCommand::Init(args) => init::init(&args),
        CliCommand::Doctor(args) => doctor::doctor(&args, &env, &queue).await,
        CliCommand::Run(args) => Box::pin(run::run(args, &env, &queue, log)).await,
        CliCommand::Plan(args) => Box::pin(plan::plan(&args, &env, &queue)).await,
        CliCommand::Status(args) => status::status(&args, &queue).await,
        CliCommand::Ctl(args) => ctl::ctl(&args, &env, &queue).await,
        CliCommand::Results(args) => until_signal(results::results(&args, &env, &queue)).await,
        CliCommand::History(args) => history::history(&args, &queue).await,
        CliCommand::Report(args) => until_signal(report::report(&args, &env, &queue)).await,
        CliCommand::Retry(args) => retry::retry(&args, &queue).await,
        CliCommand::Verify(args) => Box::pin(verify::verify(args, &env, &queue, log)).await,
        CliCommand::Restore(args) => restore::restore(args, &queue).await,
        CliCommand::Certify(args) => until_signal(certify::certify(&args, &env, &queue)).await,
        CliCommand::VerifyCertificate(args) => verify_certificate::verify_certificate(args),
        CliCommand::Forget(args) => until_signal(forget::forget(&args, &queue)).await,
        CliCommand::Explain(args) => explain::explain(&args, &queue).await,
        CliCommand::Sandbox(args) => sandbox::sandbox(&args, &env).await,
        CliCommand::Usersig(args) => usersig::usersig(&args, &env),
        CliCommand::Schema { name } => schema::schema(name),
        CliCommand::Completions { shell } => completions::completions(shell),
        CliCommand::Man(args) => man::man(&args),
    };
    done.map_err(|error| error.in_queue(&queue))
}

/// Prints to standard output. The command is then done.
fn print(text: &str) -> Result<Exit, Error> {
    stdout::print(text).map_err(Error::io("stdout")).map(|()| Exit::Done)
}

/// Prints a value to standard output as JSON. The command is then done.
fn print_json(value: &impl serde::Serialize) -> Result<Exit, Error> {
    stdout::print_json(value).map_err(Error::io("stdout")).map(|()| Exit::Done)
}

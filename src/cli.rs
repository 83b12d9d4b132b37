//! What may be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::domain::response::outcome::Outcome;
use imbulk_sandbox::FaultRule;

/// Bulk jobs against the server API of Tencent Cloud Chat: rows of CSV or JSONL in, one recorded outcome per row out.
///
/// Never over the call limit, never two writes at once to an account that requests name; killed at any moment, it goes on where it
/// was. Nothing is sent without --execute.
#[derive(Debug, Parser)]
#[command(name = "imbulk", version, max_term_width = 100)]
pub struct Cli {
    /// The queue: the file that knows every row of every run
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub queue: Option<PathBuf>,
    /// More on stderr: once for what is done, twice for every call
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Everywhere")]
    pub verbose: u8,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load what is new, send, record, sum up; run again, it goes on
    Run(Run),
    /// Everything but sending: load the input, check it, show what would be sent
    Plan(Plan),
    /// Runs and where they stand, also while one is running
    Status(Status),
    /// A line per row
    Results(Results),
    /// Make failed items pending again; the next run sends them
    Retry(Retry),
    /// What a code means, how it is treated, what to do
    Explain(Explain),
    /// The stand-in for the API, on loopback
    Sandbox(Sandbox),
    /// Print a UserSig for the job's (or the environment's) app and identifier
    Usersig(Usersig),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// `imbulk run`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Run {
    /// Job files; several share limits and accounts
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<PathBuf>,
    /// Really send; without it this is `plan`
    #[arg(long)]
    pub execute: bool,
    /// Don't ask to type the SDKAppID
    #[arg(long)]
    pub yes: bool,
    /// Start the stand-in for the API and send to that alone
    #[arg(long)]
    pub sandbox: bool,
    /// A new run, even if the same input is finished or an older run is not
    #[arg(long)]
    pub again: bool,
    /// Finish the oldest unfinished run, also one that Ctrl-C or a guard ended, and nothing else
    #[arg(long, conflicts_with = "again")]
    pub resume: bool,
    /// Send exactly the plan with this id, as `imbulk plan` shows it, or nothing
    #[arg(long, value_name = "ID")]
    pub plan: Option<String>,
    /// Send at most this many items, then stop with exit code 5
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// The summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// `imbulk plan`
#[derive(Debug, Args)]
pub struct Plan {
    /// Job files
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `imbulk status`
#[derive(Debug, Args)]
pub struct Status {
    /// A job's name (its latest run) or the beginning of a run's id
    pub name: Option<String>,
    /// Which target's run, if the job has runs on several: an SDKAppID, `sandbox`, or `loopback`
    #[arg(long, requires = "name", value_name = "TARGET")]
    pub target: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `imbulk results`
#[derive(Debug, Args)]
pub struct Results {
    /// A job's name (its latest run) or the beginning of a run's id
    pub name: String,
    /// Which target's run, if the job has runs on several: an SDKAppID, `sandbox`, or `loopback`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Only rows with these outcomes
    #[arg(long, value_delimiter = ',', value_name = "OUTCOME,…")]
    pub outcome: Option<Vec<Outcome>>,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t = ResultFormat::Csv)]
    pub format: ResultFormat,
    /// Where to; without it to stdout
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultFormat {
    /// With a header line
    Csv,
    /// An object a line
    Jsonl,
}

/// `imbulk retry`
#[derive(Debug, Args)]
pub struct Retry {
    /// A job's name (its latest run) or the beginning of a run's id
    pub name: String,
    /// Which target's run, if the job has runs on several: an SDKAppID, `sandbox`, or `loopback`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Only items that ended with this code
    #[arg(long, value_name = "N")]
    pub code: Option<i64>,
    /// Which items: failed or in_doubt
    #[arg(long, default_value = "failed", value_parser = retried)]
    pub outcome: Outcome,
}

/// `imbulk explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// The code
    #[arg(allow_negative_numbers = true)]
    pub code: i64,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `imbulk usersig`
#[derive(Debug, Args)]
pub struct Usersig {
    /// A job file that names an app
    pub job: Option<PathBuf>,
}

/// `imbulk sandbox`
#[derive(Debug, Args)]
pub struct Sandbox {
    /// Where it listens, on loopback; port 0: any free one
    #[arg(long, default_value = "127.0.0.1:8900", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The app that it serves
    #[arg(long, default_value_t = 1_400_000_001, env = "IMBULK_SDKAPPID", value_name = "N")]
    pub sdkappid: u64,
    /// The app's admin account
    #[arg(long, default_value = "administrator", env = "IMBULK_IDENTIFIER", value_name = "ID")]
    pub identifier: String,
    /// What every call takes, such as 50ms
    #[arg(long, default_value = "0ms", value_name = "TIME")]
    pub latency: jiff::SignedDuration,
    /// Up to so much more
    #[arg(long, default_value = "0ms", value_name = "TIME")]
    pub jitter: jiff::SignedDuration,
    /// What goes wrong, as COMMAND:KIND:SHARE; may stand several times
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<FaultRule>,
    /// The share of accounts and friendships that are missing, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub missing: f64,
    /// Decides which faults fall on which calls, and who is missing
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

fn retried(name: &str) -> Result<Outcome, String> {
    match name.parse() {
        Ok(outcome @ (Outcome::Failed | Outcome::InDoubt)) => Ok(outcome),
        Ok(_) | Err(_) => Err("only failed and in_doubt items can be sent again".to_owned()),
    }
}

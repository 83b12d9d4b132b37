//! The command line. `-h` shows the first paragraph of each text; `--help` shows all of it, with examples, environment
//! variables and exit codes.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::domain::hint::Hint;
use crate::domain::response::outcome::Outcome;
use imbulk_sandbox::{FaultRule, FaultRuleError};

/// Run bulk jobs against the server API of Tencent Cloud Chat, with one recorded outcome per row
///
/// imbulk reads rows of CSV or JSONL and sends one API request for many rows. It never exceeds the call limit, and it
/// never has two requests in flight that write the same account. If the process is killed, the next run continues where
/// it stopped. Nothing is sent without --execute.
#[derive(Debug, Parser)]
#[command(name = "imbulk", version, max_term_width = 100, after_long_help = HELP)]
pub struct Cli {
    /// Queue file: it stores every row of every run [default: imbulk.db] [env: IMBULK_QUEUE]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub queue: Option<PathBuf>,
    /// Log to stderr: -v for events, -vv for every API call
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load new input, send it, record every outcome, and print a summary; resumes an interrupted run
    ///
    /// Load the input if it is new, send it, record every outcome, and print a summary. Resumes an interrupted run.
    /// Without --execute nothing is sent, and the plan is shown instead.
    #[command(after_long_help = RUN)]
    Run(Run),
    /// Load and check the input, and show what `imbulk run` would send
    ///
    /// Does everything except sending: loads the input, checks every row, and shows what `imbulk run JOB --execute`
    /// would send, to which app, and which guards would refuse it.
    #[command(after_long_help = PLAN)]
    Plan(Plan),
    /// List runs and their progress, also while one is running
    #[command(after_long_help = STATUS)]
    Status(Status),
    /// Export one result row per input row (CSV or JSONL)
    ///
    /// Exports one result row per input row, in input order. The file is valid input for the same job.
    #[command(after_long_help = RESULTS)]
    Results(Results),
    /// Make failed items pending again, so that the next run sends them
    #[command(after_long_help = RETRY)]
    Retry(Retry),
    /// Explain an error code: its class and what to do
    #[command(after_long_help = EXPLAIN)]
    Explain(Explain),
    /// Start a mock server of the API on this machine
    ///
    /// Starts a mock server of the API on a loopback address and prints its URL. It checks signatures and limits as the
    /// real server does, and deletes nothing. Ctrl-C ends it and prints what it received, as JSON.
    #[command(after_long_help = SANDBOX)]
    Sandbox(Sandbox),
    /// Print a UserSig for the admin account of a job or of the environment
    #[command(after_long_help = USERSIG)]
    Usersig(Usersig),
    /// Print a completion script for a shell
    #[command(after_long_help = COMPLETIONS)]
    Completions {
        /// Shell that the script is for
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_long_help = MAN)]
    Man,
}

/// Arguments of `imbulk run`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Run {
    /// Job files; several jobs share the call limits of one app
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<PathBuf>,
    /// Send; without it, only the plan is shown
    #[arg(long)]
    pub execute: bool,
    /// Do not ask for confirmation
    ///
    /// On a terminal, --execute shows the plan and asks the user to type the SDKAppID. Without a terminal nothing is
    /// asked.
    #[arg(long)]
    pub yes: bool,
    /// Send only to a mock server that is started for this run
    ///
    /// Send only to a mock server, which is started for this run. No credentials are needed, and no real app is called.
    #[arg(long)]
    pub sandbox: bool,
    /// Start a new run, even if this input is finished or an older run is not
    #[arg(long)]
    pub again: bool,
    /// Finish only the oldest unfinished run, also one that Ctrl-C or a guard ended
    #[arg(long, conflicts_with = "again")]
    pub resume: bool,
    /// Send exactly the plan with this id (from `imbulk plan`), or nothing
    #[arg(long, value_name = "ID")]
    pub plan: Option<String>,
    /// Send at most N items, then stop with exit code 5
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Job files
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Job name (its latest run), or the beginning of a run id (4 characters or more)
    pub name: Option<String>,
    /// Target of the run, if the job has several: an SDKAppID, `sandbox` or `loopback`
    #[arg(long, requires = "name", value_name = "TARGET")]
    pub target: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk results`.
#[derive(Debug, Args)]
pub struct Results {
    /// Job name (its latest run), or the beginning of a run id (4 characters or more)
    pub name: String,
    /// Target of the run, if the job has several: an SDKAppID, `sandbox` or `loopback`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Export only rows with these outcomes
    #[arg(long, value_delimiter = ',', value_name = "OUTCOME,…")]
    pub outcome: Option<Vec<Outcome>>,
    /// Format of the export
    #[arg(long, value_enum, default_value_t = ResultFormat::Csv)]
    pub format: ResultFormat,
    /// Write to this file, readable only by its owner [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Format of exported results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultFormat {
    /// CSV with a header line
    Csv,
    /// One JSON object per line
    Jsonl,
}

/// Arguments of `imbulk retry`.
#[derive(Debug, Args)]
pub struct Retry {
    /// Job name (its latest run), or the beginning of a run id (4 characters or more)
    pub name: String,
    /// Target of the run, if the job has several: an SDKAppID, `sandbox` or `loopback`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Only items that failed with this error code
    #[arg(long, value_name = "N")]
    pub code: Option<i64>,
    /// Outcome of the items: failed or in_doubt
    #[arg(long, default_value = "failed", value_parser = retried)]
    pub outcome: Outcome,
}

/// Arguments of `imbulk explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Error code, such as 70107
    #[arg(allow_negative_numbers = true)]
    pub code: i64,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk usersig`.
#[derive(Debug, Args)]
pub struct Usersig {
    /// Job file that names the app [default: the environment]
    pub job: Option<PathBuf>,
}

/// Arguments of `imbulk sandbox`.
#[derive(Debug, Args)]
pub struct Sandbox {
    /// Loopback address to listen on; port 0 chooses a free port
    #[arg(long, default_value = "127.0.0.1:8900", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// SDKAppID of the app that it serves
    #[arg(long, default_value_t = 1_400_000_001, env = "IMBULK_SDKAPPID", value_name = "N")]
    pub sdkappid: u64,
    /// Admin account of the app
    #[arg(long, default_value = "administrator", env = "IMBULK_IDENTIFIER", value_name = "ID")]
    pub identifier: String,
    /// Latency of every call, such as 50ms
    #[arg(long, default_value = "0ms", value_name = "TIME")]
    pub latency: jiff::SignedDuration,
    /// Random extra latency per call, from 0 to this
    #[arg(long, default_value = "0ms", value_name = "TIME")]
    pub jitter: jiff::SignedDuration,
    /// Fault to inject, as COMMAND:KIND:SHARE; may be repeated
    #[arg(long = "fault", value_name = "FAULT", value_parser = fault_rule)]
    pub faults: Vec<FaultRule>,
    /// Share of accounts and friendships that do not exist, from 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub missing: f64,
    /// Seed: equal seeds give the same faults and the same missing accounts
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

const GLOBAL: &str = "Global options";

const HELP: &str = "\
Example (a first run against the mock server, without an account):
  imbulk plan jobs/quickstart.toml
  imbulk run jobs/quickstart.toml --execute --sandbox

Environment variables:
  IMBULK_SECRET_KEY       secret key of the app; UserSigs are made from it
  IMBULK_SECRET_KEY_FILE  file with the secret key (mode 0600)
  IMBULK_USERSIG          a UserSig, instead of a key
  IMBULK_SDKAPPID         overrides `sdkappid` in [app]
  IMBULK_IDENTIFIER       overrides `identifier` in [app]
  IMBULK_ENDPOINT         overrides `endpoint` and `region` in [app]
  IMBULK_QUEUE            queue file, if --queue is not given
  HTTPS_PROXY, NO_PROXY   proxy for calls to a real app
  TZ                      time zone of `stop.until`

Exit codes:
  0  done: every row succeeded, already_done, duplicate or protected
  1  internal error or I/O error
  2  usage error, or the job file, the environment or the input cannot be used
  3  done, with failed, in_doubt or rejected rows
  4  halted or refused (fatal code, guard, outage, full disk); rows are left
  5  stopped by a signal, --limit or `stop.until`; rows are left: run it again
  6  another process owns the queue";

const RUN: &str = "\
Examples:
  imbulk run purge.toml                        show the plan, send nothing
  imbulk run purge.toml --execute --sandbox    rehearse on the mock server
  imbulk run purge.toml --execute              ask on a terminal, then send
  imbulk run purge.toml --execute --yes        send without a question
  imbulk run purge.toml --execute --limit 100  send at most 100 items

Environment variables:
  one of IMBULK_SECRET_KEY, IMBULK_SECRET_KEY_FILE, IMBULK_USERSIG: credentials
  IMBULK_SDKAPPID, IMBULK_IDENTIFIER, IMBULK_ENDPOINT: override [app] of the job
  IMBULK_QUEUE, HTTPS_PROXY, NO_PROXY, TZ: see `imbulk --help`

Exit codes:
  0  every row succeeded, already_done, duplicate or protected
  1  internal error or I/O error
  2  usage error, or the job file, the environment or the input cannot be used
  3  done, with failed, in_doubt or rejected rows; rejected rows do not count if
     input.rejects = \"allow\"
  4  halted or refused (fatal code, guard, outage, full disk); rows are left
  5  stopped by a signal, --limit or `stop.until`; rows are left: run it again
  6  another process owns the queue";

const PLAN: &str = "\
Examples:
  imbulk plan purge.toml
  imbulk plan purge.toml --json

Environment variables: as for `imbulk run`.

Exit codes:
  0  planned
  1  internal error or I/O error
  2  usage error, or the job file, the environment or the input cannot be used
  4  `imbulk run` would refuse to send this plan
  5  interrupted by a signal
  6  another process owns the queue";

const STATUS: &str = "\
Examples:
  imbulk status                 all runs
  imbulk status purge           the latest run of job purge, with its progress
  imbulk status 0190e8b0 --json

Environment variables: IMBULK_QUEUE.

Exit codes:
  0  shown
  1  I/O error
  2  unknown name, or the queue cannot be used";

const RESULTS: &str = "\
Examples:
  imbulk results purge --output purge.results.csv
  imbulk results purge --outcome failed,in_doubt
  imbulk results purge --format jsonl

Outcomes: succeeded, already_done, failed, in_doubt, pending, rejected,
duplicate, protected.

Environment variables: IMBULK_QUEUE.

Exit codes:
  0  exported
  1  I/O error
  2  unknown name, or the queue or the output file cannot be used";

const RETRY: &str = "\
Examples:
  imbulk retry purge                       all failed items
  imbulk retry purge --code 70500          failed items with this code
  imbulk retry purge --outcome in_doubt    items whose effect is unknown
  imbulk run purge.toml --execute          sends them

Environment variables: IMBULK_QUEUE.

Exit codes:
  0  done
  1  I/O error
  2  unknown name, or the queue cannot be used
  6  another process owns the queue";

const EXPLAIN: &str = "\
Examples:
  imbulk explain 70107
  imbulk explain 60008 --json

Exit codes: 0 for every number, 2 for a usage error.";

const SANDBOX: &str = "\
Examples:
  imbulk sandbox
  imbulk sandbox --latency 50ms --jitter 20ms
  imbulk sandbox --fault account_delete:http=503:0.05 --missing 0.01
  imbulk sandbox --fault any:code=60008:#3 --fault friend_delete:item=30006:0.1

Faults: COMMAND is an operation or `any`; SHARE is a share of the calls from 0
to 1, or #N for the N-th call. The most used kinds:
  code=N, http=STATUS       the call fails with this code or HTTP status
  reset, close, silence     the connection is reset, closed, or stays silent
  reset-after, close-after  the same after the call has had its effect
  slow=TIME                 the answer takes this much longer
  item=N, partial=N         items fail with this code, or have half an effect
  missing, duplicate        items are missing or repeated in the answer

Environment variables:
  IMBULK_SDKAPPID, IMBULK_IDENTIFIER  app and admin account
  IMBULK_SECRET_KEY                   key to check signatures with; without it
                                      every well-formed signature is accepted

Exit codes:
  0  ended by Ctrl-C
  1  I/O error
  2  usage error";

const USERSIG: &str = "\
Examples:
  imbulk usersig purge.toml
  IMBULK_SDKAPPID=1400000001 imbulk usersig purge.toml

The UserSig is valid for 24 hours.

Environment variables:
  IMBULK_SECRET_KEY or IMBULK_SECRET_KEY_FILE
  IMBULK_SDKAPPID, IMBULK_IDENTIFIER

Exit codes:
  0  printed
  2  the job file or the environment cannot be used";

const COMPLETIONS: &str = "\
Example:
  imbulk completions bash > ~/.local/share/bash-completion/completions/imbulk";

const MAN: &str = "\
Example:
  imbulk man > imbulk.1 && man ./imbulk.1";

impl Hint for FaultRuleError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(Self::hint(self).into())
    }
}

fn fault_rule(text: &str) -> Result<FaultRule, String> {
    text.parse().map_err(|error: FaultRuleError| error.with_hint())
}

fn retried(name: &str) -> Result<Outcome, String> {
    match name.parse() {
        Ok(outcome @ (Outcome::Failed | Outcome::InDoubt)) => Ok(outcome),
        Ok(_) | Err(_) => Err("expected failed or in_doubt: only these items can be sent again".to_owned()),
    }
}

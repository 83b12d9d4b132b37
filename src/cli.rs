//! The command line. `-h` shows the first paragraph of each text; `--help` shows all of it, with examples, environment
//! variables and exit codes.

use std::io::IsTerminal;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::domain::language::Language;
use crate::domain::operation;
use crate::domain::response::codes::ErrorClass;
use crate::domain::response::outcome::Outcome;
use crate::domain::response::verification::Verified;
use crate::log::{LogFormat, LogOptions};

mod certificates;
mod forget;
mod language;
pub mod manual;
mod report;
mod sandbox;

pub use certificates::{CertifyArgs, VerifyCertificateArgs};
pub use forget::ForgetArgs;
pub use report::ReportArgs;
pub use sandbox::SandboxArgs;

/// Run bulk jobs against the server API of Tencent Cloud Chat, with one recorded outcome per row
///
/// imbulk reads rows of CSV or JSONL and sends one API request for many rows. It never exceeds the call limit, and it
/// never has two requests in flight that write the same account. If the process is killed, the next run continues where
/// it stopped. Nothing is sent to an app without --execute; --sandbox sends to the built-in mock server.
#[derive(Debug, Parser)]
#[command(name = "imbulk", version, max_term_width = 100, after_long_help = manual::IMBULK.help())]
pub struct Cli {
    /// Queue file: it stores every row of every run [default: imbulk.db] [env: IMBULK_QUEUE]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub queue: Option<PathBuf>,
    /// Log to stderr, or to the log file: -v for events, -vv for every API call
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,
    /// Append the log to this file, readable only by its owner; -vv adds every API call
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub log_file: Option<PathBuf>,
    /// Format of the log file, or of the log on stderr if there is no log file
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = GLOBAL)]
    pub log_format: LogFormat,
    /// The subcommand.
    #[command(subcommand)]
    pub command: CliCommand,
}

impl Cli {
    /// What the command line asks of the log.
    #[expect(clippy::disallowed_methods, reason = "the log begins before the settings are read")]
    pub fn log_options(&self) -> LogOptions {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_terminal = std::io::stderr().is_terminal() && !is_dumb;
        let wants_no_colours = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        LogOptions {
            verbose: self.verbose,
            file: self.log_file.clone(),
            is_terminal,
            has_colours: is_terminal && !wants_no_colours,
            format: self.log_format,
        }
    }
}

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Write a commented job file from the header of an input file
    ///
    /// Writes a job file, a protected list, an example environment file and a JSON schema for editors into the current
    /// folder. No existing file is changed. With --from, the file's encoding and columns decide what the job says, and
    /// the numbers of its guards fit the file.
    #[command(after_long_help = manual::INIT.help())]
    Init(InitArgs),
    /// Check what a run of a job needs, without writing to the app
    ///
    /// Checks job file, protected list, input, credentials, limits, queue, disk and clock, and sends one read-only call
    /// (account_check of the admin). Each check is one line: ok, warning or error, with a hint.
    #[command(after_long_help = manual::DOCTOR.help())]
    Doctor(DoctorArgs),
    /// Load new input, send it, record every outcome, and print a summary; resumes an interrupted run
    ///
    /// Load the input if it is new, send it, record every outcome, and print a summary. Resumes an interrupted run.
    /// Without --execute or --sandbox nothing is sent, and the plan is shown instead.
    #[command(after_long_help = manual::RUN.help())]
    Run(RunArgs),
    /// Load and check the input, and show what `imbulk run` would send
    ///
    /// Does everything except sending: loads the input, checks every row, and shows what `imbulk run JOB --execute`
    /// would send, to which app, and which guards would refuse it.
    #[command(after_long_help = manual::PLAN.help())]
    Plan(PlanArgs),
    /// List runs and their progress, also while one is running
    #[command(after_long_help = manual::STATUS.help())]
    Status(StatusArgs),
    /// Pause, resume or drain a run, or change its rate, while another process sends it
    ///
    /// Controls a run from another terminal, also while its input is loaded or the server is down. Prints what changed
    /// within a second. A pause and a rate belong to the run: they also hold after a restart. Each user who may
    /// write the queue may control its runs. The log of the run says who did.
    #[command(after_long_help = manual::CTL.help())]
    Ctl(CtlArgs),
    /// Export one result row per input row (CSV or JSONL)
    ///
    /// Exports one result row per input row, in input order. The file is valid input for the same job.
    #[command(after_long_help = manual::RESULTS.help())]
    Results(ResultsArgs),
    /// Write a report on a run: a page for people, JSON or Markdown
    ///
    /// Writes what happened to the rows of a run, why, and what to do next. The page needs neither the network nor a
    /// script. A report has no id of an account: rows are named by file and line.
    #[command(after_long_help = manual::REPORT.help())]
    Report(ReportArgs),
    /// Show what happened to one account, in all runs of the queue
    ///
    /// Shows every row that names the account, of all jobs and targets: run, role, outcome, code and reason. The id is
    /// compared byte by byte. Searches the whole queue, also while a process sends from it.
    #[command(after_long_help = manual::HISTORY.help())]
    History(HistoryArgs),
    /// Make failed items pending again, so that the next run sends them
    #[command(after_long_help = manual::RETRY.help())]
    Retry(RetryArgs),
    /// Look up at the server whether the effects of a run are there, and record it for each row
    ///
    /// Looks at the server again, long after a run: are the accounts gone, the friends gone on the sides that the job
    /// names, the fields as they were set, the imports present? It only reads, within the call limits of the run, and
    /// needs no job file and no --execute. If it is stopped or killed, the same command resumes it.
    #[command(after_long_help = manual::VERIFY.help())]
    Verify(VerifyArgs),
    /// Write jobs that put back what a run with a backup removed
    ///
    /// Reads the files of a backup and writes a folder with ordinary jobs: friend_import for friends and account_import
    /// for accounts. It sends nothing: `imbulk plan` and `imbulk run` take the jobs like any others. It says what
    /// cannot be restored.
    #[command(after_long_help = manual::RESTORE.help())]
    Restore(RestoreArgs),
    /// Certify a finished run, or prove the row of one account without revealing another one
    ///
    /// Writes a statement about a finished run to FILE, with the root of a Merkle tree over its rows and the hash of
    /// the previous certificate, and its signature to FILE.sig. With --prove, writes the proof of one account. Nothing
    /// is sent.
    #[command(after_long_help = manual::CERTIFY.help())]
    Certify(CertifyArgs),
    /// Check a certificate, its chain and proofs, without a queue
    ///
    /// Checks the signature in FILE.sig with ssh-keygen, that the outcomes add up, that the chain of previous
    /// certificates is complete, and that proofs lead to the root. Needs no queue and no job file.
    #[command(after_long_help = manual::VERIFY_CERTIFICATE.help())]
    VerifyCertificate(VerifyCertificateArgs),
    /// Remove the rows and results of old runs from the queue
    ///
    /// Removes the rows, results and personal data of runs that ended long ago, and frees their space. The run, its
    /// dates, its numbers and a digest of its results remain. Without --execute, only shows what would be removed.
    #[command(after_long_help = manual::FORGET.help())]
    Forget(ForgetArgs),
    /// Explain an error code, all codes, or the codes of a run
    ///
    /// Explains a code: its class and what to do. With --list, all codes that imbulk knows. With the name of a run, the
    /// codes of its rows. A number is a code, unless --target is given.
    #[command(after_long_help = manual::EXPLAIN.help())]
    Explain(ExplainArgs),
    /// Start a mock server of the API on this machine
    ///
    /// Starts a mock server of the API on a loopback address and prints its URL. It checks signatures and limits as
    /// the public documentation of the API describes. Ctrl-C ends it and prints what it received, as JSON.
    #[command(after_long_help = manual::SANDBOX.help())]
    Sandbox(SandboxArgs),
    /// Print a UserSig for the admin account of a job or of the environment
    #[command(after_long_help = manual::USERSIG.help())]
    Usersig(UsersigArgs),
    /// Print a JSON schema
    ///
    /// Prints a JSON schema (draft 7) of the job file, with which editors complete keys, or of what a command prints
    /// with --json.
    #[command(after_long_help = manual::SCHEMA.help())]
    Schema {
        /// What the schema describes
        name: SchemaName,
    },
    /// Print a script that registers completions in a shell
    #[command(after_long_help = manual::COMPLETIONS.help())]
    Completions {
        /// Shell that the script is for
        shell: Shell,
    },
    /// Print a manual page, or write all pages into a folder
    #[command(after_long_help = manual::MAN.help())]
    Man(ManArgs),
}

/// Arguments of `imbulk init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the job; the job file is NAME.toml
    pub name: String,
    /// Operation of the job
    #[arg(long, value_parser = operation_names(), value_name = "OPERATION")]
    pub operation: String,
    /// Input file (CSV or JSONL) that the job is for, or a glob in quotes
    #[arg(long, value_name = "FILE")]
    pub from: Option<String>,
}

/// Arguments of `imbulk doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Job file
    #[arg(value_name = "JOB")]
    pub job: PathBuf,
    /// Check the sandbox in place of the app
    #[arg(long)]
    pub sandbox: bool,
    /// Measure with test accounts how the server answers, and print its profile
    #[arg(long)]
    pub conformance: bool,
    /// Do not ask before test accounts are created
    #[arg(long, requires = "conformance")]
    pub yes: bool,
}

/// What a JSON schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// The job file
    Job,
    /// What `imbulk plan JOB --json` prints, and `imbulk run JOB --json` without --execute
    Plan,
    /// What `imbulk run JOB --json` prints
    Run,
    /// What `imbulk status --json` prints
    Status,
    /// What `imbulk retry NAME --json` prints
    Retry,
    /// What `imbulk verify NAME --json` prints
    Verify,
    /// What `imbulk forget --run NAME --json` prints
    Forget,
    /// What `imbulk report NAME --output run.json` writes
    Report,
    /// What `imbulk history ID --json` prints
    History,
    /// The file `sums.json` of `imbulk results NAME --split DIR`
    Split,
    /// What `imbulk explain CODE --json` prints
    Explain,
    /// The statement that `imbulk certify` writes
    Certificate,
    /// What the command of `notify.command` receives
    Notification,
}

/// Arguments of `imbulk run`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct RunArgs {
    /// Job files; jobs of one app share its call limits
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
    /// Finish only the oldest unfinished run, also one that a person or a guard ended
    #[arg(long, conflicts_with = "again")]
    pub resume: bool,
    /// Send exactly the plan with this id (from `imbulk plan`), or nothing
    #[arg(long, value_name = "ID")]
    pub plan: Option<String>,
    /// Approval of that plan, which a second person has signed (guard.approval)
    ///
    /// The file that `imbulk plan JOB --approval-request FILE --key KEY` wrote. The signature of the second person is
    /// beside it, in FILE.sig.
    #[arg(long, value_name = "FILE", requires = "plan", conflicts_with = "sandbox")]
    pub approval: Option<PathBuf>,
    /// Send at most N items, then stop with exit code 5
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

impl RunArgs {
    /// Whether it sends, to the app or the sandbox, instead of showing the plan.
    pub const fn sends(&self) -> bool {
        self.execute || self.sandbox
    }
}

/// Arguments of `imbulk plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Job files
    #[arg(required = true, value_name = "JOB")]
    pub jobs: Vec<PathBuf>,
    /// Also write the request that a second person signs to approve this plan (guard.approval)
    ///
    /// Writes FILE, and FILE.requester.sig with the signature of --key. The second person signs FILE with
    /// `ssh-keygen -Y sign -n imbulk-approval -f KEY FILE`, within 24 hours.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub approval_request: Option<PathBuf>,
    /// ssh key of the person who asks for the approval
    #[arg(long, value_name = "FILE", requires = "approval_request")]
    pub key: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Job name (its latest run), or the beginning of a run id (4 characters or more)
    pub name: Option<String>,
    /// Target of the run, if the job has several: an SDKAppID, `sandbox` or `loopback`
    #[arg(long, requires = "name", value_name = "TARGET")]
    pub target: Option<String>,
    /// Update every 2 seconds, until no process works on it or Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Print as JSON; with --watch, one line for each update
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// Job name (its latest run), or the beginning of a run id (4 characters or more)
    pub name: String,
    /// What to do
    #[arg(value_enum)]
    pub instruction: CtlInstruction,
    /// Calls per second for `rate`, at most `limits.calls_per_second` of the job
    #[arg(value_name = "N", required_if_eq("instruction", "rate"))]
    pub calls_per_second: Option<NonZeroU32>,
    /// Target of the run, if the job has several: an SDKAppID, `sandbox` or `loopback`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
}

/// What `imbulk ctl` is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CtlInstruction {
    /// Begin no new call; calls in flight end. A later `imbulk run` sends nothing of the run either
    Pause,
    /// End a pause
    Resume,
    /// Let calls in flight end, then end the session with exit code 5
    Drain,
    /// Send at most N calls per second
    Rate,
}

/// Arguments of `imbulk results`.
#[derive(Debug, Args)]
pub struct ResultsArgs {
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
    /// Write the columns of the input, under their own names, and after them those of imbulk
    ///
    /// Write the columns of the input, under their own names and in their own sequence, and after them those of imbulk,
    /// such as imbulk_outcome. The input must be as it was when the run was loaded.
    #[arg(long)]
    pub with_input: bool,
    /// Write a folder with one file per outcome, and their sums in sums.json
    ///
    /// Write a folder with one file per outcome, such as failed.csv, and sums.json with their numbers of rows. The
    /// folder appears as a whole. If it exists, it must be empty or of an earlier --split, which it replaces.
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pub split: Option<PathBuf>,
}

/// Format of exported results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultFormat {
    /// CSV with a header line
    Csv,
    /// One JSON object per line
    Jsonl,
}

/// Arguments of `imbulk history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Id of the account; write `--` before an id that begins with `-`
    pub id: String,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
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
    /// Only items that `imbulk verify` found contradicted, whatever their outcome
    #[arg(long, value_name = "contradicted", value_parser = contradicted, conflicts_with_all = ["outcome", "code"])]
    pub verified: Option<Verified>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Job name (its latest run), or the beginning of a run id (4 characters or more)
    pub name: String,
    /// Target of the run, if the job has several: an SDKAppID or `loopback`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Look up rows with these outcomes: succeeded, already_done, failed or in_doubt
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "succeeded,already_done",
        value_parser = verifiable,
        value_name = "OUTCOME,…"
    )]
    pub outcome: Vec<Outcome>,
    /// Look up only N random items
    #[arg(long, value_name = "N")]
    pub sample: Option<NonZeroU64>,
    /// Seed of the random choice: the same seed chooses the same items [default: random]
    #[arg(long, value_name = "N", requires = "sample")]
    pub seed: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Files of the backup of one run; its other files beside the first one are read as well
    #[arg(required = true, value_name = "BACKUP")]
    pub backup: Vec<PathBuf>,
    /// Folder to create, which must not exist [default: JOB-restore]
    #[arg(long, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Read damaged and incomplete files as far as possible
    #[arg(long)]
    pub incomplete: bool,
}

/// Arguments of `imbulk explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Error code, such as 70107, or a job name (its latest run), or the beginning of a run id
    #[arg(value_name = "CODE|NAME", allow_negative_numbers = true, required_unless_present = "list")]
    pub subject: Option<String>,
    /// All codes that imbulk knows
    #[arg(long, conflicts_with = "subject")]
    pub list: bool,
    /// Only codes that can have this class
    #[arg(long, requires = "list", value_parser = PossibleValuesParser::new(ErrorClass::NAMES), value_name = "CLASS")]
    pub class: Option<String>,
    /// Target of the run, if the job has several: an SDKAppID, `sandbox` or `loopback`
    #[arg(long, requires = "subject", value_name = "TARGET")]
    pub target: Option<String>,
    /// Language of the text; JSON is English
    #[arg(long, value_enum, default_value_t, value_name = "LANGUAGE", conflicts_with = "json")]
    pub lang: Language,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `imbulk usersig`.
#[derive(Debug, Args)]
pub struct UsersigArgs {
    /// Job file that names the app [default: the environment]
    pub job: Option<PathBuf>,
}

/// Arguments of `imbulk man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Subcommand whose page is printed [default: the program]
    #[arg(value_name = "SUBCOMMAND", value_parser = PossibleValuesParser::new(subcommand_names()))]
    pub subcommand: Option<String>,
    /// Write the pages of the program and of all subcommands into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "subcommand")]
    pub output: Option<PathBuf>,
}

const GLOBAL: &str = "Global options";

/// Every subcommand that has a manual page of its own.
fn subcommand_names() -> impl Iterator<Item = &'static str> {
    manual::ALL.iter().map(|manual| manual.name).filter(|name| !name.is_empty())
}

fn operation_names() -> Vec<&'static str> {
    operation::ALL.iter().map(|operation| operation.name).collect()
}

fn retried(name: &str) -> Result<Outcome, String> {
    match name.parse() {
        Ok(outcome @ (Outcome::Failed | Outcome::InDoubt)) => Ok(outcome),
        Ok(_) | Err(_) => Err("expected failed or in_doubt: only these items can be sent again".to_owned()),
    }
}

fn contradicted(name: &str) -> Result<Verified, String> {
    match name.parse() {
        Ok(verified @ Verified::Contradicted) => Ok(verified),
        Ok(_) | Err(_) => Err("expected contradicted: only these items need another call".to_owned()),
    }
}

fn verifiable(name: &str) -> Result<Outcome, String> {
    match name.parse() {
        Ok(outcome @ (Outcome::Succeeded | Outcome::AlreadyDone | Outcome::Failed | Outcome::InDoubt)) => Ok(outcome),
        Ok(_) | Err(_) => {
            Err("expected succeeded, already_done, failed or in_doubt: only these rows were sent".to_owned())
        }
    }
}

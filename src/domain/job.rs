//! A job: the checked content of a job file, with every default filled in.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::operation::{BoundOperation, Preparations};
use super::rate_limit::calls_per_day::CallsPerDay;
use super::report_file::JobReportFile;
use super::time_limit::{TimeLimits, TimeOfDayLimit};

/// The content of a job file.
#[derive(Debug, Clone)]
pub struct Job {
    /// The name by which its runs are found.
    pub name: String,
    /// The job file, as named on the command line.
    pub file: PathBuf,
    /// Of several jobs of one command, those with a higher priority are sent first.
    pub priority: u64,
    /// The kind of API call, with the job's options.
    pub operation: BoundOperation,
    /// The input files and how they are read.
    pub input: InputSettings,
    /// The app, as the environment and the job file name it. Only the sandbox works without one.
    pub app: App,
    /// The app as the job file names it, whatever the environment says. Its admin stays protected.
    pub app_in_file: App,
    /// Limits of the rate and of requests in flight.
    pub limits: Limits,
    /// When a request is sent again.
    pub retry: Retry,
    /// The number of runs that failed and in-doubt rows are carried into; none: they stay in their run.
    pub carry_over: Option<NonZeroU32>,
    /// Limits that refuse or halt a run.
    pub guard: Guard,
    /// What stops a session before the run is finished.
    pub stop: Stop,
    /// How long a session may send.
    pub times: TimeLimits,
    /// What is written after a session.
    pub report: Reporting,
    /// Who is notified of a session.
    pub notify: Notify,
    /// Where the data is stored that the job changes; none: nowhere.
    pub backup: Option<Backup>,
}

/// Where the data is stored that a job changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The folder. A relative path was joined to the job file's folder.
    pub folder: PathBuf,
    /// The line of the job file that names it.
    pub line: usize,
    /// Whether the friend lists of accounts that are deleted are stored as well.
    pub with_friends: bool,
}

/// Who is notified of a session.
#[derive(Debug, Clone, Default)]
pub struct Notify {
    /// The URL of a monitoring service, which is checked. It is secret: a person who knows it can report a success.
    pub ping: Option<SecretString>,
    /// A program and its arguments; empty: none.
    pub command: Vec<String>,
    /// The folder of the job file, in which the program runs.
    pub folder: PathBuf,
}

/// What is written after a session, for people and for other programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reporting {
    /// The report on each run that was sent.
    pub file: Option<JobReportFile>,
    /// The Prometheus textfile. A relative path was joined to the job file's folder.
    pub metrics: Option<PathBuf>,
}

impl Job {
    /// The calls before each change. A resumed run may be of another operation than the job has now.
    pub fn preparations(&self, operation: BoundOperation) -> Preparations {
        Preparations {
            unless_online: self.guard.unless_online && operation.online_check,
            backup: operation.backup.filter(|_| self.backup.is_some()),
            with_friends: self.backup.as_ref().is_some_and(|backup| backup.with_friends),
        }
    }

    /// The limit of a calendar day. The day is that of the time zone of `stop.window`, if the window names one.
    pub fn calls_per_day(&self) -> Option<CallsPerDay> {
        let zone = match &self.times.daily {
            Some(TimeOfDayLimit::Window(window)) => window.zone.clone(),
            Some(TimeOfDayLimit::Until(_)) | None => None,
        };
        self.limits.calls_per_day.map(|calls| CallsPerDay { calls, zone })
    }
}

/// The input files and how they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// Files and globs. Relative ones are joined to the job file's folder, and `-` is standard input. The name of an
    /// existing file is that file, whatever characters it contains; any other name is a glob.
    pub paths: Vec<String>,
    /// The file's own column name for each column name of the API.
    pub columns: BTreeMap<String, String>,
    /// The encoding of the text.
    pub encoding: Encoding,
    /// The delimiter of CSV; none: it is detected from the header.
    pub delimiter: Option<Delimiter>,
    /// Whether rejected rows lead to exit code 3.
    pub rejects: RejectPolicy,
    /// Whether rows with an unusual id are rejected.
    pub unusual_ids: UnusualIds,
}

/// The encoding of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 with or without byte order mark.
    Utf8,
    /// GBK, as spreadsheets in China export it.
    Gbk,
}

/// The delimiter of CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// Tab
    Tab,
    /// `|`
    Pipe,
}

/// Whether rejected rows lead to exit code 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectPolicy {
    /// They count: exit code 3.
    Count,
    /// They are expected: `input.rejects = "allow"`.
    Allow,
}

/// What happens to rows with an id that no export produces on purpose (`domain::unusual_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusualIds {
    /// They are rejected.
    Reject,
    /// They are sent: `input.unusual_ids = "allow"`.
    Allow,
}

/// The app that receives the calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct App {
    /// The SDKAppID.
    pub sdkappid: Option<NonZeroU64>,
    /// The admin account that signs the calls.
    pub identifier: Option<String>,
    /// The region or URL of its servers.
    pub endpoint: Option<EndpointChoice>,
}

/// The servers of an app, as the user names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointChoice {
    /// The name of a region.
    Region(String),
    /// The URL without a path.
    Url(String),
}

/// Limits of the rate and of requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls per second of the operation's API command.
    pub calls_per_second: NonZeroU32,
    /// Calls per second of all commands to the app.
    pub app_calls_per_second: NonZeroU32,
    /// Calls of all commands to the app on one calendar day; none: no limit.
    pub calls_per_day: Option<NonZeroU64>,
    /// The maximum of requests in flight; none: the schedule finds it.
    pub max_in_flight: Option<NonZeroU32>,
}

/// When a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The maximum of attempts, the first one included.
    pub max_attempts: NonZeroU32,
    /// The upper bound of the random delay before the first repetition.
    pub base_delay: Duration,
    /// The upper bound of every delay.
    pub max_delay: Duration,
}

/// Limits that refuse a run before anything is sent, or halt it.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// The accounts that are never sent; none if the job does not say.
    pub protected: Option<Protection>,
    /// The minimum of items.
    pub min_items: Option<NonZeroU64>,
    /// The maximum of items.
    pub max_items: Option<NonZeroU64>,
    /// The maximum of items as a multiple of the median of the last runs.
    pub max_change: Option<f64>,
    /// The maximum share of rejected rows, from 0 to 1. Without it a tenth is allowed, and one row in any case.
    pub max_rejected: Option<f64>,
    /// The share of `already_done` items (above 0, at most 1) at which the run halts.
    pub max_already_done: Option<f64>,
    /// Items of the canary, which must have outcomes before the rest is sent; 0: no canary; none: the target decides.
    pub canary: Option<u64>,
    /// The minimum age of a planned run before it is sent.
    pub hold: Option<Duration>,
    /// The keys that may approve a run, in a file as `ssh-keygen -Y verify` reads it; none: no approval is required.
    pub approval: Option<PathBuf>,
    /// Whether accounts that are online are left out, which a call before each change asks.
    pub unless_online: bool,
}

/// The accounts that are never sent, as the job names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// The ids in a file, one per line, with `*` as a wildcard.
    File {
        /// The file. A relative path was joined to the job file's folder.
        path: PathBuf,
        /// The line of the job file that names it, from 1.
        line: usize,
    },
    /// `[]`: only the admin accounts, on purpose.
    Nobody,
}

/// What stops a session before the run is finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    /// The fuse: the share of failed items (above 0, at most 1) at which the run halts.
    pub failed_share: f64,
    /// Items that must have an outcome before the fuse and `max_already_done` are checked.
    pub after_items: u64,
    /// The duration of an outage after which the run halts; none: the session continues to probe.
    pub outage: Option<Duration>,
}

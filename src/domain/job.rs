//! A job: what the user asks for, complete and checked, with every default filled in.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use super::operation::{DeleteType, Operation};

/// A job file, read.
#[derive(Debug, Clone)]
pub struct Job {
    /// The name under which its runs are found.
    pub name: String,
    /// The job file, as it was named on the command line.
    pub file: PathBuf,
    /// The command of the API.
    pub operation: &'static dyn Operation,
    /// Which side a delete removes; `Single` and without meaning for operations that take none.
    pub delete_type: DeleteType,
    /// Where the rows come from.
    pub input: Input,
    /// The app, if the job file or the environment names one (`usersig` and real runs need it).
    pub app: App,
    /// The admin that the job file names, where the environment names another one. It stays protected.
    pub replaced_admin: Option<String>,
    /// How fast.
    pub limits: Limits,
    /// How often again.
    pub retry: Retry,
    /// What must hold before anything is sent.
    pub guard: Guard,
    /// When to stop early.
    pub stop: Stop,
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Files and globs, relative ones already joined to the job file's folder; `-` is standard input. What names
    /// an existing file is that file, whatever characters it has; else it is a glob.
    pub paths: Vec<String>,
    /// The API's column name → the file's own.
    pub columns: BTreeMap<String, String>,
    /// How text is encoded.
    pub encoding: Encoding,
    /// What parts the cells of CSV; found from the header where the job is silent.
    pub delimiter: Option<Delimiter>,
    /// Whether rejected rows make the run end with exit code 3.
    pub rejects: Rejects,
    /// What becomes of rows with an id that no export produces on purpose.
    pub unusual_ids: UnusualIds,
}

/// How the text of the input is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 with or without byte order mark.
    Utf8,
    /// GBK, as spreadsheets in China export it.
    Gbk,
}

/// What parts the cells of CSV.
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

/// What rejected rows mean for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejects {
    /// They count: exit code 3.
    Count,
    /// They are expected: `input.rejects = "allow"`.
    Allow,
}

/// What becomes of rows with an id that no export produces on purpose (`domain::unusual_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusualIds {
    /// They are rejected.
    Reject,
    /// They are sent: `input.unusual_ids = "allow"`.
    Allow,
}

/// The app that is written to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct App {
    /// The console's number of the app.
    pub sdkappid: Option<NonZeroU64>,
    /// The admin account that signs the calls.
    pub identifier: Option<String>,
    /// Where the app lives.
    pub endpoint: Option<EndpointChoice>,
}

/// Where an app lives, as the user said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointChoice {
    /// The name of a region.
    Region(String),
    /// The URL up to the path.
    Url(String),
}

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls a second of this operation's command.
    pub calls_per_second: NonZeroU32,
    /// Calls a second of everything that this app is sent.
    pub app_calls_per_second: NonZeroU32,
    /// The most requests in flight; left out: found by the runner.
    pub max_in_flight: Option<NonZeroU32>,
}

/// How often again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts that count, the first one included.
    pub max_attempts: NonZeroU32,
    /// The delay before the first repetition is drawn from 0 to this.
    pub base_delay: Duration,
    /// No delay is longer than this.
    pub max_delay: Duration,
}

/// What must hold before anything is sent, and while the first requests are.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// Who is never sent; none where the job does not say.
    pub protected: Option<Protection>,
    /// Fewer items than this: nothing is sent.
    pub min_items: Option<NonZeroU64>,
    /// More items than this: nothing is sent.
    pub max_items: Option<NonZeroU64>,
    /// More than this many times the median of the last runs: nothing is sent.
    pub max_change: Option<f64>,
    /// A larger share of rejected rows (0 to 1): nothing is sent.
    pub max_rejected: f64,
    /// The share of `already_done` items (above 0, at most 1) at which the run halts.
    pub max_already_done: Option<f64>,
    /// Items of the requests that are judged before the rest is sent; 0: none are; left out: it depends on the target.
    pub canary: Option<u64>,
    /// A planned run is not sent before it is this old.
    pub hold: Option<Duration>,
}

/// Who is never sent, as the job says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// The ids in this file, one per line, `*` allowed; a relative path is already joined.
    File(PathBuf),
    /// `[]`: nobody but the admins, on purpose.
    Nobody,
}

/// When to stop early.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    /// The fuse: the share of failed items (above 0, at most 1) from which the run halts.
    pub failed_share: f64,
    /// The fuse and `max_already_done` are evaluated once this many items have an outcome.
    pub after_items: u64,
    /// Nothing has worked for so long: the run halts; none: it goes on probing.
    pub outage: Option<Duration>,
    /// Local time of day at which the run drains.
    pub until: Option<TimeOfDay>,
}

/// A time of day, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay {
    /// 0 to 23
    pub hour: u8,
    /// 0 to 59
    pub minute: u8,
}

//! Runs as callers see them.

use std::num::NonZeroU32;

use super::carried::StoredCarry;
use super::largest_accounts::LargeAccount;
use super::used_file::UsedFile;
use crate::domain::call_settings::CallSettings;
use crate::domain::heartbeat::Heartbeat;
use crate::domain::hint::Message;
use crate::domain::ids::RunId;
use crate::domain::operation::BoundOperation;
use crate::domain::run_choice::{EndedBy, RunProgress};
use crate::domain::target::RunTarget;

/// Why a run ended whose session stored no reason.
pub const KILLED: &str = "the process was killed, the machine went down, or an error kept it from storing why it ended";

/// A run that is about to be loaded.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The id that users see.
    pub uuid: String,
    /// The job's name.
    pub job: String,
    /// The target: `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    pub target: RunTarget,
    /// The operation with its options.
    pub operation: BoundOperation,
    /// Digest of the parts of the job that decide what its input means.
    pub definition_digest: String,
    /// Digest of the input's bytes.
    pub input_digest: String,
    /// Names, sizes and times of the input's files; none if the input was standard input or another stream.
    pub file_stamps: Option<String>,
    /// Digest of the protected list.
    pub protected_digest: String,
    /// The files that it is loaded from.
    pub files: Vec<UsedFile>,
    /// The input's files, as results name them.
    pub sources: Vec<String>,
    /// The run whose failed and in-doubt rows it takes over.
    pub carries: Option<CarrySource>,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// The run whose failed and in-doubt rows are carried over.
#[derive(Debug, Clone, PartialEq)]
pub struct CarrySource {
    /// The run.
    pub run: Run,
    /// Rows that were carried over this many times stay in the run.
    pub nights: NonZeroU32,
    /// Digest of everything that decides which rows these are.
    pub digest: String,
}

/// A run in the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The id that users see.
    pub uuid: String,
    /// The job's name.
    pub job: String,
    /// The target: `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    pub target: RunTarget,
    /// The operation with its options.
    pub operation: BoundOperation,
    /// Digest of the parts of the job that decide what its input means.
    pub definition_digest: String,
    /// Digest of the input's bytes.
    pub input_digest: String,
    /// Names, sizes and times of the input's files; none if the input was standard input or another stream.
    pub file_stamps: Option<String>,
    /// Digest of the protected list that its pending rows were compared with; empty after a retry.
    pub protected_digest: String,
    pub(super) files: Vec<UsedFile>,
    pub(super) fields: Vec<String>,
    pub(super) largest_accounts: Vec<LargeAccount>,
    pub(super) state: RunState,
    /// Digest of the job's limits, retries, guards, stops, rejects and backup, and of endpoint and admin, as of the
    /// last session.
    pub settings_digest: Option<String>,
    /// How the last session called the API; none before the first one, and for sessions of earlier versions.
    pub call_settings: Option<CallSettings>,
    /// Why the last session ended before the run did.
    pub end_reason: Option<Message>,
    /// The kind of that reason; none while a session is sending, and after one that could not store why it ended.
    pub(super) ended_by: Option<EndedBy>,
    /// The progress, stored about once a second while a session sends.
    pub heartbeat: Option<Heartbeat>,
    /// Rows of the input, and rows that were carried over.
    pub row_count: i64,
    /// Items to be sent.
    pub item_count: i64,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub started_at: Option<i64>,
    /// Milliseconds since 1970.
    pub finished_at: Option<i64>,
    /// When the end of the last session was stored, or when the run was superseded, in milliseconds since 1970.
    pub ended_at: Option<i64>,
    /// The rows that it has taken over from an earlier run; none if there were none to look at.
    pub carried: Option<StoredCarry>,
    /// What remains of its rows, if `imbulk forget` removed them.
    pub forgotten: Option<Forgotten>,
}

/// What remains of the rows of a forgotten run, beside their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// When they were removed, in milliseconds since 1970.
    pub at: i64,
    /// The BLAKE3 digest of the results that `imbulk results` would have exported as CSV.
    pub results: String,
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Its input is being read. Only the loader sees it.
    Loading,
    /// Loaded; nothing was sent.
    Planned,
    /// Begun, and not finished.
    Running,
    /// Every row has an outcome.
    Finished,
    /// Given up for a newer run before it was finished.
    Superseded,
}

impl RunState {
    const ALL: [Self; 5] = [Self::Loading, Self::Planned, Self::Running, Self::Finished, Self::Superseded];

    /// The name in the queue and in `imbulk status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Superseded => "superseded",
        }
    }

    /// The state with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl Run {
    /// Its state.
    pub const fn state(&self) -> RunState {
        self.state
    }

    /// Whether its last session stored why it ended before the run did.
    pub const fn has_ended(&self) -> bool {
        self.ended_by.is_some()
    }

    /// What ended the last session of a run that is not finished. A session that could not store its end was killed.
    pub fn ended_by(&self) -> EndedBy {
        self.ended_by.unwrap_or(EndedBy::Kill)
    }

    /// When it was finished or superseded, or when it was last worked on, in milliseconds since 1970.
    pub fn last_used_at(&self) -> i64 {
        let seen = self.heartbeat.as_ref().map(|heartbeat| heartbeat.at);
        [self.finished_at, self.ended_at, seen, self.started_at].into_iter().flatten().max().unwrap_or(self.created_at)
    }

    /// Its progress, as far as it decides about the next session.
    pub fn progress(&self) -> RunProgress {
        match self.state {
            RunState::Loading | RunState::Planned => RunProgress::Planned,
            RunState::Running => RunProgress::Unfinished(self.ended_by()),
            RunState::Finished => RunProgress::Finished,
            RunState::Superseded => RunProgress::Superseded,
        }
    }

    /// The items that its input names. The others were only carried over.
    pub fn items_of_input(&self) -> u64 {
        let carried = self.carried.as_ref().map_or(0, |carried| carried.over.items);
        self.item_count.cast_unsigned().saturating_sub(carried)
    }

    /// The rows of its input. The others were carried over.
    pub fn rows_of_input(&self) -> u64 {
        let carried = self.carried.as_ref().map_or(0, |carried| carried.over.rows);
        self.row_count.cast_unsigned().saturating_sub(carried)
    }

    /// The files that it was loaded from.
    pub fn files(&self) -> &[UsedFile] {
        &self.files
    }

    /// The fields that its rows set, in the sequence of the results file.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The From_Accounts with the most items, as loaded, the largest first; none for operations without pairs.
    pub fn largest_accounts(&self) -> &[LargeAccount] {
        &self.largest_accounts
    }
}

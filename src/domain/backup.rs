//! What a backup file holds. The form is in docs/reference/backup.md.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::RunId;
use super::operation::ShownFields;
use super::target::RunTarget;

/// The schema of backup files.
pub const SCHEMA: &str = "imbulk-backup-1";

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BackupFileLine {
    /// The first line.
    Header(BackupHeader),
    /// The last line of a file that was completed.
    End(BackupEnd),
    /// A line between them.
    #[serde(untagged)]
    Item(BackupLine),
}

/// The first line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    /// [`SCHEMA`].
    pub schema: String,
    /// The name of the job.
    pub job: String,
    /// The id of the run.
    pub run: String,
    /// `sandbox`, the SDKAppID, or the SDKAppID with ` on loopback`.
    pub target: RunTarget,
    /// Scheme, host and port of the server.
    pub endpoint: String,
    /// The admin account that signed the calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// The name of the operation.
    pub operation: String,
    /// Its options and their values.
    pub options: BTreeMap<String, String>,
    /// When the session began to send, in RFC 3339.
    pub began_at: String,
}

/// One friend or profile that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BackupLine {
    /// `to` is on the friend list of `from`.
    Friend {
        /// The owner of the list.
        from: String,
        /// The friend.
        to: String,
        /// The fields of the friend.
        fields: ShownFields,
        /// Whether no earlier call of the run can have changed them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unchanged: bool,
    },
    /// The account exists.
    Profile {
        /// The account.
        account: String,
        /// The fields of its profile.
        fields: ShownFields,
        /// Whether no earlier call of the run can have changed them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unchanged: bool,
    },
}

/// A part of a file that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPart {
    /// The run.
    pub run: RunId,
    /// The path of the file.
    pub file: String,
    /// Where it begins.
    pub first_byte: u64,
    /// Its length.
    pub bytes: u64,
    /// The number of its lines, without a header.
    pub lines: u64,
    /// The BLAKE3 hash of its bytes, in hexadecimal.
    pub blake3: String,
}

/// The last line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupEnd {
    /// The number of lines before it.
    pub lines: u64,
    /// The BLAKE3 hash of these lines, in hexadecimal.
    pub blake3: String,
}

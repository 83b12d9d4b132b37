//! How a server answers where its pages are silent: the checks of `imbulk doctor JOB --conformance`, as data.
//!
//! A check is a few calls and a pure function from their answers to one text. The texts of all checks are the profile
//! of a server. They are compared with what imbulk expects, which is also what the sandbox does.

mod answer;
mod checks;
mod profile;
mod second;

pub use answer::{AccountLeft, MeasuredAnswer};
pub use checks::CHECKS;
pub use profile::{Difference, Profile};
pub use second::{Probe, SECOND_CALLS, SECOND_RATE, SecondPhase, which_second};

use serde_json::Value;

use crate::domain::operation::{Operation, ReadCommand};

/// A check: a situation, what imbulk expects in it, and how it is measured.
#[derive(Debug)]
pub struct Check {
    /// The name of the situation in a profile: the command and the situation.
    pub key: &'static str,
    /// The situation in words.
    pub situation: &'static str,
    /// The text that imbulk expects.
    pub expected: &'static str,
    /// How it is measured.
    pub script: Script,
}

/// How a check is measured.
#[derive(Debug)]
pub enum Script {
    /// Calls one after another. The first function makes the next call from the answers so far, or none at the end. The
    /// second function reads the text from all answers; none if they do not show it.
    Sequence(
        fn(&TestAccounts, &[MeasuredAnswer]) -> Option<Ask>,
        fn(&TestAccounts, &[MeasuredAnswer]) -> Option<String>,
    ),
    /// Many calls of `account_check` across the end of a second of the server's clock.
    Second,
}

/// One call of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The command.
    pub command: ApiCommand,
    /// The body.
    pub body: Body,
    /// Who signs it, and how.
    pub signed: Signed,
}

/// A command of the API that checks use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiCommand {
    /// A command that changes accounts or friends.
    Change(&'static Operation),
    /// A read-only command.
    Read(ReadCommand),
}

impl ApiCommand {
    /// The name under which all processes of the machine share the limit of the command.
    pub fn limit_name(self) -> &'static str {
        match self {
            Self::Change(operation) => operation.name,
            Self::Read(command) => command.name,
        }
    }

    /// The path below the endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Self::Change(operation) => operation.path,
            Self::Read(command) => command.path,
        }
    }

    /// The published limit of calls per second.
    pub fn calls_per_second(self) -> u32 {
        match self {
            Self::Change(operation) => operation.calls_per_second,
            Self::Read(command) => command.calls_per_second,
        }
    }

    /// One item more than a call may have.
    fn too_many_items(self) -> usize {
        let allowed = match self {
            Self::Change(operation) => operation.items_per_request,
            Self::Read(command) => command.items_per_request,
        };
        allowed + 1
    }
}

/// The body of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// JSON.
    Json(Value),
    /// JSON, followed by blanks up to this size in bytes.
    Padded(Value, usize),
    /// Text that is not JSON.
    Text(&'static str),
}

impl Body {
    /// The bytes that are sent.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Json(body) => body.to_string().into_bytes(),
            Self::Padded(body, size) => {
                let mut bytes = body.to_string().into_bytes();
                bytes.resize(bytes.len().max(*size), b' ');
                bytes
            }
            Self::Text(text) => text.as_bytes().to_vec(),
        }
    }
}

/// Who signs a call, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The admin, as every call of imbulk.
    Usually,
    /// The admin, with a signature that is valid for a minute.
    ForAMinute,
    /// The admin, with a signature that has expired.
    Expired,
    /// An account that is not an admin.
    ByTestAccount,
}

/// The names of the test accounts, which begin with a prefix of their own.
#[derive(Debug)]
pub struct TestAccounts {
    prefix: String,
}

/// Accounts that exist before the first check.
const PRESENT: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
/// Accounts that no check imports. `A` differs from `a` in case alone.
const ABSENT: [&str; 4] = ["x", "y", "z", "A"];
/// Accounts that exist, for a long friend list: more than one page of `friend_get` by the pages.
pub(crate) const LISTED: usize = 105;

/// The most calls of an examination: those of the checks, of `rate.second`, and of the accounts.
pub const MAX_CALLS: usize = 300;
/// Calls that may be needed to know when a second of the server's clock begins.
pub const LOOKUPS_FOR_PHASE: usize = 15;
/// How often an account is deleted at the end, until the server says that it is gone. Nothing else removes it.
pub const MAX_DELETIONS: usize = 5;

impl TestAccounts {
    /// Accounts for one examination. `number` should be random, so that no earlier examination had it.
    pub fn new(number: u32) -> Self {
        Self { prefix: format!("imbulk-check-{number}-") }
    }

    /// What all names begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// One account.
    pub fn name(&self, short: &str) -> String {
        format!("{}{short}", self.prefix)
    }

    pub(super) fn numbered(&self, letter: &str, count: usize) -> Vec<String> {
        (0..count).map(|number| self.name(&format!("{letter}{number}"))).collect()
    }

    /// The accounts of a long friend list.
    pub fn listed(&self) -> Vec<String> {
        self.numbered("p", LISTED)
    }

    /// The accounts that exist before the first check.
    pub fn present(&self) -> Vec<String> {
        PRESENT.iter().map(|short| self.name(short)).collect()
    }

    /// The call that deletes accounts.
    pub fn deletion(ids: &[String]) -> Ask {
        checks::delete(ids)
    }

    /// The call that imports accounts.
    pub fn import(ids: &[String]) -> Ask {
        checks::import(ids)
    }

    /// The call of which many are sent for [`Script::Second`].
    pub fn lookup(&self) -> Ask {
        checks::check(&[self.name("a")])
    }

    /// Every account that may exist after the last check, at any server.
    pub fn all(&self) -> Vec<String> {
        let absent = ABSENT.iter().map(|short| self.name(short));
        self.present().into_iter().chain(absent).chain(self.listed()).chain(checks::too_many_imported(self)).collect()
    }
}

#[cfg(test)]
mod tests;

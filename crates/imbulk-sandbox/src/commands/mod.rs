//! The commands of the API that the sandbox knows: one file each, with its fields, checks, codes, effect and answer.
//!
//! A new command is a new file here, its `mod` line, and its line in the list below.

mod account_check;
mod account_delete;
mod friend_check;
mod friend_delete;
mod friend_delete_all;
mod friend_get;
mod friend_get_list;
mod friend_import;
mod friend_update;
mod multiaccount_import;
mod portrait_get;
mod query_online_status;
mod relation;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::answer::MockItem;
use crate::fault_rule::{FaultKind, Needs};
use crate::json::Json;
use crate::key::Key;
use crate::refusal::Refusal;
use crate::request::{Item, ParsedRequest};
use crate::world::{Extent, World};

/// Declares [`Command`] from pairs of a variant and its file. The file's name is the name of the command.
macro_rules! commands {
    ($($variant:ident = $file:ident),* $(,)?) => {
        /// A command of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "each variant is documented in its file")]
        pub enum Command {
            $($variant),*
        }

        impl Command {
            /// All of them.
            pub const ALL: [Self; [$(stringify!($file)),*].len()] = [$(Self::$variant),*];

            /// The last segment of the path, which is also the name in fault rules and reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($file)),*
                }
            }

            pub(crate) const fn definition(self) -> &'static Definition {
                match self {
                    $(Self::$variant => &$file::COMMAND),*
                }
            }
        }
    };
}

commands! {
    AccountCheck = account_check,
    AccountDelete = account_delete,
    FriendDelete = friend_delete,
    FriendDeleteAll = friend_delete_all,
    FriendUpdate = friend_update,
    FriendImport = friend_import,
    FriendCheck = friend_check,
    FriendGet = friend_get,
    FriendGetList = friend_get_list,
    PortraitGet = portrait_get,
    QueryOnlineStatus = query_online_status,
    AccountImport = multiaccount_import,
}

/// What is particular to one command.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The path of the URL.
    path: &'static str,
    /// The published cap of the command.
    pub(crate) calls_per_second: u32,
    /// Reads a body. The error has the code that the page gives for the first broken rule.
    pub(crate) parse: fn(&Json<'_>) -> Result<ParsedRequest, Refusal>,
    /// The accounts that the call writes.
    pub(crate) written_accounts: fn(&World, &ParsedRequest) -> Vec<Key>,
    /// What it does with each item.
    pub(crate) access: Access,
    /// How the answer reports on the items.
    pub(crate) answer: AnswerForm,
    /// Whether answers have an `ErrorDisplay`: those of `sns` and `profile` do.
    pub(crate) error_display: bool,
}

/// What a command does with an item.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Writes it, in full or in part.
    Write(fn(&mut World, &ParsedRequest, &Item, Extent) -> Result<(), Refusal>),
    /// Looks it up.
    Read(fn(&World, &ParsedRequest, &Item) -> Result<Found, Refusal>),
}

/// What a read-only command found of an item: a word or JSON, from which its file makes the answer.
pub(crate) type Found = Cow<'static, str>;

/// How the answer of a command reports on its items.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnswerForm {
    /// The body of an answer that lists these items.
    Items(fn(&[MockItem]) -> Vec<u8>),
    /// The body of an answer that names those of these items that failed, without codes.
    Failures(fn(&[MockItem]) -> Vec<u8>),
    /// One verdict for the request, which has one item.
    Whole,
}

impl Command {
    /// The path of the URL.
    pub const fn path(self) -> &'static str {
        self.definition().path
    }

    /// Whether it only reads, so that its items are not written and not counted in the world.
    pub const fn reads_only(self) -> bool {
        matches!(self.definition().access, Access::Read(_))
    }

    /// Whether its answers can show a fault of this kind.
    pub(crate) const fn shows(self, kind: &FaultKind) -> bool {
        match self.definition().answer {
            AnswerForm::Items(_) => true,
            AnswerForm::Failures(_) => matches!(kind.needs(), Needs::Nothing | Needs::FailedItems),
            AnswerForm::Whole => matches!(kind.needs(), Needs::Nothing),
        }
    }

    pub(crate) fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.path() == path)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::answer::MockAnswer;
    use crate::effect::{ItemEffect, apply};
    use serde_json::Value;

    /// The code with which a body is refused; 0 if it is accepted.
    pub(crate) fn code(command: Command, body: &Value) -> u32 {
        ParsedRequest::read(command, body.to_string().as_bytes()).map_or_else(|refusal| refusal.code, |_| 0)
    }

    pub(crate) fn ids(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("u{i}")).collect()
    }

    /// Carries out a call.
    pub(crate) fn applied(world: &mut World, command: Command, body: &Value) -> MockAnswer {
        let request = ParsedRequest::read(command, body.to_string().as_bytes()).unwrap();
        apply(world, command, &request, |_| ItemEffect::Written).0
    }

    /// The answer to a call of a read-only command, which must not count as written.
    pub(crate) fn found(world: &mut World, command: Command, body: &Value) -> Value {
        let request = ParsedRequest::read(command, body.to_string().as_bytes()).unwrap();
        let (MockAnswer::Items(items), 0) = apply(world, command, &request, |_| ItemEffect::Written) else {
            panic!("{command:?} only reads, and lists its items");
        };
        serde_json::from_str(&answer(command, &items)).unwrap()
    }

    /// The body of an answer that lists these items.
    pub(crate) fn answer(command: Command, items: &[MockItem]) -> String {
        let (AnswerForm::Items(body) | AnswerForm::Failures(body)) = command.definition().answer else {
            panic!("{command:?} names no items")
        };
        String::from_utf8(body(items)).unwrap()
    }
}

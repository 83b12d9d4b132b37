//! The operations of imbulk, as data. Each is one file, which has everything that only this operation needs.
//!
//! A new operation is a new file here and its line in [`ALL`] (docs/guides/add-an-operation.md). Columns, checks,
//! JSONL rows, request bodies, results and the treatment of "already done" codes follow from its [`Operation`].

mod account_delete;
mod account_import;
mod body;
mod bound;
pub mod field_names;
mod fields;
mod friend_delete;
mod friend_delete_all;
mod friend_import;
mod friend_update;
mod lookup;
mod preparation;
mod read_answer;
pub mod read_command;
mod state_seen;

pub(crate) use account_delete::OPERATION as ACCOUNT_DELETE;
pub(crate) use account_import::OPERATION as ACCOUNT_IMPORT;
pub use bound::{BindError, BoundOperation};
pub use fields::{
    Field, FieldError, FieldFamily, FieldKind, FieldLack, FieldName, FieldsRequired, LIST_SEPARATOR, to_json,
};
pub(crate) use friend_delete::OPERATION as FRIEND_DELETE;
pub(crate) use friend_delete_all::OPERATION as FRIEND_DELETE_ALL;
pub(crate) use friend_import::OPERATION as FRIEND_IMPORT;
pub(crate) use friend_update::OPERATION as FRIEND_UPDATE;
pub use lookup::LookupKind;
pub use preparation::{BackupSource, OnlineStatus, Preparation, PreparationCalls, Preparations};
pub use read_answer::{FriendPage, ListedFriend, ShownFields, ShownItem, shown_items};
pub use read_command::{PROFILE_TAGS, ReadCommand};
pub use state_seen::{LookupFinding, StateSeen};

use super::language::Translated;
use super::request::{AccountKeys, Request};

/// Every operation, in the order in which help lists them.
pub const ALL: &[&Operation] = &[
    &account_delete::OPERATION,
    &friend_delete::OPERATION,
    &friend_delete_all::OPERATION,
    &friend_update::OPERATION,
    &friend_import::OPERATION,
    &account_import::OPERATION,
];

/// The operation of this name.
pub fn by_name(name: &str) -> Option<&'static Operation> {
    ALL.iter().copied().find(|operation| operation.name == name)
}

/// One command of the API: what its page says, and what imbulk makes of it.
#[derive(Debug)]
pub struct Operation {
    /// The name in job files.
    pub name: &'static str,
    /// The path of the command below the endpoint, without a leading slash.
    pub path: &'static str,
    /// The maximum number of items in one call.
    pub items_per_request: usize,
    /// The maximum number of calls per second that the command's page allows one app.
    pub calls_per_second: u32,
    /// How its rows look in the input, and its items in a request body.
    pub shape: InputShape,
    /// The keys that a job may set under `[options]`.
    pub options: &'static [JobOption],
    /// What was done with the items that succeeded, in the words of a report: `accounts deleted`.
    pub effect: Translated,
    /// Whether a job on a real app must name its protected accounts.
    pub protected_list: ProtectedList,
    /// Whether its items exist before a call.
    pub items_before: ItemsBefore,
    /// The accounts that a call writes, of those that its request names.
    pub writes: fn(BoundOperation, &Request) -> AccountKeys,
    /// How the answer reports on the items.
    pub answer: AnswerShape,
    /// What an answer proves by which the requested state existed already.
    pub already_done: AlreadyDone,
    /// The lookup that shows whether the requested state is there: it settles doubts during a run, and `imbulk verify`
    /// uses it later. None if no read-only command shows it.
    pub lookup: Option<LookupKind>,
    /// Whether a job may set `guard.unless_online`: its items are accounts that can be online.
    pub online_check: bool,
    /// What a job with `backup.path` reads before its changes; none if they cannot change what exists.
    pub backup: Option<BackupSource>,
}

/// Operations are compared by name: each name occurs once in [`ALL`].
impl PartialEq for Operation {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Operation {}

impl Operation {
    /// Whether its items belong to a From_Account, or are From_Accounts themselves.
    pub fn names_from_account(&self) -> bool {
        self.shape.columns().any(|column| column == "From_Account")
    }
}

/// A key of `[options]` in job files, and the field of the request body that it sets.
#[derive(Debug)]
pub struct JobOption {
    /// The key in job files.
    pub name: &'static str,
    /// The field of the request body.
    pub field: &'static str,
    /// The allowed values.
    pub values: &'static [OptionValue],
    /// The value for jobs that set none; `None` makes the option required.
    pub default: Option<&'static str>,
}

/// An allowed value of an option.
#[derive(Debug)]
pub struct OptionValue {
    /// The value in job files.
    pub name: &'static str,
    /// The value in the request body.
    pub api: &'static str,
    /// What it does, as a fragment for hints.
    pub effect: &'static str,
}

/// Whether the items of an operation exist before a call. The sandbox of `--sandbox` starts with most items in this
/// state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemsBefore {
    /// A call deletes or changes them.
    Exist,
    /// A call creates them.
    Missing,
}

/// Whether a job on a real app must name its protected accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectedList {
    /// The effect cannot be undone, so the job must say who is protected.
    Required,
    /// The job may name one.
    Optional,
}

/// How the answer reports on the items of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerShape {
    /// `ResultItem` has an object for each item.
    Items {
        /// The field of the object that names the item.
        key: &'static str,
    },
    /// `FailAccounts` names the items that failed, without codes. The others succeeded.
    Failures,
    /// `ErrorCode` alone: a request has one item.
    Whole,
}

/// What an answer proves by which the requested state existed already.
#[derive(Debug, Clone, Copy)]
pub struct AlreadyDone {
    /// The codes of such answers.
    pub codes: &'static [AlreadyDoneCode],
    /// What they prove, depending on the options.
    pub proof: fn(BoundOperation) -> Proof,
    /// Whether such an answer still proves success after a code which says that data of the item may remain.
    pub proves_after_data_left: bool,
}

impl AlreadyDone {
    /// For operations that have no such code.
    pub const NEVER: Self = Self { codes: &[], proof: |_| Proof::Complete, proves_after_data_left: false };
}

/// What the text beside code 30001 contains if the account is not on the friend list. The code alone does not say it,
/// because it is also the code for any parameter that is not valid.
///
/// Sources: the sample of page friend_get_list has `Err_SNS_FriendGetList_Friend_Not_Exist`, page friend_delete has
/// `Err_SNS_FriendDelete_Not_Friend` beside 31704, and the questions on relationships say that 30001 is used as well.
const NOT_A_FRIEND: &[&str] = &["Not_Friend", "Friend_Not_Exist"];

/// What the text beside code 30001 contains if the account is on the friend list already. The source is the questions
/// on relationships; `Err_SNS_FriendAdd_Friend_Exist` is the text that client SDKs show.
const ALREADY_A_FRIEND: &[&str] = &["Friend_Exist"];

/// Whether the text that the API sends beside a code contains one of these words, in any case of letters; true without
/// words.
pub fn says_one_of(info: &str, words: &[&str]) -> bool {
    let info = info.to_ascii_lowercase();
    words.is_empty() || words.iter().any(|word| info.contains(&word.to_ascii_lowercase()))
}

/// A code by which the requested state existed already.
#[derive(Debug)]
pub struct AlreadyDoneCode {
    /// The code, as the verdict on one item.
    pub code: i64,
    /// `ResultInfo` must contain one of these ([`says_one_of`]).
    pub info: &'static [&'static str],
}

/// How much of the requested state an "already done" code proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// All of it.
    Complete,
    /// All of it, unless an earlier call may have arrived: then a part is unknown.
    CompleteAtFirst {
        /// What the answer leaves open, as a fragment of a reason.
        unproved: &'static str,
    },
    /// Never all of it.
    Partial {
        /// What the answer leaves open, as a fragment of a reason.
        unproved: &'static str,
    },
}

/// How the rows of an operation look in the input, and its items in a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputShape {
    /// The column of the account whose list is changed, where an item is a pair.
    pub from: Option<&'static str>,
    /// The column of the account that the API reports on.
    pub account: &'static str,
    /// Where a request body holds its items.
    pub items: ItemPlace,
    /// The fields that rows may set beside their ids.
    pub fields: FieldFamily,
}

impl InputShape {
    /// The columns that every row must fill, in the order of the results file.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.from.into_iter().chain(std::iter::once(self.account))
    }

    /// Whether rows of the operation may have this column.
    pub fn takes(&self, column: &str) -> bool {
        self.columns().any(|id| id == column) || self.fields.field(column).is_some()
    }

    /// Every column, for messages: custom fields as `Tag_SNS_Custom_*`.
    pub fn all_columns(&self) -> Vec<String> {
        self.columns().map(str::to_owned).chain(self.fields.fields.iter().map(|field| field.name.to_string())).collect()
    }
}

/// Where a request body holds its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemPlace {
    /// The body is the item: `{"From_Account":"a"}`.
    Body,
    /// A list of ids under the item's column: `{"From_Account":"a","To_Account":["b","c"]}`.
    Ids,
    /// A list of objects: `{"DeleteItem":[{"UserID":"a"}]}`.
    Objects {
        /// The list's name.
        list: &'static str,
    },
}

//! What the codes of the API mean and how each is treated.
//!
//! One static table, parted by family only for its length: `relationship` (3xxxx), `profile` (40xxx), `common`
//! (600xx) and `account` (7xxxx and above). [`classify`] reads it for the runner, `imbulk explain` prints
//! it; there is no second opinion anywhere. The published pages give the meanings; the classes are this program's
//! reading of them.

mod account;
mod common;
mod profile;
mod relationship;

use std::fmt;
use std::ops::RangeInclusive;

use crate::domain::operation::{self, AlreadyDoneCode, AnswerShape, Operation};

/// The part of an answer that holds a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeLevel {
    /// `ErrorCode`: the verdict on the whole request.
    Request,
    /// `ResultCode`: the verdict on one item.
    Item,
}

/// How a code is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The API did it.
    Done,
    /// The state asked for was there.
    AlreadyDone,
    /// Passes by itself: again after a random, growing delay; counts as an attempt.
    Transient(Effect),
    /// Another write held the account: again, while nothing else is sent for it; counts as an attempt.
    Conflict,
    /// Too fast: everything within the scope slows down; counts as no attempt.
    Throttled(Scope, Pause),
    /// The UserSig is refused: a new one, once; then as this says.
    Renew(RenewFallback),
    /// The whole batch was refused, perhaps for one bad item: it is halved until that item is alone, which then fails.
    Split,
    /// The API's final no to this item.
    ItemFailed,
    /// Nothing of this job can succeed: nothing more is sent, work stays pending.
    Fatal,
    /// The code is in no published table: a whole request is sent once more, then halved; an item fails. It never
    /// counts as success.
    Unknown,
}

/// Whether an attempt that ended in a transient code may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The server failed before it wrote anything.
    None,
    /// The server itself ran into a time-out, so it doesn't know.
    Unknown,
    /// The server failed half way: a part of the effect may be there.
    Partial,
    /// As `Partial`. On account_delete a later "no such account" proves that the account is gone, and nothing about the
    /// data that belonged to it.
    DataLeft,
}

/// For how long nothing is sent after a throttle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pause {
    /// About a second: a limit per second.
    Short,
    /// Minutes: a security policy.
    Long,
}

/// How a code is treated that refuses a UserSig once a new one did not help, or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewFallback {
    /// As fatal.
    Fatal,
    /// As transient: newer pages say that the check of the account failed and may pass later.
    Transient,
}

/// What slows down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Calls of this command.
    Command,
    /// Everything that the app is sent.
    App,
}

impl ErrorClass {
    /// The class in a word or two.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::AlreadyDone => "already done",
            Self::Transient(_) => "transient",
            Self::Conflict => "conflict",
            Self::Throttled(..) => "throttled",
            Self::Renew(_) => "renew",
            Self::Split => "split",
            Self::ItemFailed => "item failed",
            Self::Fatal => "fatal",
            Self::Unknown => "unknown",
        }
    }

    /// What imbulk does about it, in a sentence fragment.
    pub const fn treatment(self) -> &'static str {
        match self {
            Self::Done => "the item is `succeeded`",
            Self::AlreadyDone => {
                "the item is `already_done`; after an earlier attempt that may have arrived it is `succeeded`, and \
                 `in_doubt` where a part of the state is not proved"
            }
            Self::Transient(Effect::None) => "sent again after a random, growing delay; counts as an attempt",
            Self::Transient(Effect::Unknown) => {
                "sent again after a random, growing delay; counts as an attempt; it may have taken effect, so \
                 \"already done\" is then `succeeded`"
            }
            Self::Transient(Effect::Partial) => {
                "sent again after a random, growing delay; counts as an attempt; a part may have taken effect, so \
                 \"already done\" is then `in_doubt`"
            }
            Self::Transient(Effect::DataLeft) => {
                "sent again after a random, growing delay; counts as an attempt; a part may have taken effect, so \
                 \"already done\" is then `in_doubt`, and on account_delete `succeeded` with this code, since data may \
                 remain"
            }
            Self::Conflict => {
                "sent again after a delay, while nothing else is sent for the account; counts as an attempt; \
                 \"already done\" is then `in_doubt`"
            }
            Self::Throttled(Scope::Command, Pause::Short) => {
                "calls of this command slow down and then speed up again; does not count as an attempt"
            }
            Self::Throttled(Scope::App, Pause::Short) => {
                "all calls to the app slow down and then speed up again; does not count as an attempt"
            }
            Self::Throttled(_, Pause::Long) => {
                "nothing of this command is sent for 90 s, then it starts slowly; does not count as an attempt"
            }
            Self::Renew(RenewFallback::Fatal) => {
                "a new UserSig is made and the call sent again, once; after that as fatal"
            }
            Self::Renew(RenewFallback::Transient) => {
                "a new UserSig is made and the call sent again, once; after that as transient"
            }
            Self::Split => "a batch is halved until the bad item is alone; an item alone gets the item's treatment",
            Self::ItemFailed => "the item is `failed`; it is not sent again",
            Self::Fatal => {
                "nothing more is sent, the work stays `pending`, exit code 4; on one item of an answer in which others \
                 succeeded: that item is `failed`"
            }
            Self::Unknown => {
                "a whole request is sent once more, then halved until an item is alone; the item is `failed` and \
                 counted apart; never taken for success"
            }
        }
    }
}

/// What is known of one code.
#[derive(Debug)]
pub struct CodeInfo {
    /// The code; a stretch of them where all mean the same.
    pub codes: RangeInclusive<i64>,
    /// What it means, in our words.
    pub meaning: &'static str,
    /// What the user can do.
    pub advice: &'static str,
    /// The public page or table that names it.
    pub source: &'static str,
    /// How it is treated.
    rule: Rule,
}

/// How a code is treated, depending on the operation and on the part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The same in every part of the answer.
    Always(ErrorClass),
    /// One way as the verdict on a request, another as the verdict on an item.
    ByLevel {
        /// As `ErrorCode`.
        request: ErrorClass,
        /// As `ResultCode`, and for a request of one item.
        item: ErrorClass,
    },
    /// It is about From_Account, so it is final for every item of the request. For operations without a From_Account
    /// it is about one item.
    OfFromAccount,
}

/// It is about one item: a batch is split until that item is alone, which then fails.
const OF_ONE_ITEM: Rule = Rule::ByLevel { request: ErrorClass::Split, item: ErrorClass::ItemFailed };
/// Nothing of the job can succeed.
const FATAL: Rule = Rule::Always(ErrorClass::Fatal);
/// The server failed before it wrote anything.
const TRANSIENT: Rule = Rule::Always(ErrorClass::Transient(Effect::None));
/// The server failed, and may have done a part.
const HALF_DONE: Rule = Rule::Always(ErrorClass::Transient(Effect::Partial));
/// The server failed, and of an account that is gone later data may remain.
const DATA_LEFT: Rule = Rule::Always(ErrorClass::Transient(Effect::DataLeft));
/// The server waited for an answer within itself in vain.
const TIMED_OUT: Rule = Rule::Always(ErrorClass::Transient(Effect::Unknown));
/// Another UserSig may pass.
const RENEW: Rule = Rule::Always(ErrorClass::Renew(RenewFallback::Fatal));
/// Another UserSig may pass, and so may time.
const RENEW_OR_WAIT: Rule = Rule::Always(ErrorClass::Renew(RenewFallback::Transient));
/// Too many calls of one command.
const SLOW_COMMAND: Rule = Rule::Always(ErrorClass::Throttled(Scope::Command, Pause::Short));
/// A security policy stops the command.
const PAUSE_COMMAND: Rule = Rule::Always(ErrorClass::Throttled(Scope::Command, Pause::Long));
/// Too many calls to the app.
const SLOW_APP: Rule = Rule::Always(ErrorClass::Throttled(Scope::App, Pause::Short));

impl CodeInfo {
    /// The treatment in lines for people: where it applies, and the class there. The last line is for all other places.
    pub fn lines(&self) -> Vec<(String, ErrorClass)> {
        let done = operation::ALL.iter().filter_map(|operation| self.place_of_done(operation));
        let mut lines: Vec<(String, ErrorClass)> = done.map(|place| (place, ErrorClass::AlreadyDone)).collect();
        let is_done_somewhere = !lines.is_empty();
        lines.extend(self.rule.lines());
        if is_done_somewhere
            && matches!(self.rule, Rule::ByLevel { .. })
            && let Some((last, _)) = lines.last_mut()
        {
            last.insert_str(0, "otherwise, ");
        }
        lines
    }

    /// Whether the server failed, and of an account that is gone later data may remain.
    pub fn leaves_data(&self) -> bool {
        self.rule == DATA_LEFT
    }

    /// Where an operation takes the code for "already done".
    fn place_of_done(&self, operation: &Operation) -> Option<String> {
        let done = operation.already_done.codes.iter().find(|done| self.codes.contains(&done.code))?;
        Some(match (operation.answer, done.info) {
            (AnswerShape::Whole, _) => operation.name.to_owned(),
            (AnswerShape::Items { .. }, []) => format!("{}, as the verdict on an item", operation.name),
            (AnswerShape::Items { .. }, says) => {
                format!("{}, as the verdict on an item that says {}", operation.name, says.join(" or "))
            }
        })
    }
}

/// Zero, the only code that means success.
const DONE: CodeInfo = CodeInfo {
    codes: 0..=0,
    meaning: "done",
    advice: "nothing to do",
    source: "all four pages",
    rule: Rule::Always(ErrorClass::Done),
};

/// The table: its families in ascending order, and so the codes of each.
const FAMILIES: [&[CodeInfo]; 5] = [&[DONE], relationship::CODES, profile::CODES, common::CODES, account::CODES];

/// Every entry, in ascending order of codes.
pub fn all_codes() -> impl Iterator<Item = &'static CodeInfo> {
    FAMILIES.into_iter().flatten()
}

/// What is known of `code`.
pub fn lookup(code: i64) -> Option<&'static CodeInfo> {
    FAMILIES.into_iter().find_map(|family| {
        let next = family.partition_point(|info| *info.codes.end() < code);
        family.get(next).filter(|info| info.codes.contains(&code))
    })
}

/// How `code` is treated. `info` is the `ResultInfo` or `ErrorInfo` beside it, which tells some codes apart.
///
/// At [`CodeLevel::Request`] the answer may be [`ErrorClass::Split`]. The caller halves the batch. For a single
/// item it asks again at [`CodeLevel::Item`], which never answers `Split`.
pub fn classify(operation: &Operation, level: CodeLevel, code: i64, info: &str) -> ErrorClass {
    // The one verdict of an answer without items is the item's.
    let is_of_item = level == CodeLevel::Item || operation.answer == AnswerShape::Whole;
    let is_already_done = |known: &AlreadyDoneCode| known.code == code && is_of_item && says_one_of(info, known.info);
    if operation.already_done.codes.iter().any(is_already_done) {
        return ErrorClass::AlreadyDone;
    }
    lookup(code).map_or(ErrorClass::Unknown, |known| known.rule.class(operation, level))
}

impl Rule {
    fn class(self, operation: &Operation, level: CodeLevel) -> ErrorClass {
        match self {
            Self::Always(class) => class,
            Self::ByLevel { request, item } => match level {
                CodeLevel::Request => request,
                CodeLevel::Item => item,
            },
            Self::OfFromAccount if operation.names_from_account() => ErrorClass::ItemFailed,
            Self::OfFromAccount => OF_ONE_ITEM.class(operation, level),
        }
    }

    /// The rule in lines for people, without the operations that take the code for "already done".
    fn lines(self) -> Vec<(String, ErrorClass)> {
        match self {
            Self::Always(class) => vec![("always".to_owned(), class)],
            Self::ByLevel { request, item } => vec![by_request(request), by_item(item)],
            Self::OfFromAccount => {
                let without = operation::ALL.iter().filter(|operation| !operation.names_from_account());
                let names: Vec<&str> = without.map(|operation| operation.name).collect();
                vec![
                    (format!("{}, as the verdict on a whole request", names.join(", ")), ErrorClass::Split),
                    ("otherwise, for every item concerned".to_owned(), ErrorClass::ItemFailed),
                ]
            }
        }
    }
}

fn by_request(class: ErrorClass) -> (String, ErrorClass) {
    ("as the verdict on a whole request".to_owned(), class)
}

fn by_item(class: ErrorClass) -> (String, ErrorClass) {
    ("as the verdict on an item".to_owned(), class)
}

fn says_one_of(info: &str, words: &[&str]) -> bool {
    let info = info.to_ascii_lowercase();
    words.is_empty() || words.iter().any(|word| info.contains(&word.to_ascii_lowercase()))
}

impl fmt::Display for CodeInfo {
    /// The code, or the first and the last of its stretch.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.codes.start(), self.codes.end());
        if first == last { write!(f, "{first}") } else { write!(f, "{first} to {last}") }
    }
}

#[cfg(test)]
mod tests;

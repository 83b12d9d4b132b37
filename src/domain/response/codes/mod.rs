//! What the codes of the API mean and how each is treated.
//!
//! One static table, divided by family: `relationship` (3xxxx), `profile` (40xxx), `common` (600xx) and `account`
//! (7xxxx and above). [`classify`] reads it for the runner, and `imbulk explain` prints it; no other code classifies
//! codes. The meanings are from the published pages. The classes are the interpretation of this program.

mod account;
mod common;
mod profile;
mod relationship;
mod texts;

use std::fmt;
use std::ops::RangeInclusive;

use super::outcome::Outcome;
use crate::domain::language::Translated;
use crate::domain::operation::{self, AlreadyDoneCode, AnswerShape, Operation, says_one_of};

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
    /// The requested state already existed.
    AlreadyDone,
    /// The cause is temporary: sent again after a random, growing delay. Counts as an attempt.
    Transient(Effect),
    /// Another write to the account was in progress: sent again, while nothing else is sent for the account. Counts as
    /// an attempt.
    Conflict,
    /// Too many calls: all calls within the scope slow down. Does not count as an attempt.
    Throttled(Scope, Pause),
    /// The UserSig is refused: a new one is made once. If that is refused as well, this applies.
    Renew(RenewFallback),
    /// The whole batch was refused, possibly for one bad item: it is halved until that item is alone, which then fails.
    Split,
    /// The API refuses this item permanently.
    ItemFailed,
    /// No call within the scope can succeed: nothing more is sent, and the work stays pending.
    Fatal(Scope),
    /// The code is in no published table: a whole request is sent once more, then halved; an item fails. It never
    /// counts as success.
    Unknown,
}

/// Whether an attempt that ended in a transient code may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The server failed before it wrote anything.
    None,
    /// The server itself had a time-out, so it does not know.
    Unknown,
    /// The server failed in the middle of the work: a part of the effect may exist.
    Partial,
    /// As `Partial`. On account_delete, a later "no such account" proves that the account is gone, but nothing about
    /// its data.
    DataLeft,
}

/// How long nothing is sent after a throttle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pause {
    /// About a second, for a limit per second.
    Short,
    /// Minutes, for a security policy.
    Long,
}

/// How a code that refuses a UserSig is treated if a new one did not help or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewFallback {
    /// As fatal.
    Fatal,
    /// As transient: newer pages say that the check of the account failed and may succeed later.
    Transient,
}

/// The calls that a code concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Calls of this command.
    Command,
    /// All calls to the app.
    App,
}

impl ErrorClass {
    /// The names of all classes.
    pub const NAMES: [&'static str; 10] = [
        "done",
        "already_done",
        "transient",
        "conflict",
        "throttled",
        "renew",
        "split",
        "item_failed",
        "fatal",
        "unknown",
    ];

    /// The name of the class.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::AlreadyDone => "already_done",
            Self::Transient(_) => "transient",
            Self::Conflict => "conflict",
            Self::Throttled(..) => "throttled",
            Self::Renew(_) => "renew",
            Self::Split => "split",
            Self::ItemFailed => "item_failed",
            Self::Fatal(_) => "fatal",
            Self::Unknown => "unknown",
        }
    }

    /// What imbulk does, as a part of a sentence.
    pub const fn treatment(self) -> Translated {
        match self {
            Self::Done => Translated::new("the item is `succeeded`", "条目的结果是 `succeeded`"),
            Self::AlreadyDone => texts::TREAT_ALREADY_DONE,
            Self::Transient(Effect::None) => texts::TREAT_TRANSIENT,
            Self::Transient(Effect::Unknown) => texts::TREAT_UNKNOWN_EFFECT,
            Self::Transient(Effect::Partial) => texts::TREAT_PARTIAL_EFFECT,
            Self::Transient(Effect::DataLeft) => texts::TREAT_DATA_LEFT,
            Self::Conflict => texts::TREAT_CONFLICT,
            Self::Throttled(Scope::Command, Pause::Short) => texts::TREAT_SLOW_COMMAND,
            Self::Throttled(Scope::App, Pause::Short) => texts::TREAT_SLOW_APP,
            Self::Throttled(_, Pause::Long) => texts::TREAT_LONG_PAUSE,
            Self::Renew(RenewFallback::Fatal) => texts::TREAT_RENEW_OR_FATAL,
            Self::Renew(RenewFallback::Transient) => texts::TREAT_RENEW_OR_TRANSIENT,
            Self::Split => texts::TREAT_SPLIT,
            Self::ItemFailed => texts::TREAT_ITEM_FAILED,
            Self::Fatal(Scope::Command) => texts::TREAT_FATAL_FOR_OPERATION,
            Self::Fatal(Scope::App) => texts::TREAT_FATAL,
            Self::Unknown => texts::TREAT_UNKNOWN_CODE,
        }
    }
}

/// What is known about one code.
#[derive(Debug)]
pub struct CodeInfo {
    /// The code, or a range of codes with the same meaning.
    pub codes: RangeInclusive<i64>,
    /// The meaning, in the words of this project.
    pub meaning: Translated,
    /// What the user can do.
    pub advice: Translated,
    /// The public page or table that names it.
    pub source: Translated,
    /// How it is treated.
    rule: Rule,
}

/// How a code is treated, depending on the operation and on the part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The same in every part of the answer.
    Always(ErrorClass),
    /// Different for the verdict on a request and the verdict on an item.
    ByLevel {
        /// The class as `ErrorCode`.
        request: ErrorClass,
        /// The class as `ResultCode`, and for a request of one item.
        item: ErrorClass,
    },
    /// It is about From_Account, so it is final for every item of the request. For operations without a From_Account
    /// it is about one item.
    OfFromAccount,
}

/// It is about one item: a batch is split until that item is alone, which then fails.
const OF_ONE_ITEM: Rule = Rule::ByLevel { request: ErrorClass::Split, item: ErrorClass::ItemFailed };
/// No call to the app can succeed.
const FATAL: Rule = Rule::Always(ErrorClass::Fatal(Scope::App));
/// No call of this operation can succeed.
const FATAL_FOR_OPERATION: Rule = Rule::Always(ErrorClass::Fatal(Scope::Command));
/// The server failed before it wrote anything.
const TRANSIENT: Rule = Rule::Always(ErrorClass::Transient(Effect::None));
/// The server failed, and may have done a part of the work.
const HALF_DONE: Rule = Rule::Always(ErrorClass::Transient(Effect::Partial));
/// The server failed. If the account is gone later, data of it may remain.
const DATA_LEFT: Rule = Rule::Always(ErrorClass::Transient(Effect::DataLeft));
/// A part of the server did not get an answer of another part in time.
const TIMED_OUT: Rule = Rule::Always(ErrorClass::Transient(Effect::Unknown));
/// Another UserSig may be accepted.
const RENEW: Rule = Rule::Always(ErrorClass::Renew(RenewFallback::Fatal));
/// Another UserSig may be accepted, or the same one later.
const RENEW_OR_WAIT: Rule = Rule::Always(ErrorClass::Renew(RenewFallback::Transient));
/// Too many calls of one command.
const SLOW_COMMAND: Rule = Rule::Always(ErrorClass::Throttled(Scope::Command, Pause::Short));
/// A security policy blocks the command.
const PAUSE_COMMAND: Rule = Rule::Always(ErrorClass::Throttled(Scope::Command, Pause::Long));
/// Too many calls to the app.
const SLOW_APP: Rule = Rule::Always(ErrorClass::Throttled(Scope::App, Pause::Short));

impl CodeInfo {
    /// The treatment in lines for people: the case, and the class in this case. The last line is for all other cases.
    pub fn lines(&self) -> Vec<(Translated<String>, ErrorClass)> {
        let done = operation::ALL.iter().filter_map(|operation| self.place_of_done(operation));
        let mut lines: Vec<(Translated<String>, ErrorClass)> =
            done.map(|place| (place, ErrorClass::AlreadyDone)).collect();
        let is_done_somewhere = !lines.is_empty();
        lines.extend(self.rule.lines());
        if is_done_somewhere
            && matches!(self.rule, Rule::ByLevel { .. })
            && let Some((last, _)) = lines.last_mut()
        {
            last.en.insert_str(0, "otherwise, ");
            last.zh.insert_str(0, "其他情况，");
        }
        lines
    }

    /// Whether the code says that the server failed and that data may remain if the account is gone later.
    pub fn leaves_data(&self) -> bool {
        self.rule == DATA_LEFT
    }

    /// The code, or the first and the last code of its range.
    pub fn range(&self) -> Translated<String> {
        let (first, last) = (self.codes.start(), self.codes.end());
        if first == last {
            Translated::new(first.to_string(), first.to_string())
        } else {
            Translated::new(format!("{first} to {last}"), format!("{first} 至 {last}"))
        }
    }

    /// The cases in which an operation reads the code as "already done".
    fn place_of_done(&self, operation: &Operation) -> Option<Translated<String>> {
        let done = operation.already_done.codes.iter().find(|done| self.codes.contains(&done.code))?;
        let name = operation.name;
        Some(match (operation.answer, done.info) {
            (AnswerShape::Whole, _) => Translated::new(name.to_owned(), name.to_owned()),
            (AnswerShape::Items { .. } | AnswerShape::Failures, []) => {
                Translated::new(format!("{name}, as the verdict on an item"), format!("{name}，作为对单个条目的判定"))
            }
            (AnswerShape::Items { .. } | AnswerShape::Failures, says) => Translated::new(
                format!("{name}, as the verdict on an item that says {}", says.join(" or ")),
                format!("{name}，作为对单个条目的判定，且其信息包含 {}", says.join(" 或 ")),
            ),
        })
    }
}

/// Zero, the only code that means success.
const DONE: CodeInfo = CodeInfo {
    codes: 0..=0,
    meaning: Translated::new("done", "已完成"),
    advice: Translated::new("nothing to do", "无需处理"),
    source: Translated::new("all pages", "所有页面"),
    rule: Rule::Always(ErrorClass::Done),
};

/// The table: its families in ascending order, and so the codes of each.
const FAMILIES: [&[CodeInfo]; 5] = [&[DONE], relationship::CODES, profile::CODES, common::CODES, account::CODES];

/// All codes, in ascending order.
pub fn all_codes() -> impl Iterator<Item = &'static CodeInfo> {
    FAMILIES.into_iter().flatten()
}

/// What is known about `code`.
pub fn lookup(code: i64) -> Option<&'static CodeInfo> {
    FAMILIES.into_iter().find_map(|family| {
        let next = family.partition_point(|info| *info.codes.end() < code);
        family.get(next).filter(|info| info.codes.contains(&code))
    })
}

/// The treatment of `code` in lines for people, as [`CodeInfo::lines`], also of an unknown code.
pub fn lines_of(code: i64) -> Vec<(Translated<String>, ErrorClass)> {
    lookup(code).map_or_else(|| Rule::Always(ErrorClass::Unknown).lines(), CodeInfo::lines)
}

/// How `code` is treated. `info` is the `ResultInfo` or `ErrorInfo` beside it, which distinguishes two meanings of some
/// codes.
///
/// At [`CodeLevel::Request`] the result may be [`ErrorClass::Split`]. Then the caller halves the batch. For a single
/// item it calls this again at [`CodeLevel::Item`], which never returns `Split`.
pub fn classify(operation: &Operation, level: CodeLevel, code: i64, info: &str) -> ErrorClass {
    // If an answer has no items, its verdict is that of the only item.
    let is_of_item = level == CodeLevel::Item || operation.answer == AnswerShape::Whole;
    let is_already_done = |known: &AlreadyDoneCode| known.code == code && is_of_item && says_one_of(info, known.info);
    if operation.already_done.codes.iter().any(is_already_done) {
        return ErrorClass::AlreadyDone;
    }
    lookup(code).map_or(ErrorClass::Unknown, |known| known.rule.class(operation, level))
}

/// The class that `code` has for a row with this outcome. A code with two meanings is "already done" unless the row
/// failed: then it had the other meaning.
pub fn class_of_row(operation: &Operation, outcome: Outcome, code: i64) -> ErrorClass {
    let known = operation.already_done.codes.iter().find(|known| known.code == code);
    match known {
        Some(known) if known.info.is_empty() || outcome != Outcome::Failed => ErrorClass::AlreadyDone,
        Some(_) | None => {
            lookup(code).map_or(ErrorClass::Unknown, |known| known.rule.class(operation, CodeLevel::Item))
        }
    }
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

    /// The rule in lines for people, without the operations that read the code as "already done".
    fn lines(self) -> Vec<(Translated<String>, ErrorClass)> {
        let case = |text: Translated| Translated::new(text.en.to_owned(), text.zh.to_owned());
        match self {
            Self::Always(class) => vec![(case(texts::ALWAYS), class)],
            Self::ByLevel { request, item } => {
                vec![(case(texts::OF_REQUEST), request), (case(texts::OF_ITEM), item)]
            }
            Self::OfFromAccount => {
                let without = operation::ALL.iter().filter(|operation| !operation.names_from_account());
                let names: Vec<&str> = without.map(|operation| operation.name).collect();
                let without = Translated::new(
                    format!("{}, {}", names.join(", "), texts::OF_REQUEST.en),
                    format!("{}，{}", names.join("、"), texts::OF_REQUEST.zh),
                );
                vec![(without, ErrorClass::Split), (case(texts::OTHERWISE_EVERY_ITEM), ErrorClass::ItemFailed)]
            }
        }
    }
}

impl fmt::Display for CodeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.range().en)
    }
}

/// The API's text, or ours if it has none, so that a reason is never empty. One page of the API shows `"0"` for "no
/// error".
pub(super) fn text_of(code: i64, info: &str) -> String {
    match info.trim() {
        "" | "0" => lookup(code)
            .map_or_else(|| format!("the API sent code {code} without a text"), |info| info.meaning.en.to_owned()),
        info => info.to_owned(),
    }
}

#[cfg(test)]
mod tests;

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

/// Where in an answer a code stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `ErrorCode`: the verdict on the whole request.
    Request,
    /// `ResultCode`: the verdict on one item.
    Item,
}

/// How a code is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The API did it.
    Done,
    /// The state asked for was there.
    AlreadyDone,
    /// Passes by itself: again after a random, growing delay; counts as an attempt.
    Transient(Effect),
    /// Another write held the account: again, while nothing else is sent for it; counts as an attempt.
    Conflict,
    /// Too fast: everything within the scope slows down; counts as no attempt.
    Throttled(Scope),
    /// The UserSig is used up: a new one, once.
    Renew,
    /// The whole batch was refused for what may be one bad item: halves, until it stands alone; then failed.
    Split,
    /// The API's final no to this item.
    ItemFailed,
    /// Nothing of this job can succeed: nothing more is sent, work stays pending.
    Fatal,
    /// In no table that we know: fails the item, counted apart, never taken for success.
    Unknown,
}

/// Whether an attempt that ended in a transient code may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The server said that it failed.
    None,
    /// The server itself ran into a time-out, so it doesn't know.
    Unknown,
}

/// What slows down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Calls of this command.
    Command,
    /// Everything that the app is sent.
    App,
}

impl Class {
    /// The class in a word or two.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::AlreadyDone => "already done",
            Self::Transient(_) => "transient",
            Self::Conflict => "conflict",
            Self::Throttled(_) => "throttled",
            Self::Renew => "renew",
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
                "the item is `already_done`, since the state asked for was there, or `succeeded` where an earlier attempt \
                 may have arrived"
            }
            Self::Transient(Effect::None) => "sent again after a random, growing delay; counts as an attempt",
            Self::Transient(Effect::Unknown) => {
                "sent again after a random, growing delay; counts as an attempt; it may have taken effect, so \
                 \"already done\" is then `succeeded`"
            }
            Self::Conflict => {
                "sent again after a delay, while nothing else is sent for the account; counts as an attempt"
            }
            Self::Throttled(Scope::Command) => {
                "calls of this command slow down and find their way up again; counts as no attempt"
            }
            Self::Throttled(Scope::App) => {
                "all calls to the app slow down and find their way up again; counts as no attempt"
            }
            Self::Renew => "a new UserSig is made and the call sent again, once; after that as fatal",
            Self::Split => "a batch is halved until the bad item stands alone; an item alone gets the item's verdict",
            Self::ItemFailed => "the item is `failed`; it is not asked again",
            Self::Fatal => "nothing more is sent, the work stays `pending`, exit code 4",
            Self::Unknown => "the item is `failed` and counted apart; never taken for success",
        }
    }
}

/// What is known of one code.
#[derive(Debug)]
pub struct Entry {
    /// The code; a stretch of them where all mean the same.
    pub codes: RangeInclusive<i64>,
    /// What it means, in our words.
    pub meaning: &'static str,
    /// What the user can do.
    pub advice: &'static str,
    /// The public page or table that names it.
    pub source: &'static str,
    /// How it is treated.
    pub rule: Rule,
}

/// How a code is treated, depending on the operation and on where in the answer it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The same wherever it stands.
    Always(Class),
    /// One way as the verdict on a request, another as the verdict on an item.
    ByLevel {
        /// As `ErrorCode`.
        request: Class,
        /// As `ResultCode`, and for a request of one item.
        item: Class,
    },
    /// It speaks of From_Account, so it is final for every item of the request. account_delete has no From_Account:
    /// there the code speaks of one item.
    OfFromAccount,
    /// On one operation the state asked for was there; elsewhere a final no to one item.
    DoneOn {
        /// The operation.
        operation: &'static str,
        /// `ResultInfo` must contain one of these, in any case of letters; none: it may say anything.
        info: &'static [&'static str],
    },
}

/// It speaks of one item: a batch is split until that item stands alone, which then fails.
const OF_ONE_ITEM: Rule = Rule::ByLevel { request: Class::Split, item: Class::ItemFailed };
/// Nothing of the job can succeed.
const FATAL: Rule = Rule::Always(Class::Fatal);
/// The server failed and said so.
const TRANSIENT: Rule = Rule::Always(Class::Transient(Effect::None));
/// The server waited for an answer within itself in vain.
const TIMED_OUT: Rule = Rule::Always(Class::Transient(Effect::Unknown));
/// Another UserSig may pass.
const RENEW: Rule = Rule::Always(Class::Renew);
/// Too many calls of one command.
const SLOW_COMMAND: Rule = Rule::Always(Class::Throttled(Scope::Command));
/// Too many calls to the app.
const SLOW_APP: Rule = Rule::Always(Class::Throttled(Scope::App));

/// Zero, the only code that means success.
const DONE: Entry = Entry {
    codes: 0..=0,
    meaning: "done",
    advice: "nothing to do",
    source: "all four pages",
    rule: Rule::Always(Class::Done),
};

/// The table: its families in ascending order, and so the codes of each.
const FAMILIES: [&[Entry]; 5] = [&[DONE], relationship::ENTRIES, profile::ENTRIES, common::ENTRIES, account::ENTRIES];

/// Every entry, in ascending order of codes.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.into_iter().flatten()
}

/// What is known of `code`.
pub fn entry(code: i64) -> Option<&'static Entry> {
    FAMILIES.into_iter().find_map(|family| {
        let next = family.partition_point(|entry| *entry.codes.end() < code);
        family.get(next).filter(|entry| entry.codes.contains(&code))
    })
}

/// How `code` is treated. `info` is the `ResultInfo` or `ErrorInfo` beside it, which tells some codes apart.
///
/// At [`Level::Request`] the answer may be [`Class::Split`]. The caller halves the batch; once an item stands alone
/// it asks again at [`Level::Item`], which never says `Split`.
pub fn classify(operation: &str, level: Level, code: i64, info: &str) -> Class {
    entry(code).map_or(Class::Unknown, |entry| entry.rule.class(operation, level, info))
}

impl Rule {
    fn class(self, operation: &str, level: Level, info: &str) -> Class {
        match self {
            Self::Always(class) => class,
            Self::ByLevel { request, item } => match level {
                Level::Request => request,
                Level::Item => item,
            },
            Self::OfFromAccount if operation == WITHOUT_FROM_ACCOUNT => OF_ONE_ITEM.class(operation, level, info),
            Self::OfFromAccount => Class::ItemFailed,
            Self::DoneOn { operation: on, info: says } => match level {
                Level::Item if operation == on && says_one_of(info, says) => Class::AlreadyDone,
                Level::Item | Level::Request => OF_ONE_ITEM.class(operation, level, info),
            },
        }
    }

    /// The rule in lines for people: where it applies, and the class there. The last line is for all other places.
    pub fn lines(self) -> Vec<(String, Class)> {
        match self {
            Self::Always(class) => vec![("always".to_owned(), class)],
            Self::ByLevel { request, item } => vec![by_request(request), by_item(item)],
            Self::OfFromAccount => vec![
                (format!("{WITHOUT_FROM_ACCOUNT}, as the verdict on a whole request"), Class::Split),
                ("otherwise, for every item concerned".to_owned(), Class::ItemFailed),
            ],
            Self::DoneOn { operation, info } => {
                let when = match info {
                    [] => format!("{operation}, as the verdict on an item"),
                    says => format!("{operation}, as the verdict on an item that says {}", says.join(" or ")),
                };
                vec![
                    (when, Class::AlreadyDone),
                    by_request(Class::Split),
                    ("otherwise, as the verdict on an item".to_owned(), Class::ItemFailed),
                ]
            }
        }
    }
}

/// The operation whose items are accounts in their own right.
const WITHOUT_FROM_ACCOUNT: &str = "account_delete";

fn by_request(class: Class) -> (String, Class) {
    ("as the verdict on a whole request".to_owned(), class)
}

fn by_item(class: Class) -> (String, Class) {
    ("as the verdict on an item".to_owned(), class)
}

fn says_one_of(info: &str, words: &[&str]) -> bool {
    let info = info.to_ascii_lowercase();
    words.is_empty() || words.iter().any(|word| info.contains(&word.to_ascii_lowercase()))
}

impl fmt::Display for Entry {
    /// The code, or the first and the last of its stretch.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.codes.start(), self.codes.end());
        if first == last { write!(f, "{first}") } else { write!(f, "{first} to {last}") }
    }
}

#[cfg(test)]
mod tests;

//! Fault rules: what they are and their text (the documentation of the crate has the grammar).

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

use hyper::StatusCode;

use crate::commands::Command;

/// One fault that the caller asks for, made by parsing its text.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// `None`: any command.
    pub(crate) command: Option<Command>,
    pub(crate) kind: FaultKind,
    pub(crate) when: When,
    /// At most this number of times.
    pub(crate) max: Option<NonZeroU64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FaultKind {
    Call(CallFault),
    Item(ItemFault),
}

/// A fault of a whole call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CallFault {
    Code(u32, Moment),
    Http(StatusCode, Moment),
    Reset(Moment),
    Close(Moment),
    Silence(Moment),
    Slow(Duration),
    /// The code for this call and all that follow within the time.
    Storm(u32, Duration),
    /// The code for calls that name this id.
    Poison(u32, String),
    Garbage,
    Truncated,
    Cut,
    Huge,
    StringCode,
    ObjectItems,
    Foreign,
    Shuffle,
    /// Without the lists of failures, and `ErrorInfo` is `"0"`: as the pages of 2025 show it.
    Shape2025,
    /// `ActionStatus` FAIL and this code above items as they are.
    FailWith(u32),
    /// `ActionStatus` OK and this code above items as they are.
    OkWith(u32),
    /// `ActionStatus` FAIL with `ErrorCode` 0.
    FailZero,
}

/// Whether the call's effect takes place before it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeWrite,
    AfterWrite,
}

/// A fault of single items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemFault {
    /// Not written, with this code.
    Code(u32),
    /// Written, but left out of the answer.
    Missing,
    /// Written, and twice in the answer.
    Duplicate,
    /// Written in part, with this code.
    Partial(u32),
    /// Not written, and only in `Fail_Account`.
    OnlyFailed,
    /// Not written, and only in `Invalid_Account`.
    OnlyInvalid,
    /// Written, and twice in the answer: with code 0 and with this one.
    Twice(u32),
    /// Written, with code 0, and in `Fail_Account`.
    Blamed,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum When {
    /// Of the calls, or of the items for a fault of items.
    Share(f64),
    /// The calls with these numbers, counted from 1 among those the rule is for.
    Calls(Vec<NonZeroU64>),
}

/// What an answer must have to show a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// One verdict for the request is enough.
    Nothing,
    /// It names the items that failed.
    FailedItems,
    /// It names each item with its result.
    EachItem,
}

impl CallFault {
    /// Whether the call still has its effect.
    pub(crate) fn lets_write(&self) -> bool {
        match self {
            Self::Code(_, moment)
            | Self::Http(_, moment)
            | Self::Reset(moment)
            | Self::Close(moment)
            | Self::Silence(moment) => *moment == Moment::AfterWrite,
            Self::Storm(..) | Self::Poison(..) => false,
            Self::Slow(_)
            | Self::Garbage
            | Self::Truncated
            | Self::Cut
            | Self::Huge
            | Self::StringCode
            | Self::ObjectItems
            | Self::Foreign
            | Self::Shuffle
            | Self::Shape2025
            | Self::FailWith(_)
            | Self::OkWith(_)
            | Self::FailZero => true,
        }
    }
}

impl FaultKind {
    /// What an answer must have to show it.
    pub(crate) const fn needs(&self) -> Needs {
        match self {
            // The list of `friend_delete_all` can be cleared in part.
            Self::Item(ItemFault::Partial(_)) => Needs::Nothing,
            Self::Item(ItemFault::Code(_) | ItemFault::OnlyFailed) => Needs::FailedItems,
            Self::Item(_) | Self::Call(CallFault::ObjectItems | CallFault::Foreign | CallFault::Shuffle) => {
                Needs::EachItem
            }
            Self::Call(_) => Needs::Nothing,
        }
    }
}

/// What is wrong with the text of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fault rule `{rule}`: {problem}")]
pub struct FaultRuleError {
    rule: String,
    problem: String,
    hint: &'static str,
}

const FORM: &str = "a rule is COMMAND:KIND:WHEN or COMMAND:KIND:WHEN:max=N, for example any:reset-after:0.02";
const COMMANDS: &str = "the commands are any, and the last segments of the paths in the API, such as friend_delete";
const KINDS: &str = "the kinds are code=N, http=STATUS, reset, close, silence (each of these also with -before or \
     -after the write), slow=DURATION, storm=CODE/DURATION, poison=CODE/USERID, item=CODE, missing, \
     duplicate, partial=CODE, only-failed, only-invalid, twice=CODE, blamed, foreign, shuffle, shape-2025, \
     fail-with=CODE, ok-with=CODE, fail-zero, garbage, truncated, cut, huge, string-code, object-items";
const CODES: &str = "a code is a number from 1, for example code=30006";
const STATUSES: &str = "a status is a number from 300 to 599, for example http=502";
const DURATIONS: &str = "a duration is like 250ms or 2s, for example slow=250ms or storm=60007/2s";
const POISON: &str = "it is poison=CODE/USERID, for example poison=30001/bob";
const WHENS: &str = "WHEN is a share from 0 to 1, for example 0.05, or numbers of calls, for example #1 or #2,5";
const MAXES: &str = "the most times is like max=3, from 1";
const NO_ITEMS: &str = "the answers of this command do not have a result for each item";

impl FaultRuleError {
    /// What a rule may contain at this place.
    pub const fn hint(&self) -> &'static str {
        self.hint
    }
}

type Problem = (String, &'static str);

impl FromStr for FaultRule {
    type Err = FaultRuleError;

    fn from_str(text: &str) -> Result<Self, FaultRuleError> {
        parse_rule(text).map_err(|(problem, hint)| FaultRuleError { rule: text.to_owned(), problem, hint })
    }
}

fn parse_rule(text: &str) -> Result<FaultRule, Problem> {
    let parts: Vec<&str> = text.split(':').collect();
    let (command, kind, when, max) = match parts.as_slice() {
        [command, kind, when] => (command, kind, when, None),
        [command, kind, when, max] => (command, kind, when, Some(max)),
        other => return Err((format!("{} parts instead of 3 or 4", other.len()), FORM)),
    };
    let rule = FaultRule {
        command: parse_command(command)?,
        kind: parse_kind(kind)?,
        when: parse_when(when)?,
        max: max.map(|max| parse_max(max)).transpose()?,
    };
    match rule.command {
        Some(command) if !command.shows(&rule.kind) => Err((format!("`{}` needs items", rule.kind), NO_ITEMS)),
        Some(_) | None => Ok(rule),
    }
}

fn parse_command(name: &str) -> Result<Option<Command>, Problem> {
    if name == "any" {
        return Ok(None);
    }
    Command::from_name(name).map(Some).ok_or_else(|| (format!("unknown command `{name}`"), COMMANDS))
}

fn parse_kind(text: &str) -> Result<FaultKind, Problem> {
    use CallFault as C;
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if let Some(fault) = parse_moment_kind(name, value)? {
        return Ok(FaultKind::Call(fault));
    }
    Ok(match (name, value) {
        ("slow", Some(value)) => FaultKind::Call(C::Slow(parse_duration(value)?)),
        ("storm", Some(value)) => {
            let (code, lasts) = value.split_once('/').ok_or_else(|| wrong(value, DURATIONS))?;
            FaultKind::Call(C::Storm(parse_code(code)?, parse_duration(lasts)?))
        }
        ("poison", Some(value)) => match value.split_once('/') {
            Some((code, id)) if !id.is_empty() => FaultKind::Call(C::Poison(parse_code(code)?, id.to_owned())),
            Some(_) | None => return Err(wrong(value, POISON)),
        },
        ("item", Some(value)) => FaultKind::Item(ItemFault::Code(parse_code(value)?)),
        ("missing", None) => FaultKind::Item(ItemFault::Missing),
        ("duplicate", None) => FaultKind::Item(ItemFault::Duplicate),
        ("partial", Some(value)) => FaultKind::Item(ItemFault::Partial(parse_code(value)?)),
        ("only-failed", None) => FaultKind::Item(ItemFault::OnlyFailed),
        ("only-invalid", None) => FaultKind::Item(ItemFault::OnlyInvalid),
        ("twice", Some(value)) => FaultKind::Item(ItemFault::Twice(parse_code(value)?)),
        ("blamed", None) => FaultKind::Item(ItemFault::Blamed),
        ("shape-2025", None) => FaultKind::Call(C::Shape2025),
        ("fail-with", Some(value)) => FaultKind::Call(C::FailWith(parse_code(value)?)),
        ("ok-with", Some(value)) => FaultKind::Call(C::OkWith(parse_code(value)?)),
        ("fail-zero", None) => FaultKind::Call(C::FailZero),
        ("foreign", None) => FaultKind::Call(C::Foreign),
        ("shuffle", None) => FaultKind::Call(C::Shuffle),
        ("garbage", None) => FaultKind::Call(C::Garbage),
        ("truncated", None) => FaultKind::Call(C::Truncated),
        ("cut", None) => FaultKind::Call(C::Cut),
        ("huge", None) => FaultKind::Call(C::Huge),
        ("string-code", None) => FaultKind::Call(C::StringCode),
        ("object-items", None) => FaultKind::Call(C::ObjectItems),
        _ => return Err((format!("no such kind `{text}`"), KINDS)),
    })
}

/// The kinds that can strike before or after the write.
fn parse_moment_kind(name: &str, value: Option<&str>) -> Result<Option<CallFault>, Problem> {
    let (stem, moment) = if let Some(stem) = name.strip_suffix("-after") {
        (stem, Moment::AfterWrite)
    } else {
        let stem = name.strip_suffix("-before").unwrap_or(name);
        (stem, Moment::BeforeWrite)
    };
    Ok(match (stem, value) {
        ("code", Some(value)) => Some(CallFault::Code(parse_code(value)?, moment)),
        ("http", Some(value)) => Some(CallFault::Http(parse_status(value)?, moment)),
        ("reset", None) => Some(CallFault::Reset(moment)),
        ("close", None) => Some(CallFault::Close(moment)),
        ("silence", None) => Some(CallFault::Silence(moment)),
        _ => None,
    })
}

fn parse_code(text: &str) -> Result<u32, Problem> {
    match text.parse() {
        Ok(code @ 1..) => Ok(code),
        Ok(0) | Err(_) => Err(wrong(text, CODES)),
    }
}

fn parse_status(text: &str) -> Result<StatusCode, Problem> {
    text.parse::<u16>()
        .ok()
        .filter(|status| (300..600).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| wrong(text, STATUSES))
}

fn parse_duration(text: &str) -> Result<Duration, Problem> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis(1)),
        None => (text.strip_suffix('s').unwrap_or(""), Duration::from_secs(1)),
    };
    number.parse().ok().and_then(|number| unit.checked_mul(number)).ok_or_else(|| wrong(text, DURATIONS))
}

fn parse_when(text: &str) -> Result<When, Problem> {
    if let Some(numbers) = text.strip_prefix('#') {
        return numbers
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(When::Calls)
            .map_err(|_| wrong(text, WHENS));
    }
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(When::Share(share)),
        Ok(_) | Err(_) => Err(wrong(text, WHENS)),
    }
}

fn parse_max(text: &str) -> Result<NonZeroU64, Problem> {
    text.strip_prefix("max=").and_then(|number| number.parse().ok()).ok_or_else(|| wrong(text, MAXES))
}

fn wrong(text: &str, hint: &'static str) -> Problem {
    (format!("`{text}` does not fit here"), hint)
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(fault) => fault.fmt(f),
            Self::Item(ItemFault::Code(code)) => write!(f, "item={code}"),
            Self::Item(ItemFault::Missing) => f.write_str("missing"),
            Self::Item(ItemFault::Duplicate) => f.write_str("duplicate"),
            Self::Item(ItemFault::Partial(code)) => write!(f, "partial={code}"),
            Self::Item(ItemFault::OnlyFailed) => f.write_str("only-failed"),
            Self::Item(ItemFault::OnlyInvalid) => f.write_str("only-invalid"),
            Self::Item(ItemFault::Twice(code)) => write!(f, "twice={code}"),
            Self::Item(ItemFault::Blamed) => f.write_str("blamed"),
        }
    }
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code, moment) => write!(f, "code{moment}={code}"),
            Self::Http(status, moment) => write!(f, "http{moment}={}", status.as_u16()),
            Self::Reset(moment) => write!(f, "reset{moment}"),
            Self::Close(moment) => write!(f, "close{moment}"),
            Self::Silence(moment) => write!(f, "silence{moment}"),
            Self::Slow(extra) => write!(f, "slow={}ms", extra.as_millis()),
            Self::Storm(code, lasts) => write!(f, "storm={code}/{}ms", lasts.as_millis()),
            Self::Poison(code, id) => write!(f, "poison={code}/{id}"),
            Self::Garbage => f.write_str("garbage"),
            Self::Truncated => f.write_str("truncated"),
            Self::Cut => f.write_str("cut"),
            Self::Huge => f.write_str("huge"),
            Self::StringCode => f.write_str("string-code"),
            Self::ObjectItems => f.write_str("object-items"),
            Self::Foreign => f.write_str("foreign"),
            Self::Shuffle => f.write_str("shuffle"),
            Self::Shape2025 => f.write_str("shape-2025"),
            Self::FailWith(code) => write!(f, "fail-with={code}"),
            Self::OkWith(code) => write!(f, "ok-with={code}"),
            Self::FailZero => f.write_str("fail-zero"),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeWrite => "-before",
            Self::AfterWrite => "-after",
        })
    }
}

#[cfg(test)]
mod tests;

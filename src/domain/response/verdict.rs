//! What the result of a call means for each item of its request.

use serde::{Deserialize, Serialize};

use super::answer::{Answer, AnswerError, FailureList, ItemAnswer};
use super::call_result::{CallResult, says_accepted};
use super::code_history::{Claim, Trace, claim, trace};
use super::codes::{CodeLevel, Effect, ErrorClass, Pause, RenewFallback, Scope, classify, text_of};
use super::outcome::Outcome;
use crate::domain::backup::BackupLine;
use crate::domain::operation::{AnswerShape, BoundOperation, Preparation, Preparations, Proof};
use crate::domain::request::{CallKind, Doubt, Item, Purpose, Request};

/// What the result of a call means.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// What it means for the items.
    pub verdicts: Verdicts,
    /// Whether the server may still be working on the call.
    pub activity: ServerActivity,
    /// What it says about the health of the server.
    pub health: ServerHealth,
    /// What it means for other calls to the app.
    pub notice: AppNotice,
    /// What it read for the backup, which must be durable before the next call.
    pub lines: Vec<BackupLine>,
}

impl Assessment {
    /// One that has read nothing for a backup.
    fn new(verdicts: Verdicts, activity: ServerActivity, health: ServerHealth, notice: AppNotice) -> Self {
        Self { verdicts, activity, health, notice, lines: Vec::new() }
    }
}

/// Whether the server may still be working on a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerActivity {
    /// It answered, or it received nothing.
    Done,
    /// It did not answer, and it may be writing for
    /// [`QUARANTINE`](crate::domain::schedule::QUARANTINE) after the end of the call.
    MayBeWriting,
}

/// What a call says about the health of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerHealth {
    /// It decided at least one item, or it refused the call for a cause in the request, such as its size.
    Working,
    /// It decided no item, and the cause may be the server.
    Failing(Trouble),
    /// It decided no item for a cause of the call itself, such as a refused signature or a missing right.
    Unknown,
}

/// What is wrong with a server that decides no item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Trouble {
    /// No connection could be made, so nothing was sent.
    Unreachable(String),
    /// It accepts calls and does not process them.
    Failing(String),
}

/// Whether calls count as attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charging {
    /// They count. After this many attempts, including this one, the item gets its outcome.
    UpTo(u32),
    /// They do not count: during an outage the items are not the cause.
    Off,
}

/// Whether a new UserSig can help after a code that refuses the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewUserSig {
    /// No new one was made since the last call that the API accepted.
    MayHelp,
    /// A new one was refused as well, or none can be made.
    DoesNotHelp,
}

/// What is known of a call besides its request and its result.
#[derive(Debug, Clone, Copy)]
pub struct CallContext {
    /// The operation of the job, with its options.
    pub operation: BoundOperation,
    /// The calls before each change.
    pub preparations: Preparations,
    /// Whether the call counts as an attempt.
    pub charging: Charging,
    /// Whether a new UserSig can help if this one is refused.
    pub new_usersig: NewUserSig,
}

/// What a call means for the items of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdicts {
    /// The same for all.
    All(Verdict),
    /// One for each, in the request's order.
    Each(Vec<Verdict>),
}

impl Verdicts {
    /// Replaces the verdict on each of `items` items, which come with their places in the request.
    #[must_use]
    pub fn map_items(&self, items: usize, replace: impl Fn(usize, &Verdict) -> Verdict) -> Self {
        Self::Each(match self {
            Self::All(all) => (0..items).map(|at| replace(at, all)).collect(),
            Self::Each(each) => each.iter().enumerate().map(|(at, own)| replace(at, own)).collect(),
        })
    }
}

/// What a call means for one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The item has its outcome.
    Final(ItemResult),
    /// The item is sent again.
    Resend(Resend),
    /// A call for another purpose follows, after this delay. Its attempts are counted from 0, except after a
    /// preparation.
    Next(Purpose, Wait),
}

/// The outcome of an item, with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    /// Never `pending`. Of the outcomes of skipped rows only `protected`, if a preparation protects the item.
    pub outcome: Outcome,
    /// The code that decided it. `None` for a plain success, and if no answer came. If data may remain, the code that
    /// says so.
    pub code: Option<i64>,
    /// The text, with every code that the item met, the latest first. Empty for a plain success only.
    pub reason: String,
}

/// How an item is sent again. Items for which all of this is equal stay in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resend {
    /// Whether the call counts against `max_attempts`.
    pub charge: Charge,
    /// Whether this call or an earlier one may have taken effect.
    pub doubt: Doubt,
    /// The delay before it is sent.
    pub wait: Wait,
    /// Whether the batch is halved.
    pub split: BatchSplit,
    /// The code of the item in this answer.
    pub met: Option<i64>,
}

/// Whether a call counts as an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Charge {
    /// It does not count.
    Free,
    /// It counts.
    Attempt,
}

/// The delay before an item is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// None.
    None,
    /// None, and the request keeps the lease of its accounts: nothing else is sent for them in between.
    Leased,
    /// A random, growing delay. The accounts are free during it.
    Backoff,
    /// A random, growing delay. The accounts stay leased during it, so that nothing else is sent for them.
    Alone,
}

/// How a batch is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BatchSplit {
    /// As one batch.
    Whole,
    /// In halves, so that a bad item finally is the only one of its request.
    Halves,
}

/// What a call means for other calls to the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppNotice {
    /// The API accepted the UserSig and asks for nothing.
    Accepted,
    /// Fewer calls may be sent, after this pause.
    Throttled(Scope, Pause),
    /// The UserSig is refused.
    Renew {
        /// The code of the answer.
        code: i64,
        /// Its text.
        reason: String,
        /// How the code is treated if a new UserSig does not help.
        fallback: RenewFallback,
    },
    /// Nothing: the response does not show whether the UserSig is accepted.
    Nothing,
    /// No call within the scope can succeed.
    Fatal {
        /// The calls of this job, or all calls to the app.
        scope: Scope,
        /// The code of the answer, if there was one.
        code: Option<i64>,
        /// The text.
        reason: String,
    },
}

/// Decides what the result of a call means, from its codes alone ([`lookup`](super::lookup) settles what they leave
/// unknown).
pub fn assess(context: &CallContext, request: &Request, result: &CallResult) -> Assessment {
    let reader = ResponseReader { context: *context, request, doubt: request.doubt, contradicted: false };
    match result {
        CallResult::Body(body) => match answer_to(request, body) {
            Ok(answer) => reader.answer(&answer),
            Err(error) => reader.unanswered(&error.to_string()),
        },
        CallResult::Status(413) => reader.too_large(),
        CallResult::Status(429) => {
            let trouble = Trouble::Failing("HTTP status 429".to_owned());
            reader.all_again(ServerHealth::Failing(trouble), AppNotice::Throttled(Scope::Command, Pause::Short))
        }
        // A gateway sends 5xx while the server behind it may still be working on the call.
        CallResult::Status(status) if *status >= 500 || *status == 408 => {
            reader.unanswered(&format!("HTTP status {status}"))
        }
        CallResult::Status(status) => reader.unexpected(*status),
        CallResult::NotSent(reason) => {
            reader.all_again(ServerHealth::Failing(Trouble::Unreachable(reason.clone())), AppNotice::Nothing)
        }
        CallResult::UntrustedServer(reason) => {
            let notice = AppNotice::Fatal { scope: Scope::App, code: None, reason: reason.clone() };
            reader.all_again(ServerHealth::Unknown, notice)
        }
        CallResult::NoAnswer(reason) => reader.unanswered(reason),
    }
}

fn answer_to<'a>(request: &Request, body: &'a [u8]) -> Result<Answer<'a>, AnswerError> {
    match request.purpose.call_kind() {
        CallKind::Change | CallKind::Preparation(Preparation::ReadFriends) => Answer::parse(body),
        CallKind::Lookup | CallKind::Preparation(Preparation::ReadProfiles) => Answer::parse_read(body),
        CallKind::Preparation(Preparation::OnlineCheck) => Answer::parse_online_status(body),
    }
}

#[derive(Clone, Copy)]
struct ResponseReader<'a> {
    context: CallContext,
    request: &'a Request,
    /// Whether an earlier call or this one may have taken effect.
    doubt: Doubt,
    /// Whether the answer says that the item is done and that the request failed.
    contradicted: bool,
}

/// What an answer means for one item, and for other calls to the app.
struct ItemReading {
    verdict: Verdict,
    notice: AppNotice,
    health: ServerHealth,
}

/// What a code applies to.
#[derive(Clone, Copy)]
struct CodeScope {
    level: CodeLevel,
    /// How many items it applies to.
    items: usize,
    /// Whether other items of the same answer succeeded.
    others_succeeded: bool,
}

impl CodeScope {
    const ITEM: Self = Self { level: CodeLevel::Item, items: 1, others_succeeded: false };
}

impl ResponseReader<'_> {
    fn answer(&self, answer: &Answer<'_>) -> Assessment {
        let ids = self.request.items.iter().map(|item| item.account.as_str());
        if answer.is_success_of(ids) {
            // Looking up each item and its code 0 would give the same result.
            let verdicts = Verdicts::All(ended(Outcome::Succeeded, None, String::new()));
            return Assessment::new(verdicts, ServerActivity::Done, ServerHealth::Working, AppNotice::Accepted);
        }
        let (mut notice, mut health) = (AppNotice::Accepted, None);
        let by_id = answer.by_id();
        let named = |item: &Item| by_id.get(item.account.as_str());
        // Under another name, a failed item would be taken for one that succeeded.
        let names_others = || by_id.len() > self.request.items.iter().filter(|item| named(item).is_some()).count();
        if self.names_failures_only() && answer.code == 0 && names_others() {
            return self.strange();
        }
        let of_request = |item: &&Item| !Self::has_own_code(answer, named(item));
        let fine = answer.code == 0 && answer.contradiction.is_none();
        let succeeded = |item: &Item| fine && matches!(named(item), Some(ItemAnswer::Code(0, _)));
        let left_to_request = self.request.items.iter().filter(of_request).count();
        let others_succeeded = self.request.items.iter().any(succeeded);
        let verdicts = self.request.items.iter().map(|item| {
            let scope = CodeScope { level: CodeLevel::Request, items: left_to_request, others_succeeded };
            let reading = self.item(answer, named(item), scope);
            if severity(&reading.notice) > severity(&notice) {
                notice = reading.notice;
            }
            // One decided item shows that the server works. Otherwise the first item names the cause.
            if health.is_none() || reading.health == ServerHealth::Working {
                health = Some(reading.health);
            }
            reading.verdict
        });
        let verdicts = Verdicts::Each(verdicts.collect());
        Assessment::new(verdicts, ServerActivity::Done, health.unwrap_or(ServerHealth::Working), notice)
    }

    /// Whether an item that the answer does not name succeeded. Answers to lookups name every item.
    fn names_failures_only(&self) -> bool {
        self.context.operation.answer == AnswerShape::Failures && !self.request.purpose.call_kind().only_reads()
    }

    /// Whether the item's own code decides, not the request's. If the request's code is not 0, an item's 0 is ignored.
    fn has_own_code(answer: &Answer<'_>, named: Option<&ItemAnswer>) -> bool {
        match named {
            None => false,
            Some(ItemAnswer::Contradicted(_)) => true,
            Some(ItemAnswer::OnlyIn(_)) => answer.code == 0,
            Some(ItemAnswer::Code(code, _)) => answer.code == 0 || *code != 0,
        }
    }

    fn item(&self, answer: &Answer<'_>, named: Option<&ItemAnswer>, of_request: CodeScope) -> ItemReading {
        if answer.code != 0 && !Self::has_own_code(answer, named) {
            let contradicted = matches!(named, Some(ItemAnswer::Code(..)));
            let doubt = if contradicted { Doubt::EffectUnknown } else { self.doubt };
            return ResponseReader { doubt, contradicted, ..*self }.code(answer.code, &answer.info, of_request);
        }
        if let Some(status) = &answer.contradiction
            && !self.is_refused(named)
        {
            return self.unclear(&format!("the answer says ErrorCode 0 and ActionStatus {status}"), &[]);
        }
        match (named, self.context.operation.answer) {
            (Some(ItemAnswer::Code(code, info)), _) => {
                self.code(*code, info, CodeScope { others_succeeded: of_request.others_succeeded, ..CodeScope::ITEM })
            }
            (Some(ItemAnswer::Contradicted(codes)), _) => self.unclear("the answer gives this item two results", codes),
            (Some(ItemAnswer::OnlyIn(list)), AnswerShape::Items { .. } | AnswerShape::Failures) => self.only_in(*list),
            (Some(ItemAnswer::OnlyIn(list)), AnswerShape::Whole) => {
                self.unclear(&format!("the answer says OK and names this item in {}", list.name()), &[])
            }
            (None, AnswerShape::Whole) => self.code(answer.code, &answer.info, of_request),
            (None, _) if self.names_failures_only() => self.code(answer.code, &answer.info, of_request),
            (None, _) => self.unclear("the answer does not name this item", &[]),
        }
    }

    /// Whether the answer gives the item a code that says that it is not done.
    fn is_refused(&self, named: Option<&ItemAnswer>) -> bool {
        match named {
            Some(ItemAnswer::Code(code, info)) => {
                !matches!(self.class(*code, info, CodeLevel::Item), ErrorClass::Done | ErrorClass::AlreadyDone)
            }
            Some(ItemAnswer::Contradicted(_)) => true,
            Some(ItemAnswer::OnlyIn(_)) | None => false,
        }
    }

    fn class(&self, code: i64, info: &str, level: CodeLevel) -> ErrorClass {
        classify(&self.context.operation, level, code, info)
    }

    fn code(&self, code: i64, info: &str, scope: CodeScope) -> ItemReading {
        let class = self.class(code, info, scope.level);
        let failing = || ServerHealth::Failing(Trouble::Failing(format!("code {code}: {}", text_of(code, info))));
        let decided = |verdict| ItemReading { verdict, notice: AppNotice::Accepted, health: ServerHealth::Working };
        let undecided = |verdict, notice| ItemReading { verdict, notice, health: failing() };
        let free = |notice, health| ItemReading { verdict: self.free(BatchSplit::Whole, Some(code)), notice, health };
        let reason = || text_of(code, info);
        match class {
            ErrorClass::Done => decided(ended(Outcome::Succeeded, None, String::new())),
            ErrorClass::AlreadyDone => decided(self.already_done(code, info)),
            ErrorClass::Transient(effect) => {
                undecided(self.repeated(code, info, self.doubt_after(effect), Wait::Backoff), AppNotice::Accepted)
            }
            ErrorClass::Conflict => undecided(self.repeated(code, info, self.doubt, Wait::Alone), AppNotice::Accepted),
            ErrorClass::Throttled(scope, pause) => free(AppNotice::Throttled(scope, pause), failing()),
            // The server accepted other items of this call, so the code is about this item, not about the UserSig.
            ErrorClass::Renew(RenewFallback::Transient) if scope.others_succeeded => {
                undecided(self.repeated(code, info, self.doubt, Wait::Backoff), AppNotice::Accepted)
            }
            ErrorClass::Renew(RenewFallback::Fatal) | ErrorClass::Fatal(_) if scope.others_succeeded => {
                decided(self.final_no(code, info))
            }
            // A new UserSig was refused with the same code, so the code does not show whether the UserSig is accepted.
            ErrorClass::Renew(RenewFallback::Transient) if self.context.new_usersig == NewUserSig::DoesNotHelp => {
                undecided(self.repeated(code, info, self.doubt, Wait::Backoff), AppNotice::Nothing)
            }
            ErrorClass::Renew(fallback) => {
                free(AppNotice::Renew { code, reason: reason(), fallback }, ServerHealth::Unknown)
            }
            ErrorClass::Fatal(fatal) => {
                free(AppNotice::Fatal { scope: fatal, code: Some(code), reason: reason() }, ServerHealth::Unknown)
            }
            ErrorClass::Split if scope.items > 1 => decided(self.free(BatchSplit::Halves, Some(code))),
            // The request has only this item, so the code is about it.
            ErrorClass::Split => match scope.level {
                CodeLevel::Request => self.code(code, info, CodeScope::ITEM),
                CodeLevel::Item => decided(self.final_no(code, info)),
            },
            ErrorClass::Unknown if scope.level == CodeLevel::Request => match self.once_more(code) {
                Some(verdict) => undecided(verdict, AppNotice::Accepted),
                None if scope.items > 1 => decided(self.free(BatchSplit::Halves, Some(code))),
                None => decided(self.final_no(code, info)),
            },
            ErrorClass::ItemFailed | ErrorClass::Unknown => decided(self.final_no(code, info)),
        }
    }

    /// At its first unknown code a request is sent once more, undivided.
    fn once_more(&self, code: i64) -> Option<Verdict> {
        let unknown = |code: i64| self.class(code, "", CodeLevel::Item) == ErrorClass::Unknown;
        let first = !self.request.history.codes().any(unknown);
        let resend = || resend(self.charge(), self.doubt, Wait::Backoff, BatchSplit::Whole, Some(code));
        (first && !self.used_up()).then(resend)
    }

    /// The server says that the requested state already existed. What this proves depends on the effects that earlier
    /// calls may have had.
    fn already_done(&self, code: i64, info: &str) -> Verdict {
        let operation = self.context.operation;
        let proof = (operation.already_done.proof)(operation);
        let (of_codes, left_by) = self.request.history.trace(&operation);
        let of_doubt = if self.doubt == Doubt::None { Trace::Nothing } else { Trace::Whole };
        let claim = if self.contradicted { Claim::InDoubt } else { claim(of_codes.max(of_doubt), proof) };
        let (outcome, code_kept, note) = match (claim, proof) {
            (Claim::AlreadyDone, _) => (Outcome::AlreadyDone, Some(code), ""),
            (Claim::Succeeded, _) => (Outcome::Succeeded, Some(code), ""),
            (Claim::SucceededWithDataLeft, _) => {
                (Outcome::Succeeded, left_by, "the account is gone; data of it may remain")
            }
            (Claim::InDoubt, _) if of_codes == Trace::Part => {
                (Outcome::InDoubt, Some(code), "an earlier call may have left a part")
            }
            (Claim::InDoubt, Proof::CompleteAtFirst { unproved } | Proof::Partial { unproved }) => {
                (Outcome::InDoubt, Some(code), unproved)
            }
            (Claim::InDoubt, Proof::Complete) => (Outcome::InDoubt, Some(code), ""),
        };
        let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
        ended(outcome, code_kept, self.reason(Some(code), &format!("{}{note}", text_of(code, info))))
    }

    /// A final error for the item. If the answer also says that the item is done, the effect is unknown.
    fn final_no(&self, code: i64, info: &str) -> Verdict {
        let outcome = if self.contradicted { Outcome::InDoubt } else { Outcome::Failed };
        ended(outcome, Some(code), self.reason(Some(code), &text_of(code, info)))
    }

    fn only_in(&self, list: FailureList) -> ItemReading {
        let reason = match list {
            FailureList::FailAccount => "the answer names this item only in Fail_Account: it was not processed",
            FailureList::InvalidAccount => "the answer names this item only in Invalid_Account: the id is not valid",
            FailureList::FailAccounts => "the answer names this account in FailAccounts, without a code",
        };
        let verdict = ended(Outcome::Failed, None, self.reason(None, reason));
        ItemReading { verdict, notice: AppNotice::Accepted, health: ServerHealth::Working }
    }

    fn doubt_after(&self, effect: Effect) -> Doubt {
        match effect {
            Effect::None | Effect::Partial | Effect::DataLeft => self.doubt,
            Effect::Unknown => self.doubt.max(Doubt::TimedOut),
        }
    }

    /// The code may not come back at the next attempt. If no attempt is left, the item failed; if an earlier call got
    /// no answer, it is in doubt.
    fn repeated(&self, code: i64, info: &str, doubt: Doubt, wait: Wait) -> Verdict {
        if self.used_up() {
            let outcome = match doubt {
                Doubt::None | Doubt::TimedOut => Outcome::Failed,
                Doubt::EffectUnknown => Outcome::InDoubt,
            };
            let maybe = if doubt == Doubt::None { "" } else { "; one of them may have taken effect" };
            let said = format!("{} (attempts used up{maybe})", text_of(code, info));
            return ended(outcome, Some(code), self.reason(Some(code), &said));
        }
        resend(self.charge(), doubt, wait, BatchSplit::Whole, Some(code))
    }

    /// The item was sent, and its effect is unknown. The answer may contain a code.
    fn doubtful(&self, reason: &str, code: Option<i64>) -> Verdict {
        if self.used_up() {
            let reason = self.reason(code, &format!("{reason} (attempts used up)"));
            return ended(Outcome::InDoubt, code, reason);
        }
        resend(self.charge(), Doubt::EffectUnknown, Wait::Backoff, BatchSplit::Whole, code)
    }

    /// The answer contradicts itself about the item. The most serious of its codes is kept.
    fn unclear(&self, reason: &str, codes: &[i64]) -> ItemReading {
        let health = ServerHealth::Failing(Trouble::Failing(reason.to_owned()));
        let gravest = codes.iter().copied().max_by_key(|code| trace(&self.context.operation, *code));
        ItemReading { verdict: self.doubtful(reason, gravest), notice: AppNotice::Accepted, health }
    }

    /// The answer names accounts as failed that the request does not have.
    fn strange(&self) -> Assessment {
        let ItemReading { verdict, notice, health } =
            self.unclear("the answer names accounts that the request does not have", &[]);
        Assessment::new(Verdicts::All(verdict), ServerActivity::Done, health, notice)
    }

    fn unanswered(&self, reason: &str) -> Assessment {
        let health = ServerHealth::Failing(Trouble::Failing(reason.to_owned()));
        let verdicts = Verdicts::All(self.doubtful(reason, None));
        Assessment::new(verdicts, ServerActivity::MayBeWriting, health, AppNotice::Nothing)
    }

    /// A status that the API never sends, so something else answers in its place. Nothing more is sent.
    fn unexpected(&self, status: u16) -> Assessment {
        let reason = format!("HTTP status {status} where the API always sends 200; check the endpoint");
        let notice = AppNotice::Fatal { scope: Scope::App, code: None, reason: reason.clone() };
        if says_accepted(status) {
            return Assessment { notice, ..self.unanswered(&reason) };
        }
        self.all_again(ServerHealth::Unknown, notice)
    }

    /// HTTP 413: a smaller batch may be accepted.
    fn too_large(&self) -> Assessment {
        let reason = "HTTP status 413: the request is too large";
        let verdict = match self.request.items.len() {
            0 | 1 => ended(Outcome::Failed, None, self.reason(None, reason)),
            _ => self.free(BatchSplit::Halves, None),
        };
        Assessment::new(Verdicts::All(verdict), ServerActivity::Done, ServerHealth::Working, AppNotice::Nothing)
    }

    /// The server wrote nothing, so all items are sent again as if the call had not been made.
    fn all_again(&self, health: ServerHealth, notice: AppNotice) -> Assessment {
        Assessment::new(Verdicts::All(self.free(BatchSplit::Whole, None)), ServerActivity::Done, health, notice)
    }

    fn free(&self, split: BatchSplit, met: Option<i64>) -> Verdict {
        resend(Charge::Free, self.doubt, Wait::None, split, met)
    }

    fn charge(&self) -> Charge {
        match self.context.charging {
            Charging::UpTo(_) => Charge::Attempt,
            Charging::Off => Charge::Free,
        }
    }

    fn used_up(&self) -> bool {
        match self.context.charging {
            Charging::UpTo(most) => self.request.charged + 1 >= most,
            Charging::Off => false,
        }
    }

    /// The text of this answer, and the codes that the item met before, the latest first.
    fn reason(&self, code: Option<i64>, said: &str) -> String {
        let contradiction = if self.contradicted { " (the same answer says that the item is done)" } else { "" };
        self.request.history.reason(code, &format!("{said}{contradiction}"))
    }
}

fn resend(charge: Charge, doubt: Doubt, wait: Wait, split: BatchSplit, met: Option<i64>) -> Verdict {
    Verdict::Resend(Resend { charge, doubt, wait, split, met })
}

fn ended(outcome: Outcome, code: Option<i64>, reason: String) -> Verdict {
    Verdict::Final(ItemResult { outcome, code, reason })
}

/// Which notice counts if the items of one answer give different ones: the one with the highest number.
fn severity(notice: &AppNotice) -> u8 {
    match notice {
        AppNotice::Accepted => 0,
        AppNotice::Nothing => 1,
        AppNotice::Throttled(Scope::Command, Pause::Short) => 2,
        AppNotice::Throttled(Scope::App, Pause::Short) => 3,
        AppNotice::Throttled(Scope::Command | Scope::App, Pause::Long) => 4,
        AppNotice::Renew { .. } => 5,
        AppNotice::Fatal { scope: Scope::Command, .. } => 6,
        AppNotice::Fatal { scope: Scope::App, .. } => 7,
    }
}

#[cfg(test)]
mod tests;

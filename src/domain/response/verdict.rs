//! What an HTTP exchange means for each item of its request. Pure: the request and the exchange in, verdicts out.

use super::answer::{Answer, FailureList, ItemAnswer};
use super::code_history::{Claim, Trace, claim, trace};
use super::codes::{Class, Effect, Level, Otherwise, Pause, Scope, classify, entry};
use super::exchange::Exchange;
use super::outcome::Outcome;
use crate::domain::operation::{DeleteType, Operation};
use crate::domain::request::{Doubt, Item, Request};

/// What an exchange means.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What it means for the items.
    pub verdicts: Verdicts,
    /// Whether the server is done with it.
    pub server: Server,
    /// Whether the server did its work.
    pub work: Work,
    /// What it means beyond the request.
    pub signal: Signal,
}

/// Whether the server is done with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// It answered, or got nothing.
    Done,
    /// Nobody answered for it: it may be writing for as long as
    /// [`SERVER_MAY_BE_WRITING`](crate::domain::schedule::SERVER_MAY_BE_WRITING).
    MayBeWriting,
}

/// Whether the server did its work on a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// At least one item got the server's own word, be it yes or no.
    Done,
    /// None did, and all that is known of it may be the server's fault.
    Failed(Trouble),
    /// None did, for a reason of its own: the signature, a missing right.
    NotAsked,
}

/// What is wrong with a server that does not do its work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Trouble {
    /// There is no way to it; nothing was sent.
    Unreachable(String),
    /// It takes calls and does not do what they ask for.
    Failing(String),
}

/// Whether attempts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charging {
    /// So many may, this one included; then the item ends.
    UpTo(u32),
    /// They do not: while nothing works, that is no item's fault.
    Off,
}

/// What a new UserSig can do about a code that refuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewUserSig {
    /// It was not tried since the last call that the API accepted.
    MayHelp,
    /// It was refused as well, or none can be made.
    DoesNotHelp,
}

/// What is known of a call besides the request and the exchange.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'a> {
    /// The command.
    pub operation: &'a dyn Operation,
    /// Which side a delete removes.
    pub delete_type: DeleteType,
    /// Whether attempts count.
    pub charging: Charging,
    /// Whether a refused UserSig is worth replacing.
    pub new_usersig: NewUserSig,
}

/// What an exchange means for the items of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdicts {
    /// The same for all.
    All(Verdict),
    /// One for each, in the request's order.
    Each(Vec<Verdict>),
}

/// Where an item stands after an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has its outcome.
    Settled(Ending),
    /// It is sent again.
    Again(Again),
}

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Where it ended.
    pub outcome: Outcome,
    /// The code that said so; none for a plain success and where no answer came. Where data may remain, the code that
    /// said that.
    pub code: Option<i64>,
    /// In words, with every code that the item met, the latest first; empty for a plain success only.
    pub reason: String,
}

/// How an item is sent again. Items that agree in all of this stay together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Again {
    /// What counts against `max_attempts`.
    pub charge: Charge,
    /// Whether this attempt or an earlier one may have taken effect.
    pub doubt: Doubt,
    /// What must pass before.
    pub wait: Wait,
    /// Whether to halve the batch.
    pub shape: Shape,
    /// The code that the item was answered with, if there was one.
    pub met: Option<i64>,
}

/// Whether an attempt counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Charge {
    /// It does not.
    Free,
    /// It does.
    Attempt,
}

/// What must pass before an item is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// Nothing.
    None,
    /// A random, growing delay; the accounts are free meanwhile.
    Backoff,
    /// A random, growing delay in which nothing else is sent for the accounts.
    Alone,
}

/// How a batch goes out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// As it is.
    Whole,
    /// In halves, so that a bad item comes to stand alone.
    Halves,
}

/// What an exchange means beyond its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Nothing: the API answered as it should.
    Fine,
    /// Slow down, after this pause.
    Throttled(Scope, Pause),
    /// The UserSig is refused.
    Renew {
        /// The code that said so.
        code: i64,
        /// In words.
        reason: String,
        /// How to treat the code once a new one does not help.
        otherwise: Otherwise,
    },
    /// No answer that can be read: not even of the signature is anything known.
    Silent,
    /// Nothing of this job can succeed.
    Fatal {
        /// The code that said so, where one did.
        code: Option<i64>,
        /// In words.
        reason: String,
    },
}

/// Judges an exchange.
pub fn judge(context: &CallContext<'_>, request: &Request, exchange: &Exchange) -> Judgement {
    let judge = Judge { context: *context, request, doubt: request.doubt, contradicted: false };
    match exchange {
        Exchange::Body(body) => match Answer::parse(body) {
            Ok(answer) => judge.answer(&answer),
            Err(error) => judge.unanswered(&error.to_string()),
        },
        Exchange::Status(413) => judge.too_large(),
        Exchange::Status(429) => {
            let trouble = Trouble::Failing("HTTP status 429".to_owned());
            judge.all_again(Work::Failed(trouble), Signal::Throttled(Scope::Command, Pause::Short))
        }
        // A gateway's 5xx says nothing of the server behind it, which may still be at work.
        Exchange::Status(status) if *status >= 500 || *status == 408 => {
            judge.unanswered(&format!("HTTP status {status}"))
        }
        Exchange::Status(status) => {
            let reason = format!("HTTP status {status} where the API always sends 200; is the endpoint right?");
            judge.all_again(Work::NotAsked, Signal::Fatal { code: None, reason })
        }
        Exchange::NotSent(reason) => {
            judge.all_again(Work::Failed(Trouble::Unreachable(reason.clone())), Signal::Silent)
        }
        Exchange::Refused(reason) => {
            let signal = Signal::Fatal { code: None, reason: reason.clone() };
            judge.all_again(Work::NotAsked, signal)
        }
        Exchange::NoAnswer(reason) => judge.unanswered(reason),
    }
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    context: CallContext<'a>,
    request: &'a Request,
    /// What is not known of earlier attempts and of this one.
    doubt: Doubt,
    /// Whether the answer calls the item done and the request failed.
    contradicted: bool,
}

/// What an answer says of an item, and beyond it.
struct Word {
    verdict: Verdict,
    signal: Signal,
    work: Work,
}

/// How much of a request an answer says one thing of.
#[derive(Clone, Copy)]
struct Spoken {
    level: Level,
    /// How many items the code speaks of.
    items: usize,
    /// Whether other items of the same answer succeeded.
    others_succeeded: bool,
}

impl Spoken {
    const ITEM: Self = Self { level: Level::Item, items: 1, others_succeeded: false };
}

impl Judge<'_> {
    fn answer(&self, answer: &Answer<'_>) -> Judgement {
        let ids = self.request.items.iter().map(|item| item.account.as_str());
        if answer.is_success_of(ids) {
            // As if each item had been looked up and its code, 0, been judged.
            let verdicts = Verdicts::All(settled(Outcome::Succeeded, None, String::new()));
            return Judgement { verdicts, server: Server::Done, work: Work::Done, signal: Signal::Fine };
        }
        let (mut signal, mut work) = (Signal::Fine, None);
        let by_id = answer.by_id();
        let named = |item: &Item| by_id.get(item.account.as_str());
        let of_request = |item: &&Item| !Self::has_own_word(answer, named(item));
        let fine = answer.code == 0 && answer.contradiction.is_none();
        let succeeded = |item: &Item| fine && matches!(named(item), Some(ItemAnswer::Code(0, _)));
        let left_to_request = self.request.items.iter().filter(of_request).count();
        let others_succeeded = self.request.items.iter().any(succeeded);
        let verdicts = self.request.items.iter().map(|item| {
            let spoken = Spoken { level: Level::Request, items: left_to_request, others_succeeded };
            let word = self.item(answer, named(item), spoken);
            if severity(&word.signal) > severity(&signal) {
                signal = word.signal;
            }
            // One item that got its word speaks for the server; else the first that did not says why.
            if work.is_none() || word.work == Work::Done {
                work = Some(word.work);
            }
            word.verdict
        });
        let verdicts = Verdicts::Each(verdicts.collect());
        Judgement { verdicts, server: Server::Done, work: work.unwrap_or(Work::Done), signal }
    }

    /// Whether an item's own code counts beside the request's: if that is not 0, an item's 0 does not count.
    fn has_own_word(answer: &Answer<'_>, named: Option<&ItemAnswer>) -> bool {
        match named {
            None => false,
            Some(ItemAnswer::Contradicted(_)) => true,
            Some(ItemAnswer::OnlyIn(_)) => answer.code == 0,
            Some(ItemAnswer::Code(code, _)) => answer.code == 0 || *code != 0,
        }
    }

    fn item(&self, answer: &Answer<'_>, named: Option<&ItemAnswer>, of_request: Spoken) -> Word {
        let answers_by_item = self.context.operation.answer_key().is_some();
        if answer.code != 0 && !Self::has_own_word(answer, named) {
            let contradicted = matches!(named, Some(ItemAnswer::Code(..)));
            let doubt = if contradicted { Doubt::MayHaveArrived } else { self.doubt };
            return Judge { doubt, contradicted, ..*self }.code(answer.code, &answer.info, of_request);
        }
        if let Some(status) = &answer.contradiction
            && !self.is_refused(named)
        {
            return self.unclear(&format!("the answer says ErrorCode 0 and ActionStatus {status}"), &[]);
        }
        match named {
            Some(ItemAnswer::Code(code, info)) => {
                self.code(*code, info, Spoken { others_succeeded: of_request.others_succeeded, ..Spoken::ITEM })
            }
            Some(ItemAnswer::Contradicted(codes)) => self.unclear("the answer says two things of this item", codes),
            Some(ItemAnswer::OnlyIn(list)) if answers_by_item => self.only_in(*list),
            Some(ItemAnswer::OnlyIn(list)) => {
                self.unclear(&format!("the answer says OK and names this item in {}", list.name()), &[])
            }
            None if answers_by_item => self.unclear("the answer does not name this item", &[]),
            None => self.code(answer.code, &answer.info, of_request),
        }
    }

    /// Whether the answer gives the item a code by which it is not done.
    fn is_refused(&self, named: Option<&ItemAnswer>) -> bool {
        match named {
            Some(ItemAnswer::Code(code, info)) => {
                !matches!(self.class(*code, info, Level::Item), Class::Done | Class::AlreadyDone)
            }
            Some(ItemAnswer::Contradicted(_)) => true,
            Some(ItemAnswer::OnlyIn(_)) | None => false,
        }
    }

    fn class(&self, code: i64, info: &str, level: Level) -> Class {
        classify(self.context.operation.name(), level, code, info)
    }

    fn code(&self, code: i64, info: &str, spoken: Spoken) -> Word {
        let class = self.class(code, info, spoken.level);
        let failing = || Work::Failed(Trouble::Failing(format!("code {code}: {}", text_of(code, info))));
        let done = |verdict| Word { verdict, signal: Signal::Fine, work: Work::Done };
        let failed = |verdict, signal| Word { verdict, signal, work: failing() };
        let free = |signal, work| Word { verdict: self.free(Shape::Whole, Some(code)), signal, work };
        let reason = || text_of(code, info);
        match class {
            Class::Done => done(settled(Outcome::Succeeded, None, String::new())),
            Class::AlreadyDone => done(self.already_done(code, info)),
            Class::Transient(effect) => {
                failed(self.repeated(code, info, self.doubt_after(effect), Wait::Backoff), Signal::Fine)
            }
            Class::Conflict => failed(self.repeated(code, info, self.doubt, Wait::Alone), Signal::Fine),
            Class::Throttled(scope, pause) => free(Signal::Throttled(scope, pause), failing()),
            // The others were accepted with the same UserSig, by the same app: the code is about this item.
            Class::Renew(Otherwise::Transient) if spoken.others_succeeded => {
                failed(self.repeated(code, info, self.doubt, Wait::Backoff), Signal::Fine)
            }
            Class::Renew(Otherwise::Fatal) | Class::Fatal if spoken.others_succeeded => done(self.final_no(code, info)),
            // It says nothing of the UserSig any more, so nothing is learned of that.
            Class::Renew(Otherwise::Transient) if self.context.new_usersig == NewUserSig::DoesNotHelp => {
                failed(self.repeated(code, info, self.doubt, Wait::Backoff), Signal::Silent)
            }
            Class::Renew(otherwise) => free(Signal::Renew { code, reason: reason(), otherwise }, Work::NotAsked),
            Class::Fatal => free(Signal::Fatal { code: Some(code), reason: reason() }, Work::NotAsked),
            Class::Split if spoken.items > 1 => done(self.free(Shape::Halves, Some(code))),
            // It is alone: the code is about this item.
            Class::Split => match spoken.level {
                Level::Request => self.code(code, info, Spoken::ITEM),
                Level::Item => done(self.final_no(code, info)),
            },
            Class::Unknown if spoken.level == Level::Request => match self.once_more(code) {
                Some(verdict) => failed(verdict, Signal::Fine),
                None if spoken.items > 1 => done(self.free(Shape::Halves, Some(code))),
                None => done(self.final_no(code, info)),
            },
            Class::ItemFailed | Class::Unknown => done(self.final_no(code, info)),
        }
    }

    /// A request that no unknown code was said of yet is sent once more, whole.
    fn once_more(&self, code: i64) -> Option<Verdict> {
        let unknown = |code: i64| self.class(code, "", Level::Item) == Class::Unknown;
        let first = !self.request.history.codes().any(unknown);
        let again = || again(self.charge(), self.doubt, Wait::Backoff, Shape::Whole, Some(code));
        (first && !self.used_up()).then(again)
    }

    /// The requested state is there. What that proves depends on what earlier calls may have left behind.
    fn already_done(&self, code: i64, info: &str) -> Verdict {
        let both = self.context.delete_type == DeleteType::Both;
        // Of a pair, the answer speaks of the list of From_Account alone.
        let one_side = both && self.request.from.is_some();
        let (of_codes, left_by) = self.request.history.trace(self.context.operation.name());
        let of_doubt = if self.doubt == Doubt::None { Trace::Nothing } else { Trace::Whole };
        let claim = if self.contradicted { Claim::InDoubt } else { claim(of_codes.max(of_doubt), one_side, both) };
        let (outcome, code_kept, note) = match claim {
            Claim::AlreadyDone => (Outcome::AlreadyDone, Some(code), ""),
            Claim::Succeeded => (Outcome::Succeeded, Some(code), ""),
            Claim::SucceededWithDataLeft => {
                (Outcome::Succeeded, left_by, " (the account is gone; data of it may remain)")
            }
            Claim::InDoubt if of_codes == Trace::Part => {
                (Outcome::InDoubt, Some(code), " (an earlier call may have left a part)")
            }
            Claim::InDoubt if both => (Outcome::InDoubt, Some(code), " (this says nothing of the friend's own list)"),
            Claim::InDoubt => (Outcome::InDoubt, Some(code), ""),
        };
        settled(outcome, code_kept, self.reason(Some(code), &format!("{}{note}", text_of(code, info))))
    }

    /// A final error for the item; if the answer also says that it is done, the effect is unknown.
    fn final_no(&self, code: i64, info: &str) -> Verdict {
        let outcome = if self.contradicted { Outcome::InDoubt } else { Outcome::Failed };
        settled(outcome, Some(code), self.reason(Some(code), &text_of(code, info)))
    }

    fn only_in(&self, list: FailureList) -> Word {
        let reason = match list {
            FailureList::FailAccount => "the answer names this item only in Fail_Account: it was not processed",
            FailureList::InvalidAccount => "the answer names this item only in Invalid_Account: the id is not valid",
        };
        let verdict = settled(Outcome::Failed, None, self.reason(None, reason));
        Word { verdict, signal: Signal::Fine, work: Work::Done }
    }

    fn doubt_after(&self, effect: Effect) -> Doubt {
        match effect {
            Effect::None | Effect::Partial | Effect::DataLeft => self.doubt,
            Effect::Unknown => self.doubt.max(Doubt::TimedOut),
        }
    }

    /// Answered with a code that may pass. Where no attempt is left, it failed; unless an earlier one was not answered at
    /// all: then nobody knows.
    fn repeated(&self, code: i64, info: &str, doubt: Doubt, wait: Wait) -> Verdict {
        if self.used_up() {
            let outcome = match doubt {
                Doubt::None | Doubt::TimedOut => Outcome::Failed,
                Doubt::MayHaveArrived => Outcome::InDoubt,
            };
            let maybe = if doubt == Doubt::None { "" } else { "; one of them may have taken effect" };
            let said = format!("{} (attempts used up{maybe})", text_of(code, info));
            return settled(outcome, Some(code), self.reason(Some(code), &said));
        }
        again(self.charge(), doubt, wait, Shape::Whole, Some(code))
    }

    /// Sent, and no verdict came back; only a code, perhaps.
    fn doubtful(&self, reason: &str, code: Option<i64>) -> Verdict {
        if self.used_up() {
            let reason = self.reason(code, &format!("{reason} (attempts used up)"));
            return settled(Outcome::InDoubt, code, reason);
        }
        again(self.charge(), Doubt::MayHaveArrived, Wait::Backoff, Shape::Whole, code)
    }

    /// The answer can't be read as one word about the item. Of its codes the gravest is kept.
    fn unclear(&self, reason: &str, codes: &[i64]) -> Word {
        let work = Work::Failed(Trouble::Failing(reason.to_owned()));
        let gravest = codes.iter().copied().max_by_key(|code| trace(self.context.operation.name(), *code));
        Word { verdict: self.doubtful(reason, gravest), signal: Signal::Fine, work }
    }

    fn unanswered(&self, reason: &str) -> Judgement {
        Judgement {
            verdicts: Verdicts::All(self.doubtful(reason, None)),
            server: Server::MayBeWriting,
            work: Work::Failed(Trouble::Failing(reason.to_owned())),
            signal: Signal::Silent,
        }
    }

    /// HTTP 413: a smaller batch may be accepted.
    fn too_large(&self) -> Judgement {
        let reason = "HTTP status 413: the request is too large";
        let verdict = match self.request.items.len() {
            0 | 1 => settled(Outcome::Failed, None, self.reason(None, reason)),
            _ => self.free(Shape::Halves, None),
        };
        let verdicts = Verdicts::All(verdict);
        Judgement { verdicts, server: Server::Done, work: Work::Done, signal: Signal::Silent }
    }

    /// As if it had not been sent: nothing was written.
    fn all_again(&self, work: Work, signal: Signal) -> Judgement {
        let verdicts = Verdicts::All(self.free(Shape::Whole, None));
        Judgement { verdicts, server: Server::Done, work, signal }
    }

    fn free(&self, shape: Shape, met: Option<i64>) -> Verdict {
        again(Charge::Free, self.doubt, Wait::None, shape, met)
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

    /// What was said last, and the codes that the item met before, the latest first.
    fn reason(&self, code: Option<i64>, said: &str) -> String {
        let contradiction = if self.contradicted { " (the same answer says that the item is done)" } else { "" };
        self.request.history.reason(code, &format!("{said}{contradiction}"))
    }
}

/// The API's words, or ours where it has none: a reason is never empty. `"0"` is how one page writes "no error".
fn text_of(code: i64, info: &str) -> String {
    match info.trim() {
        "" | "0" => entry(code)
            .map_or_else(|| format!("the API sent code {code} without a text"), |entry| entry.meaning.to_owned()),
        info => info.to_owned(),
    }
}

fn again(charge: Charge, doubt: Doubt, wait: Wait, shape: Shape, met: Option<i64>) -> Verdict {
    Verdict::Again(Again { charge, doubt, wait, shape, met })
}

fn settled(outcome: Outcome, code: Option<i64>, reason: String) -> Verdict {
    Verdict::Settled(Ending { outcome, code, reason })
}

/// Items of one answer may say different things; the gravest speaks for it.
fn severity(signal: &Signal) -> u8 {
    match signal {
        Signal::Fine => 0,
        Signal::Silent => 1,
        Signal::Throttled(Scope::Command, Pause::Short) => 2,
        Signal::Throttled(Scope::App, Pause::Short) => 3,
        Signal::Throttled(_, Pause::Long) => 4,
        Signal::Renew { .. } => 5,
        Signal::Fatal { .. } => 6,
    }
}

#[cfg(test)]
mod tests;

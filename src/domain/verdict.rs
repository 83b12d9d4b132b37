//! What an HTTP exchange means for each item of its request. Pure: the request and the exchange in, verdicts out.

use super::answer::{Answer, ItemAnswer};
use super::codes::{Class, Effect, Level, Scope, classify};
use super::operation::Operation;
use super::outcome::Outcome;
use super::reply::Exchange;
use super::request::{Doubt, Item, Request};

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
    /// [`SERVER_MAY_BE_WRITING`](super::retry::SERVER_MAY_BE_WRITING).
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The code that said so; none for a plain success and where no answer came.
    pub code: Option<i64>,
    /// In words; empty for a plain success.
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
    /// Slow down.
    Throttled(Scope),
    /// The UserSig is used up.
    Renew,
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
pub fn judge(operation: &dyn Operation, request: &Request, exchange: &Exchange, charging: Charging) -> Judgement {
    let judge = Judge { operation, request, charging };
    match exchange {
        Exchange::Body(body) => match Answer::parse(body) {
            Ok(answer) => judge.answer(&answer),
            Err(error) => judge.unanswered(&error.to_string()),
        },
        Exchange::Status(429) => {
            let trouble = Trouble::Failing("HTTP status 429".to_owned());
            judge.all_again(Work::Failed(trouble), Signal::Throttled(Scope::Command))
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

struct Judge<'a> {
    operation: &'a dyn Operation,
    request: &'a Request,
    charging: Charging,
}

/// What an answer says of an item, and beyond it.
struct Word {
    verdict: Verdict,
    signal: Signal,
    work: Work,
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
        let unnamed = self.request.items.iter().filter(|item| named(item).is_none()).count();
        let verdicts = self.request.items.iter().map(|item| {
            let word = match named(item) {
                Some(ItemAnswer::Code(code, info)) => self.code(*code, info, Level::Item, 1),
                Some(ItemAnswer::Contradicted) => self.unclear("the answer says two things of this item"),
                None if answer.code == 0 && self.operation.answer_key().is_some() => {
                    self.unclear("the answer does not name this item")
                }
                None => self.code(answer.code, &answer.info, Level::Request, unnamed),
            };
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

    /// `company`: how many items the code speaks of.
    fn code(&self, code: i64, info: &str, level: Level, company: usize) -> Word {
        let class = classify(self.operation.name(), level, code, info);
        let failing = || Work::Failed(Trouble::Failing(format!("code {code}: {info}")));
        let done = |verdict| Word { verdict, signal: Signal::Fine, work: Work::Done };
        let failed = |verdict| Word { verdict, signal: Signal::Fine, work: failing() };
        let free = |signal, work| Word { verdict: self.free(Shape::Whole), signal, work };
        match class {
            Class::Done => done(settled(Outcome::Succeeded, None, String::new())),
            Class::AlreadyDone => done(self.already_done(code, info)),
            Class::Transient(effect) => failed(self.repeated(code, info, self.doubt_after(effect), Wait::Backoff)),
            Class::Conflict => failed(self.repeated(code, info, self.request.doubt, Wait::Alone)),
            Class::Throttled(scope) => free(Signal::Throttled(scope), failing()),
            Class::Renew => free(Signal::Renew, Work::NotAsked),
            Class::Fatal => free(Signal::Fatal { code: Some(code), reason: info.to_owned() }, Work::NotAsked),
            Class::Split if company > 1 => done(self.free(Shape::Halves)),
            // It stands alone: the code is about this item.
            Class::Split => match level {
                Level::Request => self.code(code, info, Level::Item, 1),
                Level::Item => done(settled(Outcome::Failed, Some(code), info.to_owned())),
            },
            Class::ItemFailed | Class::Unknown => done(settled(Outcome::Failed, Some(code), info.to_owned())),
        }
    }

    /// The state asked for is there. Where an attempt of ours may have brought it about, it did.
    fn already_done(&self, code: i64, info: &str) -> Verdict {
        let outcome = match self.request.doubt {
            Doubt::None => Outcome::AlreadyDone,
            Doubt::TimedOut | Doubt::MayHaveArrived => Outcome::Succeeded,
        };
        settled(outcome, Some(code), info.to_owned())
    }

    fn doubt_after(&self, effect: Effect) -> Doubt {
        match effect {
            Effect::None => self.request.doubt,
            Effect::Unknown => self.request.doubt.max(Doubt::TimedOut),
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
            return settled(outcome, Some(code), format!("{info} (attempts used up{maybe})").trim().to_owned());
        }
        again(self.charge(), doubt, wait, Shape::Whole)
    }

    /// Sent, and no verdict came back.
    fn doubtful(&self, reason: &str) -> Verdict {
        if self.used_up() {
            return settled(Outcome::InDoubt, None, format!("{reason} (attempts used up)"));
        }
        again(self.charge(), Doubt::MayHaveArrived, Wait::Backoff, Shape::Whole)
    }

    fn unclear(&self, reason: &str) -> Word {
        let work = Work::Failed(Trouble::Failing(reason.to_owned()));
        Word { verdict: self.doubtful(reason), signal: Signal::Fine, work }
    }

    fn unanswered(&self, reason: &str) -> Judgement {
        Judgement {
            verdicts: Verdicts::All(self.doubtful(reason)),
            server: Server::MayBeWriting,
            work: Work::Failed(Trouble::Failing(reason.to_owned())),
            signal: Signal::Silent,
        }
    }

    /// As if it had not been sent: nothing was written.
    fn all_again(&self, work: Work, signal: Signal) -> Judgement {
        let verdicts = Verdicts::All(self.free(Shape::Whole));
        Judgement { verdicts, server: Server::Done, work, signal }
    }

    fn free(&self, shape: Shape) -> Verdict {
        again(Charge::Free, self.request.doubt, Wait::None, shape)
    }

    fn charge(&self) -> Charge {
        match self.charging {
            Charging::UpTo(_) => Charge::Attempt,
            Charging::Off => Charge::Free,
        }
    }

    fn used_up(&self) -> bool {
        match self.charging {
            Charging::UpTo(most) => self.request.charged + 1 >= most,
            Charging::Off => false,
        }
    }
}

fn again(charge: Charge, doubt: Doubt, wait: Wait, shape: Shape) -> Verdict {
    Verdict::Again(Again { charge, doubt, wait, shape })
}

fn settled(outcome: Outcome, code: Option<i64>, reason: String) -> Verdict {
    Verdict::Settled(Ending { outcome, code, reason })
}

/// Items of one answer may say different things; the gravest speaks for it.
fn severity(signal: &Signal) -> u8 {
    match signal {
        Signal::Fine => 0,
        Signal::Silent => 1,
        Signal::Throttled(Scope::Command) => 2,
        Signal::Throttled(Scope::App) => 3,
        Signal::Renew => 4,
        Signal::Fatal { .. } => 5,
    }
}

#[cfg(test)]
mod tests;

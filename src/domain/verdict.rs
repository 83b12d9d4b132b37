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
    /// One for each item, in the request's order.
    pub verdicts: Vec<Verdict>,
    /// Whether the server is done with it.
    pub server: Server,
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
    /// The endpoint can't be reached; nothing was sent.
    Unreachable(String),
    /// No answer that can be read: no sign of life, no sign of death.
    Silent,
    /// Nothing of this job can succeed.
    Fatal {
        /// The code that said so, where one did.
        code: Option<i64>,
        /// In words.
        reason: String,
    },
}

/// Judges an exchange. `max_attempts` counts attempts that are charged, this one included.
pub fn judge(operation: &dyn Operation, request: &Request, exchange: &Exchange, max_attempts: u32) -> Judgement {
    let judge = Judge { operation, request, max_attempts };
    match exchange {
        Exchange::Body(body) => match Answer::parse(body) {
            Ok(answer) => judge.answer(&answer),
            Err(error) => judge.unanswered(&error.to_string()),
        },
        Exchange::Status(429) => judge.all_again(Signal::Throttled(Scope::Command)),
        // A gateway's 5xx says nothing of the server behind it, which may still be at work.
        Exchange::Status(status) if *status >= 500 || *status == 408 => {
            judge.unanswered(&format!("HTTP status {status}"))
        }
        Exchange::Status(status) => {
            let reason = format!("HTTP status {status} where the API always sends 200; is the endpoint right?");
            judge.all_again(Signal::Fatal { code: None, reason })
        }
        Exchange::NotSent(reason) => judge.all_again(Signal::Unreachable(reason.clone())),
        Exchange::Refused(reason) => {
            let signal = Signal::Fatal { code: None, reason: reason.clone() };
            judge.all_again(signal)
        }
        Exchange::NoAnswer(reason) => judge.unanswered(reason),
    }
}

struct Judge<'a> {
    operation: &'a dyn Operation,
    request: &'a Request,
    max_attempts: u32,
}

impl Judge<'_> {
    fn answer(&self, answer: &Answer) -> Judgement {
        let mut signal = Signal::Fine;
        let named = |item: &Item| answer.items.get(item.account.as_str());
        let unnamed = self.request.items.iter().filter(|item| named(item).is_none()).count();
        let verdicts = self.request.items.iter().map(|item| {
            let (verdict, heard) = match named(item) {
                Some(ItemAnswer::Code(code, info)) => self.code(*code, info, Level::Item, 1),
                Some(ItemAnswer::Contradicted) => {
                    (self.doubtful("the answer says two things of this item"), Signal::Fine)
                }
                None if answer.code == 0 && self.operation.answer_key().is_some() => {
                    (self.doubtful("the answer does not name this item"), Signal::Fine)
                }
                None => self.code(answer.code, &answer.info, Level::Request, unnamed),
            };
            if severity(&heard) > severity(&signal) {
                signal = heard;
            }
            verdict
        });
        let verdicts = verdicts.collect();
        Judgement { verdicts, server: Server::Done, signal }
    }

    /// `company`: how many items the code speaks of.
    fn code(&self, code: i64, info: &str, level: Level, company: usize) -> (Verdict, Signal) {
        let free = |signal| (again(Charge::Free, self.request.doubt, Wait::None, Shape::Whole), signal);
        let fine = |verdict| (verdict, Signal::Fine);
        match classify(self.operation.name(), level, code, info) {
            Class::Done => fine(settled(Outcome::Succeeded, None, String::new())),
            Class::AlreadyDone => fine(self.already_done(code, info)),
            Class::Transient(effect) => fine(self.repeated(code, info, self.doubt_after(effect), Wait::Backoff)),
            Class::Conflict => fine(self.repeated(code, info, self.request.doubt, Wait::Alone)),
            Class::Throttled(scope) => free(Signal::Throttled(scope)),
            Class::Renew => free(Signal::Renew),
            Class::Fatal => free(Signal::Fatal { code: Some(code), reason: info.to_owned() }),
            Class::Split if company > 1 => fine(again(Charge::Free, self.request.doubt, Wait::None, Shape::Halves)),
            // It stands alone: the code is about this item.
            Class::Split => match level {
                Level::Request => self.code(code, info, Level::Item, 1),
                Level::Item => fine(settled(Outcome::Failed, Some(code), info.to_owned())),
            },
            Class::ItemFailed | Class::Unknown => fine(settled(Outcome::Failed, Some(code), info.to_owned())),
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
        again(Charge::Attempt, doubt, wait, Shape::Whole)
    }

    /// Sent, and no verdict came back.
    fn doubtful(&self, reason: &str) -> Verdict {
        if self.used_up() {
            return settled(Outcome::InDoubt, None, format!("{reason} (attempts used up)"));
        }
        again(Charge::Attempt, Doubt::MayHaveArrived, Wait::Backoff, Shape::Whole)
    }

    fn unanswered(&self, reason: &str) -> Judgement {
        let verdicts = vec![self.doubtful(reason); self.request.items.len()];
        Judgement { verdicts, server: Server::MayBeWriting, signal: Signal::Silent }
    }

    /// As if it had not been sent: nothing was written.
    fn all_again(&self, signal: Signal) -> Judgement {
        let verdict = again(Charge::Free, self.request.doubt, Wait::None, Shape::Whole);
        Judgement { verdicts: vec![verdict; self.request.items.len()], server: Server::Done, signal }
    }

    fn used_up(&self) -> bool {
        self.request.charged + 1 >= self.max_attempts
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
        Signal::Unreachable(_) => 4,
        Signal::Renew => 5,
        Signal::Fatal { .. } => 6,
    }
}

#[cfg(test)]
mod tests;

//! Settles by lookups what the answers to changes leave unknown.
//!
//! ```text
//! change ──► effect unknown ──► lookup ──► state reached: succeeded or already_done
//!                                 │  ▲     state not reached: failed
//!                                 │  │     no finding: the outcome that the change alone has, mostly in_doubt
//!                  friend's side  ▼  │ not certain
//!                             one more change ──► succeeded
//! ```
//!
//! A lookup is a call for the same request, so that it holds the same leases: no change of its accounts is in flight.

use super::answer::{Answer, ItemAnswer};
use super::backup;
use super::call_result::CallResult;
use super::code_history::{CodeHistory, Trace};
use super::earlier_effect::may_have_had_effect;
use super::outcome::Outcome;
use super::preparation::assess_online_check;
use super::verdict::{
    AppNotice, Assessment, CallContext, ItemResult, Resend, ServerActivity, ServerHealth, Verdict, Verdicts, Wait,
    assess,
};
use super::verification;
use crate::domain::operation::{BoundOperation, LookupFinding, LookupKind, StateSeen, read_command};
use crate::domain::request::{Doubt, Item, Purpose, Question, Request};

/// The body of the next call for a request.
pub fn body(operation: BoundOperation, request: &Request) -> Vec<u8> {
    let lookup = match &request.purpose {
        Purpose::Change => return operation.body(request),
        Purpose::Prepare(_) => return read_command::query_online_status(&request.ids()),
        Purpose::Backup(progress) => return backup::body(request, progress),
        Purpose::ReverseSide(_) => return operation.one_sided().body(&mirrored(request)),
        Purpose::LookUp(_) | Purpose::Verify(_) => operation.lookup,
    };
    match lookup {
        Some(lookup) => operation.lookup_body(lookup, request),
        None => no_lookup(operation),
    }
}

/// Decides what the result of a call means, whatever the call was for.
pub fn assess_call(context: &CallContext, request: &Request, result: &CallResult) -> Assessment {
    match (&request.purpose, context.operation.lookup) {
        (Purpose::LookUp(question), Some(lookup)) => LookupCall { lookup, question }.assess(context, request, result),
        (Purpose::ReverseSide(known), _) => reverse_side(context, request, known, result),
        (Purpose::Prepare(_), _) => prepared(context, request, assess_online_check(context, request, result)),
        (Purpose::Backup(progress), _) => {
            prepared(context, request, backup::assess_backup(context, request, progress, result))
        }
        (Purpose::Verify(_), Some(lookup)) => verification::assess(context, lookup, request, result),
        (Purpose::Change, Some(_)) => {
            let clean = result.body().is_some_and(|body| Answer::parse(body).is_ok_and(|it| it.code == 0));
            after_change(context.operation, request, clean, assess(context, request, result))
        }
        (Purpose::Change, None) => assess(context, request, result),
        (Purpose::LookUp(_) | Purpose::Verify(_), None) => no_lookup(context.operation),
    }
}

/// A lookup without a command would be sent as a change.
fn no_lookup(operation: BoundOperation) -> ! {
    panic!("the queue has a lookup of {}, which no command of the API can do", operation.name)
}

/// If an earlier change may have had an effect, a lookup decides about items that are not changed after a preparation.
fn prepared(context: &CallContext, request: &Request, assessment: Assessment) -> Assessment {
    match context.operation.lookup {
        Some(_) if may_have_had_effect(&context.operation, request.doubt, &request.history) => {
            after_change(context.operation, request, false, assessment)
        }
        Some(_) | None => assessment,
    }
}

/// Replaces the outcome of each item whose state is unknown by a lookup. `clean`: the answer's own code is 0.
fn after_change(operation: BoundOperation, request: &Request, clean: bool, assessment: Assessment) -> Assessment {
    let wait = wait_after(&assessment.health);
    let next = |verdict| match verdict {
        Verdict::Final(result) if is_unknown(operation, request, &result) => {
            let question = question(operation, request, clean, result);
            Verdict::Next(Purpose::LookUp(Box::new(question)), wait)
        }
        other => other,
    };
    let verdicts = match assessment.verdicts {
        Verdicts::All(verdict) => Verdicts::All(next(verdict)),
        Verdicts::Each(verdicts) => Verdicts::Each(verdicts.into_iter().map(next).collect()),
    };
    Assessment { verdicts, ..assessment }
}

/// A server that has just decided something can be asked at once.
fn wait_after(health: &ServerHealth) -> Wait {
    if *health == ServerHealth::Working { Wait::None } else { Wait::Backoff }
}

/// Whether some call may have had an effect that the outcome does not tell.
fn is_unknown(operation: BoundOperation, request: &Request, result: &ItemResult) -> bool {
    match result.outcome {
        Outcome::InDoubt => true,
        Outcome::Failed => {
            let history = request.history.clone().with(&operation, result.code);
            may_have_had_effect(&operation, request.doubt, &history)
        }
        Outcome::Succeeded
        | Outcome::AlreadyDone
        | Outcome::Pending
        | Outcome::Rejected
        | Outcome::Duplicate
        | Outcome::Protected => false,
    }
}

fn question(operation: BoundOperation, request: &Request, clean: bool, fallback: ItemResult) -> Question {
    let (trace, left_by) = request.history.clone().with(&operation, fallback.code).trace(&operation);
    let says_already = |code| operation.already_done.codes.iter().any(|known| known.code == code);
    let untouched = clean && trace == Trace::Nothing && request.doubt == Doubt::None;
    let before_us = untouched && fallback.code.is_some_and(says_already);
    let data_left = trace > Trace::Whole;
    Question {
        reached: if before_us { Outcome::AlreadyDone } else { Outcome::Succeeded },
        reached_code: if data_left { left_by } else { fallback.code },
        data_left,
        reverse_side_sent: false,
        fallback,
    }
}

/// The request with the roles of both accounts swapped: the list of the friend, and From_Account on it.
fn mirrored(request: &Request) -> Request {
    let mirror =
        |item: &Item| Item { account: request.from.clone().unwrap_or_else(|| item.account.clone()), ..item.clone() };
    let from = request.items.first().map(|item| item.account.clone());
    Request { from, items: request.items.iter().map(mirror).collect(), ..request.clone() }
}

/// The side of the friend is gone, or one more lookup shows whether it is.
fn reverse_side(context: &CallContext, request: &Request, known: &ItemResult, result: &CallResult) -> Assessment {
    let one_sided = CallContext { operation: context.operation.one_sided(), ..*context };
    let assessment = assess(&one_sided, &mirrored(request), result);
    let wait = wait_after(&assessment.health);
    let next = |verdict| match verdict {
        Verdict::Final(ItemResult { outcome: Outcome::Succeeded | Outcome::AlreadyDone, .. }) => {
            let reason = format!("{}; one more call deleted it there", known.reason);
            Verdict::Final(ItemResult { outcome: Outcome::Succeeded, code: known.code, reason })
        }
        Verdict::Final(ItemResult { code, reason, .. }) => {
            let reason = format!("{}; a call to delete it there: {reason}", known.reason);
            let fallback = ItemResult { outcome: Outcome::InDoubt, code: code.or(known.code), reason };
            let question = Question {
                fallback,
                reached: Outcome::Succeeded,
                reached_code: known.code,
                data_left: false,
                reverse_side_sent: true,
            };
            Verdict::Next(Purpose::LookUp(Box::new(question)), wait)
        }
        other => other,
    };
    let verdicts = match assessment.verdicts {
        Verdicts::All(verdict) => Verdicts::All(next(verdict)),
        Verdicts::Each(verdicts) => Verdicts::Each(verdicts.into_iter().map(next).collect()),
    };
    Assessment { verdicts, ..assessment }
}

/// What the codes of the answer to a call that only reads mean. The codes and doubts of earlier calls say nothing about
/// it, and the server writes nothing even if it is still working.
fn assess_read(context: &CallContext, request: &Request, result: &CallResult) -> Assessment {
    let asked = Request { history: CodeHistory::default(), doubt: Doubt::None, ..request.clone() };
    Assessment { activity: ServerActivity::Done, ..assess(context, &asked, result) }
}

/// What the answer to a lookup says about an item.
pub(super) enum LookupReading<'a> {
    /// A state.
    State(StateSeen),
    /// Nothing, with the code of the item, and why.
    Nothing(Option<i64>, &'a str),
}

/// Reads the answer to a lookup; `verdict` decides about each item. Only an item with code 0 in an answer with code 0
/// is believed, or a code that names the state. The codes are treated as those of a change: transient ones are sent
/// again.
pub(super) fn assess_lookup(
    context: &CallContext,
    lookup: LookupKind,
    request: &Request,
    result: &CallResult,
    verdict: impl Fn(LookupReading<'_>) -> Verdict,
) -> Assessment {
    let plain = assess_read(context, request, result);
    let operation = context.operation;
    let mut states = result.body().map_or_else(Vec::new, |body| operation.states_seen(lookup, request, body));
    states.resize(request.items.len(), None);
    let answer = result.body().and_then(|body| Answer::parse_read(body).ok());
    let by_id = answer.as_ref().map(Answer::by_id).unwrap_or_default();
    // The text that the API sent beside a code: beside the item's own one, or else beside that of the whole answer.
    let text_beside = |item: &Item, code: i64| match by_id.get(item.account.as_str()) {
        Some(ItemAnswer::Code(own, info)) if *own == code => Some(info.as_str()),
        Some(ItemAnswer::Code(..) | ItemAnswer::Contradicted(_) | ItemAnswer::OnlyIn(_)) | None => {
            answer.as_ref().filter(|answer| answer.code == code).map(|answer| answer.info.as_str())
        }
    };
    let state_of_code =
        |at: usize, code: i64| operation.state_of_code(lookup, code, text_beside(request.items.get(at)?, code)?);
    let decide = |at: usize, known: &Verdict| match known {
        Verdict::Final(ItemResult { outcome: Outcome::Succeeded, code: None, .. }) => {
            verdict(states[at].clone().map_or(
                LookupReading::Nothing(None, "the answer shows no state that imbulk knows"),
                LookupReading::State,
            ))
        }
        Verdict::Final(ItemResult { code, reason, .. }) => {
            let state = code.and_then(|code| state_of_code(at, code));
            verdict(state.map_or(LookupReading::Nothing(*code, reason), LookupReading::State))
        }
        Verdict::Resend(how) => Verdict::Resend(Resend { doubt: request.doubt, met: None, ..*how }),
        Verdict::Next(..) => known.clone(),
    };
    let verdicts = plain.verdicts.map_items(request.items.len(), decide);
    Assessment { verdicts, ..plain }
}

/// A lookup that was sent.
struct LookupCall<'a> {
    lookup: LookupKind,
    question: &'a Question,
}

impl LookupCall<'_> {
    /// A code that is final leaves the question open, and so does one that would halt the run: changes may be allowed
    /// where lookups are not.
    fn assess(&self, context: &CallContext, request: &Request, result: &CallResult) -> Assessment {
        let assessment = assess_lookup(context, self.lookup, request, result, |finding| match finding {
            LookupReading::State(seen) => self.settled(&seen),
            LookupReading::Nothing(Some(code), why) => self.open(&format!("{code} {why}")),
            LookupReading::Nothing(None, why) => self.open(why),
        });
        let AppNotice::Fatal { reason, .. } = &assessment.notice else { return assessment };
        let verdicts = assessment.verdicts.map_items(request.items.len(), |_, verdict| match verdict {
            Verdict::Resend(_) => self.open(reason),
            Verdict::Final(_) | Verdict::Next(..) => verdict.clone(),
        });
        Assessment { verdicts, notice: AppNotice::Nothing, ..assessment }
    }

    fn settled(&self, seen: &StateSeen) -> Verdict {
        let Question { fallback, reached, reached_code, data_left, reverse_side_sent } = self.question;
        let mut reason = format!("{}; a lookup shows that {}", fallback.reason, seen.state);
        let ended = |outcome, code, reason| Verdict::Final(ItemResult { outcome, code, reason });
        match seen.finding {
            LookupFinding::Reached => {
                if *data_left && self.lookup == LookupKind::Accounts {
                    reason.push_str("; data of it may remain");
                }
                ended(*reached, *reached_code, reason)
            }
            LookupFinding::ReverseSide if !reverse_side_sent => {
                let known = ItemResult { outcome: Outcome::InDoubt, code: fallback.code, reason };
                Verdict::Next(Purpose::ReverseSide(Box::new(known)), Wait::None)
            }
            LookupFinding::OwnSideReached => ended(Outcome::InDoubt, fallback.code, reason),
            LookupFinding::ReverseSide | LookupFinding::NotReached => ended(Outcome::Failed, fallback.code, reason),
        }
    }

    /// The lookup shows nothing, so nothing is claimed that was not known before it.
    fn open(&self, why: &str) -> Verdict {
        let ItemResult { outcome, code, reason } = &self.question.fallback;
        let reason = format!("{reason}; the lookup failed: {why}");
        Verdict::Final(ItemResult { outcome: *outcome, code: *code, reason })
    }
}

#[cfg(test)]
mod tests;

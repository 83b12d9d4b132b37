//! Decides what follows from a preparation: which items are changed, and which are not.
//!
//! ```text
//! online check ──► offline: the change, at once and under the same lease
//!                  online: protected
//!                  does not exist: already_done, or as after an answer to the change
//!                  no answer for the item: asked again, and failed at the end
//! ```

use super::answer::{Answer, ItemAnswer};
use super::call_result::CallResult;
use super::earlier_effect::may_have_had_effect;
use super::outcome::Outcome;
use super::verdict::{Assessment, CallContext, ItemResult, Resend, ServerActivity, Verdict, Verdicts, Wait, assess};
use crate::domain::operation::{OnlineStatus, Preparation};
use crate::domain::request::{Item, Purpose, Request};

/// What the result of an online check means. Its codes are treated as those of the change, so that the code for "no
/// such account" proves what it proves there.
pub(super) fn assess_online_check(context: &CallContext, request: &Request, result: &CallResult) -> Assessment {
    let plain = assess(context, request, result);
    let statuses = result.body().map(Preparation::online_statuses).unwrap_or_default();
    let answer = result.body().and_then(|body| Answer::parse_online_status(body).ok());
    let may_be_deleted = may_have_had_effect(&context.operation, request.doubt, &request.history);
    let check = OnlineCheck { may_be_deleted };
    let says_already =
        |code: &Option<i64>| context.operation.already_done.codes.iter().any(|known| Some(known.code) == *code);
    let verdict = |item: &Item, verdict: &Verdict| match verdict {
        Verdict::Final(ItemResult { outcome: Outcome::Succeeded, code: None, .. }) => {
            check.settled(statuses.get(item.account.as_str()).unwrap_or(&OnlineStatus::Unknown))
        }
        Verdict::Final(ItemResult { code, .. }) if says_already(code) && names(answer.as_ref(), item, *code) => {
            verdict.clone()
        }
        Verdict::Final(ItemResult { code, reason, .. }) => check.not_known(*code, reason),
        Verdict::Next(..) => verdict.clone(),
        // The check has no effect, so it leaves neither a doubt nor a code.
        Verdict::Resend(how) => Verdict::Resend(Resend { doubt: request.doubt, met: None, ..*how }),
    };
    let items = request.items.iter();
    let verdicts = match &plain.verdicts {
        Verdicts::All(all) => items.map(|item| verdict(item, all)).collect(),
        Verdicts::Each(each) => items.zip(each).map(|(item, own)| verdict(item, own)).collect(),
    };
    Assessment { verdicts: Verdicts::Each(verdicts), activity: ServerActivity::Done, ..plain }
}

/// Whether the answer names the item with this code. The code of the whole request may be that of another item.
pub(super) fn names(answer: Option<&Answer<'_>>, item: &Item, code: Option<i64>) -> bool {
    let of_item = answer.map(Answer::by_id).and_then(|items| items.get(item.account.as_str()).cloned());
    matches!(of_item, Some(ItemAnswer::Code(own, _)) if Some(own) == code)
}

/// An online check that was answered.
struct OnlineCheck {
    may_be_deleted: bool,
}

impl OnlineCheck {
    fn settled(&self, status: &OnlineStatus) -> Verdict {
        match status {
            OnlineStatus::Offline => Verdict::Next(Purpose::Change, Wait::Leased),
            OnlineStatus::Online(status) => not_changed(
                self.may_be_deleted,
                Outcome::Protected,
                None,
                format!("guard.unless_online: query_online_status said {status}, so no deletion was sent"),
            ),
            OnlineStatus::Unknown => self.not_known(None, "the answer has no status that imbulk knows"),
        }
    }

    fn not_known(&self, code: Option<i64>, why: &str) -> Verdict {
        let reason =
            format!("guard.unless_online: whether the account is online is not known, so no deletion was sent: {why}");
        not_changed(self.may_be_deleted, Outcome::Failed, code, reason)
    }
}

/// The outcome of an item that is not changed after its preparation. If an earlier call may have changed it, a lookup
/// decides. Then the code says nothing about that call.
pub(super) fn not_changed(may_be_done: bool, outcome: Outcome, code: Option<i64>, reason: String) -> Verdict {
    let (outcome, code) = if may_be_done { (Outcome::InDoubt, None) } else { (outcome, code) };
    Verdict::Final(ItemResult { outcome, code, reason })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::lookup::assess_call;
    use super::super::verdict::{Charging, NewUserSig};
    use super::*;
    use crate::domain::ids::RequestId;
    use crate::domain::operation::{Preparations, by_name};
    use crate::domain::request::Doubt;
    use crate::domain::request::account::UserId;
    use crate::domain::response::code_history::CodeHistory;

    /// What an online check with this answer means for accounts `a` and `b`, at the last attempt.
    fn verdicts(body: &str, doubt: Doubt) -> Vec<Verdict> {
        let item = |(row, id): (u64, &str)| Item { account: UserId::new(id).unwrap(), row, updates: None };
        let request = Request {
            id: RequestId::new(1),
            from: None,
            items: [(0, "a"), (1, "b")].map(item).into(),
            calls: 3,
            charged: 2,
            doubt,
            history: CodeHistory::default(),
            purpose: Purpose::Prepare(Preparation::OnlineCheck),
        };
        let operation = by_name("account_delete").unwrap().bind(&BTreeMap::new()).unwrap();
        let context = CallContext {
            operation,
            preparations: Preparations::default(),
            charging: Charging::UpTo(3),
            new_usersig: NewUserSig::MayHelp,
        };
        let result = CallResult::Body(body.as_bytes().to_vec());
        match assess_call(&context, &request, &result).verdicts {
            Verdicts::Each(each) => each,
            Verdicts::All(one) => vec![one.clone(), one],
        }
    }

    fn outcome(verdict: &Verdict) -> &str {
        match verdict {
            Verdict::Final(result) => result.outcome.name(),
            Verdict::Resend(_) => "again",
            Verdict::Next(Purpose::Change, Wait::Leased) => "change",
            Verdict::Next(Purpose::LookUp(_), _) => "lookup",
            Verdict::Next(..) => "another call",
        }
    }

    #[track_caller]
    fn check(body: &str, wanted: [&str; 2]) {
        let verdicts = verdicts(body, Doubt::None);
        assert_eq!(verdicts.iter().map(outcome).collect::<Vec<_>>(), wanted, "{body}");
    }

    #[test]
    fn only_accounts_that_an_answer_calls_offline_are_changed() {
        let a = r#"{"To_Account":"a","Status":"Offline"}"#;
        let b = |status: &str| format!(r#"{{"To_Account":"b","Status":{status}}}"#);
        let of = |items: &str| format!(r#"{{"ErrorCode":0,"QueryResult":[{a},{items}]}}"#);
        check(&of(&b("\"Offline\"")), ["change", "change"]);
        check(&of(&b("\"Online\"")), ["change", "protected"]);
        check(&of(&b("\"PushOnline\"")), ["change", "protected"]);
        for status in ["\"Away\"", "\"\"", "null"] {
            check(&of(&b(status)), ["change", "failed"]);
        }
        check(&of(&format!("{},{}", b("\"Offline\""), b("\"Online\""))), ["change", "failed"]);
        check(&of(&format!("{},{}", b("\"Online\""), b("\"Online\""))), ["change", "protected"]);
        check(&of(r#"{"To_Account":"c","Status":"Offline"}"#), ["change", "failed"]);
    }

    #[test]
    fn codes_are_those_of_the_change_and_leave_the_account_alone() {
        let of = |code: i64| {
            format!(
                r#"{{"ErrorCode":0,"QueryResult":[{{"To_Account":"a","Status":"Offline"}}],
                    "ErrorList":[{{"To_Account":"b","ErrorCode":{code}}}]}}"#
            )
        };
        check(&of(70_107), ["change", "already_done"]);
        check(&of(40_005), ["change", "failed"]);
        check(&of(30_006), ["change", "failed"]);
        check(r#"{"ErrorCode":60008,"ErrorInfo":"busy"}"#, ["failed", "failed"]);
        check(r#"{"ErrorCode":60007}"#, ["again", "again"]);
        check("<html>", ["failed", "failed"]);
        let all_missing = r#"{"ErrorCode":70107,"ActionStatus":"FAIL","ErrorList":[{"To_Account":"a","ErrorCode":70107},
                {"To_Account":"b","ErrorCode":70107}]}"#;
        check(all_missing, ["already_done", "already_done"]);
        // The code of the request is that of the first account that failed, and says nothing about the other one.
        let one_missing = r#"{"ErrorCode":70107,"ErrorList":[{"To_Account":"a","ErrorCode":70107}]}"#;
        check(one_missing, ["already_done", "failed"]);
    }

    #[test]
    fn after_a_change_that_may_have_had_an_effect_a_lookup_decides() {
        let body = r#"{"ErrorCode":0,"QueryResult":[{"To_Account":"a","Status":"Online"}],
                       "ErrorList":[{"To_Account":"b","ErrorCode":70107}]}"#;
        let verdicts = verdicts(body, Doubt::EffectUnknown);
        assert_eq!(verdicts.iter().map(outcome).collect::<Vec<_>>(), ["lookup", "succeeded"]);
    }
}

mod imports;

use crate::domain::ids::RequestId;
use serde_json::{Value, json};

use super::*;
use crate::domain::operation::{ALL, by_name};
use crate::domain::request::account::UserId;
use crate::domain::response::code_history::CodeHistory;
use crate::domain::response::codes::all_codes;

/// The maximum number of attempts. Requests of these tests have used one.
const MAX_ATTEMPTS: u32 = 3;

fn request(operation: &str, accounts: &[&str], charged: u32, doubt: Doubt) -> Request {
    let id = |name: &str| UserId::new(name).unwrap();
    let items = accounts.iter().zip(0..).map(|(name, row)| Item { account: id(name), row, updates: None }).collect();
    let from = by_name(operation).unwrap().shape.from.map(|_| id("from"));
    let history = CodeHistory::default();
    Request {
        id: RequestId::new(1),
        from,
        items,
        calls: charged + 1,
        charged,
        doubt,
        history,
        purpose: Purpose::Change,
    }
}

fn context(operation: &str, charging: Charging) -> CallContext {
    CallContext {
        operation: bound(operation, ONE_WAY),
        preparations: Preparations::default(),
        charging,
        new_usersig: NewUserSig::MayHelp,
    }
}

const ONE_WAY: &str = "single";
const TWO_WAY: &str = "both";

/// The operation with this value for each of its options.
fn bound(operation: &str, value: &str) -> BoundOperation {
    let operation = by_name(operation).unwrap();
    let options = operation.options.iter().map(|option| (option.name.to_owned(), value.to_owned()));
    operation.bind(&options.collect()).unwrap()
}

/// A judgement with a verdict for each item.
struct Assessed {
    verdicts: Vec<Verdict>,
    activity: ServerActivity,
    health: ServerHealth,
    notice: AppNotice,
}

fn assessed(operation: &str, request: &Request, result: &CallResult) -> Assessed {
    assessed_charging(operation, request, result, Charging::UpTo(MAX_ATTEMPTS))
}

fn assessed_charging(operation: &str, request: &Request, result: &CallResult, charging: Charging) -> Assessed {
    assessed_in(&context(operation, charging), request, result)
}

fn assessed_in(context: &CallContext, request: &Request, result: &CallResult) -> Assessed {
    let assessment = assess(context, request, result);
    let Assessment { verdicts, activity, health, notice, .. } = assessment;
    let verdicts = match verdicts {
        Verdicts::All(verdict) => vec![verdict; request.items.len()],
        Verdicts::Each(verdicts) => verdicts,
    };
    Assessed { verdicts, activity, health, notice }
}

/// An answer of these items.
fn answer(code: i64, items: &[(&str, i64)]) -> CallResult {
    let item = |(id, code): &(&str, i64)| json!({"To_Account": id, "ResultCode": code, "ResultInfo": "says why"});
    let items: Vec<Value> = items.iter().map(item).collect();
    let status = if code == 0 { "OK" } else { "FAIL" };
    body(&json!({"ActionStatus": status, "ErrorCode": code, "ErrorInfo": "says why", "ResultItem": items}))
}

fn body(json: &Value) -> CallResult {
    CallResult::Body(json.to_string().into())
}

fn outcome(verdict: &Verdict) -> Option<(Outcome, Option<i64>)> {
    match verdict {
        Verdict::Final(result) => Some((result.outcome, result.code)),
        Verdict::Resend(_) | Verdict::Next(..) => None,
    }
}

fn how(verdict: &Verdict) -> Option<(Charge, Doubt, Wait, BatchSplit)> {
    match verdict {
        Verdict::Final(_) | Verdict::Next(..) => None,
        Verdict::Resend(again) => Some((again.charge, again.doubt, again.wait, again.split)),
    }
}

/// What happens to one item.
#[derive(Debug)]
enum Expected {
    Ends(Outcome, Option<i64>),
    Resend(Charge, Doubt, Wait, BatchSplit),
}

impl Expected {
    fn check(&self, verdict: &Verdict, case: &str) {
        match self {
            Self::Ends(wanted, code) => assert_eq!(outcome(verdict), Some((*wanted, *code)), "{case}"),
            Self::Resend(charge, doubt, wait, split) => {
                assert_eq!(how(verdict), Some((*charge, *doubt, *wait, *split)), "{case}");
            }
        }
    }
}

use BatchSplit::{Halves, Whole};
use Charge::{Attempt, Free};
use Doubt::EffectUnknown;
use Expected::{Ends, Resend as Repeated};

const DOUBTS: [Doubt; 3] = Doubt::ALL;

/// What a code means on account_delete, if attempts are left and if none are.
type ByDoubt = fn(Doubt) -> (Expected, Expected);

/// One code of each class, and what happens to an item with this code, by doubt.
const CLASSES: [(&str, i64, ByDoubt); 10] = [
    ("done", 0, |_| (Ends(Outcome::Succeeded, None), Ends(Outcome::Succeeded, None))),
    ("already done", 70107, |doubt| {
        let outcome = if doubt == Doubt::None { Outcome::AlreadyDone } else { Outcome::Succeeded };
        (Ends(outcome, Some(70107)), Ends(outcome, Some(70107)))
    }),
    ("transient", 70500, |doubt| {
        let last = if doubt == EffectUnknown { Outcome::InDoubt } else { Outcome::Failed };
        (Repeated(Attempt, doubt, Wait::Backoff, Whole), Ends(last, Some(70500)))
    }),
    ("the server's time-out", 70169, |doubt| {
        let last = if doubt == EffectUnknown { Outcome::InDoubt } else { Outcome::Failed };
        (Repeated(Attempt, doubt.max(Doubt::TimedOut), Wait::Backoff, Whole), Ends(last, Some(70169)))
    }),
    ("conflict", 30008, |doubt| {
        let last = if doubt == EffectUnknown { Outcome::InDoubt } else { Outcome::Failed };
        (Repeated(Attempt, doubt, Wait::Alone, Whole), Ends(last, Some(30008)))
    }),
    ("throttled", 60007, |doubt| (Repeated(Free, doubt, Wait::None, Whole), Repeated(Free, doubt, Wait::None, Whole))),
    ("throttled app", 60011, |doubt| {
        (Repeated(Free, doubt, Wait::None, Whole), Repeated(Free, doubt, Wait::None, Whole))
    }),
    ("renew", 70001, |doubt| (Repeated(Free, doubt, Wait::None, Whole), Repeated(Free, doubt, Wait::None, Whole))),
    ("fatal", 71000, |doubt| (Repeated(Free, doubt, Wait::None, Whole), Repeated(Free, doubt, Wait::None, Whole))),
    ("item failed", 70402, |_| (Ends(Outcome::Failed, Some(70402)), Ends(Outcome::Failed, Some(70402)))),
];

#[test]
fn each_class_means_the_same_of_an_item_and_of_a_request_of_one_item() {
    for (name, code, expectation) in CLASSES {
        for doubt in DOUBTS {
            let (with_attempts_left, used_up) = expectation(doubt);
            for (expected, charged) in [(with_attempts_left, 1), (used_up, MAX_ATTEMPTS - 1)] {
                let case = format!("{name}, {doubt:?}, {charged} charged");
                let request = request("account_delete", &["a"], charged, doubt);
                let by_item = assessed("account_delete", &request, &answer(0, &[("a", code)]));
                expected.check(&by_item.verdicts[0], &case);
                // Code 0 for a request whose items are not named is not a success; see below.
                if code != 0 {
                    let by_request = assessed("account_delete", &request, &answer(code, &[]));
                    expected.check(&by_request.verdicts[0], &case);
                    assert_eq!(by_request.notice, by_item.notice, "{case}");
                }
                assert_eq!(by_item.activity, ServerActivity::Done, "{case}");
            }
        }
    }
}

#[test]
fn a_refusal_of_a_batch_halves_what_it_speaks_of_and_costs_no_attempt() {
    for doubt in DOUBTS {
        let request = request("account_delete", &["a", "b", "c"], MAX_ATTEMPTS - 1, doubt);
        let refused = assessed("account_delete", &request, &answer(70402, &[]));
        assert!(refused.verdicts.iter().all(|verdict| how(verdict) == Some((Free, doubt, Wait::None, Halves))));
        let refused = assessed("account_delete", &request, &answer(70402, &[("a", 70107), ("b", 70206)]));
        let named = [Outcome::AlreadyDone, Outcome::Failed];
        let named = if doubt == Doubt::None { named } else { [Outcome::Succeeded, Outcome::Failed] };
        assert_eq!(refused.verdicts[..2].iter().map(|v| outcome(v).unwrap().0).collect::<Vec<_>>(), named);
        assert_eq!(outcome(&refused.verdicts[2]), Some((Outcome::Failed, Some(70402))), "the only one not named");
    }
}

#[test]
fn an_answer_without_an_item_or_with_two_answers_to_it_leaves_that_item_in_doubt() {
    let request = request("friend_delete", &["named", "missing", "twice"], 1, Doubt::None);
    let mixed = answer(0, &[("stranger", 0), ("twice", 0), ("named", 0), ("twice", 31706)]);
    let assessment = assessed("friend_delete", &request, &mixed);
    assert_eq!(outcome(&assessment.verdicts[0]), Some((Outcome::Succeeded, None)));
    for verdict in &assessment.verdicts[1..] {
        assert_eq!(how(verdict), Some((Attempt, EffectUnknown, Wait::Backoff, Whole)));
    }
    assert!(matches!(assessment.verdicts[2], Verdict::Resend(Resend { met: Some(31706), .. })), "the code is not lost");
    let used_up = Request { charged: MAX_ATTEMPTS - 1, ..request };
    let assessment = assessed("friend_delete", &used_up, &mixed);
    assert_eq!(outcome(&assessment.verdicts[1]), Some((Outcome::InDoubt, None)));
    assert_eq!(outcome(&assessment.verdicts[2]), Some((Outcome::InDoubt, Some(31706))));
}

#[test]
fn an_answer_in_which_all_items_failed_is_read_item_by_item() {
    let request = request("friend_delete", &["a", "b"], 0, Doubt::None);
    let assessment = assessed("friend_delete", &request, &answer(30003, &[("a", 31704), ("b", 31706)]));
    assert_eq!(outcome(&assessment.verdicts[0]), Some((Outcome::AlreadyDone, Some(31704))));
    assert_eq!(how(&assessment.verdicts[1]), Some((Attempt, Doubt::None, Wait::Backoff, Whole)));
    // An item that the answer does not name gets the code of the whole answer.
    let assessment = assessed("friend_delete", &request, &answer(30003, &[("a", 31704)]));
    assert_eq!(outcome(&assessment.verdicts[1]), Some((Outcome::Failed, Some(30003))));
}

#[test]
fn the_one_verdict_of_friend_delete_all_is_the_items() {
    let request = request("friend_delete_all", &["a"], 0, Doubt::None);
    let assessment = assessed("friend_delete_all", &request, &answer(0, &[]));
    assert_eq!(outcome(&assessment.verdicts[0]), Some((Outcome::Succeeded, None)));
    let assessment = assessed("friend_delete_all", &request, &answer(30001, &[]));
    assert_eq!(outcome(&assessment.verdicts[0]), Some((Outcome::Failed, Some(30001))));
}

#[test]
fn only_an_answer_ends_an_item_in_success() {
    let results = [
        CallResult::Status(429),
        CallResult::Status(503),
        CallResult::Status(404),
        CallResult::NotSent(String::new()),
        CallResult::UntrustedServer(String::new()),
        CallResult::NoAnswer(String::new()),
        CallResult::Body("<html>".into()),
        body(&json!({"ActionStatus": "FAIL", "ErrorCode": 0})),
        body(&json!({"ErrorCode": 0})),
    ];
    for operation in ALL.iter().filter(|operation| operation.answer_key().is_some()) {
        for charged in 0..MAX_ATTEMPTS {
            let request = request(operation.name, &["a"], charged, Doubt::None);
            for result in &results {
                let verdict = &assessed(operation.name, &request, result).verdicts[0];
                assert!(matches!(outcome(verdict), None | Some((Outcome::InDoubt, None))), "{result:?}: {verdict:?}");
            }
        }
    }
}

/// Calls without an answer of the API: what is known of the server, and the notice.
#[test]
fn silence_costs_an_attempt_and_leaves_doubt_and_what_was_not_sent_costs_nothing() {
    let fatal = |code, reason: &str| AppNotice::Fatal { scope: Scope::App, code, reason: reason.to_owned() };
    let strange = |status| format!("HTTP status {status} where the API always sends 200; check the endpoint");
    let silent = [CallResult::NoAnswer("reset".into()), CallResult::Body("<html>".into())];
    let statuses = [201, 202, 204, 206, 303, 408, 500, 504].map(CallResult::Status);
    for result in silent.into_iter().chain(statuses) {
        let notice = match result {
            CallResult::Status(status @ 200..400) => fatal(None, &strange(status)),
            _ => AppNotice::Nothing,
        };
        let request = request("account_delete", &["a", "b"], 0, Doubt::None);
        let assessment = assessed("account_delete", &request, &result);
        let expected = (ServerActivity::MayBeWriting, notice);
        assert_eq!((assessment.activity, assessment.notice), expected, "{result:?}");
        for verdict in &assessment.verdicts {
            assert_eq!(how(verdict), Some((Attempt, EffectUnknown, Wait::Backoff, Whole)), "{result:?}");
        }
        let used_up = Request { charged: MAX_ATTEMPTS - 1, ..request };
        let assessment = assessed("account_delete", &used_up, &result);
        assert_eq!(assessment.activity, ServerActivity::MayBeWriting, "{result:?}");
        assert!(assessment.verdicts.iter().all(|verdict| outcome(verdict) == Some((Outcome::InDoubt, None))));
    }
    let harmless = [
        (CallResult::Status(429), AppNotice::Throttled(Scope::Command, Pause::Short)),
        (CallResult::NotSent("refused".into()), AppNotice::Nothing),
        (CallResult::UntrustedServer("certificate".into()), fatal(None, "certificate")),
        (CallResult::Status(302), fatal(None, &strange(302))),
        (CallResult::Status(404), fatal(None, &strange(404))),
    ];
    for (result, notice) in harmless {
        for doubt in DOUBTS {
            let request = request("account_delete", &["a", "b"], MAX_ATTEMPTS - 1, doubt);
            let assessment = assessed("account_delete", &request, &result);
            assert_eq!((assessment.activity, &assessment.notice), (ServerActivity::Done, &notice), "{result:?}");
            assert!(assessment.verdicts.iter().all(|verdict| how(verdict) == Some((Free, doubt, Wait::None, Whole))));
        }
    }
}

#[test]
fn the_gravest_item_speaks_for_the_answer() {
    let request = request("account_delete", &["a", "b", "c"], 0, Doubt::None);
    let notice = |codes: [i64; 3]| {
        let items = [("a", codes[0]), ("b", codes[1]), ("c", codes[2])];
        assessed("account_delete", &request, &answer(0, &items)).notice
    };
    assert_eq!(notice([0, 70500, 70107]), AppNotice::Accepted);
    assert_eq!(notice([60011, 60007, 0]), AppNotice::Throttled(Scope::App, Pause::Short));
    assert_eq!(notice([60011, 31707, 0]), AppNotice::Throttled(Scope::Command, Pause::Long));
    let renew = AppNotice::Renew { code: 70001, reason: "says why".into(), fallback: RenewFallback::Fatal };
    assert_eq!(notice([60011, 70001, 60007]), renew);
    let fatal = |scope, code| AppNotice::Fatal { scope, code: Some(code), reason: "says why".into() };
    assert_eq!(notice([71000, 70001, 70500]), fatal(Scope::Command, 71000));
    assert_eq!(notice([70403, 71000, 70500]), fatal(Scope::App, 70403));
}

#[test]
fn the_server_is_healthy_if_one_item_got_a_verdict_and_else_the_reason_is_given() {
    let request = request("account_delete", &["a", "b"], 0, Doubt::None);
    let health = |result: &CallResult| assessed("account_delete", &request, result).health;
    let items = |a, b| health(&answer(0, &[("a", a), ("b", b)]));
    for (a, b) in [(0, 0), (0, 70500), (60011, 70402), (70107, 30008), (70402, 70500)] {
        assert_eq!(items(a, b), ServerHealth::Working, "{a} {b}");
    }
    assert_eq!(health(&answer(30001, &[])), ServerHealth::Working, "it looked at the batch");
    let failing = |reason: &str| ServerHealth::Failing(Trouble::Failing(reason.to_owned()));
    for code in [70500, 60008, 30008, 60007, 60011] {
        assert_eq!(health(&answer(code, &[])), failing(&format!("code {code}: says why")));
        assert_eq!(items(code, 60014), failing(&format!("code {code}: says why")));
    }
    assert_eq!(items(70500, 0), ServerHealth::Working);
    assert_eq!(health(&answer(0, &[])), failing("the answer does not name this item"));
    assert_eq!(health(&CallResult::Status(429)), failing("HTTP status 429"));
    assert_eq!(health(&CallResult::Status(502)), failing("HTTP status 502"));
    assert_eq!(health(&CallResult::NoAnswer("reset".into())), failing("reset"));
    assert_eq!(
        health(&CallResult::NotSent("refused".into())),
        ServerHealth::Failing(Trouble::Unreachable("refused".into()))
    );
    for result in [answer(70001, &[]), answer(70403, &[]), CallResult::Status(404)] {
        assert_eq!(health(&result), ServerHealth::Unknown, "{result:?}");
    }
}

#[test]
fn while_attempts_do_not_count_none_is_charged_and_nothing_fails_for_want_of_them() {
    let request = request("account_delete", &["a"], MAX_ATTEMPTS - 1, Doubt::EffectUnknown);
    let results = [answer(70500, &[]), answer(30008, &[]), answer(0, &[]), CallResult::NoAnswer("reset".into())];
    for result in results {
        let assessed = |charging| assessed_charging("account_delete", &request, &result, charging).verdicts;
        assert!(outcome(&assessed(Charging::UpTo(MAX_ATTEMPTS))[0]).is_some(), "{result:?}");
        let (charge, doubt, _, _) = how(&assessed(Charging::Off)[0]).expect("it goes out again");
        assert_eq!((charge, doubt), (Free, EffectUnknown), "{result:?}");
    }
    let no = assessed_charging("account_delete", &request, &answer(70402, &[]), Charging::Off);
    assert_eq!(outcome(&no.verdicts[0]), Some((Outcome::Failed, Some(70402))), "the server's own no is one");
}

/// Answers that contradict themselves, for each operation that answers by item. Either items are done and the request
/// failed, or one item has two codes.
fn contradictions(id: &str, other: &str, code: i64) -> Vec<CallResult> {
    let item = |id: &str, code: i64| json!({"UserID": id, "ResultCode": code, "ResultInfo": "x"});
    let both = json!([item(id, 0), item(other, 0)]);
    vec![
        body(&json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": "x", "ResultItem": both})),
        body(&json!({"ActionStatus": "OK", "ErrorCode": code, "ErrorInfo": "x", "ResultItem": both})),
        body(&json!({"ErrorCode": code, "ResultItem": both})),
        body(&json!({"ActionStatus": "FAIL", "ErrorCode": 0, "ResultItem": both})),
        body(&json!({"ActionStatus": "OK", "ErrorCode": code.to_string(), "ResultItem": both})),
        body(&json!({"ErrorCode": 0, "ResultItem": [item(id, 0), item(id, code), item(other, code)]})),
        body(&json!({"ErrorCode": 0, "ResultItem": both, "Fail_Account": [id, other]})),
        body(&json!({"ErrorCode": 0, "ResultItem": both, "Invalid_Account": [id, other]})),
    ]
}

#[test]
fn an_answer_that_contradicts_itself_never_makes_a_success_whatever_its_code() {
    for operation in ALL.iter().filter(|operation| operation.answer_key().is_some()) {
        for code in all_codes().map(|info| *info.codes.start()).filter(|code| *code != 0).chain([12345]) {
            for charged in 0..MAX_ATTEMPTS {
                let request = request(operation.name, &["a", "b"], charged, Doubt::None);
                for result in contradictions("a", "b", code) {
                    let verdict = &assessed(operation.name, &request, &result).verdicts[0];
                    let end = outcome(verdict).map(|(outcome, _)| outcome);
                    assert!(!matches!(end, Some(Outcome::Succeeded)), "{code} {result:?}: {verdict:?}");
                    if let Some(again) = how(verdict) {
                        assert_eq!(again.1, EffectUnknown, "{code} {result:?}: {verdict:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_code_that_stops_the_app_is_the_items_where_others_of_the_same_answer_succeeded() {
    let request = request("friend_delete", &["a", "b", "c"], 0, Doubt::None);
    for code in [30004, 71000, 70403, 60010, 70001, 70052] {
        let one = assessed("friend_delete", &request, &answer(0, &[("a", 0), ("b", code), ("c", 0)]));
        let failed = Some((Outcome::Failed, Some(code)));
        assert_eq!((&one.notice, outcome(&one.verdicts[1])), (&AppNotice::Accepted, failed));
        assert_eq!(outcome(&one.verdicts[2]), Some((Outcome::Succeeded, None)));
        for others in [code, 31704, 70402] {
            let none = assessed("friend_delete", &request, &answer(0, &[("a", others), ("b", code), ("c", others)]));
            assert_ne!(none.notice, AppNotice::Accepted, "{code}, and no item succeeded");
            assert_eq!(how(&none.verdicts[1]), Some((Free, Doubt::None, Wait::None, Whole)));
        }
    }
    let transient = assessed("friend_delete", &request, &answer(0, &[("a", 0), ("b", 60004), ("c", 0)]));
    assert_eq!(
        how(&transient.verdicts[1]),
        Some((Attempt, Doubt::None, Wait::Backoff, Whole)),
        "the UserSig is accepted"
    );
}

#[test]
fn an_id_that_only_a_list_of_failures_names_is_failed_and_the_reason_names_the_list() {
    for (list, operation) in [("Fail_Account", "friend_delete"), ("Invalid_Account", "friend_update")] {
        let request = request(operation, &["a", "b"], 0, Doubt::None);
        let named = json!({"ErrorCode": 0, "ResultItem": [{"To_Account": "a", "ResultCode": 0}], list: ["b"]});
        let assessment = assessed(operation, &request, &body(&named));
        assert_eq!(outcome(&assessment.verdicts[1]), Some((Outcome::Failed, None)));
        assert!(reason(&assessment.verdicts[1]).contains(list));
        // If the request failed, its code decides.
        let failed = json!({"ErrorCode": 30006, "ErrorInfo": "x", list: ["a", "b"]});
        assert!(how(&assessed(operation, &request, &body(&failed)).verdicts[1]).is_some());
    }
    let request = request("friend_delete_all", &["a"], 0, Doubt::None);
    let blamed = assessed("friend_delete_all", &request, &body(&json!({"ErrorCode": 0, "Fail_Account": ["a"]})));
    assert_eq!(how(&blamed.verdicts[0]), Some((Attempt, EffectUnknown, Wait::Backoff, Whole)));
}

fn reason(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Final(result) => &result.reason,
        Verdict::Resend(_) | Verdict::Next(..) => "",
    }
}

#[test]
fn an_unknown_code_of_a_request_is_sent_once_more_then_halved_and_at_last_failed() {
    let three = request("friend_update", &["a", "b", "c"], 0, Doubt::None);
    let first = assessed("friend_update", &three, &answer(70032, &[]));
    assert_eq!(how(&first.verdicts[0]), Some((Attempt, Doubt::None, Wait::Backoff, Whole)));
    assert_eq!(first.health, ServerHealth::Failing(Trouble::Failing("code 70032: says why".into())));
    let once = Request { history: [70032].into_iter().collect(), ..three };
    for code in [70032, 70033] {
        let second = assessed("friend_update", &once, &answer(code, &[]));
        assert_eq!(how(&second.verdicts[0]), Some((Free, Doubt::None, Wait::None, Halves)), "{code}");
    }
    let alone = Request { items: once.items[..1].to_vec(), ..once };
    assert_eq!(
        outcome(&assessed("friend_update", &alone, &answer(70032, &[])).verdicts[0]),
        Some((Outcome::Failed, Some(70032)))
    );
    // No attempt is left for another call of the whole request.
    let last = request("friend_update", &["a", "b"], MAX_ATTEMPTS - 1, Doubt::None);
    assert_eq!(how(&assessed("friend_update", &last, &answer(70032, &[])).verdicts[0]).unwrap().3, Halves);
}

#[test]
fn a_request_that_is_too_large_is_halved_and_an_item_alone_fails() {
    let two = request("friend_update", &["a", "b"], 0, Doubt::None);
    let assessment = assessed("friend_update", &two, &CallResult::Status(413));
    assert_eq!(how(&assessment.verdicts[0]), Some((Free, Doubt::None, Wait::None, Halves)));
    assert_eq!((assessment.health, assessment.notice), (ServerHealth::Working, AppNotice::Nothing));
    let one = request("friend_update", &["a"], 0, Doubt::None);
    let assessment = assessed("friend_update", &one, &CallResult::Status(413));
    assert_eq!(outcome(&assessment.verdicts[0]), Some((Outcome::Failed, None)));
    assert!(reason(&assessment.verdicts[0]).contains("413"));
}

#[test]
fn a_failed_check_of_the_account_is_transient_once_a_new_usersig_did_not_help() {
    let request = request("account_delete", &["a"], 0, Doubt::None);
    for code in [60004, 60005] {
        let mut context = context("account_delete", Charging::UpTo(MAX_ATTEMPTS));
        let first = assessed_in(&context, &request, &answer(code, &[]));
        let renew = AppNotice::Renew { code, reason: "says why".into(), fallback: RenewFallback::Transient };
        assert_eq!((first.notice, how(&first.verdicts[0]).unwrap().0), (renew, Free));
        context.new_usersig = NewUserSig::DoesNotHelp;
        let second = assessed_in(&context, &request, &answer(code, &[]));
        assert_eq!(how(&second.verdicts[0]), Some((Attempt, Doubt::None, Wait::Backoff, Whole)));
        assert_eq!(second.notice, AppNotice::Nothing, "nothing is learned of the UserSig");
        let used_up = Request { charged: MAX_ATTEMPTS - 1, ..request.clone() };
        let last = assessed_in(&context, &used_up, &answer(code, &[]));
        assert_eq!(outcome(&last.verdicts[0]), Some((Outcome::Failed, Some(code))));
    }
}

#[test]
fn no_ending_but_a_plain_success_is_without_a_reason() {
    for operation in ALL {
        for code in all_codes().map(|info| *info.codes.start()).filter(|code| *code != 0).chain([12345, -1]) {
            for info in ["", " ", "0"] {
                let mut request = request(operation.name, &["a"], MAX_ATTEMPTS - 1, Doubt::None);
                request.history = [code].into_iter().collect();
                let whole = body(&json!({"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": info}));
                let item = json!([{"UserID": "a", "ResultCode": code, "ResultInfo": info}]);
                let item = body(&json!({"ActionStatus": "OK", "ErrorCode": 0, "ResultItem": item}));
                for result in [whole, item] {
                    let assessment = assessed(operation.name, &request, &result);
                    if outcome(&assessment.verdicts[0]).is_some() {
                        assert!(reason(&assessment.verdicts[0]).len() > 3, "{} {code}", operation.name);
                    }
                    if let AppNotice::Fatal { reason, .. } | AppNotice::Renew { reason, .. } = assessment.notice {
                        assert!(reason.len() > 3, "{} {code}", operation.name);
                    }
                }
            }
        }
    }
}

#[test]
fn a_reason_has_every_code_that_the_item_met_the_latest_first() {
    let mut request = request("friend_delete", &["a"], 1, Doubt::None);
    request.history = [31706, 60007].into_iter().collect();
    let assessment = assessed("friend_delete", &request, &answer(0, &[("a", 31704)]));
    let wanted = "31704 says why (an earlier call may have left a part); before: 31706, 60007";
    assert_eq!(reason(&assessment.verdicts[0]), wanted);
    let assessment = assessed("friend_delete", &request, &answer(0, &[("a", 31706)]));
    assert!(how(&assessment.verdicts[0]).is_some());
    request.charged = MAX_ATTEMPTS - 1;
    let assessment = assessed("friend_delete", &request, &answer(0, &[]));
    let wanted = "the answer does not name this item (attempts used up); before: 31706, 60007";
    assert_eq!(reason(&assessment.verdicts[0]), wanted);
}

/// Operation, whether both sides are deleted, earlier code, doubt, the "already gone" code, and what this proves.
type ClaimCase = (&'static str, &'static str, Option<i64>, Doubt, i64, Outcome, i64);

/// The table of docs/decisions/0012.
const CLAIMS: &[ClaimCase] = &{
    use Outcome::{AlreadyDone, InDoubt, Succeeded};
    [
        ("account_delete", ONE_WAY, None, Doubt::None, 70107, AlreadyDone, 70107),
        ("account_delete", ONE_WAY, None, Doubt::TimedOut, 70107, Succeeded, 70107),
        ("account_delete", ONE_WAY, None, Doubt::EffectUnknown, 70107, Succeeded, 70107),
        ("account_delete", ONE_WAY, Some(60007), Doubt::None, 70107, AlreadyDone, 70107),
        ("account_delete", ONE_WAY, Some(70402), Doubt::None, 70107, AlreadyDone, 70107),
        ("account_delete", ONE_WAY, Some(70169), Doubt::TimedOut, 70107, Succeeded, 70107),
        ("account_delete", ONE_WAY, Some(40006), Doubt::None, 70107, Succeeded, 40006),
        ("account_delete", ONE_WAY, Some(70500), Doubt::EffectUnknown, 70107, Succeeded, 70500),
        ("account_delete", ONE_WAY, Some(30006), Doubt::None, 70107, InDoubt, 70107),
        ("account_delete", ONE_WAY, Some(30008), Doubt::None, 70107, InDoubt, 70107),
        ("account_delete", ONE_WAY, Some(12345), Doubt::None, 70107, InDoubt, 70107),
        ("friend_delete", ONE_WAY, None, Doubt::None, 31704, AlreadyDone, 31704),
        ("friend_delete", ONE_WAY, None, Doubt::EffectUnknown, 31704, Succeeded, 31704),
        ("friend_delete", ONE_WAY, Some(31703), Doubt::None, 31704, AlreadyDone, 31704),
        ("friend_delete", ONE_WAY, Some(31707), Doubt::None, 31704, AlreadyDone, 31704),
        ("friend_delete", ONE_WAY, Some(30007), Doubt::TimedOut, 31704, Succeeded, 31704),
        ("friend_delete", ONE_WAY, Some(31705), Doubt::None, 31704, InDoubt, 31704),
        ("friend_delete", ONE_WAY, Some(31706), Doubt::None, 31704, InDoubt, 31704),
        ("friend_delete", ONE_WAY, Some(30006), Doubt::EffectUnknown, 31704, InDoubt, 31704),
        ("friend_delete", ONE_WAY, Some(30008), Doubt::None, 31704, InDoubt, 31704),
        ("friend_delete", ONE_WAY, Some(70500), Doubt::None, 31704, InDoubt, 31704),
        ("friend_delete", ONE_WAY, Some(40006), Doubt::None, 31704, InDoubt, 31704),
        ("friend_delete", TWO_WAY, None, Doubt::None, 31704, InDoubt, 31704),
        ("friend_delete", TWO_WAY, None, Doubt::EffectUnknown, 31704, InDoubt, 31704),
        ("friend_delete", TWO_WAY, Some(31706), Doubt::None, 31704, InDoubt, 31704),
        ("friend_delete_all", ONE_WAY, None, Doubt::None, 30003, AlreadyDone, 30003),
        ("friend_delete_all", ONE_WAY, None, Doubt::EffectUnknown, 30003, Succeeded, 30003),
        ("friend_delete_all", ONE_WAY, Some(30006), Doubt::None, 30003, InDoubt, 30003),
        ("friend_delete_all", TWO_WAY, None, Doubt::None, 30003, AlreadyDone, 30003),
        ("friend_delete_all", TWO_WAY, None, Doubt::TimedOut, 30003, InDoubt, 30003),
        ("friend_delete_all", TWO_WAY, Some(30008), Doubt::None, 30003, InDoubt, 30003),
        ("friend_import", ONE_WAY, None, Doubt::None, 30015, InDoubt, 30015),
        ("friend_import", ONE_WAY, None, Doubt::EffectUnknown, 30015, InDoubt, 30015),
        ("friend_import", ONE_WAY, Some(30006), Doubt::None, 30015, InDoubt, 30015),
    ]
};

#[test]
fn already_gone_claims_what_the_codes_before_it_let_it_prove() {
    for &(operation, sides, earlier, doubt, code, wanted, kept) in CLAIMS {
        let mut request = request(operation, &["a"], 1, doubt);
        request.history = earlier.into_iter().collect();
        let context =
            CallContext { operation: bound(operation, sides), ..context(operation, Charging::UpTo(MAX_ATTEMPTS)) };
        let by_item = by_name(operation).unwrap().answer_key().is_some();
        let result = if by_item { answer(0, &[("a", code)]) } else { answer(code, &[]) };
        let verdict = &assessed_in(&context, &request, &result).verdicts[0];
        let case = format!("{operation} {sides}, {earlier:?} and {doubt:?} before {code}: {verdict:?}");
        assert_eq!(outcome(verdict), Some((wanted, Some(kept))), "{case}");
        if let Some(earlier) = earlier {
            assert!(reason(verdict).contains(&earlier.to_string()), "{case}");
        }
    }
}

#[test]
fn an_answer_that_says_fail_and_0_is_believed_only_where_it_refuses() {
    let request = request("friend_delete", &["a", "b", "c", "d"], 0, Doubt::None);
    let item = |id: &str, code: i64| json!({"To_Account": id, "ResultCode": code, "ResultInfo": "x"});
    let listed = json!([item("a", 0), item("b", 31704), item("c", 31705)]);
    let answer = body(&json!({"ActionStatus": "FAIL", "ErrorCode": 0, "ResultItem": listed}));
    let assessment = assessed("friend_delete", &request, &answer);
    for at in [0, 1, 3] {
        assert_eq!(how(&assessment.verdicts[at]), Some((Attempt, EffectUnknown, Wait::Backoff, Whole)), "{at}");
    }
    assert!(matches!(assessment.verdicts[2], Verdict::Resend(Resend { met: Some(31705), .. })), "a part may be left");
}

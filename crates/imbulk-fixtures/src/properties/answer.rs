//! Answers: each item gets one verdict, and none is taken for done unless a second reader of the JSON says so, too.

use imbulk::domain::ids::RequestId;
use imbulk::domain::operation::Preparations;
use imbulk::domain::operation::{AnswerShape, Operation};
use imbulk::domain::request::account::UserId;
use imbulk::domain::request::{Doubt, Item, Purpose, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::response::code_history::CodeHistory;
use imbulk::domain::response::codes::lookup;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::settlement::{EndedItems, Settlement};
use imbulk::domain::response::verdict::{Assessment, CallContext, Charging, ItemResult, NewUserSig, assess};
use serde_json::Value;

use crate::operations::bound;

const IDS: [&str; 3] = ["a", "b", "c"];
const MAX_ATTEMPTS: u32 = 3;

/// The first byte chooses the operation and the history of the items. The rest is the body of the response.
pub fn answer(data: &[u8]) {
    let (choice, body) = super::split(data);
    let (operation, choice) = super::operation(choice);
    let operation = bound(operation.name);
    let doubt = Doubt::ALL[usize::from(choice) % 3];
    let request = request(&operation, u32::from(choice >> 2) % MAX_ATTEMPTS, doubt);
    let charging = Charging::UpTo(MAX_ATTEMPTS);
    let context =
        CallContext { operation, preparations: Preparations::default(), charging, new_usersig: NewUserSig::MayHelp };
    let assessment = assess(&context, &request, &CallResult::Body(body.to_vec()));
    // Bytes that are not UTF-8 may be in parts of the body that are not read.
    let json = serde_json::from_str::<Value>(&String::from_utf8_lossy(body)).ok();
    for (item, result) in results(&operation, &request, assessment) {
        check(&operation, &request, &item, &result, json.as_ref());
    }
    let mut status = [0; 2];
    let known = body.len().min(2);
    status[..known].copy_from_slice(&body[..known]);
    let status = CallResult::Status(u16::from_le_bytes(status));
    for (_, result) in results(&operation, &request, assess(&context, &request, &status)) {
        let too_large = status == CallResult::Status(413) && result.outcome == Outcome::Failed;
        assert!(result.outcome == Outcome::InDoubt || too_large, "a status is no verdict: {status:?}");
    }
}

fn request(operation: &Operation, charged: u32, doubt: Doubt) -> Request {
    let ids = if operation.items_per_request == 1 { &IDS[..1] } else { &IDS[..] };
    let item = |(row, id): (u64, &&str)| Item { account: UserId::new(id).expect("an id"), row, updates: None };
    Request {
        id: RequestId::new(1),
        from: operation.shape.from.map(|_| UserId::new("from").expect("an id")),
        items: (0..).zip(ids).map(item).collect(),
        calls: charged,
        charged,
        doubt,
        history: CodeHistory::default(),
        purpose: Purpose::Change,
    }
}

fn results(operation: &Operation, request: &Request, assessment: Assessment) -> Vec<(Item, ItemResult)> {
    let Settlement { ended, follow_ups, .. } = Settlement::new(operation, request.clone(), assessment.verdicts);
    let each = |EndedItems { result, items }| items.into_iter().map(move |item| (item, ItemResult::clone(&result)));
    let ended: Vec<(Item, ItemResult)> = ended.into_iter().flat_map(each).collect();
    let again: usize = follow_ups.iter().map(|follow_up| follow_up.request.items.len()).sum();
    assert_eq!(ended.len() + again, request.items.len(), "one verdict an item");
    ended
}

fn check(operation: &Operation, request: &Request, item: &Item, result: &ItemResult, json: Option<&Value>) {
    let code = result.code;
    let says = |code: i64| json.is_some_and(|json| says(operation, json, item.account.as_str(), code));
    match result.outcome {
        Outcome::Succeeded if code.is_none() => assert!(says(0), "{result:?}: {json:?}"),
        Outcome::Succeeded => {
            let code = code.expect("looked at");
            assert!(request.doubt != Doubt::None && says(code), "{result:?}: {json:?}");
        }
        Outcome::AlreadyDone => {
            let code = code.expect("it was a code that said so");
            assert!(request.doubt == Doubt::None && code != 0 && says(code), "{result:?}: {json:?}");
        }
        Outcome::Failed => match code {
            Some(code) => assert!(code != 0 && says(code), "{result:?}: {json:?}"),
            None => {
                assert!(json.is_some_and(|json| only_in_a_list(json, item.account.as_str())), "{result:?}: {json:?}");
            }
        },
        Outcome::InDoubt => assert!(!result.reason.is_empty(), "{result:?}"),
        other => panic!("{other:?} is no end of a call"),
    }
    if code.is_some_and(|code| lookup(code).is_none()) {
        assert!(matches!(result.outcome, Outcome::Failed | Outcome::InDoubt), "an unknown code: {result:?}");
    }
}

/// Whether the answer gives this code to the item, by name or, where it does not name it, to the whole request. Code 0
/// of an item counts only below code 0 of the request.
fn says(operation: &Operation, json: &Value, id: &str, code: i64) -> bool {
    let listed: Vec<&Value> = json["ResultItem"].as_array().into_iter().flatten().filter(|item| is(item, id)).collect();
    let of_request = json["ErrorCode"].as_i64();
    if listed.is_empty() || (code != 0 && of_request == Some(code)) {
        let counts = !matches!(operation.answer, AnswerShape::Items { .. }) || code != 0;
        let contradicted = code == 0 && json["ActionStatus"].as_str().is_some_and(|status| status != "OK");
        let blamed = code == 0 && in_a_list(json, id);
        return counts && !contradicted && !blamed && of_request == Some(code);
    }
    let failed = code == 0 && (in_a_list(json, id) || of_request != Some(0));
    !failed && listed.iter().all(|item| item["ResultCode"].as_i64() == Some(code))
}

fn in_a_list(json: &Value, id: &str) -> bool {
    let named = |list: &str| json[list].as_array().into_iter().flatten().any(|named| named.as_str() == Some(id));
    ["Fail_Account", "Invalid_Account", "FailAccounts"].into_iter().any(named)
}

fn only_in_a_list(json: &Value, id: &str) -> bool {
    in_a_list(json, id) && !json["ResultItem"].as_array().into_iter().flatten().any(|item| is(item, id))
}

fn is(item: &Value, id: &str) -> bool {
    item["UserID"].as_str() == Some(id) || item["To_Account"].as_str() == Some(id)
}

//! Page `query_online_status`: whether up to 500 users are online, 200 calls/s. It writes nothing.

use serde::Serialize;

use super::{Access, AnswerForm, Definition, Found};
use crate::answer::{MockItem, json};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Item, ParsedRequest, account, array};
use crate::world::World;

const MAX_ITEMS: usize = 500;

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/openim/query_online_status",
    calls_per_second: 200,
    parse,
    written_accounts: |_, _| Vec::new(),
    access: Access::Read(look_up),
    answer: AnswerForm::Items(answer),
    error_display: false,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let invalid = || Refusal::with(90003, "invalid parameter: To_Account");
    let ids = array(fields, "To_Account").filter(|ids| !ids.is_empty()).ok_or_else(invalid)?;
    if ids.len() > MAX_ITEMS {
        return Err(Refusal::with(90018, "too many accounts"));
    }
    if fields.get("IsNeedDetail").is_some_and(|detail| !matches!(detail, Json::Number(0 | 1))) {
        return Err(Refusal::with(90001, "invalid parameter: IsNeedDetail"));
    }
    let user = |id| Ok(Item::of_account(account(Some(id), invalid)?));
    Ok(ParsedRequest { owner: None, items: ids.iter().map(user).collect::<Result<_, _>>()?, both_sides: false })
}

fn look_up(world: &World, _: &ParsedRequest, item: &Item) -> Result<Found, Refusal> {
    if !world.exists(item.account.key) {
        return Err(Refusal::new(70107));
    }
    Ok(Found::from(if world.is_online(item.account.key) { "Online" } else { "Offline" }))
}

/// Users who cannot be looked up are in a list of their own. If all are, the code of the first is that of the request.
fn answer(items: &[MockItem]) -> Vec<u8> {
    let (found, failed): (Vec<&MockItem>, Vec<&MockItem>) =
        items.iter().filter(|item| item.has_result()).partition(|item| item.code == 0);
    let error_code = failed.first().filter(|_| found.is_empty()).map_or(0, |item| item.code);
    json(&Body {
        action_status: if error_code == 0 { "OK" } else { "FAIL" },
        error_code,
        error_info: "",
        query_result: found.iter().map(|item| Status { to_account: &item.id, status: &item.info }).collect(),
        error_list: failed.iter().map(|item| Failure { to_account: &item.id, error_code: item.code }).collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    action_status: &'static str,
    error_code: u32,
    error_info: &'static str,
    query_result: Vec<Status<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    error_list: Vec<Failure<'a>>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    #[serde(rename = "Status")]
    status: &'a str,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    #[serde(rename = "ErrorCode")]
    error_code: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Command;
    use crate::commands::testing::{code, found, ids};
    use serde_json::{Value, json};

    #[test]
    fn it_takes_up_to_500_users() {
        let of = |to: Value| code(Command::QueryOnlineStatus, &json!({"To_Account": to}));
        assert_eq!(of(json!(ids(500))), 0);
        assert_eq!(of(json!(ids(501))), 90018);
        assert_eq!(of(json!([])), 90003);
        assert_eq!(of(json!("a")), 90003);
        assert_eq!(of(json!([7])), 60015);
        let detail = |detail: Value| json!({"To_Account": ["a"], "IsNeedDetail": detail});
        assert_eq!(code(Command::QueryOnlineStatus, &detail(json!(1))), 0);
        assert_eq!(code(Command::QueryOnlineStatus, &detail(json!(2))), 90001);
    }

    #[test]
    fn users_who_do_not_exist_are_in_a_list_of_their_own() {
        let mut world = World::seeded(["a", "b"], []);
        world.set_online("a", true);
        world.set_online("x", true);
        let online =
            |world: &mut World, to: Value| found(world, Command::QueryOnlineStatus, &json!({"To_Account": to}));
        let answer = online(&mut world, json!(["a", "b", "x"]));
        let expected = json!([{"To_Account": "a", "Status": "Online"}, {"To_Account": "b", "Status": "Offline"}]);
        assert_eq!((&answer["QueryResult"], &answer["ErrorCode"]), (&expected, &json!(0)));
        assert_eq!(answer["ErrorList"], json!([{"To_Account": "x", "ErrorCode": 70107}]));
        let answer = online(&mut world, json!(["x"]));
        assert_eq!((&answer["ActionStatus"], &answer["ErrorCode"]), (&json!("FAIL"), &json!(70107)));
        world.set_online("a", false);
        assert_eq!(online(&mut world, json!(["a"]))["QueryResult"][0]["Status"], "Offline");
    }
}

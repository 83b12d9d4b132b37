//! Page `account_check`: whether up to 100 accounts exist, 100 calls/s. It writes nothing.

use serde::Serialize;

use super::{Access, AnswerForm, Definition, Found};
use crate::answer::{MockItem, json};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Item, ParsedRequest, account, array};
use crate::world::World;

const MAX_ITEMS: usize = 100;

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/im_open_login_svc/account_check",
    calls_per_second: 100,
    parse,
    written_accounts: |_, _| Vec::new(),
    access: Access::Read(|world, _, item| Ok(status(world, item))),
    answer: AnswerForm::Items(answer),
    error_display: false,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let items = array(fields, "CheckItem").filter(|items| !items.is_empty()).ok_or_else(|| invalid("CheckItem"))?;
    if items.len() > MAX_ITEMS {
        return Err(Refusal::new(70206));
    }
    let user = |item: &Json<'_>| {
        let user = account(item.get("UserID"), || invalid("UserID"))?;
        if user.is_legal() { Ok(Item::of_account(user)) } else { Err(invalid("UserID")) }
    };
    let items = items.iter().map(user).collect::<Result<_, _>>()?;
    Ok(ParsedRequest { owner: None, items, both_sides: false })
}

fn status(world: &World, item: &Item) -> Found {
    Found::from(if world.exists(item.account.key) { "Imported" } else { "NotImported" })
}

fn invalid(field: &str) -> Refusal {
    Refusal::with(70402, format!("invalid parameter: {field}"))
}

fn answer(items: &[MockItem]) -> Vec<u8> {
    json(&Body {
        action_status: "OK",
        error_code: 0,
        error_info: "",
        result_item: items.iter().filter(|item| item.has_result()).map(ResultItem::from).collect(),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    action_status: &'static str,
    error_code: u32,
    error_info: &'static str,
    result_item: Vec<ResultItem<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResultItem<'a> {
    #[serde(rename = "UserID")]
    user_id: &'a str,
    result_code: u32,
    result_info: &'a str,
    /// Only for accounts that were looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_status: Option<&'a str>,
}

impl<'a> From<&'a MockItem> for ResultItem<'a> {
    fn from(item: &'a MockItem) -> Self {
        let (result_info, account_status) = match item.code {
            0 => ("", Some(&*item.info)),
            _ => (&*item.info, None),
        };
        Self { user_id: &item.id, result_code: item.code, result_info, account_status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Command;
    use crate::commands::testing::{self, code, ids};
    use crate::effect::{ItemEffect, apply};
    use serde_json::{Value, json};

    #[test]
    fn it_takes_up_to_100_legal_users() {
        let of = |body| code(Command::AccountCheck, &body);
        let users = |count| -> Vec<Value> { ids(count).iter().map(|id| json!({"UserID": id})).collect() };
        assert_eq!(of(json!({"CheckItem": users(100)})), 0);
        assert_eq!(of(json!({"CheckItem": users(101)})), 70206);
        assert_eq!(of(json!({"CheckItem": []})), 70402);
        assert_eq!(of(json!({"DeleteItem": users(1)})), 70402);
        assert_eq!(of(json!({"CheckItem": [{"UserID": 7}]})), 60015);
        assert_eq!(of(json!({"CheckItem": [{"UserID": ""}]})), 70402);
    }

    #[test]
    fn it_tells_which_accounts_exist_and_writes_nothing() {
        let mut world = World::open_with_missing(0, 1.0, 0.0);
        let body = json!({"CheckItem": [{"UserID": "a"}]}).to_string();
        let request = ParsedRequest::read(Command::AccountCheck, body.as_bytes()).unwrap();
        let (missing, written) = apply(&mut world, Command::AccountCheck, &request, |_| ItemEffect::Written);
        let (there, also_written) = apply(&mut World::open(), Command::AccountCheck, &request, |_| ItemEffect::Written);
        assert_eq!((written, also_written), (0, 0));
        for (answer, status) in [(missing, "NotImported"), (there, "Imported")] {
            let crate::answer::MockAnswer::Items(items) = answer else { panic!("{answer:?}") };
            let body: Value = serde_json::from_str(&testing::answer(Command::AccountCheck, &items)).unwrap();
            let expected = json!({"UserID": "a", "ResultCode": 0, "ResultInfo": "", "AccountStatus": status});
            assert_eq!(body["ResultItem"], json!([expected]));
        }
    }
}

//! Page `account_delete`: up to 100 accounts, 100 calls/s.

use serde::Serialize;

use super::{Access, AnswerForm, Definition};
use crate::answer::{MockItem, json, some_ids};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Account, Item, ParsedRequest, account, array};
use crate::world::{Extent, World};

const MAX_ITEMS: usize = 100;

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/im_open_login_svc/account_delete",
    calls_per_second: 100,
    parse,
    written_accounts: |_, request| request.items.iter().map(|item| item.account.key).collect(),
    access: Access::Write(write),
    answer: AnswerForm::Items(answer),
    error_display: false,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let items = array(fields, "DeleteItem").ok_or_else(|| invalid("DeleteItem"))?;
    if items.is_empty() {
        return Err(invalid("DeleteItem"));
    }
    if items.len() > MAX_ITEMS {
        return Err(Refusal::new(70206));
    }
    let user = |item: &Json<'_>| {
        let user = account(item.get("UserID"), || invalid("UserID"))?;
        if user.is_legal() { Ok(user) } else { Err(invalid("UserID")) }
    };
    let items = items.iter().map(|item| Ok(Item::of_account(user(item)?))).collect::<Result<_, _>>()?;
    Ok(ParsedRequest { owner: None, items, both_sides: false })
}

/// Half way the account is gone and its data is not.
fn write(world: &mut World, _: &ParsedRequest, item: &Item, extent: Extent) -> Result<(), Refusal> {
    let Account { key, .. } = item.account;
    if !world.exists(key) {
        return Err(Refusal::new(70107));
    }
    match extent {
        Extent::Full => world.delete(item.key),
        Extent::Half => {
            world.remove(item.key);
            world.record(item.key).data_left = true;
        }
    }
    Ok(())
}

fn invalid(field: &str) -> Refusal {
    Refusal::with(70402, format!("invalid parameter: {field}"))
}

fn answer(items: &[MockItem]) -> Vec<u8> {
    json(&AccountBody {
        action_status: "OK",
        error_code: 0,
        error_info: "",
        result_item: items.iter().filter(|item| item.has_result()).map(AccountResult::from).collect(),
        fail_account: some_ids(items, |item| item.is_failed(false)),
        invalid_account: some_ids(items, |item| item.is_invalid(false)),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountBody<'a> {
    action_status: &'static str,
    error_code: u32,
    error_info: &'static str,
    result_item: Vec<AccountResult<'a>>,
    /// Not on the page: only where a fault asks for it.
    #[serde(rename = "Fail_Account", skip_serializing_if = "Option::is_none")]
    fail_account: Option<Vec<&'a str>>,
    #[serde(rename = "Invalid_Account", skip_serializing_if = "Option::is_none")]
    invalid_account: Option<Vec<&'a str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountResult<'a> {
    result_code: u32,
    result_info: &'a str,
    #[serde(rename = "UserID")]
    user_id: &'a str,
}

impl<'a> From<&'a MockItem> for AccountResult<'a> {
    fn from(item: &'a MockItem) -> Self {
        Self { result_code: item.code, result_info: &item.info, user_id: &item.id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Command;
    use crate::commands::testing::{self, code, ids};
    use serde_json::{Value, json};

    #[test]
    fn it_takes_up_to_100_legal_users() {
        let of = |body| code(Command::AccountDelete, &body);
        let users = |count| -> Vec<Value> { ids(count).iter().map(|id| json!({"UserID": id})).collect() };
        assert_eq!(of(json!({"DeleteItem": users(100)})), 0);
        assert_eq!(of(json!({"DeleteItem": users(101)})), 70206);
        assert_eq!(of(json!({"DeleteItem": []})), 70402);
        assert_eq!(of(json!({})), 70402);
        assert_eq!(of(json!({"DeleteItem": {"UserID": "a"}})), 70402);
        assert_eq!(of(json!({"DeleteItem": [{}]})), 70402);
        assert_eq!(of(json!({"DeleteItem": [{"UserID": 7}]})), 60015);
        assert_eq!(of(json!({"DeleteItem": [{"UserID": ""}]})), 70402);
        assert_eq!(of(json!({"DeleteItem": [{"UserID": "用".repeat(11)}]})), 70402);
        assert_eq!(of(json!({"DeleteItem": [{"UserID": "x".repeat(32)}]})), 0);
    }

    #[test]
    fn it_answers_like_its_page() {
        let items = [MockItem::ok("UserID_1"), MockItem::refused("UserID_2", Refusal::new(70107))];
        assert_eq!(
            testing::answer(Command::AccountDelete, &items),
            concat!(
                r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ResultItem":[{"ResultCode":0,"ResultInfo":"","#,
                r#""UserID":"UserID_1"},{"ResultCode":70107,"ResultInfo":"Err_TLS_PT_Open_Login_Account_Not_Exist","#,
                r#""UserID":"UserID_2"}]}"#
            )
        );
    }
}

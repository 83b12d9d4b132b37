//! Page `multiaccount_import`: creates up to 100 accounts, each with nickname and picture, 100 calls/s. An account that
//! exists gets the nickname and the picture.

use serde::Serialize;

use super::{Access, AnswerForm, Definition};
use crate::answer::{MockItem, ids, json};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{FieldValue, Item, ParsedRequest, account, array, text};
use crate::world::{Extent, World};

const MAX_ITEMS: usize = 100;
/// Bytes of a nickname, and of the URL of a picture (limits of the service).
const MAX_FIELD: usize = 500;
/// The fields, and the tags under which the profile then has them.
const FIELDS: [(&str, &str); 2] = [("Nick", "Tag_Profile_IM_Nick"), ("FaceUrl", "Tag_Profile_IM_Image")];

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/im_open_login_svc/multiaccount_import",
    calls_per_second: 100,
    parse,
    written_accounts: |_, request| request.items.iter().map(|item| item.account.key).collect(),
    access: Access::Write(write),
    answer: AnswerForm::Failures(answer),
    error_display: false,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let items = array(fields, "AccountList").filter(|items| !items.is_empty()).ok_or_else(|| invalid("AccountList"))?;
    if items.len() > MAX_ITEMS {
        return Err(Refusal::new(70206));
    }
    let items = items.iter().map(user).collect::<Result<_, _>>()?;
    Ok(ParsedRequest { owner: None, items, both_sides: false })
}

fn user(item: &Json<'_>) -> Result<Item, Refusal> {
    let user = account(item.get("UserID"), || invalid("UserID"))?;
    if !user.is_legal() {
        return Err(invalid("UserID"));
    }
    let mut fields = Vec::new();
    for (name, tag) in FIELDS {
        if let Some(given) = item.get(name) {
            let value = text(given, 0, MAX_FIELD).ok_or_else(|| invalid(name))?;
            fields.push((tag.to_owned(), FieldValue::Text(value)));
        }
    }
    Ok(Item { fields, ..Item::of_account(user) })
}

/// Half way the account is there and its fields are as before.
#[expect(clippy::unnecessary_wraps, reason = "every command has this signature")]
fn write(world: &mut World, _: &ParsedRequest, item: &Item, extent: Extent) -> Result<(), Refusal> {
    if !world.exists(item.key) {
        // An account that was deleted and comes back has none of its former fields.
        world.forget_fields(item.key);
        world.add(item.key);
    }
    if extent == Extent::Full {
        world.set_fields(item.key, item.fields.iter());
    }
    let record = world.record(item.key);
    record.data_left = extent == Extent::Half;
    if extent == Extent::Full {
        record.write();
    }
    Ok(())
}

fn invalid(field: &str) -> Refusal {
    Refusal::with(70402, format!("invalid parameter: {field}"))
}

fn answer(items: &[MockItem]) -> Vec<u8> {
    json(&Body {
        action_status: "OK",
        error_code: 0,
        error_info: "",
        fail_accounts: ids(items, |item| item.is_failed(item.code != 0)),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    action_status: &'static str,
    error_code: u32,
    error_info: &'static str,
    fail_accounts: Vec<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::MockAnswer;
    use crate::commands::Command;
    use crate::commands::testing::{self, code, ids};
    use crate::effect::{ItemEffect, apply};
    use serde_json::{Value, json};

    fn write(world: &mut World, items: &Value, effect: fn(usize) -> ItemEffect) -> MockAnswer {
        let body = json!({ "AccountList": items }).to_string();
        let request = ParsedRequest::read(Command::AccountImport, body.as_bytes()).unwrap();
        apply(world, Command::AccountImport, &request, effect).0
    }

    #[test]
    fn it_takes_up_to_100_legal_users_with_texts() {
        let of = |items: Value| code(Command::AccountImport, &json!({ "AccountList": items }));
        let users = |count| -> Value { ids(count).iter().map(|id| json!({"UserID": id})).collect() };
        assert_eq!(of(users(100)), 0);
        assert_eq!(of(users(101)), 70206);
        assert_eq!(of(json!([])), 70402);
        assert_eq!(code(Command::AccountImport, &json!({"Accounts": ["a"]})), 70402);
        assert_eq!(of(json!([{}])), 70402);
        assert_eq!(of(json!([{"UserID": 7}])), 60015);
        assert_eq!(of(json!([{"UserID": ""}])), 70402);
        assert_eq!(of(json!([{"UserID": "x".repeat(33)}])), 70402);
        for (field, _) in FIELDS {
            assert_eq!(of(json!([{"UserID": "a", field: "x".repeat(500)}])), 0, "{field}");
            assert_eq!(of(json!([{"UserID": "a", field: ""}])), 0, "{field}");
            assert_eq!(of(json!([{"UserID": "a", field: "x".repeat(501)}])), 70402, "{field}");
            assert_eq!(of(json!([{"UserID": "a", field: 7}])), 70402, "{field}");
        }
    }

    #[test]
    fn an_account_is_created_once_and_keeps_the_fields_that_a_call_does_not_name() {
        let mut world = World::seeded(["b"], []);
        let first = json!([{"UserID": "a", "Nick": "Ada", "FaceUrl": "https://x/a"}, {"UserID": "b"}]);
        write(&mut world, &first, |_| ItemEffect::Written);
        write(&mut world, &json!([{"UserID": "a", "Nick": "Ada L."}]), |_| ItemEffect::Written);
        assert!(world.account_exists("a") && world.account_exists("b"));
        assert_eq!(
            json!(world.profile("a")),
            json!({"Tag_Profile_IM_Nick": "Ada L.", "Tag_Profile_IM_Image": "https://x/a"})
        );
        assert_eq!(world.account_counters("a").written, 2);
        let ask = json!({"To_Account": ["a"], "TagList": ["Tag_Profile_IM_Nick"]});
        let found = testing::found(&mut world, Command::PortraitGet, &ask);
        assert_eq!(found["UserProfileItem"][0]["ProfileItem"][0]["Value"], "Ada L.", "{found}");
        assert!(!world.is_friend("b", "a"), "nobody is on a list");
    }

    #[test]
    fn a_deleted_account_comes_back_without_its_former_fields() {
        let mut world = World::seeded(["a", "b"], [("a", "b")]);
        write(&mut world, &json!([{"UserID": "a", "Nick": "Ada", "FaceUrl": "x"}]), |_| ItemEffect::Written);
        let delete = ParsedRequest::read(Command::AccountDelete, br#"{"DeleteItem":[{"UserID":"a"}]}"#).unwrap();
        apply(&mut world, Command::AccountDelete, &delete, |_| ItemEffect::Written);
        assert_eq!(world.profile("a"), None);
        write(&mut world, &json!([{"UserID": "a", "Nick": "Ada"}]), |_| ItemEffect::Written);
        assert_eq!(json!(world.profile("a")), json!({"Tag_Profile_IM_Nick": "Ada"}));
        assert!(!world.is_friend("a", "b"));
    }

    #[test]
    fn half_way_the_account_is_there_without_its_fields() {
        let mut world = World::seeded([], []);
        write(&mut world, &json!([{"UserID": "a", "Nick": "Ada"}]), |_| ItemEffect::Half(Refusal::new(70500)));
        assert!(world.account_exists("a") && world.account_data_remains("a") && world.profile("a").is_none());
        assert_eq!(world.account_counters("a").written, 0);
        write(&mut world, &json!([{"UserID": "a"}]), |_| ItemEffect::Written);
        assert!(!world.account_data_remains("a"));
    }

    #[test]
    fn it_answers_like_its_page() {
        let items = [MockItem::ok("a"), MockItem::refused("b", Refusal::new(70399))];
        let text = testing::answer(Command::AccountImport, &items);
        assert_eq!(text, r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","FailAccounts":["b"]}"#);
        let text = testing::answer(Command::AccountImport, &items[..1]);
        assert_eq!(text, r#"{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","FailAccounts":[]}"#);
    }
}

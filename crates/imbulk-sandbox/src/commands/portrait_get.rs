//! Page `portrait_get`: fields of the profiles of up to 100 users, 200 calls/s. It writes nothing.

use serde::Serialize;
use serde_json::Value;

use super::relation::{found_tags, tag_list};
use super::{Access, AnswerForm, Definition, Found};
use crate::answer::{ListBody, MockItem, json};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{Item, ParsedRequest, account, array};
use crate::world::World;

const MAX_ITEMS: usize = 100;

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/profile/portrait_get",
    calls_per_second: 200,
    parse,
    written_accounts: |_, _| Vec::new(),
    access: Access::Read(look_up),
    answer: AnswerForm::Items(answer),
    error_display: true,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let is_tag = |tag: &str| tag.starts_with("Tag_Profile_");
    let tags = tag_list(fields, is_tag).ok_or_else(|| invalid("TagList"))?;
    let ids = array(fields, "To_Account").filter(|ids| (1..=MAX_ITEMS).contains(&ids.len()));
    let ids = ids.ok_or_else(|| invalid("To_Account"))?;
    let user = |id| {
        let user = account(Some(id), || invalid("To_Account"))?;
        Ok(Item { fields: vec![tags.clone()], ..Item::of_account(user) })
    };
    Ok(ParsedRequest { owner: None, items: ids.iter().map(user).collect::<Result<_, _>>()?, both_sides: false })
}

/// A field that was never set is not in the answer.
fn look_up(world: &World, _: &ParsedRequest, item: &Item) -> Result<Found, Refusal> {
    if !item.account.is_legal() || !world.exists(item.account.key) {
        return Err(Refusal::with(40003, "Err_Profile_Account_Not_Exist"));
    }
    Ok(found_tags(world.fields(item.key), item))
}

fn invalid(field: &str) -> Refusal {
    Refusal::with(40001, format!("invalid parameter: {field}"))
}

fn answer(items: &[MockItem]) -> Vec<u8> {
    json(&ListBody::<UserProfileItem<'_>>::new("UserProfileItem", items))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserProfileItem<'a> {
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    /// Only for users who were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_item: Option<Value>,
    result_code: u32,
    result_info: &'a str,
}

impl<'a> From<&'a MockItem> for UserProfileItem<'a> {
    fn from(item: &'a MockItem) -> Self {
        let profile_item = item.found();
        let result_info = if profile_item.is_some() { "" } else { &*item.info };
        Self { to_account: &item.id, profile_item, result_code: item.code, result_info }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Command;
    use crate::commands::testing::{code, found, ids};
    use crate::key::Key;
    use crate::request::FieldValue;
    use serde_json::json;

    #[test]
    fn it_takes_up_to_100_users_and_the_tags_of_profiles() {
        let of = |to: Value, tags: Value| code(Command::PortraitGet, &json!({"To_Account": to, "TagList": tags}));
        let nick = json!(["Tag_Profile_IM_Nick"]);
        assert_eq!(of(json!(ids(100)), nick.clone()), 0);
        assert_eq!(of(json!(ids(101)), nick.clone()), 40001);
        assert_eq!(of(json!([]), nick.clone()), 40001);
        assert_eq!(of(json!([7]), nick), 60015);
        assert_eq!(of(json!(["a"]), json!(["Tag_SNS_IM_Remark"])), 40001);
        assert_eq!(of(json!(["a"]), json!([])), 40001);
    }

    #[test]
    fn it_shows_the_tags_that_were_asked_for_and_set() {
        let mut world = World::seeded(["a", "b"], []);
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let set =
            [("Tag_Profile_IM_Nick".to_owned(), text("Ada")), ("Tag_Profile_IM_Gender".to_owned(), text("Female"))];
        world.set_fields(Key::account("a"), set.iter());
        let body = json!({"To_Account": ["a", "b", "x"], "TagList": ["Tag_Profile_IM_Nick"]});
        let answer = found(&mut world, Command::PortraitGet, &body);
        let expected = json!([
            {"To_Account": "a", "ResultCode": 0, "ResultInfo": "", "ProfileItem": [
                {"Tag": "Tag_Profile_IM_Nick", "Value": "Ada"}]},
            {"To_Account": "b", "ResultCode": 0, "ResultInfo": "", "ProfileItem": []},
            {"To_Account": "x", "ResultCode": 40003, "ResultInfo": "Err_Profile_Account_Not_Exist"},
        ]);
        assert_eq!((&answer["UserProfileItem"], &answer["Fail_Account"]), (&expected, &json!(["x"])));
    }
}

//! Page `friend_get`: the friends of one user with their fields, page by page, 200 calls/s. It writes nothing.
//!
//! An open world shows only the friends that are known by name, and one without a name of its own on a list that a
//! call was to empty and did not.

use serde_json::{Map, Value, json};

use super::relation::{from_account, invalid, is_custom};
use super::{Access, AnswerForm, Definition, Found};
use crate::answer::{self, MockItem};
use crate::json::Json;
use crate::key::Key;
use crate::refusal::Refusal;
use crate::request::{FieldValue, Item, ParsedRequest};
use crate::world::World;

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/sns/friend_get",
    calls_per_second: 200,
    parse,
    written_accounts: |_, _| Vec::new(),
    access: Access::Read(|world, _, item| Ok(page(world, item))),
    answer: AnswerForm::Items(answer),
    error_display: true,
};

const NUMBERS: [(&str, bool); 3] = [("StartIndex", true), ("StandardSequence", false), ("CustomSequence", false)];

/// The item is the list of the user; its fields are the numbers of the body.
fn parse(body: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let from = from_account(body)?;
    let mut fields = Vec::new();
    for (name, is_required) in NUMBERS {
        match body.get(name) {
            Some(Json::Number(number)) => fields.push((name.to_owned(), FieldValue::Number(*number))),
            None if !is_required => {}
            Some(_) | None => return Err(invalid(name)),
        }
    }
    let list = Item { key: Key::list(from.key), fields, ..Item::of_account(from.clone()) };
    Ok(ParsedRequest { owner: Some(from), items: vec![list], both_sides: false })
}

fn number(item: &Item, name: &str) -> u64 {
    let number = item.fields.iter().find(|(field, _)| field == name);
    match number {
        Some((_, FieldValue::Number(number))) => *number,
        Some(_) | None => 0,
    }
}

/// The whole list is read again for every page, so a change between two pages moves the friends after it.
fn page(world: &World, item: &Item) -> Found {
    let from = item.account.key;
    let mut friends: Vec<Friend> = world.present_friends(from).map(|to| Friend::read(world, from, to)).collect();
    if friends.is_empty() && world.has_unnamed_friends(from) {
        friends.push(Friend { id: "unnamed".to_owned(), fields: Vec::new() });
    }
    let sequences = [Kind::Standard, Kind::Custom].map(|kind| sequence(&friends, kind));
    let start = usize::try_from(number(item, "StartIndex")).unwrap_or(usize::MAX).min(friends.len());
    let end = friends.len().min(start.saturating_add(world.effects.page));
    // A kind of data whose sequence the caller knows is left out.
    let known = [number(item, "StandardSequence"), number(item, "CustomSequence")];
    let kinds = [(Kind::Standard, 0), (Kind::Custom, 1)];
    let wanted: Vec<Kind> =
        kinds.into_iter().filter(|(_, at)| known[*at] != sequences[*at]).map(|(kind, _)| kind).collect();
    let mut page = Map::new();
    if !wanted.is_empty() && start < end {
        let items = friends[start..end].iter().map(|friend| friend.shown(&wanted)).collect();
        page.insert("UserDataItem".to_owned(), Value::Array(items));
    }
    let is_last = end == friends.len();
    page.insert("StandardSequence".to_owned(), json!(sequences[0]));
    page.insert("CustomSequence".to_owned(), json!(sequences[1]));
    page.insert("FriendNum".to_owned(), json!(friends.len()));
    page.insert("CompleteFlag".to_owned(), json!(u8::from(is_last)));
    page.insert("NextStartIndex".to_owned(), json!(if is_last { 0 } else { end }));
    Found::from(Value::Object(page).to_string())
}

/// The two kinds of fields, each with its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Standard,
    Custom,
}

struct Friend {
    id: String,
    fields: Vec<(Kind, String, FieldValue)>,
}

impl Friend {
    fn read(world: &World, from: Key, to: &crate::request::Account) -> Self {
        let fields = world.fields(Key::pair(from, to.key)).into_iter();
        let kind = |tag: &str| if is_custom(tag) { Kind::Custom } else { Kind::Standard };
        Self { id: to.id.clone(), fields: fields.map(|(tag, value)| (kind(&tag), tag, value)).collect() }
    }

    fn shown(&self, kinds: &[Kind]) -> Value {
        let fields = self.fields.iter().filter(|(kind, ..)| kinds.contains(kind));
        let fields: Vec<Value> = fields.map(|(_, tag, value)| json!({"Tag": tag, "Value": value})).collect();
        json!({"To_Account": self.id, "ValueItem": fields})
    }
}

/// A number that is the same as long as the data of the list is the same. It is never 0, the number of a caller that
/// knows nothing yet.
fn sequence(friends: &[Friend], kind: Kind) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for friend in friends {
        hasher.update(friend.shown(&[kind]).to_string().as_bytes());
    }
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    u64::from_le_bytes(bytes) | 1
}

fn answer(items: &[MockItem]) -> Vec<u8> {
    let page = items.iter().find_map(MockItem::found);
    let mut body = match page {
        Some(Value::Object(page)) => page,
        Some(_) | None => Map::new(),
    };
    let refused = items.iter().find(|item| item.code != 0).filter(|_| body.is_empty());
    let (status, code, info) = refused.map_or(("OK", 0, ""), |item| ("FAIL", item.code, &*item.info));
    body.insert("ActionStatus".to_owned(), json!(status));
    body.insert("ErrorCode".to_owned(), json!(code));
    body.insert("ErrorInfo".to_owned(), json!(info));
    body.insert("ErrorDisplay".to_owned(), json!(""));
    answer::json(&body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Command;
    use crate::commands::testing::{applied, code, found, ids};

    #[test]
    fn it_needs_a_user_and_a_start() {
        let of = |body: Value| code(Command::FriendGet, &body);
        assert_eq!(of(json!({"From_Account": "a", "StartIndex": 0})), 0);
        assert_eq!(of(json!({"From_Account": "a", "StartIndex": 0, "StandardSequence": 1, "CustomSequence": 2})), 0);
        assert_eq!(of(json!({"From_Account": "a"})), 30001);
        assert_eq!(of(json!({"From_Account": "a", "StartIndex": "0"})), 30001);
        assert_eq!(of(json!({"From_Account": "a", "StartIndex": 0, "CustomSequence": "0"})), 30001);
        assert_eq!(of(json!({"StartIndex": 0})), 30001);
    }

    #[test]
    fn a_list_of_an_open_world_that_was_not_emptied_is_not_empty() {
        let mut world = World::open();
        let ask = json!({"From_Account": "a", "StartIndex": 0});
        assert_eq!(page(&mut world, &ask)["FriendNum"], 0);
        let clear = ParsedRequest::read(Command::FriendDeleteAll, br#"{"From_Account":"a"}"#).unwrap();
        world.receive(&clear);
        let left = page(&mut world, &ask);
        assert_eq!((&left["FriendNum"], left["UserDataItem"].as_array().unwrap().len()), (&json!(1), 1));
        applied(&mut world, Command::FriendDeleteAll, &json!({"From_Account": "a"}));
        assert_eq!(page(&mut world, &ask)["FriendNum"], 0);
    }

    fn page(world: &mut World, body: &Value) -> Value {
        found(world, Command::FriendGet, body)
    }

    #[test]
    fn the_list_comes_in_pages_of_100() {
        let names = ids(250);
        let friends = names.iter().map(|id| ("a", id.as_str()));
        let mut world = World::seeded(names.iter().map(String::as_str).chain(["a", "b"]), friends);
        let mut all = Vec::new();
        let mut start = 0;
        for (size, is_last) in [(100, false), (100, false), (50, true)] {
            let page = page(&mut world, &json!({"From_Account": "a", "StartIndex": start}));
            let items = page["UserDataItem"].as_array().unwrap();
            assert_eq!((items.len(), page["FriendNum"].as_u64()), (size, Some(250)));
            assert_eq!(page["CompleteFlag"] == json!(1), is_last);
            all.extend(items.iter().map(|item| item["To_Account"].as_str().unwrap().to_owned()));
            start = page["NextStartIndex"].as_u64().unwrap();
        }
        assert_eq!(all, names);
        let empty = page(&mut world, &json!({"From_Account": "b", "StartIndex": 0}));
        assert_eq!((&empty["FriendNum"], &empty["CompleteFlag"]), (&json!(0), &json!(1)));
        assert!(empty.get("UserDataItem").is_none());
    }

    #[test]
    fn data_whose_sequence_the_caller_knows_is_left_out() {
        let mut world = World::seeded(["a", "b"], [("a", "b")]);
        let update = |tag: &str, value: Value| {
            let items = json!([{"To_Account": "b", "SnsItem": [{"Tag": tag, "Value": value}]}]);
            json!({"From_Account": "a", "UpdateItem": items})
        };
        applied(&mut world, Command::FriendUpdate, &update("Tag_SNS_IM_Remark", json!("Bo")));
        applied(&mut world, Command::FriendUpdate, &update("Tag_SNS_Custom_Level", json!(3)));
        let whole = page(&mut world, &json!({"From_Account": "a", "StartIndex": 0, "StandardSequence": 0}));
        let custom = json!({"Tag": "Tag_SNS_Custom_Level", "Value": 3});
        let remark = json!({"Tag": "Tag_SNS_IM_Remark", "Value": "Bo"});
        assert_eq!(whole["UserDataItem"], json!([{"To_Account": "b", "ValueItem": [custom, remark]}]));
        let [standard, customs] = ["StandardSequence", "CustomSequence"].map(|name| whole[name].clone());
        let known = json!({"From_Account": "a", "StartIndex": 0, "StandardSequence": standard});
        let part = page(&mut world, &known);
        assert_eq!(part["UserDataItem"], json!([{"To_Account": "b", "ValueItem": [custom]}]));
        let all_known = json!({"From_Account": "a", "StartIndex": 0, "StandardSequence": standard,
            "CustomSequence": customs});
        assert!(page(&mut world, &all_known).get("UserDataItem").is_none());
        applied(&mut world, Command::FriendUpdate, &update("Tag_SNS_IM_Remark", json!("Bob")));
        assert_eq!(page(&mut world, &known)["UserDataItem"][0]["ValueItem"][1]["Value"], "Bob");
    }
}

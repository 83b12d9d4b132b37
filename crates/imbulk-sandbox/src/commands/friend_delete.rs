//! Page `friend_delete`: up to 1000 friends of one user.

use super::relation::{
    ILLEGAL_ACCOUNT, MAX_FRIENDS, RelationResult, both_sides, from_account, illegal_account, invalid,
};
use super::{Access, AnswerForm, Definition};
use crate::answer::{ListBody, MockItem, ids, json};
use crate::json::Json;
use crate::key::Key;
use crate::refusal::Refusal;
use crate::request::{Item, ParsedRequest, account, array};
use crate::world::{Extent, World};

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/sns/friend_delete",
    calls_per_second: 200,
    parse,
    written_accounts: |_, request| {
        let friends = request.items.iter().filter(|_| request.both_sides).map(|item| &item.account);
        request.owner.iter().chain(friends).map(|account| account.key).collect()
    },
    access: Access::Write(write),
    answer: AnswerForm::Items(answer),
    error_display: true,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let from = from_account(fields)?;
    let ids = array(fields, "To_Account").ok_or_else(|| invalid("To_Account"))?;
    if ids.is_empty() || ids.len() > MAX_FRIENDS {
        return Err(Refusal::new(31701));
    }
    let friend = |id| Ok(Item::of_friend(&from, account(Some(id), || invalid("To_Account"))?));
    let items = ids.iter().map(friend).collect::<Result<_, _>>()?;
    let both_sides = both_sides(fields).ok_or(Refusal::new(31702))?;
    Ok(ParsedRequest { owner: Some(from), items, both_sides })
}

/// Whether the friend can be deleted depends on the list of `From_Account` alone; both ways `From_Account` then also
/// leaves the other list, if it is there. Half way the friend is off the list of `From_Account`, its data remains, and
/// the other list is as it was.
fn write(world: &mut World, request: &ParsedRequest, item: &Item, extent: Extent) -> Result<(), Refusal> {
    if !item.account.is_legal() {
        return Err(illegal_account());
    }
    let Some(from) = &request.owner else { return Err(invalid("From_Account")) };
    let back = Key::pair(item.account.key, from.key);
    if !world.lists_friend(from.key, item.account.key) {
        if request.both_sides && world.effects.clears_other_side {
            world.remove(back);
        }
        return Err(Refusal::new(31704));
    }
    if extent == Extent::Half {
        world.remove(item.key);
        world.record(item.key).data_left = true;
        return Ok(());
    }
    world.delete(item.key);
    world.forget_fields(item.key);
    if request.both_sides {
        world.remove(back);
        world.forget_fields(back);
    }
    Ok(())
}

/// Both lists are always there, and success says `"ErrorInfo": "0"`.
fn answer(items: &[MockItem]) -> Vec<u8> {
    let is_invalid = |item: &MockItem| item.is_invalid(item.code == ILLEGAL_ACCOUNT);
    let is_failed = |item: &MockItem| item.is_failed(item.code != 0 && item.code != ILLEGAL_ACCOUNT);
    let (failed, invalid) = (Some(ids(items, is_failed)), Some(ids(items, is_invalid)));
    json(&ListBody { failed, invalid, error_info: "0", ..ListBody::<RelationResult<'_>>::new("ResultItem", items) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Command;
    use crate::commands::testing::{self, code};
    use serde_json::{Value, json};

    #[test]
    fn it_takes_up_to_1000_friends_and_two_delete_types() {
        let of = |body| code(Command::FriendDelete, &body);
        let to = |to: Value| json!({"From_Account": "a", "To_Account": to});
        assert_eq!(of(to(json!(testing::ids(1000)))), 0);
        assert_eq!(of(to(json!(testing::ids(1001)))), 31701);
        assert_eq!(of(to(json!([]))), 31701);
        assert_eq!(of(to(json!("b"))), 30001);
        assert_eq!(of(to(json!([7]))), 60015);
        assert_eq!(of(json!({"To_Account": ["b"]})), 30001);
        assert_eq!(of(json!({"From_Account": 1, "To_Account": ["b"]})), 60015);
        assert_eq!(of(json!({"From_Account": "", "To_Account": ["b"]})), 30003);
        for (delete_type, expected) in [
            (json!("Delete_Type_Single"), 0),
            (json!("Delete_Type_Both"), 0),
            (json!("both"), 31702),
            (json!(1), 31702),
        ] {
            let mut body = to(json!(["b"]));
            body["DeleteType"] = delete_type;
            assert_eq!(of(body), expected);
        }
    }

    #[test]
    fn it_answers_like_its_page() {
        assert_eq!(
            testing::answer(Command::FriendDelete, &[MockItem::ok("id1")]),
            concat!(
                r#"{"ResultItem":[{"To_Account":"id1","ResultCode":0,"ResultInfo":""}],"Fail_Account":[],"#,
                r#""Invalid_Account":[],"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"0","ErrorDisplay":""}"#
            )
        );
    }
}

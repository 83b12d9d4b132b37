//! Page `friend_delete_all`: the whole friend list of one user.

use super::relation::{both_sides, from_account, invalid};
use super::{Access, AnswerForm, Definition};
use crate::json::Json;
use crate::key::Key;
use crate::refusal::Refusal;
use crate::request::{Item, ParsedRequest};
use crate::world::{Extent, World};

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/sns/friend_delete_all",
    calls_per_second: 200,
    parse,
    written_accounts,
    access: Access::Write(write),
    answer: AnswerForm::Whole,
    error_display: true,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let from = from_account(fields)?;
    let both_sides = both_sides(fields).ok_or_else(|| invalid("DeleteType"))?;
    let list = Item { key: Key::list(from.key), ..Item::of_account(from.clone()) };
    Ok(ParsedRequest { owner: Some(from), items: vec![list], both_sides })
}

/// Both ways these are the user and their present friends, in an open world only those whose fields were ever updated.
fn written_accounts(world: &World, request: &ParsedRequest) -> Vec<Key> {
    let of_user = |from: Key| {
        let friends = world.present_friends(from).filter(|_| request.both_sides);
        std::iter::once(from).chain(friends.map(|friend| friend.key))
    };
    request.owner.iter().flat_map(|from| of_user(from.key)).collect()
}

/// Half way the list is empty only if the other lists were to follow; one-way the first friend remains, and every other
/// friend after it.
#[expect(clippy::unnecessary_wraps, reason = "every command has this signature")]
fn write(world: &mut World, request: &ParsedRequest, item: &Item, extent: Extent) -> Result<(), Refusal> {
    if extent == Extent::Half {
        world.record(item.key).data_left = true;
        if request.both_sides {
            world.remove(item.key);
        } else {
            let from = item.account.key;
            let removed = world.present_friends(from).skip(1).step_by(2).map(|to| Key::pair(from, to.key));
            removed.collect::<Vec<_>>().into_iter().for_each(|pair| world.remove(pair));
        }
        return Ok(());
    }
    world.record(item.key).data_left = false;
    world.delete(item.key);
    if request.both_sides {
        world.leave_every_list(item.account.key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::Command;
    use crate::commands::testing::code;
    use serde_json::json;

    #[test]
    fn it_takes_one_user() {
        let of = |body| code(Command::FriendDeleteAll, &body);
        assert_eq!(of(json!({"From_Account": "a"})), 0);
        assert_eq!(of(json!({})), 30001);
        assert_eq!(of(json!({"From_Account": ["a"]})), 60015);
        assert_eq!(of(json!({"From_Account": "a", "DeleteType": "x"})), 30001);
    }
}

use super::*;
use crate::key::Key;
use serde_json::{Value, json};

/// A command with its body.
struct Call {
    command: Command,
    request: ParsedRequest,
}

fn call(command: Command, body: &Value) -> Call {
    Call { command, request: ParsedRequest::read(command, body.to_string().as_bytes()).unwrap() }
}

fn delete_friends(from: &str, to: &[&str], way: &str) -> Call {
    let body = json!({"From_Account": from, "To_Account": to, "DeleteType": way});
    call(Command::FriendDelete, &body)
}

fn update(from: &str, to: &str, tag: &str, value: &Value) -> Call {
    let item = json!({"To_Account": to, "SnsItem": [{"Tag": tag, "Value": value}]});
    let body = json!({"From_Account": from, "UpdateItem": [item]});
    call(Command::FriendUpdate, &body)
}

fn written_by(world: &World, call: &Call) -> Vec<Key> {
    (call.command.definition().written_accounts)(world, &call.request)
}

fn codes(world: &mut World, call: &Call) -> Vec<u32> {
    match apply(world, call.command, &call.request, |_| ItemEffect::Written).0 {
        MockAnswer::Items(items) => items.iter().map(|item| item.code).collect(),
        MockAnswer::Refused(refusal) => vec![refusal.code],
        MockAnswer::Done => vec![0],
    }
}

#[test]
fn an_account_is_deleted_once_and_takes_its_friends_along() {
    let mut world = World::open();
    let delete = call(Command::AccountDelete, &json!({"DeleteItem": [{"UserID": "a"}, {"UserID": "a"}]}));
    world.receive(&delete.request);
    assert_eq!(codes(&mut world, &delete), [0, 70107]);
    assert!(!world.account_exists("a"));
    assert!(!world.is_friend("b", "a") && !world.is_friend("a", "b"));
    let log = world.account_counters("a");
    assert_eq!((log.received, log.written), (2, 1));
    let from_gone = delete_friends("a", &["b"], "Delete_Type_Single");
    assert_eq!(codes(&mut world, &from_gone), [30003]);
}

#[test]
fn a_one_way_delete_leaves_the_other_list_alone_and_a_two_way_one_does_not() {
    let mut world = World::open();
    let single = delete_friends("a", &["b"], "Delete_Type_Single");
    assert_eq!(codes(&mut world, &single), [0]);
    assert!(!world.is_friend("a", "b") && world.is_friend("b", "a"));
    let both = delete_friends("c", &["b", "c"], "Delete_Type_Both");
    assert_eq!(codes(&mut world, &both), [0, 31704], "nobody is their own friend");
    assert!(!world.is_friend("c", "b") && !world.is_friend("b", "c"));
    assert_eq!(codes(&mut world, &both), [31704, 31704]);
    assert_eq!(world.friend_counters("c", "b").written, 1);
    assert_eq!(world.friend_counters("b", "c").written, 0);
}

#[test]
fn a_cleared_list_is_empty_and_both_ways_leaves_every_list() {
    let mut world = World::open();
    let clear = |way| json!({"From_Account": "a", "DeleteType": way});
    let single = call(Command::FriendDeleteAll, &clear("Delete_Type_Single"));
    assert_eq!(codes(&mut world, &single), [0]);
    assert!(!world.is_friend("a", "b") && world.is_friend("b", "a"));
    let both = call(Command::FriendDeleteAll, &clear("Delete_Type_Both"));
    assert_eq!(codes(&mut world, &both), [0]);
    assert!(!world.is_friend("b", "a") && world.is_friend("b", "c"));
    assert_eq!(world.list_counters("a").written, 2);
}

#[test]
fn an_update_keeps_the_other_tags_and_ends_with_the_friend() {
    let mut world = World::open();
    let remark = update("a", "b", "Tag_SNS_IM_Remark", &json!("r"));
    let custom = update("a", "b", "Tag_SNS_Custom_Test", &json!(7));
    assert_eq!(codes(&mut world, &remark), [0]);
    assert_eq!(codes(&mut world, &custom), [0]);
    let tags = world.tags("a", "b").unwrap();
    assert_eq!(tags["Tag_SNS_IM_Remark"], "r");
    assert_eq!(tags["Tag_SNS_Custom_Test"], 7);
    assert!(world.tags("b", "a").is_none());
    let delete = delete_friends("a", &["b"], "Delete_Type_Single");
    codes(&mut world, &delete);
    assert!(world.tags("a", "b").is_none());
    assert_eq!(codes(&mut world, &remark), [30001]);
}

#[test]
fn a_user_has_32_groups_and_an_update_over_that_changes_nothing() {
    let mut world = World::open();
    let groups = |range: std::ops::Range<u32>| json!(range.map(|i| format!("g{i}")).collect::<Vec<_>>());
    let tag = "Tag_SNS_IM_Group";
    let fill = update("a", "b", tag, &groups(0..32));
    assert_eq!(codes(&mut world, &fill), [0]);
    let old = update("a", "c", tag, &groups(0..2));
    assert_eq!(codes(&mut world, &old), [0]);
    let one_more = update("a", "d", tag, &groups(31..33));
    assert_eq!(codes(&mut world, &one_more), [30011]);
    assert!(world.tags("a", "d").is_none());
    let another_user = update("d", "a", tag, &groups(31..33));
    assert_eq!(codes(&mut world, &another_user), [0]);
}

#[test]
fn a_seeded_world_knows_only_what_it_was_given() {
    let mut world = World::seeded(["a", "b", "c"], [("a", "b"), ("a", "c"), ("b", "a")]);
    assert!(world.account_exists("a") && !world.account_exists("x"));
    assert!(world.is_friend("a", "b") && !world.is_friend("c", "a"));
    let clear = call(Command::FriendDeleteAll, &json!({"From_Account": "a", "DeleteType": "Delete_Type_Both"}));
    let accounts = |ids: &[&str]| ids.iter().map(|id| Key::account(id)).collect::<Vec<_>>();
    assert_eq!(written_by(&world, &clear), accounts(&["a", "b", "c"]));
    codes(&mut world, &delete_friends("a", &["b"], "Delete_Type_Single"));
    assert_eq!(written_by(&world, &clear), accounts(&["a", "c"]));
}

#[test]
fn an_call_writes_the_accounts_whose_lists_change() {
    let world = World::open();
    let accounts = |ids: &[&str]| ids.iter().map(|id| Key::account(id)).collect::<Vec<_>>();
    let single = delete_friends("a", &["b", "c"], "Delete_Type_Single");
    assert_eq!(written_by(&world, &single), accounts(&["a"]));
    let both = delete_friends("a", &["b", "c"], "Delete_Type_Both");
    assert_eq!(written_by(&world, &both), accounts(&["a", "b", "c"]));
}

#[test]
fn a_share_is_missing_and_always_the_same_one() {
    let worlds = [7, 7, 8].map(|seed| World::open_with_missing(seed, 0.1, 0.0));
    let missing =
        |world: &World| -> Vec<u32> { (0..2000).filter(|i| !world.account_exists(&format!("u{i}"))).collect() };
    let [first, again, other] = worlds.each_ref().map(missing);
    assert!((150..250).contains(&first.len()), "{}", first.len());
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn a_spared_item_is_refused_and_not_written() {
    let mut world = World::open();
    let call = delete_friends("a", &["b", "c"], "Delete_Type_Single");
    let effect = |index| if index == 0 { ItemEffect::Spared(Refusal::new(30006)) } else { ItemEffect::Written };
    let (verdict, written) = apply(&mut world, call.command, &call.request, effect);
    assert_eq!(written, 1);
    assert!(world.is_friend("a", "b") && !world.is_friend("a", "c"));
    let MockAnswer::Items(items) = verdict else { panic!("{verdict:?}") };
    assert_eq!(items[0].code, 30006);
}

fn half(world: &mut World, call: &Call) -> u64 {
    apply(world, call.command, &call.request, |_| ItemEffect::Half(Refusal::new(70500))).1
}

#[test]
fn half_a_write_leaves_the_other_half_behind() {
    let mut world = World::open();
    let account = call(Command::AccountDelete, &json!({"DeleteItem": [{"UserID": "a"}]}));
    assert_eq!(half(&mut world, &account), 0);
    assert!(!world.account_exists("a") && world.account_data_remains("a"));
    assert_eq!(codes(&mut world, &account), [70107]);

    let both = delete_friends("b", &["c"], "Delete_Type_Both");
    assert_eq!(half(&mut world, &both), 0);
    assert!(!world.is_friend("b", "c") && world.is_friend("c", "b") && world.friend_data_remains("b", "c"));
    assert_eq!(codes(&mut world, &both), [31704], "whatever the other list contains");
    assert!(world.is_friend("c", "b"));

    let all = call(Command::FriendDeleteAll, &json!({"From_Account": "d", "DeleteType": "Delete_Type_Both"}));
    assert_eq!(half(&mut world, &all), 0);
    assert!(!world.is_friend("d", "e") && world.is_friend("e", "d") && world.list_remains("d"));
    assert_eq!(codes(&mut world, &all), [0]);
    assert!(!world.is_friend("e", "d") && !world.list_remains("d"));

    let friends = ["b", "c", "d", "e"];
    let mut listed = World::seeded(["a"].into_iter().chain(friends), friends.map(|friend| ("a", friend)));
    let all = call(Command::FriendDeleteAll, &json!({"From_Account": "a", "DeleteType": "Delete_Type_Single"}));
    half(&mut listed, &all);
    assert_eq!(friends.map(|friend| listed.is_friend("a", friend)), [true, false, true, false]);

    let update = update("f", "g", "Tag_SNS_IM_Remark", &json!("x"));
    assert_eq!(half(&mut world, &update), 0);
    assert!(world.friend_data_remains("f", "g"));
    assert_eq!(codes(&mut world, &update), [0]);
    assert!(!world.friend_data_remains("f", "g"));
}

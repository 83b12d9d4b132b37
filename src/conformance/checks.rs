//! The checks. Each prepares the pairs that it uses. Only `friend_get.known_sequences` reads a list that the check
//! before it made.

use serde_json::{Value, json};

use super::{ApiCommand, Ask, Body, Check, MeasuredAnswer, Script, Signed, TestAccounts};
use crate::domain::operation::{self, ReadCommand};

const ACCOUNT_DELETE: ApiCommand = ApiCommand::Change(&operation::ACCOUNT_DELETE);
const ACCOUNT_CHECK: ApiCommand = ApiCommand::Read(ReadCommand::ACCOUNT_CHECK);
const ACCOUNT_IMPORT: ApiCommand = ApiCommand::Change(&operation::ACCOUNT_IMPORT);
const FRIEND_IMPORT: ApiCommand = ApiCommand::Change(&operation::FRIEND_IMPORT);
const FRIEND_UPDATE: ApiCommand = ApiCommand::Change(&operation::FRIEND_UPDATE);
const FRIEND_DELETE: ApiCommand = ApiCommand::Change(&operation::FRIEND_DELETE);
const FRIEND_DELETE_ALL: ApiCommand = ApiCommand::Change(&operation::FRIEND_DELETE_ALL);
const FRIEND_CHECK: ApiCommand = ApiCommand::Read(ReadCommand::FRIEND_CHECK);
const FRIEND_GET: ApiCommand = ApiCommand::Read(ReadCommand::FRIEND_GET);
const FRIEND_GET_LIST: ApiCommand = ApiCommand::Read(ReadCommand::FRIEND_GET_LIST);
const PORTRAIT_GET: ApiCommand = ApiCommand::Read(ReadCommand::PORTRAIT_GET);

const MEBIBYTE: usize = 1024 * 1024;
const REMARK: &str = "Tag_SNS_IM_Remark";

type NextAsk = fn(&TestAccounts, &[MeasuredAnswer]) -> Option<Ask>;

/// A check of a code.
const fn code(key: &'static str, situation: &'static str, expected: &'static str, next: NextAsk) -> Check {
    text(key, situation, expected, next, |_, answers| answers.last()?.code().map(|code| code.to_string()))
}

/// A check of anything else that the answers show.
const fn text(
    key: &'static str,
    situation: &'static str,
    expected: &'static str,
    next: NextAsk,
    read: fn(&TestAccounts, &[MeasuredAnswer]) -> Option<String>,
) -> Check {
    Check { key, situation, expected, script: Script::Sequence(next, read) }
}

/// The next of these calls.
fn nth<const N: usize>(answers: &[MeasuredAnswer], calls: [Ask; N]) -> Option<Ask> {
    calls.into_iter().nth(answers.len())
}

/// The only call.
fn once(answers: &[MeasuredAnswer], call: Ask) -> Option<Ask> {
    nth(answers, [call])
}

fn ask(command: ApiCommand, body: Value) -> Ask {
    Ask { command, body: Body::Json(body), signed: Signed::Usually }
}

pub(super) fn delete(ids: &[String]) -> Ask {
    ask(ACCOUNT_DELETE, json!({ "DeleteItem": users(ids) }))
}

pub(super) fn import(ids: &[String]) -> Ask {
    ask(ACCOUNT_IMPORT, json!({ "AccountList": users(ids) }))
}

pub(super) fn check(ids: &[String]) -> Ask {
    ask(ACCOUNT_CHECK, json!({ "CheckItem": users(ids) }))
}

fn users(ids: &[String]) -> Vec<Value> {
    ids.iter().map(|id| json!({ "UserID": id })).collect()
}

/// One account more than a call of the command may have.
fn too_many(test: &TestAccounts, command: ApiCommand) -> Vec<String> {
    test.numbered("n", command.too_many_items())
}

/// The accounts of a call that imports too many. A server may import them all the same.
pub(super) fn too_many_imported(test: &TestAccounts) -> Vec<String> {
    too_many(test, ACCOUNT_IMPORT)
}

fn names(test: &TestAccounts, shorts: &[&str]) -> Vec<String> {
    shorts.iter().map(|short| test.name(short)).collect()
}

/// An id that is one byte too long, with the prefix of the test accounts: a server that cuts it must not find another.
fn long_id(test: &TestAccounts) -> String {
    format!("{:i<33}", test.prefix())
}

fn befriend(test: &TestAccounts, from: &str, friends: &[String]) -> Ask {
    let friend = |id: &String| json!({ "To_Account": id, "AddSource": "AddSource_Type_Imbulk" });
    let friends: Vec<Value> = friends.iter().map(friend).collect();
    ask(FRIEND_IMPORT, json!({ "From_Account": test.name(from), "AddFriendItem": friends }))
}

fn befriend_one(test: &TestAccounts, from: &str, to: &str) -> Ask {
    befriend(test, from, &[test.name(to)])
}

fn befriend_with_remark(test: &TestAccounts, from: &str, to: &str, remark: &str) -> Ask {
    let friend = json!({ "To_Account": test.name(to), "AddSource": "AddSource_Type_Imbulk", "Remark": remark });
    ask(FRIEND_IMPORT, json!({ "From_Account": test.name(from), "AddFriendItem": [friend] }))
}

fn update(test: &TestAccounts, from: &str, friends: &[String], fields: &Value) -> Ask {
    let friends: Vec<Value> = friends.iter().map(|id| json!({ "To_Account": id, "SnsItem": fields })).collect();
    ask(FRIEND_UPDATE, json!({ "From_Account": test.name(from), "UpdateItem": friends }))
}

fn remark(text: &str) -> Value {
    json!([{ "Tag": REMARK, "Value": text }])
}

fn unfriend(test: &TestAccounts, from: &str, friends: &[String], delete_type: &str) -> Ask {
    ask(FRIEND_DELETE, json!({ "From_Account": test.name(from), "To_Account": friends, "DeleteType": delete_type }))
}

fn unfriend_all(test: &TestAccounts, from: &str, delete_type: &str) -> Ask {
    ask(FRIEND_DELETE_ALL, json!({ "From_Account": test.name(from), "DeleteType": delete_type }))
}

fn relation(test: &TestAccounts, from: &str, friends: &[String], check_type: &str) -> Ask {
    ask(FRIEND_CHECK, json!({ "From_Account": test.name(from), "To_Account": friends, "CheckType": check_type }))
}

fn page(test: &TestAccounts, from: &str, sequences: [u64; 2]) -> Ask {
    let [standard, custom] = sequences;
    ask(
        FRIEND_GET,
        json!({
            "From_Account": test.name(from),
            "StartIndex": 0,
            "StandardSequence": standard,
            "CustomSequence": custom,
        }),
    )
}

fn friend_fields(test: &TestAccounts, from: &str, to: &str, tags: &[&str]) -> Ask {
    ask(FRIEND_GET_LIST, json!({ "From_Account": test.name(from), "To_Account": [test.name(to)], "TagList": tags }))
}

fn codes_of_items(answer: &MeasuredAnswer) -> Option<String> {
    match answer.error_code()? {
        0 => Some(answer.item_codes()?.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
        code => Some(format!("the request: {code}")),
    }
}

fn relation_of(answers: &[MeasuredAnswer]) -> Option<String> {
    answers.last()?.item_text("Relation")?.strip_prefix("CheckResult_Type_").map(str::to_owned)
}

/// The sequences of a caller that knows nothing yet.
const ZERO: [u64; 2] = [0, 0];
const SINGLE: &str = "Delete_Type_Single";
const BOTH: &str = "Delete_Type_Both";
const CHECK_BOTH: &str = "CheckResult_Type_Both";
const CHECK_SINGLE: &str = "CheckResult_Type_Single";

/// All checks, in the order in which they are made.
pub const CHECKS: [Check; 52] = [
    code("account_delete.missing_account", "account_delete of an account that does not exist", "70107", |t, a| {
        once(a, delete(&names(t, &["x"])))
    }),
    code("account_delete.too_many_items", "account_delete of 101 accounts", "70206", |t, a| {
        once(a, delete(&too_many(t, ACCOUNT_DELETE)))
    }),
    code("account_delete.no_items", "account_delete of no account", "70402", |_, a| once(a, delete(&[]))),
    code("account_delete.long_id", "account_delete of an id of 33 bytes", "70402", |t, a| {
        once(a, delete(&[long_id(t)]))
    }),
    text(
        "account_delete.repeated_id",
        "the codes of account_delete if an id occurs twice",
        "0, 70107",
        |t, a| once(a, delete(&names(t, &["d", "d"]))),
        |_, answers| codes_of_items(answers.last()?),
    ),
    text(
        "account_delete.all_failed",
        "ErrorCode of account_delete if every account is missing",
        "0",
        |t, a| once(a, delete(&names(t, &["x", "y"]))),
        |_, answers| answers.last()?.error_code().map(|code| code.to_string()),
    ),
    text(
        "answer.item_order",
        "the order of the items in an answer of account_check",
        "as sent",
        |t, a| once(a, check(&names(t, &["x", "y", "z"]))),
        |t, answers| {
            let sent = names(t, &["x", "y", "z"]);
            let answered: Option<Vec<&str>> =
                answers.last()?.items().iter().map(|item| item.get("UserID")?.as_str()).collect();
            let answered = answered?;
            let is = |order: Vec<&String>| order.iter().map(|id| id.as_str()).eq(answered.iter().copied());
            Some(match () {
                () if is(sent.iter().collect()) => "as sent".to_owned(),
                () if is(sent.iter().rev().collect()) => "reversed".to_owned(),
                () => "another order".to_owned(),
            })
        },
    ),
    text(
        "account_delete.other_lists",
        "whether a deleted account leaves the lists of others",
        "NoRelation",
        |t, a| {
            nth(
                a,
                [
                    befriend_one(t, "a", "e"),
                    delete(&names(t, &["e"])),
                    relation(t, "a", &names(t, &["e"]), CHECK_SINGLE),
                ],
            )
        },
        |_, answers| relation_of(answers).or_else(|| codes_of_items(answers.last()?)),
    ),
    text(
        "account_check.missing_account",
        "account_check of an account that does not exist",
        "NotImported",
        |t, a| once(a, check(&names(t, &["x"]))),
        |_, answers| answers.last()?.item_text("AccountStatus").map(str::to_owned),
    ),
    text(
        "account_check.other_case",
        "account_check of an id that differs from an account in case alone",
        "NotImported",
        |t, a| once(a, check(&names(t, &["A"]))),
        |_, answers| answers.last()?.item_text("AccountStatus").map(str::to_owned),
    ),
    code("account_check.too_many_items", "account_check of 101 accounts", "70206", |t, a| {
        once(a, check(&too_many(t, ACCOUNT_CHECK)))
    }),
    code("account_import.existing_account", "multiaccount_import of an account that exists", "0", |t, a| {
        once(a, import(&names(t, &["a"])))
    }),
    code("account_import.too_many_items", "multiaccount_import of 101 accounts", "70206", |t, a| {
        once(a, import(&too_many(t, ACCOUNT_IMPORT)))
    }),
    code("account_import.no_items", "multiaccount_import of no account", "70402", |_, a| once(a, import(&[]))),
    code("friend_import.existing_friend", "friend_import of a friend", "30001", |t, a| {
        nth(a, [befriend_one(t, "a", "b"), befriend_one(t, "a", "b")])
    }),
    text(
        "friend_import.existing_fields",
        "the remark of a friend after friend_import with another one",
        "kept",
        |t, a| {
            nth(
                a,
                [
                    befriend_with_remark(t, "a", "c", "first"),
                    befriend_with_remark(t, "a", "c", "second"),
                    friend_fields(t, "a", "c", &[REMARK]),
                ],
            )
        },
        |_, answers| {
            let items = answers.last()?.items().first()?.get("SnsProfileItem")?.as_array()?;
            let remark = items.iter().find(|item| item.get("Tag").and_then(Value::as_str) == Some(REMARK));
            Some(match remark.and_then(|item| item.get("Value")?.as_str()) {
                Some("first") => "kept".to_owned(),
                Some("second") => "replaced".to_owned(),
                Some(_) | None => "removed".to_owned(),
            })
        },
    ),
    code("friend_import.missing_friend", "friend_import of an account that does not exist", "30003", |t, a| {
        once(a, befriend_one(t, "a", "x"))
    }),
    code("friend_import.own_account", "friend_import of From_Account itself", "30001", |t, a| {
        once(a, befriend_one(t, "a", "a"))
    }),
    code("friend_import.too_many_items", "friend_import of 1001 friends", "30001", |t, a| {
        once(a, befriend(t, "a", &too_many(t, FRIEND_IMPORT)))
    }),
    code("friend_import.no_source", "friend_import without AddSource", "30001", |t, a| {
        let friend = json!({ "To_Account": t.name("g") });
        once(a, ask(FRIEND_IMPORT, json!({ "From_Account": t.name("a"), "AddFriendItem": [friend] })))
    }),
    code("friend_import.long_remark", "friend_import with a remark of 97 bytes", "30001", |t, a| {
        once(a, befriend_with_remark(t, "f", "g", &"r".repeat(97)))
    }),
    text(
        "friend_import.sides",
        "the lists after friend_import of an account that did not have From_Account",
        "AWithB",
        |t, a| nth(a, [befriend_one(t, "a", "f"), relation(t, "a", &names(t, &["f"]), CHECK_BOTH)]),
        |_, answers| relation_of(answers),
    ),
    code("friend_update.no_friend", "friend_update of an account that is no friend", "30001", |t, a| {
        once(a, update(t, "a", &names(t, &["h"]), &remark("r")))
    }),
    code("friend_update.too_many_items", "friend_update of 1001 friends", "30001", |t, a| {
        once(a, update(t, "a", &too_many(t, FRIEND_UPDATE), &remark("r")))
    }),
    code("friend_update.no_fields", "friend_update without a field", "30001", |t, a| {
        once(a, update(t, "a", &names(t, &["b"]), &json!([])))
    }),
    code("friend_update.missing_from", "friend_update by an account that does not exist", "30003", |t, a| {
        once(a, update(t, "x", &names(t, &["a"]), &remark("r")))
    }),
    code("friend_update.fixed_field", "friend_update of the field AddTime", "30001", |t, a| {
        let fields = json!([{ "Tag": "Tag_SNS_IM_AddTime", "Value": 1_420_000_001 }]);
        nth(a, [befriend_one(t, "c", "a"), update(t, "c", &names(t, &["a"]), &fields)])
    }),
    code("friend_delete.no_friend", "friend_delete of an account that is no friend", "31704", |t, a| {
        once(a, unfriend(t, "a", &names(t, &["h"]), SINGLE))
    }),
    code("friend_delete.too_many_items", "friend_delete of 1001 friends", "31701", |t, a| {
        once(a, unfriend(t, "b", &too_many(t, FRIEND_DELETE), SINGLE))
    }),
    code("friend_delete.wrong_type", "friend_delete with an unknown DeleteType", "31702", |t, a| {
        once(a, unfriend(t, "b", &names(t, &["h"]), "Delete_Type_Other"))
    }),
    code("friend_delete.missing_from", "friend_delete by an account that does not exist", "30003", |t, a| {
        once(a, unfriend(t, "x", &names(t, &["a"]), SINGLE))
    }),
    code("friend_delete.long_id", "friend_delete of an id of 33 bytes", "30003", |t, a| {
        once(a, unfriend(t, "b", &[long_id(t)], SINGLE))
    }),
    text(
        "friend_delete.both_sides",
        "the lists after friend_delete of both sides",
        "NoRelation",
        |t, a| {
            let friend = names(t, &["c"]);
            let (there, back) = (befriend_one(t, "b", "c"), befriend_one(t, "c", "b"));
            nth(a, [there, back, unfriend(t, "b", &friend, BOTH), relation(t, "b", &friend, CHECK_BOTH)])
        },
        |_, answers| relation_of(answers),
    ),
    text(
        "friend_delete.other_side_only",
        "the other side after friend_delete of both sides if From_Account does not have the friend",
        "kept",
        |t, a| {
            let (other, friend) = (names(t, &["c"]), names(t, &["g"]));
            nth(a, [befriend_one(t, "c", "g"), unfriend(t, "g", &other, BOTH), relation(t, "c", &friend, CHECK_SINGLE)])
        },
        |_, answers| {
            Some(match relation_of(answers)?.as_str() {
                "NoRelation" => "deleted".to_owned(),
                _ => "kept".to_owned(),
            })
        },
    ),
    text(
        "friend_delete.repeated_id",
        "the codes of friend_delete if an id occurs twice",
        "0, 31704",
        |t, a| nth(a, [befriend_one(t, "g", "h"), unfriend(t, "g", &names(t, &["h", "h"]), SINGLE)]),
        |_, answers| codes_of_items(answers.last()?),
    ),
    code("friend_delete_all.empty_list", "friend_delete_all of an empty list", "0", |t, a| {
        nth(a, [unfriend_all(t, "f", SINGLE), unfriend_all(t, "f", SINGLE)])
    }),
    code("friend_delete_all.missing_from", "friend_delete_all of an account that does not exist", "30003", |t, a| {
        once(a, unfriend_all(t, "x", SINGLE))
    }),
    code("friend_delete_all.wrong_type", "friend_delete_all with an unknown DeleteType", "30001", |t, a| {
        once(a, unfriend_all(t, "f", "Delete_Type_Other"))
    }),
    text(
        "friend_delete_all.both_sides",
        "the lists after friend_delete_all of both sides",
        "NoRelation",
        |t, a| {
            let (there, back) = (befriend_one(t, "f", "b"), befriend_one(t, "b", "f"));
            nth(a, [there, back, unfriend_all(t, "f", BOTH), relation(t, "f", &names(t, &["b"]), CHECK_BOTH)])
        },
        |_, answers| relation_of(answers),
    ),
    code("friend_check.too_many_items", "friend_check of 1001 accounts", "30001", |t, a| {
        once(a, relation(t, "a", &too_many(t, FRIEND_CHECK), CHECK_BOTH))
    }),
    code("friend_check.wrong_type", "friend_check with an unknown CheckType", "30001", |t, a| {
        once(a, relation(t, "a", &names(t, &["b"]), "CheckResult_Type_Other"))
    }),
    code("friend_get.missing_from", "friend_get of an account that does not exist", "30003", |t, a| {
        once(a, page(t, "x", ZERO))
    }),
    text(
        "friend_get.page_size",
        "friends in the first page of friend_get, of a list of 105",
        "100",
        |t, a| nth(a, [befriend(t, "h", &t.listed()), page(t, "h", ZERO)]),
        |_, answers| Some(answers.last()?.field("UserDataItem")?.as_array()?.len().to_string()),
    ),
    text(
        "friend_get.known_sequences",
        "friend_get with the sequences of the answer before",
        "no data",
        |t, a| match a {
            [] => Some(page(t, "h", ZERO)),
            [first] => {
                let sequences = [first.field("StandardSequence")?.as_u64()?, first.field("CustomSequence")?.as_u64()?];
                Some(page(t, "h", sequences))
            }
            [_, _, ..] => None,
        },
        |_, answers| {
            let [_, second] = answers else { return None };
            second.error_code().filter(|code| *code == 0)?;
            let friends = second.field("UserDataItem").and_then(Value::as_array);
            Some(if friends.is_none_or(Vec::is_empty) { "no data" } else { "data" }.to_owned())
        },
    ),
    code("friend_get_list.no_friend", "friend_get_list of an account that is no friend", "30001", |t, a| {
        once(a, friend_fields(t, "a", "h", &[REMARK]))
    }),
    code("friend_get_list.no_tags", "friend_get_list without a tag", "30001", |t, a| {
        once(a, friend_fields(t, "a", "b", &[]))
    }),
    code("portrait_get.no_items", "portrait_get of no account", "40001", |_, a| {
        once(a, ask(PORTRAIT_GET, json!({ "To_Account": [], "TagList": ["Tag_Profile_IM_Nick"] })))
    }),
    code("usersig.valid_for_a_minute", "a signature that is valid for a minute", "0", |t, a| {
        once(a, Ask { signed: Signed::ForAMinute, ..check(&names(t, &["a"])) })
    }),
    code("usersig.expired", "a signature that has expired", "70001", |t, a| {
        once(a, Ask { signed: Signed::Expired, ..check(&names(t, &["a"])) })
    }),
    code("usersig.no_admin", "a call that is signed by an account that is no admin", "60010", |t, a| {
        once(a, Ask { signed: Signed::ByTestAccount, ..check(&names(t, &["a"])) })
    }),
    code("body.one_mebibyte", "a body of 1 MiB, most of it blanks", "0", |t, a| {
        let body = Body::Padded(json!({ "CheckItem": users(&names(t, &["a"])) }), MEBIBYTE);
        once(a, Ask { body, ..check(&[]) })
    }),
    Check {
        key: "rate.second",
        situation: "which seconds have at most 100 calls of account_check: any second, or those of the clock",
        expected: "any",
        script: Script::Second,
    },
];

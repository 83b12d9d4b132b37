//! Which columns of a file are those of an operation.

use crate::domain::operation::field_names::letters;
use crate::domain::operation::{FieldName, FieldsRequired, InputShape};

/// A column of the operation, and the names in the file that may be it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnGuess {
    /// The API's name.
    pub api: &'static str,
    /// The names in the file: one if it is sure, several if the user must choose.
    pub names: Vec<String>,
}

/// Names of an id column in exports, as [`letters`] returns them: those that surely mean it, and those that may mean
/// something else. They are looked for in this order, after the API's own name.
struct Names {
    api: &'static str,
    sure: &'static [&'static str],
    vague: &'static [&'static str],
}

const NAMES: [Names; 3] = [
    Names { api: "UserID", sure: USER_NAMES, vague: VAGUE_USER_NAMES },
    Names {
        api: "From_Account",
        sure: &[
            "from",
            "fromuser",
            "fromuserid",
            "fromuid",
            "fromid",
            "owner",
            "ownerid",
            "owneruid",
            "owneruserid",
            "owneraccount",
            "listowner",
            "发起方",
            "主账号",
        ],
        vague: USER_NAMES,
    },
    Names {
        api: "To_Account",
        sure: &[
            "to",
            "touser",
            "touserid",
            "touid",
            "toid",
            "friend",
            "friendid",
            "frienduid",
            "frienduserid",
            "friendaccount",
            "好友",
            "好友id",
            "好友账号",
            "好友帐号",
            "好友编号",
        ],
        vague: &["peer", "peerid", "target", "targetid", "targetuid", "targetuserid", "contact", "contactid"],
    },
];

const USER_NAMES: &[&str] = &[
    "userid",
    "uid",
    "userids",
    "useraccount",
    "imuserid",
    "imuid",
    "imid",
    "imaccount",
    "timid",
    "timuserid",
    "chatuserid",
    "accountid",
    "用户id",
    "用户编号",
    "用户账号",
    "用户帐号",
    "账号",
    "帐号",
    "账号id",
    "帐号id",
];

const VAGUE_USER_NAMES: &[&str] = &[
    "id",
    "account",
    "user",
    "username",
    "identifier",
    "memberid",
    "memberno",
    "customerid",
    "playerid",
    "openid",
    "用户",
    "用户名",
    "编号",
];

/// Words of the user's own for the last part of a field's name.
const FIELD_WORDS: [(&str, &[&str]); 8] = [
    ("remark", &["备注", "备注名", "alias"]),
    ("group", &["分组", "好友分组"]),
    ("groupname", &["group", "groups", "分组", "好友分组"]),
    ("addsource", &["source", "friendsource", "来源", "添加来源"]),
    ("addwording", &["wording", "附言", "添加附言"]),
    ("addtime", &["addedat", "添加时间"]),
    ("nick", &["昵称", "nickname"]),
    ("faceurl", &["头像", "avatar", "avatarurl"]),
];

/// The columns of an operation of this shape among the names of a file.
///
/// # Errors
/// The API's name of a column for which the file has none.
pub(super) fn guess(shape: &InputShape, names: &[String]) -> Result<Vec<ColumnGuess>, &'static str> {
    let mut guesses: Vec<ColumnGuess> = Vec::new();
    for api in shape.columns() {
        let free = free(names, &guesses);
        let found = first_found(&free, &id_tiers(api));
        if found.is_empty() {
            return Err(api);
        }
        guesses.push(ColumnGuess { api, names: found });
    }
    let ids = guesses.len();
    for field in shape.fields.fields {
        let FieldName::Exact(api) = field.name else { continue };
        let found = first_found(&free(names, &guesses), &field_tiers(api));
        if !found.is_empty() {
            guesses.push(ColumnGuess { api, names: found });
        }
    }
    let has_own_name = |name: &String| {
        shape.fields.field(name).is_some() || shape.fields.tag_list.is_some_and(|list| list == name.as_str())
    };
    let lacks_all = guesses.len() == ids && !names.iter().any(has_own_name);
    match (shape.fields.required, shape.fields.fields.first().map(|field| field.name)) {
        (FieldsRequired::One, Some(FieldName::Exact(api))) if lacks_all => Err(api),
        (FieldsRequired::Named(api), _) if guesses.iter().all(|guess| guess.api != api) => Err(api),
        (FieldsRequired::One | FieldsRequired::Named(_) | FieldsRequired::None, _) => Ok(guesses),
    }
}

/// Whether a name is one of a group, from the surest group to the vaguest.
type Tier = Box<dyn Fn(&str) -> bool>;

fn id_tiers(api: &'static str) -> Vec<Tier> {
    let known = NAMES.iter().find(|names| names.api == api);
    let (sure, vague) = known.map_or((&[][..], &[][..]), |names| (names.sure, names.vague));
    let own = letters(api);
    let is_in = |words: &'static [&'static str]| -> Tier { Box::new(move |name| words.contains(&&*plain(name))) };
    let last = if api == "From_Account" { VAGUE_USER_NAMES } else { &[] };
    vec![
        Box::new(move |name| name == api),
        Box::new(move |name| plain(name) == own || sure.contains(&&*plain(name))),
        is_in(vague),
        is_in(last),
    ]
}

fn field_tiers(api: &'static str) -> Vec<Tier> {
    let own = letters(api);
    let last = letters(api.rsplit('_').next().unwrap_or(api));
    let words = FIELD_WORDS.iter().find(|(word, _)| *word == last).map_or(&[][..], |(_, words)| words);
    vec![
        Box::new(move |name| name == api),
        Box::new(move |name| plain(name) == own),
        Box::new(move |name| {
            let name = plain(name);
            name == last || name.strip_suffix('s').is_some_and(|one| one == last) || words.contains(&&*name)
        }),
    ]
}

/// The names of the first tier that has any, each once.
fn first_found(names: &[&String], tiers: &[Tier]) -> Vec<String> {
    for tier in tiers {
        let mut found: Vec<String> = Vec::new();
        for name in names.iter().filter(|name| tier(name)) {
            if !found.contains(name) {
                found.push((*name).clone());
            }
        }
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn free<'n>(names: &'n [String], guesses: &[ColumnGuess]) -> Vec<&'n String> {
    names.iter().filter(|name| !guesses.iter().any(|guess| guess.names.contains(name))).collect()
}

/// The letters of a name without the table in front of it: Hive exports `t.user_id`.
fn plain(name: &str) -> String {
    letters(name.rsplit('.').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::by_name;

    /// The guess as text: `UserID=user_id`, with `|` between names of which one must be chosen.
    fn guessed(operation: &str, names: &[&str]) -> Result<String, &'static str> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let guesses = guess(&by_name(operation).expect("an operation").shape, &names)?;
        let text = |guess: ColumnGuess| format!("{}={}", guess.api, guess.names.join("|"));
        Ok(guesses.into_iter().map(text).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn names_of_exports_are_understood() {
        for (operation, names, expected) in [
            ("account_delete", &["user_id", "created_at"][..], "UserID=user_id"),
            ("account_delete", &["note", "UserID", "uid"], "UserID=UserID"),
            ("account_delete", &["t.uid", "t.name"], "UserID=t.uid"),
            ("account_delete", &["User ID"], "UserID=User ID"),
            ("account_delete", &["用户ID", "备注"], "UserID=用户ID"),
            ("account_delete", &["id", "mail"], "UserID=id"),
            ("account_delete", &["id", "user_id"], "UserID=user_id"),
            ("friend_delete_all", &["uid"], "From_Account=uid"),
            ("friend_delete_all", &["owner", "uid"], "From_Account=owner"),
            ("friend_delete", &["user_id", "friend_id"], "From_Account=user_id To_Account=friend_id"),
            ("friend_delete", &["from_uid", "to_uid"], "From_Account=from_uid To_Account=to_uid"),
            (
                "friend_update",
                &["owner", "friend", "remark", "groups"],
                "From_Account=owner To_Account=friend Tag_SNS_IM_Remark=remark Tag_SNS_IM_Group=groups",
            ),
            (
                "friend_import",
                &["owner", "friend", "备注", "分组", "add_source", "add_time"],
                "From_Account=owner To_Account=friend AddSource=add_source Remark=备注 GroupName=分组 AddTime=add_time",
            ),
            ("account_import", &["uid", "nickname", "avatar"], "UserID=uid Nick=nickname FaceUrl=avatar"),
            ("account_import", &["uid"], "UserID=uid"),
            (
                "friend_update",
                &["From_Account", "To_Account", "Tag_SNS_Custom_Vip"],
                "From_Account=From_Account To_Account=To_Account",
            ),
        ] {
            assert_eq!(guessed(operation, names).as_deref(), Ok(expected), "{names:?}");
        }
    }

    #[test]
    fn of_several_equally_likely_names_none_is_chosen() {
        assert_eq!(guessed("account_delete", &["uid", "user_id"]).as_deref(), Ok("UserID=uid|user_id"));
        assert_eq!(guessed("account_delete", &["id", "account"]).as_deref(), Ok("UserID=id|account"));
    }

    #[test]
    fn a_file_without_a_likely_column_is_refused() {
        assert_eq!(guessed("account_delete", &["user_1001"]), Err("UserID"), "an id is no header");
        assert_eq!(guessed("account_delete", &["mail", "created_at"]), Err("UserID"));
        assert_eq!(guessed("friend_delete", &["user_id", "mail"]), Err("To_Account"));
        assert_eq!(guessed("friend_update", &["owner", "friend", "mail"]), Err("Tag_SNS_IM_Remark"));
        assert_eq!(guessed("friend_import", &["owner", "friend", "remark"]), Err("AddSource"));
    }
}

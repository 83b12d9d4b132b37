//! Names that mean something to the API, and names that are nearly one of them.
//!
//! A user who gives a column such a name believes that the column has an effect. Therefore an operation refuses the
//! names of fields that it does not take. It also refuses a name that differs from one of its own fields only in case,
//! blanks or invisible characters.

use crate::domain::operation::{self, FieldName, ItemPlace, Operation};
use crate::domain::unusual_id::is_invisible;

/// How a name may differ from that of a field and still be taken for the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Near {
    /// In everything but its letters: `to account` is `To_Account`. These fields decide what is written.
    Letters,
    /// In case, blanks and invisible characters: `userid` is `UserID`. `user_id` is not, because many users have a
    /// column of that name for ids of their own.
    Case,
    /// Not at all: `Remark` is the field of the API, and `remark` is a column of the user.
    Exact,
}

/// Fields that are in no operation: of other commands, and of parts of commands that imbulk does not send.
const OTHER_FIELDS: [(&str, Near); 4] =
    [("AddItem", Near::Case), ("AddType", Near::Exact), ("ForceAddFlags", Near::Exact), ("RemarkTime", Near::Exact)];

/// The fields of the API that rows or request bodies hold, except tags.
fn fields() -> impl Iterator<Item = (&'static str, Near)> {
    operation::ALL.iter().flat_map(|operation| fields_of(operation)).chain(OTHER_FIELDS)
}

fn fields_of(operation: &'static Operation) -> impl Iterator<Item = (&'static str, Near)> {
    let shape = &operation.shape;
    // Many users have a column `user_id` of their own, so it is not taken for `UserID`.
    let near_id = |id: &str| if id.contains('_') { Near::Letters } else { Near::Case };
    let ids = shape.columns().map(move |id| (id, near_id(id)));
    let list = match shape.items {
        ItemPlace::Objects { list } => Some(list),
        ItemPlace::Body | ItemPlace::Ids => None,
    };
    let lists = list.into_iter().chain(shape.fields.tag_list).map(|list| (list, Near::Case));
    let options = operation.options.iter().map(|option| (option.field, Near::Letters));
    let plain = exact_fields(operation).filter(|name| !is_like_tag(name)).map(|name| (name, Near::Exact));
    ids.chain(lists).chain(options).chain(plain)
}

fn exact_fields(operation: &'static Operation) -> impl Iterator<Item = &'static str> {
    operation.shape.fields.fields.iter().filter_map(|field| match field.name {
        FieldName::Exact(name) => Some(name),
        FieldName::Custom { .. } => None,
    })
}

/// The field of the API that a name is, or nearly is; tags are excepted.
pub fn field(name: &str) -> Option<&'static str> {
    let (case, letters) = (fold(name), letters(name));
    let is = |field: &str, near| match near {
        Near::Letters => letters == self::letters(field),
        Near::Case => case == fold(field),
        Near::Exact => name == field,
    };
    fields().find(|(field, near)| is(field, *near)).map(|(field, _)| field)
}

/// How another operation, or an option of a job, uses a field: the beginning of a hint, empty if none does.
pub fn use_of(field: &str) -> String {
    let options = operation::ALL.iter().flat_map(|operation| operation.options);
    if let Some(option) = options.into_iter().find(|option| option.field == field) {
        return format!("set options.{} in the job, and ", option.name);
    }
    let taking: Vec<&str> = operation::ALL
        .iter()
        .filter(|operation| operation.shape.takes(field))
        .map(|operation| operation.name)
        .collect();
    let suffix = format!("_{field}");
    let tag = |operation: &&'static Operation| {
        exact_fields(operation).find(|name| name.ends_with(&suffix)).map(|tag| (operation.name, tag))
    };
    let tag = operation::ALL.iter().find_map(tag);
    let rename = tag.map(|(operation, tag)| format!("rename it if you mean `{tag}` of {operation}; else "));
    let set = || format!("set operation = \"{}\", which takes it; else ", taking.join("\" or \""));
    rename.unwrap_or_default() + &if taking.is_empty() { String::new() } else { set() }
}

/// The columns of ids in the API.
pub const ID_COLUMNS: [&str; 3] = ["UserID", "From_Account", "To_Account"];

/// The letters of [`ID_COLUMNS`], as [`letters`] returns them.
const ID_LETTERS: [&str; 3] = ["userid", "fromaccount", "toaccount"];

/// Whether a cell has the letters of an id column of the API: `user_id`, `To Account`.
///
/// Every id of the input is checked, so a cell in ASCII is compared without a copy.
pub fn is_near_id_column(cell: &[u8]) -> bool {
    if cell.len() > LONGEST_NAME {
        return false;
    }
    if cell.is_ascii() {
        let letters = || cell.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase);
        return ID_LETTERS.iter().any(|name| letters().eq(name.bytes()));
    }
    ID_LETTERS.contains(&&*letters(&String::from_utf8_lossy(cell)))
}

/// A cell with more bytes is not a name, not even one with invisible characters.
const LONGEST_NAME: usize = 64;

/// Whether a name is so long that an id is unlikely to end with it by chance.
pub fn is_long(name: &str) -> bool {
    name.chars().filter(|c| c.is_alphanumeric()).count() >= 4
}

/// Names of columns that may also be the id of an account.
const VAGUE: [&str; 12] = [
    "account",
    "accounts",
    "id",
    "ids",
    "user",
    "users",
    "uid",
    "identifier",
    "username",
    "user_name",
    "userids",
    "用户",
];

/// Whether the name of a column may also be the id of an account.
pub fn is_vague(name: &str) -> bool {
    VAGUE.contains(&&*name.to_lowercase())
}

/// What the names of tags begin with after `Tag_`, as letters.
const TAG_FAMILIES: [&str; 2] = ["sns", "profile"];
/// What the names of the most common tags end with, as letters.
const TAG_ENDS: [&str; 2] = ["imremark", "imgroup"];

/// Whether a name is a tag or a misspelled tag, such as `Tag_SNS_IM_ Remark`, `tagSnsCustomVip` and
/// `Tag_Profile_IM_Nick`.
pub fn is_like_tag(name: &str) -> bool {
    let letters = letters(name);
    let Some(tag) = letters.strip_prefix("tag") else { return false };
    // `Tag_IM_Remark` lacks the family, `Tag_SNS_IM_` the rest.
    TAG_FAMILIES.iter().any(|family| tag.starts_with(family)) || TAG_ENDS.iter().any(|end| tag.ends_with(end))
}

/// Whether two names differ in no more than case, blanks, width and invisible characters.
pub fn are_alike(name: &str, other: &str) -> bool {
    fold(name) == fold(other)
}

/// Letters of other alphabets that look like those of the names.
const LOOKALIKES: [(char, char); 22] = [
    ('А', 'A'),
    ('а', 'a'),
    ('с', 'c'),
    ('С', 'C'),
    ('е', 'e'),
    ('Е', 'E'),
    ('М', 'M'),
    ('о', 'o'),
    ('О', 'O'),
    ('р', 'p'),
    ('Т', 'T'),
    ('у', 'y'),
    ('і', 'i'),
    ('І', 'I'),
    ('ѕ', 's'),
    ('Ѕ', 'S'),
    ('ԁ', 'd'),
    ('Ι', 'I'),
    ('Ο', 'O'),
    ('ο', 'o'),
    ('Τ', 'T'),
    ('Α', 'A'),
];

/// A name without case, blanks, width and invisible characters.
fn fold(name: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => LOOKALIKES.iter().find(|(like, _)| *like == other).map_or(other, |(_, letter)| *letter),
    };
    name.chars()
        .filter(|c| !c.is_whitespace() && !is_invisible(*c))
        .map(narrow)
        .filter(|c| !matches!(c, '"' | '\'' | '`'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The letters and digits of `fold`.
pub fn letters(name: &str) -> String {
    fold(name).chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_under_near_names() {
        for name in [
            "To_Account",
            "To_account",
            " To_Account",
            "\u{feff}To_Account",
            "to account",
            "ToAccount",
            "Ｔｏ_Account",
            "Тo_Account",
        ] {
            assert_eq!(field(name), Some("To_Account"), "{name}");
        }
        for name in ["UserID", "userid", "User ID", "UserID\u{200b}"] {
            assert_eq!(field(name), Some("UserID"), "{name}");
        }
        assert_eq!(field("delete_type"), Some("DeleteType"));
        assert_eq!(field("Remark"), Some("Remark"));
    }

    #[test]
    fn a_hint_names_the_tag_and_the_operation_that_a_field_is_meant_for() {
        let tag = "rename it if you mean `Tag_SNS_IM_Remark` of friend_update; else ";
        assert_eq!(use_of("Remark"), tag.to_owned() + "set operation = \"friend_import\", which takes it; else ");
        assert_eq!(use_of("AddSource"), "set operation = \"friend_import\", which takes it; else ");
        assert_eq!(use_of("DeleteType"), "set options.delete_type in the job, and ");
        assert_eq!(use_of("RemarkTime"), "");
    }

    #[test]
    fn names_of_the_users_own_are_no_fields() {
        for name in [
            "created_at",
            "note",
            "user_id",
            "remark",
            "nick",
            "account",
            "id",
            "From",
            "To",
            "",
            "备注",
            "tag",
            "tags",
        ] {
            assert_eq!(field(name), None, "{name}");
            assert!(!is_like_tag(name), "{name}");
        }
    }

    #[test]
    fn an_id_column_is_found_under_near_names_and_no_account_is_one() {
        for name in ["UserID", "user_id", "user-id", "\u{feff}UserID", "\"UserID\"", "Ｔo_Account", "from account"] {
            assert!(is_near_id_column(name.as_bytes()), "{name}");
        }
        assert_eq!(ID_COLUMNS.map(letters), ID_LETTERS);
        for name in ["id", "account", "user", "userid1", "user_1", "to", "", "用户", "DeleteType", "im_user_id"] {
            assert!(!is_near_id_column(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_mistyped_tag_is_like_a_tag() {
        for name in [
            "Tag_SNS_IM_Remarks",
            "tag_sns_im_remark",
            "Tag_SNS_IM_ Remark",
            " Tag_SNS_IM_Remark",
            "\u{200b}Tag_SNS_IM_Remark",
            "TagSNSCustomVip",
            "Tag_IM_Remark",
            "Tag_Profile_IM_Nick",
            "Ｔag_SNS_IM_Group",
        ] {
            assert!(is_like_tag(name), "{name}");
        }
    }
}

//! Names that mean something to the API, and names that are nearly one of them.
//!
//! A column under such a name is a promise: its user believes that it has an effect. So an operation that has no use
//! for it refuses it, as it refuses a name that differs from one it takes by case, blanks or invisible characters.

use super::tags;
use super::unusual_id::is_invisible;

/// How far a name may be from a field's and still be taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Near {
    /// It has the same letters: `to account` is `To_Account`. These fields decide what is written.
    Letters,
    /// It differs by case, blanks and invisible characters: `userid` is `UserID`, but `user_id` is many a user's own.
    Case,
    /// It is the same name. `Remark` is the API's, `remark` a word that users have.
    Exact,
}

/// The fields of the API that rows or request bodies hold (pages of the friend and account commands).
const FIELDS: [(&str, Near); 18] = [
    ("UserID", Near::Case),
    ("From_Account", Near::Letters),
    ("To_Account", Near::Letters),
    ("DeleteType", Near::Letters),
    ("DeleteItem", Near::Case),
    ("UpdateItem", Near::Case),
    ("SnsItem", Near::Case),
    ("AddFriendItem", Near::Case),
    ("AccountList", Near::Case),
    ("AddSource", Near::Exact),
    ("AddWording", Near::Exact),
    ("AddTime", Near::Exact),
    ("AddType", Near::Exact),
    ("ForceAddFlags", Near::Exact),
    ("Remark", Near::Exact),
    ("GroupName", Near::Exact),
    ("Nick", Near::Exact),
    ("FaceUrl", Near::Exact),
];

/// The field of the API that a name is, or nearly is; the fields of tags excepted.
pub fn field(name: &str) -> Option<&'static str> {
    let (case, letters) = (fold(name), letters(name));
    let is = |field: &str, near| match near {
        Near::Letters => letters == self::letters(field),
        Near::Case => case == fold(field),
        Near::Exact => name == field,
    };
    FIELDS.into_iter().find(|(field, near)| is(field, *near)).map(|(field, _)| field)
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

/// More bytes than a name and the invisible characters in it have.
const LONGEST_NAME: usize = 64;

/// Whether a name is long enough that an id hardly ends with it by chance.
pub fn is_long(name: &str) -> bool {
    name.chars().filter(|c| c.is_alphanumeric()).count() >= 4
}

/// Names of columns that an account may well have.
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

/// Whether a name of a column may well be the id of an account.
pub fn is_vague(name: &str) -> bool {
    VAGUE.contains(&&*name.to_lowercase())
}

/// Whether a name means to be a tag, be it a mistyped one: `Tag_SNS_IM_ Remark`, `tagSnsCustomVip`, `Tag_Profile_IM_Nick`.
pub fn is_like_tag(name: &str) -> bool {
    let letters = letters(name);
    let tag = letters.strip_prefix("tag").unwrap_or_default();
    tag.starts_with("sns")
        || tag.starts_with("profile")
        || ["imremark", "imgroup"].iter().any(|end| tag.ends_with(end))
        || [tags::REMARK, tags::GROUP].iter().any(|known| self::letters(known) == letters)
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

/// The letters and digits of [`fold`].
fn letters(name: &str) -> String {
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

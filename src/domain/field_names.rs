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

/// A name without case, blanks, width and invisible characters.
fn fold(name: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => other,
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
        for name in
            ["To_Account", "To_account", " To_Account", "\u{feff}To_Account", "to account", "ToAccount", "Ｔｏ_Account"]
        {
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

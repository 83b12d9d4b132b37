//! The tags that friend_update sets, and what values they take.
//!
//! Names from page friend_update ("Tag_SNS_IM_Remark", "Tag_SNS_IM_Group", "Tag_SNS_Custom_XXXX"); lengths from the
//! pages on relationship chains and limits, which count bytes where they are exact.

use super::row::{Tags, Value};

/// The friend's remark.
pub const REMARK: &str = "Tag_SNS_IM_Remark";
/// The groups that the friend stands in.
pub const GROUP: &str = "Tag_SNS_IM_Group";
/// How the tags of custom fields start.
pub const CUSTOM_PREFIX: &str = "Tag_SNS_Custom_";

/// What is between the groups of a friend in their cell of CSV.
pub const GROUP_SEPARATOR: &str = "|";

/// The longest remark in bytes.
pub const MAX_REMARK_BYTES: usize = 96;
/// The longest name of a group in bytes.
pub const MAX_GROUP_BYTES: usize = 30;
/// The most groups that an account can have.
pub const MAX_GROUPS: usize = 32;
/// The longest value of a custom field in bytes.
pub const MAX_CUSTOM_BYTES: usize = 500;
/// The longest name of a custom field, in letters, without its prefix.
pub const MAX_CUSTOM_NAME: usize = 8;

/// What a tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The remark: text.
    Remark,
    /// The groups: a list of text.
    Groups,
    /// A custom field: text or an integer.
    Custom,
}

/// Why a tag or its value can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// friend_update takes no such tag.
    #[error(
        "is none of the tags that friend_update takes: {REMARK}, {GROUP}, \
         {CUSTOM_PREFIX} and 1 to {MAX_CUSTOM_NAME} letters"
    )]
    Unknown,
    /// The remark is no text.
    #[error("must be text")]
    NotText,
    /// The groups are no list.
    #[error("must be a list of group names")]
    NotGroups,
    /// A custom field is a list.
    #[error("must be text or an integer")]
    NotScalar,
    /// More bytes than the API takes.
    #[error("has {0} bytes, the API takes at most {1}")]
    TooLong(usize, usize),
    /// A group without a name.
    #[error("names a group without a name")]
    EmptyGroup,
    /// A name of a group with more bytes than the API takes.
    #[error("names a group of {0} bytes, the API takes at most {MAX_GROUP_BYTES}")]
    GroupTooLong(usize),
    /// More groups than an account can have.
    #[error("names {0} groups, the API allows {MAX_GROUPS}")]
    TooManyGroups(usize),
}

/// What the tag of this name is.
pub fn kind(tag: &str) -> Result<Kind, TagError> {
    match tag {
        REMARK => Ok(Kind::Remark),
        GROUP => Ok(Kind::Groups),
        custom => {
            let name = custom.strip_prefix(CUSTOM_PREFIX).ok_or(TagError::Unknown)?;
            let letters = name.bytes().all(|byte| byte.is_ascii_alphabetic());
            if letters && (1..=MAX_CUSTOM_NAME).contains(&name.len()) {
                Ok(Kind::Custom)
            } else {
                Err(TagError::Unknown)
            }
        }
    }
}

/// Whether a tag of this kind takes the value.
pub fn check(kind: Kind, value: &Value) -> Result<(), TagError> {
    match (kind, value) {
        (Kind::Remark, Value::Text(text)) => at_most(text, MAX_REMARK_BYTES),
        (Kind::Custom, Value::Text(text)) => at_most(text, MAX_CUSTOM_BYTES),
        (Kind::Custom, Value::Integer(_)) => Ok(()),
        (Kind::Groups, Value::Groups(groups)) => check_groups(groups),
        (Kind::Remark, Value::Integer(_) | Value::Groups(_)) => Err(TagError::NotText),
        (Kind::Groups, Value::Integer(_) | Value::Text(_)) => Err(TagError::NotGroups),
        (Kind::Custom, Value::Groups(_)) => Err(TagError::NotScalar),
    }
}

fn at_most(text: &str, bytes: usize) -> Result<(), TagError> {
    if text.len() > bytes {
        return Err(TagError::TooLong(text.len(), bytes));
    }
    Ok(())
}

fn check_groups(groups: &[Box<str>]) -> Result<(), TagError> {
    if groups.len() > MAX_GROUPS {
        return Err(TagError::TooManyGroups(groups.len()));
    }
    groups.iter().try_for_each(|group| match group.len() {
        0 => Err(TagError::EmptyGroup),
        1..=MAX_GROUP_BYTES => Ok(()),
        long => Err(TagError::GroupTooLong(long)),
    })
}

/// The groups in their order, each once: to name a group twice means no more than to name it once.
pub fn groups<'a>(names: impl IntoIterator<Item = &'a str>) -> Value {
    let mut groups: Vec<Box<str>> = Vec::new();
    for name in names {
        // Past the limit the row is refused anyway: comparing on would cost the square of a hostile list.
        if groups.len() > MAX_GROUPS || !groups.iter().any(|known| **known == *name) {
            groups.push(name.into());
        }
    }
    Value::Groups(groups)
}

/// The value that a cell of CSV sets; none for an empty cell, which leaves the tag alone. Blanks around a group's name
/// are no part of it.
pub fn from_cell(tag: &str, cell: &str) -> Option<Value> {
    if tag != GROUP {
        return (!cell.is_empty()).then(|| Value::Text(cell.into()));
    }
    let names = cell.split(GROUP_SEPARATOR).map(str::trim);
    (!cell.trim().is_empty()).then(|| groups(names))
}

/// Tags as compact JSON in key order: equal tags are equal bytes.
pub fn to_json(tags: &Tags) -> String {
    // Text, integers and lists of text under text keys: serialising can't fail.
    serde_json::to_string(tags).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tags_of_the_page_are_known() {
        assert_eq!(kind("Tag_SNS_IM_Remark"), Ok(Kind::Remark));
        assert_eq!(kind("Tag_SNS_IM_Group"), Ok(Kind::Groups));
        assert_eq!(kind("Tag_SNS_Custom_Abcdefgh"), Ok(Kind::Custom));
        for wrong in [
            "Tag_SNS_Custom_",
            "Tag_SNS_Custom_Abcdefghi",
            "Tag_SNS_Custom_a1",
            "Tag_SNS_Custom_é",
            "Tag_SNS_IM_Remarks",
            "tag_sns_im_remark",
            "Tag_SNS_IM_AddTime",
            "",
        ] {
            assert_eq!(kind(wrong), Err(TagError::Unknown), "{wrong}");
        }
    }

    #[test]
    fn values_are_held_to_the_limits_of_the_api_in_bytes() {
        let text = |bytes: usize| Value::Text("x".repeat(bytes).into());
        assert_eq!(check(Kind::Remark, &text(96)), Ok(()));
        assert_eq!(check(Kind::Remark, &text(97)), Err(TagError::TooLong(97, 96)));
        assert_eq!(check(Kind::Custom, &text(500)), Ok(()));
        assert_eq!(check(Kind::Custom, &text(501)), Err(TagError::TooLong(501, 500)));
        assert_eq!(check(Kind::Custom, &Value::Integer((-1).into())), Ok(()));
        let group = "组".repeat(11);
        assert_eq!(check(Kind::Groups, &groups([&*group])), Err(TagError::GroupTooLong(33)));
        assert_eq!(check(Kind::Groups, &groups([""])), Err(TagError::EmptyGroup));
    }

    #[test]
    fn values_of_another_type_are_refused() {
        assert_eq!(check(Kind::Remark, &Value::Integer(1.into())), Err(TagError::NotText));
        assert_eq!(check(Kind::Groups, &Value::Text("g".into())), Err(TagError::NotGroups));
        assert_eq!(check(Kind::Custom, &groups(["g"])), Err(TagError::NotScalar));
    }

    #[test]
    fn a_group_named_twice_counts_once() {
        assert_eq!(groups(["a", "b", "a"]), Value::Groups(vec!["a".into(), "b".into()]));
        let names: Vec<String> = (0..33).map(|n| n.to_string()).collect();
        let many = groups(names.iter().map(String::as_str));
        assert_eq!(check(Kind::Groups, &many), Err(TagError::TooManyGroups(33)));
    }

    #[test]
    fn json_is_compact_and_in_key_order() {
        let tags = Tags::from([
            (GROUP.into(), groups(["g"])),
            ("Tag_SNS_Custom_A".into(), Value::Integer(5.into())),
            (REMARK.into(), Value::Text("é\"".into())),
        ]);
        let json = r#"{"Tag_SNS_Custom_A":5,"Tag_SNS_IM_Group":["g"],"Tag_SNS_IM_Remark":"é\""}"#;
        assert_eq!(to_json(&tags), json);
    }
}

//! The fields that rows may set beside their ids: tags (`Tag_…`), and plain fields such as `Nick`.
//!
//! Each operation lists its own; names and lengths come from the pages that its file names. Lengths are in bytes.

use std::fmt;

use crate::domain::request::row::{FieldValue, FieldValues, MAX_LIST_LENGTH};

/// What separates the elements of a list in their cell of CSV.
pub const LIST_SEPARATOR: &str = "|";
/// What the names of tags start with. A request body holds tags as a list of `Tag` and `Value`.
const TAG_PREFIX: &str = "Tag_";

/// The fields that rows of one operation may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldFamily {
    /// The fields, in the order of messages.
    pub fields: &'static [Field],
    /// The list of `{"Tag": …, "Value": …}` in the request body, for families with tags.
    pub tag_list: Option<&'static str>,
    /// Whether a row must set one of them.
    pub required: FieldsRequired,
}

/// Whether a row must set a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldsRequired {
    /// A row that sets none would change nothing.
    One,
    /// The API requires this field.
    Named(&'static str),
    /// All fields are optional.
    None,
}

/// What a row lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldLack {
    /// It sets no field, so that it would change nothing.
    Any,
    /// It does not set this field, which the API requires.
    Field(&'static str),
}

/// A field, or a group of custom fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: FieldName,
    /// The values that it takes.
    pub kind: FieldKind,
    /// The tag under which answers show it, if that is not its name.
    shown_as: Option<&'static str>,
}

/// The name of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldName {
    /// This name.
    Exact(&'static str),
    /// A prefix and 1 to `max_letters` letters of the user's own.
    Custom {
        /// The prefix.
        prefix: &'static str,
        /// The maximum number of letters after it.
        max_letters: usize,
    },
}

/// The values that a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text.
    Text {
        /// The maximum length.
        max_bytes: usize,
    },
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// This prefix and 1 to `max_letters` letters.
    Prefixed {
        /// The prefix.
        prefix: &'static str,
        /// The maximum number of letters after it.
        max_letters: usize,
    },
    /// A whole number from 0 to `max`.
    Integer {
        /// The largest one.
        max: u64,
    },
    /// Text, or a whole number where the field was created as one.
    TextOrInteger {
        /// The maximum length of the text.
        max_bytes: usize,
    },
    /// A list of at most [`MAX_LIST_LENGTH`] names of groups.
    Groups {
        /// The maximum length of each.
        max_bytes: usize,
    },
}

/// Why a field or its value cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The operation has no such field.
    #[error("is none of the fields of this operation: {0}")]
    Unknown(String),
    /// A value of another type.
    #[error("must be {0}")]
    WrongKind(FieldKind),
    /// More bytes than the API takes.
    #[error("has {0} bytes; the API allows at most {1}")]
    TooLong(usize, usize),
    /// A group without a name.
    #[error("names a group without a name")]
    EmptyGroup,
    /// A name of a group with more bytes than the API takes.
    #[error("names a group of {0} bytes; the API allows at most {1}")]
    GroupTooLong(usize, usize),
    /// More groups than an account can have.
    #[error("names {0} groups; the API allows {MAX_LIST_LENGTH}")]
    TooManyGroups(usize),
}

impl FieldFamily {
    /// For operations whose rows have ids alone.
    pub const NONE: Self = Self { fields: &[], tag_list: None, required: FieldsRequired::None };

    /// Whether rows have ids alone.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name.matches(name))
    }

    /// What a row that sets these fields lacks; `None` if it lacks nothing.
    pub fn lack(&self, fields: &FieldValues) -> Option<FieldLack> {
        match self.required {
            FieldsRequired::One if fields.is_empty() => Some(FieldLack::Any),
            FieldsRequired::Named(name) if !fields.contains_key(name) => Some(FieldLack::Field(name)),
            FieldsRequired::One | FieldsRequired::Named(_) | FieldsRequired::None => None,
        }
    }

    /// Whether a field of this name takes the value.
    pub fn check(&self, name: &str, value: &FieldValue) -> Result<(), FieldError> {
        self.field(name).ok_or_else(|| self.unknown())?.kind.check(value)
    }

    /// The error for the name of a field that the operation does not have.
    pub fn unknown(&self) -> FieldError {
        let names: Vec<String> = self.fields.iter().map(|field| field.name.in_words()).collect();
        FieldError::Unknown(names.join(", "))
    }

    /// The value that a cell of CSV sets; `None` for an empty cell, which leaves the field alone.
    pub fn from_cell(&self, name: &str, cell: &str) -> Option<FieldValue> {
        let kind = self.field(name).map(|field| field.kind);
        let text = || (!cell.is_empty()).then(|| FieldValue::Text(cell.into()));
        match kind {
            // Blanks around the name of a group are not part of the name.
            Some(FieldKind::Groups { .. }) if cell.trim().is_empty() => None,
            Some(FieldKind::Groups { .. }) => Some(FieldValue::groups(cell.split(LIST_SEPARATOR).map(str::trim))),
            Some(FieldKind::Integer { .. }) => match cell.parse::<u64>() {
                // `007` stays text, which a check refuses: as a number it would be written as `7` in the results.
                Ok(number) if number.to_string() == cell => Some(FieldValue::Integer(number.into())),
                Ok(_) | Err(_) => text(),
            },
            Some(
                FieldKind::Text { .. }
                | FieldKind::OneOf(_)
                | FieldKind::Prefixed { .. }
                | FieldKind::TextOrInteger { .. },
            )
            | None => text(),
        }
    }
}

impl Field {
    /// A field of this name.
    pub const fn exact(name: &'static str, kind: FieldKind) -> Self {
        Self { name: FieldName::Exact(name), kind, shown_as: None }
    }

    /// Custom fields: `prefix` and 1 to `max_letters` letters.
    pub const fn custom(prefix: &'static str, max_letters: usize, kind: FieldKind) -> Self {
        Self { name: FieldName::Custom { prefix, max_letters }, kind, shown_as: None }
    }

    /// The same field, which answers show under another name.
    #[must_use]
    pub const fn shown_as(self, tag: &'static str) -> Self {
        Self { shown_as: Some(tag), ..self }
    }

    /// The tag under which answers show the field of this name.
    pub(super) fn tag<'a>(&self, name: &'a str) -> &'a str {
        self.shown_as.unwrap_or(name)
    }

    /// Whether a request body holds the field of this name in its list of tags.
    pub(super) fn is_tag(name: &str) -> bool {
        name.starts_with(TAG_PREFIX)
    }
}

impl FieldName {
    fn matches(self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Custom { prefix, max_letters } => has_letters_after(name, prefix, max_letters),
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::Exact(name) => name.to_owned(),
            Self::Custom { prefix, max_letters } => format!("{prefix} and 1 to {max_letters} letters"),
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Custom { prefix, .. } => write!(f, "{prefix}*"),
        }
    }
}

fn has_letters_after(text: &str, prefix: &str, max_letters: usize) -> bool {
    text.strip_prefix(prefix).is_some_and(|letters| {
        (1..=max_letters).contains(&letters.len()) && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
    })
}

impl FieldKind {
    /// Whether a field of this kind takes the value.
    pub fn check(self, value: &FieldValue) -> Result<(), FieldError> {
        match (self, value) {
            (Self::Text { max_bytes } | Self::TextOrInteger { max_bytes }, FieldValue::Text(text)) => {
                at_most(text, max_bytes)
            }
            (Self::OneOf(texts), FieldValue::Text(text)) if texts.contains(&&**text) => Ok(()),
            (Self::Prefixed { prefix, max_letters }, FieldValue::Text(text))
                if has_letters_after(text, prefix, max_letters) =>
            {
                Ok(())
            }
            (Self::Integer { max }, FieldValue::Integer(number))
                if number.as_u64().is_some_and(|number| number <= max) =>
            {
                Ok(())
            }
            (Self::TextOrInteger { .. }, FieldValue::Integer(_)) => Ok(()),
            (Self::Groups { max_bytes }, FieldValue::Groups(groups)) => check_groups(groups, max_bytes),
            (_, FieldValue::Text(_) | FieldValue::Integer(_) | FieldValue::Groups(_)) => {
                Err(FieldError::WrongKind(self))
            }
        }
    }

    /// Whether its values are lists.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Groups { .. })
    }
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { .. } => f.write_str("text"),
            Self::OneOf(texts) => write!(f, "one of {}", texts.join(", ")),
            Self::Prefixed { prefix, max_letters } => write!(f, "{prefix} and 1 to {max_letters} letters"),
            Self::Integer { max } => write!(f, "a whole number from 0 to {max}"),
            Self::TextOrInteger { .. } => f.write_str("text or an integer"),
            Self::Groups { .. } => f.write_str("a list of group names"),
        }
    }
}

fn at_most(text: &str, bytes: usize) -> Result<(), FieldError> {
    if text.len() > bytes {
        return Err(FieldError::TooLong(text.len(), bytes));
    }
    Ok(())
}

fn check_groups(groups: &[Box<str>], max_bytes: usize) -> Result<(), FieldError> {
    if groups.len() > MAX_LIST_LENGTH {
        return Err(FieldError::TooManyGroups(groups.len()));
    }
    groups.iter().try_for_each(|group| match group.len() {
        0 => Err(FieldError::EmptyGroup),
        long if long > max_bytes => Err(FieldError::GroupTooLong(long, max_bytes)),
        _ => Ok(()),
    })
}

/// Fields as compact JSON in key order: equal fields are equal bytes.
pub fn to_json(fields: &FieldValues) -> String {
    // Text, integers and lists of text under text keys: serialising can't fail.
    serde_json::to_string(fields).expect("texts and numbers are JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::by_name;

    fn friends() -> FieldFamily {
        by_name("friend_update").unwrap().shape.fields
    }

    const KINDS: FieldFamily = FieldFamily {
        fields: &[
            Field::exact("Tag_X_Gender", FieldKind::OneOf(&["Male", "Female"])),
            Field::exact("AddTime", FieldKind::Integer { max: 100 }),
            Field::exact("AddSource", FieldKind::Prefixed { prefix: "AddSource_Type_", max_letters: 8 }),
        ],
        tag_list: Some("List"),
        required: FieldsRequired::None,
    };

    #[test]
    fn only_the_fields_of_the_family_are_known() {
        for right in ["Tag_SNS_IM_Remark", "Tag_SNS_IM_Group", "Tag_SNS_Custom_Abcdefgh"] {
            assert!(friends().field(right).is_some(), "{right}");
        }
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
            assert_eq!(friends().field(wrong), None, "{wrong}");
        }
        let error = friends().check("Tag_SNS_X", &FieldValue::groups([])).unwrap_err().to_string();
        assert!(error.ends_with("Tag_SNS_IM_Remark, Tag_SNS_IM_Group, Tag_SNS_Custom_ and 1 to 8 letters"), "{error}");
    }

    #[test]
    fn values_are_held_to_the_limits_of_the_api_in_bytes() {
        let check = |name, value| friends().check(name, &value);
        let text = |bytes: usize| FieldValue::Text("x".repeat(bytes).into());
        assert_eq!(check("Tag_SNS_IM_Remark", text(96)), Ok(()));
        assert_eq!(check("Tag_SNS_IM_Remark", text(97)), Err(FieldError::TooLong(97, 96)));
        assert_eq!(check("Tag_SNS_Custom_A", text(500)), Ok(()));
        assert_eq!(check("Tag_SNS_Custom_A", text(501)), Err(FieldError::TooLong(501, 500)));
        assert_eq!(check("Tag_SNS_Custom_A", FieldValue::Integer((-1).into())), Ok(()));
        let group = "组".repeat(11);
        assert_eq!(check("Tag_SNS_IM_Group", FieldValue::groups([&*group])), Err(FieldError::GroupTooLong(33, 30)));
        assert_eq!(check("Tag_SNS_IM_Group", FieldValue::groups([""])), Err(FieldError::EmptyGroup));
        let names: Vec<String> = (0..33).map(|n| n.to_string()).collect();
        let many = FieldValue::groups(names.iter().map(String::as_str));
        assert_eq!(check("Tag_SNS_IM_Group", many), Err(FieldError::TooManyGroups(33)));
    }

    #[test]
    fn values_of_another_kind_are_refused() {
        let error = |name, value| friends().check(name, &value).unwrap_err().to_string();
        assert_eq!(error("Tag_SNS_IM_Remark", FieldValue::Integer(1.into())), "must be text");
        assert_eq!(error("Tag_SNS_IM_Group", FieldValue::Text("g".into())), "must be a list of group names");
        assert_eq!(error("Tag_SNS_Custom_A", FieldValue::groups(["g"])), "must be text or an integer");
    }

    #[test]
    fn enumerations_numbers_and_prefixed_texts_are_checked() {
        for (name, right, wrong) in [
            ("Tag_X_Gender", "Male", "male"),
            ("AddTime", "100", "101"),
            ("AddTime", "0", "007"),
            ("AddSource", "AddSource_Type_Web", "Web"),
            ("AddSource", "AddSource_Type_A", "AddSource_Type_Ninechars"),
        ] {
            let check = |cell| KINDS.check(name, &KINDS.from_cell(name, cell).unwrap());
            assert_eq!(check(right), Ok(()), "{name} {right}");
            assert!(matches!(check(wrong), Err(FieldError::WrongKind(_))), "{name} {wrong}");
        }
        assert_eq!(KINDS.from_cell("AddTime", ""), None);
    }

    #[test]
    fn json_is_compact_and_in_key_order() {
        let fields = FieldValues::from([
            ("Tag_SNS_IM_Group".into(), FieldValue::groups(["g"])),
            ("Tag_SNS_Custom_A".into(), FieldValue::Integer(5.into())),
            ("Tag_SNS_IM_Remark".into(), FieldValue::Text("é\"".into())),
        ]);
        let json = r#"{"Tag_SNS_Custom_A":5,"Tag_SNS_IM_Group":["g"],"Tag_SNS_IM_Remark":"é\""}"#;
        assert_eq!(to_json(&fields), json);
    }
}

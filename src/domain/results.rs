//! The results file: its columns, and how its CSV cells hold the values of fields.
//!
//! Results are valid input for the job that they came from, so the export and the reader both use this module. The cell
//! of a field has the value as users write it in their own files. If it would be read as another value, the cell has
//! `json:` and the value as JSON: a cleared field is `json:""`, a number is `json:5`, and a group with a separator in
//! its name is `json:["a|b"]`. `json:` has this meaning only in files that are recognized as results.

use std::borrow::Cow;

use super::operation::{FieldFamily, InputShape, LIST_SEPARATOR};
use super::request::row::FieldValue;

/// The first columns: where the row was in the input.
pub const PLACE: [&str; 2] = ["source", "line"];
/// The last columns: what became of the row.
pub const OUTCOME: [&str; 5] = ["outcome", "code", "reason", "attempts", "finished_at"];
/// The columns after them: what the last `imbulk verify` showed, and when. Files of earlier versions lack them.
pub const VERIFIED: [&str; 2] = ["verified", "verified_at"];
/// The last column: the error class of the code under the operation of the run. Files of earlier versions lack it.
pub const CLASS: &str = "class";
/// All of these, in the sequence of the file.
pub const ALL: [&str; 10] =
    ["source", "line", "outcome", "code", "reason", "attempts", "finished_at", "verified", "verified_at", "class"];
/// The columns that imbulk adds to the user's own columns. No results have them, so that such a file is ordinary input.
pub const ADDED: [&str; 10] = [
    "imbulk_source",
    "imbulk_line",
    "imbulk_outcome",
    "imbulk_code",
    "imbulk_reason",
    "imbulk_attempts",
    "imbulk_finished_at",
    "imbulk_verified",
    "imbulk_verified_at",
    "imbulk_class",
];
/// What a cell with JSON starts with.
const JSON: &str = "json:";

/// Whether these are the columns of the results of an operation of this shape, in any order.
pub fn is_header<'n>(names: impl IntoIterator<Item = &'n str>, shape: &InputShape) -> bool {
    let names: Vec<&str> = names.into_iter().collect();
    let expected = || PLACE.into_iter().chain(shape.columns()).chain(OUTCOME);
    let is_other = |name: &str| shape.fields.field(name).is_some() || VERIFIED.contains(&name) || name == CLASS;
    let are_known = names.iter().all(|name| expected().any(|known| known == *name) || is_other(name));
    are_known && expected().all(|known| names.contains(&known))
}

/// Whether an earlier export with the user's own columns added this column.
pub fn is_added(name: &str) -> bool {
    ADDED.contains(&name)
}

/// Whether these are the columns of the results of some operation, in any order and maybe with others, or of an export
/// with the user's own columns.
pub fn is_header_of_any<'n>(names: impl IntoIterator<Item = &'n str>) -> bool {
    let names: Vec<&str> = names.into_iter().collect();
    ADDED.iter().all(|added| names.contains(added))
        || PLACE.into_iter().chain(OUTCOME).all(|known| names.contains(&known))
}

/// The CSV cell for what a row sets.
pub fn cell<'v>(fields: &FieldFamily, name: &str, value: &'v FieldValue) -> Cow<'v, str> {
    let plain = match value {
        FieldValue::Text(text) => Cow::Borrowed(&**text),
        FieldValue::Groups(groups) => Cow::Owned(groups.join(LIST_SEPARATOR)),
        FieldValue::Integer(number) => Cow::Owned(number.to_string()),
    };
    let says_the_same = |cell: &Cow<'_, str>| {
        !cell.starts_with(JSON) && fields.from_cell(name, cell).is_some_and(|read| read == *value)
    };
    // Text, integers and lists of text: serializing can't fail.
    Some(plain).filter(says_the_same).unwrap_or_else(|| {
        format!("{JSON}{}", serde_json::to_string(value).expect("texts and numbers are JSON")).into()
    })
}

/// The value of a CSV cell of a results file; none for a row that does not set the field.
///
/// # Errors
/// `json:` is not followed by a value that a field can have.
pub fn from_cell(fields: &FieldFamily, name: &str, cell: &str) -> Result<Option<FieldValue>, NotAValue> {
    let Some(json) = cell.strip_prefix(JSON) else {
        return Ok(fields.from_cell(name, cell));
    };
    match serde_json::from_str(json).map_err(|_| NotAValue)? {
        FieldValue::Integer(number) if number.is_f64() => Err(NotAValue),
        FieldValue::Groups(groups) => Ok(Some(FieldValue::groups(groups.iter().map(AsRef::as_ref)))),
        value @ (FieldValue::Integer(_) | FieldValue::Text(_)) => Ok(Some(value)),
    }
}

/// A cell that starts with `json:`, but has no value of a field after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has `json:` without a text, a whole number or a list of texts after it")]
pub struct NotAValue;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::operation;

    fn shape(operation: &str) -> InputShape {
        operation::by_name(operation).expect("an operation").shape
    }

    #[test]
    fn the_header_names_the_operation_of_the_results() {
        let is = |text: &str, operation| is_header(text.split(','), &shape(operation));
        let deleted = "source,line,UserID,outcome,code,reason,attempts,finished_at";
        assert!(is(deleted, "account_delete"));
        assert!(!is(deleted, "friend_delete_all"));
        assert!(is(&format!("{deleted},verified,verified_at"), "account_delete"));
        assert!(is(&format!("{deleted},verified,verified_at,class"), "account_delete"));
        assert!(!is(&format!("{deleted},verified,verified_at,category"), "account_delete"));
        assert!(is("UserID,outcome,code,line,source,reason,attempts,finished_at", "account_delete"));
        assert!(!is("source,UserID,outcome,code,reason,attempts,finished_at", "account_delete"));
        assert!(!is("source,line,UserID,note,outcome,code,reason,attempts,finished_at", "account_delete"));
        let updated = "source,line,From_Account,To_Account,Tag_SNS_IM_Remark,Tag_SNS_Custom_A,\
                       outcome,code,reason,attempts,finished_at";
        assert!(is(updated, "friend_update"));
        assert!(!is(updated, "friend_delete"));
    }

    #[test]
    fn cells_are_plain_where_that_says_the_same() {
        let groups = |names: &[&str]| FieldValue::groups(names.iter().copied());
        let text = |text: &str| FieldValue::Text(text.into());
        for (field, value, expected) in [
            ("Tag_SNS_IM_Remark", text(" two\nlines "), " two\nlines "),
            ("Tag_SNS_IM_Remark", text(""), "json:\"\""),
            ("Tag_SNS_IM_Remark", text("json:5"), "json:\"json:5\""),
            ("Tag_SNS_Custom_A", text("5"), "5"),
            ("Tag_SNS_Custom_A", FieldValue::Integer(5.into()), "json:5"),
            ("Tag_SNS_IM_Group", groups(&["work", "gym"]), "work|gym"),
            ("Tag_SNS_IM_Group", groups(&["x|y"]), "json:[\"x|y\"]"),
            ("Tag_SNS_IM_Group", groups(&[" a"]), "json:[\" a\"]"),
            ("Tag_SNS_IM_Group", groups(&[]), "json:[]"),
            // A rejected value: it must not become a good one.
            ("Tag_SNS_IM_Group", text("g"), "json:\"g\""),
        ] {
            assert_eq!(cell(&shape("friend_update").fields, field, &value), expected);
            assert_eq!(from_cell(&shape("friend_update").fields, field, expected), Ok(Some(value)));
        }
        assert_eq!(from_cell(&shape("friend_update").fields, "Tag_SNS_IM_Remark", ""), Ok(None));
        for wrong in ["json:", "json:1.5", "json:{}", "json:true", "json:[1]"] {
            assert_eq!(from_cell(&shape("friend_update").fields, "Tag_SNS_Custom_A", wrong), Err(NotAValue), "{wrong}");
        }
    }

    #[test]
    fn added_columns_are_those_of_the_results_with_a_prefix() {
        let names = PLACE.into_iter().chain(OUTCOME).chain(VERIFIED).chain([CLASS]);
        assert!(names.eq(ALL));
        assert!(ALL.map(|name| format!("imbulk_{name}")) == ADDED);
        assert!(is_header_of_any(["UserID"].into_iter().chain(ADDED)) && !is_header_of_any(["imbulk_source"]));
    }

    fn any_value() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            any::<String>().prop_map(|text| FieldValue::Text(text.into())),
            "(json:|[|\"\\[\\]0-9 ]){0,6}".prop_map(|text| FieldValue::Text(text.into())),
            any::<i64>().prop_map(|number| FieldValue::Integer(number.into())),
            any::<u64>().prop_map(|number| FieldValue::Integer(number.into())),
            prop::collection::vec("[ab| ,\"\n]{0,4}", 0..5)
                .prop_map(|names| FieldValue::groups(names.iter().map(String::as_str))),
        ]
    }

    proptest! {
        #[test]
        fn every_value_comes_back_from_its_cell(
            field in prop::sample::select(vec!["Tag_SNS_IM_Remark", "Tag_SNS_IM_Group", "Tag_SNS_Custom_A"]),
            value in any_value(),
        ) {
            let cell = cell(&shape("friend_update").fields, field, &value).into_owned();
            prop_assert_eq!(from_cell(&shape("friend_update").fields, field, &cell), Ok(Some(value)), "{}", cell);
        }
    }
}

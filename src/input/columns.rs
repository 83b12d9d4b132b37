//! Which names of the file mean what to the API.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::domain::job::{Encoding, InputSettings, UnusualIds};
use crate::domain::operation::field_names;
use crate::domain::operation::{FieldError, FieldFamily, FieldName, InputShape, ItemPlace};
use crate::domain::request::account::{MAX_BYTES, UserId};
use crate::domain::unusual_id::{self, is_invisible};

/// A column, under both its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column<'a> {
    /// The API's name.
    pub(super) api: &'a str,
    /// The file's name.
    pub(super) file: &'a str,
}

/// What the rows of an operation are made of, under the names of the job's files.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    pub(super) from: Option<Column<'a>>,
    pub(super) account: Column<'a>,
    /// The fields that `input.columns` maps.
    pub(super) mapped_fields: Vec<Column<'a>>,
    /// The columns of ids that `input.columns` names itself: then names that are near theirs are the user's own.
    named_ids: Vec<&'static str>,
    pub(super) fields: FieldFamily,
    pub(super) items: ItemPlace,
    pub(super) encoding: Encoding,
    pub(super) unusual_ids: UnusualIds,
    /// Whether the file is a results file of this operation.
    pub(super) results: bool,
    /// Names that are known to be the user's own: JSONL has them in every row, and comparing them closely costs time.
    own: RefCell<HashSet<Box<str>>>,
}

/// The most names that are remembered.
const REMEMBERED: usize = 256;

/// What a name of the file refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning<'n> {
    From,
    Account,
    /// The field of this name.
    Field(&'n str),
    /// Nothing to the API: the column is the user's own.
    Own,
}

/// Why a name can't be passed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It looks like a tag, and the operation has no such field.
    #[error("{0}")]
    Tag(FieldError),
    /// It is a field of the API, or nearly one, that this operation does not take.
    #[error("is the API's `{0}`, which rows of this operation do not have")]
    Foreign(&'static str),
    /// It is nearly the name of a column of this operation.
    #[error("is nearly `{file}`, but differs in case, blanks or invisible characters")]
    Near {
        /// The API's name for the column.
        api: String,
        /// The file's name for it.
        file: String,
    },
}

impl Misfit {
    fn near(column: &Column<'_>) -> Self {
        Self::Near { api: column.api.to_owned(), file: column.file.to_owned() }
    }

    /// The column at fault: that of the id for which the name is meant, or the tag as it is written.
    pub(super) fn column(&self, name: &str) -> Option<String> {
        match self {
            Self::Near { api, .. } if !field_names::is_like_tag(name) => Some(api.clone()),
            Self::Near { .. } | Self::Tag(_) => Some(name.to_owned()),
            Self::Foreign(_) => None,
        }
    }

    /// What the user can do about the column or key `name`.
    pub(super) fn hint(&self, place: NamePlace, name: &str) -> String {
        let it = place.name();
        match self {
            Self::Tag(_) => {
                format!("rename the {it} to one of these fields, map it with input.columns, or leave it out")
            }
            Self::Foreign(field) => format!("{}leave the {it} out", field_names::use_of(field)),
            Self::Near { .. } if name.contains(is_invisible) => format!("rename the {it}"),
            // The file may have both names, and only the user knows which of them has the ids.
            Self::Near { api, file } if api == file && field_names::ID_COLUMNS.contains(&api.as_str()) => format!(
                "rename the {it}, or choose the one that has the ids: input.columns = {{ {api} = {file:?} }} or \
                 {{ {api} = {name:?} }}"
            ),
            Self::Near { api, file } => format!(
                "rename the {it}, or, if it is to be read instead of {file:?}, name it in the job: \
                 input.columns = {{ {api} = {name:?} }}"
            ),
        }
    }
}

/// Where a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamePlace {
    /// In a header.
    Column,
    /// In an object.
    Key,
}

impl NamePlace {
    const fn name(self) -> &'static str {
        match self {
            Self::Column => "column",
            Self::Key => "key",
        }
    }
}

impl<'a> Columns<'a> {
    /// Reads `input.columns` for an operation of this shape.
    pub(super) fn new(shape: &InputShape, input: &'a InputSettings) -> Self {
        let column = |api: &'static str| Column { api, file: input.columns.get(api).map_or(api, String::as_str) };
        let mapped_fields = input
            .columns
            .iter()
            .map(|(api, file)| Column { api, file })
            .filter(|column| shape.columns().all(|id| id != column.api));
        Self {
            from: shape.from.map(column),
            account: column(shape.account),
            mapped_fields: mapped_fields.collect(),
            named_ids: shape.columns().filter(|id| input.columns.contains_key(*id)).collect(),
            fields: shape.fields,
            items: shape.items,
            encoding: input.encoding,
            unusual_ids: input.unusual_ids,
            results: false,
            own: RefCell::default(),
        }
    }

    /// The same for a results file: it has the API's names, whatever the job maps.
    pub(super) fn of_results(shape: &InputShape, input: &'a InputSettings) -> Self {
        let columns = Self::new(shape, input);
        let plain = |column: Column<'a>, api| Column { file: api, ..column };
        Self {
            from: columns.from.zip(shape.from).map(|(column, api)| plain(column, api)),
            account: plain(columns.account, shape.account),
            mapped_fields: Vec::new(),
            named_ids: Vec::new(),
            encoding: Encoding::Utf8,
            results: true,
            ..columns
        }
    }

    /// The columns that every row must fill.
    pub(super) fn ids(&self) -> impl Iterator<Item = Column<'a>> {
        self.from.into_iter().chain([self.account])
    }

    /// What a name of the file refers to.
    ///
    /// # Errors
    /// It has a meaning that the operation would pass over in silence.
    pub(super) fn meaning<'n>(&self, name: &'n str) -> Result<Meaning<'n>, Misfit>
    where
        'a: 'n,
    {
        if self.from.is_some_and(|from| from.file == name) {
            return Ok(Meaning::From);
        }
        if self.account.file == name {
            return Ok(Meaning::Account);
        }
        if let Some(mapped) = self.mapped_fields.iter().find(|column| column.file == name) {
            return Ok(Meaning::Field(mapped.api));
        }
        if self.fields.field(name).is_some() {
            return Ok(Meaning::Field(name));
        }
        if !self.own.borrow().contains(name) {
            self.check_own(name)?;
            let mut own = self.own.borrow_mut();
            if own.len() < REMEMBERED {
                own.insert(name.into());
            }
        }
        Ok(Meaning::Own)
    }

    /// Whether a name that is none of the operation's is the user's own.
    fn check_own(&self, name: &str) -> Result<(), Misfit> {
        if field_names::is_like_tag(name) {
            let has_tags = self.fields.tag_list.is_some();
            let near = self.exact_fields().find(|field| field_names::are_alike(field, name));
            return Err(match near {
                Some(field) => Misfit::near(&Column { api: field, file: field }),
                None if has_tags => Misfit::Tag(self.fields.unknown()),
                None => Misfit::Foreign("Tag_*"),
            });
        }
        if let Some(field) = field_names::field(name) {
            return match self.ids().find(|id| id.api == field) {
                None => Err(Misfit::Foreign(field)),
                Some(id) if id.file != id.api || self.named_ids.contains(&id.api) => Ok(()),
                Some(id) => Err(Misfit::near(&id)),
            };
        }
        let plain = self.exact_fields().map(|field| Column { api: field, file: field });
        let own = self.ids().chain(self.mapped_fields.iter().copied()).chain(plain);
        let near = own.into_iter().find(|near| field_names::are_alike(near.file, name));
        near.map_or(Ok(()), |near| Err(Misfit::near(&near)))
    }

    fn exact_fields(&self) -> impl Iterator<Item = &'static str> {
        self.fields.fields.iter().filter_map(|field| match field.name {
            FieldName::Exact(name) => Some(name),
            FieldName::Custom { .. } => None,
        })
    }

    /// Whether an id surely keeps all rules but those that compare it with others: nearly every id does.
    pub(super) fn is_plain(&self, id: &[u8]) -> bool {
        match self.unusual_ids {
            UnusualIds::Reject => id.len() <= MAX_BYTES && unusual_id::is_usual(id),
            UnusualIds::Allow => UserId::is_plain(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::testing::{input, shape};

    #[test]
    fn names_find_their_field_also_through_the_mapping() {
        let input = input(&[("Tag_SNS_IM_Remark", "note")]);
        let shape = shape("friend_update");
        let columns = Columns::new(&shape, &input);
        assert_eq!(columns.meaning("note"), Ok(Meaning::Field("Tag_SNS_IM_Remark")));
        assert_eq!(columns.meaning("Tag_SNS_Custom_Vip"), Ok(Meaning::Field("Tag_SNS_Custom_Vip")));
        assert_eq!(
            columns.meaning("TAG_SNS_IM_Group"),
            Err(Misfit::near(&Column { api: "Tag_SNS_IM_Group", file: "Tag_SNS_IM_Group" }))
        );
        assert_eq!(columns.meaning("mail"), Ok(Meaning::Own));
    }

    #[test]
    fn names_that_mean_something_elsewhere_are_no_columns_of_the_users_own() {
        for (operation, name) in [
            ("friend_delete_all", "To_Account"),
            ("friend_delete_all", "to_account"),
            ("friend_delete_all", "UserID"),
            ("account_delete", "From_Account"),
            ("account_delete", "DeleteType"),
            ("account_delete", "Nick"),
            ("friend_delete", "Remark"),
            ("friend_delete", "delete_type"),
            ("friend_update", "UserID"),
            ("friend_update", "Remark"),
            ("friend_update", "AddSource"),
            ("friend_import", "RemarkTime"),
            ("account_delete", "UpdateItem"),
            ("friend_delete", "Tag_SNS_IM_Remark"),
            ("account_delete", " tag_sns_im_group"),
        ] {
            let (shape, input) = (shape(operation), input(&[]));
            let misfit = Columns::new(&shape, &input).meaning(name);
            assert!(matches!(misfit, Err(Misfit::Foreign(_))), "{operation} {name}: {misfit:?}");
        }
        for name in ["created_at", "note", "user_id", "remark", "nick", "source", "line", "outcome", ""] {
            for operation in ["account_delete", "friend_delete", "friend_delete_all", "friend_update"] {
                let (shape, input) = (shape(operation), input(&[]));
                assert_eq!(Columns::new(&shape, &input).meaning(name), Ok(Meaning::Own), "{operation} {name}");
            }
        }
    }

    #[test]
    fn a_near_name_of_an_id_is_refused_unless_the_job_names_the_column_itself() {
        let shape = shape("account_delete");
        let near = |input: &InputSettings, name: &str| Columns::new(&shape, input).meaning(name).is_err();
        for name in ["userid", " UserID", "UserID\u{200b}", "\u{feff}UserID", "ＵserID"] {
            assert!(near(&input(&[]), name), "{name}");
            assert!(!near(&input(&[("UserID", "UserID")]), name), "{name}");
            assert!(!near(&input(&[("UserID", "user_id")]), name), "{name}");
        }
        assert!(near(&input(&[("UserID", "user_id")]), "User_ID"));
    }

    #[test]
    fn each_hint_on_a_near_name_leads_to_a_file_that_is_read() {
        let hint = |operation: &str, mapping: &[(&str, &str)], name: &str| {
            let (shape, input) = (shape(operation), input(mapping));
            let misfit = Columns::new(&shape, &input).meaning(name).expect_err("a near name");
            misfit.hint(NamePlace::Column, name)
        };
        let both = hint("account_delete", &[], "userid");
        assert!(both.ends_with(r#"input.columns = { UserID = "UserID" } or { UserID = "userid" }"#), "{both}");
        let own = hint("account_delete", &[("UserID", "user_id")], "User_ID");
        assert!(own.contains(r#"instead of "user_id""#), "{own}");
        assert!(own.ends_with(r#"input.columns = { UserID = "User_ID" }"#), "{own}");

        let (shape, input) = (shape("friend_delete"), input(&[("From_Account", "From_Account")]));
        let columns = Columns::new(&shape, &input);
        assert_eq!(columns.meaning("from_account"), Ok(Meaning::Own), "the job names this id");
        assert!(columns.meaning("to_account").is_err(), "the job does not name this one");
    }
}

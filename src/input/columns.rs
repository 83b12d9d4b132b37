//! Which names of the file mean what to the API.

use crate::domain::job::{Encoding, Input};
use crate::domain::operation::{BodyShape, Shape, TagColumns};
use crate::domain::tags::{self, TagError};

use super::error::Problem;

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
    /// The tags that `input.columns` maps.
    pub(super) mapped_tags: Vec<Column<'a>>,
    pub(super) tags: TagColumns,
    pub(super) body: BodyShape,
    pub(super) encoding: Encoding,
}

impl<'a> Columns<'a> {
    /// Reads `input.columns` for an operation of this shape.
    pub(super) fn new(shape: &Shape, input: &'a Input) -> Result<Self, Problem> {
        check_mapping(shape, input)?;
        let column = |api: &'static str| Column { api, file: input.columns.get(api).map_or(api, String::as_str) };
        let mapped_tags = input
            .columns
            .iter()
            .map(|(api, file)| Column { api, file })
            .filter(|column| shape.columns().all(|id| id != column.api));
        Ok(Self {
            from: shape.from.map(column),
            account: column(shape.account),
            mapped_tags: mapped_tags.collect(),
            tags: shape.tags,
            body: shape.body,
            encoding: input.encoding,
        })
    }

    /// The columns that every row must fill.
    pub(super) fn ids(&self) -> impl Iterator<Item = Column<'a>> {
        self.from.into_iter().chain([self.account])
    }

    /// The tag that a name of the file stands for, if it stands for any.
    pub(super) fn tag_of(&self, name: &'a str) -> Result<Option<&'a str>, TagError> {
        match self.tags {
            TagColumns::None => Ok(None),
            TagColumns::Some => {
                if let Some(mapped) = self.mapped_tags.iter().find(|column| column.file == name) {
                    return Ok(Some(mapped.api));
                }
                if tags::looks_like_tag(name) && self.ids().all(|id| id.file != name) {
                    tags::kind(name)?;
                    return Ok(Some(name));
                }
                Ok(None)
            }
        }
    }

    /// Whether the API's command takes a `DeleteType`, so that one in the input would mean something.
    ///
    /// The job says it once for all rows. Input that says it too is refused rather than overruled: a row that asks
    /// for a one-way delete must not become a two-way one. The commands with these two bodies take it
    /// (pages friend_delete, friend_delete_all).
    pub(super) const fn take_delete_type(&self) -> bool {
        match self.body {
            BodyShape::Single | BodyShape::Ids => true,
            BodyShape::Objects { .. } | BodyShape::Updates { .. } => false,
        }
    }
}

/// A mapping that would be passed over in silence is a mistake of the job.
fn check_mapping(shape: &Shape, input: &Input) -> Result<(), Problem> {
    for api in input.columns.keys() {
        let legal = match shape.tags {
            TagColumns::None => false,
            TagColumns::Some => tags::kind(api).is_ok(),
        };
        if !legal && shape.columns().all(|id| id != api) {
            return Err(Problem::UnknownMapping(api.clone(), legal_names(shape)));
        }
    }
    let mapped: Vec<_> = input.columns.iter().collect();
    for (index, (api, file)) in mapped.iter().enumerate() {
        if let Some((other, _)) = mapped[..index].iter().find(|(_, earlier)| earlier == file) {
            let (other, api, file) = ((*other).clone(), (*api).clone(), (*file).clone());
            return Err(Problem::SharedMapping(other, api, file));
        }
    }
    Ok(())
}

fn legal_names(shape: &Shape) -> String {
    let mut names: Vec<&str> = shape.columns().collect();
    match shape.tags {
        TagColumns::None => {}
        TagColumns::Some => names.extend([tags::REMARK, tags::GROUP, "Tag_SNS_Custom_*"]),
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::testing::{input, shape};

    #[test]
    fn a_mapping_of_a_name_that_the_operation_lacks_is_refused() {
        let input = input(&[("UserId", "id")]);
        let problem = Columns::new(&shape("account_delete"), &input).unwrap_err();
        assert_eq!(problem.to_string(), "`input.columns` maps `UserId`, the operation has UserID");
    }

    #[test]
    fn two_names_do_not_share_a_column() {
        let input = input(&[("From_Account", "id"), ("To_Account", "id")]);
        let problem = Columns::new(&shape("friend_delete"), &input).unwrap_err();
        assert!(matches!(problem, Problem::SharedMapping(..)));
    }

    #[test]
    fn names_find_their_tag_also_through_the_mapping() {
        let input = input(&[("Tag_SNS_IM_Remark", "note")]);
        let shape = shape("friend_update");
        let columns = Columns::new(&shape, &input).unwrap();
        assert_eq!(columns.tag_of("note"), Ok(Some("Tag_SNS_IM_Remark")));
        assert_eq!(columns.tag_of("Tag_SNS_Custom_Vip"), Ok(Some("Tag_SNS_Custom_Vip")));
        assert_eq!(columns.tag_of("TAG_SNS_IM_Group"), Err(TagError::Unknown));
        assert_eq!(columns.tag_of("mail"), Ok(None));
    }
}

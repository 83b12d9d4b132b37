//! Turns the lines of a backup into rows of jobs.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::backup::BackupLine;
use crate::domain::operation::{
    ACCOUNT_IMPORT, FRIEND_IMPORT, FRIEND_UPDATE, Field, FieldKind, FieldName, FieldsRequired, Operation, ShownFields,
};
use crate::domain::request::row::FieldValue;

/// The API requires a source for each friend. A friend without one gets this one.
pub(super) const DEFAULT_SOURCE: &str = "AddSource_Type_Restore";

/// A tag of the API, and the name of the field that imports it.
type Renamed = (&'static str, &'static str);

const OF_FRIENDS: &[Renamed] = &[
    ("Tag_SNS_IM_Remark", "Remark"),
    ("Tag_SNS_IM_Group", "GroupName"),
    ("Tag_SNS_IM_AddSource", "AddSource"),
    ("Tag_SNS_IM_AddWording", "AddWording"),
    ("Tag_SNS_IM_AddTime", "AddTime"),
];
const OF_PROFILES: &[Renamed] = &[("Tag_Profile_IM_Nick", "Nick"), ("Tag_Profile_IM_Image", "FaceUrl")];

/// The jobs that restore a backup, in the sequence in which they must be run: friends need their accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RestoreJob {
    /// Creates accounts with their profiles.
    Accounts,
    /// Puts friends on lists, or sets their fields.
    Friends,
}

impl RestoreJob {
    /// The name of its files.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Friends => "friends",
        }
    }
}

/// What became of the run's friends and accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remains {
    /// The run deleted them.
    Nothing,
    /// The run changed their fields.
    Item,
}

/// What the rows cannot restore.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Losses {
    /// The number of rows whose field with this tag no job can set.
    pub(super) fields: BTreeMap<String, u64>,
    /// The number of friends that get [`DEFAULT_SOURCE`].
    pub(super) default_sources: u64,
}

/// Turns the lines of a backup into rows of jobs, and counts what these cannot restore.
#[derive(Debug)]
pub(super) struct RestoredRows {
    friends: &'static Operation,
    accounts: &'static Operation,
    remains: Remains,
    losses: Losses,
}

/// A row of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RestoredRow {
    pub(super) job: RestoreJob,
    pub(super) object: Map<String, Value>,
}

/// What a run of this operation leaves of its items. An operation that sets fields deletes nothing.
pub(super) fn remains_after(operation: &Operation) -> Remains {
    if operation.shape.fields.is_empty() { Remains::Nothing } else { Remains::Item }
}

/// The operation that restores friends or accounts.
pub(super) fn operation_of(job: RestoreJob, remains: Remains) -> &'static Operation {
    match (job, remains) {
        (RestoreJob::Accounts, Remains::Nothing | Remains::Item) => &ACCOUNT_IMPORT,
        (RestoreJob::Friends, Remains::Nothing) => &FRIEND_IMPORT,
        (RestoreJob::Friends, Remains::Item) => &FRIEND_UPDATE,
    }
}

impl RestoredRows {
    /// For the backup of a run of this operation.
    pub(super) fn of(operation: &Operation) -> Self {
        let remains = remains_after(operation);
        let of = |job| operation_of(job, remains);
        let (friends, accounts) = (of(RestoreJob::Friends), of(RestoreJob::Accounts));
        Self { friends, accounts, remains, losses: Losses::default() }
    }

    pub(super) fn into_losses(self) -> Losses {
        self.losses
    }

    /// The row that restores a line.
    pub(super) fn row(&mut self, line: BackupLine) -> RestoredRow {
        match line {
            BackupLine::Friend { from, to, fields, .. } => {
                let mut object = Map::from_iter([("From_Account".to_owned(), from.into())]);
                object.insert("To_Account".to_owned(), to.into());
                self.add_fields(&mut object, self.friends, OF_FRIENDS, fields);
                RestoredRow { job: RestoreJob::Friends, object }
            }
            BackupLine::Profile { account, fields, .. } => {
                let mut object = Map::from_iter([("UserID".to_owned(), account.into())]);
                self.add_fields(&mut object, self.accounts, OF_PROFILES, fields);
                RestoredRow { job: RestoreJob::Accounts, object }
            }
        }
    }

    fn add_fields(
        &mut self,
        object: &mut Map<String, Value>,
        operation: &'static Operation,
        renamed: &[Renamed],
        fields: ShownFields,
    ) {
        let family = &operation.shape.fields;
        for (tag, value) in fields.into_iter().filter(|(_, value)| !value.is_null()) {
            let new_name = renamed.iter().find(|(known, name)| *known == tag && family.field(name).is_some());
            let name = new_name.map_or(tag.as_str(), |(_, name)| name);
            if can_be_set(operation, name, &value) {
                object.insert(name.to_owned(), value);
            } else if self.remains == Remains::Nothing || family.field(name).is_some() {
                *self.losses.fields.entry(tag).or_default() += 1;
            }
        }
        match (self.remains, family.required) {
            (Remains::Item, _) => family.fields.iter().for_each(|field| clear_if_missing(object, field)),
            (Remains::Nothing, FieldsRequired::Named(name)) if !object.contains_key(name) => {
                object.insert(name.to_owned(), json!(DEFAULT_SOURCE));
                self.losses.default_sources += 1;
            }
            (Remains::Nothing, FieldsRequired::Named(_) | FieldsRequired::One | FieldsRequired::None) => {}
        }
    }
}

/// Whether the operation can set a field to this value.
fn can_be_set(operation: &Operation, name: &str, value: &Value) -> bool {
    !value.is_f64()
        && FieldValue::deserialize(value).is_ok_and(|value| operation.shape.fields.check(name, &value).is_ok())
}

/// A field that was never set is empty after the restore, since the run may have set it.
fn clear_if_missing(object: &mut Map<String, Value>, field: &Field) {
    if let FieldName::Exact(name) = field.name
        && !object.contains_key(name)
    {
        let empty = match field.kind {
            FieldKind::Text { .. } => json!(""),
            FieldKind::Groups { .. } => json!([]),
            FieldKind::OneOf(_)
            | FieldKind::Prefixed { .. }
            | FieldKind::Integer { .. }
            | FieldKind::TextOrInteger { .. } => {
                return;
            }
        };
        object.insert(name.to_owned(), empty);
    }
}

/// Which line of each friend and account is restored. Of the lines that no earlier call of the run can have changed, it
/// is the last one, because a backup that is read again after a wait shows what users have changed in between. If there
/// is none, it is the first line.
#[derive(Debug, Default)]
pub(super) struct ChosenLines {
    /// The number of the line that is chosen so far.
    chosen: HashMap<[u8; 16], u64>,
    read: u64,
}

impl ChosenLines {
    /// Takes the next line.
    pub(super) fn add(&mut self, line: &BackupLine) {
        let (from, to, unchanged) = match line {
            BackupLine::Friend { from, to, unchanged, .. } => (from.as_str(), to.as_str(), *unchanged),
            BackupLine::Profile { account, unchanged, .. } => ("", account.as_str(), *unchanged),
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&from.len().to_le_bytes()).update(from.as_bytes()).update(to.as_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        let chosen = self.chosen.entry(key).or_insert(self.read);
        if unchanged {
            *chosen = self.read;
        }
        self.read += 1;
    }

    /// The numbers of the chosen lines, from 0, in ascending order.
    pub(super) fn into_numbers(self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.chosen.into_values().collect();
        numbers.sort_unstable();
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation;

    fn rows(operation: &str) -> RestoredRows {
        RestoredRows::of(operation::by_name(operation).unwrap())
    }

    fn friend(fields: Value) -> BackupLine {
        let Value::Object(fields) = fields else { panic!("an object") };
        let fields = fields.into_iter().collect();
        BackupLine::Friend { from: "a".to_owned(), to: "b".to_owned(), fields, unchanged: false }
    }

    fn profile(fields: Value) -> BackupLine {
        let Value::Object(fields) = fields else { panic!("an object") };
        BackupLine::Profile { account: "a".to_owned(), fields: fields.into_iter().collect(), unchanged: false }
    }

    #[test]
    fn a_deleted_friend_is_imported_with_every_field_that_can_be_set() {
        let mut rows = rows("friend_delete");
        let row = rows.row(friend(json!({
            "Tag_SNS_IM_Remark": "Bo", "Tag_SNS_IM_Group": ["Work", "Chess"],
            "Tag_SNS_IM_AddSource": "AddSource_Type_Web",
            "Tag_SNS_IM_AddWording": "hi\nthere", "Tag_SNS_IM_AddTime": 1_600_000_000, "Tag_SNS_Custom_Level": 3,
            "Tag_SNS_Custom_Note": "x", "Tag_SNS_IM_New": "y", "Tag_SNS_Custom_Odd": 1.5, "Tag_SNS_Custom_Gone": null,
        })));
        let expected = json!({
            "From_Account": "a", "To_Account": "b", "Remark": "Bo", "GroupName": ["Work", "Chess"],
            "AddSource": "AddSource_Type_Web", "AddWording": "hi\nthere", "AddTime": 1_600_000_000,
            "Tag_SNS_Custom_Level": 3, "Tag_SNS_Custom_Note": "x",
        });
        assert_eq!((row.job, Value::Object(row.object)), (RestoreJob::Friends, expected));
        let lost = ["Tag_SNS_Custom_Odd", "Tag_SNS_IM_New"].map(|tag| (tag.to_owned(), 1));
        assert_eq!(rows.into_losses(), Losses { fields: BTreeMap::from(lost), default_sources: 0 });
    }

    #[test]
    fn a_friend_without_a_source_gets_one_because_the_api_requires_it() {
        let mut rows = rows("friend_delete_all");
        for (fields, lost) in [(json!({}), 0), (json!({"Tag_SNS_IM_AddSource": "Web"}), 1)] {
            let row = rows.row(friend(fields));
            assert_eq!(row.object["AddSource"], DEFAULT_SOURCE);
            assert_eq!(rows.losses.fields.len(), lost);
        }
        assert_eq!(rows.into_losses().default_sources, 2);
        let source = FieldValue::Text(DEFAULT_SOURCE.into());
        let family = &operation::by_name("friend_import").unwrap().shape.fields;
        assert_eq!(family.check("AddSource", &source), Ok(()));
    }

    #[test]
    fn a_friend_that_was_updated_gets_its_former_fields_and_loses_new_ones() {
        let mut rows = rows("friend_update");
        let row = rows.row(friend(json!({"Tag_SNS_IM_Group": ["Work"], "Tag_SNS_IM_AddTime": 7})));
        let expected = json!({
            "From_Account": "a", "To_Account": "b", "Tag_SNS_IM_Remark": "", "Tag_SNS_IM_Group": ["Work"],
        });
        assert_eq!(Value::Object(row.object), expected);
        assert_eq!(rows.into_losses(), Losses::default(), "the update did not touch the other fields");
    }

    #[test]
    fn a_deleted_account_gets_its_nickname_and_picture_back_and_no_more() {
        let fields =
            json!({"Tag_Profile_IM_Nick": "Ada", "Tag_Profile_IM_Image": "https://x", "Tag_Profile_IM_Level": 3});
        let mut deleted = rows("account_delete");
        let row = deleted.row(profile(fields));
        let expected = json!({"UserID": "a", "Nick": "Ada", "FaceUrl": "https://x"});
        assert_eq!((row.job, Value::Object(row.object)), (RestoreJob::Accounts, expected));
        assert_eq!(deleted.into_losses().fields["Tag_Profile_IM_Level"], 1);
        let row = rows("account_import").row(profile(json!({})));
        assert_eq!(Value::Object(row.object), json!({"UserID": "a", "Nick": "", "FaceUrl": ""}));
    }

    /// The numbers of the lines that are restored, of friends with these names and this mark.
    fn chosen(lines: &[(&str, &str, bool)]) -> Vec<u64> {
        let mut chosen = ChosenLines::default();
        for (from, to, unchanged) in lines {
            let (from, to, fields) = ((*from).to_owned(), (*to).to_owned(), ShownFields::new());
            chosen.add(&BackupLine::Friend { from, to, fields, unchanged: *unchanged });
        }
        chosen.into_numbers()
    }

    #[test]
    fn every_friendship_is_restored_once() {
        let lines = [("a", "bc", true), ("ab", "c", true), ("bc", "a", true), ("a", "bc", false)];
        assert_eq!(chosen(&lines), [0, 1, 2]);
        let mut both = ChosenLines::default();
        both.add(&profile(json!({})));
        both.add(&friend(json!({})));
        assert_eq!(both.into_numbers(), [0, 1]);
    }

    #[test]
    fn the_last_line_before_a_change_is_restored_or_the_first_one() {
        let of = |marks: &[bool]| chosen(&marks.iter().map(|mark| ("a", "b", *mark)).collect::<Vec<_>>());
        assert_eq!(of(&[true, true, true]), [2], "it was read again after a wait");
        assert_eq!(of(&[true, true, false, false]), [1], "a change may have had an effect before the third one");
        assert_eq!(of(&[false, false]), [0], "nothing is known of them");
    }
}

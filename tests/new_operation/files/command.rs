//! Page `portrait_set`: fields of the profile of one user.

use super::{Access, AnswerForm, Definition};
use crate::json::Json;
use crate::refusal::Refusal;
use crate::request::{FieldValue, Item, ParsedRequest, TagFault, account, tags, text};
use crate::world::{Extent, World};

/// Bytes of a text (limits of the service).
const MAX_TEXT: usize = 500;
const GENDERS: [&str; 3] = ["Gender_Type_Unknown", "Gender_Type_Female", "Gender_Type_Male"];

pub(super) const COMMAND: Definition = Definition {
    path: "/v4/profile/portrait_set",
    calls_per_second: 200,
    parse,
    written_accounts: |_, request| request.items.iter().map(|item| item.account.key).collect(),
    access: Access::Write(write),
    answer: AnswerForm::Whole,
    error_display: true,
};

fn parse(fields: &Json<'_>) -> Result<ParsedRequest, Refusal> {
    let user = account(fields.get("From_Account"), || invalid("From_Account"))?;
    let fields = tags(fields, "ProfileItem", value, invalid)?;
    Ok(ParsedRequest { owner: None, items: vec![Item { fields, ..Item::of_account(user) }], both_sides: false })
}

fn value(tag: &str, value: &Json<'_>) -> Result<FieldValue, TagFault> {
    let value = match tag {
        "Tag_Profile_IM_Gender" => {
            text(value, 1, MAX_TEXT).filter(|gender| GENDERS.contains(&gender.as_str())).map(FieldValue::Text)
        }
        "Tag_Profile_IM_BirthDay" => match value {
            Json::Number(day) => Some(FieldValue::Number(*day)),
            _ => None,
        },
        nick if nick == "Tag_Profile_IM_Nick" || nick.starts_with("Tag_Profile_Custom_") => {
            text(value, 0, MAX_TEXT).map(FieldValue::Text)
        }
        _ => return Err(TagFault::Unknown),
    };
    value.ok_or(TagFault::WrongValue)
}

fn write(world: &mut World, _: &ParsedRequest, item: &Item, extent: Extent) -> Result<(), Refusal> {
    if !world.exists(item.account.key) {
        return Err(Refusal::with(40003, "Err_Profile_Account_Not_Exist"));
    }
    let written = if extent == Extent::Full { item.fields.len() } else { 1 };
    world.set_fields(item.key, item.fields.iter().take(written));
    let record = world.record(item.key);
    record.data_left = extent == Extent::Half;
    record.write();
    Ok(())
}

fn invalid(field: &str) -> Refusal {
    Refusal::with(40001, format!("invalid parameter: {field}"))
}

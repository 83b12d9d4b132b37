//! `portrait_set`: sets fields of the profiles of accounts (page portrait_set).

use super::{
    AlreadyDone, AnswerShape, Field, FieldFamily, FieldKind, FieldsRequired, InputShape, ItemPlace, ItemsBefore,
    Operation, ProtectedList,
};
use crate::domain::language::Translated;
use crate::domain::request::AccountKeys;

pub(crate) static OPERATION: Operation = Operation {
    name: "portrait_set",
    path: "v4/profile/portrait_set",
    items_per_request: 1,
    calls_per_second: 200,
    shape: InputShape {
        from: None,
        account: "From_Account",
        items: ItemPlace::Body,
        fields: FieldFamily {
            fields: &[
                Field::exact("Tag_Profile_IM_Nick", FieldKind::Text { max_bytes: 500 }),
                Field::exact(
                    "Tag_Profile_IM_Gender",
                    FieldKind::OneOf(&["Gender_Type_Unknown", "Gender_Type_Female", "Gender_Type_Male"]),
                ),
                Field::exact("Tag_Profile_IM_BirthDay", FieldKind::Integer { max: 4_294_967_295 }),
                Field::custom("Tag_Profile_Custom_", 8, FieldKind::TextOrInteger { max_bytes: 500 }),
            ],
            tag_list: Some("ProfileItem"),
            required: FieldsRequired::One,
        },
    },
    options: &[],
    effect: Translated::new("profiles changed", "已修改资料"),
    protected_list: ProtectedList::Optional,
    items_before: ItemsBefore::Exist,
    writes: |_, request| AccountKeys::of(request.items.iter().map(|item| &item.account)),
    answer: AnswerShape::Whole,
    already_done: AlreadyDone::NEVER,
    lookup: None,
    online_check: false,
    backup: None,
};

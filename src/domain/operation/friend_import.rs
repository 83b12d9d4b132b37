//! `friend_import`: puts friends on the list of one account, with their remarks, groups and custom fields (page
//! friend_import). The list of the friend stays as it is.

use super::{
    ALREADY_A_FRIEND, AlreadyDone, AlreadyDoneCode, AnswerShape, BackupSource, Field, FieldFamily, FieldKind,
    FieldsRequired, InputShape, ItemPlace, ItemsBefore, LookupKind, Operation, Proof, ProtectedList,
};
use crate::domain::language::Translated;
use crate::domain::request::AccountKeys;

pub(crate) static OPERATION: Operation = Operation {
    name: "friend_import",
    path: "v4/sns/friend_import",
    items_per_request: 1000,
    calls_per_second: 200,
    shape: InputShape {
        from: Some("From_Account"),
        account: "To_Account",
        items: ItemPlace::Objects { list: "AddFriendItem" },
        fields: FieldFamily {
            // Lengths as for friend_update. `RemarkTime` of the page is not among them: no call returns it.
            fields: &[
                Field::exact("AddSource", FieldKind::Prefixed { prefix: "AddSource_Type_", max_letters: 8 })
                    .shown_as("Tag_SNS_IM_AddSource"),
                Field::exact("Remark", FieldKind::Text { max_bytes: 96 }).shown_as("Tag_SNS_IM_Remark"),
                Field::exact("GroupName", FieldKind::Groups { max_bytes: 30 }).shown_as("Tag_SNS_IM_Group"),
                Field::exact("AddWording", FieldKind::Text { max_bytes: 256 }).shown_as("Tag_SNS_IM_AddWording"),
                // Seconds since 1970. The limit refuses milliseconds.
                Field::exact("AddTime", FieldKind::Integer { max: 4_294_967_295 }).shown_as("Tag_SNS_IM_AddTime"),
                Field::custom("Tag_SNS_Custom_", 8, FieldKind::TextOrInteger { max_bytes: 500 }),
            ],
            tag_list: Some("CustomItem"),
            required: FieldsRequired::Named("AddSource"),
        },
    },
    options: &[],
    effect: Translated::new("friends imported", "已导入好友"),
    protected_list: ProtectedList::Optional,
    items_before: ItemsBefore::Missing,
    writes: |_, request| AccountKeys::of(&request.from),
    answer: AnswerShape::Items { key: "To_Account" },
    already_done: AlreadyDone {
        codes: &[AlreadyDoneCode { code: 30001, info: ALREADY_A_FRIEND }, AlreadyDoneCode { code: 30015, info: &[] }],
        proof: |_| Proof::Partial { unproved: "this says nothing of the fields of the friend" },
        proves_after_data_left: false,
    },
    lookup: Some(LookupKind::FriendFields),
    online_check: false,
    backup: Some(BackupSource::Friends),
};

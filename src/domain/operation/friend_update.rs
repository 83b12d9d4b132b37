//! `friend_update`: sets remark, groups and custom fields of friends (page friend_update).

use super::{
    AlreadyDone, AnswerShape, BackupSource, Field, FieldFamily, FieldKind, FieldsRequired, InputShape, ItemPlace,
    ItemsBefore, LookupKind, Operation, ProtectedList,
};
use crate::domain::language::Translated;
use crate::domain::request::AccountKeys;

pub(crate) static OPERATION: Operation = Operation {
    name: "friend_update",
    path: "v4/sns/friend_update",
    items_per_request: 1000,
    calls_per_second: 200,
    shape: InputShape {
        from: Some("From_Account"),
        account: "To_Account",
        items: ItemPlace::Objects { list: "UpdateItem" },
        fields: FieldFamily {
            // Lengths from the pages on relationship chains and limits, which count bytes where they are exact.
            fields: &[
                Field::exact("Tag_SNS_IM_Remark", FieldKind::Text { max_bytes: 96 }),
                Field::exact("Tag_SNS_IM_Group", FieldKind::Groups { max_bytes: 30 }),
                Field::custom("Tag_SNS_Custom_", 8, FieldKind::TextOrInteger { max_bytes: 500 }),
            ],
            tag_list: Some("SnsItem"),
            required: FieldsRequired::One,
        },
    },
    options: &[],
    effect: Translated::new("friends updated", "已更新好友"),
    protected_list: ProtectedList::Optional,
    items_before: ItemsBefore::Exist,
    writes: |_, request| AccountKeys::of(&request.from),
    answer: AnswerShape::Items { key: "To_Account" },
    already_done: AlreadyDone::NEVER,
    lookup: Some(LookupKind::FriendFields),
    online_check: false,
    backup: Some(BackupSource::Friends),
};

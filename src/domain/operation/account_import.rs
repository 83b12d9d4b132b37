//! `account_import`: creates accounts with nickname and picture (page multiaccount_import). If an account exists
//! already, the call sets its nickname and picture.

use super::{
    AlreadyDone, AnswerShape, BackupSource, Field, FieldFamily, FieldKind, FieldsRequired, InputShape, ItemPlace,
    ItemsBefore, LookupKind, Operation, ProtectedList,
};
use crate::domain::language::Translated;
use crate::domain::request::AccountKeys;

pub(crate) static OPERATION: Operation = Operation {
    name: "account_import",
    path: "v4/im_open_login_svc/multiaccount_import",
    items_per_request: 100,
    calls_per_second: 100,
    shape: InputShape {
        from: None,
        account: "UserID",
        // Pages before 2024 have `Accounts` instead, a list of ids without fields.
        items: ItemPlace::Objects { list: "AccountList" },
        fields: FieldFamily {
            fields: &[
                Field::exact("Nick", FieldKind::Text { max_bytes: 500 }).shown_as("Tag_Profile_IM_Nick"),
                Field::exact("FaceUrl", FieldKind::Text { max_bytes: 500 }).shown_as("Tag_Profile_IM_Image"),
            ],
            tag_list: None,
            required: FieldsRequired::None,
        },
    },
    options: &[],
    effect: Translated::new("accounts imported", "已导入账号"),
    protected_list: ProtectedList::Optional,
    items_before: ItemsBefore::Missing,
    writes: |_, request| AccountKeys::of(request.items.iter().map(|item| &item.account)),
    answer: AnswerShape::Failures,
    already_done: AlreadyDone::NEVER,
    lookup: Some(LookupKind::Profiles),
    online_check: false,
    backup: Some(BackupSource::Profiles),
};

//! `account_delete`: deletes accounts with all that belongs to them (page account_delete).

use super::{
    AlreadyDone, AlreadyDoneCode, AnswerShape, BackupSource, FieldFamily, InputShape, ItemPlace, ItemsBefore,
    LookupKind, Operation, Proof, ProtectedList,
};
use crate::domain::language::Translated;
use crate::domain::request::AccountKeys;

pub(crate) static OPERATION: Operation = Operation {
    name: "account_delete",
    path: "v4/im_open_login_svc/account_delete",
    items_per_request: 100,
    // 100 a second for this command (limits page; 200 for most others).
    calls_per_second: 100,
    shape: InputShape {
        from: None,
        account: "UserID",
        items: ItemPlace::Objects { list: "DeleteItem" },
        fields: FieldFamily::NONE,
    },
    options: &[],
    effect: Translated::new("accounts deleted", "已删除账号"),
    protected_list: ProtectedList::Required,
    items_before: ItemsBefore::Exist,
    writes: |_, request| AccountKeys::of(request.items.iter().map(|item| &item.account)),
    answer: AnswerShape::Items { key: "UserID" },
    already_done: AlreadyDone {
        // The account does not exist.
        codes: &[AlreadyDoneCode { code: 70107, info: &[] }],
        proof: |_| Proof::Complete,
        // The account is gone; data of it may remain.
        proves_after_data_left: true,
    },
    lookup: Some(LookupKind::Accounts),
    online_check: true,
    backup: Some(BackupSource::Profiles),
};

//! `friend_delete_all`: empties the friend list of one account (page friend_delete_all).

use super::friend_delete::{DELETE_TYPE, FRIENDS_LIST};
use super::{
    AlreadyDone, AlreadyDoneCode, AnswerShape, BackupSource, FieldFamily, InputShape, ItemPlace, ItemsBefore,
    JobOption, LookupKind, Operation, Proof, ProtectedList,
};
use crate::domain::language::Translated;
use crate::domain::request::AccountKeys;

pub(crate) static OPERATION: Operation = Operation {
    name: "friend_delete_all",
    path: "v4/sns/friend_delete_all",
    items_per_request: 1,
    calls_per_second: 200,
    shape: InputShape { from: None, account: "From_Account", items: ItemPlace::Body, fields: FieldFamily::NONE },
    // "One-way deletion is the default mode", says the page.
    options: &[JobOption { default: Some("single"), ..DELETE_TYPE }],
    effect: Translated::new("friend lists emptied", "已清空好友列表"),
    protected_list: ProtectedList::Required,
    items_before: ItemsBefore::Exist,
    // Both ways it writes every friend, too. Only the server knows who they are, so other calls to them cannot be held
    // back (docs/decisions/0003).
    writes: |_, request| AccountKeys::of(request.items.iter().map(|item| &item.account)),
    answer: AnswerShape::Whole,
    already_done: AlreadyDone {
        // From_Account does not exist, so it has no friends.
        codes: &[AlreadyDoneCode { code: 30003, info: &[] }],
        proof: |operation| {
            if operation.deletes_both_sides() {
                Proof::CompleteAtFirst { unproved: FRIENDS_LIST }
            } else {
                Proof::Complete
            }
        },
        proves_after_data_left: false,
    },
    lookup: Some(LookupKind::FriendList),
    online_check: false,
    backup: Some(BackupSource::Friends),
};

//! `friend_delete`: removes friends of one account (page friend_delete).

use super::{
    AlreadyDone, AlreadyDoneCode, AnswerShape, BackupSource, FieldFamily, InputShape, ItemPlace, ItemsBefore,
    JobOption, LookupKind, NOT_A_FRIEND, Operation, OptionValue, Proof, ProtectedList, bound,
};
use crate::domain::language::Translated;
use crate::domain::request::AccountKeys;

pub(crate) static OPERATION: Operation = Operation {
    name: "friend_delete",
    path: "v4/sns/friend_delete",
    items_per_request: 1000,
    // The current page says 200 per second, the oldest version of it 100.
    calls_per_second: 200,
    shape: InputShape {
        from: Some("From_Account"),
        account: "To_Account",
        items: ItemPlace::Ids,
        fields: FieldFamily::NONE,
    },
    // No page says what the API does without it, so the job must.
    options: &[JobOption { default: None, ..DELETE_TYPE }],
    effect: Translated::new("friendships deleted", "已删除好友关系"),
    protected_list: ProtectedList::Optional,
    items_before: ItemsBefore::Exist,
    writes: |operation, request| {
        let friends = request.items.iter().filter(|_| operation.deletes_both_sides()).map(|item| &item.account);
        AccountKeys::of(request.from.iter().chain(friends))
    },
    answer: AnswerShape::Items { key: "To_Account" },
    already_done: AlreadyDone {
        codes: &[AlreadyDoneCode { code: 30001, info: NOT_A_FRIEND }, AlreadyDoneCode { code: 31704, info: &[] }],
        // The answer speaks of the list of From_Account alone.
        proof: |operation| {
            if operation.deletes_both_sides() { Proof::Partial { unproved: FRIENDS_LIST } } else { Proof::Complete }
        },
        proves_after_data_left: false,
    },
    lookup: Some(LookupKind::Friends),
    online_check: false,
    backup: Some(BackupSource::Friends),
};

/// Which side of a friendship a delete removes.
pub(super) const DELETE_TYPE: JobOption = JobOption {
    name: bound::DELETE_TYPE,
    field: "DeleteType",
    values: &[
        OptionValue { name: "single", api: "Delete_Type_Single", effect: "From_Account no longer has the friend" },
        OptionValue { name: bound::BOTH_SIDES, api: "Delete_Type_Both", effect: "neither has the other" },
    ],
    default: None,
};

/// What an "already done" answer does not prove if both sides are deleted.
pub(super) const FRIENDS_LIST: &str = "this says nothing of the friend's own list";

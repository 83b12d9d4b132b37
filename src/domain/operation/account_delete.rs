//! `account_delete`: deletes accounts with all that belongs to them (page account_delete).

use super::{BodyShape, DeleteType, DeleteTypeRule, Operation, Shape, TagColumns};
use crate::domain::request::{Keys, Request};

/// Deletes up to 100 accounts a call. It writes each of them.
#[derive(Debug)]
pub(super) struct AccountDelete;

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    delete_item: Vec<DeleteItem<'a>>,
}

#[derive(serde::Serialize)]
struct DeleteItem<'a> {
    #[serde(rename = "UserID")]
    user_id: &'a str,
}

impl Operation for AccountDelete {
    fn name(&self) -> &'static str {
        "account_delete"
    }

    fn path(&self) -> &'static str {
        "v4/im_open_login_svc/account_delete"
    }

    fn items_per_request(&self) -> usize {
        100
    }

    /// 100 a second for this command (limits page; 200 for most others).
    fn calls_per_second(&self) -> u32 {
        100
    }

    fn shape(&self) -> Shape {
        Shape { from: None, account: "UserID", body: BodyShape::Objects { list: "DeleteItem" }, tags: TagColumns::None }
    }

    fn delete_type(&self) -> DeleteTypeRule {
        DeleteTypeRule::NotTaken
    }

    fn needs_protected_list(&self) -> bool {
        true
    }

    fn keys(&self, request: &Request, _: DeleteType) -> Keys {
        Keys::of(request.items.iter().map(|item| &item.account))
    }

    fn body(&self, request: &Request, _: DeleteType) -> Vec<u8> {
        let delete_item = request.items.iter().map(|item| DeleteItem { user_id: item.account.as_str() });
        super::to_json(request.items.len(), &Body { delete_item: delete_item.collect() })
    }

    fn answer_key(&self) -> Option<&'static str> {
        Some("UserID")
    }
}

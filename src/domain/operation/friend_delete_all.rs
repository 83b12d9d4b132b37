//! `friend_delete_all`: empties the friend list of one account (page friend_delete_all).

use super::{BodyShape, DeleteType, DeleteTypeRule, Operation, Shape, TagColumns};
use crate::domain::request::{Keys, Request};

/// Empties one friend list a call. It writes the account and, both ways, every friend, too; who they are only the
/// server knows, so they can't be kept free of other calls (docs/decisions/0003).
#[derive(Debug)]
pub(super) struct FriendDeleteAll;

#[derive(serde::Serialize)]
struct Body<'a> {
    #[serde(rename = "From_Account")]
    from_account: &'a str,
    #[serde(rename = "DeleteType")]
    delete_type: &'static str,
}

impl Operation for FriendDeleteAll {
    fn name(&self) -> &'static str {
        "friend_delete_all"
    }

    fn path(&self) -> &'static str {
        "v4/sns/friend_delete_all"
    }

    fn items_per_request(&self) -> usize {
        1
    }

    fn calls_per_second(&self) -> u32 {
        200
    }

    fn shape(&self) -> Shape {
        Shape { from: None, account: "From_Account", body: BodyShape::Single, tags: TagColumns::None }
    }

    /// "One-way deletion is the default mode", says the page.
    fn delete_type(&self) -> DeleteTypeRule {
        DeleteTypeRule::DefaultSingle
    }

    fn needs_protected_list(&self) -> bool {
        true
    }

    fn keys(&self, request: &Request, _: DeleteType) -> Keys {
        Keys::of(request.items.iter().map(|item| &item.account))
    }

    fn body(&self, request: &Request, delete_type: DeleteType) -> Vec<u8> {
        super::to_json(
            request.items.len(),
            &Body {
                from_account: request.items.first().map_or("", |item| item.account.as_str()),
                delete_type: delete_type.api_name(),
            },
        )
    }

    fn answer_key(&self) -> Option<&'static str> {
        None
    }
}

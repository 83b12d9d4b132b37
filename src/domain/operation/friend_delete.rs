//! `friend_delete`: removes friends of one account (page friend_delete).

use super::{BodyShape, DeleteType, DeleteTypeRule, Operation, Shape, TagColumns};
use crate::domain::request::{Keys, Request};

/// Removes up to 1000 friends of one account a call. It writes the account and, both ways, every friend.
#[derive(Debug)]
pub(super) struct FriendDelete;

#[derive(serde::Serialize)]
struct Body<'a> {
    #[serde(rename = "From_Account")]
    from_account: &'a str,
    #[serde(rename = "To_Account")]
    to_account: Vec<&'a str>,
    #[serde(rename = "DeleteType")]
    delete_type: &'static str,
}

impl Operation for FriendDelete {
    fn name(&self) -> &'static str {
        "friend_delete"
    }

    fn path(&self) -> &'static str {
        "v4/sns/friend_delete"
    }

    fn items_per_request(&self) -> usize {
        1000
    }

    /// 200 a second today; the oldest page still said 100.
    fn calls_per_second(&self) -> u32 {
        200
    }

    fn shape(&self) -> Shape {
        Shape { from: Some("From_Account"), account: "To_Account", body: BodyShape::Ids, tags: TagColumns::None }
    }

    /// No page says what the API does without it, so the job must.
    fn delete_type(&self) -> DeleteTypeRule {
        DeleteTypeRule::Required
    }

    fn keys(&self, request: &Request, delete_type: DeleteType) -> Keys {
        match delete_type {
            DeleteType::Single => Keys::of(&request.from),
            DeleteType::Both => Keys::of(request.from.iter().chain(request.items.iter().map(|item| &item.account))),
        }
    }

    fn body(&self, request: &Request, delete_type: DeleteType) -> Vec<u8> {
        super::to_json(
            request.items.len(),
            &Body {
                from_account: super::from_of(request),
                to_account: request.items.iter().map(|item| item.account.as_str()).collect(),
                delete_type: delete_type.api_name(),
            },
        )
    }

    fn answer_key(&self) -> Option<&'static str> {
        Some("To_Account")
    }
}

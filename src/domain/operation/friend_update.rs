//! `friend_update`: sets remark, groups and custom fields of friends (page friend_update).

use super::{BodyShape, DeleteType, DeleteTypeRule, Operation, Shape, TagColumns};
use crate::domain::request::{Item, Keys, Request};
use crate::domain::row::Value;

/// Updates up to 1000 friends of one account a call. It writes the account.
#[derive(Debug)]
pub(super) struct FriendUpdate;

#[derive(serde::Serialize)]
struct Body<'a> {
    #[serde(rename = "From_Account")]
    from_account: &'a str,
    #[serde(rename = "UpdateItem")]
    update_item: Vec<UpdateItem<'a>>,
}

#[derive(serde::Serialize)]
struct UpdateItem<'a> {
    #[serde(rename = "To_Account")]
    to_account: &'a str,
    #[serde(rename = "SnsItem")]
    sns_item: Vec<SnsItem>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct SnsItem {
    tag: Box<str>,
    value: Value,
}

impl<'a> From<&'a Item> for UpdateItem<'a> {
    fn from(item: &'a Item) -> Self {
        let sns_item = item.merged_tags().into_iter().map(|(tag, value)| SnsItem { tag, value });
        Self { to_account: item.account.as_str(), sns_item: sns_item.collect() }
    }
}

impl Operation for FriendUpdate {
    fn name(&self) -> &'static str {
        "friend_update"
    }

    fn path(&self) -> &'static str {
        "v4/sns/friend_update"
    }

    fn items_per_request(&self) -> usize {
        1000
    }

    fn calls_per_second(&self) -> u32 {
        200
    }

    fn shape(&self) -> Shape {
        Shape {
            from: Some("From_Account"),
            account: "To_Account",
            body: BodyShape::Updates { list: "UpdateItem" },
            tags: TagColumns::Some,
        }
    }

    fn delete_type(&self) -> DeleteTypeRule {
        DeleteTypeRule::NotTaken
    }

    fn keys(&self, request: &Request, _: DeleteType) -> Keys {
        Keys::of(&request.from)
    }

    fn body(&self, request: &Request, _: DeleteType) -> Vec<u8> {
        super::to_json(
            request.items.len(),
            &Body {
                from_account: super::from_of(request),
                update_item: request.items.iter().map(UpdateItem::from).collect(),
            },
        )
    }

    fn answer_key(&self) -> Option<&'static str> {
        Some("To_Account")
    }
}

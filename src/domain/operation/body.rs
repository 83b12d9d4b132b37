//! The body of a call, from the operation's data: owner, items with their fields, options.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{BoundOperation, Field, InputShape, ItemPlace};
use crate::domain::request::row::{FieldValue, FieldValues};
use crate::domain::request::{Item, Request};

/// About how many bytes an item with a usual id takes in a body, so that the buffer is rarely reallocated.
const ITEM_BYTES: usize = 32;

impl BoundOperation {
    /// The body of the call.
    pub fn body(self, request: &Request) -> Vec<u8> {
        let mut json = Vec::with_capacity((request.items.len() + 4) * ITEM_BYTES);
        // Strings, numbers and lists with string keys: serialising can't fail.
        serde_json::to_writer(&mut json, &RequestBody { operation: self, request })
            .map_or_else(|_| Vec::new(), |()| json)
    }
}

struct RequestBody<'a> {
    operation: BoundOperation,
    request: &'a Request,
}

impl Serialize for RequestBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (shape, items) = (&self.operation.shape, self.request.items.as_slice());
        let mut body = serializer.serialize_map(None)?;
        if let Some((column, from)) = shape.from.zip(self.request.from.as_ref()) {
            body.serialize_entry(column, from.as_str())?;
        }
        match shape.items {
            ItemPlace::Body => items.iter().try_for_each(|item| write_item(&mut body, shape, item))?,
            ItemPlace::Ids => body.serialize_entry(shape.account, &ItemIds(items))?,
            ItemPlace::Objects { list } => body.serialize_entry(list, &ItemObjects { shape, items })?,
        }
        for (option, value) in self.operation.options() {
            body.serialize_entry(option.field, value.api)?;
        }
        body.end()
    }
}

/// The id of an item, its plain fields, and its list of tags.
fn write_item<M: SerializeMap>(map: &mut M, shape: &InputShape, item: &Item) -> Result<(), M::Error> {
    map.serialize_entry(shape.account, item.account.as_str())?;
    if shape.fields.is_empty() {
        return Ok(());
    }
    let (tags, plain): (FieldValues, FieldValues) =
        item.merged_fields().into_iter().partition(|(name, _)| Field::is_tag(name));
    for (name, value) in &plain {
        map.serialize_entry(&**name, value)?;
    }
    match shape.fields.tag_list {
        Some(list) if !tags.is_empty() => map.serialize_entry(list, &TagList(&tags)),
        Some(_) | None => Ok(()),
    }
}

struct ItemIds<'a>(&'a [Item]);

impl Serialize for ItemIds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|item| item.account.as_str()))
    }
}

struct ItemObjects<'a> {
    shape: &'a InputShape,
    items: &'a [Item],
}

impl Serialize for ItemObjects<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.items.len()))?;
        for item in self.items {
            list.serialize_element(&ItemObject { shape: self.shape, item })?;
        }
        list.end()
    }
}

struct ItemObject<'a> {
    shape: &'a InputShape,
    item: &'a Item,
}

impl Serialize for ItemObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        write_item(&mut object, self.shape, self.item)?;
        object.end()
    }
}

struct TagList<'a>(&'a FieldValues);

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagAndValue<'a> {
    tag: &'a str,
    value: &'a FieldValue,
}

impl Serialize for TagList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(tag, value)| TagAndValue { tag, value }))
    }
}

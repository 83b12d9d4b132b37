//! The fields of one JSON object that mean something, unparsed.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::operation::ItemPlace;
use crate::input::columns::{Columns, Meaning, NamePlace};
use crate::input::row::Fault;

/// A value as the line has it.
pub(super) type Raw<'l> = &'l RawValue;

/// The fields of a record, or of an item in its list. `null` counts as absent.
#[derive(Debug, Default)]
pub(super) struct Fields<'l> {
    pub(super) from: Option<Raw<'l>>,
    pub(super) account: Option<Raw<'l>>,
    /// The list of items, such as `DeleteItem`.
    pub(super) list: Option<Raw<'l>>,
    /// The list of `Tag` and `Value`, such as `SnsItem`.
    pub(super) tag_list: Option<Raw<'l>>,
    /// Fields by the API's name, as keys of the object.
    pub(super) values: Vec<(String, Raw<'l>)>,
    /// What is wrong with the object as such.
    pub(super) fault: Option<Fault>,
}

impl<'l> Fields<'l> {
    /// Reads `json`, an object. An error means that it is no JSON.
    pub(super) fn parse(json: &'l str, columns: &Columns<'_>) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let fields = FieldsVisitor(columns).deserialize(&mut reader)?;
        reader.end()?;
        Ok(fields)
    }

    fn set(&mut self, key: ObjectKey, name: &str, value: Raw<'l>) {
        let earlier = match key {
            ObjectKey::From => self.from.replace(value),
            ObjectKey::Account => self.account.replace(value),
            ObjectKey::List => self.list.replace(value),
            ObjectKey::TagList => self.tag_list.replace(value),
            ObjectKey::Field(field) => self.set_field(field, value),
            ObjectKey::Refused(fault) if value.get() != "null" => {
                self.fault.get_or_insert(fault);
                None
            }
            ObjectKey::Refused(_) | ObjectKey::Other => None,
        };
        if earlier.is_some() {
            let twice = Fault::new(format!("the object has the key `{name}` twice"));
            self.fault.get_or_insert(twice);
        }
    }

    fn set_field(&mut self, field: String, value: Raw<'l>) -> Option<Raw<'l>> {
        let earlier = self.values.iter().find(|(name, _)| *name == field).map(|(_, value)| *value);
        self.values.push((field, value));
        earlier
    }

    fn drop_nulls(&mut self) {
        for slot in [&mut self.from, &mut self.account, &mut self.list, &mut self.tag_list] {
            slot.take_if(|value| value.get() == "null");
        }
        self.values.retain(|(_, value)| value.get() != "null");
    }
}

/// What a key of the object means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ObjectKey {
    From,
    Account,
    List,
    TagList,
    Field(String),
    /// A key that must not be passed over in silence.
    Refused(Fault),
    Other,
}

impl ObjectKey {
    fn of(name: &str, columns: &Columns<'_>) -> Self {
        match columns.items {
            ItemPlace::Objects { list } if list == name => return Self::List,
            ItemPlace::Objects { .. } | ItemPlace::Body | ItemPlace::Ids => {}
        }
        if columns.fields.tag_list == Some(name) {
            return Self::TagList;
        }
        match columns.meaning(name) {
            Ok(Meaning::From) => Self::From,
            Ok(Meaning::Account) => Self::Account,
            Ok(Meaning::Field(field)) => Self::Field(field.to_owned()),
            Ok(Meaning::Own) => Self::Other,
            Err(misfit) => {
                let what = format!("`{name}` {misfit} ({})", misfit.hint(NamePlace::Key, name));
                Self::Refused(Fault::in_column(misfit.column(name), what))
            }
        }
    }
}

/// Reads a key without keeping its text.
struct KeyOf<'c>(&'c Columns<'c>);

impl<'de> DeserializeSeed<'de> for KeyOf<'_> {
    type Value = (ObjectKey, Cow<'de, str>);

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyOf<'_> {
    type Value = (ObjectKey, Cow<'de, str>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok((ObjectKey::of(name, self.0), Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((ObjectKey::of(name, self.0), Cow::Owned(name.to_owned())))
    }
}

struct FieldsVisitor<'c>(&'c Columns<'c>);

impl<'de> DeserializeSeed<'de> for FieldsVisitor<'_> {
    type Value = Fields<'de>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for FieldsVisitor<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some((key, name)) = map.next_key_seed(KeyOf(self.0))? {
            if key == ObjectKey::Other {
                map.next_value::<IgnoredAny>()?;
            } else {
                fields.set(key, &name, map.next_value()?);
            }
        }
        fields.drop_nulls();
        Ok(fields)
    }
}

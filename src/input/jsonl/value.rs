//! Raw JSON values: the first byte gives the type, and the value is read on demand.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};

use super::fields::Raw;

/// What kind of value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Number,
    List,
    Object,
    Boolean,
    Null,
}

impl Type {
    pub(super) fn of(raw: Raw<'_>) -> Self {
        match raw.get().as_bytes().first() {
            Some(b'"') => Self::Text,
            Some(b'[') => Self::List,
            Some(b'{') => Self::Object,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') | None => Self::Null,
            // What is left of JSON starts with a digit or a minus.
            Some(_) => Self::Number,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Boolean => "true or false",
            Self::Null => "null",
        }
    }
}

/// The text of a value that is text. None for other types, and for escapes that name no character.
pub(super) fn text(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if quoted.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(quoted))
}

/// Calls `each` with every element of a list; how many there were. Nothing is kept of them.
pub(super) fn for_each<'l>(list: Raw<'l>, each: impl FnMut(Raw<'l>)) -> usize {
    // A raw value has been parsed before: it can't fail now.
    serde_json::Deserializer::from_str(list.get()).deserialize_seq(Each(each)).unwrap_or_default()
}

struct Each<F>(F);

impl<'de, F: FnMut(Raw<'de>)> Visitor<'de> for Each<F> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(element) = list.next_element()? {
            (self.0)(element);
            count += 1;
        }
        Ok(count)
    }
}

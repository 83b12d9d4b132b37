//! The languages of explanations and reports. English and Chinese are side by side, so that neither is forgotten.
//!
//! Messages, help, logs and JSON are English: docs/decisions/0046-texts-in-two-languages.md.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// A language of texts for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

/// A text in every language. As JSON, it is the English text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translated<T = &'static str> {
    /// English.
    pub en: T,
    /// Simplified Chinese, with the words of docs/glossary.zh-CN.md.
    pub zh: T,
}

impl<T> Translated<T> {
    /// The text in both languages.
    pub const fn new(en: T, zh: T) -> Self {
        Self { en, zh }
    }

    /// The text in this language.
    pub fn of(self, language: Language) -> T {
        match language {
            Language::En => self.en,
            Language::Zh => self.zh,
        }
    }
}

impl Translated<String> {
    /// The texts, borrowed.
    pub fn as_str(&self) -> Translated<&str> {
        Translated::new(&self.en, &self.zh)
    }
}

impl<T: Serialize> Serialize for Translated<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.en.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Translated<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

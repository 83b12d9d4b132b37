//! What a message tells the user to do.
//!
//! Every error has one form: the place, the cause, and below them a hint, which names a command or key to type.

use std::borrow::Cow;
use std::fmt::Display;

/// An error that knows what the user can do about it.
pub trait Hint: Display {
    /// What to do: a command, a key, or what to check. Lower case, no period. None if the cause says enough.
    fn hint(&self) -> Option<Cow<'static, str>>;

    /// The message with its hint on the next line.
    fn with_hint(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self}\nhint: {hint}"),
            None => self.to_string(),
        }
    }
}

/// A message with its hint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{text}")]
pub struct Message {
    /// The place and the cause.
    pub text: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Message {
    /// A message without a hint.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None }
    }

    /// The message with this hint.
    #[must_use]
    pub fn add_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Hint for Message {
    fn hint(&self) -> Option<Cow<'static, str>> {
        self.hint.clone().map(Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_follows_on_a_line_of_its_own() {
        let message = Message::new("a.toml:3: `x` is missing");
        assert_eq!(message.with_hint(), "a.toml:3: `x` is missing");
        let message = message.add_hint("add `x`");
        assert_eq!(message.with_hint(), "a.toml:3: `x` is missing\nhint: add `x`");
    }
}

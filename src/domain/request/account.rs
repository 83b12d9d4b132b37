//! Accounts: what the API calls a `UserID`.

use std::fmt;

use arrayvec::ArrayString;

/// The longest `UserID` in bytes (limits page: "no more than 32 bytes").
pub const MAX_BYTES: usize = 32;

/// A `UserID` that may be sent: 1 to 32 bytes, no control characters, no space at either end.
///
/// The sources disagree about characters other than letters and digits. A character that at least one source allows is
/// allowed here. Ids are compared byte for byte, because the API distinguishes `a` from `A`. They are stored inline,
/// because a run creates many thousands of them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(ArrayString<MAX_BYTES>);

/// Why a text is no `UserID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserIdError {
    /// The id is empty.
    #[error("is empty")]
    Empty,
    /// More bytes than the API takes.
    #[error("has {0} bytes; the API allows at most {MAX_BYTES}")]
    TooLong(usize),
    /// A line break, tab, escape or other control character.
    #[error("contains the control character U+{0:04X}")]
    Control(u32),
    /// A space at the start or the end, most likely a mistake of the export.
    #[error("starts or ends with a space")]
    Padded,
}

impl UserId {
    /// The `UserID` with this text, if it follows the rules.
    pub fn new(text: &str) -> Result<Self, UserIdError> {
        Self::check(text)?;
        Ok(Self(ArrayString::from(text).map_err(|_| UserIdError::TooLong(text.len()))?))
    }

    /// Whether these bytes are an id of printable ASCII without blanks. Nearly every id is, and this is the quickest
    /// check.
    pub fn is_plain(bytes: &[u8]) -> bool {
        let graphic = bytes.iter().fold(true, |all, byte| all & byte.is_ascii_graphic());
        graphic && !bytes.is_empty() && bytes.len() <= MAX_BYTES
    }

    /// Only checks the rules, for readers that keep their own copy of the text.
    pub fn check(text: &str) -> Result<(), UserIdError> {
        let bytes = text.as_bytes();
        if Self::is_plain(bytes) {
            return Ok(());
        }
        if bytes.is_empty() {
            return Err(UserIdError::Empty);
        }
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            return Err(UserIdError::Control(control.into()));
        }
        if text.trim() != text {
            return Err(UserIdError::Padded);
        }
        if bytes.len() > MAX_BYTES {
            return Err(UserIdError::TooLong(bytes.len()));
        }
        Ok(())
    }

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_the_api_would_not_take_are_refused() {
        assert_eq!(UserId::check(""), Err(UserIdError::Empty));
        assert_eq!(UserId::check(&"x".repeat(33)), Err(UserIdError::TooLong(33)));
        assert_eq!(UserId::check("a\nb"), Err(UserIdError::Control(10)));
        assert_eq!(UserId::check("a\u{85}b"), Err(UserIdError::Control(0x85)));
        assert_eq!(UserId::check(" a"), Err(UserIdError::Padded));
        assert_eq!(UserId::check("a\u{3000}"), Err(UserIdError::Padded));
    }

    #[test]
    fn the_limit_counts_bytes_not_characters() {
        assert_eq!(UserId::check(&"用".repeat(10)), Ok(()));
        assert_eq!(UserId::check(&"用".repeat(11)), Err(UserIdError::TooLong(33)));
        assert_eq!(UserId::check(&"x".repeat(32)), Ok(()));
    }
}

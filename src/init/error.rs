//! Why no job can be written.

use std::borrow::Cow;

use crate::domain::hint::{Hint, Message};
use crate::input::{InputError, Problem};

/// Why no job can be written from an input file.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The file cannot be used as input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The file does not fit the operation.
    #[error(transparent)]
    Unfit(Message),
}

impl Hint for InitError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Input(error) if matches!(*error.problem, Problem::Missing | Problem::NoMatch) => {
                Some("name the input file with --from, or leave out --from for a template".into())
            }
            Self::Input(error) => error.hint(),
            Self::Unfit(message) => message.hint(),
        }
    }
}

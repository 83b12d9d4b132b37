//! What help texts and manual pages say after the options. Both are rendered from the same data.

mod page;
mod pages;

pub use page::{Manual, Note, Row, Section};
pub use pages::*;

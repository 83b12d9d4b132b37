//! What people and programs are shown of a run: while it goes on, at its end, and row by row.
//!
//! Texts are pure functions of figures that were read before. Whatever users made (ids, reasons, names of files)
//! goes to a terminal with its control characters made visible, and to files byte for byte.

mod figures;
mod guards;
pub mod input;
pub mod plan;
pub mod progress;
pub mod state;
pub mod status;
pub mod stop_message;
pub mod summary;
#[cfg(test)]
mod testing;
mod text;

pub use text::moment_ahead;
pub(crate) use text::{second, visible};

pub(crate) use figures::target as target_name;
pub use figures::{Figures, Rejects};
pub use guards::{WhileSending, refusals};

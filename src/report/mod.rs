//! The texts of plan, status, progress and summary, and the same figures as JSON.
//!
//! Texts are pure functions of figures that were read before. Ids, reasons and names of files come from users and
//! servers: texts show their control characters in a visible form, and JSON has them unchanged.

mod bottleneck;
pub mod control;
pub mod explanation;
mod figures;
pub mod forget;
mod guards;
pub mod history;
pub mod input;
pub mod job_result;
pub mod json;
pub mod metrics;
pub mod notification;
pub mod plan;
pub mod progress;
pub mod report_files;
pub mod retry;
pub mod run_report;
pub mod split_sums;
pub mod state;
pub mod state_change;
pub mod status;
pub mod stop_message;
pub mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod text;
pub mod verification;
mod wrap;

pub use text::moment_ahead;
pub(crate) use text::{counted, error_line, error_text, second, visible};

pub(crate) use figures::target as target_name;
pub use figures::{Figures, Rejects};
pub use guards::{WhileSending, refusals};
pub(crate) use wrap::wrap;

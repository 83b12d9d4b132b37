//! A first job file, written from what an input file shows.
//!
//! [`InputFacts::read`] reads the file with the program's own input code, `columns` decides which of its columns are
//! those of the operation, and `texts` turns both into the texts of the files. What is particular to an operation
//! comes from `domain::operation`, and what is known of a key from `settings::JOB_KEYS`.

mod columns;
mod distinct;
mod error;
mod input_facts;
mod texts;

pub use columns::ColumnGuess;
pub use error::InitError;
pub use input_facts::InputFacts;
pub use texts::{
    ENV_EXAMPLE, INIT_HEADING, KnownValues, NewJob, PROTECTED_LIST, SCHEMA_FILE, job_text, protected_list,
};

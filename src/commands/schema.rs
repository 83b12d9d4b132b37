//! `imbulk schema`

use super::error::Error;
use crate::cli::SchemaName;
use crate::domain::exit::Exit;
use crate::settings::job_schema;

/// Prints a JSON schema.
pub(super) fn schema(name: SchemaName) -> Result<Exit, Error> {
    match name {
        SchemaName::Job => super::print_json(&job_schema()),
    }
}

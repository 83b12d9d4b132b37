//! `imbulk schema`

use super::error::Error;
use crate::certificate::CertificateStatement;
use crate::cli::SchemaName;
use crate::domain::exit::Exit;
use crate::report::explanation::Explanation;
use crate::report::forget::ForgetOutput;
use crate::report::history::History;
use crate::report::json::schema_of;
use crate::report::notification::Notification;
use crate::report::plan::Plan;
use crate::report::retry::RetryReport;
use crate::report::run_report::RunReport;
use crate::report::split_sums::SplitSums;
use crate::report::status::StatusOutput;
use crate::report::summary::Summary;
use crate::report::verification::VerifyReport;
use crate::settings::job_schema;

/// Prints a JSON schema.
pub(super) fn schema(name: SchemaName) -> Result<Exit, Error> {
    let schema = match name {
        SchemaName::Job => return super::print_json(&job_schema()),
        SchemaName::Plan => schema_of::<Vec<Plan>>("What `imbulk plan JOB --json` prints"),
        SchemaName::Run => schema_of::<Vec<Summary>>("What `imbulk run JOB --json` prints"),
        SchemaName::Status => schema_of::<StatusOutput>("What `imbulk status --json` prints"),
        SchemaName::Notification => schema_of::<Notification>("What the command of `notify.command` receives"),
        SchemaName::Verify => schema_of::<VerifyReport>("What `imbulk verify NAME --json` prints"),
        SchemaName::Certificate => {
            schema_of::<CertificateStatement>("What `imbulk certify NAME --key KEY --output FILE` writes")
        }
        SchemaName::Forget => schema_of::<ForgetOutput>("What `imbulk forget --run NAME --json` prints"),
        SchemaName::Explain => schema_of::<Explanation>("What `imbulk explain CODE --json` prints"),
        SchemaName::History => schema_of::<History>("What `imbulk history ID --json` prints"),
        SchemaName::Split => schema_of::<SplitSums>("The file `sums.json` of `imbulk results NAME --split DIR`"),
        SchemaName::Report => schema_of::<RunReport>("What `imbulk report NAME --output run.json` writes"),
        SchemaName::Retry => schema_of::<RetryReport>("What `imbulk retry NAME --json` prints"),
    };
    super::print_json(&schema)
}

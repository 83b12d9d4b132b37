//! Writes the metrics files that jobs name (`report.metrics`).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use crate::clock;
use crate::domain::hint::{Hint, Message};
use crate::export::{READABLE, write_file};
use crate::report::job_result::JobResult;
use crate::report::metrics::metrics_text;
use crate::stderr::tell;

/// Writes the metrics of the jobs of a command. A file that cannot be written is a warning, because the outcomes are
/// recorded.
pub(super) async fn write(results: &[JobResult]) {
    let mut files: BTreeMap<&Path, Vec<&JobResult>> = BTreeMap::new();
    for job in results {
        if let Some(path) = &job.reporting.metrics {
            files.entry(path).or_default().push(job);
        }
    }
    for (path, jobs) in files {
        if let Err(Message { text, hint }) = replace(path, &jobs).await {
            let warning = Message { text: format!("report.metrics: {text}; the exit code does not change"), hint };
            tell(warning.with_hint());
        }
    }
}

async fn replace(path: &Path, jobs: &[&JobResult]) -> Result<(), Message> {
    let before = read(path)?;
    let text = metrics_text(&before, jobs, clock::now()).map_err(|foreign| {
        let hint = "name another file in `report.metrics`, or remove this one";
        Message::new(format!("{}: {foreign}, so the file is not replaced", path.display())).add_hint(hint)
    })?;
    write_file(path, READABLE, text.as_bytes())
        .await
        .map_err(|error| Message { text: error.to_string(), hint: error.hint().map(Into::into) })
}

/// The text of the file; empty if there is none.
fn read(path: &Path) -> Result<String, Message> {
    let read = match std::fs::metadata(path) {
        // Reading a pipe could wait forever.
        Ok(metadata) if !metadata.is_file() => Err(ErrorKind::InvalidInput.into()),
        Ok(_) => std::fs::read_to_string(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    };
    read.map_err(|error| {
        let hint = "the file must be a regular file that imbulk wrote, and its user must be able to read it";
        Message::new(format!("cannot read {}: {error}", path.display())).add_hint(hint)
    })
}

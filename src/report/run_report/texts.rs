//! Sentences of a report that do not depend on its numbers. Titles are in the template and in the Markdown.

/// What the queue does not know.
pub(super) const UNKNOWN: &[&str] = &[
    "How the speed changed during the run: the queue has totals, and the log file of the run (--log-file) has each \
     moment.",
    "Who started the run, and on which host.",
    "What other programs and people changed on the same accounts at the same time.",
    "What the service keeps in its own backups and logs after a deletion.",
];

pub(super) const STATUS: &str = "shows why rows are left, and what to do";
pub(super) const FAILED: &str = "shows which rows failed, and why";
pub(super) const IN_DOUBT: &str = "shows rows whose effect is unknown";
pub(super) const REJECTED: &str = "shows rows that could not be sent: correct them, and use the file as input";
pub(super) const ALL_ROWS: &str = "exports one row for each row of the input";

pub(super) const EXIT_OF_REJECTS: &str = "3, or 0 if the job has input.rejects = \"allow\"";

//! What `imbulk doctor` finds: pure functions from facts that were read before.

mod call;
mod clock;
mod credentials;
mod machine;

pub use call::answered;
pub use clock::compared_clock;
pub use credentials::given_usersig;
pub use machine::{BackupFacts, DiskFacts, QueueFacts, backup, disk, limits, queue_file};

use crate::domain::hint::Hint;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Nothing is wrong.
    Ok,
    /// A run is possible, but something should be changed.
    Warning,
    /// A run is not possible.
    Error,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How serious it is.
    pub level: Level,
    /// What was checked, in one word or two.
    pub check: &'static str,
    /// What was found.
    pub text: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Finding {
    /// Nothing is wrong.
    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, text: text.into(), hint: None }
    }

    /// A run is possible, but something should be changed.
    pub fn warning(check: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Warning, check, text: text.into(), hint: Some(hint.into()) }
    }

    /// A run is not possible.
    pub fn error(check: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { level: Level::Error, check, text: text.into(), hint: Some(hint.into()) }
    }

    /// A run would end with this error.
    pub fn of(check: &'static str, error: &impl Hint) -> Self {
        Self { level: Level::Error, check, text: error.to_string(), hint: error.hint().map(Into::into) }
    }
}

/// Whether a run is possible.
pub fn is_usable(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Error)
}

/// One line per check, each hint on a line below it, and the sum.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { level, check, text: found, hint } in findings {
        let level = match level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        text.push_str(&format!("{level:<8} {check:<12} {found}\n"));
        if let Some(hint) = hint.as_ref().filter(|hint| !hint.is_empty()) {
            text.push_str(&format!("{:<21} hint: {hint}\n", ""));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    text.push_str(&format!("\n{}, {}\n", many(errors, "error"), many(warnings, "warning")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_each_hint_is_below_it() {
        let findings = [
            Finding::ok("job", "purge.toml: account_delete"),
            Finding::warning("clock", "90 s behind", "set the clock"),
            Finding::error("input", "rows.csv: no such file", "create it"),
        ];
        assert!(!is_usable(&findings) && is_usable(&findings[..2]));
        insta::assert_snapshot!(text(&findings), @"
        ok       job          purge.toml: account_delete
        warning  clock        90 s behind
                              hint: set the clock
        error    input        rows.csv: no such file
                              hint: create it

        1 error, 1 warning
        ");
    }
}

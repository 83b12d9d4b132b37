//! The arguments of `imbulk forget`.

use clap::Args;

/// Arguments of `imbulk forget`.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// Runs that ended this long ago, such as 90d
    ///
    /// Unfinished runs are kept. So is the latest run of a job if `imbulk retry` can send rows of it again.
    #[arg(long, value_name = "AGE", value_parser = age, required_unless_present = "runs")]
    pub older_than: Option<jiff::SignedDuration>,
    /// Also this run, whatever its state and age; may be repeated
    ///
    /// A job name (its latest run), or the beginning of a run id (4 characters or more). What an unfinished run has
    /// not sent is never sent.
    #[arg(long = "run", value_name = "NAME")]
    pub runs: Vec<String>,
    /// Remove; without it, only show what would be removed
    #[arg(long)]
    pub execute: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// Do not ask for confirmation
    ///
    /// On a terminal, --execute asks the user to type the number of runs. Without a terminal nothing is asked.
    #[arg(long)]
    pub yes: bool,
}

/// `90d`, `12w` or `36h`, with days of 24 hours.
fn age(text: &str) -> Result<jiff::SignedDuration, String> {
    let invalid = || "expected a number of days, weeks or hours, such as 90d, 12w or 36h".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| invalid())?;
    let age = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| invalid())?;
    if age.is_negative() { Err(invalid()) } else { Ok(age) }
}

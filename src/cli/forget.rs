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

/// The largest age: longer ones are slips, and the moment so long ago may be before the first one of the calendar.
const CENTURY: jiff::SignedDuration = jiff::SignedDuration::from_hours(36_500 * 24);

/// `90d`, `12w` or `36h`, with days of 24 hours.
fn age(text: &str) -> Result<jiff::SignedDuration, String> {
    let invalid = || "expected a number of days, weeks or hours up to 36500d, such as 90d, 12w or 36h".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| invalid())?;
    let age = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| invalid())?;
    if age.is_negative() || age > CENTURY { Err(invalid()) } else { Ok(age) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_between_nothing_and_a_century() {
        for (text, hours) in [("0d", 0), ("36h", 36), ("12w", 12 * 7 * 24), ("36500d", 36_500 * 24)] {
            assert_eq!(age(text), Ok(jiff::SignedDuration::from_hours(hours)), "{text}");
        }
        for text in ["", "90", "-1d", "36501d", "7300000d", "99999999999d", "1mo"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}

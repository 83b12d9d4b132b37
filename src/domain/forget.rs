//! Which runs `imbulk forget` removes.

/// The facts of a run that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForgettableRun {
    /// Whether it is finished or superseded.
    pub has_ended: bool,
    /// When it ended, in milliseconds since 1970.
    pub ended_at: i64,
    /// Rows that `imbulk retry JOB` could make pending again: none unless it is the latest run of its job and target.
    pub retryable_rows: u64,
    /// Whether the user named it.
    pub named: bool,
    /// Whether its rows were removed before.
    pub forgotten: bool,
}

/// Why a run that is old enough is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBecause {
    /// It is not finished: the next session needs its rows.
    Unfinished,
    /// It is the latest run of its job, and this number of its rows can be sent again.
    Retryable(u64),
}

/// What is done with a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgetting {
    /// Its rows are removed.
    Remove,
    /// It is kept, and the user should know why.
    Keep(KeptBecause),
    /// It ended too recently, or nothing is left of it.
    Ignore,
}

/// Decides about a run. `before`: runs that ended earlier are removed; none: only named runs are.
pub fn forgetting(run: ForgettableRun, before: Option<i64>) -> Forgetting {
    if run.forgotten {
        Forgetting::Ignore
    } else if run.named {
        Forgetting::Remove
    } else if before.is_none_or(|before| run.ended_at >= before) {
        Forgetting::Ignore
    } else if !run.has_ended {
        Forgetting::Keep(KeptBecause::Unfinished)
    } else if run.retryable_rows > 0 {
        Forgetting::Keep(KeptBecause::Retryable(run.retryable_rows))
    } else {
        Forgetting::Remove
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const OLD: ForgettableRun =
        ForgettableRun { has_ended: true, ended_at: 9, retryable_rows: 0, named: false, forgotten: false };

    #[rstest]
    #[case::old(OLD, Some(10), Forgetting::Remove)]
    #[case::at_the_limit(OLD, Some(9), Forgetting::Ignore)]
    #[case::no_age(OLD, None, Forgetting::Ignore)]
    #[case::unfinished(ForgettableRun { has_ended: false, ..OLD }, Some(10), Forgetting::Keep(KeptBecause::Unfinished))]
    #[case::retryable(
        ForgettableRun { retryable_rows: 3, ..OLD }, Some(10), Forgetting::Keep(KeptBecause::Retryable(3))
    )]
    #[case::named(
        ForgettableRun { has_ended: false, retryable_rows: 3, named: true, ..OLD }, None, Forgetting::Remove
    )]
    #[case::named_and_young(ForgettableRun { named: true, ..OLD }, Some(1), Forgetting::Remove)]
    #[case::gone(ForgettableRun { forgotten: true, named: true, ..OLD }, Some(10), Forgetting::Ignore)]
    fn only_old_runs_that_nobody_needs_are_removed_without_being_named(
        #[case] run: ForgettableRun,
        #[case] before: Option<i64>,
        #[case] expected: Forgetting,
    ) {
        assert_eq!(forgetting(run, before), expected);
    }
}

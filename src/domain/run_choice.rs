//! Chooses the run that is sent next. `plan` shows the choice, and `run` carries it out.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

/// What ended the last session of an unfinished run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// A kill of the process, or a crash of the machine.
    Kill,
    /// SIGTERM or SIGHUP: a shutdown or a closed connection.
    Shutdown,
    /// `stop.until`, `stop.window` or `stop.max_runtime`.
    Deadline,
    /// `limits.calls_per_day`.
    CallsPerDay,
    /// An outage that lasted as long as `stop.outage`.
    Outage,
    /// An almost full disk.
    DiskFull,
    /// A backup that could not be written.
    BackupFailed,
    /// A file for the shared call limit that cannot be used any more.
    LedgerLost,
    /// A fatal code.
    FatalCode,
    /// `imbulk retry`, which made rows of a finished run pending again.
    Retry,
    /// `--limit`.
    Limit,
    /// A person pressed Ctrl-C or used `imbulk ctl NAME drain`.
    Person,
    /// The fuse, the canary, or `guard.max_already_done`.
    Guard,
}

/// What a session came to that ended before its run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyEnd {
    /// It ended as asked: by a signal, a time limit, or a limit of calls or items.
    Stopped,
    /// It ended because something is wrong with the rows, the app, the server or the disk.
    Halted,
    /// It could not close the run: the process was killed, or an error of the machine ended it.
    Interrupted,
}

impl EndedBy {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Kill,
        Self::Shutdown,
        Self::Deadline,
        Self::CallsPerDay,
        Self::Outage,
        Self::DiskFull,
        Self::BackupFailed,
        Self::LedgerLost,
        Self::FatalCode,
        Self::Retry,
        Self::Limit,
        Self::Person,
        Self::Guard,
    ];

    /// The name in the queue.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Shutdown => "shutdown",
            Self::Deadline => "deadline",
            Self::CallsPerDay => "calls_per_day",
            Self::Outage => "outage",
            Self::DiskFull => "disk_full",
            Self::BackupFailed => "backup_failed",
            Self::LedgerLost => "ledger_lost",
            Self::FatalCode => "fatal_code",
            Self::Retry => "retry",
            Self::Limit => "limit",
            Self::Person => "person",
            Self::Guard => "guard",
        }
    }

    /// Whether a person has to decide before the run continues with rows that the input no longer has: a person ended
    /// it on purpose, or a guard ended it because something looked wrong.
    pub const fn needs_decision(self) -> bool {
        match self {
            Self::Kill
            | Self::Shutdown
            | Self::Deadline
            | Self::CallsPerDay
            | Self::Outage
            | Self::DiskFull
            | Self::BackupFailed
            | Self::LedgerLost
            | Self::FatalCode
            | Self::Retry => false,
            Self::Limit | Self::Person | Self::Guard => true,
        }
    }

    /// What the session came to. The state of the run and the exit code of the command both follow from it.
    pub const fn early_end(self) -> EarlyEnd {
        match self {
            Self::Outage | Self::DiskFull | Self::BackupFailed | Self::FatalCode | Self::Guard => EarlyEnd::Halted,
            Self::Shutdown | Self::Deadline | Self::CallsPerDay | Self::Retry | Self::Limit | Self::Person => {
                EarlyEnd::Stopped
            }
            Self::Kill | Self::LedgerLost => EarlyEnd::Interrupted,
        }
    }
}

impl FromStr for EndedBy {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|cause| cause.name() == name).ok_or(())
    }
}

/// The words after "ended by".
impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "a kill or a crash",
            Self::Shutdown => "SIGTERM or SIGHUP",
            Self::Deadline => "a time limit (`stop.until`, `stop.window` or `stop.max_runtime`)",
            Self::CallsPerDay => "`limits.calls_per_day`",
            Self::Outage => "an outage",
            Self::DiskFull => "an almost full disk",
            Self::BackupFailed => "a backup that could not be written",
            Self::LedgerLost => "the loss of the file in which processes share the call limit",
            Self::FatalCode => "a fatal code",
            Self::Retry => "`imbulk retry`",
            Self::Limit => "`--limit`",
            Self::Person => "Ctrl-C or `imbulk ctl`",
            Self::Guard => "a guard",
        })
    }
}

/// The progress of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunProgress {
    /// Loaded; nothing was sent.
    Planned,
    /// Begun, and rows are pending.
    Unfinished(EndedBy),
    /// Every row has its outcome.
    Finished,
    /// Superseded by another run.
    Superseded,
}

/// An earlier run of the job on the same target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownRun {
    /// Its progress.
    pub progress: RunProgress,
    /// Whether it was loaded from the current bytes of the input, and a planned run also with the rows that a new run
    /// would take over now.
    pub same_input: bool,
    /// Whether a row still means the same: operation, options, columns, encoding, delimiter and
    /// unusual ids are unchanged.
    pub same_definition: bool,
    /// Whether limits, guards, endpoint and admin are unchanged since its last session.
    pub same_settings: bool,
}

impl KnownRun {
    /// Whether loading the input again would give the same run.
    const fn is_current(self) -> bool {
        self.same_input && self.same_definition
    }
}

/// What the user asks for about earlier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rerun {
    /// Nothing.
    No,
    /// `--again`: begin a new run, and supersede the unfinished ones.
    Again,
    /// `--resume`: finish the oldest unfinished run, whatever ended it, and send nothing else.
    Resume,
}

/// What is done next. Numbers are indexes into the list of known runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunChoice {
    /// Continue this unfinished run.
    Continue(usize),
    /// Begin a run of the current input.
    Begin {
        /// The run, if `plan` has loaded it already; none: the input is loaded.
        planned: Option<usize>,
        /// Unfinished runs that it supersedes.
        replaces: Vec<usize>,
    },
    /// Send nothing: this run has finished the current input.
    Nothing(usize),
    /// Send nothing until a person decides.
    Refuse(Refusal),
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A person or a guard ended this run, and the input or the job changed since, or the input cannot be read.
    Ended {
        /// The run.
        run: usize,
        /// What ended it.
        by: EndedBy,
    },
    /// This unfinished run was loaded with another definition of the job.
    Redefined {
        /// The run.
        run: usize,
    },
    /// `--resume`, but no run is unfinished.
    NothingToResume,
}

/// Chooses what is done next. `runs` are the runs of the job on one target, oldest first.
pub fn choose(runs: &[KnownRun], rerun: Rerun) -> RunChoice {
    let unfinished = runs.iter().enumerate().filter_map(|(at, run)| match run.progress {
        RunProgress::Unfinished(by) => Some((at, by)),
        RunProgress::Planned | RunProgress::Finished | RunProgress::Superseded => None,
    });
    let unfinished: Vec<(usize, EndedBy)> = unfinished.collect();
    match (rerun, unfinished.first()) {
        (Rerun::Resume, Some((run, _))) => RunChoice::Continue(*run),
        (Rerun::Resume, None) => RunChoice::Refuse(Refusal::NothingToResume),
        (Rerun::No, Some((run, by))) => resume(runs[*run], *run, *by),
        (Rerun::Again | Rerun::No, _) => begin(runs, rerun, unfinished.into_iter().map(|(run, _)| run).collect()),
    }
}

fn resume(known: KnownRun, run: usize, by: EndedBy) -> RunChoice {
    if !known.same_definition {
        RunChoice::Refuse(Refusal::Redefined { run })
    } else if !(known.same_input && known.same_settings) && by.needs_decision() {
        RunChoice::Refuse(Refusal::Ended { run, by })
    } else {
        RunChoice::Continue(run)
    }
}

fn begin(runs: &[KnownRun], rerun: Rerun, replaces: Vec<usize>) -> RunChoice {
    // A later plan does not make a finished input unfinished: it may be left from an `--again` that was not confirmed.
    let finished = runs.iter().rposition(|run| run.progress == RunProgress::Finished);
    match finished.filter(|at| runs[*at].is_current() && rerun == Rerun::No) {
        Some(at) => RunChoice::Nothing(at),
        None => {
            let planned = runs.iter().rposition(|run| run.progress == RunProgress::Planned && run.is_current());
            RunChoice::Begin { planned, replaces }
        }
    }
}

/// Everything that one command does to a job: the first choice, and those that follow once its run is finished.
pub fn upcoming(runs: &[KnownRun], rerun: Rerun) -> Vec<RunChoice> {
    let mut runs = runs.to_vec();
    let mut choices = Vec::new();
    let mut next = choose(&runs, rerun);
    while let RunChoice::Continue(run) = next {
        choices.push(next);
        let was_current = runs[run].is_current();
        runs[run].progress = RunProgress::Finished;
        if rerun == Rerun::Resume || was_current {
            return choices;
        }
        next = choose(&runs, Rerun::No);
    }
    choices.push(next);
    choices
}

/// The refusal among these choices, if there is one.
pub fn refusal_of(choices: &[RunChoice]) -> Option<Refusal> {
    choices.iter().find_map(|choice| match choice {
        RunChoice::Refuse(refusal) => Some(*refusal),
        RunChoice::Continue(_) | RunChoice::Begin { .. } | RunChoice::Nothing(_) => None,
    })
}

/// The unfinished runs that are continued, or about which a person has to decide, in order.
pub fn unfinished_among(choices: &[RunChoice]) -> Vec<usize> {
    let unfinished = choices.iter().filter_map(|choice| match choice {
        RunChoice::Continue(run) | RunChoice::Refuse(Refusal::Ended { run, .. } | Refusal::Redefined { run }) => {
            Some(*run)
        }
        RunChoice::Begin { .. } | RunChoice::Nothing(_) | RunChoice::Refuse(Refusal::NothingToResume) => None,
    });
    unfinished.collect()
}

/// The run of the current input that `plan` shows, if it is loaded already; none: the input is loaded for it.
pub fn previewed(choices: &[RunChoice], runs: &[KnownRun]) -> Option<usize> {
    match choices.last() {
        Some(RunChoice::Continue(run) | RunChoice::Nothing(run)) => Some(*run),
        Some(RunChoice::Begin { planned, .. }) => *planned,
        Some(RunChoice::Refuse(_)) | None => {
            runs.iter().rposition(|run| run.progress == RunProgress::Planned && run.is_current())
        }
    }
}

/// Planned runs that no later command needs. They are of another input than the current one, or of the input that an
/// unfinished run already contains. Nothing of them was sent.
pub fn stale_plans(runs: &[KnownRun], rerun: Rerun) -> Vec<usize> {
    let keeps = match choose(runs, rerun) {
        RunChoice::Begin { planned, .. } => planned,
        RunChoice::Nothing(_) => None,
        RunChoice::Continue(run) if runs[run].is_current() => None,
        RunChoice::Continue(_) | RunChoice::Refuse(_) => {
            runs.iter().rposition(|run| run.progress == RunProgress::Planned && run.is_current())
        }
    };
    let planned = runs.iter().enumerate().filter(|(_, run)| run.progress == RunProgress::Planned);
    planned.map(|(at, _)| at).filter(|at| Some(*at) != keeps).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NEW: RunChoice = RunChoice::Begin { planned: None, replaces: Vec::new() };

    fn run(progress: RunProgress) -> KnownRun {
        KnownRun { progress, same_input: true, same_definition: true, same_settings: true }
    }

    fn of_other_input(progress: RunProgress) -> KnownRun {
        KnownRun { same_input: false, ..run(progress) }
    }

    fn of_other_definition(progress: RunProgress) -> KnownRun {
        KnownRun { same_definition: false, ..run(progress) }
    }

    fn unfinished(by: EndedBy) -> RunProgress {
        RunProgress::Unfinished(by)
    }

    #[rstest]
    #[case::a_first_run(&[], NEW)]
    #[case::a_plan_of_this_input(&[run(RunProgress::Planned)], RunChoice::Begin { planned: Some(0), replaces: vec![] })]
    #[case::a_plan_of_another_input(&[of_other_input(RunProgress::Planned)], NEW)]
    #[case::a_plan_of_another_definition(&[of_other_definition(RunProgress::Planned)], NEW)]
    #[case::this_input_is_finished(&[run(RunProgress::Finished)], RunChoice::Nothing(0))]
    #[case::another_input_is_finished(&[of_other_input(RunProgress::Finished)], NEW)]
    #[case::finished_before_but_not_last(&[run(RunProgress::Finished), of_other_input(RunProgress::Finished)], NEW)]
    #[case::finished_and_an_again_was_declined(
        &[run(RunProgress::Finished), run(RunProgress::Planned)], RunChoice::Nothing(0)
    )]
    #[case::finished_and_another_input_was_planned(
        &[run(RunProgress::Finished), of_other_input(RunProgress::Planned)], RunChoice::Nothing(0)
    )]
    #[case::superseded(&[run(RunProgress::Superseded)], NEW)]
    #[case::unfinished(&[run(unfinished(EndedBy::Person))], RunChoice::Continue(0))]
    #[case::the_oldest_is_first(
        &[of_other_input(unfinished(EndedBy::Kill)), run(unfinished(EndedBy::Kill))], RunChoice::Continue(0)
    )]
    #[case::unfinished_then_redefined(
        &[of_other_definition(unfinished(EndedBy::Deadline))], RunChoice::Refuse(Refusal::Redefined { run: 0 })
    )]
    fn the_choice_follows_from_the_runs(#[case] runs: &[KnownRun], #[case] expected: RunChoice) {
        assert_eq!(choose(runs, Rerun::No), expected);
    }

    #[test]
    fn after_a_change_a_run_continues_only_if_neither_a_person_nor_a_guard_ended_it() {
        for by in EndedBy::ALL {
            let expected = match by {
                EndedBy::Person | EndedBy::Guard | EndedBy::Limit => RunChoice::Refuse(Refusal::Ended { run: 0, by }),
                EndedBy::Kill
                | EndedBy::Shutdown
                | EndedBy::Deadline
                | EndedBy::CallsPerDay
                | EndedBy::Outage
                | EndedBy::DiskFull
                | EndedBy::BackupFailed
                | EndedBy::LedgerLost
                | EndedBy::FatalCode
                | EndedBy::Retry => RunChoice::Continue(0),
            };
            let of_other_settings = KnownRun { same_settings: false, ..run(unfinished(by)) };
            assert_eq!(choose(&[of_other_settings], Rerun::No), expected, "{by:?}");
            let runs = [of_other_input(unfinished(by))];
            assert_eq!(choose(&runs, Rerun::No), expected, "{by:?}");
            assert_eq!(choose(&runs, Rerun::Resume), RunChoice::Continue(0), "{by:?}");
            let again = RunChoice::Begin { planned: None, replaces: vec![0] };
            assert_eq!(choose(&runs, Rerun::Again), again, "{by:?}");
        }
    }

    #[test]
    fn again_begins_a_new_run_and_supersedes_every_unfinished_run() {
        let kill = unfinished(EndedBy::Kill);
        let runs = [run(kill), run(RunProgress::Finished), of_other_definition(kill), run(RunProgress::Superseded)];
        let new = RunChoice::Begin { planned: None, replaces: vec![0, 2] };
        assert_eq!(choose(&runs, Rerun::Again), new);
        // A plan that an earlier `--again` has loaded is not loaded twice.
        let planned = [run(kill), run(RunProgress::Finished), run(RunProgress::Planned)];
        let from_plan = RunChoice::Begin { planned: Some(2), replaces: vec![0] };
        assert_eq!(choose(&planned, Rerun::Again), from_plan);
    }

    #[test]
    fn resume_without_an_unfinished_run_is_refused() {
        for runs in [&[][..], &[run(RunProgress::Finished), run(RunProgress::Planned)]] {
            assert_eq!(choose(runs, Rerun::Resume), RunChoice::Refuse(Refusal::NothingToResume));
        }
    }

    #[test]
    fn an_older_run_is_finished_before_the_current_input() {
        let older = of_other_input(unfinished(EndedBy::Deadline));
        assert_eq!(upcoming(&[older], Rerun::No), [RunChoice::Continue(0), NEW]);
        assert_eq!(upcoming(&[older], Rerun::Resume), [RunChoice::Continue(0)]);
        let planned = RunChoice::Begin { planned: Some(1), replaces: vec![] };
        assert_eq!(upcoming(&[older, run(RunProgress::Planned)], Rerun::No), [RunChoice::Continue(0), planned]);
        let same = run(unfinished(EndedBy::Person));
        assert_eq!(upcoming(&[same], Rerun::No), [RunChoice::Continue(0)]);
        let stopped = of_other_input(unfinished(EndedBy::Person));
        let refusal = RunChoice::Refuse(Refusal::Ended { run: 1, by: EndedBy::Person });
        assert_eq!(upcoming(&[older, stopped], Rerun::No), [RunChoice::Continue(0), refusal]);
    }

    #[rstest]
    #[case::current(&[run(RunProgress::Planned)], &[])]
    #[case::of_another_input(&[of_other_input(RunProgress::Planned)], &[0])]
    #[case::two_of_this_input(&[run(RunProgress::Planned), run(RunProgress::Planned)], &[0])]
    #[case::of_the_input_that_is_being_finished(&[run(unfinished(EndedBy::Kill)), run(RunProgress::Planned)], &[1])]
    #[case::of_what_follows_an_older_run(
        &[of_other_input(unfinished(EndedBy::Kill)), run(RunProgress::Planned), of_other_input(RunProgress::Planned)],
        &[2]
    )]
    #[case::of_a_finished_input(&[run(RunProgress::Finished), run(RunProgress::Planned)], &[1])]
    #[case::while_a_decision_is_due(
        &[of_other_input(unfinished(EndedBy::Person)), run(RunProgress::Planned)], &[]
    )]
    fn only_a_plan_of_the_current_input_is_kept(#[case] runs: &[KnownRun], #[case] stale: &[usize]) {
        assert_eq!(stale_plans(runs, Rerun::No), stale);
    }

    #[rstest]
    #[case::a_new_run(&[NEW], &[], None, &[], None)]
    #[case::a_planned_run(
        &[RunChoice::Begin { planned: Some(1), replaces: vec![0] }], &[of_other_input(unfinished(EndedBy::Kill)),
        run(RunProgress::Planned)], Some(1), &[], None
    )]
    #[case::a_finished_run(&[RunChoice::Nothing(0)], &[run(RunProgress::Finished)], Some(0), &[], None)]
    #[case::an_older_run_first(
        &[RunChoice::Continue(0), NEW], &[of_other_input(unfinished(EndedBy::Kill))], None, &[0], None
    )]
    #[case::the_same_input(&[RunChoice::Continue(0)], &[run(unfinished(EndedBy::Kill))], Some(0), &[0], None)]
    #[case::a_decision_with_the_current_input_planned(
        &[RunChoice::Refuse(Refusal::Redefined { run: 0 })],
        &[
            of_other_definition(unfinished(EndedBy::Kill)),
            run(RunProgress::Planned),
            of_other_input(RunProgress::Planned)
        ],
        Some(1), &[0], Some(Refusal::Redefined { run: 0 })
    )]
    #[case::nothing_to_resume(
        &[RunChoice::Refuse(Refusal::NothingToResume)], &[run(RunProgress::Finished)], None, &[],
        Some(Refusal::NothingToResume)
    )]
    fn a_plan_shows_the_current_input_after_the_unfinished_runs(
        #[case] choices: &[RunChoice],
        #[case] runs: &[KnownRun],
        #[case] shown: Option<usize>,
        #[case] unfinished: &[usize],
        #[case] refusal: Option<Refusal>,
    ) {
        assert_eq!(previewed(choices, runs), shown);
        assert_eq!((unfinished_among(choices).as_slice(), refusal_of(choices)), (unfinished, refusal));
    }

    #[test]
    fn every_cause_is_read_back_by_its_name() {
        for by in EndedBy::ALL {
            assert_eq!(by.name().parse(), Ok(by));
        }
        assert_eq!("wind".parse::<EndedBy>(), Err(()));
    }
}

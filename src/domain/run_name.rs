//! Finds the run that a NAME on the command line means.

use super::target::RunTarget;

/// The facts of a run that a name is matched with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedRun<'a> {
    /// The job's name.
    pub job: &'a str,
    /// The run's id.
    pub id: &'a str,
    /// The target.
    pub target: RunTarget,
    /// Whether it was begun. A run that is not begun is a plan.
    pub started: bool,
}

/// The runs that a name matches. Numbers are indexes into the list of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameMatch {
    /// Exactly this run.
    Run(usize),
    /// Several runs: the latest one of the job on each target, or all runs whose ids begin with the name.
    Ambiguous(Vec<usize>),
    /// No job has this name, and no run's id begins with it.
    Unknown,
    /// The job has no run on the target that was asked for. These are its latest runs on each other target.
    OtherTargets(Vec<usize>),
}

/// The minimum length of the beginning of an id.
pub const SHORTEST_ID: usize = 4;

/// Finds the run that a name means: the latest run of the job with this name, or the run whose id begins with it.
///
/// Runs against a real app take precedence over runs against the sandbox or a server on this machine, and begun runs
/// over plans. A rehearsal or a new plan therefore never hides the last real run. `target` is the value of `--target`:
/// a target, or `loopback` for any server on this machine.
pub fn match_name(runs: &[NamedRun<'_>], name: &str, target: Option<&str>) -> NameMatch {
    let of_job: Vec<usize> = (0..runs.len()).filter(|run| runs[*run].job == name).collect();
    if of_job.is_empty() {
        return match_id(runs, name, target);
    }
    let asked: Vec<usize> = of_job.iter().copied().filter(|run| is_on(runs[*run].target, target)).collect();
    if asked.is_empty() {
        return NameMatch::OtherTargets(latest_of_each_target(runs, &of_job));
    }
    // A plan that was made before the job had an SDKAppID hides nothing either.
    let is_real = |target: RunTarget| target.is_real() && target.sdkappid().is_some();
    let real: Vec<usize> = asked.iter().copied().filter(|run| is_real(runs[*run].target)).collect();
    let mut latest = latest_of_each_target(runs, if real.is_empty() { &asked } else { &real });
    // A plan on one target does not make a begun run on another one ambiguous.
    if latest.iter().any(|run| runs[*run].started) {
        latest.retain(|run| runs[*run].started);
    }
    match latest[..] {
        [run] => NameMatch::Run(run),
        _ => NameMatch::Ambiguous(latest),
    }
}

fn match_id(runs: &[NamedRun<'_>], name: &str, target: Option<&str>) -> NameMatch {
    let begins = |run: &usize| runs[*run].id.starts_with(name) && is_on(runs[*run].target, target);
    let found: Vec<usize> =
        if name.len() < SHORTEST_ID { Vec::new() } else { (0..runs.len()).filter(begins).collect() };
    match found[..] {
        [] if target.is_some() => match match_id(runs, name, None) {
            NameMatch::Run(run) => NameMatch::OtherTargets(vec![run]),
            other => other,
        },
        [] => NameMatch::Unknown,
        [run] => NameMatch::Run(run),
        _ => NameMatch::Ambiguous(found),
    }
}

/// The latest run of each target, oldest first. Begun runs take precedence over plans.
fn latest_of_each_target(runs: &[NamedRun<'_>], among: &[usize]) -> Vec<usize> {
    let mut latest: Vec<usize> = Vec::new();
    for run in among.iter().copied() {
        match latest.iter_mut().find(|other| runs[**other].target == runs[run].target) {
            Some(other) if runs[run].started || !runs[*other].started => *other = run,
            Some(_) => {}
            None => latest.push(run),
        }
    }
    latest.sort_unstable();
    latest
}

fn is_on(target: RunTarget, asked: Option<&str>) -> bool {
    asked.is_none_or(|asked| target.is_meant_by(asked))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn run<'a>(job: &'a str, id: &'a str, target: &str, started: bool) -> NamedRun<'a> {
        NamedRun { job, id, target: target.parse().unwrap(), started }
    }

    const REAL: &str = "1400000001";
    const LOOPBACK: &str = "1400000001 on loopback";

    #[rstest]
    #[case::nothing(&[], NameMatch::Unknown)]
    #[case::the_latest(&[run("job", "a", REAL, true), run("job", "b", REAL, true)], NameMatch::Run(1))]
    #[case::not_a_plan(&[run("job", "a", REAL, true), run("job", "b", REAL, false)], NameMatch::Run(0))]
    #[case::the_latest_plan(&[run("job", "a", REAL, false), run("job", "b", REAL, false)], NameMatch::Run(1))]
    #[case::a_real_run_before_a_rehearsal(
        &[run("job", "a", REAL, true), run("job", "b", "sandbox", true), run("job", "c", LOOPBACK, true)],
        NameMatch::Run(0)
    )]
    #[case::a_real_plan_before_a_rehearsal(
        &[run("job", "a", REAL, false), run("job", "b", "sandbox", true)], NameMatch::Run(0)
    )]
    #[case::only_rehearsals(&[run("job", "a", "sandbox", true), run("other", "b", REAL, true)], NameMatch::Run(0))]
    #[case::two_apps(
        &[run("job", "a", REAL, true), run("job", "b", "1400000002", true), run("job", "c", REAL, true)],
        NameMatch::Ambiguous(vec![1, 2])
    )]
    #[case::a_plan_before_the_app_was_named(
        &[run("job", "a", REAL, false), run("job", "b", "without SDKAppID", false)], NameMatch::Run(0)
    )]
    #[case::a_plan_on_another_target(
        &[run("job", "a", LOOPBACK, true), run("job", "b", "sandbox", false)], NameMatch::Run(0)
    )]
    #[case::two_kinds_of_rehearsals(
        &[run("job", "a", "sandbox", true), run("job", "b", LOOPBACK, true)], NameMatch::Ambiguous(vec![0, 1])
    )]
    fn a_name_means_the_latest_run_of_one_target(#[case] runs: &[NamedRun<'_>], #[case] expected: NameMatch) {
        assert_eq!(match_name(runs, "job", None), expected);
    }

    #[test]
    fn a_target_chooses_among_several() {
        let runs = [
            run("job", "a", REAL, true),
            run("job", "b", "1400000002", true),
            run("job", "c", "sandbox", true),
            run("job", "d", LOOPBACK, true),
        ];
        for (at, target) in [REAL, "1400000002", "sandbox", LOOPBACK].into_iter().enumerate() {
            assert_eq!(match_name(&runs, "job", Some(target)), NameMatch::Run(at), "{target}");
        }
        assert_eq!(match_name(&runs, "job", Some("loopback")), NameMatch::Run(3));
        assert_eq!(match_name(&runs, "job", Some("7")), NameMatch::OtherTargets(vec![0, 1, 2, 3]));
        assert_eq!(match_name(&runs, "no", Some("sandbox")), NameMatch::Unknown);
    }

    #[test]
    fn the_beginning_of_an_id_means_its_run_unless_it_is_a_jobs_name() {
        let runs =
            [run("job", "0190aaaa", REAL, true), run("job", "0190abbb", REAL, true), run("0190aa", "x", REAL, true)];
        assert_eq!(match_name(&runs, "0190aaaa", None), NameMatch::Run(0));
        assert_eq!(match_name(&runs, "0190ab", None), NameMatch::Run(1));
        assert_eq!(match_name(&runs, "0190a", None), NameMatch::Ambiguous(vec![0, 1]));
        assert_eq!(match_name(&runs, "0190aa", None), NameMatch::Run(2), "a job's name comes first");
        assert_eq!(match_name(&runs, "019", None), NameMatch::Unknown, "too short to be meant");
        assert_eq!(match_name(&runs, "0190ab", Some("sandbox")), NameMatch::OtherTargets(vec![1]));
    }
}

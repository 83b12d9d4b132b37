//! The metrics of jobs in the text format of Prometheus, for the textfile collector of node_exporter.
//!
//! A file holds the metrics of several jobs. The text of a command replaces those of its own jobs, and takes over from
//! the file before it what only grows, and when each job succeeded last.

mod exposition;

use jiff::Timestamp;

use self::exposition::{Labels, MetricValues};
use super::job_result::JobResult;
use crate::domain::response::tally::Tally;
pub use exposition::ForeignText;

/// A metric: its name, its type, and what it means.
type Metric = (&'static str, &'static str, &'static str);

const ROWS: &str = "imbulk_last_run_rows";
const CALLS: &str = "imbulk_calls_total";
const THROTTLES: &str = "imbulk_throttles_total";
const FULLEST_SECOND: &str = "imbulk_last_run_fullest_second_calls";
const DURATION: &str = "imbulk_last_run_duration_seconds";
const EXIT_CODE: &str = "imbulk_last_run_exit_code";
const LAST_RUN: &str = "imbulk_last_run_timestamp_seconds";
const LAST_SUCCESS: &str = "imbulk_last_success_timestamp_seconds";

/// Every metric, in the order of the file. Dashboards depend on the names.
const METRICS: [Metric; 8] = [
    (LAST_SUCCESS, "gauge", "Last end with exit code 0, or with 5 and new outcomes. 0: never."),
    (LAST_RUN, "gauge", "When the last command ended."),
    (EXIT_CODE, "gauge", "Exit code of the last command for this job."),
    (ROWS, "gauge", "Rows of the last run, by outcome. Missing if the last command sent nothing."),
    (DURATION, "gauge", "How long the last command sent."),
    (FULLEST_SECOND, "gauge", "Most calls that the last command began within one second."),
    (CALLS, "counter", "Calls begun by all commands."),
    (THROTTLES, "counter", "Answers of the API that said: too many calls."),
];

/// The text of a metrics file after a command with these jobs.
///
/// # Errors
/// The text before is not one of this function.
pub fn metrics_text(before: &str, jobs: &[&JobResult], now: Timestamp) -> Result<String, ForeignText> {
    let mut metrics = MetricValues::parse(before, &METRICS)?;
    for job in jobs {
        add_job(&mut metrics, job, now);
    }
    Ok(metrics.text(&METRICS))
}

fn add_job(metrics: &mut MetricValues, job: &JobResult, now: Timestamp) {
    let labels: Labels =
        vec![("job", job.job.clone()), ("target", job.target.to_string()), ("operation", job.operation.to_owned())];
    // A job may change its operation.
    let is_own = |other: &Labels| other[..2] == labels[..2];
    let removed = metrics.remove(is_own);
    let before = |name: &str| removed.iter().find(|(other, _, _)| *other == name).map_or(0.0, |(_, _, value)| *value);
    let calls = job.calls();
    let ended = seconds(now);
    let succeeded = if job.is_success() { ended } else { before(LAST_SUCCESS) };
    metrics.add(LAST_SUCCESS, &labels, succeeded);
    metrics.add(LAST_RUN, &labels, ended);
    metrics.add(EXIT_CODE, &labels, f64::from(job.exit.code()));
    for (outcome, rows) in job.rows().into_iter().flat_map(Tally::iter) {
        let mut labels = labels.clone();
        labels.push(("outcome", outcome.name().to_owned()));
        metrics.add(ROWS, &labels, number(rows));
    }
    metrics.add(DURATION, &labels, job.took().as_secs_f64());
    metrics.add(FULLEST_SECOND, &labels, number(calls.fullest_second));
    metrics.add(CALLS, &labels, before(CALLS) + number(calls.calls));
    metrics.add(THROTTLES, &labels, before(THROTTLES) + number(calls.throttles));
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53, and Prometheus has only this type")]
const fn number(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::call_counts::CallCounts;
    use crate::domain::exit::Exit;
    use crate::report::summary::{SessionFigures, Summary};
    use crate::report::testing;

    fn job(name: &str, exit: Exit) -> JobResult {
        let session = SessionFigures {
            took: Duration::from_millis(200_500),
            calls: CallCounts { calls: 1_234, throttles: 5, fullest_second: 99 },
            rows: 1_000_000,
        };
        let mut job = testing::job_result(name);
        job.add_run(Summary { figures: testing::figures(), session }, exit);
        job
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn the_text_names_every_metric_with_its_unit() {
        let text = metrics_text("", &[&job("purge", Exit::Done)], at(1_793_000_000)).unwrap();
        insta::assert_snapshot!(text, @r#"
        # HELP imbulk_last_success_timestamp_seconds Last end with exit code 0, or with 5 and new outcomes. 0: never.
        # TYPE imbulk_last_success_timestamp_seconds gauge
        imbulk_last_success_timestamp_seconds{job="purge",target="1400000001",operation="account_delete"} 1793000000
        # HELP imbulk_last_run_timestamp_seconds When the last command ended.
        # TYPE imbulk_last_run_timestamp_seconds gauge
        imbulk_last_run_timestamp_seconds{job="purge",target="1400000001",operation="account_delete"} 1793000000
        # HELP imbulk_last_run_exit_code Exit code of the last command for this job.
        # TYPE imbulk_last_run_exit_code gauge
        imbulk_last_run_exit_code{job="purge",target="1400000001",operation="account_delete"} 0
        # HELP imbulk_last_run_rows Rows of the last run, by outcome. Missing if the last command sent nothing.
        # TYPE imbulk_last_run_rows gauge
        imbulk_last_run_rows{job="purge",target="1400000001",operation="account_delete",outcome="succeeded"} 999000
        imbulk_last_run_rows{job="purge",target="1400000001",operation="account_delete",outcome="already_done"} 400
        imbulk_last_run_rows{job="purge",target="1400000001",operation="account_delete",outcome="failed"} 590
        imbulk_last_run_rows{job="purge",target="1400000001",operation="account_delete",outcome="in_doubt"} 8
        imbulk_last_run_rows{job="purge",target="1400000001",operation="account_delete",outcome="pending"} 2
        imbulk_last_run_rows{job="purge",target="1400000001",operation="account_delete",outcome="rejected"} 7
        imbulk_last_run_rows{job="purge",target="1400000001",operation="account_delete",outcome="duplicate"} 4
        imbulk_last_run_rows{job="purge",target="1400000001",operation="account_delete",outcome="protected"} 1
        # HELP imbulk_last_run_duration_seconds How long the last command sent.
        # TYPE imbulk_last_run_duration_seconds gauge
        imbulk_last_run_duration_seconds{job="purge",target="1400000001",operation="account_delete"} 200.5
        # HELP imbulk_last_run_fullest_second_calls Most calls that the last command began within one second.
        # TYPE imbulk_last_run_fullest_second_calls gauge
        imbulk_last_run_fullest_second_calls{job="purge",target="1400000001",operation="account_delete"} 99
        # HELP imbulk_calls_total Calls begun by all commands.
        # TYPE imbulk_calls_total counter
        imbulk_calls_total{job="purge",target="1400000001",operation="account_delete"} 1234
        # HELP imbulk_throttles_total Answers of the API that said: too many calls.
        # TYPE imbulk_throttles_total counter
        imbulk_throttles_total{job="purge",target="1400000001",operation="account_delete"} 5
        "#);
    }

    #[test]
    fn a_failed_command_keeps_the_time_of_the_last_success_and_the_counters() {
        let first = metrics_text("", &[&job("purge", Exit::Done)], at(1_000)).unwrap();
        let refused = JobResult { exit: Exit::Halted, ..testing::job_result("purge") };
        let second = metrics_text(&first, &[&refused], at(2_000)).unwrap();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap().to_owned();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        assert_eq!((value(&second, LAST_SUCCESS), value(&second, LAST_RUN)), ("1000".to_owned(), "2000".to_owned()));
        assert_eq!((value(&second, EXIT_CODE), value(&second, CALLS)), ("4".to_owned(), "1234".to_owned()));
        assert!(!second.contains(&format!("{ROWS}{{")), "the refused command has no rows: {second}");
        let third = metrics_text(&second, &[&job("purge", Exit::Done)], at(3_000)).unwrap();
        assert_eq!((value(&third, LAST_SUCCESS), value(&third, CALLS)), ("3000".to_owned(), "2468".to_owned()));
        assert_eq!((value(&third, THROTTLES), value(&third, FULLEST_SECOND)), ("10".to_owned(), "99".to_owned()));
    }

    #[test]
    fn other_jobs_keep_their_metrics() {
        let first = metrics_text("", &[&job("a", Exit::Done), &job("b", Exit::Halted)], at(1)).unwrap();
        let second = metrics_text(&first, &[&job("b", Exit::Done)], at(2)).unwrap();
        let lines = |text: &str, job: &str| -> Vec<String> {
            text.lines().filter(|line| line.contains(&format!("job={job:?}"))).map(str::to_owned).collect()
        };
        assert_eq!(lines(&first, "a"), lines(&second, "a"));
        assert_eq!(lines(&first, "b").len(), lines(&second, "b").len());
        assert_ne!(lines(&first, "b"), lines(&second, "b"));
    }
}

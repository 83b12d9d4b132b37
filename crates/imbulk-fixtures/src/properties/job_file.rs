//! Job files: accepted values are within their bounds, an error names its place, and messages contain no secret.

use std::path::Path;
use std::time::Duration;

use imbulk::domain::hint::Hint;
use imbulk::domain::job::Job;
use imbulk::domain::time_limit::{TimeOfDay, TimeOfDayLimit, Window};
use imbulk::settings::{Env, JobFileError, load_job};

const MARK: &str = "eJwMarkedSignature0123456789";

/// Reads the bytes as a job file, with and without a secret in it.
pub fn job_file(data: &[u8]) {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
    let (path, text) = (file.path(), String::from_utf8_lossy(data));
    match load(path, data) {
        Ok(job) => {
            assert_eq!(data, text.as_bytes(), "a job file is UTF-8");
            check_job(&job);
        }
        Err(error) => check_error(&error, &text),
    }
    for secret in
        [format!("usersig = \"{MARK}\"\n"), format!("secret_key = '''\n{MARK}\n'''\n"), format!("usersig: {MARK}\n")]
    {
        let error = load(path, (secret + &text).as_bytes()).expect_err("a job file holds no secrets");
        assert!(!shown(&error).contains(MARK), "the secret is shown");
    }
}

fn load(path: &Path, text: &[u8]) -> Result<Job, JobFileError> {
    std::fs::write(path, text).expect("a temporary file");
    load_job(path, &Env::default())
}

fn check_job(job: &Job) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!((1..=64).contains(&job.name.len()) && job.name.chars().all(legal), "{}", job.name);
    assert!(!job.input.paths.is_empty() && job.input.paths.iter().all(|path| !path.is_empty()));
    assert!(job.limits.calls_per_second.get() <= 65_536 && job.limits.app_calls_per_second.get() <= 65_536);
    assert!(job.retry.base_delay <= job.retry.max_delay, "{:?}", job.retry);
    assert!(job.retry.max_delay <= Duration::from_hours(24), "{:?}", job.retry);
    assert!((0.0..=1.0).contains(&job.guard.max_rejected.unwrap_or(0.1)), "{:?}", job.guard);
    assert!(job.guard.max_already_done.is_none_or(|share| share > 0.0 && share <= 1.0), "{:?}", job.guard);
    assert!(job.guard.max_change.is_none_or(|factor| factor.is_finite() && factor >= 1.0), "{:?}", job.guard);
    assert!(job.stop.failed_share > 0.0 && job.stop.failed_share <= 1.0, "{:?}", job.stop);
    let is_time = |time: &TimeOfDay| time.hour < 24 && time.minute < 60;
    match &job.times.daily {
        Some(TimeOfDayLimit::Until(time)) => assert!(is_time(time), "{:?}", job.times),
        Some(TimeOfDayLimit::Window(Window { from, to, .. })) => {
            assert!(is_time(from) && is_time(to) && from != to, "{:?}", job.times);
        }
        None => {}
    }
}

fn check_error(error: &JobFileError, text: &str) {
    match error {
        JobFileError::Read { .. } => assert!(text.contains('\u{fffd}'), "a file that is there can be read: {error}"),
        JobFileError::Wrong(diagnostic) => {
            assert!(!diagnostic.message.trim().is_empty());
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let _a_line = text.split('\n').nth(diagnostic.line - 1).expect("a line of the file");
        }
    }
}

/// As the user sees it.
fn shown(error: &JobFileError) -> String {
    format!("{} {error:?}", error.with_hint())
}

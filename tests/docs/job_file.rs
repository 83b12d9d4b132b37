//! The example of docs/reference/job-file.md: it loads, its defaults are the real ones, and it shows every key.

use std::num::NonZeroU32;

use imbulk::domain::job::Job;
use imbulk::settings::{Env, load_job};

use super::pages::blocks;
use super::read;

/// The example as the page shows it.
fn example() -> String {
    let mut blocks = blocks("docs/reference/job-file.md").into_iter();
    blocks.find(|block| block.language == "toml").expect("an example").text
}

/// The key that a line shows, whether it is in use or not.
fn key(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start_matches("# ").split_once(" = ")?;
    key.chars().all(|c| c.is_ascii_lowercase() || c == '_').then_some(key)
}

/// The example with the commented lines in use that `wanted` picks.
fn with(wanted: impl Fn(&str) -> bool) -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if key(line).is_some() && wanted(line) => rest.to_owned(),
        Some(_) | None => line.to_owned(),
    };
    example().lines().map(|text| line(text) + "\n").collect()
}

fn load(text: &str) -> Result<Job, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("job.toml");
    std::fs::write(&file, text).expect("a file");
    let job = load_job(&file, &Env::default()).map_err(|error| error.to_string())?;
    // The folder is another one each time.
    Ok(Job { file: "job.toml".into(), ..job })
}

/// Everything that a job file sets, except its own path.
fn settings_of(job: &Job) -> String {
    let Job { limits, retry, stop, app, name, operation, priority, .. } = job;
    let input = (&job.input.columns, job.input.encoding, job.input.delimiter, job.input.rejects, job.input.unusual_ids);
    let guard = (job.guard.max_items, job.guard.max_change, job.guard.max_rejected.unwrap_or(0.1));
    format!(
        "{name} {} {} {priority} {input:?} {app:?} {limits:?} {retry:?} {guard:?} {stop:?}",
        operation.name,
        operation.options_json()
    )
}

#[test]
fn the_example_loads() {
    let job = load(&example()).expect("a good job file");
    assert_eq!(job.name, "purge-trial-accounts");
    assert_eq!(job.limits.max_in_flight, None);
}

#[test]
fn what_the_example_calls_a_default_is_the_default() {
    let is_default = |line: &str| line.contains("# default");
    let shown = example().lines().filter(|line| line.starts_with("# ") && is_default(line)).count();
    assert_eq!(shown, 14, "the defaults that this test compares");
    let explicit = load(&with(is_default)).expect("a good job file");
    assert_eq!(settings_of(&explicit), settings_of(&load(&example()).expect("a good job file")));
}

#[test]
fn every_other_key_of_the_example_can_be_used() {
    let in_flight = load(&with(|line| key(line) == Some("max_in_flight"))).expect("a good job file");
    assert_eq!(in_flight.limits.max_in_flight, NonZeroU32::new(64));
    load(&with(|line| key(line) == Some("delimiter"))).expect("a good job file");
    let more = ["cap_was_raised", "min_items", "max_already_done", "canary", "hold", "approval"];
    let guarded = load(&with(|line| key(line).is_some_and(|key| more.contains(&key)))).expect("a good job file");
    assert_eq!((guarded.guard.max_already_done, guarded.guard.canary), (Some(0.5), Some(100)));
    let reported = load(&with(|line| key(line) == Some("file"))).expect("a good job file");
    assert!(reported.report.file.is_some());
    let both = load(&with(|line| key(line) == Some("endpoint"))).unwrap_err();
    assert!(both.contains("both given"), "{both}");
    let endpoint = with(|line| key(line) == Some("endpoint")).replace("region = ", "# region = ");
    load(&endpoint).expect("a good job file");
    let friends = with(|line| key(line) == Some("delete_type")).replace("account_delete", "friend_delete_all");
    load(&friends.replace("columns = ", "# columns = ")).expect("a good job file");
}

#[test]
fn the_example_shows_every_key() {
    let source = read("src/settings/job_file/raw.rs");
    let keys = source.lines().filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(": "));
    let keys: Vec<&str> = keys.map(|(key, _)| key).collect();
    assert!(keys.len() > 20, "the keys are not where this test looks for them: {keys:?}");
    let example = example();
    for wanted in keys {
        let is_section = example.contains(&format!("[{wanted}]"));
        assert!(is_section || example.lines().any(|line| key(line) == Some(wanted)), "{wanted} is missing");
    }
}

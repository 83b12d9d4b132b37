//! The texts whose digests the queue stores with a run or a plan, such as those of the job's definition and of its
//! settings.
//!
//! Each field is written here, so that renaming a type or a field changes no digest. The form is that of the first
//! builds. With other digests, each unfinished run would look as if its job had changed.

use std::num::NonZeroU32;

use crate::domain::job::{
    Backup, Delimiter, Encoding, Guard, InputSettings, Job, Limits, RejectPolicy, Retry, Stop, UnusualIds,
};
use crate::domain::response::tally::Tally;
use crate::domain::time_limit::{TimeLimits, TimeOfDay, TimeOfDayLimit};
use crate::input::Stamp;
use crate::queue::Run;

/// The digest that the queue stores of a text.
pub(super) fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Everything that decides what a row of the input means: operation, options, columns, encoding, delimiter and unusual
/// ids.
pub(super) fn definition(job: &Job) -> String {
    let Job { operation, input, .. } = job;
    let (format, ids) = (input_format(input), unusual_ids(input.unusual_ids));
    format!("{} {} {format} {ids}", operation.name, operation.options_json())
}

/// What decides which rows of the last run are carried over.
pub(super) fn carried(Run { uuid, finished_at, ended_at, .. }: &Run, nights: NonZeroU32, tally: &Tally) -> String {
    let rows: Vec<String> = tally.iter().map(|(outcome, rows)| format!("{outcome} {rows}")).collect();
    format!("{uuid} {nights} {} {finished_at:?} {ended_at:?}", rows.join(" "))
}

/// What the file system says of the files of the input; equal texts mean unchanged files.
pub(super) fn stamp(name: &str, Stamp { size, modified, changed, inode }: Stamp) -> String {
    let [(modified, modified_ns), (changed, changed_ns)] = [modified, changed];
    let (device, inode) = inode;
    format!("{name:?} {size} {modified}.{modified_ns:09} {changed}.{changed_ns:09} {device}:{inode}")
}

/// The definition in the form of earlier versions: without `unusual_ids`, and with the value of `delete_type` in place
/// of all options.
fn earlier_definitions(job: &Job) -> [String; 2] {
    let Job { operation, input, .. } = job;
    let delete_type = if operation.is_set("delete_type", "both") { "both" } else { "single" };
    let first = format!("{} {delete_type} {}", operation.name, input_format(input));
    let second = format!("{first} {}", unusual_ids(input.unusual_ids));
    [first, second]
}

/// Whether a digest is that of the job's definition, also in the form of an earlier version.
pub(super) fn is_definition(job: &Job, known: &str) -> bool {
    let earlier = earlier_definitions(job);
    known == digest(&definition(job)) || earlier.iter().any(|text| digest(text) == known)
}

/// Limits, retries, guards, stops, times, rejects, endpoint, admin and backup. The protected list has a digest of its
/// own: a file that is only moved changes nothing.
pub(super) fn settings(job: &Job, endpoint: Option<&str>, admin: Option<&str>) -> String {
    let Job { limits: limits_of_job, retry: retry_of_job, guard: guard_of_job, stop: stop_of_job, .. } = job;
    let parts = [
        limits(limits_of_job),
        retry(retry_of_job),
        guard(guard_of_job),
        stop(stop_of_job),
        times(&job.times),
        rejects(job.input.rejects).to_owned(),
        format!("{endpoint:?}"),
        format!("{admin:?}"),
    ];
    parts.into_iter().chain(job.backup.as_ref().map(backup)).collect::<Vec<_>>().join(" ")
}

fn input_format(InputSettings { columns, encoding, delimiter, .. }: &InputSettings) -> String {
    let encoding = match encoding {
        Encoding::Utf8 => "Utf8",
        Encoding::Gbk => "Gbk",
    };
    let delimiter = match delimiter {
        None => "None",
        Some(Delimiter::Comma) => "Some(Comma)",
        Some(Delimiter::Semicolon) => "Some(Semicolon)",
        Some(Delimiter::Tab) => "Some(Tab)",
        Some(Delimiter::Pipe) => "Some(Pipe)",
    };
    format!("{columns:?} {encoding} {delimiter}")
}

const fn unusual_ids(policy: UnusualIds) -> &'static str {
    match policy {
        UnusualIds::Reject => "Reject",
        UnusualIds::Allow => "Allow",
    }
}

const fn rejects(policy: RejectPolicy) -> &'static str {
    match policy {
        RejectPolicy::Count => "Count",
        RejectPolicy::Allow => "Allow",
    }
}

fn limits(Limits { calls_per_second, app_calls_per_second, calls_per_day, max_in_flight }: &Limits) -> String {
    format!(
        "Limits {{ calls_per_second: {calls_per_second}, app_calls_per_second: {app_calls_per_second}, \
         calls_per_day: {calls_per_day:?}, max_in_flight: {max_in_flight:?} }}"
    )
}

fn retry(Retry { max_attempts, base_delay, max_delay }: &Retry) -> String {
    format!("Retry {{ max_attempts: {max_attempts}, base_delay: {base_delay:?}, max_delay: {max_delay:?} }}")
}

fn guard(guard: &Guard) -> String {
    let Guard { protected: _, min_items, max_items, max_change, max_rejected, max_already_done, .. } = guard;
    let Guard { canary, hold, unless_online, approval, .. } = guard;
    // Nothing is added for jobs of earlier versions.
    let approval = if approval.is_some() { " approval" } else { "" };
    format!(
        "Guard {{ protected: None, min_items: {min_items:?}, max_items: {max_items:?}, max_change: {max_change:?}, \
         max_rejected: {max_rejected:?}, max_already_done: {max_already_done:?}, canary: {canary:?}, hold: {hold:?}, \
         unless_online: {unless_online} }}{approval}"
    )
}

fn stop(Stop { failed_share, after_items, outage }: &Stop) -> String {
    format!("Stop {{ failed_share: {failed_share:?}, after_items: {after_items}, outage: {outage:?} }}")
}

fn times(TimeLimits { daily, max_runtime }: &TimeLimits) -> String {
    let daily = match daily {
        None => "None".to_owned(),
        Some(TimeOfDayLimit::Until(TimeOfDay { hour, minute })) => {
            format!("Some(Until(TimeOfDay {{ hour: {hour}, minute: {minute} }}))")
        }
        Some(TimeOfDayLimit::Window(window)) => format!("Some(Window({window}))"),
    };
    format!("TimeLimits {{ daily: {daily}, max_runtime: {max_runtime:?} }}")
}

fn backup(Backup { folder, line: _, with_friends }: &Backup) -> String {
    let folder = folder.to_string_lossy();
    format!("Backup {{ folder: {folder:?}, with_friends: {with_friends} }}")
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};
    use std::time::Duration;

    use super::*;
    use crate::domain::job::{App, Notify, Reporting};
    use crate::domain::operation::by_name;

    fn job() -> Job {
        let number = |number| NonZeroU32::new(number).unwrap();
        let options = [("delete_type".to_owned(), "both".to_owned())].into();
        Job {
            name: "purge".to_owned(),
            file: "purge.toml".into(),
            priority: 0,
            operation: by_name("friend_delete").unwrap().bind(&options).unwrap(),
            input: InputSettings {
                paths: vec!["export.csv".to_owned()],
                columns: [("To_Account".to_owned(), "friend \"id\"".to_owned())].into(),
                encoding: Encoding::Gbk,
                delimiter: Some(Delimiter::Pipe),
                rejects: RejectPolicy::Allow,
                unusual_ids: UnusualIds::Reject,
            },
            app: App::default(),
            app_in_file: App::default(),
            limits: Limits {
                calls_per_second: number(50),
                app_calls_per_second: number(200),
                calls_per_day: NonZeroU64::new(9_000),
                max_in_flight: None,
            },
            retry: Retry {
                max_attempts: number(8),
                base_delay: Duration::from_millis(500),
                max_delay: Duration::from_mins(1),
            },
            carry_over: None,
            guard: Guard {
                protected: None,
                min_items: None,
                max_items: NonZeroU64::new(100),
                max_change: Some(3.0),
                max_rejected: None,
                max_already_done: Some(0.5),
                canary: Some(10),
                hold: Some(Duration::from_mins(1)),
                approval: None,
                unless_online: true,
            },
            stop: Stop { failed_share: 0.05, after_items: 1_000, outage: Some(Duration::from_mins(10)) },
            times: TimeLimits {
                daily: Some(TimeOfDayLimit::Until(TimeOfDay { hour: 6, minute: 0 })),
                max_runtime: Some(Duration::from_hours(2)),
            },
            report: Reporting::default(),
            notify: Notify::default(),
            backup: Some(Backup { folder: "/srv/backup".into(), line: 9, with_friends: true }),
        }
    }

    #[test]
    fn the_texts_of_a_job_are_those_of_earlier_builds() {
        let format = r#"{"To_Account": "friend \"id\""} Gbk Some(Pipe)"#;
        let [first, second] = earlier_definitions(&job());
        assert_eq!(first, format!("friend_delete both {format}"));
        assert_eq!(second, format!("{first} Reject"));
        assert_eq!(definition(&job()), format!(r#"friend_delete {{"delete_type":"both"}} {format} Reject"#));
        assert_eq!(
            settings(&job(), Some("https://console.tim.qq.com"), None),
            "Limits { calls_per_second: 50, app_calls_per_second: 200, calls_per_day: Some(9000), max_in_flight: None \
             } Retry { max_attempts: 8, base_delay: 500ms, max_delay: 60s } \
             Guard { protected: None, min_items: None, max_items: Some(100), max_change: Some(3.0), \
             max_rejected: None, max_already_done: Some(0.5), canary: Some(10), hold: Some(60s), unless_online: true } \
             Stop { failed_share: 0.05, after_items: 1000, outage: Some(600s) } \
             TimeLimits { daily: Some(Until(TimeOfDay { hour: 6, minute: 0 })), max_runtime: Some(7200s) } \
             Allow Some(\"https://console.tim.qq.com\") None Backup { folder: \"/srv/backup\", with_friends: true }"
        );
    }
}

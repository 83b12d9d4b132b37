//! The limits of the job, the queue file and its disk.

use std::num::NonZeroU32;

use super::Finding;
use crate::domain::guard::{Bytes, DiskSpace};
use crate::domain::job::Job;

/// What is known of the queue file.
#[derive(Debug, Clone)]
pub struct QueueFacts {
    /// The path as the user named it.
    pub path: String,
    /// The permissions, if the file exists.
    pub mode: Option<u32>,
    /// Why no file can be written in its folder, if so.
    pub unwritable: Option<String>,
}

/// What is known of the queue's disk.
#[derive(Debug, Clone, Copy)]
pub struct DiskFacts {
    /// Its state before the run; none if unknown.
    pub space: Option<DiskSpace>,
    /// Bytes of the input files.
    pub input: u64,
    /// Whether any of them is compressed.
    pub is_compressed: bool,
}

/// Compares the rates of a job with the published caps.
pub fn limits(job: &Job, app_cap: NonZeroU32) -> Finding {
    let (rate, cap) = (job.limits.calls_per_second.get(), job.operation.calls_per_second);
    let app_rate = job.limits.app_calls_per_second;
    let above = [("calls_per_second", rate, cap), ("app_calls_per_second", app_rate.get(), app_cap.get())];
    if let Some((key, rate, cap)) = above.into_iter().find(|(_, rate, cap)| rate > cap) {
        let text = format!("limits.{key} = {rate} is above the published cap of {cap} calls/s");
        return Finding::warning("limits", text, "ask Tencent whether the cap of this app was raised");
    }
    Finding::ok("limits", format!("{rate} calls/s of at most {cap}, and {app_rate} calls/s for the app"))
}

/// Checks the queue file and its folder.
pub fn queue_file(facts: &QueueFacts) -> Finding {
    let QueueFacts { path, mode, unwritable } = facts;
    if let Some(why) = unwritable {
        let text = format!("{path}: its folder cannot be written to: {why}");
        return Finding::error("queue", text, "name another one with --queue, or change the folder");
    }
    match mode {
        None => Finding::ok("queue", format!("{path} will be created")),
        Some(mode) if mode & 0o077 != 0 => {
            let text = format!("{path}: other users may open it (mode {:04o})", mode & 0o7777);
            Finding::warning("queue", text, format!("chmod 600 {path}"))
        }
        Some(_) => Finding::ok("queue", format!("{path} is readable only by its owner")),
    }
}

/// Requests in flight for which the reserve is calculated.
const IN_FLIGHT: u64 = 64;

/// Compares the free space with what the queue of this input and the reserve need, at most. A run begins if the reserve
/// without any request in flight is free.
pub fn disk(facts: &DiskFacts, items_per_request: usize) -> Finding {
    let Some(begin) = facts.space else { return Finding::ok("disk", "not checked: the free space is unknown") };
    let free = begin.free;
    let space = DiskSpace { items: items_per_request as u64 * IN_FLIGHT, ..begin };
    let factor = if facts.is_compressed { 30 } else { 3 };
    let needed = Bytes(space.reserve().0.saturating_add(facts.input.saturating_mul(factor)));
    let text = format!("{free} are free; the queue and its reserve need up to {needed}");
    if begin.is_short() {
        return Finding::error("disk", text, "free some space, or name a queue on another disk with --queue");
    }
    if free < needed {
        return Finding::warning("disk", text, "free some space, or name a queue on another disk with --queue");
    }
    Finding::ok("disk", text)
}

/// What is known of the folder of a backup, which can be used.
#[derive(Debug)]
pub struct BackupFacts {
    /// The folder.
    pub folder: String,
    /// Whether it exists already.
    pub exists: bool,
    /// What is free on its disk; none if unknown.
    pub free: Option<Bytes>,
    /// The bytes of the input.
    pub input: u64,
}

/// Compares the free space with the size of the input. How much a backup takes is not known before it is read.
pub fn backup(facts: &BackupFacts) -> Finding {
    const CHECK: &str = "backup";
    let BackupFacts { folder, exists, free, input } = facts;
    let will_be = if *exists { "" } else { " will be created" };
    let Some(free) = free else {
        return Finding::ok(CHECK, format!("{folder}{will_be}; the free space is unknown"));
    };
    let text = format!("{folder}{will_be}; {free} are free");
    if free.0 < *input {
        let text = format!("{text}, less than the size of the input ({})", Bytes(*input));
        return Finding::warning(CHECK, text, "free some space, or name a folder on another disk in `backup.path`");
    }
    Finding::ok(CHECK, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_queue_that_others_may_open_is_a_warning_and_a_folder_without_access_is_an_error() {
        let level = |mode, unwritable: Option<&str>| {
            queue_file(&QueueFacts { path: "q.db".to_owned(), mode, unwritable: unwritable.map(str::to_owned) }).level
        };
        assert_eq!((level(None, None), level(Some(0o100_600), None)), (Level::Ok, Level::Ok));
        assert_eq!((level(Some(0o100_644), None), level(None, Some("denied"))), (Level::Warning, Level::Error));
    }

    #[test]
    fn space_below_the_reserve_is_an_error_and_below_the_need_of_the_input_a_warning() {
        const MIB: u64 = 1 << 20;
        let space = |free, size| DiskSpace { free: Bytes(free), size: Bytes(size), wal: Bytes(0), items: 0 };
        let level = |free, input, is_compressed| {
            disk(&DiskFacts { space: Some(space(free, 1 << 40)), input, is_compressed }, 100).level
        };
        assert_eq!(level(1000 * MIB, 10 * MIB, false), Level::Ok);
        assert_eq!(level(1000 * MIB, 400 * MIB, false), Level::Warning);
        assert_eq!(level(1000 * MIB, 40 * MIB, true), Level::Warning, "packed input grows");
        assert_eq!(level(60 * MIB, 0, false), Level::Error);
        let of_friends = |free, size| {
            disk(&DiskFacts { space: Some(space(free, size)), input: 0, is_compressed: false }, 1000).level
        };
        assert_eq!(of_friends(400 * MIB, 1 << 40), Level::Warning, "it begins, and may have to stop early");
        assert_eq!(of_friends(400 * MIB, 1 << 30), Level::Ok, "the reserve is a quarter of the disk at most");
    }

    #[test]
    fn a_disk_with_less_space_than_the_input_is_a_warning_for_a_backup() {
        let of = |free, exists| {
            let free = Option::<u64>::map(free, Bytes);
            backup(&BackupFacts { folder: "backups".to_owned(), exists, free, input: 2000 })
        };
        assert_eq!((of(Some(2000), true).level, of(Some(1999), true).level), (Level::Ok, Level::Warning));
        assert_eq!(of(None, false).level, Level::Ok);
        assert!(of(Some(5000), false).text.starts_with("backups will be created; "), "{:?}", of(Some(5000), false));
    }
}

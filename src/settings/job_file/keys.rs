//! The keys of the job file as data: what the JSON schema says of them, and what `imbulk init` writes.

use KeyKind::{
    Boolean, Columns, CommandLine, Count, Duration, DurationOrNever, Factor, Files, JobName, MetricsFile, OneOf,
    Operation, Protected, Region, ReportFile, Share, Text, TimeOfDay, Url, Window,
};

/// A key of the job file. The keys of `[options]` are not here: each operation has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobKey {
    /// The section; empty for the keys above all sections.
    pub section: &'static str,
    /// The key.
    pub name: &'static str,
    /// The values that it takes.
    pub kind: KeyKind,
    /// Whether the key must be there.
    pub required: bool,
    /// A value, as TOML.
    pub example: &'static str,
    /// Whether the example is the default of every operation.
    pub is_default: bool,
    /// What it does: fits on a line next to the key.
    pub about: &'static str,
}

/// The values that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// The name of a job.
    JobName,
    /// The name of an operation.
    Operation,
    /// The name of a region.
    Region,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// A URL.
    Url,
    /// A file, or a list of files.
    Files,
    /// A program and its arguments.
    CommandLine,
    /// A file whose name ends with `.html`, `.json` or `.md`.
    ReportFile,
    /// A file whose name ends with `.prom`.
    MetricsFile,
    /// The file's own name for each column of the operation.
    Columns,
    /// A file, or the empty list.
    Protected,
    /// `true` or `false`.
    Boolean,
    /// A whole number of at least `min`.
    Count {
        /// The smallest one.
        min: u64,
    },
    /// A number up to 1.
    Share {
        /// Whether 0 is allowed.
        zero: bool,
    },
    /// A number of at least 1.
    Factor,
    /// Such as `500ms` or `72h`.
    Duration,
    /// A duration, or `never`.
    DurationOrNever,
    /// Such as `06:00`.
    TimeOfDay,
    /// Such as `02:00-06:00`, with or without a time zone.
    Window,
}

impl JobKey {
    const fn new(
        section: &'static str,
        name: &'static str,
        kind: KeyKind,
        example: &'static str,
        about: &'static str,
    ) -> Self {
        Self { section, name, kind, required: false, example, is_default: false, about }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn default(self) -> Self {
        Self { is_default: true, ..self }
    }
}

const COUNT: KeyKind = Count { min: 1 };

/// Every key, in the order in which a job file has them.
pub const JOB_KEYS: &[JobKey] = &[
    JobKey::new("", "name", JobName, "\"purge\"", "letters, digits, - _ . ; runs are found under it").required(),
    JobKey::new("", "operation", Operation, "\"account_delete\"", "the kind of API call").required(),
    JobKey::new(
        "",
        "priority",
        Count { min: 0 },
        "0",
        "of several jobs of one command, those with a higher one are sent first",
    )
    .default(),
    JobKey::new(
        "input",
        "path",
        Files,
        "\"rows.csv\"",
        "relative to this file; a list, a glob, or \"-\" for standard input",
    )
    .required(),
    JobKey::new("input", "columns", Columns, "{ UserID = \"user_id\" }", "the API's name = the file's own name"),
    JobKey::new("input", "encoding", OneOf(&["utf-8", "gbk"]), "\"utf-8\"", "or \"gbk\"").default(),
    JobKey::new(
        "input",
        "delimiter",
        OneOf(&[",", ";", "tab", "|", "\t"]),
        "\",\"",
        "or \";\", \"tab\", \"|\"; left out: found from the header",
    ),
    JobKey::new(
        "input",
        "rejects",
        OneOf(&["count", "allow"]),
        "\"count\"",
        "rejected rows cause exit code 3; \"allow\": they do not",
    )
    .default(),
    JobKey::new(
        "input",
        "unusual_ids",
        OneOf(&["reject", "allow"]),
        "\"reject\"",
        "rejects ids that no export writes on purpose; \"allow\": sends them",
    )
    .default(),
    JobKey::new("app", "sdkappid", COUNT, "1400000001", "the console shows it"),
    JobKey::new("app", "identifier", Text, "\"administrator\"", "an admin of the app; it signs the calls"),
    JobKey::new("app", "region", Region, "\"singapore\"", "the data center of the app"),
    JobKey::new(
        "app",
        "endpoint",
        Url,
        "\"https://example.com\"",
        "instead of region; plain http only to this machine",
    ),
    JobKey::new("limits", "calls_per_second", COUNT, "100", "left out: the cap of the operation"),
    JobKey::new("limits", "app_calls_per_second", COUNT, "200", "for all calls that this machine sends to the app")
        .default(),
    JobKey::new(
        "limits",
        "calls_per_day",
        COUNT,
        "1000000",
        "for all calls to the app on a calendar day; then exit code 5",
    ),
    JobKey::new("limits", "max_in_flight", COUNT, "64", "left out: as many as the rate needs"),
    JobKey::new("limits", "cap_was_raised", Boolean, "false", "only if true may a rate exceed the published cap")
        .default(),
    JobKey::new("retry", "max_attempts", COUNT, "8", "includes the first attempt").default(),
    JobKey::new("retry", "base_delay", Duration, "\"500ms\"", "delays are random, from 0 to this, doubling each time")
        .default(),
    JobKey::new("retry", "max_delay", Duration, "\"60s\"", "no delay is longer").default(),
    JobKey::new(
        "retry",
        "carry_over",
        COUNT,
        "3",
        "failed and in-doubt rows join the next run, each at most this many times",
    ),
    JobKey::new(
        "guard",
        "protected",
        Protected,
        "\"never-delete.txt\"",
        "ids that are never sent, one per line; [] means no id",
    ),
    JobKey::new("guard", "min_items", COUNT, "1", "with fewer items, nothing is sent"),
    JobKey::new("guard", "max_items", COUNT, "1000", "with more items, nothing is sent"),
    JobKey::new(
        "guard",
        "max_change",
        Factor,
        "3.0",
        "with more than this many times the median of the last runs, nothing is sent",
    ),
    JobKey::new(
        "guard",
        "max_rejected",
        Share { zero: true },
        "0.1",
        "if a larger share of the rows is rejected, nothing is sent",
    ),
    JobKey::new(
        "guard",
        "max_already_done",
        Share { zero: false },
        "0.5",
        "the run halts when this share of the items is already_done",
    ),
    JobKey::new(
        "guard",
        "canary",
        Count { min: 0 },
        "100",
        "the first items must have outcomes before the rest is sent; left out: 100 on a real app",
    ),
    JobKey::new("guard", "hold", Duration, "\"72h\"", "a planned run is not sent before this time has passed"),
    JobKey::new(
        "guard",
        "approval",
        Text,
        "\"allowed_signers\"",
        "a second person, whose key is in this file, must sign the plan before it is sent",
    ),
    JobKey::new(
        "guard",
        "unless_online",
        Boolean,
        "true",
        "account_delete: asks before each call which accounts are online, and leaves these out",
    ),
    JobKey::new(
        "stop",
        "failed_share",
        Share { zero: false },
        "0.5",
        "the fuse: the run halts when this share of the items has failed",
    )
    .default(),
    JobKey::new(
        "stop",
        "after_items",
        COUNT,
        "1000",
        "failed_share and max_already_done apply from this many items on",
    )
    .default(),
    JobKey::new(
        "stop",
        "outage",
        DurationOrNever,
        "\"2m\"",
        "the run halts after this time without a successful call; or \"never\"",
    )
    .default(),
    JobKey::new("stop", "until", TimeOfDay, "\"06:00\"", "local time: no new calls after it (exit code 5)"),
    JobKey::new(
        "stop",
        "window",
        Window,
        "\"02:00-06:00 Asia/Shanghai\"",
        "instead of until: no calls outside of it (exit code 5)",
    ),
    JobKey::new(
        "stop",
        "max_runtime",
        Duration,
        "\"4h\"",
        "no new calls after this time since the start of the command (exit code 5)",
    ),
    JobKey::new(
        "report",
        "file",
        ReportFile,
        "\"{job}-{run}.html\"",
        "a report on each run that is sent, written when the command ends; .json and .md are other formats",
    ),
    JobKey::new(
        "report",
        "metrics",
        MetricsFile,
        "\"imbulk.prom\"",
        "a Prometheus textfile, replaced after each run --execute",
    ),
    JobKey::new(
        "notify",
        "ping",
        Url,
        "\"https://hc-ping.com/UUID\"",
        "a monitoring service, informed of the start and the end of each run --execute",
    ),
    JobKey::new(
        "notify",
        "command",
        CommandLine,
        "[\"./notify.sh\"]",
        "started after each run --execute, with the summary as JSON on its standard input",
    ),
    JobKey::new(
        "backup",
        "path",
        Text,
        "\"backups/\"",
        "a folder: what the job changes is read and stored there before; what cannot be read is not changed",
    ),
    JobKey::new("backup", "friends", Boolean, "false", "account_delete: stores the friend lists of the accounts, too")
        .default(),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::settings::job_file::raw::{
        RawApp, RawBackup, RawGuard, RawInput, RawJob, RawLimits, RawNotify, RawReport, RawRetry, RawStop,
    };
    use crate::settings::{Env, load_job};

    /// The keys that the reader of a section knows, as its error about an unknown key names them.
    fn known<T: DeserializeOwned>() -> BTreeSet<String> {
        let Err(error) = toml::from_str::<T>("unknown-key = 1") else { panic!("an unknown key was accepted") };
        error.message().split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }

    fn listed(section: &str) -> BTreeSet<String> {
        JOB_KEYS.iter().filter(|key| key.section == section).map(|key| key.name.to_owned()).collect()
    }

    #[test]
    fn the_table_has_every_key_that_the_reader_knows_and_no_other() {
        for (section, known) in [
            ("input", known::<RawInput>()),
            ("app", known::<RawApp>()),
            ("limits", known::<RawLimits>()),
            ("retry", known::<RawRetry>()),
            ("guard", known::<RawGuard>()),
            ("stop", known::<RawStop>()),
            ("report", known::<RawReport>()),
            ("notify", known::<RawNotify>()),
            ("backup", known::<RawBackup>()),
        ] {
            assert_eq!(listed(section), known, "[{section}]");
        }
        let sections = JOB_KEYS.iter().map(|key| key.section).filter(|section| !section.is_empty());
        let top: BTreeSet<String> =
            listed("").into_iter().chain(sections.chain(["options"]).map(str::to_owned)).collect();
        assert_eq!(top, known::<RawJob>(), "the keys above all sections, and the sections");
    }

    /// The settings of a job with the keys that `wanted` selects.
    fn settings(wanted: impl Fn(&JobKey) -> bool) -> String {
        let mut text = String::new();
        let mut section = "";
        for key in JOB_KEYS.iter().filter(|key| key.required || wanted(key)) {
            if key.section != section {
                section = key.section;
                text.push_str(&format!("[{section}]\n"));
            }
            text.push_str(&format!("{} = {}\n", key.name, key.example));
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let job = load_job(file.path(), &Env::default()).unwrap_or_else(|error| panic!("{error} in\n{text}"));
        format!("{:?} {:?} {:?} {:?} {:?}", job.limits, job.retry, job.guard, job.stop, job.times)
            + &format!("{:?}", job.carry_over)
            + &format!("{:?} {:?} {:?} {:?}", job.report, job.notify.ping, job.notify.command, job.backup)
            + &format!("{:?} {:?} {:?}", job.input.encoding, job.input.rejects, job.input.unusual_ids)
    }

    #[test]
    fn what_the_table_calls_a_default_is_the_default() {
        assert_eq!(settings(|key| key.is_default), settings(|_| false));
        for key in JOB_KEYS.iter().filter(|key| !key.is_default && !["input", "app", ""].contains(&key.section)) {
            let is_cap = key.name == "calls_per_second";
            let changes = settings(|other| other == key) != settings(|_| false);
            assert!(changes || is_cap, "{} changes nothing: is its example the default?", key.name);
        }
    }

    #[test]
    fn every_example_can_be_used() {
        let exclusive = ["region", "max_items", "window"];
        settings(|key| !exclusive.contains(&key.name));
        settings(|key| exclusive.contains(&key.name));
    }
}

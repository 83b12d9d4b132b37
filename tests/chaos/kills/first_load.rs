//! `status` and `results` answer at any time: after a kill at any moment, and while a first run is loaded.

use std::path::Path;

use imbulk_sandbox::Command;
use rustix::process::Signal;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::points::many_skipped;
use super::{Victim, Work};
use crate::power::mount_namespace::MountNamespace;
use imbulk_testkit::requirements::{self, Requirement};
use imbulk_testkit::rows::plain;
use imbulk_testkit::{FAST, ProgramOutput};

/// The queue, and the files beside it that belong to it.
const PARTS: [&str; 3] = ["", "-wal", "-journal"];

impl Victim {
    /// A copy of the queue as the kill left it.
    pub(super) fn copy(&self) -> &'static str {
        let copy = "copy.db";
        for ending in PARTS.iter().chain(&["-shm"]) {
            let _not_there = std::fs::remove_file(self.workspace.path(&format!("{copy}{ending}")));
        }
        for ending in PARTS {
            let part = self.workspace.path(&format!("imbulk.db{ending}"));
            if part.exists() {
                std::fs::copy(part, self.workspace.path(&format!("{copy}{ending}")))
                    .expect("the folder can be written to");
            }
        }
        copy
    }

    fn imbulk_on(&self, queue: &str, args: &[&str]) -> ProgramOutput {
        self.workspace.imbulk(&[&["--queue", queue], args].concat())
    }

    /// After any kill, `status` lists the runs, and their outcomes add up. Returns the jobs.
    #[track_caller]
    pub(super) fn ask(&self, queue: &str) -> Vec<String> {
        if !self.workspace.path(queue).exists() {
            self.imbulk_on(queue, &["status", "--json"]).expect(2).says("there is no queue");
            return Vec::new();
        }
        let status: Value =
            serde_json::from_str(&self.imbulk_on(queue, &["status", "--json"]).expect(0).stdout).expect("JSON");
        let runs = status["runs"].as_array().expect("a list");
        for run in runs {
            let outcomes = run["outcomes"].as_object().expect("outcomes").values();
            assert_eq!(
                Some(outcomes.map(|rows| rows.as_u64().expect("a number")).sum()),
                run["rows"].as_u64(),
                "{run}"
            );
        }
        runs.iter().map(|run| run["job"].as_str().expect("a name").to_owned()).collect()
    }

    /// The same for `status` and all `results`.
    #[track_caller]
    pub(super) fn ask_all(&self, queue: &str) {
        let known = self.ask(queue);
        let code = if self.workspace.path(queue).exists() { 0 } else { 2 };
        let text = self.imbulk_on(queue, &["status"]).expect(code);
        if code == 0 && known.is_empty() {
            assert_eq!(text.stdout, "no runs yet: imbulk plan JOB loads one\n");
        }
        for work in &self.works {
            let results = self.imbulk_on(queue, &["results", work.name]);
            if known.iter().any(|job| job == work.name) {
                // A header, and one line per row.
                assert_eq!(results.expect(0).stdout.lines().count(), 1 + work.asked.len());
            } else {
                let refused = results.expect(2);
                assert_eq!(refused.stdout, "");
                assert!(refused.stderr.contains("no job and no run named") || code == 2, "{refused:?}");
                assert!(refused.stderr.contains("hint: "), "{refused:?}");
            }
        }
    }
}

#[test]
fn while_a_first_run_is_loaded_other_commands_say_so_at_once() {
    let victim = Victim::new(vec![Work::new(Command::AccountDelete, many_skipped())], FAST);
    let mut running = victim.start();
    let journal = victim.workspace.path("imbulk.db-journal");
    // The process is stopped within a transaction, so that there is no moment at which the queue could be read.
    loop {
        assert!(running.is_alive(), "it was over before it could be asked");
        running.signal(Signal::STOP);
        while !is_stopped(running.pid()) {
            victim.workspace.nap();
        }
        if journal.exists() {
            break;
        }
        running.signal(Signal::CONT);
        victim.workspace.nap();
    }
    let loading = "may be loading";
    victim.workspace.imbulk(&["status"]).expect(0).says("no runs yet").says(loading);
    assert_eq!(victim.ask("imbulk.db"), [""; 0]);
    victim.workspace.imbulk(&["results", "job"]).expect(2).says("no job and no run named `job`").says(loading);
    running.signal(Signal::CONT);
    victim.live(&mut running, 1, imbulk_testkit::PATIENCE);
    assert_eq!(victim.ask("imbulk.db"), ["job"]);
    running.kill();
}

#[test]
fn a_partly_written_queue_on_a_read_only_disk_is_reported() {
    const NEEDS: &[Requirement] =
        &[Requirement::Root, Requirement::Tool("unshare"), Requirement::Tool("nsenter"), Requirement::Tool("mount")];
    if !requirements::are_met("half written", NEEDS) {
        return;
    }
    let victim = Victim::new(vec![Work::new(Command::AccountDelete, plain(Command::AccountDelete, 3))], FAST);
    let workspace = &victim.workspace;
    workspace.imbulk(&["plan", "job.toml"]).expect(0);
    leave_half_written(&workspace.path("imbulk.db"));
    let mut namespace = MountNamespace::new();
    let folder = workspace.folder().display();
    namespace.sh(&format!("mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"));
    let enter = namespace.enter(workspace.folder());
    let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
    for ask in [&["status"][..], &["status", "--json"], &["results", "job"]] {
        let refused = workspace.start_under(&enter, ask, b"").wait().expect(2);
        refused.says("a process was killed while it loaded the first run").says("hint: ");
    }
    drop(namespace);
    assert_eq!(victim.ask("imbulk.db"), ["job"], "where it may be written it is taken back");
}

/// Begins a change in a rollback journal, so large that a part of it is in the file, and leaves it unfinished.
fn leave_half_written(queue: &Path) {
    const CHANGE: [&str; 4] = [
        "PRAGMA journal_mode = DELETE",
        "PRAGMA cache_size = 1",
        "BEGIN IMMEDIATE",
        "UPDATE run SET state = 'finished', file_stamps = hex(zeroblob(1000000))",
    ];
    let left = ["", "-journal"].map(|ending| format!("{}{ending}", queue.display()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let killed = runtime.block_on(async {
        let mut connection = SqliteConnectOptions::new().filename(queue).connect().await.expect("a database");
        for sql in CHANGE {
            sqlx::query(sql).execute(&mut connection).await.expect("a change");
        }
        let killed = left.clone().map(|file| std::fs::read(file).expect("it is there"));
        // This rolls the change back.
        connection.close().await.expect("a database");
        killed
    });
    for (file, bytes) in left.iter().zip(killed) {
        std::fs::write(file, bytes).expect("the folder can be written to");
    }
}

/// Whether all of its threads are stopped.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    // The state follows the name, which is in parentheses.
    let state = |stat: String| stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    let stopped = |stat: std::io::Result<String>| stat.is_err() || stat.ok().and_then(state) == Some('T');
    threads.flatten().all(|thread| stopped(std::fs::read_to_string(thread.path().join("stat"))))
}

//! The workspace of a test: a folder, a sandbox in the process of the test, and the imbulk binary as a child process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::time::{Duration, Instant};

use imbulk_sandbox::{App, CallRecord, Caps, Command, Config, FaultRule, Latency, Profile, Report, Sandbox, World};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::app::{ADMIN, APP, FAST, KEY};
use crate::earlier_queue::{fixture, write_queue};
use crate::process::{PATIENCE, ProgramOutput, RunningProgram, program};
use crate::rows::ResultRow;
use crate::terminal::AtTerminal;

/// A sandbox within the test, and a folder with job files, inputs and a queue.
pub struct Workspace {
    sandbox: Sandbox,
    app: u64,
    folder: TempDir,
    runtime: Runtime,
    env: BTreeMap<String, String>,
    /// The accounts and friend lists before the first call.
    pub pristine: World,
    /// The caps that the sandbox started with.
    pub caps: Caps,
}

/// How the sandbox of a workspace starts.
#[derive(Clone, Copy)]
pub struct WorkspaceSetup {
    /// Makes the accounts and friend lists.
    pub world: fn() -> World,
    /// Calls per second that the sandbox accepts.
    pub caps: Caps,
    /// Every call takes this long, and up to this much longer.
    pub latency: Duration,
    /// The seed of faults and latencies.
    pub seed: u64,
}

impl Default for WorkspaceSetup {
    /// One in twenty accounts and friendships is missing. No test reaches the caps.
    fn default() -> Self {
        let caps =
            Command::ALL.into_iter().fold(Caps::default().with_app(FAST), |caps, command| caps.with(command, FAST));
        Self { world: || World::open_with_missing(7, 0.05, 0.05), caps, latency: Duration::ZERO, seed: 0 }
    }
}

impl WorkspaceSetup {
    /// The default setup, but nearly all items of an import are missing.
    pub fn of(operation: Command) -> Self {
        match operation {
            Command::AccountImport => Self { world: || World::open_with_missing(7, 0.95, 0.05), ..Self::default() },
            Command::FriendImport => Self { world: || World::open_with_missing(7, 0.05, 0.95), ..Self::default() },
            Command::AccountDelete
            | Command::FriendDelete
            | Command::FriendDeleteAll
            | Command::FriendUpdate
            | Command::AccountCheck
            | Command::FriendCheck
            | Command::FriendGet
            | Command::FriendGetList
            | Command::PortraitGet
            | Command::QueryOnlineStatus => Self::default(),
        }
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::with(WorkspaceSetup::default())
    }
}

impl Workspace {
    /// A workspace with the default setup.
    pub fn new() -> Self {
        Self::default()
    }

    /// A workspace with another setup.
    pub fn with(setup: WorkspaceSetup) -> Self {
        Self::of_app(setup, APP, KEY)
    }

    /// A workspace whose sandbox serves another app with a key of its own.
    pub fn of_app(setup: WorkspaceSetup, app: u64, key: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let config = Config {
            app: App { sdkappid: app, admins: vec![ADMIN.to_owned()], key: Some(key.into()) },
            caps: setup.caps,
            latency: Latency { fixed: setup.latency, jitter: setup.latency },
            faults: Vec::new(),
            seed: setup.seed,
            world: (setup.world)(),
            profile: Profile::default(),
        };
        let sandbox = runtime.block_on(Sandbox::start(config, ([127, 0, 0, 1], 0).into())).expect("a port");
        sandbox.keep_journal();
        let folder = tempfile::tempdir().expect("a folder");
        let env = [("IMBULK_SECRET_KEY", key), ("TZ", "UTC")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { sandbox, app, folder, runtime, env, pristine: (setup.world)(), caps: setup.caps }
    }

    /// Writes the queue of an earlier version and its jobs into the folder.
    pub fn restore(&self, version: &str) {
        self.runtime.block_on(write_queue(&self.path("imbulk.db"), version, |dump| dump));
        for file in std::fs::read_dir(fixture("jobs")).expect("a folder") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), self.folder().join(file.file_name())).expect("the folder can be written to");
        }
    }

    /// Sets an environment variable for the binary, which inherits none.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Removes an environment variable of the binary.
    pub fn unset_env(&mut self, name: &str) {
        self.env.remove(name);
    }

    /// The URL of the sandbox.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.sandbox.addr())
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder in which the binary runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The ledger of the processes that send to this sandbox.
    pub fn ledger(&self) -> PathBuf {
        format!("/tmp/imbulk-127.0.0.1-{}-{}.slots", self.sandbox.addr().port(), self.app).into()
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("the folder can be written to");
    }

    /// The sandbox's counts so far.
    pub fn report(&self) -> Report {
        self.sandbox.report()
    }

    /// The sandbox's record of each call so far.
    pub fn journal(&self) -> Vec<CallRecord> {
        self.sandbox.journal()
    }

    /// The time on the journal's clock.
    pub fn now(&self) -> u64 {
        self.sandbox.now()
    }

    /// Reads the accounts and friend lists. Calls wait until `read` returns.
    pub fn world<T>(&self, read: impl FnOnce(&World) -> T) -> T {
        read(&self.sandbox.world())
    }

    /// Sets who is online.
    pub fn set_online<'a>(&self, users: impl IntoIterator<Item = &'a str>, is_online: bool) {
        let mut world = self.sandbox.world();
        users.into_iter().for_each(|user| world.set_online(user, is_online));
    }

    /// Replaces the accounts and friend lists, for example by those of another workspace.
    pub fn set_world(&self, world: World) {
        *self.sandbox.world() = world;
    }

    /// Replaces the faults that the sandbox injects.
    pub fn faults(&self, rules: &[&str]) {
        self.sandbox.set_faults(
            rules.iter().map(|rule| rule.parse().unwrap_or_else(|e| panic!("{e}"))).collect::<Vec<FaultRule>>(),
        );
    }

    /// Replaces the caps of the sandbox.
    pub fn set_caps(&self, caps: Caps) {
        self.sandbox.set_caps(caps);
    }

    /// Runs the binary in the folder and waits for its end.
    pub fn imbulk(&self, args: &[&str]) -> ProgramOutput {
        self.start(args, b"").wait()
    }

    /// Runs the binary with these bytes on standard input.
    pub fn imbulk_reading(&self, args: &[&str], stdin: &[u8]) -> ProgramOutput {
        self.start(args, stdin).wait()
    }

    /// Runs `imbulk run JOB --execute --yes`.
    pub fn run(&self, job: &str) -> ProgramOutput {
        self.imbulk(&["run", job, "--execute", "--yes"])
    }

    /// Starts `imbulk run JOB --execute --yes`.
    pub fn start_run(&self, job: &str) -> RunningProgram {
        self.start(&["run", job, "--execute", "--yes"], b"")
    }

    /// Starts the binary.
    pub fn start(&self, args: &[&str], stdin: &[u8]) -> RunningProgram {
        self.start_under(&[], args, stdin)
    }

    /// Starts the binary through other programs: `strace -f imbulk …`.
    pub fn start_under(&self, wrapper: &[&str], args: &[&str], stdin: &[u8]) -> RunningProgram {
        let program = program();
        let line: Vec<&str> = [wrapper, &[&program], args].concat();
        let mut command = Process::new(line[0]);
        command.args(&line[1..]).env_clear().envs(&self.env).current_dir(self.folder());
        RunningProgram::spawn(command, stdin)
    }

    /// Runs the binary at a terminal of its own and types a text. Everything that it prints is in `stdout`.
    pub fn at_a_terminal(&self, args: &[&str], typed: &str) -> ProgramOutput {
        let line = [&[program().as_str()], args].concat().join(" ");
        let mut command = Process::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env_clear().envs(&self.env).current_dir(self.folder());
        RunningProgram::spawn(command, typed.as_bytes()).wait()
    }

    /// Starts the binary at a terminal of this width, to be watched and typed at. `TERM` and others are set with
    /// [`Self::set_env`].
    pub fn start_at_a_terminal(&self, args: &[&str], columns: u16) -> AtTerminal {
        let line = [&[program().as_str()], args].concat().join(" ");
        AtTerminal::start(&line, columns, |command| {
            command.env_clear().envs(&self.env).current_dir(self.folder());
        })
    }

    /// Waits until the sandbox has received this many calls, or the process has ended.
    pub fn until_calls(&self, calls: u64, running: &mut RunningProgram) {
        let begun = Instant::now();
        while self.report().calls < calls && running.is_alive() {
            assert!(begun.elapsed() < PATIENCE, "only {} of {calls} calls", self.report().calls);
            self.nap();
        }
    }

    /// Waits a millisecond before a condition is checked again.
    pub fn nap(&self) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    }

    /// The rows of `imbulk results NAME`.
    pub fn results(&self, name: &str) -> Vec<ResultRow> {
        self.results_with(&["results", name])
    }

    /// The rows that an `imbulk results` command prints.
    pub fn results_with(&self, args: &[&str]) -> Vec<ResultRow> {
        let output = self.imbulk(args);
        assert_eq!(output.code, 0, "{output:#?}");
        crate::rows::parse(&output.stdout)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // They exist only after a kill, or after calls without a response.
        for file in [self.ledger(), self.ledger().with_extension("slots.users")] {
            let _gone = std::fs::remove_file(file);
        }
    }
}

//! The bench: a folder, a stand-in for the API in this process, and the real binary beside it.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use imbulk_sandbox::{App, CallRecord, Caps, Command, Config, FaultRule, Latency, Report, Sandbox, World};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::harness::rows::Row;

pub(crate) const APP: u64 = 1_400_000_001;
pub(crate) const ADMIN: &str = "administrator";
/// The secret key of the app. Marked, so that it can be looked for.
pub(crate) const KEY: &str = "5f61f048f77fe5ed5f61f048f77fe5ed-marked-key+/=";
/// A cap that no test comes near.
pub(crate) const FAST: u32 = 5_000;
/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A stand-in and a folder with job files, inputs and a queue.
pub(crate) struct Bench {
    sandbox: Sandbox,
    folder: TempDir,
    runtime: Runtime,
    env: BTreeMap<String, String>,
    /// The accounts and friend lists as they were at first.
    pub(crate) pristine: World,
    pub(crate) caps: Caps,
}

/// What a run of the binary came to.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary at work.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

/// How the stand-in is set up.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) world: fn() -> World,
    pub(crate) caps: Caps,
    pub(crate) latency: Duration,
    pub(crate) seed: u64,
}

impl Default for Setup {
    /// A twentieth of all accounts and friendships is missing; the caps are out of the way.
    fn default() -> Self {
        let caps =
            Command::ALL.into_iter().fold(Caps::default().with_app(FAST), |caps, command| caps.with(command, FAST));
        Self { world: || World::open_with_missing(7, 0.05, 0.05), caps, latency: Duration::ZERO, seed: 0 }
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let config = Config {
            app: App { sdkappid: APP, admins: vec![ADMIN.to_owned()], key: Some(KEY.into()) },
            caps: setup.caps,
            latency: Latency { fixed: setup.latency, jitter: setup.latency },
            faults: Vec::new(),
            seed: setup.seed,
            world: (setup.world)(),
        };
        let sandbox = runtime.block_on(Sandbox::start(config, ([127, 0, 0, 1], 0).into())).expect("a port");
        sandbox.keep_journal();
        let folder = tempfile::tempdir().expect("a folder");
        let env = [("IMBULK_SECRET_KEY", KEY), ("TZ", "UTC")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { sandbox, folder, runtime, env, pristine: (setup.world)(), caps: setup.caps }
    }

    /// Sets a variable of the binary's environment, which has nothing else than what is set here.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) fn unset_env(&mut self, name: &str) {
        self.env.remove(name);
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.sandbox.addr())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file in which the processes that send to this stand-in share its slots.
    pub(crate) fn ledger(&self) -> PathBuf {
        format!("/tmp/imbulk-127.0.0.1-{}-{APP}.slots", self.sandbox.addr().port()).into()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("the folder can be written to");
    }

    pub(crate) fn report(&self) -> Report {
        self.sandbox.report()
    }

    /// The calls so far, one by one.
    pub(crate) fn journal(&self) -> Vec<CallRecord> {
        self.sandbox.journal()
    }

    /// Now, by the clock of the journal.
    pub(crate) fn now(&self) -> u64 {
        self.sandbox.now()
    }

    /// Looks at the accounts and friend lists. Calls wait meanwhile.
    pub(crate) fn world<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.sandbox.world())
    }

    /// The accounts and friend lists as they were at another time, or on another bench.
    pub(crate) fn set_world(&self, world: World) {
        *self.sandbox.world() = world;
    }

    /// Other faults from now on.
    pub(crate) fn faults(&self, rules: &[&str]) {
        self.sandbox.set_faults(
            rules.iter().map(|rule| rule.parse().unwrap_or_else(|e| panic!("{e}"))).collect::<Vec<FaultRule>>(),
        );
    }

    /// Other caps from now on.
    pub(crate) fn set_caps(&self, caps: Caps) {
        self.sandbox.set_caps(caps);
    }

    /// Runs the binary in the bench's folder to its end.
    pub(crate) fn imbulk(&self, args: &[&str]) -> Output {
        self.start(args, b"").wait()
    }

    /// Runs the binary with something on standard input.
    pub(crate) fn imbulk_reading(&self, args: &[&str], stdin: &[u8]) -> Output {
        self.start(args, stdin).wait()
    }

    /// `imbulk run JOB --execute --yes`
    pub(crate) fn run(&self, job: &str) -> Output {
        self.imbulk(&["run", job, "--execute", "--yes"])
    }

    /// Starts the binary.
    pub(crate) fn start(&self, args: &[&str], stdin: &[u8]) -> Running {
        self.start_under(&[], args, stdin)
    }

    /// Starts the binary by way of other programs: `strace -f imbulk …`.
    pub(crate) fn start_under(&self, wrapper: &[&str], args: &[&str], stdin: &[u8]) -> Running {
        let line: Vec<&str> = [wrapper, &[env!("CARGO_BIN_EXE_imbulk")], args].concat();
        let mut command = Process::new(line[0]);
        command.args(&line[1..]).env_clear().envs(&self.env).current_dir(self.folder());
        Running::spawn(command, stdin)
    }

    /// Runs the binary at a terminal of its own, at which this is typed. All that it prints is in `stdout`.
    pub(crate) fn at_a_terminal(&self, args: &[&str], typed: &str) -> Output {
        let line = [&[env!("CARGO_BIN_EXE_imbulk")], args].concat().join(" ");
        let mut command = Process::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env_clear().envs(&self.env).current_dir(self.folder());
        Running::spawn(command, typed.as_bytes()).wait()
    }

    /// Waits until the stand-in has seen so many calls, or the process has ended.
    pub(crate) fn until_calls(&self, calls: u64, running: &mut Running) {
        let begun = Instant::now();
        while self.report().calls < calls && running.is_alive() {
            assert!(begun.elapsed() < PATIENCE, "only {} of {calls} calls", self.report().calls);
            self.nap();
        }
    }

    /// A moment, between two looks at something.
    pub(crate) fn nap(&self) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    }

    /// The rows of `imbulk results`.
    pub(crate) fn results(&self, name: &str) -> Vec<Row> {
        self.results_with(&["results", name])
    }

    pub(crate) fn results_with(&self, args: &[&str]) -> Vec<Row> {
        let output = self.imbulk(args);
        assert_eq!(output.code, 0, "{output:#?}");
        crate::harness::rows::parse(&output.stdout)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // There only where a process was killed, or calls were left without an answer.
        for file in [self.ledger(), self.ledger().with_extension("slots.users")] {
            let _gone = std::fs::remove_file(file);
        }
    }
}

impl Running {
    pub(crate) fn spawn(mut command: Process, stdin: &[u8]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        // It may have left without reading.
        let _unread = pipe.write_all(stdin);
        drop(pipe);
        let stdout = drain(child.stdout.take().expect("a pipe"));
        let stderr = drain(child.stderr.take().expect("a pipe"));
        Self { child, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("it has not been waited for");
    }

    /// `kill -9`
    pub(crate) fn kill(mut self) -> Output {
        self.child.kill().expect("a child of ours");
        self.wait()
    }

    /// Waits for its end. Both pipes are closed by then.
    pub(crate) fn wait(mut self) -> Output {
        let [stdout, stderr] = [&self.stdout, &self.stderr].map(|pipe| pipe.recv_timeout(PATIENCE));
        if stdout.is_err() {
            self.child.kill().expect("a child of ours");
        }
        let status = self.child.wait().expect("a child of ours");
        let stdout = stdout.unwrap_or_else(|_| panic!("it went on and on:\n{:?}", self.stderr.recv()));
        let stderr = stderr.expect("the other pipe was closed, too");
        // Killed by a signal: as shells show it.
        let code = status.code().unwrap_or_else(|| 128 + status.signal().expect("a signal, where there is no code"));
        Output { code, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only where a test failed half way.
        let _over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe");
        // Nobody listens any more where a test has failed.
        let _unheard = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}

impl Output {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// That it says this somewhere, in its summary or beside it.
    #[track_caller]
    pub(crate) fn says(self, what: &str) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert!(stderr.contains(what) || stdout.contains(what), "no {what:?}:\n{stdout}\n{stderr}");
        self
    }
}

/// A job file. Its caps, delays and guards are out of the way unless the test says otherwise.
pub(crate) struct Job {
    name: String,
    operation: Command,
    sections: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
}

impl Job {
    /// A job of this name, which reads `NAME.csv`. `friend_delete` is one-way.
    pub(crate) fn new(name: &str, operation: Command) -> Self {
        let mut job = Self { name: name.to_owned(), operation, sections: BTreeMap::new() };
        job.set("input", "path", &format!("{:?}", format!("{name}.csv")));
        job.set("app", "sdkappid", &APP);
        job.set("app", "identifier", &format!("{ADMIN:?}"));
        job.set("limits", "calls_per_second", &FAST);
        job.set("limits", "app_calls_per_second", &FAST);
        job.set("limits", "cap_was_raised", &true);
        job.set("guard", "max_rejected", &1);
        job.set("stop", "after_items", &1_000_000);
        job.set("retry", "base_delay", &"\"1ms\"");
        job.set("retry", "max_delay", &"\"20ms\"");
        if operation == Command::FriendDelete {
            job.set("options", "delete_type", &"\"single\"");
        }
        job
    }

    fn set(&mut self, section: &'static str, key: &'static str, toml: &dyn Display) {
        self.sections.entry(section).or_default().insert(key, toml.to_string());
    }

    /// With this key, its value as TOML.
    pub(crate) fn with(mut self, section: &'static str, key: &'static str, toml: impl Display) -> Self {
        self.set(section, key, &toml);
        self
    }

    pub(crate) fn without(mut self, section: &'static str, key: &'static str) -> Self {
        self.sections.entry(section).or_default().remove(key);
        self
    }

    pub(crate) fn both(self) -> Self {
        self.with("options", "delete_type", "\"both\"")
    }

    /// The text of the file.
    pub(crate) fn toml(&self, bench: &Bench) -> String {
        let mut text = format!("name = {:?}\noperation = {:?}\n", self.name, self.operation.name());
        for (section, keys) in &self.sections {
            // Writing to a String can't fail.
            let _ = writeln!(text, "\n[{section}]");
            if *section == "app" && !keys.contains_key("endpoint") && !keys.contains_key("region") {
                let _ = writeln!(text, "endpoint = {:?}", bench.endpoint());
            }
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }

    /// Writes the file. Returns its name.
    pub(crate) fn write(&self, bench: &Bench) -> String {
        let file = format!("{}.toml", self.name);
        bench.write(&file, self.toml(bench));
        file
    }
}

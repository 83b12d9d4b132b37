//! The imbulk binary as a child process.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_mins(3);

/// The path of the imbulk binary that cargo built for the running test.
#[expect(clippy::disallowed_methods, reason = "cargo names the binary in the environment of the test")]
pub fn program() -> String {
    std::env::var("CARGO_BIN_EXE_imbulk").expect("cargo runs the tests of the package imbulk")
}

/// How a process ended, and what it printed.
#[derive(Debug)]
pub struct ProgramOutput {
    /// The exit code; after a signal 128 and its number, as a shell reports it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A process that has not been waited for. Dropping it kills it.
pub struct RunningProgram {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl RunningProgram {
    /// Starts a command and writes these bytes to its standard input.
    pub fn spawn(mut command: Process, stdin: &[u8]) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        // The process may have ended without reading.
        let _unread = pipe.write_all(stdin);
        drop(pipe);
        let stdout = drain(child.stdout.take().expect("a pipe"));
        let stderr = drain(child.stderr.take().expect("a pipe"));
        Self { child, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("it has not been waited for");
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill(mut self) -> ProgramOutput {
        self.child.kill().expect("a child of ours");
        self.wait()
    }

    /// Waits for its end and reads both pipes. Kills it when it takes longer than [`PATIENCE`].
    pub fn wait(mut self) -> ProgramOutput {
        let [stdout, stderr] = [&self.stdout, &self.stderr].map(|pipe| pipe.recv_timeout(PATIENCE));
        if stdout.is_err() {
            self.child.kill().expect("a child of ours");
        }
        let status = self.child.wait().expect("a child of ours");
        let stdout = stdout.unwrap_or_else(|_| panic!("it did not end:\n{:?}", self.stderr.recv()));
        let stderr = stderr.expect("the other pipe was closed, too");
        let code = status.code().unwrap_or_else(|| 128 + status.signal().expect("a signal, where there is no code"));
        ProgramOutput { code, stdout, stderr }
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        // It is still alive only if the test failed.
        let _over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe");
        // The receiver is gone if the test failed.
        let _unread = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[expect(clippy::return_self_not_must_use, reason = "assertions are chained, and each of them may be the last")]
impl ProgramOutput {
    /// Fails if the exit code is another one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails if neither standard output nor standard error contains a text.
    #[track_caller]
    pub fn says(self, what: &str) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert!(stderr.contains(what) || stdout.contains(what), "no {what:?}:\n{stdout}\n{stderr}");
        self
    }
}

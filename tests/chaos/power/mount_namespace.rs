//! A separate mount namespace: other processes do not see its file systems, and they disappear with the test, however
//! it ends.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A shell that reads from a pipe of this process keeps the namespace. It ends with this process, and the mounts end
/// with it. The kernel then releases their loop devices.
pub(crate) struct MountNamespace {
    shell: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl MountNamespace {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("unshare starts");
        let orders = shell.stdin.take().expect("a pipe");
        let answers = BufReader::new(shell.stdout.take().expect("a pipe"));
        let mut namespace = Self { shell, orders, answers };
        // When it answers, it is in its namespace. Before that, no process may enter.
        namespace.sh("true");
        namespace
    }

    /// Runs a line of shell code in the namespace.
    #[track_caller]
    pub(crate) fn sh(&mut self, line: &str) {
        writeln!(self.orders, "{{ {line}; }} >&2; echo $?").expect("the shell listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the shell answers");
        assert_eq!(answer.trim(), "0", "{line}");
    }

    /// The command that runs a program in the namespace, in the folder `at`.
    pub(crate) fn enter(&self, at: &Path) -> Vec<String> {
        let [target, at] = [format!("--target={}", self.shell.id()), format!("--wd={}", at.display())];
        vec!["nsenter".to_owned(), target, "--mount".to_owned(), at]
    }
}

impl Drop for MountNamespace {
    fn drop(&mut self) {
        // It also ends at the end of its input; killing it is faster.
        let _over = self.shell.kill();
        let _reaped = self.shell.wait();
    }
}

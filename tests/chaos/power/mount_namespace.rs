//! A mount namespace of its own: file systems that nobody else sees, and that are gone with the test, however it ends.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What holds the namespace is a shell that reads from a pipe of ours: it ends with this process, and the mounts with
/// it, and the kernel then lets go of their loop devices.
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
        // It is in its namespace once it answers; before that, nobody may enter.
        namespace.sh("true");
        namespace
    }

    /// Runs a line of shell in the namespace.
    #[track_caller]
    pub(crate) fn sh(&mut self, line: &str) {
        writeln!(self.orders, "{{ {line}; }} >&2; echo $?").expect("the shell listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the shell answers");
        assert_eq!(answer.trim(), "0", "{line}");
    }

    /// What runs a program in the namespace, in the folder `at`.
    pub(crate) fn enter(&self, at: &Path) -> Vec<String> {
        let [target, at] = [format!("--target={}", self.shell.id()), format!("--wd={}", at.display())];
        vec!["nsenter".to_owned(), target, "--mount".to_owned(), at]
    }
}

impl Drop for MountNamespace {
    fn drop(&mut self) {
        // It ends at the end of its input, too; this is sooner.
        let _over = self.shell.kill();
        let _reaped = self.shell.wait();
    }
}

//! The command of the user (`notify.command`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::domain::hint::Message;
use crate::domain::job::Notify;

/// A program with its arguments. No shell reads them.
#[derive(Debug)]
pub(super) struct UserCommand {
    program: String,
    arguments: Vec<String>,
    /// The folder of the job file, in which it runs.
    folder: PathBuf,
    /// Variables of the environment that it does not get.
    secrets: Vec<String>,
}

/// Kills the processes of a command, unless it has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // All of them may be gone.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

impl UserCommand {
    /// The command that a job names.
    pub(super) fn of(notify: &Notify, secrets: &[String]) -> Option<Self> {
        let (program, arguments) = notify.command.split_first()?;
        // A job file in the current folder has the folder "".
        let folder = std::path::absolute(Path::new(".").join(&notify.folder)).ok()?;
        Some(Self { program: program.clone(), arguments: arguments.to_vec(), folder, secrets: secrets.to_vec() })
    }

    /// Starts it, writes `input` to it, and waits for its end. If the future is dropped before, it is killed.
    pub(super) async fn run(self, input: Vec<u8>) -> Result<(), Message> {
        let mut command = Command::new(program(&self.program, &self.folder));
        command.args(&self.arguments).current_dir(&self.folder);
        for secret in &self.secrets {
            command.env_remove(secret);
        }
        // Standard output belongs to the summary.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).process_group(0);
        let failed = |why: std::io::Error| {
            let hint = "the first part of `notify.command` is a program; with a slash, it starts from the job file";
            Message::new(format!("cannot start `{}`: {why}", self.program)).add_hint(hint)
        };
        let mut child = command.spawn().map_err(failed)?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let mut group = Group(pid);
        if let Some(mut stdin) = child.stdin.take() {
            // A command need not read it.
            let _closed = stdin.write_all(&input).await;
        }
        let status = child.wait().await.map_err(failed)?;
        group.0 = None;
        if status.success() {
            return Ok(());
        }
        let hint = "start it by hand to see why";
        Err(Message::new(format!("`{}` ended with {status}", self.program)).add_hint(hint))
    }
}

/// A program with a slash starts from the folder; another one is searched in `PATH`.
fn program(name: &str, folder: &Path) -> OsString {
    if name.contains('/') { folder.join(name).into() } else { name.into() }
}

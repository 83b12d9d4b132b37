//! What one would otherwise use, on the same files and against the same server.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;

/// Where a program is, if it is installed.
pub(crate) fn installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    found.is_ok_and(|found| found.status.success())
}

/// `sqlite3 .import` into a plain table of a new file, as durable as it is by default.
pub(crate) fn sqlite_import(input: &Path, database: &Path) -> Command {
    let mut command = Command::new("sqlite3");
    command.arg(database).arg(".mode csv").arg(format!(".import '{}' row", input.display()));
    command
}

/// The asyncio script, and the Python that has what it needs.
pub(crate) struct Script {
    python: PathBuf,
}

impl Script {
    /// Makes the environment in the work folder where there is none.
    pub(crate) fn prepared(work: &Path) -> Fallible<Self> {
        let venv = work.join("venv");
        let python = venv.join("bin/python");
        if !venv.join("complete").exists() {
            must(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
            let requirements = in_peers("requirements.txt");
            must(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements))?;
            File::create(venv.join("complete"))?;
        }
        Ok(Self { python })
    }

    pub(crate) fn command(&self, endpoint: &str, input: &Path, output: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(in_peers("account_delete.py")).arg(endpoint).arg(input).arg(output);
        command
    }
}

fn in_peers(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

fn must(command: &mut Command) -> Fallible<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

/// GNU parallel with curl, a body of 100 accounts a line: the bodies are made here, free of charge.
pub(crate) fn parallel_curl(endpoint: &str, input: &Path, calls: usize, folder: &Path) -> Fallible<Command> {
    let bodies = folder.join("bodies.txt");
    let mut out = BufWriter::new(File::create(&bodies)?);
    let mut ids = BufReader::new(File::open(input)?).lines().skip(1);
    for _ in 0..calls {
        let items = ids.by_ref().take(100).map(|id| Ok(format!(r#"{{"UserID":"{}"}}"#, id?)));
        let items = items.collect::<Fallible<Vec<_>>>()?;
        writeln!(out, r#"{{"DeleteItem":[{}]}}"#, items.join(","))?;
    }
    out.flush()?;
    let url = format!("{endpoint}/v4/im_open_login_svc/account_delete?sdkappid=1400000001");
    let mut command = Command::new("parallel");
    command.args(["--will-cite", "-j", "16", "-a"]).arg(bodies);
    command.args(["curl", "-sS", "--retry", "3", "-H", "Content-Type:application/json", "--data-binary", "{}", &url]);
    Ok(command)
}

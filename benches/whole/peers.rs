//! What one would otherwise use, on the same files and against the same server.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;

/// What the figures call these two.
pub(crate) const ASYNCIO: &str = "asyncio";
pub(crate) const CURL: &str = "parallel + curl";

/// Whether GNU parallel and curl can be measured.
pub(crate) fn has_parallel_curl() -> bool {
    let found = installed("parallel") && installed("curl");
    if !found {
        println!("  absent: GNU parallel or curl");
    }
    found
}

/// Whether a program is installed.
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

/// The Python scripts, and the Python that has what they need.
pub(crate) struct Scripts {
    python: PathBuf,
}

impl Scripts {
    /// Creates the environment in the work folder, unless it has the packages of today's list.
    pub(crate) fn prepared(work: &Path) -> Fallible<Self> {
        let venv = work.join("venv");
        let python = venv.join("bin/python");
        let installed = venv.join("installed.txt");
        let list = in_peers("requirements.txt");
        let wanted = std::fs::read_to_string(&list)?;
        if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
            return Ok(Self { python });
        }
        must(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        must(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(list))?;
        std::fs::write(installed, wanted)?;
        Ok(Self { python })
    }

    /// `DuckDB`: a CSV file into a table of a new database file.
    pub(crate) fn duckdb_load(&self, input: &Path, database: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(in_peers("load.py")).arg(input).arg(database);
        command
    }

    /// The asyncio script, which deletes accounts.
    pub(crate) fn account_delete(&self, endpoint: &str, input: &Path, output: &Path) -> Command {
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

/// GNU parallel with curl, a body of 100 accounts a line. The bodies are written here, and this is not measured.
///
/// `server` is the endpoint and a UserSig that it accepts.
pub(crate) fn parallel_curl(server: (&str, &str), input: &Path, calls: usize, folder: &Path) -> Fallible<Command> {
    let (endpoint, usersig) = server;
    let bodies = folder.join("bodies.txt");
    let mut out = BufWriter::new(File::create(&bodies)?);
    let mut ids = BufReader::new(File::open(input)?).lines().skip(1);
    for _ in 0..calls {
        let items = ids.by_ref().take(100).map(|id| Ok(format!(r#"{{"UserID":"{}"}}"#, id?)));
        let items = items.collect::<Fallible<Vec<_>>>()?;
        writeln!(out, r#"{{"DeleteItem":[{}]}}"#, items.join(","))?;
    }
    out.flush()?;
    let credentials = format!("sdkappid=1400000001&identifier=administrator&usersig={usersig}&random=1");
    let url = format!("{endpoint}/v4/im_open_login_svc/account_delete?{credentials}&contenttype=json");
    let mut command = Command::new("parallel");
    command.args(["--will-cite", "-j", "16", "-a"]).arg(bodies);
    command.args(["curl", "-sS", "--retry", "3", "-H", "Content-Type:application/json", "--data-binary", "{}", &url]);
    Ok(command)
}

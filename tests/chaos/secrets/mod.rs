//! The key and the signature never appear in outputs or files, whatever fails.
//!
//! Each path proves by its exit code and its messages that it was taken. Its output is searched at once, and its files
//! at the end. tests/api_client/secrets.rs does the same while all libraries log at TRACE, which the program never
//! enables.

mod search;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use imbulk::api::{SecretKey, sign};
use imbulk_sandbox::Command;
use rustix::process::Signal;

use imbulk_testkit::http::response;
use imbulk_testkit::rows::{InputRow, csv, plain};
use imbulk_testkit::scripted_server::{Door, ScriptedServer, ServerSetup, Step};
use imbulk_testkit::tls::{Authority, Flaw};
use imbulk_testkit::{ADMIN, APP, JobFile, KEY, PATIENCE, ProgramOutput, RunningProgram, Workspace};
use search::Search;

const OPERATION: Command = Command::AccountDelete;

/// A signature of the present moment, made with the key.
fn usersig(key: &str) -> String {
    usersig_at(key, Duration::ZERO)
}

/// A signature that the key makes this much later.
fn usersig_at(key: &str, later: Duration) -> String {
    let key = SecretKey::new(key.to_owned()).expect("a key");
    let identifier = imbulk::domain::request::account::UserId::new(ADMIN).expect("an id");
    let (app, at) = (APP.try_into().expect("not zero"), imbulk::clock::now() + later);
    sign(&key, app, &identifier, at, Duration::from_hours(24)).expose().to_owned()
}

/// A signature of another key, which the user gives instead of a key.
static GIVEN: LazyLock<String> = LazyLock::new(|| usersig(OTHER_KEY));
const OTHER_KEY: &str = "another-marked-secret-key";

/// A search that finds the signatures of every second of the tests. They have the same beginning, so later ones are
/// found as well.
static SEARCH: LazyLock<Search> = LazyLock::new(|| {
    let made = (0..90).map(|second| usersig_at(KEY, Duration::from_secs(second)));
    Search::new(&made.chain([KEY, OTHER_KEY, &GIVEN].map(str::to_owned)).collect::<Vec<_>>())
});

/// Takes one path after another, each with a queue of its own.
struct Walk {
    workspace: Workspace,
    paths: BTreeSet<String>,
}

impl Walk {
    fn new() -> Self {
        // This takes a while, which must not be a part of a run.
        LazyLock::force(&SEARCH);
        let (mut workspace, _) = job().rows(&plain(OPERATION, 150)).in_a_workspace();
        workspace.set_env("RUST_LOG", "trace");
        workspace.set_env("RUST_BACKTRACE", "full");
        Self { workspace, paths: BTreeSet::new() }
    }

    /// Asserts that this number of paths was taken, and that their files contain no secret.
    #[track_caller]
    fn end(self, paths: usize) {
        let files = SEARCH.nothing_below(self.workspace.folder());
        if let Ok(ledger) = std::fs::read(self.workspace.ledger()) {
            SEARCH.nothing_in(&ledger, "the ledger");
        }
        assert!(self.paths.len() == paths && files > 2, "{} paths, {files} files", self.paths.len());
    }

    fn queue(name: &str) -> String {
        format!("{}.db", name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
    }

    /// Asserts that the output contains no secret and that the path was taken.
    #[track_caller]
    fn check_output(&mut self, name: &str, output: &ProgramOutput, code: i32, says: &str) {
        SEARCH.nothing_in(output.stdout.as_bytes(), name);
        SEARCH.nothing_in(output.stderr.as_bytes(), name);
        let said = format!("{}\n{}", output.stderr, output.stdout);
        assert!(output.code == code && said.contains(says), "{name}: not {code} and {says:?}, but {output:#?}");
        assert!(self.paths.insert(name.to_owned()), "{name} twice");
    }

    /// Runs the program with these arguments, on the queue of the path.
    #[track_caller]
    fn takes(&mut self, name: &str, args: &[&str], code: i32, says: &str) {
        let (queue, file) = (Self::queue(name), format!("{}.log", Self::queue(name)));
        // In turn as text on standard error and as JSON in a file.
        let has_file = self.paths.len() % 2 == 1;
        let log: &[&str] = if has_file { &["--log-file", &file, "--log-format", "json"] } else { &[] };
        let mut output = self.workspace.imbulk(&[&["-vvv", "--queue", &queue], log, args].concat());
        if has_file {
            let logged = std::fs::read_to_string(self.workspace.path(&file)).expect("a log file");
            output.stderr.push_str(&logged);
        }
        self.check_output(name, &output, code, says);
    }

    #[track_caller]
    fn runs(&mut self, name: &str, code: i32, says: &str) {
        self.takes(name, &["run", "job.toml", "--execute", "--yes"], code, says);
    }

    /// A run with an environment variable set; without the key if the variable replaces it.
    #[track_caller]
    fn runs_with(&mut self, name: &str, (variable, value): (&str, &str), code: i32, says: &str) {
        self.workspace.set_env(variable, value);
        if variable == "IMBULK_USERSIG" {
            self.workspace.unset_env("IMBULK_SECRET_KEY");
        }
        self.runs(name, code, says);
        self.workspace.unset_env(variable);
        self.workspace.set_env("IMBULK_SECRET_KEY", KEY);
    }

    /// A run of this job instead of the usual one.
    #[track_caller]
    fn runs_job(&mut self, name: &str, toml: &str, code: i32, says: &str) {
        self.workspace.write("other.toml", toml);
        self.takes(name, &["run", "other.toml", "--execute", "--yes"], code, says);
        std::fs::remove_file(self.workspace.path("other.toml")).expect("it was there");
    }

    fn toml(&self) -> String {
        job().toml(&self.workspace)
    }
}

fn job() -> JobFile {
    JobFile::new("job", OPERATION).with("retry", "max_attempts", 1)
}

/// A fault for every call, the exit code, and a text that the output contains.
const FAULTS: [(&str, i32, &str); 24] = [
    ("any:code=70001:1", 4, "70001"),
    ("any:code=70003:1", 4, "70003"),
    ("any:code=70009:1", 4, "70009"),
    ("any:code=70013:1", 4, "70013"),
    ("any:code=60010:1", 4, "60010"),
    ("any:code=60002:1", 4, "60002"),
    ("any:code=12345:1", 3, "12345"),
    ("any:code=30008:1", 3, "30008"),
    ("any:code=60007:#1", 0, "done"),
    ("any:item=70500:1", 3, "70500"),
    ("any:item=71000:1", 4, "71000"),
    ("any:http=403:1", 4, "HTTP status 403"),
    ("any:http=302:1", 4, "HTTP status 302"),
    ("any:http=502:1", 3, "502"),
    ("any:reset:1", 3, "in_doubt"),
    ("any:close-after:1", 3, "in_doubt"),
    ("any:garbage:1", 3, "in_doubt"),
    ("any:truncated:1", 3, "in_doubt"),
    ("any:cut:1", 3, "in_doubt"),
    ("any:huge:1", 3, "longer than"),
    ("any:string-code:1", 3, "in_doubt"),
    ("any:missing:1", 3, "in_doubt"),
    ("any:object-items:1", 3, "in_doubt"),
    // A lookup shows that the accounts are gone: an earlier run of the walk deleted them.
    ("any:silence:#1", 0, "succeeded"),
];

/// Takes every third of the faults, because those without an answer take long.
fn faults(third: usize) {
    let mut walk = Walk::new();
    for (fault, code, says) in FAULTS.into_iter().skip(third).step_by(3) {
        walk.workspace.faults(&[fault]);
        walk.runs(fault, code, says);
    }
    walk.end(FAULTS.len() / 3);
}

#[test]
fn no_secret_appears_for_any_response() {
    faults(0);
}

#[test]
fn no_secret_appears_for_any_other_response() {
    faults(1);
}

#[test]
fn no_secret_appears_for_any_server_behavior() {
    faults(2);
}

#[test]
fn no_secret_appears_for_any_environment() {
    let mut walk = Walk::new();
    let given = GIVEN.as_str();
    walk.runs_with("a signature of another key", ("IMBULK_USERSIG", given), 4, "70009");
    walk.runs_with("a padded signature", ("IMBULK_USERSIG", &format!(" {given} ")), 4, "70009");
    walk.runs_with("half a signature", ("IMBULK_USERSIG", &given[..given.len() / 2]), 4, "7000");
    walk.runs_with("no signature", ("IMBULK_USERSIG", &format!("{given}\u{7}{given}")), 2, "IMBULK_USERSIG");
    walk.runs_with("no key", ("IMBULK_SECRET_KEY", &format!("{KEY}\u{7}")), 2, "IMBULK_SECRET_KEY");
    walk.runs_with("an empty key", ("IMBULK_SECRET_KEY", ""), 2, "no credentials");
    walk.runs_with("the wrong key", ("IMBULK_SECRET_KEY", OTHER_KEY), 4, "70009");
    walk.runs_with("the key as the app", ("IMBULK_SDKAPPID", KEY), 2, "IMBULK_SDKAPPID");
    walk.runs_with("the signature as the admin", ("IMBULK_IDENTIFIER", given), 2, "IMBULK_IDENTIFIER");
    walk.workspace.set_env("IMBULK_USERSIG", given);
    walk.runs("two secrets", 2, "both set");
    walk.workspace.unset_env("IMBULK_USERSIG");
    let endpoint = walk.workspace.endpoint();
    for (name, url) in [
        ("a signed URL as the endpoint", format!("{endpoint}/v4/x?usersig={given}")),
        ("a password in the endpoint", format!("http://user:{KEY}@127.0.0.1:1")),
        ("no URL as the endpoint", format!("{given}:{KEY}")),
        ("plain http to another host", "http://example.org".to_owned()),
    ] {
        walk.runs_with(name, ("IMBULK_ENDPOINT", &url), 2, "IMBULK_ENDPOINT");
    }
    let signed = format!("http://example.org/?{given}");
    walk.runs_with(
        "plain http to another host, signed",
        ("IMBULK_ENDPOINT", &signed),
        2,
        "has something after host and port",
    );
    walk.end(15);
}

/// Everything that a server received, through TLS if it uses TLS.
fn received(server: &ScriptedServer) -> Vec<u8> {
    let seen = server.seen();
    let requests = seen.requests.iter().flat_map(|request| [request.head.as_bytes(), &request.body]);
    requests.chain(seen.incomplete.iter().map(Vec::as_slice)).collect::<Vec<_>>().concat()
}

/// Servers that must not receive a signature, and one that may, for comparison.
#[test]
fn an_untrusted_server_gets_no_signature_and_no_secret_appears() {
    let mut walk = Walk::new();
    let roots = walk.workspace.path("roots.pem");
    walk.workspace.set_env("SSL_CERT_FILE", roots.to_str().expect("UTF-8"));
    for (flaw, says) in [
        (Flaw::SelfSigned, "UnknownIssuer"),
        (Flaw::Expired, "expired"),
        (Flaw::OtherHost, "not valid for name"),
        (Flaw::None, "HTTP status 403"),
    ] {
        let authority = Authority::new();
        std::fs::write(&roots, authority.pem()).expect("the disk has space");
        let setup = ServerSetup { tls: Some(Arc::new(authority.server(flaw))), ..ServerSetup::default() };
        let server = ScriptedServer::with(setup, |_, _| vec![Step::Write(response("403 Forbidden", "", b""))]);
        walk.runs_with(&format!("TLS: {flaw:?}"), ("IMBULK_ENDPOINT", &server.url()), 4, says);
        let received = received(&server);
        let signed = String::from_utf8_lossy(&received).contains("usersig=");
        assert_eq!(signed, matches!(flaw, Flaw::None), "{flaw:?}: {received:?}");
    }
    walk.workspace.unset_env("SSL_CERT_FILE");
    let other = ScriptedServer::repeating(vec![Step::Write(response("200 OK", "", b"")), Step::Close]);
    let location = response("302 Found", &format!("Location: {}/v4\r\n", other.url()), b"");
    let server = ScriptedServer::repeating(vec![Step::Write(location), Step::Close]);
    walk.runs_with("a redirect to another host", ("IMBULK_ENDPOINT", &server.url()), 4, "HTTP status 302");
    let requests = String::from_utf8_lossy(&received(&server)).into_owned();
    assert!(requests.contains("usersig=") && !requests.to_lowercase().contains("referer"), "{requests}");
    assert_eq!(other.seen().connections, 0, "it was followed");
    let door = Door::Early(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let server = ScriptedServer::with(ServerSetup { door, ..ServerSetup::default() }, |_, _| Vec::new());
    let url = server.url().replace("http:", "https:");
    walk.runs_with("TLS to a server that speaks none", ("IMBULK_ENDPOINT", &url), 4, "corrupt message");
    nobody_at_home(&mut walk);
    walk.end(7);
}

/// A run without a server, which is stopped: it would retry for two minutes.
fn nobody_at_home(walk: &mut Walk) {
    let nobody = free_address();
    walk.workspace.set_env("IMBULK_ENDPOINT", &format!("http://{nobody}"));
    let mut running = walk.workspace.start(&["-vvv", "run", "job.toml", "--execute", "--yes"], b"");
    let ledger = PathBuf::from(format!("/tmp/imbulk-127.0.0.1-{}-{APP}.slots", nobody.port()));
    // A slot is taken just before the connection is tried.
    let tried = || ledger.metadata().is_ok_and(|file| file.len() > 4096);
    until(walk, &mut running, tried);
    running.signal(Signal::INT);
    let output = running.wait();
    walk.check_output("nobody at home", &output, 5, "refused");
    assert!(!ledger.exists(), "nothing was sent that it would have to remember");
}

fn until(walk: &Walk, running: &mut RunningProgram, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() && running.is_alive() {
        assert!(begun.elapsed() < PATIENCE, "it does not come to that");
        walk.workspace.nap();
    }
}

/// An address at which no program listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

#[test]
fn no_secret_appears_for_any_file() {
    let mut walk = Walk::new();
    let given = GIVEN.as_str();
    for (name, line) in [
        ("a key in the job file", format!("secret_key = {KEY:?}")),
        ("a signature in the job file", format!("usersig = {given:?}")),
        ("a bare signature in the job file", format!("usersig = {given}")),
        ("a signature behind a colon", format!("usersig: {given}")),
        ("a key over several lines", format!("secret_key = '''\n{KEY}\n'''")),
        ("keys in a list", format!("secret_keys = [\n  {KEY:?},\n  {given:?},\n]")),
        ("a section of secrets", format!("[app.secrets]\nvalue = {KEY:?}")),
        ("a comment with the key beside a slip", format!("# IMBULK_SECRET_KEY={KEY}\nregoin = \"tokyo\"")),
    ] {
        let toml = walk.toml().replace("[app]", &format!("[app]\n{line}"));
        walk.runs_job(name, &toml, 2, "other.toml");
    }
    walk.takes("no job file", &["plan", "nowhere.toml"], 2, "nowhere.toml");
    walk.takes("a folder as the job file", &["plan", "."], 2, "cannot be read");
    walk.runs_job("a job file that is none", "name = \"job", 2, "other.toml:1");
    let with = |section, key, value: &str| job().with(section, key, value).toml(&walk.workspace);
    let none = with("input", "path", "\"nowhere.csv\"");
    let broken = with("input", "path", "\"broken.csv.gz\"");
    let headless = with("input", "path", "\"headless.csv\"");
    let unprotected = with("guard", "protected", "\"nowhere.txt\"");
    let guarded = with("guard", "max_items", "10");
    let fuse = job().with("stop", "failed_share", 0.01).with("stop", "after_items", 1);
    let fuse = fuse.with("limits", "max_in_flight", 1).toml(&walk.workspace);
    walk.workspace.write("broken.csv.gz", b"\x1f\x8b\x08 and then nothing");
    walk.workspace.write("headless.csv", "a\nb\n");
    walk.runs_job("no input", &none, 2, "no such file");
    walk.runs_job("a broken input", &broken, 2, "the gzip data is damaged");
    walk.runs_job("an input without a header", &headless, 2, "has no column");
    walk.runs_job("no protected list", &unprotected, 2, "guard.protected: ");
    walk.runs_job("a guard", &guarded, 4, "nothing is sent");
    walk.workspace.faults(&["any:item=70399:1"]);
    walk.runs_job("the fuse", &fuse, 4, "failed");
    walk.workspace.faults(&[]);
    walk.end(17);
}

/// The same on another queue than that of the path.
#[track_caller]
fn on_queue(walk: &mut Walk, name: &str, queue: &str, code: i32, says: &str) {
    let output = walk.workspace.imbulk(&["-vvv", "--queue", queue, "run", "job.toml", "--execute", "--yes"]);
    walk.check_output(name, &output, code, says);
}

#[test]
fn no_secret_appears_for_any_queue_or_ledger() {
    let mut walk = Walk::new();
    on_queue(&mut walk, "a queue that is none", "job.csv", 2, "is not a queue");
    on_queue(&mut walk, "a queue in no folder", "nowhere/q.db", 1, "nowhere/q.db");
    on_queue(&mut walk, "a queue where nobody may write", "/proc/q.db", 1, "/proc/q.db");
    let ledger = walk.workspace.ledger();
    let _not_made_yet = std::fs::remove_file(&ledger);
    std::os::unix::fs::symlink(walk.workspace.path("job.csv"), &ledger).expect("it is gone");
    walk.runs("a link in place of the ledger", 1, "share the call limit");
    std::fs::remove_file(&ledger).expect("it is there");
    std::fs::write(&ledger, "something else").expect("the disk has space");
    walk.runs("another file in place of the ledger", 1, "some other file");
    std::fs::remove_file(&ledger).expect("it is there");
    walk.end(5);
}

/// Runs the program under a shell that limits one of its resources.
#[track_caller]
fn under(walk: &mut Walk, name: &str, shell: &str, args: &[&str], code: i32, says: &str) {
    let wrapper = ["sh", "-c", &format!("{shell} \"$0\" \"$@\"")].map(str::to_owned);
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let queue = Walk::queue("all well");
    let output = walk.workspace.start_under(&wrapper, &[&["-vvv", "--queue", &queue], args].concat(), b"").wait();
    walk.check_output(name, &output, code, says);
}

#[test]
fn no_secret_appears_in_the_output_of_any_command_but_usersig() {
    let mut walk = Walk::new();
    walk.runs("all well", 0, "done");
    let queue = Walk::queue("all well");
    let say = |walk: &mut Walk, name: &str, args: &[&str], code, says: &str| {
        let output = walk.workspace.imbulk(&[&["-vvv", "--queue", &queue], args].concat());
        walk.check_output(name, &output, code, says);
    };
    say(&mut walk, "run again", &["run", "job.toml", "--execute", "--yes"], 0, "this input is finished");
    say(&mut walk, "run as JSON", &["run", "job.toml", "--execute", "--yes", "--again", "--json"], 0, "{");
    say(&mut walk, "status", &["status"], 0, "job");
    say(&mut walk, "status as JSON", &["status", "--json"], 0, "{");
    say(&mut walk, "results", &["results", "job"], 0, "outcome");
    say(&mut walk, "results as JSONL", &["results", "job", "--format", "jsonl"], 0, "outcome");
    say(&mut walk, "results to a file", &["results", "job", "--output", "results.csv"], 0, "");
    say(&mut walk, "results to a device", &["results", "job", "--output", "/dev/full"], 1, "/dev/full");
    say(&mut walk, "results of no run", &["results", "nothing"], 2, "nothing");
    say(&mut walk, "retry", &["retry", "job", "--code", "70500"], 0, "");
    say(&mut walk, "plan", &["plan", "job.toml"], 0, "nothing");
    say(&mut walk, "plan as JSON", &["plan", "job.toml", "--json"], 0, "{");
    say(&mut walk, "without --execute", &["run", "job.toml"], 0, "nothing is sent");
    say(&mut walk, "explain", &["explain", "70003"], 0, "70003");
    say(&mut walk, "help", &["sandbox", "--help"], 0, "Usage");
    say(&mut walk, "an unknown flag", &["run", "job.toml", "--excute"], 2, "--excute");
    say(&mut walk, "the sandbox within", &["run", "job.toml", "--sandbox"], 0, "the sandbox saw");
    under(
        &mut walk,
        "a full standard output",
        "exec >/dev/full;",
        &["results", "job", "--target", "loopback"],
        1,
        "No space left",
    );
    let printed = walk.workspace.imbulk(&["-vvv", "usersig", "job.toml"]).expect(0);
    let printed_key = printed.stdout.trim();
    assert!(printed_key.starts_with("eJ"), "it is there to print one: {printed:?}");
    let search = Search::new(&[printed_key]);
    search.nothing_in(printed.stderr.as_bytes(), "usersig");
    search.nothing_below(walk.workspace.folder());
    walk.check_output("usersig", &ProgramOutput { stdout: String::new(), ..printed }, 0, "");
    walk.end(20);
}

/// Processes that end in the middle of their work, and what the system shows of them meanwhile.
#[test]
fn no_secret_appears_however_the_program_ends() {
    let mut walk = Walk::new();
    let begin = |walk: &Walk, name: &str| {
        // Separate accounts, because the sandbox still processes calls of a killed run.
        let accounts: Vec<InputRow> = (0..150).map(|n| InputRow::account(&format!("{name}_{n}"))).collect();
        walk.workspace.write(&format!("{name}.csv"), csv(OPERATION, &accounts));
        let job = JobFile::new(name, OPERATION).write(&walk.workspace);
        let line = "ulimit -c unlimited; exec \"$0\" \"$@\"";
        let args = ["-vvv", "--queue", &Walk::queue(name), "run", &job, "--execute", "--yes"];
        let calls = walk.workspace.report().calls;
        walk.workspace.faults(&["any:slow=4s:1"]);
        let mut running = walk.workspace.start_under(&["sh", "-c", line], &args, b"");
        // Both calls are at the server, so a run that waits for its calls in flight has nothing left.
        walk.workspace.until_calls(calls + 2, &mut running);
        running
    };
    let look = |running: &RunningProgram| {
        for file in ["cmdline", "status", "stat", "maps"] {
            let shown = std::fs::read(format!("/proc/{}/{file}", running.pid())).unwrap_or_default();
            SEARCH.nothing_in(&shown, file);
            assert!(!shown.is_empty() || file == "maps", "{file}");
        }
    };
    let running = begin(&walk, "killed");
    look(&running);
    SEARCH.nothing_below(walk.workspace.folder());
    let output = running.kill();
    walk.check_output("killed", &output, 137, "");
    for (name, signal, code) in
        [("stopped", Signal::TERM, 0), ("aborted", Signal::ABORT, 134), ("quit", Signal::QUIT, 131)]
    {
        let running = begin(&walk, name);
        running.signal(signal);
        let output = running.wait();
        walk.check_output(name, &output, code, "");
    }
    walk.workspace.faults(&[]);
    let output = walk.workspace.imbulk(&["-vvv", "--queue", "killed.db", "run", "killed.toml", "--execute", "--yes"]);
    walk.check_output("on after a kill", &output, 0, "succeeded");
    out_of_files(&mut walk);
    let address = free_address();
    let mut running = walk.workspace.start(&["-vvv", "sandbox", "--listen", &address.to_string()], b"");
    until(&walk, &mut running, || TcpStream::connect(address).is_ok());
    look(&running);
    running.signal(Signal::INT);
    let output = running.wait();
    walk.check_output("the sandbox", &output, 0, "");
    walk.end(14);
}

/// With so few open files, libraries fail in unusual ways; one of them panics.
fn out_of_files(walk: &mut Walk) {
    let mut panics = 0;
    for most in 4..12 {
        let line = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
        let output =
            walk.workspace.start_under(&["sh", "-c", &line], &["-vvv", "run", "job.toml", "--sandbox"], b"").wait();
        let panicked = output.stderr.contains("internal error: panicked");
        panics += usize::from(panicked);
        // Neither the job file nor the time zone can be read.
        let unread = ["job file cannot be read", "TZ names no time zone"];
        let code = if unread.iter().any(|said| output.stderr.contains(said)) { 2 } else { 1 };
        walk.check_output(&format!("{most} files open"), &output, code, "rror");
    }
    assert!(panics > 0, "none of them panicked");
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

#[test]
fn files_with_accounts_are_readable_by_the_user_only_for_any_umask() {
    let (workspace, _) = job().rows(&plain(OPERATION, 150)).in_a_workspace();
    workspace.faults(&["any:slow=1s:1"]);
    let shell = ["sh", "-c", "umask 0; exec \"$0\" \"$@\""];
    let mut running = workspace.start_under(&shell, &["run", "job.toml", "--execute", "--yes"], b"");
    workspace.until_calls(1, &mut running);
    for file in ["imbulk.db", "imbulk.db-wal", "imbulk.db-shm"] {
        assert_eq!(mode(&workspace.path(file)), 0o600, "{file}");
    }
    let ledger = std::fs::read(workspace.ledger()).expect("it is used");
    // Processes of other users must be able to take their slots. The file contains only times and names of commands.
    assert_eq!(mode(&workspace.ledger()), 0o666);
    running.wait().expect(0);
    workspace.start_under(&shell, &["results", "job", "--output", "results.csv"], b"").wait().expect(0);
    assert_eq!(mode(&workspace.path("results.csv")), 0o600);
    let text: BTreeSet<&[u8]> = ledger[..4096].split(|byte| *byte == 0).filter(|text| !text.is_empty()).collect();
    assert_eq!(text, [b"imbulk slots v2\n".as_slice(), b"account_check", b"account_delete"].into());
    for file in std::fs::read_dir(workspace.folder()).expect("a folder") {
        let path = file.expect("an entry").path();
        let ours = path.file_stem().is_some_and(|name| name != "job");
        assert!(!ours || mode(&path) == 0o600, "{}", path.display());
    }
}

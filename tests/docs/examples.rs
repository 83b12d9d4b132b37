//! Runs the shell blocks of every document, page by page, as a reader would type them.
//!
//! A block `sh` is a script; each of its commands must end with exit code 0, or with the code that a comment
//! `# exit code N` behind it names. A block `console` has commands behind `$` and their output. The output must be what
//! the program prints to stdout, and can contain lines of stderr. A line `…` replaces any number of lines. A block that
//! cannot be run here says so in its first line, and is listed in `NOT_RUN`.
//!
//! With `IMBULK_DOCS=update`, the outputs without `…` are written into the pages.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::pages::{self, Block, all, blocks};
use crate::{read, root};

/// The blocks that are not run: page, first command, and reason.
const NOT_RUN: [(&str, &str, &str); 43] = [
    ("CONTRIBUTING.md", "cargo build --release", "it builds and tests everything"),
    ("CONTRIBUTING.md", "cargo test --locked --test chaos hostile", "it takes minutes"),
    ("CONTRIBUTING.md", "cargo install cargo-fuzz --locked", "it needs the network"),
    ("README.md", "$ cargo test --locked", "these are the tests"),
    ("README.md", "cargo install --path . --locked", "it builds the program for minutes"),
    ("README.md", UNSET, "it needs a real app"),
    ("docs/explanation/benchmarks.md", "cargo bench --bench whole", "it takes minutes"),
    (
        "docs/guides/approve-a-run.md",
        "imbulk plan purge.toml --approval-request purge.json --key ~/.ssh/id_ed25519",
        "it needs two persons",
    ),
    (
        "docs/guides/approve-a-run.md",
        "ssh-keygen -Y sign -n imbulk-approval -f ~/.ssh/id_ed25519 purge.json",
        "it needs two persons",
    ),
    (
        "docs/guides/approve-a-run.md",
        "imbulk run purge.toml --execute --plan 0123456789ab --approval purge.json",
        "it needs two persons",
    ),
    ("docs/guides/back-up.md", "zstd -dc backups/*.jsonl.zst | head", "it needs a finished run"),
    ("docs/guides/back-up.md", BACKUPS, "it needs a finished run"),
    ("docs/guides/back-up.md", RESTORE, "it needs a finished run"),
    ("docs/guides/back-up.md", "imbulk plan unfriend-restore/friends.toml", "it needs a finished run"),
    (
        "docs/guides/compare-with-your-server.md",
        "imbulk doctor purge.toml --conformance > profile.json",
        "it needs a real app",
    ),
    ("docs/guides/control-a-run.md", "imbulk ctl purge pause", OTHER_PROCESS),
    ("docs/guides/control-a-run.md", "imbulk ctl purge resume", OTHER_PROCESS),
    ("docs/guides/control-a-run.md", "imbulk ctl purge rate 50", OTHER_PROCESS),
    ("docs/guides/control-a-run.md", "imbulk ctl purge drain", OTHER_PROCESS),
    ("docs/guides/deploy.md", "(umask 077; cat > purge.key) # type the key, Enter, Ctrl-D", "it needs root"),
    ("docs/guides/deploy.md", STATUS, "it needs root"),
    ("docs/guides/deploy.md", "docker build -f deploy/Dockerfile -t imbulk .", "it needs Docker"),
    ("docs/guides/deploy.md", SECRET, "it needs a cluster"),
    ("docs/guides/deploy.md", "deploy/release.sh", "it builds the program for minutes"),
    ("docs/guides/nightly-cron.md", INSTALL, "it needs root"),
    ("docs/guides/nightly-cron.md", KEY, "it needs root"),
    (
        "docs/guides/nightly-cron.md",
        "sudo -u cleanup env IMBULK_SECRET_KEY_FILE=/srv/cleanup/secret.key sh -c 'cd /srv/cleanup && exec sh'",
        "it needs root",
    ),
    ("docs/guides/nightly-cron.md", "sudo crontab -u cleanup deploy/crontab", "it needs root"),
    (
        "docs/guides/prove-a-deletion.md",
        "imbulk certify purge --key ~/.ssh/id_ed25519 --output purge-2026-12.json",
        "it needs a finished run",
    ),
    (
        "docs/guides/prove-a-deletion.md",
        "imbulk certify purge --prove user_00017 --output user_00017.proof",
        "it needs a finished run",
    ),
    (
        "docs/guides/prove-a-deletion.md",
        "imbulk verify-certificate purge-2026-12.json --allowed-signers signers --proof user_00017.proof",
        "it needs a certificate",
    ),
    (
        "docs/guides/prove-a-deletion.md",
        "python3 verify_certificate.py purge-2026-12.json --allowed-signers signers --proof user_00017.proof",
        "it needs a certificate",
    ),
    ("docs/guides/purge-a-million-accounts.md", "imbulk run purge.toml --execute --limit 1000", "it needs a real app"),
    ("docs/guides/purge-a-million-accounts.md", "imbulk run purge.toml --execute", "it needs a real app"),
    ("docs/guides/purge-a-million-accounts.md", OPEN, "it needs a real app"),
    ("docs/guides/purge-a-million-accounts.md", VERIFY, "it needs a real app"),
    ("docs/guides/purge-a-million-accounts.md", CONTRADICTED, "it needs a real app"),
    ("docs/guides/purge-a-million-accounts.md", EVIDENCE, "it needs a real app"),
    ("docs/guides/purge-a-million-accounts.md", FORGET, "it needs a real app"),
    ("docs/guides/recover-from-a-wrong-export.md", "imbulk ctl quickstart drain", OTHER_PROCESS),
    (
        "docs/guides/troubleshoot.md",
        "imbulk doctor purge.toml # key, admin, region, clock, limits, disk: one call, which only reads",
        "it needs a job and a run of your own",
    ),
    ("docs/reference/logs.md", "# each run: start of the night, exit code, seconds, and rows by outcome", JQ),
    ("docs/reference/results.md", COUNT, "it needs the program sqlite3"),
];
const UNSET: &str = "kill %1; unset IMBULK_ENDPOINT IMBULK_SECRET_KEY; umask 077; cp imbulk.env.example imbulk.env";
const INSTALL: &str = "sudo install -m 755 ~/.cargo/bin/imbulk /usr/local/bin/imbulk";
const KEY: &str = "sudo -u cleanup sh -c 'umask 077; cat > /srv/cleanup/secret.key'";
const FORGET: &str = "imbulk forget --run purge-trial-accounts --execute";
const BACKUPS: &str = "sqlite3 imbulk.db 'SELECT file, first_byte, bytes, lines, blake3 FROM backup'";
const RESTORE: &str = "imbulk restore backups/unfriend-0190e8b0-*.jsonl.zst";
const JQ: &str = "it needs the program jq";
const OTHER_PROCESS: &str = "it needs a run that another process is sending";
const VERIFY: &str = "imbulk verify purge-trial-accounts --sample 10000";
const CONTRADICTED: &str = "imbulk retry purge-trial-accounts --verified contradicted";
const OPEN: &str = "imbulk results purge-trial-accounts --outcome failed,in_doubt --output open.csv";
const EVIDENCE: &str = "imbulk results purge-trial-accounts --output purge-results.csv";
const STATUS: &str = "sudo -u imbulk imbulk status --queue /var/lib/imbulk/purge/imbulk.db";
const SECRET: &str = "kubectl create secret generic imbulk-purge --from-file=secret-key=purge.key";
const COUNT: &str = r#"sqlite3 -readonly imbulk.db "SELECT outcome, code, count(*) FROM item GROUP BY outcome, code""#;

/// As many ports, each different, that no other program of this machine uses now.
fn free_ports(count: usize) -> Vec<String> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("an address").port().to_string()).collect()
}

/// What every script begins with: how it reports, and how it waits for the sandbox.
const PRELUDE: &str = r#"
trap 'kill $(jobs -p) 2>/dev/null' EXIT
check() { [ "$1" = "$2" ] || { echo "@@failed $3: exit code $1, expected $2"; cat ~/stderr 2>/dev/null; exit 1; }; }
listening() { until (: <>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null; do kill -0 $! || return 1; done; }
"#;

/// One command, with the check of its exit code.
fn checked(command: &str, line: usize) -> String {
    let (command, code) = command.split_once("# exit code ").unwrap_or((command, "0"));
    let code = code.trim();
    if command.trim_end().ends_with('&') {
        return format!("{command}\nlistening; check $? 0 {line}\n");
    }
    format!("{{ {command}\n}}; check $? {code} {line}\n")
}

/// The commands of a script: lines, with what belongs to a here-document or follows a backslash.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("# "));
    let mut found = Vec::new();
    while let Some((number, line)) = lines.next() {
        let mut command = line.to_owned();
        let end = line.split_once("<<'").and_then(|(_, rest)| rest.split('\'').next());
        while command.ends_with('\\') || end.is_some_and(|end| command.lines().next_back() != Some(end)) {
            let (_, next) = lines.next().expect("the rest of a command");
            command = command + "\n" + next;
        }
        found.push((number, command));
    }
    found
}

/// The command of a `console` block and the output that it shows.
struct Transcript {
    line: usize,
    command: String,
    output: String,
}

fn transcripts(block: &Block) -> Vec<Transcript> {
    let mut found: Vec<Transcript> = Vec::new();
    for (number, line) in block.text.lines().enumerate() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => {
                found.push(Transcript {
                    line: block.line + number,
                    command: command.to_owned(),
                    output: String::new(),
                });
            }
            (None, Some(transcript)) => transcript.output = format!("{}{line}\n", transcript.output),
            (None, None) => panic!("line {}: a console block begins with a command", block.line),
        }
    }
    found
}

/// The pages with blocks to run.
fn originals() -> Vec<String> {
    all().into_iter().filter(|page| !pages::is_translation(page)).collect()
}

/// The script of a page. What the command of line N printed is between `@@begin N` and `@@end N`.
fn script(blocks: &[Block]) -> String {
    let mut script = PRELUDE.to_owned();
    for block in blocks {
        if block.language == "console" {
            for Transcript { line, command, .. } in transcripts(block) {
                let checked = checked(&command, line).replacen("\n};", "\n} 2> ~/stderr;", 1);
                let said = format!("echo '@@stderr {line}'; cat ~/stderr");
                write!(script, "echo '@@begin {line}'\n{checked}{said}\necho '@@end {line}'\n").expect("a string");
            }
        } else {
            script.extend(commands(&block.text).iter().map(|(number, text)| checked(text, block.line + number)));
        }
    }
    script
}

/// A folder as a reader has it: the repository's jobs, and a `cargo` that runs the program that the tests have built.
fn reader_folder(folder: &Path) {
    let bin = folder.join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink(env!("CARGO_BIN_EXE_imbulk"), bin.join("imbulk")).expect("a link");
    let cargo = "#!/bin/sh\n[ \"$1 $2 $3\" = 'run --release --' ] || exit 99\nshift 3\nexec imbulk \"$@\"\n";
    fs::write(bin.join("cargo"), cargo).expect("a file");
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).expect("a program");
    let copied = Command::new("cp").arg("-r").arg(root().join("jobs")).arg(folder).status().expect("cp");
    assert!(copied.success());
}

/// Runs the blocks of a page with a port for its sandbox, and returns what is wrong.
fn run(page: &str, port: &str) -> Vec<String> {
    let blocks: Vec<Block> = blocks(page).into_iter().filter(Block::is_typed).collect();
    let run: Vec<Block> = blocks.into_iter().filter(|block| block.not_run().is_none()).collect();
    if run.is_empty() {
        return Vec::new();
    }
    let folder = tempfile::tempdir().expect("a folder");
    reader_folder(folder.path());
    let (succeeded, printed) = bash(&script(&run), folder.path(), port);
    let mut problems = Vec::new();
    if !succeeded {
        problems.push(format!("{page}:\n{printed}"));
    }
    for transcript in run.iter().filter(|block| block.language == "console").flat_map(transcripts) {
        if let Some((problem, real)) = difference(page, &transcript, &printed) {
            problems.push(problem);
            update(page, &transcript, &real);
        }
    }
    problems
}

/// Runs a script as a reader would, and returns whether it succeeded and what it printed.
fn bash(script: &str, folder: &Path, port: &str) -> (bool, String) {
    let output = Command::new("timeout")
        .args(["120", "bash", "-c", &format!("exec 2>&1\n{}", script.replace("8900", port))])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folder.join("bin").display()))
        .env("HOME", folder)
        .env("PORT", port)
        .env("TZ", "UTC")
        .output()
        .expect("bash");
    let printed = String::from_utf8_lossy(&output.stdout).replace(port, "8900");
    (output.status.success(), printed.replace(&folder.display().to_string(), "/home/you"))
}

/// With `IMBULK_DOCS=update`, writes what a command really prints into its page.
fn update(page: &str, transcript: &Transcript, real: &str) {
    let Transcript { command, output, .. } = transcript;
    #[expect(clippy::disallowed_methods, reason = "asks how the test is to run, not how imbulk is")]
    let mode = std::env::var("IMBULK_DOCS");
    if mode.is_ok_and(|mode| mode == "update") && !output.contains('…') {
        let text = read(page).replacen(&format!("$ {command}\n{output}"), &format!("$ {command}\n{real}"), 1);
        fs::write(root().join(page), text).expect("a page");
    }
}

/// What is wrong with a transcript, and what the command really prints.
fn difference(page: &str, transcript: &Transcript, printed: &str) -> Option<(String, String)> {
    let Transcript { line, command, output } = transcript;
    let (begin, end) = (format!("@@begin {line}\n"), format!("@@end {line}\n"));
    let (stdout, stderr) =
        printed.split_once(&begin)?.1.split_once(&end)?.0.split_once(&format!("@@stderr {line}\n"))?;
    let said = normal(stderr);
    let shown = normal(output);
    let shown = shown.lines().filter(|shown| !said.lines().any(|said| said == *shown));
    let pattern: Vec<String> = shown.map(regex::escape).collect();
    let pattern = format!("^{}\n$", pattern.join("\n")).replace("\n…", "(?:\n.*)*").replace("^…\n", "^(?:.*\n)*");
    let same = Regex::new(&pattern).expect("a pattern").is_match(&normal(stdout));
    let real = format!("{stderr}{stdout}");
    (!same).then(|| (format!("{page}:{line}: `{command}` prints:\n{real}"), real))
}

/// A text without what differs from run to run: ids, times, durations, rates and the size of the queue.
fn normal(text: &str) -> String {
    let changes = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "RUN"),
        (r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( [+-]\d{2}:\d{2}| ?UTC|Z)?", "TIME"),
        (r"\b[0-9a-f]{12}\b", "PLAN"),
        (r#""seconds": [\d.e-]+"#, "SECONDS"),
        // It depends on whether the WAL was removed when the last process ended.
        (r#""(queue_bytes\w*)": \d+"#, "BYTES"),
        (r"imbulk-check-\d+-", "TEST-ACCOUNT"),
        (r"\b[\d,.]+/s", "RATE"),
        (r"\b[\d.]+ (ms|s|min|h)\b( \d+ (s|min)\b)?", "DURATION"),
        (r"at most \d+ (calls )?in (a|one|any) second", "at most N in a second"),
    ];
    changes.iter().fold(text.to_owned(), |text, (pattern, word)| {
        Regex::new(pattern).expect("a pattern").replace_all(&text, *word).into_owned()
    })
}

#[test]
fn every_command_of_the_documents_does_what_they_show() {
    let pages = originals();
    let problems: Vec<String> = std::thread::scope(|scope| {
        let ports = free_ports(pages.len());
        let threads: Vec<_> =
            pages.iter().zip(ports).map(|(page, port)| scope.spawn(move || run(page, &port))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a page")).collect()
    });
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn the_blocks_that_are_not_run_are_those_of_the_list() {
    let mut found = Vec::new();
    for page in originals() {
        for block in blocks(&page).iter().filter(|block| block.is_typed()) {
            if let Some(reason) = block.not_run() {
                let command = block.text.lines().nth(1).unwrap_or_default();
                found.push(format!("{page}: {command}: {reason}"));
            }
        }
    }
    let listed = NOT_RUN.iter().map(|(page, command, reason)| format!("{page}: {command}: {reason}"));
    assert_eq!(found, listed.collect::<Vec<_>>());
}

#[test]
fn every_block_with_a_command_has_a_language_that_is_run_or_parsed() {
    let mut wrong = Vec::new();
    for page in all() {
        for Block { language, line, text } in blocks(&page) {
            let has_command = text.lines().any(|line| ["imbulk ", "cargo ", "$ "].iter().any(|c| line.starts_with(c)));
            if has_command && !["sh", "console", "cron", "text"].contains(&language.as_str()) {
                wrong.push(format!("{page}:{line}: ```{language}"));
            }
        }
    }
    assert!(wrong.is_empty(), "commands in blocks that are not run:\n{}", wrong.join("\n"));
}

#[test]
fn a_wrong_exit_code_a_wrong_output_and_a_missing_command_are_found() {
    let transcript = |output: &str| Transcript { line: 7, command: "true".to_owned(), output: output.to_owned() };
    let printed = "@@begin 7\none\ntwo 12 ms\nthree\n@@stderr 7\nnote: four\n@@end 7\n";
    assert_eq!(difference("p", &transcript("one\ntwo 9 ms\nthree\n"), printed), None);
    assert_eq!(difference("p", &transcript("…\nthree\n"), printed), None);
    assert_eq!(difference("p", &transcript("note: four\none\n…\n"), printed), None);
    assert!(difference("p", &transcript("note: five\none\n…\n"), printed).is_some());
    assert!(difference("p", &transcript("one\nthree\n"), printed).is_some());
    assert!(difference("p", &transcript("one\ntwo 12 ms\n"), printed).is_some());
    for (command, code) in [("false", Some(1)), ("no-such-command", Some(1)), ("false # exit code 1", Some(0))] {
        let script = format!("{PRELUDE}{}", checked(command, 1));
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
        assert_eq!(output.status.code(), code, "{command}");
    }
}

//! Nothing is sent without `--execute`, whatever the other arguments are.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::{Arg, ArgAction, CommandFactory};
use imbulk::cli::Cli;
use imbulk_sandbox::Command;
use rustix::process::{Pid, Signal, kill_process};

use imbulk_testkit::rows::plain;
use imbulk_testkit::{APP, JobFile, Workspace};

/// An endpoint that counts its connections.
fn counting_endpoint() -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let connections = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&connections);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            // Closed at once, so that the client does not wait.
            drop::<Result<TcpStream, _>>(stream);
        }
    });
    (url, connections)
}

/// A value for an argument. A new argument has to be considered here: can it send anything?
fn typed(command: &str, arg: &Arg) -> Vec<String> {
    let id = arg.get_id().as_str();
    let value = match (command, id) {
        (_, "queue") => "other.db",
        (_, "log_file") => "run.log",
        (_, "log_format") => "json",
        (_, "verbose" | "json" | "watch")
        | ("restore", "incomplete")
        | ("explain", "list")
        | ("results", "with_input")
        | ("run", "execute" | "yes" | "sandbox" | "again" | "resume")
        | ("forget", "execute" | "yes") => "",
        ("forget", "older_than") => "90d",
        ("run", "plan") => "0123456789ab",
        ("run", "limit") | ("ctl", "calls_per_second") => "3",
        ("status" | "results" | "report" | "retry" | "ctl" | "explain" | "certify", "target") => "sandbox",
        ("certify" | "plan", "key") => "key",
        ("run", "approval") | ("plan", "approval_request") => "approval.json",
        ("certify", "prove") => "user_1",
        ("certify", "output") | ("verify-certificate", "certificate" | "previous") => "certificate.json",
        ("verify-certificate", "proof") => "user_1.proof",
        ("verify-certificate", "allowed_signers") => "signers",
        ("run" | "plan", "jobs") | ("usersig", "job") => "job.toml",
        ("status" | "results" | "report" | "retry" | "ctl" | "schema" | "certify", "name") | ("forget", "runs") => {
            "job"
        }
        ("ctl", "instruction") => "resume",
        ("init", "name") => "new",
        ("init", "operation") => "account_delete",
        ("init", "from") => "job.csv",
        ("history", "id") => "user_00001",
        ("man", "subcommand") => "run",
        ("man", "output") => "pages",
        ("restore", "backup") => "backup.jsonl.zst",
        ("restore", "output") => "restored",
        ("results", "outcome") => "failed,in_doubt",
        ("results", "format") => "jsonl",
        ("results", "split") => "split",
        ("report", "output") => "report.html",
        ("results", "output") => "results.jsonl",
        ("retry", "code") | ("explain", "subject") => "70107",
        ("explain", "class") => "fatal",
        ("explain" | "report", "lang") => "zh",
        ("retry", "outcome") => "in_doubt",
        ("retry", "verified") => "contradicted",
        ("completions", "shell") => "bash",
        ("sandbox", "listen") => "127.0.0.1:0",
        ("sandbox", "sdkappid") => "1400000001",
        ("sandbox", "identifier") => "administrator",
        ("sandbox", "latency" | "jitter") => "1ms",
        ("sandbox", "faults") => "any:reset:0.1",
        ("sandbox", "missing" | "missing_friends") => "0.1",
        ("sandbox", "seed") => "1",
        ("sandbox", "profile") => "profile.json",
        _ => panic!("`imbulk {command}` has a new argument `{id}`: consider whether it can make anything be sent"),
    };
    let name = arg.get_long().map(|long| format!("--{long}"));
    let value = (!value.is_empty()).then(|| value.to_owned());
    name.into_iter().chain(value).collect()
}

/// The required arguments with every choice of the optional ones; with many optional ones, each alone and all together.
fn choices(command: &clap::Command) -> Vec<Vec<String>> {
    let known = |arg: &&Arg| !matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpLong | ArgAction::Version);
    let (required, optional): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(known).partition(|arg| arg.is_required_set());
    let words = |args: &[&Arg]| args.iter().flat_map(|arg| typed(command.get_name(), arg)).collect::<Vec<_>>();
    let sets: Vec<u32> = if optional.len() <= 7 {
        (0..1 << optional.len()).collect()
    } else {
        (0..optional.len()).map(|bit| 1 << bit).chain([(1 << optional.len()) - 1]).collect()
    };
    let chosen =
        |set: u32| optional.iter().enumerate().filter(move |(bit, _)| set & 1 << bit != 0).map(|(_, arg)| *arg);
    let all =
        |set| [vec![command.get_name().to_owned()], words(&chosen(set).collect::<Vec<_>>()), words(&required)].concat();
    sets.into_iter().map(all).collect()
}

#[test]
fn nothing_is_sent_without_execute_whatever_the_arguments() {
    let (endpoint, connections) = counting_endpoint();
    let (mut workspace, _) =
        JobFile::new("job", Command::AccountDelete).rows(&plain(Command::AccountDelete, 20)).in_a_workspace();
    workspace.set_env("IMBULK_ENDPOINT", &endpoint);
    workspace.write("profile.json", r#"{ "values": {} }"#);
    let mut cli = Cli::command();
    cli.build();
    let mut tried = 0;
    // `doctor` makes one call that only reads, and `verify` only reads, too. `doctor --conformance` asks before it
    // writes. Tests of these commands show it.
    let silent = |command: &&clap::Command| !["help", "doctor", "verify"].contains(&command.get_name());
    for command in cli.get_subcommands().filter(silent) {
        assert!(!command.has_subcommands(), "`imbulk {}` has commands of its own: consider them", command.get_name());
        for args in choices(command) {
            let has = |flag: &str| args.iter().any(|arg| arg == flag);
            if args[0] == "sandbox" {
                serve_and_stop(&workspace, &args);
            } else if !has("--execute") || has("--sandbox") {
                let output = workspace.imbulk(&args.iter().map(String::as_str).collect::<Vec<_>>());
                assert!(matches!(output.code, 0 | 2 | 3), "{args:?}: {output:#?}");
            }
            assert_eq!(connections.load(Ordering::SeqCst), 0, "{args:?} called the endpoint");
            tried += 1;
        }
    }
    assert!(tried > 150, "only {tried}");
    let mut running = workspace.start(&["run", "job.toml", "--execute"], b"");
    while connections.load(Ordering::SeqCst) == 0 {
        assert!(running.is_alive(), "with --execute it must call, or this test is blind");
        workspace.nap();
    }
    let address = endpoint.trim_start_matches("http://").replace(':', "-");
    let ledger = format!("/tmp/imbulk-{address}-{APP}.slots");
    assert!(std::fs::exists(&ledger).expect("a folder"), "it shares its slots there");
    running.kill();
    for file in [format!("{ledger}.users"), ledger] {
        std::fs::remove_file(file).expect("a killed process leaves it");
    }
}

/// `imbulk sandbox` serves until a signal stops it.
fn serve_and_stop(workspace: &Workspace, args: &[String]) {
    let listen: &[&str] = if args.iter().any(|arg| arg == "--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
    let mut command = Process::new(imbulk_testkit::program());
    command.args(args).args(listen).env_clear().current_dir(workspace.folder());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    assert!(line.starts_with("http://127.0.0.1:"), "{args:?}: {line}");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::INT).expect("a child of ours");
    child.wait().expect("a child of ours");
}

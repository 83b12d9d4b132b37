//! `imbulk certify` and both programs that check certificates: `imbulk verify-certificate` and a Python file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use imbulk::certificate::{CertificateFiles, NotValid};
use imbulk_sandbox::Command;
use imbulk_testkit::requirements::{Requirement, are_met};
use imbulk_testkit::rows::{csv, plain};
use imbulk_testkit::{JobFile, Workspace};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

const OPERATION: Command = Command::AccountDelete;
const MUTATIONS: usize = 1000;
/// The verifier for auditors.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify_certificate.py");
/// Reads a list of arguments per line, and prints the exit code of each.
const DRIVER: &str = "import contextlib, io, json, sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True
import verify_certificate
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = verify_certificate.main(json.loads(line))
    print(code)";

fn has_tools() -> bool {
    let tools = [Requirement::Tool("ssh-keygen"), Requirement::Tool("python3")];
    are_met("certificates", &tools)
}

/// Makes a key without a passphrase, and a file that allows it to sign.
pub(crate) fn key(workspace: &Workspace, name: &str) {
    let mut keygen = Process::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "someone", "-f"]).arg(workspace.path(name));
    assert!(keygen.status().expect("ssh-keygen").success());
    let public = std::fs::read_to_string(workspace.path(&format!("{name}.pub"))).expect("a key");
    workspace.write(&format!("{name}.signers"), format!("{name}@example.com {public}"));
}

fn certify(workspace: &Workspace, output: &str) {
    workspace.imbulk(&["certify", "job", "--key", "key", "--output", output]).expect(0);
}

/// The exit code of the Python file for each list of arguments.
fn python(folder: &Path, calls: &[Vec<String>]) -> Vec<i32> {
    let mut process = Process::new("python3");
    process.args(["-c", DRIVER]).arg(Path::new(PYTHON).parent().expect("a folder")).current_dir(folder);
    let mut process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
    let lines: String = calls.iter().fold(String::new(), |mut lines, call| {
        writeln!(lines, "{}", serde_json::to_string(call).expect("texts")).expect("a text");
        lines
    });
    let mut stdin = process.stdin.take().expect("a pipe");
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).expect("python3 reads"));
    let output = process.wait_with_output().expect("python3 ends");
    writing.join().expect("all lines are written");
    let codes = String::from_utf8(output.stdout).expect("numbers");
    codes.lines().map(|code| code.parse().expect("a number")).collect()
}

/// Both programs give this exit code.
#[track_caller]
fn both(workspace: &Workspace, args: &[&str], code: i32) {
    workspace.imbulk(&[&["verify-certificate"], args].concat()).expect(code);
    let call = args.iter().map(|arg| (*arg).to_owned()).collect();
    assert_eq!(python(workspace.folder(), &[call]), [code], "{args:?}");
}

fn read(workspace: &Workspace, name: &str) -> Vec<u8> {
    std::fs::read(workspace.path(name)).expect("a file")
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|found| found == text.as_bytes())
}

/// A finished job with a failed item, of which there are three certificates and a proof: `c1.json` before the item was
/// sent again, then `c2.json` and `c3.json`.
fn certified() -> Workspace {
    let (workspace, job) = JobFile::new("job", OPERATION).rows(&plain(OPERATION, 300)).in_a_workspace();
    workspace.faults(&["account_delete:item=70402:#1"]);
    workspace.run(&job).expect(3);
    key(&workspace, "key");
    certify(&workspace, "c1.json");
    workspace.faults(&[]);
    workspace.imbulk(&["retry", "job"]).expect(0);
    workspace.imbulk(&["certify", "job", "--key", "key", "--output", "no.json"]).expect(2).says("is not finished");
    workspace.run(&job).expect(0);
    workspace
        .imbulk(&["certify", "job", "--prove", "user_00017", "--output", "no.proof"])
        .expect(2)
        .says("changed since");
    certify(&workspace, "c2.json");
    certify(&workspace, "c3.json");
    workspace.imbulk(&["certify", "job", "--prove", "user_00017", "--output", "user.proof"]).expect(0);
    assert!(!workspace.path("no.json").exists() && !workspace.path("no.proof").exists());
    workspace
}

#[test]
fn a_certificate_its_chain_and_a_proof_are_valid_and_reveal_one_account_also_after_the_run_is_forgotten() {
    if !has_tools() {
        return;
    }
    let workspace = certified();
    let proof = read(&workspace, "user.proof");
    assert!(proof.len() <= 1000 && contains(&proof, "user_00017"));
    let others = (0..300).filter(|row| *row != 17).map(|row| format!("user_{row:05}"));
    assert!(others.into_iter().all(|id| !contains(&proof, &id)));
    assert!(!contains(&read(&workspace, "c3.json"), "user_"));
    let all = ["c3.json", "--previous", "c1.json", "c2.json", "--proof", "user.proof"];
    let signers = ["--allowed-signers", "key.signers"];
    let valid = || {
        both(&workspace, &[&all[..], &signers].concat(), 0);
        both(&workspace, &["c1.json"], 0);
        both(&workspace, &["c2.json", "--previous", "c1.json"], 0);
        let said = workspace.imbulk(&[&["verify-certificate"], &all[..], &signers].concat()).expect(0);
        for text in
            ["certificate 3 of job job", "signed by key@example.com, SHA256:", "proved: user_00017 (job.csv:19)"]
        {
            assert!(said.stdout.contains(text), "{text}: {said:#?}");
        }
    };
    valid();
    let schema = workspace.imbulk(&["schema", "certificate"]).expect(0).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).expect("JSON")).expect("a schema");
    assert!(schema.is_valid(&serde_json::from_slice(&read(&workspace, "c3.json")).expect("JSON")));
    // By hand, as the guide shows.
    let mut by_hand = Process::new("ssh-keygen");
    by_hand.args("-Y verify -f key.signers -I key@example.com -n imbulk-certificate -s c3.json.sig".split(' '));
    let certificate = std::fs::File::open(workspace.path("c3.json")).expect("a file");
    assert!(by_hand.current_dir(workspace.folder()).stdin(certificate).status().expect("ssh-keygen").success());
    // The proof is of the rows of c2 and c3, not of c1; the chain must be complete.
    both(&workspace, &["c2.json", "--proof", "user.proof"], 0);
    both(&workspace, &["c1.json", "--proof", "user.proof"], 3);
    both(&workspace, &["c3.json", "--previous", "c2.json"], 3);
    both(&workspace, &["c3.json", "--previous", "c1.json"], 3);
    both(&workspace, &["c2.json", "--previous", "c1.json", "c3.json"], 3);
    key(&workspace, "other");
    both(&workspace, &["c3.json", "--allowed-signers", "other.signers"], 3);
    both(&workspace, &["none.json"], 2);
    workspace.imbulk(&["certify", "job", "--prove", "user_99999", "--output", "p"]).expect(2).says("names the account");

    let secret = |workspace: &Workspace| {
        let queue = workspace.path("imbulk.db");
        let python = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(\
                      'select count(*) from certificate_secret').fetchone()[0])";
        Process::new("python3").args(["-c", python]).arg(queue).output().expect("python3").stdout
    };
    assert_eq!(secret(&workspace), b"1\n");
    workspace.imbulk(&["forget", "--older-than", "0d", "--execute", "--yes"]).expect(0);
    assert_eq!(secret(&workspace), b"0\n");
    valid();
    workspace.imbulk(&["certify", "job", "--prove", "user_00017", "--output", "p"]).expect(2).says("was forgotten");
    workspace.write("job.csv", csv(OPERATION, &plain(OPERATION, 7)));
    workspace.run("job.toml").expect(0);
    certify(&workspace, "c4.json");
    both(&workspace, &["c4.json", "--previous", "c1.json", "c2.json", "c3.json"], 0);
}

#[test]
fn a_certificate_whose_key_is_compared_with_none_says_so() {
    if !has_tools() {
        return;
    }
    let workspace = certified();
    let said = |args: &[&str]| workspace.imbulk(&[&["verify-certificate", "c1.json"], args].concat()).expect(0).stdout;
    assert!(said(&[]).contains("anybody can make such a key"));
    assert!(!said(&["--allowed-signers", "key.signers"]).contains("anybody"));
}

#[test]
fn the_proof_of_one_side_of_a_pair_hides_the_other_and_each_row_has_a_proof() {
    if !has_tools() {
        return;
    }
    let operation = Command::FriendDelete;
    let (workspace, job) = JobFile::new("job", operation).in_a_workspace();
    workspace.write("job.csv", "From_Account,To_Account\nann,bob\ncid,ann\ncid,dan\nann,bob\n");
    workspace.run(&job).expect(0);
    key(&workspace, "key");
    certify(&workspace, "c.json");
    let said = workspace.imbulk(&["certify", "job", "--prove", "ann", "--output", "ann.proof"]).expect(0);
    assert_eq!(said.stdout.lines().count(), 3, "{said:#?}");
    for file in ["ann.proof", "ann-2.proof", "ann-3.proof"] {
        let proof = read(&workspace, file);
        assert!(contains(&proof, "ann") && !["bob", "cid", "dan"].iter().any(|id| contains(&proof, id)), "{file}");
    }
    both(&workspace, &["c.json", "--proof", "ann.proof", "ann-2.proof", "ann-3.proof"], 0);
}

/// Changes one of the files, or leaves one out. Returns the files of the chain.
fn mutate(rng: &mut SmallRng, from: &Workspace, folder: &Path) -> (String, Vec<&'static str>) {
    const FILES: [&str; 7] =
        ["c3.json", "c3.json.sig", "c2.json", "c2.json.sig", "c1.json", "c1.json.sig", "user.proof"];
    std::fs::create_dir(folder).expect("a folder");
    for file in FILES {
        std::fs::copy(from.path(file), folder.join(file)).expect("a copy");
    }
    let file = FILES[rng.random_range(0..FILES.len())];
    let mut bytes = read(from, file);
    let at = rng.random_range(0..bytes.len());
    let chain = vec!["c1.json", "c2.json"];
    let what = match rng.random_range(0..6) {
        0 => {
            bytes[at] ^= 1 << rng.random_range(0..8);
            "edited"
        }
        1 => {
            let end = rng.random_range(at + 1..=bytes.len().min(at + 40));
            bytes.drain(at..end);
            "shortened"
        }
        2 => {
            bytes.truncate(at);
            "truncated"
        }
        3 => {
            bytes.insert(at, rng.random());
            "extended"
        }
        4 => {
            let removed = rng.random_range(0..2);
            return (format!("{} left out", chain[removed]), vec![chain[1 - removed]]);
        }
        _ => {
            // A statement of the same owner, with other numbers and a valid signature.
            let certificate = ["c1.json", "c2.json"][rng.random_range(0..2)];
            for suffix in ["", ".sig"] {
                let forged = from.path(&format!("forged-{certificate}{suffix}"));
                std::fs::copy(forged, folder.join(format!("{certificate}{suffix}"))).expect("a copy");
            }
            return (format!("{certificate} forged"), chain);
        }
    };
    std::fs::write(folder.join(file), bytes).expect("a file");
    (format!("{file} {what} at {at}"), chain)
}

/// Signs a certificate again after a row moved from one outcome to another.
fn forge(workspace: &Workspace, certificate: &str) {
    let mut statement: Value = serde_json::from_slice(&read(workspace, certificate)).expect("JSON");
    let outcomes = statement["outcomes"].as_object_mut().expect("an object");
    for (outcome, change) in [("succeeded", -1), ("already_done", 1)] {
        let rows = outcomes[outcome].as_i64().expect("a number");
        outcomes.insert(outcome.to_owned(), (rows + change).into());
    }
    let forged = format!("forged-{certificate}");
    workspace.write(&forged, serde_json::to_vec_pretty(&statement).expect("JSON"));
    let mut sign = Process::new("ssh-keygen");
    sign.args(["-q", "-Y", "sign", "-f", "key", "-n", "imbulk-certificate", &forged]).current_dir(workspace.folder());
    assert!(sign.status().expect("ssh-keygen").success());
    both(workspace, &[&forged], 0);
}

#[test]
fn a_thousand_edits_removals_and_truncations_are_all_detected_by_both_programs() {
    if !has_tools() {
        return;
    }
    let workspace = certified();
    forge(&workspace, "c1.json");
    forge(&workspace, "c2.json");
    let seed: u64 = rand::random();
    let mut rng = SmallRng::seed_from_u64(seed);
    let (mut whats, mut calls) = (Vec::new(), Vec::new());
    for number in 0..MUTATIONS {
        let folder = workspace.path(&format!("m{number}"));
        let (what, chain) = mutate(&mut rng, &workspace, &folder);
        let path = |file: &str| folder.join(file).display().to_string();
        let mut call = vec![path("c3.json"), "--proof".to_owned(), path("user.proof"), "--previous".to_owned()];
        call.extend(chain.iter().map(|file| path(file)));
        whats.push(what);
        calls.push(call);
    }
    let in_python = {
        let (folder, calls) = (workspace.folder().to_owned(), calls.clone());
        std::thread::spawn(move || python(&folder, &calls))
    };
    for (call, what) in calls.iter().zip(&whats) {
        let files = CertificateFiles {
            certificate: PathBuf::from(&call[0]),
            proofs: vec![PathBuf::from(&call[2])],
            previous: call[4..].iter().map(PathBuf::from).collect(),
            allowed_signers: None,
        };
        let found = files.verify();
        assert!(matches!(found, Err(NotValid::Invalid(_))), "seed {seed}: {what}: {found:?}");
    }
    let codes = in_python.join().expect("the Python file does not fail");
    assert_eq!(codes.len(), MUTATIONS, "seed {seed}");
    for (code, what) in codes.iter().zip(&whats) {
        assert_eq!(*code, 3, "seed {seed}: {what}");
    }
}

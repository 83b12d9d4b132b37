//! Keys and signatures show up nowhere, whatever goes wrong.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use imbulk::api::{SecretKey, sign};
use imbulk::sandbox::Command;
use regex::bytes::Regex;

use crate::harness::bench::{ADMIN, APP, Bench, Job, KEY};
use crate::harness::rows::{csv, plain};

/// A secret as it could show: as it is, percent-encoded, and within base64 at each of its three offsets.
fn shapes(secret: &str) -> Vec<Vec<u8>> {
    let percent = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("%{:02X}", c as u32) };
    let percent: String = secret.chars().map(percent).collect();
    let mut shapes = vec![secret.to_owned(), percent.to_lowercase(), percent];
    for offset in 0..3 {
        let shifted = [&b"   "[..offset], secret.as_bytes()].concat();
        let text = STANDARD.encode(shifted);
        // Its ends depend on what stands beside it.
        shapes.push(text[4..text.len() - 4].to_owned());
    }
    shapes.into_iter().map(String::into_bytes).collect()
}

/// Looks through everything that was left behind or said.
struct Search {
    shapes: Vec<Vec<u8>>,
    /// How every signature begins: a zlib stream in base64.
    signature: Regex,
}

impl Search {
    fn new(secrets: &[&str]) -> Self {
        let shapes = secrets.iter().flat_map(|secret| shapes(secret)).collect();
        Self { shapes, signature: Regex::new(r"eJ[A-Za-z0-9*_-]{60}").expect("a pattern") }
    }

    fn find(&self, bytes: &[u8]) -> Option<String> {
        let shape = self.shapes.iter().find(|shape| bytes.windows(shape.len()).any(|window| window == *shape));
        let shape = shape.map(|shape| String::from_utf8_lossy(shape).into_owned());
        shape.or_else(|| self.signature.find(bytes).map(|found| String::from_utf8_lossy(found.as_bytes()).into_owned()))
    }

    #[track_caller]
    fn nothing_in(&self, bytes: &[u8], what: &str) {
        let found = self.find(bytes);
        assert!(found.is_none(), "{what} shows {found:?}:\n{}", String::from_utf8_lossy(bytes));
    }
}

fn usersig(key: &str) -> String {
    let key = SecretKey::new(key.to_owned()).expect("a key");
    let identifier = imbulk::domain::account::UserId::new(ADMIN).expect("an id");
    let (app, now) = (APP.try_into().expect("not zero"), imbulk::clock::now());
    sign(&key, app, &identifier, now, Duration::from_hours(24)).expose().to_owned()
}

#[test]
fn the_search_finds_every_shape_of_a_secret() {
    let (search, sig) = (Search::new(&[KEY]), usersig(KEY));
    let url = format!("GET /v4?usersig={sig}&x");
    let inner = format!("x{KEY}y");
    for text in [
        KEY,
        &url,
        &STANDARD.encode(&inner),
        &STANDARD.encode(KEY),
        "5f61f048f77fe5ed5f61f048f77fe5ed%2Dmarked%2Dkey%2B%2F%3D",
    ] {
        assert!(search.find(text.as_bytes()).is_some(), "{text}");
    }
    assert_eq!(search.find(b"5f61f048 eJ and other text"), None);
}

#[test]
fn neither_key_nor_signature_shows_anywhere_whatever_goes_wrong() {
    let mut bench = Bench::new();
    let operation = Command::AccountDelete;
    bench.write("job.csv", csv(operation, &plain(operation, 150)));
    let job = Job::new("job", operation).with("retry", "max_attempts", 1);
    job.write(&bench);
    let given = usersig("another-marked-key");
    let search = Search::new(&[KEY, &given, "another-marked-key"]);
    let run = |bench: &Bench, name: &str| {
        let queue = format!("{name}.db");
        let output = bench.imbulk(&["-vv", "--queue", &queue, "run", "job.toml", "--execute", "--yes"]);
        search.nothing_in(output.stdout.as_bytes(), name);
        search.nothing_in(output.stderr.as_bytes(), name);
        assert!(!output.stderr.is_empty(), "{name} says nothing, so the search is blind");
        let results = bench.imbulk(&["-vv", "--queue", &queue, "results", "job"]);
        search.nothing_in(&[results.stdout, results.stderr].concat().into_bytes(), name);
        output.code
    };
    let mut paths = 0;
    for fault in FAULTS {
        bench.faults(&[fault]);
        run(&bench, &fault.replace(['/', ':', '#'], "-"));
        paths += 1;
    }
    bench.faults(&[]);
    assert_eq!(run(&bench, "all well"), 0);

    bench.set_env("IMBULK_USERSIG", &given);
    assert_eq!(run(&bench, "two secrets"), 2);
    bench.unset_env("IMBULK_SECRET_KEY");
    assert_eq!(run(&bench, "a signature of another key"), 4);
    bench.set_env("IMBULK_USERSIG", &format!("{given} "));
    assert_eq!(run(&bench, "padded"), 4);
    bench.set_env("IMBULK_USERSIG", &format!("{given}\u{7}{given}"));
    assert_eq!(run(&bench, "not a signature"), 2);
    bench.set_env("IMBULK_USERSIG", &given[..given.len() / 2]);
    assert_eq!(run(&bench, "cut short"), 4);
    bench.unset_env("IMBULK_USERSIG");
    bench.set_env("IMBULK_SECRET_KEY", &format!("{KEY}\u{7}"));
    assert_eq!(run(&bench, "no key"), 2);
    bench.set_env("IMBULK_SECRET_KEY", KEY);
    for (name, endpoint) in [
        ("a whole URL", format!("{}/v4/x?usersig={given}", bench.endpoint())),
        ("a password", format!("http://user:{KEY}@127.0.0.1:1")),
        ("no URL", format!("{given}:{KEY}")),
        ("plain http", format!("http://example.org/?{given}")),
    ] {
        bench.set_env("IMBULK_ENDPOINT", &endpoint);
        assert_eq!(run(&bench, name), 2);
        paths += 1;
    }
    bench.unset_env("IMBULK_ENDPOINT");
    assert!(paths + 6 > 20, "{paths}");
    look_through(&bench, &search);
    search.nothing_in(&std::fs::read(bench.ledger()).expect("it was used"), "the ledger");
    job_file_with_secrets(&bench, &search, &given);
}

const FAULTS: &[&str] = &[
    "any:code=70009:1",
    "any:code=70001:1",
    "any:code=70003:1",
    "any:code=60010:1",
    "any:code=60002:1",
    "any:code=12345:1",
    "any:code=60007:#1",
    "any:item=71000:1",
    "any:http=403:1",
    "any:http=302:1",
    "any:http=502:1",
    "any:reset:1",
    "any:close-after:1",
    "any:garbage:1",
    "any:truncated:1",
    "any:cut:1",
    "any:huge:1",
    "any:string-code:1",
    "any:silence:#1",
];

/// Every file of the folder; none is there that holds a secret on purpose.
fn look_through(bench: &Bench, search: &Search) {
    let mut files = 0;
    for entry in std::fs::read_dir(bench.folder()).expect("a folder") {
        let path = entry.expect("an entry").path();
        search.nothing_in(&std::fs::read(&path).expect("a file"), &path.display().to_string());
        files += 1;
    }
    assert!(files > 20, "{files}");
}

/// A job file with a secret is refused, and shown without it.
fn job_file_with_secrets(bench: &Bench, search: &Search, usersig: &str) {
    for line in [format!("secret_key = {KEY:?}"), format!("usersig = {usersig:?}"), format!("usersig = {usersig}")] {
        let text = Job::new("job", Command::AccountDelete).toml(bench).replace("[app]", &format!("[app]\n{line}"));
        bench.write("secret.toml", text);
        let output = bench.imbulk(&["-vv", "run", "secret.toml", "--execute", "--yes"]).expect(2);
        search.nothing_in(output.stderr.as_bytes(), &line);
    }
}

//! The structure of the program and the language of the repository, enforced.
//!
//! The table of modules says which module may use which, and the table of reserved words says which words may occur in
//! which files. Both rules read tokens, so a comment or a string literal breaks neither. The other files hold the rules
//! on cycles, sizes and words. Each rule is also shown code that breaks it, because a rule that finds nothing is worse
//! than none.

mod cycles;
mod glossary;
mod names;
mod paths;
mod reached;
mod sizes;
mod tokens;
mod violations;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use paths::named;
use tokens::{Token, tokens};

/// The top modules of `src`, and the modules that each may use. Dependencies run in one direction.
const MODULES: [(&str, &[&str]); 32] = [
    ("domain", &[]),
    ("clock", &[]),
    // The named places at which a test can stop the process.
    ("fail_point", &[]),
    ("input", &["domain", "clock"]),
    // The encoding that intake writes and the queue reads.
    ("stored_request", &["domain"]),
    ("intake", &["domain", "stored_request"]),
    ("queue", &["domain", "stored_request", "clock", "fail_point"]),
    ("api", &["domain", "clock", "fail_point"]),
    ("rate_limiter", &["domain", "clock", "fail_point"]),
    ("report", &["domain", "queue"]),
    // The bounded list of lines behind standard error and the log file.
    ("line_writer", &[]),
    // Folders that appear as a whole.
    ("new_folder", &["fail_point"]),
    // Lines for people, and the data of a command.
    ("stderr", &["line_writer"]),
    ("stdout", &["stderr"]),
    // Where events are written, and in which format.
    ("log", &["domain", "clock", "line_writer", "stderr"]),
    // `ssh-keygen -Y`.
    ("ssh", &["domain"]),
    // Merkle trees over rows, their statements and proofs.
    ("certificate", &["domain", "ssh"]),
    ("runner", &["domain", "queue", "api", "rate_limiter", "clock", "fail_point", "stderr", "testing"]),
    ("loading", &["domain", "input", "intake", "queue", "stored_request"]),
    ("export", &["certificate", "domain", "queue", "stored_request", "fail_point", "new_folder", "testing"]),
    ("settings", &["domain", "api"]),
    // What the checks of `imbulk doctor` find.
    ("doctor", &["domain", "api"]),
    // How a server answers where its pages are silent: the checks, and the profile of a server.
    ("conformance", &["domain"]),
    // The texts of a first job.
    ("init", &["domain", "input", "settings"]),
    // Jobs that put back what a run with a backup removed.
    ("restore", &["domain", "api", "fail_point", "init", "new_folder", "report", "settings"]),
    (
        "session",
        &[
            "domain",
            "clock",
            "conformance",
            "doctor",
            "input",
            "loading",
            "queue",
            "api",
            "rate_limiter",
            "report",
            "runner",
            "settings",
            "ssh",
            "stderr",
            "stdout",
            "log",
            "testing",
        ],
    ),
    // Pings and commands of the user at the start and the end of a run.
    ("notify", &["domain", "api", "report", "stderr"]),
    ("cli", &["domain", "log"]),
    (
        "commands",
        &[
            "certificate",
            "ssh",
            "domain",
            "clock",
            "doctor",
            "init",
            "intake",
            "loading",
            "queue",
            "api",
            "export",
            "report",
            "restore",
            "runner",
            "session",
            "settings",
            "stderr",
            "stdout",
            "cli",
            "log",
            "notify",
        ],
    ),
    // What unit tests of several modules share.
    ("testing", &["domain", "queue", "stored_request"]),
    ("main", &["cli", "commands", "domain", "log"]),
    ("lib", &[]),
];

/// Words that may occur in some files only.
struct Reserved {
    /// Each a sequence of tokens, separated by spaces.
    words: &'static [&'static str],
    /// The words are reserved in files whose paths start with one of these.
    within: &'static [&'static str],
    /// But allowed in files whose paths start with one of these.
    except: &'static [&'static str],
    /// Why they are reserved.
    because: &'static str,
}

const RESERVED: [Reserved; 9] = [
    Reserved {
        words: &[
            "tokio",
            "reqwest",
            "governor",
            "hyper",
            "Instant",
            "SystemTime",
            "env",
            "print !",
            "println !",
            "eprint !",
            "eprintln !",
            "rand :: random",
            "rand :: rng",
        ],
        within: &["src/domain/"],
        except: &[],
        because: "the domain is pure: time and randomness are arguments, and it does no I/O",
    },
    Reserved {
        words: &["enum Command", "struct Command", "type Command"],
        within: &["src/"],
        except: &[],
        because: "a command is a subcommand or a command of the API: the schedule decides actions, and `imbulk ctl` \
                  sends instructions",
    },
    Reserved {
        words: &["async", "await", "Queue", "Reader", "Snapshot", "tokio", "Instant", "SystemTime", "fs", "io"],
        within: &["src/report/"],
        except: &[],
        because: "the report is pure: `session` reads the figures, and the report turns them into text",
    },
    Reserved {
        words: &["env :: var", "env :: var_os", "env :: vars", "env :: vars_os", ", env ="],
        within: &["src/"],
        // clap reads the two defaults of `imbulk sandbox`, so that the help shows them.
        except: &["src/settings/", "src/cli.rs", "src/cli/sandbox.rs", "src/fail_point.rs"],
        because: "the environment is read in src/settings",
    },
    Reserved {
        words: &["queue . begin ("],
        within: &["src/"],
        except: &["src/session/session_run.rs", "src/testing.rs"],
        because: "a run begins in one place, which requires a clearance (docs/decisions/0044)",
    },
    Reserved {
        words: &["AssertSqlSafe"],
        within: &["src/"],
        except: &["src/queue/sqlite/bulk_insert.rs"],
        because: "only the bulk insert builds SQL; everywhere else SQL is a literal",
    },
    Reserved {
        words: &["sqlx"],
        within: &["src/"],
        // A test of the export damages a queue.
        except: &["src/queue/sqlite/", "src/export/tests.rs"],
        because: "only the folder of the SQLite store uses the database driver",
    },
    Reserved {
        words: &["todo !", "unimplemented !", "dbg !", "# [ ignore ]"],
        within: &["src/", "tests/", "benches/", "crates/"],
        except: &[],
        because: "unfinished code is not committed, and no test is skipped without a stated reason",
    },
    Reserved {
        words: &["# [ path ="],
        within: &["src/", "tests/", "benches/", "crates/", "fuzz/"],
        except: &[],
        because: "a file is part of one crate; what several crates need is a crate of its own",
    },
];

struct File {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
}

impl File {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The root of the crate to which the file belongs; empty for the tests of the package.
    fn root(&self) -> &str {
        self.path.find("src/").map_or("", |at| &self.path[..at + "src/".len()])
    }

    /// `src/queue/read.rs` is `["queue", "read"]`.
    fn module(&self) -> Vec<String> {
        let below = self.path.trim_start_matches(self.root()).trim_end_matches(".rs");
        let parts = below.split('/').filter(|part| *part != "mod");
        parts.map(ToOwned::to_owned).collect()
    }
}

fn forbidden_edges(file: &File) -> Vec<String> {
    let module = file.module();
    let own = module[0].as_str();
    let Some((_, may_use)) = MODULES.iter().find(|(name, _)| *name == own) else {
        return vec![format!("{}: the module `{own}` is not in the table", file.path)];
    };
    let modules: BTreeSet<&str> = MODULES.iter().map(|(name, _)| *name).collect();
    let home = if matches!(own, "main" | "lib") { &[][..] } else { &module[..] };
    let named = named(&tokens(&file.text), home);
    let used: BTreeSet<&String> = named.iter().filter_map(|named| named.path.first()).collect();
    let forbidden = used.iter().filter(|used| modules.contains(used.as_str()) && **used != own);
    let forbidden = forbidden.filter(|used| !may_use.contains(&used.as_str()));
    forbidden.map(|used| format!("{}: `{own}` must not use `{used}`", file.path)).collect()
}

fn reserved_words(file: &File) -> Vec<String> {
    let found = tokens(&file.text);
    let mut broken = Vec::new();
    for Reserved { words, within, except, because } in RESERVED {
        let starts = |paths: &[&str]| paths.iter().any(|start| file.path.starts_with(start));
        if !starts(within) || starts(except) {
            continue;
        }
        for word in words.iter().filter(|word| contains(&found, word)) {
            broken.push(format!("{}: `{word}`, but {because}", file.path));
        }
    }
    broken
}

fn contains(found: &[Token], word: &str) -> bool {
    let word: Vec<&str> = word.split(' ').collect();
    found.windows(word.len()).any(|window| window.iter().zip(&word).all(|(token, word)| token == word))
}

/// The files of some folders and everything below them, by their extensions. The folder "" is the root alone.
fn files(folders: &[&str], extensions: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let path = folder.join(entry.unwrap().file_name());
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if root.join(&path).is_dir() {
                // cargo and the fuzzer generate the others.
                let is_ours = !matches!(name, "target" | "seeds" | "corpus" | "artifacts");
                folders.extend((is_ours && !folder.as_os_str().is_empty()).then_some(path));
            } else if extensions.contains(&extension) && !name.starts_with('.') && !name.starts_with("LICENSE-") {
                files.extend(
                    std::fs::read_to_string(root.join(&path)).map(|text| File::new(path.to_str().unwrap(), &text)),
                );
            }
        }
    }
    files
}

/// Applies a rule to all Rust files of some folders.
fn check(folders: &[&str], rule: fn(&File) -> Vec<String>) {
    let files = files(folders, &["rs"]);
    assert!(files.len() > 10, "the files are not where this test looks for them");
    let broken: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn modules_use_only_the_modules_that_the_table_allows() {
    check(&["src"], forbidden_edges);
}

#[test]
fn reserved_words_occur_only_where_the_table_allows_them() {
    check(&["src", "tests", "benches", "crates", "fuzz"], reserved_words);
}

#[test]
fn the_table_of_modules_has_no_cycles() {
    // Without a cycle, some module of every rest uses no module of this rest.
    let mut left: Vec<_> = MODULES.to_vec();
    while !left.is_empty() {
        let names: Vec<&str> = left.iter().map(|(name, _)| *name).collect();
        let before = left.len();
        left.retain(|(_, may_use)| may_use.iter().any(|used| names.contains(used)));
        assert!(left.len() < before, "these use each other in a cycle: {names:?}");
    }
}

#[test]
fn a_forbidden_dependency_is_reported_in_every_notation() {
    let edges = [
        ("src/domain/response/codes/mod.rs", "use crate::queue::Queue;"),
        ("src/domain/tags.rs", "use super::super::queue::Queue;"),
        ("src/domain/mod.rs", "fn f() { super::queue::open() }"),
        ("src/domain/tags.rs", "mod tests { use super::super::super::queue; }"),
        ("src/domain/tags.rs", "use crate::{outcome::Outcome, queue::{self, Queue}};"),
        ("src/intake/packer.rs", "fn f(row: crate::input::Row) {}"),
        ("src/runner/mod.rs", "use crate::commands::Exit;"),
        ("src/main.rs", "use imbulk::queue::Queue;"),
        ("src/unknown/mod.rs", ""),
    ];
    for (path, code) in edges {
        assert_eq!(forbidden_edges(&File::new(path, code)).len(), 1, "{path}: {code}");
    }
}

#[test]
fn an_allowed_dependency_and_other_text_pass() {
    let edges = [
        (
            "src/domain/response/codes/mod.rs",
            "use crate::domain::request; use super::outcome::Outcome; // crate::queue",
        ),
        ("src/queue/read.rs", "use super::lock; use crate::domain::response; const S: &str = \"crate::api\";"),
        ("src/rate_limiter/mod.rs", "mod tests { use super::command_limit::CommandLimit; }"),
        ("src/runner/mod.rs", "use crate::api::Client; fn f<'a>(c: &'a char) -> bool { *c == '\"' }"),
        ("src/main.rs", "use imbulk::cli::Cli; use imbulk::commands::{self, Error};"),
    ];
    for (path, code) in edges {
        let forbidden = forbidden_edges(&File::new(path, code));
        assert!(forbidden.is_empty(), "{code}: {forbidden:?}");
    }
}

#[test]
fn every_reserved_word_is_reported_where_it_is_not_allowed_and_nowhere_else() {
    for Reserved { words, within, except, .. } in RESERVED {
        for word in words {
            let code = word.replace(" :: ", "::").replace(" !", "!").replace("# [ ignore ]", "#[ignore]");
            let broken = |path: &str, text: &str| {
                let broken = reserved_words(&File::new(path, text));
                broken.iter().filter(|line| line.contains(&format!("`{word}`"))).count()
            };
            for folder in within {
                assert_eq!(broken(&format!("{folder}some.rs"), &code), 1, "{word} in {folder}");
                assert_eq!(
                    broken(&format!("{folder}some.rs"), &format!("// {code}\nlet s = \"{code}\";")),
                    0,
                    "{word}"
                );
            }
            for place in except {
                let path = if place.ends_with('/') { format!("{place}some.rs") } else { (*place).to_owned() };
                assert_eq!(broken(&path, &code), 0, "{word} in {place}");
            }
        }
    }
}

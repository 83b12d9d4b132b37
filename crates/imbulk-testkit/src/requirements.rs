//! What a test needs from the machine beyond the toolchain: root, and tools of the system.

#![expect(clippy::disallowed_methods, reason = "requirements are looked up in the environment of the test")]

use std::io::Write;
use std::path::Path;

/// Something that not every machine has.
#[derive(Debug, Clone, Copy)]
pub enum Requirement {
    /// User 0, who may mount file systems and create namespaces.
    Root,
    /// A program in `PATH`.
    Tool(&'static str),
}

/// Whether the machine has everything that a test needs. If not, prints that the test is skipped; in CI the test fails
/// instead, because a test that never runs proves nothing.
pub fn are_met(test: &str, requirements: &[Requirement]) -> bool {
    let Some(missing) = requirements.iter().find(|requirement| !is_met(**requirement)) else { return true };
    assert!(std::env::var_os("CI").is_none(), "{test} needs {missing:?}, and CI must have it");
    // Written to the stream itself, because the test runner captures `eprintln!`.
    let _closed = writeln!(std::io::stderr(), "skipped: {test} needs {missing:?}");
    false
}

fn is_met(requirement: Requirement) -> bool {
    match requirement {
        Requirement::Root => rustix::process::geteuid().is_root(),
        Requirement::Tool(name) => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path)
                .chain(["/usr/sbin".into(), "/sbin".into()])
                .any(|dir| dir.join(Path::new(name)).exists())
        }
    }
}

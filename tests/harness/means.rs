//! What a test needs of the machine beyond the toolchain: root, and tools of the system.

#![expect(clippy::disallowed_methods, reason = "what the machine has is asked of the machine")]

use std::io::Write;
use std::path::Path;

/// A thing that not every machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Means {
    /// User 0, who may mount, and make namespaces.
    Root,
    /// A program in `PATH`.
    Tool(&'static str),
}

/// Whether the machine has all of these. Where it has not, the test is skipped, and says so past the capture of its
/// output; in CI that is a failure, since a test that never runs proves nothing.
pub(crate) fn has(test: &str, needs: &[Means]) -> bool {
    let Some(lacks) = needs.iter().find(|means| !is_there(**means)) else { return true };
    assert!(std::env::var_os("CI").is_none(), "{test} needs {lacks:?}, and CI must have it");
    // Nobody is told where standard error is closed.
    let _untold = writeln!(std::io::stderr(), "skipped: {test} needs {lacks:?}");
    false
}

fn is_there(means: Means) -> bool {
    match means {
        Means::Root => rustix::process::geteuid().is_root(),
        Means::Tool(name) => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path)
                .chain(["/usr/sbin".into(), "/sbin".into()])
                .any(|dir| dir.join(Path::new(name)).exists())
        }
    }
}

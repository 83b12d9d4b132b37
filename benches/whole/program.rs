//! The program that is measured: built as users build it. The one that cargo builds for a benchmark has the fail points
//! of the tests in it, which dev-dependencies switch on.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Fallible;

/// `cargo build --release --locked` into this folder.
pub(crate) fn cargo_build(target: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--bin", "imbulk", "--target-dir"]).arg(target);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // With the variables that cargo sets for a benchmark, cargo would run build scripts again and rebuild most crates.
    let is_set_by_cargo = |name: &str| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars().filter(|(name, _)| is_set_by_cargo(name)) {
        cargo.env_remove(name);
    }
    cargo
}

/// Where the build puts the program.
pub(crate) fn in_target(target: &Path) -> PathBuf {
    target.join("release/imbulk")
}

/// Builds the current program in the usual target folder. Returns the path of the binary.
pub(crate) fn build() -> Fallible<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("");
    let built = cargo_build(&target).status()?;
    if !built.success() {
        return Err(format!("the program can't be built: {built}").into());
    }
    let program = in_target(&target);
    // The name of the variable that arms them.
    let armed = b"IMBULK_FAIL_POINT";
    if std::fs::read(&program)?.windows(armed.len()).any(|bytes| bytes == armed) {
        return Err(format!("{} has the fail points of the tests in it", program.display()).into());
    }
    Ok(program)
}

//! Files: each is declared by a `mod` item of its parent, because cargo ignores a file that no item declares.

use std::collections::BTreeSet;

use crate::File;
use crate::tokens::tokens;

/// Files that a test copies into a crate of its own.
const COPIED: &str = "tests/new_operation/files/";

/// The files that no other file declares, except the roots of crates.
fn unreached(files: &[File]) -> Vec<String> {
    let declared: BTreeSet<String> = files.iter().flat_map(declared_paths).collect();
    let missing = files.iter().filter(|file| !file.path.starts_with(COPIED) && !is_root(&file.path));
    let missing = missing.filter(|file| !declared.contains(&file.path));
    missing.map(|file| format!("{}: no `mod` item declares this file, so it is not compiled", file.path)).collect()
}

/// Where cargo looks for a crate: `main.rs` and `lib.rs`, and each file that is directly in a folder `tests`.
fn is_root(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    matches!(name, "main.rs" | "lib.rs" | "build.rs")
        || folder.rsplit('/').next() == Some("tests") && !path.contains("src/")
}

/// The paths at which the modules that a file declares may be: `folder/name.rs` and `folder/name/mod.rs`.
fn declared_paths(file: &File) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let is_folder_root = is_root(&file.path) || name == "mod.rs";
    let folder = if is_folder_root { folder.to_owned() } else { file.path.trim_end_matches(".rs").to_owned() };
    let found = tokens(&file.text);
    let names = found.windows(3).filter(|window| window[0] == "mod" && window[2] == ";").map(|window| &window[1].text);
    names.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]).collect()
}

#[test]
fn every_file_is_part_of_a_crate() {
    let files = crate::files(&["src", "tests", "crates"], &["rs"]);
    assert!(files.len() > 200, "the files are not where this test looks for them");
    let unreached = unreached(&files);
    assert!(unreached.is_empty(), "\n{}\n", unreached.join("\n"));
}

#[test]
fn a_file_without_a_declaration_is_reported() {
    let program = [
        File::new("src/lib.rs", "mod a; pub mod b;"),
        File::new("src/a.rs", "mod below;"),
        File::new("src/a/below.rs", ""),
        File::new("src/b/mod.rs", "#[cfg(test)] mod tests;"),
        File::new("src/b/tests.rs", ""),
        File::new("tests/one.rs", ""),
    ];
    assert!(unreached(&program).is_empty());
    for path in ["src/c.rs", "src/a/c.rs", "src/b/below.rs", "src/a/tests/c.rs", "crates/x/src/b.rs"] {
        let forgotten = [File::new("src/lib.rs", "mod a;"), File::new("src/a.rs", "mod below;"), File::new(path, "")];
        assert_eq!(unreached(&forgotten).len(), 1, "{path}");
    }
}

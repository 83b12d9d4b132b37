//! Names of queue files.

use std::path::{Path, PathBuf};

/// As path_resolution(7) has it.
const MAX_LINKS: u32 = 40;

/// The absolute path without links, even if the file does not exist yet. SQLite names its WAL after the path by which
/// it opens the file.
pub fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = path.read_link() else { break };
        path = folder_of(&path).join(target);
    }
    let named = |folder: PathBuf| Some(folder.join(path.file_name()?));
    let resolved = path.canonicalize().ok().or_else(|| folder_of(&path).canonicalize().ok().and_then(named));
    // The folder does not exist; opening the file reports it.
    let resolved = resolved.or_else(|| std::path::absolute(&path).ok());
    // The SQLite driver accepts no path that is not UTF-8. A relative path works whatever the current folder is called.
    resolved.filter(|path| path.to_str().is_some()).unwrap_or(path)
}

/// The folder that a file is in.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// The file beside `path` whose name is longer by `suffix`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_even_to_files_that_do_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.join("folder")).unwrap();
        std::os::unix::fs::symlink("folder/q.db", root.join("first.db")).unwrap();
        std::os::unix::fs::symlink("first.db", root.join("second.db")).unwrap();
        for name in ["real/q.db", "folder/q.db", "first.db", "second.db", "folder/../second.db"] {
            assert_eq!(resolve(&root.join(name)), root.join("real/q.db"), "{name}");
        }
        std::fs::write(root.join("real/q.db"), "").unwrap();
        assert_eq!(resolve(&root.join("second.db")), root.join("real/q.db"));
        assert_eq!(resolve(&root.join("no/such/q.db")), root.join("no/such/q.db"));
    }
}

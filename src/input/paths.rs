//! The files that a glob matches, in natural order. Names that are not UTF-8 are matched, too.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use super::error::{InputError, Problem};

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    // Spreadsheets and editors leave files such as `.~lock.rows.csv` beside the file.
    require_literal_leading_dot: true,
};

/// Whether a path is a glob. A file that has a name like a glob is still that file.
pub(super) fn is_glob(path: &str) -> bool {
    has_wildcard(path) && fs::symlink_metadata(path).is_err()
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// What a glob matches: files, and links also where they lead nowhere. Folders are passed over.
pub(super) fn matching(glob: &str) -> Result<Vec<PathBuf>, InputError> {
    // It says what is wrong with the whole, also where a part would pass.
    Pattern::new(glob).map_err(|error| InputError::new(glob, Problem::Pattern(error.msg)))?;
    let mut found = vec![PathBuf::new()];
    for part in Path::new(glob).components() {
        found = match part {
            Component::Normal(name) if has_wildcard(&name.to_string_lossy()) => expand(glob, &found, name)?,
            part => found.into_iter().map(|path| path.join(part)).collect(),
        };
    }
    found.retain(|path| fs::symlink_metadata(path).is_ok() && !path.is_dir());
    found.sort_by(|a, b| natural(a.as_os_str(), b.as_os_str()));
    found.dedup();
    if found.is_empty() {
        return Err(InputError::new(glob, Problem::NoMatch));
    }
    Ok(found)
}

/// What one part of a glob matches in each of these folders.
fn expand(glob: &str, folders: &[PathBuf], part: &OsStr) -> Result<Vec<PathBuf>, InputError> {
    let part = part.to_string_lossy();
    let mut found = Vec::new();
    for folder in folders {
        if part == "**" {
            found.push(folder.clone());
            below(folder, &mut found).map_err(|error| InputError::new(glob, Problem::Read(error)))?;
            continue;
        }
        let pattern = Pattern::new(&part).map_err(|error| InputError::new(glob, Problem::Pattern(error.msg)))?;
        for name in names(folder).map_err(|error| InputError::new(glob, Problem::Read(error)))? {
            if pattern.matches_with(&name.to_string_lossy(), OPTIONS) {
                found.push(folder.join(name));
            }
        }
    }
    Ok(found)
}

/// All folders below this one that are not hidden; links are not followed, so this ends.
fn below(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for name in names(folder)? {
        let path = folder.join(&name);
        let hidden = name.as_bytes().starts_with(b".");
        if !hidden && fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            found.push(path.clone());
            below(&path, found)?;
        }
    }
    Ok(())
}

/// The names in a folder; none where there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.file_name())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The order in which people count: `part-2` before `part-10`. Folders come before what is in them.
pub(super) fn natural(a: &OsStr, b: &OsStr) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        match (left.first(), right.first()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(l), Some(r)) if l.is_ascii_digit() && r.is_ascii_digit() => {
                let (l, r) = (number(&mut left), number(&mut right));
                match l.len().cmp(&r.len()).then(l.cmp(r)) {
                    Ordering::Equal => {}
                    other => return other,
                }
            }
            (Some(l), Some(r)) => {
                // A separator sorts before all else, so that `a/x` comes before `a-b/x`.
                let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
                match rank(*l).cmp(&rank(*r)) {
                    Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
                    other => return other,
                }
            }
        }
    }
}

/// Takes the digits at the front, and returns them without leading zeros.
fn number<'t>(text: &mut &'t [u8]) -> &'t [u8] {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    *text = rest;
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}

/// A path for messages and results: bytes that are not UTF-8 are written as `\xB1`, so that names stay apart.
pub(super) fn shown(path: &Path) -> String {
    let chunks = path.as_os_str().as_bytes().utf8_chunks();
    let mut name = String::new();
    for chunk in chunks {
        name.push_str(chunk.valid());
        name.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let ordered = [
            "a",
            "a/x",
            "a-b",
            "part",
            "part-1",
            "part-01",
            "part-2",
            "part-02b",
            "part-10",
            "part-2024-2",
            "part-2024-10",
        ];
        let mut names = ordered.map(OsStr::new);
        names.sort_by(|a, b| natural(a, b));
        let position = |name: &str| names.iter().position(|found| *found == name).unwrap();
        assert!(position("a") < position("a/x") && position("a/x") < position("a-b"), "{names:?}");
        assert!(position("part-2") < position("part-10") && position("part-2024-2") < position("part-2024-10"));
        assert!(position("part-01") < position("part-2"));
        assert_eq!(
            natural(OsStr::new("part-1"), OsStr::new("part-01")),
            natural(OsStr::new("part-01"), OsStr::new("part-1")).reverse()
        );
        let long = "9".repeat(40);
        assert_eq!(natural(OsStr::new(&long), OsStr::new("10")), Ordering::Greater, "of any length");
    }

    #[test]
    fn names_that_are_not_utf8_stay_apart() {
        let shown = |bytes: &[u8]| shown(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(shown("备份.csv".as_bytes()), "备份.csv");
        assert_eq!(shown(b"\xb1\xb8.csv"), r"\xB1\xB8.csv");
        assert_ne!(shown(b"\xb1.csv"), shown(b"\xb2.csv"));
    }

    #[test]
    fn globs_match_in_any_part_of_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &[u8]| {
            let path = folder.path().join(OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "UserID\n").unwrap();
        };
        for name in
            [b"2024/a/x-10.csv".as_slice(), b"2024/a/x-9.csv", b"2024/\xb1/x.csv", b"2024/.hidden/x.csv", b"y.csv"]
        {
            make(name);
        }
        let found = |glob: &str| {
            let glob = format!("{}/{glob}", folder.path().display());
            let found = matching(&glob).map(|paths| {
                paths.iter().map(|path| shown(path.strip_prefix(folder.path()).unwrap())).collect::<Vec<_>>()
            });
            found.unwrap_or_default()
        };
        assert_eq!(found("2024/*/x*.csv"), ["2024/a/x-9.csv", "2024/a/x-10.csv", r"2024/\xB1/x.csv"]);
        assert_eq!(found("**/x-*.csv"), ["2024/a/x-9.csv", "2024/a/x-10.csv"]);
        assert_eq!(found("**/*.csv").len(), 4);
        assert_eq!(found("*/?/x-[1-9].csv"), ["2024/a/x-9.csv"]);
        assert_eq!(found("2024/z*"), [""; 0]);
        assert_eq!(found("none/*"), [""; 0]);
    }
}

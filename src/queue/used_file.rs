//! The files from which a run was loaded, so that no output overwrites them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::path::resolve;

/// The role of a file in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// It contains rows of the input.
    Input,
    /// The job file.
    Job,
    /// The protected list.
    ProtectedList,
}

impl FileKind {
    /// The role in words, with an article.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Input => "an input",
            Self::Job => "the job file",
            Self::ProtectedList => "the protected list",
        }
    }
}

/// A file from which a run was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedFile {
    /// Its role.
    pub kind: FileKind,
    /// Its absolute path, without links.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub path: PathBuf,
}

impl UsedFile {
    /// The file to which this path leads now.
    pub fn new(kind: FileKind, path: &Path) -> Self {
        Self { kind, path: resolve(path) }
    }
}

/// Paths are bytes, while JSON has texts. A path that is not UTF-8 is stored as a list of numbers.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredPath {
    Text(String),
    Bytes(Vec<u8>),
}

fn write<S: serde::Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    let name = match path.to_str() {
        Some(text) => StoredPath::Text(text.to_owned()),
        None => StoredPath::Bytes(path.as_os_str().as_bytes().to_owned()),
    };
    name.serialize(to)
}

fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    Ok(match StoredPath::deserialize(from)? {
        StoredPath::Text(text) => text.into(),
        StoredPath::Bytes(bytes) => OsStr::from_bytes(&bytes).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_not_utf8_are_read_back() {
        for name in [&b"/d/rows.csv"[..], "/d/名单.csv".as_bytes(), b"/d/\xC3\x28.csv"] {
            let file = UsedFile { kind: FileKind::Input, path: OsStr::from_bytes(name).into() };
            let text = serde_json::to_string(&file).unwrap();
            assert_eq!(serde_json::from_str::<UsedFile>(&text).unwrap(), file, "{text}");
        }
    }
}

//! Reads the documents: which there are, and the fenced blocks in them.

use std::path::{Path, PathBuf};

use crate::{read, root};

/// Every document, by its path from the root of the repository.
pub(crate) fn all() -> Vec<String> {
    let mut files: Vec<PathBuf> =
        ["README.md", "README.zh-CN.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).into();
    files_below(Path::new("docs"), &mut files);
    files.retain(|file| file.extension().is_some_and(|end| end == "md"));
    let mut names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    names.sort();
    names
}

/// Whether a page is a translation. Its blocks are those of the English page, which the tests run.
pub(crate) fn is_translation(page: &str) -> bool {
    page.ends_with(".zh-CN.md")
}

/// Appends all files below a folder of the repository.
pub(crate) fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for found in std::fs::read_dir(root().join(folder)).expect("a folder") {
        let path = folder.join(found.expect("a readable folder").file_name());
        if root().join(&path).is_dir() { files_below(&path, files) } else { files.push(path) }
    }
}

/// A fenced block of a document.
pub(crate) struct Block {
    /// The word behind the fence: `sh`, `console`, `toml`, …
    pub(crate) language: String,
    /// The number of its first line in the document, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Block {
    /// Why the block is not run, as its first line says.
    pub(crate) fn not_run(&self) -> Option<&str> {
        self.text.lines().next()?.strip_prefix("# not run by the tests: ")
    }

    /// Whether a reader types what the block contains.
    pub(crate) fn is_typed(&self) -> bool {
        ["sh", "console"].contains(&self.language.as_str())
    }
}

/// The fenced blocks of a document, in their order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    blocks_of(&read(page))
}

/// The fenced blocks of a text, in their order.
pub(crate) fn blocks_of(text: &str) -> Vec<Block> {
    let mut lines = text.lines().enumerate();
    let mut found = Vec::new();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
        let text = inside.map(|line| line.get(indent..).unwrap_or_default().to_owned() + "\n").collect();
        found.push(Block { language: language.trim().to_owned(), line: number + 2, text });
    }
    found
}

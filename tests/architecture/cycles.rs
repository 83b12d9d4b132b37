//! Cycles between files: no file may depend on a file that depends on it, directly or through others.
//!
//! The file of a folder, `mod.rs`, is left out: it declares and re-exports what the folder contains. Tests within a
//! file are left out as well, because they may use everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::File;
use crate::paths::{Named, named, used};
use crate::tokens::{Token, tokens};
use crate::violations::Violation;

/// The line of the first path that leads from one file to another.
type Edges = BTreeMap<usize, BTreeMap<usize, usize>>;

/// The dependencies that are part of a cycle, one violation each.
pub(crate) fn cycles(files: &[File]) -> Vec<Violation> {
    let edges = edges(files);
    let mut found = Vec::new();
    for (from, targets) in &edges {
        for (to, line) in targets {
            let Some(back) = shortest_path(&edges, *to, *from) else { continue };
            let names: Vec<&str> = [*from].iter().chain(&back).map(|at| files[*at].path.as_str()).collect();
            found.push(Violation::new("cycle", &files[*from], *line, names.join(" → ")));
        }
    }
    found
}

fn edges(files: &[File]) -> Edges {
    let modules = Modules::read(files);
    let mut edges = Edges::new();
    for (from, file) in files.iter().enumerate().filter(|(from, _)| !modules.of_folders.contains(from)) {
        for Named { path, line } in named(&without_tests(&tokens(&file.text)), &file.module()) {
            let to = modules.resolve(file.root(), path);
            if let Some(to) = to.filter(|to| *to != from && !modules.of_folders.contains(to)) {
                edges.entry(from).or_default().entry(to).or_insert(line);
            }
        }
    }
    edges
}

/// A path within the crate that has this root.
type Place<'a> = (&'a str, Vec<String>);

/// The modules of all crates.
struct Modules<'a> {
    files: BTreeMap<Place<'a>, usize>,
    /// Files that declare the modules of a folder: `mod.rs`, `lib.rs`, `main.rs`, or `a.rs` beside `a/`.
    of_folders: BTreeSet<usize>,
    /// What these files re-export, and where it comes from.
    re_exports: BTreeMap<Place<'a>, Vec<String>>,
}

impl<'a> Modules<'a> {
    fn read(files: &'a [File]) -> Self {
        let crates = || files.iter().enumerate().filter(|(_, file)| !file.root().is_empty());
        let folders: BTreeSet<&str> =
            crates().filter_map(|(_, file)| file.path.rsplit_once('/')).map(|f| f.0).collect();
        let is_of_folder = |file: &File| {
            let stem = file.path.trim_end_matches(".rs");
            folders.contains(stem) || ["/mod", "/lib", "/main"].iter().any(|name| stem.ends_with(name))
        };
        let of_folders: BTreeSet<usize> = crates().filter(|(_, file)| is_of_folder(file)).map(|(at, _)| at).collect();
        let mut re_exports = BTreeMap::new();
        for file in of_folders.iter().map(|at| &files[*at]) {
            for Named { path, .. } in used(&tokens(&file.text), &file.module()) {
                let mut exported = file.module();
                exported.extend(path.last().cloned());
                re_exports.insert((file.root(), exported), path);
            }
        }
        let files = crates().map(|(at, file)| ((file.root(), file.module()), at)).collect();
        Self { files, of_folders, re_exports }
    }

    /// The file that a path leads to.
    fn resolve(&self, root: &'a str, mut path: Vec<String>) -> Option<usize> {
        while !path.is_empty() {
            let place = (root, path.clone());
            if let Some(file) = self.files.get(&place) {
                return Some(*file);
            }
            match self.re_exports.get(&place).filter(|origin| **origin != path) {
                Some(origin) => path.clone_from(origin),
                None => drop(path.pop()),
            }
        }
        None
    }
}

/// The tokens outside `#[cfg(test)] mod … { … }`.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let start = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        let is_test = rest.len() > start.len() && rest.iter().zip(start).all(|(token, word)| *token == word);
        if !is_test {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0_usize;
        for token in rest {
            at += 1;
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(token.text.as_str(), "}" | ";") {
                break;
            }
        }
    }
    kept
}

/// The files on the shortest way, with both ends.
fn shortest_path(edges: &Edges, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut seen = BTreeSet::from([from]);
    let mut next = VecDeque::from([from]);
    while let Some(at) = next.pop_front() {
        if at == to {
            let mut path = vec![to];
            while let Some(before) = came_from.get(path.last()?) {
                path.push(*before);
            }
            path.reverse();
            return Some(path);
        }
        for target in edges.get(&at).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(*target) {
                came_from.insert(*target, at);
                next.push_back(*target);
            }
        }
    }
    None
}

#[test]
fn a_cycle_of_three_files_is_reported_at_each_of_its_edges() {
    let files = [
        File::new("src/a/one.rs", "\nuse super::two::Two;"),
        File::new("src/a/two.rs", "fn f() { crate::b::three::f() }"),
        File::new("src/b/three.rs", "use crate::{a::{one, four}};"),
        File::new("src/a/four.rs", "use crate::fifth::Fifth;"),
        File::new("src/fifth.rs", ""),
    ];
    let found: Vec<String> = cycles(&files).into_iter().map(|v| format!("{}:{}: {}", v.path, v.line, v.text)).collect();
    let expected = [
        "src/a/one.rs:2: src/a/one.rs → src/a/two.rs → src/b/three.rs → src/a/one.rs",
        "src/a/two.rs:1: src/a/two.rs → src/b/three.rs → src/a/one.rs → src/a/two.rs",
        "src/b/three.rs:1: src/b/three.rs → src/a/one.rs → src/a/two.rs → src/b/three.rs",
    ];
    assert_eq!(found, expected);
}

#[test]
fn folders_tests_and_other_crates_make_no_cycle() {
    let files = [
        File::new("src/a/mod.rs", "mod one; pub use one::One; use crate::b;"),
        File::new("src/a/one.rs", "use super::Other; use crate::b::B;"),
        File::new("src/b.rs", "fn f() {} #[cfg(test)] mod tests { use crate::a::one::One; }"),
        File::new("src/c.rs", "use crate::c::d;"),
        File::new("src/c/d.rs", "use super::C;"),
        File::new("crates/x/src/b.rs", "use crate::a::one::One;"),
        File::new("crates/x/src/a/one.rs", ""),
        File::new("tests/b.rs", "use crate::a::one::One;"),
    ];
    assert_eq!(cycles(&files).len(), 0);
}

#[test]
fn a_re_export_does_not_hide_a_cycle() {
    let files = [
        File::new("src/a/mod.rs", "mod one;\npub use one::{One, Other};\npub(crate) use self::two::Two;"),
        File::new("src/a/one.rs", "use super::Two;"),
        File::new("src/a/two.rs", "use crate::a::Other;"),
    ];
    assert_eq!(cycles(&files).len(), 2);
}

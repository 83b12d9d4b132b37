//! The paths of modules that a file names, in `use` declarations and elsewhere.

use crate::tokens::Token;

/// A path such as `crate::queue::read::Reader`, resolved: without `crate`, `super` and `self`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    /// Where the path starts.
    pub(crate) line: usize,
}

/// The paths from the root of the crate that a file names. `home` is the module of the file.
pub(crate) fn named(tokens: &[Token], home: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    let mut inner = Inner::default();
    for (at, token) in tokens.iter().enumerate() {
        inner.step(tokens, at);
        let starts = at == 0 || tokens[at - 1] != "::";
        if starts && matches!(token.text.as_str(), "crate" | "imbulk" | "super" | "self") {
            let mut here = home.to_vec();
            here.extend(inner.modules.iter().map(|(name, _)| name.clone()));
            follow(&tokens[at..], here, &mut found);
        }
    }
    found
}

/// The paths that a file re-exports or imports with `use`; those without `crate`, `super` and `self` start at `home`.
pub(crate) fn used(tokens: &[Token], home: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    for (at, _) in tokens.iter().enumerate().filter(|(_, token)| **token == "use") {
        follow(&tokens[at + 1..], home.to_vec(), &mut found);
    }
    found
}

/// The modules within the file that enclose a token.
#[derive(Default)]
struct Inner {
    depth: usize,
    /// Name, and the depth of braces at which the module ends.
    modules: Vec<(String, usize)>,
}

impl Inner {
    fn step(&mut self, tokens: &[Token], at: usize) {
        match tokens[at].text.as_str() {
            "{" => {
                if at >= 2 && tokens[at - 2] == "mod" {
                    self.modules.push((tokens[at - 1].text.clone(), self.depth));
                }
                self.depth += 1;
            }
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                self.modules.pop_if(|(_, depth)| *depth == self.depth);
            }
            _ => {}
        }
    }
}

/// Follows a path from the module `here`, with all branches of `{a, b::{c}}`. Returns the number of tokens it took.
fn follow(tokens: &[Token], mut here: Vec<String>, found: &mut Vec<Named>) -> usize {
    let mut at = 0;
    loop {
        match tokens.get(at).map(|token| token.text.as_str()) {
            Some("crate" | "imbulk") => here.clear(),
            Some("super") => drop(here.pop()),
            Some("{") => return at + branches(&tokens[at..], &here, found),
            Some("self" | "*") | None => {}
            Some(name) => here.push(name.to_owned()),
        }
        if tokens.get(at + 1).is_none_or(|token| *token != "::") {
            found.push(Named { path: here, line: tokens[0].line });
            return at + 1;
        }
        at += 2;
    }
}

fn branches(tokens: &[Token], here: &[String], found: &mut Vec<Named>) -> usize {
    let mut at = 1;
    while at < tokens.len() && tokens[at] != "}" {
        let starts = matches!(tokens[at - 1].text.as_str(), "{" | ",");
        at += if starts { follow(&tokens[at..], here.to_vec(), found) } else { 1 };
    }
    at + 1
}

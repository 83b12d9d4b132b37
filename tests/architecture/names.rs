//! Names of types: no two types of the program share one, so that a name alone says which type is meant. Types of tests
//! are left out.

use std::collections::BTreeMap;

use crate::File;
use crate::cycles::without_tests;
use crate::tokens::{Token, tokens};

/// The names that several types have, each with the files of the types.
fn shared_names(files: &[File]) -> Vec<String> {
    let tests: Vec<Vec<String>> = files.iter().flat_map(test_modules).collect();
    let is_program = |file: &&File| !tests.iter().any(|test| file.module().starts_with(test));
    let mut types: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in files.iter().filter(is_program) {
        for name in types_of(&without_tests(&tokens(&file.text))) {
            types.entry(name).or_default().push(&file.path);
        }
    }
    let shared = types.iter().filter(|(_, files)| files.len() > 1);
    shared.map(|(name, files)| format!("`{name}` is the name of several types: {}", files.join(", "))).collect()
}

/// The names of the structs, enums and traits of a file, and of its type aliases outside of all braces.
fn types_of(tokens: &[Token]) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0].text.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "struct" | "enum" | "trait" => names.push(pair[1].text.clone()),
            "type" if depth == 0 => names.push(pair[1].text.clone()),
            _ => {}
        }
    }
    names
}

/// The modules that a file declares for tests only, and that are files of their own.
fn test_modules(file: &File) -> Vec<Vec<String>> {
    let own = match file.module() {
        root if root == ["lib"] || root == ["main"] => Vec::new(),
        module => module,
    };
    let found = tokens(&file.text);
    let declared = found.windows(10).filter(|window| {
        let attribute = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
        window.iter().zip(attribute).all(|(token, word)| *token == word) && window[9] == ";"
    });
    declared.map(|window| own.iter().cloned().chain([window[8].text.clone()]).collect()).collect()
}

#[test]
fn no_two_types_of_the_program_share_a_name() {
    let files = crate::files(&["src"], &["rs"]);
    assert!(files.len() > 100, "the files are not where this test looks for them");
    let shared = shared_names(&files);
    assert!(shared.is_empty(), "\n{}\n", shared.join("\n"));
}

#[test]
fn a_shared_name_is_reported_and_a_type_of_tests_is_not() {
    let file = |path: &str, text: &str| File::new(path, text);
    let program = file("src/a/mod.rs", "struct Plan; #[cfg(test)] mod tests; #[cfg(test)] mod inner { enum Plan {} }");
    let shared = |text: &str, path: &str| shared_names(&[file("src/a/mod.rs", &program.text), file(path, text)]).len();
    for text in ["pub enum Plan {}", "fn f() { struct Plan<'a>(&'a str); }", "type Plan = u8;", "trait Plan {}"] {
        assert_eq!(shared(text, "src/b.rs"), 1, "{text}");
        assert_eq!(shared(text, "src/a/tests.rs"), 0, "{text}");
        assert_eq!(shared(text, "src/a/tests/model.rs"), 0, "{text}");
    }
    for text in ["struct Plans;", "impl A for B { type Plan = u8; }", "#[cfg(test)] mod tests { struct Plan; }"] {
        assert_eq!(shared(text, "src/b.rs"), 0, "{text}");
    }
}

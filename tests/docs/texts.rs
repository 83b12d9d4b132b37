//! Compares the Chinese and the English text of every `Translated` in the source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use regex::Regex;

use crate::pages::files_below;
use crate::{quoted, read, table};

/// Names that only one of the languages uses: the service is `IM` in Chinese and Chat in English.
const OF_ONE_LANGUAGE: [&str; 3] = ["im", "id", "faq"];

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\{\w*\}"));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d+(?:[.,]\d+)*"));
static WORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z]\w*"));
/// Names have an underscore, a capital letter after the first, or only capital letters.
static NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?:[A-Za-z]\w*_\w+|[A-Za-z]+[a-z][A-Z]\w*|[A-Z]{2,}\w*)\b"));

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern")
}

/// A text of the source in both languages, with its placeholders.
struct Pair {
    file: String,
    en: String,
    zh: String,
}

/// The pairs of all files of `src`.
fn pairs() -> Vec<Pair> {
    let mut files = Vec::new();
    files_below(Path::new("src"), &mut files);
    let mut pairs = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let source = read(&file.display().to_string());
        let file = file.display().to_string();
        collect(source.parse().expect("a source file"), &mut |en, zh| {
            pairs.push(Pair { file: file.clone(), en, zh });
        });
    }
    assert!(pairs.len() > 100, "only {} pairs are found", pairs.len());
    pairs
}

/// Calls `found` for each `Translated::new(a, b)` whose arguments have literals.
fn collect(tokens: TokenStream, found: &mut impl FnMut(String, String)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        let path = tokens[at.saturating_sub(4)..at].iter().map(ToString::to_string).collect::<String>();
        if group.delimiter() == Delimiter::Parenthesis && path == "Translated::new" {
            let mut arguments = vec![None];
            for token in group.stream() {
                match token {
                    TokenTree::Punct(mark) if mark.as_char() == ',' => arguments.push(None),
                    token => {
                        let argument = arguments.last_mut().expect("it is never empty");
                        *argument = argument.take().or_else(|| first_literal(token));
                    }
                }
            }
            if let [Some(en), Some(zh), ..] = arguments.as_slice() {
                found(en.clone(), zh.clone());
            }
        }
        collect(group.stream(), found);
    }
}

fn first_literal(token: TokenTree) -> Option<String> {
    match token {
        TokenTree::Literal(literal) => syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|it| it.value()),
        TokenTree::Group(group) => group.stream().into_iter().find_map(first_literal),
        TokenTree::Ident(_) | TokenTree::Punct(_) => None,
    }
}

/// What a Chinese text changes or leaves out of the English one.
fn differences(en: &str, zh: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, en: Vec<String>, zh: Vec<String>| {
        if en != zh {
            found.push(format!("{what}: {en:?} and {zh:?}"));
        }
    };
    compare("in backticks", sorted(quoted(en)), sorted(quoted(zh)));
    compare("placeholders", matches(&PLACEHOLDER, en), matches(&PLACEHOLDER, zh));
    compare("numbers", matches(&NUMBER, en), matches(&NUMBER, zh));
    let names = |text: &str| lower(&matches(&NAME, text)).into_iter().collect();
    compare("names", names(en), names(zh));
    let words = |text: &str| lower(&matches(&WORD, text));
    compare("words that only the Chinese text has", Vec::new(), words(zh).difference(&words(en)).cloned().collect());
    let prose: String = zh.split('`').step_by(2).collect();
    let half_width = prose.chars().filter(|letter| ",;:!?()\"".contains(*letter)).map(String::from).collect();
    compare("half-width punctuation", Vec::new(), half_width);
    let is_prose = en.split(|letter: char| !letter.is_alphabetic()).any(|word| word.len() > 1);
    if zh.chars().any(is_chinese) != is_prose {
        found.push("not translated".to_owned());
    }
    if en.chars().any(is_chinese) {
        found.push("the English text is Chinese".to_owned());
    }
    found
}

fn sorted<'a>(parts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut parts: Vec<String> = parts.map(ToOwned::to_owned).collect();
    parts.sort();
    parts
}

fn matches(pattern: &Regex, text: &str) -> Vec<String> {
    sorted(pattern.find_iter(text).map(|it| it.as_str()))
}

/// Words without the difference between `SDK` and `SDKs`, and without the names that only one language has.
fn lower(words: &[String]) -> BTreeSet<String> {
    let singular = |word: &String| {
        let upper = word.strip_suffix('s').filter(|rest| rest.chars().all(|letter| letter.is_ascii_uppercase()));
        upper.unwrap_or(word).to_lowercase()
    };
    words.iter().map(singular).filter(|word| !OF_ONE_LANGUAGE.contains(&word.as_str())).collect()
}

pub(crate) fn is_chinese(character: char) -> bool {
    matches!(character, '\u{4E00}'..='\u{9FFF}')
}

#[test]
fn every_text_says_the_same_in_both_languages() {
    let mut wrong = Vec::new();
    for Pair { file, en, zh } in pairs() {
        wrong.extend(differences(&en, &zh).iter().map(|it| format!("{file}: {it}\n  {en}\n  {zh}")));
    }
    assert!(wrong.is_empty(), "{}\n", wrong.join("\n"));
}

#[test]
fn a_text_that_occurs_twice_has_one_translation() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for Pair { file, en, zh } in pairs() {
        let first = seen.entry(en.clone()).or_insert_with(|| zh.clone());
        assert_eq!(*first, zh, "{file}: {en}");
    }
}

#[test]
fn no_chinese_text_of_the_program_has_a_word_that_the_glossary_rejects() {
    let rejected = crate::translations::rejected_words();
    for Pair { file, zh, .. } in pairs() {
        for word in &rejected {
            assert!(!zh.contains(word), "{file}: {word}: {zh}");
        }
    }
}

#[test]
fn each_term_of_the_glossary_is_translated_as_it_says() {
    // What English texts use in their one meaning only, and that Chinese texts never replace by a pronoun.
    let checked_words =
        ["request", "outcome", "admin", "lookup", "secret key", "job", "queue", "sandbox", "certificate"];
    let glossary: BTreeMap<String, String> =
        table(&read("docs/glossary.zh-CN.md")).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let patterns = checked_words.map(|term| (term, pattern(&format!(r"(?i)\b{term}s?\b"))));
    let mut checked = 0;
    for Pair { file, en, zh } in pairs() {
        let prose: String = en.split('`').step_by(2).collect();
        // The request of a friend is a term of the API.
        let prose = prose.replace("friend request", "");
        for (term, _) in patterns.iter().filter(|(_, pattern)| pattern.is_match(&prose)) {
            assert!(zh.contains(&glossary[*term]), "{file}: {term} is {}: {zh}", glossary[*term]);
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked} uses are found");
}

#[test]
fn what_a_translation_of_a_text_leaves_out_or_changes_is_found() {
    let en = "nothing for 90 s, then lower `[limits] app_calls_per_second` of {job}; see From_Account and UserSig";
    let zh = "90 秒内不发送，之后请调低 {job} 的 `[limits] app_calls_per_second`；见 From_Account 和 UserSig";
    assert_eq!(differences(en, zh), Vec::<String>::new());
    let changes = [
        ("90", "9"),
        ("`[limits] app_calls_per_second`", "`[limits] calls_per_second`"),
        ("{job} 的", ""),
        ("From_Account", "To_Account"),
        (" 和 UserSig", ""),
        ("；", ";"),
        ("不发送", "不 send"),
    ];
    for (from, to) in changes {
        assert!(!differences(en, &zh.replacen(from, to, 1)).is_empty(), "{from} → {to}");
    }
    assert_eq!(differences("rows are left", "rows are left"), ["not translated"]);
    let mut found = Vec::new();
    let source =
        r#"const A: T = Translated::new("a", "甲"); fn f() { Translated::new(format!("b {n}"), format!("乙 {n}")) }"#;
    collect(source.parse().expect("tokens"), &mut |en, zh| found.push((en, zh)));
    assert_eq!(found, [("a", "甲"), ("b {n}", "乙 {n}")].map(|(en, zh)| (en.to_owned(), zh.to_owned())));
}

//! Compares the Chinese pages with the English ones.

use std::collections::BTreeSet;

use regex::Regex;

use crate::pages::{Block, blocks_of};
use crate::texts::is_chinese;
use crate::{read, table};

const README: &str = "README.zh-CN.md";
const GLOSSARY: &str = "docs/glossary.zh-CN.md";

/// A page, as far as a translation has to be equal.
struct Outline {
    sections: Vec<Section>,
    blocks: Vec<Block>,
}

/// The text of one heading, without its blocks.
struct Section {
    level: usize,
    heading: String,
    /// The numbers of its text, sorted.
    numbers: Vec<String>,
    /// The targets of its links, apart from those that lead from one language to the other.
    links: Vec<String>,
    /// What is in backticks, sorted.
    quoted: Vec<String>,
}

impl Outline {
    fn new(page: &str) -> Self {
        let prose: String = page.split("```").step_by(2).collect();
        let sections = format!("\n{prose}").split("\n#").skip(1).map(Section::new).collect();
        Self { sections, blocks: blocks_of(page) }
    }

    /// What differs from a translation.
    fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, own: &str, other: &str| {
            if own != other {
                found.push(format!("{what}:\n  {own}\n  {other}"));
            }
        };
        compare("headings", &self.sections.len().to_string(), &other.sections.len().to_string());
        for (own, other) in self.sections.iter().zip(&other.sections) {
            let place = format!("`{}`", other.heading);
            compare(&format!("level of {place}"), &own.level.to_string(), &other.level.to_string());
            compare(&format!("numbers of {place}"), &own.numbers.join(" "), &other.numbers.join(" "));
            compare(&format!("links of {place}"), &own.links.join(" "), &other.links.join(" "));
            compare(&format!("quotations of {place}"), &own.quoted.join(" "), &other.quoted.join(" "));
        }
        compare("blocks", &self.blocks.len().to_string(), &other.blocks.len().to_string());
        for (own, other) in self.blocks.iter().zip(&other.blocks) {
            compare("language of a block", &own.language, &other.language);
            compare("a block", &untranslated(own), &untranslated(other));
        }
        found
    }
}

impl Section {
    /// `text` begins after the first `#` of the heading.
    fn new(text: &str) -> Self {
        let (heading, body) = text.split_once('\n').unwrap_or((text, ""));
        let level = 1 + heading.chars().take_while(|c| *c == '#').count();
        let links = body.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| ![README, "README.md"].contains(link)).map(ToOwned::to_owned).collect();
        let mut quoted: Vec<String> = crate::quoted(body).map(ToOwned::to_owned).collect();
        quoted.sort();
        Self { level, heading: heading.trim_matches(['#', ' ']).to_owned(), numbers: numbers(body), links, quoted }
    }
}

/// The numbers of a text, without those of its links, sorted.
fn numbers(text: &str) -> Vec<String> {
    let links = Regex::new(r"\]\([^)]*\)").expect("a pattern");
    let number = Regex::new(r"\d+(?:[.,]\d+)*").expect("a pattern");
    let text = links.replace_all(text, "");
    let mut found: Vec<String> = number.find_iter(&text).map(|number| number.as_str().to_owned()).collect();
    found.sort();
    found
}

/// A block with the numbers of each comment in place of its words.
fn untranslated(block: &Block) -> String {
    let lines = block.text.lines().map(|line| {
        let start = if line.starts_with("# ") { Some(0) } else { line.find(" # ") };
        let (code, comment) = line.split_at(start.unwrap_or(line.len()));
        let mark = if comment.is_empty() { "" } else { " #" };
        format!("{code}{mark} {}", numbers(comment).join(" "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_chinese_readme_is_the_english_one() {
    let (english, chinese) = (Outline::new(&read("README.md")), Outline::new(&read(README)));
    assert!(english.sections.len() > 5 && english.blocks.len() > 5, "the page is read");
    let differences = english.differences(&chinese);
    assert!(differences.is_empty(), "README.md and {README} differ:\n{}\n", differences.join("\n"));
    for section in &chinese.sections[1..] {
        assert!(section.heading.chars().any(is_chinese), "not translated: {}", section.heading);
    }
}

#[test]
fn each_readme_links_to_the_other_at_its_top() {
    for (page, other) in [("README.md", README), (README, "README.md")] {
        let second_line = read(page).lines().nth(1).map(ToOwned::to_owned);
        assert!(second_line.is_some_and(|line| line.ends_with(&format!("({other})"))), "{page}");
    }
}

#[test]
fn what_a_translation_leaves_out_or_changes_is_found() {
    let english = "# A\nTakes 8 minutes, [see](b.md) `--yes`.\n## B\n```sh\nimbulk plan a.toml # reads 3 files\n```\n";
    let found = |chinese: &str| Outline::new(english).differences(&Outline::new(chinese)).len();
    let fine = "# 甲\n需 8 分钟，`--yes` 见[此页](b.md)。\n## 乙\n```sh\nimbulk plan a.toml # 读取 3 个文件\n```\n";
    assert_eq!(found(fine), 0);
    let changes = [
        ("8 分钟", "9 分钟"),
        ("8 分钟", "数分钟"),
        ("b.md", "c.md"),
        ("[此页](b.md)", "此页"),
        ("`--yes` ", ""),
        ("## 乙", "### 乙"),
        ("## 乙\n", ""),
        ("a.toml", "b.toml"),
        (" # 读取 3 个文件", ""),
        ("3 个", "4 个"),
        ("```sh", "```console"),
    ];
    for (from, to) in changes {
        assert_eq!(found(&fine.replacen(from, to, 1)), 1, "{from} → {to}");
    }
}

#[test]
fn every_term_of_the_glossary_has_one_chinese_term() {
    let names = |page: &str| table(&read(page)).into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(names(GLOSSARY), names("docs/glossary.md"));
    let mut seen = BTreeSet::new();
    for row in table(&read(GLOSSARY)) {
        assert!(!row[1].is_empty() && seen.insert(row[1].clone()), "{}: {} is empty or taken", row[0], row[1]);
    }
}

#[test]
fn no_chinese_text_has_a_word_that_the_glossary_rejects() {
    let rejected = rejected_words();
    for page in [README] {
        let text = read(page);
        for word in &rejected {
            assert!(!text.contains(word), "{page}: {word}");
        }
    }
}

/// The words that the Chinese glossary rejects.
pub(crate) fn rejected_words() -> Vec<String> {
    let rejected: Vec<String> = table(&read(GLOSSARY))
        .iter()
        .flat_map(|row| row[2].split(", ").map(ToOwned::to_owned).collect::<Vec<_>>())
        .filter(|word| !word.is_empty())
        .collect();
    assert!(rejected.len() > 5, "the column is read");
    rejected
}

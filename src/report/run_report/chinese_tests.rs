use super::*;
use crate::domain::hint::Message;
use crate::report::testing;

/// Reports on runs in every state, with and without a reason.
fn reports() -> Vec<RunReport> {
    let states = [
        StateName::Planned,
        StateName::Sending,
        StateName::Stopped,
        StateName::Halted,
        StateName::Interrupted,
        StateName::Finished,
        StateName::Superseded,
    ];
    let report = |state| {
        let stopped = Message::new("stop.failed_share (the fuse): 6 of 10 items failed").add_hint("run it again");
        let stopped = (state == StateName::Halted).then_some(stopped);
        let mut parts = tests::parts(Figures { state, stopped, ..testing::figures() });
        parts.facts.verified.contradicted = 2;
        parts.sent = Some((parts.now.clone(), parts.now.clone()));
        RunReport::new(parts)
    };
    states.map(report).into()
}

/// What is between tags with this name.
fn elements<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let begin = format!("<{name}");
    let open = page.split(begin.as_str()).skip(1).filter(|rest| rest.starts_with([' ', '>']));
    open.map(|rest| rest.split_once('>').map_or("", |(_, rest)| rest.split("</").next().unwrap_or(""))).collect()
}

/// The text of a page, without its tags, styles, commands, and what is marked as English.
fn prose(page: &str) -> String {
    let body = page.split("<body>").nth(1).expect("a body");
    let mut prose = String::new();
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag has an end");
        if !tag.starts_with("code") && !tag.contains("lang=\"en\"") {
            prose.push_str(text);
            prose.push('\n');
        }
    }
    prose
}

fn numbers(text: &str) -> Vec<&str> {
    let mut numbers: Vec<&str> =
        text.split(|letter: char| !letter.is_ascii_digit()).filter(|number| !number.is_empty()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn the_chinese_markdown_says_the_same() {
    insta::assert_snapshot!(reports()[3].text(ReportFormat::Markdown, Language::Zh));
}

#[test]
fn both_languages_have_the_same_headings_commands_and_numbers() {
    for report in reports() {
        let [english, chinese] = [Language::En, Language::Zh].map(|language| report.text(ReportFormat::Html, language));
        for name in ["h1", "h2", "dt", "tr", "th", "td", "li", "section", "caption"] {
            assert_eq!(elements(&english, name).len(), elements(&chinese, name).len(), "{name}: {chinese}");
        }
        let commands: Vec<&str> =
            elements(&chinese, "code").iter().map(|it| it.strip_suffix(" --lang zh").unwrap_or(it)).collect();
        assert_eq!(elements(&english, "code"), commands);
        assert_eq!(numbers(&prose(&english)), numbers(&prose(&chinese)));
        let [english, chinese] =
            [Language::En, Language::Zh].map(|language| report.text(ReportFormat::Markdown, language));
        assert_eq!(english.lines().count(), chinese.lines().count(), "{chinese}");
        assert_eq!(numbers(&english), numbers(&chinese));
    }
}

#[test]
fn the_chinese_page_names_its_language_and_has_no_english_sentence() {
    for report in reports() {
        let page = report.text(ReportFormat::Html, Language::Zh);
        assert!(page.contains("<html lang=\"zh-CN\">"));
        let prose = prose(&page);
        let english = english_words(&prose);
        assert!(english.is_empty(), "{english:?}\n{page}");
    }
    let english = reports()[0].text(ReportFormat::Html, Language::En);
    assert!(english_words(&prose(&english)).len() > 5, "English words are found");
}

/// Lines with two words or more in a row that are not names.
fn english_words(text: &str) -> Vec<&str> {
    let is_word = |word: &str| word.len() > 1 && word.chars().all(|letter| letter.is_ascii_lowercase());
    let words = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        words.windows(2).any(|two| two.iter().all(|word| is_word(word)))
    };
    text.lines().filter(words).collect()
}

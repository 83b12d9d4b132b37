use super::*;
use crate::domain::operation::by_name;

fn text(code: i64) -> String {
    Explanation::Code(CodeExplanation::new(code)).text(Language::En)
}

#[test]
fn a_code_is_explained_with_meaning_treatment_advice_and_source() {
    insta::assert_snapshot!(text(60007), @"
    60007: too many calls of this command per second

    treated  throttled: calls of this command slow down and then speed up again; does not count as an attempt
    to do    nothing; if it continues, lower `[limits] calls_per_second`, or find other callers of it
    source   error code tables 2023 and 2025
    ");
}

#[test]
fn a_code_that_is_treated_differently_says_where() {
    let text = text(30001).replace(ErrorClass::AlreadyDone.treatment().en, "(treatment)");
    insta::assert_snapshot!(text, @"
    30001: a parameter is wrong; or the accounts are no friends, or are friends already (some commands)

    treated  friend_delete, as the verdict on an item that says Not_Friend or Friend_Not_Exist
             already_done: (treatment)
    treated  friend_import, as the verdict on an item that says Friend_Exist
             already_done: (treatment)
    treated  as the verdict on a whole request
             split: a batch is halved until the bad item is alone; then the class for an item applies
    treated  otherwise, as the verdict on an item
             item_failed: the item is `failed`; it is not sent again
    to do    `imbulk results NAME` shows the API's reason, which says what it means
    source   pages friend_delete, friend_delete_all and friend_update; FAQ on relationships
    ");
}

#[test]
fn an_unknown_code_says_so_and_how_it_is_treated() {
    let text = text(12345).replace(ErrorClass::Unknown.treatment().en, "(treatment)");
    insta::assert_snapshot!(text, @"
    12345: unknown to imbulk

    treated  unknown: (treatment)
    to do    `imbulk results NAME` shows the text of the API; look up the code in the documentation of the API
    ");
    assert!(!CodeExplanation::new(12345).known);
}

#[test]
fn every_code_says_the_same_in_text_and_json() {
    for code in all_codes().map(|info| *info.codes.start()) {
        let (text, json) = (text(code), serde_json::to_value(CodeExplanation::new(code)).expect("JSON"));
        assert_eq!(json["code"], code);
        for key in ["meaning", "advice", "source"] {
            assert!(text.contains(json[key].as_str().unwrap_or("missing")), "{code} {key}");
        }
        for treatment in json["treatment"].as_array().expect("a list") {
            assert!(text.contains(treatment["description"].as_str().unwrap_or("missing")), "{code}");
        }
    }
}

#[test]
fn the_list_has_every_code_once_and_a_class_chooses_the_codes_that_can_have_it() {
    let all = CodeList::new(None).codes.len();
    assert_eq!(all, all_codes().count());
    let mut seen = 0;
    for class in ErrorClass::NAMES {
        let list = CodeList::new(Some(class));
        seen += list.codes.len();
        assert!(list.codes.iter().all(|code| code.classes().contains(&class)), "{class}");
        assert_eq!(list.codes.is_empty(), class == "unknown", "{class}");
    }
    assert!(seen > all, "a code with several classes is in each of their lists");
    let text = Explanation::List(CodeList::new(Some("conflict"))).text(Language::En);
    insta::assert_snapshot!(text.replace(ErrorClass::Unknown.treatment().en, "(treatment)"), @"
    30008: another write to the same account was in progress
    class    conflict
    to do    make sure that no other program writes these accounts now; imbulk itself never does so
    others   every other code is unknown: (treatment)
    ");
}

#[test]
fn the_codes_of_a_run_have_the_class_of_its_operation_and_the_most_frequent_is_first() {
    let rows = |outcome, code, rows| CodeRows { outcome, code, rows };
    let friends = by_name("friend_delete").expect("an operation");
    let codes = [
        rows(Outcome::InDoubt, None, 2),
        rows(Outcome::Failed, Some(30001), 3),
        rows(Outcome::AlreadyDone, Some(30001), 4),
        rows(Outcome::Failed, Some(12345), 1),
        rows(Outcome::AlreadyDone, Some(31704), 1_000),
        rows(Outcome::InDoubt, Some(31704), 1),
    ];
    let text = of_run(codes_of(friends, &codes)).replace(ErrorClass::AlreadyDone.treatment().en, "(treatment)");
    insta::assert_snapshot!(text.replace(ErrorClass::Unknown.treatment().en, "(treatment)"), @"
    stopped  fuse: 812 of 1000 items failed

    31704: the two accounts are not friends
    rows     1,000 already_done, 1 in_doubt
    treated  already_done: (treatment)
    to do    nothing if the friendship was to be deleted

    30001: a parameter is wrong; or the accounts are no friends, or are friends already (some commands)
    rows     4 already_done
    treated  already_done: (treatment)
    to do    `imbulk results NAME` shows the API's reason, which says what it means

    30001: a parameter is wrong; or the accounts are no friends, or are friends already (some commands)
    rows     3 failed
    treated  item_failed: the item is `failed`; it is not sent again
    to do    `imbulk results NAME` shows the API's reason, which says what it means

    no code: no answer named a code
    rows     2 in_doubt
    to do    `imbulk results NAME` shows the reason of each row

    12345: unknown to imbulk
    rows     1 failed
    treated  unknown: (treatment)
    to do    `imbulk results NAME` shows the text of the API; look up the code in the documentation of the API
    ");
    assert!(of_run(Vec::new()).contains("no row of this run has a code"));
}

fn of_run(codes: Vec<CodeOfRun>) -> String {
    run_codes(codes).text(Language::En)
}

fn run_codes(codes: Vec<CodeOfRun>) -> Explanation {
    let [run, job] = ["0190", "purge"].map(ToOwned::to_owned);
    let target = "1400000001".parse().unwrap();
    let stopped = Some(Message::new("fuse: 812 of 1000 items failed"));
    let operation = "friend_delete";
    Explanation::Run(RunCodes { schema: FormatVersion, run, job, operation, target, stopped, codes })
}

fn chinese(code: i64) -> String {
    Explanation::Code(CodeExplanation::new(code)).text(Language::Zh)
}

#[test]
fn the_chinese_explanation_has_chinese_words_for_everything_but_names() {
    let mut texts = [60007, 30001, 30003, 38100, 12345].map(chinese).to_vec();
    texts.push(Explanation::List(CodeList::new(Some("conflict"))).text(Language::Zh));
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn the_chinese_explanation_of_a_run_has_the_numbers_and_names_of_the_english_one() {
    let rows = |outcome, code, rows| CodeRows { outcome, code, rows };
    let codes = [
        rows(Outcome::AlreadyDone, Some(31704), 1_000),
        rows(Outcome::InDoubt, Some(31704), 1),
        rows(Outcome::InDoubt, None, 2),
    ];
    let codes = codes_of(by_name("friend_delete").expect("an operation"), &codes);
    let run = run_codes(codes);
    insta::assert_snapshot!(run.text(Language::Zh));
    assert_eq!(run_codes(Vec::new()).text(Language::Zh).lines().count(), 2);
}

#[test]
fn both_languages_have_the_same_lines_with_the_same_numbers() {
    let lists = ErrorClass::NAMES.map(|class| Explanation::List(CodeList::new(Some(class))));
    let codes = all_codes().map(|info| Explanation::Code(CodeExplanation::new(*info.codes.start())));
    for explanation in codes.chain(lists) {
        let [english, chinese] = [Language::En, Language::Zh].map(|language| explanation.text(language));
        assert_eq!(english.lines().count(), chinese.lines().count(), "{english}\n{chinese}");
        for (english, chinese) in english.lines().zip(chinese.lines()) {
            assert_eq!(digits(english), digits(chinese), "{english}\n{chinese}");
        }
    }
}

fn digits(text: &str) -> Vec<&str> {
    let mut digits: Vec<&str> =
        text.split(|letter: char| !letter.is_ascii_digit()).filter(|it| !it.is_empty()).collect();
    digits.sort_unstable();
    digits
}

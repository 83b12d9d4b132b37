//! `imbulk explain`

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::domain::response::codes::{CodeInfo, ErrorClass, lookup};

/// Explains a code: its meaning, how imbulk treats it, and what to do.
pub(super) fn explain(args: &cli::ExplainArgs) -> Result<Exit, Error> {
    if args.json { super::print_json(&json(args.code)) } else { super::print(&text(args.code)) }
}

/// The explanation for people. For an unknown code it says how imbulk treats such a code.
fn text(code: i64) -> String {
    lookup(code).map_or_else(|| unknown_text(code), |info| known_text(code, info))
}

/// The explanation for programs.
fn json(code: i64) -> Value {
    let Some(info) = lookup(code) else {
        let treatment = [treatment("always", ErrorClass::Unknown)];
        return json!({ "code": code, "known": false, "treatment": treatment });
    };
    let lines = info.lines();
    let treatments = lines.iter().map(|(applies, class)| treatment(applies, *class));
    json!({
        "code": code,
        "known": true,
        "meaning": info.meaning,
        "treatment": treatments.collect::<Vec<_>>(),
        "advice": info.advice,
        "source": info.source,
    })
}

fn treatment(applies: &str, class: ErrorClass) -> Value {
    json!({ "applies": applies, "class": class.name(), "description": class.treatment() })
}

fn known_text(code: i64, info: &CodeInfo) -> String {
    let stretch = if info.codes.start() == info.codes.end() { String::new() } else { format!(" (one of {info})") };
    let mut text = format!("{code}{stretch}: {}\n\n", info.meaning);
    match info.lines().as_slice() {
        [(_, class)] => push(&mut text, "treated", &line(*class)),
        lines => {
            for (applies, class) in lines {
                push(&mut text, "treated", applies);
                push(&mut text, "", &line(*class));
            }
        }
    }
    push(&mut text, "to do", info.advice);
    push(&mut text, "source", info.source);
    text
}

fn unknown_text(code: i64) -> String {
    let mut text = format!("{code}: unknown to imbulk\n\n");
    push(&mut text, "treated", &line(ErrorClass::Unknown));
    push(
        &mut text,
        "to do",
        "`imbulk results NAME` shows the text of the API; look up the code in the documentation of the API",
    );
    text
}

fn line(class: ErrorClass) -> String {
    format!("{}: {}", class.name(), class.treatment())
}

fn push(text: &mut String, title: &str, what: &str) {
    // Writing to a String can't fail.
    let _ = writeln!(text, "{title:<9}{what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::response::codes::all_codes;

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
        let text = text(30001).replace(ErrorClass::AlreadyDone.treatment(), "(treatment)");
        insta::assert_snapshot!(text, @"
        30001: a parameter is wrong; or the accounts are no friends, or are friends already (some commands)

        treated  friend_delete, as the verdict on an item that says Not_Friend or Friend_Not_Exist
                 already done: (treatment)
        treated  friend_import, as the verdict on an item that says Friend_Exist
                 already done: (treatment)
        treated  as the verdict on a whole request
                 split: a batch is halved until the bad item is alone; then the class for an item applies
        treated  otherwise, as the verdict on an item
                 item failed: the item is `failed`; it is not sent again
        to do    `imbulk results NAME` shows the API's reason, which says what it means
        source   pages friend_delete, friend_delete_all and friend_update; FAQ on relationships
        ");
    }

    #[test]
    fn an_unknown_code_says_so_and_how_it_is_treated() {
        let text = text(12345).replace(ErrorClass::Unknown.treatment(), "(treatment)");
        insta::assert_snapshot!(text, @"
        12345: unknown to imbulk

        treated  unknown: (treatment)
        to do    `imbulk results NAME` shows the text of the API; look up the code in the documentation of the API
        ");
        assert_eq!(json(12345)["known"], false);
    }

    #[test]
    fn every_code_says_the_same_in_text_and_json() {
        for code in all_codes().map(|info| *info.codes.start()) {
            let (text, json) = (text(code), json(code));
            assert_eq!(json["code"], code);
            for key in ["meaning", "advice", "source"] {
                assert!(text.contains(json[key].as_str().unwrap_or("missing")), "{code} {key}");
            }
            for treatment in json["treatment"].as_array().expect("a list") {
                assert!(text.contains(treatment["description"].as_str().unwrap_or("missing")), "{code}");
            }
        }
    }
}

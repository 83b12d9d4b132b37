use super::*;
use crate::domain::operation::{self, by_name};

fn class(operation: &str, level: CodeLevel, code: i64) -> ErrorClass {
    classify(by_name(operation).unwrap(), level, code, "")
}

/// The class of the code at every level; panics if the levels differ.
fn everywhere(code: i64) -> ErrorClass {
    let mut classes = operation::ALL
        .iter()
        .flat_map(|operation| [CodeLevel::Request, CodeLevel::Item].map(|level| class(operation.name, level, code)));
    let first = classes.next().expect("there are operations");
    assert!(classes.all(|other| other == first), "{code} differs");
    first
}

#[test]
fn no_code_is_in_the_table_twice_and_all_are_in_order() {
    let mut last = -1;
    for info in all_codes() {
        assert!(*info.codes.start() > last, "{info} does not follow {last}");
        assert!(info.codes.start() <= info.codes.end(), "{info}");
        last = *info.codes.end();
    }
}

#[test]
fn every_entry_is_found_by_its_code_and_its_neighbours_are_not() {
    for wanted in all_codes() {
        for code in [*wanted.codes.start(), *wanted.codes.end()] {
            assert!(std::ptr::eq(lookup(code).expect("it is there"), wanted), "{code}");
        }
    }
    for code in [-1, 1, 29_999, 37_999, 39_001, 60_001, 60_022, 99_999, i64::MIN, i64::MAX] {
        assert!(lookup(code).is_none(), "{code}");
    }
}

#[test]
fn every_text_of_the_table_says_something() {
    for info in all_codes() {
        for text in [info.meaning, info.advice, info.source].map(|text| text.en) {
            assert!(text.len() > 3 && text.trim() == text && !text.ends_with('.'), "{info}: {text:?}");
        }
    }
}

#[test]
fn codes_of_the_pages_are_all_known() {
    let pages: [(&str, &[i64]); 6] = [
        ("account_delete", &[30006, 30007, 30008, 40006, 70107, 70169, 70202, 70402, 70403, 70500, 71000]),
        ("friend_delete", &[30001, 30002, 30003, 30004, 31701, 31702, 31703, 31704, 31705, 31706, 31707]),
        ("friend_delete_all", &[30001, 30003, 30004, 30006, 30007, 30008]),
        ("friend_update", &[30001, 30002, 30003, 30004, 30006, 30007, 30008, 30011]),
        ("friend_import", &[30001, 30002, 30003, 30004, 30006, 30007, 30008, 30010, 30011]),
        ("account_import", &[70169, 70202, 70206, 70398, 70399, 70402, 70403, 70500]),
    ];
    for (operation, codes) in pages {
        for &code in codes {
            assert_ne!(class(operation, CodeLevel::Item, code), ErrorClass::Unknown, "{operation} {code}");
        }
    }
}

#[test]
fn codes_that_stop_everything_do_so_at_every_level() {
    let fatal = [
        30004, 40004, 60002, 60006, 60009, 60010, 60012, 60016, 60020, 60021, 60025, 60026, 60027, 60028, 70002, 70003,
        70005, 70009, 70013, 70014, 70016, 70020, 70050, 70403, 70404, 72000, 72002, 80005, 90009,
    ];
    for code in fatal {
        assert_eq!(everywhere(code), ErrorClass::Fatal(Scope::App), "{code}");
    }
    // They say what one operation may not do in this app.
    for code in [60017, 70398, 71000, 72001, 72011, 72012] {
        assert_eq!(everywhere(code), ErrorClass::Fatal(Scope::Command), "{code}");
    }
}

#[test]
fn codes_that_ask_for_patience_get_the_kind_of_it_that_they_ask_for() {
    assert_eq!(everywhere(31703), ErrorClass::Transient(Effect::None));
    for code in [30006, 31705, 31706, 90992, 90994, 90995, 91000] {
        assert_eq!(everywhere(code), ErrorClass::Transient(Effect::Partial), "{code}");
    }
    for code in [40006, 70500] {
        assert_eq!(everywhere(code), ErrorClass::Transient(Effect::DataLeft), "{code}");
    }
    for code in [30007, 60008, 60013, 60014, 70169, 70202] {
        assert_eq!(everywhere(code), ErrorClass::Transient(Effect::Unknown), "{code}");
    }
    for code in [60007, 70114, 72010] {
        assert_eq!(everywhere(code), ErrorClass::Throttled(Scope::Command, Pause::Short), "{code}");
    }
    for code in [30540, 31707] {
        assert_eq!(everywhere(code), ErrorClass::Throttled(Scope::Command, Pause::Long), "{code}");
    }
    for code in [60011, 60018, 60019] {
        assert_eq!(everywhere(code), ErrorClass::Throttled(Scope::App, Pause::Short), "{code}");
    }
    for code in [70001, 70017, 70052] {
        assert_eq!(everywhere(code), ErrorClass::Renew(RenewFallback::Fatal), "{code}");
    }
    for code in [60004, 60005] {
        assert_eq!(everywhere(code), ErrorClass::Renew(RenewFallback::Transient), "{code}");
    }
    assert_eq!(everywhere(30008), ErrorClass::Conflict);
}

#[test]
fn already_done_is_said_in_exactly_six_places() {
    let infos = ["", "Err_SNS_FriendGetList_Friend_Not_Exist", "Err_SNS_FriendAdd_Friend_Exist"];
    let mut said = Vec::new();
    for operation in operation::ALL {
        for (level, info) in [CodeLevel::Request, CodeLevel::Item].into_iter().flat_map(|l| infos.map(|i| (l, i))) {
            for code in all_codes().flat_map(|info| info.codes.clone()) {
                if classify(operation, level, code, info) == ErrorClass::AlreadyDone {
                    // The verdict of friend_delete_all is that of its only item.
                    assert!(level == CodeLevel::Item || operation.answer_key().is_none(), "{code}");
                    said.push((operation.name, code, info.len()));
                }
            }
        }
    }
    said.sort_unstable();
    said.dedup();
    let [none, not_friends, friends] = infos.map(str::len);
    let any = |operation, code| [none, friends, not_friends].map(|info| (operation, code, info));
    let expected = [
        any("account_delete", 70107).to_vec(),
        vec![("friend_delete", 30001, not_friends)],
        any("friend_delete", 31704).to_vec(),
        any("friend_delete_all", 30003).to_vec(),
        vec![("friend_import", 30001, friends)],
        any("friend_import", 30015).to_vec(),
    ];
    assert_eq!(said, expected.concat());
}

#[test]
fn a_missing_friendship_counts_as_done_only_where_it_was_to_be_deleted() {
    let info = "Err_SNS_FriendUpdate_Not_Friend";
    assert_eq!(classify(by_name("friend_delete").unwrap(), CodeLevel::Item, 30001, info), ErrorClass::AlreadyDone);
    assert_eq!(
        classify(by_name("friend_delete").unwrap(), CodeLevel::Item, 30001, "err_not_friend"),
        ErrorClass::AlreadyDone
    );
    assert_eq!(
        classify(by_name("friend_delete").unwrap(), CodeLevel::Item, 30001, "bad To_Account"),
        ErrorClass::ItemFailed
    );
    assert_eq!(classify(by_name("friend_update").unwrap(), CodeLevel::Item, 30001, info), ErrorClass::ItemFailed);
    assert_eq!(classify(by_name("friend_update").unwrap(), CodeLevel::Item, 31704, info), ErrorClass::ItemFailed);
    assert_eq!(classify(by_name("friend_delete").unwrap(), CodeLevel::Item, 70107, info), ErrorClass::ItemFailed);
}

#[test]
fn a_batch_refused_for_one_item_is_split_and_an_item_alone_never_is() {
    for code in [30001, 31701, 31704, 40001, 60003, 60015, 70107, 70206, 70402, 90001] {
        for operation in operation::ALL {
            assert_eq!(class(operation.name, CodeLevel::Request, code), ErrorClass::Split, "{code}");
        }
    }
    for operation in operation::ALL {
        for code in all_codes().flat_map(|info| info.codes.clone()) {
            assert_ne!(class(operation.name, CodeLevel::Item, code), ErrorClass::Split, "{code}");
        }
    }
}

#[test]
fn a_verdict_on_from_account_fails_every_item_at_once() {
    for code in [30002, 30003, 30010, 30013] {
        for operation in ["friend_delete", "friend_delete_all", "friend_update", "friend_import"] {
            let there = (operation, code) == ("friend_delete_all", 30003);
            let wanted = if there { ErrorClass::AlreadyDone } else { ErrorClass::ItemFailed };
            assert_eq!(class(operation, CodeLevel::Request, code), wanted, "{operation} {code}");
        }
        assert_eq!(class("account_delete", CodeLevel::Request, code), ErrorClass::Split, "{code}");
        assert_eq!(class("account_delete", CodeLevel::Item, code), ErrorClass::ItemFailed, "{code}");
    }
}

#[test]
fn only_zero_is_done_and_strange_codes_are_unknown() {
    assert_eq!(everywhere(0), ErrorClass::Done);
    let done = all_codes().filter(|info| info.rule == Rule::Always(ErrorClass::Done)).count();
    assert_eq!(done, 1);
    for code in [-1, 1, 200, 10_002, 30_099, 60_001, 69_999, i64::MAX, i64::MIN] {
        assert_eq!(everywhere(code), ErrorClass::Unknown, "{code}");
    }
}

#[test]
fn the_lines_for_people_end_with_what_holds_elsewhere() {
    for info in all_codes() {
        let code = *info.codes.start();
        let (_, last) = info.lines().pop().expect("at least one line");
        assert_eq!(last, class("friend_update", CodeLevel::Item, code), "{info}");
    }
}

#[test]
fn all_other_codes_speak_of_one_item() {
    let of_one_item = all_codes().filter(|info| info.rule == OF_ONE_ITEM);
    let codes: Vec<String> = of_one_item.map(ToString::to_string).collect();
    assert_eq!(
        codes.join(" "),
        "30001 30005 30009 30011 30012 30014 30015 30515 30516 30525 30539 30614 31701 31704 31804 32216 \
         38000 to 39000 40001 40002 40003 40005 40007 40008 40009 40601 40605 40610 60003 60015 70107 70206 \
         70399 70402 90001"
    );
}

#[test]
fn an_account_on_the_blocklist_stops_everything_only_if_it_signs_the_calls() {
    for operation in operation::ALL {
        assert_eq!(class(operation.name, CodeLevel::Request, 70051), ErrorClass::Fatal(Scope::App));
        assert_eq!(class(operation.name, CodeLevel::Item, 70051), ErrorClass::ItemFailed);
    }
}

#[test]
fn a_wrong_delete_type_is_final_and_never_split() {
    assert_eq!(everywhere(31702), ErrorClass::ItemFailed);
}

#[test]
fn the_class_of_a_row_is_that_of_its_operation_and_a_second_meaning_is_that_of_a_failed_row() {
    let class = |operation, outcome, code| class_of_row(by_name(operation).unwrap(), outcome, code);
    assert_eq!(class("account_delete", Outcome::AlreadyDone, 70107), ErrorClass::AlreadyDone);
    assert_eq!(class("account_import", Outcome::Failed, 70107), ErrorClass::ItemFailed);
    assert_eq!(class("friend_delete", Outcome::AlreadyDone, 30001), ErrorClass::AlreadyDone);
    assert_eq!(class("friend_delete", Outcome::Failed, 30001), ErrorClass::ItemFailed);
    assert_eq!(class("friend_delete", Outcome::Failed, 12345), ErrorClass::Unknown);
    for code in all_codes().map(|info| *info.codes.start()) {
        for operation in operation::ALL {
            let class = class_of_row(operation, Outcome::Failed, code);
            assert!(class != ErrorClass::Split && ErrorClass::NAMES.contains(&class.name()), "{code}");
        }
    }
}

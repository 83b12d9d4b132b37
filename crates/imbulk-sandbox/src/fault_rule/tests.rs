use super::*;
use proptest::prelude::*;

#[test]
fn every_kind_is_read_and_said_back() {
    for kind in [
        "code-before=30006",
        "code-after=30007",
        "http-before=502",
        "http-after=302",
        "reset-before",
        "reset-after",
        "close-before",
        "close-after",
        "silence-before",
        "silence-after",
        "slow=250ms",
        "storm=60007/2000ms",
        "poison=30001/bob",
        "item=70500",
        "missing",
        "duplicate",
        "foreign",
        "shuffle",
        "garbage",
        "truncated",
        "cut",
        "huge",
        "string-code",
        "object-items",
        "partial=31706",
        "only-failed",
        "only-invalid",
        "twice=70500",
        "blamed",
        "shape-2025",
        "fail-with=70500",
        "ok-with=30006",
        "fail-zero",
    ] {
        let rule: FaultRule = format!("friend_delete:{kind}:0.5").parse().unwrap();
        assert_eq!(rule.kind.to_string(), kind);
    }
}

#[test]
fn a_kind_without_a_moment_strikes_before_the_write() {
    let rule: FaultRule = "any:silence:1".parse().unwrap();
    assert_eq!(rule.kind.to_string(), "silence-before");
    let rule: FaultRule = "any:slow=2s:1".parse().unwrap();
    assert_eq!(rule.kind.to_string(), "slow=2000ms");
}

#[test]
fn a_rule_has_a_command_a_kind_a_when_and_a_most() {
    let rule: FaultRule = "account_delete:item=70500:#2,5:max=3".parse().unwrap();
    assert_eq!(rule.command, Some(Command::AccountDelete));
    assert_eq!(rule.kind, FaultKind::Item(ItemFault::Code(70500)));
    let numbers = [2, 5].into_iter().filter_map(NonZeroU64::new).collect();
    assert_eq!(rule.when, When::Calls(numbers));
    assert_eq!(rule.max, NonZeroU64::new(3));
}

#[test]
fn a_wrong_rule_names_what_is_legal() {
    for (rule, hint) in [
        ("", FORM),
        ("any:reset", FORM),
        ("any:reset:1:max=1:x", FORM),
        ("friend_add:reset:1", COMMANDS),
        ("any:explode:1", KINDS),
        ("any:code:1", KINDS),
        ("any:reset=1:1", KINDS),
        ("any:slow-after=1s:1", KINDS),
        ("any:code=x:1", CODES),
        ("any:code=0:1", CODES),
        ("any:http=200:1", STATUSES),
        ("any:slow=2:1", DURATIONS),
        ("any:slow=18446744073709551615s:1", DURATIONS),
        ("any:storm=60007:1", DURATIONS),
        ("any:poison=30001/:1", POISON),
        ("any:reset:1.5", WHENS),
        ("any:reset:NaN", WHENS),
        ("any:reset:#0", WHENS),
        ("any:reset:#", WHENS),
        ("any:reset:1:3", MAXES),
        ("any:reset:1:max=0", MAXES),
        ("friend_delete_all:item=30006:1", NO_ITEMS),
        ("friend_delete_all:shuffle:1", NO_ITEMS),
    ] {
        let Err(error) = rule.parse::<FaultRule>() else {
            panic!("`{rule}` was taken");
        };
        assert_eq!(error.hint, hint, "{rule}");
        assert!(error.to_string().starts_with(&format!("fault rule `{rule}`: ")));
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        text in "(any|friend_delete|[a-z]{0,3})(:(code|slow|storm|item)?(-after)?[=/#:.,0-9msé]{0,24}){0,3}",
    ) {
        if let Ok(rule) = text.parse::<FaultRule>() {
            let again = format!("any:{}:1", rule.kind).parse::<FaultRule>().unwrap();
            prop_assert_eq!(again.kind, rule.kind);
        }
    }
}

//! JSONL, flat and in the shape of request bodies, good and bad.

use proptest::prelude::*;

use crate::domain::hint::Hint;
use crate::domain::job::{Encoding, UnusualIds};
use crate::input::Problem;
use crate::input::testing::{input, rows, rows_with};

fn lines(operation: &str, text: &str) -> Vec<String> {
    rows(operation, "rows.jsonl", text)
}

/// The reason for which the only row of a record is rejected.
fn reason(operation: &str, record: &str) -> String {
    let rows = lines(operation, record);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].split_once(": ").unwrap().1.to_owned()
}

#[test]
fn flat_records_are_rows_with_their_lines() {
    let text = concat!(
        r#"{"From_Account":"a","To_Account":"b","x":[1,{}]}"#,
        "\r\n\n  ",
        r#"{"To_Account":"d\u0031","From_Account":"c"}"#
    );
    assert_eq!(lines("friend_delete", text), ["1 a>b", "3 c>d1"]);
    assert!(lines("friend_delete", "").is_empty());
}

#[test]
fn bodies_of_the_api_are_a_row_an_item() {
    assert_eq!(lines("friend_delete", r#"{"To_Account":["b","c"],"From_Account":"a"}"#), ["1 a>b", "1 a>c"]);
    assert_eq!(lines("account_delete", r#"{"DeleteItem":[{"UserID":"a"},{"UserID":"b"}]}"#), ["1 a", "1 b"]);
    let update = r#"{"From_Account":"a","UpdateItem":[
        {"To_Account":"b","SnsItem":[{"Tag":"Tag_SNS_IM_Remark","Value":"x"},{"Tag":"Tag_SNS_Custom_A","Value":5}]},
        {"To_Account":"c","SnsItem":[{"Tag":"Tag_SNS_IM_Group","Value":["g","g"]}]}]}"#;
    assert_eq!(
        lines("friend_update", &update.replace('\n', "")),
        [r#"1 a>b {"Tag_SNS_Custom_A":5,"Tag_SNS_IM_Remark":"x"}"#, r#"1 a>c {"Tag_SNS_IM_Group":["g"]}"#]
    );
}

#[test]
fn a_bad_item_rejects_itself_alone() {
    assert_eq!(
        lines("friend_delete", r#"{"From_Account":"a","To_Account":["b",7,"a",null,"c"]}"#),
        [
            "1 a>b",
            "1 bad : `To_Account` is the number 7: ids are text, write them in quotes",
            "1 bad a>a: `To_Account` names the same account twice: it is From_Account, too",
            "1 bad : `To_Account` is null, not text",
            "1 a>c",
        ]
    );
    assert_eq!(
        lines("account_delete", r#"{"DeleteItem":[{"UserID":"a"},"b",{},{"UserID":"c"}]}"#),
        ["1 a", "1 bad : an item of the list is text, not an object", "1 bad : `UserID` is missing", "1 c",]
    );
    let twice = r#"{"DeleteItem":[{"UserID":"a","UserID":"b"},{"UserID":"c"}]}"#;
    let rows = lines("account_delete", twice);
    assert!(rows[0].ends_with("the object has the key `UserID` twice"), "{rows:?}");
    assert_eq!(rows[1], "1 c");
}

#[test]
fn a_fault_of_the_record_rejects_each_of_its_items() {
    assert_eq!(
        lines("friend_delete", r#"{"From_Account":"","To_Account":["b","c"]}"#),
        ["1 bad >b: `From_Account` is empty", "1 bad >c: `From_Account` is empty"]
    );
    let rows =
        lines("friend_delete", r#"{"From_Account":"a","To_Account":["b","c"],"DeleteType":"Delete_Type_Single"}"#);
    assert_eq!(rows.len(), 2);
    assert!(
        rows[1].starts_with("1 bad : `DeleteType` is the API's `DeleteType`, which rows of this operation do not have"),
        "{rows:?}"
    );
    assert!(rows[1].contains("set options.delete_type in the job"), "{rows:?}");
}

#[test]
fn records_that_are_no_rows_are_rejected_with_the_reason() {
    for (record, expected) in [
        (r#"{"From_Account":"a","To_Account":[]}"#, "the list of the object is empty"),
        (r#"{"From_Account":"a"}"#, "`To_Account` is missing"),
        (
            r#"{"From_Account":5,"To_Account":"b"}"#,
            "`From_Account` is the number 5: ids are text, write them in quotes",
        ),
        (r#"{"From_Account":"a","From_Account":"a","To_Account":"b"}"#, "the object has the key `From_Account` twice"),
        (r#"{"From_Account":"a","To_Account":{}}"#, "`To_Account` is an object, not text"),
        (r#"{"From_Account":"a","To_Account":"\ud800"}"#, "`To_Account` has an escape that is no character"),
        (r#"{"From_Account":"a","To_Account":"b\u0000"}"#, "`To_Account` contains the control character U+0000"),
        (r#"{"From_Account":"a","To_Account":"b"} x"#, "is no JSON object: trailing characters at character 39"),
    ] {
        assert_eq!(reason("friend_delete", record), expected);
    }
    for record in ["5", "\"a\"", "{", "{\"From_Account\":\"a\"", "null", "true", "From_Account", "}", "{},"] {
        let good = r#"{"From_Account":"a","To_Account":"b"}"#;
        let rows = lines("friend_delete", &format!("{good}\n{record}\n{good}\n"));
        assert!(rows[1].starts_with("2 bad : is no JSON object: "), "{record}: {rows:?}");
        assert_eq!((rows.len(), rows[2].as_str()), (3, "3 a>b"));
    }
    assert!(reason("account_delete", r#"{"UserID":"a","DeleteItem":[{"UserID":"b"}]}"#).contains("both a list"));
    assert!(reason("account_delete", r#"{"DeleteItem":"a"}"#).contains("not a list"));
    assert!(reason("account_delete", r#"{"UserID":["a"]}"#).contains("is a list, not text"));
}

#[test]
fn fields_may_be_flat_too_and_null_leaves_them_alone() {
    let record =
        r#"{"From_Account":"a","To_Account":"b","Tag_SNS_IM_Remark":"","Tag_SNS_IM_Group":null,"Tag_SNS_Custom_A":-1}"#;
    assert_eq!(lines("friend_update", record), [r#"1 a>b {"Tag_SNS_Custom_A":-1,"Tag_SNS_IM_Remark":""}"#]);
    let with = |field: &str| reason("friend_update", &format!(r#"{{"From_Account":"a","To_Account":"b",{field}}}"#));
    assert_eq!(with(r#""Tag_SNS_IM_Remark":null"#), "would change nothing: no field is set");
    assert_eq!(with(r#""Tag_SNS_IM_Remark":5"#), "`Tag_SNS_IM_Remark` must be text");
    assert_eq!(with(r#""Tag_SNS_IM_Group":"g""#), "`Tag_SNS_IM_Group` must be a list of group names");
    assert_eq!(with(r#""Tag_SNS_Custom_A":1.5"#), "`Tag_SNS_Custom_A` must be text or an integer");
    assert!(with(r#""Tag_SNS_IM_Remarks":"x""#).contains("is none of the fields"));
    assert!(with(r#""SnsItem":[{"Tag":"Tag_SNS_IM_Nick","Value":"x"}]"#).contains("is none of the fields"));
    assert!(with(r#""SnsItem":[{"Tag":"Tag_SNS_IM_Remark","Valeu":"x"}]"#).contains("an element of `SnsItem`"));
    let twice = r#""Tag_SNS_IM_Remark":"x","SnsItem":[{"Tag":"Tag_SNS_IM_Remark","Value":"y"}]"#;
    assert_eq!(with(twice), "`Tag_SNS_IM_Remark` is set twice");
}

#[test]
fn an_import_is_read_in_the_shape_of_the_api_and_needs_its_source() {
    let body = r#"{"From_Account":"a","AddFriendItem":[
        {"To_Account":"b","AddSource":"AddSource_Type_Web","Remark":"Bo","GroupName":["Work"],"AddTime":1420000001,
         "CustomItem":[{"Tag":"Tag_SNS_Custom_Level","Value":0}]},
        {"To_Account":"c","Remark":"Cy"},
        {"To_Account":"d","AddSource":"AddSource_Type_Web","GroupName":"Work"},
        {"To_Account":"e","AddSource":"AddSource_Type_Web","RemarkTime":1420000001},
        {"To_Account":"f","AddSource":"AddSource_Type_Web","AddTime":1420000001000}]}"#;
    let rows = lines("friend_import", &body.replace('\n', ""));
    let first = "1 a>b {\"AddSource\":\"AddSource_Type_Web\",\"AddTime\":1420000001,\"GroupName\":[\"Work\"],\
                 \"Remark\":\"Bo\",\"Tag_SNS_Custom_Level\":0}";
    assert_eq!(rows[0], first);
    assert_eq!(rows[1], "1 bad a>c: `AddSource` is missing");
    assert_eq!(rows[2], "1 bad a>d: `GroupName` must be a list of group names");
    assert!(rows[3].starts_with("1 bad : `RemarkTime` is the API's `RemarkTime`"), "{}", rows[3]);
    assert_eq!(rows[4], "1 bad a>f: `AddTime` must be a whole number from 0 to 4294967295");
}

#[test]
fn keys_that_mean_something_elsewhere_reject_their_row_and_leave_nothing_to_send() {
    for (operation, record, key) in [
        ("friend_delete_all", r#"{"From_Account":"a","To_Account":["b","c"]}"#, "To_Account"),
        ("friend_delete_all", r#"{"From_Account":"a","to_account":"b"}"#, "To_Account"),
        ("account_delete", r#"{"UserID":"a","From_Account":"b"}"#, "From_Account"),
        ("account_delete", r#"{"DeleteItem":[{"UserID":"a","Nick":"b"}]}"#, "Nick"),
        ("account_delete", r#"{"UserID":"a","Tag_SNS_IM_Remark":"x"}"#, "Tag_SNS_IM_Remark"),
        ("friend_delete", r#"{"From_Account":"a","To_Account":"b","UpdateItem":[]}"#, "UpdateItem"),
        ("friend_update", r#"{"From_Account":"a","To_Account":"b","Tag_SNS_IM_Group":["g"],"Remark":"x"}"#, "Remark"),
        (
            "friend_update",
            r#"{"From_Account":"a","To_Account":"b","Tag_SNS_IM_Group":["g"]," Tag_SNS_IM_Remark":"x"}"#,
            "Tag",
        ),
        (
            "friend_update",
            r#"{"From_Account":"a","UpdateItem":[{"To_Account":"b","SnsItem":[]}],"Tag_SNS_IM_Remark":"x"}"#,
            "Tag",
        ),
        (
            "friend_update",
            r#"{"From_Account":"a","UpdateItem":[{"To_Account":"b","SnsItem":[]}],"SnsItem":[]}"#,
            "SnsItem",
        ),
        (
            "friend_update",
            r#"{"From_Account":"a","UpdateItem":[{"To_Account":"b","AddWording":"x","SnsItem":[]}]}"#,
            "AddWording",
        ),
    ] {
        let rows = lines(operation, record);
        assert!(rows.iter().all(|row| row.starts_with("1 bad : ") && row.contains(key)), "{record}: {rows:?}");
    }
    let own = r#"{"From_Account":"a","created_at":1,"note":{"To_Account":"b"},"To_Account":null}"#;
    assert_eq!(lines("friend_delete_all", own), ["1 a"], "what is null says nothing");
    let late = "{\"From_Account\":\"a\"}\n{\"From_Account\":\"b\",\"To_Account\":\"c\"}\n{\"From_Account\":\"d\"}";
    let rows = lines("friend_delete_all", late);
    assert!(rows[0] == "1 a" && rows[1].starts_with("2 bad") && rows[2] == "3 d", "{rows:?}");
}

#[test]
fn unusual_ids_are_rejected_in_every_shape_unless_the_job_allows_them() {
    let text = concat!(
        r#"{"From_Account":"1.4E+08","To_Account":["b","c"]}"#,
        "\n",
        r#"{"From_Account":"a","To_Account":["NULL","d"]}"#,
        "\n"
    );
    let rejected = lines("friend_delete", text);
    assert!(rejected[0].starts_with("1 bad 1.4E+08>b: `From_Account` is a number that was rewritten"), "{rejected:?}");
    assert!(rejected[0].ends_with("input.unusual_ids = \"allow\" accepts such ids"), "{rejected:?}");
    assert!(rejected[1].starts_with("1 bad") && rejected[2].starts_with("2 bad a>NULL: "), "{rejected:?}");
    assert_eq!(rejected[3], "2 a>d");
    let update = concat!(
        r#"{"From_Account":"a","UpdateItem":[{"To_Account":"b\u200b","#,
        r#""SnsItem":[{"Tag":"Tag_SNS_IM_Remark","Value":"x"}]}]}"#
    );
    assert!(reason("friend_update", update).contains("U+200B"));
    let mut allowed = input(&[]);
    allowed.unusual_ids = UnusualIds::Allow;
    let rows = rows_with("friend_delete", "rows.jsonl", text.as_bytes(), &allowed).unwrap();
    assert_eq!(rows, ["1 1.4E+08>b", "1 1.4E+08>c", "2 a>NULL", "2 a>d"]);
}

#[test]
fn names_of_the_file_are_mapped() {
    let mapped = input(&[("From_Account", "from"), ("Tag_SNS_IM_Remark", "note")]);
    let record = br#"{"from":"a","To_Account":"b","note":"x"}"#;
    let rows = rows_with("friend_update", "rows.jsonl", record, &mapped).unwrap();
    assert_eq!(rows, [r#"1 a>b {"Tag_SNS_IM_Remark":"x"}"#]);
}

#[test]
fn bytes_that_are_no_text_reject_only_their_own_item() {
    let record = b"{\"From_Account\":\"a\",\"To_Account\":[\"b\xff\",\"c\"],\"x\":\"\xff\"}";
    let rows = rows_with("friend_delete", "rows.jsonl", record, &input(&[])).unwrap();
    let reason = "`To_Account` is not valid UTF-8; if the file is GBK: input.encoding = \"gbk\"";
    assert_eq!(rows, [format!("1 bad : {reason}").as_str(), "1 a>c"]);
    let mut gbk = input(&[]);
    gbk.encoding = Encoding::Gbk;
    let (record, _, _) = encoding_rs::GBK.encode("{\"UserID\":\"张三\"}");
    assert_eq!(rows_with("account_delete", "rows.jsonl", &record, &gbk).unwrap(), ["1 张三"]);
}

#[test]
fn a_list_over_the_whole_file_is_refused_with_a_way_out() {
    let error = rows_with("account_delete", "rows.json", b"\n[\n{\"UserID\":\"a\"}\n]", &input(&[])).unwrap_err();
    assert!(matches!(*error.problem, Problem::JsonList));
    assert!(error.hint().unwrap().contains("jq -c"));
}

#[test]
fn json_that_is_written_in_another_way_is_refused_as_what_it_is() {
    for (text, line, words) in [
        ("{\n  \"UserID\": \"a\"\n}\n{\n  \"UserID\": \"b\"\n}\n", 1, "spans several lines"),
        ("\n{\"UserID\":\n\"a\"}\n", 2, "spans several lines"),
        ("{\"UserID\":\"a\"},\n{\"UserID\":\"b\"}\n", 1, "a comma between them"),
        ("{\"UserID\":\"a\"}, {\"UserID\":\"b\"}", 1, "a comma between them"),
        ("{\"UserID\":\"a\"}{\"UserID\":\"b\"}\n", 1, "on one line"),
        ("{\"UserID\":\"a\"}\r{\"UserID\":\"b\"}\r", 1, "on one line"),
        ("UserID,note\na,b\n", 1, "not JSON"),
    ] {
        let error = rows_with("account_delete", "rows.jsonl", text.as_bytes(), &input(&[])).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.line, Some(line), "{text}");
        assert!(error.hint().unwrap().contains("jq") || words == "not JSON");
    }
    let json = b"{\"UserID\":\"a\"}\n";
    let error = rows_with("account_delete", "rows.csv", json, &input(&[])).unwrap_err();
    assert!(matches!(*error.problem, Problem::JsonInCsv));
}

#[test]
fn a_record_that_is_cut_off_is_rejected_and_takes_no_other_with_it() {
    let cut = "{\"UserID\":\"a\"\n{\"UserID\":\"b\"}\n{\"UserID\":\"us";
    let rows = lines("account_delete", cut);
    assert!(rows[0].starts_with("1 bad : ") && rows[1] == "2 b" && rows[2].starts_with("3 bad : "), "{rows:?}");
    assert!(lines("account_delete", "{\"UserID\":\"us")[0].starts_with("1 bad : "));
}

#[test]
fn deep_and_endless_lines_are_rejected_and_the_next_one_is_read() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!("{{\"UserID\":{nested}}}\n{{\"x\":{nested},\"UserID\":\"b\"}}");
    assert_eq!(lines("account_delete", &deep), ["1 bad : `UserID` is a list, not text", "2 b"]);
    let long = format!("{{\"x\":\"{}\"}}\n{{\"UserID\":\"b\"}}\n", "x".repeat(17 << 20));
    assert_eq!(lines("account_delete", &long), ["1 bad : the line is longer than 16 MiB", "2 b"]);
}

fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"a\"",
        "\"UserID\"",
        "\"DeleteItem\"",
        "\"UserID\":\"b\"",
        "null",
        "1",
        "\n",
        "\r\n",
        "{\"UserID\":\"c\"}",
        "\n{\"UserID\":\"d\"}\n",
        "{\"DeleteItem\":[",
        "]}",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn every_filled_line_has_its_rows_in_order(pieces in prop::collection::vec(piece(), 0..60)) {
        let text = format!("{{\"UserID\":\"a\"}}\n{}", pieces.concat());
        let mut numbers: Vec<u64> = lines("account_delete", &text)
            .iter()
            .map(|row| row.split(' ').next().unwrap().parse().unwrap())
            .collect();
        prop_assert!(numbers.is_sorted());
        numbers.dedup();
        let filled = text.split('\n').zip(1_u64..).filter(|(line, _)| !line.trim().is_empty());
        prop_assert_eq!(numbers, filled.map(|(_, number)| number).collect::<Vec<_>>());
        for (line, number) in text.split('\n').zip(1..) {
            if line.trim() == "{\"UserID\":\"d\"}" {
                let row = format!("{number} d");
                prop_assert!(lines("account_delete", &text).contains(&row));
            }
        }
    }

    #[test]
    fn no_bytes_at_all_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for operation in ["friend_delete", "friend_update"] {
            let _ = rows_with(operation, "rows.jsonl", &bytes, &input(&[]));
        }
    }
}

#[test]
fn a_header_that_was_converted_to_a_record_is_no_account() {
    for id in ["UserID", "user_id", "u1UserID"] {
        let read = rows("account_delete", "rows.jsonl", &format!("{{\"UserID\":\"{id}\"}}\n"));
        assert!(read[0].contains("ends with the column name"), "{read:?}");
    }
}

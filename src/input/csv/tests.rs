//! CSV as users have it, damaged in the ways that it gets damaged.

use proptest::prelude::*;

use crate::domain::hint::Hint;
use crate::domain::job::{Delimiter, Encoding, UnusualIds};
use crate::input::testing::{input, rows, rows_with, shape, source};
use crate::input::{InputError, Problem};

fn problem(operation: &str, text: &str) -> InputError {
    rows_with(operation, "rows.csv", text.as_bytes(), &input(&[])).unwrap_err()
}

#[test]
fn rows_are_read_with_their_lines_whatever_the_delimiter_and_line_end() {
    for (text, delimiter) in [
        ("From_Account,To_Account\na,b\n\nc,d", None),
        ("From_Account;To_Account\r\na;b\r\n\r\nc;d\r\n", None),
        ("\u{feff}To_Account\tmail\tFrom_Account\nb\tx,y;\ta\n\r\nd\t\tc\n", None),
        ("a,To_Account;From_Account\n0;b;a\n\n0;d;c\n", Some(Delimiter::Semicolon)),
    ] {
        let text = text.replace("a,To_Account", "x;To_Account");
        let mut input = input(&[]);
        input.delimiter = delimiter;
        let rows = rows_with("friend_delete", "rows.csv", text.as_bytes(), &input).unwrap();
        assert_eq!(rows, ["2 a>b", "4 c>d"], "{text}");
    }
}

#[test]
fn rows_of_white_space_of_any_kind_are_skipped_and_counted() {
    let text =
        "UserID,note\na,x\n\u{3000},\u{3000}\n,\u{a0}\u{2003}\n\u{b}\n\u{c}\r\n\u{3000}\nb,y\n\u{3000}c,z\n\u{200b},\n";
    let mut read = Vec::new();
    let facts = source("rows.csv", text.as_bytes()).read(&shape("account_delete"), &input(&[]), &mut |row| {
        read.push(row.map_or_else(|bad| bad.line, |row| row.line));
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(read, [2, 8, 9, 10]);
    assert_eq!(facts.unwrap().blank_rows, 5);
}

#[test]
fn rows_of_delimiters_and_blanks_are_skipped_and_counted() {
    let text = "UserID,note\na,x\n,\n,,,\n\n \t ,\r\nb,\n\"\",\n,x\n";
    let mut rows = Vec::new();
    let source = source("rows.csv", text.as_bytes());
    let facts = source.read(&shape("account_delete"), &input(&[]), &mut |row| {
        rows.push(row.map_or_else(|bad| bad.line, |row| row.line));
        std::ops::ControlFlow::Continue(())
    });
    let facts = facts.unwrap();
    assert_eq!(rows, [2, 7, 8, 9], "quotes and a value in any cell make a row");
    assert_eq!((facts.rows, facts.blank_rows), (4, 4));
}

#[test]
fn quoted_cells_keep_delimiters_quotes_and_line_breaks() {
    let text = "UserID,note\n\"a,1\",x\n\"say \"\"hi\"\"\",\"two\r\nlines\"\n\"b\"\r\n\n\"c\",\"\n\"\nd,y";
    let text = text.replace("\"b\"\r\n", "\"b\",\"\"\r\n");
    assert_eq!(rows("account_delete", "rows.csv", &text), ["2 a,1", "3 say \"hi\"", "5 b", "7 c", "9 d"]);
}

#[test]
fn a_file_without_rows_has_none_and_a_file_without_header_is_refused() {
    assert!(rows("account_delete", "rows.csv", "UserID").is_empty());
    assert!(matches!(*problem("account_delete", "\n\n").problem, Problem::NoHeader));
    assert!(matches!(*problem("account_delete", "").problem, Problem::NoHeader));
}

#[test]
fn unusable_headers_are_refused_with_what_is_wrong() {
    let error = problem("friend_delete", "from;To_Account\n");
    assert_eq!(error.to_string(), "rows.csv:1: has no column `From_Account`; it has `from`, `To_Account`");
    let shown = |operation, text| problem(operation, text).problem.to_string();
    assert_eq!(shown("account_delete", "UserID,UserID\n"), "has two columns for `UserID`");
    assert!(shown("account_delete", "\"UserID\na\nb").contains("not closed"));
    assert!(shown("account_delete", "UserID,x\ra,1\rb,2\r").contains("old Mac"));
    let long = format!("UserID,x\r{}", "a,1\r".repeat(400_000));
    assert!(shown("account_delete", &long).contains("old Mac"));
    assert!(shown("account_delete", "UserID,x\r\r\na,1\r\r\n").contains("CR CR LF"));
    assert!(shown("friend_delete_all", "From_Account,DeleteType\n").contains("DeleteType"));
    let typo = problem("friend_update", "From_Account,To_Account,Tag_SNS_IM_Remarks\n");
    assert_eq!(typo.column(), Some("Tag_SNS_IM_Remarks"));
    assert!(typo.to_string().contains("Tag_SNS_IM_Remark, Tag_SNS_IM_Group, Tag_SNS_Custom_"));
}

#[test]
fn mapped_columns_are_read_and_must_be_there() {
    let mapped = input(&[("UserID", "用户")]);
    let rows = rows_with("account_delete", "rows.csv", "UserID,用户\na,b\n".as_bytes(), &mapped).unwrap();
    assert_eq!(rows, ["2 b"]);
    let mapped = input(&[("Tag_SNS_IM_Remark", "note")]);
    let error = rows_with("friend_update", "rows.csv", b"From_Account,To_Account\n", &mapped).unwrap_err();
    assert_eq!(error.column(), Some("note"));
}

#[test]
fn bad_ids_are_rejected_with_column_and_reason_and_sink_nobody() {
    let long = "x".repeat(40);
    let text = format!("From_Account,To_Account\na,{long}\n,b\na,a\na, b\na,b,c\na\na,b\n");
    assert_eq!(
        rows("friend_delete", "rows.csv", &text),
        [
            format!("2 bad a>{long}: `To_Account` has 40 bytes; the API allows at most 32").as_str(),
            "3 bad >b: `From_Account` is empty",
            "4 bad a>a: `To_Account` names the same account twice: it is From_Account, too",
            "5 bad a> b: `To_Account` starts or ends with a space",
            "6 bad : the row has 3 cells, the header has 2",
            "7 bad : the row has 1 cell, the header has 2",
            "8 a>b",
        ]
    );
}

#[test]
fn an_id_that_ends_with_the_header_is_rejected_or_noted() {
    let text = "UserID\nuser_1\nuser_2UserID\nuser_3\u{feff}UserID\nUserID2\n";
    let read = rows("account_delete", "rows.csv", text);
    for (row, line) in [(1, 3), (2, 4)] {
        let said = &read[row];
        assert!(said.starts_with(&format!("{line} bad : `UserID` ends with the column name `UserID`")), "{read:?}");
        assert!(said.contains(&format!("`user_{}", line - 1)), "{read:?}");
    }
    assert_eq!((read[0].as_str(), read[3].as_str()), ("2 user_1", "5 UserID2"));

    let mapped = input(&[("UserID", "id")]);
    let mut accepted = 0;
    let facts = source("rows.csv", b"id\ndavid\nuser_2id\nbob\n").read(&shape("account_delete"), &mapped, &mut |row| {
        accepted += usize::from(row.is_ok());
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(accepted, 3, "a short name ends many an id");
    let notes = facts.unwrap().notes;
    assert!(notes[0].starts_with("rows.csv:2: the id `david` ends with the column name `id`"), "{notes:?}");
    assert!(notes.len() == 2 && notes[1].starts_with("rows.csv:3: "), "{notes:?}");
}

#[test]
fn unusual_ids_are_rejected_unless_the_job_allows_them() {
    let text =
        "UserID\nuser_1\n1.40028E+14\n144115198.0\n=\"00123\"\n#N/A\nNULL\n\\N\nnan\n'user_9'\nuser\u{200b}\n12E4\n";
    let read = rows("account_delete", "rows.csv", text);
    for (row, line) in read[1..10].iter().zip(3..) {
        assert!(row.starts_with(&format!("{line} bad ")) && row.contains("input.unusual_ids = \"allow\""), "{row}");
    }
    assert_eq!((read[0].as_str(), read[10].as_str()), ("2 user_1", "12 12E4"));
    let mut allowed = input(&[]);
    allowed.unusual_ids = UnusualIds::Allow;
    let read = rows_with("account_delete", "rows.csv", text.as_bytes(), &allowed).unwrap();
    assert!(read.iter().all(|row| !row.contains(" bad ")), "{read:?}");
}

#[test]
fn another_delimiter_is_part_of_an_id_only_in_quotes() {
    let text = "UserID,note\na;b,x\n\"c;d\",x\ne|f,x\n\"g|h\",x\n";
    let read = rows("account_delete", "rows.csv", text);
    assert!(read[0].starts_with("2 bad : `UserID` contains the delimiter `;` without quotes: `a;b`"), "{read:?}");
    assert!(read[2].starts_with("4 bad : "), "{read:?}");
    assert_eq!((read[1].as_str(), read[3].as_str()), ("3 c;d", "5 g|h"));
    let semicolons = rows("account_delete", "rows.csv", "UserID;note\n1,0;x\na;y\n");
    assert!(semicolons[0].starts_with("2 bad ") && semicolons[1] == "3 a", "{semicolons:?}");
    let mut pipes = input(&[]);
    pipes.delimiter = Some(Delimiter::Pipe);
    let read = rows_with("account_delete", "rows.csv", b"note|UserID\nx|a\nx|b,c\n", &pipes).unwrap();
    assert!(read[0] == "2 a" && read[1].starts_with("3 bad "), "{read:?}");
}

#[test]
fn columns_that_mean_something_else_refuse_the_file() {
    for (operation, header, column, number) in [
        ("friend_delete_all", "From_Account,To_Account", "To_Account", 2),
        ("friend_delete_all", "To_account;From_Account", "To_account", 1),
        ("account_delete", "UserID,Tag_SNS_IM_Remark", "Tag_SNS_IM_Remark", 2),
        ("account_delete", "UserID, UserID", " UserID", 2),
        ("account_delete", "\u{200b}UserID", "\u{200b}UserID", 1),
        ("friend_update", "From_Account,To_Account,Tag_SNS_IM_Group, Tag_SNS_IM_Remark", " Tag_SNS_IM_Remark", 4),
        (
            "friend_update",
            "From_Account,To_Account,Tag_SNS_IM_Group,\u{200b}Tag_SNS_IM_Remark",
            "\u{200b}Tag_SNS_IM_Remark",
            4,
        ),
    ] {
        let error = problem(operation, &format!("{header}\na,b,c,d\n"));
        assert_eq!(error.column(), Some(column), "{header}");
        assert!(error.to_string().starts_with(&format!("rows.csv:1: column {number}: `")), "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn blanks_around_groups_are_no_part_of_them() {
    let text = "From_Account,To_Account,Tag_SNS_IM_Group\na,b, g | h i \na,c,  \n";
    assert_eq!(
        rows("friend_update", "rows.csv", text),
        ["2 a>b {\"Tag_SNS_IM_Group\":[\"g\",\"h i\"]}", "3 bad a>c: would change nothing: no field is set"]
    );
}

#[test]
fn results_are_read_as_they_are_whatever_the_job_says() {
    let text = "source,line,From_Account,To_Account,Tag_SNS_Custom_A,Tag_SNS_IM_Group,Tag_SNS_IM_Remark,\
                outcome,code,reason,attempts,finished_at\n\
                x.csv,2,张三,b;c,json:5,\"json:[\"\"x|y\"\"]\",\"json:\"\"\"\"\",failed,30006,x,1,\n\
                x.csv,3,张三,d,,g|h,,failed,30006,x,1,\n\
                x.csv,4,张三,e,json:1.5,,,failed,30006,x,1,\n";
    let mut job = input(&[("From_Account", "owner"), ("To_Account", "line"), ("Tag_SNS_IM_Remark", "reason")]);
    job.delimiter = Some(Delimiter::Pipe);
    job.encoding = Encoding::Gbk;
    assert_eq!(
        rows_with("friend_update", "again.csv", text.as_bytes(), &job).unwrap(),
        [
            "2 张三>b;c {\"Tag_SNS_Custom_A\":5,\"Tag_SNS_IM_Group\":[\"x|y\"],\"Tag_SNS_IM_Remark\":\"\"}",
            "3 张三>d {\"Tag_SNS_IM_Group\":[\"g\",\"h\"]}",
            "4 bad : `Tag_SNS_Custom_A` has `json:` without a text, a whole number or a list of texts after it",
        ]
    );
    let own = "From_Account,To_Account,Tag_SNS_Custom_A\na,b,json:5\n";
    assert_eq!(rows("friend_update", "rows.csv", own), ["2 a>b {\"Tag_SNS_Custom_A\":\"json:5\"}"]);
}

#[test]
fn bytes_that_are_no_text_reject_their_row_only_where_they_are_needed() {
    let rows = rows_with("account_delete", "rows.csv", b"UserID,x\na\xff,1\nb,\xff\n", &input(&[])).unwrap();
    assert_eq!(
        rows,
        ["2 bad : `UserID` is not valid UTF-8 from its byte 2 on; if the file is GBK: input.encoding = \"gbk\"", "3 b"]
    );
    let mut gbk = input(&[("UserID", "用户")]);
    gbk.encoding = Encoding::Gbk;
    let (text, _, _) = encoding_rs::GBK.encode("用户\n张三\n?\n");
    let text: Vec<u8> = text.iter().map(|&byte| if byte == b'?' { 0xff } else { byte }).collect();
    let rows = rows_with("account_delete", "rows.csv", &text, &gbk).unwrap();
    assert_eq!(rows, ["2 张三", "3 bad : `UserID` is not valid GBK"]);
}

/// The line at which a file is refused for its quotes.
fn refused_at(text: &str) -> Option<u64> {
    let error = rows_with("account_delete", "rows.csv", text.as_bytes(), &input(&[])).err()?;
    let of_quotes = matches!(*error.problem, Problem::OpenQuote | Problem::BrokenQuote | Problem::StrayQuote { .. });
    assert!(of_quotes, "{error}");
    error.line
}

#[test]
fn text_behind_a_closing_quote_never_makes_another_id() {
    let text = "UserID,note\n\"the \"boss\" himself\",x\nal,y\n";
    let reason = "text follows a closing quote: a quote within a quoted cell is written twice";
    assert_eq!(rows("account_delete", "rows.csv", text), [format!("2 bad : {reason}").as_str(), "3 al"]);
    let text = "UserID,note\n\"bob\"by,x\nal,\"two\nlines\"\nbo,the \"boss\" himself\n";
    assert_eq!(rows("account_delete", "rows.csv", text)[1..], ["3 al", "5 bo"]);
    assert_eq!(refused_at("UserID\nal\n\"bob\"by\nal\n"), Some(3), "it may go on in the next line");
}

#[test]
fn text_in_quotes_that_are_not_doubled_never_becomes_a_row() {
    for text in [
        "UserID,note\nu1,\"a note of two lines\nboss,please keep him\n",
        "UserID,note\nu1,\"he said \"no\"\nboss,please keep him\"\n",
        "UserID,note\nu1,\"5\" pipe\nboss,please keep him\"\n",
        "UserID,note\nu1,\"the 5\", long\nboss,please keep him\"\n",
        "UserID,note\nu1,\"a \"b\" c\",\nboss,please keep him\nu2,as agreed\"\n",
        "UserID,note\nu1,\"a note\nboss \"the man\", keep\nboss,him\"\n",
    ] {
        assert_eq!(refused_at(text), Some(2), "{text}");
    }
}

#[test]
fn text_behind_a_cell_that_was_cut_off_or_escapes_its_quote_never_becomes_a_row() {
    for text in [
        "UserID,note\nu0,\"half of the no\nu1,\"\nvictim,second line\"\nu2,x\n",
        "UserID,note\nu0,\"half of the no\nu1,\"\nvictim,x\nother,second line\"\nu2,x\n",
        "UserID,note\nu1,\"size 5\\\"\nvictim,yes\"\nu2,y\n",
        "UserID,note\r\nu1,\"size 5\\\"\r\nvictim,yes\"\r\nu2,y\r\n",
        "UserID,note\n\"u1\",\"he said \\\"\nvictim,yes\\\"\"\n",
        "UserID,note\n\"u1\",\"he said \\\"\nvictim,yes\n\\\"\"\n",
        "note,UserID\n\"size 5\\\",u1\nvictim\",u2\n",
    ] {
        assert_eq!(refused_at(text), Some(2), "{text}");
    }
    let read = |text| rows("account_delete", "rows.csv", text);
    assert_eq!(read("UserID,note\nu1,5\"\nu2,6\"\n"), ["2 u1", "3 u2"]);
    assert_eq!(read("UserID,note\nu1,5\\\"\nu2,6\\\"\n"), ["2 u1", "3 u2"]);
    let sound = concat!(
        "UserID,note\nu1,\"two\nlines\"\nu2,\"say \"\"hi\"\"\n\"\"there\"\"\"\n",
        "u3,\"C:\\\"\nu4,\"5\"\"\"\nu5,\"C:\\\\\"\n"
    );
    assert_eq!(read(sound), ["2 u1", "4 u2", "6 u3", "7 u4", "8 u5"]);
}

#[test]
fn a_quote_within_a_cell_is_text_but_not_in_an_id() {
    let text = "UserID,note\na,19\" rack\nb\",x\n\"c\"\"\",5\"\nd,\"\"\"\"\n";
    let rows = rows("account_delete", "rows.csv", text);
    assert!(rows[1].contains("`UserID` has a quote in it, but does not start with one"), "{rows:?}");
    assert_eq!((rows[0].as_str(), rows[3].as_str()), ("2 a", "5 d"));
}

#[test]
fn carriage_returns_outside_quotes_reject_their_row() {
    let text = "UserID,note\na,x\r\r\nb,x\ry\nc,\"x\ry\"\r\nd,x\r\n\"e\",x\r\r\n";
    let rows = rows("account_delete", "rows.csv", text);
    let lines: Vec<&str> = rows.iter().map(|row| row.split(':').next().unwrap().trim_end()).collect();
    assert_eq!(lines, ["2 bad", "3 bad", "4 c", "5 d", "6 bad"], "{rows:?}");
}

#[test]
fn text_within_sound_quotes_is_never_taken_for_a_row() {
    let text = "From_Account,To_Account\n\"a\nb,c\nd\",e\nf,g\n\"h\",\"i\nj\",\"k\"\n";
    assert_eq!(
        rows("friend_delete", "rows.csv", text),
        [
            "2 bad a\nb,c\nd>e: `From_Account` contains the control character U+000A (the row spans lines 2 to 4)",
            "5 f>g",
            "6 bad : the row has 3 cells, the header has 2 (the row spans lines 6 to 7)",
        ]
    );
}

#[test]
fn a_file_is_refused_at_a_quote_that_is_not_closed() {
    assert_eq!(refused_at("UserID,note\n\"a,x\nb,y\nc,\"two\nlines\"\nd,z\n"), Some(2));
    assert_eq!(refused_at(&format!("UserID,note\nz,\n\"a,x\n{}", "b,y\n".repeat(500_000))), Some(3));
    assert_eq!(refused_at("UserID\na\n\"b\nc"), Some(3));
    assert_eq!(refused_at("UserID\n\"b"), Some(2));
    assert_eq!(refused_at("UserID,note\na,\"x\nb,y\n"), Some(2), "also where it ends with the last line feed");
    let long = format!("UserID,note\na,{0}\"{0}\nb,y\n", "x".repeat(1 << 20));
    assert_eq!(refused_at(&long), Some(2), "behind the first megabyte of a line");
}

#[test]
fn rows_that_span_lines_are_noted() {
    let text = "UserID,note\nu1,\"x\nu2,y\nu3,\"\nu4,z\n";
    let facts = source("rows.csv", text.as_bytes())
        .read(&shape("account_delete"), &input(&[]), &mut |_| std::ops::ControlFlow::Continue(()));
    let facts = facts.unwrap();
    assert_eq!(
        (facts.rows, facts.notes),
        (2, vec!["rows.csv:2: a quoted cell makes the row span lines 2 to 4".into()])
    );
}

#[test]
fn a_row_of_many_megabytes_is_rejected_and_the_next_one_is_read() {
    let text = format!("UserID,note\na,{}\nb,y\n", "x".repeat(3 << 20));
    let rows = rows("account_delete", "rows.csv", &text);
    assert_eq!(rows, ["2 bad : the row is longer than 1 MiB", "3 b"]);
}

#[test]
fn two_megabytes_of_blank_lines_hide_no_row() {
    let text = format!("UserID\n{}a\n{}", "\n".repeat(2 << 20), "\r\n".repeat(2 << 20));
    assert_eq!(rows("account_delete", "rows.csv", &text), [format!("{} a", (2 << 20) + 2)]);
}

#[test]
fn fields_are_read_as_text_and_groups_are_parted() {
    let text = "From_Account,To_Account,Tag_SNS_IM_Remark,Tag_SNS_IM_Group,Tag_SNS_Custom_Vip\n\
                a,b,\"two\nlines\",g|h|g,7\na,c,,,7\na,d,,,\na,e,,g||h,\n";
    assert_eq!(
        rows("friend_update", "rows.csv", text),
        [
            r#"2 a>b {"Tag_SNS_Custom_Vip":"7","Tag_SNS_IM_Group":["g","h"],"Tag_SNS_IM_Remark":"two\nlines"}"#,
            "4 a>c {\"Tag_SNS_Custom_Vip\":\"7\"}",
            "5 bad a>d: would change nothing: no field is set",
            "6 bad a>e: `Tag_SNS_IM_Group` names a group without a name",
        ]
    );
}

#[test]
fn a_bad_field_is_rejected_with_the_fields_as_they_were_read() {
    let text = format!("From_Account,To_Account,Tag_SNS_IM_Remark\na,b,{}\n", "é".repeat(49));
    let mut bad = None;
    let read = source("rows.csv", text.as_bytes()).read(&shape("friend_update"), &input(&[]), &mut |row| {
        bad = row.err();
        std::ops::ControlFlow::Continue(())
    });
    read.unwrap();
    let bad = bad.unwrap();
    assert_eq!(bad.column.as_deref(), Some("Tag_SNS_IM_Remark"));
    assert_eq!(bad.reason, "`Tag_SNS_IM_Remark` has 98 bytes; the API allows at most 96");
    assert!(bad.fields.contains_key("Tag_SNS_IM_Remark"));
}

#[test]
fn results_are_input_again() {
    let text = "source,line,UserID,outcome,code,reason,attempts,finished_at\nold.csv,7,a,failed,30006,\"x, y\",8,now\n";
    assert_eq!(rows("account_delete", "results.csv", text), ["2 a"]);
}

#[test]
fn a_row_that_can_not_be_read_leaves_nothing_that_could_be_sent_from_its_results() {
    let header = "From_Account,To_Account,Tag_SNS_IM_Remark";
    for (bad, reason) in [
        (b"a,b,c,d\n".as_slice(), "the row has 4 cells"),
        (b"a,b\n", "the row has 2 cells"),
        (b"a,\"b \"c\"\",d\n", "text follows a closing quote"),
        (b"a,b\",d\n", "`To_Account` has a quote"),
        (b"a,b,d\re\n", "a carriage return"),
        (b"a,b\xff,c\n", "`To_Account` is not valid UTF-8"),
        (b"a,b,\xff\n", "`Tag_SNS_IM_Remark` is not valid UTF-8"),
        (header.as_bytes(), "repeats the header"),
    ] {
        let text = [header.as_bytes(), b"\n", bad].concat();
        let mut rows = Vec::new();
        let read = source("rows.csv", &text).read(&shape("friend_update"), &input(&[]), &mut |row| {
            rows.push(row.unwrap_err());
            std::ops::ControlFlow::Continue(())
        });
        read.unwrap();
        assert!(rows.len() == 1 && rows[0].reason.starts_with(reason), "{rows:?}");
        assert_eq!((&rows[0].from, &rows[0].account, rows[0].fields.len()), (&None, &None, 0), "{reason}");
    }
    let results = "source,line,From_Account,To_Account,Tag_SNS_IM_Remark,outcome\nold.csv,2,,,,rejected\n";
    let again = rows("friend_update", "results.csv", results);
    assert_eq!(again, ["2 bad >: `From_Account` is empty"]);
}

#[test]
fn a_sink_that_has_enough_gets_no_more() {
    let mut seen = 0;
    let read = source("rows.csv", b"UserID\na\nb\nc\n").read(&shape("account_delete"), &input(&[]), &mut |_| {
        seen += 1;
        std::ops::ControlFlow::Break(())
    });
    read.unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn field_columns_are_those_of_the_header() {
    let text = b"Tag_SNS_IM_Remark,From_Account,x,To_Account,Tag_SNS_Custom_A\n";
    let fields = source("rows.csv", text).field_columns(&shape("friend_update"), &input(&[])).unwrap();
    assert_eq!(fields, ["Tag_SNS_IM_Remark", "Tag_SNS_Custom_A"]);
}

/// The lines that hold a row: all but those of delimiters and blanks.
fn filled_lines(bytes: &[u8]) -> Vec<u64> {
    let lines = bytes.split(|&byte| byte == b'\n').zip(1..);
    lines
        .filter(|(line, _)| !line.iter().all(|byte| b", \t\x0b\x0c\r".contains(byte)))
        .map(|(_, number)| number)
        .collect()
}

fn line_numbers(rows: &[String]) -> Vec<u64> {
    rows.iter().map(|row| row.split(' ').next().unwrap().parse().unwrap()).collect()
}

fn hostile_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => prop::sample::select(b"ab,\"\n\r; ".to_vec()),
        1 => any::<u8>(),
    ]
}

proptest! {
    #[test]
    fn every_line_of_any_bytes_is_in_one_row(bytes in prop::collection::vec(hostile_byte(), 0..300)) {
        let text = [b"From_Account,To_Account\n", bytes.as_slice()].concat();
        let Ok(rows) = rows_with("friend_delete", "rows.csv", &text, &input(&[])) else {
            // An id that is not ASCII, beside bytes that are not UTF-8, refuses the file as well.
            prop_assert!(bytes.contains(&b'"') || str::from_utf8(&bytes).is_err());
            return Ok(());
        };
        let mut covered = Vec::new();
        for (row, first) in rows.iter().zip(line_numbers(&rows)) {
            let end = row.split("(the row spans lines ").nth(1).and_then(|lines| lines.split(" to ").nth(1));
            let end = end.and_then(|end| end.trim_end_matches(')').parse().ok());
            prop_assert!(covered.last().is_none_or(|last| *last < first), "{rows:?}");
            covered.extend(first..=end.unwrap_or(first));
        }
        let filled = filled_lines(&text);
        let missing: Vec<&u64> = filled[1..].iter().filter(|line| !covered.contains(line)).collect();
        prop_assert!(missing.is_empty(), "lines {missing:?} are in no row of {rows:?}");
    }

    #[test]
    fn damage_to_one_line_leaves_all_others_alone(
        damage in prop::collection::vec(hostile_byte().prop_filter("no line end", |byte| *byte != b'\n'), 0..20),
        line in 0..60_usize,
        quoted in any::<bool>(),
    ) {
        let row = |n: usize| {
            if quoted { format!("\"a{n}\",\"b{n}\",\"two\nlines\"\n") } else { format!("a{n},b{n},x\n") }
        };
        let good = |n: usize, line: usize| format!("{line} a{n}>b{n}");
        let step = if quoted { 2 } else { 1 };
        let mut text = b"From_Account,To_Account,note\n".to_vec();
        let mut expected = Vec::new();
        for n in 0..60 {
            let at = 2 + n * step + usize::from(n > line);
            if n == line {
                text.extend(&damage);
                text.push(b'\n');
            }
            expected.push(good(n, at + usize::from(n == line)));
            text.extend(row(n).as_bytes());
        }
        let Ok(rows) = rows_with("friend_delete", "rows.csv", &text, &input(&[])) else {
            // An id that is not ASCII, beside bytes that are not UTF-8, refuses the file as well.
            prop_assert!(damage.contains(&b'"') || str::from_utf8(&damage).is_err());
            return Ok(());
        };
        for row in expected {
            prop_assert!(rows.contains(&row), "{row} is lost");
        }
    }

    #[test]
    fn no_bytes_at_all_bring_it_down(bytes in prop::collection::vec(hostile_byte(), 0..200)) {
        for operation in ["account_delete", "friend_update"] {
            let _ = rows_with(operation, "rows.csv", &bytes, &input(&[]));
            let _ = rows_with(operation, "rows", &bytes, &input(&[]));
        }
    }
}

#[test]
fn a_line_that_is_too_long_is_no_row_whether_or_not_quotes_are_in_sight() {
    for length in [(1 << 20) - 5, (1 << 20) - 4, (1 << 20) - 3, 1 << 20, 1_100_000] {
        let read = |last: &str| {
            let text = format!("UserID,note\na,{}\n{last},x\n", "n".repeat(length));
            let rows = rows("account_delete", "rows.csv", &text);
            rows.iter().map(|row| row.chars().take(12).collect()).collect::<Vec<String>>()
        };
        assert_eq!(read("zz"), read("\"zz\""), "{length}");
    }
}

proptest! {
    /// With a quote in sight all of the text is the csv crate's, without one it is taken apart in place.
    #[test]
    fn what_is_taken_apart_in_place_is_what_the_csv_crate_would_read(
        lines in prop::collection::vec("[ab,;\\x00 用\r]{0,6}(\r?)", 0..12),
        last in "[a-c]{1,3}",
    ) {
        let body = format!("UserID,note\n{}\n", lines.join("\n"));
        let read = |last: String| {
            let rows = rows_with("account_delete", "rows.csv", format!("{body}{last}").as_bytes(), &input(&[]));
            rows.map_err(|error| error.to_string())
        };
        prop_assert_eq!(read(format!("{last},x")), read(format!("\"{last}\",x")));
    }
}

//! Headers between the rows, as in files that were joined.

use crate::input::Problem;
use crate::input::testing::{input, rows, rows_with, shape, source};

#[test]
fn a_header_in_the_middle_is_no_account() {
    let rows = rows("account_delete", "rows.csv", "UserID\na\n\u{feff}UserID\nb\nUserID\n");
    assert_eq!(rows[1], "3 bad : repeats the header: were files joined?");
    assert_eq!((rows[0].as_str(), rows[2].as_str()), ("2 a", "4 b"));
    assert!(rows[3].starts_with("5 bad"));
}

#[test]
fn a_second_header_of_other_columns_refuses_the_file_with_its_line() {
    let refused = |operation, columns: &[(&str, &str)], text: &str| {
        let error = rows_with(operation, "rows.csv", text.as_bytes(), &input(columns)).unwrap_err();
        assert!(matches!(*error.problem, Problem::SecondHeader(_)), "{text}: {error}");
        error.line.unwrap()
    };
    assert_eq!(refused("friend_delete", &[], "From_Account,To_Account\na,b\nTo_Account,From_Account\nb,a\n"), 3);
    assert_eq!(refused("account_delete", &[], "UserID,note\na,x\nb,y\nnote,UserID\nx,a\n"), 4);
    assert_eq!(refused("account_delete", &[], "UserID,note\na,x\n\u{feff}created_at,UserID\nx,a\n"), 3);
    assert_eq!(refused("account_delete", &[], "note,UserID\nx,a\n\u{feff}UserID,note\na,x\n"), 3);
    assert_eq!(refused("account_delete", &[], "UserID,note\na,x\n note , userid\r\nx,a\n"), 3);
    assert_eq!(refused("account_delete", &[], "UserID,note\na,x\nid,UserID,note\n1,a,x\n"), 3);
    assert_eq!(refused("account_delete", &[("UserID", "id")], "id,note\na,x\nnote,id\nx,a\n"), 3);
    let update = "From_Account,To_Account,Tag_SNS_IM_Remark\na,b,x\nFrom_Account,To_Account,Tag_SNS_IM_Group\na,b,x\n";
    assert_eq!(refused("friend_update", &[], update), 3);
}

#[test]
fn a_file_without_a_column_that_the_api_requires_is_refused() {
    let text = b"From_Account,To_Account,Remark\na,b,x\n";
    let error = rows_with("friend_import", "rows.csv", text, &input(&[])).unwrap_err();
    assert!(matches!(&*error.problem, Problem::MissingColumn { api, .. } if api == "AddSource"), "{error}");
    let mapped = input(&[("AddSource", "source")]);
    let text = b"From_Account,To_Account,source\na,b,AddSource_Type_Web\na,c,\n";
    let rows = rows_with("friend_import", "rows.csv", text, &mapped).unwrap();
    assert_eq!(rows, ["2 a>b {\"AddSource\":\"AddSource_Type_Web\"}", "3 bad a>c: `AddSource` is missing"]);
    let text = b"source,line,From_Account,To_Account,outcome,code,reason,attempts,finished_at\nx,2,a,b,rejected,,,0,\n";
    let rows = rows_with("friend_import", "rows.csv", text, &mapped).unwrap();
    assert_eq!(rows, ["2 bad a>b: `AddSource` is missing"], "results of rows that all lack it");
}

#[test]
fn a_value_that_equals_a_columns_name_is_no_header() {
    let mapped = input(&[("UserID", "user")]);
    let rows = rows_with("account_delete", "rows.csv", b"user,role\nalice,user\nbob,admin\n", &mapped).unwrap();
    assert_eq!(rows, ["2 alice", "3 bob"]);
    let mapped = input(&[("UserID", "id")]);
    let rows = rows_with("account_delete", "rows.csv", b"id,lang\n17,id\n18,en\n", &mapped).unwrap();
    assert_eq!(rows, ["2 17", "3 18"]);
}

#[test]
fn a_header_that_is_the_same_cell_by_cell_is_one_rejected_row() {
    let text = "UserID,note\na,x\n UserID ,\u{feff}NOTE\u{200b}\nb,y\n";
    assert_eq!(
        rows("account_delete", "rows.csv", text),
        ["2 a", "3 bad : repeats the header: were files joined?", "4 b"]
    );
}

#[test]
fn a_second_header_is_found_whatever_its_names_end_with() {
    for name in ["id2", "id-2", "id用户", "ID\u{130}"] {
        let text = format!("{name}\na\n{name}\nb{name}\n");
        let mapped = input(&[("UserID", name)]);
        let rows = rows_with("account_delete", "rows.csv", text.as_bytes(), &mapped).unwrap();
        assert_eq!(rows[1], "3 bad : repeats the header: were files joined?", "{name}");
    }
}

fn is_second_header(operation: &str, columns: &[(&str, &str)], text: &str) -> bool {
    match rows_with(operation, "rows.csv", text.as_bytes(), &input(columns)) {
        Err(error) => matches!(*error.problem, Problem::SecondHeader(_)) && error.line == Some(3),
        Ok(_) => false,
    }
}

#[test]
fn a_second_header_with_the_id_in_the_same_place_refuses_the_file() {
    for (operation, text) in [
        ("friend_delete_all", "From_Account,reason\ntrial_1,expired\nFrom_Account,To_Account\nalice,bob\n"),
        ("friend_delete_all", "From_Account,reason\ntrial_1,expired\nfrom_account,to_account\nalice,bob\n"),
        ("friend_delete_all", "From_Account,reason\ntrial_1,expired\nreason,To_Account\nalice,bob\n"),
        ("friend_delete", "From_Account,To_Account,n\na,b,x\nFrom_Account,To_Account,Tag_SNS_IM_Remark\na,b,x\n"),
        ("account_delete", "UserID,note\na,x\nUserID,To_Account\nb,c\n"),
        ("account_delete", "UserID,note\na,x\nUserID,created\nb,c\n"),
        ("account_delete", "UserID,note\na,x\nUserID\nb,c\n"),
    ] {
        assert!(is_second_header(operation, &[], text), "{text}");
    }
    let mapped = [("From_Account", "member_no")];
    let text = "member_no,reason\na,x\nmember_no,friend\nalice,bob\n";
    assert!(is_second_header("friend_delete_all", &mapped, text));
}

#[test]
fn a_second_header_under_another_name_of_the_id_refuses_the_file() {
    let mapped: &[(&str, &str)] = &[("UserID", "member_no")];
    for (operation, columns, text) in [
        ("account_delete", mapped, "member_no,n\nu1,a\nUserID,n\nu2,b\n"),
        ("account_delete", mapped, "member_no\nu1\nUserID\nu2\n"),
        ("account_delete", &[], "UserID,created_at,note\nu1,1,a\nuser_id,created_at,note\nu2,2,b\n"),
        ("account_delete", &[], "UserID,created_at,note\nu1,1,a\nid,created_at,note\nu2,2,b\n"),
        ("account_delete", &[], "UserID,note\nu1,a\nmember,note\nu2,b\n"),
        ("account_delete", &[], "UserID,note\nu1,a\nFrom_Account,To_Account\nb,u2\n"),
        ("account_delete", &[], "UserID\nu1\n\u{feff}user_id\nu2\n"),
        ("friend_delete_all", &[], "From_Account\nt1\nTo_Account\nbob\n"),
        ("friend_delete", &[], "From_Account,To_Account\na,b\nUserID,FriendID\nc,d\n"),
    ] {
        assert!(is_second_header(operation, columns, text), "{text}");
    }
}

#[test]
fn an_account_that_is_called_like_a_column_refuses_no_file() {
    let text = "UserID\nid\naccount\nuser\nuserid1\n";
    assert_eq!(rows("account_delete", "rows.csv", text), ["2 id", "3 account", "4 user", "5 userid1"]);
    let text = "UserID,vip,\nu1,vip,\nid,,\nuser,x,\n";
    assert_eq!(rows("account_delete", "rows.csv", text), ["2 u1", "3 id", "4 user"]);
    let mapped = input(&[("UserID", "id")]);
    let read = rows_with("account_delete", "rows.csv", b"id,lang\na,x\nid,en\nb,y\n", &mapped).unwrap();
    assert!(read[1].starts_with("3 bad : repeats the header") && read[2] == "4 b", "{read:?}");
}

#[test]
fn a_row_joined_with_a_header_in_another_order_refuses_the_file() {
    let mapped: &[(&str, &str)] = &[("UserID", "member_no")];
    let short: &[(&str, &str)] = &[("UserID", "id")];
    for (operation, columns, text) in [
        ("account_delete", &[][..], "note,UserID\nx,u0\nx,u1UserID,note\nu2,y\n"),
        ("account_delete", &[], "UserID,note\nu0,x\nu1,xnote,UserID\ny,u2\n"),
        ("account_delete", &[], "UserID,note\nu0,x\nu1,xuser_id,mail,note\ny,u2,z\n"),
        ("account_delete", mapped, "member_no,note\nu0,x\nu1,xnote,member_no\ny,u2\n"),
        ("account_delete", mapped, "member_no,note\nu0,x\nu1,xmail,member_no\ny,u2\n"),
        ("account_delete", mapped, "note,member_no\nx,u0\nx,u1UserID,note\nu2,y\n"),
        ("account_delete", mapped, "member_no\nu0\nu1mail,member_no\ny,u2\n"),
        ("account_delete", short, "id,note\nu0,x\nu1,xnote,id\ny,u2\n"),
        ("friend_delete_all", &[], "From_Account\nt0\nt1To_Account\nbob\n"),
    ] {
        assert!(is_second_header(operation, columns, text), "{text}");
    }
}

#[test]
fn a_row_joined_with_the_same_header_is_one_rejected_row() {
    let text = "UserID,note\nu1,xUserID,note\nu2,y\n";
    assert_eq!(rows("account_delete", "rows.csv", text), ["2 bad : the row has 3 cells, the header has 2", "3 u2"]);
    let mapped = input(&[("UserID", "user_id")]);
    for text in ["user_id\nu1UserID\nu2\n", "user_id,note\nu1UserID,x\nu2,y\n"] {
        let read = rows_with("account_delete", "rows.csv", text.as_bytes(), &mapped).unwrap();
        assert!(read[0].starts_with("2 bad u1UserID: `UserID` ends with the column name"), "{read:?}");
        assert_eq!(read[1..], ["3 u2"]);
    }
    let read = rows("account_delete", "rows.csv", "UserID\nu1user_id\nu2\n");
    assert!(read[0].contains("`user_id`") && read[1] == "3 u2", "{read:?}");
}

#[test]
fn a_name_that_may_hold_rows_refuses_the_file() {
    for text in [
        "UserID,\"no\nu1,x\nu2,\"\nu3,y\n",
        "UserID;\"no\nu1;x\nu2;\"\nu3;y\n",
        "\"no\nx,u1\ny\",UserID\nz,u2\n",
        "UserID,\"no\nu1,x\nu2,\"y\"\nu3,z\n",
        "UserID,\"no\nu1,x\n",
        "UserID,\"no\\\"\nu1,x\nu2,5\"\nu3,y\n",
    ] {
        let error = rows_with("account_delete", "rows.csv", text.as_bytes(), &input(&[])).unwrap_err();
        assert_eq!(error.line, Some(1), "{text}: {error}");
    }
}

#[test]
fn a_header_that_spans_lines_is_noted() {
    let source = source("rows.csv", b"UserID,\"note\n(free text)\"\nu1,x\n");
    let mut lines = Vec::new();
    let facts = source.read(&shape("account_delete"), &input(&[]), &mut |row| {
        lines.push(row.unwrap().line);
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(lines, [3]);
    assert_eq!(facts.unwrap().notes, ["rows.csv:1: a quoted name makes the header span lines 1 to 2"]);
}

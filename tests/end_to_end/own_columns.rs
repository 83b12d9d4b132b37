//! `imbulk results NAME --with-input` shows the user's own columns, as they are in the input.

use std::io::Write as _;

use imbulk_sandbox::Command;
use imbulk_testkit::{JobFile, Workspace};

const OPERATION: Command = Command::AccountDelete;

/// The columns that follow the user's own.
const ADDED: &str = "imbulk_source,imbulk_line,imbulk_outcome,imbulk_code,imbulk_reason,imbulk_attempts,\
                     imbulk_finished_at,imbulk_verified,imbulk_verified_at,imbulk_class";

/// A workspace with a planned job that reads `files` from `path`.
fn planned(path: &str, input: &[(&str, &str)], files: &[(&str, &[u8])]) -> Workspace {
    let workspace = Workspace::new();
    files.iter().for_each(|(name, bytes)| workspace.write(name, bytes));
    let job = JobFile::new("job", OPERATION).with("input", "path", path);
    let job = input.iter().fold(job, |job, (key, value)| job.with("input", key, value));
    let job = job.write(&workspace);
    workspace.imbulk(&["plan", &job]).expect(0);
    workspace
}

fn export(workspace: &Workspace, args: &[&str]) -> String {
    workspace.imbulk(&[&["results", "job", "--with-input"], args].concat()).expect(0).stdout
}

#[test]
fn own_columns_keep_their_names_sequence_and_quotes_and_a_second_export_adds_none() {
    let text = "source;created_at;member;note\r\n\
                web;2024-01-02;u1;\"two\nlines; \"\"q\"\"\"\r\n\
                \r\n\
                app;;u2;plain\r\n\
                app;2024-01-03;\"u3\";\r\n\
                web;2024-01-04;u1;again\r\n\
                web;2024-01-05;;no id\r\n";
    let columns = [("columns", "{ UserID = \"member\" }")];
    let workspace = planned("\"job.csv\"", &columns, &[("job.csv", text.as_bytes())]);
    let added = ADDED.replace(',', ";");
    let expected = format!(
        "source;created_at;member;note;{added}\n\
         web;2024-01-02;u1;\"two\nlines; \"\"q\"\"\";job.csv;2;pending;;;0;;;;\n\
         app;;u2;plain;job.csv;5;pending;;;0;;;;\n\
         app;2024-01-03;\"u3\";;job.csv;6;pending;;;0;;;;\n\
         web;2024-01-04;u1;again;job.csv;7;duplicate;;duplicate of job.csv:2;0;;;;\n\
         web;2024-01-05;;no id;job.csv;8;rejected;;`UserID` is empty;0;;;;\n"
    );
    let first = export(&workspace, &[]);
    assert_eq!(first, expected);
    workspace.write("job.csv", &first);
    workspace.imbulk(&["plan", "job.toml"]).expect(0);
    let second = export(&workspace, &[]);
    let outcomes = |csv: &str| csv.matches(";pending;").count();
    assert_eq!((second.lines().next(), outcomes(&second)), (first.lines().next(), outcomes(&first)));
    assert_eq!(export(&workspace, &["--outcome", "duplicate"]).lines().count(), 2);
    export(&workspace, &["--split", "out"]);
    let duplicates = std::fs::read_to_string(workspace.path("out/duplicate.csv")).expect("a file");
    assert!(duplicates.contains("\nweb;2024-01-04;u1;again;job.csv;6;duplicate;"), "{duplicates}");
}

#[test]
fn files_with_other_columns_compression_and_encoding_are_joined() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all("note,UserID,level\nn3,u3,7\n".as_bytes()).expect("memory");
    let gz = gz.finish().expect("memory");
    let (gbk, ..) = encoding_rs::GBK.encode("UserID,note\nu1,备注\n");
    let zst = zstd::encode_all(&b"UserID\nu2\n"[..], 1).expect("memory");
    let files: [(&str, &[u8]); 3] = [("a1.csv", &gbk), ("a2.csv.zst", &zst), ("a3.csv.gz", &gz)];
    let workspace = planned("\"a*\"", &[("encoding", "\"gbk\"")], &files);
    let csv = export(&workspace, &[]);
    let expected = format!(
        "UserID,note,level,{ADDED}\n\
         u1,备注,,a1.csv,2,pending,,,0,,,,\n\
         u2,,,a2.csv.zst,2,pending,,,0,,,,\n\
         u3,n3,7,a3.csv.gz,2,pending,,,0,,,,\n"
    );
    assert_eq!(csv, expected);
    let jsonl = export(&workspace, &["--format", "jsonl", "--outcome", "pending"]);
    let second = jsonl.lines().nth(1).expect("a row");
    assert!(second.starts_with(r#"{"UserID":"u2","imbulk_source":"a2.csv.zst","imbulk_line":2,"#), "{second}");
}

#[test]
fn jsonl_keeps_keys_and_values_and_needs_jsonl() {
    let text = "{\"note\":1.50,\"UserID\":\"u1\",\"list\":[{\"a\":1}]}\n{\"UserID\":7}\n";
    let workspace = planned("\"job.jsonl\"", &[], &[("job.jsonl", text.as_bytes())]);
    let jsonl = export(&workspace, &["--format", "jsonl"]);
    let rows: Vec<&str> = jsonl.lines().collect();
    assert!(
        rows[0].starts_with(r#"{"note":1.50,"UserID":"u1","list":[{"a":1}],"imbulk_source":"job.jsonl""#),
        "{jsonl}"
    );
    assert!(rows[1].starts_with(r#"{"UserID":7,"imbulk_source":"#), "{jsonl}");
    let refused = workspace.imbulk(&["results", "job", "--with-input"]).expect(2);
    refused.says("job.jsonl: is JSONL").says("add --format jsonl");
    let lists = planned("\"job.jsonl\"", &[], &[("job.jsonl", b"{\"DeleteItem\":[{\"UserID\":\"u1\"}]}\n")]);
    let refused = lists.imbulk(&["results", "job", "--with-input", "--format", "jsonl"]).expect(2);
    refused.says("job.jsonl:1: the object has a list of items").says("leave out --with-input");
}

#[test]
fn an_input_or_job_that_changed_is_refused_and_named() {
    let text = "UserID,note\nu1,a\n";
    let workspace = planned("[\"a.csv\", \"b.csv\"]", &[], &[("a.csv", text.as_bytes()), ("b.csv", b"UserID\nu2\n")]);
    let refused = |words: &[&str]| {
        let output = workspace.imbulk(&["results", "job", "--with-input", "--output", "r.csv"]).expect(2);
        words.iter().for_each(|word| assert!(output.stderr.contains(word), "{word}: {output:#?}"));
        assert!(!workspace.path("r.csv").exists());
    };
    workspace.write("b.csv", "UserID\nu2\nu3\n");
    refused(&["b.csv: changed since run ", "put back the input as it was, or leave out --with-input"]);
    // The bytes decide, not the times of the file.
    workspace.write("b.csv", "UserID\nu2\n");
    assert_eq!(export(&workspace, &[]).lines().count(), 3);
    let job = std::fs::read_to_string(workspace.path("job.toml")).expect("a job");
    workspace.write("job.toml", job.replace("[input]", "[input]\ncolumns = { UserID = \"note\" }"));
    refused(&["job.toml: its input has another meaning than when run "]);
    workspace.write("job.toml", &job);
    std::fs::remove_file(workspace.path("a.csv")).expect("it is there");
    refused(&["a.csv: no such file"]);
    workspace.write("in.toml", job.replace("[\"a.csv\", \"b.csv\"]", "\"-\"").replace("\"job\"", "\"in\""));
    workspace.imbulk_reading(&["plan", "in.toml"], b"UserID\nu1\n").expect(0);
    workspace.imbulk(&["results", "in", "--with-input"]).expect(2).says("standard input");
}

#[test]
fn rows_that_were_carried_over_have_their_ids_only() {
    let job = JobFile::new("job", OPERATION).with("retry", "carry_over", 2).with("stop", "failed_share", 1.0);
    let workspace = Workspace::new();
    job.write(&workspace);
    workspace.write("job.csv", "note,UserID\nfirst,u1\n");
    workspace.faults(&["any:code=70402:1"]);
    workspace.run("job.toml").expect(3);
    workspace.write("job.csv", "note,UserID\nsecond,u2\n");
    workspace.imbulk(&["plan", "job.toml"]).expect(0);
    let plan = workspace.imbulk(&["status", "--json"]).expect(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    let latest = plan["runs"].as_array().and_then(|runs| runs.last()).and_then(|run| run["run"].as_str());
    let csv = workspace.imbulk(&["results", latest.expect("an id"), "--with-input"]).expect(0).stdout;
    let rows: Vec<&str> = csv.lines().skip(1).collect();
    assert!(rows[0].starts_with(",u1,") && rows[1].starts_with("second,u2,job.csv,2,pending,"), "{csv}");
}

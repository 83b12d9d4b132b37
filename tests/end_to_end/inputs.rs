//! Input of users: compressed, in several files, in other encodings, on standard input.

use std::io::Write;

use imbulk_sandbox::Command;

use imbulk_testkit::results_check::ResultsCheck;
use imbulk_testkit::rows::{InputRow, csv, plain, tally};
use imbulk_testkit::{JobFile, Workspace};

const OPERATION: Command = Command::FriendDelete;

/// Runs a job over the files that `write` makes of one CSV.
fn check(path: &str, with: &[(&'static str, &str)], asked: &[InputRow], files: &[(&str, &[u8])], stdin: &[u8]) {
    let workspace = Workspace::new();
    files.iter().for_each(|(name, bytes)| workspace.write(name, bytes));
    let mut job = JobFile::new("job", OPERATION).with("input", "path", path);
    for (key, value) in with {
        job = job.with("input", key, value);
    }
    let job = job.write(&workspace);
    let output = workspace.imbulk_reading(&["run", &job, "--execute", "--yes"], stdin).expect(3);
    let mut results = workspace.results("job");
    assert_eq!(results.len(), asked.len(), "{output:#?}");
    // The checker counts all lines, but each of several files begins with line 1.
    (2..).zip(&mut results).for_each(|(line, row)| row.line = line);
    ResultsCheck::clean(&workspace, OPERATION, asked, &results).check(&workspace);
    assert!(tally(&results)["succeeded"] > asked.len() / 2);
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).expect("memory");
    gz.finish().expect("memory")
}

#[test]
fn standard_input_plain_and_compressed() {
    let asked = plain(OPERATION, 300);
    check("\"-\"", &[], &asked, &[], &csv(OPERATION, &asked));
    check("\"-\"", &[], &asked, &[], &gz(&csv(OPERATION, &asked)));
}

#[test]
fn gzip_and_zstd() {
    let asked = plain(OPERATION, 300);
    let text = csv(OPERATION, &asked);
    check("\"rows.csv.gz\"", &[], &asked, &[("rows.csv.gz", &gz(&text))], b"");
    let zst = zstd::encode_all(text.as_slice(), 1).expect("memory");
    check("\"rows.csv.zst\"", &[], &asked, &[("rows.csv.zst", &zst)], b"");
}

#[test]
fn a_glob_and_a_list_are_read_in_their_order() {
    let asked = plain(OPERATION, 300);
    let parts: Vec<Vec<u8>> = asked.chunks(100).map(|rows| csv(OPERATION, rows)).collect();
    let files = [("rows-1.csv", &*parts[0]), ("rows-2.csv", &*parts[1]), ("rows-3.csv", &*parts[2])];
    check("\"rows-*.csv\"", &[], &asked, &files, b"");
    let list = [("z.csv", &*parts[0]), ("a.csv", &*parts[1]), ("m.csv", &*parts[2])];
    check("[\"z.csv\", \"a.csv\", \"m.csv\"]", &[], &asked, &list, b"");
}

#[test]
fn gbk_semicolons_tabs_and_a_byte_order_mark() {
    let asked: Vec<InputRow> =
        (0..200).map(|n| InputRow::pair(&format!("用户{}", n / 3), &format!("朋友{n}"))).collect();
    let text = String::from_utf8(csv(OPERATION, &asked)).expect("UTF-8");
    let (gbk, _, _) = encoding_rs::GBK.encode(&text);
    check("\"rows.csv\"", &[("encoding", "\"gbk\"")], &asked, &[("rows.csv", &gbk)], b"");
    check("\"rows.csv\"", &[], &asked, &[("rows.csv", text.replace(',', ";").as_bytes())], b"");
    check("\"rows.csv\"", &[], &asked, &[("rows.csv", text.replace(',', "\t").as_bytes())], b"");
    let marked = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    check("\"rows.csv\"", &[], &asked, &[("rows.csv", marked.as_bytes())], b"");
}

#[test]
fn columns_of_other_names() {
    let asked = plain(OPERATION, 100);
    let text = String::from_utf8(csv(OPERATION, &asked)).expect("UTF-8");
    let text = text.replacen("From_Account,To_Account", "owner,friend", 1);
    let columns = ("columns", "{ From_Account = \"owner\", To_Account = \"friend\" }");
    check("\"rows.csv\"", &[columns], &asked, &[("rows.csv", text.as_bytes())], b"");
}

fn lines(objects: impl Iterator<Item = serde_json::Value>) -> String {
    objects.map(|object| object.to_string() + "\n").collect()
}

#[test]
fn jsonl_flat_and_in_the_shape_of_the_apis_body() {
    let asked = plain(OPERATION, 300);
    let from = |row: &InputRow| row.from.clone().expect("a pair");
    let flat = asked.iter().map(|row| serde_json::json!({"From_Account": from(row), "To_Account": row.account}));
    let flat = lines(flat);
    check("\"rows.jsonl\"", &[], &asked, &[("rows.jsonl", flat.as_bytes())], b"");
    let bodies = asked.chunk_by(|a, b| a.from == b.from).map(|rows| {
        let to: Vec<&str> = rows.iter().map(|row| row.account.as_str()).collect();
        serde_json::json!({"From_Account": from(&rows[0]), "To_Account": to})
    });
    let body = lines(bodies);
    check("\"rows.jsonl.gz\"", &[], &asked, &[("rows.jsonl.gz", &gz(body.as_bytes()))], b"");
}

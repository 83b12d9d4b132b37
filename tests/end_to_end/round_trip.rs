//! Results are valid input: they give the same items, whatever columns, delimiter and encoding the job has. So are
//! results with the user's own columns, except that they are UTF-8.

use std::fmt::Write as _;

use imbulk::domain::operation::{self, Field, FieldKind, FieldName, FieldsRequired, InputShape};
use imbulk_fixtures::operations::{bound, options_toml};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use imbulk_testkit::Workspace;

const ROWS: usize = 120;

/// The job's own name for each column name of the API.
const NAMES: [(&str, &str); 8] = [
    ("UserID", "line"),
    ("From_Account", "用户"),
    ("To_Account", "friend"),
    ("Tag_SNS_IM_Remark", "reason"),
    ("Tag_SNS_Custom_Lv", "level"),
    ("AddSource", "source"),
    ("Remark", "outcome"),
    ("AddTime", "时间"),
];

fn file_name(api: &str) -> &str {
    NAMES.iter().find(|(name, _)| *name == api).map_or(api, |(_, file)| file)
}

/// A row with the API's column names. Some rows are invalid.
fn row(operation: &str, rng: &mut SmallRng) -> Map<String, Value> {
    let shape = operation::by_name(operation).expect("an operation").shape;
    let mut row = Map::new();
    for column in shape.columns() {
        row.insert(column.to_owned(), id(rng).into());
    }
    for field in shape.fields.fields {
        let name = field_name(field);
        let share = if shape.fields.required == FieldsRequired::Named(name) { 0.95 } else { 0.5 };
        if rng.random_bool(share) {
            row.insert(name.to_owned(), values(field.kind).choose(rng).expect("some").clone());
        }
    }
    row
}

/// An id: usually an ordinary one.
fn id(rng: &mut SmallRng) -> String {
    let unusual = [
        "a,b",
        "x;y",
        "p|q",
        "say \"hi\"",
        "two words",
        "用户七",
        "'quoted'",
        "NULL",
        "",
        "1.4E+08",
        " padded",
        "json:5",
    ];
    let number = rng.random_range(0..40);
    if rng.random_bool(0.8) { format!("u{number}") } else { (*unusual.choose(rng).expect("some")).to_owned() }
}

/// The name of a field; of custom fields, one.
fn field_name(field: &Field) -> &'static str {
    match field.name {
        FieldName::Exact(name) => name,
        FieldName::Custom { .. } => "Tag_SNS_Custom_Lv",
    }
}

/// Values for a kind of field. Some are invalid.
fn values(kind: FieldKind) -> Vec<Value> {
    match kind {
        FieldKind::Text { max_bytes } => texts(max_bytes),
        FieldKind::Groups { .. } => vec![
            json!(["x|y"]),
            json!(["g", " h "]),
            json!(["a", "b"]),
            json!([]),
            json!(["json:[1]"]),
            json!(["a,b", "组"]),
            json!([""]),
            json!("g"),
            json!(["a".repeat(31)]),
        ],
        FieldKind::TextOrInteger { .. } => {
            vec![json!(5), json!("5"), json!(""), json!(-1), json!(u64::MAX), json!("json:\"\""), json!(1.5), json!([])]
        }
        FieldKind::Prefixed { prefix, .. } => {
            let with = |name| json!(format!("{prefix}{name}"));
            let right = ["Web", "A", "Abcdefgh", "Android", "iOS", "Mac"].map(with);
            right.into_iter().chain([with(""), json!("Web"), json!(5), json!("")]).collect()
        }
        FieldKind::Integer { max } => {
            vec![json!(0), json!(7), json!(max), json!(max + 1), json!("7"), json!(-1), json!([])]
        }
        FieldKind::OneOf(texts) => texts.iter().map(|text| json!(text)).chain([json!("none of them")]).collect(),
    }
}

fn texts(max_bytes: usize) -> Vec<Value> {
    vec![
        json!(""),
        json!(" leading"),
        json!("two\nlines"),
        json!("a\r\nb"),
        json!("x\ry"),
        json!("\"quoted\""),
        json!("json:5"),
        json!("json:"),
        json!("=1+1"),
        json!("a|b, c;d"),
        json!("备注"),
        json!("NULL"),
        json!(5),
        json!("x".repeat(max_bytes + 1)),
    ]
}

/// The rows as a file with the user's own column names, in GBK.
fn file(rows: &[Map<String, Value>], format: &str) -> Vec<u8> {
    let mut text = String::new();
    if format == "jsonl" {
        for row in rows {
            let own: Map<_, _> = row.iter().map(|(api, value)| (file_name(api).to_owned(), value.clone())).collect();
            writeln!(text, "{}", Value::Object(own)).expect("memory");
        }
    } else {
        let mut columns: Vec<&String> = rows.iter().flat_map(Map::keys).collect();
        columns.sort();
        columns.dedup();
        let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
        let line = |cells: Vec<String>| cells.join("|") + "\n";
        text += &line(columns.iter().map(|api| quoted(file_name(api))).collect());
        for row in rows {
            text += &line(columns.iter().map(|api| quoted(&cell(row.get(*api)))).collect());
        }
    }
    let (bytes, _, lossy) = encoding_rs::GBK.encode(&text);
    assert!(!lossy, "the values of this test are in GBK");
    bytes.into_owned()
}

/// The CSV cell of a value, in a user's own file.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(groups)) => {
            groups.iter().map(|group| group.as_str().unwrap_or_default()).collect::<Vec<_>>().join("|")
        }
        Some(other) => other.to_string(),
    }
}

fn job(workspace: &Workspace, name: &str, operation: &str, (path, encoding): (&str, &str), columns: &[&str]) {
    let mapped: Vec<String> = NAMES
        .iter()
        .filter(|(api, _)| columns.contains(api))
        .map(|(api, file)| format!("{api} = \"{file}\""))
        .collect();
    let options = options_toml(bound(operation));
    let text = format!(
        "name = \"{name}\"\noperation = \"{operation}\"\n[input]\n\
         path = \"{path}\"\nencoding = \"{encoding}\"\ndelimiter = \"|\"\n\
         columns = {{ {} }}\n{options}",
        mapped.join(", ")
    );
    workspace.write(&format!("{name}.toml"), text);
}

/// The ids and fields that each row asks for; none if it is rejected.
fn asked(workspace: &Workspace, job: &str, shape: &InputShape) -> Vec<Option<Map<String, Value>>> {
    let output = workspace.imbulk(&["plan", &format!("{job}.toml")]);
    assert!(![1, 2].contains(&output.code), "{output:#?}");
    let results = workspace.imbulk(&["results", job, "--format", "jsonl"]).expect(0).stdout;
    let row = |line: &str| {
        let mut row: Map<String, Value> = serde_json::from_str(line).expect("JSON");
        let outcome = row["outcome"].clone();
        row.retain(|key, _| shape.takes(key));
        (outcome != "rejected").then_some(row)
    };
    results.lines().map(row).collect()
}

fn round_trip(operation: &str, input: &str, results: &str, with_input: &[&str], seed: u64) {
    let workspace = Workspace::new();
    let mut rng = SmallRng::seed_from_u64(seed);
    let rows: Vec<_> = (0..ROWS).map(|_| row(operation, &mut rng)).collect();
    let shape = operation::by_name(operation).expect("an operation").shape;
    let mut columns: Vec<&str> = shape.columns().collect();
    columns.extend(shape.fields.fields.iter().map(field_name));
    workspace.write(&format!("rows.{input}"), file(&rows, input));
    job(&workspace, "first", operation, (&format!("rows.{input}"), "gbk"), &columns);
    let encoding = if with_input.is_empty() { "gbk" } else { "utf-8" };
    job(&workspace, "again", operation, (&format!("again.{results}"), encoding), &columns);
    let first = asked(&workspace, "first", &shape);
    assert_eq!(first.len(), ROWS);
    assert!(first.iter().flatten().count() > ROWS / 8, "many rows are good");
    let output = format!("again.{results}");
    let export = ["results", "first", "--format", results, "--output", &output];
    workspace.imbulk(&[&export, with_input].concat()).expect(0);
    let again = asked(&workspace, "again", &shape);
    for (number, (first, again)) in first.iter().zip(&again).enumerate() {
        assert_eq!(first, again, "{operation}, {input} → {results}, seed {seed}, row {number}: {:?}", rows[number]);
    }
    assert_eq!(first.len(), again.len());
}

#[test]
fn results_are_the_same_input_for_every_operation_and_format() {
    for (seed, operation) in (1..).zip(operation::ALL) {
        for input in ["csv", "jsonl"] {
            for results in ["csv", "jsonl"] {
                round_trip(operation.name, input, results, &[], seed);
            }
        }
    }
}

#[test]
fn results_with_the_users_own_columns_are_the_same_input_in_the_same_format() {
    for (seed, operation) in (1..).zip(operation::ALL) {
        for format in ["csv", "jsonl"] {
            for seed in [seed, seed + 100] {
                round_trip(operation.name, format, format, &["--with-input"], seed);
            }
        }
    }
}

#[test]
fn rejected_rows_are_rejected_again_also_where_unusual_ids_are_allowed() {
    let workspace = Workspace::new();
    workspace.write(
        "rows.jsonl",
        "{\"From_Account\":\"a\",\"To_Account\":7}\n\
         {\"From_Account\":\"a\",\"To_Account\":\"b\",\"DeleteType\":\"x\"}\n\
         {\"From_Account\":\"a\",\"To_Account\":\"c\"}\n",
    );
    let shape = bound("friend_delete").shape;
    let options = options_toml(bound("friend_delete"));
    let text = format!(
        "name = \"first\"\noperation = \"friend_delete\"\n{options}[input]\npath = \"rows.jsonl\"\n\
         unusual_ids = \"allow\"\n"
    );
    workspace.write("first.toml", &text);
    workspace.write("again.toml", text.replace("first", "again").replace("rows.jsonl", "again.csv"));
    let first = asked(&workspace, "first", &shape);
    workspace.imbulk(&["results", "first", "--output", "again.csv"]).expect(0);
    assert_eq!((&first[..2], first.len()), (&[None, None][..], 3));
    assert_eq!(asked(&workspace, "again", &shape), first);
}

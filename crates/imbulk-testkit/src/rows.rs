//! Rows of the input and of the results.

use std::collections::{BTreeMap, BTreeSet};

use imbulk_sandbox::Command;
use serde_json::{Value, json};

use crate::app::ADMIN;

/// The fields of a row by name.
pub type Fields = BTreeMap<String, Value>;

/// A row of the input.
#[derive(Debug, Clone, PartialEq)]
pub struct InputRow {
    /// `From_Account`, for operations on pairs.
    pub from: Option<String>,
    /// The other account of the pair, or the only account.
    pub account: String,
    /// What it sets besides its ids.
    pub fields: Fields,
    /// Whether imbulk must accept the row.
    pub validity: Validity,
}

/// Whether a row follows the rules of the API. The code that makes a row states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It can be sent.
    Valid,
    /// It must be rejected.
    Invalid,
}

/// A row of the results.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    /// The input file.
    pub source: String,
    /// The line of the input file, from 1.
    pub line: u64,
    /// `From_Account`, for operations on pairs.
    pub from: Option<String>,
    /// The other account of the pair, or the only account.
    pub account: String,
    /// Such as `succeeded`.
    pub outcome: String,
    /// The code that decided the outcome.
    pub code: Option<i64>,
    /// Why the row has this outcome.
    pub reason: String,
    /// The calls with the item, those that do not count against `max_attempts` included.
    pub attempts: u32,
    /// RFC 3339; empty while the row is pending.
    pub finished_at: String,
    /// Such as `confirmed`; empty if no verification looked the row up.
    pub verified: String,
}

impl InputRow {
    /// A valid row with one account.
    pub fn account(account: &str) -> Self {
        Self { from: None, account: account.to_owned(), fields: Fields::new(), validity: Validity::Valid }
    }

    /// A valid row with a pair of accounts.
    pub fn pair(from: &str, to: &str) -> Self {
        Self { from: Some(from.to_owned()), ..Self::account(to) }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// Marks the row as one that must be rejected.
    #[must_use]
    pub fn invalid(mut self) -> Self {
        self.validity = Validity::Invalid;
        self
    }

    /// The item of the row.
    pub fn item(&self) -> (Option<&str>, &str) {
        (self.from.as_deref(), &self.account)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.from.as_deref().into_iter().chain([self.account.as_str()])
    }

    /// Whether one of its accounts is protected.
    pub fn names_one_of(&self, protected: &[String]) -> bool {
        self.ids().any(|id| protected.iter().any(|own| own == id))
    }
}

/// The commands that jobs send. The others only look something up.
pub fn operations() -> impl Iterator<Item = Command> {
    Command::ALL.into_iter().filter(|command| !command.reads_only())
}

/// What the items of a command are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// Accounts.
    Account,
    /// Friend lists, each of one account.
    List,
    /// A friend on the list of an account.
    Friend,
}

/// What the items of a command are.
pub const fn item_kind(command: Command) -> ItemKind {
    match command {
        Command::AccountDelete
        | Command::AccountImport
        | Command::AccountCheck
        | Command::PortraitGet
        | Command::QueryOnlineStatus => ItemKind::Account,
        Command::FriendDeleteAll | Command::FriendGet => ItemKind::List,
        Command::FriendDelete
        | Command::FriendUpdate
        | Command::FriendImport
        | Command::FriendCheck
        | Command::FriendGetList => ItemKind::Friend,
    }
}

/// The columns of an operation.
pub const fn columns(operation: Command) -> &'static [&'static str] {
    match item_kind(operation) {
        ItemKind::Account => &["UserID"],
        ItemKind::List => &["From_Account"],
        ItemKind::Friend => &["From_Account", "To_Account"],
    }
}

/// Adds what a row of the operation must have besides its ids.
fn complete(operation: Command, row: InputRow, remark: &str) -> InputRow {
    match operation {
        Command::FriendUpdate => row.field("Tag_SNS_IM_Remark", json!(remark)),
        Command::AccountImport => row.field("Nick", json!(remark)),
        Command::FriendImport => row.field("AddSource", json!("AddSource_Type_Test")).field("Remark", json!(remark)),
        Command::AccountDelete
        | Command::FriendDelete
        | Command::FriendDeleteAll
        | Command::AccountCheck
        | Command::FriendCheck
        | Command::FriendGet
        | Command::FriendGetList
        | Command::PortraitGet
        | Command::QueryOnlineStatus => row,
    }
}

/// The rows as a CSV file. Row n is in line n + 2.
pub fn csv(operation: Command, rows: &[InputRow]) -> Vec<u8> {
    let fields: BTreeSet<&str> = rows.iter().flat_map(|row| row.fields.keys()).map(String::as_str).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(columns(operation).iter().copied().chain(fields.iter().copied())).expect("memory");
    for row in rows {
        let cells = fields.iter().map(|field| row.fields.get(*field).map(cell).unwrap_or_default());
        csv.write_record(row.ids().map(str::to_owned).chain(cells)).expect("memory");
    }
    csv.into_inner().expect("memory")
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(groups) => groups.iter().map(cell).collect::<Vec<_>>().join("|"),
        other => other.to_string(),
    }
}

/// Reads the CSV of `imbulk results`.
pub fn parse(text: &str) -> Vec<ResultRow> {
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let head = csv.headers().expect("a header").clone();
    let at = |name: &str| head.iter().position(|column| column == name);
    let (from, account) = match (at("UserID"), at("From_Account"), at("To_Account")) {
        (Some(user), None, None) => (None, user),
        (None, Some(from), Some(to)) => (Some(from), to),
        (None, Some(from), None) => (None, from),
        other => panic!("{other:?}: {head:?}"),
    };
    let of = |name| at(name).unwrap_or_else(|| panic!("no {name} in {head:?}"));
    let [source, line, outcome, code, reason, attempts, finished_at] =
        ["source", "line", "outcome", "code", "reason", "attempts", "finished_at"].map(of);
    let row = |record: csv::StringRecord| ResultRow {
        source: record[source].to_owned(),
        line: record[line].parse().expect("a number"),
        from: from.map(|from| record[from].to_owned()),
        account: record[account].to_owned(),
        outcome: record[outcome].to_owned(),
        code: (!record[code].is_empty()).then(|| record[code].parse().expect("a number")),
        reason: record[reason].to_owned(),
        attempts: record[attempts].parse().expect("a number"),
        finished_at: record[finished_at].to_owned(),
        // Earlier versions had no such column.
        verified: at("verified").map(|at| record[at].to_owned()).unwrap_or_default(),
    };
    csv.records().map(|record| row(record.expect("a record"))).collect()
}

/// The number of rows per outcome.
pub fn tally(rows: &[ResultRow]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    rows.iter().for_each(|row| *tally.entry(row.outcome.as_str()).or_default() += 1);
    tally
}

/// Valid rows, all different. Three pairs at a time have the same `From_Account`.
pub fn plain(operation: Command, count: usize) -> Vec<InputRow> {
    let row = |n: usize| match item_kind(operation) {
        ItemKind::Account | ItemKind::List => InputRow::account(&format!("user_{n:05}")),
        ItemKind::Friend => InputRow::pair(&format!("user_{:05}", n / 3), &format!("friend_{n:05}")),
    };
    let row = |n: usize| complete(operation, row(n), &format!("remark {n}"));
    (0..count).map(row).collect()
}

/// The protected list for [`mixed`].
pub const PROTECTED: &str = "# keep\nvip_1\nvip_2\n";

/// The ids on [`PROTECTED`], and the admin.
pub fn protected() -> Vec<String> {
    ["vip_1", "vip_2", ADMIN].map(str::to_owned).into()
}

/// Rows like those of a real export, shuffled: `count` valid ones, duplicates, invalid rows and protected rows.
pub fn mixed(operation: Command, count: usize) -> Vec<InputRow> {
    let mut rows = plain(operation, count);
    let again: Vec<InputRow> = rows.iter().step_by(7).cloned().collect();
    rows.extend(again);
    let with = |from: Option<&str>, account: &str| {
        let row = match item_kind(operation) {
            ItemKind::Account | ItemKind::List => InputRow::account(account),
            ItemKind::Friend => InputRow::pair(from.unwrap_or("user_00001"), account),
        };
        complete(operation, row, "r")
    };
    for n in 0..count / 20 {
        rows.push(with(None, "").invalid());
        rows.push(with(None, &format!("much_too_long_for_an_id_of_the_api_{n}")).invalid());
        rows.push(with(None, &format!("tab\there_{n}")).invalid());
        rows.push(with(None, "vip_1"));
        rows.push(with(None, ADMIN));
        if item_kind(operation) == ItemKind::Friend {
            rows.push(with(Some("vip_2"), &format!("friend_of_vip_{n}")));
            rows.push(with(Some("narcissus"), "narcissus").invalid());
        }
    }
    shuffle(&mut rows, 42);
    rows
}

/// Shuffles the rows. The same seed gives the same order.
pub fn shuffle<T>(rows: &mut [T], seed: u64) {
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    rows.shuffle(&mut rand::rngs::SmallRng::seed_from_u64(seed));
}

//! Rows: what goes in, and what comes out.

use std::collections::{BTreeMap, BTreeSet};

use imbulk_sandbox::Command;
use serde_json::{Value, json};

use crate::harness::bench::ADMIN;

/// The tags of a row by name.
pub(crate) type Tags = BTreeMap<String, Value>;

/// A row of the input, and whether it can be sent at all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) from: Option<String>,
    pub(crate) account: String,
    pub(crate) tags: Tags,
    pub(crate) fit: Fit,
}

/// Whether a row keeps the rules of rows; said by whoever made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Good,
    Bad,
}

/// A row of the results.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) source: String,
    pub(crate) line: u64,
    pub(crate) from: Option<String>,
    pub(crate) account: String,
    pub(crate) outcome: String,
    pub(crate) code: Option<i64>,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
    pub(crate) finished_at: String,
}

impl Asked {
    pub(crate) fn account(account: &str) -> Self {
        Self { from: None, account: account.to_owned(), tags: Tags::new(), fit: Fit::Good }
    }

    pub(crate) fn pair(from: &str, to: &str) -> Self {
        Self { from: Some(from.to_owned()), ..Self::account(to) }
    }

    pub(crate) fn tag(mut self, name: &str, value: Value) -> Self {
        self.tags.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn bad(mut self) -> Self {
        self.fit = Fit::Bad;
        self
    }

    /// What the API reports on.
    pub(crate) fn item(&self) -> (Option<&str>, &str) {
        (self.from.as_deref(), &self.account)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.from.as_deref().into_iter().chain([self.account.as_str()])
    }

    pub(crate) fn names_one_of(&self, protected: &[String]) -> bool {
        self.ids().any(|id| protected.iter().any(|own| own == id))
    }
}

/// The columns of an operation.
pub(crate) fn columns(operation: Command) -> &'static [&'static str] {
    match operation {
        Command::AccountDelete => &["UserID"],
        Command::FriendDeleteAll => &["From_Account"],
        Command::FriendDelete | Command::FriendUpdate => &["From_Account", "To_Account"],
    }
}

/// The rows as a CSV file; row n stands in line n + 2.
pub(crate) fn csv(operation: Command, rows: &[Asked]) -> Vec<u8> {
    let tags: BTreeSet<&str> = rows.iter().flat_map(|row| row.tags.keys()).map(String::as_str).collect();
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(columns(operation).iter().copied().chain(tags.iter().copied())).expect("memory");
    for row in rows {
        let cells = tags.iter().map(|tag| row.tags.get(*tag).map(cell).unwrap_or_default());
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

/// The CSV of `imbulk results`.
pub(crate) fn parse(text: &str) -> Vec<Row> {
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
    let row = |record: csv::StringRecord| Row {
        source: record[source].to_owned(),
        line: record[line].parse().expect("a number"),
        from: from.map(|from| record[from].to_owned()),
        account: record[account].to_owned(),
        outcome: record[outcome].to_owned(),
        code: (!record[code].is_empty()).then(|| record[code].parse().expect("a number")),
        reason: record[reason].to_owned(),
        attempts: record[attempts].parse().expect("a number"),
        finished_at: record[finished_at].to_owned(),
    };
    csv.records().map(|record| row(record.expect("a record"))).collect()
}

/// So many rows of each outcome.
pub(crate) fn tally(rows: &[Row]) -> BTreeMap<&str, usize> {
    let mut tally = BTreeMap::new();
    rows.iter().for_each(|row| *tally.entry(row.outcome.as_str()).or_default() += 1);
    tally
}

/// So many plain accounts or pairs, all different. Pairs share a `From_Account` by threes.
pub(crate) fn plain(operation: Command, count: usize) -> Vec<Asked> {
    let row = |n: usize| match operation {
        Command::AccountDelete | Command::FriendDeleteAll => Asked::account(&format!("user_{n:05}")),
        Command::FriendDelete => Asked::pair(&format!("user_{:05}", n / 3), &format!("friend_{n:05}")),
        Command::FriendUpdate => Asked::pair(&format!("user_{:05}", n / 3), &format!("friend_{n:05}"))
            .tag("Tag_SNS_IM_Remark", json!(format!("remark {n}"))),
    };
    (0..count).map(row).collect()
}

/// The protected list that goes with [`mixed`].
pub(crate) const PROTECTED: &str = "# keep\nvip_1\nvip_2\n";

/// What [`PROTECTED`] and the admin come to.
pub(crate) fn protected() -> Vec<String> {
    ["vip_1", "vip_2", ADMIN].map(str::to_owned).into()
}

/// Rows as exports hold them: `count` plain ones, and between them duplicates, rows that can't be sent and rows that
/// must not be sent; in no order.
pub(crate) fn mixed(operation: Command, count: usize) -> Vec<Asked> {
    let mut rows = plain(operation, count);
    let again: Vec<Asked> = rows.iter().step_by(7).cloned().collect();
    rows.extend(again);
    let with = |from: Option<&str>, account: &str| {
        let row = match operation {
            Command::AccountDelete | Command::FriendDeleteAll => Asked::account(account),
            Command::FriendDelete | Command::FriendUpdate => Asked::pair(from.unwrap_or("user_00001"), account),
        };
        match operation {
            Command::FriendUpdate => row.tag("Tag_SNS_IM_Remark", json!("r")),
            Command::AccountDelete | Command::FriendDelete | Command::FriendDeleteAll => row,
        }
    };
    for n in 0..count / 20 {
        rows.push(with(None, "").bad());
        rows.push(with(None, &format!("much_too_long_for_an_id_of_the_api_{n}")).bad());
        rows.push(with(None, &format!("tab\there_{n}")).bad());
        rows.push(with(None, "vip_1"));
        rows.push(with(None, ADMIN));
        match operation {
            Command::AccountDelete | Command::FriendDeleteAll => {}
            Command::FriendDelete | Command::FriendUpdate => {
                rows.push(with(Some("vip_2"), &format!("friend_of_vip_{n}")));
                rows.push(with(Some("narcissus"), "narcissus").bad());
            }
        }
    }
    shuffle(&mut rows, 42);
    rows
}

/// The same shuffle for the same seed.
pub(crate) fn shuffle<T>(rows: &mut [T], seed: u64) {
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    rows.shuffle(&mut rand::rngs::SmallRng::seed_from_u64(seed));
}

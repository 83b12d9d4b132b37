//! Inputs, the same on every machine: made once, kept in the work folder.

use imbulk_fixtures::operations::{bound_with, options_toml};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::Fallible;

/// Rows of each account, where accounts have few friends in the input.
const FRIENDS: u64 = 20;

/// The content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `UserID`, each once.
    Accounts,
    /// Pairs in random order; an account in every [`FRIENDS`] rows, the friends from among the same accounts.
    Friends,
    /// Pairs in shuffled order; every account has 1000 friends, whom no other has.
    FullFriends,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Friends => "friends",
            Self::FullFriends => "full-friends",
        }
    }
}

/// The CSV file with this number of rows.
pub(crate) fn csv(folder: &Path, kind: Kind, rows: u64) -> Fallible<PathBuf> {
    let path = folder.join(format!("{}-{rows}.csv", kind.name()));
    if path.exists() {
        return Ok(path);
    }
    let unfinished = path.with_extension("part");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
    match kind {
        Kind::Accounts => writeln!(out, "UserID")?,
        Kind::Friends | Kind::FullFriends => writeln!(out, "From_Account,To_Account")?,
    }
    for row in 0..rows {
        match kind {
            Kind::Accounts => writeln!(out, "{}", Id(shuffled(row, rows)))?,
            Kind::Friends => {
                let accounts = (rows / FRIENDS).max(2);
                let random = mixed(row);
                let from = (random >> 32) % accounts;
                let other = (random & 0xFFFF_FFFF) % (accounts - 1);
                writeln!(out, "{},{}", Id(from), Id(other + u64::from(other >= from)))?;
            }
            Kind::FullFriends => {
                let pair = shuffled(row, rows);
                writeln!(out, "{},{}", Id(pair / 1000), Id((1 << 24) + pair))?;
            }
        }
    }
    out.into_inner()?.sync_all()?;
    std::fs::rename(unfinished, &path)?;
    Ok(path)
}

/// An account's id of 10 to 14 characters, a different one for each number below 2^32.
struct Id(u64);

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Odd, so that the product is different for each number.
        let digits = self.0.wrapping_mul(0x9E37_79B1) & 0xFFFF_FFFF;
        let prefix = ["u_", "user", "trial_"][usize::try_from(self.0 % 3).unwrap_or(0)];
        write!(f, "{prefix}{digits:08x}")
    }
}

/// The rows in another order: each number below `rows` once.
fn shuffled(row: u64, rows: u64) -> u64 {
    // A prime that no number of rows here is a multiple of.
    row * 7_368_787 % rows
}

/// `SplitMix64`
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A job file beside the inputs.
pub(crate) struct Job<'a> {
    pub(crate) name: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) input: &'a Path,
    pub(crate) endpoint: &'a str,
    /// Which sides of a friendship a delete removes: the value of each option that the operation has.
    pub(crate) sides: &'a str,
    /// Calls a second, of the command and of the app.
    pub(crate) cap: u32,
}

impl Job<'_> {
    /// Writes the file into the folder.
    pub(crate) fn write(&self, folder: &Path) -> Fallible<PathBuf> {
        let Self { name, operation, input, endpoint, sides, cap } = self;
        let options = options_toml(bound_with(operation, sides));
        let text = format!(
            "name = {name:?}\noperation = {operation:?}\n[input]\npath = {:?}\n{options}[app]\nsdkappid = 1400000001\n\
             identifier = \"administrator\"\nendpoint = {endpoint:?}\n[limits]\ncalls_per_second = {cap}\n\
             app_calls_per_second = {cap}\ncap_was_raised = true\n",
            input.display().to_string(),
        );
        let path = folder.join(format!("{name}.toml"));
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

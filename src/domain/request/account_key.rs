//! The accounts that a call writes, as hashes, so that leases can be compared quickly.

use std::hash::BuildHasher;

use super::account::UserId;

/// An account that a call writes, as a 64-bit hash.
///
/// Two accounts with one hash would merely wait for each other, so the table of busy accounts need not keep
/// their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey(pub u64);

impl AccountKey {
    /// The key of an account: the same in every run of the program.
    pub fn of(account: &UserId) -> Self {
        Self(foldhash::quality::FixedState::with_seed(0x696d_6275_6c6b).hash_one(account.as_str()))
    }
}

/// The accounts that a call writes, as far as the request names them: each once, in order; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountKeys(Vec<AccountKey>);

impl AccountKeys {
    /// The keys of these accounts, each once.
    pub fn of<'a>(accounts: impl IntoIterator<Item = &'a UserId>) -> Self {
        let mut keys: Vec<AccountKey> = accounts.into_iter().map(AccountKey::of).collect();
        keys.sort_unstable();
        keys.dedup();
        Self(keys)
    }

    /// The keys, in order.
    pub fn as_slice(&self) -> &[AccountKey] {
        &self.0
    }
}

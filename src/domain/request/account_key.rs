//! The accounts that a call writes, as hashes, so that leases can be compared quickly.

use std::hash::BuildHasher;
use std::num::NonZeroU64;

use super::account::UserId;

/// An account that a call writes, as a 64-bit hash.
///
/// Two accounts with one hash count as one account, so they wait for each other, and the table of busy accounts need
/// not keep their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey(pub u64);

impl AccountKey {
    /// The key of an account: the same in every run of the program.
    pub fn of(account: &UserId) -> Self {
        Self(foldhash::quality::FixedState::with_seed(0x696d_6275_6c6b).hash_one(account.as_str()))
    }
}

/// Differs from the seed of accounts, so that the hash of an app is independent of theirs.
const APP_SEED: u64 = 0x6170_7073;

/// The accounts that a call writes, as far as the request names them: each once. Empty for a command that only reads.
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

    /// The keys of the same accounts in an app, or in the sandbox: the same UserID in two apps is two accounts.
    #[must_use]
    pub fn in_app(mut self, sdkappid: Option<NonZeroU64>) -> Self {
        if let Some(sdkappid) = sdkappid {
            let app = foldhash::quality::FixedState::with_seed(APP_SEED).hash_one(sdkappid);
            self.0.iter_mut().for_each(|key| key.0 ^= app);
        }
        self
    }

    /// The keys.
    pub fn as_slice(&self) -> &[AccountKey] {
        &self.0
    }
}

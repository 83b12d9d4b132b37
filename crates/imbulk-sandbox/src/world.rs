//! Accounts and friend lists: what there was before the first call, and what calls removed or added, each with its
//! place in the sequence of changes. The later change decides.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use serde_json::Value;

use crate::key::Key;
use crate::request::{Account, FieldValue, Item, ParsedRequest};

/// How often an item came in and how often that changed something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemCounters {
    /// Times the item was in a well-formed call that was admitted, whatever became of the call.
    pub received: u32,
    /// Times it was deleted or updated.
    pub written: u32,
}

/// The accounts and friend lists of the sandbox.
#[derive(Clone, Debug)]
pub struct World {
    base: Base,
    /// What calls did to accounts, friends and lists.
    records: HashMap<Key, Changes>,
    /// Users who left the lists of everybody (`friend_delete_all`, both ways), and when.
    unlisted: HashMap<Key, Time>,
    /// The number of changes so far.
    time: Time,
    /// Users on the list of a user, as far as they are known by name.
    known: HashMap<Key, Vec<Account>>,
    online: HashSet<Key>,
    /// Each as a JSON object: some 150 bytes, where a map of values takes a kilobyte.
    fields: HashMap<Key, Box<str>>,
    groups: HashMap<Key, HashSet<String>>,
    /// What a profile decides.
    pub(crate) effects: Effects,
}

/// Choices about the effect of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effects {
    /// `friend_delete` of both sides deletes the other side even if `From_Account` does not have the friend.
    pub(crate) clears_other_side: bool,
    /// `friend_import` of a friend sets the fields, and is a success.
    pub(crate) import_updates: bool,
    /// Friends in one page of `friend_get`; 100 by a page of 2019.
    pub(crate) page: usize,
}

impl Default for Effects {
    fn default() -> Self {
        Self { clears_other_side: false, import_updates: false, page: 100 }
    }
}

/// The accounts and friend lists before the first call.
#[derive(Clone, Debug)]
enum Base {
    /// Everybody exists and is everybody's friend, but for these shares of the ids and pairs.
    Open {
        seed: u64,
        missing_accounts: f64,
        missing_friends: f64,
    },
    Listed {
        accounts: HashSet<Key>,
        friends: HashSet<Key>,
    },
}

/// How much of a write takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Full,
    Half,
}

/// The place of a change among all changes, from 1; 0 for none. It stays at its maximum.
type Time = u32;

/// What calls did to one account, friend or list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes {
    counters: ItemCounters,
    /// When it was last added.
    added: Time,
    /// When it was last removed.
    removed: Time,
    /// Whether a call that failed half way left data of it behind.
    pub(crate) data_left: bool,
}

impl Changes {
    pub(crate) fn write(&mut self) {
        self.counters.written = self.counters.written.saturating_add(1);
    }
}

impl World {
    /// Every well-formed account exists, and everybody is on everybody's list, until deleted. Nobody
    /// is their own friend.
    pub fn open() -> Self {
        Self::on(Base::Open { seed: 0, missing_accounts: 0.0, missing_friends: 0.0 })
    }

    /// An open world without these shares (0 to 1) of the accounts and of the ordered pairs; which
    /// ones depends on `seed` and the ids alone. A missing account has no friends either.
    pub fn open_with_missing(seed: u64, accounts: f64, friends: f64) -> Self {
        Self::on(Base::Open { seed, missing_accounts: accounts, missing_friends: friends })
    }

    /// Only these accounts, and only these friendships: `(from, to)` puts `to` on the list of `from`.
    pub fn seeded<'a>(
        accounts: impl IntoIterator<Item = &'a str>,
        friendships: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let accounts = accounts.into_iter().map(Key::account).collect();
        let mut known: HashMap<Key, Vec<Account>> = HashMap::new();
        let mut friends = HashSet::new();
        for (from, to) in friendships {
            let (from, to) = (Key::account(from), Account::new(to));
            if friends.insert(Key::pair(from, to.key)) {
                known.entry(from).or_default().push(to);
            }
        }
        let mut world = Self::on(Base::Listed { accounts, friends });
        world.known = known;
        world
    }

    fn on(base: Base) -> Self {
        Self {
            base,
            records: HashMap::new(),
            unlisted: HashMap::new(),
            time: 0,
            known: HashMap::new(),
            online: HashSet::new(),
            fields: HashMap::new(),
            groups: HashMap::new(),
            effects: Effects::default(),
        }
    }

    /// Whether the account exists.
    pub fn account_exists(&self, user: &str) -> bool {
        self.exists(Key::account(user))
    }

    /// Whether `to` is on the list of `from`.
    pub fn is_friend(&self, from: &str, to: &str) -> bool {
        self.lists_friend(Key::account(from), Key::account(to))
    }

    /// Whether data of the account remains though the account is gone, or an import of it is half done.
    pub fn account_data_remains(&self, user: &str) -> bool {
        self.has_data_left(Key::account(user))
    }

    /// Whether data of the friendship remains though `to` is off the list of `from`, or an update of it is half done.
    pub fn friend_data_remains(&self, from: &str, to: &str) -> bool {
        self.has_data_left(Key::pair(Key::account(from), Key::account(to)))
    }

    /// Whether a clearing of the list of `from` is half done.
    pub fn list_remains(&self, from: &str) -> bool {
        self.has_data_left(Key::list(Key::account(from)))
    }

    /// The fields that imports and updates gave to `to` on the list of `from`; `None` without any, and after the friend
    /// is deleted.
    pub fn tags(&self, from: &str, to: &str) -> Option<BTreeMap<String, Value>> {
        let (from, to) = (Key::account(from), Key::account(to));
        let fields = self.fields.get(&Key::pair(from, to)).filter(|_| self.lists_friend(from, to))?;
        // The text is one that `set_fields` wrote.
        Some(serde_json::from_str(fields).unwrap_or_default())
    }

    /// From now on `query_online_status` says that the user is online, or is not. At first nobody is.
    pub fn set_online(&mut self, user: &str, is_online: bool) {
        let user = Key::account(user);
        if is_online {
            self.online.insert(user)
        } else {
            self.online.remove(&user)
        };
    }

    /// Whether the user exists and is online.
    pub(crate) fn is_online(&self, user: Key) -> bool {
        self.online.contains(&user) && self.exists(user)
    }

    /// The fields that imports gave to an account; `None` without any, and after the account is deleted.
    pub fn profile(&self, user: &str) -> Option<BTreeMap<String, Value>> {
        let key = Key::account(user);
        let fields = self.fields.get(&key).filter(|_| self.exists(key))?;
        Some(serde_json::from_str(fields).unwrap_or_default())
    }

    /// The counters of an account as an item.
    pub fn account_counters(&self, user: &str) -> ItemCounters {
        self.counters(Key::account(user))
    }

    /// The counters of a friend as an item, over all commands together.
    pub fn friend_counters(&self, from: &str, to: &str) -> ItemCounters {
        self.counters(Key::pair(Key::account(from), Key::account(to)))
    }

    /// The counters of a friend list as an item.
    pub fn list_counters(&self, from: &str) -> ItemCounters {
        self.counters(Key::list(Key::account(from)))
    }

    /// How many different items were received. If there are more than a checker expects, something was sent that nobody
    /// asked for.
    pub fn items_received(&self) -> usize {
        self.records.values().filter(|record| record.counters.received > 0).count()
    }

    /// Counts the items of a request that came in.
    pub(crate) fn receive(&mut self, request: &ParsedRequest) {
        for item in &request.items {
            let counters = &mut self.record(item.key).counters;
            counters.received = counters.received.saturating_add(1);
        }
    }

    /// What calls did to an account, friend or list.
    pub(crate) fn record(&mut self, key: Key) -> &mut Changes {
        self.records.entry(key).or_default()
    }

    pub(crate) fn exists(&self, user: Key) -> bool {
        let at_first = match &self.base {
            Base::Open { seed, missing_accounts, .. } => user.fraction(*seed) >= *missing_accounts,
            Base::Listed { accounts, .. } => accounts.contains(&user),
        };
        is_there(self.changes(user), 0, at_first)
    }

    /// Removes an account, a friend or all friends of a list.
    pub(crate) fn remove(&mut self, key: Key) {
        let now = self.tick();
        self.record(key).removed = now;
    }

    /// The same, as the effect of a call that succeeded.
    pub(crate) fn delete(&mut self, key: Key) {
        self.remove(key);
        self.record(key).write();
    }

    /// Adds a friend to the list of `from`.
    pub(crate) fn add_friend(&mut self, from: Key, item: &Item) {
        if self.known.get(&from).is_none_or(|known| known.iter().all(|one| one.key != item.account.key)) {
            self.known.entry(from).or_default().push(item.account.clone());
        }
        self.add(item.key);
    }

    /// Adds an account or a friend.
    pub(crate) fn add(&mut self, key: Key) {
        let now = self.tick();
        self.record(key).added = now;
    }

    fn tick(&mut self) -> Time {
        self.time = self.time.saturating_add(1);
        self.time
    }

    /// Whether `to` is on the list of `from`.
    pub(crate) fn lists_friend(&self, from: Key, to: Key) -> bool {
        let pair = Key::pair(from, to);
        let at_first = match &self.base {
            Base::Open { seed, missing_friends, .. } => from != to && pair.fraction(*seed) >= *missing_friends,
            Base::Listed { friends, .. } => friends.contains(&pair),
        };
        // The friendships of an account that is imported again do not come back.
        let removed = [Key::list(from), from, to].map(|key| self.changes(key).removed);
        let unlisted = self.unlisted.get(&to).copied().unwrap_or_default();
        is_there(self.changes(pair), removed.into_iter().fold(unlisted, Time::max), at_first)
            && self.exists(from)
            && self.exists(to)
    }

    /// The number of users on the list of `from`, as far as they are known by name.
    pub(crate) fn count_friends(&self, from: Key) -> usize {
        self.present_friends(from).count()
    }

    /// The users that are or were on the list of `from`, as far as they are known by name.
    fn known_friends(&self, from: Key) -> &[Account] {
        self.known.get(&from).map_or(&[], Vec::as_slice)
    }

    /// The users on the list of `from`, as far as they are known by name, in the order in which they became known.
    pub(crate) fn present_friends(&self, from: Key) -> impl Iterator<Item = &Account> {
        self.known_friends(from).iter().filter(move |to| self.lists_friend(from, to.key))
    }

    /// Whether an open world has friends on the list of `from` that no call has named. This is shown only after a call
    /// that was to empty the list and did not, because a list that was never named looks empty.
    pub(crate) fn has_unnamed_friends(&self, from: Key) -> bool {
        let list = self.changes(Key::list(from));
        let was_to_be_emptied = list.counters.received > 0 && list.removed == 0;
        matches!(self.base, Base::Open { .. }) && was_to_be_emptied && self.exists(from)
    }

    /// In an open world, a friend is known by name once a call sets fields of it.
    pub(crate) fn meet(&mut self, from: Key, item: &Item) {
        if matches!(self.base, Base::Open { .. }) && !self.fields.contains_key(&item.key) {
            self.known.entry(from).or_default().push(item.account.clone());
        }
    }

    pub(crate) fn leave_every_list(&mut self, user: Key) {
        let now = self.tick();
        self.unlisted.insert(user, now);
    }

    /// Sets fields of an account or friend; the others keep their values.
    pub(crate) fn set_fields<'f>(&mut self, key: Key, fields: impl Iterator<Item = &'f (String, FieldValue)>) {
        let mut all = self.fields(key);
        all.extend(fields.cloned());
        // Strings and numbers always serialize.
        self.fields.insert(key, serde_json::to_string(&all).unwrap_or_default().into());
    }

    /// The fields of an account or friend, whether it exists or not.
    pub(crate) fn fields(&self, key: Key) -> BTreeMap<String, FieldValue> {
        // The text is one that `set_fields` wrote.
        self.fields.get(&key).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(crate) fn forget_fields(&mut self, key: Key) {
        self.fields.remove(&key);
    }

    /// Creates the groups that the user does not have yet, unless the user would have more than `max`.
    pub(crate) fn create_groups(&mut self, user: Key, named: &std::collections::HashSet<&str>, max: usize) -> bool {
        if named.is_empty() {
            return true;
        }
        let groups = self.groups.entry(user).or_default();
        let new = named.iter().filter(|&&name| !groups.contains(name)).count();
        if groups.len() + new > max {
            return false;
        }
        groups.extend(named.iter().map(|&name| name.to_owned()));
        true
    }

    fn changes(&self, key: Key) -> Changes {
        self.records.get(&key).copied().unwrap_or_default()
    }

    fn has_data_left(&self, key: Key) -> bool {
        self.changes(key).data_left
    }

    fn counters(&self, key: Key) -> ItemCounters {
        self.changes(key).counters
    }
}

/// Whether something exists after its changes, of which `removed` is another removal that took it along.
fn is_there(changes: Changes, removed: Time, at_first: bool) -> bool {
    let removed = removed.max(changes.removed);
    changes.added > removed || (removed == 0 && at_first)
}

//! Accounts and friend lists. Nothing is ever added by a call, so only what is gone is stored.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::{ILLEGAL_ACCOUNT, Item, Verdict};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::request::{Account, DeleteType, ParsedRequest, TagValue, Update};

/// Groups of one user (limits of the service).
const MAX_GROUPS: usize = 32;

/// How often an item came in and how often that changed something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemCounters {
    /// Times the item stood in a well-formed call that was let in, whatever became of the call.
    pub received: u32,
    /// Times it was deleted or updated.
    pub written: u32,
}

/// What the stand-in believes about accounts and friend lists.
#[derive(Clone, Debug)]
pub struct World {
    base: Base,
    accounts: HashMap<Key, Record>,
    lists: HashMap<Key, Record>,
    friends: HashMap<Key, Record>,
    /// Users who left the lists of everybody (`friend_delete_all` with `Delete_Type_Both`).
    unlisted: HashSet<Key>,
    /// Users on the list of a user, as far as they are known by name.
    known: HashMap<Key, Vec<Key>>,
    /// Each as a JSON object: some 150 bytes, where a map of values takes a kilobyte.
    tags: HashMap<Key, Box<str>>,
    groups: HashMap<Key, HashSet<String>>,
    /// Accounts that are gone, friendships that are off a list, and lists that are not wholly cleared or updated, of
    /// which a call that failed half way left data behind.
    left_behind: HashSet<Key>,
}

/// What a call does to one of its items.
pub(crate) enum Fate {
    /// All of it.
    Written,
    /// Nothing, and it says so.
    Spared(Refusal),
    /// A part of it, and it says so.
    Half(Refusal),
}

/// How things stood before the first call.
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
enum Extent {
    Full,
    Half,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    touches: ItemCounters,
    gone: bool,
}

impl Record {
    fn write(&mut self) {
        self.touches.written = self.touches.written.saturating_add(1);
    }

    fn delete(&mut self) {
        self.gone = true;
        self.write();
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
        let mut known: HashMap<Key, Vec<Key>> = HashMap::new();
        let mut friends = HashSet::new();
        for (from, to) in friendships {
            let (from, to) = (Key::account(from), Key::account(to));
            if friends.insert(Key::pair(from, to)) {
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
            accounts: HashMap::new(),
            lists: HashMap::new(),
            friends: HashMap::new(),
            unlisted: HashSet::new(),
            known: HashMap::new(),
            tags: HashMap::new(),
            groups: HashMap::new(),
            left_behind: HashSet::new(),
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

    /// Whether data of the account remains though the account is gone.
    pub fn account_data_remains(&self, user: &str) -> bool {
        self.left_behind.contains(&Key::account(user))
    }

    /// Whether data of the friendship remains though `to` is off the list of `from`, or an update of it is half done.
    pub fn friend_data_remains(&self, from: &str, to: &str) -> bool {
        self.left_behind.contains(&Key::pair(Key::account(from), Key::account(to)))
    }

    /// Whether a clearing of the list of `from` is half done.
    pub fn list_remains(&self, from: &str) -> bool {
        self.left_behind.contains(&Key::account(from))
    }

    /// The tags that updates gave to `to` on the list of `from`; `None` without an update, and after
    /// the friend is deleted.
    pub fn tags(&self, from: &str, to: &str) -> Option<BTreeMap<String, Value>> {
        let (from, to) = (Key::account(from), Key::account(to));
        self.tags.get(&Key::pair(from, to)).filter(|_| self.lists_friend(from, to)).map(|text| parse_tags(text))
    }

    /// The log of an item of `account_delete`.
    pub fn account_counters(&self, user: &str) -> ItemCounters {
        touches(&self.accounts, Key::account(user))
    }

    /// The log of an item of `friend_delete` and `friend_update`, both together.
    pub fn friend_counters(&self, from: &str, to: &str) -> ItemCounters {
        let pair = Key::pair(Key::account(from), Key::account(to));
        touches(&self.friends, pair)
    }

    /// The log of an item of `friend_delete_all`.
    pub fn list_counters(&self, from: &str) -> ItemCounters {
        touches(&self.lists, Key::account(from))
    }

    /// How many different items were received; more than a checker expects means that something was
    /// sent that nobody asked for.
    pub fn items_received(&self) -> usize {
        [&self.accounts, &self.lists, &self.friends]
            .into_iter()
            .flat_map(HashMap::values)
            .filter(|record| record.touches.received > 0)
            .count()
    }

    /// Notes that the items of `order` came in.
    pub(crate) fn receive(&mut self, order: &ParsedRequest) {
        match order {
            ParsedRequest::AccountDelete { users } => {
                receive_all(&mut self.accounts, users.iter().map(|user| user.key));
            }
            ParsedRequest::FriendDelete { from, to, .. } => {
                let pairs = to.iter().map(|to| Key::pair(from.key, to.key));
                receive_all(&mut self.friends, pairs);
            }
            ParsedRequest::FriendDeleteAll { from, .. } => receive_all(&mut self.lists, [from.key]),
            ParsedRequest::FriendUpdate { from, updates } => {
                let pairs = updates.iter().map(|update| Key::pair(from.key, update.to.key));
                receive_all(&mut self.friends, pairs);
            }
        }
    }

    /// The accounts that `order` writes. For a two-way `friend_delete_all` these are the user and
    /// their present friends, in an open world only those whose tags were ever updated.
    pub(crate) fn written_by(&self, order: &ParsedRequest) -> Vec<Key> {
        match order {
            ParsedRequest::AccountDelete { users } => users.iter().map(|user| user.key).collect(),
            ParsedRequest::FriendDelete { from, to, way } => {
                let others = match way {
                    DeleteType::Single => &[],
                    DeleteType::Both => to.as_slice(),
                };
                std::iter::once(from).chain(others).map(|a| a.key).collect()
            }
            ParsedRequest::FriendDeleteAll { from, way } => {
                let others = match way {
                    DeleteType::Single => None,
                    DeleteType::Both => self.known.get(&from.key),
                };
                let present = others.into_iter().flatten().filter(|&&to| self.lists_friend(from.key, to));
                std::iter::once(&from.key).chain(present).copied().collect()
            }
            ParsedRequest::FriendUpdate { from, .. } => vec![from.key],
        }
    }

    /// Carries out `order` at once, each item by its fate. Also returns how many items were written in full.
    pub(crate) fn apply(&mut self, order: &ParsedRequest, fate: impl Fn(usize) -> Fate) -> (Verdict, u64) {
        if let Some(owner) = order.owner()
            && !self.exists(owner.key)
        {
            return (Verdict::Refused(Refusal::new(30003)), 0);
        }
        match order {
            ParsedRequest::AccountDelete { users } => {
                let write = |user: &Account, extent| self.delete_account(user.key, extent);
                each(users, |user| &user.id, fate, write)
            }
            ParsedRequest::FriendDelete { from, to, way } => {
                let write = |to: &Account, extent| self.delete_friend(from.key, to, *way, extent);
                each(to, |to| &to.id, fate, write)
            }
            ParsedRequest::FriendDeleteAll { from, way } => match fate(0) {
                Fate::Spared(refusal) => (Verdict::Refused(refusal), 0),
                Fate::Written => {
                    self.clear_list(from.key, *way, Extent::Full);
                    (Verdict::Done, 1)
                }
                Fate::Half(refusal) => {
                    self.clear_list(from.key, *way, Extent::Half);
                    (Verdict::Refused(refusal), 0)
                }
            },
            ParsedRequest::FriendUpdate { from, updates } => {
                let write = |update: &Update, extent| self.update_friend(from.key, update, extent);
                each(updates, |update| &update.to.id, fate, write)
            }
        }
    }

    /// Half way the account is gone and its data is not.
    fn delete_account(&mut self, user: Key, extent: Extent) -> Result<(), Refusal> {
        if !self.exists(user) {
            return Err(Refusal::new(70107));
        }
        let record = self.accounts.entry(user).or_default();
        match extent {
            Extent::Full => record.delete(),
            Extent::Half => {
                record.gone = true;
                self.left_behind.insert(user);
            }
        }
        Ok(())
    }

    /// Whether `to` can be deleted depends on the list of `from` alone; `Both` then also takes `from`
    /// from the other list, if it is there. Half way `to` is off the list of `from`, its data remains, and the other list
    /// is as it was.
    fn delete_friend(&mut self, from: Key, to: &Account, way: DeleteType, extent: Extent) -> Result<(), Refusal> {
        if !to.is_legal() {
            return Err(illegal_account());
        }
        if !self.lists_friend(from, to.key) {
            return Err(Refusal::new(31704));
        }
        let pair = Key::pair(from, to.key);
        let record = self.friends.entry(pair).or_default();
        if extent == Extent::Half {
            record.gone = true;
            self.left_behind.insert(pair);
            return Ok(());
        }
        record.delete();
        self.tags.remove(&pair);
        match way {
            DeleteType::Single => {}
            DeleteType::Both => {
                let back = Key::pair(to.key, from);
                self.friends.entry(back).or_default().gone = true;
                self.tags.remove(&back);
            }
        }
        Ok(())
    }

    /// Half way the list of `from` is empty only where the other lists were to follow; one-way nobody can say what is left.
    fn clear_list(&mut self, from: Key, way: DeleteType, extent: Extent) {
        if extent == Extent::Half {
            self.left_behind.insert(from);
            if way == DeleteType::Both {
                self.lists.entry(from).or_default().gone = true;
            }
            return;
        }
        self.left_behind.remove(&from);
        self.lists.entry(from).or_default().delete();
        match way {
            DeleteType::Single => {}
            DeleteType::Both => {
                self.unlisted.insert(from);
            }
        }
    }

    /// The new value of a tag takes the place of the old one. A group that the user does not have yet
    /// is made; an update that would make a 33rd changes nothing. Half way the first tag alone is written.
    fn update_friend(&mut self, from: Key, update: &Update, extent: Extent) -> Result<(), Refusal> {
        if !update.to.is_legal() {
            return Err(illegal_account());
        }
        if !self.lists_friend(from, update.to.key) {
            return Err(Refusal::with(30001, "Err_SNS_FriendUpdate_Not_Friend"));
        }
        self.make_groups(from, update)?;
        let pair = Key::pair(from, update.to.key);
        let mut tags = match self.tags.get(&pair) {
            Some(text) => parse_tags(text),
            None => BTreeMap::<String, TagValue>::new(),
        };
        if tags.is_empty() && matches!(self.base, Base::Open { .. }) {
            self.known.entry(from).or_default().push(update.to.key);
        }
        let written = if extent == Extent::Full { update.tags.len() } else { 1 };
        tags.extend(update.tags.iter().take(written).cloned());
        // Strings and numbers always serialize.
        let text = serde_json::to_string(&tags).unwrap_or_default();
        self.tags.insert(pair, text.into());
        match extent {
            Extent::Full => {
                self.left_behind.remove(&pair);
                self.friends.entry(pair).or_default().write();
            }
            Extent::Half => drop(self.left_behind.insert(pair)),
        }
        Ok(())
    }

    fn make_groups(&mut self, from: Key, update: &Update) -> Result<(), Refusal> {
        let named: HashSet<&str> = update
            .tags
            .iter()
            .flat_map(|(_, value)| match value {
                TagValue::Groups(names) => names.as_slice(),
                TagValue::Text(_) | TagValue::Number(_) => &[],
            })
            .map(String::as_str)
            .collect();
        if named.is_empty() {
            return Ok(());
        }
        let groups = self.groups.entry(from).or_default();
        let new = named.iter().filter(|&&name| !groups.contains(name)).count();
        if groups.len() + new > MAX_GROUPS {
            return Err(Refusal::new(30011));
        }
        groups.extend(named.into_iter().map(str::to_owned));
        Ok(())
    }

    fn exists(&self, user: Key) -> bool {
        let at_first = match &self.base {
            Base::Open { seed, missing_accounts, .. } => user.fraction(*seed) >= *missing_accounts,
            Base::Listed { accounts, .. } => accounts.contains(&user),
        };
        at_first && !is_gone(&self.accounts, user)
    }

    fn lists_friend(&self, from: Key, to: Key) -> bool {
        let pair = Key::pair(from, to);
        let at_first = match &self.base {
            Base::Open { seed, missing_friends, .. } => from != to && pair.fraction(*seed) >= *missing_friends,
            Base::Listed { friends, .. } => friends.contains(&pair),
        };
        at_first
            && !is_gone(&self.friends, pair)
            && !is_gone(&self.lists, from)
            && !self.unlisted.contains(&to)
            && self.exists(from)
            && self.exists(to)
    }
}

/// The text is one that `update_friend` wrote.
fn parse_tags<T: DeserializeOwned>(text: &str) -> BTreeMap<String, T> {
    serde_json::from_str(text).unwrap_or_default()
}

fn is_gone(records: &HashMap<Key, Record>, key: Key) -> bool {
    records.get(&key).is_some_and(|record| record.gone)
}

fn touches(records: &HashMap<Key, Record>, key: Key) -> ItemCounters {
    records.get(&key).map_or_else(ItemCounters::default, |record| record.touches)
}

fn receive_all(records: &mut HashMap<Key, Record>, keys: impl IntoIterator<Item = Key>) {
    for key in keys {
        let touches = &mut records.entry(key).or_default().touches;
        touches.received = touches.received.saturating_add(1);
    }
}

fn illegal_account() -> Refusal {
    Refusal::with(ILLEGAL_ACCOUNT, "Err_SNS_Comm_Account_Illegal")
}

/// Writes the items one by one, in their order, and counts those written in full.
fn each<T>(
    items: &[T],
    id: impl Fn(&T) -> &str,
    fate: impl Fn(usize) -> Fate,
    mut write: impl FnMut(&T, Extent) -> Result<(), Refusal>,
) -> (Verdict, u64) {
    let mut written = 0;
    let results = items.iter().enumerate().map(|(index, item)| {
        let done = match fate(index) {
            Fate::Written => write(item, Extent::Full).inspect(|()| written += 1),
            Fate::Spared(refusal) => Err(refusal),
            // What can't be written at all is refused for that.
            Fate::Half(refusal) => write(item, Extent::Half).and(Err(refusal)),
        };
        done.map_or_else(|refusal| Item::refused(id(item), refusal), |()| Item::ok(id(item)))
    });
    let results = results.collect();
    (Verdict::Items(results), written)
}

#[cfg(test)]
mod tests;

//! Who came before whom: of requests in memory that share an account, the one that came first sets out first.

use std::collections::{HashMap, HashSet};

use imbulk::domain::ids::RequestId;
use imbulk::domain::request::{Key, Keys};

/// The comings and the first settings out of one session. Requests that go out again are not looked at.
#[derive(Debug, Default)]
pub(crate) struct Order {
    comings: Vec<(RequestId, Keys)>,
    parked: HashSet<RequestId>,
    set_out: HashMap<RequestId, usize>,
}

impl Order {
    /// A page brought it. It may be parked; then it is asked for later.
    pub(crate) fn comes(&mut self, id: RequestId, keys: Keys) {
        self.comings.push((id, keys));
    }

    /// It had been parked.
    pub(crate) fn was_parked(&mut self, id: RequestId) {
        self.parked.insert(id);
        self.comings.retain(|(other, _)| *other != id);
    }

    pub(crate) fn comes_back(&mut self, id: RequestId, keys: Keys) {
        self.comings.push((id, keys));
    }

    pub(crate) fn set_out(&mut self, id: RequestId) {
        let place = self.set_out.len();
        self.set_out.entry(id).or_insert(place);
    }

    /// Somebody who was overtaken.
    pub(crate) fn overtaken(&self) -> Option<String> {
        let mut latest: HashMap<Key, (usize, RequestId)> = HashMap::new();
        for (id, keys) in &self.comings {
            // What never set out may be parked still.
            let Some(place) = self.set_out.get(id).copied() else { continue };
            for key in keys.as_slice() {
                let before = latest.insert(*key, (place, *id));
                if let Some((other, earlier)) = before.filter(|(other, _)| *other > place) {
                    return Some(format!("request {id}, number {place}, before {earlier}, number {other}"));
                }
            }
        }
        None
    }
}

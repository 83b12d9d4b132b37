//! The order of requests: of the requests in memory that share an account, the one that was loaded first is sent first.

use std::collections::{HashMap, HashSet};

use imbulk::domain::ids::RequestId;
use imbulk::domain::request::{AccountKey, AccountKeys};

/// The order in which requests were loaded and first sent in one session. Retries are not checked.
#[derive(Debug, Default)]
pub(crate) struct OvertakingCheck {
    loads: Vec<(RequestId, AccountKeys)>,
    parked: HashSet<RequestId>,
    set_out: HashMap<RequestId, usize>,
}

impl OvertakingCheck {
    /// A page contained the request, or the schedule loaded it again after it was parked.
    pub(crate) fn loaded(&mut self, id: RequestId, keys: AccountKeys) {
        self.loads.push((id, keys));
    }

    /// The request was parked, so its place in the order of loading is lost.
    pub(crate) fn was_parked(&mut self, id: RequestId) {
        self.parked.insert(id);
        self.loads.retain(|(other, _)| *other != id);
    }

    pub(crate) fn set_out(&mut self, id: RequestId) {
        let place = self.set_out.len();
        self.set_out.entry(id).or_insert(place);
    }

    /// Describes a request that a later one overtook.
    pub(crate) fn overtaken(&self) -> Option<String> {
        let mut latest: HashMap<AccountKey, (usize, RequestId)> = HashMap::new();
        for (id, keys) in &self.loads {
            // A request that was never sent may still be parked.
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

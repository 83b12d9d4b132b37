//! Which accounts are being written right now, so that a second writer gets 30008.

use hashbrown::HashMap;

use crate::key::Key;

/// A call that is being processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallId(u64);

/// Whether somebody still waits for the answer of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Waiting,
    /// Hung up; the call is still processed, and its accounts are still held.
    Gone,
}

/// The accounts of all calls being processed.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    holders: HashMap<Key, CallId>,
    callers: HashMap<CallId, Caller>,
    issued: u64,
}

impl Conflicts {
    /// Takes all of `keys` or none. A call may name an account twice.
    ///
    /// # Errors
    /// The caller of the call that holds one of them; a waiting one goes before one that is gone.
    pub(crate) fn take(&mut self, keys: &[Key]) -> Result<CallId, Caller> {
        let mut met = None;
        for holder in keys.iter().filter_map(|key| self.holders.get(key)) {
            match self.callers.get(holder) {
                Some(Caller::Waiting) => return Err(Caller::Waiting),
                Some(Caller::Gone) | None => met = Some(Caller::Gone),
            }
        }
        if let Some(caller) = met {
            return Err(caller);
        }
        self.issued += 1;
        let call = CallId(self.issued);
        self.callers.insert(call, Caller::Waiting);
        self.holders.extend(keys.iter().map(|&key| (key, call)));
        Ok(call)
    }

    /// The call is done.
    pub(crate) fn release(&mut self, call: CallId, keys: &[Key]) {
        self.callers.remove(&call);
        for key in keys {
            self.holders.remove(key);
        }
    }

    /// Nobody waits for the call any more; nothing happens if it is done.
    pub(crate) fn hang_up(&mut self, call: CallId) {
        if let Some(caller) = self.callers.get_mut(&call) {
            *caller = Caller::Gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ids: &[&str]) -> Vec<Key> {
        ids.iter().map(|id| Key::account(id)).collect()
    }

    #[test]
    fn a_call_holds_all_its_accounts_or_none() {
        let mut conflicts = Conflicts::default();
        let first = conflicts.take(&keys(&["a", "b", "a"])).unwrap();
        assert_eq!(conflicts.take(&keys(&["c", "b"])), Err(Caller::Waiting));
        assert!(conflicts.take(&keys(&["c"])).is_ok(), "c was not taken");
        conflicts.release(first, &keys(&["a", "b", "a"]));
        assert!(conflicts.take(&keys(&["a", "b"])).is_ok());
    }

    #[test]
    fn a_call_whose_caller_hung_up_keeps_its_accounts_and_is_counted_apart() {
        let mut conflicts = Conflicts::default();
        let first = conflicts.take(&keys(&["a"])).unwrap();
        conflicts.hang_up(first);
        assert_eq!(conflicts.take(&keys(&["a"])), Err(Caller::Gone));
        conflicts.take(&keys(&["b"])).unwrap();
        assert_eq!(conflicts.take(&keys(&["a", "b"])), Err(Caller::Waiting));
        conflicts.release(first, &keys(&["a"]));
        conflicts.hang_up(first);
        assert_eq!(conflicts.callers.len(), 1, "only the call on b is left");
    }
}

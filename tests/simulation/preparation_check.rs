//! Whether each change was prepared: an independent reading of the answers that the runner received, written from
//! decisions 0034 and 0037. It knows neither stages nor purposes of the schedule.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use imbulk::domain::ids::RequestId;
use imbulk::domain::operation::{BackupSource, Preparation};
use imbulk::domain::request::row::RowNo;
use imbulk::domain::request::{AccountKey, AccountKeys, CallKind, Item, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::response::settlement::FollowUp;
use imbulk::domain::response::verdict::Wait;
use serde_json::Value;

use crate::checks::Invariant;
use crate::scenario::Job;
use crate::server::Call;

/// From the first byte of an online check to the first byte of the change.
const CHECK_IS_VALID: Duration = Duration::from_secs(5);
/// From the first byte of the last call of a backup to the first byte of the change.
const BACKUP_IS_VALID: Duration = Duration::from_mins(5);

type Breach = (Invariant, String);

/// A friend list, as far as it was read in one go.
#[derive(Debug, Default)]
struct ListRead {
    sequences: Option<(i64, i64)>,
    next: u64,
    friends: Vec<String>,
    is_complete: bool,
}

/// What was read for one row since the last change of its accounts.
#[derive(Debug, Default)]
struct RowRead {
    /// The accounts that the row changes.
    keys: Vec<AccountKey>,
    lists: BTreeMap<String, ListRead>,
    has_profile: bool,
    last_call: Duration,
}

/// The last answer about an account: of which row, when its question left, and whether it says offline.
#[derive(Debug, Clone, Copy)]
struct LastStatus {
    row: (usize, RowNo),
    asked: Duration,
    is_offline: bool,
}

/// What the runner of one session has received.
#[derive(Debug, Default)]
pub(crate) struct PreparationCheck {
    rows: HashMap<(usize, RowNo), RowRead>,
    statuses: HashMap<(usize, String), LastStatus>,
    /// The accounts of the requests between the first preparation and the stored result of the last call, and whether
    /// a call of theirs is in flight.
    leased: HashMap<RequestId, (AccountKeys, bool)>,
}

impl PreparationCheck {
    /// A call gets its slot: no other request holds one of its accounts.
    /// `prepares`: it is a preparation.
    pub(crate) fn begun(&mut self, id: RequestId, keys: &AccountKeys, prepares: bool) -> Result<(), Breach> {
        let shares = |other: &AccountKeys| other.as_slice().iter().any(|key| keys.as_slice().contains(key));
        let holder = self.leased.iter().find(|(other, (leased, _))| **other != id && shares(leased));
        if let Some((other, _)) = holder {
            let what = format!("request {id} is sent, and request {other} is being prepared or changed");
            return Err((Invariant::LeaseSpansPreparation, what));
        }
        self.leased.entry(id).and_modify(|(_, is_in_flight)| *is_in_flight = true);
        if prepares {
            self.leased.insert(id, (keys.clone(), true));
        }
        Ok(())
    }

    /// The result of a call is stored.
    pub(crate) fn recorded(&mut self, id: RequestId, follow_ups: &[FollowUp], keys: impl Fn(&FollowUp) -> AccountKeys) {
        self.leased.remove(&id);
        for next in follow_ups.iter().filter(|next| next.wait == Wait::Leased) {
            self.leased.insert(next.request.id, (keys(next), false));
        }
    }

    /// The job of these requests stops: those of which no call is in flight leave the memory.
    pub(crate) fn stopped(&mut self, is_of_job: impl Fn(RequestId) -> bool) {
        self.leased.retain(|id, (_, is_in_flight)| *is_in_flight || !is_of_job(*id));
    }

    /// An intent was taken back.
    pub(crate) fn withdrawn(&mut self, id: RequestId, is_stopped: bool) {
        if is_stopped {
            self.leased.remove(&id);
        }
    }

    /// The runner receives the result of a preparation.
    pub(crate) fn answered(&mut self, job: &Job, call: &Call, result: &CallResult) {
        let (CallKind::Preparation(preparation), CallResult::Body(body)) = (call.kind, result) else { return };
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return };
        // An answer that contradicts itself says nothing.
        let code = answer["ErrorCode"].as_i64().filter(|code| *code != 0 || answer["ActionStatus"] != "FAIL");
        match preparation {
            Preparation::OnlineCheck if code == Some(0) => self.online(job.app, call, &answer),
            Preparation::ReadProfiles if code == Some(0) => self.profiles(job, call, &answer),
            Preparation::ReadFriends => self.page(job, call, code, &answer),
            Preparation::OnlineCheck | Preparation::ReadProfiles => {}
        }
    }

    fn online(&mut self, app: usize, call: &Call, answer: &Value) {
        for item in &call.request.items {
            let of_item = |status: &&Value| status["To_Account"] == item.account.as_str();
            let status = answer["QueryResult"].as_array().into_iter().flatten().find(of_item);
            let is_offline = status.is_some_and(|status| status["Status"] == "Offline");
            let last = LastStatus { row: (call.job, item.row), asked: call.leaves, is_offline };
            self.statuses.insert((app, item.account.as_str().to_owned()), last);
        }
    }

    fn profiles(&mut self, job: &Job, call: &Call, answer: &Value) {
        for item in &call.request.items {
            let of_item = |profile: &&Value| profile["To_Account"] == item.account.as_str();
            let profile = answer["UserProfileItem"].as_array().into_iter().flatten().find(of_item);
            let code = profile.and_then(|profile| profile["ResultCode"].as_i64());
            let row = self.row(job, call, item);
            // An account that does not exist has nothing to read.
            row.has_profile |= matches!(code, Some(0 | 40_003));
            row.last_call = call.leaves;
        }
    }

    /// What was read for an item of the call.
    fn row(&mut self, job: &Job, call: &Call, item: &Item) -> &mut RowRead {
        let own = Request { items: vec![item.clone()], ..call.request.clone() };
        let read = self.rows.entry((call.job, item.row)).or_default();
        read.keys = job.keys(&own).as_slice().to_vec();
        read
    }

    fn page(&mut self, job: &Job, call: &Call, code: Option<i64>, answer: &Value) {
        let asked: Value = serde_json::from_slice(&call.body).expect("a body is JSON");
        let owner = asked["From_Account"].as_str().expect("a list has an owner");
        let start = asked["StartIndex"].as_u64().expect("a page begins somewhere");
        for item in &call.request.items {
            let row = self.row(job, call, item);
            row.last_call = call.leaves;
            let list = row.lists.entry(owner.to_owned()).or_default();
            match code {
                // The owner does not exist, so there is no list.
                Some(30_003) => *list = ListRead { is_complete: true, ..ListRead::default() },
                Some(0) => list.add(start, answer),
                _ => {}
            }
        }
    }

    /// The first byte of a change leaves. It uses up what was read of its accounts.
    pub(crate) fn change(&mut self, job: &Job, call: &Call) -> Result<(), Breach> {
        let own: Vec<_> = call.request.items.iter().map(|item| (call.job, item.row)).collect();
        let mut reads: HashMap<_, _> = own.into_iter().filter_map(|row| self.rows.remove_entry(&row)).collect();
        self.rows.retain(|_, read| !read.keys.iter().any(|key| call.keys.as_slice().contains(key)));
        for item in &call.request.items {
            let row = (call.job, item.row);
            let read = reads.remove(&row).unwrap_or_default();
            if job.preparations.unless_online {
                self.check_status(job.app, (row, item.account.as_str()), call.leaves)?;
            }
            let from = call.request.from.as_ref().unwrap_or(&item.account).as_str();
            let missing = match job.preparations.backup {
                Some(BackupSource::Profiles) if !read.has_profile => Some("its profile".to_owned()),
                Some(BackupSource::Profiles) if job.preparations.with_friends => read.missing(from, None),
                Some(BackupSource::Profiles) | None => None,
                Some(BackupSource::Friends) => read.missing_friends(job, from, item.account.as_str()),
            };
            if let Some(missing) = missing {
                let what = format!("row {row:?} is changed, and {missing} was not read completely");
                return Err((Invariant::BackupIsComplete, what));
            }
            if job.preparations.backup.is_some() && call.leaves > read.last_call + BACKUP_IS_VALID {
                let age = call.leaves.saturating_sub(read.last_call);
                return Err((Invariant::BackupIsFresh, format!("row {row:?} is changed {age:?} after its backup")));
            }
        }
        Ok(())
    }

    fn check_status(&self, app: usize, (row, account): ((usize, RowNo), &str), leaves: Duration) -> Result<(), Breach> {
        let last = self.statuses.get(&(app, account.to_owned())).filter(|last| last.row == row);
        let Some(last) = last else {
            return Err((Invariant::OnlineCheckIsFresh, format!("row {row:?} is deleted without an online check")));
        };
        if !last.is_offline {
            return Err((Invariant::OnlineIsKept, format!("row {row:?} is deleted, and was not offline when asked")));
        }
        if leaves > last.asked + CHECK_IS_VALID {
            let age = leaves.saturating_sub(last.asked);
            return Err((Invariant::OnlineCheckIsFresh, format!("row {row:?} is deleted {age:?} after its check")));
        }
        Ok(())
    }
}

impl ListRead {
    /// Adds a page. A page that does not continue the list shows its own friends, and the list is not complete.
    fn add(&mut self, start: u64, answer: &Value) {
        let sequences = (answer["StandardSequence"].as_i64(), answer["CustomSequence"].as_i64());
        let sequences = (sequences.0.unwrap_or(-1), sequences.1.unwrap_or(-1));
        if start == 0 {
            *self = Self { sequences: Some(sequences), ..Self::default() };
        }
        let continues = self.sequences == Some(sequences) && self.next == start;
        if !continues {
            *self = Self::default();
        }
        let ids = answer["UserDataItem"].as_array().into_iter().flatten();
        self.friends.extend(ids.filter_map(|friend| friend["To_Account"].as_str().map(str::to_owned)));
        self.next = answer["NextStartIndex"].as_u64().unwrap_or(0);
        let is_last = answer["CompleteFlag"] == 1;
        self.is_complete = continues && is_last && answer["FriendNum"].as_u64() == Some(self.friends.len() as u64);
    }
}

impl RowRead {
    /// The list of this owner, if it was not read completely, or up to the friend who is looked for.
    fn missing(&self, owner: &str, looked_for: Option<&str>) -> Option<String> {
        let is_enough = |list: &ListRead| {
            list.is_complete || looked_for.is_some_and(|id| list.friends.iter().any(|friend| friend == id))
        };
        let is_read = self.lists.get(owner).is_some_and(is_enough);
        (!is_read).then(|| format!("the list of {owner}"))
    }

    fn missing_friends(&self, job: &Job, from: &str, account: &str) -> Option<String> {
        if let Some(missing) = self.missing(from, None) {
            return Some(missing);
        }
        if !job.operation.deletes_both_sides() {
            return None;
        }
        let whole: Vec<&str> = self.lists[from].friends.iter().map(String::as_str).collect();
        let friends = if job.operation.shape.from.is_some() { vec![account] } else { whole };
        let distinct: HashSet<&str> = friends.into_iter().collect();
        distinct.into_iter().find_map(|friend| self.missing(friend, Some(from)))
    }
}

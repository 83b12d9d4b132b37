//! Preparations: a change leaves soon after its online check, under the same lease, or the check is made again.

use std::collections::HashSet;
use std::time::Duration;

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::RequestId;
use imbulk::domain::operation::{BackupSource, Preparation, Preparations};
use imbulk::domain::request::{CallKind, Item, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::schedule::{Action, Event, Schedule, ScheduleTime, ScheduledJob};
use imbulk_fixtures::operations::bound;

use crate::directed::scheduled_job;
use crate::scenario::{MS, id, request};

const CHECK: CallKind = CallKind::Preparation(Preparation::OnlineCheck);

/// A schedule of account_delete with online checks, and what it does with the queue.
struct Checked {
    schedule: Schedule,
    now: ScheduleTime,
    /// Calls that may leave: request, kind, and the last moment.
    calls: Vec<(RequestId, CallKind, Option<ScheduleTime>)>,
}

impl Checked {
    fn new(requests: Vec<Request>) -> Self {
        Self::prepared_by(Preparations { unless_online: true, ..Preparations::default() }, requests)
    }

    fn prepared_by(preparations: Preparations, requests: Vec<Request>) -> Self {
        Self::in_flight(None, preparations, requests)
    }

    /// With at most this number of requests in flight.
    fn in_flight(max_in_flight: Option<usize>, preparations: Preparations, requests: Vec<Request>) -> Self {
        let tally = [(Outcome::Pending, requests.len() as u64)].into_iter().collect();
        let operation = bound("account_delete");
        let job = ScheduledJob { operation, preparations, tally, max_in_flight, ..scheduled_job("single", None) };
        let mut checked = Self { schedule: Schedule::new(vec![job], 1), now: ScheduleTime::START, calls: Vec::new() };
        checked.handle(Event::Page { job: 0, requests });
        checked
    }

    /// Handles an event. The queue makes every change at once.
    fn handle(&mut self, event: Event) {
        for action in self.schedule.handle(self.now, event) {
            match action {
                Action::Commit { change: Change::Intend(ids) | Change::IntendToRead(ids), .. } => {
                    self.handle(Event::Changed(Changed::Intended(ids)));
                }
                Action::Commit { change: Change::Withdraw(id), .. } => {
                    self.handle(Event::Changed(Changed::Withdrawn(id)));
                }
                Action::Commit { change: Change::Record { settlement, .. }, .. } => {
                    let (request, mut follow_ups) = (settlement.request, settlement.follow_ups);
                    let others = follow_ups.iter_mut().skip(1).zip(1..);
                    others.for_each(|(next, number)| next.request.id = RequestId::new(request.get() * 100 + number));
                    self.handle(Event::Changed(Changed::Recorded { request, follow_ups }));
                }
                Action::Send(call) => self.calls.push((call.request, call.kind, call.not_after)),
                _ => {}
            }
        }
    }

    /// The next call leaves and is answered with this body.
    fn answer(&mut self, body: &str) -> CallKind {
        let (request, kind, _) = self.calls.remove(0);
        self.handle(Event::Sent(request));
        self.now += MS * 50;
        let result = CallResult::Body(body.as_bytes().to_vec());
        self.handle(Event::Replied { request, result, generation: 0 });
        kind
    }

    fn next(&self) -> (RequestId, CallKind) {
        (self.calls[0].0, self.calls[0].1)
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.handle(Event::Tick);
    }
}

fn delete(number: i64, accounts: &[u32]) -> Request {
    let item = |account: &u32| Item { account: id(account), row: u64::from(*account), updates: None };
    request(number, None, accounts.iter().map(item).collect())
}

const OFFLINE: &str = r#"{"ErrorCode":0,"QueryResult":[{"To_Account":"u1","Status":"Offline"}]}"#;
const DELETED: &str = r#"{"ErrorCode":0,"ResultItem":[{"UserID":"u1","ResultCode":0}]}"#;
const BUSY: &str = r#"{"ErrorCode":70500,"ErrorInfo":"busy"}"#;

#[test]
#[should_panic(expected = "a preparation allows one call")]
fn no_call_that_a_preparation_allows_is_dropped() {
    let mut checked = Checked::new(vec![delete(1, &[1])]);
    let (request, ..) = checked.calls.remove(0);
    checked.handle(Event::Sent(request));
    let result = CallResult::Body(OFFLINE.as_bytes().to_vec());
    let actions = checked.schedule.handle(checked.now, Event::Replied { request, result, generation: 0 });
    let allowed = actions.into_iter().find_map(|action| match action {
        Action::Commit { change: Change::Record { settlement, .. }, .. } => Some(settlement.follow_ups),
        _ => None,
    });
    let mut follow_ups = allowed.expect("the change");
    follow_ups.extend(follow_ups.clone());
    checked.handle(Event::Changed(Changed::Recorded { request, follow_ups }));
}

#[test]
fn a_change_follows_its_check_before_other_checks_and_within_5_seconds() {
    let requests = (1..=100).map(|number| delete(number, &[u32::try_from(number).expect("few")])).collect();
    let mut checked = Checked::new(requests);
    // Intents are stored a quarter of the places at a time.
    let offline = |number: i64| OFFLINE.replace("u1", &format!("u{number}"));
    (1..=10).for_each(|number| assert_eq!(checked.answer(&offline(number)), CHECK));
    let changes: Vec<_> = checked.calls.iter().filter(|(_, kind, _)| *kind == CallKind::Change).collect();
    assert!(changes.len() >= 9, "the places that are free are for changes: {changes:?}");
    assert!(changes.is_sorted_by_key(|(request, ..)| *request), "the oldest check first: {changes:?}");
    for (request, _, not_after) in changes {
        // Its check left at 50 ms for each check before it. Connecting takes 2 s at most.
        let checked_at = ScheduleTime::START + MS * 50 * (u32::try_from(request.get()).expect("few") - 1);
        assert!(not_after.is_some_and(|end| end <= checked_at + Duration::from_secs(3)), "{not_after:?}");
    }
}

#[test]
fn no_other_request_writes_the_account_between_check_and_change() {
    let mut checked = Checked::new(vec![delete(1, &[1, 2]), delete(2, &[2])]);
    let both = OFFLINE.replace("[{", r#"[{"To_Account":"u2","Status":"Offline"},{"#);
    assert_eq!(checked.answer(&both), CHECK);
    assert_eq!(checked.calls.len(), 1, "request 2 waits for account 2");
    assert_eq!(checked.next(), (RequestId::new(1), CallKind::Change));
}

#[test]
fn a_change_that_got_no_slot_in_time_asks_again() {
    let mut checked = Checked::new(vec![delete(1, &[1])]);
    checked.answer(OFFLINE);
    let (request, kind, end) = checked.calls.remove(0);
    assert_eq!(kind, CallKind::Change);
    checked.now = end.expect("a last moment") + MS;
    checked.handle(Event::HeldBack(request));
    assert_eq!(checked.next(), (request, CHECK));
}

#[test]
fn after_a_pause_the_account_is_asked_again() {
    for (pause, wanted) in [(Duration::from_secs(1), CallKind::Change), (Duration::from_secs(6), CHECK)] {
        let mut checked = Checked::new(vec![delete(1, &[1])]);
        checked.answer(OFFLINE);
        let (request, _, _) = checked.calls.remove(0);
        checked.handle(Event::Pause(0));
        checked.handle(Event::HeldBack(request));
        assert!(checked.calls.is_empty());
        checked.later(pause);
        checked.handle(Event::Resume(0));
        assert_eq!(checked.next(), (request, wanted), "after {pause:?}");
    }
}

const PROFILES: &str = r#"{"ErrorCode":0,"UserProfileItem":[{"To_Account":"u1","ProfileItem":[],"ResultCode":0}]}"#;
const READ: CallKind = CallKind::Preparation(Preparation::ReadProfiles);

fn with_backup(unless_online: bool) -> Preparations {
    Preparations { unless_online, backup: Some(BackupSource::Profiles), ..Preparations::default() }
}

#[test]
fn a_server_that_works_at_the_second_attempt_is_no_outage() {
    // A full page of the queue, so that the schedule does not know whether more requests follow.
    let requests: Vec<Request> =
        (1..=256).map(|number| delete(number, &[u32::try_from(number).expect("few")])).collect();
    let all = requests.len();
    let mut checked =
        Checked::in_flight(Some(1), Preparations { unless_online: true, ..Preparations::default() }, requests);
    let (mut busy, mut deleted) = (HashSet::new(), 0);
    while deleted < all {
        let Some(&(request, kind, _)) = checked.calls.first() else {
            checked.later(MS * 50);
            continue;
        };
        let user = format!("u{request}");
        let body = match kind {
            CHECK => OFFLINE,
            _ if request.get() % 4 == 0 && busy.insert(request) => BUSY,
            _ => {
                deleted += 1;
                DELETED
            }
        };
        checked.answer(&body.replace("u1", &user));
        let outage = checked.schedule.outage(0, checked.now);
        assert!(outage.is_none(), "after {deleted} deletions: {outage:?}");
    }
}

#[test]
fn a_change_that_gets_no_slot_within_five_minutes_reads_its_backup_again() {
    let mut checked = Checked::prepared_by(with_backup(false), vec![delete(1, &[1])]);
    assert_eq!(checked.answer(PROFILES), READ);
    let (request, kind, end) = checked.calls.remove(0);
    let end = end.expect("a last moment");
    // The backup was read at the start, and connecting may take 3 s.
    assert!(kind == CallKind::Change && end <= ScheduleTime::START + Duration::from_secs(297), "{kind:?} {end:?}");
    checked.now = end + MS;
    checked.handle(Event::HeldBack(request));
    assert_eq!(checked.next(), (request, READ));
}

#[test]
fn a_preparation_that_is_made_again_keeps_the_lease_and_what_was_read_before_it() {
    let mut checked = Checked::prepared_by(with_backup(true), vec![delete(1, &[1]), delete(2, &[1])]);
    assert_eq!(checked.answer(PROFILES), READ);
    assert_eq!(checked.answer(BUSY), CHECK);
    assert!(checked.calls.is_empty(), "request 2 waits for account 1: {:?}", checked.calls);
    checked.later(Duration::from_mins(1));
    assert_eq!(checked.calls.len(), 1);
    assert_eq!(checked.answer(OFFLINE), CHECK);
    assert_eq!(checked.next(), (RequestId::new(1), CallKind::Change));
}

#[test]
fn a_preparation_of_a_part_of_a_request_begins_with_the_backup() {
    let both = PROFILES.replace("[{", r#"[{"To_Account":"u2","ProfileItem":[],"ResultCode":0},{"#);
    let one_is_busy = OFFLINE.replace("]}", r#"],"ErrorList":[{"To_Account":"u2","ErrorCode":70500}]}"#);
    let mut checked = Checked::prepared_by(with_backup(true), vec![delete(1, &[1, 2])]);
    assert_eq!((checked.answer(&both), checked.answer(&one_is_busy)), (READ, CHECK));
    assert_eq!(checked.answer(DELETED), CallKind::Change);
    checked.later(Duration::from_mins(1));
    assert_eq!(checked.next(), (RequestId::new(101), READ), "others may have changed account 2 since it was read");
}

#[test]
fn after_a_long_pause_the_backup_is_read_again() {
    for unless_online in [false, true] {
        for (pause, is_read_again) in [(Duration::from_mins(4), false), (Duration::from_hours(3), true)] {
            let mut checked = Checked::prepared_by(with_backup(unless_online), vec![delete(1, &[1])]);
            assert_eq!(checked.answer(PROFILES), READ);
            let after_backup = if unless_online { CHECK } else { CallKind::Change };
            assert_eq!(checked.next().1, after_backup);
            let (request, ..) = checked.calls.remove(0);
            checked.handle(Event::Pause(0));
            checked.handle(Event::HeldBack(request));
            checked.later(pause);
            checked.handle(Event::Resume(0));
            let wanted = if is_read_again { READ } else { after_backup };
            assert_eq!(checked.next(), (request, wanted), "after {pause:?}, online check: {unless_online}");
            // It is read once more, not for ever.
            if is_read_again {
                checked.answer(PROFILES);
                assert_eq!(checked.next(), (request, after_backup));
            }
        }
    }
}

#[test]
fn before_a_change_is_repeated_the_account_is_asked_again_and_attempts_add_up() {
    let mut checked = Checked::new(vec![delete(1, &[1])]);
    let mut kinds = Vec::new();
    for _ in 0..40 {
        if checked.calls.is_empty() {
            checked.later(Duration::from_mins(1));
        } else {
            let body = if checked.next().1 == CHECK { OFFLINE } else { BUSY };
            kinds.push(checked.answer(body));
        }
    }
    // `max_attempts` is 3. A code that allows an effect is looked up at the end.
    let check_and_change = [CHECK, CallKind::Change];
    assert_eq!(kinds[..6], check_and_change.repeat(3)[..]);
    assert!(kinds[6..].iter().all(|kind| *kind == CallKind::Lookup), "{kinds:?}");
}

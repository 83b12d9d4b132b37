//! Batches of commits: intents are committed a quarter of the ready requests at a time, and an outcome is urgent only
//! if something waits for it.

use std::ops::RangeInclusive;

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::RequestId;
use imbulk::domain::request::Request;
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::schedule::{Action, Event, Schedule, ScheduleTime, ScheduledJob, StopReason, StopSignal};

use crate::directed::{friend, scheduled_job};

/// Requests that delete one friend each, at 200 calls per second. None of them has been sent.
fn schedule(width: Option<usize>, requests: Vec<Request>) -> (Schedule, Vec<RequestId>) {
    let tally = [(Outcome::Pending, requests.len() as u64)].into_iter().collect();
    let job = ScheduledJob { tally, ..scheduled_job("single", width) };
    let mut schedule = Schedule::new(vec![job], 1);
    let intents = intents(schedule.handle(ScheduleTime::START, Event::Page { job: 0, requests }));
    (schedule, intents)
}

fn intents(actions: Vec<Action>) -> Vec<RequestId> {
    let ids = actions.into_iter().filter_map(|action| match action {
        Action::Commit { change: Change::Intend(ids), .. } => Some(ids),
        _ => None,
    });
    ids.flatten().collect()
}

fn sent(schedule: &mut Schedule, request: RequestId) -> Vec<RequestId> {
    intents(schedule.handle(ScheduleTime::START, Event::Sent(request)))
}

/// Whether the commit of this answer is urgent. The friend of request n is account n − 1.
fn is_urgent(schedule: &mut Schedule, request: RequestId, code: i64) -> bool {
    let friend = request.previous();
    let body =
        format!(r#"{{"ErrorCode":0,"ResultItem":[{{"To_Account":"u{friend}","ResultCode":{code},"ResultInfo":""}}]}}"#);
    let event = Event::Replied { request, result: CallResult::Body(body.into()), generation: 0 };
    let actions = schedule.handle(ScheduleTime::START, event);
    let urgent = actions.iter().find_map(|action| match action {
        Action::Commit { change: Change::Record { .. }, urgent } => Some(*urgent),
        _ => None,
    });
    urgent.unwrap_or_else(|| panic!("{actions:?}"))
}

fn ids(numbers: RangeInclusive<i64>) -> Vec<RequestId> {
    numbers.map(RequestId::new).collect()
}

/// A schedule with all requests in flight.
fn all_sent(width: Option<usize>, requests: Vec<Request>) -> Schedule {
    let (mut schedule, mut ids) = schedule(width, requests);
    let _ = schedule.handle(ScheduleTime::START, Event::Changed(Changed::Intended(ids.clone())));
    while let Some(id) = ids.pop() {
        sent(&mut schedule, id);
    }
    schedule
}

fn strangers(requests: u32) -> Vec<Request> {
    (0..requests).map(|number| friend(number, &format!("a{number}"))).collect()
}

#[test]
fn intents_are_committed_a_quarter_of_the_ready_requests_at_a_time() {
    // At 200 calls per second, the requests of 200 ms are made ready.
    let (mut schedule, first) = schedule(None, strangers(100));
    assert_eq!(first, ids(1..=40));
    let _ = schedule.handle(ScheduleTime::START, Event::Changed(Changed::Intended(first)));
    let later: Vec<_> = (1..=20).map(|id| sent(&mut schedule, RequestId::new(id))).collect();
    for (calls, intents) in (1..).zip(later) {
        let wanted: Vec<RequestId> = match calls {
            10 => ids(41..=50),
            20 => ids(51..=60),
            _ => Vec::new(),
        };
        assert_eq!(intents, wanted, "after {calls} calls");
    }
}

#[test]
fn a_plain_success_that_nothing_waits_for_is_not_urgent_but_the_last_one_is() {
    let mut schedule = all_sent(None, strangers(3));
    assert!(!is_urgent(&mut schedule, RequestId::new(1), 0));
    assert!(!is_urgent(&mut schedule, RequestId::new(3), 0));
    assert!(is_urgent(&mut schedule, RequestId::new(2), 0), "the end of the run waits for it");
}

#[test]
fn already_done_is_no_more_urgent_than_succeeded() {
    let mut schedule = all_sent(None, strangers(3));
    assert!(!is_urgent(&mut schedule, RequestId::new(1), 31_704));
}

#[test]
fn failures_and_retries_are_urgent() {
    let mut schedule = all_sent(None, strangers(3));
    assert!(is_urgent(&mut schedule, RequestId::new(1), 30_001), "it failed");
    assert!(is_urgent(&mut schedule, RequestId::new(2), 30_006), "it is sent again");
}

#[test]
fn an_outcome_is_urgent_if_a_request_waits_for_its_account_or_for_max_in_flight() {
    let requests = vec![friend(0, "a"), friend(1, "a"), friend(2, "b"), friend(3, "c"), friend(4, "c")];
    let mut schedule = all_sent(None, requests.clone());
    assert!(is_urgent(&mut schedule, RequestId::new(1), 0), "request 2 waits for account a");
    assert!(!is_urgent(&mut schedule, RequestId::new(3), 0), "no request waits for account b");
    let mut narrow = all_sent(Some(2), requests);
    assert!(is_urgent(&mut narrow, RequestId::new(3), 0), "two are in flight, and no more may be");
}

#[test]
fn while_a_run_stops_all_outcomes_are_urgent() {
    let mut schedule = all_sent(None, strangers(3));
    let _ = schedule.handle(ScheduleTime::START, Event::Stop(StopReason::Signal(StopSignal::Terminate)));
    assert!(is_urgent(&mut schedule, RequestId::new(1), 0));
}

//! An item limit keeps back what a killed session left in flight.

use std::collections::VecDeque;

use imbulk::domain::change::Change;
use imbulk::domain::ids::RequestId;
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::schedule::{Action, Event, Schedule, ScheduleTime, ScheduledJob};

use crate::directed::{friend, scenario_with, scheduled_job};
use crate::queue::Queue;
use crate::scenario::{FaultModel, MS};

/// A session that begins after a kill. Its queue makes every change at once.
struct SessionAfterKill {
    schedule: Schedule,
    queue: Queue,
    now: ScheduleTime,
    /// Calls that may leave.
    calls: VecDeque<RequestId>,
    sent: Vec<RequestId>,
}

impl SessionAfterKill {
    fn handle(&mut self, event: Event) {
        for action in self.schedule.handle(self.now, event) {
            match action {
                Action::Fetch { job, after, limit } => {
                    let requests = self.queue.page(job, after, self.queue.last(), limit);
                    self.handle(Event::Page { job, requests });
                }
                Action::Commit { change, .. } => {
                    let changed = self.queue.write(change).expect("a change that fits").changed;
                    self.handle(Event::Changed(changed));
                }
                Action::Send(call) => self.calls.push_back(call.request),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next call leaves, and the friend is deleted. The friend of request n is account n − 1.
    fn call(&mut self, request: RequestId) {
        self.sent.push(request);
        self.handle(Event::Sent(request));
        self.now += MS * 50;
        self.handle(Event::Tick);
        let friend = request.previous();
        let body =
            format!(r#"{{"ErrorCode":0,"ResultItem":[{{"To_Account":"u{friend}","ResultCode":0,"ResultInfo":""}}]}}"#);
        self.handle(Event::Replied { request, result: CallResult::Body(body.into()), generation: 0 });
    }
}

#[test]
fn a_later_page_does_not_bring_a_request_that_was_in_flight_at_a_kill() {
    let requests = (0..600).map(|number| friend(number, &format!("a{number}"))).collect();
    let mut queue = Queue::new(&scenario_with("friend_delete", 200, requests, FaultModel::HEALTHY).jobs);
    // Requests with lower numbers waited for a busy account when the process was killed.
    let in_flight = RequestId::new(550);
    queue.write(Change::Intend(vec![in_flight])).expect("it is pending");
    let recovered = queue.recover();
    let job = ScheduledJob { tally: queue.tallies[0], ..scheduled_job("single", None) };
    let (schedule, now) = (Schedule::new(vec![job.clone()], 1), ScheduleTime::START);
    let mut session = SessionAfterKill { schedule, queue, now, calls: VecDeque::new(), sent: Vec::new() };
    for stored in recovered {
        let keys = job.operation.keys(&stored.request).in_app(job.sdkappid);
        session.handle(Event::Recovered { job: None, request: stored.request, keys });
    }
    session.handle(Event::Tick);
    while let Some(request) = session.calls.pop_front() {
        session.call(request);
    }
    assert_eq!((session.sent.len(), session.sent.contains(&in_flight)), (599, false));
    let pending = session.queue.page(0, RequestId::BEFORE_FIRST, session.queue.last(), 600);
    assert_eq!(pending.iter().map(|request| request.id).collect::<Vec<_>>(), [in_flight], "the next session sends it");
}

//! Schedulers with a planted bug. The check of the violated invariant must find it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::RequestId;
use imbulk::domain::operation::{BoundOperation, Operation, Preparations, by_name};
use imbulk::domain::request::CallKind;
use imbulk::domain::request::account::UserId;
use imbulk::domain::request::{AccountKeys, Doubt, Purpose, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::settlement::Settlement;
use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::{Action, CallToSend, End, Event, Schedule, ScheduleTime, ScheduledJob, StopReason};

use crate::checks::Invariant;
use crate::directed::crowd;
use crate::outages::outage;
use crate::scenario::{OutageKind, Scenario};
use crate::scheduler_under_test::SchedulerUnderTest;
use crate::world::simulate;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlantedBug {
    /// No request leases its accounts.
    LeasesNothing,
    /// All requests share one lease.
    LeasesEverything,
    /// Treats a missing answer as an error of the server, so the accounts are released at once.
    TakesSilenceForAnAnswer,
    SendsBeforeTheIntent,
    SendsAgainAfterTheOutcome,
    ForgetsAnItem,
    CountsTwice,
    AllowsMoreAttempts,
    NeverHoldsBack,
    CallsFailureSuccess,
    ForgetsDoubt,
    LosesAParkedRequest,
    WakesAtOnce,
    FetchesEverything,
    /// Charges the retry of a failure like the retry of a conflict.
    PaysTooLittle,
    /// The clock runs three times as fast.
    RunsAFastClock,
    /// Attempts count during an outage.
    ChargesInAnOutage,
    /// Does not notice that the server works again.
    NeverRecovers,
    /// Sends all requests without waiting for the canary.
    SkipsTheCanary,
    /// Reverses the order of the requests in a page.
    ReversesPages,
    /// Ends the session when the first job stops.
    EndsWithTheFirstHalt,
    /// In a later session, it makes changes without their preparations.
    TrustsEarlierSessions,
    /// Does not withdraw a change that gets its slot too late after its preparation.
    SendsLate,
    /// Its clock does not run while a job is paused.
    ForgetsPauses,
    /// Takes online accounts for offline ones.
    DeletesWhoIsOnline,
    /// Takes the first page of a list for the whole list.
    ReadsOnePage,
    /// A job with preparations leases nothing.
    PreparesWithoutALease,
    /// The stored number of calls lacks a preparation.
    DoesNotCountAPreparation,
}

struct BuggyScheduler {
    bug: PlantedBug,
    schedule: Schedule,
    now: Duration,
    tally: Tally,
    max_attempts: u32,
    jobs: usize,
    /// How long jobs were paused, and since when one is.
    paused: Duration,
    paused_since: Option<Duration>,
}

/// The same operation with other keys. Each call leaks a small value, which is acceptable in a test.
fn relabelled(operation: BoundOperation, writes: fn(BoundOperation, &Request) -> AccountKeys) -> BoundOperation {
    let options = operation.options().map(|(option, value)| (option.name.to_owned(), value.name.to_owned())).collect();
    let original = by_name(operation.name).expect("an operation");
    let relabelled: &'static Operation = Box::leak(Box::new(Operation { writes, ..*original }));
    relabelled.bind(&options).expect("the same options")
}

fn send(request: RequestId) -> Action {
    let (kind, body) = (CallKind::Change, Vec::new());
    Action::Send(CallToSend { job: 0, request, items: 1, number: 1, kind, body, not_after: None })
}

impl BuggyScheduler {
    fn new(bug: PlantedBug, mut jobs: Vec<ScheduledJob>, seed: u64) -> Self {
        for job in &mut jobs {
            match bug {
                PlantedBug::LeasesNothing => {
                    let keys = |_: BoundOperation, request: &Request| only(&request.id.to_string());
                    job.operation = relabelled(job.operation, keys);
                }
                PlantedBug::PreparesWithoutALease if job.preparations != Preparations::default() => {
                    job.operation = relabelled(job.operation, |_, request| only(&request.id.to_string()));
                }
                PlantedBug::TrustsEarlierSessions if job.ended_items > 0 => {
                    job.preparations = Preparations::default();
                }
                PlantedBug::LeasesEverything => {
                    job.operation = relabelled(job.operation, |_, _| only("everything"));
                }
                PlantedBug::SkipsTheCanary => job.canary = 0,
                PlantedBug::AllowsMoreAttempts => job.retry.max_attempts = job.retry.max_attempts.saturating_add(2),
                _ => {}
            }
        }
        let max_attempts = jobs.iter().map(|job| job.retry.max_attempts.get()).min().unwrap_or(1);
        let number_of_jobs = jobs.len();
        let schedule = Schedule::new(jobs, seed);
        let (now, paused) = (Duration::ZERO, Duration::ZERO);
        let tally = Tally::default();
        Self { bug, schedule, now, tally, max_attempts, jobs: number_of_jobs, paused, paused_since: None }
    }

    fn jobs(&self) -> std::ops::Range<usize> {
        0..self.jobs
    }

    fn any_outage(&self) -> bool {
        self.jobs().any(|job| self.probes(job).is_some())
    }

    fn clock_factor(&self) -> u32 {
        if self.bug == PlantedBug::RunsAFastClock { 3 } else { 1 }
    }

    fn altered_event(&mut self, event: Event) -> Event {
        match (self.bug, event) {
            (
                PlantedBug::TakesSilenceForAnAnswer,
                Event::Replied { request, result: CallResult::NoAnswer(_), generation },
            ) => {
                let result = CallResult::Body(r#"{"ErrorCode":30006}"#.into());
                Event::Replied { request, result, generation }
            }
            (PlantedBug::PaysTooLittle, Event::Replied { request, result: CallResult::Body(body), generation }) => {
                let conflict = std::str::from_utf8(&body).expect("JSON").replace("70500", "30008");
                Event::Replied { request, result: CallResult::Body(conflict.into_bytes()), generation }
            }
            (PlantedBug::NeverRecovers, Event::Replied { request, result: CallResult::Body(_), generation })
                if self.any_outage() =>
            {
                let result = CallResult::Body(r#"{"ErrorCode":70500}"#.into());
                Event::Replied { request, result, generation }
            }
            (
                PlantedBug::DeletesWhoIsOnline,
                Event::Replied { request, result: CallResult::Body(body), generation },
            ) => {
                let offline = String::from_utf8_lossy(&body).replace(r#""Online""#, r#""Offline""#);
                Event::Replied { request, result: CallResult::Body(offline.into_bytes()), generation }
            }
            (PlantedBug::ReadsOnePage, Event::Replied { request, result: CallResult::Body(body), generation }) => {
                Event::Replied { request, result: CallResult::Body(only_page(body)), generation }
            }
            (PlantedBug::ReversesPages, Event::Page { job, mut requests }) => {
                requests.reverse();
                Event::Page { job, requests }
            }
            // The keys must be those of the buggy scheduler.
            (PlantedBug::LeasesNothing | PlantedBug::LeasesEverything, Event::Recovered { job, request, .. }) => {
                let keys = only(&format!("recovered {}", request.id));
                Event::Recovered { job, request, keys }
            }
            (_, event) => event,
        }
    }

    fn altered_settlement(&self, mut settlement: Settlement) -> Settlement {
        match self.bug {
            PlantedBug::ForgetsAnItem => {
                settlement.ended.last_mut().map(|ended| ended.items.pop());
            }
            PlantedBug::CallsFailureSuccess => {
                settlement.ended.iter_mut().for_each(|ended| ended.result.outcome = Outcome::Succeeded);
            }
            PlantedBug::DoesNotCountAPreparation
                if matches!(settlement.purpose, Purpose::Prepare(_) | Purpose::Backup(_)) && settlement.calls > 1 =>
            {
                settlement.calls -= 1;
            }
            PlantedBug::ForgetsDoubt => {
                settlement.follow_ups.iter_mut().for_each(|follow_up| follow_up.request.doubt = Doubt::None);
            }
            PlantedBug::ChargesInAnOutage if self.any_outage() => {
                for follow_up in &mut settlement.follow_ups {
                    follow_up.request.charged = (follow_up.request.charged + 1).min(self.max_attempts - 1);
                }
            }
            _ => {}
        }
        settlement
    }

    fn altered_actions(&mut self, action: Action) -> Vec<Action> {
        match (self.bug, action) {
            (PlantedBug::SendsBeforeTheIntent, Action::Commit { change: Change::Intend(ids), urgent }) => {
                let early = ids.iter().map(|id| send(*id));
                early.chain([Action::Commit { change: Change::Intend(ids.clone()), urgent }]).collect()
            }
            (_, Action::Commit { change: Change::Record { run, settlement }, urgent }) => {
                let settlement = self.altered_settlement(settlement);
                vec![Action::Commit { change: Change::Record { run, settlement }, urgent }]
            }
            (PlantedBug::NeverHoldsBack, Action::HoldBack(_))
            | (PlantedBug::LosesAParkedRequest, Action::ReadParked { .. }) => vec![],
            (PlantedBug::SendsLate, Action::Send(call)) => vec![Action::Send(CallToSend { not_after: None, ..call })],
            (PlantedBug::ForgetsPauses, Action::Send(call)) => {
                let not_after = call.not_after.map(|end| end + self.paused);
                vec![Action::Send(CallToSend { not_after, ..call })]
            }
            (PlantedBug::FetchesEverything, Action::Fetch { job, after, .. }) => {
                vec![Action::Fetch { job, after, limit: u32::MAX }]
            }
            (_, action) => vec![action],
        }
    }
}

impl SchedulerUnderTest for BuggyScheduler {
    fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        self.now = now;
        let over = match &event {
            Event::Changed(Changed::Recorded { request, follow_ups }) if follow_ups.is_empty() => Some(*request),
            _ => None,
        };
        let event = self.altered_event(event);
        match &event {
            Event::Pause(_) => self.paused_since = self.paused_since.or(Some(now)),
            Event::Resume(_) if self.bug == PlantedBug::ForgetsPauses => {
                self.paused += self.paused_since.take().map_or(Duration::ZERO, |since| now.saturating_sub(since));
            }
            _ => {}
        }
        let own = now.saturating_sub(self.paused) * self.clock_factor();
        let actions = self.schedule.handle(ScheduleTime::after_start(own), event);
        let mut actions: Vec<Action> = actions.into_iter().flat_map(|action| self.altered_actions(action)).collect();
        if let (PlantedBug::SendsAgainAfterTheOutcome, Some(request)) = (self.bug, over) {
            actions.push(send(request));
        }
        if self.bug == PlantedBug::CountsTwice && over.is_some() {
            self.tally = [(Outcome::Succeeded, 1)].into_iter().collect();
        }
        actions
    }

    fn wake_at(&self) -> Option<Duration> {
        let due = self.schedule.wake_at().map(ScheduleTime::since_start);
        match self.bug {
            PlantedBug::WakesAtOnce => due.map(|_| self.now),
            _ => due.map(|due| (due + Duration::from_nanos(2)) / self.clock_factor() + self.paused),
        }
    }

    fn ends(&self) -> Option<Vec<End>> {
        let mut stops = self.jobs().map(|job| self.schedule.stop_of(job));
        if self.bug == PlantedBug::EndsWithTheFirstHalt && stops.any(|stop| stop.is_some()) {
            let end = |job| self.schedule.stop_of(job).map_or(End::Complete, |reason| End::Stopped(reason.clone()));
            return Some(self.jobs().map(end).collect());
        }
        SchedulerUnderTest::ends(&self.schedule)
    }

    fn stop_of(&self, job: usize) -> Option<&StopReason> {
        self.schedule.stop_of(job)
    }

    fn probes(&self, job: usize) -> Option<u32> {
        self.schedule.outage(self.schedule.app_of(job), ScheduleTime::after_start(self.now)).map(|outage| outage.probes)
    }

    fn tally(&self, job: usize) -> &Tally {
        if self.tally.total() > 0 { &self.tally } else { self.schedule.tally(job) }
    }
}

/// The invariants that scenarios under a buggy scheduler break first.
fn broken_by(bug: PlantedBug, scenarios: impl IntoIterator<Item = Scenario>) -> impl Iterator<Item = Invariant> {
    let make_scheduler =
        move |jobs, seed| Box::new(BuggyScheduler::new(bug, jobs, seed)) as Box<dyn SchedulerUnderTest>;
    // Assertions in the schedule find some of the bugs before a check does.
    let violations = scenarios
        .into_iter()
        .filter_map(move |scenario| catch_unwind(AssertUnwindSafe(|| simulate(&scenario, &make_scheduler))).ok());
    violations.filter_map(Result::err).map(|violation| violation.invariant)
}

fn assert_caught(bug: PlantedBug, invariant: Invariant) {
    let caught = broken_by(bug, (0..200).map(Scenario::drawn)).any(|broken| broken == invariant);
    assert!(caught, "200 scenarios did not notice {bug:?}");
}

#[test]
fn accounts_that_are_not_leased_are_noticed() {
    assert_caught(PlantedBug::LeasesNothing, Invariant::CallsShareNoAccount);
}

#[test]
fn accounts_that_are_free_while_the_server_may_write_are_noticed() {
    assert_caught(PlantedBug::TakesSilenceForAnAnswer, Invariant::CallsShareNoAccount);
}

#[test]
fn a_call_before_its_intent_is_noticed() {
    assert_caught(PlantedBug::SendsBeforeTheIntent, Invariant::IntentBeforeBytes);
}

#[test]
fn a_call_after_its_outcome_is_noticed() {
    assert_caught(PlantedBug::SendsAgainAfterTheOutcome, Invariant::NothingAfterItsOutcome);
}

#[test]
fn a_forgotten_row_is_noticed() {
    assert_caught(PlantedBug::ForgetsAnItem, Invariant::EveryRowOnce);
}

#[test]
fn sums_that_do_not_agree_are_noticed() {
    assert_caught(PlantedBug::CountsTwice, Invariant::SumsAgree);
}

#[test]
fn an_attempt_too_many_is_noticed() {
    assert_caught(PlantedBug::AllowsMoreAttempts, Invariant::AttemptsAreBounded);
}

#[test]
fn a_call_after_hold_back_is_noticed() {
    assert_caught(PlantedBug::NeverHoldsBack, Invariant::NothingAfterHoldBack);
}

#[test]
fn a_false_success_is_noticed() {
    assert_caught(PlantedBug::CallsFailureSuccess, Invariant::SuccessIsTrue);
}

#[test]
fn own_work_that_is_called_already_done_is_noticed() {
    assert_caught(PlantedBug::ForgetsDoubt, Invariant::OwnWorkIsNotAlreadyDone);
}

#[test]
fn a_session_without_end_is_noticed() {
    assert_caught(PlantedBug::LosesAParkedRequest, Invariant::Terminates);
}

#[test]
fn an_alarm_in_the_past_is_noticed() {
    assert_caught(PlantedBug::WakesAtOnce, Invariant::Sleeps);
}

#[test]
fn unrelated_requests_that_wait_for_each_other_are_noticed() {
    assert_caught(PlantedBug::LeasesEverything, Invariant::UnrelatedDoNotWait);
}

#[test]
fn memory_that_grows_with_the_queue_is_noticed() {
    let broken = broken_by(PlantedBug::FetchesEverything, [crowd(12_000)]);
    assert!(broken.eq([Invariant::MemoryIsBounded]));
}

/// Scenarios that begin with an outage in which every call gets a transient code.
fn outages() -> impl Iterator<Item = Scenario> {
    (0..10).map(|seed| Scenario { seed, ..outage(400, OutageKind::Code(70_500), Duration::from_secs(100)) })
}

#[test]
fn retries_that_were_not_paid_for_are_noticed() {
    assert!(broken_by(PlantedBug::PaysTooLittle, outages()).all(|broken| broken == Invariant::RepetitionsArePaid));
    assert_eq!(broken_by(PlantedBug::PaysTooLittle, outages()).count(), 10);
}

#[test]
fn probes_that_come_too_soon_are_noticed() {
    assert!(broken_by(PlantedBug::RunsAFastClock, outages()).any(|broken| broken == Invariant::ProbesAreApart));
}

#[test]
fn attempts_that_count_while_nothing_works_are_noticed() {
    let hard = |mut scenario: Scenario| {
        scenario.faults.bad_calls = 500;
        scenario.faults.code = Some(70_500);
        scenario.jobs[0].retry.max_attempts = 2.try_into().expect("not zero");
        scenario
    };
    let scenarios = outages().map(hard);
    assert!(
        broken_by(PlantedBug::ChargesInAnOutage, scenarios).any(|broken| broken == Invariant::NothingFailsInAnOutage)
    );
}

#[test]
fn a_recovery_that_is_ignored_is_noticed() {
    assert!(broken_by(PlantedBug::NeverRecovers, outages()).any(|broken| broken == Invariant::SendsAfterRecovery));
}

#[test]
fn a_request_that_is_sent_before_the_canary_is_decided_is_noticed() {
    assert_caught(PlantedBug::SkipsTheCanary, Invariant::CanaryComesFirst);
}

#[test]
fn a_request_that_overtakes_is_noticed() {
    assert_caught(PlantedBug::ReversesPages, Invariant::NothingIsOvertaken);
}

#[test]
fn a_session_that_ends_with_the_first_halted_job_is_noticed() {
    assert_caught(PlantedBug::EndsWithTheFirstHalt, Invariant::OthersGoOn);
}

#[test]
fn a_change_without_its_preparation_after_a_restart_is_noticed() {
    assert_caught(PlantedBug::TrustsEarlierSessions, Invariant::OnlineCheckIsFresh);
    assert_caught(PlantedBug::TrustsEarlierSessions, Invariant::BackupIsComplete);
}

#[test]
fn an_online_check_that_is_too_old_is_noticed() {
    assert_caught(PlantedBug::SendsLate, Invariant::OnlineCheckIsFresh);
}

#[test]
fn a_backup_that_is_not_read_again_after_a_pause_is_noticed() {
    assert_caught(PlantedBug::ForgetsPauses, Invariant::BackupIsFresh);
}

#[test]
fn an_account_that_is_deleted_while_it_is_online_is_noticed() {
    assert_caught(PlantedBug::DeletesWhoIsOnline, Invariant::OnlineIsKept);
}

#[test]
fn a_change_whose_backup_is_not_complete_is_noticed() {
    assert_caught(PlantedBug::ReadsOnePage, Invariant::BackupIsComplete);
}

#[test]
fn a_lease_that_does_not_last_from_the_preparation_to_the_change_is_noticed() {
    assert_caught(PlantedBug::PreparesWithoutALease, Invariant::LeaseSpansPreparation);
}

#[test]
fn a_preparation_that_is_not_counted_is_noticed() {
    assert_caught(PlantedBug::DoesNotCountAPreparation, Invariant::CallsAreCounted);
}

/// A page of a list as if the list had no others.
fn only_page(body: Vec<u8>) -> Vec<u8> {
    let Ok(mut page) = serde_json::from_slice::<serde_json::Value>(&body) else { return body };
    if let Some(friends) = page["UserDataItem"].as_array().map(Vec::len) {
        page["FriendNum"] = friends.into();
        page["CompleteFlag"] = 1.into();
    }
    page.to_string().into_bytes()
}

/// The key of one invented account.
fn only(account: &str) -> AccountKeys {
    AccountKeys::of([&UserId::new(account).expect("an id")])
}

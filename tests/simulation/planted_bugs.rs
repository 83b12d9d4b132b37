//! Schedules that break a promise on purpose: each check must see its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use imbulk::domain::account::UserId;
use imbulk::domain::change::{Change, Changed};
use imbulk::domain::operation::{BoundOperation, Operation, by_name};
use imbulk::domain::request::{Doubt, Keys, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::response::outcome::Outcome;
use imbulk::domain::response::settlement::Settlement;
use imbulk::domain::response::tally::Tally;
use imbulk::domain::schedule::{Command, End, Event, JobPlan, Now, Schedule};

use crate::checks::Invariant;
use crate::directed::crowd;
use crate::outages::outage;
use crate::scenario::{Calamity, Scenario};
use crate::scheduler_under_test::SchedulerUnderTest;
use crate::world::live;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trick {
    /// No request takes any account.
    LeasesNothing,
    /// One lock for all.
    LeasesEverything,
    /// Silence is taken for the server's own no, so that the accounts are free at once.
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
    /// Pays for the repetition of what failed as for that of what met a conflict.
    PaysTooLittle,
    /// Its clock runs three times as fast.
    Hurries,
    /// Attempts count while nothing works.
    ChargesInAnOutage,
    /// Does not see that the server works again.
    StaysShut,
    /// Sends everything at once.
    KillsTheCanary,
    /// The last of a page comes first.
    LetsOvertake,
}

struct Saboteur {
    trick: Trick,
    schedule: Schedule,
    now: Now,
    tally: Tally,
    max_attempts: u32,
}

/// The same operation with other keys. Tests alone make these: a few for each run of them.
fn relabelled(operation: BoundOperation, writes: fn(BoundOperation, &Request) -> Keys) -> BoundOperation {
    let options = operation.options().map(|(option, value)| (option.name.to_owned(), value.name.to_owned())).collect();
    let original = by_name(operation.name).expect("an operation");
    let relabelled: &'static Operation = Box::leak(Box::new(Operation { writes, ..*original }));
    relabelled.bind(&options).expect("the same options")
}

impl Saboteur {
    fn new(trick: Trick, mut plans: Vec<JobPlan>, seed: u64) -> Self {
        for plan in &mut plans {
            match trick {
                Trick::LeasesNothing => {
                    let keys = |_: BoundOperation, request: &Request| only(&request.id.to_string());
                    plan.operation = relabelled(plan.operation, keys);
                }
                Trick::LeasesEverything => {
                    plan.operation = relabelled(plan.operation, |_, _| only("everything"));
                }
                Trick::KillsTheCanary => plan.canary = 0,
                Trick::AllowsMoreAttempts => plan.retry.max_attempts = plan.retry.max_attempts.saturating_add(2),
                _ => {}
            }
        }
        let max_attempts = plans.iter().map(|plan| plan.retry.max_attempts.get()).min().unwrap_or(1);
        let schedule = Schedule::new(plans, seed);
        Self { trick, schedule, now: Now::ZERO, tally: Tally::default(), max_attempts }
    }

    fn haste(&self) -> u32 {
        if self.trick == Trick::Hurries { 3 } else { 1 }
    }

    fn before(&mut self, event: Event) -> Event {
        match (self.trick, event) {
            (
                Trick::TakesSilenceForAnAnswer,
                Event::Replied { request, result: CallResult::NoAnswer(_), generation },
            ) => {
                let result = CallResult::Body(r#"{"ErrorCode":30006}"#.into());
                Event::Replied { request, result, generation }
            }
            (Trick::PaysTooLittle, Event::Replied { request, result: CallResult::Body(body), generation }) => {
                let conflict = std::str::from_utf8(&body).expect("JSON").replace("70500", "30008");
                Event::Replied { request, result: CallResult::Body(conflict.into_bytes()), generation }
            }
            (Trick::StaysShut, Event::Replied { request, result: CallResult::Body(_), generation })
                if self.probes().is_some() =>
            {
                let result = CallResult::Body(r#"{"ErrorCode":70500}"#.into());
                Event::Replied { request, result, generation }
            }
            (Trick::LetsOvertake, Event::Page { job, mut requests }) => {
                requests.reverse();
                Event::Page { job, requests }
            }
            // Keys are the saboteur's own.
            (Trick::LeasesNothing | Trick::LeasesEverything, Event::Recovered { job, request, .. }) => {
                let keys = only(&format!("recovered {}", request.id));
                Event::Recovered { job, request, keys }
            }
            (_, event) => event,
        }
    }

    fn falsified(&self, mut settlement: Settlement) -> Settlement {
        match self.trick {
            Trick::ForgetsAnItem => {
                settlement.ended.last_mut().map(|ended| ended.items.pop());
            }
            Trick::CallsFailureSuccess => {
                settlement.ended.iter_mut().for_each(|ended| ended.result.outcome = Outcome::Succeeded);
            }
            Trick::ForgetsDoubt => {
                settlement.follow_ups.iter_mut().for_each(|follow_up| follow_up.request.doubt = Doubt::None);
            }
            Trick::ChargesInAnOutage if self.probes().is_some() => {
                for follow_up in &mut settlement.follow_ups {
                    follow_up.request.charged = (follow_up.request.charged + 1).min(self.max_attempts - 1);
                }
            }
            _ => {}
        }
        settlement
    }

    fn after(&mut self, command: Command) -> Vec<Command> {
        match (self.trick, command) {
            (Trick::SendsBeforeTheIntent, Command::Commit { change: Change::Intend(ids), urgent }) => {
                let early = ids.iter().map(|id| Command::Send { job: 0, request: *id, body: Vec::new() });
                early.chain([Command::Commit { change: Change::Intend(ids.clone()), urgent }]).collect()
            }
            (_, Command::Commit { change: Change::Record { run, settlement }, urgent }) => {
                let settlement = self.falsified(settlement);
                vec![Command::Commit { change: Change::Record { run, settlement }, urgent }]
            }
            (Trick::NeverHoldsBack, Command::HoldBack) | (Trick::LosesAParkedRequest, Command::Load { .. }) => vec![],
            (Trick::FetchesEverything, Command::Fetch { job, after, .. }) => {
                vec![Command::Fetch { job, after, limit: u32::MAX }]
            }
            (_, command) => vec![command],
        }
    }
}

impl SchedulerUnderTest for Saboteur {
    fn handle(&mut self, now: Now, event: Event) -> Vec<Command> {
        self.now = now;
        let over = match &event {
            Event::Changed(Changed::Recorded { request, follow_ups }) if follow_ups.is_empty() => Some(*request),
            _ => None,
        };
        let event = self.before(event);
        let commands = self.schedule.handle(now * self.haste(), event);
        let mut commands: Vec<Command> = commands.into_iter().flat_map(|command| self.after(command)).collect();
        if let (Trick::SendsAgainAfterTheOutcome, Some(request)) = (self.trick, over) {
            commands.push(Command::Send { job: 0, request, body: Vec::new() });
        }
        if self.trick == Trick::CountsTwice && over.is_some() {
            self.tally = [(Outcome::Succeeded, 1)].into_iter().collect();
        }
        commands
    }

    fn wake_at(&self) -> Option<Now> {
        match self.trick {
            Trick::WakesAtOnce => self.schedule.wake_at().map(|_| self.now),
            _ => self.schedule.wake_at().map(|due| (due + Now::from_nanos(2)) / self.haste()),
        }
    }

    fn end(&self) -> Option<End> {
        self.schedule.end()
    }

    fn is_stopping(&self) -> bool {
        self.schedule.stopping().is_some()
    }

    fn probes(&self) -> Option<u32> {
        self.schedule.outage(self.now).map(|outage| outage.probes)
    }

    fn tally(&self, job: usize) -> &Tally {
        if self.tally.total() > 0 { &self.tally } else { self.schedule.tally(job) }
    }
}

/// The invariants that nights under a saboteur break first.
fn broken_by(trick: Trick, nights: impl IntoIterator<Item = Scenario>) -> impl Iterator<Item = Invariant> {
    let maker = move |plans, seed| Box::new(Saboteur::new(trick, plans, seed)) as Box<dyn SchedulerUnderTest>;
    // The schedule's own assertions notice some of it, too.
    let violations =
        nights.into_iter().filter_map(move |night| catch_unwind(AssertUnwindSafe(|| live(&night, &maker))).ok());
    violations.filter_map(Result::err).map(|violation| violation.invariant)
}

fn assert_caught(trick: Trick, invariant: Invariant) {
    let caught = broken_by(trick, (0..200).map(Scenario::drawn)).any(|broken| broken == invariant);
    assert!(caught, "200 nights did not notice {trick:?}");
}

#[test]
fn accounts_that_are_not_leased_are_noticed() {
    assert_caught(Trick::LeasesNothing, Invariant::CallsShareNoAccount);
}

#[test]
fn accounts_that_are_free_while_the_server_may_write_are_noticed() {
    assert_caught(Trick::TakesSilenceForAnAnswer, Invariant::CallsShareNoAccount);
}

#[test]
fn a_call_before_its_intent_is_noticed() {
    assert_caught(Trick::SendsBeforeTheIntent, Invariant::IntentBeforeBytes);
}

#[test]
fn a_call_after_its_outcome_is_noticed() {
    assert_caught(Trick::SendsAgainAfterTheOutcome, Invariant::NothingAfterItsOutcome);
}

#[test]
fn a_forgotten_row_is_noticed() {
    assert_caught(Trick::ForgetsAnItem, Invariant::EveryRowOnce);
}

#[test]
fn sums_that_do_not_agree_are_noticed() {
    assert_caught(Trick::CountsTwice, Invariant::SumsAgree);
}

#[test]
fn an_attempt_too_many_is_noticed() {
    assert_caught(Trick::AllowsMoreAttempts, Invariant::AttemptsAreBounded);
}

#[test]
fn a_call_after_hold_back_is_noticed() {
    assert_caught(Trick::NeverHoldsBack, Invariant::NothingAfterHoldBack);
}

#[test]
fn a_success_that_was_none_is_noticed() {
    assert_caught(Trick::CallsFailureSuccess, Invariant::SuccessIsBorneOut);
}

#[test]
fn own_work_that_is_called_already_done_is_noticed() {
    assert_caught(Trick::ForgetsDoubt, Invariant::OwnWorkIsNotAlreadyDone);
}

#[test]
fn a_session_without_end_is_noticed() {
    assert_caught(Trick::LosesAParkedRequest, Invariant::Terminates);
}

#[test]
fn an_alarm_in_the_past_is_noticed() {
    assert_caught(Trick::WakesAtOnce, Invariant::Sleeps);
}

#[test]
fn unrelated_requests_that_wait_for_each_other_are_noticed() {
    assert_caught(Trick::LeasesEverything, Invariant::UnrelatedDoNotWait);
}

#[test]
fn memory_that_grows_with_the_queue_is_noticed() {
    let broken = broken_by(Trick::FetchesEverything, [crowd(12_000)]);
    assert!(broken.eq([Invariant::MemoryIsBounded]));
}

/// Nights that begin with an outage: every call is answered by a code that passes.
fn outages() -> impl Iterator<Item = Scenario> {
    (0..10).map(|seed| Scenario { seed, ..outage(400, Calamity::Code(70_500), Duration::from_secs(100)) })
}

#[test]
fn repetitions_that_nobody_paid_for_are_noticed() {
    assert!(broken_by(Trick::PaysTooLittle, outages()).all(|broken| broken == Invariant::RepetitionsArePaid));
    assert_eq!(broken_by(Trick::PaysTooLittle, outages()).count(), 10);
}

#[test]
fn probes_that_come_too_soon_are_noticed() {
    assert!(broken_by(Trick::Hurries, outages()).any(|broken| broken == Invariant::ProbesAreApart));
}

#[test]
fn attempts_that_count_while_nothing_works_are_noticed() {
    let hard = |mut night: Scenario| {
        night.weather.bad_calls = 500;
        night.weather.code = Some(70_500);
        night.jobs[0].retry.max_attempts = 2.try_into().expect("not zero");
        night
    };
    let nights = outages().map(hard);
    assert!(broken_by(Trick::ChargesInAnOutage, nights).any(|broken| broken == Invariant::NothingFailsInAnOutage));
}

#[test]
fn a_recovery_that_is_not_believed_is_noticed() {
    assert!(broken_by(Trick::StaysShut, outages()).any(|broken| broken == Invariant::GoesOnAfterRecovery));
}

#[test]
fn a_request_that_is_sent_before_the_canary_is_judged_is_noticed() {
    assert_caught(Trick::KillsTheCanary, Invariant::CanaryComesFirst);
}

#[test]
fn a_request_that_overtakes_is_noticed() {
    assert_caught(Trick::LetsOvertake, Invariant::NobodyIsOvertaken);
}

/// The key of one made-up account.
fn only(account: &str) -> Keys {
    Keys::of([&UserId::new(account).expect("an id")])
}

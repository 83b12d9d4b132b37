//! The way of a call through the rules, from its bytes to its effect.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Config, Latency};
use crate::answer::MockAnswer;
use crate::auth::{self, App};
use crate::commands::Command;
use crate::conflicts::{CallId, Conflicts};
use crate::delivery::{Delivery, deliver};
use crate::effect::{self, ItemEffect};
use crate::fault_rule::{CallFault, ItemFault};
use crate::faults::{ChosenFaults, Faults};
use crate::journal::{CallRecord, Journal, JournalPosition, ResponseRecord};
use crate::key::{Draw, Key};
use crate::profile::Profile;
use crate::rate::{Admission, Arrival, Gate};
use crate::refusal::Refusal;
use crate::report::{CountedEvent, Report, RunningCounts};
use crate::request::ParsedRequest;
use crate::world::World;

/// All that the calls share. Each part has its own lock, and none is held while another is taken but
/// in `report`.
#[derive(Debug)]
pub(crate) struct Service {
    app: App,
    profile: Profile,
    latency: Latency,
    started: Instant,
    pub(crate) gate: Mutex<Gate>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) world: Mutex<World>,
    conflicts: Mutex<Conflicts>,
    tally: Mutex<RunningCounts>,
    pub(crate) journal: Mutex<Journal>,
    jitter: Mutex<Draw>,
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// What the journal has of an item that only a list of failures names: no code goes over the wire.
const NOT_PROCESSED: u32 = 30003;

/// A panic elsewhere leaves counts behind that are still true.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call that was read in full.
pub(crate) struct Call<'a> {
    pub(crate) command: Command,
    pub(crate) query: &'a str,
    /// The body, or why there is none.
    pub(crate) body: Result<&'a [u8], Refusal>,
}

/// A call that may be carried out.
#[derive(Debug)]
pub(crate) struct Admitted {
    command: Command,
    request: ParsedRequest,
    chosen: ChosenFaults,
    hold: AccountLock,
    line: JournalPosition,
}

impl Admitted {
    /// By which [`Service::hang_up`] knows the call.
    pub(crate) fn handle(&self) -> CallHandle {
        CallHandle { id: self.hold.id, line: self.line }
    }
}

/// What the caller keeps of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallHandle {
    id: CallId,
    line: JournalPosition,
}

/// The accounts of a call, held until it is done or dropped.
#[derive(Debug)]
struct AccountLock {
    service: Arc<Service>,
    id: CallId,
    keys: Vec<Key>,
}

impl Drop for AccountLock {
    fn drop(&mut self) {
        lock(&self.service.conflicts).release(self.id, &self.keys);
    }
}

impl Service {
    pub(crate) fn new(config: Config) -> Self {
        let mut world = config.world;
        world.effects = config.profile.effects;
        Self {
            app: config.app,
            latency: config.latency,
            started: Instant::now(),
            gate: Mutex::new(Gate::new(config.caps, config.profile.counting, part_of_second())),
            faults: Mutex::new(Faults::new(config.faults, config.seed)),
            world: Mutex::new(world),
            profile: config.profile,
            conflicts: Mutex::default(),
            tally: Mutex::default(),
            journal: Mutex::default(),
            jitter: Mutex::new(Draw::new(!config.seed)),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn report(&self) -> Report {
        let faults = lock(&self.faults).played().clone();
        let gate = lock(&self.gate);
        lock(&self.tally).report(&gate, faults)
    }

    pub(crate) fn unknown_path(&self) -> Refusal {
        lock(&self.tally).unknown_path();
        Refusal::new(60009)
    }

    /// The checks in their order: the URL, the caps, the body, the accounts being written.
    pub(crate) fn admit(self: &Arc<Self>, call: &Call<'_>) -> Result<Admitted, Refusal> {
        lock(&self.tally).call(call.command);
        let (arrived, checked) = self.arrive(call);
        let line = lock(&self.journal).begin(call.command, arrived);
        let admitted = checked.and_then(|()| self.read(call, line));
        let admitted = admitted.map_err(|refusal| self.profile.refusal(call.command, refusal));
        admitted.inspect_err(|refusal| {
            self.note(line, |entry, now| {
                entry.end(ResponseRecord::Whole(refusal.code), now);
                entry.close(now);
            });
        })
    }

    /// Reads the body of a call that is within the caps, and takes its accounts.
    fn read(self: &Arc<Self>, call: &Call<'_>, line: JournalPosition) -> Result<Admitted, Refusal> {
        let command = call.command;
        let request = call
            .body
            .clone()
            .and_then(|body| self.profile.check_size(body.len()).and_then(|()| ParsedRequest::read(command, body)))
            .inspect_err(|_| self.count(command, CountedEvent::BadRequest))?;
        self.note(line, |entry, _| entry.asks(&request));
        let items = request.item_ids().len() as u64;
        self.count(command, CountedEvent::Received { items });
        let keys = {
            let mut world = lock(&self.world);
            if !command.reads_only() {
                world.receive(&request);
            }
            (command.definition().written_accounts)(&world, &request)
        };
        let hold = self.hold(command, keys)?;
        let now = self.now();
        let chosen = lock(&self.faults).choose(command, &request.item_ids(), now);
        Ok(Admitted { command, request, chosen, hold, line })
    }

    /// Every call counts at the gate, also one with a wrong URL. Also returns when it counted.
    fn arrive(&self, call: &Call<'_>) -> (u64, Result<(), Refusal>) {
        let command = call.command;
        let known = auth::check(&self.app, call.query, unix_now().as_secs(), self.profile.short_signature);
        let arrival = match known {
            Ok(()) => Arrival::Known,
            Err(_) => Arrival::Stranger,
        };
        let (now, ruling) = {
            let mut gate = lock(&self.gate);
            // Read under the lock: the windows need times that never go back.
            let now = self.now();
            (now, gate.arrive(command, arrival, now))
        };
        let known = known.inspect_err(|refusal| {
            let event = if refusal.is_usersig_failure() { CountedEvent::BadUserSig } else { CountedEvent::BadRequest };
            self.count(command, event);
        });
        (now, known.and_then(|()| self.ruled(command, ruling)))
    }

    fn ruled(&self, command: Command, ruling: Admission) -> Result<(), Refusal> {
        self.count(command, CountedEvent::Ruled(ruling));
        match ruling {
            Admission::LetIn => Ok(()),
            Admission::OverCommand => Err(Refusal::new(60007)),
            Admission::OverApp => Err(Refusal::new(60011)),
        }
    }

    fn hold(self: &Arc<Self>, command: Command, keys: Vec<Key>) -> Result<AccountLock, Refusal> {
        let taken = lock(&self.conflicts).take(&keys);
        match taken {
            Ok(id) => Ok(AccountLock { service: Arc::clone(self), id, keys }),
            Err(caller) => {
                self.count(command, CountedEvent::Overlap(caller));
                Err(Refusal::new(30008))
            }
        }
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn hang_up(&self, handle: CallHandle) {
        lock(&self.conflicts).hang_up(handle.id);
        self.note(handle.line, CallRecord::close);
    }

    /// Takes its time, with the effect in the middle; the accounts are free when this returns.
    pub(crate) async fn process(&self, admitted: Admitted) -> Delivery {
        let Admitted { command, request, chosen, hold, line } = admitted;
        let half = self.time_to_take(&chosen) / 2;
        pause(half).await;
        let verdict = self.profile.answer(command, self.carry_out(command, &request, &chosen, line));
        pause(half).await;
        let delivery = deliver(command, verdict, &chosen);
        self.note(line, |entry, now| entry.end(delivery.said(), now));
        drop(hold);
        delivery
    }

    fn carry_out(
        &self,
        command: Command,
        request: &ParsedRequest,
        chosen: &ChosenFaults,
        line: JournalPosition,
    ) -> MockAnswer {
        if chosen.call.as_ref().is_some_and(|fault| !fault.lets_write()) {
            // The fault replaces the answer, so this one is never sent.
            return MockAnswer::Done;
        }
        let effect = |index: usize| match chosen.items.get(index) {
            Some(Some(ItemFault::Code(code))) => ItemEffect::Spared(Refusal::new(*code)),
            Some(Some(ItemFault::OnlyFailed | ItemFault::OnlyInvalid)) => {
                ItemEffect::Spared(Refusal::new(NOT_PROCESSED))
            }
            Some(Some(ItemFault::Partial(code))) => ItemEffect::Half(Refusal::new(*code)),
            Some(Some(ItemFault::Missing | ItemFault::Duplicate | ItemFault::Twice(_) | ItemFault::Blamed) | None)
            | None => ItemEffect::Written,
        };
        let (verdict, items) = effect::apply(&mut lock(&self.world), command, request, effect);
        self.count(command, CountedEvent::Written { items });
        self.note(line, |entry, _| entry.has_effect(&verdict));
        verdict
    }

    fn time_to_take(&self, chosen: &ChosenFaults) -> Duration {
        let jitter = self.latency.jitter.mul_f64(lock(&self.jitter).fraction());
        let extra = if let Some(CallFault::Slow(extra)) = chosen.call { extra } else { Duration::ZERO };
        self.latency.fixed.saturating_add(jitter).saturating_add(extra)
    }

    fn count(&self, command: Command, event: CountedEvent) {
        lock(&self.tally).count(command, event);
    }

    /// Writes down more of a call, if a journal is kept; with the present moment.
    fn note(&self, line: JournalPosition, change: impl FnOnce(&mut CallRecord, u64)) {
        if let Some(entry) = lock(&self.journal).entry(line) {
            change(entry, self.now());
        }
    }

    /// Nanoseconds since the start; enough for 584 years.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The part of the present second that is over, in nanoseconds.
fn part_of_second() -> u64 {
    unix_now().subsec_nanos().into()
}

/// The time since 1970.
#[expect(clippy::disallowed_methods, reason = "the sandbox shares nothing with the client, its clock included")]
fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

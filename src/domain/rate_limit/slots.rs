//! Slots keep every one-second window of the server at or below the cap.
//!
//! There are as many slots as the cap. A call takes a slot when it is sent, and the slot is free again at
//! *answer read + 1 s − m*, where m is a safe lower bound of the round trip. Suppose that call B follows call A in a
//! slot. The server counted A before it sent the answer, so at least the travel time of the answer to A before the
//! answer was read. It counts B when B arrives, so at least the travel time of B after B was sent. Between the two
//! moments are at least 1 s − m + travel time of the answer to A + travel time of B. This is a second or more if the
//! two travel times add up to m or more. A window with more calls than the cap would need two calls of one slot.
//!
//! A call without an answer may still be in a socket of a suspended server, even after its connection was closed. The
//! server counts it when it resumes. So the call keeps its slot until the server has answered a call that was sent
//! after the end of this one, and for a little more than a second after that. If answers stop, some slots stay free for
//! calls that are sent one at a time, so that there is always one to show whether the server answers again.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;

/// The window in which the server counts calls.
pub const WINDOW: Duration = Duration::from_secs(1);

/// The number of round trips from which their minimum is used. The minimum of 20 is often far above the smallest
/// possible round trip.
const MIN_ROUND_TRIPS: u32 = 100;

/// The minima of the last [`BATCHES`] batches of this number of calls show how steady the network is. At the usual cap
/// they cover two seconds.
const CALLS_PER_BATCH: usize = 25;
const BATCHES: usize = 16;

/// m is always smaller than the smallest round trip by this time, or by half of the round trip if that is less. So the
/// cap also holds if the network suddenly becomes faster by this time.
const MARGIN: Duration = Duration::from_millis(10);

/// Until when a slot is taken if no answer comes: the call may last until its time-out, and the server may have counted
/// it at the very end.
pub fn held_until(taken: Moment, call_timeout: Duration) -> Moment {
    taken.plus(call_timeout).plus(WINDOW)
}

/// The round trips so far: their minimum, and how far the recent ones are from it.
#[derive(Debug, Default)]
pub struct RoundTrips {
    seen: u32,
    first: Option<Moment>,
    smallest: Option<Duration>,
    /// The round trips of the current batch.
    batch: Vec<Duration>,
    /// The last complete batches.
    batches: VecDeque<RoundTripBatch>,
}

#[derive(Debug, Clone, Copy)]
struct RoundTripBatch {
    smallest: Duration,
    median: Duration,
}

impl RoundTrips {
    /// When the slot of a call is free whose answer was read at `answered`. Its own round trip is taken into account.
    pub fn free_at(&mut self, answered: Moment, round_trip: Duration) -> Moment {
        self.seen = self.seen.saturating_add(1);
        self.first.get_or_insert(answered);
        self.smallest = Some(self.smallest.map_or(round_trip, |smallest| smallest.min(round_trip)));
        self.batch.push(round_trip);
        if self.batch.len() == CALLS_PER_BATCH {
            self.batch.sort_unstable();
            self.batches.push_back(RoundTripBatch { smallest: self.batch[0], median: self.batch[CALLS_PER_BATCH / 2] });
            self.batch.clear();
            if self.batches.len() > BATCHES {
                self.batches.pop_front();
            }
        }
        answered.plus(WINDOW.saturating_sub(self.lower_bound(answered)))
    }

    /// How long most calls occupy their slot beyond a second; `None` while too little is known. Calls that a stalled
    /// network delays do not count.
    pub fn usual_excess(&self, now: Moment) -> Option<Duration> {
        let mut medians: Vec<Duration> = self.batches.iter().map(|batch| batch.median).collect();
        medians.sort_unstable();
        let median = medians.get(medians.len() / 2)?;
        Some(median.saturating_sub(self.lower_bound(now)))
    }

    /// The lower bound m. It is zero at first, and then half of the smallest round trip: the travel time of the answer
    /// alone, if both directions take the same time. Then the cap holds even if the network becomes faster from one
    /// call to the next. If the network is steady, m is the smallest round trip minus twice the largest distance of a
    /// recent batch's minimum from it. With 0.8 × that value on any network, simulated windows had more calls than the
    /// cap on a busy machine or a varying network. The first second does not count, because its calls open connections
    /// and take longer than later calls.
    fn lower_bound(&self, now: Moment) -> Duration {
        let (Some(first), Some(smallest)) = (self.first, self.smallest) else {
            return Duration::ZERO;
        };
        if self.seen < MIN_ROUND_TRIPS || now.since(first) < WINDOW {
            return Duration::ZERO;
        }
        let steady = match self.batches.iter().map(|batch| batch.smallest).max() {
            Some(largest) if self.batches.len() == BATCHES => {
                smallest.saturating_sub((2 * largest.saturating_sub(smallest)).max(MARGIN))
            }
            _ => Duration::ZERO,
        };
        steady.max(smallest / 2)
    }
}

/// Stored as [`Slot::free_at`] until the answer to a call is read.
pub const UNANSWERED: Moment = Moment::from_nanos(u64::MAX);

/// How many call time-outs a call without an answer keeps its slot at least, if nothing proves that it was counted.
const MIN_HOLD: u32 = 8;

/// The largest difference between the moments of two processes. They read the same clock, but not at the same time.
const MAX_CLOCK_DIFFERENCE: Duration = WINDOW;

/// A slot as the ledger stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The moment from which it is free, or [`UNANSWERED`].
    pub free_at: Moment,
    /// When it was taken the last time; zero if that call was never sent.
    pub taken: Moment,
    /// When it was taken the time before.
    pub taken_before: Moment,
}

/// How the slots of a command, or of the app, are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRules {
    /// The number of slots.
    pub cap: u32,
    /// The number of slots in use: fewer than `cap` if the rate is below the cap.
    pub used: u32,
    /// The maximum duration of a call.
    pub call_timeout: Duration,
}

impl SlotRules {
    /// How many slots are reserved for calls that are sent one at a time to see whether the server answers again: a
    /// fifth of them, and more of a low cap, but few enough that calls of half a second can use the whole cap.
    pub fn kept_for_probes(self) -> u32 {
        (self.cap / 5).max(MIN_HOLD).min(self.cap / 2)
    }

    /// How long a call without an answer keeps its slot at most: as long as the slots for probes last.
    pub fn longest_hold(self) -> Duration {
        self.call_timeout * self.kept_for_probes().max(MIN_HOLD)
    }

    /// Whether a call may take the slot.
    pub fn is_free(self, slot: &Slot, now: Moment) -> bool {
        self.free_at(slot) <= now
    }

    /// From when the slot is free, as far as can be known.
    fn free_at(self, slot: &Slot) -> Moment {
        if slot.free_at == UNANSWERED { slot.taken.plus(self.longest_hold()) } else { slot.free_at }
    }

    /// When the call has ended at the latest.
    fn call_ends(self, slot: &Slot) -> Moment {
        slot.taken.plus(self.call_timeout)
    }
}

/// What a scan of all slots finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SlotScan {
    /// The numbers of the free slots among those in use.
    pub free: Vec<u32>,
    /// The slots to be written: those whose call must have been counted by now, and those from before a reboot or
    /// damaged.
    pub changed: Vec<(u32, Slot)>,
    /// When the first taken slot is free again.
    pub next: Option<Moment>,
    /// Calls that may still wait at the server.
    pub unanswered: u32,
    /// When the last call left.
    pub last: Option<Moment>,
    /// When the latest call left that was answered.
    pub last_answered: Option<Moment>,
    /// When the first call left after it that has no answer.
    pub unanswered_since: Option<Moment>,
}

/// Scans all slots. `last_answered` is when the latest call left that was known to be answered.
pub fn scan_slots(slots: &[Slot], now: Moment, last_answered: Option<Moment>, rules: SlotRules) -> SlotScan {
    let possible = |slot: &&Slot| slot.taken <= now.plus(MAX_CLOCK_DIFFERENCE) && slot.taken > Moment::from_nanos(0);
    let answered = slots.iter().filter(|slot| slot.free_at != UNANSWERED).filter(possible);
    let mut found =
        SlotScan { last_answered: answered.map(|slot| slot.taken).max().max(last_answered), ..SlotScan::default() };
    found.last = slots.iter().filter(possible).map(|slot| slot.taken).max();
    let mut unused = rules.used;
    for (number, slot) in (0..rules.cap).zip(slots) {
        let slot = found.update(number, *slot, now, rules);
        // If fewer slots are used than there are, a slot without an answer for long is not one of them.
        let overdue = slot.free_at == UNANSWERED && held_until(slot.taken, rules.call_timeout) <= now;
        let free_at = rules.free_at(&slot);
        if !overdue || free_at <= now {
            let Some(left) = unused.checked_sub(1) else { continue };
            unused = left;
        }
        if free_at <= now {
            found.free.push(number);
        } else {
            found.next = Some(found.next.map_or(free_at, |next| next.min(free_at)));
        }
    }
    found
}

/// After this time an unanswered call no longer keeps an unused ledger.
const FORGET_UNANSWERED_AFTER: Duration = Duration::from_mins(5);

/// The moment from which no slot holds a call; `None` while calls may still wait at the server.
pub fn all_free_from(slots: &[Slot], now: Moment) -> Option<Moment> {
    let rules = SlotRules { cap: u32::MAX, used: u32::MAX, call_timeout: Duration::ZERO };
    let last_answered = scan_slots(slots, now, None, rules).last_answered;
    let sent =
        slots.iter().filter(|slot| slot.taken > Moment::from_nanos(0) && slot.taken <= now.plus(MAX_CLOCK_DIFFERENCE));
    let mut from = now;
    for slot in sent {
        if slot.free_at != UNANSWERED {
            from = from.max(slot.free_at);
        } else if slot.taken.plus(FORGET_UNANSWERED_AFTER) > now
            && last_answered.is_none_or(|last_answered| slot.taken > last_answered)
        {
            return None;
        }
    }
    Some(from)
}

impl SlotScan {
    /// Returns the new state of the slot, and notes what it says about the calls.
    fn update(&mut self, number: u32, slot: Slot, now: Moment, rules: SlotRules) -> Slot {
        let nothing = Moment::from_nanos(0);
        let latest = held_until(now, rules.call_timeout);
        let unanswered = slot.free_at == UNANSWERED;
        if slot.taken > now.plus(MAX_CLOCK_DIFFERENCE)
            || (!unanswered && slot.free_at > latest.plus(MAX_CLOCK_DIFFERENCE))
        {
            return self.change(number, Slot { free_at: latest, taken: nothing, taken_before: nothing });
        }
        if !unanswered {
            return slot;
        }
        if self.last_answered.is_none_or(|last_answered| slot.taken > last_answered) {
            self.unanswered_since = Some(self.unanswered_since.map_or(slot.taken, |since| since.min(slot.taken)));
        }
        // This also holds for a slot that is free without proof: a server that was suspended counts the call only now.
        if self.last_answered.is_some_and(|last_answered| rules.call_ends(&slot) <= last_answered) {
            // The server needs some time to read the calls that wait.
            let free_at = now.plus(WINDOW).plus(rules.call_timeout / 10);
            return self.change(number, Slot { free_at, ..slot });
        }
        self.unanswered += u32::from(!rules.is_free(&slot, now));
        slot
    }

    fn change(&mut self, number: u32, slot: Slot) -> Slot {
        self.changed.push((number, slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn with_history() -> RoundTrips {
        let mut trips = RoundTrips::default();
        for n in 0..100 {
            trips.free_at(at(n * 20), 50 * MS);
        }
        trips
    }

    #[test]
    fn a_slot_is_taken_for_a_whole_second_until_a_hundred_round_trips_were_seen() {
        let mut trips = RoundTrips::default();
        for n in 0..99 {
            assert_eq!(trips.free_at(at(n * 20), 50 * MS), at(n * 20 + 1000));
        }
        assert_eq!(trips.free_at(at(1980), 50 * MS), at(1980 + 975));
    }

    #[test]
    fn a_slot_is_taken_for_a_whole_second_during_the_first_second() {
        let mut trips = RoundTrips::default();
        for n in 0..100 {
            assert_eq!(trips.free_at(at(n), 150 * MS), at(n + 1000));
        }
    }

    #[test]
    fn a_fast_answer_lowers_the_bound_of_its_own_slot() {
        assert_eq!(with_history().free_at(at(5000), 10 * MS), at(5995));
        assert_eq!(with_history().free_at(at(5000), 90 * MS), at(5975));
    }

    #[test]
    fn a_slot_is_never_free_before_its_answer() {
        let mut trips = RoundTrips::default();
        for n in 0..100 {
            trips.free_at(at(n * 20), 9000 * MS);
        }
        assert_eq!(trips.free_at(at(5000), 9000 * MS), at(5000));
    }

    /// Answers to `calls` calls, a millisecond apart, each after this round trip.
    fn answer(trips: &mut RoundTrips, calls: u64, from: u64, round_trip: Duration) {
        for n in 0..calls {
            trips.free_at(at(from + n), round_trip);
        }
    }

    #[test]
    fn steady_ways_raise_the_bound_up_to_the_margin() {
        let mut trips = RoundTrips::default();
        answer(&mut trips, 398, 0, 500 * MS);
        assert_eq!(trips.free_at(at(9000), 500 * MS), at(9000 + 750));
        assert_eq!(trips.free_at(at(9001), 500 * MS), at(9001 + 510));
    }

    #[test]
    fn varying_ways_raise_the_bound_only_after_they_were_steady_for_all_batches() {
        let mut trips = RoundTrips::default();
        answer(&mut trips, 1200, 0, 500 * MS);
        // One batch without a round trip below 520 ms, and then one batch with one.
        answer(&mut trips, 25, 9000, 520 * MS);
        assert_eq!(trips.free_at(at(9100), 500 * MS), at(9100 + 540));
        answer(&mut trips, 49, 9200, 700 * MS);
        assert_eq!(trips.free_at(at(9300), 500 * MS), at(9300 + 750));
        answer(&mut trips, 800, 9400, 501 * MS);
        assert_eq!(trips.free_at(at(12_000), 501 * MS), at(12_000 + 510));
    }

    const RULES: SlotRules = SlotRules { cap: 200, used: 200, call_timeout: Duration::from_secs(5) };

    fn answered(taken: u64, free_at: u64) -> Slot {
        Slot { free_at: at(free_at), taken: at(taken), taken_before: at(0) }
    }

    fn unanswered(taken: u64) -> Slot {
        Slot { free_at: UNANSWERED, ..answered(taken, 0) }
    }

    #[test]
    fn a_scan_separates_free_taken_and_impossible_slots() {
        let slots = [answered(1, 10), answered(2, 30), answered(3, 20), answered(4, 21), answered(5, 9000)];
        let found = scan_slots(&slots, at(20), None, RULES);
        assert_eq!((found.free, found.next), (vec![0, 2], Some(at(21))));
        assert_eq!(found.changed, [(4, answered(0, 6020))]);
        let before_a_reboot = [answered(9_000_000, 9_001_000), unanswered(9_000_000)];
        let found = scan_slots(&before_a_reboot, at(20), None, RULES);
        assert_eq!(found.changed, [(0, answered(0, 6020)), (1, answered(0, 6020))]);
        assert_eq!((found.next, found.last_answered, found.unanswered), (Some(at(6020)), None, 0));
    }

    #[test]
    fn a_call_without_an_answer_keeps_its_slot_until_a_call_sent_after_its_time_out_is_answered() {
        let known = |last_answered, now| {
            scan_slots(&[unanswered(1000), answered(last_answered, last_answered + 1000)], at(now), None, RULES)
        };
        let in_vain = known(5999, 7000);
        assert_eq!((in_vain.unanswered, in_vain.changed, in_vain.free), (1, vec![], vec![1]));
        let proved = known(6000, 6020);
        assert_eq!((proved.unanswered, proved.changed), (0, vec![(0, answered(1000, 7520))]));
        assert_eq!(
            scan_slots(&[unanswered(1000)], at(6020), Some(at(6000)), RULES).changed.len(),
            1,
            "answered before"
        );
    }

    #[test]
    fn no_call_keeps_its_slot_for_longer_than_the_reserved_slots_last() {
        let hold = |cap| SlotRules { cap, used: cap, ..RULES }.longest_hold().as_secs();
        assert_eq!([1, 2, 20, 40, 100, 200].map(hold), [40, 40, 40, 40, 100, 200]);
        let kept = |cap| SlotRules { cap, used: cap, ..RULES }.kept_for_probes();
        assert_eq!([1, 2, 10, 20, 40, 100, 200].map(kept), [0, 1, 5, 8, 8, 20, 40]);
        assert_eq!(scan_slots(&[unanswered(1000)], at(200_999), None, RULES).free, Vec::<u32>::new());
        assert_eq!(scan_slots(&[unanswered(1000)], at(201_000), None, RULES).free, [0]);
    }

    #[test]
    fn a_scan_finds_the_first_call_sent_since_the_last_answered_one() {
        let slots = [answered(2000, 3000), unanswered(1000), unanswered(2500), unanswered(2400)];
        let found = scan_slots(&slots, at(2600), None, RULES);
        assert_eq!(
            (found.last_answered, found.unanswered_since, found.last),
            (Some(at(2000)), Some(at(2400)), Some(at(2500)))
        );
        assert_eq!(found.unanswered, 3);
    }

    #[test]
    fn at_a_lower_rate_an_overdue_call_takes_no_slot_in_use() {
        let slots = [unanswered(1000), answered(1500, 2500), answered(900, 1900)];
        let used = |now| scan_slots(&slots, at(now), None, SlotRules { used: 1, ..RULES }).free;
        assert_eq!((used(6999), used(7000)), (vec![], vec![1]));
    }

    proptest! {
        #[test]
        fn the_server_counts_two_calls_of_a_slot_a_second_apart_if_the_ways_take_the_lower_bound(
            ways in prop::collection::vec((1_u64..80, 1_u64..80), 2..200),
        ) {
            let (mut trips, mut sent, mut before) = (RoundTrips::default(), at(0), None);
            for (there, back) in ways {
                let arrived = sent.plus(ms(there));
                let answered = arrived.plus(ms(back));
                if let Some((counted, way_back, bound)) = before
                    && ms(there + way_back) >= bound
                {
                    prop_assert!(arrived.since(counted) >= WINDOW);
                }
                sent = trips.free_at(answered, answered.since(sent));
                before = Some((arrived, back, trips.lower_bound(answered)));
            }
        }

        #[test]
        fn a_steady_way_there_may_become_faster_by_the_margin(
            ways in prop::collection::vec((240_u64..246, 240_u64..246), 900..1000),
            after in prop::collection::vec((230_u64..600, 240_u64..600), 1..50),
        ) {
            let (mut trips, mut sent, mut counted) = (RoundTrips::default(), at(0), None);
            for (there, back) in ways.into_iter().chain(after) {
                let arrived = sent.plus(ms(there));
                if let Some(before) = counted.replace(arrived) {
                    prop_assert!(arrived.since(before) >= WINDOW);
                }
                let answered = arrived.plus(ms(back));
                sent = trips.free_at(answered, answered.since(sent));
            }
            prop_assert!(trips.batches.len() == BATCHES);
        }

        #[test]
        fn ways_that_are_alike_may_change_by_any_amount(
            ways in prop::collection::vec(1_u64..500, 2..300),
            steady in 100_usize..200,
        ) {
            let (mut trips, mut sent, mut counted) = (RoundTrips::default(), at(0), None);
            let steadily = std::iter::repeat_n(ways[0], steady);
            for way in steadily.chain(ways.iter().copied()) {
                let arrived = sent.plus(ms(way));
                if let Some(before) = counted.replace(arrived) {
                    prop_assert!(arrived.since(before) >= WINDOW);
                }
                sent = trips.free_at(arrived.plus(ms(way)), ms(2 * way));
            }
        }
    }
}

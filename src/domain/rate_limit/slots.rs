//! Slots: why no one-second window of the server holds more calls than the cap.
//!
//! There are as many slots as the cap. A call takes a slot when it is sent, and the slot is free again at
//! *answer read + 1 s − m*, where m is a safe lower bound of the round trip. Say call B follows call A in a slot. A was
//! counted at the latest *way back of A* before its answer was read; B is counted at the earliest *way there of B* after
//! it was sent. So the server counts them at least 1 s − m + way back of A + way there of B apart, which is a second or
//! more as long as the two ways take m together. A window with more calls than the cap would need two calls of one slot.
//!
//! A call without an answer may still lie in a socket of a server that stands still, even after its connection was
//! closed, and is counted when the server goes on. So it keeps its slot until the server has answered a call that was
//! sent after this one was given up, and a second and a little more after that. Where answers stop coming, calls leave some
//! slots free and then go out one at a time, so that there is always one to find out whether the server answers again.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;

/// The window that the cap speaks of.
pub const WINDOW: Duration = Duration::from_secs(1);

/// Until so many round trips were seen, their smallest says too little: that of 20 is often far above the least that two
/// ways can take.
const ROUND_TRIPS_TO_TRUST: u32 = 100;

/// How steady the ways are is told by the smallest round trips of as many batches, of so many calls each: two seconds at
/// the usual cap.
const BATCH: usize = 25;
const BATCHES: usize = 16;

/// However steady they are, so much of the smallest round trip is left out of m, or half of it if that is less: a way there
/// that becomes faster by no more than this, at one stroke, breaks nothing.
const MARGIN: Duration = Duration::from_millis(10);

/// The slot is taken until then unless an answer says otherwise: the exchange may last until its time-out, and
/// the server may have counted it at the very end.
pub fn held_until(taken: Moment, call_timeout: Duration) -> Moment {
    taken.plus(call_timeout).plus(WINDOW)
}

/// The round trips seen so far: the smallest of all, and how far from it those of late are.
#[derive(Debug, Default)]
pub struct RoundTrips {
    seen: u32,
    first: Option<Moment>,
    smallest: Option<Duration>,
    /// Those of the batch under way.
    batch: Vec<Duration>,
    /// What the last batches came to.
    batches: VecDeque<Batch>,
}

#[derive(Debug, Clone, Copy)]
struct Batch {
    smallest: Duration,
    median: Duration,
}

impl RoundTrips {
    /// When the slot of a call is free again whose answer was read at `answered`, after `round_trip`. The call's own
    /// round trip counts already.
    pub fn free_at(&mut self, answered: Moment, round_trip: Duration) -> Moment {
        self.seen = self.seen.saturating_add(1);
        self.first.get_or_insert(answered);
        self.smallest = Some(self.smallest.map_or(round_trip, |smallest| smallest.min(round_trip)));
        self.batch.push(round_trip);
        if self.batch.len() == BATCH {
            self.batch.sort_unstable();
            self.batches.push_back(Batch { smallest: self.batch[0], median: self.batch[BATCH / 2] });
            self.batch.clear();
            if self.batches.len() > BATCHES {
                self.batches.pop_front();
            }
        }
        answered.plus(WINDOW.saturating_sub(self.lower_bound(answered)))
    }

    /// How long most calls hold their slot beyond a second; none while too little is known. Calls that a stalled network holds up are
    /// not most.
    pub fn usual_excess(&self, now: Moment) -> Option<Duration> {
        let mut medians: Vec<Duration> = self.batches.iter().map(|batch| batch.median).collect();
        medians.sort_unstable();
        let median = medians.get(medians.len() / 2)?;
        Some(median.saturating_sub(self.lower_bound(now)))
    }

    /// m: zero at first. Then half of the smallest round trip, which is what the way back of one call takes alone where ways
    /// are alike, so that even a network that becomes faster from one call to the next breaks nothing. More where the ways prove
    /// steady: all but twice of what the smallest of any batch of late is above the smallest of all. With 0.8 × of that, whatever the ways,
    /// a busy machine and a network that varies a lot broke the cap in simulated windows. The first second does not
    /// count: its calls open connections, so their round trips are longer than those of later calls.
    fn lower_bound(&self, now: Moment) -> Duration {
        let (Some(first), Some(smallest)) = (self.first, self.smallest) else {
            return Duration::ZERO;
        };
        if self.seen < ROUND_TRIPS_TO_TRUST || now.since(first) < WINDOW {
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

/// Takes the place of the moment from which a slot is free while no answer to its call was read.
pub const UNANSWERED: Moment = Moment::from_nanos(u64::MAX);

/// So many exchange time-outs a call without an answer keeps its slot at least, where nothing proves that it was counted.
const LEAST_HOLD: u32 = 8;

/// The clocks of two processes may differ by this much at most: each reads the same one, but not at one stroke.
const CLOCKS_DIFFER: Duration = WINDOW;

/// What the ledger holds of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The moment from which it is free, or [`UNANSWERED`].
    pub free_at: Moment,
    /// When it was taken the last time; zero if that call was never sent.
    pub taken: Moment,
    /// When it was taken the time before.
    pub before: Moment,
}

/// How the slots of a command, or of the app, are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How many there are.
    pub cap: u32,
    /// How many are used: fewer where the rate is below the cap.
    pub used: u32,
    /// The longest that an exchange lasts.
    pub call_timeout: Duration,
}

impl Terms {
    /// So many slots are left to calls that go out one at a time, to find out whether the server answers again: a fifth,
    /// and of a low cap more, but never so many that calls of half a second each could not use the cap.
    pub fn kept_for_probes(self) -> u32 {
        (self.cap / 5).max(LEAST_HOLD).min(self.cap / 2)
    }

    /// The longest that a call without an answer keeps its slot: as long as the slots last that are kept for probes.
    pub fn longest_hold(self) -> Duration {
        self.call_timeout * self.kept_for_probes().max(LEAST_HOLD)
    }

    /// Whether a call may take the slot.
    pub fn is_free(self, slot: &Slot, now: Moment) -> bool {
        self.free_at(slot) <= now
    }

    /// From when the slot is free, as far as can be known.
    fn free_at(self, slot: &Slot) -> Moment {
        if slot.free_at == UNANSWERED { slot.taken.plus(self.longest_hold()) } else { slot.free_at }
    }

    /// When the exchange is over, however it ends.
    fn over(self, slot: &Slot) -> Moment {
        slot.taken.plus(self.call_timeout)
    }
}

/// What a look over all slots finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The free ones of those that are used, by number.
    pub free: Vec<u32>,
    /// What is to be written: slots whose call is known to be counted by now, and those that are left from before a reboot, or
    /// damaged.
    pub changed: Vec<(u32, Slot)>,
    /// When the first of the taken ones is free again.
    pub next: Option<Moment>,
    /// Calls that may still wait at the server.
    pub unanswered: u32,
    /// When the last call left.
    pub last: Option<Moment>,
    /// When the call left that was sent last of those that were answered.
    pub heard: Option<Moment>,
    /// When the first call left after that.
    pub waiting_since: Option<Moment>,
}

/// Looks over all slots. `heard` is what was known before of the last call that was answered.
pub fn survey(slots: &[Slot], now: Moment, heard: Option<Moment>, terms: Terms) -> Survey {
    let possible = |slot: &&Slot| slot.taken <= now.plus(CLOCKS_DIFFER) && slot.taken > Moment::from_nanos(0);
    let answered = slots.iter().filter(|slot| slot.free_at != UNANSWERED).filter(possible);
    let mut found = Survey { heard: answered.map(|slot| slot.taken).max().max(heard), ..Survey::default() };
    found.last = slots.iter().filter(possible).map(|slot| slot.taken).max();
    let mut unused = terms.used;
    for (number, slot) in (0..terms.cap).zip(slots) {
        let slot = found.judge(number, *slot, now, terms);
        // Where fewer slots are used than there are, one that nothing has been heard of for long is not one of them.
        let overdue = slot.free_at == UNANSWERED && held_until(slot.taken, terms.call_timeout) <= now;
        let free_at = terms.free_at(&slot);
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
const FORGOTTEN: Duration = Duration::from_mins(5);

/// From when on no slot holds a call; none while calls may still wait at the server.
pub fn unheld_from(slots: &[Slot], now: Moment) -> Option<Moment> {
    let terms = Terms { cap: u32::MAX, used: u32::MAX, call_timeout: Duration::ZERO };
    let heard = survey(slots, now, None, terms).heard;
    let sent = slots.iter().filter(|slot| slot.taken > Moment::from_nanos(0) && slot.taken <= now.plus(CLOCKS_DIFFER));
    let mut from = now;
    for slot in sent {
        if slot.free_at != UNANSWERED {
            from = from.max(slot.free_at);
        } else if slot.taken.plus(FORGOTTEN) > now && heard.is_none_or(|heard| slot.taken > heard) {
            return None;
        }
    }
    Some(from)
}

impl Survey {
    /// What the slot is from now on.
    fn judge(&mut self, number: u32, slot: Slot, now: Moment, terms: Terms) -> Slot {
        let nothing = Moment::from_nanos(0);
        let latest = held_until(now, terms.call_timeout);
        let unanswered = slot.free_at == UNANSWERED;
        if slot.taken > now.plus(CLOCKS_DIFFER) || (!unanswered && slot.free_at > latest.plus(CLOCKS_DIFFER)) {
            return self.change(number, Slot { free_at: latest, taken: nothing, before: nothing });
        }
        if !unanswered {
            return slot;
        }
        if self.heard.is_none_or(|heard| slot.taken > heard) {
            self.waiting_since = Some(self.waiting_since.map_or(slot.taken, |since| since.min(slot.taken)));
        }
        // Also where it is free for want of a proof: it is counted just now if the server stood still until now.
        if self.heard.is_some_and(|heard| terms.over(&slot) <= heard) {
            // The server reads what waits, but not all of it at one stroke.
            let free_at = now.plus(WINDOW).plus(terms.call_timeout / 10);
            return self.change(number, Slot { free_at, ..slot });
        }
        self.unanswered += u32::from(!terms.is_free(&slot, now));
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

    fn trusted() -> RoundTrips {
        let mut trips = RoundTrips::default();
        for n in 0..100 {
            trips.free_at(at(n * 20), 50 * MS);
        }
        trips
    }

    #[test]
    fn a_slot_is_held_a_whole_second_until_a_hundred_round_trips_were_seen() {
        let mut trips = RoundTrips::default();
        for n in 0..99 {
            assert_eq!(trips.free_at(at(n * 20), 50 * MS), at(n * 20 + 1000));
        }
        assert_eq!(trips.free_at(at(1980), 50 * MS), at(1980 + 975));
    }

    #[test]
    fn a_slot_is_held_a_whole_second_during_the_first_second() {
        let mut trips = RoundTrips::default();
        for n in 0..100 {
            assert_eq!(trips.free_at(at(n), 150 * MS), at(n + 1000));
        }
    }

    #[test]
    fn a_fast_answer_counts_for_its_own_slot_already() {
        assert_eq!(trusted().free_at(at(5000), 10 * MS), at(5995));
        assert_eq!(trusted().free_at(at(5000), 90 * MS), at(5975));
    }

    #[test]
    fn a_slot_is_never_free_before_its_answer() {
        let mut trips = RoundTrips::default();
        for n in 0..100 {
            trips.free_at(at(n * 20), 9000 * MS);
        }
        assert_eq!(trips.free_at(at(5000), 9000 * MS), at(5000));
    }

    /// So many calls that are answered a millisecond apart, each after this round trip.
    fn answer(trips: &mut RoundTrips, calls: u64, from: u64, round_trip: Duration) {
        for n in 0..calls {
            trips.free_at(at(from + n), round_trip);
        }
    }

    #[test]
    fn ways_that_prove_steady_are_counted_on_but_for_a_margin() {
        let mut trips = RoundTrips::default();
        answer(&mut trips, 398, 0, 500 * MS);
        assert_eq!(trips.free_at(at(9000), 500 * MS), at(9000 + 750));
        assert_eq!(trips.free_at(at(9001), 500 * MS), at(9001 + 510));
    }

    #[test]
    fn ways_that_vary_are_not_counted_on_until_they_have_been_steady_for_long() {
        let mut trips = RoundTrips::default();
        answer(&mut trips, 1200, 0, 500 * MS);
        // A batch of which none is below 520 ms, and one of which one is.
        answer(&mut trips, 25, 9000, 520 * MS);
        assert_eq!(trips.free_at(at(9100), 500 * MS), at(9100 + 540));
        answer(&mut trips, 49, 9200, 700 * MS);
        assert_eq!(trips.free_at(at(9300), 500 * MS), at(9300 + 750));
        answer(&mut trips, 800, 9400, 501 * MS);
        assert_eq!(trips.free_at(at(12_000), 501 * MS), at(12_000 + 510));
    }

    const TERMS: Terms = Terms { cap: 200, used: 200, call_timeout: Duration::from_secs(5) };

    fn settled(taken: u64, free_at: u64) -> Slot {
        Slot { free_at: at(free_at), taken: at(taken), before: at(0) }
    }

    fn unanswered(taken: u64) -> Slot {
        Slot { free_at: UNANSWERED, ..settled(taken, 0) }
    }

    #[test]
    fn a_survey_parts_free_taken_and_impossible_slots() {
        let slots = [settled(1, 10), settled(2, 30), settled(3, 20), settled(4, 21), settled(5, 9000)];
        let found = survey(&slots, at(20), None, TERMS);
        assert_eq!((found.free, found.next), (vec![0, 2], Some(at(21))));
        assert_eq!(found.changed, [(4, settled(0, 6020))]);
        let before_a_reboot = [settled(9_000_000, 9_001_000), unanswered(9_000_000)];
        let found = survey(&before_a_reboot, at(20), None, TERMS);
        assert_eq!(found.changed, [(0, settled(0, 6020)), (1, settled(0, 6020))]);
        assert_eq!((found.next, found.heard, found.unanswered), (Some(at(6020)), None, 0));
    }

    #[test]
    fn a_call_without_an_answer_keeps_its_slot_until_one_is_answered_that_left_after_it_was_given_up() {
        let known = |heard, now| survey(&[unanswered(1000), settled(heard, heard + 1000)], at(now), None, TERMS);
        let in_vain = known(5999, 7000);
        assert_eq!((in_vain.unanswered, in_vain.changed, in_vain.free), (1, vec![], vec![1]));
        let proved = known(6000, 6020);
        assert_eq!((proved.unanswered, proved.changed), (0, vec![(0, settled(1000, 7520))]));
        assert_eq!(survey(&[unanswered(1000)], at(6020), Some(at(6000)), TERMS).changed.len(), 1, "heard before");
    }

    #[test]
    fn nothing_keeps_a_slot_for_longer_than_the_slots_for_probes_last() {
        let hold = |cap| Terms { cap, used: cap, ..TERMS }.longest_hold().as_secs();
        assert_eq!([1, 2, 20, 40, 100, 200].map(hold), [40, 40, 40, 40, 100, 200]);
        let kept = |cap| Terms { cap, used: cap, ..TERMS }.kept_for_probes();
        assert_eq!([1, 2, 10, 20, 40, 100, 200].map(kept), [0, 1, 5, 8, 8, 20, 40]);
        assert_eq!(survey(&[unanswered(1000)], at(200_999), None, TERMS).free, Vec::<u32>::new());
        assert_eq!(survey(&[unanswered(1000)], at(201_000), None, TERMS).free, [0]);
    }

    #[test]
    fn what_was_sent_since_the_last_answer_is_waited_for() {
        let slots = [settled(2000, 3000), unanswered(1000), unanswered(2500), unanswered(2400)];
        let found = survey(&slots, at(2600), None, TERMS);
        assert_eq!((found.heard, found.waiting_since, found.last), (Some(at(2000)), Some(at(2400)), Some(at(2500))));
        assert_eq!(found.unanswered, 3);
    }

    #[test]
    fn of_a_lower_rate_no_slot_is_lost_to_a_call_without_an_answer() {
        let slots = [unanswered(1000), settled(1500, 2500), settled(900, 1900)];
        let used = |now| survey(&slots, at(now), None, Terms { used: 1, ..TERMS }).free;
        assert_eq!((used(6999), used(7000)), (vec![], vec![1]));
    }

    proptest! {
        #[test]
        fn the_server_counts_two_calls_of_a_slot_a_second_apart_while_two_ways_take_the_lower_bound(
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
        fn a_way_there_that_was_steady_may_become_faster_by_the_margin(
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
        fn ways_that_are_alike_may_change_as_they_like(
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

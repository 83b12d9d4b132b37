//! Slots: why no one-second window of the server holds more calls than the cap.
//!
//! There are as many slots as the cap. A call takes a slot when it is sent, and the slot is free again at
//! *answer read + 1 s − m*, where m is a safe lower bound of the round trip. Say call B follows call A in a slot. A was
//! counted at the latest *way back of A* before its answer was read; B is counted at the earliest *way there of B* after
//! it was sent. So the server counts them at least 1 s − m + way back of A + way there of B apart, which is a second or
//! more as long as the two ways take m together. A window with more calls than the cap would need two calls of one slot.

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
pub fn held_until(taken: Moment, exchange_timeout: Duration) -> Moment {
    taken.plus(exchange_timeout).plus(WINDOW)
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

/// What a look over all slots finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The free ones, by number.
    pub free: Vec<u32>,
    /// Those whose time lies further ahead than any call can hold one: left from before a reboot, or damaged.
    pub impossible: Vec<u32>,
    /// When the first of the taken ones is free again.
    pub next: Option<Moment>,
}

/// Looks over the free-at times of all slots. `latest` is the furthest that a slot taken now could be held.
pub fn survey(slots: impl IntoIterator<Item = Moment>, now: Moment, latest: Moment) -> Survey {
    let mut found = Survey::default();
    for (number, free_at) in (0_u32..).zip(slots) {
        if free_at <= now {
            found.free.push(number);
            continue;
        }
        if free_at > latest {
            found.impossible.push(number);
        }
        let free_at = free_at.min(latest);
        found.next = Some(found.next.map_or(free_at, |next| next.min(free_at)));
    }
    found
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

    #[test]
    fn a_survey_parts_free_taken_and_impossible_slots() {
        let slots = [at(10), at(30), at(20), at(21), at(99)];
        let found = survey(slots, at(20), at(40));
        assert_eq!(found, Survey { free: vec![0, 2], impossible: vec![4], next: Some(at(21)) });
        assert_eq!(survey([at(99)], at(20), at(40)).next, Some(at(40)));
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

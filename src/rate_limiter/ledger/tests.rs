//! Tests of the ledger with several processes, each of which is a separate view of one file.

use std::num::NonZeroU32;

use super::*;
use crate::domain::rate_limit::calls_per_day::CallsPerDay;

const TIMEOUT: Duration = Duration::from_secs(5);

fn cap(calls: u32) -> Cap {
    Cap::try_from(NonZeroU32::new(calls).expect("not zero")).expect("low enough")
}

fn ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn today() -> Zoned {
    "2026-11-22T12:00Z[UTC]".parse().expect("a moment")
}

/// A process: its ledger, the section of the app and the section of a command.
struct Process(Ledger, LedgerSection, LedgerSection);

impl Process {
    fn start(folder: &Path, app: u32, command: u32) -> Self {
        let ledger = Ledger::open(&folder.join("ledger"), TIMEOUT).expect("a ledger");
        let section = ledger.section("friend_delete", cap(command)).expect("a section");
        Self(ledger, Ledger::app(cap(app)), section)
    }

    fn take(&mut self, now: Moment) -> Result<TakenSlots, Moment> {
        let taken = self.0.take(&mut self.1, &mut self.2, (&mut [], &today()), || now).expect("the ledger works");
        taken.map_err(|no_slots| match no_slots {
            NoSlots::Until(next) => next,
            NoSlots::DayUsedUp(day) => panic!("{day:?}"),
        })
    }

    fn take_all(&mut self, now: Moment) -> Vec<TakenSlots> {
        std::iter::from_fn(|| self.take(now).ok()).collect()
    }
}

fn refusal(path: &Path) -> String {
    Ledger::open(path, TIMEOUT).expect_err("not a ledger").to_string()
}

#[test]
fn the_lower_cap_is_the_number_of_slots_and_unanswered_calls_keep_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 5, 3);
    assert_eq!(process.take_all(ms(100)).len(), 3);
    // No call was answered since then, so the slots are taken as long as those of a low cap can be.
    assert_eq!(process.take(ms(200)).expect_err("all taken"), ms(40_100));
    assert_eq!(process.take_all(ms(40_099)).len(), 0);
    assert_eq!(process.take_all(ms(40_100)).len(), 3);
}

#[test]
fn a_command_finds_the_slots_of_the_app_taken_by_another_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 3, 2);
    assert_eq!(process.take_all(ms(100)).len(), 2);
    process.2 = process.0.section("account_delete", cap(2)).expect("a section");
    assert_eq!(process.take_all(ms(100)).len(), 1);
    // The command that found no slot of the app took none of its own.
    process.1.set_slots(4);
    assert_eq!(process.take_all(ms(100)).len(), 1);
}

#[test]
fn an_answer_frees_the_slots_at_the_given_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 1, 1);
    let taken = process.take(ms(100)).expect("free");
    process.0.free(&taken, ms(1150)).expect("works");
    assert_eq!(process.take(ms(1149)).expect_err("taken"), ms(1150));
    assert!(process.take(ms(1150)).is_ok());
}

#[test]
fn a_late_answer_does_not_free_the_slots_of_the_next_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 1, 1);
    let late = process.take(ms(100)).expect("free");
    let _next = process.take(ms(40_100)).expect("free again");
    process.0.free(&late, ms(40_200)).expect("works");
    assert_eq!(process.take(ms(40_200)).expect_err("taken"), ms(80_100));
}

#[test]
fn processes_share_the_slots_and_a_killed_process_keeps_them_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = Process::start(folder.path(), 200, 100);
    let mut second = Process::start(folder.path(), 200, 60);
    assert_eq!(second.take_all(ms(100)).len(), 60);
    assert_eq!(first.take_all(ms(100)).len(), 40);
    drop((first, second));
    assert_eq!(Process::start(folder.path(), 200, 100).take_all(ms(101)).len(), 0);
}

#[test]
fn a_slot_that_another_process_took_since_the_scan_is_not_taken_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, mut second) = (Process::start(folder.path(), 9, 9), Process::start(folder.path(), 9, 9));
    let _one = first.take(ms(100)).expect("free");
    assert_eq!(second.take_all(ms(100)).len(), 8);
    assert_eq!(first.take_all(ms(100)).len(), 0);
}

#[test]
fn slots_from_before_a_reboot_are_corrected_once_and_become_free() {
    let folder = tempfile::tempdir().expect("a folder");
    let _before = Process::start(folder.path(), 7, 7).take_all(ms(1_000_000_000));
    let mut process = Process::start(folder.path(), 7, 7);
    assert_eq!(process.take(ms(50)).expect_err("taken"), ms(6050));
    assert_eq!(process.take(ms(60)).expect_err("taken"), ms(6050));
    assert_eq!(process.take_all(ms(6050)).len(), 7);
}

#[test]
fn a_high_cap_uses_its_own_section_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), Cap::MAX, Cap::MAX);
    assert_eq!(process.take_all(ms(1)).len(), Cap::MAX as usize);
    process.2 = process.0.section("account_delete", cap(1)).expect("a section");
    assert_eq!(process.take(ms(2)).expect_err("the app's are taken"), ms(65_535_001));
}

#[test]
fn all_users_may_write_the_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    Process::start(folder.path(), 1, 1);
    let mode = folder.path().join("ledger").metadata().expect("there").mode();
    assert_eq!(mode & 0o777, 0o666);
}

#[test]
fn links_folders_and_other_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name| folder.path().join(name);
    std::fs::write(place("other"), "precious").expect("written");
    std::fs::hard_link(place("other"), place("hard")).expect("linked");
    std::fs::write(place("text"), "something else").expect("written");
    std::os::unix::fs::symlink(place("victim"), place("soft")).expect("linked");
    assert!(refusal(&place("soft")).contains("soft: cannot open"));
    assert!(refusal(&place("hard")).contains("a file with several names"));
    assert!(refusal(&place("text")).contains("some other file"));
    assert!(refusal(folder.path()).contains("cannot open"));
    assert!(refusal(Path::new("/dev/null")).contains("not a regular file"));
    assert_eq!(std::fs::read_to_string(place("other")).expect("there"), "precious");
    assert!(!place("victim").exists());
}

#[test]
fn a_ledger_removed_while_in_use_stops_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 2, 2);
    std::fs::remove_file(folder.path().join("ledger")).expect("removed");
    let error = process.0.take(&mut process.1, &mut process.2, (&mut [], &today()), || ms(1)).expect_err("removed");
    assert!(error.to_string().contains("was removed"), "{error}");
}

#[test]
fn a_ledger_without_a_free_section_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::open(&folder.path().join("ledger"), TIMEOUT).expect("a ledger");
    for n in 1..SECTIONS {
        ledger.section(&format!("command {n}"), cap(1)).expect("a free section");
    }
    assert!(matches!(ledger.section("one more", cap(1)), Err(LedgerError::Full { .. })));
    assert!(matches!(ledger.section(&"x".repeat(65), cap(1)), Err(LedgerError::Full { .. })));
}

#[test]
fn the_other_processes_read_a_published_cut_at_their_next_take() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut other] = [(); 2].map(|()| Process::start(folder.path(), 5, 5));
    let mut throttle = Throttle::new(cap(5));
    one.0.publish_cut(&mut one.2, &mut throttle, ms(6990), || ms(7000)).expect("published");
    let cut = RateCut { at: ms(7000), limit: 1_000, confidence: 0 };
    assert_eq!(other.2.published_cut(), None);
    assert_eq!(other.take(ms(7001)).expect_err("there is news"), ms(7001));
    assert_eq!((other.1.published_cut(), other.2.published_cut()), (None, Some(cut)));
    other.take(ms(7001)).expect("known by now");
    one.take(ms(7001)).expect("it knew");
}

#[test]
fn processes_keep_one_pace_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut other] = [(); 2].map(|()| Process::start(folder.path(), 5, 5));
    one.2.set_pace(Duration::from_millis(100), Duration::from_millis(10));
    other.2.set_pace(Duration::from_millis(100), Duration::from_millis(10));
    one.take(ms(7000)).expect("the first");
    assert_eq!(other.take(ms(7050)).expect_err("too soon"), ms(7090));
    other.take(ms(7090)).expect("in time");
    assert_eq!(one.take(ms(7100)).expect_err("too soon"), ms(7190));
}

#[test]
fn the_calls_of_a_second_are_counted_even_if_their_slots_were_taken_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let [few, mut many] = [2, 10].map(|slots| Process::start(folder.path(), 10, slots));
    let taken = many.take_all(ms(1000));
    many.0.free(&taken[0], ms(2000)).expect("works");
    many.take(ms(2000)).expect("free");
    assert_eq!([999, 1000, 1999, 2000].map(|at| few.0.sent(&few.2, ms(at)).expect("read")), [0, 10, 10, 1]);
}

#[test]
fn a_call_without_an_answer_keeps_its_slot_until_a_later_call_of_any_process_is_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut other] = [(); 2].map(|()| Process::start(folder.path(), 2, 2));
    let _killed = one.take(ms(1000)).expect("free");
    drop(one);
    let early = other.take(ms(5999)).expect("free");
    other.0.free(&early, ms(7000)).expect("works");
    let later = other.take(ms(7000)).expect("free again");
    assert_eq!(other.take(ms(7500)).expect_err("the first may still wait at the server"), ms(41_000));
    other.0.free(&later, ms(8000)).expect("works");
    assert_eq!(other.take_all(ms(8000)).len(), 1);
    assert_eq!(other.take(ms(9499)).expect_err("counted by now, a moment ago"), ms(9500));
    assert_eq!(other.take_all(ms(9500)).len(), 1);
}

#[test]
fn when_answers_stop_calls_are_sent_one_at_a_time_in_reserved_slots() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 200, 100);
    process.1.keep_some_for_probes();
    process.2.keep_some_for_probes();
    assert_eq!(process.take_all(ms(1000)).len(), 80);
    let mut probes = 0;
    for at in (1000..99_000).step_by(50) {
        probes += process.take_all(ms(at)).len();
    }
    assert_eq!(probes, 19, "one every 5 s");
    let probe = process.take(ms(99_999 + 2000)).expect("a slot is left");
    process.0.free(&probe, ms(102_100)).expect("works");
    process.1.answered(ms(101_999));
    process.2.answered(ms(101_999));
    assert!(process.take_all(ms(102_020)).len() <= 1, "all that was unanswered is counted just now");
    assert_eq!(process.take_all(ms(103_600)).len(), 79, "and a second ago");
}

#[test]
fn a_call_that_was_never_sent_proves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 2, 2);
    let _lost = process.take(ms(1000)).expect("free");
    let refused = process.take(ms(9000)).expect("free");
    process.0.return_unsent(&refused).expect("works");
    assert_eq!(process.take(ms(9020)).expect_err("none is free"), ms(15_000));
    assert_eq!(process.take_all(ms(15_000)).len(), 1);
}

#[test]
fn a_ledger_whose_path_refers_to_another_file_stops_the_process() {
    type Change = fn(&Path);
    let renamed: Change = |ledger| std::fs::rename(ledger, ledger.with_extension("old")).expect("renamed");
    let replaced: Change = |ledger| {
        std::fs::write(ledger.with_extension("new"), MAGIC).expect("written");
        std::fs::rename(ledger.with_extension("new"), ledger).expect("renamed");
    };
    for (change, what) in [(renamed, "renamed"), (replaced, "replaced")] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut process = Process::start(folder.path(), 2, 2);
        process.take(ms(1)).expect("free");
        process.0.check().expect("it is there");
        change(&folder.path().join("ledger"));
        assert!(process.0.check().expect_err("lost").to_string().contains(what));
        let error = process.0.take(&mut process.1, &mut process.2, (&mut [], &today()), || ms(20)).expect_err("lost");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_ledger_with_a_second_name_is_used_as_long_as_the_first_refers_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::start(folder.path(), 2, 2);
    let (first, second) = (folder.path().join("ledger"), folder.path().join("second"));
    std::fs::hard_link(&first, &second).expect("linked");
    process.0.check().expect("the same file");
    std::fs::remove_file(&first).expect("removed");
    assert!(process.0.check().expect_err("lost").to_string().contains("renamed"));
    std::fs::rename(&second, &first).expect("renamed back");
    process.0.check().expect("the same file");
}

#[test]
fn no_process_waits_for_a_lock() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 2, 2);
    let taken = process.take(ms(1)).expect("free");
    let other = File::open(folder.path().join("ledger")).expect("there");
    other.lock().expect("it is free");
    let error = process.0.take(&mut process.1, &mut process.2, (&mut [], &today()), || ms(1)).expect_err("locked");
    assert!(matches!(error, LedgerError::Locked { .. }), "{error}");
    assert!(matches!(process.0.free(&taken, ms(2)), Err(LedgerError::Locked { .. })));
    let mut late = process.0.section("account_delete", cap(1)).expect("looked up later");
    drop(other);
    process.0.take(&mut process.1, &mut late, (&mut [], &today()), || ms(1)).expect("works").expect("free");
}

/// Takes slots at this moment of the wall clock as long as the limit allows it, and returns how many.
fn calls(process: &mut Process, limit: &mut [DayBudget], now: &str) -> usize {
    let now: Zoned = now.parse().expect("a moment");
    let mut take = || process.0.take(&mut process.1, &mut process.2, (limit, &now), || ms(1)).expect("works");
    std::iter::from_fn(|| take().ok()).count()
}

fn per_day(calls: u64) -> CallsPerDay {
    CallsPerDay { calls: calls.try_into().expect("not zero"), zone: None }
}

#[test]
fn the_calls_of_a_day_are_counted_over_all_processes_and_the_next_day_begins_at_zero() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut limit = [DayBudget::new(per_day(50))];
    let (evening, midnight) = ("2026-11-22T23:59:59Z[UTC]", "2026-11-23T00:00:00Z[UTC]");
    let mut without_limit = Process::start(folder.path(), 5, 5);
    assert_eq!(calls(&mut without_limit, &mut [], "2026-11-22T01:00Z[UTC]"), 5, "as many as it has slots");
    let mut killed = Process::start(folder.path(), 35, 35);
    assert_eq!(calls(&mut killed, &mut limit, evening), 30);
    drop(killed);
    let mut process = Process::start(folder.path(), 100, 100);
    assert_eq!(calls(&mut process, &mut limit, evening), 15);
    let refused = process.0.take(&mut process.1, &mut process.2, (&mut limit, &evening.parse().unwrap()), || ms(1));
    let Ok(Err(NoSlots::DayUsedUp(day))) = refused else { panic!("{refused:?}") };
    assert_eq!((day.calls.get(), day.next_day), (50, midnight.parse().unwrap()));
    assert_eq!(calls(&mut process, &mut limit, midnight), 50);
    let today = |now: &str| calls_today(&folder.path().join("ledger"), &per_day(50), &now.parse().unwrap());
    assert_eq!((today(evening).unwrap(), today(midnight).unwrap()), (50, 50));
    assert_eq!(today("2026-11-24T00:00Z[UTC]").unwrap(), 0);
    assert_eq!(calls_today(&folder.path().join("none"), &per_day(50), &midnight.parse().unwrap()).unwrap(), 0);
}

#[test]
fn the_lowest_of_several_daily_limits_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 100, 100);
    let mut limits = [DayBudget::new(per_day(9)), DayBudget::new(per_day(7)), DayBudget::new(per_day(8))];
    assert_eq!(calls(&mut process, &mut limits, "2026-11-22T12:00Z[UTC]"), 7);
}

#[test]
fn a_ledger_with_a_daily_limit_is_needed_until_the_day_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path(), 9, 9);
    let needed = |process: &Process, now: &str| process.0.needs_counts(now.parse().unwrap()).expect("works");
    calls(&mut process, &mut [], "2026-11-22T12:00Z[UTC]");
    assert!(!needed(&process, "2026-11-22T12:00:01Z"), "no limit needs it");
    let mut process = Process::start(folder.path(), 20, 20);
    assert_eq!(calls(&mut process, &mut [DayBudget::new(per_day(12))], "2026-11-22T12:00Z[UTC]"), 3);
    assert!(needed(&process, "2026-11-22T23:59:59Z") && !needed(&process, "2026-11-23T00:00:00Z"));
}

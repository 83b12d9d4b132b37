//! The texts of the status.

use rstest::rstest;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::domain::bottleneck::ThrottledRate;
use crate::domain::heartbeat::Rates;
use crate::domain::response::verification::VerifiedRows;
use crate::report::Rejects;
use crate::report::testing;

fn at(moment: &str) -> Zoned {
    moment.parse().expect("a moment")
}

fn now() -> Zoned {
    at("2026-11-22T03:00:00+01:00[Europe/Berlin]")
}

fn heartbeat(bottleneck: Option<Bottleneck>) -> Heartbeat {
    let now = now().timestamp().as_millisecond();
    Heartbeat {
        at: now - 400,
        pid: 4_194_304,
        began_at: now - 723_000,
        before: [(Outcome::Pending, 9_999_998), (Outcome::Succeeded, 2)].into_iter().collect(),
        calls: 98_765_432,
        rates: Rates { units: 19_876.4, calls: 198.7 },
        in_flight: 10_000,
        median_latency: Some(Duration::from_millis(1_240)),
        bottleneck,
    }
}

/// The longest texts and the largest numbers that a run can have.
fn sending(bottleneck: Option<Bottleneck>) -> Detail {
    let heartbeat = heartbeat(bottleneck);
    let outcomes = [9_000_000, 400_123, 10_000_000, 123_456, 87_654_321, 12_345_678, 10_000_000, 1_234_567];
    let outcomes: Tally = Outcome::ALL.into_iter().zip(outcomes).collect();
    let figures = Figures {
        job: "the-job-that-deletes-all-trial-accounts-of-the-last-quarter-2026".to_owned(),
        operation: "friend_delete_all",
        target: "1400000001 on loopback".parse().unwrap(),
        state: StateName::Sending,
        stopped: None,
        rows: outcomes.total(),
        outcomes,
        ..testing::figures()
    };
    Detail {
        facts: StateFacts {
            since: Some(at("2026-11-22T02:47:57+01:00[Europe/Berlin]")),
            pid: Some(heartbeat.pid),
            seconds_left: seconds_left(&heartbeat, outcomes[Outcome::Pending]),
            forgotten: None,
            verified: VerifiedRows::default(),
        },
        figures,
        is_partial: true,
        session: Some(SessionTotals::new(&heartbeat, &outcomes, |_| now())),
        heartbeat: Some(heartbeat),
        pause: None,
        queue_bytes: Bytes(12_345_678_901),
        now: now(),
    }
}

fn throttled() -> Bottleneck {
    let rate = ThrottledRate { calls_per_second: 140, resumes_in: None };
    Bottleneck::Throttle { rate, cap: 200 }
}

#[test]
fn a_run_that_is_sent_shows_how_far_it_is_and_why_it_is_not_faster() {
    insta::assert_snapshot!(sending(Some(throttled())).text(Some(80)), @r"
    job            the-job-that-deletes-all-trial-accounts-of-the-last-quarter-2026
    run            0190e8b0-0000-7000-8000-000000000001
    operation      friend_delete_all on app 1400000001 on loopback
    state          sending, since 2026-11-22 02:47 +01:00 (12 min 3 s ago), pid
                   4194304
    progress       33.0 % of 130,758,145 rows done, 1 h 13 min left
    limited by     throttled by the API: 140 of 200 calls/s
    speed          199 calls/s, 19,876 rows/s, 10,000 in flight, 1.2 s per call
                   (median)
    rows            130,758,145              this session
      succeeded       9,000,000     6.9 %       8,999,998
      already_done      400,123     0.3 %         400,123
      failed         10,000,000     7.6 %      10,000,000
      in_doubt          123,456   < 0.1 %         123,456
      pending        87,654,321    67.0 %
      rejected       12,345,678     9.4 %
      duplicate      10,000,000     7.6 %
      protected       1,234,567     0.9 %
    calls                                      98,765,432
    time                                       12 min 2 s
    queue          11.4 GiB on disk
    codes
        70107  already_done        400  the account does not exist
        70402  failed               90  a parameter is not valid
         none  in_doubt              8  no answer that names one
    codes that imbulk does not know
        99999  failed              500
      counted in the first rows only, because there are many
    rejected rows
      in.csv:3: `UserID` has \u{1b}[2J in it
      and 12,345,677 more
      all of them: imbulk results
        the-job-that-deletes-all-trial-accounts-of-the-last-quarter-2026 --outcome
        rejected
    ");
}

#[test]
fn a_halted_run_shows_why_and_since_when() {
    let detail = Detail {
        figures: testing::figures(),
        facts: StateFacts {
            since: Some(at("2026-11-22T01:10+01:00[Europe/Berlin]")),
            pid: None,
            seconds_left: None,
            forgotten: None,
            verified: VerifiedRows::default(),
        },
        is_partial: false,
        session: None,
        heartbeat: None,
        pause: Some(RunPause { who: "alice@batch-1 (pid 7)".to_owned(), since: 0 }),
        ..sending(None)
    };
    insta::assert_snapshot!(detail.text(Some(80)), @r"
    job            purge
    run            0190e8b0-0000-7000-8000-000000000001
    operation      account_delete on app 1400000001
    state          halted, since 2026-11-22 01:10 +01:00 (1 h 50 min ago)
    progress       > 99.9 % of 1,000,012 rows done
    paused         by alice@batch-1 (pid 7) since 1970-01-01T00:00:00.000Z
    hint: `imbulk ctl purge resume` ends the pause
    reason         fuse: 812 of 1000 items failed
    rows              1,000,012
      succeeded         999,000    99.9 %
      already_done          400   < 0.1 %
      failed                590   < 0.1 %
      in_doubt                8   < 0.1 %
      pending                 2   < 0.1 %
      rejected                7   < 0.1 %
      duplicate               4   < 0.1 %
      protected               1   < 0.1 %
    queue          11.4 GiB on disk
    codes
        70107  already_done        400  the account does not exist
        70402  failed               90  a parameter is not valid
         none  in_doubt              8  no answer that names one
    codes that imbulk does not know
        99999  failed              500
    rejected rows
      in.csv:3: `UserID` has \u{1b}[2J in it
      and 6 more
      all of them: imbulk results purge --outcome rejected
    ");
}

fn overview(job: &str) -> Overview {
    let run = |number: u32, state, stopped: Option<&str>| {
        let Detail { figures, facts, .. } = sending(Some(throttled()));
        let is_sending = state == StateName::Sending;
        RunStatus {
            run: format!("0190e8b0-{number:04}-7000-8000-000000000001"),
            job: job.to_owned(),
            operation: figures.operation,
            target: "1400000001".parse().unwrap(),
            state,
            facts: if is_sending { facts } else { StateFacts { pid: None, seconds_left: None, ..facts } },
            stopped: stopped.map(Message::new),
            limited_by: is_sending.then(|| limited_by(Some(&heartbeat(Some(throttled()))), &now())),
            rows: figures.rows,
            outcomes: figures.outcomes,
        }
    };
    let runs = vec![
        run(1, StateName::Superseded, Some("given up for run 0190e8b0-0000-7000-8000-000000000001")),
        run(2, StateName::Halted, Some("fuse: 812 of 1000 items failed,\nand many more words follow after them")),
        run(12, StateName::Sending, None),
    ];
    Overview { schema: FormatVersion, runs, queue_bytes: Bytes(4_096), runner: RunnerPresence::Present, now: now() }
}

#[test]
fn all_runs_are_in_one_table() {
    insta::assert_snapshot!(overview("purge").text(None), @r"
    job    run            state         done         rows      failed  in_doubt
    purge  0190e8b0-0001  superseded  33.0 %  130,758,145  10,000,000   123,456
      app 1400000001, 12 min 3 s ago: given up for run 0190e8b0-0000-7000-8000-000000000001
    purge  0190e8b0-0002  halted      33.0 %  130,758,145  10,000,000   123,456
      app 1400000001, 12 min 3 s ago: fuse: 812 of 1000 items failed,\nand many more words follow after them
    purge  0190e8b0-0012  sending     33.0 %  130,758,145  10,000,000   123,456
      app 1400000001, 12 min 3 s ago, pid 4194304, 1 h 13 min left: throttled by the API: 140 of 200 calls/s
    queue: 4.0 KiB on disk
    ");
    insta::assert_snapshot!(overview(&sending(None).figures.job).text(Some(80)), @r"
    job         run            state         done         rows      failed  in_doubt
    the-job-t…  0190e8b0-0001  superseded  33.0 %  130,758,145  10,000,000   123,456
      app 1400000001, 12 min 3 s ago: given up for run
        0190e8b0-0000-7000-8000-000000000001
    the-job-t…  0190e8b0-0002  halted      33.0 %  130,758,145  10,000,000   123,456
      app 1400000001, 12 min 3 s ago: fuse: 812 of 1000 items failed,\nand many more
        words follow after them
    the-job-t…  0190e8b0-0012  sending     33.0 %  130,758,145  10,000,000   123,456
      app 1400000001, 12 min 3 s ago, pid 4194304, 1 h 13 min left: throttled by the
        API: 140 of 200 calls/s
    queue: 4.0 KiB on disk
    ");
    let none = |runner| Overview { runs: Vec::new(), runner, ..overview("purge") }.text(None);
    insta::assert_snapshot!(none(RunnerPresence::Absent), @"no runs yet: imbulk plan JOB loads one");
    let loading = "no runs yet, but a process owns the queue: it may be loading the first one\n";
    assert_eq!(none(RunnerPresence::Present), loading);
}

#[rstest]
#[case(80)]
#[case(60)]
fn no_line_is_wider_than_the_terminal(#[case] width: u16) {
    let mut hostile = sending(Some(throttled()));
    hostile.figures.rejects = Rejects(vec![crate::queue::Rejected {
        source: "一个非常长的文件名/".repeat(12),
        line: 10_000_000,
        column: None,
        reason: "x".repeat(300),
    }]);
    let name = hostile.figures.job.clone();
    for text in [hostile.text(Some(width)), overview(&name).text(Some(width))] {
        assert!(text.lines().all(|line| line.width() <= usize::from(width)), "{text}");
    }
}

#[test]
fn an_update_is_one_line_with_the_time() {
    let update = StatusOutput::Detail(Box::new(sending(Some(throttled())))).update();
    assert_eq!(
        update,
        "2026-11-22 03:00:00 +01:00  sending  33.0 % of 130,758,145 rows, 10,000,000 failed, 123,456 in doubt, 199 \
         calls/s, 1 h 13 min left; throttled by the API: 140 of 200 calls/s"
    );
}

#[test]
fn a_process_that_stores_nothing_any_more_is_reported() {
    let later = at("2026-11-22T03:02:00+01:00[Europe/Berlin]");
    let silent = limited_by(Some(&heartbeat(Some(throttled()))), &later);
    assert_eq!(silent, "the process has stored nothing for 2 min: it waits for the disk, or a signal has stopped it");
    assert_eq!(limited_by(None, &now()), "the session is starting");
    assert_eq!(limited_by(Some(&heartbeat(None)), &now()), "requests are read from the queue");
}

#[rstest]
#[case::fast(Some(throttled()), 19_876.4, 100_000, Some(6))]
#[case::standstill(Some(throttled()), 0.0, 100_000, None)]
#[case::slow(Some(throttled()), 1e-300, 100_000, None)]
#[case::stopping(Some(Bottleneck::Draining { in_flight: 1 }), 100.0, 100_000, None)]
fn the_time_left_is_that_at_the_speed_of_the_last_seconds(
    #[case] bottleneck: Option<Bottleneck>,
    #[case] units: f64,
    #[case] rows_left: u64,
    #[case] expected: Option<u64>,
) {
    let heartbeat = Heartbeat { rates: Rates { units, calls: 1.0 }, ..heartbeat(bottleneck) };
    assert_eq!(seconds_left(&heartbeat, rows_left), expected);
}

#[test]
fn ids_are_as_long_as_they_must_be_to_differ() {
    assert_eq!(id_length(["0190e8b0-1", "0190e8b0-2"].into_iter()), 10);
    assert_eq!(id_length(["0190e8b0-1", "1190e8b0-2"].into_iter()), SHORT_ID);
}

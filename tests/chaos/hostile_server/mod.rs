//! A server that misbehaves in many ways. Each mode has its documented outcome and costs no more time and memory than
//! promised. Texts of the server stay within the lines that quote them.

mod fatal;
mod server;
mod table;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use imbulk_sandbox::Command;

use imbulk_testkit::rows::{InputRow, ResultRow, shuffle, tally};
use imbulk_testkit::scripted_server::{ScriptedServer, Step};
use imbulk_testkit::{JobFile, ProgramOutput, RunningProgram};
use server::{Ask, Observed};
use table::{Effect, MODES, all, ok};

/// "Not a friend". As the response to a second attempt it means `succeeded` if the first attempt left a doubt, and
/// `already_done` otherwise.
const NOT_A_FRIEND: i64 = 31704;
/// Accounts that the server answers correctly. They show that the other accounts do not affect them.
const NICE: usize = 800;
/// The longest call, by the documentation of `CALL_TIMEOUT`.
const TIME_OUT: Duration = Duration::from_secs(5);
/// The longest response that is read.
const MAX_ANSWER: usize = 1 << 20;
/// The number of bytes beyond the longest response that the server may send before it notices that the client has
/// closed the connection.
const UNNOTICED: usize = 4 << 20;

/// The end of the reason of a row whose lookup the server refused.
const LOOKUP_REFUSED: &str = "; the lookup failed: not allowed";

/// In KiB. A run of any size takes at least this much in a debug build.
const ANY_START: u64 = 64 << 10;

/// A run that has ended.
struct Played {
    rows: Vec<ResultRow>,
    output: ProgramOutput,
    seen: Observed,
    /// The peak memory of the client, in KiB.
    peak: u64,
    /// The largest delay of a timer of the test or of the server. Every event may be noticed this much later.
    lag: Duration,
}

/// A job whose calls go to `server`.
fn job(server: &ScriptedServer, max_attempts: u32) -> JobFile {
    JobFile::new("job", Command::FriendDelete)
        .with("app", "endpoint", format!("{:?}", server.url()))
        .with("retry", "max_attempts", max_attempts)
        .with("limits", "calls_per_second", 1000)
        // The accounts are named after the modes, one of which is `null`.
        .with("input", "unusual_ids", "\"allow\"")
}

/// [`play`], repeated if the machine itself paused for a large part of a timeout, because that proves nothing about the
/// client.
fn play_steadily(server: impl Fn() -> ScriptedServer, asked: &[InputRow], max_attempts: u32) -> Played {
    let mut played = play(&server(), asked, max_attempts);
    for _ in 0..4 {
        if played.lag < TIME_OUT / 10 {
            break;
        }
        eprintln!("this machine paused for {:?}; repeating", played.lag);
        played = play(&server(), asked, max_attempts);
    }
    played
}

/// Runs `asked` against `server` to its end and watches the clock and the memory of the client.
fn play(server: &ScriptedServer, asked: &[InputRow], max_attempts: u32) -> Played {
    let (workspace, job) = job(server, max_attempts).rows(asked).in_a_workspace();
    let mut running = workspace.start(&["run", &job, "--execute", "--yes", "-vv"], b"");
    let (mut peak, mut lag) = (0, Duration::ZERO);
    while running.is_alive() {
        peak = peak_of(&running).unwrap_or(peak);
        let begun = Instant::now();
        workspace.nap();
        lag = lag.max(begun.elapsed());
    }
    let output = running.wait();
    let over = Instant::now();
    while server.seen().open > 0 && over.elapsed() < TIME_OUT {
        workspace.nap();
    }
    let seen = Observed::of(server);
    let lag = lag.max(seen.lag);
    let rows = workspace.results("job").into_iter().map(without_lookup).collect();
    Played { rows, output, seen, peak, lag }
}

/// The row as it would be without the lookup, which the server refuses.
fn without_lookup(row: ResultRow) -> ResultRow {
    match row.reason.strip_suffix(LOOKUP_REFUSED) {
        Some(reason) => ResultRow { reason: reason.to_owned(), attempts: row.attempts - 1, ..row },
        None => row,
    }
}

/// `VmHWM`; none after the process has ended.
fn peak_of(running: &RunningProgram) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().trim_end_matches(" kB").parse().ok())
}

/// Three items for each mode and one for each account with a correct server, shuffled.
fn asked() -> Vec<InputRow> {
    let of_mode = |(n, name): (usize, &str)| ["a", "b", "c"].map(|item| InputRow::pair(name, &format!("{item}-{n}")));
    let mut accounts: Vec<Vec<InputRow>> =
        MODES.iter().map(|mode| mode.name).enumerate().map(|mode| of_mode(mode).to_vec()).collect();
    accounts.extend((0..NICE).map(|n| vec![InputRow::pair(&format!("nice-{n}"), "a")]));
    shuffle(&mut accounts, 1);
    accounts.concat()
}

/// A server with each mode at the first `times` calls for its account.
fn hostile(times: usize) -> ScriptedServer {
    let modes: BTreeMap<_, _> = MODES.iter().map(|mode| (mode.name, &mode.play)).collect();
    server::start(move |ask| match modes.get(ask.from.as_str()) {
        Some(play) if ask.nth <= times => play(ask),
        Some(_) => vec![Step::Write(ok(&all(&ask.to, NOT_A_FRIEND)))],
        None => nice(ask),
    })
}

fn nice(ask: &Ask) -> Vec<Step> {
    vec![Step::Write(ok(&all(&ask.to, 0)))]
}

/// Three runs of the same rows in parallel, because they mostly wait.
struct All {
    /// Every mode at every call, and one attempt: the outcome when no other response arrives.
    for_ever: Played,
    /// Every mode once, and then a correct response to the second attempt.
    once: Played,
    /// A server that answers all calls correctly.
    friendly: Played,
}

static ALL: LazyLock<All> = LazyLock::new(|| {
    std::thread::scope(|scope| {
        let for_ever = scope.spawn(|| play_steadily(|| hostile(usize::MAX), &asked(), 1));
        let once = scope.spawn(|| play_steadily(|| hostile(1), &asked(), 2));
        let friendly = scope.spawn(|| play_steadily(|| server::start(nice), &asked(), 1));
        let [for_ever, once, friendly] =
            [for_ever, once, friendly].map(|run| run.join().expect("it is played to its end"));
        All { for_ever, once, friendly }
    })
});

/// The result of a row if its account gets this mode at every call.
fn for_ever(effect: Effect) -> (&'static str, Option<i64>, u32) {
    match effect {
        Effect::Succeeded => ("succeeded", None, 1),
        Effect::AlreadyDone => ("already_done", Some(NOT_A_FRIEND), 1),
        Effect::Failed(code) | Effect::Refused(code) | Effect::TimedOut(code) => ("failed", Some(code), 1),
        Effect::InDoubt => ("in_doubt", None, 1),
        Effect::TwoCodes(code) => ("in_doubt", Some(code), 1),
    }
}

/// Whether the server may have done a part of the work, by decision 0012.
fn leaves_a_part(code: i64) -> bool {
    matches!(code, 30006 | 30008 | 31705 | 31706 | 40006 | 70500)
}

/// The result if the answer to the second attempt says that the requested state existed already.
fn once(effect: Effect) -> (&'static str, Option<i64>, u32) {
    match effect {
        Effect::Succeeded | Effect::AlreadyDone | Effect::Failed(_) => for_ever(effect),
        Effect::Refused(code) | Effect::TwoCodes(code) if leaves_a_part(code) => ("in_doubt", Some(NOT_A_FRIEND), 2),
        Effect::Refused(_) => ("already_done", Some(NOT_A_FRIEND), 2),
        Effect::TimedOut(_) | Effect::InDoubt | Effect::TwoCodes(_) => ("succeeded", Some(NOT_A_FRIEND), 2),
    }
}

fn assert_classes(played: &Played, expected: fn(Effect) -> (&'static str, Option<i64>, u32)) {
    assert_eq!(played.output.code, 3, "{:#?}", played.output);
    let mut wrong = Vec::new();
    for mode in MODES.iter() {
        let rows: Vec<&ResultRow> = played.rows.iter().filter(|row| row.from.as_deref() == Some(mode.name)).collect();
        assert_eq!(rows.len(), 3, "{}", mode.name);
        for (row, effect) in rows.iter().zip(mode.effects) {
            let found = (row.outcome.as_str(), row.code, row.attempts);
            if found != expected(effect) {
                wrong.push(format!("{}: {:?} instead of {:?}: {}", mode.name, found, expected(effect), row.reason));
            }
        }
        let attempts = rows.iter().map(|row| row.attempts as usize).max();
        let arrived = played.seen.calls.get(mode.name).copied();
        // Items with different results are sent again in separate calls.
        let parts = mode.effects.iter().filter(|effect| expected(**effect).2 > 1).count().max(1);
        if arrived < attempts || arrived > attempts.map(|attempts| attempts * parts) {
            wrong.push(format!("{}: {arrived:?} calls arrived for {attempts:?} attempts", mode.name));
        }
    }
    let endless = played.rows.iter().filter(|row| row.reason.chars().count() > 600);
    wrong.extend(endless.map(|row| format!("{:?}: {} bytes of reason", row.from, row.reason.len())));
    let nice = |row: &&ResultRow| row.from.as_ref().is_some_and(|from| from.starts_with("nice-"));
    let spoiled = |row: &&ResultRow| row.outcome != "succeeded" || row.attempts != 1;
    wrong.extend(played.rows.iter().filter(nice).filter(spoiled).map(|row| format!("{row:?}")));
    assert!(wrong.is_empty(), "on a machine that lags {:?}: {wrong:#?}", played.lag);
}

#[test]
fn every_mode_has_its_documented_outcome_and_leaves_a_doubt_only_where_documented() {
    assert_classes(&ALL.for_ever, for_ever);
    assert_classes(&ALL.once, once);
}

#[test]
fn no_call_exceeds_its_time_limit_by_a_second() {
    let mut longest = (Duration::ZERO, String::new());
    for played in [&ALL.for_ever, &ALL.once] {
        for (mode, waited) in &played.seen.waits {
            let most = TIME_OUT + Duration::from_secs(1) + 2 * played.lag;
            assert!(*waited <= most, "{mode}: {waited:?}, on a machine that lags {:?}", played.lag);
            longest = longest.max((*waited, mode.clone()));
        }
        // Where the client waits, it waits for the documented time.
        let silent = played.seen.waits.iter().filter(|(mode, _)| mode.starts_with("silence"));
        assert_eq!(silent.filter(|(_, waited)| *waited + played.lag * 2 >= TIME_OUT / 2).count(), 4);
    }
    eprintln!(
        "{} calls given up, the longest after {longest:?}",
        ALL.for_ever.seen.waits.len() + ALL.once.seen.waits.len()
    );
}

#[test]
fn at_most_a_mebibyte_of_an_endless_response_is_read() {
    for played in [&ALL.for_ever, &ALL.once] {
        assert!(played.seen.taken.len() >= 13, "{:?}", played.seen.taken);
        for (mode, taken) in &played.seen.taken {
            eprintln!("{mode}: {} KiB", taken >> 10);
            // The HTTP library discards these responses and has no limit for them, so only the time is limited.
            if matches!(mode.as_str(), "100-without-end" | "103-without-end") {
                continue;
            }
            assert!(*taken <= MAX_ANSWER + UNNOTICED, "{mode}: {taken} bytes");
        }
    }
}

#[test]
fn a_hostile_server_costs_no_more_memory_than_a_correct_one() {
    let friendly = ALL.friendly.peak;
    assert_eq!(tally(&ALL.friendly.rows), [("succeeded", asked().len())].into());
    for (name, peak) in [("for ever", ALL.for_ever.peak), ("once", ALL.once.peak)] {
        eprintln!("{} modes {name}: {peak} KiB at most, {friendly} KiB with a friendly server", MODES.len());
        // About twenty responses of a mebibyte at once, because buffers grow. A short run may end before its memory was
        // last read; then its peak is that of any start.
        let most = 3 * friendly.max(ANY_START);
        assert!(friendly > 1000 && peak <= most, "{name}: {peak} KiB at most, {friendly} KiB with a friendly server");
    }
}

//! Named points at which a test can kill the process: before and after each step that must not be lost or repeated.
//!
//! They exist only with the feature `fail-points`, which only tests use; without it every function here is empty.
//! `IMBULK_FAIL_POINT=BeforeIntend:3` kills the process when it reaches this point for the third time, and
//! `BeforeIntend:3:SIGTERM` sends it this signal instead.

use std::collections::BTreeSet;

macro_rules! fail_points {
    ($($(#[$about:meta])* $point:ident,)*) => {
        /// A step that a kill must leave either done or not done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FailPoint {
            $($(#[$about])* $point,)*
        }

        #[cfg(feature = "fail-points")]
        impl FailPoint {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$point),*];
        }
    };
}

fail_points! {
    /// A new file becomes a queue.
    Mark,
    /// The tables are made.
    Migrate,
    /// The tables of an earlier version are converted.
    Upgrade,
    /// Loads that a killed process left behind are removed.
    DiscardLoads,
    /// A run begins to be loaded.
    InsertRun,
    /// A chunk of a load.
    LoadChunk,
    /// The last chunk: the run is planned.
    FinishLoad,
    /// A planned run is removed.
    Discard,
    /// Ids that were protected since are removed from a run.
    Protect,
    /// A run is begun.
    Begin,
    /// A run is given up for another.
    Supersede,
    /// A request is split where `--limit` ends.
    SplitRequest,
    /// What was in flight at a kill is marked as in doubt.
    Recover,
    /// A transaction of the recorder with an intent in it …
    Intend,
    /// … with an outcome …
    Record,
    /// … with a request that was not sent after all …
    Withdraw,
    /// … with a recovered request that may be sent again …
    Reopen,
    /// … with the progress.
    StoreHeartbeat,
    /// … with the time series.
    StoreTimeSeries,
    /// … with a part of a backup.
    StoreBackup,
    /// Why a session ended is stored.
    StoreEnd,
    /// … with an instruction of `imbulk ctl`.
    Control,
    /// A run is finished.
    Finish,
    /// Failed items become pending again.
    Retry,
    /// The rows of a run are removed.
    Forget,
    /// The file is rewritten without unused pages.
    FreeSpace,
    /// The WAL is copied into the file.
    Close,
    /// Slots are taken for a call.
    TakeSlots,
    /// Slots are freed after an answer.
    FreeSlots,
    /// From the first byte of a call to the head of its answer.
    Send,
    /// The rest of the answer.
    Read,
    /// A part of a backup is written to its file.
    WriteBackup,
    /// A file of results gets its name.
    PlaceFile,
}

/// Does one asynchronous step between its two points.
pub(crate) async fn guarded<T>(point: FailPoint, doing: impl Future<Output = T>) -> T {
    before(point);
    let done = doing.await;
    after(point);
    done
}

/// The same for several steps at once.
pub(crate) async fn guarded_all<T>(fail_points: &BTreeSet<FailPoint>, doing: impl Future<Output = T>) -> T {
    fail_points.iter().copied().for_each(before);
    let done = doing.await;
    fail_points.iter().copied().for_each(after);
    done
}

/// The point before a deed.
#[inline]
pub(crate) fn before(point: FailPoint) {
    reach(point, Side::Before);
}

/// The point after a deed.
#[inline]
pub(crate) fn after(point: FailPoint) {
    reach(point, Side::After);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

#[cfg(not(feature = "fail-points"))]
#[inline]
fn reach(_: FailPoint, _: Side) {}

#[cfg(feature = "fail-points")]
use armed::reach;

#[cfg(feature = "fail-points")]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::{FailPoint, Side};

    struct Fuse {
        point: FailPoint,
        side: Side,
        /// How often it may still be passed, this time included.
        left: AtomicU32,
        signal: Signal,
    }

    static FUSE: LazyLock<Option<Fuse>> = LazyLock::new(|| {
        #[expect(clippy::disallowed_methods, reason = "no setting of the program, and only in tests")]
        let armed = std::env::var("IMBULK_FAIL_POINT").ok()?;
        let (point, nth) = armed.split_once(':')?;
        let (side, point) = match point.strip_prefix("Before") {
            Some(point) => (Side::Before, point),
            None => (Side::After, point.strip_prefix("After")?),
        };
        let point = *FailPoint::ALL.iter().find(|known| format!("{known:?}") == point)?;
        // As kill -9 from outside would: no destructor runs, nothing is flushed.
        let (nth, signal) = match nth.split_once(':') {
            None => (nth, Signal::KILL),
            Some((nth, "SIGTERM")) => (nth, Signal::TERM),
            Some(_) => return None,
        };
        Some(Fuse { point, side, left: AtomicU32::new(nth.parse().ok()?), signal })
    });

    pub(super) fn reach(point: FailPoint, side: Side) {
        let Some(fuse) = FUSE.as_ref().filter(|fuse| (fuse.point, fuse.side) == (point, side)) else { return };
        if fuse.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            let _never_returns_after_a_kill = kill_process(getpid(), fuse.signal);
        }
    }
}

//! The wall clock, asked here and nowhere else.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The moment, in UTC.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The moment in the machine's time zone: what a time of day in a job file is meant in.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn local_now() -> Zoned {
    Zoned::now()
}

/// Whether the machine's time zone, or the one that `TZ` names, can be read. [`local_now`] is in UTC if not.
pub fn knows_zone() -> bool {
    TimeZone::try_system().is_ok()
}

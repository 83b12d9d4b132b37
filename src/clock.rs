//! The wall clock, asked here and nowhere else.

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

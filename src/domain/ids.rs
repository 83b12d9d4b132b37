//! The numbers that the queue gives to runs and requests. Each is a type of its own, so that one cannot be passed
//! where the other is expected.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(i64);

        impl $name {
            /// The id with this number.
            pub const fn new(number: i64) -> Self {
                Self(number)
            }

            /// The number, as the queue stores it.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A run's number in the queue. People see its UUID instead ([`uuid_v7`]).
    RunId
}

id! {
    /// A request's number in the queue. Later requests have higher numbers.
    RequestId
}

impl RequestId {
    /// Below the number of every request: where reading page by page starts.
    pub const BEFORE_FIRST: Self = Self(0);
    /// Above the number of every request.
    pub const MAX: Self = Self(i64::MAX);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns this number and moves on to the next one.
    #[must_use]
    pub const fn take(&mut self) -> Self {
        let id = *self;
        *self = id.next();
        id
    }

    /// The number before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0 - 1)
    }
}

/// A UUID of version 7 (RFC 9562): the texts sort by `now`, in milliseconds since 1970.
pub fn uuid_v7(now: i64, random: u128) -> String {
    const FIXED: u128 = 0x7 << 76 | 0b10 << 62;
    const RANDOM: u128 = 0xfff << 64 | ((1 << 62) - 1);
    let hex = format!("{:032x}", u128::from(now.cast_unsigned()) << 80 | FIXED | random & RANDOM);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::uuid_v7;

    #[test]
    fn a_uuid_has_the_time_the_version_and_the_variant_in_their_places() {
        assert_eq!(uuid_v7(0x017f_22e2_79b0, 0), "017f22e2-79b0-7000-8000-000000000000");
        assert_eq!(uuid_v7(0x017f_22e2_79b0, u128::MAX), "017f22e2-79b0-7fff-bfff-ffffffffffff");
    }
}

//! The numbers that the queue gives to runs and requests. Each is a type of its own, so that one cannot be passed
//! where the other is expected.

use std::fmt;

macro_rules! id {
    ($(#[$about:meta])* $name:ident) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// A run's number in the queue. People see its UUID instead.
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

//! How SQLite stores the states of runs and requests: as their names. A name that is none of them is damage.

use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Sqlite, Type};

use crate::queue::run_state::RunState;

/// The state of a stored request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum StoredState {
    /// Not finished, and no call of it is in flight.
    Pending,
    /// A call of it was about to begin, and its result is not stored.
    Sending,
    /// Every item has its outcome.
    Settled,
}

impl StoredState {
    const ALL: [Self; 3] = [Self::Pending, Self::Sending, Self::Settled];

    /// The name in table `request`.
    pub(in crate::queue) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Settled => "settled",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

macro_rules! stored_as_name {
    ($state:ty, $of:literal) => {
        impl Type<Sqlite> for $state {
            fn type_info() -> SqliteTypeInfo {
                <str as Type<Sqlite>>::type_info()
            }

            fn compatible(found: &SqliteTypeInfo) -> bool {
                <str as Type<Sqlite>>::compatible(found)
            }
        }

        impl Decode<'_, Sqlite> for $state {
            fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
                let name = <String as Decode<Sqlite>>::decode(value)?;
                Self::named(&name).ok_or_else(|| format!(concat!("`{}` is not a state of a ", $of), name).into())
            }
        }
    };
}

stored_as_name!(StoredState, "request");
stored_as_name!(RunState, "run");

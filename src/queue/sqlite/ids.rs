//! How SQLite stores the ids of runs and requests: as their numbers.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Sqlite, Type};

use crate::domain::ids::{RequestId, RunId};

macro_rules! stored_as_number {
    ($id:ty) => {
        impl Type<Sqlite> for $id {
            fn type_info() -> SqliteTypeInfo {
                <i64 as Type<Sqlite>>::type_info()
            }

            fn compatible(found: &SqliteTypeInfo) -> bool {
                <i64 as Type<Sqlite>>::compatible(found)
            }
        }

        impl Encode<'_, Sqlite> for $id {
            fn encode_by_ref(&self, arguments: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
                self.get().encode_by_ref(arguments)
            }
        }

        impl Decode<'_, Sqlite> for $id {
            fn decode(value: SqliteValueRef<'_>) -> Result<Self, BoxDynError> {
                <i64 as Decode<Sqlite>>::decode(value).map(Self::new)
            }
        }
    };
}

stored_as_number!(RunId);
stored_as_number!(RequestId);

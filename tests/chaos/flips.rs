//! Bytes that change in the database and its log.

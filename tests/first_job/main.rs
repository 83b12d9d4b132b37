//! The first job of a user: `imbulk init`, `imbulk schema` and `imbulk doctor`.

mod doctor;
mod exports;
mod init;
mod schema;

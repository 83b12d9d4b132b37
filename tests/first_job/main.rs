//! The first job of a user: `imbulk init` and `imbulk schema`.

mod exports;
mod init;
mod schema;

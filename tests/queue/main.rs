//! The queue with real files: what it stores, what it refuses, and what remains after a crash.

mod fixture;

mod before_first_load;
mod carrying;
mod control;
mod damage;
mod files;
mod limiting;
mod loading;
mod model;
mod protecting;
mod retrying;
mod runs;
mod sessions;
mod upgrading;
mod verifying;
mod view;
mod writing;

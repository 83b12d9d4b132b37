//! The queue against real files: what it stores, what it refuses, and what is left of it after a crash.

mod fixture;

mod damage;
mod files;
mod limiting;
mod loading;
mod model;
mod protecting;
mod retrying;
mod runs;
mod view;
mod writing;
mod young;

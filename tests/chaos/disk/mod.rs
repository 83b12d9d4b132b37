//! A full disk, and a disk on which the n-th system call fails.

mod full;
mod nth;

//! A disk that is full, and one that refuses the n-th call.

mod full;
mod nth;

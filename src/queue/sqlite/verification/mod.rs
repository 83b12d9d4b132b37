//! Verifications: runs that only read, and what they found out about the rows of other runs.

pub(in crate::queue) mod lifecycle;
pub(in crate::queue) mod load;
pub(in crate::queue) mod verified_rows;

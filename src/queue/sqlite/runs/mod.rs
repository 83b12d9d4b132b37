//! Runs: their states, their input, their tallies and the plans that were shown.

pub(in crate::queue) mod approvals;
pub(in crate::queue) mod backup;
pub(in crate::queue) mod certificates;
pub(in crate::queue) mod control;
pub(in crate::queue) mod finish;
pub(in crate::queue) mod forget;
pub(in crate::queue) mod input_files;
pub(in crate::queue) mod lifecycle;
pub(in crate::queue) mod run_row;
pub(in crate::queue) mod sessions;
pub(in crate::queue) mod shown_plans;
pub(in crate::queue) mod tally;
pub(in crate::queue) mod time_series;

//! Reading outcomes and figures.

pub(in crate::queue) mod carried_rows;
pub(in crate::queue) mod row_results;
pub(in crate::queue) mod run_figures;

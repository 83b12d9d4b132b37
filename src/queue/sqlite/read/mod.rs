//! Reading outcomes and figures.

mod account_rows;
pub(in crate::queue) mod carried_rows;
mod repeated;
pub(in crate::queue) mod row_results;
pub(in crate::queue) mod run_figures;

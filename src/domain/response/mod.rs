//! What the server's answers mean: the result of the call, its error codes, the verdict on each item, and the outcomes
//! of rows.

pub mod answer;
mod backup;
pub mod call_result;
pub mod code_history;
pub mod codes;
pub mod earlier_effect;
pub mod lookup;
pub mod outcome;
mod preparation;
pub mod protected_items;
pub mod retry;
pub mod settlement;
pub mod tally;
pub mod verdict;
pub mod verification;

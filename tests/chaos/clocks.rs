//! The wall clock jumps by hours and days.

//! Input files that nobody would write on purpose.

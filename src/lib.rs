//! imbulk

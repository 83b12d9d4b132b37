//! Killed at any moment and at every point that matters.

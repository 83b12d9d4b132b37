//! A server that does everything wrong.

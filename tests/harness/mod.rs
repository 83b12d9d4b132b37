//! What the test programs that drive the real binary have in common.

#![allow(dead_code, reason = "each of these programs uses its part")]

pub(crate) mod bench;
pub(crate) mod checker;
pub(crate) mod forge;
pub(crate) mod http;
pub(crate) mod means;
pub(crate) mod rows;
pub(crate) mod scripted;

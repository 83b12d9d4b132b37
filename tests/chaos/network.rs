//! The network goes away; somebody wants us to stop.

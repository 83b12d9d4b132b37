//! Simulates minutes of sending in virtual time: the real command limits, pace and ledger file against a simulated
//! network and server. A seed determines all random numbers.

mod caps;
mod lower_limits;
mod server;
mod world;

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;

use self::world::{ALWAYS, Gate, Network, Peer, TIMEOUT};
use super::command_limit::CommandLimits;
use super::ledger::Ledger;
use crate::domain::rate_limit::Cap;

const CAP: u32 = 200;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

const STEADY: Network =
    Network { round_trip: (40, 60), stall: (0, 0), lost: 0, late: 0, freeze: None, extra_out: 0, faster: None };
const QUICK: Network = Network { round_trip: (16, 24), ..STEADY };
const JITTERY: Network = Network { round_trip: (50, 150), ..STEADY };

fn cap(calls: u32) -> Cap {
    Cap::try_from(NonZeroU32::new(calls).expect("not zero")).expect("low enough")
}

/// A process that sends during the whole simulation.
fn steady_peer(folder: &Path, command_cap: u32) -> Peer {
    peer(folder, command_cap, vec![ALWAYS])
}

/// A process that runs during these spans. When it starts again, it finds the ledger as the previous run left it.
fn peer(folder: &Path, command_cap: u32, lives: Vec<Range<u64>>) -> Peer {
    let path = folder.join("ledger");
    let begin = move || -> Box<dyn Gate> {
        let ledger = Ledger::open(&path, TIMEOUT).expect("a ledger");
        let mut limits = CommandLimits::new(ledger, cap(CAP), &[]);
        limits.command("friend_delete", cap(command_cap)).expect("a section");
        Box::new(limits)
    };
    Peer { begin: Box::new(begin), lives, caps: Vec::new() }
}

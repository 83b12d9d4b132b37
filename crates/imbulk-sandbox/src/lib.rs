//! The sandbox: a mock of the server API, on loopback. It has the commands with the rules of their pages, a world of
//! accounts and friend lists, exact caps, write conflicts, and faults that the caller asks for.
//!
//! It is written from the API's pages alone and uses nothing of the client, so that the two can disagree. Where the
//! pages are silent it does the following; these are choices, not facts:
//!
//! * A call counts when its body has been read. A call that is refused by a cap does not count against the next one.
//! * The answer of a batch is top-level OK even if every item failed. An illegal `To_Account` fails its item (30003),
//!   any other broken rule of a body fails the whole request; more than 100 `DeleteItem` get 70206.
//! * `friend_delete` without `DeleteType` is one-way. A two-way delete of a user who is not on the list of
//!   `From_Account` is 31704, whatever the other list holds.
//! * `friend_import` of a user who is on the list already is 30001 with `Err_SNS_FriendImport_Friend_Exist`, and
//!   changes nothing. Its fields are kept under the names of `friend_update`: `Remark` as `Tag_SNS_IM_Remark`. A user
//!   who is known by name counts against the 3000 friends of a list; in an open world the others are not counted.
//! * `friend_get` has pages of 100, in an open world of the friends that are known by name. A list of an open world
//!   that a call was to empty and did not shows one friend. Its sequences depend on the content of the list alone.
//!   `friend_get_list` and `portrait_get` take up to 100 users. `friend_check` of an account that does not exist is no
//!   relation.
//! * Who is online is set from outside ([`World::set_online`]).
//! * An account that was deleted can be imported again at once. Then it has no friends, and is on no list.
//!   `multiaccount_import` names an account in `FailAccounts` only if a fault asks for it; a broken rule of the body
//!   fails the whole request.
//! * `friend_update` of a user who is no friend is 30001 with `Err_SNS_FriendUpdate_Not_Friend`. A group that the user
//!   does not have is created, and remains.
//! * A call locks the accounts that it writes until its effect and answer are done, even if the caller has hung up.
//!
//! # Faults
//!
//! A fault is a [`FaultRule`], parsed from text:
//!
//! ```text
//! RULE    = COMMAND ":" KIND ":" WHEN [ ":max=" N ]
//! COMMAND = any | the last segment of a path, such as friend_delete
//! WHEN    = SHARE (0 to 1, of the calls)  |  "#" N { "," N } (the N-th call the rule is for, from 1)
//! ```
//!
//! | kind | what happens |
//! | --- | --- |
//! | `code=N` | the request is refused with code N |
//! | `http=STATUS` | an HTML page with this HTTP status, 300 to 599 |
//! | `reset` | the connection is reset |
//! | `close` | the connection is closed without an answer |
//! | `silence` | no answer, ever; the connection stays open |
//! | `slow=DURATION` | longer by this (`250ms`, `2s`), the write in the middle of it |
//! | `storm=CODE/DURATION` | from the chosen call on, every call that the rule is for gets CODE |
//! | `poison=CODE/USERID` | a call that names the id as an item gets CODE; others do not count |
//! | `garbage` | an HTML page with status 200 |
//! | `truncated` | half the answer, then the connection breaks; `Content-Length` promised all of it |
//! | `cut` | half the answer, well framed |
//! | `huge` | the answer and 4 MiB of blanks |
//! | `string-code` | `ErrorCode` is a string |
//! | `object-items` | `ResultItem` is an object |
//! | `foreign` | an item that nobody asked about comes first |
//! | `shuffle` | the items come in reverse order |
//! | `item=CODE` | items are not written and have CODE |
//! | `missing` | items are written and left out of the answer |
//! | `duplicate` | items occur twice in the answer |
//! | `partial=CODE` | items are written in part and have CODE (see below) |
//! | `only-failed`, `only-invalid` | items are not written and are named in `Fail_Account` or `Invalid_Account` alone |
//! | `twice=CODE` | items are written and occur twice in the answer, with 0 and with CODE |
//! | `blamed` | items are written, have code 0 and are named in `Fail_Account` |
//! | `shape-2025` | the answer has no lists of failures, and `ErrorInfo` is `"0"` |
//! | `fail-with=CODE`, `ok-with=CODE` | `ErrorCode` is CODE above items as they are, `ActionStatus` FAIL or OK |
//! | `fail-zero` | `ActionStatus` is FAIL above `ErrorCode` 0 |
//!
//! `partial` leaves this state: the account is gone and its data is not; the friend is off the list, and its data and
//! the other list are as they were; the list is half cleared; one tag of an update is written; an imported friend is on
//! the list, and an imported account is there, without the fields of the call.
//!
//! Answers of `multiaccount_import` name the items that failed, without codes, so of the faults of items they show only
//! `item`, `partial` and `only-failed`; those of `friend_delete_all` show only `partial`.
//!
//! The first five come with `-before` (as without a suffix: nothing is written) and `-after` (the write
//! is done): `reset-after`, `http-after=502`. A storm and a poisoned call write nothing; all others write.
//! For `item`, `missing`, `duplicate`, `partial`, `only-failed`, `only-invalid`, `twice` and `blamed`, SHARE is of the
//! items, and a call named by its number has every other item struck, the first included. Of the rules for whole calls
//! the first one that strikes is played; a call is looked at only after it passed all checks. Examples:
//! `friend_delete:code=30006:0.1`, `any:reset-after:0.02:max=5`, `account_delete:item=70500:0.05`, `any:silence:#3`.

mod answer;
mod auth;
mod commands;
mod conflicts;
mod delivery;
mod effect;
mod fault_rule;
mod faults;
mod journal;
mod json;
mod key;
mod profile;
mod rate;
mod refusal;
mod report;
mod request;
mod server;
mod service;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;

pub use auth::App;
pub use commands::Command;
pub use fault_rule::{FaultRule, FaultRuleError};
pub use journal::{CallRecord, ResponseRecord};
pub use profile::{Profile, ProfileError};
pub use rate::Caps;
pub use report::{CommandReport, Report};
use service::{Service, lock};
pub use world::{ItemCounters, World};

/// How a sandbox behaves. The default: an open world, the API's caps, no latency, no faults.
#[derive(Debug)]
pub struct Config {
    /// The app that it serves.
    pub app: App,
    /// Calls per second.
    pub caps: Caps,
    /// How long a call takes.
    pub latency: Latency,
    /// The faults.
    pub faults: Vec<FaultRule>,
    /// The seed of the faults and the jitter.
    pub seed: u64,
    /// Accounts and friend lists.
    pub world: World,
    /// What it does in place of its own choices.
    pub profile: Profile,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            app: App::default(),
            caps: Caps::default(),
            latency: Latency::default(),
            faults: Vec::new(),
            seed: 0,
            world: World::open(),
            profile: Profile::default(),
        }
    }
}

/// The time from a call's arrival to its answer; the effect takes place in the middle of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The time that every call takes.
    pub fixed: Duration,
    /// The maximum of a random extra time, evenly spread.
    pub jitter: Duration,
}

/// A running sandbox. It stops when this is dropped.
#[derive(Debug)]
pub struct Sandbox {
    service: Arc<Service>,
    addr: SocketAddr,
}

/// Why [`Sandbox::start`] refuses an address; the inner error of its `InvalidInput`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not loopback")]
pub struct NotLoopback(SocketAddr);

impl NotLoopback {
    /// The addresses that are accepted.
    pub const fn hint(self) -> &'static str {
        "use 127.0.0.1 or [::1]"
    }
}

impl Sandbox {
    /// Listens on `addr` (port 0: any free one) and serves on the current tokio runtime.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is not loopback, and what binding gives.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(config: Config, addr: SocketAddr) -> io::Result<Self> {
        if !addr.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, NotLoopback(addr)));
        }
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let service = Arc::new(Service::new(config));
        service.tracker.spawn(server::accept(Arc::clone(&service), listener));
        Ok(Self { service, addr })
    }

    /// The address on which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The counts so far.
    pub fn report(&self) -> Report {
        self.service.report()
    }

    /// The accounts and friend lists as they are now. Calls wait while this is held.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.service.world)
    }

    /// From now on every call is kept for [`Sandbox::journal`].
    pub fn keep_journal(&self) {
        lock(&self.service.journal).keep();
    }

    /// The calls so far, one by one, nearly in the order of their arrival.
    pub fn journal(&self) -> Vec<CallRecord> {
        lock(&self.service.journal).entries().to_vec()
    }

    /// Now, by the clock of the journal.
    pub fn now(&self) -> u64 {
        self.service.now()
    }

    /// Other faults from now on; calls are counted from 1 again.
    pub fn set_faults(&self, rules: Vec<FaultRule>) {
        lock(&self.service.faults).replace(rules);
    }

    /// Other caps from now on.
    pub fn set_caps(&self, caps: Caps) {
        lock(&self.service.gate).caps = caps;
    }

    /// Breaks off all connections and calls, and returns when the last has ended.
    pub async fn stop(self) {
        self.service.stop.cancel();
        self.service.tracker.close();
        self.service.tracker.wait().await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.service.stop.cancel();
    }
}

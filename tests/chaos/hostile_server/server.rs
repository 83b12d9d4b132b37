//! The scripted server, with scripts that see the accounts of a call.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use imbulk_testkit::http::ReceivedRequest;
use imbulk_testkit::scripted_server::{ScriptedServer, ServerSetup, Step};
use serde_json::Value;

/// A call.
pub(super) struct Ask {
    /// Its `From_Account`.
    pub(super) from: String,
    /// Its `To_Account`, in order.
    pub(super) to: Vec<String>,
    /// The number of the call among those for this account, from 1.
    pub(super) nth: usize,
    /// The number of the call, from 0.
    pub(super) call: usize,
}

/// The steps for a call.
pub(super) type Script = dyn Fn(&Ask) -> Vec<Step> + Send + Sync;

/// What the server received, by account.
pub(super) struct Observed {
    pub(super) calls: BTreeMap<String, usize>,
    /// How long the client waited until it closed a connection.
    pub(super) waits: Vec<(String, Duration)>,
    /// The bytes of an endless response that left the server, in total.
    pub(super) taken: BTreeMap<String, usize>,
    pub(super) lag: Duration,
}

pub(super) fn start(script: impl Fn(&Ask) -> Vec<Step> + Send + Sync + 'static) -> ScriptedServer {
    start_with(ServerSetup::default(), script)
}

pub(super) fn start_with(
    setup: ServerSetup,
    script: impl Fn(&Ask) -> Vec<Step> + Send + Sync + 'static,
) -> ScriptedServer {
    let calls: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let setup = ServerSetup { refuses_lookups: true, ..setup };
    ScriptedServer::with(setup, move |request, call| {
        let (from, to) = accounts(request);
        let nth = {
            let mut calls = calls.lock().expect("no panic");
            let nth = calls.entry(from.clone()).or_default();
            *nth += 1;
            *nth
        };
        script(&Ask { from, to, nth, call })
    })
}

/// `From_Account` and `To_Account` of a call.
fn accounts(request: &ReceivedRequest) -> (String, Vec<String>) {
    let body: Value = serde_json::from_slice(&request.body).expect("the client sends JSON");
    let text = |value: &Value| value.as_str().expect("an account").to_owned();
    let to = body["To_Account"].as_array().map(|ids| ids.iter().map(text).collect()).unwrap_or_default();
    (text(&body["From_Account"]), to)
}

impl Observed {
    pub(super) fn of(server: &ScriptedServer) -> Self {
        let seen = server.seen();
        let mut observed = Self { calls: BTreeMap::new(), waits: Vec::new(), taken: BTreeMap::new(), lag: seen.lag };
        for request in &seen.requests {
            *observed.calls.entry(accounts(request).0).or_default() += 1;
        }
        let is_lookup = |request: &ReceivedRequest| request.path().ends_with("friend_check");
        for (request, waited) in seen.waits.iter().filter(|(request, _)| !request.as_ref().is_some_and(is_lookup)) {
            let account = request.as_ref().map_or_else(|| "the door".to_owned(), |request| accounts(request).0);
            observed.waits.push((account, *waited));
        }
        for (request, taken) in &seen.taken {
            *observed.taken.entry(accounts(request).0).or_default() += taken;
        }
        observed
    }
}

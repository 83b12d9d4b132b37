//! `imbulk::api::Client` against servers that answer, misbehave, or are not who they say they are.

mod answers;
mod faults;
mod secrets;
mod surroundings;
mod tls;

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use imbulk::api::{Client, Credentials, Endpoint, SecretKey, Tuning};
use imbulk::domain::request::account::UserId;
use imbulk_testkit::scripted_server::{Door, ScriptedServer, ServerSetup, Step};

/// The command that tests call.
const COMMAND: &str = "v4/im_open_login_svc/account_delete";

fn sdkappid() -> NonZeroU64 {
    NonZeroU64::new(1_400_000_001).unwrap()
}

fn key() -> Credentials {
    Credentials::Key(SecretKey::new("0123456789abcdef".to_owned()).unwrap())
}

/// Long enough for the slowest machine: where a test ends by time-out, it says so.
fn patient() -> Tuning {
    Tuning { connect_timeout: Duration::from_secs(30), call_timeout: Duration::from_secs(30), ..Tuning::default() }
}

fn client(url: &str, credentials: Credentials, tuning: &Tuning) -> Client {
    let endpoint: Endpoint = url.parse().unwrap();
    let identifier = UserId::new("administrator").unwrap();
    let width = NonZeroU32::new(4).unwrap();
    Client::new(endpoint, sdkappid(), identifier, credentials, width, tuning).unwrap()
}

/// The URL of a port of this machine on which no server listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A server that gives the same response to every request.
fn answering(response: Vec<u8>) -> ScriptedServer {
    ScriptedServer::repeating(vec![Step::Write(response)])
}

/// A server that closes every connection at once.
fn closing() -> ScriptedServer {
    ScriptedServer::with(ServerSetup { door: Door::Close, ..ServerSetup::default() }, |_, _| Vec::new())
}

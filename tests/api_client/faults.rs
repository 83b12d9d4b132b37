//! Servers that are not there or say nothing: what the client itself makes of it. What else a server may do is played
//! to the whole program in tests/chaos/hostile_server.

use std::time::Duration;

use imbulk::api::{Call, Tuning};
use imbulk::domain::response::call_result::CallResult;

use imbulk_testkit::scripted_server::{ScriptedServer, Step};

use super::{COMMAND, client, closing, key, nobody, patient};

async fn call(url: &str) -> Call {
    client(url, key(), &patient()).call(COMMAND, b"{}".to_vec()).await
}

#[track_caller]
fn assert_no_answer(call: &Call) {
    assert!(matches!(call.result, CallResult::NoAnswer(_)), "{call:?}");
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_was_sent() {
    let call = call(&nobody().await).await;
    assert_eq!(call.result, CallResult::NotSent("Connection refused (os error 111)".to_owned()));
    assert!(call.round_trip.is_zero());
}

#[tokio::test]
async fn a_host_that_cannot_be_found_means_that_nothing_was_sent() {
    let tuning = Tuning { connect_timeout: Duration::from_secs(10), ..patient() };
    let client = client("https://chat.invalid", key(), &tuning);
    let call = client.call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.result, CallResult::NotSent(_)), "{call:?}");
}

#[tokio::test]
async fn a_connection_closed_at_once_may_have_taken_the_request() {
    let server = closing();
    assert_no_answer(&call(&server.url()).await);
    assert_eq!(server.seen().connections, 1);
}

#[tokio::test]
async fn silence_is_no_answer_once_the_time_is_up_and_the_connection_is_closed() {
    let server = ScriptedServer::repeating(vec![Step::Silence]);
    let tuning = Tuning { call_timeout: Duration::from_millis(200), ..patient() };
    let client = client(&server.url(), key(), &tuning);
    let call = client.call(COMMAND, b"{}".to_vec());
    assert_no_answer(&tokio::time::timeout(Duration::from_secs(30), call).await.unwrap());
    server.until(|seen| seen.closed_by_client > 0).await;
}

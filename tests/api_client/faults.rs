//! Servers that break the protocol: each fault lands where the next decision is safe.

use std::time::Duration;

use imbulk::api::{Call, Tuning};
use imbulk::domain::reply::Exchange;

use super::server::{Act, Server, answer, nobody};
use super::{COMMAND, client, key, patient};

async fn call(url: &str) -> Call {
    client(url, key(), &patient()).call(COMMAND, b"{}".to_vec()).await
}

#[track_caller]
fn assert_no_answer(call: &Call) {
    assert!(matches!(call.exchange, Exchange::NoAnswer(_)), "{call:?}");
}

#[tokio::test]
async fn a_refused_connection_means_that_nothing_was_sent() {
    let call = call(&nobody().await).await;
    assert_eq!(call.exchange, Exchange::NotSent("Connection refused (os error 111)".to_owned()));
    assert!(call.round_trip.is_zero());
}

#[tokio::test]
async fn a_host_that_cannot_be_found_means_that_nothing_was_sent() {
    let tuning = Tuning { connect_timeout: Duration::from_secs(10), ..patient() };
    let client = client("https://chat.invalid", key(), &tuning);
    let call = client.call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.exchange, Exchange::NotSent(_)), "{call:?}");
}

#[tokio::test]
async fn a_connection_closed_at_once_may_have_taken_the_request() {
    let server = Server::start(Act::Close).await;
    assert_no_answer(&call(&server.url()).await);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_after_the_request_is_no_answer_and_not_tried_again() {
    let server = Server::start(Act::AnswerAndClose(Vec::new())).await;
    let call = call(&server.url()).await;
    assert_no_answer(&call);
    assert!(!call.round_trip.is_zero());
    assert_eq!((server.connections(), server.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_answer_is_no_answer() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ActionStatus\"";
    let server = Server::start(Act::Reset(half.to_vec())).await;
    assert_no_answer(&call(&server.url()).await);
    let server = Server::start(Act::Reset(half[..20].to_vec())).await;
    assert_no_answer(&call(&server.url()).await);
}

#[tokio::test]
async fn an_answer_cut_short_is_no_answer() {
    let whole = answer("200 OK", "", br#"{"ErrorCode":0}"#);
    let server = Server::start(Act::AnswerAndClose(whole[..whole.len() - 1].to_vec())).await;
    assert_no_answer(&call(&server.url()).await);
}

#[tokio::test]
async fn what_is_not_http_is_no_answer() {
    let server = Server::start(Act::AnswerAndClose(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec())).await;
    assert_no_answer(&call(&server.url()).await);
}

#[tokio::test]
async fn silence_is_no_answer_once_the_time_is_up_and_the_connection_is_closed() {
    let server = Server::start(Act::Silence).await;
    let tuning = Tuning { exchange_timeout: Duration::from_millis(200), ..patient() };
    let client = client(&server.url(), key(), &tuning);
    let call = client.call(COMMAND, b"{}".to_vec());
    assert_no_answer(&tokio::time::timeout(Duration::from_secs(30), call).await.unwrap());
    server.hung_up().await;
}

#[tokio::test]
async fn an_endless_answer_is_left_and_its_connection_closed() {
    let server = Server::start(Act::Endless).await;
    assert_no_answer(&call(&server.url()).await);
    server.hung_up().await;
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced_or_in_doubt_but_never_sent_twice() {
    let server = Server::start(Act::AnswerAndClose(answer("200 OK", "", b"{}"))).await;
    let client = client(&server.url(), key(), &patient());
    for calls in 1..=50 {
        let call = client.call(COMMAND, b"{}".to_vec()).await;
        assert!(matches!(call.exchange, Exchange::Body(_) | Exchange::NoAnswer(_)), "{call:?}");
        assert!(server.requests().len() <= calls);
    }
}

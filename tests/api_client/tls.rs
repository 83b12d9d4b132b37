//! Servers that are not who they say they are: refused before a byte of the request leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use imbulk::api::{Call, Roots, Tuning};
use imbulk::domain::response::call_result::CallResult;
use imbulk_testkit::http::{ReceivedRequest, response};
use imbulk_testkit::scripted_server::{Door, ScriptedServer, ServerSetup, Step};
use imbulk_testkit::tls::{Authority, Flaw};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{COMMAND, client, closing, key, patient};

fn trusting(authority: &Authority) -> Tuning {
    Tuning { roots: Roots::Only(vec![authority.root()]), ..patient() }
}

/// A server whose certificate has this flaw, and that waits before each handshake.
fn server(authority: &Authority, flaw: Flaw, handshake_delay: Duration) -> ScriptedServer {
    let tls = Some(Arc::new(authority.server(flaw)));
    let setup = ServerSetup { tls, handshake_delay, ..ServerSetup::default() };
    ScriptedServer::with(setup, |_, _| vec![Step::Write(response("200 OK", "", b"{}"))])
}

/// A server whose certificate no authority signed.
pub(crate) fn untrusted() -> ScriptedServer {
    server(&Authority::new(), Flaw::SelfSigned, Duration::ZERO)
}

/// Calls a server once. Returns also what the server received.
async fn call(authority: &Authority, flaw: Flaw, tuning: &Tuning) -> (Call, Option<ReceivedRequest>) {
    let server = server(authority, flaw, Duration::ZERO);
    let call = client(&server.url(), key(), tuning).call(COMMAND, b"{}".to_vec()).await;
    server.until(|seen| seen.failed_handshakes + seen.requests.len() > 0).await;
    let received = server.requests().pop();
    (call, received)
}

#[track_caller]
fn assert_refused(call: &Call, received: Option<&ReceivedRequest>, why: &str) {
    assert!(matches!(&call.result, CallResult::UntrustedServer(text) if text.contains(why)), "{call:?}");
    assert!(received.is_none(), "{received:?}");
    assert!(call.round_trip.is_zero());
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_the_right_host_is_taken() {
    let authority = Authority::new();
    let (call, received) = call(&authority, Flaw::None, &trusting(&authority)).await;
    assert_eq!(call.result, CallResult::Body(b"{}".as_slice().into()));
    assert_eq!(received.unwrap().body, b"{}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused() {
    let authority = Authority::new();
    let (call, received) = call(&authority, Flaw::SelfSigned, &trusting(&authority)).await;
    assert_refused(&call, received.as_ref(), "UnknownIssuer");
}

#[tokio::test]
async fn the_standard_roots_refuse_a_self_signed_certificate() {
    let (call, received) = call(&Authority::new(), Flaw::SelfSigned, &patient()).await;
    assert_refused(&call, received.as_ref(), "UnknownIssuer");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let (call, received) = call(&authority, Flaw::OtherHost, &trusting(&authority)).await;
    assert_refused(&call, received.as_ref(), "not valid for name");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let (call, received) = call(&authority, Flaw::Expired, &trusting(&authority)).await;
    assert_refused(&call, received.as_ref(), "expired");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_refused() {
    let door = Door::Early(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let server = ScriptedServer::with(ServerSetup { door, ..ServerSetup::default() }, |_, _| Vec::new());
    let url = server.url().replace("http:", "https:");
    let call = client(&url, key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    server.until(|seen| seen.closed_by_client > 0).await;
    assert_refused(&call, server.requests().first(), "corrupt message");
}

/// The answer to a client's hello by which a server chooses TLS 1.1 and a cipher of its time.
fn hello_of_tls_1_1() -> Vec<u8> {
    let (version, cipher) = ([3, 2], [0xc0, 0x13]);
    let hello = [&version[..], &[7; 32], &[0], &cipher, &[0]].concat();
    let length = u8::try_from(hello.len()).unwrap();
    let handshake = [&[2, 0, 0, length][..], &hello].concat();
    [&[22][..], &version, &[0, length + 4], &handshake].concat()
}

#[tokio::test]
async fn a_server_that_offers_no_more_than_tls_1_1_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&hello_of_tls_1_1()).await.unwrap();
        let mut records = Vec::new();
        // What the client leaves unread ends the connection by a reset.
        let _end = stream.read_to_end(&mut records).await;
        records
    });
    let call = client(&format!("https://{address}"), key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    assert_refused(&call, None, "incompatible");
    let (mut records, mut kinds) = (&received.await.unwrap()[..], Vec::new());
    while let [kind, _, _, high, low, rest @ ..] = records {
        kinds.push(*kind);
        records = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
    }
    assert_eq!(kinds, [22, 21], "a hello and an alert, no data of the application (23)");
}

#[tokio::test]
async fn a_connection_lost_during_the_handshake_means_that_nothing_was_sent() {
    let server = closing();
    let url = server.url().replace("http:", "https:");
    let call = client(&url, key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.result, CallResult::NotSent(_)), "{call:?}");
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_means_that_nothing_was_sent() {
    let server = ScriptedServer::repeating(vec![Step::Silence]);
    let tuning = Tuning { connect_timeout: Duration::from_millis(200), ..patient() };
    let url = server.url().replace("http:", "https:");
    let call = client(&url, key(), &tuning).call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.result, CallResult::NotSent(_)), "{call:?}");
}

#[tokio::test]
async fn the_round_trip_is_counted_without_the_handshake() {
    let authority = Authority::new();
    let delay = Duration::from_millis(100);
    let server = server(&authority, Flaw::None, delay);
    let client = client(&server.url(), key(), &trusting(&authority));
    let started = Instant::now();
    let call = client.call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.result, CallResult::Body(_)), "{call:?}");
    assert!(call.round_trip + delay <= started.elapsed(), "{call:?}");
}

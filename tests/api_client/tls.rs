//! Servers that are not who they say they are: refused before a byte of the request leaves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbulk::api::{Call, Roots, Tuning};
use imbulk::domain::response::call_result::CallResult;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::server::{Act, ReceivedRequest, Server, receive, response};
use super::{COMMAND, client, key, patient};

/// An authority that only the tests trust.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the authority of the tests");
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    fn vouches(&self, params: &CertificateParams) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        config(certificate.der().clone(), &key)
    }

    fn trusted(&self) -> Tuning {
        Tuning { roots: Roots::Only(vec![self.root.clone()]), ..patient() }
    }
}

fn names(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).unwrap()
}

fn self_signed() -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    config(names("127.0.0.1").self_signed(&key).unwrap().der().clone(), &key)
}

fn config(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap()
}

/// A server that takes its time for each handshake and hands on what it brought: the request that followed, or that
/// there was none.
async fn serve(
    config: ServerConfig,
    delay: Duration,
) -> (SocketAddr, mpsc::UnboundedReceiver<Option<ReceivedRequest>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (report, reports) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::time::sleep(delay).await;
            let Ok(mut stream) = acceptor.accept(stream).await else {
                let _ = report.send(None);
                continue;
            };
            let request = receive(&mut stream).await;
            if request.is_some() {
                stream.write_all(&response("200 OK", "", b"{}")).await.unwrap();
            }
            let _ = report.send(request);
        }
    });
    (address, reports)
}

/// The URL of a server whose certificate nobody vouches for.
pub(crate) async fn impostor() -> String {
    let (address, _) = serve(self_signed(), Duration::ZERO).await;
    format!("https://{address}")
}

/// Calls a server with `config` once; tells also what the server received.
async fn call(config: ServerConfig, tuning: &Tuning) -> (Call, Option<ReceivedRequest>) {
    let (address, mut reports) = serve(config, Duration::ZERO).await;
    let client = client(&format!("https://{address}"), key(), tuning);
    let call = client.call(COMMAND, b"{}".to_vec()).await;
    (call, reports.recv().await.unwrap())
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
    let (call, received) = call(authority.vouches(&names("127.0.0.1")), &authority.trusted()).await;
    assert_eq!(call.result, CallResult::Body(b"{}".as_slice().into()));
    assert_eq!(received.unwrap().body, b"{}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused() {
    let (call, received) = call(self_signed(), &Authority::new().trusted()).await;
    assert_refused(&call, received.as_ref(), "UnknownIssuer");
}

#[tokio::test]
async fn the_standard_roots_refuse_a_self_signed_certificate() {
    let (call, received) = call(self_signed(), &patient()).await;
    assert_refused(&call, received.as_ref(), "UnknownIssuer");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let authority = Authority::new();
    let (call, received) = call(authority.vouches(&names("example.org")), &authority.trusted()).await;
    assert_refused(&call, received.as_ref(), "not valid for name");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    let mut params = names("127.0.0.1");
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    let (call, received) = call(authority.vouches(&params), &authority.trusted()).await;
    assert_refused(&call, received.as_ref(), "expired");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        receive(&mut stream).await
    });
    let call = client(&format!("https://{address}"), key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    assert_refused(&call, received.await.unwrap().as_ref(), "corrupt message");
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
    let server = Server::start(Act::Close).await;
    let url = server.url().replace("http:", "https:");
    let call = client(&url, key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.result, CallResult::NotSent(_)), "{call:?}");
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_means_that_nothing_was_sent() {
    let server = Server::start(Act::Silence).await;
    let tuning = Tuning { connect_timeout: Duration::from_millis(200), ..patient() };
    let url = server.url().replace("http:", "https:");
    let call = client(&url, key(), &tuning).call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.result, CallResult::NotSent(_)), "{call:?}");
}

#[tokio::test]
async fn the_round_trip_is_counted_without_the_handshake() {
    let authority = Authority::new();
    let delay = Duration::from_millis(100);
    let (address, _reports) = serve(authority.vouches(&names("127.0.0.1")), delay).await;
    let client = client(&format!("https://{address}"), key(), &authority.trusted());
    let started = Instant::now();
    let call = client.call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.result, CallResult::Body(_)), "{call:?}");
    assert!(call.round_trip + delay <= started.elapsed(), "{call:?}");
}

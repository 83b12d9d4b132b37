//! Servers that are not to be trusted with a signature.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};

/// A server in a thread of its own; it ends with the test program.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// What each connection brought: for TLS, what came through it.
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flaw {
    SelfSigned,
    Expired,
    OtherHost,
    /// Nothing: the control.
    None,
}

impl Server {
    fn start(answer: impl Fn(TcpStream) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let received = Arc::new(Mutex::new(Vec::new()));
        let of_thread = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let brought = answer(stream.expect("a connection"));
                of_thread.lock().expect("no panic").push(brought);
            }
        });
        Self { address, received }
    }

    /// Answers each request with these bytes and closes.
    pub(super) fn plain(answer: String) -> Self {
        Self::start(move |mut stream| {
            let head = head(&mut stream);
            // The client may be gone.
            let _unheard = stream.write_all(answer.as_bytes());
            head
        })
    }

    /// Speaks at once, and no TLS.
    pub(super) fn no_tls() -> Self {
        Self::start(|mut stream| {
            let _unheard = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            head(&mut stream)
        })
    }

    /// Speaks TLS with such a certificate, the authority of which is written to `roots`.
    pub(super) fn tls(flaw: Flaw, roots: &Path) -> Self {
        let config = Arc::new(config(flaw, roots));
        Self::start(move |mut stream| {
            let mut connection = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            let head = head(&mut tls);
            let _unheard = tls.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
            head
        })
    }

    pub(super) fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().expect("no panic").clone()
    }
}

/// The head of a request, or as much of it as came.
fn head(stream: &mut impl Read) -> Vec<u8> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
        head.push(byte[0]);
    }
    head
}

fn config(flaw: Flaw, roots: &Path) -> ServerConfig {
    let host = if matches!(flaw, Flaw::OtherHost) { "example.org" } else { "127.0.0.1" };
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
    if matches!(flaw, Flaw::Expired) {
        (params.not_before, params.not_after) = (date_time_ymd(2019, 1, 1), date_time_ymd(2020, 1, 1));
    }
    let mut of_authority = CertificateParams::new(Vec::new()).expect("no name");
    of_authority.distinguished_name.push(DnType::CommonName, "the authority of the tests");
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let authority = of_authority.self_signed(&authority_key).expect("a certificate");
    std::fs::write(roots, authority.pem()).expect("the disk has space");
    let key = KeyPair::generate().expect("a key");
    let certificate = match flaw {
        Flaw::SelfSigned => params.self_signed(&key),
        Flaw::Expired | Flaw::OtherHost | Flaw::None => {
            params.signed_by(&key, &Issuer::new(of_authority, authority_key))
        }
    };
    let certificate = certificate.expect("a certificate").der().clone();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("its own key")
}

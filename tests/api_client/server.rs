//! A server on loopback that keeps no rule it is not told to keep.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

pub(crate) use imbulk_testkit::http::{ReceivedRequest, receive, response};

/// What the server does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Answers every request with these bytes.
    Answer(Vec<u8>),
    /// Answers every request with these bytes, one at a time.
    Bytewise(Vec<u8>),
    /// Answers the first request with these bytes and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Closes at once.
    Close,
    /// Answers with these bytes and resets the connection.
    Reset(Vec<u8>),
    /// Reads and says nothing.
    Silence,
    /// Answers 200 and sends a body without end.
    Endless,
}

/// What the server saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) requests: Vec<ReceivedRequest>,
    /// Connections that the client closed.
    pub(crate) hung_up: usize,
}

/// A running server. It ends with the test's runtime.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub(crate) async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(connection(stream, act.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Waits until the client has closed a connection.
    pub(crate) async fn hung_up(&self) {
        let hung_up = async {
            while self.seen.lock().unwrap().hung_up == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), hung_up).await.unwrap();
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.seen.lock().unwrap().requests.clone()
    }
}

/// The URL of a port of this machine where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

async fn connection(mut stream: TcpStream, act: Act, seen: Arc<Mutex<Seen>>) {
    if matches!(act, Act::Close) {
        return;
    }
    while let Some(request) = receive(&mut stream).await {
        seen.lock().unwrap().requests.push(request);
        match &act {
            Act::Answer(bytes) => stream.write_all(bytes).await.unwrap(),
            Act::Bytewise(bytes) => bytewise(&mut stream, bytes).await,
            Act::AnswerAndClose(bytes) => return stream.write_all(bytes).await.unwrap(),
            Act::Close | Act::Silence => {}
            Act::Reset(bytes) => {
                stream.write_all(bytes).await.unwrap();
                return stream.set_zero_linger().unwrap();
            }
            Act::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while stream.write_all(&[b' '; 4096]).await.is_ok() {}
                break;
            }
        }
    }
    seen.lock().unwrap().hung_up += 1;
}

async fn bytewise(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_nodelay(true).unwrap();
    for byte in bytes {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
}

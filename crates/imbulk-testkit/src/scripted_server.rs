//! A server on loopback whose behavior a test decides, call by call.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use crate::app::APP;
use crate::http::{ReceivedRequest, receive_into, response};
use crate::process::PATIENCE;

/// What the server does next on a connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Write(Vec<u8>),
    /// Sends these bytes one at a time with this delay, then waits until the client closes the connection.
    Drip(Vec<u8>, Duration),
    /// Sends these bytes again and again until the client closes the connection.
    Endless(Vec<u8>),
    /// Waits until the client closes the connection.
    Silence,
    /// Ends the connection with RST.
    Reset,
    /// Ends the connection with FIN.
    Close,
    /// Ends the connection at the moment that the next request arrives.
    CloseOnNext,
}

/// What happens on a connection before a request is read. TLS comes after it.
#[derive(Clone, Debug, Default)]
pub enum Door {
    /// Nothing: requests are read and answered.
    #[default]
    Open,
    /// RST.
    Reset,
    /// FIN.
    Close,
    /// Nothing is ever read.
    Silent,
    /// Reads this number of bytes, then sends RST.
    ResetAfter(usize),
    /// Reads this number of bytes, then nothing.
    SilentAfter(usize),
    /// Sends these bytes before a request.
    Early(Vec<u8>),
}

/// How a server starts.
#[derive(Clone, Default)]
pub struct ServerSetup {
    /// The port; 0 for any.
    pub port: u16,
    /// What happens on the first connections.
    pub door: Door,
    /// The number of these connections; the later ones find the door open. None means all.
    pub door_times: Option<usize>,
    /// The certificate, if the server uses TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// The time before each TLS handshake.
    pub handshake_delay: Duration,
    /// Whether calls that only look something up are refused, and are no part of the script.
    pub refuses_lookups: bool,
}

/// What the server has received.
#[derive(Default)]
pub struct Seen {
    /// Connections so far.
    pub connections: usize,
    /// Connections that have not ended.
    pub open: usize,
    /// TLS handshakes that failed.
    pub failed_handshakes: usize,
    /// Requests that arrived completely.
    pub requests: Vec<ReceivedRequest>,
    /// The first bytes of requests that did not arrive completely.
    pub incomplete: Vec<Vec<u8>>,
    /// Connections that the client closed.
    pub closed_by_client: usize,
    /// For each step that waits for the client: the request, and how long the client waited until it closed the
    /// connection. There is no request if the door was closed.
    pub waits: Vec<(Option<ReceivedRequest>, Duration)>,
    /// For each endless response: the request, and the number of bytes that left the server.
    pub taken: Vec<(ReceivedRequest, usize)>,
    /// The largest delay of the server's own timer: the server may act and notice anything this much later.
    pub lag: Duration,
}

/// The steps for a request. The number of the call starts at 0.
pub type Script = dyn Fn(&ReceivedRequest, usize) -> Vec<Step> + Send + Sync;

/// A whole response, or none.
#[derive(Debug, Clone)]
pub enum ScriptedResponse {
    /// HTTP 200 with this body.
    Body(String),
    /// This status without a body.
    Status(u16),
    /// No response. The connection stays open.
    Silence,
}

/// A running server. It ends when it is dropped.
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    setup: ServerSetup,
    script: Mutex<(Arc<Script>, usize)>,
    seen: Mutex<Seen>,
}

/// The answer to a lookup that the app does not allow.
const LOOKUP_REFUSED: &str = r#"{"ActionStatus":"FAIL","ErrorCode":60010,"ErrorInfo":"not allowed"}"#;
/// The interval of the server's timer.
const NAP: Duration = Duration::from_millis(20);

impl ScriptedServer {
    /// Starts a server at any port.
    pub fn start(script: impl Fn(&ReceivedRequest, usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::with(ServerSetup::default(), script)
    }

    /// Starts a server that takes these steps after every request.
    pub fn repeating(steps: Vec<Step>) -> Self {
        Self::start(move |_, _| steps.clone())
    }

    /// Starts a server that gives these responses in order, and the last one to every further call. It refuses lookups.
    pub fn answering(responses: Vec<ScriptedResponse>) -> Self {
        let setup = ServerSetup { refuses_lookups: true, ..ServerSetup::default() };
        Self::with(setup, in_order(responses))
    }

    /// Starts a server.
    pub fn with(
        setup: ServerSetup,
        script: impl Fn(&ReceivedRequest, usize) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let context = runtime.enter();
        let listener = listen(setup.port);
        drop(context);
        let address = listener.local_addr().expect("it is bound");
        let script: (Arc<Script>, usize) = (Arc::new(script), 0);
        let shared = Arc::new(Shared { setup, script: Mutex::new(script), seen: Mutex::default() });
        runtime.spawn(measure_lag(Arc::clone(&shared)));
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, runtime: Some(runtime) }
    }

    /// The URL of the server; with the scheme https if it uses TLS.
    pub fn url(&self) -> String {
        let scheme = if self.shared.setup.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The URL in quotes, as a job file needs it.
    pub fn endpoint(&self) -> String {
        format!("{:?}", self.url())
    }

    /// What the server has received so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen()
    }

    /// The requests that arrived completely.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.seen().requests.clone()
    }

    /// The number of calls since the start or the last [`Self::go_on_with`].
    pub fn calls(&self) -> usize {
        self.shared.script.lock().expect("no panic").1
    }

    /// Replaces the script by these responses, from the next call on.
    pub fn go_on_with(&self, responses: Vec<ScriptedResponse>) {
        *self.shared.script.lock().expect("no panic") = (Arc::new(in_order(responses)), 0);
    }

    /// Waits until a condition holds.
    pub async fn until(&self, holds: impl Fn(&Seen) -> bool) {
        let waiting = async {
            while !holds(&self.seen()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the server was not used as expected");
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed in asynchronous tests.
        self.runtime.take().expect("it is dropped once").shutdown_background();
        // The ledger of this port. It exists only after a kill, or after calls without a response.
        let ledger = format!("/tmp/imbulk-127.0.0.1-{}-{APP}.slots", self.address.port());
        for file in [format!("{ledger}.users"), ledger] {
            let _gone = std::fs::remove_file(file);
        }
    }
}

impl ScriptedResponse {
    fn steps(&self) -> Vec<Step> {
        match self {
            Self::Body(body) => vec![Step::Write(response("200 OK", "", body.as_bytes()))],
            Self::Status(status) => vec![Step::Write(response(&format!("{status} Scripted"), "", b""))],
            Self::Silence => vec![Step::Silence],
        }
    }
}

fn in_order(responses: Vec<ScriptedResponse>) -> impl Fn(&ReceivedRequest, usize) -> Vec<Step> + Send + Sync {
    move |_, call| responses[call.min(responses.len() - 1)].steps()
}

/// The buffers are small, so that bytes in them are not counted as taken by the client.
fn listen(port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_send_buffer_size(16 << 10).expect("a size");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(([127, 0, 0, 1], port).into()).expect("a port");
    socket.listen(1024).expect("it is bound")
}

async fn measure_lag(shared: Arc<Shared>) {
    loop {
        let begun = Instant::now();
        tokio::time::sleep(NAP).await;
        let mut seen = shared.seen();
        seen.lag = seen.lag.max(begun.elapsed().saturating_sub(NAP));
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let connections = {
            let mut seen = shared.seen();
            seen.connections += 1;
            seen.open += 1;
            seen.connections
        };
        let times = shared.setup.door_times.unwrap_or(usize::MAX);
        let door = if connections <= times { shared.setup.door.clone() } else { Door::Open };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            connection(stream, door, &shared).await;
            shared.seen().open -= 1;
        });
    }
}

async fn connection(mut stream: TcpStream, door: Door, shared: &Shared) {
    stream.set_nodelay(true).expect("a socket");
    if !pass(&mut stream, door, shared).await {
        return;
    }
    let Some(config) = &shared.setup.tls else { return converse(stream, shared).await };
    tokio::time::sleep(shared.setup.handshake_delay).await;
    match TlsAcceptor::from(Arc::clone(config)).accept(stream).await {
        Ok(stream) => converse(stream, shared).await,
        Err(_) => shared.seen().failed_handshakes += 1,
    }
}

/// Does what happens before a request. Returns whether requests are read.
async fn pass(stream: &mut TcpStream, door: Door, shared: &Shared) -> bool {
    let begun = Instant::now();
    match door {
        Door::Open => return true,
        Door::Early(bytes) => {
            // The client may have closed the connection already.
            let _sent = stream.write_all(&bytes).await;
            return true;
        }
        Door::Close => {}
        Door::Reset => reset(stream),
        Door::ResetAfter(count) => {
            let _some = stream.read_exact(&mut vec![0; count]).await;
            reset(stream);
        }
        Door::Silent => {
            until_closed_unread(stream).await;
            shared.closed_by_client(None, begun);
        }
        Door::SilentAfter(count) => {
            let _some = stream.read_exact(&mut vec![0; count]).await;
            until_closed_unread(stream).await;
            shared.closed_by_client(None, begun);
        }
    }
    false
}

/// A connection with or without TLS.
trait Connection: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connection for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn converse(mut stream: impl Connection, shared: &Shared) {
    loop {
        let mut head = Vec::new();
        let Some(request) = receive_into(&mut stream, &mut head).await else {
            let mut seen = shared.seen();
            seen.closed_by_client += 1;
            seen.incomplete.extend((!head.is_empty()).then_some(head));
            return;
        };
        for step in shared.steps(&request) {
            if !play(&mut stream, step, &request, shared).await {
                return;
            }
        }
    }
}

/// Takes a step. Returns whether the connection continues.
async fn play(stream: &mut impl Connection, step: Step, request: &ReceivedRequest, shared: &Shared) -> bool {
    let begun = Instant::now();
    match step {
        Step::Write(bytes) => return stream.write_all(&bytes).await.is_ok(),
        Step::Reset => reset(stream.tcp()),
        Step::Close => {}
        Step::CloseOnNext => {
            let _next = stream.tcp().peek(&mut [0]).await;
        }
        Step::Silence => {
            until_closed(stream).await;
            shared.closed_by_client(Some(request), begun);
        }
        Step::Drip(bytes, delay) => {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let drip = async {
                for byte in bytes {
                    tokio::time::sleep(delay).await;
                    if writer.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! { () = drip => {}, () = until_closed(&mut reader) => {} }
            shared.closed_by_client(Some(request), begun);
        }
        Step::Endless(unit) => {
            flood(stream, &unit, request, shared).await;
            shared.closed_by_client(Some(request), begun);
        }
    }
    false
}

/// Sends at least 16 KiB at a time, at a pace that the client can follow, so that few bytes wait in buffers.
async fn flood(stream: &mut impl Connection, unit: &[u8], request: &ReceivedRequest, shared: &Shared) {
    let piece = unit.repeat((16 << 10) / unit.len() + 1);
    let at = {
        let mut seen = shared.seen();
        seen.taken.push((request.clone(), 0));
        seen.taken.len() - 1
    };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let flood = async {
        while writer.write_all(&piece).await.is_ok() {
            // The test may have taken what was seen.
            if let Some((_, taken)) = shared.seen().taken.get_mut(at) {
                *taken += piece.len();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! { () = flood => {}, () = until_closed(&mut reader) => {} }
}

/// Waits until the client closes the connection. It sends nothing before it has a response.
async fn until_closed(reader: &mut (impl AsyncRead + Unpin)) {
    let _gone = reader.read(&mut [0]).await;
}

/// Waits until the client closes the connection, without reading what it sends.
async fn until_closed_unread(stream: &TcpStream) {
    loop {
        let ready = stream.ready(tokio::io::Interest::READABLE).await;
        if ready.is_err() || ready.is_ok_and(tokio::io::Ready::is_read_closed) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Closing a connection with a linger time of zero sends RST.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().expect("a socket");
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic")
    }

    fn steps(&self, request: &ReceivedRequest) -> Vec<Step> {
        if self.setup.refuses_lookups && request.path().ends_with("_check") {
            return ScriptedResponse::Body(LOOKUP_REFUSED.to_owned()).steps();
        }
        let (script, call) = {
            let mut script = self.script.lock().expect("no panic");
            script.1 += 1;
            (Arc::clone(&script.0), script.1 - 1)
        };
        self.seen().requests.push(request.clone());
        script(request, call)
    }

    fn closed_by_client(&self, request: Option<&ReceivedRequest>, since: Instant) {
        let mut seen = self.seen();
        seen.closed_by_client += 1;
        seen.waits.push((request.cloned(), since.elapsed()));
    }
}

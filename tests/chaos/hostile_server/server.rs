//! A server that plays a mode of misbehaviour for each account, and notes what the client made of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::ReadHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use imbulk_testkit::APP;
use imbulk_testkit::http::receive;

/// A call as it arrived.
pub(super) struct Ask {
    /// Its `From_Account`.
    pub(super) from: String,
    /// Its `To_Account`, in order.
    pub(super) to: Vec<String>,
    /// The first call for this account is 1.
    pub(super) nth: usize,
}

/// What the server does next.
pub(super) enum Step {
    Write(Vec<u8>),
    /// A byte a second, until the client hangs up.
    Drip(Vec<u8>),
    /// Again and again, until the client hangs up.
    Endless(Vec<u8>),
    /// Nothing, until the client hangs up.
    Silence,
    /// Ends the connection with RST.
    Reset,
    /// Ends the connection with FIN.
    Close,
    /// Keeps the connection for as long as it is idle; ends it the moment that the next request comes in.
    CloseOnNext,
}

/// What happens before a request is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Door {
    /// Nothing: requests are read and played.
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
    /// An answer before the request.
    Early,
}

/// What the server saw.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    /// Calls that were read to their end, by account.
    pub(super) calls: BTreeMap<String, usize>,
    /// How long the client waited before it hung up, and in what.
    pub(super) waits: Vec<(String, Duration)>,
    /// How much of an answer without end was taken off the server.
    pub(super) taken: BTreeMap<String, usize>,
    /// The latest that a nap of the server ended: so much later may it do and notice anything.
    pub(super) lag: Duration,
}

/// How often the server looks at its own clock.
const NAP: Duration = Duration::from_millis(20);

/// What a call is answered with.
pub(super) type Script = dyn Fn(&Ask) -> Vec<Step> + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Seen>,
}

/// A running server.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl Server {
    pub(super) fn start(door: Door, script: impl Fn(&Ask) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::start_at(0, (door, usize::MAX), script)
    }

    /// Starts the server at this port. The first `times` connections meet the door; the others find it open.
    pub(super) fn start_at(
        port: u16,
        (door, times): (Door, usize),
        script: impl Fn(&Ask) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let listener = runtime.block_on(async { listen(port) });
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { script: Box::new(script), seen: Mutex::default() });
        let of_clock = Arc::downgrade(&shared);
        runtime.spawn(async move {
            loop {
                let begun = Instant::now();
                tokio::time::sleep(NAP).await;
                let Some(shared) = of_clock.upgrade() else { return };
                let mut seen = shared.seen();
                seen.lag = seen.lag.max(begun.elapsed().saturating_sub(NAP));
            }
        });
        let of_listener = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connections = {
                    let mut seen = of_listener.seen();
                    seen.connections += 1;
                    seen.connections
                };
                let door = if connections <= times { door } else { Door::Open };
                tokio::spawn(converse(stream, door, Arc::clone(&of_listener)));
            }
        });
        Self { address, shared, _runtime: runtime }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen()
    }

    /// Whether a conversation has not noticed yet that its client is gone. Each shares what is seen, as do this and who
    /// lets them in.
    pub(super) fn is_talking(&self) -> bool {
        Arc::strong_count(&self.shared) > 2
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The slots of this port; there only where a process was killed, or calls were left without an answer.
        let ledger = format!("/tmp/imbulk-127.0.0.1-{}-{APP}.slots", self.address.port());
        for file in [format!("{ledger}.users"), ledger] {
            let _gone = std::fs::remove_file(file);
        }
    }
}

/// What waits in the server's own buffers is not mistaken for taken: they are small.
fn listen(port: u16) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_send_buffer_size(16 << 10).expect("a size");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(([127, 0, 0, 1], port).into()).expect("a port");
    socket.listen(1024).expect("it is bound")
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panicked")
    }

    fn ask(&self, body: &[u8]) -> Ask {
        let body: serde_json::Value = serde_json::from_slice(body).expect("the client sends JSON");
        let text = |value: &serde_json::Value| value.as_str().expect("an account").to_owned();
        let from = text(&body["From_Account"]);
        let to = body["To_Account"].as_array().map(|ids| ids.iter().map(text).collect()).unwrap_or_default();
        let mut seen = self.seen();
        let calls = seen.calls.entry(from.clone()).or_default();
        *calls += 1;
        Ask { nth: *calls, from, to }
    }

    fn hung_up(&self, what: &str, since: Instant) {
        self.seen().waits.push((what.to_owned(), since.elapsed()));
    }
}

async fn converse(mut stream: TcpStream, door: Door, shared: Arc<Shared>) {
    stream.set_nodelay(true).expect("a socket");
    let begun = Instant::now();
    match door {
        Door::Open => {}
        Door::Close => return,
        Door::Reset => return reset(&stream),
        Door::Silent | Door::SilentAfter(_) => {
            if let Door::SilentAfter(count) = door {
                let _some = stream.read_exact(&mut vec![0; count]).await;
            }
            until_closed(&stream).await;
            return shared.hung_up("the door", begun);
        }
        Door::ResetAfter(count) => {
            let _some = stream.read_exact(&mut vec![0; count]).await;
            return reset(&stream);
        }
        Door::Early => {
            // Who has hung up already does not take it.
            let _taken = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"ErrorCode\":0}").await;
        }
    }
    while let Some(request) = receive(&mut stream).await {
        let ask = shared.ask(&request.body);
        for step in (shared.script)(&ask) {
            if !play(&mut stream, step, &ask, &shared).await {
                return;
            }
        }
    }
}

/// Plays a step. Says whether the connection goes on.
async fn play(stream: &mut TcpStream, step: Step, ask: &Ask, shared: &Shared) -> bool {
    let begun = Instant::now();
    match step {
        Step::Write(bytes) => return stream.write_all(&bytes).await.is_ok(),
        Step::Reset => reset(stream),
        Step::Close => {}
        Step::CloseOnNext => {
            let _next = stream.peek(&mut [0]).await;
        }
        Step::Silence => {
            closed(&mut stream.split().0).await;
            shared.hung_up(&ask.from, begun);
        }
        Step::Drip(bytes) => {
            let (mut reader, mut writer) = stream.split();
            let drip = async {
                for byte in bytes {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if writer.write_all(&[byte]).await.is_err() {
                        return;
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::select! { () = drip => {}, () = closed(&mut reader) => {} }
            shared.hung_up(&ask.from, begun);
        }
        Step::Endless(unit) => {
            flood(stream, &unit, ask, shared).await;
            shared.hung_up(&ask.from, begun);
        }
    }
    false
}

/// Writes 16 KiB or a little more at a time, at a pace that the client keeps up with, so that little of it waits in
/// between and is counted as taken.
async fn flood(stream: &mut TcpStream, unit: &[u8], ask: &Ask, shared: &Shared) {
    let piece = unit.repeat((16 << 10) / unit.len() + 1);
    shared.seen().taken.entry(ask.from.clone()).or_default();
    let (mut reader, mut writer) = stream.split();
    let flood = async {
        while writer.write_all(&piece).await.is_ok() {
            *shared.seen().taken.entry(ask.from.clone()).or_default() += piece.len();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! { () = flood => {}, () = closed(&mut reader) => {} }
}

/// Until the client hangs up; it has nothing to say before it has its answer.
async fn closed(reader: &mut ReadHalf<'_>) {
    let mut byte = [0];
    let _gone = reader.read(&mut byte).await;
}

/// Until the client hangs up, without reading what it says.
async fn until_closed(stream: &TcpStream) {
    loop {
        let ready = stream.ready(tokio::io::Interest::READABLE).await;
        if ready.is_err() || ready.is_ok_and(tokio::io::Ready::is_read_closed) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Closing with a linger time of zero sends RST.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().expect("a socket");
}

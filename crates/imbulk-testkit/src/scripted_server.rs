//! A server whose responses a test decides, call by call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// How the server responds to a call.
#[derive(Debug, Clone)]
pub enum ScriptedResponse {
    /// HTTP 200 with this body.
    Body(String),
    /// This status without a body.
    Status(u16),
    /// No response. The connection stays open.
    Silence,
}

/// A server on loopback. Its threads end with the process of the test.
pub struct ScriptedServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Mutex<Vec<ScriptedResponse>>,
    calls: AtomicUsize,
}

impl ScriptedServer {
    /// Starts a server that gives these responses in order, and the last one to every further call.
    pub fn start(answers: Vec<ScriptedResponse>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let addr = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { answers: Mutex::new(answers), calls: AtomicUsize::new(0) });
        let of_threads = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&of_threads);
                // A client that is killed breaks its connection.
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { addr, shared }
    }

    /// The URL in quotes, as a job file needs it.
    pub fn endpoint(&self) -> String {
        format!("\"http://{}\"", self.addr)
    }

    /// The number of calls since the start or the last [`Self::go_on_with`].
    pub fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Replaces the responses, from the next call on.
    pub fn go_on_with(&self, answers: Vec<ScriptedResponse>) {
        *self.shared.answers.lock().expect("no test panics with it") = answers;
        self.shared.calls.store(0, Ordering::SeqCst);
    }
}

impl Shared {
    fn next(&self) -> ScriptedResponse {
        let answers = self.answers.lock().expect("no test panics with it");
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        answers[call.min(answers.len() - 1)].clone()
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        let (status, body) = match shared.next() {
            ScriptedResponse::Body(body) => (200, body),
            ScriptedResponse::Status(status) => (status, String::new()),
            ScriptedResponse::Silence => {
                std::thread::park();
                continue;
            }
        };
        write!(writer, "HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}

//! A server that says what a test has it say, call by call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What one call is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// HTTP 200 with this body.
    Body(String),
    /// This status without a body.
    Status(u16),
    /// None; the connection stays open.
    Silence,
}

/// A server on loopback. Its threads end with the test program.
pub(crate) struct Scripted {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answers: Mutex<Vec<Answer>>,
    calls: AtomicUsize,
}

impl Scripted {
    /// Says these in order; the last one to every further call.
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
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

    /// As a job file has it.
    pub(crate) fn endpoint(&self) -> String {
        format!("\"http://{}\"", self.addr)
    }

    /// How many calls came in.
    pub(crate) fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Says these from the next call on.
    pub(crate) fn go_on_with(&self, answers: Vec<Answer>) {
        *self.shared.answers.lock().expect("no test panics with it") = answers;
        self.shared.calls.store(0, Ordering::SeqCst);
    }
}

impl Shared {
    fn next(&self) -> Answer {
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
            Answer::Body(body) => (200, body),
            Answer::Status(status) => (status, String::new()),
            Answer::Silence => {
                std::thread::park();
                continue;
            }
        };
        write!(writer, "HTTP/1.1 {status} As told\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}

//! The imbulk binary at a pseudo-terminal, which `script` of util-linux makes.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::process::PATIENCE;

/// The key Ctrl-C, which the terminal turns into SIGINT.
pub const CTRL_C: &str = "\u{3}";

/// The number of lines of the terminal.
pub const LINES: u16 = 40;

/// A program at a terminal of its own. Dropping it kills it.
pub struct AtTerminal {
    child: Child,
    keyboard: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl AtTerminal {
    /// Starts a command line of the shell at a terminal of this width. `configure` sets the folder and the environment.
    pub fn start(line: &str, columns: u16, configure: impl FnOnce(&mut Process)) -> Self {
        let mut command = Process::new("script");
        let line = format!("stty cols {columns} rows {LINES}; exec {line}");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        configure(&mut command);
        let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = streams.spawn().expect("script of util-linux is installed");
        let keyboard = child.stdin.take().expect("a pipe");
        let mut output = child.stdout.take().expect("a pipe");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            }
        });
        Self { child, keyboard, shown }
    }

    /// Types a text.
    pub fn types(&mut self, text: &str) {
        // The program may have ended.
        let _typed = self.keyboard.write_all(text.as_bytes()).and_then(|()| self.keyboard.flush());
    }

    /// All bytes that the terminal received so far, as text.
    pub fn received(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until the terminal has received a text.
    #[track_caller]
    pub fn until(&self, text: &str) {
        let begun = Instant::now();
        while !self.received().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "no {text:?} in {}", self.received());
            std::thread::yield_now();
        }
    }

    /// Waits for its end. Returns the exit code and all bytes that the terminal received, as text.
    #[track_caller]
    pub fn wait(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                // What is in the pipe belongs to it, and the reader ends at its end.
                while Arc::strong_count(&self.shown) > 1 && begun.elapsed() < PATIENCE {
                    std::thread::yield_now();
                }
                return (status.code(), self.received());
            }
            assert!(begun.elapsed() < PATIENCE, "it did not end: {}", self.received());
            std::thread::yield_now();
        }
    }
}

impl Drop for AtTerminal {
    fn drop(&mut self) {
        // It is still alive only if the test failed.
        let _over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The screens that a terminal shows one after another: one after each carriage return, with which every picture of a
/// progress bar ends.
pub fn screens(received: &str, columns: u16) -> Vec<String> {
    let mut terminal = vt100::Parser::new(LINES, columns, 0);
    let each = received.split_inclusive('\r').map(|part| {
        terminal.process(part.as_bytes());
        let lines: Vec<String> = terminal.screen().rows(0, columns).collect();
        lines.join("\n").trim_end().to_owned()
    });
    each.collect()
}

//! The question before anything is deleted: a person at a terminal types the app's number; cron has no terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::num::NonZeroU64;

use super::error::Error;
use crate::report::tell::{drain, tell};
use crate::runner::Signals;

/// Whether somebody sits there to be asked, though the input may come through a pipe.
pub(super) fn is_at_a_terminal() -> bool {
    std::io::stdin().is_terminal() || std::io::stderr().is_terminal()
}

/// Asks for the SDKAppID. Anything else than it, or a signal, and nothing is sent.
pub(super) async fn ask(sdkappid: NonZeroU64, what: &str, signals: &mut Signals) -> Result<(), Error> {
    tell(format!("{what}This can't be undone. Type the SDKAppID ({sdkappid}) to go on:"));
    drain();
    let typed = tokio::select! {
        biased;
        signal = signals.next() => return Err(Error::Interrupted(signal)),
        typed = tokio::task::spawn_blocking(read_line) => typed.map_err(|error| Error::io("the terminal")(error.into()))?,
    };
    let typed = typed.map_err(Error::io("can't ask for the SDKAppID"))?;
    if typed.trim() == sdkappid.to_string() {
        return Ok(());
    }
    Err(Error::Usage("that is not the SDKAppID: nothing is sent\nhint: --yes where nobody can be asked".to_owned()))
}

fn read_line() -> std::io::Result<String> {
    let mut typed = String::new();
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        stdin.lock().read_line(&mut typed)?;
    } else {
        BufReader::new(File::open("/dev/tty")?).read_line(&mut typed)?;
    }
    Ok(typed)
}

//! Ends commands that send nothing at a signal.

use super::error::SessionError;
use crate::domain::exit::Exit;
use crate::log;
use crate::runner::Signals;
use crate::stderr::tell;

/// Carries out a command that sends nothing, until a signal. A load that it has begun is removed at the next start, and
/// a file that it writes does not appear.
pub async fn until_signal<T, E: From<SessionError>>(doing: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let mut signals = Signals::listen(end_at_once).map_err(SessionError::io("cannot listen for signals"))?;
    tokio::select! {
        biased;
        signal = signals.next() => Err(SessionError::Cancelled(signal).into()),
        done = doing => done,
    }
}

/// Ends the process at once. Like after a kill, the queue on disk is consistent.
fn end_at_once(why: &str) {
    tell(format!("{why}: ended at once"));
    log::finish();
    std::process::exit(Exit::Stopped.code().into());
}

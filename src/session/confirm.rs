//! Asks for confirmation: a person at a terminal sees the plan and types the SDKAppID. Cron has no terminal.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal};
use std::num::NonZeroU64;

use super::error::SessionError;
use crate::runner::Signals;
use crate::stderr::{drain, tell};

/// Whether a person can be asked. The input may come through a pipe, so standard error counts as well.
pub(super) fn is_at_a_terminal() -> bool {
    std::io::stdin().is_terminal() || std::io::stderr().is_terminal()
}

/// Shows the text and asks for the SDKAppID of each app. Any other answer, or a signal, is an error, and nothing is
/// sent.
pub(super) async fn ask(apps: &[NonZeroU64], what: &str, signals: &mut Signals) -> Result<(), SessionError> {
    for (at, app) in apps.iter().enumerate() {
        let question = match (at, apps) {
            (0, [_only]) => format!("{what}this cannot be undone; type the SDKAppID ({app}) to send it:"),
            (0, _) => format!("{what}this cannot be undone, in {} apps; type the SDKAppID {app}:", apps.len()),
            _ => format!("type the SDKAppID {app} as well; nothing is sent before all are typed:"),
        };
        ask_for(*app, question, signals).await?;
    }
    Ok(())
}

async fn ask_for(sdkappid: NonZeroU64, question: String, signals: &mut Signals) -> Result<(), SessionError> {
    let typed = tokio::select! {
        biased;
        signal = signals.next() => return Err(SessionError::Interrupted(signal)),
        typed = typed(question) => typed?,
    };
    if typed.trim() == sdkappid.to_string() {
        return Ok(());
    }
    let hint = "run the command again and type the number that is shown as `app`";
    Err(SessionError::usage("nothing is sent: the typed text is not the SDKAppID", hint))
}

/// Shows a question and returns the line that the person types.
pub(super) async fn typed(question: String) -> Result<String, SessionError> {
    tell(question);
    drain();
    let typed = tokio::task::spawn_blocking(read_line).await;
    let typed = typed.map_err(|error| SessionError::io("the terminal")(error.into()))?;
    typed.map_err(SessionError::io("cannot ask for confirmation"))
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

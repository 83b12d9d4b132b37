//! `imbulk completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::error::Error;
use crate::cli::Cli;
use crate::domain::exit::Exit;

/// Prints completions for a shell.
pub(super) fn completions(shell: Shell) -> Result<Exit, Error> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "imbulk", &mut text);
    super::print(&String::from_utf8_lossy(&text))
}

//! `imbulk man`

use clap::CommandFactory;

use super::error::Error;
use crate::cli::Cli;
use crate::domain::exit::Exit;

/// Prints the manual page.
pub(super) fn man() -> Result<Exit, Error> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(Error::io("the manual page"))?;
    super::print(&String::from_utf8_lossy(&text))
}

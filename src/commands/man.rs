//! `imbulk man`

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::error::Error;
use crate::cli::manual::{self, Manual, Section};
use crate::cli::{self, Cli};
use crate::domain::exit::Exit;

/// An empty argument in roff. A date would make two builds of one version differ.
const NO_DATE: &str = "\"\"";

/// Prints a manual page, or writes all of them into a folder.
pub(super) fn man(args: &cli::ManArgs) -> Result<Exit, Error> {
    if let Some(folder) = &args.output {
        return write_all(folder).map_err(Error::io(folder.display().to_string())).map(|()| Exit::Done);
    }
    let name = args.subcommand.as_deref().unwrap_or_default();
    let wanted = manual::ALL.into_iter().filter(|manual| manual.name == name);
    let pages: Result<Vec<String>, io::Error> = wanted.map(page).collect();
    super::print(&pages.map_err(Error::io("the manual page"))?.concat())
}

fn write_all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for manual in manual::ALL {
        std::fs::write(folder.join(format!("{}.1", title(manual))), page(manual)?)?;
    }
    Ok(())
}

/// `imbulk`, or `imbulk-run` for a subcommand.
fn title(manual: &Manual) -> String {
    if manual.name.is_empty() { "imbulk".to_owned() } else { format!("imbulk-{}", manual.name) }
}

/// A manual page in roff.
fn page(manual: &Manual) -> io::Result<String> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let source = format!("imbulk {}", program.get_version().unwrap_or_default());
    let command = program.find_subcommand(manual.name).unwrap_or(&program).clone();
    let is_program = command.has_subcommands();
    let page = Man::new(command.mut_args(|option| option.hide_env_values(true)));
    let page = page.title(title(manual).to_uppercase()).date(NO_DATE).source(source).manual("imbulk");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if is_program {
        page.render_subcommands_section(&mut text)?;
    }
    let sections = manual.sections();
    sections.iter().rev().try_for_each(|section| roff(section).to_writer(&mut text))?;
    if !is_program {
        Roff::new().control("SH", ["SEE ALSO"]).text([bold("imbulk"), roman("(1)")]).to_writer(&mut text)?;
    }
    String::from_utf8(text).map_err(io::Error::other)
}

fn roff(section: &Section) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [section.heading.as_str()]);
    if !section.text.is_empty() {
        roff.text([roman(section.text)]);
    }
    for (name, meaning) in &section.rows {
        roff.control("TP", []).text([bold(name)]);
        if !meaning.is_empty() {
            roff.text([roman(*meaning)]);
        }
    }
    roff
}

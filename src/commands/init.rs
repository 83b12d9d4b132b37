//! `imbulk init`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::domain::hint::{Hint, Message};
use crate::domain::operation::{self, ProtectedList};
use crate::init::{
    ENV_EXAMPLE, INIT_HEADING, InitError, InputFacts, KnownValues, NewJob, PROTECTED_LIST, SCHEMA_FILE, job_text,
    protected_list,
};
use crate::session::SessionError;
use crate::settings::{check_job_name, job_schema};
use crate::stderr::tell;

/// Writes a job file and the files that it needs into the current folder.
pub(super) fn init(args: &cli::InitArgs) -> Result<Exit, Error> {
    // A person who types the name of the file means the job.
    let name = args.name.strip_suffix(".toml").unwrap_or(&args.name);
    check_job_name(name).map_err(SessionError::Usage)?;
    let operation = operation::by_name(&args.operation)
        .unwrap_or_else(|| unreachable!("the command line takes only names of operations"));
    let job_file = format!("{name}.toml");
    if std::fs::symlink_metadata(&job_file).is_ok() {
        return Err(exists(&job_file).into());
    }
    let input = args.from.as_deref().map(|path| InputFacts::read(path, operation)).transpose();
    let input = input.map_err(|error| unusable(&error))?;
    let job =
        job_text(&NewJob { name, operation, input: input.as_ref(), heading: INIT_HEADING, known: &KnownValues::new() });
    let schema = serde_json::to_string_pretty(&job_schema()).expect("texts and numbers are JSON") + "\n";
    let list = protected_list(name);
    let needs_list = operation.protected_list == ProtectedList::Required;
    let beside = [(needs_list, &*list, PROTECTED_LIST), (true, "imbulk.env.example", ENV_EXAMPLE)];
    let mut said = String::new();
    for (_, file, text) in beside.into_iter().chain([(true, SCHEMA_FILE, &*schema)]).filter(|(wanted, ..)| *wanted) {
        let word = if write_new(file, text)? { "wrote" } else { "kept " };
        said.push_str(&format!("{word}  {file}\n"));
    }
    // The last one, so that no job is without its files.
    if !write_new(&job_file, &job)? {
        return Err(exists(&job_file).into());
    }
    for choice in input.iter().flat_map(InputFacts::choices) {
        let names = choice.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
        let api = choice.api;
        let advice = "choose one under [input.columns] before you plan";
        tell(format!("note: {job_file}: which column is {api}, {names}? {advice}"));
    }
    let next = format!(
        "next\n  edit [app] in {job_file}, and check all lines\n  imbulk plan {job_file}\n  imbulk run {job_file} \
         --sandbox\n"
    );
    super::print(&format!("wrote  {job_file}\n{said}\n{next}"))
}

/// Writes a file that does not exist. Returns whether it did not.
fn write_new(file: &str, text: &str) -> Result<bool, Error> {
    let written = OpenOptions::new().write(true).create_new(true).open(file).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io(format!("{file} cannot be written"))(error)),
    }
}

fn exists(job_file: &str) -> SessionError {
    let hint = "choose another name for the job, or remove the file";
    SessionError::Usage(Message::new(format!("{job_file} exists, and no file is written over")).add_hint(hint))
}

fn unusable(error: &InitError) -> SessionError {
    SessionError::Usage(Message { text: error.to_string(), hint: error.hint().map(Into::into) })
}

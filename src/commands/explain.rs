//! `imbulk explain`

use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::queue::Reader;
use crate::report::explanation::{CodeExplanation, CodeList, Explanation, RunCodes};
use crate::session::{SessionError, find, refuse_forgotten};

/// Explains a code, all codes, or the codes of a run: the meaning, how imbulk treats it, and what to do.
pub(super) async fn explain(args: &cli::ExplainArgs, queue: &Path) -> Result<Exit, Error> {
    let explanation = match &args.subject {
        None => Explanation::List(CodeList::new(args.class.as_deref())),
        Some(subject) => match subject.parse() {
            // A code has no target, so `--target` says that a number is a name.
            Ok(code) if args.target.is_none() => Explanation::Code(CodeExplanation::new(code)),
            Ok(_) | Err(_) => Explanation::Run(of_run(subject, args.target.as_deref(), queue).await?),
        },
    };
    if args.json { super::print_json(&explanation) } else { super::print(&explanation.text(args.lang)) }
}

async fn of_run(name: &str, target: Option<&str>, queue: &Path) -> Result<RunCodes, Error> {
    let reader = Reader::open(queue).await?;
    let run = find(name, target, &reader).await?;
    refuse_forgotten(&run)?;
    let operation = run.operation;
    let rows = reader.codes(run.id).await.map_err(SessionError::from)?;
    Ok(RunCodes::new(&run, &operation, &rows))
}

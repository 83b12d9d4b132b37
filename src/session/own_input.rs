//! Reads the user's own columns of a run from its input, for the results.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;

use super::error::SessionError;
use super::job_input::inspect;
use crate::domain::hint::{Hint, Message};
use crate::domain::job::{InputSettings, Job};
use crate::domain::operation::InputShape;
use crate::domain::request::own_row::{OwnCell, OwnRow, OwnValues};
use crate::domain::results;
use crate::input::{InputError, OwnCells, Source};
use crate::queue::{FileKind, Run};
use crate::session::digests;
use crate::settings::{self, Env};

/// Rows per batch, and batches that wait: memory has only these.
const ROWS_PER_BATCH: usize = 1024;
const BATCHES: usize = 8;

/// The user's own columns of a run.
pub struct OwnInput {
    /// The names of the columns of all CSV files, each once; empty for JSONL.
    pub columns: Vec<String>,
    /// The user's own names of the operation's columns, in their sequence.
    pub ids: Vec<String>,
    /// The delimiter of the first CSV file, or a comma.
    pub delimiter: u8,
    /// A file that is JSONL.
    pub jsonl: Option<String>,
    /// Every row of the input in its sequence, or why it cannot be read.
    pub rows: Receiver<Result<Vec<OwnRow>, Message>>,
}

/// The files that are read, and where the cells of each go.
struct OwnFiles {
    sources: Vec<Source>,
    shape: InputShape,
    input: InputSettings,
    columns: OwnColumns,
}

/// The columns of all files.
#[derive(Default)]
struct OwnColumns {
    names: Vec<String>,
    /// For each file and cell its column; none for a column that an earlier export added.
    places: Vec<Vec<Option<usize>>>,
    /// The first file that is JSONL, which has none.
    jsonl: Option<String>,
    /// The delimiter of the first file.
    delimiter: Option<u8>,
}

/// Begins to read the user's own columns. `folder`: where temporary files go.
///
/// # Errors
/// The run was loaded from standard input, or the job or its input is not the one that the run was loaded from.
pub async fn own_input(run: &Run, env: &Env, folder: &Path) -> Result<OwnInput, SessionError> {
    let Some(stamps) = run.file_stamps.clone() else {
        let text = format!("run {} was loaded from standard input or a pipe, which cannot be read again", run.uuid);
        return Err(SessionError::usage(text, "leave out --with-input, and join the results by `line`"));
    };
    let job = job_of(run, env)?;
    let known = vec![(stamps.clone(), run.input_digest.clone())];
    let state = inspect(job.input.clone(), folder, known).await?;
    if state.digest != run.input_digest {
        return Err(other_input(run, &stamps, &state.sources));
    }
    let operation = run.operation;
    let ids = operation.shape.columns().map(|id| job.input.columns.get(id).map_or(id, String::as_str).to_owned());
    let ids = ids.collect();
    let (shape, input) = (operation.shape, job.input);
    let columns = OwnColumns::of(&state.sources, &shape, &input)?;
    let (names, jsonl) = (columns.names.clone(), columns.jsonl.clone());
    let delimiter = columns.delimiter.unwrap_or(b',');
    let (sender, rows) = channel(BATCHES);
    let files = OwnFiles { sources: state.sources, shape, input, columns };
    spawn_blocking(move || files.read(&sender));
    Ok(OwnInput { columns: names, ids, delimiter, jsonl, rows })
}

/// The job file of the run, if it still gives the input the same meaning.
fn job_of(run: &Run, env: &Env) -> Result<Job, SessionError> {
    let file = run.files().iter().find(|file| file.kind == FileKind::Job).map(|file| &file.path);
    let unknown = || SessionError::usage(format!("run {} has no job file", run.uuid), "leave out --with-input");
    let file = file.ok_or_else(unknown)?;
    let job = settings::load_job(file, env)?;
    if digests::is_definition(&job, &run.definition_digest) {
        return Ok(job);
    }
    let text = format!("{}: its input has another meaning than when run {} was loaded", file.display(), run.uuid);
    Err(SessionError::usage(text, "put back operation, [options] and [input] as they were, or leave out --with-input"))
}

/// Names the files whose stamps are others.
fn other_input(run: &Run, stamps: &str, sources: &[Source]) -> SessionError {
    let facts = |stamp: &str| stamp.rsplitn(5, ' ').take(4).map(ToOwned::to_owned).collect::<Vec<_>>();
    let known: Vec<Vec<String>> = stamps.lines().map(facts).collect();
    let is_other = |source: &&Source| {
        source.stamp().is_none_or(|stamp| !known.contains(&facts(&digests::stamp(source.name(), stamp))))
    };
    let mut names: Vec<&str> = sources.iter().filter(is_other).map(Source::name).collect();
    if names.is_empty() {
        names = sources.iter().map(Source::name).collect();
    }
    let text = format!("{}: changed since run {} was loaded", names.join(", "), run.uuid);
    SessionError::usage(text, "put back the input as it was, or leave out --with-input")
}

impl OwnColumns {
    /// The columns of all files: those of the first file, then those that only later files have.
    fn of(sources: &[Source], shape: &InputShape, input: &InputSettings) -> Result<Self, InputError> {
        let mut columns = Self::default();
        for source in sources {
            let names = match source.own_columns(shape, input)? {
                Some((names, delimiter)) => {
                    columns.delimiter.get_or_insert(delimiter);
                    names
                }
                None => {
                    columns.jsonl.get_or_insert_with(|| source.name().to_owned());
                    Vec::new()
                }
            };
            columns.add(&names);
        }
        Ok(columns)
    }

    /// Adds the columns of the next file.
    fn add(&mut self, names: &[String]) {
        // Two columns of a file may have the same name.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let nth = seen.entry(name).or_default();
            places.push((!results::is_added(name)).then(|| self.place(name, *nth)));
            *nth += 1;
        }
        self.places.push(places);
    }

    /// The column with this name, if it is the `nth` of a file with the name.
    fn place(&mut self, name: &str, nth: usize) -> usize {
        let found = self.names.iter().enumerate().filter(|(_, known)| *known == name).nth(nth);
        match found {
            Some((at, _)) => at,
            None => {
                self.names.push(name.to_owned());
                self.names.len() - 1
            }
        }
    }

    /// The cells of a row of a file, one for each column. There are none if a cell without quotes would need them, as
    /// the file has another delimiter.
    fn cells(&self, file: usize, cells: Vec<OwnCell>) -> Vec<Option<OwnCell>> {
        let mut placed = vec![None; self.names.len()];
        let delimiter = char::from(self.delimiter.unwrap_or(b','));
        if cells.iter().any(|cell| !cell.is_quoted && cell.text.contains(delimiter)) {
            return placed;
        }
        for (cell, place) in cells.into_iter().zip(&self.places[file]) {
            if let Some(place) = place {
                placed[*place] = Some(cell);
            }
        }
        placed
    }
}

impl OwnFiles {
    fn read(&self, sender: &Sender<Result<Vec<OwnRow>, Message>>) {
        let mut batch = Vec::with_capacity(ROWS_PER_BATCH);
        for (file, source) in self.sources.iter().enumerate() {
            let mut sink = |line: u64, cells: OwnCells| {
                let values = match cells {
                    OwnCells::Csv(cells) => OwnValues::Cells(self.columns.cells(file, cells)),
                    OwnCells::Json(object) => OwnValues::Object(object),
                };
                batch.push(OwnRow { file, line, values });
                if batch.len() < ROWS_PER_BATCH {
                    return ControlFlow::Continue(());
                }
                match sender.blocking_send(Ok(std::mem::take(&mut batch))) {
                    Ok(()) => ControlFlow::Continue(()),
                    // The export has ended early.
                    Err(_closed) => ControlFlow::Break(()),
                }
            };
            if let Err(error) = source.read_own(&self.shape, &self.input, &mut sink) {
                let message = Message { text: error.to_string(), hint: error.hint().map(std::borrow::Cow::into_owned) };
                let _closed = sender.blocking_send(Err(message));
                return;
            }
        }
        let _closed = sender.blocking_send(Ok(batch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_several_files_are_joined_by_name_and_columns_of_an_earlier_export_are_left_out() {
        let mut columns = OwnColumns::default();
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        columns.add(&texts(&["UserID", "note", "note", "imbulk_outcome"]));
        columns.add(&texts(&["note", "created_at", "UserID"]));
        assert_eq!(columns.names, ["UserID", "note", "note", "created_at"]);
        let cell = |text: &str, is_quoted| OwnCell { text: text.to_owned(), is_quoted };
        let plain = |texts: &[&str]| texts.iter().map(|text| cell(text, false)).collect();
        let of_second = columns.cells(1, plain(&["n", "today", "u1"]));
        assert_eq!(of_second, [Some(cell("u1", false)), Some(cell("n", false)), None, Some(cell("today", false))]);
        assert_eq!(columns.cells(0, plain(&["u2"])), [Some(cell("u2", false)), None, None, None]);
        assert_eq!(columns.cells(0, plain(&["u,3"])), [None, None, None, None], "quotes would make it an id");
        assert_eq!(columns.cells(0, vec![cell("u,3", true)])[0], Some(cell("u,3", true)));
    }
}

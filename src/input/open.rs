//! From the paths of a job to its sources.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::domain::job;

use super::error::{InputError, Problem};
use super::source::Source;

/// Opens everything that the job's `input.path` names, in its order; the files of a glob by name.
///
/// What can be read only once, standard input (`-`) or a pipe, is copied to an unlinked temporary file in
/// `spool_dir`. Fails for a path without a file and a glob without a match.
pub fn open(input: &job::Input, spool_dir: &Path) -> Result<Vec<Source>, InputError> {
    if input.paths.iter().filter(|path| *path == "-").count() > 1 {
        return Err(InputError::new("-", Problem::StdinTwice));
    }
    let mut sources = Vec::new();
    for path in &input.paths {
        if path == "-" {
            sources.push(spool("-", io::stdin().lock(), spool_dir)?);
            continue;
        }
        for file in files(path)? {
            sources.push(open_file(&file, spool_dir)?);
        }
    }
    Ok(sources)
}

/// The files that a path names. A file that has a name like a glob is still that file.
fn files(path: &str) -> Result<Vec<PathBuf>, InputError> {
    if !path.contains(['*', '?', '[']) || Path::new(path).exists() {
        return Ok(vec![PathBuf::from(path)]);
    }
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        // Spreadsheets and editors leave `.~lock.rows.csv` and the like beside the file.
        require_literal_leading_dot: true,
    };
    let matches = glob::glob_with(path, options);
    let matches = matches.map_err(|error| InputError::new(path, Problem::Pattern(error.msg)))?;
    // They come sorted by name.
    let mut files = Vec::new();
    for file in matches {
        let file = file.map_err(|error| InputError::new(path, Problem::Read(error.into())))?;
        if !file.is_dir() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(InputError::new(path, Problem::NoMatch));
    }
    Ok(files)
}

fn open_file(path: &Path, spool_dir: &Path) -> Result<Source, InputError> {
    let name = path.to_string_lossy();
    let unreadable = |error: io::Error| {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => Problem::Missing,
            _ => Problem::Read(error),
        };
        InputError::new(&name, problem)
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(InputError::new(&name, Problem::Folder));
    }
    let file = File::open(path).map_err(unreadable)?;
    if metadata.is_file() {
        return Ok(Source::file(&name, path.to_path_buf(), &metadata));
    }
    spool(&name, file, spool_dir)
}

/// Copies what can be read only once to a file without a name in `spool_dir`. As with files, an end of `name` such as
/// `.csv` says what is in it.
pub fn spool(name: &str, mut from: impl Read, spool_dir: &Path) -> Result<Source, InputError> {
    let failed = |error| InputError::new(name, Problem::Spool(error));
    let mut file = tempfile::tempfile_in(spool_dir).map_err(failed)?;
    let size = io::copy(&mut from, &mut file).map_err(failed)?;
    Ok(Source::spooled(name, file, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::testing::input;

    fn open_paths(paths: &[String]) -> Result<Vec<Source>, InputError> {
        let mut input = input(&[]);
        input.paths = paths.to_vec();
        open(&input, &std::env::temp_dir())
    }

    #[test]
    fn globs_are_sorted_and_skip_folders_and_hidden_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", ".~lock.a.csv", "a.txt"] {
            fs::write(folder.path().join(name), "UserID\n").unwrap();
        }
        fs::create_dir(folder.path().join("c.csv")).unwrap();
        let glob = format!("{}/*.csv", folder.path().display());
        let sources = open_paths(&[glob]).unwrap();
        let names: Vec<&str> = sources.iter().map(|source| source.name().rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["a.csv", "b.csv"]);
    }

    #[test]
    fn a_file_whose_name_looks_like_a_glob_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows[1].csv");
        fs::write(&path, "UserID\n").unwrap();
        assert_eq!(open_paths(&[path.display().to_string()]).unwrap().len(), 1);
    }

    #[test]
    fn paths_without_a_file_are_named_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("{}/{name}", folder.path().display());
        for (path, problem) in
            [(at("none.csv"), "no such file"), (at("*.csv"), "matches no file"), (at(""), "is a folder")]
        {
            let error = open_paths(std::slice::from_ref(&path)).unwrap_err();
            assert_eq!(error.to_string(), format!("{path}: {problem}"));
            assert!(error.hint().is_some());
        }
        assert!(matches!(*open_paths(&[at("[")]).unwrap_err().problem, Problem::Pattern(_)));
        assert!(matches!(*open_paths(&["-".into(), "-".into()]).unwrap_err().problem, Problem::StdinTwice));
    }
}

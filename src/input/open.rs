//! From the paths of a job to its sources.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::domain::job;

use super::error::{InputError, Problem};
use super::paths;
use super::source::Source;

/// Opens everything that the job's `input.path` names, in its order; the files of a glob in natural order.
///
/// What can be read only once, standard input (`-`) or a pipe, is copied to an unlinked temporary file in
/// `spool_dir`. Fails for a path without a file, a glob without a match, and a file that is named twice: two names of
/// one file (links) are one file.
pub fn open(input: &job::InputSettings, spool_dir: &Path) -> Result<Vec<Source>, InputError> {
    if input.paths.iter().filter(|path| *path == "-").count() > 1 {
        return Err(InputError::new("-", Problem::StdinTwice));
    }
    let mut sources = Vec::new();
    for path in &input.paths {
        if path == "-" {
            sources.push(stream("-", io::stdin().lock(), spool_dir)?);
        } else if paths::is_glob(path) {
            for file in paths::matching(path)? {
                check_regular(&file)?;
                sources.push(open_file(&file, spool_dir)?.of_glob());
            }
        } else {
            sources.push(open_file(Path::new(path), spool_dir)?);
        }
    }
    check_named_once(&sources)?;
    Ok(sources)
}

/// Two names of one file would load its rows twice.
fn check_named_once(sources: &[Source]) -> Result<(), InputError> {
    let mut names = HashMap::new();
    for source in sources {
        let Some(stamp) = source.stamp() else { continue };
        if let Some(earlier) = names.insert(stamp.inode, source.name()) {
            return Err(InputError::new(source.name(), Problem::SameFile(earlier.to_owned())));
        }
    }
    Ok(())
}

fn open_file(path: &Path, spool_dir: &Path) -> Result<Source, InputError> {
    let name = paths::shown(path);
    let unreadable = |error: io::Error| {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => missing(path),
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
    stream(&name, file, spool_dir)
}

/// Opening a pipe without a sender would wait forever, and a glob may match one by accident. If it were passed over,
/// its rows might be missed.
fn check_regular(path: &Path) -> Result<(), InputError> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(InputError::new(&paths::shown(path), Problem::NotAFile)),
        // An error is reported where the file is opened.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// There is no such file, or there is a link that leads to none.
fn missing(path: &Path) -> Problem {
    match fs::read_link(path) {
        Ok(target) => Problem::DanglingLink(paths::shown(&target)),
        Err(_) => Problem::Missing,
    }
}

/// Copies what can be read only once to a file without a name in `spool_dir`. Whether its sender came to an end of
/// its own is not known.
fn stream(name: &str, from: impl Read, spool_dir: &Path) -> Result<Source, InputError> {
    let (file, size) = copy(name, from, spool_dir)?;
    Ok(Source::stream(name, file, size))
}

/// A source of text at hand, in a file without a name in `spool_dir`. As with files, an end of `name` such as `.csv`
/// says what is in it.
pub fn spool(name: &str, from: impl Read, spool_dir: &Path) -> Result<Source, InputError> {
    let (file, size) = copy(name, from, spool_dir)?;
    Ok(Source::spooled(name, file, size))
}

fn copy(name: &str, mut from: impl Read, spool_dir: &Path) -> Result<(File, u64), InputError> {
    let failed = |error| InputError::new(name, Problem::Spool(error));
    let mut file = tempfile::tempfile_in(spool_dir).map_err(failed)?;
    let size = io::copy(&mut from, &mut file).map_err(failed)?;
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hint::Hint;
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

    #[test]
    fn a_link_to_nothing_is_named_with_its_target() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), "UserID\na\n").unwrap();
        std::os::unix::fs::symlink("/nowhere/b.csv", folder.path().join("b.csv")).unwrap();
        for path in ["*.csv", "b.csv"].map(|name| format!("{}/{name}", folder.path().display())) {
            let error = open_paths(&[path]).unwrap_err();
            assert!(error.to_string().ends_with("/b.csv: is a link to /nowhere/b.csv: no such file"), "{error}");
        }
    }

    #[test]
    fn a_socket_or_a_device_among_the_files_of_a_glob_is_refused_and_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), "UserID\na\n").unwrap();
        let glob = format!("{}/*.csv", folder.path().display());
        let refused = || {
            let error = open_paths(std::slice::from_ref(&glob)).unwrap_err();
            assert!(matches!(*error.problem, Problem::NotAFile) && error.file.ends_with("/b.csv"), "{error}");
        };
        let socket = std::os::unix::net::UnixListener::bind(folder.path().join("b.csv")).unwrap();
        refused();
        drop(socket);
        fs::remove_file(folder.path().join("b.csv")).unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.path().join("b.csv")).unwrap();
        refused();
    }

    #[test]
    fn a_file_is_not_read_twice_whatever_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.csv"), "UserID\na\n").unwrap();
        std::os::unix::fs::symlink("a.csv", at("latest.csv")).unwrap();
        let text = |name: &str| at(name).display().to_string();
        for paths in [vec![text("*.csv")], vec![text("a.csv"), text("a.csv")], vec![text("latest.csv"), text("a*")]] {
            let error = open_paths(&paths).unwrap_err();
            assert!(matches!(*error.problem, Problem::SameFile(_)), "{error}");
        }
        fs::remove_file(at("latest.csv")).unwrap();
        fs::hard_link(at("a.csv"), at("b.csv")).unwrap();
        assert!(open_paths(&[text("*.csv")]).is_err());
        fs::copy(at("a.csv"), at("c.csv")).unwrap();
        assert_eq!(open_paths(&[text("a.csv"), text("c.csv")]).unwrap().len(), 2, "equal bytes are not one file");
    }
}

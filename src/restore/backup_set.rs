//! The files of the backup of one run: each of its sessions wrote one.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;

use super::backup_file::{self, BackupExtent, LineSink};
use super::error::{BackupProblem, RestoreError};
use crate::domain::backup::{BackupHeader, BackupPart};

/// The length of the time in the name of a file, such as `20261130T021544Z`.
const FILE_TIME: usize = 16;

/// The parts of the backup of a run that its queue knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownParts(pub Vec<BackupPart>);

impl KnownParts {
    /// The parts of the file that the queue knows by this name.
    fn of(&self, name: &OsStr) -> Vec<&BackupPart> {
        self.0.iter().filter(|part| name_in_queue(part) == Some(name)).collect()
    }

    /// The files that the queue knows, by name.
    fn names(&self) -> impl Iterator<Item = &OsStr> {
        self.0.iter().filter_map(name_in_queue)
    }

    /// The name by which the queue knows a file, which may have been renamed since: then its first part shows it.
    fn name_of(&self, path: &Path) -> Option<&OsStr> {
        let starts_with = |part: &&BackupPart| part.first_byte == 0 && backup_file::check_parts(path, &[part]).is_ok();
        let own = self.names().find(|name| path.file_name() == Some(*name));
        own.or_else(|| self.0.iter().find(starts_with).and_then(name_in_queue))
    }

    /// The parts of each file, the files that are not there first.
    fn assign(&self, paths: Vec<PathBuf>, folder_of: &Path) -> Vec<BackupFile<'_>> {
        let known_as: Vec<Option<&OsStr>> = paths.iter().map(|path| self.name_of(path)).collect();
        let lost: BTreeSet<&OsStr> = self.names().filter(|name| !known_as.contains(&Some(*name))).collect();
        let is_complete = lost.is_empty();
        let lost = lost.into_iter().map(|name| (folder_of.with_file_name(name), Some(name)));
        let parts = |name: Option<&OsStr>| match name {
            Some(name) => Some(self.of(name)),
            // A session was killed before the queue knew a part of its file.
            None if is_complete => Some(Vec::new()),
            // It may be a file that the queue knows.
            None => None,
        };
        let all = lost.chain(paths.into_iter().zip(known_as));
        all.map(|(path, name)| BackupFile { path, parts: parts(name) }).collect()
    }
}

fn name_in_queue(part: &BackupPart) -> Option<&OsStr> {
    Path::new(&part.file).file_name()
}

/// A file of the backup.
#[derive(Debug)]
struct BackupFile<'k> {
    path: PathBuf,
    /// The parts that the queue knows; none if it does not know the file.
    parts: Option<Vec<&'k BackupPart>>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadFile {
    /// Its path.
    pub(super) path: PathBuf,
    /// The friends and profiles that were read of it.
    pub(super) lines: u64,
    /// Whether it has its end line.
    pub(super) is_complete: bool,
    /// Why not everything was read, if --incomplete allowed that, and the line.
    pub(super) fault: Option<(Option<u64>, BackupProblem)>,
}

/// The files of the backup of one run.
#[derive(Debug)]
pub(super) struct BackupSet<'k> {
    /// The first line of the file that was named.
    pub(super) header: BackupHeader,
    /// The files, in the sequence in which they were written.
    files: Vec<BackupFile<'k>>,
}

impl<'k> BackupSet<'k> {
    /// The named files, the other files of their run that are beside the first one, and those that the queue knows.
    pub(super) fn find(named: &[PathBuf], known: Option<&'k KnownParts>) -> Result<Self, RestoreError> {
        let [first, others @ ..] = named else { unreachable!("the command line requires a file") };
        let header = backup_file::header_of(first)?;
        for path in others {
            refuse_other_run(path, backup_file::header_of(path)?, &header)?;
        }
        let mut paths = named.to_vec();
        for name in names_beside(first, &header)? {
            if paths.iter().any(|path| path.file_name() == Some(&name)) {
                continue;
            }
            let path = first.with_file_name(name);
            match backup_file::header_of(&path) {
                Ok(other) => refuse_other_run(&path, other, &header)?,
                Err(error @ RestoreError::Backup { problem: BackupProblem::OtherSchema(_), .. }) => return Err(error),
                // It may be damaged, which is found when it is proved.
                Err(_) => {}
            }
            paths.push(path);
        }
        paths.sort_by_cached_key(|path| {
            let name = path.file_name().unwrap_or_default().to_owned();
            let began_at = backup_file::header_of(path).ok().map(|header| header.began_at);
            let began_at = began_at.or_else(|| time_in_name(&name, &header));
            // The sessions of a run follow each other. Of two files with one time the later one has a number in its
            // name.
            (began_at.is_none(), began_at, name.len(), path.clone())
        });
        let files = match known {
            Some(known) => known.assign(paths, first),
            None => paths.into_iter().map(|path| BackupFile { path, parts: None }).collect(),
        };
        Ok(Self { header, files })
    }

    /// Reads all files.
    pub(super) fn read(&self, incomplete: bool, each: &mut LineSink<'_>) -> Result<Vec<ReadFile>, RestoreError> {
        let mut read = |BackupFile { path, parts }: &BackupFile<'_>| {
            let (extent, mut fault) = match backup_file::prove(path, parts.as_deref()) {
                Err(error) if incomplete => (BackupExtent::Unproved, Some(error.partial()?)),
                proved => (proved?, None),
            };
            let mut lines = 0;
            let read = match &fault {
                Some((_, BackupProblem::Lost)) => Ok(()),
                Some(_) | None => backup_file::read(path, extent, each, &mut lines),
            };
            match read {
                // It has the place of the fault.
                Err(error) if fault.is_some() => fault = Some(error.partial()?),
                read => read?,
            }
            Ok(ReadFile { path: path.clone(), lines, is_complete: extent == BackupExtent::Complete, fault })
        };
        self.files.iter().map(&mut read).collect()
    }
}

/// Refuses a file of another run than the one that was named first.
fn refuse_other_run(path: &Path, other: BackupHeader, first: &BackupHeader) -> Result<(), RestoreError> {
    if other.run == first.run {
        return Ok(());
    }
    let problem = BackupProblem::OtherRun(other.run, first.run.clone());
    Err(RestoreError::Backup { path: path.to_owned(), line: Some(1), problem })
}

/// The time in the name of a file of the run, in RFC 3339 as in headers: its session had begun before, and the next one
/// begins later.
fn time_in_name(name: &OsStr, header: &BackupHeader) -> Option<String> {
    let rest = name.to_str()?.strip_prefix(&start_of_names(header))?;
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", rest.get(..FILE_TIME)?).ok()?;
    Some(format!("{time}Z"))
}

/// What the names of the files of the run begin with.
fn start_of_names(header: &BackupHeader) -> String {
    format!("{}-{}-", header.job, header.run)
}

/// The names of the files of the run in the folder of this file.
fn names_beside(file: &Path, header: &BackupHeader) -> Result<Vec<OsString>, RestoreError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let start = start_of_names(header);
    let is_of_run =
        |name: &OsString| name.to_str().is_some_and(|name| name.starts_with(&start) && name.ends_with(".jsonl.zst"));
    let names = std::fs::read_dir(folder)
        .and_then(|files| files.map(|file| Ok(file?.file_name())).collect::<Result<Vec<_>, std::io::Error>>());
    Ok(names.map_err(RestoreError::io(folder))?.into_iter().filter(is_of_run).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backup::{BackupEnd, BackupFileLine};
    use crate::domain::ids::RunId;

    fn header(run: &str) -> String {
        format!(
            "{{\"kind\":\"header\",\"schema\":\"imbulk-backup-1\",\"job\":\"j\",\"run\":\"{run}\",\
             \"target\":\"sandbox\",\"endpoint\":\"\",\"operation\":\"friend_delete\",\"options\":{{}},\
             \"began_at\":\"2026-11-30T02:15:44Z\"}}\n"
        )
    }

    fn friends(from: u32, count: u32) -> String {
        let friend = |n| format!("{{\"kind\":\"friend\",\"from\":\"a{n}\",\"to\":\"b\",\"fields\":{{}}}}\n");
        (from..from + count).map(friend).collect()
    }

    fn frame(text: &str) -> Vec<u8> {
        zstd::encode_all(text.as_bytes(), 3).unwrap()
    }

    /// A file with an end line.
    fn complete(text: &str) -> Vec<u8> {
        let blake3 = blake3::hash(text.as_bytes()).to_hex().to_string();
        let end = BackupEnd { lines: text.lines().count() as u64, blake3 };
        frame(&(text.to_owned() + &serde_json::to_string(&BackupFileLine::End(end)).unwrap() + "\n"))
    }

    /// The parts of a file that these frames make up.
    fn known(file: &str, frames: &[Vec<u8>]) -> KnownParts {
        let mut first_byte = 0;
        let part = |frame: &Vec<u8>| {
            let (bytes, blake3) = (frame.len() as u64, blake3::hash(frame).to_hex().to_string());
            first_byte += bytes;
            BackupPart {
                run: RunId::new(1),
                file: format!("elsewhere/{file}"),
                first_byte: first_byte - bytes,
                bytes,
                lines: 2,
                blake3,
            }
        };
        KnownParts(frames.iter().map(part).collect())
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        }
    }

    /// The name of a file, its lines, whether it is complete, and its fault.
    type Found = (String, u64, bool, Option<BackupProblem>);

    fn read(named: &Path, known: Option<&KnownParts>, incomplete: bool) -> Result<Vec<Found>, RestoreError> {
        let files = BackupSet::find(&[named.to_owned()], known)?.read(incomplete, &mut |_| Ok(()))?;
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let parts = |file: ReadFile| (name(&file.path), file.lines, file.is_complete, file.fault.map(|(_, why)| why));
        Ok(files.into_iter().map(parts).collect())
    }

    #[test]
    fn a_file_with_the_name_of_the_run_is_refused_if_its_header_is_not_of_the_run() {
        let folder = Folder::new();
        let first = folder.write("j-r-1.jsonl.zst", &complete(&(header("r") + &friends(0, 2))));
        assert_eq!(read(&first, None, false).unwrap(), [("j-r-1.jsonl.zst".to_owned(), 2, true, None)]);
        for (lines, expected) in [
            (header("s"), "j-r-2.jsonl.zst:1: the file belongs to run s, and the first one to run r"),
            (header("r").replace("backup-1", "backup-2"), "j-r-2.jsonl.zst:1: the schema is `imbulk-backup-2`"),
            (String::new(), "j-r-2.jsonl.zst:1: this is not a backup of imbulk: the first line is not a header"),
        ] {
            folder.write("j-r-2.jsonl.zst", &complete(&(lines + &friends(7, 3))));
            for incomplete in [false, true] {
                let error = read(&first, None, incomplete).unwrap_err().to_string();
                assert!(error.contains(expected), "{error}");
            }
        }
        folder.write("j-r-2.jsonl.zst", &frame(&header("r"))[..4]);
        assert_eq!(read(&first, None, true).unwrap().len(), 2, "of a damaged file nothing is known");
    }

    #[test]
    fn a_renamed_file_is_proved_by_its_first_part() {
        let folder = Folder::new();
        let frames = [frame(&(header("r") + &friends(0, 2))), frame(&friends(2, 2)), frame(&friends(4, 2))];
        let known = known("j-r-1.jsonl.zst", &frames[..2]);
        let renamed = folder.write("mine.jsonl.zst", &frames.concat());
        assert_eq!(read(&renamed, Some(&known), false).unwrap(), [("mine.jsonl.zst".to_owned(), 4, false, None)]);
    }

    #[test]
    fn an_unknown_file_proves_nothing_while_a_known_one_is_missing() {
        let folder = Folder::new();
        let frames = [frame(&(header("r") + &friends(0, 2))), frame(&friends(2, 2))];
        let known = known("j-r-1.jsonl.zst", &frames);
        let changed = folder.write("mine.jsonl.zst", &frame(&(header("r") + &friends(0, 1))));
        let error = read(&changed, Some(&known), false).unwrap_err().to_string();
        assert!(error.contains("j-r-1.jsonl.zst: the queue names this file"), "{error}");
        let expected = [
            ("j-r-1.jsonl.zst".to_owned(), 0, false, Some(BackupProblem::Lost)),
            ("mine.jsonl.zst".to_owned(), 1, false, Some(BackupProblem::NoEnd)),
        ];
        assert_eq!(read(&changed, Some(&known), true).unwrap(), expected);
        // With the missing file, the other one is that of a session that was killed before its first change.
        folder.write("j-r-1.jsonl.zst", &frames.concat());
        let mut all = read(&changed, Some(&known), false).unwrap();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        let expected = [("j-r-1.jsonl.zst".to_owned(), 4, false, None), ("mine.jsonl.zst".to_owned(), 0, false, None)];
        assert_eq!(all, expected);
    }

    #[test]
    fn files_are_read_in_the_sequence_of_their_sessions_whatever_their_folders_and_headers() {
        let folder = Folder::new();
        let file = |began_at: &str| complete(&(header("r").replace("2026-11-30T02:15:44Z", began_at) + &friends(0, 1)));
        std::fs::create_dir(folder.0.path().join("a folder with a long name")).unwrap();
        let at = "2026-11-30T02:15:44Z";
        let first = folder.write("a folder with a long name/j-r-20261130T021544Z.jsonl.zst", &file(at));
        let second = folder.write("j-r-20261130T021544Z-2.jsonl.zst", &file(at));
        let fourth = folder.write("j-r-20261201T021544Z.jsonl.zst", &file("2026-12-01T02:15:40Z"));
        // Its header is damaged.
        let third = folder.write("j-r-20261130T031544Z.jsonl.zst", &file(at)[..4]);
        let set = BackupSet::find(&[fourth.clone(), second.clone(), first.clone()], None).unwrap();
        let paths: Vec<PathBuf> = set.files.into_iter().map(|file| file.path).collect();
        assert_eq!(paths, [first, second, third, fourth]);
    }
}

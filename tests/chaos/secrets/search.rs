//! Finds a secret, or twelve characters of it, in many encodings.

use std::collections::HashSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use regex::bytes::Regex;

/// This number of consecutive characters of a secret counts as a find.
const PIECE: usize = 12;

/// The texts to search for, all of one length.
struct Pieces {
    length: usize,
    set: HashSet<Vec<u8>>,
    /// The first two bytes of each, so that most places can be skipped at once.
    starts: HashSet<[u8; 2]>,
}

pub(super) struct Search {
    pieces: Vec<Pieces>,
    /// The beginning of every signature: a zlib stream in base64. It finds signatures of unknown keys and times.
    signature: Regex,
}

/// The encodings in which a text could appear, and the number of characters that a piece of it then has.
fn disguises(secret: &str) -> Vec<(usize, Vec<u8>)> {
    let each = |write: fn(u8) -> String| secret.bytes().map(write).collect::<String>().into_bytes();
    let some = |write: fn(u8) -> String| {
        let write = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { write(byte) };
        secret.bytes().map(write).collect::<String>().into_bytes()
    };
    let mut all = vec![
        (PIECE, secret.into()),
        (PIECE, secret.bytes().rev().collect()),
        (PIECE, some(|byte| format!("%{byte:02X}"))),
        (PIECE, some(|byte| format!("%{byte:02x}"))),
        (PIECE, some(|byte| format!("%25{byte:02X}"))),
        (PIECE, some(|byte| format!("\\{}", char::from(byte)))),
        (3 * PIECE, each(|byte| format!("%{byte:02X}"))),
        (2 * PIECE, each(|byte| format!("{byte:02x}"))),
        (2 * PIECE, each(|byte| format!("{byte:02X}"))),
        (6 * PIECE, each(|byte| format!("\\u{byte:04x}"))),
        // The `Debug` form of bytes.
        (4 * PIECE, each(|byte| format!("{byte}, "))),
    ];
    for skip in 0..3.min(secret.len()) {
        let whole = &secret.as_bytes()[skip..];
        let whole = &whole[..whole.len() / 3 * 3];
        all.extend([STANDARD.encode(whole), URL_SAFE.encode(whole)].map(|text| (PIECE / 3 * 4, text.into())));
    }
    all
}

impl Search {
    pub(super) fn new<S: AsRef<str>>(secrets: &[S]) -> Self {
        let mut search =
            Self { pieces: Vec::new(), signature: Regex::new(r"eJ[A-Za-z0-9*_-]{60}").expect("a pattern") };
        secrets.iter().for_each(|secret| search.add(secret.as_ref()));
        search
    }

    pub(super) fn add(&mut self, secret: &str) {
        for (length, text) in disguises(secret) {
            let at = self.pieces.iter().position(|pieces| pieces.length == length).unwrap_or_else(|| {
                self.pieces.push(Pieces { length, set: HashSet::new(), starts: HashSet::new() });
                self.pieces.len() - 1
            });
            let pieces = &mut self.pieces[at];
            for piece in text.windows(length) {
                pieces.starts.insert([piece[0], piece[1]]);
                pieces.set.insert(piece.into());
            }
        }
    }

    /// The secret that these bytes contain, if they contain one.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<String> {
        let show = |found: &[u8]| String::from_utf8_lossy(found).into_owned();
        let piece = self.pieces.iter().find_map(|pieces| {
            let found = |piece: &&[u8]| pieces.starts.contains(&[piece[0], piece[1]]) && pieces.set.contains(*piece);
            bytes.windows(pieces.length).find(found)
        });
        piece.map(show).or_else(|| self.signature.find(bytes).map(|found| show(found.as_bytes())))
    }

    #[track_caller]
    pub(super) fn nothing_in(&self, bytes: &[u8], what: &str) {
        let found = self.find(bytes);
        assert!(found.is_none(), "{what} shows {found:?}:\n{}", String::from_utf8_lossy(bytes));
    }

    /// Searches all files below a folder and their names. Returns the number of files.
    #[track_caller]
    pub(super) fn nothing_below(&self, folder: &Path) -> usize {
        let mut files = 0;
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.display().to_string();
            self.nothing_in(name.as_bytes(), "the name of a file");
            let kind = path.symlink_metadata().expect("it is there").file_type();
            if kind.is_dir() {
                files += self.nothing_below(&path);
            } else if kind.is_file() {
                self.nothing_in(&std::fs::read(&path).expect("a file"), &name);
                files += 1;
            }
        }
        files
    }
}

#[test]
fn the_search_finds_every_encoding_of_a_secret_and_parts_of_twelve_characters() {
    let key = imbulk_testkit::KEY;
    let search = Search::new(&[key]);
    let json = serde_json::json!({ "a": format!("<{key}>") }).to_string();
    for before in ["", "x", "xy"] {
        for text in [
            format!("{before}{key} and more"),
            STANDARD.encode(format!("{before}{key}")),
            URL_SAFE.encode(format!("{before}{key} and more")),
            format!("{before}{}", &key[20..32]),
            format!("{before}{}", key.replace('+', "%2B").replace('/', "%2f")),
            format!("{:?}", [before, key].concat().as_bytes()),
            format!("{before}{}", key.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()),
            format!("{before}{}", key.chars().rev().collect::<String>()),
            format!("{before}{json}"),
        ] {
            assert!(search.find(text.as_bytes()).is_some(), "{text}");
        }
    }
    assert!(search.find(&key.as_bytes()[20..31]).is_none(), "eleven characters may be chance");
    let sig = super::usersig("some-other-key");
    assert!(
        search.find(format!("POST /v4/x?usersig={sig}&random=1").as_bytes()).is_some(),
        "a signature that the search does not know"
    );
    assert_eq!(search.find(b"5f61f048 eJ and other text"), None);
}

#[test]
fn a_planted_secret_is_found_in_a_file_of_any_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let search = Search::new(&[imbulk_testkit::KEY]);
    let below = folder.path().join("a/b");
    std::fs::create_dir_all(&below).expect("the disk has space");
    std::fs::write(below.join("clean.db"), [0; 9000]).expect("the disk has space");
    assert_eq!(search.nothing_below(folder.path()), 1);
    let planted = [&[0; 5000], imbulk_testkit::KEY.as_bytes(), &[255; 3000]].concat();
    std::fs::write(below.join("q.db-wal"), planted).expect("the disk has space");
    let looked = std::panic::catch_unwind(|| search.nothing_below(folder.path()));
    assert!(looked.is_err(), "it was not found");
}

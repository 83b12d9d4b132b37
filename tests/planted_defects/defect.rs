//! The kinds of defects, one of which is planted in each file.

use rand::RngExt;
use rand::rngs::SmallRng;

use crate::file::{Compression, File, Form, Record};
use crate::rows::RowDefect;

/// What a file must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Every row is read as if there were no defect.
    Harmless,
    /// The file is refused, a row is rejected, or a note says what is odd.
    Told,
}

/// A kind of defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// None at all, so that the generator itself is tested.
    None,
    /// Rows of nothing but delimiters.
    BlankRows,
    /// The file ends within its last row.
    CutLastRow,
    /// A second gzip member or zstd frame, with nothing in it.
    EmptyMember,
    /// The compressed file ends early.
    CutCompressed,
    /// One of what the file says.
    Row(RowDefect),
}

impl Defect {
    pub(crate) fn all() -> Vec<Self> {
        let of_files = [Self::None, Self::BlankRows, Self::CutLastRow, Self::EmptyMember, Self::CutCompressed];
        of_files.into_iter().chain(RowDefect::ALL.map(Self::Row)).collect()
    }

    /// Whether it can be planted in a file of this form.
    pub(crate) fn applies(self, form: &Form) -> bool {
        match self {
            Self::None => true,
            Self::BlankRows => form.is_csv(),
            Self::CutLastRow => form.is_plain(),
            Self::EmptyMember | Self::CutCompressed => !form.is_plain(),
            Self::Row(defect) => defect.applies(form),
        }
    }

    pub(crate) fn expect(self) -> Expect {
        match self {
            Self::None | Self::EmptyMember => Expect::Harmless,
            Self::BlankRows | Self::CutLastRow | Self::CutCompressed => Expect::Told,
            Self::Row(defect) => defect.expect(),
        }
    }

    pub(crate) fn plant(self, file: &mut File, dice: &mut SmallRng) {
        match self {
            Self::None => {}
            Self::BlankRows => {
                let crate::file::Format::Csv { delimiter, .. } = file.form.format else { return };
                let text = delimiter.to_string().repeat(dice.random_range(1..4));
                let at = dice.random_range(1..=file.records.len());
                file.records.insert(at, Record { text, end: file.form.line_end.to_owned(), row: None });
            }
            Self::CutLastRow => {
                let last = file.records.last_mut().expect("rows");
                last.end.clear();
                let kept = dice.random_range(1..last.text.chars().count());
                last.text = last.text.chars().take(kept).collect();
                file.rows.last_mut().expect("rows").damaged = true;
            }
            Self::EmptyMember => {
                file.damage_bytes = Some(match file.form.compression {
                    Compression::Zstd => |bytes| bytes.extend(zstd::encode_all(&b""[..], 1).expect("memory")),
                    Compression::None | Compression::Gzip => |bytes| bytes.extend(crate::file::gzip(b"")),
                });
            }
            Self::Row(defect) => defect.plant(file, dice),
            Self::CutCompressed => file.damage_bytes = Some(|bytes| bytes.truncate(bytes.len() - 3)),
        }
    }
}

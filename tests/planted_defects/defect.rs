//! The kinds of defects. Each file has one of them.

use rand::rngs::SmallRng;

use crate::file::{File, Form};
use crate::files::FileDefect;
use crate::rows::RowDefect;

/// The required result of reading a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Every row is read as if there were no defect.
    Harmless,
    /// The file is refused, a row is rejected, or a note says what is odd.
    Reported,
}

/// A kind of defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// No defect, which tests the generator itself.
    None,
    /// A defect of the bytes, the lines or the quoting.
    File(FileDefect),
    /// A defect of the columns or ids.
    Row(RowDefect),
}

impl Defect {
    pub(crate) fn all() -> Vec<Self> {
        let of_files = FileDefect::ALL.map(Self::File);
        [Self::None].into_iter().chain(of_files).chain(RowDefect::ALL.map(Self::Row)).collect()
    }

    /// Whether it can be planted in a file of this form.
    pub(crate) fn applies(self, form: &Form) -> bool {
        match self {
            Self::None => true,
            Self::File(defect) => defect.applies(form),
            Self::Row(defect) => defect.applies(form),
        }
    }

    pub(crate) fn expect(self) -> Expect {
        match self {
            Self::None => Expect::Harmless,
            Self::File(defect) => defect.expect(),
            Self::Row(defect) => defect.expect(),
        }
    }

    pub(crate) fn plant(self, file: &mut File, rng: &mut SmallRng) {
        match self {
            Self::None => {}
            Self::File(defect) => defect.plant(file, rng),
            Self::Row(defect) => defect.plant(file, rng),
        }
    }
}

//! The languages of `--lang`.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::domain::language::Language;

impl ValueEnum for Language {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::En, Self::Zh]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::En => PossibleValue::new("en").help("English"),
            Self::Zh => PossibleValue::new("zh").help("Simplified Chinese"),
        })
    }
}

//! Explanations of codes: of one code, of all codes, and of the codes of a run.

mod texts;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::json::{self, FormatVersion};
use super::text::{Text, count, visible};
use crate::domain::hint::{Hint, Message};
use crate::domain::language::{Language, Translated};
use crate::domain::operation::Operation;
use crate::domain::response::codes::{CodeInfo, ErrorClass, all_codes, class_of_row, lines_of, lookup};
use crate::domain::response::outcome::Outcome;
use crate::domain::target::RunTarget;
use crate::queue::{CodeRows, Run};

/// What `imbulk explain CODE --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Explanation {
    /// One code.
    Code(CodeExplanation),
    /// All codes, or those of one class.
    List(CodeList),
    /// The codes of a run.
    Run(RunCodes),
}

/// One code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CodeExplanation {
    /// The version of the format.
    schema: FormatVersion,
    /// The code.
    code: i64,
    /// Whether imbulk knows it.
    known: bool,
    /// What it means; null if it is unknown.
    meaning: Option<Translated>,
    /// How it is treated, case by case. The last one is for all other cases.
    treatment: Vec<Treatment>,
    /// What to do; null if it is unknown.
    advice: Option<Translated>,
    /// Where the meaning is published; null if it is unknown.
    source: Option<Translated>,
}

/// How a code is treated in one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Treatment {
    /// The case.
    applies: Translated<String>,
    /// The class.
    class: &'static str,
    /// What imbulk does.
    description: Translated,
}

/// All codes that imbulk knows, or those that can have one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CodeList {
    /// The version of the format.
    schema: FormatVersion,
    /// The codes, in ascending order.
    codes: Vec<ListedCode>,
}

/// A code of the list, or a range of codes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct ListedCode {
    /// The code, or the first one of the range.
    code: i64,
    /// The last code of the range.
    last_code: i64,
    /// Both, for people.
    #[serde(skip)]
    range: Translated<String>,
    /// What it means.
    meaning: Translated,
    /// How it is treated, case by case. The last one is for all other cases.
    treatment: Vec<Treatment>,
    /// What to do.
    advice: Translated,
    /// Where the meaning is published.
    source: Translated,
}

/// The codes of the rows of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RunCodes {
    /// The version of the format.
    schema: FormatVersion,
    /// The run's id.
    run: String,
    /// The job's name.
    job: String,
    /// The operation.
    operation: &'static str,
    /// `sandbox`, the SDKAppID, or for a server on this machine `SDKAppID on loopback`.
    target: RunTarget,
    /// Why the last session ended before the run did; null if it did not.
    #[serde(serialize_with = "json::message")]
    #[schemars(with = "Option<String>")]
    stopped: Option<Message>,
    /// The codes, the most frequent first.
    codes: Vec<CodeOfRun>,
}

/// Rows of a run with the same code and class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CodeOfRun {
    /// The code; null for rows that have an outcome and no code.
    pub(super) code: Option<i64>,
    /// Its class for these rows; null without a code.
    pub(super) class: Option<&'static str>,
    /// How the class is treated; null without a code.
    pub(super) description: Option<Translated>,
    /// What the code means; null if it is unknown.
    meaning: Option<Translated>,
    /// What to do.
    pub(super) advice: Translated,
    /// The number of rows.
    pub(super) rows: u64,
    /// The rows by outcome, the most frequent first.
    pub(super) outcomes: Vec<RowsOfOutcome>,
}

/// Rows with the same outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RowsOfOutcome {
    /// Their outcome.
    pub(super) outcome: Outcome,
    /// Their number.
    rows: u64,
}

impl Explanation {
    /// The text for people.
    pub fn text(&self, language: Language) -> String {
        let mut text = ExplanationText { text: Text::default(), language };
        match self {
            Self::Code(code) => code.write(&mut text),
            Self::List(list) => list.write(&mut text),
            Self::Run(run) => run.write(&mut text),
        }
        text.text.into()
    }
}

impl CodeExplanation {
    /// Explains a code; an unknown one by how such codes are treated.
    pub fn new(code: i64) -> Self {
        let info = lookup(code);
        Self {
            schema: FormatVersion,
            code,
            known: info.is_some(),
            meaning: info.map(|info| info.meaning),
            treatment: lines_of(code).into_iter().map(treatment).collect(),
            advice: info.map(|info| info.advice),
            source: info.map(|info| info.source),
        }
    }

    fn write(&self, text: &mut ExplanationText) {
        let mut head = self.code.to_string();
        if let Some(info) = lookup(self.code).filter(|info| info.codes.start() != info.codes.end()) {
            head.push_str(&one_of(&info.range()).of(text.language));
        }
        text.head(&head, &self.meaning.unwrap_or(texts::UNKNOWN));
        text.text.line("");
        match self.treatment.as_slice() {
            [only] => text.push(&texts::TREATED, &text.treatment(only.class, &only.description)),
            cases => {
                for case in cases {
                    text.push(&texts::TREATED, case.applies.as_str().of(text.language));
                    text.push(&texts::NO_TITLE, &text.treatment(case.class, &case.description));
                }
            }
        }
        text.push_text(&texts::TO_DO, &self.advice.unwrap_or(texts::UNKNOWN_ADVICE));
        if let Some(source) = &self.source {
            text.push_text(&texts::SOURCE, source);
        }
    }
}

impl CodeList {
    /// The codes that can have the class of this name; all codes without a name.
    pub fn new(class: Option<&str>) -> Self {
        let codes = all_codes().map(ListedCode::new);
        let codes = codes.filter(|code| class.is_none_or(|class| code.treatment.iter().any(|it| it.class == class)));
        Self { schema: FormatVersion, codes: codes.collect() }
    }

    fn write(&self, text: &mut ExplanationText) {
        for code in &self.codes {
            text.head(code.range.as_str().of(text.language), &code.meaning);
            text.push(&texts::CLASS, &code.classes().join(texts::COMMA.of(text.language)));
            text.push_text(&texts::TO_DO, &code.advice);
        }
        let unknown = ErrorClass::Unknown;
        let others = text.treatment(unknown.name(), &unknown.treatment());
        text.push(&texts::OTHERS, &format!("{}{others}", texts::EVERY_OTHER_CODE.of(text.language)));
    }
}

impl ListedCode {
    fn new(info: &'static CodeInfo) -> Self {
        Self {
            code: *info.codes.start(),
            last_code: *info.codes.end(),
            range: info.range(),
            meaning: info.meaning,
            treatment: info.lines().into_iter().map(treatment).collect(),
            advice: info.advice,
            source: info.source,
        }
    }

    /// The names of its classes, each once.
    fn classes(&self) -> Vec<&'static str> {
        let mut classes: Vec<&'static str> = Vec::new();
        for case in &self.treatment {
            if !classes.contains(&case.class) {
                classes.push(case.class);
            }
        }
        classes
    }
}

impl RunCodes {
    /// Explains the codes of the rows of a run. `rows` has the number of rows for each outcome and code.
    pub fn new(run: &Run, operation: &Operation, rows: &[CodeRows]) -> Self {
        Self {
            schema: FormatVersion,
            run: run.uuid.clone(),
            job: run.job.clone(),
            operation: operation.name,
            target: run.target,
            stopped: run.end_reason.clone(),
            codes: codes_of(operation, rows),
        }
    }

    fn write(&self, text: &mut ExplanationText) {
        if let Some(stopped) = &self.stopped {
            text.push(&texts::STOPPED, &visible(&stopped.text));
            if let Some(hint) = stopped.hint() {
                let (title, colon) = (texts::HINT.of(text.language), texts::COLON.of(text.language));
                text.text.line(&format!("{title}{colon}{}", visible(&hint)));
            }
        }
        if self.codes.is_empty() {
            text.text.line(&no_codes(self.operation).of(text.language));
        }
        for (nth, code) in self.codes.iter().enumerate() {
            if nth > 0 || self.stopped.is_some() {
                text.text.line("");
            }
            code.write(text);
        }
    }
}

/// The codes of rows, the most frequent first.
pub fn codes_of(operation: &Operation, rows: &[CodeRows]) -> Vec<CodeOfRun> {
    let mut codes: BTreeMap<(Option<i64>, Option<&'static str>), CodeOfRun> = BTreeMap::new();
    for rows in rows {
        let class = rows.code.map(|code| class_of_row(operation, rows.outcome, code));
        let key = (rows.code, class.map(ErrorClass::name));
        let code = codes.entry(key).or_insert_with(|| CodeOfRun::new(rows.code, class));
        code.rows += rows.rows;
        code.outcomes.push(RowsOfOutcome { outcome: rows.outcome, rows: rows.rows });
    }
    let mut codes: Vec<CodeOfRun> = codes.into_values().collect();
    codes.sort_by_key(|code| std::cmp::Reverse(code.rows));
    codes
}

impl CodeOfRun {
    fn new(code: Option<i64>, class: Option<ErrorClass>) -> Self {
        let info = code.and_then(lookup);
        Self {
            code,
            class: class.map(ErrorClass::name),
            description: class.map(ErrorClass::treatment),
            meaning: info.map(|info| info.meaning),
            advice: match (code, info) {
                (_, Some(info)) => info.advice,
                (Some(_), None) => texts::UNKNOWN_ADVICE,
                (None, None) => texts::NO_CODE_ADVICE,
            },
            rows: 0,
            outcomes: Vec::new(),
        }
    }

    /// What the code means, in words for every case.
    pub(super) fn meaning_text(&self) -> Translated {
        match (self.code, self.meaning) {
            (None, _) => texts::NOT_NAMED,
            (Some(_), Some(meaning)) => meaning,
            (Some(_), None) => texts::UNKNOWN,
        }
    }

    /// `58 failed, 2 in_doubt`
    pub(super) fn rows_by_outcome(&self, language: Language) -> String {
        let outcomes = self.outcomes.iter().map(|of| format!("{} {}", count(of.rows), of.outcome));
        outcomes.collect::<Vec<_>>().join(texts::COMMA.of(language))
    }

    fn write(&self, text: &mut ExplanationText) {
        let code = self.code.map_or_else(|| texts::NO_CODE.of(text.language).to_owned(), |code| code.to_string());
        text.head(&code, &self.meaning_text());
        text.push(&texts::ROWS, &self.rows_by_outcome(text.language));
        if let (Some(class), Some(description)) = (self.class, &self.description) {
            text.push(&texts::TREATED, &text.treatment(class, description));
        }
        text.push_text(&texts::TO_DO, &self.advice);
    }
}

/// An explanation for people, in one language.
struct ExplanationText {
    text: Text,
    language: Language,
}

impl ExplanationText {
    /// `60007: too many calls`
    fn head(&mut self, code: &str, meaning: &Translated) {
        self.text.line(&format!("{code}{}{}", texts::COLON.of(self.language), meaning.of(self.language)));
    }

    /// A class and what imbulk does.
    fn treatment(&self, class: &str, description: &Translated) -> String {
        format!("{class}{}{}", texts::COLON.of(self.language), description.of(self.language))
    }

    fn push_text(&mut self, title: &Translated, what: &Translated) {
        self.push(title, what.of(self.language));
    }

    /// Adds a line: the title, filled up to 9 columns, and the value. A Chinese character has two columns.
    fn push(&mut self, title: &Translated, what: &str) {
        let title = title.of(self.language);
        let blanks = 9_usize.saturating_sub(title.width());
        self.text.line(&format!("{title}{:blanks$}{what}", ""));
    }
}

fn treatment((applies, class): (Translated<String>, ErrorClass)) -> Treatment {
    Treatment { applies, class: class.name(), description: class.treatment() }
}

/// After a code of a range.
fn one_of(range: &Translated<String>) -> Translated<String> {
    Translated::new(format!(" (one of {})", range.en), format!("（属于 {}）", range.zh))
}

/// What is said about a run without codes.
fn no_codes(operation: &str) -> Translated<String> {
    Translated::new(
        format!("no row of this run has a code of {operation}"),
        format!("本次运行没有任何行带有 {operation} 的错误码"),
    )
}

#[cfg(test)]
mod tests;

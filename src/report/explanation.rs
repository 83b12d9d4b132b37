//! Explanations of codes: of one code, of all codes, and of the codes of a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::json::{self, FormatVersion};
use super::text::{Text, count, visible};
use crate::domain::hint::{Hint, Message};
use crate::domain::operation::Operation;
use crate::domain::response::codes::{CodeInfo, ErrorClass, all_codes, class_of_row, lookup};
use crate::domain::response::outcome::Outcome;
use crate::queue::{CodeRows, Run};

/// What to do about a code that is in no table.
const UNKNOWN_ADVICE: &str =
    "`imbulk results NAME` shows the text of the API; look up the code in the documentation of the API";
/// What to do about rows without a code.
const NO_CODE_ADVICE: &str = "`imbulk results NAME` shows the reason of each row";

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
    meaning: Option<&'static str>,
    /// How it is treated, case by case. The last one is for all other cases.
    treatment: Vec<Treatment>,
    /// What to do; null if it is unknown.
    advice: Option<&'static str>,
    /// Where the meaning is published; null if it is unknown.
    source: Option<&'static str>,
}

/// How a code is treated in one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Treatment {
    /// The case.
    applies: String,
    /// The class.
    class: &'static str,
    /// What imbulk does.
    description: &'static str,
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
    /// What it means.
    meaning: &'static str,
    /// How it is treated, case by case. The last one is for all other cases.
    treatment: Vec<Treatment>,
    /// What to do.
    advice: &'static str,
    /// Where the meaning is published.
    source: &'static str,
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
    target: String,
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
    pub(super) description: Option<&'static str>,
    /// What the code means; null if it is unknown.
    meaning: Option<&'static str>,
    /// What to do.
    pub(super) advice: &'static str,
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
    pub fn text(&self) -> String {
        match self {
            Self::Code(code) => code.text(),
            Self::List(list) => list.text(),
            Self::Run(run) => run.text(),
        }
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
            treatment: info.map_or_else(
                || vec![treatment(("always".to_owned(), ErrorClass::Unknown))],
                |info| info.lines().into_iter().map(treatment).collect(),
            ),
            advice: info.map(|info| info.advice),
            source: info.map(|info| info.source),
        }
    }

    fn text(&self) -> String {
        let mut text = Text::default();
        let range = lookup(self.code).filter(|info| info.codes.start() != info.codes.end());
        let range = range.map_or_else(String::new, |info| format!(" (one of {info})"));
        text.line(&format!("{}{range}: {}", self.code, self.meaning.unwrap_or("unknown to imbulk")));
        text.line("");
        match self.treatment.as_slice() {
            [only] => push(&mut text, "treated", &only.line()),
            cases => {
                for case in cases {
                    push(&mut text, "treated", &case.applies);
                    push(&mut text, "", &case.line());
                }
            }
        }
        push(&mut text, "to do", self.advice.unwrap_or(UNKNOWN_ADVICE));
        if let Some(source) = self.source {
            push(&mut text, "source", source);
        }
        text.into()
    }
}

impl CodeList {
    /// The codes that can have the class of this name; all codes without a name.
    pub fn new(class: Option<&str>) -> Self {
        let codes = all_codes().map(ListedCode::new);
        let codes = codes.filter(|code| class.is_none_or(|class| code.treatment.iter().any(|it| it.class == class)));
        Self { schema: FormatVersion, codes: codes.collect() }
    }

    fn text(&self) -> String {
        let mut text = Text::default();
        for code in &self.codes {
            let ListedCode { code: first, last_code, meaning, advice, .. } = code;
            let range = if first == last_code { first.to_string() } else { format!("{first} to {last_code}") };
            text.line(&format!("{range}: {meaning}"));
            push(&mut text, "class", &code.classes().join(", "));
            push(&mut text, "to do", advice);
        }
        push(&mut text, "others", &format!("every other code is {}", line_of(ErrorClass::Unknown)));
        text.into()
    }
}

impl ListedCode {
    fn new(info: &'static CodeInfo) -> Self {
        Self {
            code: *info.codes.start(),
            last_code: *info.codes.end(),
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
            target: run.target.clone(),
            stopped: run.end_reason.clone(),
            codes: codes_of(operation, rows),
        }
    }

    fn text(&self) -> String {
        let mut text = Text::default();
        if let Some(stopped) = &self.stopped {
            push(&mut text, "stopped", &visible(&stopped.text));
            if let Some(hint) = stopped.hint() {
                text.line(&format!("hint: {}", visible(&hint)));
            }
        }
        if self.codes.is_empty() {
            text.line(&format!("no row of this run has a code of {}", self.operation));
        }
        for (nth, code) in self.codes.iter().enumerate() {
            if nth > 0 || self.stopped.is_some() {
                text.line("");
            }
            code.write(&mut text);
        }
        text.into()
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
                (Some(_), None) => UNKNOWN_ADVICE,
                (None, None) => NO_CODE_ADVICE,
            },
            rows: 0,
            outcomes: Vec::new(),
        }
    }

    /// What the code means, in words for every case.
    pub(super) fn meaning_text(&self) -> &'static str {
        match (self.code, self.meaning) {
            (None, _) => "no answer named a code",
            (Some(_), Some(meaning)) => meaning,
            (Some(_), None) => "unknown to imbulk",
        }
    }

    /// `58 failed, 2 in_doubt`
    pub(super) fn rows_by_outcome(&self) -> String {
        let outcomes = self.outcomes.iter().map(|of| format!("{} {}", count(of.rows), of.outcome));
        outcomes.collect::<Vec<_>>().join(", ")
    }

    fn write(&self, text: &mut Text) {
        match self.code {
            Some(code) => text.line(&format!("{code}: {}", self.meaning_text())),
            None => text.line(&format!("no code: {}", self.meaning_text())),
        }
        push(text, "rows", &self.rows_by_outcome());
        if let (Some(class), Some(description)) = (self.class, self.description) {
            push(text, "treated", &format!("{class}: {description}"));
        }
        push(text, "to do", self.advice);
    }
}

impl Treatment {
    fn line(&self) -> String {
        format!("{}: {}", self.class, self.description)
    }
}

fn treatment((applies, class): (String, ErrorClass)) -> Treatment {
    Treatment { applies, class: class.name(), description: class.treatment() }
}

fn line_of(class: ErrorClass) -> String {
    format!("{}: {}", class.name(), class.treatment())
}

fn push(text: &mut Text, title: &str, what: &str) {
    text.line(&format!("{title:<9}{what}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::by_name;

    fn text(code: i64) -> String {
        Explanation::Code(CodeExplanation::new(code)).text()
    }

    #[test]
    fn a_code_is_explained_with_meaning_treatment_advice_and_source() {
        insta::assert_snapshot!(text(60007), @"
        60007: too many calls of this command per second

        treated  throttled: calls of this command slow down and then speed up again; does not count as an attempt
        to do    nothing; if it continues, lower `[limits] calls_per_second`, or find other callers of it
        source   error code tables 2023 and 2025
        ");
    }

    #[test]
    fn a_code_that_is_treated_differently_says_where() {
        let text = text(30001).replace(ErrorClass::AlreadyDone.treatment(), "(treatment)");
        insta::assert_snapshot!(text, @"
        30001: a parameter is wrong; or the accounts are no friends, or are friends already (some commands)

        treated  friend_delete, as the verdict on an item that says Not_Friend or Friend_Not_Exist
                 already_done: (treatment)
        treated  friend_import, as the verdict on an item that says Friend_Exist
                 already_done: (treatment)
        treated  as the verdict on a whole request
                 split: a batch is halved until the bad item is alone; then the class for an item applies
        treated  otherwise, as the verdict on an item
                 item_failed: the item is `failed`; it is not sent again
        to do    `imbulk results NAME` shows the API's reason, which says what it means
        source   pages friend_delete, friend_delete_all and friend_update; FAQ on relationships
        ");
    }

    #[test]
    fn an_unknown_code_says_so_and_how_it_is_treated() {
        let text = text(12345).replace(ErrorClass::Unknown.treatment(), "(treatment)");
        insta::assert_snapshot!(text, @"
        12345: unknown to imbulk

        treated  unknown: (treatment)
        to do    `imbulk results NAME` shows the text of the API; look up the code in the documentation of the API
        ");
        assert!(!CodeExplanation::new(12345).known);
    }

    #[test]
    fn every_code_says_the_same_in_text_and_json() {
        for code in all_codes().map(|info| *info.codes.start()) {
            let (text, json) = (text(code), serde_json::to_value(CodeExplanation::new(code)).expect("JSON"));
            assert_eq!(json["code"], code);
            for key in ["meaning", "advice", "source"] {
                assert!(text.contains(json[key].as_str().unwrap_or("missing")), "{code} {key}");
            }
            for treatment in json["treatment"].as_array().expect("a list") {
                assert!(text.contains(treatment["description"].as_str().unwrap_or("missing")), "{code}");
            }
        }
    }

    #[test]
    fn the_list_has_every_code_once_and_a_class_chooses_the_codes_that_can_have_it() {
        let all = CodeList::new(None).codes.len();
        assert_eq!(all, all_codes().count());
        let mut seen = 0;
        for class in ErrorClass::NAMES {
            let list = CodeList::new(Some(class));
            seen += list.codes.len();
            assert!(list.codes.iter().all(|code| code.classes().contains(&class)), "{class}");
            assert_eq!(list.codes.is_empty(), class == "unknown", "{class}");
        }
        assert!(seen > all, "a code with several classes is in each of their lists");
        let text = Explanation::List(CodeList::new(Some("conflict"))).text();
        insta::assert_snapshot!(text.replace(ErrorClass::Unknown.treatment(), "(treatment)"), @"
        30008: another write to the same account was in progress
        class    conflict
        to do    make sure that no other program writes these accounts now; imbulk itself never does so
        others   every other code is unknown: (treatment)
        ");
    }

    #[test]
    fn the_codes_of_a_run_have_the_class_of_its_operation_and_the_most_frequent_is_first() {
        let rows = |outcome, code, rows| CodeRows { outcome, code, rows };
        let friends = by_name("friend_delete").expect("an operation");
        let codes = [
            rows(Outcome::InDoubt, None, 2),
            rows(Outcome::Failed, Some(30001), 3),
            rows(Outcome::AlreadyDone, Some(30001), 4),
            rows(Outcome::Failed, Some(12345), 1),
            rows(Outcome::AlreadyDone, Some(31704), 1_000),
            rows(Outcome::InDoubt, Some(31704), 1),
        ];
        let text = of_run(codes_of(friends, &codes)).replace(ErrorClass::AlreadyDone.treatment(), "(treatment)");
        insta::assert_snapshot!(text.replace(ErrorClass::Unknown.treatment(), "(treatment)"), @"
        stopped  fuse: 812 of 1000 items failed

        31704: the two accounts are not friends
        rows     1,000 already_done, 1 in_doubt
        treated  already_done: (treatment)
        to do    nothing if the friendship was to be deleted

        30001: a parameter is wrong; or the accounts are no friends, or are friends already (some commands)
        rows     4 already_done
        treated  already_done: (treatment)
        to do    `imbulk results NAME` shows the API's reason, which says what it means

        30001: a parameter is wrong; or the accounts are no friends, or are friends already (some commands)
        rows     3 failed
        treated  item_failed: the item is `failed`; it is not sent again
        to do    `imbulk results NAME` shows the API's reason, which says what it means

        no code: no answer named a code
        rows     2 in_doubt
        to do    `imbulk results NAME` shows the reason of each row

        12345: unknown to imbulk
        rows     1 failed
        treated  unknown: (treatment)
        to do    `imbulk results NAME` shows the text of the API; look up the code in the documentation of the API
        ");
        assert!(of_run(Vec::new()).contains("no row of this run has a code"));
    }

    fn of_run(codes: Vec<CodeOfRun>) -> String {
        let [run, job, target] = ["0190", "purge", "1400000001"].map(ToOwned::to_owned);
        let stopped = Some(Message::new("fuse: 812 of 1000 items failed"));
        let operation = "friend_delete";
        Explanation::Run(RunCodes { schema: FormatVersion, run, job, operation, target, stopped, codes }).text()
    }
}

//! Compares the sandbox's journal of calls with the input, with the queue as SQL reads it, and with `imbulk results`.
//!
//! The check shares no code with imbulk. Each rule needs a few look-ups per item, so that a hundred thousand rows take
//! less than a second. The state of the sandbox after the run is the topic of [`crate::results_check`].

mod calls;
mod histories;
mod queue;

use std::collections::{BTreeMap, HashMap};

use imbulk_sandbox::{CallRecord, Caps, Command};

use crate::results_check::Completion;
use crate::rows::{InputRow, ResultRow, Validity};
use crate::workspace::Workspace;
pub use calls::{MAY_BE_WRITING, SECOND};
pub use queue::{InFlightRequest, QueueContent, QueueRow};

/// The four sources about a run. The journal contains the calls of all jobs, so that overlaps between jobs are found.
#[derive(Clone)]
pub struct Evidence {
    /// The name of the job.
    pub job: String,
    /// Its operation.
    pub operation: Command,
    /// The input.
    pub asked: Vec<InputRow>,
    /// Ids that must not be sent.
    pub protected: Vec<String>,
    /// In the order in which the calls arrived.
    pub journal: Vec<CallRecord>,
    /// The tables of the queue.
    pub queue: QueueContent,
    /// The rows of `imbulk results`.
    pub results: Vec<ResultRow>,
    /// When the program was killed.
    pub kills: Vec<Kill>,
    /// Codes that `imbulk retry` selected.
    pub retried: Vec<u32>,
    /// The caps of the sandbox.
    pub caps: Caps,
    /// Whether rows may still be pending.
    pub completion: Completion,
}

/// A moment at which the program was killed.
#[derive(Debug, Clone)]
pub struct Kill {
    /// When the process had ended, on the journal's clock.
    pub at: u64,
    /// The requests that the queue had in flight, without those that were in flight at an earlier kill.
    pub sending: Vec<InFlightRequest>,
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct Findings {
    /// The differences.
    pub wrong: Vec<String>,
    /// Calls that repeated an item with a final response, because the process was killed before it stored the response.
    pub sent_again: usize,
}

/// `From_Account`, if the operation has one, and the account.
pub type ItemId<'a> = (Option<&'a str>, &'a str);

impl Evidence {
    /// Reads the sources about the last run of a job.
    pub fn of(workspace: &Workspace, job: &str, operation: Command, asked: &[InputRow], kills: &[Kill]) -> Self {
        let mut journal = workspace.journal();
        // Nearly sorted, which this sort makes use of.
        journal.sort_by_key(|entry| entry.arrived);
        Self {
            job: job.to_owned(),
            operation,
            asked: asked.to_vec(),
            protected: crate::rows::protected(),
            journal,
            queue: QueueContent::read(&workspace.path("imbulk.db"), job),
            results: workspace.results(job),
            kills: kills.to_vec(),
            retried: Vec::new(),
            caps: workspace.caps,
            completion: Completion::Complete,
        }
    }

    /// Fails with the differences.
    #[track_caller]
    pub fn check(&self) -> Findings {
        let findings = self.compare();
        let shown: Vec<_> = findings.wrong.iter().take(20).collect();
        assert!(shown.is_empty(), "{} complaints, the first: {shown:#?}", findings.wrong.len());
        findings
    }

    /// The differences, and how many calls the kills explain.
    pub fn compare(&self) -> Findings {
        let mut wrong = Vec::new();
        let by_row = self.by_row(&mut wrong);
        self.sums(&mut wrong);
        self.results(&by_row, &mut wrong);
        self.view(&by_row, &mut wrong);
        calls::windows(&self.journal, self.caps, &mut wrong);
        calls::overlaps(&self.journal, &mut wrong);
        let sent_again = histories::compare(self, &by_row, &mut wrong);
        Findings { wrong, sent_again }
    }

    /// How many requests of the job were in flight at the kills.
    pub fn in_flight_at_kills(&self) -> usize {
        self.kills.iter().map(|kill| self.in_flight(kill).count()).sum()
    }

    /// The requests of the job that were in flight at a kill. Those of other jobs explain no repetition.
    fn in_flight<'a>(&'a self, kill: &'a Kill) -> impl Iterator<Item = &'a InFlightRequest> {
        kill.sending.iter().filter(|sending| sending.job == self.job)
    }

    /// The queue has each input row exactly once, with the same accounts.
    fn by_row(&self, wrong: &mut Vec<String>) -> Vec<Option<&QueueRow>> {
        let mut by_row: Vec<Option<&QueueRow>> = vec![None; self.asked.len()];
        for line in &self.queue.rows {
            match by_row.get_mut(line.row) {
                Some(place @ None) => *place = Some(line),
                Some(Some(_)) => wrong.push(format!("row {} is in the queue twice", line.row)),
                None => wrong.push(format!("row {} was never asked for", line.row)),
            }
        }
        for (row, (asked, line)) in self.asked.iter().zip(&by_row).enumerate() {
            match line {
                None => wrong.push(format!("row {row} is lost")),
                Some(line) => self.line(asked, line, wrong),
            }
        }
        by_row
    }

    fn line(&self, asked: &InputRow, line: &QueueRow, wrong: &mut Vec<String>) {
        let QueueRow { row, outcome, .. } = line;
        if asked.validity == Validity::Valid && line.item() != asked.item() {
            wrong.push(format!("row {row} is about {:?}, not {:?}", line.item(), asked.item()));
        }
        let due: &[&str] = match asked.validity {
            Validity::Invalid => &["rejected"],
            Validity::Valid if asked.names_one_of(&self.protected) => &["protected"],
            Validity::Valid if self.completion == Completion::Partial => {
                &["succeeded", "already_done", "failed", "in_doubt", "duplicate", "pending"]
            }
            Validity::Valid => &["succeeded", "already_done", "failed", "in_doubt", "duplicate"],
        };
        if !due.contains(&outcome.as_str()) {
            wrong.push(format!("row {row} is {outcome}, and must be one of {due:?}"));
        }
    }

    /// The tally of the queue equals the counted outcomes.
    fn sums(&self, wrong: &mut Vec<String>) {
        let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
        self.queue.rows.iter().for_each(|line| *counted.entry(&line.outcome).or_default() += 1);
        let kept: BTreeMap<&str, u64> =
            self.queue.tally.iter().filter(|(_, rows)| **rows > 0).map(|(name, rows)| (name.as_str(), *rows)).collect();
        if counted != kept {
            wrong.push(format!("the tally says {kept:?}, the rows {counted:?}"));
        }
        wrong.extend(
            self.queue.unsettled.iter().map(|row| format!("row {row} has an outcome without a settled request")),
        );
    }

    /// `imbulk results` agrees with the queue about each row.
    fn results(&self, by_row: &[Option<&QueueRow>], wrong: &mut Vec<String>) {
        if self.results.len() != self.asked.len() {
            wrong.push(format!("{} results of {} rows", self.results.len(), self.asked.len()));
        }
        for (row, (result, line)) in self.results.iter().zip(by_row).enumerate() {
            let Some(line) = line else { continue };
            if result.line != row as u64 + 2 {
                wrong.push(format!("the result of row {row} says line {}", result.line));
            }
            let due = (line.outcome.as_str(), line.code, line.attempts);
            let says = (result.outcome.as_str(), result.code, result.attempts);
            if says != due {
                wrong.push(format!("the result of row {row} says {says:?}, the queue {due:?}"));
            }
        }
    }

    /// The view `item` has one row for each item and for each skipped row.
    fn view(&self, by_row: &[Option<&QueueRow>], wrong: &mut Vec<String>) {
        let mut items: HashMap<usize, &QueueRow> = HashMap::with_capacity(self.queue.items.len());
        for item in &self.queue.items {
            if items.insert(item.row, item).is_some() {
                wrong.push(format!("the view has row {} twice", item.row));
            }
        }
        for line in by_row.iter().flatten().filter(|line| line.is_first) {
            match items.remove(&line.row) {
                None => wrong.push(format!("the view lacks row {}", line.row)),
                Some(item) if item != *line => wrong.push(format!("the view says {item:?}, the tables {line:?}")),
                Some(_) => {}
            }
        }
        wrong.extend(items.keys().map(|row| format!("the view has row {row}, which is not the first of an item")));
    }
}

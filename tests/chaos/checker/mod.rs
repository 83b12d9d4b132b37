//! The checker: holds the three sides of a run against each other. What was asked, row by row; what the stand-in's
//! journal says, call by call; and what the queue says, read with SQL, and once more by `imbulk results`.
//!
//! It shares no code with the program, and every rule is a few look-ups an item, so that a hundred thousand rows take
//! a moment. What the world looks like afterwards is not its topic but that of [`crate::harness::checker`].

mod calls;
mod histories;
mod lies;
mod queue;

use std::collections::{BTreeMap, HashMap};

use imbulk_sandbox::{CallRecord, Caps, Command};

use crate::harness::bench::Bench;
use crate::harness::checker::End;
use crate::harness::rows::{Asked, Fit, Row};
pub(crate) use queue::{Filed, Line, Sending};

/// The three sides of a run. The journal is that of all jobs, so that calls are held against those of others, too.
#[derive(Clone)]
pub(crate) struct Evidence {
    pub(crate) job: String,
    pub(crate) operation: Command,
    pub(crate) asked: Vec<Asked>,
    pub(crate) protected: Vec<String>,
    /// By the order of their arrival.
    pub(crate) journal: Vec<CallRecord>,
    pub(crate) queue: Filed,
    pub(crate) results: Vec<Row>,
    pub(crate) kills: Vec<Kill>,
    /// Codes of which the user wanted another try.
    pub(crate) retried: Vec<u32>,
    pub(crate) caps: Caps,
    /// Whether rows may still be pending.
    pub(crate) end: End,
}

/// A moment at which the program was killed.
#[derive(Debug, Clone)]
pub(crate) struct Kill {
    /// By the clock of the journal, once the process was gone.
    pub(crate) at: u64,
    /// What the queue had in flight, without what an earlier kill had found there already.
    pub(crate) sending: Vec<Sending>,
}

/// What the checker found.
#[derive(Debug, Default)]
pub(crate) struct Assessment {
    pub(crate) wrong: Vec<String>,
    /// Calls that sent something again which the server had answered for good, but no longer to anybody.
    pub(crate) sent_again: usize,
}

/// What the API reports on.
pub(crate) type ItemId<'a> = (Option<&'a str>, &'a str);

impl Evidence {
    /// Gathers the sides of the last run of a job.
    pub(crate) fn of(bench: &Bench, job: &str, operation: Command, asked: &[Asked], kills: &[Kill]) -> Self {
        let mut journal = bench.journal();
        // Nearly sorted, which this sort makes use of.
        journal.sort_by_key(|entry| entry.arrived);
        Self {
            job: job.to_owned(),
            operation,
            asked: asked.to_vec(),
            protected: crate::harness::rows::protected(),
            journal,
            queue: Filed::read(&bench.path("imbulk.db"), job),
            results: bench.results(job),
            kills: kills.to_vec(),
            retried: Vec::new(),
            caps: bench.caps,
            end: End::Complete,
        }
    }

    /// Fails with all that is wrong.
    #[track_caller]
    pub(crate) fn check(&self) -> Assessment {
        let judgement = self.judge();
        let shown: Vec<_> = judgement.wrong.iter().take(20).collect();
        assert!(shown.is_empty(), "{} complaints, the first: {shown:#?}", judgement.wrong.len());
        judgement
    }

    pub(crate) fn judge(&self) -> Assessment {
        let mut wrong = Vec::new();
        let by_row = self.by_row(&mut wrong);
        self.sums(&mut wrong);
        self.results(&by_row, &mut wrong);
        self.view(&by_row, &mut wrong);
        calls::windows(&self.journal, self.caps, &mut wrong);
        calls::overlaps(&self.journal, &mut wrong);
        let sent_again = histories::judge(self, &by_row, &mut wrong);
        Assessment { wrong, sent_again }
    }

    /// How many requests of the job were in flight at the kills.
    pub(crate) fn in_flight_at_kills(&self) -> usize {
        self.kills.iter().map(|kill| self.in_flight(kill).count()).sum()
    }

    /// What a kill met of the job. What it met of another one is no reason to send anything of this one again.
    fn in_flight<'a>(&'a self, kill: &'a Kill) -> impl Iterator<Item = &'a Sending> {
        kill.sending.iter().filter(|sending| sending.job == self.job)
    }

    /// Each row has one line in the queue, and it is about what was asked.
    fn by_row(&self, wrong: &mut Vec<String>) -> Vec<Option<&Line>> {
        let mut by_row: Vec<Option<&Line>> = vec![None; self.asked.len()];
        for line in &self.queue.lines {
            match by_row.get_mut(line.row) {
                Some(place @ None) => *place = Some(line),
                Some(Some(_)) => wrong.push(format!("row {} stands in the queue twice", line.row)),
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

    fn line(&self, asked: &Asked, line: &Line, wrong: &mut Vec<String>) {
        let Line { row, outcome, .. } = line;
        if asked.fit == Fit::Good && line.item() != asked.item() {
            wrong.push(format!("row {row} is about {:?}, not {:?}", line.item(), asked.item()));
        }
        let due: &[&str] = match asked.fit {
            Fit::Bad => &["rejected"],
            Fit::Good if asked.names_one_of(&self.protected) => &["protected"],
            Fit::Good if self.end == End::Early => {
                &["succeeded", "already_done", "failed", "in_doubt", "duplicate", "pending"]
            }
            Fit::Good => &["succeeded", "already_done", "failed", "in_doubt", "duplicate"],
        };
        if !due.contains(&outcome.as_str()) {
            wrong.push(format!("row {row} is {outcome}, and must be one of {due:?}"));
        }
    }

    /// The tally kept along the way is that of the rows.
    fn sums(&self, wrong: &mut Vec<String>) {
        let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
        self.queue.lines.iter().for_each(|line| *counted.entry(&line.outcome).or_default() += 1);
        let kept: BTreeMap<&str, u64> =
            self.queue.tally.iter().filter(|(_, rows)| **rows > 0).map(|(name, rows)| (name.as_str(), *rows)).collect();
        if counted != kept {
            wrong.push(format!("the tally says {kept:?}, the rows {counted:?}"));
        }
        wrong.extend(self.queue.astray.iter().map(|row| format!("row {row} has an outcome without a settled request")));
    }

    /// `imbulk results` says of each row what the queue says.
    fn results(&self, by_row: &[Option<&Line>], wrong: &mut Vec<String>) {
        if self.results.len() != self.asked.len() {
            wrong.push(format!("{} results of {} rows", self.results.len(), self.asked.len()));
        }
        for (row, (told, line)) in self.results.iter().zip(by_row).enumerate() {
            let Some(line) = line else { continue };
            if told.line != row as u64 + 2 {
                wrong.push(format!("the result of row {row} says line {}", told.line));
            }
            let due = (line.outcome.as_str(), line.code, line.attempts);
            let says = (told.outcome.as_str(), told.code, told.attempts);
            if says != due {
                wrong.push(format!("the result of row {row} says {says:?}, the queue {due:?}"));
            }
        }
    }

    /// The view `item` has a line for the first row of each item and for each skipped row, and for nothing else.
    fn view(&self, by_row: &[Option<&Line>], wrong: &mut Vec<String>) {
        let mut items: HashMap<usize, &Line> = HashMap::with_capacity(self.queue.items.len());
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
        wrong.extend(items.keys().map(|row| format!("the view has row {row}, which begins no item")));
    }
}

//! Every call as the sandbox saw it, for checkers that look at a run afterwards.

use serde::Deserialize;

use crate::answer::MockAnswer;
use crate::commands::Command;
use crate::request::ParsedRequest;

/// A call. Moments are nanoseconds of the sandbox's own clock, which never goes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// What was called.
    pub command: Command,
    /// When it counted at the caps.
    pub arrived: u64,
    /// When its effect and its answer were done; none while it is at work.
    pub done: Option<u64>,
    /// When the caller had the answer or had hung up; none while it waits.
    pub closed: Option<u64>,
    /// The user whose list is written; none for `account_delete`.
    pub from: Option<String>,
    /// Whether it writes the other side, too.
    pub both: bool,
    /// The ids of its items as they came; none if the call was refused before it was read.
    pub items: Vec<String>,
    /// What became of the items, code 0 being written. Nothing where the call was refused or struck before its effect.
    pub did: ResponseRecord,
    /// What a read-only call found: the ids of its items, and the status of each.
    pub found: Vec<(String, String)>,
    /// What the caller can read in the answer.
    pub said: ResponseRecord,
}

/// Codes, as an answer has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseRecord {
    /// No answer, or none that can be read.
    Nothing,
    /// Another HTTP status than 200.
    Status(u16),
    /// One code for the whole request.
    Whole(u32),
    /// Ids and codes, in the order of the answer.
    Items(Vec<(String, u32)>),
}

impl From<&MockAnswer> for ResponseRecord {
    fn from(verdict: &MockAnswer) -> Self {
        match verdict {
            MockAnswer::Refused(refusal) => Self::Whole(refusal.code),
            MockAnswer::Items(items) => Self::Items(items.iter().map(|item| (item.id.clone(), item.code)).collect()),
            MockAnswer::Done => Self::Whole(0),
        }
    }
}

impl ResponseRecord {
    /// Reads the body of an answer, by the types of the pages.
    pub(crate) fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body {
            error_code: u32,
            #[serde(alias = "InfoItem", alias = "UserProfileItem")]
            result_item: Option<Vec<Item>>,
        }
        #[derive(Deserialize)]
        struct Item {
            #[serde(rename = "UserID", alias = "To_Account")]
            id: String,
            #[serde(rename = "ResultCode")]
            code: u32,
        }
        match serde_json::from_slice(body) {
            Ok(Body { result_item: Some(items), .. }) => {
                Self::Items(items.into_iter().map(|item| (item.id, item.code)).collect())
            }
            Ok(Body { error_code, result_item: None }) => Self::Whole(error_code),
            Err(_) => Self::Nothing,
        }
    }
}

/// The place of a call in the journal; none if no journal is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalPosition(Option<usize>);

/// All calls, once somebody asked for them: without that a sandbox that runs for days would grow.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Option<Vec<CallRecord>>,
}

impl Journal {
    pub(crate) fn keep(&mut self) {
        self.entries.get_or_insert_default();
    }

    pub(crate) fn entries(&self) -> &[CallRecord] {
        self.entries.as_deref().unwrap_or_default()
    }

    pub(crate) fn begin(&mut self, command: Command, arrived: u64) -> JournalPosition {
        JournalPosition(self.entries.as_mut().map(|entries| {
            entries.push(CallRecord {
                command,
                arrived,
                done: None,
                closed: None,
                from: None,
                both: false,
                items: Vec::new(),
                did: ResponseRecord::Nothing,
                found: Vec::new(),
                said: ResponseRecord::Nothing,
            });
            entries.len() - 1
        }))
    }

    pub(crate) fn entry(&mut self, line: JournalPosition) -> Option<&mut CallRecord> {
        self.entries.as_mut()?.get_mut(line.0?)
    }
}

impl CallRecord {
    pub(crate) fn asks(&mut self, request: &ParsedRequest) {
        self.from = request.owner.as_ref().map(|owner| owner.id.clone());
        self.both = request.both_sides;
        self.items = request.item_ids().into_iter().map(str::to_owned).collect();
    }

    /// What was done or found.
    pub(crate) fn has_effect(&mut self, verdict: &MockAnswer) {
        self.did = ResponseRecord::from(verdict);
        if let MockAnswer::Items(items) = verdict
            && self.command.reads_only()
        {
            let found = items.iter().filter(|item| item.code == 0);
            self.found = found.map(|item| (item.id.clone(), item.info.to_string())).collect();
        }
    }

    /// Done; a caller that has hung up hears nothing of it.
    pub(crate) fn end(&mut self, said: ResponseRecord, now: u64) {
        self.done = Some(now);
        if self.closed.is_none() {
            self.said = said;
        }
    }

    /// The caller has its answer, or has hung up.
    pub(crate) fn close(&mut self, now: u64) {
        self.closed.get_or_insert(now);
    }
}

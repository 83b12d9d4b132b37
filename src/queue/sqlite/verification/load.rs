//! Begins a verification: copies the items that it looks up into requests of its own.

use std::collections::{BTreeSet, BinaryHeap, HashMap};

use sqlx::{Connection, Sqlite, Transaction};

use crate::domain::ids::{RequestId, RunId};
use crate::domain::request::account::UserId;
use crate::domain::request::row::RowNo;
use crate::domain::request::{Doubt, Item, Purpose};
use crate::domain::response::code_history::CodeHistory;
use crate::domain::response::outcome::Outcome;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::error::QueueError;
use crate::queue::run_state::Run;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::Failure;
use crate::queue::sqlite::requests::edit::{NewRequest, insert_request};
use crate::queue::sqlite::requests::request_row::{RequestRow, select_request};
use crate::queue::sqlite::runs::run_row::update_checksum;
use crate::queue::sqlite::store::Queue;
use crate::queue::verification::{Verification, VerifySample, VerifySelection};
use crate::stored_request::StoredRequest;

/// Requests that are read at once.
const REQUESTS_PER_READ: u32 = 256;

impl Queue {
    /// Begins a verification of a run in one transaction. `items_per_request`: the maximum of one lookup. `uuid`: its
    /// id. None if no row is selected.
    pub async fn begin_verification(
        &mut self,
        of_run: &Run,
        selection: VerifySelection,
        items_per_request: usize,
        uuid: &str,
        now: i64,
    ) -> Result<Option<Verification>, QueueError> {
        let fail = self.fail();
        let next_request = &mut self.next_request;
        let begun = async {
            let transaction = self.busy.wait(self.connection.begin_with("BEGIN IMMEDIATE")).await?;
            let mut load = VerificationLoad {
                transaction,
                of_run,
                selection: &selection,
                items_per_request,
                run: RunId::new(0),
                next_request,
                lookup: (None, Vec::new()),
                rows: 0,
                items: 0,
            };
            load.run = load.insert_run(uuid, now).await?;
            load.copy_items().await?;
            if load.rows == 0 {
                return Ok(None);
            }
            load.finish().await?;
            let run = load.run;
            guarded(FailPoint::FinishLoad, load.transaction.commit()).await?;
            Ok(Some(run))
        };
        let run = begun.await.map_err(|failure: Failure| failure.into_error(&fail))?;
        let Some(run) = run else { return Ok(None) };
        Ok(Some(Verification { run: self.run(run).await?, selection }))
    }
}

struct VerificationLoad<'a> {
    transaction: Transaction<'a, Sqlite>,
    of_run: &'a Run,
    selection: &'a VerifySelection,
    items_per_request: usize,
    run: RunId,
    next_request: &'a mut RequestId,
    /// The items of the next lookup, and the account whose list they are on.
    lookup: (Option<UserId>, Vec<Item>),
    rows: u64,
    items: u64,
}

impl VerificationLoad<'_> {
    /// Its job has another name than that of the verified run, so that no command can take it for a run of this job.
    async fn insert_run(&mut self, uuid: &str, now: i64) -> Result<RunId, Failure> {
        let run: RunId = sqlx::query_scalar(
            "INSERT INTO run (uuid, job, target, operation, options, definition_digest, input_digest, file_stamps,
                              protected_digest, fields, state, created_at, started_at)
             VALUES (?1, 'verification of ' || ?2, ?3, ?4, ?5, '', '', '', '', '[]', 'running', ?6, ?6) RETURNING id",
        )
        .bind(uuid)
        .bind(&self.of_run.uuid)
        .bind(self.of_run.target.to_string())
        .bind(self.of_run.operation.name)
        .bind(self.of_run.operation.options_json())
        .bind(now)
        .fetch_one(&mut *self.transaction)
        .await?;
        let selection = serde_json::to_string(self.selection).expect("texts and numbers are JSON");
        let checksum = checksum::verification(run, self.of_run.id, &selection);
        sqlx::query("INSERT INTO verification (run, of_run, selection, checksum) VALUES (?, ?, ?, ?)")
            .bind(run)
            .bind(self.of_run.id)
            .bind(selection)
            .bind(checksum)
            .execute(&mut *self.transaction)
            .await?;
        Ok(run)
    }

    async fn copy_items(&mut self) -> Result<(), Failure> {
        let sample = match self.selection.sample {
            Some(sample) => Some(self.choose(sample).await?),
            None => None,
        };
        let mut after = RequestId::BEFORE_FIRST;
        loop {
            let page = self.page(after).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for (from, mut items) in self.selected(&page).await? {
                items.retain(|item| sample.as_ref().is_none_or(|rows| rows.contains(&item.row)));
                self.add(from, items).await?;
            }
        }
        self.flush().await
    }

    /// The first rows of the items with the smallest hashes of seed and row: the same for the same seed, however the
    /// items are distributed to requests.
    async fn choose(&mut self, VerifySample { items: wanted, seed }: VerifySample) -> Result<BTreeSet<RowNo>, Failure> {
        let wanted = usize::try_from(wanted.get()).unwrap_or(usize::MAX);
        let mut smallest: BinaryHeap<(u64, RowNo)> = BinaryHeap::new();
        let mut after = RequestId::BEFORE_FIRST;
        loop {
            let page = self.page(after).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for item in self.selected(&page).await?.into_iter().flat_map(|(_, items)| items) {
                smallest.push((hash(seed, item.row), item.row));
                if smallest.len() > wanted {
                    smallest.pop();
                }
            }
        }
        Ok(smallest.into_iter().map(|(_, row)| row).collect())
    }

    async fn page(&mut self, after: RequestId) -> Result<Vec<RequestRow>, sqlx::Error> {
        sqlx::query_as(select_request!("NOT INDEXED", "run = ? AND id > ? AND state = 'settled' ORDER BY id LIMIT ?"))
            .bind(self.of_run.id)
            .bind(after)
            .bind(REQUESTS_PER_READ)
            .fetch_all(&mut *self.transaction)
            .await
    }

    /// The items of settled requests that have one of the selected outcomes.
    async fn selected(&mut self, page: &[RequestRow]) -> Result<Vec<(Option<UserId>, Vec<Item>)>, Failure> {
        let mut requests = Vec::with_capacity(page.len());
        for stored in page {
            requests.push((stored.from()?, stored.items()?));
        }
        let rows: Vec<RowNo> = requests.iter().flat_map(|(_, items)| items.iter().map(|item| item.row)).collect();
        let found: Vec<(i64, String)> = sqlx::query_as(
            "SELECT outcome.row, outcome.outcome FROM json_each(?1) AS entry JOIN outcome
             ON outcome.run = ?2 AND outcome.row = entry.value",
        )
        .bind(serde_json::to_string(&rows).expect("texts and numbers are JSON"))
        .bind(self.of_run.id)
        .fetch_all(&mut *self.transaction)
        .await?;
        let exceptions: HashMap<RowNo, String> =
            found.into_iter().map(|(row, outcome)| (row.cast_unsigned(), outcome)).collect();
        let succeeded = Outcome::Succeeded.name();
        let is_selected = |item: &Item| {
            let outcome = exceptions.get(&item.row).map_or(succeeded, String::as_str);
            self.selection.outcomes.iter().any(|selected| selected.name() == outcome)
        };
        requests.iter_mut().for_each(|(_, items)| items.retain(is_selected));
        Ok(requests)
    }

    /// Adds items to the lookups: as many as fit go into one, if they are on one list.
    async fn add(&mut self, from: Option<UserId>, items: Vec<Item>) -> Result<(), Failure> {
        if self.lookup.0 != from {
            self.flush().await?;
            self.lookup.0 = from;
        }
        for item in items {
            self.lookup.1.push(item);
            if self.lookup.1.len() == self.items_per_request {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let items = std::mem::take(&mut self.lookup.1);
        if items.is_empty() {
            return Ok(());
        }
        self.rows += items.iter().map(Item::row_count).sum::<u64>();
        self.items += items.len() as u64;
        let new = NewRequest {
            id: self.next_request.take(),
            run: self.run,
            encoded: StoredRequest::encode(self.lookup.0.as_ref(), &items),
            attempts: 0,
            charged: 0,
            doubt: Doubt::None,
            history: CodeHistory::default(),
            purpose: Purpose::Verify(self.of_run.id),
            parent: None,
            finished_at: None,
        };
        insert_request(&mut self.transaction, new).await
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        for outcome in Outcome::ALL {
            let rows = if outcome == Outcome::Pending { self.rows } else { 0 };
            let insert = sqlx::query("INSERT INTO tally (run, outcome, rows) VALUES (?, ?, ?)");
            let insert = insert.bind(self.run).bind(outcome.name()).bind(rows.cast_signed());
            insert.execute(&mut *self.transaction).await?;
        }
        let counts = sqlx::query("UPDATE run SET row_count = ?2, item_count = ?3 WHERE id = ?1");
        let counts = counts.bind(self.run).bind(self.rows.cast_signed()).bind(self.items.cast_signed());
        counts.execute(&mut *self.transaction).await?;
        Ok(update_checksum(&mut self.transaction, self.run).await?)
    }
}

/// BLAKE3, so that a seed chooses the same rows in every version.
fn hash(seed: u64, row: RowNo) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&row.to_le_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

//! Rows of table `control`: the instructions of `imbulk ctl`.

use sqlx::{FromRow, SqliteConnection};

use crate::clock;
use crate::domain::control::{AppliedInstruction, ControlEffect, ControlState, Instruction};
use crate::domain::ids::RunId;
use crate::fail_point::{FailPoint, guarded};
use crate::queue::control_file::ControlFile;
use crate::queue::error::QueueError;
use crate::queue::sqlite::checksum;
use crate::queue::sqlite::error::Failure;
use crate::queue::sqlite::reader::{Contents, Reader};
use crate::queue::sqlite::store::Queue;

/// The state that the instructions of a run have led to: SELECT of [`ControlRow`] of one run.
const OF_RUN: &str = "SELECT run, instruction, command, who, effect, applied_at, checksum FROM control
                      WHERE run = ? ORDER BY id";
const BY_ID: &str = "SELECT run, instruction, command, who, effect, applied_at, checksum FROM control
                     WHERE instruction = ?";

/// The columns of an instruction.
#[derive(FromRow)]
struct ControlRow {
    run: RunId,
    instruction: String,
    /// As on the command line.
    command: String,
    who: String,
    effect: String,
    applied_at: i64,
    checksum: i64,
}

impl ControlRow {
    fn new(run: RunId, AppliedInstruction { instruction, effect }: &AppliedInstruction, applied_at: i64) -> Self {
        let row = Self {
            run,
            instruction: instruction.id.clone(),
            command: instruction.kind.to_string(),
            who: instruction.who.clone(),
            effect: serde_json::to_string(effect).expect("texts and numbers are JSON"),
            applied_at,
            checksum: 0,
        };
        Self { checksum: row.checksum(), ..row }
    }

    fn checksum(&self) -> i64 {
        checksum::control(self.run, [&self.instruction, &self.command, &self.who, &self.effect], self.applied_at)
    }

    /// The instruction and when it was applied, if the row is as it was written.
    fn into_applied(self) -> Result<(AppliedInstruction, i64), QueueError> {
        let damaged =
            |what| QueueError::Damaged(format!("an instruction of run {} has {what} in table control", self.run));
        if self.checksum != self.checksum() {
            return Err(damaged("a wrong checksum"));
        }
        let kind = self.command.parse().map_err(|()| damaged("an unknown instruction"))?;
        let effect: ControlEffect = serde_json::from_str(&self.effect).map_err(|_| damaged("an unknown effect"))?;
        let instruction = Instruction { id: self.instruction, run: self.run.to_string(), kind, who: self.who };
        Ok((AppliedInstruction { instruction, effect }, self.applied_at))
    }
}

/// Stores an instruction for the run that it names, unless it is stored already. An instruction for a run that does not
/// exist is dropped with a warning.
pub(in crate::queue) async fn insert(
    connection: &mut SqliteConnection,
    applied: &AppliedInstruction,
    now: i64,
) -> Result<(), Failure> {
    let named = &applied.instruction.run;
    // The latest run of a job is the one that was being loaded.
    let run: Option<RunId> =
        sqlx::query_scalar("SELECT id FROM run WHERE uuid = ?1 OR job = ?1 ORDER BY id DESC LIMIT 1")
            .bind(named)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(run) = run else {
        tracing::warn!(run = named, "an instruction names a run that does not exist");
        return Ok(());
    };
    let row = ControlRow::new(run, applied, now);
    sqlx::query(
        "INSERT OR IGNORE INTO control (run, instruction, command, who, effect, applied_at, checksum)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.run)
    .bind(row.instruction)
    .bind(row.command)
    .bind(row.who)
    .bind(row.effect)
    .bind(row.applied_at)
    .bind(row.checksum)
    .execute(connection)
    .await?;
    Ok(())
}

fn state(rows: Vec<ControlRow>) -> Result<ControlState, QueueError> {
    rows.into_iter().try_fold(ControlState::default(), |state, row| {
        let (applied, at) = row.into_applied()?;
        Ok(state.then(&applied, at))
    })
}

impl Queue {
    /// What the instructions for a run have led to.
    pub async fn control_state(&mut self, run: RunId) -> Result<ControlState, QueueError> {
        let rows = sqlx::query_as(OF_RUN).bind(run).fetch_all(&mut self.connection).await;
        state(rows.map_err(self.fail())?)
    }

    /// Stores the instructions in the control file for the next sessions of their runs, and removes the file. No
    /// session of this process sends yet.
    pub(in crate::queue) async fn adopt_instructions(&mut self) -> Result<(), QueueError> {
        let mut file = ControlFile::of(&self.path);
        let path = file.path().to_owned();
        let unusable = |source| QueueError::Unusable { path: path.clone(), source };
        loop {
            let instructions = file.read_new().map_err(unusable)?;
            if instructions.is_empty() {
                break;
            }
            self.store_instructions(instructions).await?;
        }
        let late = file.remove().map_err(unusable)?;
        self.store_instructions(late).await
    }

    async fn store_instructions(&mut self, instructions: Vec<Instruction>) -> Result<(), QueueError> {
        if instructions.is_empty() {
            return Ok(());
        }
        let (fail, now) = (self.fail(), clock::now().as_millisecond());
        let stored = async {
            let mut transaction = self.transaction().await?;
            for instruction in instructions {
                let applied = AppliedInstruction { instruction, effect: ControlEffect::NotSending };
                insert(&mut transaction, &applied, now).await?;
            }
            Ok(guarded(FailPoint::Control, transaction.commit()).await?)
        };
        stored.await.map_err(|failure: Failure| failure.into_error(fail))
    }
}

impl Reader {
    /// The instruction with this id, if it was applied or refused.
    pub async fn applied(&self, instruction: &str) -> Result<Option<AppliedInstruction>, QueueError> {
        if self.contents == Contents::Nothing {
            return Ok(None);
        }
        let found = sqlx::query_as(BY_ID).bind(instruction).fetch_optional(&self.pool).await;
        let found: Option<ControlRow> = found.map_err(self.fail())?;
        found.map(|row| row.into_applied().map(|(applied, _)| applied)).transpose()
    }

    /// The ids of all instructions that were applied or refused.
    pub async fn applied_ids(&self) -> Result<Vec<String>, QueueError> {
        sqlx::query_scalar("SELECT instruction FROM control").fetch_all(&self.pool).await.map_err(self.fail())
    }

    /// What the instructions for a run have led to.
    pub async fn control_state(&self, run: RunId) -> Result<ControlState, QueueError> {
        state(sqlx::query_as(OF_RUN).bind(run).fetch_all(&self.pool).await.map_err(self.fail())?)
    }
}

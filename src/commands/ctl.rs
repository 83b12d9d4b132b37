//! `imbulk ctl`

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::Error;
use crate::cli::{self, CtlInstruction};
use crate::clock;
use crate::domain::control::{AppliedInstruction, ControlEffect, Instruction, InstructionKind};
use crate::domain::exit::Exit;
use crate::domain::hint::{Hint, Message};
use crate::domain::ids::uuid_v7;
use crate::queue::{ControlFile, FileKind, Queue, QueueError, Reader, Run, RunState};
use crate::report::control::{above_limit, answer, not_answered};
use crate::report::state::{RunnerPresence, StateName};
use crate::session::{Person, SessionError, find_controlled};
use crate::settings::{Env, load_job};

/// The process that owns the queue looks for instructions five times a second, and stores what they led to.
const TO_ANSWER: Duration = Duration::from_millis(900);
const ASK_EVERY: Duration = Duration::from_millis(30);

/// Controls a run, whether a process is sending it or not, or its verification, while a process sends that.
pub(super) async fn ctl(args: &cli::CtlArgs, env: &Env, path: &Path) -> Result<Exit, Error> {
    let kind = kind_of(args)?;
    refuse_readers(path)?;
    let (run, queue, is_owned) = {
        let reader = Reader::open(path).await?;
        let run = find_controlled(&args.name, args.target.as_deref(), &reader).await?;
        (run, reader.path().to_owned(), reader.is_owned())
    };
    let job = run.as_ref().map_or_else(|| args.name.clone(), |run| run.job.clone());
    let run = with_verification(run, path).await?;
    if let Some(run) = &run {
        refuse_ended(run)?;
        if let InstructionKind::Rate(rate) = kind
            && !is_sending(run, is_owned)
        {
            refuse_above_limit(run, rate, env)?;
        }
    }
    let instruction = Instruction {
        id: uuid_v7(clock::now().as_millisecond(), rand::random()),
        run: run.as_ref().map_or_else(|| args.name.clone(), |run| run.uuid.clone()),
        kind,
        who: Person::here().to_string(),
    };
    match instruct(&queue, &instruction).await? {
        Some(applied @ AppliedInstruction { effect: ControlEffect::AboveLimit { .. }, .. }) => {
            Err(SessionError::Usage(answer(&job, &applied)).into())
        }
        Some(applied) => super::print(&answer(&job, &applied).with_hint()),
        None => super::print(&not_answered(&job, kind).with_hint()),
    }
}

/// The verification of the run, if a process sends it now.
async fn with_verification(run: Option<Run>, queue: &Path) -> Result<Option<Run>, Error> {
    let Some(run) = run else { return Ok(None) };
    let verification = Reader::open(queue).await?.active_verification(run.id).await?;
    Ok(Some(verification.unwrap_or(run)))
}

/// Stores an instruction in the control file, and waits until the owner of the queue has applied it. Without an owner,
/// this process becomes the owner for a moment, which applies all instructions in the file. That does not answer an
/// instruction for a run that does not exist any more, so the wait is limited in this case as well.
async fn instruct(queue: &Path, instruction: &Instruction) -> Result<Option<AppliedInstruction>, Error> {
    let begun = Instant::now();
    let file = ControlFile::of(queue);
    let mut sent = file.send(instruction).map_err(Error::io(file.path().display().to_string()))?;
    let mut was_opened = false;
    loop {
        let is_owned = {
            let reader = Reader::open(queue).await?;
            if let Some(applied) = reader.applied(&instruction.id).await? {
                return Ok(Some(applied));
            }
            reader.is_owned()
        };
        sent.ensure().map_err(Error::io(file.path().display().to_string()))?;
        if begun.elapsed() >= TO_ANSWER && (is_owned || was_opened) {
            return Ok(None);
        }
        if is_owned || was_opened {
            sleep(ASK_EVERY).await;
            continue;
        }
        match Queue::open(queue).await {
            Ok(queue) => {
                queue.close().await?;
                was_opened = true;
            }
            Err(QueueError::InUse { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn kind_of(args: &cli::CtlArgs) -> Result<InstructionKind, SessionError> {
    let kind = match (args.instruction, args.calls_per_second) {
        (CtlInstruction::Rate, Some(rate)) => return Ok(InstructionKind::Rate(rate)),
        (CtlInstruction::Pause, None) => InstructionKind::Pause,
        (CtlInstruction::Resume, None) => InstructionKind::Resume,
        (CtlInstruction::Drain, None) => InstructionKind::Drain,
        (CtlInstruction::Rate, None)
        | (CtlInstruction::Pause | CtlInstruction::Resume | CtlInstruction::Drain, Some(_)) => {
            return Err(SessionError::usage("only `rate` takes a number, and it needs one", "such as `rate 50`"));
        }
    };
    Ok(kind)
}

fn refuse_ended(run: &Run) -> Result<(), SessionError> {
    let state = match run.state() {
        RunState::Finished => "finished",
        RunState::Superseded => "superseded by a newer run",
        RunState::Loading | RunState::Planned | RunState::Running => return Ok(()),
    };
    let hint = "`imbulk status` lists the runs; --target or the id names another one";
    Err(SessionError::usage(format!("run {} is {state}: there is nothing to control", run.uuid), hint))
}

/// Whether a process is sending the run. Such a process knows the limit of the job and answers by it.
fn is_sending(run: &Run, is_owned: bool) -> bool {
    let owner = if is_owned { RunnerPresence::Present } else { RunnerPresence::Absent };
    StateName::of(run, owner) == StateName::Sending
}

/// Refuses a rate that the next session would not use. Without a process that sends the run, its limit is that of the
/// job file. If that file cannot be read, only the published cap is known.
fn refuse_above_limit(run: &Run, rate: NonZeroU32, env: &Env) -> Result<(), Error> {
    match limit_of(run, env) {
        Some(limit) if rate > limit => Err(SessionError::Usage(above_limit(&run.job, limit.get())).into()),
        Some(_) => Ok(()),
        None => refuse_above_cap(run, rate),
    }
}

/// `limits.calls_per_second` of the job file from which the run was loaded; none if that is not the same job any more.
fn limit_of(run: &Run, env: &Env) -> Option<NonZeroU32> {
    let file = run.files().iter().find(|file| file.kind == FileKind::Job)?;
    let job = load_job(&file.path, env).ok()?;
    let is_same = job.name == run.job && run.operation.name == job.operation.name;
    is_same.then_some(job.limits.calls_per_second)
}

/// Refuses a rate above the published cap of the operation. Without a process that sends the run, the limit of its job
/// is not known here; the next session does not exceed it either.
fn refuse_above_cap(run: &Run, rate: NonZeroU32) -> Result<(), Error> {
    let operation = run.operation;
    if rate.get() <= operation.calls_per_second {
        return Ok(());
    }
    let (name, cap) = (operation.name, operation.calls_per_second);
    let text = format!("{}: refused: the published cap of {name} is {cap} calls/s", run.job);
    let hint =
        format!("name a rate from 1 to {cap}; a higher one is accepted while a job with limits.cap_was_raised runs");
    Err(SessionError::usage(text, hint).into())
}

/// Who may write the queue may control its runs.
fn refuse_readers(queue: &Path) -> Result<(), SessionError> {
    match OpenOptions::new().append(true).open(queue) {
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            let text = format!("{}: this user may not write the queue, and so not control its runs", queue.display());
            Err(SessionError::Usage(Message::new(text).add_hint("run it as the user who runs the job")))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

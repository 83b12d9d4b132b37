//! Control from other processes: applies the instructions of `imbulk ctl`.

use std::collections::HashSet;
use std::num::NonZeroU32;

use tracing::info;

use super::{Runner, RunnerJob};
use crate::clock;
use crate::domain::change::Change;
use crate::domain::control::{AppliedInstruction, ControlEffect, Instruction, InstructionKind, RunPause};
use crate::domain::schedule::{Event, JobNo, StopReason};
use crate::queue::ControlFile;
use crate::stderr::tell;

/// What the runner knows of the control of its jobs.
#[derive(Debug)]
pub(super) struct RunControl {
    file: ControlFile,
    /// The instructions that were applied or refused, also by earlier processes.
    known: HashSet<String>,
    jobs: Vec<JobControl>,
    /// Instructions that are answered once no call of their jobs can begin any more.
    holding_back: Vec<(JobNo, Instruction)>,
    /// Whether the last look at the file failed, which is reported once.
    is_unreadable: bool,
}

/// The control of one job.
#[derive(Debug)]
struct JobControl {
    pause: Option<RunPause>,
    rate: NonZeroU32,
}

impl RunControl {
    pub(super) fn new(file: ControlFile, known: Vec<String>, jobs: &[RunnerJob]) -> Self {
        let jobs = jobs.iter().map(|job| JobControl { pause: None, rate: job.scheduled.calls_per_second }).collect();
        Self { file, known: known.into_iter().collect(), jobs, holding_back: Vec::new(), is_unreadable: false }
    }

    /// The pause of a job.
    pub(super) fn pause(&self, job: JobNo) -> Option<&RunPause> {
        self.jobs[job].pause.as_ref()
    }
}

impl Runner<'_> {
    /// Applies new instructions.
    pub(super) fn look_at_the_control_file(&mut self) {
        match self.control.file.read_new() {
            Ok(instructions) => {
                self.control.is_unreadable = false;
                instructions.into_iter().for_each(|instruction| self.apply(instruction));
            }
            Err(error) if !self.control.is_unreadable => {
                self.control.is_unreadable = true;
                tell(format!("{}: {error}: `imbulk ctl` cannot control this run", self.control.file.path().display()));
            }
            Err(_) => {}
        }
    }

    fn apply(&mut self, instruction: Instruction) {
        if !self.control.known.insert(instruction.id.clone()) {
            return;
        }
        let job = self.jobs.iter().position(|job| instruction.is_for(&job.uuid, &job.name));
        let Some(job) = job else {
            // A run that this process does not send now. Its next session adopts the instruction.
            return self.answer(instruction, ControlEffect::NotSending);
        };
        let Instruction { kind, who, .. } = &instruction;
        tell(format!("{}: {kind}, as {who} asked", self.jobs[job].name));
        match *kind {
            InstructionKind::Pause if self.control.jobs[job].pause.is_some() => {
                self.answer(instruction, ControlEffect::Unchanged);
            }
            InstructionKind::Pause => {
                let pause = RunPause { who: who.clone(), since: clock::now().as_millisecond() };
                self.control.jobs[job].pause = Some(pause);
                self.control.holding_back.push((job, instruction));
                self.handle(Event::Pause(job));
            }
            InstructionKind::Resume => {
                self.answer_pauses_of(job);
                let was_paused = self.control.jobs[job].pause.take().is_some();
                self.handle(Event::Resume(job));
                self.answer(instruction, if was_paused { ControlEffect::Resumed } else { ControlEffect::Unchanged });
            }
            InstructionKind::Drain => {
                let stop = StopReason::Drain { who: who.clone() };
                self.control.holding_back.push((job, instruction));
                self.handle(Event::Stop(stop));
            }
            InstructionKind::Rate(rate) => {
                let effect = self.set_rate(job, rate);
                self.answer(instruction, effect);
            }
        }
    }

    fn set_rate(&mut self, job: JobNo, rate: NonZeroU32) -> ControlEffect {
        let max_rate = self.jobs[job].max_rate;
        if rate > max_rate {
            return ControlEffect::AboveLimit { limit: max_rate.get() };
        }
        let from = std::mem::replace(&mut self.control.jobs[job].rate, rate);
        let operation = self.jobs[job].scheduled.operation.name;
        // Jobs of the same operation share the limit of its command in their app: the lowest rate counts.
        let app = self.jobs[job].scheduled.sdkappid;
        let shares = |job: &RunnerJob| job.scheduled.operation.name == operation && job.scheduled.sdkappid == app;
        let rates = self.jobs.iter().zip(&self.control.jobs).filter(|(job, _)| shares(job));
        let lowest = rates.map(|(_, control)| control.rate).min().unwrap_or(rate);
        self.jobs[job].set_cap(lowest);
        self.handle(Event::SetRate { job, calls_per_second: rate });
        ControlEffect::Rate { from: from.get(), to: rate.get() }
    }

    /// Answers the pauses of a job that is resumed now, whatever can still begin.
    fn answer_pauses_of(&mut self, job: JobNo) {
        let is_of_job =
            |(of, instruction): &(JobNo, Instruction)| *of == job && instruction.kind == InstructionKind::Pause;
        let (of_job, others) = std::mem::take(&mut self.control.holding_back).into_iter().partition(is_of_job);
        self.control.holding_back = of_job;
        self.answer_held_back(|_| true);
        self.control.holding_back = others;
    }

    /// Answers pauses and drains once no call of their jobs can begin any more. Only then the number of calls in flight
    /// is final.
    pub(super) fn answer_what_is_held_back(&mut self) {
        if !self.control.holding_back.is_empty() {
            let held_back: Vec<bool> = (0..self.jobs.len()).map(|job| self.schedule.is_held_back(job)).collect();
            self.answer_held_back(|job| held_back[job]);
        }
    }

    /// Answers all pauses and drains, since the session has ended.
    pub(super) fn answer_everything(&mut self) {
        self.answer_held_back(|_| true);
    }

    fn answer_held_back(&mut self, is_held_back: impl Fn(JobNo) -> bool) {
        for (job, instruction) in std::mem::take(&mut self.control.holding_back) {
            let is_drain = instruction.kind == InstructionKind::Drain;
            let jobs = if is_drain { 0..self.jobs.len() } else { job..job + 1 };
            if !jobs.clone().all(&is_held_back) {
                self.control.holding_back.push((job, instruction));
                continue;
            }
            let in_flight = jobs.map(|job| self.schedule.in_flight(job) as u64).sum();
            let names = || self.jobs.iter().map(|job| job.name.clone()).collect();
            let effect = if is_drain {
                ControlEffect::Draining { in_flight, jobs: names() }
            } else {
                ControlEffect::Paused { in_flight }
            };
            self.answer(instruction, effect);
        }
    }

    fn answer(&mut self, instruction: Instruction, effect: ControlEffect) {
        let Instruction { kind, who, run, .. } = &instruction;
        let (name, in_flight) = (effect.name(), effect.in_flight());
        info!(event = "control", run, instruction = %kind, who, effect = name, in_flight, "instruction applied");
        self.recorder.write(Change::Control(AppliedInstruction { instruction, effect }), true);
    }
}

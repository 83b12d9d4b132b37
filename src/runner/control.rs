//! Control from other processes: reads the instructions of `imbulk ctl`, and carries out what they lead to.

use tracing::info;

use super::{Runner, RunnerJob};
use crate::clock;
use crate::domain::change::Change;
use crate::domain::control::{AppliedInstruction, Instruction, RunPause};
use crate::domain::schedule::{Event, JobNo, StopReason};
use crate::domain::session_control::{ControlStep, ControlledJob, JobCalls, SessionControl};
use crate::queue::ControlFile;
use crate::stderr::tell;

/// What the runner knows of the control of its jobs.
#[derive(Debug)]
pub(super) struct RunControl {
    file: ControlFile,
    session: SessionControl,
    /// Whether the last look at the file failed, which is reported once.
    is_unreadable: bool,
}

impl RunControl {
    pub(super) fn new(file: ControlFile, known: Vec<String>, jobs: &[RunnerJob]) -> Self {
        let controlled = |job: &RunnerJob| ControlledJob {
            run: job.uuid.clone(),
            name: job.name.clone(),
            app: job.scheduled.sdkappid,
            commands: job.commands().map(|(command, _)| command).collect(),
            max_rate: job.max_rate,
            rate: job.scheduled.calls_per_second,
            pause: None,
        };
        let session = SessionControl::new(jobs.iter().map(controlled).collect(), known);
        Self { file, session, is_unreadable: false }
    }

    /// The pause of a job.
    pub(super) fn pause(&self, job: JobNo) -> Option<&RunPause> {
        self.session.pause(job)
    }
}

impl Runner<'_> {
    /// Applies new instructions.
    pub(super) fn look_at_the_control_file(&mut self) {
        match self.control.file.read_new() {
            Ok(instructions) => {
                self.control.is_unreadable = false;
                for instruction in instructions {
                    let (now, calls) = (clock::now().as_millisecond(), self.job_calls());
                    let steps = self.control.session.apply(instruction, now, &calls);
                    steps.into_iter().for_each(|step| self.carry_out_control(step));
                }
            }
            Err(error) if !self.control.is_unreadable => {
                self.control.is_unreadable = true;
                tell(format!("{}: {error}: `imbulk ctl` cannot control this run", self.control.file.path().display()));
            }
            Err(_) => {}
        }
    }

    /// A limit that a job kept low rises when the job has ended.
    pub(super) fn raise_limits_of_ended_jobs(&mut self) {
        let steps = self.control.session.raised_limits(&self.job_calls());
        steps.into_iter().for_each(|step| self.carry_out_control(step));
    }

    /// Answers pauses and drains whose number of calls in flight is final.
    pub(super) fn store_due_effects(&mut self) {
        if self.control.session.has_unanswered() {
            let steps = self.control.session.due_answers(&self.job_calls());
            steps.into_iter().for_each(|step| self.carry_out_control(step));
        }
    }

    /// Answers all pauses and drains, since the session has ended and no call can begin.
    pub(super) fn send_all_answers(&mut self) {
        let calls: Vec<JobCalls> =
            self.job_calls().into_iter().map(|calls| JobCalls { may_begin: false, ..calls }).collect();
        let steps = self.control.session.due_answers(&calls);
        steps.into_iter().for_each(|step| self.carry_out_control(step));
    }

    fn job_calls(&self) -> Vec<JobCalls> {
        let calls = |job| JobCalls {
            in_flight: self.schedule.in_flight(job) as u64,
            may_begin: !self.schedule.is_held_back(job),
            is_over: self.schedule.job_is_over(job),
        };
        (0..self.jobs.len()).map(calls).collect()
    }

    fn carry_out_control(&mut self, step: ControlStep) {
        match step {
            ControlStep::Announce { job, kind, who } => tell(format!("{job}: {kind}, as {who} asked")),
            ControlStep::Pause(job) => self.handle(Event::Pause(job)),
            ControlStep::Resume(job) => self.handle(Event::Resume(job)),
            ControlStep::Drain { who } => self.handle(Event::Stop(StopReason::Drain { who })),
            ControlStep::SetRate { job, rate } => self.handle(Event::SetRate { job, calls_per_second: rate }),
            ControlStep::SetCaps { job, caps } => self.jobs[job].set_caps(&caps),
            ControlStep::StoreEffect(AppliedInstruction { instruction, effect }) => {
                let (name, in_flight) = (effect.name(), effect.in_flight());
                let Instruction { run, kind, who, .. } = &instruction;
                info!(
                    event = "control",
                    run,
                    instruction = %kind,
                    who,
                    effect = name,
                    in_flight,
                    "instruction applied"
                );
                self.recorder.write(Change::Control(AppliedInstruction { instruction, effect }), true);
            }
        }
    }
}

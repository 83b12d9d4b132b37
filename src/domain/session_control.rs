//! Decides what the instructions of `imbulk ctl` lead to in a session.

use std::collections::HashSet;
use std::num::{NonZeroU32, NonZeroU64};

use super::control::{AppliedInstruction, ControlEffect, Instruction, InstructionKind, RunPause};
use super::schedule::JobNo;

/// A job that instructions control.
#[derive(Debug, Clone)]
pub struct ControlledJob {
    /// The id of its run.
    pub run: String,
    /// Its name.
    pub name: String,
    /// Its app and its operation. Jobs of the same operation share the limit of its command in their app.
    pub command: (Option<NonZeroU64>, &'static str),
    /// The calls per second that the job file allows.
    pub max_rate: NonZeroU32,
    /// The calls per second that are allowed now.
    pub rate: NonZeroU32,
    /// The pause, while there is one.
    pub pause: Option<RunPause>,
}

/// The calls of a job at one moment.
#[derive(Debug, Clone, Copy)]
pub struct JobCalls {
    /// Calls in flight.
    pub in_flight: u64,
    /// Whether some request is between its intent and its first byte. Its call can begin although the job is paused or
    /// stops.
    pub may_begin: bool,
}

/// What an instruction leads to, for the runner to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlStep {
    /// Tell people that the instruction arrived.
    Announce {
        /// The name of the job.
        job: String,
        /// What is wanted.
        kind: InstructionKind,
        /// Who wants it.
        who: String,
    },
    /// No new call of the job may begin.
    Pause(JobNo),
    /// Calls of the job may begin again.
    Resume(JobNo),
    /// All jobs end.
    Drain {
        /// Who asked for it.
        who: String,
    },
    /// The rate of the job changes.
    SetRate {
        /// The job.
        job: JobNo,
        /// The calls per second of the job.
        rate: NonZeroU32,
        /// The calls per second of its command, which jobs of the same operation share.
        shared_rate: NonZeroU32,
    },
    /// Store the effect, as the answer to `imbulk ctl`.
    Answer(AppliedInstruction),
}

/// The control of all jobs of a session.
#[derive(Debug)]
pub struct SessionControl {
    jobs: Vec<ControlledJob>,
    /// The ids of the instructions that were applied or refused, also by earlier sessions.
    known: HashSet<String>,
    /// Pauses and drains that are answered once no call of their jobs can begin any more. Only then the number of calls
    /// in flight is final.
    unanswered: Vec<(JobNo, Instruction)>,
}

impl SessionControl {
    /// Before the first instruction. `known`: the ids of instructions that were applied before.
    pub fn new(jobs: Vec<ControlledJob>, known: Vec<String>) -> Self {
        Self { jobs, known: known.into_iter().collect(), unanswered: Vec::new() }
    }

    /// The pause of a job.
    pub fn pause(&self, job: JobNo) -> Option<&RunPause> {
        self.jobs[job].pause.as_ref()
    }

    /// Whether pauses or drains are not answered yet.
    pub const fn has_unanswered(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Applies an instruction that was read at `at`, in milliseconds since 1970. `calls` has one element for each job.
    #[must_use]
    pub fn apply(&mut self, instruction: Instruction, at: i64, calls: &[JobCalls]) -> Vec<ControlStep> {
        if !self.known.insert(instruction.id.clone()) {
            return Vec::new();
        }
        let job = self.jobs.iter().position(|job| instruction.is_for(&job.run, &job.name));
        let Some(job) = job else {
            // A run that this session does not send. Its next session adopts the instruction.
            return vec![answer(instruction, ControlEffect::NotSending)];
        };
        let Instruction { kind, who, .. } = &instruction;
        let (kind, who) = (*kind, who.clone());
        let mut steps = vec![ControlStep::Announce { job: self.jobs[job].name.clone(), kind, who: who.clone() }];
        match kind {
            InstructionKind::Pause if self.jobs[job].pause.is_some() => {
                steps.push(answer(instruction, ControlEffect::Unchanged));
            }
            InstructionKind::Pause => {
                self.jobs[job].pause = Some(RunPause { who, since: at });
                self.unanswered.push((job, instruction));
                steps.push(ControlStep::Pause(job));
            }
            InstructionKind::Resume => {
                steps.extend(self.answers_to_pauses_of(job, calls));
                let was_paused = self.jobs[job].pause.take().is_some();
                let effect = if was_paused { ControlEffect::Resumed } else { ControlEffect::Unchanged };
                steps.extend([ControlStep::Resume(job), answer(instruction, effect)]);
            }
            InstructionKind::Drain => {
                self.unanswered.push((job, instruction));
                steps.push(ControlStep::Drain { who });
            }
            InstructionKind::Rate(rate) => steps.extend(self.set_rate(job, rate, instruction)),
        }
        steps
    }

    fn set_rate(&mut self, job: JobNo, rate: NonZeroU32, instruction: Instruction) -> Vec<ControlStep> {
        let ControlledJob { command, max_rate, .. } = self.jobs[job];
        if rate > max_rate {
            return vec![answer(instruction, ControlEffect::AboveLimit { limit: max_rate.get() })];
        }
        let from = std::mem::replace(&mut self.jobs[job].rate, rate);
        let sharing = self.jobs.iter().filter(|job| job.command == command);
        let shared_rate = sharing.map(|job| job.rate).min().unwrap_or(rate);
        let effect = ControlEffect::Rate { from: from.get(), to: rate.get() };
        vec![ControlStep::SetRate { job, rate, shared_rate }, answer(instruction, effect)]
    }

    /// Answers the pauses of a job that is resumed now, whether calls can still begin or not.
    fn answers_to_pauses_of(&mut self, job: JobNo, calls: &[JobCalls]) -> Vec<ControlStep> {
        let is_pause_of_job =
            |(of, instruction): &mut (JobNo, Instruction)| *of == job && instruction.kind == InstructionKind::Pause;
        let pauses: Vec<_> = self.unanswered.extract_if(.., is_pause_of_job).collect();
        pauses.into_iter().map(|(job, instruction)| self.effect_of_hold_back(job, instruction, calls)).collect()
    }

    /// Answers the pauses and drains whose calls in flight are final: no call of their jobs can begin any more.
    #[must_use]
    pub fn due_answers(&mut self, calls: &[JobCalls]) -> Vec<ControlStep> {
        let is_final = |(job, instruction): &mut (JobNo, Instruction)| match instruction.kind {
            InstructionKind::Drain => !calls.iter().any(|calls| calls.may_begin),
            InstructionKind::Pause | InstructionKind::Resume | InstructionKind::Rate(_) => !calls[*job].may_begin,
        };
        let due: Vec<_> = self.unanswered.extract_if(.., is_final).collect();
        due.into_iter().map(|(job, instruction)| self.effect_of_hold_back(job, instruction, calls)).collect()
    }

    fn effect_of_hold_back(&self, job: JobNo, instruction: Instruction, calls: &[JobCalls]) -> ControlStep {
        let effect = if instruction.kind == InstructionKind::Drain {
            let jobs = self.jobs.iter().map(|job| job.name.clone()).collect();
            ControlEffect::Draining { in_flight: calls.iter().map(|calls| calls.in_flight).sum(), jobs }
        } else {
            ControlEffect::Paused { in_flight: calls[job].in_flight }
        };
        answer(instruction, effect)
    }
}

fn answer(instruction: Instruction, effect: ControlEffect) -> ControlStep {
    ControlStep::Answer(AppliedInstruction { instruction, effect })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three jobs of one operation, two of them of one app, all at 100 calls per second.
    fn control() -> SessionControl {
        let rate = NonZeroU32::new(100).unwrap();
        let job = |(name, app): (&str, u64)| ControlledJob {
            run: format!("run-{name}"),
            name: name.to_owned(),
            command: (NonZeroU64::new(app), "account_delete"),
            max_rate: rate,
            rate,
            pause: None,
        };
        let jobs = [("one", 1), ("two", 1), ("three", 2)];
        SessionControl::new(jobs.into_iter().map(job).collect(), vec!["seen".to_owned()])
    }

    fn calls(in_flight: u64, may_begin: bool) -> JobCalls {
        JobCalls { in_flight, may_begin }
    }

    const IDLE: [JobCalls; 3] = [JobCalls { in_flight: 0, may_begin: false }; 3];

    fn instruction(id: &str, run: &str, text: &str) -> Instruction {
        Instruction { id: id.to_owned(), run: run.to_owned(), kind: text.parse().unwrap(), who: "a@b".to_owned() }
    }

    /// The steps of an instruction without its announcement; the text is also its id.
    fn steps(control: &mut SessionControl, run: &str, text: &str, calls: &[JobCalls]) -> Vec<ControlStep> {
        let mut steps = control.apply(instruction(&format!("{run} {text}"), run, text), 7, calls);
        assert!(matches!(steps.remove(0), ControlStep::Announce { .. }));
        steps
    }

    fn effects(steps: &[ControlStep]) -> Vec<(&str, ControlEffect)> {
        let effect = |step: &'_ ControlStep| match step {
            ControlStep::Answer(AppliedInstruction { effect, .. }) => Some(effect.clone()),
            _ => None,
        };
        let ids = steps.iter().filter_map(|step| match step {
            ControlStep::Answer(applied) => Some(applied.instruction.id.as_str()),
            _ => None,
        });
        ids.zip(steps.iter().filter_map(effect)).collect()
    }

    #[test]
    fn a_pause_is_answered_once_no_call_of_its_job_can_begin() {
        let mut control = control();
        assert_eq!(steps(&mut control, "one", "pause", &IDLE), [ControlStep::Pause(0)]);
        assert_eq!(control.pause(0).map(|pause| (pause.who.as_str(), pause.since)), Some(("a@b", 7)));
        assert_eq!(control.due_answers(&[calls(5, true), calls(9, false), calls(9, false)]), []);
        let due = control.due_answers(&[calls(4, false), calls(9, true), calls(9, true)]);
        assert_eq!(effects(&due), [("one pause", ControlEffect::Paused { in_flight: 4 })]);
        assert!(!control.has_unanswered());
    }

    #[test]
    fn a_drain_is_answered_once_no_call_of_any_job_can_begin() {
        let mut control = control();
        assert_eq!(steps(&mut control, "run-two", "drain", &IDLE), [ControlStep::Drain { who: "a@b".to_owned() }]);
        assert_eq!(control.due_answers(&[calls(1, true), calls(2, false), calls(3, false)]), []);
        let due = control.due_answers(&[calls(1, false), calls(2, false), calls(3, false)]);
        let jobs = ["one", "two", "three"].map(str::to_owned).to_vec();
        assert_eq!(effects(&due), [("run-two drain", ControlEffect::Draining { in_flight: 6, jobs })]);
    }

    #[test]
    fn a_resume_answers_the_pause_of_its_job_and_nothing_else() {
        let mut control = control();
        for (run, text) in [("one", "pause"), ("two", "pause"), ("three", "drain")] {
            let _ = steps(&mut control, run, text, &IDLE);
        }
        let resumed = steps(&mut control, "one", "resume", &[calls(3, true), calls(4, true), calls(5, true)]);
        let paused = ("one pause", ControlEffect::Paused { in_flight: 3 });
        assert_eq!(effects(&resumed), [paused, ("one resume", ControlEffect::Resumed)]);
        assert!(resumed.contains(&ControlStep::Resume(0)) && control.pause(0).is_none() && control.has_unanswered());
        assert!(control.pause(1).is_some());
    }

    #[test]
    fn what_is_so_already_is_unchanged_and_what_is_known_or_of_another_run_changes_nothing() {
        let mut control = control();
        let resumed = steps(&mut control, "one", "resume", &IDLE);
        assert_eq!(effects(&resumed), [("one resume", ControlEffect::Unchanged)]);
        let _ = steps(&mut control, "one", "pause", &IDLE);
        let again = control.apply(instruction("again", "one", "pause"), 8, &IDLE);
        assert_eq!(effects(&again), [("again", ControlEffect::Unchanged)]);
        assert_eq!(control.pause(0).map(|pause| pause.since), Some(7));
        assert_eq!(control.apply(instruction("seen", "one", "drain"), 8, &IDLE), []);
        let other = control.apply(instruction("x", "other", "drain"), 8, &IDLE);
        assert_eq!((other.len(), effects(&other)), (1, vec![("x", ControlEffect::NotSending)]));
    }

    #[test]
    fn jobs_of_one_operation_share_the_lowest_of_their_rates_within_their_app() {
        let mut control = control();
        let [shared, own, back] = [("one", 30, 30), ("three", 20, 20), ("two", 50, 30)].map(|(run, rate, shared)| {
            let set = steps(&mut control, run, &format!("rate {rate}"), &IDLE);
            let ControlStep::SetRate { rate: to, shared_rate, .. } = &set[0] else { panic!("{set:?}") };
            assert_eq!((to.get(), shared_rate.get()), (rate, shared), "{run}");
            effects(&set)[0].1.clone()
        });
        let from_100 = |to| ControlEffect::Rate { from: 100, to };
        assert_eq!([shared, own, back], [from_100(30), from_100(20), from_100(50)]);
        let above = steps(&mut control, "one", "rate 101", &IDLE);
        assert_eq!(effects(&above), [("one rate 101", ControlEffect::AboveLimit { limit: 100 })]);
        assert_eq!(above.len(), 1, "the rate does not change");
    }
}

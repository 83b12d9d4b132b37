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
    /// Its app.
    pub app: Option<NonZeroU64>,
    /// The commands of its calls, that of its change first. Jobs of the same app share the limit of a command.
    pub commands: Vec<JobCommand>,
    /// The calls per second that the job file allows.
    pub max_rate: NonZeroU32,
    /// The calls per second that are allowed now.
    pub rate: NonZeroU32,
    /// The pause, while there is one.
    pub pause: Option<RunPause>,
}

/// A command of the calls of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCommand {
    /// Its path.
    pub path: &'static str,
    /// The calls per second that are allowed at any rate of the job.
    pub cap: NonZeroU32,
}

/// The calls of a job at one moment.
#[derive(Debug, Clone, Copy)]
pub struct JobCalls {
    /// Calls in flight.
    pub in_flight: u64,
    /// Whether some request is between its intent and its first byte. Its call can begin although the job is paused or
    /// stops.
    pub may_begin: bool,
    /// Whether no call of it follows in this session.
    pub is_over: bool,
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
    },
    /// The limits of the commands of the job change.
    SetCaps {
        /// The job.
        job: JobNo,
        /// The calls per second of each of its commands: no job that still calls the command allows fewer.
        caps: Vec<NonZeroU32>,
    },
    /// Store the effect, as the answer to `imbulk ctl`.
    StoreEffect(AppliedInstruction),
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
    /// The jobs that had ended when the limits were set last.
    over: Vec<JobNo>,
}

impl SessionControl {
    /// Before the first instruction. `known`: the ids of instructions that were applied before.
    pub fn new(jobs: Vec<ControlledJob>, known: Vec<String>) -> Self {
        Self { jobs, known: known.into_iter().collect(), unanswered: Vec::new(), over: Vec::new() }
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
                steps.push(answer(instruction, ControlEffect::AlreadyPaused));
            }
            InstructionKind::Pause => {
                self.jobs[job].pause = Some(RunPause { who, since: at });
                self.unanswered.push((job, instruction));
                steps.push(ControlStep::Pause(job));
            }
            InstructionKind::Resume => {
                steps.extend(self.answers_to_pauses_of(job, calls));
                let was_paused = self.jobs[job].pause.take().is_some();
                let effect = if was_paused { ControlEffect::Resumed } else { ControlEffect::NotPaused };
                steps.extend([ControlStep::Resume(job), answer(instruction, effect)]);
            }
            InstructionKind::Drain => {
                self.unanswered.push((job, instruction));
                steps.push(ControlStep::Drain { who });
            }
            InstructionKind::Rate(rate) => steps.extend(self.set_rate(job, rate, instruction, calls)),
        }
        steps
    }

    fn set_rate(
        &mut self,
        job: JobNo,
        rate: NonZeroU32,
        instruction: Instruction,
        calls: &[JobCalls],
    ) -> Vec<ControlStep> {
        let max_rate = self.jobs[job].max_rate;
        if rate > max_rate {
            return vec![answer(instruction, ControlEffect::AboveLimit { limit: max_rate.get() })];
        }
        let from = std::mem::replace(&mut self.jobs[job].rate, rate);
        let caps = self.shared_caps(job, calls);
        let in_force = caps.first().copied().filter(|cap| *cap < rate).map(NonZeroU32::get);
        let effect = ControlEffect::Rate { from: from.get(), to: rate.get(), in_force };
        let rate = ControlStep::SetRate { job, rate };
        vec![rate, ControlStep::SetCaps { job, caps }, answer(instruction, effect)]
    }

    /// Raises the limits of commands that a job kept low which has ended since the last call of this function.
    #[must_use]
    pub fn raised_limits(&mut self, calls: &[JobCalls]) -> Vec<ControlStep> {
        let over: Vec<JobNo> = (0..calls.len()).filter(|job| calls[*job].is_over).collect();
        if self.over == over {
            return Vec::new();
        }
        self.over = over;
        let left = (0..calls.len()).filter(|job| !calls[*job].is_over);
        left.map(|job| ControlStep::SetCaps { job, caps: self.shared_caps(job, calls) }).collect()
    }

    fn shared_caps(&self, job: JobNo, calls: &[JobCalls]) -> Vec<NonZeroU32> {
        self.jobs[job].commands.iter().map(|command| self.shared_cap(job, *command, calls)).collect()
    }

    /// The calls per second of a command of a job: the fewest that it and the other jobs allow that still make such
    /// calls.
    fn shared_cap(&self, job: JobNo, command: JobCommand, calls: &[JobCalls]) -> NonZeroU32 {
        let app = self.jobs[job].app;
        let others = self.jobs.iter().zip(calls).filter(|(other, calls)| other.app == app && !calls.is_over);
        let of_others = others.flat_map(|(other, _)| {
            other.commands.iter().filter(|own| own.path == command.path).map(|own| own.cap.min(other.rate))
        });
        of_others.fold(command.cap.min(self.jobs[job].rate), NonZeroU32::min)
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
    ControlStep::StoreEffect(AppliedInstruction { instruction, effect })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three jobs of different operations, two of them of one app, all at 100 calls per second. All of them call
    /// portrait_get, at most 60 times per second.
    fn control() -> SessionControl {
        let rate = NonZeroU32::new(100).unwrap();
        let command = |(path, cap)| JobCommand { path, cap: NonZeroU32::new(cap).unwrap() };
        let job = |(name, app, path): (&str, u64, &'static str)| ControlledJob {
            run: format!("run-{name}"),
            name: name.to_owned(),
            app: NonZeroU64::new(app),
            commands: [(path, 100), ("portrait_get", 60)].map(command).into(),
            max_rate: rate,
            rate,
            pause: None,
        };
        let jobs = [("one", 1, "account_delete"), ("two", 1, "account_import"), ("three", 2, "account_delete")];
        SessionControl::new(jobs.into_iter().map(job).collect(), vec!["seen".to_owned()])
    }

    fn calls(in_flight: u64, may_begin: bool) -> JobCalls {
        JobCalls { in_flight, may_begin, is_over: false }
    }

    const IDLE: [JobCalls; 3] = [JobCalls { in_flight: 0, may_begin: false, is_over: false }; 3];

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
            ControlStep::StoreEffect(AppliedInstruction { effect, .. }) => Some(effect.clone()),
            _ => None,
        };
        let ids = steps.iter().filter_map(|step| match step {
            ControlStep::StoreEffect(applied) => Some(applied.instruction.id.as_str()),
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
        assert_eq!(effects(&resumed), [("one resume", ControlEffect::NotPaused)]);
        let _ = steps(&mut control, "one", "pause", &IDLE);
        let again = control.apply(instruction("again", "one", "pause"), 8, &IDLE);
        assert_eq!(effects(&again), [("again", ControlEffect::AlreadyPaused)]);
        assert_eq!(control.pause(0).map(|pause| pause.since), Some(7));
        assert_eq!(control.apply(instruction("seen", "one", "drain"), 8, &IDLE), []);
        let other = control.apply(instruction("x", "other", "drain"), 8, &IDLE);
        assert_eq!((other.len(), effects(&other)), (1, vec![("x", ControlEffect::NotSending)]));
    }

    /// Sets a rate. Returns the calls per second of both commands of the job, and the rate in the answer that is in
    /// force instead.
    fn set(control: &mut SessionControl, (run, rate): (&str, u32), calls: &[JobCalls]) -> ([u32; 2], Option<u32>) {
        let steps = steps(control, run, &format!("rate {rate}"), calls);
        let [ControlStep::SetRate { rate: to, .. }, ControlStep::SetCaps { caps, .. }, _] = &steps[..] else {
            panic!("{steps:?}")
        };
        let (_, ControlEffect::Rate { to: answered, in_force, .. }) = effects(&steps).remove(0) else {
            panic!("{steps:?}")
        };
        assert_eq!((to.get(), answered), (rate, rate), "{run}");
        ([caps[0].get(), caps[1].get()], in_force)
    }

    #[test]
    fn a_command_keeps_the_lowest_rate_of_all_jobs_of_its_app_that_call_it() {
        let mut control = control();
        assert_eq!(set(&mut control, ("two", 20), &IDLE), ([20, 20], None));
        assert_eq!(set(&mut control, ("one", 90), &IDLE), ([90, 20], None), "job two still allows 20 lookups");
        assert_eq!(set(&mut control, ("three", 80), &IDLE), ([80, 60], None), "another app");
        let two_is_over = [IDLE[0], JobCalls { is_over: true, ..IDLE[1] }, IDLE[2]];
        assert_eq!(set(&mut control, ("one", 70), &two_is_over), ([70, 60], None));
        let above = steps(&mut control, "one", "rate 101", &IDLE);
        assert_eq!(effects(&above), [("one rate 101", ControlEffect::AboveLimit { limit: 100 })]);
        assert_eq!(above.len(), 1, "the rate does not change");
    }

    #[test]
    fn the_limits_rise_once_when_the_job_ends_that_kept_them_low() {
        let mut control = control();
        let _ = set(&mut control, ("two", 20), &IDLE);
        let _ = set(&mut control, ("one", 90), &IDLE);
        assert_eq!(control.raised_limits(&IDLE), []);
        let two_is_over = [IDLE[0], JobCalls { is_over: true, ..IDLE[1] }, IDLE[2]];
        let caps = |job, caps: [u32; 2]| ControlStep::SetCaps {
            job,
            caps: caps.map(|cap| NonZeroU32::new(cap).unwrap()).into(),
        };
        assert_eq!(control.raised_limits(&two_is_over), [caps(0, [90, 60]), caps(2, [100, 60])]);
        assert_eq!(control.raised_limits(&two_is_over), [], "they have risen");
        let all_are_over = IDLE.map(|calls| JobCalls { is_over: true, ..calls });
        assert_eq!(control.raised_limits(&all_are_over), []);
    }

    #[test]
    fn the_answer_names_the_rate_that_is_in_force_if_another_job_allows_fewer_changes() {
        let mut control = control();
        control.jobs[1].commands = control.jobs[0].commands.clone();
        assert_eq!(set(&mut control, ("two", 20), &IDLE), ([20, 20], None));
        assert_eq!(set(&mut control, ("one", 50), &IDLE), ([20, 20], Some(20)));
        let two_is_over = [IDLE[0], JobCalls { is_over: true, ..IDLE[1] }, IDLE[2]];
        assert_eq!(set(&mut control, ("one", 60), &two_is_over), ([60, 60], None));
    }
}

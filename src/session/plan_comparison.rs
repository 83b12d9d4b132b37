//! Compares what a session is about to send with the plan that was shown or confirmed before.

use jiff::Zoned;

use super::error::SessionError;
use crate::clock;
use crate::domain::plan_id::{PlanParts, plan_id};
use crate::domain::run_choice::Rerun;
use crate::domain::timestamp::local;
use crate::queue::Queue;
use crate::report::plan::Changes;
use crate::stderr::tell;

/// The plan with which each round of a session is compared.
#[derive(Debug)]
pub(super) struct PlanComparison {
    /// The id of the only plan that may be sent (`--plan`).
    required: Option<String>,
    /// The id of the plan of the first round.
    id: String,
    /// The plan of the last round; empty before the first.
    last_round: Vec<PlanParts>,
    /// Whether a person saw the plan and confirmed it.
    is_confirmed: bool,
}

impl PlanComparison {
    /// A comparison with the plan of `--plan`; without `--plan`, with the plan that was shown last.
    pub(super) fn new(required: Option<String>) -> Self {
        Self { required, id: String::new(), last_round: Vec::new(), is_confirmed: false }
    }

    /// Whether only the plan that was asked for or confirmed may be sent.
    pub(super) fn is_binding(&self) -> bool {
        self.is_confirmed || self.required.is_some()
    }

    /// The id of the plan of the first round, which the later rounds carry out as well.
    pub(super) fn plan_id(&self) -> &str {
        &self.id
    }

    /// Notes that a person confirms this plan of the round. What follows it must be unchanged. It may have fewer rows
    /// than before the question, which removes ids that were protected since.
    pub(super) fn confirm(&mut self, parts: Vec<PlanParts>) {
        self.is_confirmed = true;
        for part in parts {
            let shown = self.last_round.iter_mut().find(|shown| (&shown.job, shown.target) == (&part.job, part.target));
            *shown.unwrap_or_else(|| unreachable!("each job of the question is one of the round")) = part;
        }
        self.id = plan_id(&self.last_round);
    }

    /// Refuses any other plan than that of `--plan`. Without `--plan`, notes the differences from the last plan.
    pub(super) async fn check(
        &mut self,
        queue: &mut Queue,
        parts: Vec<PlanParts>,
        rerun: Rerun,
    ) -> Result<(), SessionError> {
        let is_first_round = self.last_round.is_empty();
        match &self.required {
            Some(asked) if is_first_round && *asked == plan_id(&parts) && parts.iter().any(PlanParts::sends) => {}
            Some(asked) if is_first_round => {
                let what = what_differs(queue, &parts, asked, rerun).await?;
                return Err(SessionError::OtherPlan { asked: asked.clone(), what });
            }
            // The older runs of the plan are finished. The rest must be unchanged.
            Some(asked) => {
                if let Some(what) = self.differs_from_rest(&parts) {
                    return Err(SessionError::OtherPlan { asked: asked.clone(), what });
                }
            }
            None if is_first_round => {
                for part in parts.iter().filter(|part| part.sends()) {
                    if let Some(note) = differs_from_last(queue, part, rerun).await? {
                        tell(note);
                    }
                }
            }
            None => match self.differs_from_rest(&parts) {
                Some(what) if self.is_confirmed => {
                    return Err(SessionError::ChangedSinceConfirmed { what });
                }
                Some(what) => tell(format!("note: {what}")),
                None => {}
            },
        }
        if is_first_round {
            self.id = plan_id(&parts);
        }
        self.last_round = parts;
        Ok(())
    }

    /// What differs from the rest of the plan after the older runs of the last round are finished.
    fn differs_from_rest(&self, parts: &[PlanParts]) -> Option<String> {
        let follows = |part: &PlanParts, planned: &PlanParts| {
            // Which rows are carried over is known only when the older run is finished. The plan said so.
            let carried = if planned.continues.is_empty() { &planned.carried } else { &part.carried };
            let continues = planned.continues.iter().skip(1).cloned().collect();
            *part == PlanParts { continues, carried: carried.clone(), ..planned.clone() }
        };
        let other = parts.iter().find(|part| !self.last_round.iter().any(|planned| follows(part, planned)))?;
        Some(format!("{}: the input or the job changed while the older run was finished", other.job))
    }
}

/// The differences from the last plan, if one was shown since the last run.
pub(super) async fn changes(
    queue: &mut Queue,
    parts: &PlanParts,
    rerun: Rerun,
) -> Result<Option<Changes>, SessionError> {
    let Some((shown_at, earlier)) = last_shown(queue, parts).await? else {
        return Ok(None);
    };
    let other_version = "it was made by another version of imbulk";
    let differences = earlier.map_or_else(|| vec![other_version], |earlier| parts.differences(&earlier, rerun));
    Ok(Some(Changes { shown_at, differences }))
}

/// When the last plan of the job was shown, and its parts. The parts are none if another version of imbulk wrote them.
async fn last_shown(queue: &mut Queue, parts: &PlanParts) -> Result<Option<(Zoned, Option<PlanParts>)>, SessionError> {
    let shown = queue.shown_plan(&parts.job, parts.target).await?;
    let zone = clock::local_now().time_zone().clone();
    Ok(shown.map(|shown| (local(shown.shown_at, &zone), serde_json::from_str(&shown.parts).ok())))
}

/// A note about the differences from the last plan; none if there are none.
async fn differs_from_last(queue: &mut Queue, parts: &PlanParts, rerun: Rerun) -> Result<Option<String>, SessionError> {
    let changes = changes(queue, parts, rerun).await?.filter(|changes| !changes.differences.is_empty());
    let line = |changes: Changes| changes.line(&clock::local_now());
    Ok(changes.map(|changes| format!("note: {}: not as planned: last plan {}", parts.job, line(changes))))
}

/// Why the current plan is not the one with the id `asked`.
async fn what_differs(queue: &mut Queue, all: &[PlanParts], asked: &str, rerun: Rerun) -> Result<String, SessionError> {
    if !all.iter().any(PlanParts::sends) {
        return Ok("nothing is left to be sent".to_owned());
    }
    let (mut shown, mut said) = (Vec::new(), Vec::new());
    for parts in all {
        let Some(earlier) = last_shown(queue, parts).await?.and_then(|(_, earlier)| earlier) else { continue };
        said.extend(parts.differences(&earlier, rerun).into_iter().map(|what| format!("{}: {what}", parts.job)));
        shown.push(earlier);
    }
    if plan_id(&shown) == asked {
        return Ok(said.join("; "));
    }
    Ok(format!("what would be sent now is plan {}", plan_id(all)))
}

/// Stores that `plan` showed these parts of a plan.
pub(super) async fn store_shown(queue: &mut Queue, parts: &PlanParts) -> Result<(), SessionError> {
    let text = serde_json::to_string(parts).expect("strings and numbers are JSON");
    Ok(queue.store_plan(&parts.job, parts.target, &text, clock::now().as_millisecond()).await?)
}

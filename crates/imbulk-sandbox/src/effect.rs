//! The effect of a call on the world.

use crate::answer::{MockAnswer, MockItem};
use crate::commands::{Access, AnswerForm, Command, Found};
use crate::refusal::Refusal;
use crate::request::ParsedRequest;
use crate::world::{Extent, World};

/// What a call does to one of its items.
#[derive(Debug)]
pub(crate) enum ItemEffect {
    /// All of it. A read-only command looks the item up.
    Written,
    /// Nothing, and the answer says so.
    Spared(Refusal),
    /// A part of it, and the answer says so.
    Half(Refusal),
}

/// Carries out a request at once, each item with its own effect. Also returns how many items were written in full.
pub(crate) fn apply(
    world: &mut World,
    command: Command,
    request: &ParsedRequest,
    effect: impl Fn(usize) -> ItemEffect,
) -> (MockAnswer, u64) {
    if request.owner.as_ref().is_some_and(|owner| !world.exists(owner.key)) {
        return (MockAnswer::Refused(Refusal::new(30003)), 0);
    }
    let mut written = 0;
    let mut results = Vec::with_capacity(request.items.len());
    for (index, item) in request.items.iter().enumerate() {
        results.push(match (command.definition().access, effect(index)) {
            (_, ItemEffect::Spared(refusal)) => Err(refusal),
            // A lookup has no effect that could be a half one.
            (Access::Read(look_up), ItemEffect::Written | ItemEffect::Half(_)) => look_up(world, request, item),
            (Access::Write(write), ItemEffect::Written) => {
                write(world, request, item, Extent::Full).inspect(|()| written += 1).map(|()| Found::default())
            }
            // An item that cannot be written at all is refused for that.
            (Access::Write(write), ItemEffect::Half(refusal)) => {
                write(world, request, item, Extent::Half).and(Err(refusal))
            }
        });
    }
    let answer = match command.definition().answer {
        AnswerForm::Items(_) | AnswerForm::Failures(_) => {
            let ids = request.item_ids().into_iter();
            MockAnswer::Items(ids.zip(results).map(|(id, result)| answer_item(id, result)).collect())
        }
        AnswerForm::Whole => results.into_iter().find_map(Result::err).map_or(MockAnswer::Done, MockAnswer::Refused),
    };
    (answer, written)
}

fn answer_item(id: &str, result: Result<Found, Refusal>) -> MockItem {
    result.map_or_else(|refusal| MockItem::refused(id, refusal), |info| MockItem { info, ..MockItem::ok(id) })
}

#[cfg(test)]
mod tests;

//! Settles the parts one by one: equals aside, the others into requests.

use super::group::Group;
use super::pack::Packer;
use super::partition::Partitions;
use super::{Closed, IntakeError, Out, Output, Plan};
use crate::domain::skipped_row::SkipReason;

/// Settles all that waits; gives the number of rows in requests, and of items found.
pub(super) fn settle<S>(plan: &Plan<'_>, waiting: Partitions<'_>, out: &mut Out<S>) -> Result<(u64, u64), IntakeError>
where
    S: FnMut(Output) -> Result<(), Closed>,
{
    let mut settling = Settling { group: Group::new(), packer: Packer::new(plan), items: 0, out };
    settling.all(waiting)?;
    if let Some(last) = settling.packer.finish()? {
        settling.out.request(last)?;
    }
    Ok((settling.packer.rows(), settling.items))
}

/// The packer lives through all parts: where items of any lane go together, or a lane was torn apart, the last
/// batch of one part is filled up from the next.
struct Settling<'s, S> {
    group: Group,
    packer: Packer,
    items: u64,
    out: &'s mut Out<S>,
}

impl<S: FnMut(Output) -> Result<(), Closed>> Settling<'_, S> {
    /// Calls itself for parts that were too large; `split` bounds how deep.
    fn all(&mut self, mut parts: Partitions<'_>) -> Result<(), IntakeError> {
        parts.close()?;
        for index in 0..parts.count() {
            match parts.split(index)? {
                Some(smaller) => self.all(smaller)?,
                None => self.part(&mut parts, index)?,
            }
        }
        Ok(())
    }

    fn part(&mut self, parts: &mut Partitions<'_>, index: usize) -> Result<(), IntakeError> {
        let Self { group, packer, items, out } = self;
        group.clear();
        let mut last = 0;
        parts.drain(index, |block| {
            last = group.rows(block, last, |record, of| out.skip_record(record, SkipReason::Duplicate { of }))?;
            Ok(())
        })?;
        *items += group.item_count();
        for item in group.items() {
            if let Some(full) = packer.item(item)? {
                out.request(full)?;
            }
        }
        Ok(())
    }
}

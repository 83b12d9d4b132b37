//! Processes the parts one by one: equal rows are skipped, the others go into requests.

use super::packer::Packer;
use super::part_index::PartIndex;
use super::partition::Partitions;
use super::{CountingSink, IntakeError, IntakeOptions, IntakeOutput, SinkClosed};
use crate::domain::request::skipped_row::SkipReason;

/// Processes all waiting rows. Returns the number of rows in requests, and of items.
pub(super) fn finish<S>(
    options: &IntakeOptions<'_>,
    waiting: Partitions<'_>,
    out: &mut CountingSink<S>,
) -> Result<(u64, u64), IntakeError>
where
    S: FnMut(IntakeOutput) -> Result<(), SinkClosed>,
{
    let mut finisher = Finisher { part_index: PartIndex::new(), packer: Packer::new(options), items: 0, out };
    finisher.all(waiting)?;
    if let Some(last) = finisher.packer.finish()? {
        finisher.out.request(last)?;
    }
    Ok((finisher.packer.rows(), finisher.items))
}

/// One packer serves all parts. If a request may hold items of any group, or a group was divided, the last request of
/// one part is filled from the next.
struct Finisher<'s, S> {
    part_index: PartIndex,
    packer: Packer,
    items: u64,
    out: &'s mut CountingSink<S>,
}

impl<S: FnMut(IntakeOutput) -> Result<(), SinkClosed>> Finisher<'_, S> {
    /// Recurses into parts that were too large. `split` bounds the depth.
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
        let Self { part_index, packer, items, out } = self;
        part_index.clear();
        let mut last = 0;
        parts.drain(index, |block| {
            last = part_index.rows(block, last, |waiting, of| out.skip_row(waiting, SkipReason::Duplicate { of }))?;
            Ok(())
        })?;
        *items += part_index.item_count();
        for item in part_index.items() {
            if let Some(full) = packer.item(item)? {
                out.request(full)?;
            }
        }
        Ok(())
    }
}

//! Stores which rows a run takes over from an earlier one.

use std::collections::BTreeMap;

use super::loader::Loader;
use crate::domain::ids::RequestId;
use crate::queue::error::QueueError;
use crate::queue::run_state::CarrySource;
use crate::queue::sqlite::reader::Snapshot;
use crate::queue::sqlite::runs::input_files;

/// The numbers that the files of the earlier run have in the new one.
pub type CarriedFiles = BTreeMap<u32, u32>;

impl Loader<'_> {
    /// Stores which rows the run takes over. They must then be the first rows of its input, in the sequence of
    /// [`Snapshot::carried_page`]. Their files get numbers from `first_file` on.
    pub async fn carry(
        &mut self,
        snapshot: &mut Snapshot,
        source: &CarrySource,
        first_file: u32,
    ) -> Result<CarriedFiles, QueueError> {
        let (mut after, mut left_behind) = (RequestId::BEFORE_FIRST, 0);
        let mut rows_of: BTreeMap<u32, u64> = BTreeMap::new();
        while let Some(page) = snapshot.carried_page(source, &mut after).await? {
            left_behind += page.left_behind;
            page.rows.iter().for_each(|row| *rows_of.entry(row.source).or_default() += 1);
            for insert in self.gathering.carry(source.run.id, &page.rows) {
                self.writer.insert(insert).await?;
            }
        }
        let files = snapshot.input_files(source.run.id).await?;
        let mut numbers = CarriedFiles::new();
        for (number, (earlier, rows)) in (first_file..).zip(rows_of) {
            let file = usize::try_from(earlier).ok().and_then(|at| files.get(at));
            let file = file.ok_or_else(|| QueueError::Damaged(format!("run {} lost a file", source.run.uuid)))?;
            let (name, from) = match &file.carried_from {
                Some(from) => (file.name.clone(), from),
                None => (format!("{} (run {})", file.name, source.run.uuid), &source.run.uuid),
            };
            let (fail, run) = (self.writer.queue.fail(), self.writer.run);
            let connection = &mut self.writer.queue.connection;
            input_files::insert_carried(connection, (run, number.into()), &name, rows, from).await.map_err(fail)?;
            numbers.insert(earlier, number);
        }
        self.gathering.carried_from(source, left_behind);
        Ok(numbers)
    }
}

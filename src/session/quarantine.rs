//! The quarantine of calls that a killed process left in flight, for commands that change requests without sending.

use crate::domain::schedule::QUARANTINE;
use crate::queue::{QueueError, Reader, Run};

/// Waits until the calls that a killed process left in flight for these runs have ended at the server. What is removed
/// from a request keeps no account leased any more, so that another request could write the account at once.
pub async fn until_calls_have_ended(reader: &Reader, runs: &[Run]) -> Result<(), QueueError> {
    for run in runs {
        if reader.sending_items(run.id).await? > 0 {
            tokio::time::sleep(QUARANTINE).await;
            break;
        }
    }
    Ok(())
}

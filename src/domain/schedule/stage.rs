//! The stages of a request, and how many requests of a job are in each.

/// Where a request is on its way from the queue to its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// In the queue only.
    Stored,
    /// In the queue, and its number in memory, because one of its accounts is busy.
    Parked,
    /// Found `sending` at the start, and in quarantine: the server may still be working on a call of an earlier runner.
    Recovered,
    /// Waits for the end of its delay.
    BackingOff,
    /// Waits for the lease of its accounts.
    AwaitingLease,
    /// Has its lease and waits for its turn.
    Ready,
    /// Its intent is being stored.
    Intending,
    /// Waits for a slot.
    AwaitingSlot,
    /// Its bytes have left.
    InFlight,
    /// Its intent is being taken back.
    Withdrawing,
    /// Its result waits to be stored, or is being stored.
    Recording,
}

impl Stage {
    const COUNT: usize = Self::Recording as usize + 1;

    /// From the intent to the slot.
    const BEFORE_SENT: [Self; 3] = [Self::Intending, Self::AwaitingSlot, Self::Withdrawing];
    /// From the first byte to the stored result.
    const SENT: [Self; 2] = [Self::InFlight, Self::Recording];

    const fn is_in_memory(self) -> bool {
        !matches!(self, Self::Stored | Self::Parked)
    }

    /// Whether a request can be new here: loaded, and without an answer in this session.
    const fn can_be_new(self) -> bool {
        match self {
            Self::AwaitingLease
            | Self::Ready
            | Self::Intending
            | Self::AwaitingSlot
            | Self::InFlight
            | Self::Withdrawing => true,
            Self::Stored | Self::Parked | Self::Recovered | Self::BackingOff | Self::Recording => false,
        }
    }
}

/// What is counted of the requests in one stage.
#[derive(Debug, Clone, Copy, Default)]
struct StageFigures {
    requests: usize,
    items: usize,
    new: usize,
}

/// The requests of a job by stage.
#[derive(Debug, Default)]
pub(super) struct StageCounts([StageFigures; Stage::COUNT]);

impl StageCounts {
    /// Counts a request of `items` items that moves from one stage to another. `is_new`: it has had no answer yet.
    pub(super) fn moved(&mut self, from: Stage, to: Stage, items: usize, is_new: bool) {
        if from != Stage::Stored {
            let figures = &mut self.0[from as usize];
            figures.requests -= 1;
            figures.items -= if from.is_in_memory() { items } else { 0 };
            figures.new -= usize::from(is_new && from.can_be_new());
        }
        if to != Stage::Stored {
            let figures = &mut self.0[to as usize];
            figures.requests += 1;
            figures.items += if to.is_in_memory() { items } else { 0 };
            figures.new += usize::from(is_new && to.can_be_new());
        }
    }

    /// Requests that the queue has given to this session and that have no outcome yet.
    pub(super) fn total(&self) -> usize {
        self.0.iter().map(|figures| figures.requests).sum()
    }

    pub(super) fn in_memory(&self) -> usize {
        self.total() - self.parked()
    }

    pub(super) fn items_in_memory(&self) -> usize {
        self.0.iter().map(|figures| figures.items).sum()
    }

    pub(super) fn requests(&self, stage: Stage) -> usize {
        self.0[stage as usize].requests
    }

    pub(super) fn parked(&self) -> usize {
        self.0[Stage::Parked as usize].requests
    }

    /// New requests in any stage.
    pub(super) fn new_requests(&self) -> usize {
        self.0.iter().map(|figures| figures.new).sum()
    }

    /// New requests with their lease of which no byte has left.
    pub(super) fn new_and_not_sent(&self) -> usize {
        let before_sent = Stage::BEFORE_SENT.iter().map(|stage| self.0[*stage as usize].new).sum::<usize>();
        self.new_and_ready() + before_sent
    }

    pub(super) fn new_and_ready(&self) -> usize {
        self.0[Stage::Ready as usize].new
    }

    /// Requests with a stored or requested intent, of which no byte has left.
    pub(super) fn before_sent(&self) -> usize {
        Stage::BEFORE_SENT.iter().map(|stage| self.0[*stage as usize].requests).sum()
    }

    /// Requests whose bytes have left and whose result is not on disk.
    pub(super) fn sent(&self) -> usize {
        Stage::SENT.iter().map(|stage| self.0[*stage as usize].requests).sum()
    }

    /// Requests from their intent to their stored result.
    pub(super) fn under_way(&self) -> usize {
        self.before_sent() + self.sent()
    }

    /// Items of requests from their intent to their stored result.
    pub(super) fn items_under_way(&self) -> usize {
        let stages = Stage::BEFORE_SENT.iter().chain(&Stage::SENT);
        stages.map(|stage| self.0[*stage as usize].items).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_in_one_stage_and_nowhere_once_it_is_stored_again() {
        let mut counts = StageCounts::default();
        counts.moved(Stage::Stored, Stage::Parked, 7, true);
        assert_eq!((counts.total(), counts.in_memory(), counts.items_in_memory(), counts.new_requests()), (1, 0, 0, 0));
        counts.moved(Stage::Parked, Stage::Ready, 7, true);
        assert_eq!((counts.in_memory(), counts.items_in_memory(), counts.new_and_ready()), (1, 7, 1));
        counts.moved(Stage::Ready, Stage::Intending, 7, true);
        assert_eq!((counts.before_sent(), counts.sent(), counts.new_requests()), (1, 0, 1));
        counts.moved(Stage::Intending, Stage::AwaitingSlot, 7, true);
        assert_eq!(counts.new_and_not_sent(), 1);
        counts.moved(Stage::AwaitingSlot, Stage::InFlight, 7, true);
        assert_eq!((counts.new_and_not_sent(), counts.new_requests()), (0, 1));
        counts.moved(Stage::InFlight, Stage::Recording, 7, true);
        assert_eq!(
            (counts.before_sent(), counts.sent(), counts.items_under_way(), counts.new_requests()),
            (0, 1, 7, 0)
        );
        counts.moved(Stage::Recording, Stage::Stored, 7, false);
        assert_eq!((counts.total(), counts.under_way(), counts.items_in_memory()), (0, 0, 0));
    }
}

//! Whether the endpoint can be reached and takes our signature.

use std::time::Duration;

use super::event::{Now, StopReason};

/// An endpoint that can't be reached for so long halts the run: longer than a router takes to restart.
const PATIENCE: Duration = Duration::from_mins(2);
/// One attempt to reach it in so long.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What is known of the endpoint.
#[derive(Debug, Default)]
pub(super) struct Health {
    outage: Option<Outage>,
    /// The latest generation of UserSig that was refused.
    refused: Option<u64>,
}

#[derive(Debug)]
struct Outage {
    since: Now,
    probe_at: Now,
    reason: String,
}

/// What a refused signature means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is the first one: a new one may help.
    First,
    /// A signature that was replaced since.
    Known,
    /// The new one is refused, too.
    Again,
}

impl Health {
    /// The API answered and took the signature of this generation.
    pub(super) fn alive(&mut self, generation: u64) {
        self.outage = None;
        if self.refused.is_some_and(|refused| refused < generation) {
            self.refused = None;
        }
    }

    /// Something took the request, whatever became of it.
    pub(super) fn reached(&mut self) {
        self.outage = None;
    }

    /// The API refused the signature of this generation.
    pub(super) fn signature_refused(&mut self, generation: u64) -> Refusal {
        self.outage = None;
        match self.refused {
            Some(refused) if generation <= refused => Refusal::Known,
            Some(_) => Refusal::Again,
            None => {
                self.refused = Some(generation);
                Refusal::First
            }
        }
    }

    /// The endpoint could not be reached. Says whether patience is at its end.
    pub(super) fn not_reached(&mut self, now: Now, reason: String) -> Option<StopReason> {
        let since = self.outage.as_ref().map_or(now, |outage| outage.since);
        let lasted = now.saturating_sub(since);
        if lasted >= PATIENCE {
            return Some(StopReason::Unreachable { seconds: lasted.as_secs(), reason });
        }
        self.outage = Some(Outage { since, probe_at: now + PROBE_EVERY, reason });
        None
    }

    /// Whether something may be sent, when so many requests are under way: in an outage one at a time.
    pub(super) fn may_send(&self, now: Now, active: usize) -> bool {
        self.outage.as_ref().is_none_or(|outage| active == 0 && now >= outage.probe_at)
    }

    /// When the next probe is due.
    pub(super) fn wake_at(&self) -> Option<Now> {
        self.outage.as_ref().map(|outage| outage.probe_at)
    }

    /// Since when, and why.
    pub(super) fn unreachable(&self) -> Option<(Now, &str)> {
        self.outage.as_ref().map(|outage| (outage.since, outage.reason.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_outage_lets_one_probe_through_at_a_time_and_ends_with_patience() {
        let mut health = Health::default();
        assert!(health.may_send(Now::ZERO, 10));
        assert_eq!(health.not_reached(SECOND, "refused".into()), None);
        assert!(!health.may_send(SECOND, 0));
        assert!(health.may_send(2 * SECOND, 0));
        assert!(!health.may_send(2 * SECOND, 1));
        assert_eq!(health.not_reached(100 * SECOND, "refused".into()), None);
        let stop = health.not_reached(121 * SECOND, "refused".into());
        assert_eq!(stop, Some(StopReason::Unreachable { seconds: 120, reason: "refused".into() }));
    }

    #[test]
    fn any_sign_of_life_ends_an_outage() {
        let mut health = Health::default();
        assert_eq!(health.not_reached(SECOND, "refused".into()), None);
        health.reached();
        assert!(health.may_send(SECOND, 5));
        assert_eq!(health.not_reached(200 * SECOND, "refused".into()), None, "a new outage has its own patience");
    }

    #[test]
    fn a_signature_is_renewed_once_and_again_only_after_one_was_taken() {
        let mut health = Health::default();
        assert_eq!(health.signature_refused(0), Refusal::First);
        assert_eq!(health.signature_refused(0), Refusal::Known);
        assert_eq!(health.signature_refused(1), Refusal::Again);
        health.alive(0);
        assert_eq!(health.signature_refused(1), Refusal::Again, "an old answer says nothing of the new one");
        health.alive(1);
        assert_eq!(health.signature_refused(1), Refusal::First);
    }
}

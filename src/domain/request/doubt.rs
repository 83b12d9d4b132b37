//! Whether an earlier call may have taken effect.

/// Whether an earlier call may have taken effect although no answer says so. A doubt is never withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Doubt {
    /// Every earlier call was answered for certain, or none was made.
    #[default]
    None,
    /// In the answer to one of them, the server reported a time-out of its own. A later "already done" may be the
    /// effect of that call.
    TimedOut,
    /// One was sent, and no answer says for certain whether it took effect.
    EffectUnknown,
}

impl Doubt {
    /// All of them; their places are their numbers in the queue.
    pub const ALL: [Self; 3] = [Self::None, Self::TimedOut, Self::EffectUnknown];

    /// Its number in the queue.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The doubt with this number.
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|doubt| doubt.number() == number)
    }
}

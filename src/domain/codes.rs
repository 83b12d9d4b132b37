//! What the codes of the API mean and how each is treated.

/// Where in an answer a code stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `ErrorCode`: the verdict on the whole request.
    Request,
    /// `ResultCode`: the verdict on one item.
    Item,
}

/// How a code is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The API did it.
    Done,
    /// The state asked for was there.
    AlreadyDone,
    /// Passes by itself: again after a random, growing delay; counts as an attempt.
    Transient(Effect),
    /// Another write held the account: again, while nothing else is sent for it; counts as an attempt.
    Conflict,
    /// Too fast: everything within the scope slows down; counts as no attempt.
    Throttled(Scope),
    /// The UserSig is used up: a new one, once.
    Renew,
    /// The whole batch was refused for what may be one bad item: halves, until it stands alone; then failed.
    Split,
    /// The API's final no to this item.
    ItemFailed,
    /// Nothing of this job can succeed: nothing more is sent, work stays pending.
    Fatal,
    /// In no table that we know: fails the item, counted apart, never taken for success.
    Unknown,
}

/// Whether an attempt that ended in a transient code may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The server said that it failed.
    None,
    /// The server itself ran into a time-out, so it doesn't know.
    Unknown,
}

/// What slows down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Calls of this command.
    Command,
    /// Everything that the app is sent.
    App,
}

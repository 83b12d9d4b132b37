//! What a command comes to, for scripts.

use std::process::ExitCode;

/// The exit codes; scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done; every row succeeded, was already done, duplicate or protected.
    Done,
    /// Done, with failed, in_doubt or rejected rows.
    DoneWithFailures,
    /// Stopped by a signal or a deadline, work left: run again.
    Stopped,
    /// Halted by a fatal code, a guard or the fuse, work left.
    Halted,
    /// Another runner holds the queue.
    Held,
    /// Usage, job file or input unusable.
    Unusable,
    /// Internal or I/O error.
    Internal,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Unusable => 2,
            Self::DoneWithFailures => 3,
            Self::Halted => 4,
            Self::Stopped => 5,
            Self::Held => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

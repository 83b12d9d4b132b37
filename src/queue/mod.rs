//! The queue: one file that contains every row of every run.
//!
//! # Invariants
//!
//! - One process at a time owns a queue ([`Queue`], by a kernel lock). Any number of processes can read it
//!   ([`Reader`]).
//! - Every change is one transaction, and it is durable when the call returns.
//! - A change that finds an unexpected state, or a table row with a wrong checksum, is refused.
//! - The number of a run's rows by outcome always adds up to the number of rows that were read.
//!
//! The files of this folder describe runs, requests and outcomes without a storage engine. The folder `sqlite` stores
//! them; another store would be a folder beside it.

mod approval;
mod carried;
mod certificate;
mod control_file;
mod error;
mod figures_of_run;
mod input_file;
mod largest_accounts;
mod load_totals;
mod path;
mod row_outcome;
mod run_state;
mod selection;
mod shown_plan;
mod sqlite;
mod stored_session;
mod used_file;
mod verification;

pub use approval::StoredApproval;
pub use carried::{CarriedOver, CarriedPage, CarriedRow, StoredCarry};
pub use certificate::StoredCertificate;
pub use control_file::ControlFile;
pub use error::{Cause, FailureKind, Loss, QueueError, StoreFailure};
pub use figures_of_run::{CodeRows, ManyCalls, Rejected, RepeatedRows, RowPlace};
pub use input_file::InputFile;
pub use largest_accounts::LargeAccount;
pub use path::{folder_of, resolve};
pub use row_outcome::{Original, RowOutcome, SkippedResult};
pub use run_state::{CarrySource, Forgotten, KILLED, NewRun, Run, RunState};
pub use selection::{CarriedAway, FirstItems, Retried, RetrySelection};
pub use shown_plan::ShownPlan;
pub use sqlite::busy::Busy;
pub use sqlite::file::free_space::{disk_space, free_bytes};
pub use sqlite::file::identity::Identity;
pub use sqlite::load::batch_insert::{BatchInsert, Gathering};
pub use sqlite::load::carry::CarriedFiles;
pub use sqlite::load::loader::{Loader, Writer};
pub use sqlite::read::row_results::RequestResult;
pub use sqlite::reader::{Reader, Snapshot};
pub use sqlite::store::Queue;
pub use stored_session::StoredSession;
pub use used_file::{FileKind, UsedFile};
pub use verification::{Verification, VerifiedReason, VerifiedRow, VerifySample, VerifySelection};

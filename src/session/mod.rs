//! A session: finds the runs of the jobs, drives them and closes them.
//!
//! The steps, each in its own file: choose the run (`outlook`), compare it with the plan that was shown
//! (`plan_comparison`), load it or reuse it (`load_or_reuse`), ask the guards (`guards`), check the approval
//! (`approval`), confirm (`confirm`), drive (`drive`), close (`close`). `plan` takes the same steps up to the guards.

mod approval;
mod apps;
mod close;
mod confirm;
mod conformance;
mod digests;
mod doctor;
mod drive;
mod error;
mod events;
mod figures;
mod forget;
mod guards;
mod history;
mod identity;
mod job_input;
mod jobs;
mod load_or_reuse;
mod named_run;
mod open_queue;
mod outlook;
mod own_input;
mod person;
mod plan;
mod plan_comparison;
mod progress_display;
mod quarantine;
mod run_log;
mod run_options;
mod run_report;
mod service_manager;
mod session_run;
mod session_start;
mod target;
mod target_settings;
mod until_signal;
mod verification;

pub use conformance::{Consent, conformance};
pub use doctor::{Examined, examine};
pub use drive::run;
pub use error::SessionError;
pub use figures::{detail, overview};
pub use forget::{ForgetSelection, confirm_forget, refuse_forgotten, select_to_forget};
pub use history::history;
pub use identity::{credentials, identity};
pub use jobs::{load as load_jobs, results_of};
pub use named_run::{find, find_controlled, run_with_id};
pub use own_input::{OwnInput, own_input};
pub use person::Person;
pub use plan::{Planned, plan};
pub(crate) use progress_display::{StepDisplay, only_time};
pub use quarantine::until_calls_have_ended;
pub use run_log::RunLog;
pub use run_options::RunOptions;
pub use run_report::run_report;
pub use service_manager::ServiceManager;
pub use until_signal::until_signal;
pub use verification::{VerifyOptions, verify};

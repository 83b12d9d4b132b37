//! What a session stores when it begins to send a run.

use super::error::SessionError;
use super::job_input::JobInput;
use super::person::Person;
use crate::domain::session_start::{DailyLimit, SessionStart};
use crate::domain::time_limit::TimeOfDayLimit;
use crate::queue::{Queue, Run};

impl JobInput {
    /// Who begins to send this run, with which limits and guards.
    pub(super) async fn session_start(
        &self,
        queue: &Queue,
        run: &Run,
        plan: String,
    ) -> Result<SessionStart, SessionError> {
        let Person { user, host, pid } = Person::here();
        let (guard, stop) = (&self.job.guard, &self.job.stop);
        let daily = self.job.times.daily.as_ref().map(|limit| match limit {
            TimeOfDayLimit::Until(time) => DailyLimit::Until(time.to_string()),
            TimeOfDayLimit::Window(window) => DailyLimit::Window(window.to_string()),
        });
        Ok(SessionStart {
            user,
            host,
            pid,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            plan,
            daily,
            max_runtime: self.job.times.max_runtime,
            calls_per_second: self.calls_per_second(run),
            app_calls_per_second: self.job.limits.app_calls_per_second,
            guards: self.read_guards(queue, run).await?,
            protected_ids: self.protected.ids() as u64,
            protected_patterns: self.protected.patterns() as u64,
            canary: guard.canary_on(self.target.is_real()),
            failed_share: stop.failed_share,
            max_already_done: guard.max_already_done,
            after_items: stop.after_items,
            hold: guard.hold,
            unless_online: guard.unless_online,
        })
    }
}

//! Notifications of a run: pings of a monitoring service, and a command of the user.
//!
//! A notification never changes the exit code. If it fails, or is not done within [`LIMIT`], there is a warning. The
//! ping of the end waits for that of the start, so that they delay the end of a command by at most twice that time.

mod command;

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::{PingKind, PingUrl, Proxies};
use crate::domain::hint::{Hint, Message};
use crate::report::job_result::JobResult;
use crate::report::notification::{Notification, ping_text};
use crate::stderr::tell;
use command::UserCommand;

/// The time that each notification has.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The notifications of a command.
#[derive(Debug)]
pub struct Notifier {
    proxies: Arc<Proxies>,
    /// Variables of the environment that the commands of the user do not get.
    secrets: Vec<String>,
    /// For each job, the ping of its start, which may not have arrived yet.
    started: Vec<JoinSet<()>>,
}

impl Notifier {
    /// Reports the start, without waiting.
    pub fn start(jobs: &[JobResult], proxies: Proxies, secrets: Vec<String>) -> Self {
        let proxies = Arc::new(proxies);
        let start = |job: &JobResult| {
            let pings = ping_url(job).map(|url| ping(url, PingKind::Start, String::new(), Arc::clone(&proxies)));
            pings.into_iter().map(|ping| within(LIMIT, "notify.ping", ping)).collect()
        };
        let started = jobs.iter().map(start).collect();
        Self { proxies, secrets, started }
    }

    /// Reports the end of the jobs that were given at the start. Returns when each notification is done, or its time is
    /// over.
    pub async fn end(self, notifications: Vec<(&JobResult, Notification)>) {
        let Self { proxies, secrets, started } = self;
        let mut running = JoinSet::new();
        for ((job, notification), started) in notifications.into_iter().zip(started) {
            if let Some(url) = ping_url(job) {
                let failure = PingKind::Failure(notification.exit_code);
                let kind = if notification.success { PingKind::Success } else { failure };
                let ping = ping(url, kind, ping_text(job), Arc::clone(&proxies));
                running.spawn(after(started, within(LIMIT, "notify.ping", ping)));
            }
            if let Some(command) = UserCommand::of(&job.notify, &secrets) {
                let json = serde_json::to_vec(&notification).expect("texts and numbers are JSON");
                running.spawn(within(LIMIT, "notify.command", async move {
                    warn("notify.command", command.run(json).await);
                }));
            }
        }
        running.join_all().await;
    }
}

/// The ping of the end, once that of the start is done: the service must not receive them in the other sequence.
async fn after(started: JoinSet<()>, ping: impl Future<Output = ()>) {
    started.join_all().await;
    ping.await;
}

/// Waits for a notification until its time is over. A command that has not ended is killed then.
async fn within(limit: Duration, key: &str, notification: impl Future<Output = ()>) {
    if timeout(limit, notification).await.is_err() {
        let what = format!("a notification was not done within {} s", limit.as_secs());
        warn(key, Err(Message::new(what).add_hint("check the server and the command of [notify]")));
    }
}

async fn ping(url: PingUrl, kind: PingKind, body: String, proxies: Arc<Proxies>) {
    let mut sent = url.send(kind, body.clone(), &proxies).await;
    if sent.is_err() {
        // A lost ping would be a false alarm.
        sent = url.send(kind, body, &proxies).await;
    }
    let failed =
        |why| Message::new(format!("{url}: {why}")).add_hint("check the URL, the network and the proxy variables");
    warn("notify.ping", sent.map_err(failed));
}

/// The job file was checked when it was read.
fn ping_url(job: &JobResult) -> Option<PingUrl> {
    job.notify.ping.as_ref()?.expose_secret().parse().ok()
}

fn warn(key: &str, done: Result<(), Message>) {
    if let Err(Message { text, hint }) = done {
        let warning = Message { text: format!("{key}: {text}; the exit code does not change"), hint };
        tell(warning.with_hint());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_ping_of_the_start_that_never_ends_leaves_that_of_the_end_its_own_time() {
        let limit = Duration::from_millis(1);
        let mut started = JoinSet::new();
        started.spawn(within(limit, "notify.ping", std::future::pending()));
        let arrived = Arc::new(AtomicBool::new(false));
        let ping = Arc::clone(&arrived);
        after(started, within(limit, "notify.ping", async move { ping.store(true, Ordering::Relaxed) })).await;
        assert!(arrived.load(Ordering::Relaxed));
    }
}

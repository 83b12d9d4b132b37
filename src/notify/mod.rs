//! Notifications of a run: pings of a monitoring service, and a command of the user.
//!
//! A notification never changes the exit code, and it delays the end of a command by at most [`LIMIT`]. If it fails,
//! there is a warning.

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

/// The time that the notifications at the end of a command have together.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The notifications of a command.
#[derive(Debug)]
pub struct Notifier {
    proxies: Arc<Proxies>,
    /// Variables of the environment that the commands of the user do not get.
    secrets: Vec<String>,
    /// The pings of the start, which may not have arrived yet.
    started: JoinSet<()>,
}

impl Notifier {
    /// Reports the start, without waiting.
    pub fn start(jobs: &[JobResult], proxies: Proxies, secrets: Vec<String>) -> Self {
        let proxies = Arc::new(proxies);
        let mut started = JoinSet::new();
        for url in jobs.iter().filter_map(ping_url) {
            started.spawn(ping(url, PingKind::Start, String::new(), Arc::clone(&proxies)));
        }
        Self { proxies, secrets, started }
    }

    /// Reports the end. Returns when all notifications are done, or after [`LIMIT`].
    pub async fn end(mut self, notifications: Vec<(&JobResult, Notification)>) {
        let mut started = std::mem::take(&mut self.started);
        let mut ended = JoinSet::new();
        let all = async {
            // The service must not receive the start after the end.
            while started.join_next().await.is_some() {}
            for (job, notification) in notifications {
                self.notify(job, &notification, &mut ended);
            }
            while ended.join_next().await.is_some() {}
        };
        if timeout(LIMIT, all).await.is_err() {
            let what = format!("a notification was not done within {} s", LIMIT.as_secs());
            warn("notify", Err(Message::new(what).add_hint("check the server and the command of [notify]")));
        }
        // A command that has not ended is killed with its JoinSet, before the process ends.
        started.shutdown().await;
        ended.shutdown().await;
    }

    fn notify(&self, job: &JobResult, notification: &Notification, running: &mut JoinSet<()>) {
        if let Some(url) = ping_url(job) {
            let failure = PingKind::Failure(notification.exit_code);
            let kind = if notification.success { PingKind::Success } else { failure };
            running.spawn(ping(url, kind, ping_text(notification), Arc::clone(&self.proxies)));
        }
        if let Some(command) = UserCommand::of(&job.notify, &self.secrets) {
            let json = serde_json::to_vec(notification).expect("texts and numbers are JSON");
            running.spawn(async move { warn("notify.command", command.run(json).await) });
        }
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

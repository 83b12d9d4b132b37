//! The server of all contenders, in a process of its own: this program, started as `whole serve …`.
//!
//! `fast` is as little server as can give right answers, on one thread: for work without a cap. `sandbox` is the
//! sandbox with its caps, latency and faults: the reference for work at the cap.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use imbulk_sandbox::{App, Caps, Command, Config, Latency, Sandbox, World};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Fallible;
use crate::measure::{cpu_of, nap};

/// The app's key: the sandbox checks signatures, and the program makes them.
pub(crate) const KEY: &str = "5f61f048f77fe5ed5f61f048f77fe5ed5f61f048f77fe5ed5f61f048f77fe5ed";

/// How long a run's beginning lasts: calls are spread, and round trips become known.
const OPENING: Duration = Duration::from_secs(10);

/// What the server received since its start or the last `forget`.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) calls: u64,
    pub(crate) items: u64,
    /// Of CLOCK_MONOTONIC, in ns: when the first and the last call was read.
    pub(crate) first: u64,
    pub(crate) last: u64,
    // Only the sandbox fills the fields from here on.
    /// The calls within the first [`OPENING`], and when the last of them was read.
    opening_calls: u64,
    opening_last: u64,
    /// The calls of the fullest second.
    pub(crate) worst_second: usize,
    /// Calls over the cap.
    pub(crate) throttled: u64,
    /// Overlapping writes.
    pub(crate) overlaps: u64,
}

impl Seen {
    /// From the first call to the last.
    pub(crate) fn span(&self) -> Duration {
        Duration::from_nanos(self.last - self.first)
    }

    /// Calls a second between the first and the last.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub(crate) fn rate(&self) -> f64 {
        self.calls.saturating_sub(1) as f64 / self.span().as_secs_f64().max(1e-9)
    }

    /// The same of the time after [`OPENING`], of the sandbox; none where nothing came then.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub(crate) fn later_rate(&self) -> Option<f64> {
        let span = Duration::from_nanos(self.last - self.opening_last).as_secs_f64();
        (self.calls > self.opening_calls).then(|| (self.calls - self.opening_calls) as f64 / span)
    }

    /// Items a second, of the time from the first call to the last.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub(crate) fn items_rate(&self) -> f64 {
        self.items as f64 / self.span().as_secs_f64().max(1e-9)
    }
}

/// CLOCK_MONOTONIC, which all processes share.
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// How the server is to behave.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    Fast,
    /// Caps of all commands and the app, time of every call, share of calls that take 3 s more.
    Sandbox {
        cap: u32,
        latency: Duration,
        slow: f64,
    },
}

/// A server that was started; it ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) endpoint: String,
}

impl Server {
    pub(crate) fn start(manner: Manner) -> Fallible<Self> {
        let mut command = Process::new(std::env::current_exe()?);
        command.arg("serve");
        match manner {
            Manner::Fast => command.arg("fast"),
            Manner::Sandbox { cap, latency, slow } => {
                command.args(["sandbox", &cap.to_string(), &latency.as_millis().to_string(), &slow.to_string()])
            }
        };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().ok_or("no pipe")?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut endpoint = String::new();
        answers.read_line(&mut endpoint)?;
        Ok(Self { child, orders, answers, endpoint: endpoint.trim().to_owned() })
    }

    /// What it has seen so far.
    pub(crate) fn seen(&mut self) -> Fallible<Seen> {
        writeln!(self.orders, "seen")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Counts from zero again; only the fast one can.
    pub(crate) fn forget(&mut self) -> Fallible<()> {
        writeln!(self.orders, "forget")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(())
    }

    /// Its processor time so far.
    pub(crate) fn cpu(&self) -> Fallible<Duration> {
        cpu_of(self.child.id())
    }

    /// Waits for this number of calls. Fails after a time limit.
    pub(crate) fn until_calls(&mut self, calls: u64, patience: Duration) -> Fallible<Seen> {
        let begun = std::time::Instant::now();
        loop {
            let seen = self.seen()?;
            if seen.calls >= calls {
                return Ok(seen);
            }
            if begun.elapsed() > patience {
                return Err(format!("only {} of {calls} calls after {patience:?}", seen.calls).into());
            }
            nap(Duration::from_millis(1));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _over = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What `serve` does, until its standard input ends.
pub(crate) fn serve(args: &[String]) -> Fallible<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let address = ([127, 0, 0, 1], 0).into();
    let mut arguments = args.iter().map(String::as_str);
    let address = match arguments.next() {
        Some("fast") => runtime.block_on(fast(address, Arc::clone(&seen)))?,
        Some("sandbox") => {
            let mut number = || arguments.next().unwrap_or_default().parse::<f64>();
            let (cap, latency, slow) = (number()?, number()?, number()?);
            runtime.block_on(sandbox(address, cap, latency, slow, Arc::clone(&seen)))?
        }
        other => return Err(format!("serve what? {other:?}").into()),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "http://{address}")?;
    for order in std::io::stdin().lock().lines() {
        if order? == "forget" {
            *lock(&seen) = Seen::default();
        }
        let now = lock(&seen).clone();
        writeln!(out, "{}", serde_json::to_string(&now)?)?;
    }
    Ok(())
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn sandbox(
    address: SocketAddr,
    cap: f64,
    latency: f64,
    slow: f64,
    seen: Arc<Mutex<Seen>>,
) -> Fallible<SocketAddr> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small whole number, written by us")]
    let cap = cap as u32;
    let faults = if slow > 0.0 { vec![format!("any:slow=3s:{slow}").parse()?] } else { Vec::new() };
    let caps = Command::ALL.into_iter().fold(Caps::default().with_app(cap), |caps, command| caps.with(command, cap));
    let config = Config {
        app: App { sdkappid: 1_400_000_001, admins: vec!["administrator".to_owned()], key: Some(KEY.into()) },
        caps,
        latency: Latency { fixed: Duration::from_secs_f64(latency / 1000.0), jitter: Duration::ZERO },
        faults,
        seed: 7,
        world: World::open(),
        profile: imbulk_sandbox::Profile::default(),
    };
    let sandbox = Sandbox::start(config, address).await?;
    let address = sandbox.addr();
    tokio::spawn(async move {
        let mut ticker = tokio::time::interval(Duration::from_millis(1));
        loop {
            ticker.tick().await;
            look(&sandbox, &seen);
        }
    });
    Ok(address)
}

/// Notes what the sandbox has seen by now, to the millisecond.
fn look(sandbox: &Sandbox, seen: &Mutex<Seen>) {
    let report = sandbox.report();
    let mut seen = lock(seen);
    if report.calls != seen.calls {
        seen.last = now();
        if seen.calls == 0 {
            seen.first = seen.last;
        }
    }
    seen.calls = report.calls;
    if seen.span() < OPENING {
        (seen.opening_calls, seen.opening_last) = (seen.calls, seen.last);
    }
    seen.items = report.items_received;
    seen.worst_second = report.worst_second;
    seen.throttled = report.throttled + report.throttled_app;
    seen.overlaps = report.overlaps;
}

async fn fast(address: SocketAddr, seen: Arc<Mutex<Seen>>) -> Fallible<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let _without = stream.set_nodelay(true);
                let service = service_fn(|request| answer(request, &seen));
                let _over = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

/// The bodies that benchmarks send.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "DeleteItem", default)]
    accounts: Vec<Account<'a>>,
    #[serde(borrow, rename = "To_Account", default)]
    friends: Vec<&'a str>,
}

#[derive(Deserialize)]
struct Account<'a> {
    #[serde(rename = "UserID")]
    id: &'a str,
}

async fn answer(request: Request<Incoming>, seen: &Mutex<Seen>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let arrived = now();
    // A body that can't be read is answered as one without items, so that its sender counts all of them as failed.
    let body = serde_json::from_slice(&body).unwrap_or(Body { accounts: Vec::new(), friends: Vec::new() });
    let text = answer_to(&body);
    let mut seen = lock(seen);
    seen.calls += 1;
    seen.items += (body.accounts.len() + body.friends.len()) as u64;
    seen.last = arrived;
    if seen.first == 0 {
        seen.first = arrived;
    }
    Ok(Response::new(Full::new(text.into())))
}

fn answer_to(body: &Body<'_>) -> String {
    let ids = body.accounts.iter().map(|account| ("UserID", account.id));
    let ids = ids.chain(body.friends.iter().map(|id| ("To_Account", *id)));
    let mut text = String::with_capacity(64 * (1 + body.accounts.len() + body.friends.len()));
    text.push_str(r#"{"ResultItem":["#);
    for (number, (key, id)) in ids.enumerate() {
        let comma = if number == 0 { "" } else { "," };
        // Writing to a String can't fail.
        let _always = write!(text, r#"{comma}{{"{key}":"{id}","ResultCode":0,"ResultInfo":""}}"#);
    }
    text.push_str(r#"],"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}"#);
    text
}

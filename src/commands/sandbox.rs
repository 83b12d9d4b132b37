//! `imbulk sandbox`

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::settings::Env;
use tokio::signal::unix::{SignalKind, signal};

use imbulk_sandbox::{App, Caps, Config, Latency, Sandbox, World};

/// Serves the sandbox until Ctrl-C.
pub(super) async fn sandbox(args: &cli::SandboxArgs, env: &Env) -> Result<Exit, Error> {
    let config = Config {
        app: App { sdkappid: args.sdkappid, admins: vec![args.identifier.clone()], key: env.secret_key()? },
        caps: Caps::default(),
        latency: Latency { fixed: args.latency.unsigned_abs(), jitter: args.jitter.unsigned_abs() },
        faults: args.faults.clone(),
        seed: args.seed,
        world: World::open_with_missing(args.seed, args.missing, args.missing_friends.unwrap_or(args.missing)),
    };
    let sandbox = Sandbox::start(config, args.listen).await.map_err(Error::io(format!("{}", args.listen)))?;
    // Listens before the address is printed: a script may stop the sandbox as soon as it reads it.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::io("cannot listen for signals"))?;
    super::print(&format!("http://{}", sandbox.addr()))?;
    let _ended = interrupt.recv().await;
    let report = sandbox.report();
    sandbox.stop().await;
    super::print(&serde_json::to_string_pretty(&report).unwrap_or_default())
}

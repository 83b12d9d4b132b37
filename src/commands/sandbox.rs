//! `imbulk sandbox`

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::settings::Env;
use imbulk_sandbox::{App, Caps, Config, Latency, Sandbox, World};

/// Serves the sandbox until Ctrl-C.
pub(super) async fn sandbox(args: &cli::Sandbox, env: &Env) -> Result<Exit, Error> {
    let config = Config {
        app: App { sdkappid: args.sdkappid, admins: vec![args.identifier.clone()], key: env.secret_key()? },
        caps: Caps::default(),
        latency: Latency { fixed: args.latency.unsigned_abs(), jitter: args.jitter.unsigned_abs() },
        faults: args.faults.clone(),
        seed: args.seed,
        world: World::open_with_missing(args.seed, args.missing, args.missing),
    };
    let sandbox = Sandbox::start(config, args.listen).await.map_err(Error::io(format!("{}", args.listen)))?;
    super::print(&format!("http://{}", sandbox.addr()))?;
    let stopped = tokio::signal::ctrl_c().await.map_err(Error::io("cannot listen for signals"));
    let report = sandbox.report();
    sandbox.stop().await;
    stopped?;
    super::print(&serde_json::to_string_pretty(&report).unwrap_or_default())
}

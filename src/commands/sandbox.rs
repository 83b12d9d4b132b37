//! `imbulk sandbox`

use std::num::NonZeroU64;
use std::path::Path;

use super::error::Error;
use crate::cli;
use crate::domain::exit::Exit;
use crate::session::SessionError;
use crate::settings::Env;
use crate::stderr::tell;
use tokio::signal::unix::{SignalKind, signal};

use imbulk_sandbox::{App, Caps, Config, Latency, Profile, Sandbox, World};

/// Serves the sandbox until Ctrl-C.
pub(super) async fn sandbox(args: &cli::SandboxArgs, env: &Env) -> Result<Exit, Error> {
    let profile = args.profile.as_deref().map(profile).transpose()?.unwrap_or_default();
    let config = Config {
        app: App {
            sdkappid: args.sdkappid,
            admins: vec![args.identifier.clone()],
            key: env.secret_key(NonZeroU64::new(args.sdkappid))?,
        },
        caps: Caps::default(),
        latency: Latency { fixed: args.latency.unsigned_abs(), jitter: args.jitter.unsigned_abs() },
        faults: args.faults.clone(),
        seed: args.seed,
        world: World::open_with_missing(args.seed, args.missing, args.missing_friends.unwrap_or(args.missing)),
        profile,
    };
    let sandbox = Sandbox::start(config, args.listen).await.map_err(Error::io(format!("{}", args.listen)))?;
    // Listens before the address is printed: a script may stop the sandbox as soon as it reads it.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::io("cannot listen for signals"))?;
    super::print(&format!("http://{}", sandbox.addr()))?;
    let _ended = interrupt.recv().await;
    let report = sandbox.report();
    sandbox.stop().await;
    super::print(&serde_json::to_string_pretty(&report).expect("texts and numbers are JSON"))
}

/// Reads the profile that the sandbox imitates, and says which of its situations it cannot imitate.
fn profile(path: &Path) -> Result<Profile, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path.display().to_string()))?;
    let profile: Profile = text.parse().map_err(|error| {
        let hint = "`imbulk doctor JOB --conformance` prints a profile";
        SessionError::usage(format!("{}: {error}", path.display()), hint)
    })?;
    if !profile.unknown().is_empty() {
        tell(format!("{}: the sandbox does not imitate {}", path.display(), profile.unknown().join(", ")));
    }
    Ok(profile)
}

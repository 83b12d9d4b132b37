//! What receives the calls of a run: the sandbox, a server on this machine, or a real app.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::num::NonZeroU64;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

const SANDBOX: &str = "sandbox";
/// What `--target` may say for any server on this machine.
const LOOPBACK: &str = "loopback";
/// How the name of a server on this machine ends; an SDKAppID comes before it.
const ON_LOOPBACK: &str = " on loopback";
/// In place of the SDKAppID of an app of which only the server is known. Its runs can be planned, and not sent.
const WITHOUT_SDKAPPID: &str = "without SDKAppID";

/// The target of a run. Its name, with which the queue and documents store it: `sandbox`, the SDKAppID, or `SDKAppID on
/// loopback`.
///
/// A server on this machine is a target of its own, whatever its port: its runs do not count as done for the app. An
/// app without an SDKAppID is never the sandbox: a run of the sandbox would take over what was planned for the app.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum RunTarget {
    /// The mock server of `--sandbox`.
    #[default]
    Sandbox,
    /// A server on this machine, and the app that it serves.
    Loopback(Option<NonZeroU64>),
    /// An app on Tencent's servers that people use.
    RealApp(Option<NonZeroU64>),
}

/// A text that is not the name of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a target is `sandbox`, an SDKAppID, or `SDKAPPID on loopback`")]
pub struct UnknownTarget;

impl RunTarget {
    /// The target of an app. `on_loopback`: whether its server is this machine; none if the server is not known. An app
    /// that is named neither by its id nor by its server is the sandbox.
    pub const fn of(sdkappid: Option<NonZeroU64>, on_loopback: Option<bool>) -> Self {
        match (on_loopback, sdkappid) {
            (None, None) => Self::Sandbox,
            (Some(true), _) => Self::Loopback(sdkappid),
            (Some(false) | None, _) => Self::RealApp(sdkappid),
        }
    }

    /// Whether deleted data is lost.
    pub const fn is_real(self) -> bool {
        matches!(self, Self::RealApp(_))
    }

    /// The app, as long as it is known; none for the sandbox, which serves any app.
    pub const fn sdkappid(self) -> Option<NonZeroU64> {
        match self {
            Self::Sandbox => None,
            Self::Loopback(sdkappid) | Self::RealApp(sdkappid) => sdkappid,
        }
    }

    /// Whether the value of `--target` means this target: its name, or `loopback` for any server on this machine.
    pub fn is_meant_by(self, asked: &str) -> bool {
        asked == LOOPBACK && matches!(self, Self::Loopback(_)) || asked.parse() == Ok(self)
    }
}

impl Display for RunTarget {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self, self.sdkappid()) {
            (Self::Sandbox, _) => return f.write_str(SANDBOX),
            (Self::Loopback(_) | Self::RealApp(_), Some(sdkappid)) => write!(f, "{sdkappid}")?,
            (Self::Loopback(_) | Self::RealApp(_), None) => f.write_str(WITHOUT_SDKAPPID)?,
        }
        f.write_str(if matches!(self, Self::Loopback(_)) { ON_LOOPBACK } else { "" })
    }
}

impl FromStr for RunTarget {
    type Err = UnknownTarget;

    fn from_str(name: &str) -> Result<Self, UnknownTarget> {
        if name == SANDBOX {
            return Ok(Self::Sandbox);
        }
        let (app, on_loopback) = name.strip_suffix(ON_LOOPBACK).map_or((name, false), |app| (app, true));
        let sdkappid = if app == WITHOUT_SDKAPPID { None } else { Some(app.parse().map_err(|_| UnknownTarget)?) };
        let target = if on_loopback { Self::Loopback(sdkappid) } else { Self::RealApp(sdkappid) };
        // `+7` and `007` are numbers, and not the name of a target.
        if target.to_string() == name { Ok(target) } else { Err(UnknownTarget) }
    }
}

impl From<RunTarget> for String {
    fn from(target: RunTarget) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for RunTarget {
    type Error = UnknownTarget;

    fn try_from(name: String) -> Result<Self, UnknownTarget> {
        name.parse()
    }
}

impl JsonSchema for RunTarget {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RunTarget".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const APP: Option<NonZeroU64> = NonZeroU64::new(1_400_000_001);

    #[rstest]
    #[case::no_app(None, None, RunTarget::Sandbox)]
    #[case::a_server_alone(None, Some(true), RunTarget::Loopback(None))]
    #[case::an_app_without_a_server(APP, None, RunTarget::RealApp(APP))]
    #[case::an_app_on_this_machine(APP, Some(true), RunTarget::Loopback(APP))]
    #[case::an_app(APP, Some(false), RunTarget::RealApp(APP))]
    fn an_app_and_its_server_make_a_target(
        #[case] sdkappid: Option<NonZeroU64>,
        #[case] on_loopback: Option<bool>,
        #[case] expected: RunTarget,
    ) {
        assert_eq!(RunTarget::of(sdkappid, on_loopback), expected);
    }

    #[rstest]
    #[case(RunTarget::Sandbox, "sandbox", false)]
    #[case(RunTarget::Loopback(APP), "1400000001 on loopback", true)]
    #[case(RunTarget::Loopback(None), "without SDKAppID on loopback", true)]
    #[case(RunTarget::RealApp(APP), "1400000001", false)]
    #[case(RunTarget::RealApp(None), "without SDKAppID", false)]
    fn the_name_of_a_target_says_what_it_is(
        #[case] target: RunTarget,
        #[case] name: &str,
        #[case] is_meant_by_loopback: bool,
    ) {
        assert_eq!(target.to_string(), name);
        assert_eq!(name.parse(), Ok(target));
        assert_eq!(target.is_meant_by(LOOPBACK), is_meant_by_loopback);
        assert!(target.is_meant_by(name) && !target.is_meant_by("7"));
    }

    #[rstest]
    fn a_text_that_is_not_a_name_is_never_taken_for_the_sandbox(
        #[values("", "Sandbox", "0", "+7", "007", "7 ", "on loopback", " on loopback", "loopback", "purge")] text: &str,
    ) {
        assert_eq!(text.parse::<RunTarget>(), Err(UnknownTarget));
    }
}

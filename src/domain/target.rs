//! What receives the calls of a run: the sandbox, a server on this machine, or a real app.

use std::num::NonZeroU64;

/// The name of the sandbox as a target.
pub const SANDBOX: &str = "sandbox";
/// What `--target` may say for any server on this machine.
const LOOPBACK: &str = "loopback";
/// How the name of a server on this machine ends; an SDKAppID comes before it.
const ON_LOOPBACK: &str = " on loopback";
/// In place of the SDKAppID of an app of which only the server is known. Its runs can be planned, and not sent.
const WITHOUT_SDKAPPID: &str = "without SDKAppID";

/// The kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// The mock server of `--sandbox`.
    Sandbox,
    /// A server on this machine.
    Loopback,
    /// Tencent's servers: an app that people use.
    RealApp,
}

impl TargetKind {
    /// The target of an app. `on_loopback`: whether its server is this machine; none if the server is not known. An app
    /// that is named neither by its id nor by its server is the sandbox.
    pub const fn of(sdkappid: Option<NonZeroU64>, on_loopback: Option<bool>) -> Self {
        match (on_loopback, sdkappid) {
            (None, None) => Self::Sandbox,
            (Some(true), _) => Self::Loopback,
            (Some(false) | None, _) => Self::RealApp,
        }
    }

    /// The kind of the target with this name.
    pub fn of_name(name: &str) -> Self {
        if name.ends_with(ON_LOOPBACK) {
            Self::Loopback
        } else if name == WITHOUT_SDKAPPID || name.bytes().all(|byte| byte.is_ascii_digit()) {
            Self::RealApp
        } else {
            Self::Sandbox
        }
    }

    /// Whether deleted data is lost.
    pub const fn is_real(self) -> bool {
        matches!(self, Self::RealApp)
    }

    /// The target's name in the queue: `sandbox`, the SDKAppID, or `SDKAppID on loopback`. A server on this machine is
    /// a target of its own, whatever its port: its runs do not count as done for the app. An app without an SDKAppID
    /// never has the name of the sandbox: a run of the sandbox would take over what was planned for the app.
    pub fn name(self, sdkappid: Option<NonZeroU64>) -> String {
        let app = sdkappid.map_or_else(|| WITHOUT_SDKAPPID.to_owned(), |sdkappid| sdkappid.to_string());
        match self {
            Self::Sandbox => SANDBOX.to_owned(),
            Self::Loopback => format!("{app}{ON_LOOPBACK}"),
            Self::RealApp => app,
        }
    }
}

/// The SDKAppID in the name of a target; none for the sandbox, and for an app without one.
pub fn sdkappid_of(name: &str) -> Option<NonZeroU64> {
    name.split(' ').next().and_then(|number| number.parse().ok())
}

/// Whether the value of `--target` means the target with this name.
pub fn is_meant(name: &str, asked: &str) -> bool {
    name == asked || asked == LOOPBACK && TargetKind::of_name(name) == TargetKind::Loopback
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_app(None, None, TargetKind::Sandbox)]
    #[case::a_server_alone(None, Some(true), TargetKind::Loopback)]
    #[case::an_app_without_a_server(NonZeroU64::new(1_400_000_001), None, TargetKind::RealApp)]
    #[case::an_app_on_this_machine(NonZeroU64::new(1_400_000_001), Some(true), TargetKind::Loopback)]
    #[case::an_app(NonZeroU64::new(1_400_000_001), Some(false), TargetKind::RealApp)]
    fn an_app_and_its_server_make_a_target(
        #[case] sdkappid: Option<NonZeroU64>,
        #[case] on_loopback: Option<bool>,
        #[case] expected: TargetKind,
    ) {
        assert_eq!(TargetKind::of(sdkappid, on_loopback), expected);
    }

    #[test]
    fn the_name_of_a_target_says_what_it_is() {
        for kind in [TargetKind::Sandbox, TargetKind::Loopback, TargetKind::RealApp] {
            let name = kind.name(NonZeroU64::new(1_400_000_001));
            assert_eq!(TargetKind::of_name(&name), kind, "{name}");
            let app = NonZeroU64::new(1_400_000_001).filter(|_| kind != TargetKind::Sandbox);
            assert_eq!(sdkappid_of(&name), app);
            assert_eq!(is_meant(&name, LOOPBACK), kind == TargetKind::Loopback, "{name}");
            assert!(is_meant(&name, &name) && !is_meant(&name, "7"), "{name}");
        }
    }

    #[test]
    fn an_app_without_an_sdkappid_is_not_the_sandbox() {
        for (kind, expected) in
            [(TargetKind::RealApp, "without SDKAppID"), (TargetKind::Loopback, "without SDKAppID on loopback")]
        {
            let name = kind.name(None);
            assert_eq!((name.as_str(), TargetKind::of_name(&name), sdkappid_of(&name)), (expected, kind, None));
        }
    }
}

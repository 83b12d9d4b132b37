//! The guards of a run: the value of each against its limit.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use crate::domain::guard::OutcomeCounts;
use crate::domain::job::Stop;
use crate::domain::language::Translated;
use crate::domain::response::outcome::Outcome;
use crate::domain::session_start::SessionStart;
use crate::report::figures::Figures;
use crate::report::guards::{GuardFigures, guard_text, percent};
use crate::report::text::{count, counted, duration, share};

/// A guard of a run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GuardOfRun {
    /// Its key in the job file.
    pub guard: &'static str,
    /// Whether it allowed the run to be sent to its end.
    pub allows: bool,
    /// Its value: items, a share, or rows; null if it is only set.
    pub value: Option<Number>,
    /// Its limit in the same unit; null if there is none.
    pub limit: Option<Number>,
    /// Both in words.
    pub text: Translated<String>,
}

impl GuardOfRun {
    /// A guard that has no limit to be compared with.
    fn set(guard: &'static str, value: Option<u64>, text: Translated<String>) -> Self {
        Self { guard, allows: true, value: value.map(Into::into), limit: None, text }
    }

    /// A share of the items that were sent.
    fn share_of_sent(guard: &'static str, part: u64, sent: u64, (limit, halts): (f64, bool), what: Translated) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let value = part as f64 / sent.max(1) as f64;
        Self {
            guard,
            allows: !halts,
            value: Number::from_f64(value),
            limit: Number::from_f64(limit),
            text: Translated::new(
                format!(
                    "{} of {} {}, limit {}",
                    share(part, sent),
                    counted(sent, "row", "rows"),
                    what.en,
                    percent(limit)
                ),
                format!("{} 的行{}，共 {} 行，上限 {}", share(part, sent), what.zh, count(sent), percent(limit)),
            ),
        }
    }
}

/// The guards of the last session, with the values that the run has now.
pub(super) fn guards_of_run(start: &SessionStart, figures: &Figures) -> Vec<GuardOfRun> {
    let before = start.guards.iter().map(|guard| {
        let GuardFigures { guard: key, allows, value, limit } = GuardFigures::new(guard);
        GuardOfRun { guard: key, allows, value, limit, text: guard_text(guard) }
    });
    let mut guards: Vec<GuardOfRun> = before.collect();
    let rows = figures.outcomes[Outcome::Protected];
    let list = Translated::new(
        format!(
            "{} and {} protected {}",
            counted(start.protected_ids, "id", "ids"),
            counted(start.protected_patterns, "pattern", "patterns"),
            counted(rows, "row", "rows")
        ),
        format!(
            "{} 个 ID 和 {} 个模式保护了 {} 行",
            count(start.protected_ids),
            count(start.protected_patterns),
            count(rows)
        ),
    );
    guards.push(GuardOfRun::set("guard.protected", Some(rows), list));
    guards.extend(while_sending(start, figures));
    if start.unless_online {
        let text = Translated::new(
            "accounts were asked for before each call, and left out if they were online".to_owned(),
            "每次调用前查询账号是否在线，在线的账号不发送".to_owned(),
        );
        guards.push(GuardOfRun::set("guard.unless_online", None, text));
    }
    if let Some(hold) = start.hold {
        let text = Translated::new(
            format!("{} passed between plan and first call", duration(hold)),
            format!("从计划到首次调用间隔了 {}", duration(hold)),
        );
        guards.push(GuardOfRun::set("guard.hold", Some(hold.as_secs()), text));
    }
    guards
}

/// The guards that halt a run.
fn while_sending(start: &SessionStart, figures: &Figures) -> Vec<GuardOfRun> {
    let counts = OutcomeCounts::of(&figures.outcomes);
    let stop = Stop { failed_share: start.failed_share, after_items: start.after_items, outage: None };
    let fuse = (start.failed_share, stop.trips_fuse(counts));
    let fuse = GuardOfRun::share_of_sent(
        "stop.failed_share",
        counts.failed,
        counts.ended,
        fuse,
        Translated::new("failed or in doubt", "失败或存疑"),
    );
    let canary = match start.canary {
        0 => Translated::new("off".to_owned(), "未启用".to_owned()),
        items => Translated::new(
            format!(
                "the first requests, {} or more, were evaluated before the rest was sent",
                counted(items, "item", "items")
            ),
            format!("最先的请求（至少 {} 个条目）经评估后才发送其余请求", count(items)),
        ),
    };
    let canary = GuardOfRun::set("guard.canary", Some(start.canary), canary);
    let already = start.max_already_done.map(|max| {
        let halts = (max, stop.trips_already_done(counts, Some(max)));
        let what = Translated::new("already done", "原本就是期望状态");
        GuardOfRun::share_of_sent("guard.max_already_done", counts.already_done, counts.ended, halts, what)
    });
    [canary, fuse].into_iter().chain(already).collect()
}

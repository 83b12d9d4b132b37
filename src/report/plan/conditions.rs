//! What a plan says beside its rows: what goes first, what changed, where it sends, who is protected, and what keeps it
//! from being sent.

use std::num::{NonZeroU32, NonZeroU64};

use jiff::{SignedDuration, Span, Zoned};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::super::guards::{self, GuardFigures, WhileSending};
use super::super::json::{self, DateTime};
use super::super::text::{Text, between, count, counted, minute, moment_ahead, visible};
use super::estimate::Estimate;
use crate::domain::control::ControlState;
use crate::domain::guard::GuardValue;
use crate::domain::run_choice::EndedBy;
use crate::domain::target::RunTarget;
use crate::domain::timestamp::rfc3339;

/// What decides about a plan beside its rows.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Conditions {
    /// Now, by the local clock.
    #[serde(skip)]
    pub now: Zoned,
    /// Unfinished runs that are finished first, in this order.
    pub continues: Vec<Unfinished>,
    /// Unfinished runs that are given up (`--again`).
    pub gives_up: Vec<Unfinished>,
    /// An unfinished run that goes first and of which failed and in-doubt rows join the run of the input; they are not
    /// part of this plan yet.
    pub carries_later: Option<String>,
    /// The last run, if its failed and in-doubt rows are not carried over: its operation or options were other ones.
    pub carries_nothing_of: Option<String>,
    /// The runs that are paused or have a rate of their own, of those that would be sent.
    pub controlled: Vec<ControlView>,
    /// What is different from the plan before; none where there was none since the last run.
    pub since_last_plan: Option<Changes>,
    /// Where it sends.
    pub target: TargetView,
    /// Who is never sent.
    pub protected: ProtectedView,
    /// Each guard with what it sees.
    #[serde(serialize_with = "guards_as_json")]
    #[schemars(with = "Vec<GuardFigures>")]
    pub guards: Vec<GuardValue>,
    /// The window of the job, if it has one.
    pub window: Option<WindowView>,
    /// The calls that `limits.calls_per_day` allows, if the job has that limit.
    pub calls_per_day: Option<DayView>,
    /// When a time limit of the job ends a session that starts now, or when the window opens.
    #[serde(serialize_with = "json::moment_if_any")]
    #[schemars(with = "Option<DateTime>")]
    pub until: Option<Zoned>,
    /// Those that are read while it is sent.
    pub while_sending: WhileSending,
    /// Why `run` would send nothing.
    pub refusals: Vec<String>,
    /// Why `run` would send nothing after the unfinished runs that go first.
    pub later_refusals: Vec<String>,
}

/// What `imbulk ctl` has set for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ControlView {
    /// The run.
    pub run: String,
    /// Its job.
    #[serde(skip)]
    pub job: String,
    /// Who paused it, while it is paused.
    pub paused_by: Option<String>,
    /// Since when it is paused.
    #[schemars(with = "Option<DateTime>")]
    pub paused_since: Option<String>,
    /// The calls per second that a person has set.
    pub calls_per_second: Option<NonZeroU32>,
}

/// `stop.window`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WindowView {
    /// As the job file writes it.
    pub hours: String,
    /// When it opens; none if it is open.
    #[serde(serialize_with = "json::moment_if_any")]
    #[schemars(with = "Option<DateTime>")]
    pub opens_at: Option<Zoned>,
}

/// `limits.calls_per_day`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DayView {
    /// The calls to the app that are allowed on one day.
    pub limit: NonZeroU64,
    /// The calls that are left today.
    pub left: u64,
    /// When the next day begins.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub next_day_at: Zoned,
    /// The calls of the plan, without retries.
    pub calls: u64,
    /// The days that they take at least, today included.
    pub days: u64,
}

/// An unfinished run that goes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unfinished {
    /// Its id.
    pub run: String,
    /// Whether it is of the input as it is now.
    pub same_input: bool,
    /// Rows that have no outcome yet.
    pub rows_left: u64,
    /// All rows of it.
    pub rows: u64,
    /// The requests that are left, and the shortest time that they take.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// When it began.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub began: Zoned,
    /// What ended its last session.
    pub ended_by: EndedBy,
}

/// What changed since the plan before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changes {
    /// When that plan was shown.
    #[serde(serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub shown_at: Zoned,
    /// What is different; nothing if it is empty.
    pub differences: Vec<&'static str>,
}

/// Where a plan sends. A value that is not set is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TargetView {
    /// The target's name in the queue.
    pub name: RunTarget,
    /// The app.
    pub sdkappid: Option<Setting>,
    /// Scheme, host and port.
    pub endpoint: Option<Setting>,
    /// The region, where the job names one.
    pub region: Option<String>,
    /// The account that signs the calls.
    pub admin: Option<Setting>,
    /// Whether there is something to sign with. Never the secret itself.
    pub credentials: Option<Setting>,
    /// The proxy that the calls go through.
    pub proxy: Option<String>,
}

/// A value and where it is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Setting {
    /// The value.
    pub value: String,
    /// The job file, or a variable of the environment.
    pub source: String,
}

/// Who is never sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProtectedView {
    /// The list, if the job names one.
    pub file: Option<String>,
    /// Ids, the admins included.
    pub ids: u64,
    /// Patterns with `*`.
    pub patterns: u64,
}

impl Conditions {
    /// Runs that go first, and what changed.
    pub(super) fn head(&self, text: &mut Text) {
        for run in &self.continues {
            run.block("goes first", &self.now, text);
        }
        for run in &self.gives_up {
            run.block("is given up", &self.now, text);
        }
        for run in &self.controlled {
            text.figure("control", &format!("run {}: {}", visible(&run.run), run.line()));
        }
        if let Some(changes) = &self.since_last_plan {
            text.figure("last plan", &changes.line(&self.now));
        }
    }

    /// What `retry.carry_over` will add, or cannot add.
    pub(super) fn carry_over(&self, text: &mut Text) {
        if let Some(run) = &self.carries_later {
            let line = format!("what is failed or in doubt in run {} when it is finished", visible(run));
            text.figure("carried over", &line);
        }
        if let Some(run) = &self.carries_nothing_of {
            let line = format!("nothing: run {} has another operation or other options", visible(run));
            text.figure("carried over", &line);
        }
    }

    /// Where it sends, who is protected, when it ends.
    pub(super) fn body(&self, text: &mut Text) {
        self.target.block(text);
        text.figure("protected", &self.protected.line());
        for guard in &self.guards {
            let refuses = if guard.allows() { "" } else { "  NOT ALLOWED" };
            text.figure(
                guard.key().trim_start_matches("guard."),
                &format!("{}{refuses}", guards::guard_text(guard).en),
            );
        }
        self.while_sending.block(text);
        if let Some(WindowView { hours, opens_at }) = &self.window {
            let state = opens_at.as_ref().map_or("open".to_owned(), |opens| {
                format!("closed, opens {}: sends nothing now", moment_ahead(opens, &self.now))
            });
            text.figure("window", &format!("{hours}, {state}"));
        }
        if let Some(day) = &self.calls_per_day {
            day.block(&self.now, text);
        }
    }

    /// When calls that take this time have ended, if they start now.
    pub(super) fn ends_after(&self, takes: SignedDuration) -> Zoned {
        let last_day = self.calls_per_day.as_ref().and_then(DayView::last_day_begins);
        let end = self.now.saturating_add(takes);
        last_day.map_or(end.clone(), |last_day| last_day.with_time_zone(end.time_zone().clone()).max(end))
    }

    /// The share of the calls that is sent when a time limit ends the session; none if no time limit ends it.
    pub(super) fn share_by_until(&self, takes: SignedDuration) -> Option<f64> {
        let until = self.until.as_ref()?;
        let opens = self.window.as_ref().and_then(|window| window.opens_at.as_ref());
        let by_time = share_of_time(opens.unwrap_or(&self.now).duration_until(until), takes);
        Some(self.calls_per_day.as_ref().map_or(by_time, |day| day.share_by(until).min(by_time)))
    }

    /// Why nothing would be sent.
    pub(super) fn refusals(&self, text: &mut Text) {
        let all = self.refusals.iter().map(|refusal| ("refused: ", refusal));
        for (title, refusal) in all.chain(self.later_refusals.iter().map(|refusal| ("then refused: ", refusal))) {
            for (at, line) in refusal.lines().enumerate() {
                let head = if at == 0 { title } else { "  " };
                text.line(&format!("{head}{}", visible(line)));
            }
        }
    }
}

impl ControlView {
    /// What is set for a run; none if nothing is.
    pub fn new(run: &str, job: &str, state: ControlState) -> Option<Self> {
        let ControlState { pause, rate } = state;
        let (paused_by, paused_since) = pause.map(|pause| (pause.who, rfc3339(pause.since))).unzip();
        let view = Self { run: run.to_owned(), job: job.to_owned(), paused_by, paused_since, calls_per_second: rate };
        (view.paused_by.is_some() || rate.is_some()).then_some(view)
    }

    fn line(&self) -> String {
        let pause = self.paused_by.as_ref().zip(self.paused_since.as_ref()).map(|(who, since)| {
            let (who, job) = (visible(who), visible(&self.job));
            format!("paused by {who} since {since}: sends nothing until `imbulk ctl {job} resume`")
        });
        let rate = self.calls_per_second.map(|rate| {
            let calls = counted(rate.get().into(), "call", "calls");
            format!("at most {calls}/s, set with `imbulk ctl`")
        });
        pause.into_iter().chain(rate).collect::<Vec<_>>().join("; ")
    }
}

impl DayView {
    fn block(&self, now: &Zoned, text: &mut Text) {
        let Self { limit, left, next_day_at, calls, days } = self;
        let sends = if *left == 0 { ": sends nothing now" } else { "" };
        text.figure("calls_per_day", &format!("{} of {} calls left today{sends}", count(*left), count(limit.get())));
        let (calls, days) = (counted(*calls, "call", "calls"), counted(*days, "day", "days"));
        text.figure(
            "",
            &format!("{calls} take at least {days}; the next day begins {}", moment_ahead(next_day_at, now)),
        );
    }

    /// The share of the calls that the limit allows before a moment.
    pub(super) fn share_by(&self, until: &Zoned) -> f64 {
        let after_today = self.next_day_at.duration_until(until).as_hours().max(0).cast_unsigned();
        let later_days = if *until > self.next_day_at { after_today / 24 + 1 } else { 0 };
        let allowed = self.left.saturating_add(self.limit.get().saturating_mul(later_days));
        share_of(allowed, self.calls)
    }

    /// The earliest moment at which the last day begins; none if all calls fit into today.
    pub(super) fn last_day_begins(&self) -> Option<Zoned> {
        let later = i64::try_from(self.days.checked_sub(2)?).unwrap_or(i64::MAX);
        Some(match Span::new().try_days(later) {
            Ok(days) => self.next_day_at.saturating_add(days),
            Err(_) => self.next_day_at.saturating_add(SignedDuration::MAX),
        })
    }
}

impl Unfinished {
    fn block(&self, title: &str, now: &Zoned, text: &mut Text) {
        text.figure(title, &format!("unfinished run {}", visible(&self.run)));
        let which = if self.same_input { "the current input" } else { "an older input" };
        let rows = counted(self.rows, "row", "rows");
        let requests = counted(self.estimate.requests_left, "request", "requests");
        text.figure("", &format!("{} of {rows} left in {requests}, of {which}", count(self.rows_left)));
        text.figure("", &format!("takes {}", self.estimate.line()));
        let ago = between(&self.began, now).en;
        text.figure("", &format!("began {} ({ago} ago), ended by {}", minute(&self.began), self.ended_by));
    }
}

impl Changes {
    /// For a sentence: when the plan was shown, and what changed.
    pub fn line(&self, now: &Zoned) -> String {
        let what = if self.differences.is_empty() { "nothing changed".to_owned() } else { self.differences.join("; ") };
        format!("{} ago; since then {what}", between(&self.shown_at, now).en)
    }
}

impl TargetView {
    fn block(&self, text: &mut Text) {
        if self.name == RunTarget::Sandbox {
            text.figure("target", "the sandbox: no real app");
            return;
        }
        let shown = |setting: &Option<Setting>| match setting {
            Some(Setting { value, source }) => format!("{}  ({})", visible(value), visible(source)),
            None => "not set".to_owned(),
        };
        text.figure("app", &shown(&self.sdkappid));
        text.figure("endpoint", &shown(&self.endpoint));
        text.figure("region", self.region.as_deref().unwrap_or("not named"));
        text.figure("admin", &shown(&self.admin));
        text.figure("credentials", &shown(&self.credentials));
        if let Some(proxy) = &self.proxy {
            text.figure("proxy", &visible(proxy));
        }
    }
}

impl ProtectedView {
    fn line(&self) -> String {
        let list = match &self.file {
            Some(file) => format!("from {}, and the admin account", visible(file)),
            None => "the admin account only".to_owned(),
        };
        let (ids, patterns) = (counted(self.ids, "id", "ids"), counted(self.patterns, "pattern", "patterns"));
        format!("{ids}, {patterns}: {list}")
    }
}

/// The share of a duration that fits into another one, from 0 to 1.
fn share_of_time(time: SignedDuration, takes: SignedDuration) -> f64 {
    if takes <= time { 1.0 } else { (time.as_secs_f64() / takes.as_secs_f64()).max(0.0) }
}

fn share_of(allowed: u64, calls: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = allowed as f64 / calls.max(1) as f64;
    share.min(1.0)
}

fn guards_as_json<S: Serializer>(guards: &[GuardValue], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(guards.iter().map(GuardFigures::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::control::RunPause;
    use crate::report::plan::estimate;

    const WHILE_SENDING: WhileSending =
        WhileSending { canary: 100, failed_share: 0.5, max_already_done: None, after_items: 1_000 };

    fn at(moment: &str) -> Zoned {
        moment.parse().expect("a moment")
    }

    fn setting(value: &str, source: &str) -> Setting {
        Setting { value: value.to_owned(), source: source.to_owned() }
    }

    fn text_of(conditions: &Conditions) -> String {
        let mut text = Text::default();
        conditions.head(&mut text);
        conditions.body(&mut text);
        conditions.refusals(&mut text);
        text.into()
    }

    fn rate(calls_per_second: u32) -> NonZeroU32 {
        NonZeroU32::new(calls_per_second).expect("not 0")
    }

    /// Conditions with a value in every field that is shown.
    fn all_conditions() -> Conditions {
        Conditions {
            now: at("2026-11-23T02:48+08:00[Asia/Shanghai]"),
            continues: vec![Unfinished {
                run: "0190e8b0-0000-7000-8000-000000000001".to_owned(),
                same_input: false,
                rows_left: 2_997,
                rows: 3_000,
                estimate: estimate(30, &[], [20, 200].map(rate).into(), &[]),
                began: at("2026-11-21T02:15+08:00[Asia/Shanghai]"),
                ended_by: EndedBy::Person,
            }],
            gives_up: Vec::new(),
            carries_later: None,
            carries_nothing_of: None,
            controlled: vec![ControlView {
                run: "0190e8b0-0000-7000-8000-000000000001".to_owned(),
                job: "purge".to_owned(),
                paused_by: None,
                paused_since: None,
                calls_per_second: NonZeroU32::new(20),
            }],
            since_last_plan: Some(Changes {
                shown_at: at("2026-11-23T00:43+08:00[Asia/Shanghai]"),
                differences: vec!["the input changed", "the target changed"],
            }),
            target: TargetView {
                name: "1400000001".parse().unwrap(),
                sdkappid: Some(setting("1400000001", "IMBULK_SDKAPPID")),
                endpoint: Some(setting("https://adminapisgp.im.qcloud.com", "purge.toml")),
                region: Some("singapore".to_owned()),
                admin: Some(setting("administrator", "purge.toml")),
                credentials: None,
                proxy: Some("http://proxy:3128".to_owned()),
            },
            protected: ProtectedView { file: Some("never\u{1b}.txt".to_owned()), ids: 1_203, patterns: 1 },
            guards: vec![
                GuardValue::MaxItems { items: 5, max: 3 },
                GuardValue::MaxRejected { rejected: 1, rows: 100, max: 0.1, tolerated: 1 },
            ],
            window: Some(WindowView {
                hours: "04:00-06:00".to_owned(),
                opens_at: Some(at("2026-11-23T04:00+08:00[Asia/Shanghai]")),
            }),
            calls_per_day: Some(DayView {
                limit: NonZeroU64::new(1_000).expect("not 0"),
                left: 0,
                calls: 1_500,
                next_day_at: at("2026-11-24T00:00+08:00[Asia/Shanghai]"),
                days: 3,
            }),
            until: Some(at("2026-11-23T06:00+08:00[Asia/Shanghai]")),
            while_sending: WHILE_SENDING,
            refusals: vec!["no credentials\nhint: set IMBULK_SECRET_KEY".to_owned()],
            later_refusals: vec!["too few items".to_owned()],
        }
    }

    #[test]
    fn everything_that_decides_is_shown_in_order() {
        insta::assert_snapshot!(text_of(&all_conditions()), @r"
        goes first     unfinished run 0190e8b0-0000-7000-8000-000000000001
                       2,997 of 3,000 rows left in 30 requests, of an older input
                       takes at least 1.5 s: 20 calls/s
                       began 2026-11-21 02:15 +08:00 (2 d ago), ended by Ctrl-C or `imbulk ctl`
        control        run 0190e8b0-0000-7000-8000-000000000001: at most 20 calls/s, set with `imbulk ctl`
        last plan      2 h 5 min ago; since then the input changed; the target changed
        app            1400000001  (IMBULK_SDKAPPID)
        endpoint       https://adminapisgp.im.qcloud.com  (purge.toml)
        region         singapore
        admin          administrator  (purge.toml)
        credentials    not set
        proxy          http://proxy:3128
        protected      1,203 ids, 1 pattern: from never\u{1b}.txt, and the admin account
        max_items      5 items, at most 3  NOT ALLOWED
        max_rejected   1.0 % of rows rejected, at most 10 %
        canary         the first requests, 100 items or more, are evaluated before the rest is sent
        halts          at 50 % failed, from 1,000 items on
        window         04:00-06:00, closed, opens 2026-11-23 04:00 +08:00 (in 1 h 12 min): sends nothing now
        calls_per_day  0 of 1,000 calls left today: sends nothing now
                       1,500 calls take at least 3 days; the next day begins 2026-11-24 00:00 +08:00 (in 21 h 12 min)
        refused: no credentials
          hint: set IMBULK_SECRET_KEY
        then refused: too few items
        ");
    }

    #[test]
    fn the_sandbox_has_no_app_to_show() {
        let conditions = Conditions {
            now: at("2026-11-23T02:48:03+00:00[UTC]"),
            continues: Vec::new(),
            gives_up: Vec::new(),
            carries_later: None,
            carries_nothing_of: None,
            since_last_plan: Some(Changes { shown_at: at("2026-11-23T02:48+00:00[UTC]"), differences: Vec::new() }),
            target: TargetView::default(),
            protected: ProtectedView { file: None, ids: 1, patterns: 0 },
            guards: Vec::new(),
            window: None,
            calls_per_day: None,
            until: None,
            while_sending: WHILE_SENDING,
            refusals: Vec::new(),
            later_refusals: Vec::new(),
            controlled: Vec::new(),
        };
        insta::assert_snapshot!(text_of(&conditions), @r"
        last plan      3 s ago; since then nothing changed
        target         the sandbox: no real app
        protected      1 id, 0 patterns: the admin account only
        canary         the first requests, 100 items or more, are evaluated before the rest is sent
        halts          at 50 % failed, from 1,000 items on
        ");
    }

    #[test]
    fn what_a_person_has_set_for_a_run_is_one_line() {
        let line = |pause: Option<RunPause>, rate| {
            let view = ControlView::new("0190e8b0", "purge", ControlState { pause, rate: NonZeroU32::new(rate) });
            view.map(|view| view.line())
        };
        let pause = || Some(RunPause { who: "alice@batch-1 (pid 4711)".to_owned(), since: 0 });
        assert_eq!(line(None, 0), None);
        assert_eq!(line(None, 1).as_deref(), Some("at most 1 call/s, set with `imbulk ctl`"));
        let paused = "paused by alice@batch-1 (pid 4711) since 1970-01-01T00:00:00.000Z: sends nothing until `imbulk \
                      ctl purge resume`";
        assert_eq!(line(pause(), 0).as_deref(), Some(paused));
        assert_eq!(line(pause(), 20), Some(format!("{paused}; at most 20 calls/s, set with `imbulk ctl`")));
    }

    #[test]
    fn calls_per_day_moves_the_end_and_lowers_the_share_that_is_sent_by_then() {
        let mut conditions = all_conditions();
        let hour = SignedDuration::from_hours(1);
        assert_eq!(conditions.share_by_until(hour), Some(0.0));
        assert_eq!(conditions.ends_after(hour), at("2026-11-25T00:00+08:00[Asia/Shanghai]"));
        let mut left = |left, days, until: &str| {
            let day = conditions.calls_per_day.as_mut().expect("a limit");
            (day.left, day.days) = (left, days);
            conditions.until = Some(at(until));
            (conditions.share_by_until(hour), conditions.ends_after(hour).strftime("%d %H:%M").to_string())
        };
        let (today, tomorrow) = ("2026-11-23T06:00+08:00[Asia/Shanghai]", "2026-11-24T06:00+08:00[Asia/Shanghai]");
        assert_eq!(left(300, 3, today), (Some(0.2), "25 00:00".to_owned()));
        assert_eq!(left(300, 3, tomorrow), (Some(1_300.0 / 1_500.0), "25 00:00".to_owned()));
        assert_eq!(left(1_500, 1, today), (Some(1.0), "23 03:48".to_owned()));
    }

    #[test]
    fn days_beyond_the_end_of_the_calendar_end_with_it() {
        let day = |days| DayView {
            limit: NonZeroU64::MIN,
            left: 0,
            calls: days,
            next_day_at: at("2026-11-24T00:00+08:00[Asia/Shanghai]"),
            days,
        };
        assert_eq!(day(1).last_day_begins(), None);
        assert_eq!(day(3).last_day_begins(), Some(at("2026-11-25T00:00+08:00[Asia/Shanghai]")));
        for days in [7_304_487, u64::MAX] {
            assert_eq!(day(days).last_day_begins().map(|last| last.year()), Some(9999), "{days}");
        }
    }
}

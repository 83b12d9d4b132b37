//! What a run would do: what goes first, its rows and requests, where it sends, and how long it takes at least.

mod calls;
mod conditions;
mod estimate;

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Zoned};
use schemars::JsonSchema;
use serde::Serialize;

pub use self::calls::{PlannedLookups, PlannedPreparation};
pub use self::conditions::{
    Changes, Conditions, ControlView, DayView, ProtectedView, Setting, TargetView, Unfinished, WindowView,
};
pub use self::estimate::Estimate;
use super::figures::Figures;
use super::input::Input;
use super::json::{self, DateTime};
use super::text::{Text, count, counted, moment_ahead, share, visible};
use crate::domain::operation::{BoundOperation, PreparationCalls};
use crate::domain::request::Request;
use crate::domain::response::lookup;
use crate::domain::response::outcome::Outcome;
use crate::domain::target::RunTarget;
use crate::queue::LargeAccount;

/// Items of the sample body.
const SAMPLE_ITEMS: usize = 3;

/// What a run would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Plan {
    /// The run, its rows and the first rejected ones.
    #[serde(flatten)]
    pub figures: Figures,
    /// The id of the plan, which `run --plan` takes; none where nothing would be sent.
    pub plan_id: Option<String>,
    /// What goes first, what changed, where it sends, and why it would be refused.
    pub conditions: Conditions,
    /// The files of the input.
    pub input: Input,
    /// Rows that another row's item took in.
    pub merged: u64,
    /// Requests of the run.
    pub requests: u64,
    /// The most items that one request holds.
    pub items_per_request: u64,
    /// How full the requests are, from 0 to 1.
    pub batch_fill: f64,
    /// The lookups that may follow; none if no command shows the effect of the operation.
    pub lookups: Option<PlannedLookups>,
    /// The calls before each change; empty if the job asks for none.
    pub preparations: Vec<PlannedPreparation>,
    /// The From_Accounts with the most items.
    pub largest_accounts: Vec<LargeAccount>,
    /// The requests that are left, and the shortest time that they take.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// When it would end if it started now and nothing delayed it, the unfinished runs that go first included.
    #[serde(rename = "would_end_at", serialize_with = "json::moment")]
    #[schemars(with = "DateTime")]
    pub would_end: Zoned,
    /// The share of the calls that fit into the time before `until`, at most 1; none if no time limit ends it.
    pub share_by_until: Option<f64>,
    /// The body of the first request, shortened.
    pub sample_body: Option<serde_json::Value>,
}

/// What is read of a run for its plan.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// The run, its rows and the first rejected ones.
    pub figures: Figures,
    /// The files of the input.
    pub input: Input,
    /// The operation with its options.
    pub operation: BoundOperation,
    /// The calls before each change.
    pub preparations: Vec<PreparationCalls>,
    /// Requests of the run.
    pub requests: u64,
    /// The lookups of all items that are left, if each request that is left is looked up as a whole.
    pub lookups_of_requests: u64,
    /// The From_Accounts with the most items.
    pub largest_accounts: Vec<LargeAccount>,
    /// The requests that are left, and the shortest time that they take.
    pub estimate: Estimate,
    /// The first request that is not settled.
    pub first_request: Option<Request>,
}

impl Plan {
    /// What a run would do under these conditions, if it started now.
    pub fn new(run: PlannedRun, conditions: Conditions) -> Self {
        let PlannedRun { figures, input, operation, requests, largest_accounts, estimate, first_request, .. } = run;
        let lookups_of_requests = run.lookups_of_requests;
        let older = conditions.continues.iter().filter(|older| older.run != figures.run);
        let takes = older.map(|older| older.estimate.at_least()).fold(estimate.at_least(), Duration::saturating_add);
        let takes = SignedDuration::try_from(takes).unwrap_or(SignedDuration::MAX);
        let items_per_request = operation.items_per_request as u64;
        let items_left = figures.items.min(figures.outcomes[Outcome::Pending]);
        Self {
            lookups: operation
                .lookup
                .map(|lookup| PlannedLookups::new(operation, lookup, lookups_of_requests, items_left)),
            plan_id: None,
            merged: merged(&figures),
            requests,
            items_per_request,
            batch_fill: fill(figures.items, requests * items_per_request),
            preparations: run.preparations.into_iter().map(PlannedPreparation::new).collect(),
            largest_accounts,
            estimate,
            would_end: conditions.ends_after(takes),
            share_by_until: conditions.share_by_until(takes),
            sample_body: first_request.map(|request| sample(operation, request)),
            conditions,
            input,
            figures,
        }
    }

    /// The text for people.
    pub fn text(&self) -> String {
        let mut text = Text::default();
        self.overview(&mut text);
        self.figures.rejects(&mut text);
        self.sample(&mut text);
        self.conditions.refusals(&mut text);
        text.into()
    }

    /// What is shown before the user is asked to confirm: the plan without its samples.
    pub fn question(&self) -> String {
        let mut text = Text::default();
        self.overview(&mut text);
        text.into()
    }

    fn overview(&self, text: &mut Text) {
        self.conditions.head(text);
        self.figures.head(text);
        self.figures.outcomes(text);
        self.input.block(text);
        self.conditions.carry_over(text);
        self.conditions.body(text);
        text.figure("items", &self.items());
        text.figure("requests", &self.batches());
        for preparation in &self.preparations {
            text.figure("before each", &preparation.line());
        }
        if let Some(lookups) = &self.lookups {
            text.figure("lookups", &lookups.line());
        }
        self.accounts(text);
        self.time(text);
    }

    fn items(&self) -> String {
        let items = count(self.figures.items);
        if self.merged == 0 {
            return items;
        }
        let merged = counted(self.merged, "row", "rows");
        format!("{items}, with {merged} merged into others that update the same friend")
    }

    fn batches(&self) -> String {
        let capacity = self.requests * self.items_per_request;
        let full =
            format!("{} full (up to {} items each)", share(self.figures.items, capacity), self.items_per_request);
        match self.requests - self.requests.min(self.estimate.requests_left) {
            0 => format!("{}, {full}", count(self.requests)),
            settled => format!("{}, {full}; {} settled already", count(self.requests), count(settled)),
        }
    }

    fn accounts(&self, text: &mut Text) {
        if self.largest_accounts.is_empty() {
            return;
        }
        text.line("largest From_Accounts");
        for account in &self.largest_accounts {
            let items = counted(account.items, "item", "items");
            let requests = counted(account.requests, "request", "requests");
            text.line(&format!("  {:<32}  {items} in {requests}", visible(&account.from)));
        }
    }

    fn time(&self, text: &mut Text) {
        text.figure("takes", &self.estimate.line());
        let end = self.would_end.strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
        let first = if self.conditions.continues.iter().any(|older| older.run != self.figures.run) {
            ", including the runs that go first"
        } else {
            ""
        };
        text.figure("ends", &format!("not before {end}, if started now{first}"));
        if let Some((until, sent)) = self.conditions.until.as_ref().zip(self.share_by_until) {
            let moment = moment_ahead(until, &self.conditions.now);
            let sent = if sent < 1.0 {
                format!("at most {:.0} % are sent by then; run it again for the rest", (sent * 100.0).floor())
            } else {
                "enough time for all".to_owned()
            };
            text.figure("until", &format!("{moment}: {sent}"));
        }
    }

    fn sample(&self, text: &mut Text) {
        let Some(body) = &self.sample_body else {
            return;
        };
        text.line(&format!("the first request, at most {SAMPLE_ITEMS} of its items"));
        for line in format!("{body:#}").lines() {
            text.line(&format!("  {}", visible(line)));
        }
    }
}

/// The last lines of the text: the id of the plan of these jobs, and what to type to send it. `jobs` are the job files
/// as they were named on the command line. `approval`: the request for an approval of this plan.
pub fn closing(plans: &[Plan], jobs: &[String], approval: Option<&Path>) -> String {
    let jobs: Vec<_> = jobs.iter().map(|job| visible(job)).collect();
    let jobs = jobs.join(" ");
    let refused = plans.iter().any(|plan| !plan.conditions.refusals.is_empty());
    let later = plans.iter().any(|plan| !plan.conditions.later_refusals.is_empty());
    let id = plans.iter().find_map(|plan| plan.plan_id.as_deref());
    let sandbox = plans.iter().all(|plan| plan.conditions.target.name == RunTarget::Sandbox);
    let how = if sandbox { "--sandbox" } else { "--execute" };
    match id {
        _ if refused => "nothing was sent, and `imbulk run` would send nothing: see `refused` above\n".to_owned(),
        _ if later => "nothing was sent; `imbulk run` would finish the unfinished run that goes first, and then send \
                       nothing: see `then refused` above\n"
            .to_owned(),
        None => "nothing was sent: this input is finished; --again makes a new run of it\n".to_owned(),
        Some(id) => {
            let (when, option) = approval.map_or(("", String::new()), |file| {
                let file = file.display().to_string();
                (" once a second person has signed", format!(" --approval {}", visible(&file)))
            });
            let command = format!("imbulk run {jobs} {how} --plan {id}{option}");
            format!("plan           {id}\nnothing was sent; to send exactly this{when}: {command}\n")
        }
    }
}

/// Rows that are sent as part of another row's item.
fn merged(figures: &Figures) -> u64 {
    let skipped = [Outcome::Rejected, Outcome::Duplicate, Outcome::Protected];
    let skipped: u64 = skipped.into_iter().map(|outcome| figures.outcomes[outcome]).sum();
    figures.rows.saturating_sub(skipped).saturating_sub(figures.items)
}

fn fill(items: u64, capacity: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = items as f64 / capacity.max(1) as f64;
    share
}

/// The estimate for a run with these requests left: those of the largest account are sent one after the other. `rates`:
/// of the run's command, and of the app.
pub fn estimate(
    requests_left: u64,
    preparations: &[PreparationCalls],
    rates: (NonZeroU32, NonZeroU32),
    largest: &[LargeAccount],
) -> Estimate {
    let in_sequence = largest.iter().map(|account| account.requests).max().unwrap_or(0).min(requests_left);
    let preparations_left = preparations.iter().map(|calls| calls.calls).sum();
    let (calls_per_second, app_calls_per_second) = rates;
    Estimate { requests_left, preparations_left, calls_per_second, app_calls_per_second, in_sequence }
}

fn sample(operation: BoundOperation, mut request: Request) -> serde_json::Value {
    request.items.truncate(SAMPLE_ITEMS);
    serde_json::from_slice(&lookup::body(operation, &request)).expect("the body of every request is JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::ids::RequestId;
    use crate::domain::operation::by_name;
    use crate::domain::request::account::UserId;
    use crate::domain::request::row::{FieldValue, FieldValues};
    use crate::domain::request::{Doubt, Item};
    use crate::domain::response::code_history::CodeHistory;
    use crate::domain::run_choice::EndedBy;
    use crate::domain::source_facts::SourceFacts;
    use crate::queue::{InputFile, Rejected};
    use crate::report::state::StateName;
    use crate::report::{Rejects, WhileSending, testing};

    fn plan() -> Plan {
        Plan::new(planned_run(), conditions(&"2026-11-22T03:00:00+08:00[Asia/Shanghai]".parse().unwrap()))
    }

    /// A run with 30 rows, at 200 calls per second.
    fn planned_run() -> PlannedRun {
        let rejected = |line| Rejected {
            source: "x.csv".to_owned(),
            line,
            column: None,
            reason: "`To_Account` is empty\n".to_owned(),
        };
        let large = |from: &str, items, requests| LargeAccount { from: from.to_owned(), items, requests };
        PlannedRun {
            figures: Figures {
                job: "job".to_owned(),
                operation: "friend_update",
                target: RunTarget::Sandbox,
                state: StateName::Planned,
                rows: 30,
                items: 6,
                outcomes: [(Outcome::Pending, 7), (Outcome::Rejected, 23)].into_iter().collect(),
                codes: Vec::new(),
                rejects: Rejects((9..29).map(rejected).collect()),
                ..testing::figures()
            },
            input: Input(vec![InputFile {
                name: "x.csv".to_owned(),
                carried_from: None,
                facts: SourceFacts::default(),
            }]),
            operation: by_name("friend_update").unwrap().bind(&BTreeMap::new()).unwrap(),
            preparations: Vec::new(),
            requests: 3,
            lookups_of_requests: 3,
            largest_accounts: vec![large("big", 5, 2), large("small", 1, 1)],
            estimate: estimate_of(3, 2),
            first_request: Some(first_request()),
        }
    }

    fn estimate_of(requests_left: u64, in_sequence: u64) -> Estimate {
        let rate = NonZeroU32::new(200).unwrap();
        let (calls_per_second, app_calls_per_second) = (rate, rate);
        Estimate { requests_left, preparations_left: 0, calls_per_second, app_calls_per_second, in_sequence }
    }

    fn id(text: &str) -> UserId {
        UserId::new(text).unwrap()
    }

    /// A request with four items.
    fn first_request() -> Request {
        let fields = || FieldValues::from([("Tag_SNS_IM_Remark".into(), FieldValue::Text("x\u{9b}".into()))]);
        let item = |row| Item { account: id(&format!("u{row}")), row, updates: Some(Box::new(vec![(row, fields())])) };
        Request {
            id: RequestId::BEFORE_FIRST,
            from: Some(id("big")),
            items: (0..4).map(item).collect(),
            calls: 0,
            charged: 0,
            doubt: Doubt::None,
            history: CodeHistory::default(),
            purpose: crate::domain::request::Purpose::Change,
        }
    }

    /// Those of a job for the sandbox that was never planned before.
    fn conditions(now: &Zoned) -> Conditions {
        Conditions {
            now: now.clone(),
            continues: Vec::new(),
            gives_up: Vec::new(),
            carries_later: None,
            carries_nothing_of: None,
            since_last_plan: None,
            target: TargetView::default(),
            protected: ProtectedView { file: None, ids: 1, patterns: 0 },
            guards: Vec::new(),
            window: None,
            calls_per_day: None,
            until: None,
            while_sending: WhileSending { canary: 0, failed_share: 0.5, max_already_done: None, after_items: 1_000 },
            refusals: Vec::new(),
            later_refusals: Vec::new(),
            controlled: Vec::new(),
        }
    }

    #[test]
    fn a_plan_shows_what_would_be_sent_and_how_to_send_it() {
        let plan = plan();
        assert_eq!(plan.figures.rejects.0.len(), 20);
        let text = plan.text();
        let first = "  x.csv:9: `To_Account` is empty\\n\n";
        let (head, rest) = text.split_once(first).unwrap();
        let (_, tail) = rest.split_once("  and 3 more\n").unwrap();
        let (tail, _) = tail.split_once("the first request").unwrap();
        insta::assert_snapshot!(format!("{head}…\n{tail}"), @r"
        job            job
        run            0190e8b0-0000-7000-8000-000000000001  planned
        operation      friend_update on the sandbox
        rows           30
          pending                 7    23.3 %
          rejected               23    76.7 %
        input          1 file
          x.csv  0 rows
        target         the sandbox: no real app
        protected      1 id, 0 patterns: the admin account only
        canary         off
        halts          at 50 % failed, from 1,000 items on
        items          6, with 1 row merged into others that update the same friend
        requests       3, 0.2 % full (up to 1000 items each)
        lookups        only for rows in doubt, with friend_get_list: 3 calls if all are, at most 6 if each is alone
        largest From_Accounts
          big                               5 items in 2 requests
          small                             1 item in 1 request
        takes          at least 100 ms: 200 calls/s, 2 requests one after the other (about 50 ms each)
        ends           not before 2026-11-22 03:00:00 +08:00, if started now
        rejected rows
        …
          all of them: imbulk results job --outcome rejected
        ");
    }

    #[test]
    fn a_plan_shows_the_first_items_of_the_first_request() {
        let text = plan().text();
        let request = &text[text.find("the first request").unwrap()..];
        insta::assert_snapshot!(request, @r#"
        the first request, at most 3 of its items
          {
            "From_Account": "big",
            "UpdateItem": [
              {
                "To_Account": "u0",
                "SnsItem": [
                  {
                    "Tag": "Tag_SNS_IM_Remark",
                    "Value": "x\u{9b}"
                  }
                ]
              },
              {
                "To_Account": "u1",
                "SnsItem": [
                  {
                    "Tag": "Tag_SNS_IM_Remark",
                    "Value": "x\u{9b}"
                  }
                ]
              },
              {
                "To_Account": "u2",
                "SnsItem": [
                  {
                    "Tag": "Tag_SNS_IM_Remark",
                    "Value": "x\u{9b}"
                  }
                ]
              }
            ]
          }
        "#);
    }

    #[test]
    fn a_plan_ends_with_its_id_and_how_to_send_it_unless_it_would_not_be_sent() {
        let jobs = ["a.toml".to_owned(), "b.toml".to_owned()];
        let mut plan = plan();
        assert_eq!(
            closing(std::slice::from_ref(&plan), &jobs, None),
            "nothing was sent: this input is finished; --again makes a new run of it\n"
        );
        plan.plan_id = Some("0123456789ab".to_owned());
        insta::assert_snapshot!(closing(std::slice::from_ref(&plan), &jobs, None), @r"
        plan           0123456789ab
        nothing was sent; to send exactly this: imbulk run a.toml b.toml --sandbox --plan 0123456789ab
        ");
        plan.conditions.target.name = "1400000001".parse().unwrap();
        assert!(
            closing(std::slice::from_ref(&plan), &jobs, None).contains("a.toml b.toml --execute --plan 0123456789ab")
        );
        plan.conditions.refusals.push("no".to_owned());
        insta::assert_snapshot!(closing(&[plan], &jobs, None), @r"
        nothing was sent, and `imbulk run` would send nothing: see `refused` above
        ");
    }

    #[test]
    fn the_json_of_a_plan_has_its_figures() {
        let json = serde_json::to_value(plan()).unwrap();
        let of = |name: &str| json[name].clone();
        assert_eq!(json["outcomes"].as_object().unwrap().len(), 8);
        assert_eq!((of("rows"), of("items"), of("merged"), of("requests")), (30.into(), 6.into(), 1.into(), 3.into()));
        assert_eq!((of("batch_fill"), of("in_sequence")), (0.002.into(), 2.into()));
        assert_eq!((of("at_least_seconds"), of("would_end_at")), (0.1.into(), "2026-11-21T19:00:00.100Z".into()));
        assert_eq!(json["largest_accounts"][0], serde_json::json!({"From_Account": "big", "items": 5, "requests": 2}));
        assert_eq!(json["sample_body"]["UpdateItem"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn the_end_of_a_plan_includes_the_unfinished_runs_that_go_first() {
        let now: Zoned = "2026-11-22T03:00:00+08:00[Asia/Shanghai]".parse().unwrap();
        let rate = NonZeroU32::new(200).unwrap();
        let older = Unfinished {
            run: "0190e8b0-0000-7000-8000-000000000000".to_owned(),
            same_input: false,
            rows_left: 2_000,
            rows: 2_000,
            estimate: Estimate { calls_per_second: rate, ..estimate_of(2_000, 1) },
            began: now.clone(),
            ended_by: EndedBy::Kill,
        };
        let mut all = conditions(&now);
        all.continues.push(older);
        let plan = Plan::new(planned_run(), all);
        assert_eq!(plan.estimate.at_least(), Duration::from_millis(100));
        assert_eq!(plan.would_end, now.saturating_add(SignedDuration::from_millis(10_100)));
        assert!(plan.text().contains("2,000 of 2,000 rows left in 2,000 requests"), "{}", plan.text());
    }

    #[test]
    fn the_lower_bound_is_the_slower_of_rate_and_sequence() {
        let rate = NonZeroU32::new(100).unwrap();
        let at_least = |requests_left, in_sequence| {
            Estimate { calls_per_second: rate, ..estimate_of(requests_left, in_sequence) }.at_least()
        };
        assert_eq!(at_least(1_000, 10), Duration::from_secs(10));
        assert_eq!(at_least(1_000, 400), Duration::from_secs(20));
        assert_eq!(at_least(0, 0), Duration::ZERO);
    }
}

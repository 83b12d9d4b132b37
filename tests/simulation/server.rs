//! A model of the server and of the network: what the server does, what it answers, and what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use imbulk::domain::operation::{AnswerShape, BoundOperation, LookupKind};
use imbulk::domain::request::row::RowNo;
use imbulk::domain::request::{AccountKeys, CallKind, Item, Purpose, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::schedule::CONNECT_AFTER_CHECK;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::scenario::{FaultModel, MS, OutageKind};

/// The longest that the server works on a call (page "REST API overview").
const SERVER_TIMEOUT: Duration = Duration::from_secs(3);
/// The time after which the client stops waiting for an answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that the client waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Codes of every retryable class: the code, the attempts that it counts, and whether the call may have taken effect.
const TRANSIENT: [(i64, u32, bool); 11] = [
    (31_703, 1, false),
    (70_500, 1, false),
    (30_006, 1, false),
    (60_008, 1, true),
    (30_007, 1, true),
    (70_169, 1, true),
    (30_008, 1, false),
    (60_007, 0, false),
    (60_011, 0, false),
    (31_707, 0, false),
    (60_018, 0, false),
];
const FINAL: [i64; 5] = [70_402, 30_001, 30_002, 40_005, 40_601];
const FATAL: [i64; 5] = [30_004, 70_403, 60_010, 70_003, 71_000];

/// The state that an item asks for. It is equal for two items that ask for the same state.
type DesiredState = (String, String);

/// A call on its way.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) job: usize,
    pub(crate) request: Request,
    pub(crate) kind: CallKind,
    pub(crate) body: Vec<u8>,
    pub(crate) keys: AccountKeys,
    pub(crate) generation: u64,
    /// When its bytes leave the runner. If the runner is killed before this time, the server never sees the call.
    pub(crate) leaves: Duration,
}

/// What a call shows about the server's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallHealth {
    /// At least one item has a result of its own.
    Worked,
    /// Every item failed for the same reason. The number is the cost of a retry.
    Failed(u32),
    /// Every item failed, each for a reason of its own.
    FailedBySome,
    /// Every item failed because nothing was sent.
    Unreachable,
    /// Every item failed for a reason that shows nothing about the server's health.
    NotAsked,
}

impl CallHealth {
    fn of(code: &Value) -> Self {
        match code.as_i64() {
            Some(30_008 | 60_007 | 60_011 | 31_707 | 60_018) => Self::Failed(5),
            Some(code) if TRANSIENT.iter().any(|(transient, _, _)| *transient == code) => Self::Failed(14),
            Some(code) if code == 70_001 || FATAL.contains(&code) => Self::NotAsked,
            Some(_) => Self::Worked,
            None => Self::Failed(14),
        }
    }

    /// The health that the codes of the items show.
    fn of_items(codes: impl IntoIterator<Item = i64>) -> Self {
        let worked = codes.into_iter().any(|code| Self::of(&code.into()) == Self::Worked);
        if worked { Self::Worked } else { Self::FailedBySome }
    }
}

/// What a call does, and what the runner receives.
#[derive(Debug, Clone)]
pub(crate) struct CallEffect {
    /// When the server starts and finishes the call. None if the call does not arrive.
    pub(crate) works: Option<(Duration, Duration)>,
    /// The rows whose items it writes.
    pub(crate) effective_rows: Vec<RowNo>,
    /// The counted attempts of each item, by its first row.
    pub(crate) charges: BTreeMap<RowNo, u32>,
    /// When the runner receives the result.
    pub(crate) replies: Duration,
    pub(crate) result: CallResult,
    pub(crate) health: CallHealth,
}

#[derive(Debug)]
pub(crate) struct Server {
    rng: SmallRng,
    pub(crate) faults: FaultModel,
    operations: Vec<BoundOperation>,
    /// The states that have been reached.
    done: BTreeSet<DesiredState>,
    /// Of these, friendships of which the friend's own side is left.
    reverse_left: BTreeSet<DesiredState>,
    /// The rows whose own calls reached their state.
    pub(crate) rows_done_by_calls: BTreeSet<(usize, RowNo)>,
    /// The server refuses signatures of earlier generations.
    oldest_signature: u64,
    outage_until: Duration,
    /// How often the list of each account has changed.
    list_versions: BTreeMap<String, i64>,
}

impl Server {
    pub(crate) fn new(seed: u64, faults: FaultModel, operations: Vec<BoundOperation>) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(seed ^ 0x5e17),
            faults,
            operations,
            done: BTreeSet::new(),
            reverse_left: BTreeSet::new(),
            rows_done_by_calls: BTreeSet::new(),
            oldest_signature: 0,
            outage_until: Duration::ZERO,
            list_versions: BTreeMap::new(),
        }
    }

    /// Marks a fifth of the requested states as already reached.
    pub(crate) fn prepare_state(&mut self, job: usize, requests: &[Request]) {
        for request in requests {
            for item in &request.items {
                if self.rng.random_ratio(1, 5) {
                    let state = self.desired_state(job, request, item.row);
                    let operation = self.operations[job];
                    let finds_sides = operation.lookup == Some(LookupKind::Friends) && operation.deletes_both_sides();
                    if finds_sides && self.rng.random_bool(0.5) {
                        self.reverse_left.insert(state.clone());
                    }
                    self.done.insert(state);
                }
            }
        }
    }

    pub(crate) fn is_done(&self, job: usize, request: &Request, row: RowNo) -> bool {
        let state = self.desired_state(job, request, row);
        let is_left = self.operations[job].deletes_both_sides() && self.reverse_left.contains(&state);
        self.done.contains(&state) && !is_left
    }

    /// A number below this one.
    pub(crate) fn draw(&mut self, below: u32) -> u32 {
        self.rng.random_range(0..below)
    }

    pub(crate) fn version_of_list(&self, owner: &str) -> i64 {
        self.list_versions.get(owner).copied().unwrap_or(0)
    }

    pub(crate) fn change_list(&mut self, owner: &str) {
        *self.list_versions.entry(owner.to_owned()).or_default() += 1;
    }

    /// When the bytes of a call leave if its slot is now. `checks`: a job of the session has online checks, so the
    /// client waits for a connection for a shorter time.
    pub(crate) fn connect(&mut self, now: Duration, checks: bool) -> Duration {
        let slow = self.rng.random_ratio(self.faults.slow_connects, 1000);
        let longest = if checks { CONNECT_AFTER_CHECK } else { CONNECT_TIMEOUT };
        now + if slow { longest.mul_f64(self.rng.random()) } else { MS * self.rng.random_range(0..2) }
    }

    pub(crate) fn decide(&mut self, call: &Call) -> CallEffect {
        let effect = self.effect(call);
        match call.kind {
            CallKind::Change => effect,
            // It writes nothing, so it does not matter when the server works on it.
            CallKind::Lookup | CallKind::Preparation(_) => {
                CallEffect { works: None, effective_rows: Vec::new(), ..effect }
            }
        }
    }

    fn effect(&mut self, call: &Call) -> CallEffect {
        let now = call.leaves;
        if now >= self.outage_until && self.rng.random_ratio(self.faults.outage, 1000) {
            self.outage_until = now + self.faults.outage_length;
        }
        let down = self.faults.down.as_ref().is_some_and(|down| down.contains(&now));
        if now < self.outage_until || down {
            return self.outage_effect(call);
        }
        if self.rng.random_ratio(self.faults.expiry, 1000) && call.generation == self.oldest_signature {
            self.oldest_signature += 1;
        }
        if call.generation < self.oldest_signature {
            return self.answered(call, &body(70_001, &[]), 0, false);
        }
        if !self.rng.random_ratio(self.faults.bad_calls, 1000) {
            return self.one_code_per_item(call);
        }
        if let Some(code) = self.faults.code {
            return self.answered(call, &body(code, &[]), 1, false);
        }
        if self.rng.random_ratio(self.faults.fatal, 1000) {
            return self.fatal(call);
        }
        self.faulty(call)
    }

    /// Applies the writes of a call that the server has finished.
    pub(crate) fn finish(&mut self, call: &Call, effective_rows: &[RowNo]) {
        for row in effective_rows {
            let state = self.desired_state(call.job, &call.request, *row);
            let reverse = matches!(call.request.purpose, Purpose::ReverseSide(_)) && self.reverse_left.remove(&state);
            if self.done.insert(state) || reverse {
                self.rows_done_by_calls.insert((call.job, *row));
            }
        }
    }

    fn desired_state(&self, job: usize, request: &Request, row: RowNo) -> DesiredState {
        let operation = self.operations[job];
        let item = request.items.iter().find(|item| item.row == row).expect("the row is of the request");
        let from = request.from.as_ref().map_or("", |from| from.as_str());
        match operation.name {
            "friend_update" => (format!("update {job} {row}"), String::new()),
            name => (format!("{name} {from}"), item.account.as_str().to_owned()),
        }
    }

    /// When the server starts and finishes the call, and when its answer arrives.
    fn times(&mut self, call: &Call) -> (Duration, Duration, Duration) {
        let transit = MS * self.rng.random_range(1..80);
        let begins = call.leaves + transit;
        let works = self.faults.work.mul_f64(self.rng.random());
        (begins, begins + works, begins + works + transit)
    }

    fn not_delivered(&mut self, call: &Call, result: CallResult) -> CallEffect {
        let replies = call.leaves + MS * self.rng.random_range(0..20);
        let health =
            if matches!(result, CallResult::NotSent(_)) { CallHealth::Unreachable } else { CallHealth::NotAsked };
        CallEffect { works: None, effective_rows: Vec::new(), charges: BTreeMap::new(), replies, result, health }
    }

    /// One answer for all items.
    pub(crate) fn answered(&mut self, call: &Call, body: &Value, charge: u32, written: bool) -> CallEffect {
        let (begins, ends, replies) = self.times(call);
        let rows: Vec<RowNo> = call.request.items.iter().map(|item| item.row).collect();
        CallEffect {
            works: Some((begins, ends)),
            charges: rows.iter().map(|row| (*row, charge)).collect(),
            effective_rows: if written { rows } else { Vec::new() },
            replies,
            result: CallResult::Body(body.to_string().into()),
            health: CallHealth::of(&body["ErrorCode"]),
        }
    }

    fn fatal(&mut self, call: &Call) -> CallEffect {
        match self.rng.random_range(0..4) {
            0 => self.not_delivered(call, CallResult::UntrustedServer("self-signed".into())),
            1 => CallEffect {
                result: CallResult::Status(404),
                health: CallHealth::NotAsked,
                ..self.answered(call, &Value::Null, 0, false)
            },
            _ => {
                let code = FATAL[self.rng.random_range(0..FATAL.len())];
                self.answered(call, &body(code, &[]), 0, false)
            }
        }
    }

    fn faulty(&mut self, call: &Call) -> CallEffect {
        let written = self.rng.random_bool(0.5);
        match self.rng.random_range(0..12) {
            0 => self.not_delivered(call, CallResult::NotSent("no route".into())),
            1 | 2 => self.no_answer(call, written),
            3 => self.too_many_requests(call),
            4 => self.gateway_error(call, written),
            5 => {
                let garbage =
                    ["<html>", "", "{}", r#"{"ErrorCode":0,"ActionStatus":"FAIL"}"#][self.rng.random_range(0..4)];
                CallEffect { result: CallResult::Body(garbage.into()), ..self.answered(call, &Value::Null, 1, written) }
            }
            6 | 7 => self.partial_answer(call),
            8 => {
                // For a batch, the code says nothing about the items. For a single item, it is final.
                let code = FINAL[self.rng.random_range(0..FINAL.len())];
                self.answered(call, &body(code, &[]), 0, false)
            }
            _ => {
                let (code, charge, unsure) = TRANSIENT[self.rng.random_range(0..TRANSIENT.len())];
                self.answered(call, &body(code, &[]), charge, unsure && written)
            }
        }
    }

    fn too_many_requests(&mut self, call: &Call) -> CallEffect {
        let effect = self.answered(call, &Value::Null, 0, false);
        CallEffect { result: CallResult::Status(429), health: CallHealth::Failed(5), ..effect }
    }

    /// The effect of every call during an outage.
    fn outage_effect(&mut self, call: &Call) -> CallEffect {
        let written = self.rng.random_bool(0.5);
        match self.faults.outage_kind {
            OutageKind::Refused => self.not_delivered(call, CallResult::NotSent("connection refused".into())),
            OutageKind::Silent => self.no_answer(call, written),
            OutageKind::Gateway => self.gateway_error(call, written),
            OutageKind::Code(code) => {
                let (_, charge, unsure) =
                    TRANSIENT.into_iter().find(|(transient, _, _)| *transient == code).expect("a transient code");
                self.answered(call, &body(code, &[]), charge, unsure && written)
            }
        }
    }

    /// The connection breaks or the client times out, but the server may continue until its own timeout.
    fn no_answer(&mut self, call: &Call, written: bool) -> CallEffect {
        let effect = self.answered(call, &Value::Null, 1, written);
        let begins = call.leaves + MS * self.rng.random_range(1..150);
        let gives_up = call.leaves + CLIENT_TIMEOUT.mul_f64(self.rng.random());
        CallEffect {
            works: self.rng.random_bool(0.8).then_some((begins, begins + SERVER_TIMEOUT.mul_f64(self.rng.random()))),
            replies: gives_up.max(begins),
            result: CallResult::NoAnswer("reset".into()),
            ..effect
        }
    }

    /// A gateway answers with an error, but the server behind it continues.
    fn gateway_error(&mut self, call: &Call, written: bool) -> CallEffect {
        let effect = self.no_answer(call, written);
        CallEffect { result: CallResult::Status([500, 502, 504, 408][self.rng.random_range(0..4)]), ..effect }
    }

    /// The answer has a code for each item.
    fn one_code_per_item(&mut self, call: &Call) -> CallEffect {
        if let CallKind::Preparation(preparation) = call.kind {
            return self.prepared(call, preparation);
        }
        if let Purpose::LookUp(_) = call.request.purpose {
            return self.looked_up(call, 0);
        }
        if self.operations[call.job].answer == AnswerShape::Failures {
            return self.failures_alone(call);
        }
        let mut effect = self.answered(call, &Value::Null, 0, false);
        let mut answers = Vec::new();
        for item in call.request.items.clone() {
            let code = self.item_code(call, item.row, &mut effect);
            answers.push((named(call, &item), code));
        }
        let operation = self.operations[call.job];
        let answer = match operation.answer_key() {
            Some(_) => body(if answers.iter().all(|(_, code)| *code != 0) { answers[0].1 } else { 0 }, &answers),
            None => body(answers[0].1, &[]),
        };
        effect.result = CallResult::Body(answer.to_string().into());
        effect.health = CallHealth::of_items(answers.into_iter().map(|(_, code)| code));
        effect
    }

    /// The answer names the items that failed, without codes.
    fn failures_alone(&mut self, call: &Call) -> CallEffect {
        let mut effect = self.answered(call, &Value::Null, 0, false);
        let mut failed = Vec::new();
        for item in call.request.items.clone() {
            if self.item_code(call, item.row, &mut effect) != 0 {
                effect.effective_rows.retain(|row| *row != item.row);
                effect.charges.insert(item.row, 0);
                failed.push(item.account.as_str().to_owned());
            }
        }
        let answer = json!({"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": "", "FailAccounts": failed});
        effect.result = CallResult::Body(answer.to_string().into());
        effect.health = CallHealth::Worked;
        effect
    }

    fn item_code(&mut self, call: &Call, row: RowNo, effect: &mut CallEffect) -> i64 {
        let operation = self.operations[call.job];
        let poisoned = self.faults.poisoned.is_some_and(|every| row.is_multiple_of(every));
        if poisoned {
            effect.charges.insert(row, 1);
            return 70_500;
        }
        if self.rng.random_ratio(self.faults.bad_items, 1000) {
            if self.rng.random_bool(0.3) {
                return FINAL[self.rng.random_range(0..FINAL.len())];
            }
            let (code, charge, unsure) = TRANSIENT[self.rng.random_range(0..TRANSIENT.len())];
            effect.charges.insert(row, charge);
            if unsure && self.rng.random_bool(0.5) {
                effect.effective_rows.push(row);
            }
            return code;
        }
        let state = self.desired_state(call.job, &call.request, row);
        if let Purpose::ReverseSide(_) = call.request.purpose {
            effect.effective_rows.push(row);
            return if self.reverse_left.contains(&state) { 0 } else { 31_704 };
        }
        if self.done.contains(&state) {
            match operation.name {
                "account_delete" => return 70_107,
                "friend_delete" => return 31_704,
                _ => {}
            }
        }
        effect.effective_rows.push(row);
        0
    }

    /// The answer to a lookup. One item in `omitted` is left out; 0: none.
    fn looked_up(&mut self, call: &Call, omitted: u32) -> CallEffect {
        let mut effect = self.answered(call, &Value::Null, 0, false);
        let mut found = Vec::new();
        for item in &call.request.items {
            if omitted > 0 && self.rng.random_ratio(1, omitted) {
                effect.charges.insert(item.row, 1);
                continue;
            }
            let state = self.desired_state(call.job, &call.request, item.row);
            found.push(self.shown(call, item, &state));
        }
        effect.health = if found.is_empty() { CallHealth::FailedBySome } else { CallHealth::Worked };
        let body = match self.operations[call.job].lookup {
            // The page of a list says how many friends there are.
            Some(LookupKind::FriendList) => json!({"ErrorCode": 0, "FriendNum": found[0], "CompleteFlag": 1}),
            Some(LookupKind::Accounts) => json!({"ErrorCode": 0, "ResultItem": found}),
            Some(LookupKind::Profiles) => json!({"ErrorCode": 0, "UserProfileItem": found}),
            Some(LookupKind::Friends | LookupKind::FriendFields) | None => json!({"ErrorCode": 0, "InfoItem": found}),
        };
        effect.result = CallResult::Body(body.to_string().into());
        effect
    }

    /// What a lookup shows of an item.
    fn shown(&self, call: &Call, item: &Item, state: &DesiredState) -> Value {
        let (done, id) = (self.done.contains(state), item.account.as_str());
        let fields = json!([{"Tag": "Tag_SNS_IM_Remark", "Value": if done { "r" } else { "another" }}]);
        match self.operations[call.job].lookup {
            Some(LookupKind::Accounts) => {
                let status = if done { "NotImported" } else { "Imported" };
                json!({"UserID": id, "ResultCode": 0, "AccountStatus": status})
            }
            Some(LookupKind::Profiles) => json!({"To_Account": id, "ResultCode": 0, "ProfileItem": fields}),
            Some(LookupKind::FriendFields) => json!({"To_Account": id, "ResultCode": 0, "SnsProfileItem": fields}),
            Some(LookupKind::FriendList) => json!(u32::from(!done)),
            Some(LookupKind::Friends) | None => {
                let relation = match (done, self.reverse_left.contains(state)) {
                    (true, false) => "CheckResult_Type_NoRelation",
                    (true, true) => "CheckResult_Type_BWithA",
                    (false, _) => "CheckResult_Type_BothWay",
                };
                json!({"To_Account": id, "ResultCode": 0, "Relation": relation})
            }
        }
    }

    /// An answer that omits some items, has two codes for others, and names an item that the request does not contain.
    fn partial_answer(&mut self, call: &Call) -> CallEffect {
        let mut effect = self.answered(call, &Value::Null, 1, false);
        let operation = self.operations[call.job];
        if operation.answer_key().is_none() || matches!(call.kind, CallKind::Preparation(_)) {
            return self.one_code_per_item(call);
        }
        if let Purpose::LookUp(_) = call.request.purpose {
            return self.looked_up(call, 3);
        }
        let mut answers = vec![("stranger".to_owned(), 0)];
        let mut codes = Vec::new();
        for item in call.request.items.clone() {
            let name = named(call, &item);
            if self.rng.random_bool(0.5) {
                effect.effective_rows.push(item.row);
            }
            match self.rng.random_range(0..3) {
                0 => {}
                1 => answers.extend([(name.clone(), 0), (name, 70_500)]),
                _ => {
                    effect.effective_rows.retain(|row| *row != item.row);
                    effect.charges.insert(item.row, 0);
                    let code = self.item_code(call, item.row, &mut effect);
                    answers.push((name, code));
                    codes.push(code);
                }
            }
        }
        effect.result = CallResult::Body(body(0, &answers).to_string().into());
        effect.health = CallHealth::of_items(codes);
        effect
    }
}

/// The id under which the answer names an item.
fn named(call: &Call, item: &Item) -> String {
    match (&call.request.purpose, &call.request.from) {
        (Purpose::ReverseSide(_), Some(from)) => from.as_str().to_owned(),
        _ => item.account.as_str().to_owned(),
    }
}

fn body(code: i64, items: &[(String, i64)]) -> Value {
    let items: Vec<Value> =
        items.iter().map(|(id, code)| json!({"To_Account": id, "ResultCode": code, "ResultInfo": "x"})).collect();
    let status = if code == 0 { "OK" } else { "FAIL" };
    json!({"ActionStatus": status, "ErrorCode": code, "ErrorInfo": "x", "ResultItem": items})
}

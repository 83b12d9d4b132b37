//! A model of the server and of the way to it: what it does, what it says, and what of that arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use imbulk::domain::operation::BoundOperation;
use imbulk::domain::request::{Keys, Request};
use imbulk::domain::response::call_result::CallResult;
use imbulk::domain::row::RowNo;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::scenario::{Calamity, MS, Weather};

/// The longest that the server works on a call (page "REST API overview").
const GIVES_UP: Duration = Duration::from_secs(3);
/// When the client gives up.
const TIME_OUT: Duration = Duration::from_secs(5);
/// The longest that the client waits for a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// Codes of every class: the code, whether the attempt counts, and whether it may have taken effect.
const PASSING: [(i64, u32, bool); 11] = [
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
const FATAL: [i64; 4] = [30_004, 70_403, 60_010, 70_003];

/// What an item is about: equal for two items that ask for one state.
type Target = (String, String);

/// A call on its way.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) job: usize,
    pub(crate) request: Request,
    pub(crate) keys: Keys,
    pub(crate) generation: u64,
    /// When its bytes leave; a runner that is killed before takes it along.
    pub(crate) leaves: Duration,
}

/// What an exchange tells of the server's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// An item got its word.
    Worked,
    /// None did, and all for one reason; to send it again takes so much.
    Failed(u32),
    /// None did, and each for a reason of its own.
    FailedBySome,
    /// None did, since nothing was sent.
    Unreachable,
    /// None did, for a reason of its own.
    NotAsked,
}

impl Nature {
    fn of(code: &Value) -> Self {
        match code.as_i64() {
            Some(30_008 | 60_007 | 60_011 | 31_707 | 60_018) => Self::Failed(5),
            Some(code) if PASSING.iter().any(|(passing, _, _)| *passing == code) => Self::Failed(14),
            Some(code) if code == 70_001 || FATAL.contains(&code) => Self::NotAsked,
            Some(_) => Self::Worked,
            None => Self::Failed(14),
        }
    }

    /// Of items that each have a code.
    fn of_items(codes: impl IntoIterator<Item = i64>) -> Self {
        let worked = codes.into_iter().any(|code| Self::of(&code.into()) == Self::Worked);
        if worked { Self::Worked } else { Self::FailedBySome }
    }
}

/// What becomes of a call.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    /// When the server begins and ends to work on it; none if it does not arrive.
    pub(crate) works: Option<(Duration, Duration)>,
    /// The rows whose items it brings about.
    pub(crate) brings_about: Vec<RowNo>,
    /// How many attempts that count each item is charged, by its first row.
    pub(crate) charges: BTreeMap<RowNo, u32>,
    /// When the runner hears of it, and what.
    pub(crate) replies: Duration,
    pub(crate) result: CallResult,
    pub(crate) nature: Nature,
}

#[derive(Debug)]
pub(crate) struct Server {
    dice: SmallRng,
    pub(crate) weather: Weather,
    operations: Vec<BoundOperation>,
    /// The states that were asked for and are there.
    done: BTreeSet<Target>,
    /// The rows whose calls brought their state about.
    pub(crate) brought_about: BTreeSet<(usize, RowNo)>,
    /// Signatures of earlier generations are refused.
    oldest_signature: u64,
    outage_until: Duration,
}

impl Server {
    pub(crate) fn new(seed: u64, weather: Weather, operations: Vec<BoundOperation>) -> Self {
        Self {
            dice: SmallRng::seed_from_u64(seed ^ 0x5e17),
            weather,
            operations,
            done: BTreeSet::new(),
            brought_about: BTreeSet::new(),
            oldest_signature: 0,
            outage_until: Duration::ZERO,
        }
    }

    /// Some of what is asked for is there already.
    pub(crate) fn begin_with(&mut self, job: usize, requests: &[Request]) {
        for request in requests {
            for item in &request.items {
                if self.dice.random_ratio(1, 5) {
                    let target = self.target(job, request, item.row);
                    self.done.insert(target);
                }
            }
        }
    }

    pub(crate) fn is_done(&self, job: usize, request: &Request, row: RowNo) -> bool {
        self.done.contains(&self.target(job, request, row))
    }

    /// When the bytes of a call leave that gets its slot now.
    pub(crate) fn connect(&mut self, now: Duration) -> Duration {
        let slow = self.dice.random_ratio(self.weather.slow_connects, 1000);
        now + if slow { CONNECT.mul_f64(self.dice.random()) } else { MS * self.dice.random_range(0..2) }
    }

    pub(crate) fn decide(&mut self, call: &Call) -> Fate {
        let now = call.leaves;
        if now >= self.outage_until && self.dice.random_ratio(self.weather.outage, 1000) {
            self.outage_until = now + self.weather.outage_length;
        }
        let down = self.weather.down.as_ref().is_some_and(|down| down.contains(&now));
        if now < self.outage_until || down {
            return self.calamity(call);
        }
        if self.dice.random_ratio(self.weather.expiry, 1000) && call.generation == self.oldest_signature {
            self.oldest_signature += 1;
        }
        if call.generation < self.oldest_signature {
            return self.answered(call, &body(70_001, &[]), 0, false);
        }
        if !self.dice.random_ratio(self.weather.bad_calls, 1000) {
            return self.plain(call);
        }
        if let Some(code) = self.weather.code {
            return self.answered(call, &body(code, &[]), 1, false);
        }
        if self.dice.random_ratio(self.weather.fatal, 1000) {
            return self.fatal(call);
        }
        self.bad(call)
    }

    /// The server is done with a call: what it wrote is there.
    pub(crate) fn finish(&mut self, call: &Call, brings_about: &[RowNo]) {
        for row in brings_about {
            let target = self.target(call.job, &call.request, *row);
            if self.done.insert(target) {
                self.brought_about.insert((call.job, *row));
            }
        }
    }

    fn target(&self, job: usize, request: &Request, row: RowNo) -> Target {
        let operation = self.operations[job];
        let item = request.items.iter().find(|item| item.row == row).expect("the row is of the request");
        let from = request.from.as_ref().map_or("", |from| from.as_str());
        match operation.name {
            "friend_update" => (format!("update {job} {row}"), String::new()),
            name => (format!("{name} {from}"), item.account.as_str().to_owned()),
        }
    }

    /// When the server begins and ends, and when its answer is there.
    fn times(&mut self, call: &Call) -> (Duration, Duration, Duration) {
        let transit = MS * self.dice.random_range(1..80);
        let begins = call.leaves + transit;
        let works = self.weather.work.mul_f64(self.dice.random());
        (begins, begins + works, begins + works + transit)
    }

    fn lost(&mut self, call: &Call, result: CallResult) -> Fate {
        let replies = call.leaves + MS * self.dice.random_range(0..20);
        let nature = if matches!(result, CallResult::NotSent(_)) { Nature::Unreachable } else { Nature::NotAsked };
        Fate { works: None, brings_about: Vec::new(), charges: BTreeMap::new(), replies, result, nature }
    }

    /// One answer for all items.
    fn answered(&mut self, call: &Call, body: &Value, charge: u32, effect: bool) -> Fate {
        let (begins, ends, replies) = self.times(call);
        let rows: Vec<RowNo> = call.request.items.iter().map(|item| item.row).collect();
        Fate {
            works: Some((begins, ends)),
            charges: rows.iter().map(|row| (*row, charge)).collect(),
            brings_about: if effect { rows } else { Vec::new() },
            replies,
            result: CallResult::Body(body.to_string().into()),
            nature: Nature::of(&body["ErrorCode"]),
        }
    }

    fn fatal(&mut self, call: &Call) -> Fate {
        match self.dice.random_range(0..4) {
            0 => self.lost(call, CallResult::UntrustedServer("self-signed".into())),
            1 => Fate {
                result: CallResult::Status(404),
                nature: Nature::NotAsked,
                ..self.answered(call, &Value::Null, 0, false)
            },
            _ => {
                let code = FATAL[self.dice.random_range(0..FATAL.len())];
                self.answered(call, &body(code, &[]), 0, false)
            }
        }
    }

    fn bad(&mut self, call: &Call) -> Fate {
        let written = self.dice.random_bool(0.5);
        match self.dice.random_range(0..12) {
            0 => self.lost(call, CallResult::NotSent("no route".into())),
            1 | 2 => self.silence(call, written),
            3 => self.too_many(call),
            4 => self.gateway(call, written),
            5 => {
                let garbage =
                    ["<html>", "", "{}", r#"{"ErrorCode":0,"ActionStatus":"FAIL"}"#][self.dice.random_range(0..4)];
                Fate { result: CallResult::Body(garbage.into()), ..self.answered(call, &Value::Null, 1, written) }
            }
            6 | 7 => self.partial(call),
            8 => {
                // Of a batch it says nothing of the items; alone it is the item's end.
                let code = FINAL[self.dice.random_range(0..FINAL.len())];
                self.answered(call, &body(code, &[]), 0, false)
            }
            _ => {
                let (code, charge, unsure) = PASSING[self.dice.random_range(0..PASSING.len())];
                self.answered(call, &body(code, &[]), charge, unsure && written)
            }
        }
    }

    fn too_many(&mut self, call: &Call) -> Fate {
        let fate = self.answered(call, &Value::Null, 0, false);
        Fate { result: CallResult::Status(429), nature: Nature::Failed(5), ..fate }
    }

    /// While it lasts, every call ends like this.
    fn calamity(&mut self, call: &Call) -> Fate {
        let written = self.dice.random_bool(0.5);
        match self.weather.calamity {
            Calamity::Refused => self.lost(call, CallResult::NotSent("connection refused".into())),
            Calamity::Silent => self.silence(call, written),
            Calamity::Gateway => self.gateway(call, written),
            Calamity::Code(code) => {
                let (_, charge, unsure) =
                    PASSING.into_iter().find(|(passing, _, _)| *passing == code).expect("a code that passes");
                self.answered(call, &body(code, &[]), charge, unsure && written)
            }
        }
    }

    /// No answer: the connection breaks, or the client gives up, while the server works as long as it may.
    fn silence(&mut self, call: &Call, written: bool) -> Fate {
        let fate = self.answered(call, &Value::Null, 1, written);
        let begins = call.leaves + MS * self.dice.random_range(1..150);
        let gives_up = call.leaves + TIME_OUT.mul_f64(self.dice.random());
        Fate {
            works: self.dice.random_bool(0.8).then_some((begins, begins + GIVES_UP.mul_f64(self.dice.random()))),
            replies: gives_up.max(begins),
            result: CallResult::NoAnswer("reset".into()),
            ..fate
        }
    }

    /// A gateway answers while the server behind it works on.
    fn gateway(&mut self, call: &Call, written: bool) -> Fate {
        let fate = self.silence(call, written);
        Fate { result: CallResult::Status([500, 502, 504, 408][self.dice.random_range(0..4)]), ..fate }
    }

    /// Each item has an answer of its own.
    fn plain(&mut self, call: &Call) -> Fate {
        let mut fate = self.answered(call, &Value::Null, 0, false);
        let mut says = Vec::new();
        for item in call.request.items.clone() {
            let code = self.item(call, item.row, &mut fate);
            says.push((item.account.as_str().to_owned(), code));
        }
        let operation = self.operations[call.job];
        let answer = match operation.answer_key() {
            Some(_) => body(if says.iter().all(|(_, code)| *code != 0) { says[0].1 } else { 0 }, &says),
            None => body(says[0].1, &[]),
        };
        fate.result = CallResult::Body(answer.to_string().into());
        fate.nature = Nature::of_items(says.into_iter().map(|(_, code)| code));
        fate
    }

    fn item(&mut self, call: &Call, row: RowNo, fate: &mut Fate) -> i64 {
        let operation = self.operations[call.job];
        let poisoned = self.weather.poisoned.is_some_and(|every| row.is_multiple_of(every));
        if poisoned {
            fate.charges.insert(row, 1);
            return 70_500;
        }
        if self.dice.random_ratio(self.weather.bad_items, 1000) {
            if self.dice.random_bool(0.3) {
                return FINAL[self.dice.random_range(0..FINAL.len())];
            }
            let (code, charge, unsure) = PASSING[self.dice.random_range(0..PASSING.len())];
            fate.charges.insert(row, charge);
            if unsure && self.dice.random_bool(0.5) {
                fate.brings_about.push(row);
            }
            return code;
        }
        if self.is_done(call.job, &call.request, row) {
            match operation.name {
                "account_delete" => return 70_107,
                "friend_delete" => return 31_704,
                _ => {}
            }
        }
        fate.brings_about.push(row);
        0
    }

    /// An answer that leaves items out, says two things of some, and names ones that nobody asked for.
    fn partial(&mut self, call: &Call) -> Fate {
        let mut fate = self.answered(call, &Value::Null, 1, false);
        let operation = self.operations[call.job];
        if operation.answer_key().is_none() {
            return self.plain(call);
        }
        let mut says = vec![("stranger".to_owned(), 0)];
        let mut codes = Vec::new();
        for item in call.request.items.clone() {
            let name = item.account.as_str().to_owned();
            if self.dice.random_bool(0.5) {
                fate.brings_about.push(item.row);
            }
            match self.dice.random_range(0..3) {
                0 => {}
                1 => says.extend([(name.clone(), 0), (name, 70_500)]),
                _ => {
                    fate.brings_about.retain(|row| *row != item.row);
                    fate.charges.insert(item.row, 0);
                    let code = self.item(call, item.row, &mut fate);
                    says.push((name, code));
                    codes.push(code);
                }
            }
        }
        fate.result = CallResult::Body(body(0, &says).to_string().into());
        fate.nature = Nature::of_items(codes);
        fate
    }
}

fn body(code: i64, items: &[(String, i64)]) -> Value {
    let items: Vec<Value> =
        items.iter().map(|(id, code)| json!({"To_Account": id, "ResultCode": code, "ResultInfo": "x"})).collect();
    let status = if code == 0 { "OK" } else { "FAIL" };
    json!({"ActionStatus": status, "ErrorCode": code, "ErrorInfo": "x", "ResultItem": items})
}

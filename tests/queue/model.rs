//! Random histories, compared with a model that contains every row once. After any sequence of sending, recording,
//! withdrawing, retrying, protecting and crashing, the queue equals the model and its numbers add up.

use std::collections::BTreeMap;

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::RequestId;
use imbulk::domain::ids::RunId;
use imbulk::domain::operation::by_name;
use imbulk::domain::request::row::RowNo;
use imbulk::domain::request::{Doubt, Item, Request};
use imbulk::domain::response::code_history::Trace;
use imbulk::domain::response::outcome::Outcome::{self, AlreadyDone, Failed, InDoubt, Pending, Protected, Succeeded};
use imbulk::domain::response::settlement::{EndedItems, Settlement};
use imbulk::domain::response::verdict::{BatchSplit, Charge, Resend, Verdict, Verdicts, Wait};
use imbulk::queue::{Loader, Queue, RetrySelection};
use imbulk::stored_request::StoredRequest;
use proptest::prelude::*;

use crate::fixture::*;

/// One step of a history. Its numbers choose among the requests that there are.
#[derive(Debug, Clone)]
enum Step {
    /// One transaction that records, withdraws and intends some requests.
    Batch {
        answers: Vec<(usize, Vec<Verdict>)>,
        withdrawals: Vec<usize>,
        intents: Vec<usize>,
    },
    Crash,
    CrashWhileLoading,
    /// Recovered requests become pending.
    Reopen(usize),
    Retry(RetrySelection),
    Protect(RowNo),
}

/// The operation whose codes the responses have.
const OPERATION: &str = "friend_update";

fn verdict() -> impl Strategy<Value = Verdict> {
    let outcomes = prop_oneof![Just(Succeeded), Just(AlreadyDone), Just(Failed), Just(InDoubt)];
    let codes = prop::option::of(1_i64..3);
    let charges = prop_oneof![Just(Charge::Free), Just(Charge::Attempt)];
    let doubts = prop_oneof![Just(Doubt::None), Just(Doubt::EffectUnknown)];
    let shapes = prop_oneof![Just(BatchSplit::Whole), Just(BatchSplit::Halves)];
    let met = prop::option::of(prop_oneof![Just(70500_i64), Just(30006), Just(60007), Just(12345)]);
    let agains = (charges, doubts, shapes, met).prop_map(|(charge, doubt, split, met)| {
        Verdict::Resend(Resend { charge, doubt, wait: Wait::Backoff, split, met })
    });
    prop_oneof![
        2 => Just(done()),
        2 => (outcomes, codes).prop_map(|(outcome, code)| ended(outcome, code)),
        2 => agains,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let some = || prop::collection::vec(any::<usize>(), 0..3);
    let all_alike = verdict().prop_map(|verdict| vec![verdict]);
    let verdicts = prop_oneof![all_alike, prop::collection::vec(verdict(), 1..6)];
    let answers = prop::collection::vec((any::<usize>(), verdicts), 0..4);
    let batch = (answers, some(), prop::collection::vec(any::<usize>(), 0..6))
        .prop_map(|(answers, withdrawals, intents)| Step::Batch { answers, withdrawals, intents });
    let selection = (prop_oneof![Just(Failed), Just(InDoubt)], prop::option::of(1_i64..3))
        .prop_map(|(outcome, code)| Step::Retry(RetrySelection::Ended { outcome, code }));
    prop_oneof![
        12 => batch,
        2 => Just(Step::Crash),
        3 => any::<usize>().prop_map(Step::Reopen),
        1 => Just(Step::CrashWhileLoading),
        2 => selection,
        1 => (0_u64..40).prop_map(Step::Protect),
    ]
}

/// What the queue must contain.
struct Model {
    run: RunId,
    ready: BTreeMap<RequestId, Request>,
    sending: BTreeMap<RequestId, Request>,
    /// Left sending by a crash.
    recovered: BTreeMap<RequestId, Request>,
    rows: BTreeMap<RowNo, (Outcome, Option<i64>)>,
}

impl Model {
    fn settle(&mut self, item: &Item, outcome: Outcome, code: Option<i64>) {
        for row in item.rows() {
            let before = self.rows.insert(row, (outcome, code));
            assert_eq!(before, Some((Pending, None)), "row {row} ends twice");
        }
    }

    fn batch(
        &mut self,
        answers: Vec<(usize, Vec<Verdict>)>,
        withdrawals: Vec<usize>,
        intents: Vec<usize>,
    ) -> Vec<Change> {
        let mut writes = Vec::new();
        // Chosen first, since requests that this batch records or withdraws can only be sent after it.
        let mut chosen: Vec<Request> = Vec::new();
        for pick in intents {
            let Some(request) = take(&mut self.ready, pick) else { break };
            // Two requests of one list are never sent at once.
            let mut being_sent = self.sending.values().chain(self.recovered.values()).chain(&chosen);
            if being_sent.any(|other| other.from == request.from) {
                self.ready.insert(request.id, request);
            } else {
                chosen.push(request);
            }
        }
        for (pick, verdicts) in answers {
            let Some(request) = take(&mut self.sending, pick) else { break };
            let verdicts = Verdicts::Each(verdicts.into_iter().cycle().take(request.items.len()).collect());
            let settlement = Settlement::new(by_name(OPERATION).unwrap(), request, verdicts);
            for EndedItems { result, items } in &settlement.ended {
                items.iter().for_each(|item| self.settle(item, result.outcome, result.code));
            }
            writes.push(Change::Record { run: self.run, settlement });
        }
        for pick in withdrawals {
            let Some(request) = take(&mut self.sending, pick) else { break };
            writes.push(Change::Withdraw(request.id));
            self.ready.insert(request.id, Request { calls: request.calls - 1, ..request });
        }
        writes.push(Change::Intend(chosen.iter().map(|request| request.id).collect()));
        let sent = |request: Request| (request.id, Request { calls: request.calls + 1, ..request });
        self.sending.extend(chosen.into_iter().map(sent));
        writes
    }

    fn written(&mut self, written: Vec<Changed>) {
        for written in written {
            if let Changed::Recorded { follow_ups, .. } = written {
                for follow_up in follow_ups {
                    let double = self.ready.insert(follow_up.request.id, follow_up.request);
                    assert_eq!(double, None, "two requests have one number");
                }
            }
        }
    }

    fn recover(&mut self, recovered: &[Request]) {
        let doubtful = |(id, request)| (id, Request { doubt: Doubt::EffectUnknown, ..request });
        self.recovered.extend(std::mem::take(&mut self.sending).into_iter().map(doubtful));
        assert_eq!(recovered, self.recovered.values().cloned().collect::<Vec<_>>());
    }

    /// The selected items are then in new requests, which the model reads from the queue.
    fn retry(&mut self, selection: RetrySelection) -> u64 {
        let RetrySelection::Ended { outcome, code } = selection else { unreachable!("the model verifies nothing") };
        let selected = |ended: &(Outcome, Option<i64>)| ended.0 == outcome && (code.is_none() || ended.1 == code);
        let rows = self.rows.values_mut().filter(|ended| selected(ended));
        rows.map(|ended| *ended = (Pending, None)).count() as u64
    }

    fn protect(&mut self, account: &str) -> u64 {
        let mut taken = Vec::new();
        for (requests, may_have_arrived) in
            [(&mut self.ready, false), (&mut self.sending, true), (&mut self.recovered, true)]
        {
            for request in requests.values_mut() {
                let left_something = request.history.trace(by_name(OPERATION).unwrap()).0 > Trace::Nothing;
                let doubtful = may_have_arrived || request.doubt != Doubt::None || left_something;
                let outcome = if doubtful { InDoubt } else { Protected };
                let items = request.items.extract_if(.., |item| item.account.as_str() == account);
                taken.extend(items.map(|item| (item, outcome)));
            }
            requests.retain(|_, request| !request.items.is_empty());
        }
        taken.iter().for_each(|(item, outcome)| self.settle(item, *outcome, None));
        taken.iter().map(|(item, _)| item.row_count()).sum()
    }
}

fn take(requests: &mut BTreeMap<RequestId, Request>, pick: usize) -> Option<Request> {
    let id = *requests.keys().nth(pick.checked_rem(requests.len())?)?;
    requests.remove(&id)
}

/// Three requests of items of one row, three with merged rows: 30 rows in all, of three lists.
async fn load(queue: &mut Queue) -> Model {
    let request = |first: RowNo| match first % 2 {
        0 => (first..first + 5).map(|row| merged(&[row])).collect(),
        _ => vec![merged(&[first, first + 3]), merged(&[first + 1]), merged(&[first + 2, first + 4])],
    };
    let requests: Vec<_> =
        ["a", "b", "b", "c", "c", "a"].into_iter().zip(0..).map(|(from, at)| (Some(from), request(at * 5))).collect();
    let run = begun(queue, OPERATION, &requests).await;
    let ready = pending(queue, run).await.into_iter().map(|request| (request.id, request)).collect();
    Model {
        run,
        ready,
        sending: BTreeMap::new(),
        recovered: BTreeMap::new(),
        rows: (0..30).map(|row| (row, (Pending, None))).collect(),
    }
}

async fn play(steps: Vec<Step>) {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let mut model = load(&mut queue).await;
    for step in steps {
        match step {
            Step::Batch { answers, withdrawals, intents } => {
                let writes = model.batch(answers, withdrawals, intents);
                model.written(queue.write(writes, NOW).await.unwrap());
            }
            Step::Crash => {
                drop(queue);
                queue = place.open().await;
                let recovered = queue.recover().await.unwrap();
                let recovered: Vec<Request> = recovered.into_iter().map(|(_, request, _)| request).collect();
                model.recover(&recovered);
            }
            Step::CrashWhileLoading => {
                let mut loader = Loader::begin(&mut queue, &new_run("friend_update")).await.unwrap();
                loader.request(StoredRequest::encode(None, &items(0..3))).await.unwrap();
                drop(loader);
                drop(queue);
                queue = place.open().await;
                let recovered = queue.recover().await.unwrap();
                model.recover(&recovered.into_iter().map(|(_, request, _)| request).collect::<Vec<_>>());
            }
            Step::Reopen(pick) => {
                if let Some(request) = take(&mut model.recovered, pick) {
                    queue.write(vec![Change::Reopen(request.id)], NOW).await.unwrap();
                    model.ready.insert(request.id, request);
                }
            }
            Step::Retry(selection) => {
                let run = queue.run(model.run).await.unwrap();
                assert_eq!(retried_rows(&queue.retry(&run, selection).await.unwrap().codes), model.retry(selection));
                model.ready =
                    pending(&queue, model.run).await.into_iter().map(|request| (request.id, request)).collect();
            }
            Step::Protect(row) => {
                let (run, account) = (queue.run(model.run).await.unwrap(), format!("u{row}"));
                let protected = queue.protect(&run, &|id| id == account, "digest", 7).await.unwrap();
                assert_eq!(protected, model.protect(&account));
            }
        }
        compare(&mut queue, &model).await;
    }
}

async fn compare(queue: &mut Queue, model: &Model) {
    let run = queue.run(model.run).await.unwrap();
    let tally = queue.check_sums(&run).await.unwrap();
    for outcome in Outcome::ALL {
        let rows = model.rows.values().filter(|(own, _)| *own == outcome).count();
        assert_eq!(tally[outcome], rows as u64, "{outcome}");
    }
    assert_eq!(pending(queue, model.run).await, model.ready.values().cloned().collect::<Vec<_>>());
    assert_eq!(rows_of(queue, model.run).await, model.rows);
}

/// The outcome of every row, as results would contain it. A row in two places fails the test.
async fn rows_of(queue: &Queue, run: RunId) -> BTreeMap<RowNo, (Outcome, Option<i64>)> {
    let mut snapshot = snapshot(queue).await;
    let mut rows = BTreeMap::new();
    for request in snapshot.request_results(run, RequestId::BEFORE_FIRST).await.unwrap() {
        for row in request.items().unwrap().iter().flat_map(Item::rows) {
            assert_eq!(rows.insert(row, (request.outcome(), None)), None, "row {row} is in two requests");
        }
    }
    for exception in snapshot.exceptions(run, 0..100).await.unwrap() {
        let before = rows.insert(exception.row, (exception.outcome, exception.code));
        assert_eq!(before, Some((Succeeded, None)), "row {} is an exception of no settled request", exception.row);
    }
    for skipped in snapshot.skipped_rows(run, 0..100).await.unwrap() {
        assert_eq!(rows.insert(skipped.row, (skipped.outcome, None)), None, "row {} is skipped and sent", skipped.row);
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_row_is_in_one_place_whatever_happens(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}

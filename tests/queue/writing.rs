//! Intents and outcomes: what is stored, and what is refused without a change.

use imbulk::domain::change::{Change, Changed};
use imbulk::domain::ids::RequestId;
use imbulk::domain::ids::RunId;
use imbulk::domain::request::{Doubt, Request};
use imbulk::domain::response::outcome::Outcome::{self, AlreadyDone, Failed, InDoubt, Pending, Succeeded};
use imbulk::domain::response::verdict::{BatchSplit, Charge, Resend, Verdict, Wait};
use imbulk::queue::{Queue, QueueError, Reader};

use crate::fixture::*;
use imbulk_testkit::reseal::change_and_reseal;

/// A run of three requests: 0..4, 4..8 and 8..10.
async fn three(place: &QueueFolder) -> (Queue, RunId, Vec<Request>) {
    let mut queue = place.open().await;
    let requests = [(None, items(0..4)), (None, items(4..8)), (None, items(8..10))];
    let run = begun(&mut queue, "account_delete", &requests).await;
    let page = pending(&queue, run).await;
    (queue, run, page)
}

async fn exceptions(queue: &Queue, run: RunId) -> Vec<(u64, Outcome, Option<i64>)> {
    let found = snapshot(queue).await.exceptions(run, 0..1_000_000).await.unwrap();
    found.into_iter().map(|exception| (exception.row, exception.outcome, exception.code)).collect()
}

#[tokio::test]
async fn a_full_success_changes_one_row_and_adds_none() {
    let place = QueueFolder::new();
    let (mut queue, run, page) = three(&place).await;
    let follow_ups = record_call(&mut queue, run, &page[0], vec![done(); 4]).await;
    assert!(follow_ups.is_empty());
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 4), (Pending, 6)]);
    assert_eq!(exceptions(&queue, run).await, []);
    assert_eq!(pending(&queue, run).await, page[1..]);
}

#[tokio::test]
async fn outcomes_are_stored_by_row_and_settled_items_stay_in_the_request() {
    let place = QueueFolder::new();
    let (mut queue, run, page) = three(&place).await;
    let verdicts = vec![failed(9), done(), again(Doubt::EffectUnknown, BatchSplit::Whole), ended(AlreadyDone, Some(7))];
    let follow_ups = record_call(&mut queue, run, &page[0], verdicts).await;
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 1), (AlreadyDone, 1), (Failed, 1), (Pending, 7)]);
    assert_eq!(exceptions(&queue, run).await, [(0, Failed, Some(9)), (3, AlreadyDone, Some(7))]);
    let stored = pending(&queue, run).await;
    assert_eq!(stored.last().unwrap(), &follow_ups[0].request, "the follow-up as it is on disk");
    assert_eq!((follow_ups[0].request.items.as_slice(), follow_ups[0].request.calls), (&[item(2)][..], 1));
    assert_eq!(follow_ups[0].request.doubt, Doubt::EffectUnknown);
    assert_eq!(place.number(&format!("SELECT parent FROM request WHERE id = {}", follow_ups[0].request.id)).await, 1);
}

#[tokio::test]
async fn a_request_that_is_repeated_whole_keeps_its_id_and_its_items() {
    let place = QueueFolder::new();
    let (mut queue, run, page) = three(&place).await;
    let follow_ups =
        record_call(&mut queue, run, &page[0], vec![again(Doubt::EffectUnknown, BatchSplit::Whole); 4]).await;
    let expected = Request { calls: 1, charged: 1, doubt: Doubt::EffectUnknown, ..page[0].clone() };
    assert_eq!(follow_ups[0].request, expected);
    assert_eq!(pending(&queue, run).await[0], expected);
    assert_eq!(sums(&mut queue, run).await, [(Pending, 10)]);
}

#[tokio::test]
async fn halves_and_several_follow_ups_lose_no_item() {
    let place = QueueFolder::new();
    let (mut queue, run, page) = three(&place).await;
    let halves = record_call(&mut queue, run, &page[0], vec![again(Doubt::None, BatchSplit::Halves); 4]).await;
    assert_eq!(halves[0].request.id, page[0].id, "the first half keeps the number");
    let by_number = |mut requests: Vec<Request>| {
        requests.sort_by_key(|request| request.id);
        requests
    };
    let three_ways = vec![
        again(Doubt::None, BatchSplit::Whole),
        again(Doubt::EffectUnknown, BatchSplit::Whole),
        again(Doubt::None, BatchSplit::Halves),
        again(Doubt::None, BatchSplit::Halves),
    ];
    let follow_ups = record_call(&mut queue, run, &page[1], three_ways).await;
    assert_eq!(follow_ups.len(), 4);
    let known = halves.iter().chain(&follow_ups).map(|follow_up| follow_up.request.clone()).chain([page[2].clone()]);
    assert_eq!(pending(&queue, run).await, by_number(known.collect()));
    assert_eq!(sums(&mut queue, run).await, [(Pending, 10)]);
}

#[tokio::test]
async fn all_rows_of_a_merged_item_share_its_outcome_and_keep_their_own_fields() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let load = vec![merged(&[0, 3, 5]), merged(&[1]), merged(&[2, 4])];
    let run = begun(&mut queue, "friend_update", &[(Some("a"), load.clone())]).await;
    let page = pending(&queue, run).await;
    assert_eq!(page[0].items, load);
    let verdicts = vec![failed(9), done(), again(Doubt::None, BatchSplit::Whole)];
    let follow_ups = record_call(&mut queue, run, &page[0], verdicts).await;
    assert_eq!(follow_ups[0].request.items, load[2..]);
    assert_eq!(pending(&queue, run).await[0].items, load[2..]);
    assert_eq!(exceptions(&queue, run).await, [0, 3, 5].map(|row| (row, Failed, Some(9))));
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 1), (Failed, 3), (Pending, 2)]);
    let follow_ups = record_call(&mut queue, run, &follow_ups[0].request, vec![ended(InDoubt, None)]).await;
    assert!(follow_ups.is_empty());
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 1), (Failed, 3), (InDoubt, 2)]);
}

#[tokio::test]
async fn more_outcomes_than_one_statement_contains_are_all_stored() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "friend_delete", &[(Some("a"), items(0..1000))]).await;
    let page = pending(&queue, run).await;
    record_call(&mut queue, run, &page[0], vec![ended(AlreadyDone, Some(31704)); 1000]).await;
    assert_eq!(sums(&mut queue, run).await, [(AlreadyDone, 1000)]);
    assert_eq!(exceptions(&queue, run).await.len(), 1000);
}

#[tokio::test]
async fn outcomes_and_intents_of_one_batch_are_one_transaction() {
    let place = QueueFolder::new();
    let (mut queue, run, page) = three(&place).await;
    intend(&mut queue, &ids([1, 2])).await.unwrap();
    let record = |at: usize, verdicts| Change::Record { run, settlement: settlement(&page[at], verdicts) };
    let batch = vec![Change::Intend(ids([3])), record(0, vec![done(); 4]), Change::Withdraw(RequestId::new(2))];
    let written = queue.write(batch, NOW).await.unwrap();
    assert!(
        matches!(
            written.as_slice(),
            [Changed::Recorded { request, .. }, Changed::Withdrawn(withdrawn), Changed::Intended(sent)]
                if (*request, *withdrawn) == (RequestId::new(1), RequestId::new(2)) && *sent == ids([3])
        ),
        "{written:?}"
    );
    let states = "SELECT sum(id * 10 + (state = 'settled') * 2 + (state = 'sending')) FROM request";
    assert_eq!(place.number(states).await, 12 + 20 + 31);
    assert_eq!(place.number("SELECT attempts FROM request WHERE id = 2").await, 0, "a withdrawn one was not sent");
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 4), (Pending, 6)]);
}

/// Every way in which a write can find an unexpected state.
fn wrong_writes(run: RunId, page: &[Request]) -> Vec<(&'static str, Vec<Change>)> {
    // The first is sending, the second settled, the third pending.
    let record = |at: usize, verdict: Verdict| {
        let verdicts = vec![verdict; page[at].items.len()];
        Change::Record { run, settlement: settlement(&page[at], verdicts) }
    };
    let whole = || again(Doubt::None, BatchSplit::Whole);
    let halves = || again(Doubt::None, BatchSplit::Halves);
    let nobody = |id: RequestId| Request { id, ..page[0].clone() };
    let of_nobody = Change::Record { run, settlement: settlement(&nobody(RequestId::new(99)), vec![done(); 4]) };
    let of_no_run = Change::Record { run: RunId::new(99), settlement: settlement(&page[0], vec![done(); 4]) };
    vec![
        ("intend what is sending", vec![Change::Intend(ids([1]))]),
        ("intend what is settled", vec![Change::Intend(ids([2]))]),
        ("intend nobody", vec![Change::Intend(ids([3, 99]))]),
        ("intend twice in one list", vec![Change::Intend(ids([3, 3]))]),
        ("intend twice in one batch", vec![Change::Intend(ids([3])), Change::Intend(ids([3]))]),
        ("succeed twice", vec![record(0, done()), record(0, done())]),
        ("fail twice", vec![record(0, failed(1)), record(0, failed(1))]),
        ("succeed, then fail", vec![record(0, done()), record(0, failed(1))]),
        ("succeed what is settled", vec![record(1, done())]),
        ("fail what is settled", vec![record(1, failed(1))]),
        ("repeat what is settled", vec![record(1, whole())]),
        ("halve what is settled", vec![record(1, halves())]),
        ("succeed what is pending", vec![record(2, done())]),
        ("fail what is pending", vec![record(2, failed(1))]),
        ("repeat what is pending", vec![record(2, whole())]),
        ("halve what is pending", vec![record(2, halves())]),
        ("succeed nobody", vec![of_nobody]),
        ("count for no run", vec![of_no_run]),
        ("reopen what was not recovered", vec![Change::Reopen(RequestId::new(1))]),
        ("reopen what is settled", vec![Change::Reopen(RequestId::new(2))]),
        ("reopen what is pending", vec![Change::Reopen(RequestId::new(3))]),
        ("withdraw what is pending", vec![Change::Withdraw(RequestId::new(3))]),
        ("withdraw what is settled", vec![Change::Withdraw(RequestId::new(2))]),
        ("withdraw twice", vec![Change::Withdraw(RequestId::new(1)), Change::Withdraw(RequestId::new(1))]),
        ("record after withdrawing", vec![Change::Withdraw(RequestId::new(1)), record(0, done())]),
        ("a good intent beside a bad withdrawal", vec![Change::Intend(ids([3])), Change::Withdraw(RequestId::new(2))]),
    ]
}

#[tokio::test]
async fn a_write_that_finds_an_unexpected_state_changes_nothing_and_the_next_one_works() {
    let place = QueueFolder::new();
    let (mut queue, run, mut page) = three(&place).await;
    record_call(&mut queue, run, &page[1], vec![done(); 4]).await;
    // The third was sent before at no charge, so that no CHECK of the table refuses the change.
    let free =
        Resend { charge: Charge::Free, doubt: Doubt::None, wait: Wait::None, split: BatchSplit::Whole, met: None };
    page[2] = record_call(&mut queue, run, &page[2], vec![Verdict::Resend(free); 2]).await.remove(0).request;
    intend(&mut queue, &ids([1])).await.unwrap();
    let picture = "SELECT (SELECT sum(id * id * (1 + length(state)) + attempts) FROM request) * 1000
                   + (SELECT count(*) FROM outcome) * 100 + (SELECT count(*) FROM request)";
    let before = place.number(picture).await;
    for (what, writes) in wrong_writes(run, &page) {
        let refused = queue.write(writes, NOW).await;
        let loud = matches!(refused, Err(QueueError::Unexpected(_) | QueueError::Store { .. }));
        assert!(loud, "{what}: {refused:?}");
        assert_eq!(place.number(picture).await, before, "{what}");
        assert_eq!(sums(&mut queue, run).await, [(Succeeded, 4), (Pending, 6)], "{what}");
    }
    queue.write(vec![Change::Withdraw(RequestId::new(1)), Change::Intend(ids([3]))], NOW).await.unwrap();
    let follow_ups = record_call(&mut queue, run, &page[0], vec![again(Doubt::None, BatchSplit::Halves); 4]).await;
    assert_eq!(pending(&queue, run).await.len(), follow_ups.len());
}

#[tokio::test]
async fn requests_that_were_sending_at_a_crash_are_found_until_they_are_pending_in_doubt() {
    let place = QueueFolder::new();
    let (mut queue, run, page) = three(&place).await;
    record_call(&mut queue, run, &page[1], vec![done(); 4]).await;
    intend(&mut queue, &ids([1])).await.unwrap();
    drop(queue);
    let mut queue = place.open().await;
    assert_eq!(queue.reader().await.unwrap().last_request(run).await.unwrap(), RequestId::new(3));
    assert_eq!(pending(&queue, run).await, page[2..], "a page holds nothing that is sending");
    let recovered = queue.recover().await.unwrap();
    let expected = Request { calls: 1, doubt: Doubt::EffectUnknown, ..page[0].clone() };
    let operation = queue.run(run).await.unwrap().operation;
    let keys = operation.keys(&page[0]);
    assert_eq!(recovered, [(run, expected.clone(), keys)]);
    drop(queue);
    let mut queue = place.open().await;
    assert_eq!(queue.recover().await.unwrap(), recovered, "another crash finds it again");
    assert_eq!(pending(&queue, run).await, page[2..]);
    queue.write(vec![Change::Reopen(RequestId::new(1))], NOW).await.unwrap();
    assert_eq!(queue.recover().await.unwrap(), []);
    assert_eq!(pending(&queue, run).await, [expected, page[2].clone()]);
    assert_eq!(sums(&mut queue, run).await, [(Succeeded, 4), (Pending, 6)]);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_found_again_at_every_start() {
    let place = QueueFolder::new();
    let (mut queue, _, _) = three(&place).await;
    intend(&mut queue, &ids([1, 2])).await.unwrap();
    drop(queue);
    place.tamper("UPDATE payload SET accounts = 'u0' WHERE request = 2").await;
    for _ in 0..2 {
        let refused = place.open().await.recover().await;
        let Err(QueueError::Damaged(what)) = &refused else { panic!("{refused:?}") };
        assert!(what.starts_with("request 2 has a wrong checksum in table payload"), "{what}");
    }
    let back = "UPDATE payload SET accounts = replace('u4 u5 u6 u7', ' ', char(10)) WHERE request = 2";
    for sound in ["UPDATE payload SET accounts = 'u0' WHERE request = 2", back] {
        assert!(place.open().await.recover().await.is_err());
        change_and_reseal(&place.file(), &[sound]).await;
    }
    assert_eq!(place.open().await.recover().await.unwrap().len(), 2);
}

#[tokio::test]
async fn two_sending_requests_that_write_one_account_are_refused_by_id() {
    let place = QueueFolder::new();
    let (mut queue, _, _) = three(&place).await;
    intend(&mut queue, &ids([1, 3])).await.unwrap();
    drop(queue);
    let sql = "UPDATE payload SET accounts = 'u8' || char(10) || 'u3' WHERE request = 3";
    change_and_reseal(&place.file(), &[sql]).await;
    let refused = place.open().await.recover().await.unwrap_err().to_string();
    assert!(refused.contains("requests 1 and 3 are both `sending`"), "{refused}");
    assert_eq!(place.number("SELECT count(*) FROM request WHERE in_doubt > 0").await, 0, "nothing was changed");
}

#[tokio::test]
async fn pages_contain_every_request_once_and_end_at_the_bound() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let other = begun(&mut queue, "account_delete", &[(None, items(0..1))]).await;
    let requests: Vec<_> = (0..50).map(|at| (None, items(2 * at..2 * at + 2))).collect();
    let run = begun(&mut queue, "account_delete", &requests).await;
    let reader = queue.reader().await.unwrap();
    let last = reader.last_request(run).await.unwrap();
    let others = [reader.last_request(other).await.unwrap(), reader.last_request(RunId::new(99)).await.unwrap()];
    assert_eq!((last, others), (RequestId::new(51), [RequestId::new(1), RequestId::BEFORE_FIRST]));
    let (mut after, mut seen) = (RequestId::BEFORE_FIRST, Vec::new());
    loop {
        let page = reader.page(run, after, last, 7).await.unwrap();
        let Some(end) = page.last() else { break };
        after = end.id;
        seen.extend(page.iter().flat_map(|request| request.items.iter().map(|item| item.row)));
        // The second half gets an id above the bound, and the page has passed the first one.
        record_call(&mut queue, run, &page[0], vec![again(Doubt::None, BatchSplit::Halves); 2]).await;
    }
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    assert_eq!(reader.page(run, last, RequestId::MAX, 100).await.unwrap().len(), 8, "the second halves");
    let second = pending(&queue, run).await[1].clone();
    assert_eq!(reader.request(second.id).await.unwrap(), second);
    intend(&mut queue, &[second.id]).await.unwrap();
    assert!(reader.request(second.id).await.is_err(), "it is not pending");
}

#[tokio::test]
async fn codes_of_earlier_responses_are_stored_and_a_success_without_a_code_stores_none() {
    let place = QueueFolder::new();
    let (mut queue, run, page) = three(&place).await;
    let codes = |request: &Request| request.history.codes().collect::<Vec<_>>();
    record_call(&mut queue, run, &page[0], vec![done(); page[0].items.len()]).await;
    assert_eq!(place.number("SELECT count(*) FROM payload WHERE history IS NOT NULL").await, 0);
    let verdicts = vec![again_after(30006), again_after(70500), done(), again_after(30006)];
    let follow_ups = record_call(&mut queue, run, &page[1], verdicts).await;
    assert_eq!(follow_ups.iter().map(|follow_up| codes(&follow_up.request)).collect::<Vec<_>>(), [[30006], [70500]]);
    let first = follow_ups[0].request.clone();
    record_call(&mut queue, run, &first, vec![again_after(40006); 2]).await;
    drop(queue);
    let queue = place.open().await;
    let stored = pending(&queue, run).await;
    let stored: Vec<_> = stored.iter().map(|request| (request.id, codes(request))).collect();
    let untouched = (page[2].id, vec![]);
    assert_eq!(stored, [untouched, (first.id, vec![40006, 30006]), (follow_ups[1].request.id, vec![70500])]);
    assert_eq!(place.number("SELECT count(*) FROM payload WHERE request = 2 AND history IS NOT NULL").await, 0);
    place.tamper("UPDATE payload SET history = NULL WHERE history IS NOT NULL").await;
    let reader = Reader::open(&place.file()).await.unwrap();
    let page = reader.page(run, RequestId::BEFORE_FIRST, RequestId::MAX, 10).await.unwrap_err().to_string();
    assert!(page.contains("wrong checksum in table payload"), "a code is not lost unseen: {page}");
}

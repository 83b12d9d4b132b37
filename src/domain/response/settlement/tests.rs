use super::*;
use crate::domain::operation::by_name;
use crate::domain::request::Doubt;
use crate::domain::request::account::UserId;
use crate::domain::request::row::FieldValues;
use crate::domain::response::code_history::CodeHistory;

fn request(accounts: usize) -> Request {
    let item = |row: usize| Item { account: UserId::new(&format!("u{row}")).unwrap(), row: row as u64, updates: None };
    let items = (0..accounts).map(item).collect();
    Request {
        id: RequestId::new(7),
        from: UserId::new("from").ok(),
        items,
        calls: 4,
        charged: 2,
        doubt: Doubt::None,
        history: CodeHistory::default(),
        purpose: Purpose::Change,
    }
}

fn ended(outcome: Outcome) -> Verdict {
    Verdict::Final(ItemResult { outcome, code: None, reason: String::new() })
}

fn again(charge: Charge, doubt: Doubt, wait: Wait, split: BatchSplit) -> Verdict {
    Verdict::Resend(Resend { charge, doubt, wait, split, met: None })
}

fn rows(follow_up: &FollowUp) -> Vec<u64> {
    follow_up.request.items.iter().map(|item| item.row).collect()
}

#[test]
fn items_that_go_out_again_in_the_same_way_stay_together_and_no_item_is_lost() {
    let backoff = again(Charge::Attempt, Doubt::EffectUnknown, Wait::Backoff, BatchSplit::Whole);
    let free = again(Charge::Free, Doubt::None, Wait::None, BatchSplit::Whole);
    let verdicts = vec![backoff.clone(), ended(Outcome::Succeeded), free.clone(), backoff, free];
    let settlement = Settlement::new(by_name("account_delete").unwrap(), request(5), Verdicts::Each(verdicts));
    assert_eq!((settlement.request, settlement.calls), (RequestId::new(7), 4));
    assert_eq!(settlement.ended.iter().flat_map(|ended| &ended.items).map(|item| item.row).collect::<Vec<_>>(), [1]);
    let follow_ups: Vec<_> = settlement.follow_ups.iter().map(|follow_up| (rows(follow_up), follow_up.wait)).collect();
    assert_eq!(follow_ups, [(vec![0, 3], Wait::Backoff), (vec![2, 4], Wait::None)]);
    let frames: Vec<_> =
        settlement.follow_ups.iter().map(|follow_up| (follow_up.request.charged, follow_up.request.doubt)).collect();
    assert_eq!(frames, [(3, Doubt::EffectUnknown), (2, Doubt::None)]);
    assert!(
        settlement.follow_ups.iter().all(|follow_up| follow_up.request.calls == 4 && follow_up.request.from.is_some())
    );
}

#[test]
fn a_refused_batch_goes_out_in_halves_down_to_one_item() {
    let halves = again(Charge::Free, Doubt::None, Wait::None, BatchSplit::Halves);
    for (items, sizes) in [(2, vec![1, 1]), (3, vec![1, 2]), (100, vec![50, 50]), (1, vec![1])] {
        let settlement =
            Settlement::new(by_name("account_delete").unwrap(), request(items), Verdicts::All(halves.clone()));
        assert_eq!(
            settlement.follow_ups.iter().map(|follow_up| follow_up.request.items.len()).collect::<Vec<_>>(),
            sizes
        );
        assert_eq!(
            settlement.follow_ups.iter().flat_map(rows).collect::<Vec<_>>(),
            (0..items as u64).collect::<Vec<_>>()
        );
        assert!(settlement.follow_ups.iter().all(|follow_up| follow_up.request.charged == 2));
    }
}

#[test]
fn items_that_ended_alike_with_none_between_them_that_ended_otherwise_share_an_ending() {
    let (done, failed) = (ended(Outcome::Succeeded), ended(Outcome::Failed));
    let free = again(Charge::Free, Doubt::None, Wait::None, BatchSplit::Whole);
    let groups = |verdicts: Verdicts| {
        let settlement = Settlement::new(by_name("account_delete").unwrap(), request(4), verdicts);
        let groups = settlement.ended.iter();
        let rows = |ended: &EndedItems| ended.items.iter().map(|item| item.row).collect::<Vec<_>>();
        groups.map(|ended| (ended.result.outcome, rows(ended))).collect::<Vec<_>>()
    };
    let [all, each] = [Verdicts::All(done.clone()), Verdicts::Each(vec![done.clone(); 4])].map(groups);
    assert_eq!(
        (all, each),
        (vec![(Outcome::Succeeded, vec![0, 1, 2, 3])], vec![(Outcome::Succeeded, vec![0, 1, 2, 3])])
    );
    let mixed = groups(Verdicts::Each(vec![done.clone(), free, done.clone(), failed.clone()]));
    assert_eq!(mixed, [(Outcome::Succeeded, vec![0, 2]), (Outcome::Failed, vec![3])]);
    let mixed = groups(Verdicts::Each(vec![done.clone(), failed.clone(), done, failed]));
    assert_eq!(mixed.iter().map(|(_, rows)| rows.clone()).collect::<Vec<_>>(), [[0], [1], [2], [3]]);
}

#[test]
fn items_and_rows_are_summed_by_outcome() {
    let mut request = request(4);
    request.items[2].updates = Some(Box::new(vec![(2, FieldValues::new()), (9, FieldValues::new())]));
    let verdicts = [Outcome::Succeeded, Outcome::Failed, Outcome::Succeeded, Outcome::InDoubt].map(ended).to_vec();
    let settlement = Settlement::new(by_name("account_delete").unwrap(), request, Verdicts::Each(verdicts));
    let sums = [(Outcome::Succeeded, 2, 3), (Outcome::Failed, 1, 1), (Outcome::InDoubt, 1, 1)];
    assert_eq!(settlement.ended_by_outcome(), sums);
    assert!(settlement.follow_ups.is_empty());
}

#[test]
fn items_that_met_different_codes_travel_apart_with_the_codes_that_they_met() {
    let met = |code| {
        let (charge, doubt, wait, split) = (Charge::Attempt, Doubt::None, Wait::Backoff, BatchSplit::Whole);
        Verdict::Resend(Resend { charge, doubt, wait, split, met: Some(code) })
    };
    let mut request = request(4);
    request.history = [60007].into_iter().collect();
    let verdicts = vec![met(70500), met(40006), met(70500), ended(Outcome::Succeeded)];
    let settlement = Settlement::new(by_name("account_delete").unwrap(), request, Verdicts::Each(verdicts));
    let follow_ups = settlement
        .follow_ups
        .iter()
        .map(|follow_up| (rows(follow_up), follow_up.request.history.codes().collect::<Vec<_>>()));
    assert_eq!(follow_ups.collect::<Vec<_>>(), [(vec![0, 2], vec![70500, 60007]), (vec![1], vec![40006, 60007])]);
    assert_eq!(settlement.history.codes().collect::<Vec<_>>(), [60007], "of what ended");
}

#[test]
#[should_panic(expected = "one verdict an item")]
fn an_item_without_a_verdict_is_refused() {
    let _ = Settlement::new(
        by_name("account_delete").unwrap(),
        request(2),
        Verdicts::Each(vec![ended(Outcome::Succeeded)]),
    );
}

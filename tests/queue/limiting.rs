//! `--limit` selects exactly the first items of a run.

use std::collections::BTreeSet;

use imbulk::domain::request::Request;
use imbulk::queue::{FirstItems, Loader};
use imbulk::stored_request::StoredRequest;
use proptest::prelude::*;

use crate::fixture::*;

/// Loads requests of these sizes and limits the run. Returns the result and the pending requests after it.
async fn limited(sizes: &[u64], limit: u64) -> (FirstItems, Vec<Request>) {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let mut loader = Loader::begin(&mut queue, &new_run("account_delete")).await.unwrap();
    let mut first = 0;
    for size in sizes {
        loader.request(StoredRequest::encode(None, &items(first..first + size))).await.unwrap();
        first += size;
    }
    let run = loader.finish(&[]).await.unwrap();
    let found = queue.first_items(run, limit).await.unwrap();
    assert_eq!(queue.first_items(run, limit).await.unwrap(), found, "a second time there is nothing to split");
    let stored = queue.run(run).await.unwrap();
    queue.check_sums(&stored).await.unwrap();
    (found, pending(&queue, run).await)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_requests_up_to_the_last_one_hold_as_many_items_as_allowed_and_none_is_lost(
        sizes in prop::collection::vec(1_u64..9, 1..6),
        limit in 0_u64..40,
    ) {
        let all: u64 = sizes.iter().sum();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (found, requests) = runtime.block_on(limited(&sizes, limit));
        let held = |of: &[&Request]| of.iter().map(|request| request.items.len() as u64).sum::<u64>();
        let within: Vec<&Request> = requests.iter().filter(|request| request.id <= found.last_request).collect();
        prop_assert_eq!(held(&within), limit.min(all));
        prop_assert_eq!(found.items, limit.min(all));
        let rows: BTreeSet<u64> = requests.iter().flat_map(|request| &request.items).map(|item| item.row).collect();
        prop_assert_eq!(rows.len() as u64, all, "each item is in one request");
        prop_assert_eq!(held(&requests.iter().collect::<Vec<_>>()), all);
    }
}

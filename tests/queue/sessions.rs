//! The sessions of a run are read back as they were stored.

use imbulk::domain::call_counts::CallCounts;
use imbulk::domain::session_start::{DailyLimit, SessionStart};
use imbulk::queue::{QueueError, StoredSession};

use crate::fixture::*;

fn start(plan: &str) -> SessionStart {
    SessionStart {
        user: "cleanup".to_owned(),
        host: "batch-1".to_owned(),
        pid: 4711,
        version: "0.1.0".to_owned(),
        plan: plan.to_owned(),
        daily: Some(DailyLimit::Until("06:00".to_owned())),
        max_runtime: None,
        calls_per_second: std::num::NonZeroU32::MIN,
        app_calls_per_second: std::num::NonZeroU32::MIN,
        guards: Vec::new(),
        protected_ids: 1,
        protected_patterns: 0,
        canary: 0,
        failed_share: 0.5,
        max_already_done: None,
        after_items: 1_000,
        hold: None,
        unless_online: false,
    }
}

#[tokio::test]
async fn each_session_has_its_calls_and_damage_is_found() {
    let place = QueueFolder::new();
    let mut queue = place.open().await;
    let run = begun(&mut queue, "account_delete", &[(None, items(0..2))]).await;
    queue.store_session(run, 5, &start("first")).await.unwrap();
    queue.store_session(run, 6, &start("second")).await.unwrap();
    let calls = CallCounts { calls: 3, throttles: 1, fullest_second: 2 };
    queue.store_session_calls(run, &calls).await.unwrap();
    let reader = queue.reader().await.unwrap();
    let killed = StoredSession { began_at: 5, start: start("first"), calls: None };
    let closed = StoredSession { began_at: 6, start: start("second"), calls: Some(calls) };
    assert_eq!(reader.sessions(run).await.unwrap(), [killed, closed]);
    place.tamper("UPDATE session SET calls = NULL WHERE began_at = 6").await;
    assert!(matches!(reader.sessions(run).await, Err(QueueError::Damaged(_))), "the calls are part of the checksum");
}

//! How a session ends, against a server that does not answer.

use std::num::NonZeroU64;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::*;
use crate::api::{CALL_TIMEOUT, Credentials, SecretKey, Tuning};
use crate::domain::job::{Retry, Stop};
use crate::domain::operation::Preparations;
use crate::domain::request::Item;
use crate::rate_limiter::{Limiter, LimiterSettings};
use crate::testing::{Load, TestQueue, id};

const THROTTLED: &str = r#"{"ActionStatus":"FAIL","ErrorCode":60007,"ErrorInfo":"too many calls"}"#;

/// Throttles the call of the first connection, once that of the second one has arrived, which is never answered.
async fn serve(listener: TcpListener) {
    let second = Arc::new(Notify::new());
    let mut connections = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (number, second) = (connections.len(), Arc::clone(&second));
        connections.push(tokio::spawn(async move {
            until_request(&mut stream).await;
            if number == 0 {
                second.notified().await;
                let length = THROTTLED.len();
                let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{THROTTLED}");
                let _sent = stream.write_all(response.as_bytes()).await;
            } else {
                second.notify_one();
            }
            std::future::pending::<()>().await;
        }));
    }
}

/// Waits for the first bytes of a request.
async fn until_request(stream: &mut TcpStream) {
    let _read = stream.read(&mut [0; 4096]).await;
}

/// Answers each call with this body.
async fn answer(listener: TcpListener, body: &'static str) {
    while let Ok((mut stream, _)) = listener.accept().await {
        until_request(&mut stream).await;
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let _sent = stream.write_all(response.as_bytes()).await;
    }
}

/// A client of a server on this machine.
fn client_of(listener: &TcpListener) -> Arc<Client> {
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let key = Credentials::Key(SecretKey::new("0123456789abcdef".to_owned()).unwrap());
    let (app, width) = (NonZeroU64::new(1_400_000_001).unwrap(), NonZeroU32::new(2).unwrap());
    Arc::new(Client::new(endpoint, app, id("administrator"), key, width, &Tuning::default()).unwrap())
}

fn job(run: &TestQueue, tally: Tally, client: &Arc<Client>) -> RunnerJob {
    let rate = NonZeroU32::new(100).unwrap();
    let cap = Cap::try_from(rate).unwrap();
    let ledger = run.folder.path().join("ledger");
    let settings = LimiterSettings { ledger, app_cap: cap, calls_per_day: Vec::new(), call_timeout: CALL_TIMEOUT };
    let operation = run.run.operation;
    let (base_delay, max_delay) = (Duration::from_millis(10), Duration::from_millis(20));
    RunnerJob {
        last_request: RequestId::MAX,
        has_item_limit: false,
        uuid: run.run.uuid.clone(),
        name: run.run.job.clone(),
        explain_stop: |_| Message::new("an outage"),
        max_rate: rate,
        scheduled: ScheduledJob {
            run: run.run.id,
            sdkappid: None,
            priority: 0,
            operation,
            preparations: Preparations::default(),
            calls_per_second: rate,
            retry: Retry { max_attempts: NonZeroU32::new(9).unwrap(), base_delay, max_delay },
            max_in_flight: None,
            stop: Stop { failed_share: 1.0, after_items: 100, outage: Some(Duration::from_millis(100)) },
            max_already_done: None,
            canary: 0,
            ended_items: 0,
            tally,
        },
        client: Arc::clone(client),
        limiter: Limiter::open(&settings).unwrap().command(operation.name, cap).unwrap(),
        reading: Vec::new(),
        backup: None,
    }
}

/// On one thread, a call that was cancelled and is not awaited still exists when the session returns.
#[tokio::test]
async fn no_call_of_an_app_that_an_outage_has_stopped_is_left_when_the_session_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_of(&listener);
    let server = tokio::spawn(serve(listener));
    let item = |row: u64| (None, vec![Item { account: id(&format!("u{row}")), row, updates: None }]);
    let run = TestQueue::new("account_delete", Load { requests: vec![item(0), item(1)], ..Load::default() }).await;
    let job = job(&run, run.reader.tally(&run.run).await.unwrap(), &client);
    let mut signals = Signals::listen(|_| std::process::exit(1)).unwrap();
    let driven = drive(run.queue, vec![job], &mut Vec::new(), 1, &mut signals, &mut |_| {}).await;
    let senders = Arc::strong_count(&client) - 1;
    let (_queue, end) = driven.unwrap();
    assert!(matches!(end.stops[..], [Some(StopReason::Outage(_))]), "{:?}", end.stops);
    assert_eq!(end.calls[0].calls, 2, "one was throttled, and one was in flight");
    assert_eq!(senders, 0, "a call goes on after the end of its session");
    server.abort();
}

#[tokio::test]
async fn a_run_whose_rows_all_have_an_outcome_is_not_stored_as_halted_by_the_last_of_them() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_of(&listener);
    let failed = r#"{"ActionStatus":"OK","ErrorCode":0,"ResultItem":[{"UserID":"u0","ResultCode":70051}]}"#;
    let server = tokio::spawn(answer(listener, failed));
    let item = Item { account: id("u0"), row: 0, updates: None };
    let run = TestQueue::new("account_delete", Load { requests: vec![(None, vec![item])], ..Load::default() }).await;
    let mut job = job(&run, run.reader.tally(&run.run).await.unwrap(), &client);
    job.scheduled.stop = Stop { failed_share: 0.5, after_items: 1, outage: None };
    let mut signals = Signals::listen(|_| std::process::exit(1)).unwrap();
    let driven = drive(run.queue, vec![job], &mut Vec::new(), 1, &mut signals, &mut |_| {}).await;
    let (mut queue, end) = driven.unwrap();
    assert!(matches!(end.stops[..], [Some(StopReason::Fuse { .. })]), "{:?}", end.stops);
    assert!(!queue.run(run.run.id).await.unwrap().has_ended(), "a kill now would leave a halted run without a row");
    server.abort();
}

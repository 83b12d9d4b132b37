//! Servers that answer: what is sent, what comes back, and over which connection.

use std::time::Duration;

use imbulk::api::client::MAX_ANSWER;
use imbulk::api::{Credentials, Renewal, UserSig};
use imbulk::domain::response::call_result::CallResult;

use imbulk_testkit::http::response;
use imbulk_testkit::scripted_server::{ScriptedServer, Step};

use super::{COMMAND, answering, client, key, patient};

#[tokio::test]
async fn the_body_of_an_answer_comes_back_whole() {
    let server = answering(response("200 OK", "", br#"{"ErrorCode":0}"#));
    let call = client(&server.url(), key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    assert_eq!(call.result, CallResult::Body(br#"{"ErrorCode":0}"#.as_slice().into()));
    assert!(!call.round_trip.is_zero());
}

#[tokio::test]
async fn the_request_is_a_post_of_json_with_exactly_the_parameters_of_the_page() {
    let server = answering(response("200 OK", "", b"{}"));
    let given = Credentials::Signature(UserSig::new("eJ*x-y_z".to_owned()).unwrap());
    let body = br#"{"DeleteItem":[{"UserID":"a"}]}"#;
    client(&server.url(), given, &patient()).call(COMMAND, body.to_vec()).await;

    let [request] = &server.requests()[..] else { panic!("not one request") };
    assert!(request.head.starts_with("POST "));
    assert_eq!(request.path(), format!("/{COMMAND}"));
    assert_eq!(
        request.parameters(),
        [
            ("sdkappid", "1400000001"),
            ("identifier", "administrator"),
            ("usersig", "eJ%2Ax-y_z"),
            ("random", request.parameter("random")),
            ("contenttype", "json"),
        ]
    );
    request.parameter("random").parse::<u32>().unwrap();
    let head = request.head.to_ascii_lowercase();
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
    assert!(!head.contains("referer"), "{head}");
    assert_eq!(request.body, body);
}

#[tokio::test]
async fn calls_that_follow_each_other_share_a_connection_and_differ_in_random() {
    let server = answering(response("200 OK", "", b"{}"));
    let client = client(&server.url(), key(), &patient());
    for _ in 0..3 {
        let call = client.call(COMMAND, b"{}".to_vec()).await;
        assert!(matches!(call.result, CallResult::Body(_)), "{call:?}");
    }
    assert_eq!(server.seen().connections, 1);
    let mut randoms: Vec<String> = server.requests().iter().map(|r| r.parameter("random").to_owned()).collect();
    randoms.dedup();
    assert_eq!(randoms.len(), 3);
}

#[tokio::test]
async fn an_answer_that_arrives_byte_by_byte_is_an_answer() {
    let bytes = response("200 OK", "Server: nginx\r\n", br#"{"ErrorCode":0}"#);
    let server = ScriptedServer::repeating(vec![Step::Drip(bytes, Duration::ZERO)]);
    let call = client(&server.url(), key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    assert_eq!(call.result, CallResult::Body(br#"{"ErrorCode":0}"#.as_slice().into()));
}

#[tokio::test]
async fn another_status_is_reported_and_its_body_dropped() {
    for (line, status) in [("502 Bad Gateway", 502), ("429 Too Many Requests", 429), ("204 No Content", 204)] {
        let server = answering(response(line, "", b""));
        let call = client(&server.url(), key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
        assert_eq!(call.result, CallResult::Status(status));
    }
}

#[tokio::test]
async fn an_answer_of_one_mebibyte_is_read_and_a_byte_more_is_not() {
    let whole = vec![b' '; MAX_ANSWER];
    let server = answering(response("200 OK", "", &whole));
    let call = client(&server.url(), key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(&call.result, CallResult::Body(body) if body.len() == MAX_ANSWER));

    let longer = vec![b' '; MAX_ANSWER + 1];
    let server = ScriptedServer::repeating(vec![Step::Write(response("200 OK", "", &longer)), Step::Close]);
    let call = client(&server.url(), key(), &patient()).call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(&call.result, CallResult::NoAnswer(_)));
}

#[tokio::test]
async fn a_renewed_signature_is_used_by_the_next_call_and_a_given_one_stays() {
    let server = answering(response("200 OK", "", b"{}"));
    let keyed = client(&server.url(), key(), &patient());
    let first = keyed.call(COMMAND, b"{}".to_vec()).await.generation;
    assert_eq!(keyed.renew(first), Renewal::Renewed);
    assert_eq!(keyed.renew(first), Renewal::Renewed);
    assert_eq!(keyed.call(COMMAND, b"{}".to_vec()).await.generation, first + 1);

    let given = Credentials::Signature(UserSig::new("given".to_owned()).unwrap());
    let given = client(&server.url(), given, &patient());
    assert_eq!(given.renew(given.call(COMMAND, b"{}".to_vec()).await.generation), Renewal::NotPossible);
}

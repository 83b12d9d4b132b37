//! What a read-only call shows: the way to the server, the signature, and the rights of the admin.

use std::time::Duration;

use serde::Deserialize;

use super::{Finding, Level};
use crate::domain::response::call_result::CallResult;
use crate::domain::response::codes::{CodeInfo, ErrorClass, lookup};

/// The parts of every answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CheckAnswer {
    error_code: i64,
    #[serde(default)]
    error_info: String,
}

/// What the result of an `account_check` by `admin` shows.
pub fn answered(result: &CallResult, round_trip: Duration, endpoint: &str, admin: &str) -> Vec<Finding> {
    let unreachable =
        |text: String, hint: &str| vec![Finding::error("connection", format!("{endpoint}: {text}"), hint)];
    match result {
        CallResult::NotSent(why) => {
            unreachable(why.clone(), "check network, proxy and firewall, and `region` or `endpoint` in [app]")
        }
        CallResult::UntrustedServer(why) => unreachable(
            format!("the certificate or the TLS handshake was refused: {why}"),
            "check the endpoint, and whether a proxy replaces certificates (SSL_CERT_FILE names its authority)",
        ),
        CallResult::NoAnswer(why) => unreachable(why.clone(), "try again; if it stays so, check network and proxy"),
        CallResult::Status(status) => unreachable(
            format!("the response has HTTP status {status}"),
            "check the endpoint, and whether a proxy answers in place of the API",
        ),
        CallResult::Body(body) => match serde_json::from_slice::<CheckAnswer>(body) {
            Err(_) => unreachable(
                "the response is no answer of the API".to_owned(),
                "check the endpoint, and whether a proxy answers in place of the API",
            ),
            Ok(answer) => {
                let connection = format!("{endpoint} answered in {} ms", round_trip.as_millis());
                vec![Finding::ok("connection", connection), read(&answer, admin)]
            }
        },
    }
}

fn read(answer: &CheckAnswer, admin: &str) -> Finding {
    let code = answer.error_code;
    if code == 0 {
        return Finding::ok("admin", format!("the app accepts the signature, and {admin} is an admin"));
    }
    let Some(info) = lookup(code) else {
        let text = format!("account_check was answered with code {code}, unknown to imbulk: {:?}", answer.error_info);
        return Finding::error("admin", text, "look the code up in the API's pages");
    };
    let level = if passes_by_itself(info) { Level::Warning } else { Level::Error };
    let text = format!("account_check was answered with code {code}: {}", info.meaning.en);
    Finding { level, check: "admin", text, hint: Some(info.advice.en.to_owned()) }
}

/// Whether every treatment of the code is to send again later.
fn passes_by_itself(info: &CodeInfo) -> bool {
    info.lines().iter().all(|(_, class)| matches!(class, ErrorClass::Throttled(..) | ErrorClass::Transient(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(result: &CallResult) -> (Level, String) {
        let findings = answered(result, Duration::from_millis(20), "https://x", "root");
        let last = findings.last().expect("a finding");
        (last.level, last.text.clone())
    }

    fn code(code: i64) -> (Level, String) {
        of(&CallResult::Body(format!("{{\"ErrorCode\":{code},\"ErrorInfo\":\"x\"}}").into_bytes()))
    }

    #[test]
    fn an_answer_shows_whether_the_signature_and_the_admin_are_accepted() {
        assert_eq!(code(0).0, Level::Ok);
        for fatal in [70001, 70003, 70009, 70013, 70014, 70052, 60006, 60010, 60026] {
            let (level, text) = code(fatal);
            assert!(level == Level::Error && text.contains(&fatal.to_string()), "{fatal}: {text}");
        }
        for passing in [60007, 60011, 60008] {
            assert_eq!(code(passing).0, Level::Warning, "{passing}");
        }
        assert_eq!(code(12345).0, Level::Error);
    }

    #[test]
    fn what_is_no_answer_is_an_error_of_the_connection() {
        for result in [
            CallResult::NotSent("refused".to_owned()),
            CallResult::UntrustedServer("expired".to_owned()),
            CallResult::NoAnswer("time-out".to_owned()),
            CallResult::Status(502),
            CallResult::Body(b"<html>".to_vec()),
        ] {
            let (level, text) = of(&result);
            assert!(level == Level::Error && text.starts_with("https://x: "), "{result:?}: {text}");
        }
    }
}

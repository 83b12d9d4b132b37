//! A marked key and a marked signature go through every fault at TRACE; then everything that was said is searched.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use imbulk::api::{Credentials, Endpoint, SecretKey, Tuning, UserSig};
use tracing_subscriber::util::SubscriberInitExt;

use imbulk_testkit::http::response;
use imbulk_testkit::scripted_server::{ScriptedServer, Step};

use super::tls::untrusted;
use super::{COMMAND, answering, client, closing, nobody, patient};

const KEY: &str = "Marked+Key/0123456789=%abcdef";
const SIGNATURE: &str = "Marked*Signature-0123456789_abcdef";

/// A log that can be read while it is written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes down what this program and its libraries log from here on, in all threads.
fn listen() -> Log {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish()
        .init();
    log
}

fn faults() -> Vec<ScriptedServer> {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    let redirect = response("302 Found", "Location: http://127.0.0.1:1/\r\n", b"");
    let endless = vec![Step::Write(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), Step::Endless(vec![b' '])];
    vec![
        answering(response("200 OK", "", b"{}")),
        answering(response("502 Bad Gateway", "", b"")),
        answering(redirect),
        answering(b"what?\r\n\r\n".to_vec()),
        ScriptedServer::repeating(vec![Step::Write(half.clone()), Step::Close]),
        ScriptedServer::repeating(vec![Step::Close]),
        ScriptedServer::repeating(vec![Step::Write(half), Step::Reset]),
        closing(),
        ScriptedServer::repeating(vec![Step::Silence]),
        ScriptedServer::repeating(endless),
    ]
}

/// Makes two calls with `credentials` into every fault; tells what there was to see and what the servers received.
async fn suffer(credentials: &Credentials) -> (String, Vec<String>) {
    let tuning = Tuning { call_timeout: Duration::from_millis(300), ..patient() };
    let (servers, untrusted) = (faults(), untrusted());
    let mut urls = vec![nobody().await, nobody().await.replace("http:", "https:"), untrusted.url()];
    urls.extend(servers.iter().map(ScriptedServer::url));
    let mut shown = vec![format!("{credentials:?}")];
    for url in urls {
        let client = client(&url, credentials.clone(), &tuning);
        for _ in 0..2 {
            let call = client.call(COMMAND, b"{}".to_vec()).await;
            client.renew(call.generation);
            shown.push(format!("{client:?} {call:?}"));
        }
    }
    let requests = servers.iter().flat_map(ScriptedServer::requests);
    (shown.join("\n"), requests.map(|request| request.parameter("usersig").to_owned()).collect())
}

/// The forms in which `secret` may appear: as it is, percent-encoded, and within base64 of a longer text.
fn disguises(secret: &str) -> Vec<String> {
    let percent: String = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let within_base64 = (0..3).flat_map(|skip| {
        let whole = &secret.as_bytes()[skip..];
        let whole = &whole[..whole.len() / 3 * 3];
        [STANDARD_NO_PAD.encode(whole), URL_SAFE_NO_PAD.encode(whole)]
    });
    [secret.to_owned(), percent].into_iter().chain(within_base64).collect()
}

#[tokio::test]
async fn neither_key_nor_signature_is_ever_shown_or_logged() {
    let log = listen();
    let key = Credentials::Key(SecretKey::new(KEY.to_owned()).unwrap());
    let given = Credentials::Signature(UserSig::new(SIGNATURE.to_owned()).unwrap());
    let (by_key, made) = suffer(&key).await;
    let (by_signature, sent) = suffer(&given).await;
    let pasted = format!("https://example.org/v4/?usersig={SIGNATURE}").parse::<Endpoint>();
    let shown = format!("{by_key}\n{by_signature}\n{pasted:?}");
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();

    let mut secrets = vec![KEY.to_owned(), SIGNATURE.to_owned()];
    secrets.extend(made.iter().map(|usersig| usersig.replace("%2A", "*")));
    for needle in secrets.iter().flat_map(|secret| disguises(secret)) {
        assert!(!shown.contains(&needle), "shown: {needle}");
        assert!(!logged.contains(&needle), "logged: {needle}");
    }
    // Otherwise the test would be blind.
    assert!(made.len() > 8 && sent.len() > 8, "{} and {} requests arrived", made.len(), sent.len());
    assert!(logged.contains("starting new connection"), "the log has no lines of reqwest");
}

#[test]
fn the_disguises_of_a_secret_are_found_in_what_holds_it() {
    for before in ["", "x", "xy"] {
        let held = URL_SAFE_NO_PAD.encode(format!("{before}{KEY} and more"));
        assert!(disguises(KEY).iter().any(|needle| held.contains(needle)), "{held}");
    }
}

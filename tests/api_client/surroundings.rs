//! The machine around the client: tests of the other files, run again by themselves in another environment.

use std::process::Command;

use imbulk::api::{PROXY_VARIABLES, Proxies, Tuning};
use imbulk::domain::response::call_result::CallResult;
use secrecy::SecretString;

use imbulk_testkit::http::response;
use imbulk_testkit::scripted_server::{ScriptedServer, Step};

use super::{COMMAND, answering, client, key, nobody, patient};

/// Runs one test of this program in a process with these variables.
fn run_alone(test: &str, variables: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}

#[test]
fn a_machine_without_certificates_gets_the_built_in_ones() {
    run_alone(
        "tls::the_standard_roots_refuse_a_self_signed_certificate",
        &[("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")],
    );
}

/// What an environment says in which each of these variables names `proxy`.
fn proxies(variables: &[&'static str], proxy: &str) -> Proxies {
    let values: Vec<_> = variables.iter().map(|name| (*name, SecretString::from(proxy))).collect();
    Proxies::parse(&values, "").unwrap()
}

fn towards(proxies: &Proxies, endpoint: &str) -> Tuning {
    Tuning { proxy: proxies.towards(&endpoint.parse().unwrap()).unwrap(), ..patient() }
}

#[tokio::test]
async fn calls_to_this_machine_never_go_by_way_of_a_proxy() {
    let (proxy, api) = (ScriptedServer::repeating(vec![Step::Silence]), answering(response("200 OK", "", b"{}")));
    let tuning = towards(&proxies(&PROXY_VARIABLES, &proxy.url()), &api.url());
    let call = client(&api.url(), key(), &tuning).call(COMMAND, b"{}".to_vec()).await;
    assert!(matches!(call.result, CallResult::Body(_)), "{call:?}");
    assert_eq!(proxy.seen().connections, 0);
}

/// The client ignores the environment and uses only the proxies that it is given. With none it connects directly.
#[tokio::test(flavor = "multi_thread")]
async fn the_environment_alone_sends_nothing_through_a_proxy() {
    let proxy = ScriptedServer::repeating(vec![Step::Silence]);
    let url = proxy.url();
    let variables = PROXY_VARIABLES.map(|name| (name, url.as_str()));
    let test = "faults::a_host_that_cannot_be_found_means_that_nothing_was_sent";
    tokio::task::block_in_place(|| run_alone(test, &variables));
    assert_eq!(proxy.seen().connections, 0);
}

#[tokio::test]
async fn a_proxy_for_https_learns_the_host_and_nothing_else() {
    let proxy = ScriptedServer::repeating(vec![Step::Write(response("502 Bad Gateway", "", b"")), Step::Close]);
    let tuning = towards(&proxies(&["HTTPS_PROXY"], &proxy.url()), "https://chat.invalid");
    let call = client("https://chat.invalid", key(), &tuning).call(COMMAND, b"{}".to_vec()).await;
    let [request] = &proxy.requests()[..] else { panic!("not one request") };
    assert!(request.head.starts_with("CONNECT chat.invalid:443 HTTP/1.1\r\n"), "{request:?}");
    assert!(!request.head.contains("usersig"), "{request:?}");
    assert_named(&call.result, &proxy.url());
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let url = nobody().await;
    let tuning = towards(&proxies(&["all_proxy"], &url), "https://chat.invalid");
    let call = client("https://chat.invalid", key(), &tuning).call(COMMAND, b"{}".to_vec()).await;
    assert_named(&call.result, &url);
}

#[track_caller]
fn assert_named(result: &CallResult, proxy: &str) {
    let CallResult::NotSent(why) = result else { panic!("{result:?}") };
    assert!(why.starts_with(&format!("through the proxy {proxy} (")), "{why}");
}

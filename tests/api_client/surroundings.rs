//! The machine around the client: tests of the other files, run again by themselves in another environment.

use std::process::Command;

use super::server::{Act, Server, answer};

/// Runs one test of this program in a process with these variables.
fn run_alone(test: &str, variables: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
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

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_this_machine_never_go_by_way_of_a_proxy() {
    let proxy = Server::start(Act::Silence).await;
    let url = proxy.url();
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, url.as_str()));
    tokio::task::block_in_place(|| run_alone("answers::the_body_of_an_answer_comes_back_whole", &variables));
    assert_eq!(proxy.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_for_https_is_told_the_host_and_nothing_else() {
    let proxy = Server::start(Act::AnswerAndClose(answer("502 Bad Gateway", "", b""))).await;
    let test = "faults::a_host_that_cannot_be_found_means_that_nothing_was_sent";
    tokio::task::block_in_place(|| run_alone(test, &[("HTTPS_PROXY", &proxy.url())]));
    let [request] = &proxy.requests()[..] else { panic!("not one request") };
    assert!(request.head.starts_with("CONNECT chat.invalid:443 HTTP/1.1\r\n"), "{request:?}");
    assert!(!request.head.contains("usersig"), "{request:?}");
}

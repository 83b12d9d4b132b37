//! The environment: time zone and proxies.

use std::net::TcpListener;

use imbulk_sandbox::Command;

use crate::halts::zone_in_which_it_is;
use imbulk_testkit::rows::{plain, tally};
use imbulk_testkit::{JobFile, Workspace};

fn workspace() -> (Workspace, String) {
    JobFile::new("job", Command::FriendDelete).rows(&plain(Command::FriendDelete, 5)).in_a_workspace()
}

/// With this variable plan and run refuse to start. Both name the cause, and neither shows a value that may be secret.
fn unusable(variable: &str, value: &str, secret: &str) {
    let (mut workspace, job) = workspace();
    workspace.set_env(variable, value);
    for args in [&["plan", &job][..], &["run", &job, "--execute", "--yes"], &["run", &job, "--sandbox"]] {
        let output = workspace.imbulk(args).expect(2).says(&format!("error: {variable} "));
        assert!(output.stderr.contains("hint: "), "{output:#?}");
        assert!(secret.is_empty() || !output.stderr.contains(secret), "{output:#?}");
    }
    assert_eq!(workspace.report().calls, 0);
    assert!(!workspace.path("imbulk.db").exists(), "it is looked at before anything else");
    workspace.imbulk(&["explain", "70107"]).expect(0);
}

#[test]
fn a_time_zone_that_does_not_exist_is_an_error() {
    for zone in ["Asia/Shangai", "Mars", " Asia/Shanghai", "GMT+25:00", "/etc/passwd"] {
        unusable("TZ", zone, "");
    }
}

#[test]
fn a_time_zone_is_written_in_any_legal_way() {
    let (mut workspace, _) = workspace();
    // Hours away in each of the zones, because `plan` says "now" in the minute of `until`.
    let now = imbulk::clock::now().as_second();
    let until = format!("{:02}:00", (now / 3600 + 3) % 24);
    let job = JobFile::new("job", Command::FriendDelete).with("stop", "until", format!("{until:?}")).write(&workspace);
    for (zone, offset) in [("UTC0", "+00:00"), ("CST-8", "+08:00"), (":UTC", "+00:00"), ("", "+00:00")] {
        workspace.set_env("TZ", zone);
        let plan = workspace.imbulk(&["plan", &job]).expect(0);
        let shown = format!(" {until} {offset} (in ");
        assert!(
            plan.stdout.lines().any(|line| line.starts_with("until") && line.contains(&shown)),
            "{zone}: {plan:#?}"
        );
    }
}

#[test]
fn in_the_minute_of_until_nothing_is_sent() {
    let (mut workspace, _) = workspace();
    let job = JobFile::new("job", Command::FriendDelete).with("stop", "until", "\"06:00\"").write(&workspace);
    workspace.set_env("TZ", &zone_in_which_it_is(6 * 3600));
    workspace.run(&job).expect(5).says("06:00").says("(now)");
    assert_eq!(workspace.report().calls, 0);
}

#[test]
fn outside_of_its_window_a_job_sends_nothing_and_says_when_it_opens() {
    let (mut workspace, _) = workspace();
    workspace.set_env("TZ", &zone_in_which_it_is(12 * 3600));
    let job = |name, window: &str| {
        let job = JobFile::new(name, Command::FriendDelete).rows(&plain(Command::FriendDelete, 3));
        job.with("stop", "window", format!("{window:?}")).write(&workspace)
    };
    let (closed, open) = (job("closed", "02:00-06:00"), job("open", "11:00-02:00"));
    for flags in [&["--execute"][..], &["--execute", "--resume"], &["--sandbox"]] {
        let run = workspace.imbulk(&[&["run", &closed, "--yes"], flags].concat()).expect(5);
        run.says("closed: nothing is sent before ").says(" 02:00 ").says("`stop.window` is 02:00-06:00");
    }
    workspace.imbulk(&["plan", &closed]).expect(0).says("window         02:00-06:00, closed, opens ");
    assert_eq!(workspace.report().calls, 0);
    // Of several jobs only those with an open window are sent.
    workspace.imbulk(&["run", &closed, &open, "--execute", "--yes"]).expect(5).says("closed: nothing is sent before ");
    assert_eq!((workspace.results("open").len(), workspace.report().calls), (3, 1));
}

#[test]
fn a_run_ends_when_its_window_closes() {
    let rows = plain(Command::FriendDeleteAll, 400);
    let job = JobFile::new("job", Command::FriendDeleteAll).rows(&rows).with("limits", "calls_per_second", 20);
    let (mut workspace, job) = job.with("stop", "window", "\"02:00-06:00\"").in_a_workspace();
    workspace.set_env("TZ", &zone_in_which_it_is(5 * 3600 + 59 * 60 + 58));
    let stopped = workspace.run(&job).expect(5);
    assert!(stopped.stdout.contains("the window of `stop.window` has closed"), "{stopped:#?}");
    assert!(workspace.report().calls < 400);
}

#[test]
fn a_run_ends_after_its_maximum_duration_and_the_next_one_continues() {
    let rows = plain(Command::FriendDeleteAll, 60);
    let job = JobFile::new("long", Command::FriendDeleteAll).rows(&rows).with("limits", "calls_per_second", 20);
    let (workspace, job) = job.with("stop", "max_runtime", "\"1s\"").in_a_workspace();
    workspace.imbulk(&["plan", &job]).expect(0).says("): at most 33 % are sent by then; run it again for the rest");
    let stopped = workspace.run(&job).expect(5);
    assert!(stopped.stdout.contains("the time of `stop.max_runtime` is over"), "{stopped:#?}");
    let mut sessions = 1;
    while workspace.run(&job).code == 5 {
        sessions += 1;
        assert!(sessions < 60, "each session sends something");
    }
    assert!(sessions > 1);
    assert_eq!(tally(&workspace.results("long")).get("pending"), None);
}

#[test]
fn a_malformed_proxy_is_an_error_that_does_not_show_its_password() {
    for variable in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        unusable(variable, "http://anna:geheim@[proxy:3128", "geheim");
    }
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named_and_so_is_it_before_the_first_call() {
    let (mut workspace, _) = workspace();
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    let job = JobFile::new("job", Command::FriendDelete).with("app", "endpoint", "\"https://chat.invalid\"");
    let job = job.with("stop", "outage", "\"1s\"").write(&workspace);
    workspace.set_env("https_proxy", &format!("http://anna:geheim@{nobody}"));
    let named = format!("through the proxy http://{nobody} (https_proxy)");
    workspace.imbulk(&["plan", &job]).expect(0).says(&format!("proxy          http://{nobody} (https_proxy)"));
    let output = workspace.run(&job).expect(4).says(&format!("calls go {named}"));
    let stopped = output.stdout.lines().find(|line| line.starts_with("stopped")).unwrap_or_default();
    assert!(stopped.contains(&format!("{named}: Connection refused")), "{output:#?}");
    assert!(!format!("{output:?}").contains("geheim"), "{output:#?}");
}

#[test]
fn calls_to_this_machine_need_no_proxy() {
    let (mut workspace, job) = workspace();
    for variable in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        workspace.set_env(variable, "socks5://chat.invalid:1");
    }
    let output = workspace.run(&job).expect(3);
    assert_eq!(workspace.report().calls, 2);
    assert!(!output.stderr.contains("proxy"), "{output:#?}");
}

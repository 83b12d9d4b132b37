//! The page of a report in a browser: no errors, no requests, narrow windows, and paper.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use imbulk_testkit::Workspace;
use imbulk_testkit::requirements::{self, Requirement};

use crate::reports::{browser, json, run};

/// A proxy that answers nothing, and records what it is asked for.
struct RecordingProxy {
    address: SocketAddr,
    recorder: JoinHandle<Vec<String>>,
}

impl RecordingProxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let recorder = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for client in listener.incoming() {
                let mut client = client.expect("a connection");
                client.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
                let mut request = [0; 1024];
                let length = client.read(&mut request).unwrap_or(0);
                let line = String::from_utf8_lossy(&request[..length]).lines().next().unwrap_or_default().to_owned();
                if line == "END" {
                    break;
                }
                asked.push(line);
            }
            asked
        });
        Self { address, recorder }
    }

    /// The first line of each request.
    fn end(self) -> Vec<String> {
        TcpStream::connect(self.address).expect("the proxy").write_all(b"END\n").expect("sent");
        self.recorder.join().expect("the proxy")
    }
}

/// What Chromium makes of a page.
struct Browsed {
    /// The elements of the page after it was loaded.
    shown: String,
    /// Standard error, with the console.
    errors: String,
    /// What it asked the network for.
    asked: Vec<String>,
}

impl Browsed {
    /// The hosts that the page itself asked for. A page without a script can only ask for what its text names, while
    /// the browser has hosts of its own.
    fn hosts_named_in(&self, page: &str) -> Vec<String> {
        let host = |line: &String| {
            let target = line.split(' ').nth(1).unwrap_or_default();
            let target = target.split_once("://").map_or(target, |(_, rest)| rest);
            target.split(['/', ':']).next().unwrap_or_default().to_owned()
        };
        let named = |host: &String| !host.is_empty() && page.contains(host.as_str());
        self.asked.iter().map(host).filter(named).collect()
    }
}

fn browsed(workspace: &Workspace, page: &str) -> Browsed {
    let proxy = RecordingProxy::start();
    let output = browser(workspace)
        .args(["--enable-logging=stderr", "--log-level=0", "--virtual-time-budget=2000", "--dump-dom"])
        // Requests to this machine take the proxy as well.
        .args([format!("--proxy-server={}", proxy.address), "--proxy-bypass-list=<-loopback>".to_owned()])
        .arg(workspace.path(page))
        .output()
        .expect("Chromium starts");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Browsed { shown: text(output.stdout), errors: text(output.stderr), asked: proxy.end() }
}

#[test]
fn a_browser_shows_the_page_without_an_error_and_requests_nothing_else() {
    if !requirements::are_met("the test of the page in a browser", &[Requirement::Tool("chromium")]) {
        return;
    }
    let workspace = run();
    let report = json(&workspace);
    workspace.imbulk(&["report", "job", "--output", "report.html"]).expect(0);
    let page = std::fs::read_to_string(workspace.path("report.html")).expect("the page");
    let seen = browsed(&workspace, "report.html");
    assert!(seen.shown.contains(&format!("<h1>{}</h1>", report["verdict"].as_str().expect("a sentence"))));
    assert!(!seen.errors.contains("CONSOLE") && !page.contains("<script"), "{}", seen.errors);
    assert_eq!(seen.hosts_named_in(&page), [""; 0], "the page requested something");
    // The same with a page that breaks the rules, so that the checks above can fail.
    let (policy, rest) = page.split_once("default-src 'none'").expect("a policy");
    let image = "<img src=\"http://tracker.example/x.png\"><img src=\"https://secure.example/y.png\"></main>";
    let open = format!("{policy}default-src *{rest}").replace("</main>", image);
    workspace.write("open.html", &open);
    let mut asked = browsed(&workspace, "open.html").hosts_named_in(&open);
    asked.sort();
    asked.dedup();
    assert_eq!(asked, ["secure.example", "tracker.example"], "images are requested");
    let closed = page.replace("</main>", image);
    workspace.write("closed.html", &closed);
    let seen = browsed(&workspace, "closed.html");
    assert!(seen.errors.contains("CONSOLE"), "the refusal of an image is an error of the console: {}", seen.errors);
    assert_eq!(seen.hosts_named_in(&closed), [""; 0], "the policy of the page forbids requests");
}

/// The width that a page needs in a window of 360 pixels.
fn width_in_a_narrow_window(workspace: &Workspace, page: &str) -> u64 {
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    let measure = "document.body.dataset.width = \
                   document.querySelector('iframe').contentDocument.documentElement.scrollWidth";
    let harness = format!(
        "<!DOCTYPE html><body><iframe width=360 height=9000 srcdoc=\"{page}\"></iframe><script>onload = () => \
         {{ {measure} }}</script>"
    );
    workspace.write("narrow.html", harness);
    let shown = browsed(workspace, "narrow.html").shown;
    let (_, width) = shown.split_once("data-width=\"").unwrap_or_else(|| panic!("no width: {shown}"));
    width.split('"').next().expect("a number").parse().expect("a number")
}

#[test]
fn the_page_fits_a_narrow_window_and_two_sheets_of_paper() {
    if !requirements::are_met("the test of the page's size", &[Requirement::Tool("chromium")]) {
        return;
    }
    let workspace = run();
    workspace.imbulk(&["report", "job", "--output", "report.html"]).expect(0);
    let page = std::fs::read_to_string(workspace.path("report.html")).expect("the page");
    assert!(width_in_a_narrow_window(&workspace, &page) <= 360, "no horizontal scrolling at 360 pixels");
    let wide = page.replace("</main>", "<div style=\"width: 900px\">x</div></main>");
    assert!(width_in_a_narrow_window(&workspace, &wide) > 360, "the measurement sees what is too wide");
    let printed = browser(&workspace)
        .args(["--no-pdf-header-footer".to_owned(), format!("--print-to-pdf={}", workspace.path("p.pdf").display())])
        .arg(workspace.path("report.html"))
        .output()
        .expect("Chromium starts");
    assert!(printed.status.success(), "{printed:?}");
    let pdf = std::fs::read(workspace.path("p.pdf")).expect("the printed page");
    let pdf = String::from_utf8_lossy(&pdf);
    let sheets = pdf.matches("/Type /Page").count() - pdf.matches("/Type /Pages").count();
    assert!((1..=2).contains(&sheets), "{sheets} sheets");
}

//! The least that any client of this HTTP library does: it sends bodies and discards the responses, in a process of
//! its own, started as `whole bare …`. What it takes of the processor is the library's and the kernel's.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use tokio::task::JoinSet;

use crate::Fallible;

/// Calls at once, as many as the asyncio script makes.
pub(crate) const WIDTH: usize = 64;

/// What `bare ENDPOINT CSV` does.
pub(crate) fn bare(args: &[String]) -> Fallible<()> {
    let [endpoint, input] = args else { return Err("bare ENDPOINT CSV".into()) };
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send_all(endpoint, Path::new(input)))
}

async fn send_all(endpoint: &str, input: &Path) -> Fallible<()> {
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(WIDTH).timeout(Duration::from_secs(5));
    let http = http.build()?;
    let bodies = Arc::new(Mutex::new(Bodies::of(input)?));
    // As long as a real one.
    let credentials = format!("sdkappid=1400000001&identifier=administrator&usersig={}", "x".repeat(160));
    let url = format!("{endpoint}/v4/im_open_login_svc/account_delete?{credentials}&contenttype=json");
    let mut workers = JoinSet::new();
    for _ in 0..WIDTH {
        workers.spawn(send(http.clone(), url.clone(), Arc::clone(&bodies)));
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn send(http: reqwest::Client, url: String, bodies: Arc<Mutex<Bodies>>) -> reqwest::Result<()> {
    let next = || bodies.lock().unwrap_or_else(PoisonError::into_inner).next();
    while let Some(body) = next() {
        let request = http.post(format!("{url}&random={}", rand::random::<u32>()));
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body);
        let mut response = request.send().await?.error_for_status()?;
        while response.chunk().await?.is_some() {}
    }
    Ok(())
}

/// Bodies of 100 accounts of a file.
struct Bodies(Lines<BufReader<File>>);

impl Bodies {
    fn of(input: &Path) -> Fallible<Self> {
        let mut lines = BufReader::new(File::open(input)?).lines();
        lines.next().transpose()?;
        Ok(Self(lines))
    }
}

impl Iterator for Bodies {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut body = String::from(r#"{"DeleteItem":["#);
        for id in self.0.by_ref().take(100).map_while(Result::ok) {
            body.extend([r#"{"UserID":""#, &id, r#""},"#]);
        }
        // The comma after the last one; without any, all is sent.
        (body.pop() == Some(',')).then(|| body + "]}")
    }
}

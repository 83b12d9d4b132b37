//! HTTP/1.1 as servers of the tests' own speak it.

use tokio::io::{AsyncRead, AsyncReadExt};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The request line and the header lines.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The path of the request line.
    pub(crate) fn path(&self) -> &str {
        self.target().split('?').next().unwrap()
    }

    /// The parameters of the request line as they were sent, in order.
    pub(crate) fn parameters(&self) -> Vec<(&str, &str)> {
        let query = self.target().split_once('?').unwrap().1;
        query.split('&').map(|pair| pair.split_once('=').unwrap()).collect()
    }

    /// One parameter as it was sent.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters().into_iter().find(|(n, _)| *n == name).unwrap().1
    }

    fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// A whole HTTP answer.
pub(crate) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The next request, or none once the client is gone.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { head, body })
}

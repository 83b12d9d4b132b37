//! HTTP/1.1 for the servers of tests.

use tokio::io::{AsyncRead, AsyncReadExt};

/// An HTTP request.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// The request line and the header lines.
    pub head: String,
    /// The body, without the head.
    pub body: Vec<u8>,
}

impl ReceivedRequest {
    /// The path of the request line.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap()
    }

    /// The parameters of the request line in their order, still encoded.
    pub fn parameters(&self) -> Vec<(&str, &str)> {
        let query = self.target().split_once('?').unwrap().1;
        query.split('&').map(|pair| pair.split_once('=').unwrap()).collect()
    }

    /// One parameter, still encoded.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters().into_iter().find(|(n, _)| *n == name).unwrap().1
    }

    fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// An HTTP response. Each header ends with `\r\n`.
pub fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Reads the next request. Returns none once the client has closed the connection.
pub async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<ReceivedRequest> {
    receive_into(stream, &mut Vec::new()).await
}

/// Reads the next request like [`receive`]. `head` keeps the bytes of a head that does not arrive completely.
pub async fn receive_into(stream: &mut (impl AsyncRead + Unpin), head: &mut Vec<u8>) -> Option<ReceivedRequest> {
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head.clone()).unwrap();
    let length = text
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(ReceivedRequest { head: text, body })
}

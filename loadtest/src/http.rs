//! HTTP/1.1 by hand: one connection, one request at a time, bodies with a length. The client must cost little beside
//! the server it measures.

use serde_json::Value;
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server, and what every request to it carries.
#[derive(Clone)]
pub(crate) struct Target {
    address: String,
    headers: String,
}

pub(crate) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Target {
    pub(crate) fn parse(url: &str, key: Option<&str>) -> std::result::Result<Self, String> {
        let address = url.strip_prefix("http://").ok_or("the URL must begin with http://")?.trim_end_matches('/');
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
        let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        Ok(Self { headers: format!("Host: {address}\r\n{key}"), address })
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        Ok(Connection { socket, buffer: Vec::with_capacity(2048) })
    }

    /// A request as bytes; `headers` are whole lines.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
        let (own, length) = (&self.headers, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{own}{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body.as_bytes()].concat()
    }

    /// One request on a connection of its own; any status but these is an error.
    pub(crate) async fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> std::result::Result<Value, String> {
        let asked = async { self.connect().await?.send(&self.request(method, path, headers, body)).await };
        match asked.await {
            Ok(Answer { status: 200..300, body }) => Ok(body),
            Ok(Answer { status, body }) => Err(format!("{method} {path}: {status} {body}")),
            Err(error) => Err(format!("{method} {path}: {error}")),
        }
    }
}

impl Connection {
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer> {
        let (status, body) = self.ask(request).await?;
        let body = &self.buffer[body];
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(body)? };
        Ok(Answer { status, body })
    }

    /// As [`Self::send`], of an answer of which only the status matters.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        Ok(self.ask(request).await?.0)
    }

    /// Sends without waiting for an answer.
    pub(crate) async fn write(&mut self, request: &[u8]) -> Result<()> {
        self.socket.write_all(request).await
    }

    /// The status, and where the body is in the buffer.
    async fn ask(&mut self, request: &[u8]) -> Result<(u16, std::ops::Range<usize>)> {
        self.write(request).await?;
        self.buffer.clear();
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let (status, length) = head(&self.buffer[..end])?;
        while self.buffer.len() < end + length {
            self.read().await?;
        }
        Ok((status, end..end + length))
    }

    async fn read(&mut self) -> Result<()> {
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Status and length of the body.
fn head(bytes: &[u8]) -> Result<(u16, usize)> {
    let malformed = || Error::new(ErrorKind::InvalidData, "an answer without status or length");
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    let status = text.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok((status, length.ok_or_else(malformed)?))
}

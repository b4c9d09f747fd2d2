//! HTTP/1.1 by hand: one connection, one request at a time, bodies with a length, but for those that are streamed. The client must
//! cost little beside the server it measures.
//!
//! Invariant: an answer is read whole, or the connection is not used again.

use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server, and what every request to it carries.
#[derive(Clone)]
pub struct Target {
    address: String,
    headers: String,
    operators: Option<Arc<Self>>,
}

pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

pub struct Answer {
    pub status: u16,
    /// Whether it says when to come again.
    pub retry_after: bool,
    pub body: Vec<u8>,
}

/// What of an answer matters to a buyer.
#[derive(Default, Deserialize)]
pub struct Reply<'a> {
    #[serde(borrow)]
    pub id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub status: Option<Cow<'a, str>>,
    /// Of a problem.
    #[serde(borrow)]
    pub code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub payment: Option<Payment<'a>>,
}

#[derive(Deserialize)]
pub struct Payment<'a> {
    #[serde(borrow)]
    pub redirect_url: Option<Cow<'a, str>>,
}

impl Answer {
    /// Of a problem `status` is a number: then only its code is read.
    pub fn reply(&self) -> Reply<'_> {
        #[derive(Deserialize)]
        struct Problem<'a> {
            #[serde(borrow)]
            code: Option<Cow<'a, str>>,
        }
        if self.status < 400 {
            return serde_json::from_slice(&self.body).unwrap_or_default();
        }
        let problem = serde_json::from_slice::<Problem>(&self.body);
        Reply { code: problem.ok().and_then(|problem| problem.code), ..Reply::default() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Target {
    pub fn parse(url: &str, key: Option<&str>) -> std::result::Result<Self, String> {
        let address = url.strip_prefix("http://").ok_or("the URL must begin with http://")?.trim_end_matches('/');
        let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
        let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        Ok(Self { headers: format!("Host: {address}\r\n{key}"), address, operators: None })
    }

    /// The same server, whose operators have an address of their own if one is said, for the same key.
    pub fn with_operators(self, url: Option<&str>, key: Option<&str>) -> std::result::Result<Self, String> {
        let operators = url.map(|url| Self::parse(url, key)).transpose()?;
        Ok(Self { operators: operators.map(Arc::new), ..self })
    }

    /// Where `/admin` and `/metrics` are.
    pub fn operators(&self) -> &Self {
        self.operators.as_deref().unwrap_or(self)
    }

    pub async fn connect(&self) -> Result<Connection> {
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        Ok(Connection { socket, buffer: Vec::with_capacity(2048) })
    }

    /// A request as bytes; `headers` are whole lines.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
        let (own, length) = (&self.headers, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{own}{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body.as_bytes()].concat()
    }

    /// One request on a connection of its own; any status but these is an error.
    pub async fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> std::result::Result<Value, String> {
        let asked = async { self.connect().await?.send(&self.request(method, path, headers, body)).await };
        let asked = asked.await.map_err(|error| format!("{method} {path}: {error}"))?;
        match asked.status {
            200..300 => Ok(asked.json()),
            status => Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&asked.body))),
        }
    }

    /// Posts a body in pieces on a connection of its own. The answer is read meanwhile: it may begin, or refuse, before the body has ended.
    pub async fn stream(&self, path: &str, content_type: &str, pieces: impl Iterator<Item = Vec<u8>>) -> Result<Answer> {
        let (mut answer, mut request) = self.connect().await?.socket.into_split();
        let own = &self.headers;
        let head = format!(
            "POST {path} HTTP/1.1\r\n{own}Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
        let sending = async {
            request.write_all(head.as_bytes()).await?;
            for piece in pieces {
                request.write_all(&chunk(&piece)).await?;
            }
            request.write_all(&chunk(b"")).await
        };
        let mut read = Vec::new();
        let (sent, received) = tokio::join!(sending, answer.read_to_end(&mut read));
        // Who refuses closes: what it said tells more than that nothing more could be sent.
        whole(&read).map_err(|malformed| sent.and(received.map(drop)).err().unwrap_or(malformed))
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

impl Connection {
    pub async fn send(&mut self, request: &[u8]) -> Result<Answer> {
        let (Head { status, retry_after, .. }, body) = self.ask(request).await?;
        Ok(Answer { status, retry_after, body: self.buffer[body].to_vec() })
    }

    /// Whether the other side has not closed it while nobody used it.
    pub fn is_open(&self) -> bool {
        matches!(self.socket.try_read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// As [`Self::send`], of an answer of which only the status matters.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        Ok(self.ask(request).await?.0.status)
    }

    /// Sends without waiting for an answer.
    pub async fn write(&mut self, request: &[u8]) -> Result<()> {
        self.socket.write_all(request).await
    }

    /// The head, and where the body is in the buffer.
    async fn ask(&mut self, request: &[u8]) -> Result<(Head, std::ops::Range<usize>)> {
        self.write(request).await?;
        self.buffer.clear();
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let head = head(&self.buffer[..end])?;
        let whole = end + head.length;
        while self.buffer.len() < whole {
            self.read().await?;
        }
        Ok((head, end..whole))
    }

    async fn read(&mut self) -> Result<()> {
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

struct Head {
    status: u16,
    length: usize,
    retry_after: bool,
}

fn head(bytes: &[u8]) -> Result<Head> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    let length = header(text, "content-length").and_then(|length| length.parse().ok()).ok_or_else(malformed)?;
    Ok(Head { status: status(text)?, length, retry_after: retry_after(text) })
}

/// An answer that ended with its connection.
fn whole(bytes: &[u8]) -> Result<Answer> {
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or_else(malformed)?;
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| malformed())?;
    let (status, body) = (status(text)?, &bytes[end + 4..]);
    let body = if header(text, "transfer-encoding") == Some("chunked") { unchunked(body)? } else { body.to_vec() };
    Ok(Answer { status, retry_after: retry_after(text), body })
}

/// What stands in chunks of which the last one is there.
fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|bytes| bytes == b"\r\n").ok_or_else(malformed)?;
        let length = std::str::from_utf8(&rest[..end]).ok().and_then(|length| usize::from_str_radix(length, 16).ok());
        let length = length.filter(|length| rest.len() - end >= length.saturating_add(4)).ok_or_else(malformed)?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
}

fn status(head: &str) -> Result<u16> {
    head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(malformed)
}

fn retry_after(head: &str) -> bool {
    header(head, "retry-after").is_some()
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}

fn malformed() -> Error {
    Error::new(ErrorKind::InvalidData, "an answer without status or length")
}

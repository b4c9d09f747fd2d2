//! Requests by bytes on the socket, for what no HTTP client would send.
//!
//! Invariant: nothing here waits longer than a minute.

use holdfast_tests::server::Server;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// The header of a body of so many bytes.
pub(crate) fn sized(bytes: u64) -> String {
    format!("Content-Length: {bytes}\r\n")
}

/// The header of a body of any length.
pub(crate) fn chunked() -> String {
    "Transfer-Encoding: chunked\r\n".to_owned()
}

/// The head of a request: method and path, and headers that each end their line.
pub(crate) fn head(request: &str, headers: &str) -> Vec<u8> {
    format!("{request} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

/// One answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        self.head.lines().filter_map(field).find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        problem["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.head, String::from_utf8_lossy(&self.body))
    }
}

/// One connection.
pub(crate) struct Connection {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address()).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket, read: Vec::new() }
    }

    /// A server that has heard enough may have closed: the answer says why.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.socket.write_all(bytes) {
            Err(error) if !closed(error.kind()) => panic!("writing: {error}"),
            _ => {}
        }
    }

    pub(crate) fn send_chunk(&mut self, bytes: &[u8]) {
        self.send(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat());
    }

    pub(crate) fn send_chunks(&mut self, bytes: usize) {
        (0..bytes / 4096).for_each(|_| self.send_chunk(&[b' '; 4096]));
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_within(PATIENCE).unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&self.read)))
    }

    /// The next answer, or `None` if the connection ends, or says nothing for so long.
    pub(crate) fn answer_within(&mut self, patience: Duration) -> Option<Answer> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(answer) = self.whole() {
                return Some(answer);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            self.fill(left)?;
        }
    }

    /// Reads what comes next. `None` if nothing more will.
    fn fill(&mut self, patience: Duration) -> Option<usize> {
        self.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1)))).unwrap();
        let mut buffer = [0; 64 << 10];
        match self.socket.read(&mut buffer) {
            Ok(0) => None,
            Ok(read) => {
                self.read.extend_from_slice(&buffer[..read]);
                Some(read)
            }
            Err(error) if silent(error.kind()) => Some(0),
            Err(error) if closed(error.kind()) => None,
            Err(error) => panic!("reading: {error}"),
        }
    }

    /// Takes an answer off what was read, if it is there whole.
    fn whole(&mut self) -> Option<Answer> {
        let end = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if answer.header("transfer-encoding").is_some() {
            let (body, used) = dechunked(&self.read[end..])?;
            answer.body = body;
            self.read.drain(..end + used);
            return Some(answer);
        }
        answer.body = self.read.get(end..end + length)?.to_vec();
        self.read.drain(..end + length);
        Some(answer)
    }

    /// Writes more and more of a body until the connection ends. Returns how much could be written.
    pub(crate) fn flood(&mut self, framing: &str, patience: Duration) -> usize {
        let piece = vec![b' '; 64 << 10];
        let piece = if framing == chunked() { [b"10000\r\n", &piece[..], b"\r\n"].concat() } else { piece };
        let (deadline, mut written) = (Instant::now() + patience, 0);
        while Instant::now() < deadline && written < 1 << 30 {
            match self.socket.write(&piece) {
                Ok(bytes) => written += bytes,
                Err(error) if closed(error.kind()) => return written,
                Err(error) => panic!("after {written} bytes: {error}"),
            }
        }
        panic!("the connection is still there after {written} bytes");
    }

    /// Sends so many bytes of a body five times a second until there is an answer.
    pub(crate) fn trickle(&mut self, framing: &str, bytes: usize, patience: Duration) -> Answer {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let piece = vec![b' '; bytes];
            if framing == chunked() {
                self.send_chunk(&piece)
            } else {
                self.send(&piece)
            }
            if let Some(answer) = self.answer_within(Duration::from_millis(200)) {
                return answer;
            }
        }
        panic!("no answer after {patience:?}");
    }

    /// Lets time pass in which nothing is sent; what comes is kept.
    pub(crate) fn rest(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            if self.fill(left).is_none() {
                return;
            }
        }
    }
}

/// A chunked body and how many bytes it took, if it is there whole.
fn dechunked(mut bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, all) = (Vec::new(), bytes.len());
    loop {
        let end = bytes.windows(2).position(|bytes| bytes == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        body.extend_from_slice(bytes.get(end + 2..end + 2 + length)?);
        bytes = bytes.get(end + 2 + length + 2..)?;
        if length == 0 {
            return Some((body, all - bytes.len()));
        }
    }
}

fn closed(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

fn silent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

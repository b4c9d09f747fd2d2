//! Requests by hand, on a connection each: with headers that no client library sends, and answers that nobody reads.

use holdfast_tests::server::Server;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Far longer than any answer takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Status, head and body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Sends a request, whose headers are whole lines, and reads nothing.
pub(crate) fn begin(server: &Server, what: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (host, length) = (server.address(), body.len());
    let json = if headers.contains("Content-Type: ") { "" } else { "Content-Type: application/json\r\n" };
    let head = format!("{what} HTTP/1.1\r\nHost: {host}\r\n{headers}{json}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

pub(crate) fn ask(server: &Server, what: &str, headers: &str, body: &str) -> Answer {
    let mut text = String::new();
    begin(server, what, headers, body).read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer { status: status(head), head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// The status of an answer, whose body is left where it is.
pub(crate) fn begun(stream: &mut TcpStream) -> u16 {
    let mut line = [0; 12];
    stream.read_exact(&mut line).unwrap();
    status(std::str::from_utf8(&line).unwrap())
}

fn status(head: &str) -> u16 {
    head[9..12].parse().unwrap()
}

/// The text of an answer in chunks. Where one ends says nothing: a line goes on in the next.
pub(crate) fn text_of_chunks(stream: TcpStream) -> BufReader<Chunked> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "there is no answer");
    }
    BufReader::new(Chunked { stream, left: 0 })
}

pub(crate) struct Chunked {
    stream: BufReader<TcpStream>,
    left: u64,
}

impl Read for Chunked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim() {
                // The end of the chunk before.
                "" if !line.is_empty() => {}
                "" | "0" => return Ok(0),
                length => self.left = u64::from_str_radix(length, 16).map_err(io::Error::other)?,
            }
        }
        let read = (&mut self.stream).take(self.left).read(into)?;
        self.left -= read as u64;
        Ok(read)
    }
}

//! Whoever takes traces by OTLP over HTTP, as small as it can be.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Takes traces as long as the process lives.
#[derive(Clone, Debug)]
pub struct Sink {
    port: u16,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Sink {
    /// # Panics
    /// If there is no port for it.
    pub fn start() -> Self {
        let listening = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let Ok((port, listener)) = listening else { panic!("no port for traces") };
        let sink = Self { port, spans: Arc::default() };
        let taking = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taking = taking.clone();
                std::thread::spawn(move || taking.serve(&stream));
            }
        });
        sink
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What has come so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until the client closes the connection, or says what this does not understand.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let (mut reader, mut writer) = (BufReader::new(stream), stream);
        loop {
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) && !line.trim().is_empty() {
                let header = line.to_ascii_lowercase();
                length = header.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap_or(0));
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let request = ExportTraceServiceRequest::decode(body.as_slice()).ok()?;
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            self.spans.lock().ok()?.extend(scopes.flat_map(|scope| scope.spans));
            if length == 0 {
                return None;
            }
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n").ok()?;
        }
    }
}

//! A log that nobody reads: the pipe behind standard output and standard error is full from the start.

use holdfast_tests::server::{Options, Server};
use holdfast_tests::torture::client::{Client, Request};
use rustix::fs::CWD;
use rustix::fs::{FileType, Mode, OFlags, mknodat, open};
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A pipe that is full and stays so.
struct FullPipe {
    dir: TempDir,
    /// Open, so that writing to it waits for ever rather than fails.
    _reader: File,
}

impl FullPipe {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut reader: File = open(&path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()).unwrap().into();
        for piece in [4096, 1] {
            while reader.write_all(&vec![b'x'; piece]).is_ok() {}
        }
        Self { dir, _reader: reader }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("pipe")
    }
}

/// Its log must not be read: that would make room.
fn unread(pipe: &FullPipe) -> Options {
    Options::new().log(pipe.path()).env("HOLDFAST__LOG__LEVEL", "trace")
}

#[test]
fn a_server_whose_log_nobody_reads_starts_answers_and_stops() {
    let pipe = FullPipe::new();
    let mut server = Server::prepare(unread(&pipe));
    server.launch();
    server.wait_until_ready(Duration::from_secs(60)).unwrap();
    let client = Client::new(&server.url());
    client.json(&Request::put("/v1/inventory/QUIET/locations/main", 0, &json!({"on_hand": 100}))).unwrap();
    for number in 0..100 {
        let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": "QUIET", "quantity": 1, "unit_price": 1}]});
        let answer = client.ask(&Request::keyed("/v1/orders", format!("quiet-{number}"), &body)).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.shown());
    }
    server.signal_stop();
    let ended = server.wait_for_exit(Duration::from_secs(60)).expect("it does not stop");
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn lines_that_were_lost_are_counted() {
    let pipe = FullPipe::new();
    let mut server = Server::prepare(unread(&pipe));
    server.launch();
    server.wait_until_ready(Duration::from_secs(60)).unwrap();
    let client = Client::new(&server.url());
    let lost = || {
        let text = String::from_utf8(client.ask(&Request::get("/metrics")).unwrap().body).unwrap();
        let line = text.lines().find(|line| line.starts_with("holdfast_log_lines_lost_total "))?;
        line.rsplit_once(' ')?.1.parse::<u64>().ok().filter(|lost| *lost > 0)
    };
    assert!(holdfast_tests::server::poll(Duration::from_secs(60), lost).is_some(), "nothing is counted as lost");
}

#[test]
fn a_start_that_is_refused_ends_although_nobody_reads_why() {
    let pipe = FullPipe::new();
    let mut server =
        Server::prepare(unread(&pipe).arg("--shards").arg("1").env("HOLDFAST__AUTH__KEYS", "[{name = 'a', hash = 'b'}]"));
    server.launch();
    let ended = server.wait_for_exit(Duration::from_secs(60)).expect("it does not end");
    assert_eq!(ended.code(), Some(1));
}

//! Readers of events that do not read.

use crate::wire::{PATIENCE, ask, begin, begun};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;

const STREAM: &str = "GET /v1/events/stream";

fn stock(server: &Server, sku: &str) {
    let what = format!("PUT /v1/inventory/{sku}/locations/main");
    let set = ask(server, &what, "If-Match: *\r\n", r#"{"on_hand":1000000}"#);
    assert_eq!(set.status, 200, "{}", set.body);
}

fn from(address: &str) -> String {
    format!("X-Forwarded-For: {address}\r\n")
}

/// Opens a stream, unless it is refused; then what is said of it.
fn open(server: &Server, address: &str) -> Result<TcpStream, String> {
    let mut stream = begin(server, STREAM, &from(address), "");
    if begun(&mut stream) == 200 {
        return Ok(stream);
    }
    let refused = ask(server, STREAM, &from(address), "");
    assert!(refused.status == 503 && refused.head.contains("retry-after: "), "{} {}", refused.status, refused.head);
    assert!(refused.body.contains("\"code\":\"overloaded\""), "{}", refused.body);
    Err(refused.body)
}

#[test]
fn no_more_streams_are_open_than_there_may_be_and_one_client_does_not_have_the_last() {
    let options = Options::new().env("HOLDFAST__SERVER__MAX_STREAMS", "20").env("HOLDFAST__SERVER__TRUSTED_PROXIES", "127.0.0.1");
    let server = Server::start(options);
    stock(&server, "MUG");
    let greedy: Vec<_> = (0..19).map(|_| open(&server, "192.0.2.1").unwrap()).collect();
    let refused = open(&server, "192.0.2.1").unwrap_err();
    assert!(refused.contains("this client has its share"), "{refused}");
    let _last = open(&server, "192.0.2.2").unwrap();
    let refused = open(&server, "192.0.2.3").unwrap_err();
    assert!(refused.contains("as many streams"), "{refused}");
    // Closed ones make room, at the latest when something is to be sent to them.
    drop(greedy);
    let opened = poll(PATIENCE, || {
        stock(&server, "MUG");
        open(&server, "192.0.2.3").ok()
    });
    assert!(opened.is_some());
}

#[test]
fn there_are_no_streams_where_there_may_be_none_and_pages_go_on() {
    let server = Server::start(Options::new().env("HOLDFAST__SERVER__MAX_STREAMS", "0"));
    open(&server, "192.0.2.1").unwrap_err();
    assert_eq!(ask(&server, "GET /v1/events", "", "").status, 200);
}

fn metric(server: &Server, name: &str) -> u64 {
    let metrics = ask(server, "GET /metrics", "", "").body;
    let count = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Every commit woke every stream, and each rendered all of it for itself, on the threads that serve orders.
#[test]
fn streams_that_nobody_reads_are_dropped_with_a_word_and_one_that_is_read_misses_nothing() {
    let server = Server::start(Options::new().env("HOLDFAST__SERVER__STREAM_PATIENCE_SECONDS", "1"));
    stock(&server, "MUG");
    let unread: Vec<_> = (0..50).map(|_| open(&server, "").unwrap()).collect();
    let reader = begin(&server, STREAM, "", "");
    let item = |number| json!({"key": format!("k-{number}"), "lines": [{"sku": "MUG", "quantity": 1}]});
    let items: Vec<_> = (0..2000).map(item).collect();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| held_until(reader, "LAST"));
        let answer = ask(&server, "POST /v1/reservations:batch", "", &json!({"items": items}).to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        stock(&server, "LAST");
        assert_eq!(held.join().unwrap(), items.len());
    });
    let open = || metric(&server, "event_streams");
    // The stream that was read is closed too, and found to be at the latest with a heartbeat.
    assert!(poll(PATIENCE, || (open() <= 1).then_some(())).is_some(), "{} are open", open());
    assert!(metric(&server, "event_streams_dropped_total") > 0);
    assert!(server.log().contains("a stream of events was dropped"), "{}", server.log());
    drop(unread);
}

/// Holds that a stream tells of before it tells of this SKU.
fn held_until(stream: TcpStream, sku: &str) -> usize {
    let mut held = 0;
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        held += usize::from(line.contains("\"type\":\"holdfast.stock.held\""));
        if line.starts_with("data: ") && line.contains(&format!("\"subject\":\"{sku}\"")) {
            return held;
        }
    }
    panic!("the stream ended after {held} holds");
}

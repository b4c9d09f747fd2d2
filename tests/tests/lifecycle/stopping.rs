//! SIGTERM under load: what is in flight is answered, the exit code is 0, and everything acknowledged is there.

use holdfast_tests::server::{Options, STOP, Server, poll};
use holdfast_tests::torture::client::{Client, Reached, Request};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const SKU: &str = "DRAIN";

fn stocked(options: Options) -> Server {
    let server = Server::start(options);
    let path = format!("/v1/inventory/{SKU}/locations/main");
    Client::new(&server.url()).json(&Request::put(path, 0, &json!({"on_hand": 1_000_000}))).unwrap();
    server
}

fn order(key: &str) -> Request {
    let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": SKU, "quantity": 1, "unit_price": 1}]});
    Request::keyed("/v1/orders", key, &body)
}

#[derive(Default)]
struct Heard {
    acknowledged: Mutex<Vec<String>>,
    /// 503 after the stop.
    refused: AtomicU64,
    unknown: AtomicU64,
}

impl Heard {
    /// Orders without pause until told to stop or told something else than 201.
    fn buy(&self, url: &str, buyer: usize, stop: &AtomicBool) {
        let client = Client::new(url);
        for number in 0.. {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            match client.send(&order(&format!("{buyer}-{number}"))) {
                Reached::Answered(answer) if answer.status == 201 => self.acknowledged.lock().unwrap().push(answer.text("id")),
                Reached::Answered(answer) => panic!("{}", answer.shown()),
                Reached::Refused(_) => {
                    self.refused.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                Reached::Unknown => {
                    self.unknown.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn assert_kept(&self, server: &mut Server) {
        server.restart();
        let client = Client::new(&server.url());
        for id in self.acknowledged.lock().unwrap().iter() {
            assert_eq!(client.ask(&Request::get(format!("/v1/orders/{id}"))).unwrap().status, 200, "{id}");
        }
        assert!(server.terminate().success());
        let (sound, said) = server.verify();
        assert!(sound, "{said}");
    }
}

/// Runs buyers until `warm` orders are in, sends SIGTERM, and lets the buyers go on for as long as `stop_buyers` says.
fn stop_under_load(server: &mut Server, heard: &Heard, stop_buyers: bool) -> Duration {
    let (url, stop) = (server.url(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for buyer in 0..8 {
            let (url, stop) = (&url, &stop);
            scope.spawn(move || heard.buy(url, buyer, stop));
        }
        poll(Duration::from_secs(180), || (heard.count() > 500).then_some(())).unwrap();
        let started = Instant::now();
        // What is under way now is in flight; buyers that stop send nothing after it.
        stop.store(stop_buyers, Ordering::SeqCst);
        server.signal_stop();
        let ended = server.wait_for_exit(STOP);
        stop.store(true, Ordering::SeqCst);
        let ended = ended.unwrap_or_else(|| panic!("it does not stop\n{}", server.log()));
        assert!(ended.success(), "{ended}\n{}", server.log());
        started.elapsed()
    })
}

#[test]
fn requests_in_flight_are_answered_when_the_server_is_told_to_stop() {
    let mut server = stocked(Options::new());
    let heard = Heard::default();
    let took = stop_under_load(&mut server, &heard, true);
    eprintln!("stopped in {took:?} with {} acknowledged", heard.count());
    assert_eq!(heard.unknown.load(Ordering::SeqCst), 0, "a request in flight was not answered");
    heard.assert_kept(&mut server);
}

#[test]
fn buyers_that_do_not_stop_do_not_keep_the_server_alive() {
    let mut server = stocked(Options::new().env("HOLDFAST__SERVER__DRAIN_SECONDS", "3"));
    let heard = Heard::default();
    let took = stop_under_load(&mut server, &heard, false);
    eprintln!("stopped in {took:?} under load with {} acknowledged, {:?} unknown", heard.count(), heard.unknown);
    heard.assert_kept(&mut server);
}

/// Sends the head of a request and a first part of its body.
pub(crate) fn begin(server: &Server, method_and_path: &str, headers: &str, length: usize, part: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    let address = server.address();
    write!(stream, "{method_and_path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n{part}").unwrap();
    stream
}

/// An order of which half has come.
fn half(server: &Server, key: &str) -> (TcpStream, String) {
    let request = order(key);
    let (first, rest) = request.body.split_at(request.body.len() / 2);
    let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\nConnection: close\r\n");
    (begin(server, "POST /v1/orders", &headers, request.body.len(), first), rest.to_owned())
}

/// Everything up to the end of the connection.
pub(crate) fn rest(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn readiness(server: &Server) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address()).unwrap();
    rest(&mut stream)
}

/// Tells it to stop and waits until it says so to balancers.
fn drain(server: &Server) {
    server.signal_stop();
    let draining = || Some(readiness(server)).filter(|said| said.starts_with("HTTP/1.1 503") && said.contains("draining"));
    poll(Duration::from_secs(30), draining).unwrap();
}

fn assert_stopped(server: &mut Server) {
    let ended = server.wait_for_exit(Duration::from_secs(40)).unwrap_or_else(|| panic!("it does not stop\n{}", server.log()));
    assert_eq!(ended.code(), Some(0), "{}", server.log());
    let log = server.log();
    assert!(log.trim_end().ends_with("stopped: everything is synced"), "{log}");
}

#[test]
fn while_a_server_drains_the_port_is_open_and_requests_are_served() {
    let mut server = stocked(Options::new().env("HOLDFAST__SERVER__DRAIN_NOTICE_SECONDS", "8"));
    let (mut stream, second_half) = half(&server, "half");
    drain(&server);
    let on_a_new_connection = Client::new(&server.url()).ask(&order("new")).unwrap();
    assert_eq!(on_a_new_connection.status, 201, "{}", on_a_new_connection.shown());
    stream.write_all(second_half.as_bytes()).unwrap();
    let answer = rest(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert_stopped(&mut server);
    server.restart();
    for key in ["new", "half"] {
        let again = Client::new(&server.url()).ask(&order(key)).unwrap();
        assert!(again.status == 201 && again.replayed, "{}", again.shown());
    }
}

/// Each of them held a stop for as long as it liked, up to `server.drain_seconds`.
#[test]
fn readers_of_the_stream_and_bodies_that_do_not_come_hold_no_stop() {
    let mut server = stocked(Options::new());
    let mut reader = TcpStream::connect(server.address()).unwrap();
    reader.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    write!(reader, "GET /v1/events/stream HTTP/1.1\r\nHost: {}\r\n\r\n", server.address()).unwrap();
    // Its beginning shows that it is being served.
    let mut head = [0; 15];
    reader.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let (mut stalled, _) = half(&server, "stalled");
    let row = json!({"sku": "IMPORTED", "location": "main", "on_hand": 3});
    let headers = "Content-Type: application/x-ndjson\r\nConnection: close\r\n";
    let mut import = begin(&server, "POST /v1/inventory/imports", headers, 10_000, &format!("{row}\n{{\"sku\": \"HA"));
    let client = Client::new(&server.url());
    let imported = || client.ask(&Request::get("/v1/inventory/IMPORTED")).ok().filter(|answer| answer.status == 200);
    poll(Duration::from_secs(30), imported).unwrap();
    let started = Instant::now();
    server.signal_stop();
    let refused = rest(&mut stalled);
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\"code\":\"shutting_down\""), "{refused}");
    assert!(refused.to_ascii_lowercase().contains("retry-after: 1"), "{refused}");
    let said = rest(&mut import);
    assert!(said.contains("\"code\":\"shutting_down\"") && said.contains("\"line\":2"), "{said}");
    assert!(said.contains("\"imported\":1"), "{said}");
    let events = rest(&mut reader);
    assert!(events.ends_with("0\r\n\r\n"), "the stream was cut, not ended: {events}");
    assert_stopped(&mut server);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    server.restart();
    let again = Client::new(&server.url()).ask(&order("stalled")).unwrap();
    assert!(again.status == 201 && !again.replayed, "refused and executed: {}", again.shown());
}

#[test]
fn an_idle_connection_holds_no_stop() {
    let mut server = stocked(Options::new().env("HOLDFAST__SERVER__DRAIN_NOTICE_SECONDS", "0"));
    let mut idle = TcpStream::connect(server.address()).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    write!(idle, "GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", server.address()).unwrap();
    let mut head = [0; 15];
    idle.read_exact(&mut head).unwrap();
    let started = Instant::now();
    server.signal_stop();
    rest(&mut idle);
    assert_stopped(&mut server);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_second_signal_ends_at_once_with_the_code_of_a_process_that_died_of_it() {
    type Second = fn(&Server);
    for (second, code) in [(Server::signal_stop as Second, 143), (Server::interrupt, 130)] {
        let mut server = stocked(Options::new().env("HOLDFAST__SERVER__DRAIN_NOTICE_SECONDS", "3600"));
        let acknowledged = Client::new(&server.url()).ask(&order("before")).unwrap();
        drain(&server);
        second(&server);
        let ended = server.wait_for_exit(Duration::from_secs(30));
        assert_eq!(ended.and_then(|status| status.code()), Some(code), "{}", server.log());
        server.restart();
        let again = Client::new(&server.url()).ask(&order("before")).unwrap();
        assert!(again.replayed && again.body == acknowledged.body, "{}", again.shown());
    }
}

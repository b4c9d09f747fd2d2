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

/// The head and half of the body are there when the signal comes; the rest follows.
#[test]
fn a_request_that_is_half_read_when_the_signal_comes_is_answered() {
    let mut server = stocked(Options::new());
    let request = order("half");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let (first, rest) = request.body.split_at(request.body.len() / 2);
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nIdempotency-Key: half\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        server.address(),
        request.body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It says itself that it has read the head.
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&go_on));
    stream.write_all(first.as_bytes()).unwrap();
    server.signal_stop();
    let closed = || TcpStream::connect(server.address()).is_err().then_some(());
    poll(Duration::from_secs(120), closed).unwrap();
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(server.wait_for_exit(STOP).is_some_and(|status| status.success()), "{}", server.log());
    server.restart();
    let again = Client::new(&server.url()).ask(&request).unwrap();
    assert!(again.status == 201 && again.replayed, "{}", again.shown());
}

//! Crowds: many buyers at once, each on a connection of its own. Not one unit is sold twice.

use crate::client::Api;
use crate::raw;
use crate::shop::{audited, counts, fresh, order, order_of, put, stock};
use holdfast_tests::server::{Options, Server, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, Semaphore};

/// What a buyer got: the status and the body.
type Got = (u16, Value);

/// How many buyers this machine lets us have, each with a connection. Says so if it is fewer than asked for.
fn buyers(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let allowed = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let room = allowed.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX)).saturating_sub(500);
    if room < wanted {
        eprintln!("WARNING: this machine allows {room} connections, the rule is about {wanted}: tested with fewer");
    }
    wanted.min(room)
}

/// Opens a connection a body, then sends all at once.
fn storm(server: &Server, bodies: Vec<Value>) -> Vec<Got> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (count, address) = (bodies.len(), server.address());
    let (gates, ready) = (Arc::new(Semaphore::new(256)), Arc::new(Barrier::new(count)));
    runtime.block_on(async {
        let buyer = |body: Value| {
            let (gates, ready, address) = (gates.clone(), ready.clone(), address.clone());
            tokio::spawn(async move {
                let gate = gates.acquire().await.unwrap();
                let mut socket = visitor(&address).await;
                drop(gate);
                let request = request(&body);
                ready.wait().await;
                tokio::time::timeout(Duration::from_secs(120), exchange(&mut socket, &request)).await.expect("an answer")
            })
        };
        let mut got = Vec::with_capacity(count);
        for buyer in bodies.into_iter().map(buyer).collect::<Vec<_>>() {
            got.push(buyer.await.unwrap());
        }
        got
    })
}

/// A connection that is in use: its owner has looked around and waits for the sale.
async fn visitor(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"}") {
        assert!(socket.read_buf(&mut seen).await.unwrap() > 0, "closed after {seen:?}");
    }
    socket
}

fn request(body: &Value) -> String {
    let body = body.to_string();
    let head = "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json";
    format!("{head}\r\nIdempotency-Key: {}\r\nContent-Length: {}\r\n\r\n{body}", fresh("crowd"), body.len())
}

async fn exchange(socket: &mut TcpStream, request: &str) -> Got {
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn tally(got: &[Got]) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    got.iter().for_each(|(status, _)| *tally.entry(*status).or_default() += 1);
    tally
}

#[test]
fn one_unit_and_ten_thousand_concurrent_buyers_give_exactly_one_order() {
    let crowd = buyers(10_000);
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "last-one", "berlin", 1);
    let started = Instant::now();
    let got = storm(&server, vec![order("last-one", 1); crowd]);
    eprintln!("{crowd} buyers: {:?} in {:.1?}", tally(&got), started.elapsed());
    assert_eq!(tally(&got), BTreeMap::from([(201, 1), (409, crowd - 1)]));
    assert!(got.iter().all(|(status, body)| *status == 201 || body["code"] == "out_of_stock"));
    counts(&stock(&api, "last-one"), &json!({"available": 0, "held": 1, "on_hand": 1}));
    let audit = audited(&api);
    assert_eq!(audit["checked"]["orders"], crowd);
    verified(server);
}

fn verified(mut server: Server) {
    assert!(server.terminate().success());
    let (ok, said) = server.verify();
    assert!(ok, "{said}");
}

#[test]
fn seven_units_over_three_locations_sell_seven_times() {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    for (location, units) in [("berlin", 3), ("lyon", 2), ("oslo", 2)] {
        put(&api, "seven", location, units);
    }
    let got = storm(&server, vec![order("seven", 1); 500]);
    assert_eq!(tally(&got), BTreeMap::from([(201, 7), (409, 493)]));
    let now = stock(&api, "seven");
    counts(&now, &json!({"available": 0, "held": 7, "on_hand": 7}));
    assert_eq!(allocated(&got), BTreeMap::from([("berlin".into(), 3), ("lyon".into(), 2), ("oslo".into(), 2)]));
    audited(&api);
    verified(server);
}

/// Units by location that all accepted orders say they have.
fn allocated(got: &[Got]) -> BTreeMap<String, u64> {
    let mut units = BTreeMap::new();
    let accepted = got.iter().filter(|(status, _)| *status == 201);
    for line in accepted.flat_map(|(_, body)| body["lines"].as_array().unwrap()) {
        for part in line["allocations"].as_array().unwrap() {
            *units.entry(part["location"].as_str().unwrap().to_owned()).or_default() += part["quantity"].as_u64().unwrap();
        }
    }
    units
}

/// Orders of two lines over five SKUs of seven units on three shelves: each order takes both lines or none.
#[test]
fn orders_of_two_lines_with_shared_skus_add_up_exactly() {
    let server = Server::start(Options::new().arg("--shards").arg("2"));
    let api = Api::of(&server);
    let sku = |index: usize| format!("shared-{}", index % 5);
    for index in 0..5 {
        for (location, units) in [("berlin", 3), ("lyon", 2), ("oslo", 2)] {
            put(&api, &sku(index), location, units);
        }
    }
    let body = |buyer: usize| order_of(&[(&sku(buyer), 1 + buyer as u64 % 2), (&sku(buyer + 1 + buyer % 4), 1)]);
    let got = storm(&server, (0..600).map(body).collect());
    let mut sold: BTreeMap<String, u64> = BTreeMap::new();
    for (_, order) in got.iter().filter(|(status, _)| *status == 201) {
        let lines = order["lines"].as_array().unwrap();
        assert!(lines.iter().all(|line| line["held"] == line["quantity"]), "{order}");
        lines.iter().for_each(|line| {
            *sold.entry(line["sku"].as_str().unwrap().to_owned()).or_default() += line["held"].as_u64().unwrap()
        });
    }
    assert!(got.iter().all(|(status, _)| [201, 409].contains(status)), "{:?}", tally(&got));
    assert!(sold.values().all(|units| *units <= 7), "{sold:?}");
    // A refusal is told before what the order did get is back, or would get by a message sent twice: on a cluster that takes
    // further appends.
    let differs = |index: usize| {
        let (units, now) = (sold.get(&sku(index)).copied().unwrap_or(0), stock(&api, &sku(index)));
        json!([now["held"], now["available"], now["on_hand"]]) != json!([units, 7 - units, 7])
    };
    let agreed = poll(raw::PATIENCE, || (!(0..5).any(differs)).then_some(()));
    assert!(agreed.is_some(), "sold {sold:?}, but {:?}", (0..5).map(|index| stock(&api, &sku(index))).collect::<Vec<_>>());
    assert!(sold.values().sum::<u64>() >= 20, "{sold:?}");
    audited(&api);
    verified(server);
}

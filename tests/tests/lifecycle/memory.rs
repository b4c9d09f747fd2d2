//! What the process takes of the machine's memory, and when.

use crate::stopping::{begin, rest};
use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::json;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MIB: u64 = 1 << 20;
/// The thread runs only when nobody else wants to, also on the machine of a test.
const PATIENCE: Duration = Duration::from_secs(120);

fn server(ahead_mb: u64) -> Server {
    Server::start(Options::default().env("HOLDFAST__ENGINE__MEMORY_AHEAD_MB", ahead_mb.to_string()))
}

/// Bytes ahead, or `None` while none were ever taken.
fn ahead(client: &Client) -> Option<u64> {
    let text = String::from_utf8(client.ask(&Request::get("/metrics")).unwrap().body).unwrap();
    let line = text.lines().find(|line| line.starts_with("holdfast_memory_ahead_bytes "))?;
    Some(line.rsplit_once(' ')?.1.parse::<f64>().unwrap() as u64)
}

/// Imports SKUs nobody stocked before, each of which stays in memory.
fn stock(server: &Server, round: usize) {
    let mut rows = String::new();
    for number in 0..20_000 {
        let row = json!({"sku": format!("ROUND-{round}-{number}"), "location": "main", "on_hand": 1});
        writeln!(rows, "{row}").unwrap();
    }
    let headers = "Content-Type: application/x-ndjson\r\nConnection: close\r\n";
    let said = rest(&mut begin(server, "POST /v1/inventory/imports", headers, rows.len(), &rows));
    assert!(said.contains("\"imported\":20000"), "{said}");
}

/// Stocks until there is an answer.
fn under_load<T>(server: &Server, ask: impl FnMut() -> Option<T>) -> Option<T> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..).take_while(|_| !over.load(Ordering::SeqCst)).for_each(|round| stock(server, round));
        });
        let answer = poll(PATIENCE, ask);
        over.store(true, Ordering::SeqCst);
        answer
    })
}

#[test]
fn memory_is_taken_ahead_under_load_only_up_to_its_bound_and_given_back_after_it() {
    let server = server(64);
    let client = Client::new(&server.url());
    let idle = server.resident();
    assert!(idle < 64 * MIB, "an idle server has {idle} bytes");
    let taken = under_load(&server, || ahead(&client).filter(|bytes| *bytes > 0));
    let taken = taken.expect("nothing is taken ahead under load");
    assert!((32 * MIB..=64 * MIB).contains(&taken), "{taken}");
    assert_eq!(poll(PATIENCE, || ahead(&client).filter(|bytes| *bytes == 0)), Some(0), "it is not given back");
}

#[test]
fn none_is_taken_ahead_where_none_may_be() {
    let server = server(0);
    let client = Client::new(&server.url());
    let mut looks = 0;
    // For as long as the other test at least needs to see some.
    under_load(&server, || {
        looks += 1;
        (looks > 200).then(|| assert_eq!(ahead(&client), None))
    });
}

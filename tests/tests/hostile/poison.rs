//! Rows of the tables that cannot be read. One damaged block used to take its shard down at each read: a loop of `GET` kept a whole
//! shop away. (What panics a shard is planted in process: `actors/tests/panics.rs`, `actors/tests/rebuilds.rs`.)

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::server::{Options, Server, on_cluster, poll};
use holdfast_tests::torture::client::{Answer, Client, Reached, Request};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SKU: &str = "UNIT";
/// Bytes of metadata, and orders with them: more than the tables keep in memory.
const METADATA: usize = 14_000;
const ORDERS: usize = 900;
/// The tables have been written to a file by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Damage this far apart hits every block.
const BLOCK: u64 = 1024;

fn order(key: &str, metadata: usize) -> Request {
    let padding: String = (0..metadata).map(|place| char::from(b'a' + (place * 7 % 26) as u8)).collect();
    let body = json!({"customer_id": "ada", "lines": [{"sku": SKU, "quantity": 1, "unit_price": 100}], "currency": "EUR", "metadata": {"padding": padding}});
    Request::keyed("/v1/orders", key, &body)
}

fn place(client: &Client, key: &str, metadata: usize) -> Answer {
    let answer = client.ask(&order(key, metadata)).unwrap();
    assert_eq!(answer.status, 201, "{key}: {}", answer.shown());
    answer
}

/// Orders that are over and have left memory, by key and path.
fn closed_orders(url: &str) -> Vec<(String, String)> {
    let close = |number: usize| {
        let (client, key) = (Client::new(url), format!("closed-{number}"));
        let path = format!("/v1/orders/{}", place(&client, &key, METADATA).text("id"));
        let answer = client.ask(&Request::press(format!("{path}:cancel"))).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.shown());
        (key, path)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..8).map(|first| scope.spawn(move || (first..ORDERS).step_by(8).map(close).collect::<Vec<_>>())).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Files of the tables that rows were written to, the write-ahead files left out.
fn table_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(table_files(&path));
        } else if path.extension().is_none_or(|end| end != "jnl") && entry.metadata().is_ok_and(|file| file.len() > 1 << 20) {
            files.push(path);
        }
    }
    files
}

/// Flips a bit in each block, in place, as a disk does.
fn damage(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    for at in (BLOCK / 2..file.metadata().unwrap().len()).step_by(BLOCK as usize) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
    }
}

fn metric(url: &str, name: &str) -> f64 {
    let answer = Client::new(url).ask(&Request::get("/metrics")).unwrap();
    let text = String::from_utf8(answer.body).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_default()
}

fn code(answer: &Answer) -> Option<String> {
    answer.json()["code"].as_str().map(str::to_owned)
}

#[test]
fn a_row_that_cannot_be_read_fails_the_one_request_that_needs_it() {
    if on_cluster() {
        return;
    }
    let server = Server::start(Options::new());
    let (url, client) = (server.url(), Client::new(&server.url()));
    let path = format!("/v1/inventory/{SKU}/locations/main");
    assert_eq!(client.ask(&Request::put(path, 0, &json!({"on_hand": 1_000_000}))).unwrap().status, 200);
    let closed = closed_orders(&url);
    let tables = server.data_dir().join("tables");
    let files = poll(PATIENCE, || Some(table_files(&tables)).filter(|files| !files.is_empty()));
    files.expect("the tables were never written to a file").iter().for_each(|path| damage(path));

    let mut unreadable = Vec::new();
    for (number, (key, path)) in closed.iter().enumerate() {
        // Not asked again: an outcome that is unknown, or a 503, would be one.
        let Reached::Answered(answer) = client.send(&Request::get(path.clone())) else { panic!("{path}: no answer") };
        match answer.status {
            200 => {}
            500 if code(&answer).as_deref() == Some("internal") => unreadable.push((key, path)),
            _ => panic!("{path}: {}", answer.shown()),
        }
        if number % 50 == 0 {
            place(&client, &format!("other-{number}"), 0);
        }
    }
    assert!(unreadable.len() > 10, "nothing was damaged: {} of {}", unreadable.len(), closed.len());
    let (key, path) = unreadable[0];
    for request in [Request::get(format!("{path}/timeline")), Request::press(format!("{path}:cancel")), order(key, METADATA)] {
        let answer = client.ask(&request).unwrap();
        assert_eq!((answer.status, code(&answer).as_deref()), (500, Some("internal")), "{request:?}: {}", answer.shown());
    }
    assert!(metric(&url, "holdfast_alarms_total") >= unreadable.len() as f64, "no alarm");
    assert!(metric(&url, "holdfast_shard_rebuilds_total") < 1.0, "a shard paid for it");
    let shown: Value = client.json(&Request::get(format!("/v1/inventory/{SKU}"))).unwrap();
    assert_eq!(shown["held"].as_u64(), Some(ORDERS.div_ceil(50) as u64), "a retry was taken for a new order: {shown}");
}

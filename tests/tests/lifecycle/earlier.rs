//! Data that an earlier build wrote: this one reads it, answers as that one did, and goes on with it.
//!
//! `tests/fixtures/make` made it: a process that was stopped in order, or a second one after it that was killed. What that build
//! answered lies beside the data.

use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory that is kept, with what `verify` counted in it when it was made.
struct Kept {
    archive: &'static str,
    /// Of the directory inside the archive.
    directory: &'static str,
    /// Events, orders, reservations, SKUs.
    counts: [u64; 4],
}

const KEPT: [Kept; 3] = [
    Kept { archive: "data-v1.tar.gz", directory: "data-v1", counts: [271, 34, 3, 5] },
    Kept { archive: "data-v1-stopped.tar.gz", directory: "data", counts: [192, 20, 2, 4] },
    Kept { archive: "data-v1-killed.tar.gz", directory: "data", counts: [399, 42, 5, 9] },
];

impl Kept {
    /// A copy, and the path of the data in it.
    fn unpacked(&self) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(self.archive);
        let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status().unwrap();
        assert!(unpacked.success(), "tar ended with {unpacked}");
        let data = dir.path().join(self.directory);
        (dir, data)
    }
}

fn on(data: &Path) -> Server {
    // The data grows older than a wall clock is believed.
    Server::prepare(Options::new().data_dir(data).arg("--accept-clock"))
}

fn answers(data: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(data.join("answers.json")).unwrap()).unwrap()
}

fn members<'a>(known: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    known[name].as_object().unwrap().iter()
}

/// A request as it was sent then. The first fixture says of each that it was a POST by saying nothing.
fn request_of(then: &Value) -> Request {
    let text = |name: &str| then[name].as_str().map(str::to_owned);
    let method = match then["method"].as_str() {
        None | Some("POST") => "POST",
        Some("PUT") => "PUT",
        Some("PATCH") => "PATCH",
        Some("DELETE") => "DELETE",
        Some(other) => panic!("nobody sent {other}"),
    };
    let body = if then["body"].is_null() { String::new() } else { then["body"].to_string() };
    Request { method, path: text("path").unwrap(), key: text("key"), if_match: text("match"), correlation: None, body }
}

/// Every request of then, sent again: it is answered with what it brought about then, byte for byte where the bytes were kept.
fn replays_are_answered(client: &Client, known: &Value) {
    for then in known["replays"].as_array().unwrap() {
        let answer = client.ask(&request_of(then)).unwrap();
        assert_eq!(u64::from(answer.status), then["status"], "{then}: {}", answer.shown());
        assert!(answer.replayed, "{then} was carried out again");
        assert_eq!(answer.json().get("id").unwrap_or(&Value::Null), &then["id"], "{then}");
        if let Some(bytes) = then["answer"].as_str() {
            assert_eq!(String::from_utf8_lossy(&answer.body), bytes, "{then}");
        }
    }
}

/// Where to read on is written otherwise today; what was given out then is still taken.
fn is_shown_as_then(client: &Client, path: &str, then: &Value) {
    let (mut now, mut then) = (client.json(&Request::get(path)).unwrap(), then.clone());
    let next = |shown: &mut Value| shown.as_object_mut().unwrap().remove("next");
    let (next_now, next_then) = (next(&mut now), next(&mut then));
    assert_eq!(now, then, "{path}");
    assert_eq!(next_now.is_some(), next_then.is_some(), "{path}");
    if let Some(after) = next_then {
        let after = after.as_str().map_or_else(|| after.to_string(), |text| text.replace('"', "%22"));
        let rest = client.json(&Request::get(format!("{path}?after={after}"))).unwrap();
        assert_eq!(rest["items"], json!([]), "{path} after {after}");
    }
}

fn becomes(client: &Client, path: &str, status: &str) {
    let mut last = Value::Null;
    let reached = poll(PATIENCE, || {
        last = client.json(&Request::get(path)).unwrap();
        (last["status"] == status).then_some(())
    });
    assert!(reached.is_some(), "never {status}: {last}");
}

fn an_order_is_placed_and_cancelled(client: &Client) {
    let line = json!({"sku": "MUG-first", "quantity": 2, "unit_price": 250});
    let body = json!({"customer_id": "ada", "currency": "EUR", "lines": [line]});
    let placed = client.ask(&Request::keyed("/v1/orders", "after-the-upgrade", &body)).unwrap();
    assert_eq!(placed.status, 201, "{}", placed.shown());
    let path = format!("/v1/orders/{}", placed.text("id"));
    assert_eq!(client.ask(&Request::press(format!("{path}:cancel"))).unwrap().status, 200);
    becomes(client, &path, "cancelled");
}

#[test]
fn data_of_an_earlier_build_is_served_as_that_build_served_it() {
    KEPT.iter().for_each(is_served_as_then);
}

fn is_served_as_then(kept: &Kept) {
    let (_dir, data) = kept.unpacked();
    let known = answers(&data);
    let mut server = on(&data);
    let (ok, told) = server.verify();
    let told: Value = serde_json::from_str(&told).unwrap();
    let counts = ["events", "orders", "reservations", "skus"].map(|name| told[name].as_u64().unwrap());
    assert_eq!((ok, counts), (true, kept.counts), "{}: {told}", kept.archive);

    server.restart();
    let client = Client::new(&server.url());
    for (path, then) in members(&known, "closed").chain(members(&known, "stock")) {
        is_shown_as_then(&client, path, then);
    }
    replays_are_answered(&client, &known);
    what_was_open_ends(&client, &known);
    an_order_is_placed_and_cancelled(&client);
    assert!(server.terminate().success());
    let (ok, told) = server.verify();
    assert!(ok, "{}: {told}", kept.archive);
}

/// Only a process that was killed left something open.
fn what_was_open_ends(client: &Client, known: &Value) {
    let open = known["open"].as_array().unwrap();
    for path in open {
        becomes(client, path.as_str().unwrap(), "expired");
    }
    if !open.is_empty() {
        let stock = client.json(&Request::get("/v1/inventory/OPEN")).unwrap();
        assert_eq!([&stock["available"], &stock["held"], &stock["pinned"]], [30, 0, 0], "{stock}");
    }
}

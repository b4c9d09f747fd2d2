//! Data that an earlier build wrote: this one reads it, answers as that one did, and goes on with it.
//!
//! `tests/fixtures/make` made it: a first process that was stopped in order, a second that was killed. What that build answered lies
//! beside the data.

use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A copy of the data of the first format that is kept.
fn unpacked() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/data-v1.tar.gz");
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(dir.path()).status().unwrap();
    assert!(unpacked.success(), "tar ended with {unpacked}");
    dir
}

fn on(dir: &TempDir) -> Server {
    // The data grows older than a wall clock is believed.
    Server::prepare(Options::new().data_dir(dir.path().join("data-v1")).arg("--accept-clock"))
}

fn answers(dir: &TempDir) -> Value {
    serde_json::from_slice(&std::fs::read(dir.path().join("data-v1/answers.json")).unwrap()).unwrap()
}

fn members<'a>(known: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    known[name].as_object().unwrap().iter()
}

/// Every request of then, sent again: it is answered with what it brought about then.
fn replays_are_answered(client: &Client, known: &Value) {
    for then in known["replays"].as_array().unwrap() {
        let text = |name: &str| then[name].as_str().unwrap().to_owned();
        let answer = client.ask(&Request::keyed(text("path"), text("key"), &then["body"])).unwrap();
        assert_eq!(u64::from(answer.status), then["status"], "{then}: {}", answer.shown());
        assert!(answer.replayed, "{then} was carried out again");
        assert_eq!(answer.json()["id"], then["id"], "{then}");
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
    let dir = unpacked();
    let known = answers(&dir);
    let mut server = on(&dir);
    let (ok, told) = server.verify();
    let told: Value = serde_json::from_str(&told).unwrap();
    let counts = ["events", "orders", "reservations", "skus"].map(|name| told[name].as_u64().unwrap());
    assert_eq!((ok, counts), (true, [271, 34, 3, 5]), "{told}");

    server.restart();
    let client = Client::new(&server.url());
    for (path, then) in members(&known, "closed").chain(members(&known, "stock")) {
        is_shown_as_then(&client, path, then);
    }
    replays_are_answered(&client, &known);
    for path in known["open"].as_array().unwrap() {
        becomes(&client, path.as_str().unwrap(), "expired");
    }
    let stock = client.json(&Request::get("/v1/inventory/OPEN")).unwrap();
    assert_eq!([&stock["available"], &stock["held"], &stock["pinned"]], [30, 0, 0], "{stock}");
    an_order_is_placed_and_cancelled(&client);
    assert!(server.terminate().success());
    let (ok, told) = server.verify();
    assert!(ok, "{told}");
}

//! What the adviser says of a server that is really in need: the buyers here bring the need about, and no frame is made up.
//!
//! Invariant: a sentence is waited for and not timed: a slow machine says it later. What a slow disk makes it say is in the suite `disk`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Only a failure takes it: the adviser looks at a minute.
const PATIENCE: Duration = Duration::from_secs(150);
const SKU: &str = "HOT";

/// A server with one shard, before other programs of this machine where that is allowed: who waits for a processor waits for no credit.
fn one_shard(options: Options) -> Server {
    let server = Server::start(options.arg("--shards").arg("1").wrapper(["nice", "-n", "-15"]));
    let client = Client::new(&server.url());
    client.json(&Request::put(format!("/v1/inventory/{SKU}/locations/main"), 0, &json!({"on_hand": 100_000_000}))).unwrap();
    server
}

fn order(buyer: usize, number: usize) -> Request {
    let body = json!({"customer_id": format!("customer-{buyer}"), "currency": "EUR", "lines": [{"sku": SKU, "quantity": 1, "unit_price": 1}]});
    Request::keyed("/v1/orders", format!("{buyer}-{number}"), &body)
}

/// Has so many clients do this over and over, until the adviser says something with this code.
fn until_said(server: &Server, code: &str, clients: usize, work: impl Fn(&Client, usize, usize) + Sync) -> Value {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..clients {
            let (over, work) = (&over, &work);
            scope.spawn(move || {
                let client = Client::new(&server.url());
                (0..).take_while(|_| !over.load(Ordering::Relaxed)).for_each(|round| work(&client, number, round));
            });
        }
        let client = Client::new(&server.url());
        let mut last = Value::Null;
        let said = poll(PATIENCE, || {
            last = client.json(&Request::get("/admin/v1/frame")).ok()?;
            last["advice"].as_array()?.iter().find(|advice| advice["code"] == code).cloned()
        });
        over.store(true, Ordering::Relaxed);
        said.unwrap_or_else(|| panic!("never {code}: {last}"))
    })
}

#[test]
fn credits_that_run_out_before_the_shard_does_are_too_few() {
    let options = Options::new().env("HOLDFAST__ENGINE__CREDITS", "4").env("HOLDFAST__SERVER__KEY_SHARE_PERCENT", "100");
    let server = one_shard(options);
    let said = until_said(&server, "few_credits", 8, |client, number, round| drop(client.send(&order(number, round))));
    assert_eq!(said["sentence"], "credits run out before the shard does: 4 → 8", "{said}");
    assert_eq!(said["action"], json!({"do": "tune", "key": "engine.credits", "value": 8}), "{said}");
}

/// One client has half of the credits, which is its share, and is refused: more credits are not what it needs.
#[test]
fn a_share_that_runs_out_is_not_taken_for_credits_that_do() {
    let server = one_shard(Options::new().env("HOLDFAST__ENGINE__CREDITS", "4"));
    let said = until_said(&server, "small_share", 8, |client, number, round| drop(client.send(&order(number, round))));
    assert!(said["sentence"].as_str().unwrap().ends_with("raise server.key_share_percent"), "{said}");
}

//! What the process takes of the machine's memory before it takes orders.

use holdfast_tests::server::{Options, Server};
use holdfast_tests::torture::client::{Client, Request};
use serde_json::json;

/// Memory of a server that was told to take so much ahead, once it has done something.
fn resident_with(ahead_mb: u64) -> u64 {
    let server = Server::start(Options::default().env("HOLDFAST__ENGINE__MEMORY_AHEAD_MB", ahead_mb.to_string()));
    let client = Client::new(&server.url());
    for count in 0..500 {
        client.json(&Request::put("/v1/inventory/AHEAD/locations/main".to_owned(), count, &json!({"on_hand": 1}))).unwrap();
    }
    server.resident()
}

#[test]
fn memory_taken_ahead_is_there_when_orders_come() {
    let (without, with) = (resident_with(0), resident_with(128));
    assert!((120 << 20..160 << 20).contains(&(with - without)), "{with} against {without}");
}

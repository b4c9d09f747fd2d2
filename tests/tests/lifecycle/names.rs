//! Data with names that no request may bring any more: it opens, is served, is changed by its names, and retries of then are answered.

use holdfast_engine::codec::Batch;
use holdfast_engine::event::{Event, Kind, Line, OrderFact, PaymentRequest, Placed, Record, StockFact};
use holdfast_engine::ids::{CustomerId, Fingerprint, KeyHash, Location, OrderId, PartitionId, Partitions, RequestId, Sku};
use holdfast_engine::quantity::{Currency, Money, Quantity};
use holdfast_engine::time::Timestamp;
use holdfast_storage::embedded::EmbeddedJournal;
use holdfast_storage::{Log, LogId};
use holdfast_tests::server::{Options, Server, poll};
use holdfast_tests::torture::client::{Answer, Client, Request};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const SKU: &str = "mug\u{200B}blue";
const PLACE: &str = "\u{FEFF}berlin";
const CUSTOMER: &str = "ada\u{200D}";
const KEY: &str = "from-before";

fn now() -> Timestamp {
    Timestamp::new(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap())
}

fn sku() -> Sku {
    Sku::new(SKU).unwrap()
}

fn stocked() -> Event {
    let fact = StockFact::Set {
        location: Location::new(PLACE).unwrap(),
        on_hand: Quantity::new(5),
        safety_stock: Quantity::ZERO,
        priority: 0,
        delta: 5,
        version: 1,
    };
    Event::Stock { sku: sku(), fact }
}

/// The body of the order, as it was sent then.
fn body() -> Value {
    json!({"customer_id": CUSTOMER, "currency": "EUR", "ttl_seconds": 3600,
        "lines": [{"sku": SKU, "quantity": 2, "unit_price": 250}]})
}

fn placed(at: Timestamp) -> Placed {
    let (customer, currency) = (CustomerId::new(CUSTOMER), Currency::new("EUR"));
    let lines = vec![Line { sku: sku(), quantity: Quantity::new(2), unit_price: Money::new(250), seller: None, metadata: None }];
    let none: Option<Box<str>> = None;
    let (total, payment): (Option<i64>, Option<PaymentRequest>) = (None, None);
    let fingerprint = Fingerprint::of(&(&customer, &currency, &lines, total, 3_600_000_u64, false, &none, &none, &payment));
    Placed {
        kind: Kind::Order,
        number: 1,
        fingerprint,
        request_id: RequestId::new("req").unwrap(),
        customer,
        currency,
        lines,
        allow_partial: false,
        expires_at: at.plus(3_600_000),
        shipping_address: None,
        metadata: None,
        payment,
        origin: None,
    }
}

fn journal_of(dir: &Path) {
    let journal = EmbeddedJournal::open(dir, Partitions::new(64).unwrap()).unwrap();
    let (partitions, at) = (journal.partitions(), now());
    let order = OrderId::derive(KeyHash::derive("", "orders", KEY), partitions);
    let mut batch = Batch::default();
    let mut next = std::collections::BTreeMap::<PartitionId, u64>::new();
    let mut push = |partition: PartitionId, event: Event| {
        let seq = next.entry(partition).or_default();
        *seq += 1;
        batch.push(partition, &Record { seq: *seq, at, event });
    };
    push(partitions.of_sku(&sku()), stocked());
    push(order.partition(), Event::Order { order, fact: Arc::new(OrderFact::Placed(Box::new(placed(at)))), correlation: None });
    journal.append(LogId(0), &batch).unwrap();
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[track_caller]
fn ask(client: &Client, request: &Request, status: u16) -> Answer {
    let answer = client.ask(request).unwrap();
    assert_eq!(answer.status, status, "{} {}: {}", request.method, request.path, answer.shown());
    answer
}

fn any(request: Request) -> Request {
    Request { if_match: Some("*".to_owned()), ..request }
}

#[test]
fn data_with_names_that_are_refused_today_is_served_and_changed_by_them() {
    let dir = tempfile::tempdir().unwrap();
    journal_of(dir.path());
    let options = Options::new().data_dir(dir.path()).env("HOLDFAST__JOURNAL__BACKEND", "embedded");
    let mut server = Server::prepare(options);
    let (ok, told) = server.verify();
    assert!(ok, "{told}");
    server.restart();
    let client = Client::new(&server.url());
    let stock = format!("/v1/inventory/{}", encoded(SKU));
    let held = poll(PATIENCE, || Some(ask(&client, &Request::get(&stock), 200).json()).filter(|stock| stock["held"] == 2));
    assert_eq!(held.unwrap()["locations"][0]["location"], PLACE, "the order of then has its units");

    let again = ask(&client, &Request::keyed("/v1/orders", KEY, &body()), 201);
    assert!(again.replayed, "a retry is the same order: {}", again.shown());
    let listed = ask(&client, &Request::get(format!("/v1/orders?customer_id={}", encoded(CUSTOMER))), 200).json();
    let listed = if listed["items"] == json!([]) { Value::Null } else { listed["items"][0]["customer_id"].clone() };
    assert_eq!(listed, CUSTOMER);
    let found = ask(&client, &Request::get(format!("/v1/inventory?prefix={}", encoded(SKU))), 200).json();
    assert_eq!(found["items"][0]["sku"], SKU);

    let adjustment = json!({"location": PLACE, "delta": 3, "reason": "count"});
    let adjusted = ask(&client, &Request::keyed(format!("{stock}/adjustments"), "adjust", &adjustment), 201);
    assert_eq!(adjusted.json()["on_hand"], 8);
    let path = format!("{stock}/locations/{}", encoded(PLACE));
    ask(&client, &any(Request::put(&path, 0, &json!({"on_hand": 9}))), 200);
    let threshold = Request { method: "PATCH", ..Request::post(&stock, &json!({"low_stock_threshold": 1})) };
    ask(&client, &threshold, 200);
    let mine = json!({"customer_id": "bob", "currency": "EUR", "lines": [{"sku": SKU, "quantity": 1, "unit_price": 1}]});
    ask(&client, &Request::keyed("/v1/orders", "new", &mine), 201);

    let theirs = json!({"customer_id": CUSTOMER, "currency": "EUR", "lines": [{"sku": SKU, "quantity": 1, "unit_price": 1}]});
    ask(&client, &Request::keyed("/v1/orders", "newer", &theirs), 400);
    let other = format!("{stock}/locations/{}", encoded("ber\u{200B}lin"));
    ask(&client, &any(Request::put(other, 0, &json!({"on_hand": 1}))), 400);
    assert!(server.terminate().success());
    let (ok, told) = server.verify();
    assert!(ok, "{told}");
}

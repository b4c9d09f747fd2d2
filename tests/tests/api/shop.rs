//! The words tests speak in: fresh SKUs, stock on shelves, orders for it.

use crate::client::{Answer, Api};
use holdfast_tests::server::poll;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a test waits for something that must happen. Long: only a failure takes it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A name nobody used before.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A fresh SKU with so many units in one place.
pub(crate) fn stocked(api: &Api, units: u64) -> String {
    let sku = fresh("sku");
    put(api, &sku, "berlin", units);
    sku
}

pub(crate) fn put(api: &Api, sku: &str, location: &str, units: u64) -> Value {
    let path = format!("/v1/inventory/{sku}/locations/{location}");
    api.json("PUT", &path, &[("if-match", "*")], &json!({"on_hand": units})).ok(200)
}

pub(crate) fn stock(api: &Api, sku: &str) -> Value {
    api.get(&format!("/v1/inventory/{sku}")).ok(200)
}

/// The body of an order of one line.
pub(crate) fn order(sku: &str, quantity: u64) -> Value {
    order_of(&[(sku, quantity)])
}

pub(crate) fn order_of(lines: &[(&str, u64)]) -> Value {
    let lines: Vec<Value> = lines.iter().map(|(sku, units)| json!({"sku": sku, "quantity": units, "unit_price": 250})).collect();
    json!({"customer_id": "ada", "currency": "EUR", "lines": lines})
}

/// As `body`, with these members.
pub(crate) fn with(mut body: Value, members: Value) -> Value {
    let (Value::Object(body_members), Value::Object(members)) = (&mut body, members) else { panic!("two objects") };
    body_members.extend(members);
    body
}

/// An order that starts its payment.
pub(crate) fn paying(sku: &str, quantity: u64) -> Value {
    with(order(sku, quantity), json!({"payment": {"provider": "sandbox"}}))
}

pub(crate) fn reservation(sku: &str, quantity: u64) -> Value {
    json!({"lines": [{"sku": sku, "quantity": quantity}]})
}

/// The lines of an order of 500 SKUs, the first of which has its units at one location more than such an order may take from.
pub(crate) fn scattered(api: &Api) -> Vec<Value> {
    let skus: Vec<String> = (0..500).map(|_| fresh("sku")).collect();
    let row = |sku: &str, location: &str| format!("{}\n", json!({"sku": sku, "location": location, "on_hand": 1}));
    let shelves = (1..9).map(|shelf| row(&skus[0], &format!("shelf-{shelf}")));
    let rows: String = skus.iter().map(|sku| row(sku, "berlin")).chain(shelves).collect();
    let imported = api.upload("/v1/inventory/imports", "application/x-ndjson", rows.as_bytes());
    assert!(imported.text().contains("\"imported\":508"), "{}", imported.text());
    let line = |(index, sku)| json!({"sku": sku, "quantity": if index == 0 { 9 } else { 1 }});
    skus.iter().enumerate().map(line).collect()
}

/// The same as an order.
pub(crate) fn scattered_order(api: &Api) -> Value {
    let lines = scattered(api).into_iter().map(|line| with(line, json!({"unit_price": 1})));
    json!({"customer_id": "ada", "currency": "EUR", "lines": lines.collect::<Value>()})
}

/// Posts under a fresh key.
pub(crate) fn post(api: &Api, path: &str, body: &Value) -> Answer {
    api.keyed(path, &fresh("key"), body)
}

pub(crate) fn place(api: &Api, body: &Value) -> Value {
    post(api, "/v1/orders", body).ok(201)
}

pub(crate) fn hold(api: &Api, sku: &str, quantity: u64) -> Value {
    post(api, "/v1/reservations", &reservation(sku, quantity)).ok(201)
}

pub(crate) fn id(body: &Value) -> &str {
    body["id"].as_str().unwrap()
}

pub(crate) fn order_now(api: &Api, order: &Value) -> Value {
    api.get(&format!("/v1/orders/{}", id(order))).ok(200)
}

/// The order once it has this status.
#[track_caller]
pub(crate) fn order_becomes(api: &Api, order: &Value, status: &str) -> Value {
    becomes(api, &format!("/v1/orders/{}", id(order)), status)
}

#[track_caller]
pub(crate) fn becomes(api: &Api, path: &str, status: &str) -> Value {
    let mut last = Value::Null;
    let reached = poll(PATIENCE, || {
        last = api.get(path).ok(200);
        (last["status"] == status).then(|| last.clone())
    });
    reached.unwrap_or_else(|| panic!("never {status}: {last}"))
}

/// The counters that must be what a test says; others are left out.
#[track_caller]
pub(crate) fn counts(stock: &Value, expected: &Value) {
    for (name, units) in expected.as_object().unwrap() {
        assert_eq!(&stock[name], units, "{name} of {stock}");
    }
    let sum =
        |bucket: &str| stock["locations"].as_array().unwrap().iter().map(|place| place[bucket].as_u64().unwrap()).sum::<u64>();
    for bucket in ["available", "on_hand", "held", "pinned", "committed", "damaged", "quality_control", "safety_stock"] {
        assert_eq!(stock[bucket], sum(bucket), "{bucket} is not the sum of the locations: {stock}");
    }
}

/// The audit of the whole server finds nothing.
#[track_caller]
pub(crate) fn audited(api: &Api) -> Value {
    let audit = api.act("/admin/v1/audit").ok(200);
    assert_eq!(audit["ok"], true, "{audit}");
    assert_eq!(audit["violations"], json!([]));
    audit
}

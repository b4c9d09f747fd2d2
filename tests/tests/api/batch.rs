//! Batches of reservations: each by itself, answered in order.

use crate::client::Api;
use crate::shop::{counts, fresh, stock, stocked};
use serde_json::{Value, json};

fn item(key: &str, sku: &str, quantity: u64) -> Value {
    json!({"key": key, "lines": [{"sku": sku, "quantity": quantity}], "ttl_seconds": 600})
}

fn statuses(results: &Value) -> Vec<u64> {
    results["results"].as_array().unwrap().iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[test]
fn a_full_batch_of_4096_is_answered_in_order_with_mixed_results() {
    let api = Api::shared();
    let (sku, unknown, run) = (stocked(&api, 1000), fresh("sku"), fresh("batch"));
    let make = |index: usize| match index % 4 {
        0 => item(&format!("{run}-{index}"), &unknown, 1),
        1 => item(&format!("{run}-{index}"), &sku, 0),
        _ => item(&format!("{run}-{index}"), &sku, 1),
    };
    let items: Vec<Value> = (0..4096).map(make).collect();
    let results = api.post("/v1/reservations:batch", &json!({"items": items})).ok(200);
    let got = statuses(&results);
    assert_eq!(got.len(), 4096);
    let taken = got.iter().filter(|status| **status == 201).count();
    let refused = got.iter().filter(|status| **status == 409).count();
    assert_eq!((taken, refused), (1000, 1048));
    for (index, status) in got.iter().enumerate() {
        let fits = match index % 4 {
            0 => *status == 422,
            1 => *status == 400,
            _ => *status == 201 || *status == 409,
        };
        assert!(fits, "item {index}: {}", results["results"][index]);
    }
    counts(&stock(&api, &sku), &json!({"held": 1000, "available": 0}));
}

#[test]
fn an_item_answers_its_reservation_or_its_problem() {
    let api = Api::shared();
    let sku = stocked(&api, 1);
    let (first, second) = (fresh("key"), fresh("key"));
    let body = json!({"items": [item(&first, &sku, 1), item(&second, &sku, 1)]});
    let results = api.post("/v1/reservations:batch", &body).ok(200);
    // Which of the two gets the unit is not promised: their partitions may journal them in either order.
    let items = results["results"].as_array().unwrap();
    let with = |status: u64| items.iter().find(|item| item["status"] == status).unwrap_or_else(|| panic!("{results}"));
    let (held, refused) = (with(201), with(409));
    assert_eq!([&held["status"], &held["state"]], [&json!(201), &json!("held")]);
    let alone = api.get(&format!("/v1/reservations/{}", held["id"].as_str().unwrap())).ok(200);
    assert_eq!(*held, json!({"status": 201, "state": "held", "id": alone["id"], "reservation": alone}), "the whole reservation");
    assert_eq!([&refused["status"], &refused["code"]], [&json!(409), &json!("out_of_stock")]);
    assert_eq!(refused["lines"][0]["requested"], 1);
}

#[test]
fn an_item_sent_again_is_answered_alike_and_held_once() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let key = fresh("key");
    let body = json!({"items": [item(&key, &sku, 2), item(&key, &sku, 2), item(&key, &sku, 1)]});
    let first = api.post("/v1/reservations:batch", &body).ok(200);
    assert_eq!(statuses(&first), [201, 201, 422]);
    assert_eq!(first["results"][0], first["results"][1]);
    assert_eq!(first["results"][2]["code"], "idempotency_key_reused");
    let again = api.post("/v1/reservations:batch", &body).ok(200);
    assert_eq!(again["results"][0], first["results"][0]);
    counts(&stock(&api, &sku), &json!({"held": 2}));
}

#[test]
fn the_key_of_an_item_is_the_key_of_a_single_reservation() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let key = fresh("key");
    let single =
        api.keyed("/v1/reservations", &key, &json!({"lines": [{"sku": sku, "quantity": 2}], "ttl_seconds": 600})).ok(201);
    let batch = api.post("/v1/reservations:batch", &json!({"items": [item(&key, &sku, 2)]})).ok(200);
    assert_eq!(batch["results"][0]["id"], single["id"]);
    counts(&stock(&api, &sku), &json!({"held": 2}));
}

#[test]
fn a_batch_is_1_to_4096_items() {
    let api = Api::shared();
    api.post("/v1/reservations:batch", &json!({"items": []})).invalid("/items");
    let items: Vec<Value> = (0..4097).map(|index| item(&format!("k{index}"), "x", 1)).collect();
    api.post("/v1/reservations:batch", &json!({"items": items})).invalid("/items");
}

#[test]
fn an_item_without_a_usable_key_fails_alone() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let body = json!({"items": [item("", &sku, 1), item("has space", &sku, 1), item(&fresh("key"), &sku, 1)]});
    assert_eq!(statuses(&api.post("/v1/reservations:batch", &body).ok(200)), [400, 400, 201]);
    api.post("/v1/reservations:batch", &json!({"items": [{"lines": []}]})).problem(400, "invalid_request");
}

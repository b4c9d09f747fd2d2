//! The timeline of an order: every fact, in order.

use crate::client::Api;
use crate::shop::{id, order, place, stocked};
use serde_json::Value;

#[test]
fn a_timeline_tells_every_fact_from_placing_on() {
    let api = Api::shared();
    let placed = place(&api, &order(&stocked(&api, 1), 1));
    api.act(&format!("/v1/orders/{}:confirm", id(&placed))).ok(200);
    let timeline = api.get(&format!("/v1/orders/{}/timeline", id(&placed))).ok(200);
    let items = timeline["items"].as_array().unwrap();
    let kinds: Vec<&str> = items.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["holdfast.order.placed", "holdfast.order.held", "holdfast.order.confirmed"]);
    let seqs: Vec<u64> = items.iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
    assert!(items.iter().all(|item| item["at"].as_str().is_some_and(|at| at.ends_with('Z')) && item["order_id"] == placed["id"]));
    let now: Value = api.get(&format!("/v1/orders/{}", id(&placed))).ok(200);
    assert_eq!(now["version"], items.len());
}

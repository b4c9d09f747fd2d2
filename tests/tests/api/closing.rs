//! Closing a location: what was put in by mistake goes, what counts anything stays.

use crate::client::{Answer, Api};
use crate::shop::{audited, counts, hold, id, order, place, put, stock, stocked};
use holdfast_tests::server::{Options, Server};
use serde_json::json;

fn close(api: &Api, sku: &str, location: &str, condition: &str) -> Answer {
    api.send("DELETE", &format!("/v1/inventory/{sku}/locations/{location}"), &[("if-match", condition)], None)
}

fn version(api: &Api, sku: &str) -> u64 {
    stock(api, sku)["version"].as_u64().unwrap()
}

#[test]
fn a_mistyped_location_is_closed_under_the_version_it_was_read_at() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    put(&api, &sku, "berlni", 0);
    close(&api, &sku, "berlni", "\"1\"").problem(412, "precondition_failed");
    close(&api, &sku, "berlni", "\"0\"").problem(412, "precondition_failed");
    let closed = close(&api, &sku, "berlni", "\"2\"");
    assert_eq!((closed.status, closed.bytes.len(), closed.header("etag")), (204, 0, Some("\"3\"")), "{}", closed.text());
    let body = stock(&api, &sku);
    counts(&body, &json!({"available": 5, "version": 3}));
    assert_eq!(body["locations"].as_array().unwrap().len(), 1, "{body}");
    close(&api, &sku, "berlni", "*").problem(404, "not_found");
    close(&api, "nobody-stocked-it", "berlin", "*").problem(404, "not_found");
}

#[test]
fn closing_needs_a_condition() {
    let api = Api::shared();
    let sku = stocked(&api, 0);
    let path = format!("/v1/inventory/{sku}/locations/berlin");
    api.delete(&path).problem(428, "precondition_required");
    api.send("DELETE", &path, &[("if-match", "x")], None).problem(400, "invalid_request");
    api.send("DELETE", &format!("/v1/inventory/{sku}/locations/a%20b"), &[("if-match", "*")], None)
        .problem(400, "invalid_request");
}

#[test]
fn a_location_that_counts_units_stays_and_says_which() {
    let api = Api::shared();
    let sku = stocked(&api, 3);
    let refused = close(&api, &sku, "berlin", "*").problem(409, "location_in_use");
    assert_eq!(refused["counts"], json!({"on_hand": 3}));
    let held = hold(&api, &sku, 1);
    let sold = place(&api, &order(&sku, 1));
    api.act(&format!("/v1/orders/{}:confirm", id(&sold))).ok(200);
    put(&api, &sku, "berlin", 2);
    let refused = close(&api, &sku, "berlin", "*").problem(409, "location_in_use");
    assert_eq!(refused["counts"], json!({"on_hand": 2, "held": 1, "committed": 1}));
    assert_eq!(refused["detail"], "the location counts 2 on_hand, 1 held, 1 committed");
    api.delete(&format!("/v1/reservations/{}", id(&held)));
    close(&api, &sku, "berlin", "*").problem(409, "location_in_use");
}

#[test]
fn a_safety_stock_keeps_no_location_and_goes_with_it() {
    let api = Api::shared();
    let sku = stocked(&api, 3);
    let path = format!("/v1/inventory/{sku}/locations/lyon");
    api.json("PUT", &path, &[("if-match", "*")], &json!({"on_hand": 0, "safety_stock": 4, "priority": 9})).ok(200);
    assert_eq!(close(&api, &sku, "lyon", "*").status, 204);
    let again = api.json("PUT", &path, &[("if-match", "\"0\"")], &json!({"on_hand": 6})).ok(200);
    let lyon = again["locations"].as_array().unwrap().iter().find(|place| place["location"] == "lyon").unwrap();
    assert_eq!([&lyon["safety_stock_target"], &lyon["priority"], &lyon["available"]], [0, 0, 6]);
    assert_eq!(again["version"], 4);
}

#[test]
fn a_write_from_before_a_location_was_closed_finds_another_version() {
    let api = Api::shared();
    let sku = stocked(&api, 3);
    put(&api, &sku, "lyon", 0);
    let seen = version(&api, &sku);
    assert_eq!(close(&api, &sku, "lyon", "*").status, 204);
    let path = format!("/v1/inventory/{sku}/locations/lyon");
    let late = api.json("PUT", &path, &[("if-match", &format!("\"{seen}\""))], &json!({"on_hand": 1}));
    late.problem(412, "precondition_failed");
}

#[test]
fn a_closing_is_a_movement_and_an_event_and_survives_a_crash() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "MUG", "berlin", 5);
    put(&api, "MUG", "berlni", 0);
    assert_eq!(close(&api, "MUG", "berlni", "*").status, 204);
    let moved = api.get("/v1/inventory/MUG/movements").ok(200);
    let last = moved["items"].as_array().unwrap().last().unwrap();
    assert_eq!([&last["seq"], &last["kind"], &last["location"]], [&json!(3), &json!("location_closed"), &json!("berlni")]);
    let events = api.get("/v1/events").ok(200);
    let told = events["events"].as_array().unwrap().iter().find(|event| event["type"] == "holdfast.stock.location_closed");
    assert_eq!(told.unwrap()["data"], json!({"location": "berlni", "version": 3, "sku": "MUG"}));
    let before = stock(&api, "MUG");
    server.kill();
    server.restart();
    assert_eq!(stock(&api, "MUG"), before);
    audited(&api);
    assert!(server.terminate().success());
    assert!(server.verify().0);
}

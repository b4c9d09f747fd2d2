//! Reservations: the stock side alone.

use crate::client::{Answer, Api};
use crate::orders::seconds;
use crate::shop::{becomes, counts, fresh, hold, id, post, reservation, scattered, scattered_order, stock, stocked, with};
use holdfast_tests::server::{Options, Server};
use serde_json::json;

fn path(held: &serde_json::Value) -> String {
    format!("/v1/reservations/{}", id(held))
}

#[test]
fn a_reservation_holds_units_and_says_until_when() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let answer = post(&api, "/v1/reservations", &with(reservation(&sku, 2), json!({"owner": "cart-9", "ttl_seconds": 60})));
    let body = answer.ok(201);
    assert!(id(&body).starts_with("res_"));
    assert_eq!(answer.header("location"), Some(path(&body).as_str()));
    assert!(answer.header("etag").is_some());
    assert_eq!([&body["status"], &body["owner"]], ["held", "cart-9"]);
    assert_eq!(body["lines"][0]["held"], 2);
    assert_eq!(seconds(&body["expires_at"]) - seconds(&body["created_at"]), 60);
    assert_eq!(api.get(&path(&body)).ok(200), body);
    counts(&stock(&api, &sku), &json!({"held": 2, "available": 3}));
}

#[test]
fn committing_twice_sells_once() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let held = hold(&api, &sku, 2);
    for _ in 0..2 {
        assert_eq!(api.act(&format!("{}:commit", path(&held))).ok(200)["status"], "committed");
    }
    counts(&stock(&api, &sku), &json!({"committed": 2, "held": 0, "available": 3}));
}

#[test]
fn deleting_twice_gives_back_once_and_is_204_both_times() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let held = hold(&api, &sku, 2);
    for _ in 0..2 {
        let answer = api.delete(&path(&held));
        assert_eq!((answer.status, answer.bytes.len()), (204, 0));
    }
    assert_eq!(api.get(&path(&held)).ok(200)["status"], "released");
    counts(&stock(&api, &sku), &json!({"held": 0, "available": 5}));
}

#[test]
fn what_is_sold_cannot_be_deleted_and_what_is_deleted_cannot_be_sold() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let (sold, gone) = (hold(&api, &sku, 1), hold(&api, &sku, 1));
    api.act(&format!("{}:commit", path(&sold))).ok(200);
    assert_eq!(api.delete(&path(&sold)).problem(409, "invalid_transition")["state"], "committed");
    api.delete(&path(&gone));
    assert_eq!(api.act(&format!("{}:commit", path(&gone))).problem(409, "invalid_transition")["state"], "released");
    api.act(&format!("{}:extend", path(&gone))).problem(409, "invalid_transition");
    counts(&stock(&api, &sku), &json!({"committed": 1, "held": 0, "available": 4}));
}

#[test]
fn extending_counts_from_now_and_never_shortens() {
    let api = Api::shared();
    let held = hold(&api, &stocked(&api, 1), 1);
    let longer = api.post(&format!("{}:extend", path(&held)), &json!({"ttl_seconds": 3600})).ok(200);
    let gained = seconds(&longer["expires_at"]) - seconds(&longer["updated_at"]);
    assert_eq!(gained, 3600);
    let same = api.post(&format!("{}:extend", path(&held)), &json!({"ttl_seconds": 1})).ok(200);
    assert_eq!(same["expires_at"], longer["expires_at"]);
    let default = api.act(&format!("{}:extend", path(&held))).ok(200);
    assert_eq!(default["expires_at"], longer["expires_at"]);
}

/// Defect: a client that extended its holds again and again kept the units from everybody for ever.
#[test]
fn a_hold_is_extended_as_often_and_as_far_as_the_server_says_and_a_restart_forgets_nothing() {
    let options = Options::new().env("HOLDFAST__HOLDS__MAX_EXTENSIONS", "2").env("HOLDFAST__HOLDS__MAX_LIFE_SECONDS", "4000");
    let mut server = Server::start(options);
    let api = Api::of(&server);
    let limits = api.get("/v1/limits").ok(200);
    assert_eq!([&limits["hold_extensions"], &limits["hold_life_seconds"]], [2, 4000]);
    let held = hold(&api, &stocked(&api, 1), 1);
    let extend = |api: &Api, seconds: u64| api.post(&format!("{}:extend", path(&held)), &json!({"ttl_seconds": seconds}));
    let reached = |answer: &Answer, limit: &str, value: &str| {
        let problem = answer.problem(409, "limit_reached");
        assert_eq!(problem["limit"], limit);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(limit) && detail.contains(value), "{detail}");
    };
    extend(&api, 3600).ok(200);
    reached(&extend(&api, 4001), "hold_life_seconds", "4,000");
    extend(&api, 3601).ok(200);
    reached(&extend(&api, 3602), "hold_extensions", "2");
    server.kill();
    server.restart();
    let api = Api::of(&server);
    reached(&extend(&api, 3602), "hold_extensions", "2");
    assert_eq!(api.get(&path(&held)).ok(200)["status"], "held");
    api.act(&format!("{}:commit", path(&held))).ok(200);
}

/// Defect: a reservation whose units are in too many places was refused for want of units that were there.
#[test]
fn units_in_too_many_locations_are_refused_as_that_everywhere_and_the_answer_stays() {
    let api = Api::shared();
    let lines = scattered(&api);
    let sku = lines[0]["sku"].as_str().unwrap().to_owned();
    let key = fresh("key");
    let refused = api.keyed("/v1/reservations", &key, &json!({"lines": lines}));
    let problem = refused.problem(409, "too_many_locations");
    assert_eq!(problem["lines"], json!([{"line": 1, "sku": sku, "requested": 9, "available": 8}]));
    assert_eq!(problem["limit"], "allocations_per_order");
    let again = api.keyed("/v1/reservations", &key, &json!({"lines": lines}));
    assert!(again.replayed() && again.bytes == refused.bytes, "{}", again.shown());
    let kept = format!("/v1/reservations/{}", problem["reservation_id"].as_str().unwrap());
    assert_eq!(api.get(&kept).ok(200)["status"], "rejected");
    // Of another SKU: those of the refused one may be held for a moment.
    let other = json!([{"sku": stocked(&api, 1), "quantity": 1}]);
    let batch = json!({"items": [{"key": fresh("key"), "lines": lines}, {"key": fresh("key"), "lines": other}]});
    let results = api.post("/v1/reservations:batch", &batch).ok(200)["results"].clone();
    assert_eq!([&results[0]["code"], &results[1]["status"]], [&json!("too_many_locations"), &json!(201)]);
    counts(&stock(&api, &sku), &json!({"held": 0, "available": 9}));
    hold(&api, &sku, 9);
}

#[test]
fn an_order_in_too_many_locations_is_kept_as_rejected_for_that() {
    let api = Api::shared();
    let order = scattered_order(&api);
    let problem = post(&api, "/v1/orders", &order).problem(409, "too_many_locations");
    let kept = api.get(&format!("/v1/orders/{}", problem["order_id"].as_str().unwrap())).ok(200);
    assert_eq!([&kept["status"], &kept["reason"]], ["rejected", "too_many_locations"]);
    let partial = post(&api, "/v1/orders", &with(order, json!({"allow_partial": true}))).ok(201);
    assert_eq!([&partial["lines"][0]["held"], &partial["lines"][1]["held"]], [8, 1], "what its share of locations gives");
}

#[test]
fn an_expired_reservation_is_over_for_good() {
    let api = Api::shared();
    let sku = stocked(&api, 3);
    let held = post(&api, "/v1/reservations", &with(reservation(&sku, 3), json!({"ttl_seconds": 1}))).ok(201);
    becomes(&api, &path(&held), "expired");
    api.act(&format!("{}:commit", path(&held))).problem(409, "reservation_expired");
    api.act(&format!("{}:extend", path(&held))).problem(409, "reservation_expired");
    assert_eq!(api.delete(&path(&held)).status, 204);
    counts(&stock(&api, &sku), &json!({"held": 0, "committed": 0, "available": 3}));
    hold(&api, &sku, 3);
}

#[test]
fn a_refused_reservation_says_what_was_short_and_holds_nothing() {
    let api = Api::shared();
    let (plenty, scarce) = (stocked(&api, 9), stocked(&api, 1));
    let body = json!({"lines": [{"sku": plenty, "quantity": 1}, {"sku": scarce, "quantity": 2}]});
    let problem = post(&api, "/v1/reservations", &body).problem(409, "out_of_stock");
    assert_eq!(problem["lines"], json!([{"line": 2, "sku": scarce, "requested": 2, "available": 1}]));
    counts(&stock(&api, &plenty), &json!({"held": 0, "available": 9}));
    let kept = format!("/v1/reservations/{}", problem["reservation_id"].as_str().unwrap());
    assert_eq!(api.get(&kept).ok(200)["status"], "rejected");
}

#[test]
fn a_reservation_is_no_order() {
    let api = Api::shared();
    let held = hold(&api, &stocked(&api, 1), 1);
    let as_order = id(&held).replace("res_", "ord_");
    api.get(&format!("/v1/orders/{as_order}")).problem(404, "not_found");
    api.act(&format!("/v1/orders/{as_order}:cancel")).problem(404, "not_found");
    let paid = post(&api, &format!("/v1/orders/{as_order}/payments"), &json!({"provider": "sandbox"}));
    paid.problem(409, "invalid_transition");
    assert_eq!(api.get(&path(&held)).ok(200)["status"], "held");
}

#[test]
fn an_id_that_names_nothing_is_not_found() {
    let api = Api::shared();
    for id in ["res_00000000000000000000000000", "res_x", "ord_00000000000000000000000000"] {
        api.get(&format!("/v1/reservations/{id}")).problem(404, "not_found");
        api.delete(&format!("/v1/reservations/{id}")).problem(404, "not_found");
        api.act(&format!("/v1/reservations/{id}:commit")).problem(404, "not_found");
        api.act(&format!("/v1/reservations/{id}:extend")).problem(404, "not_found");
    }
}

//! Stock: counts per location, adjustments, thresholds.

use crate::client::Api;
use crate::shop::{counts, fresh, hold, id, order_of, place, post, put, stock, stocked};
use serde_json::json;

#[test]
fn setting_a_count_answers_the_stock_with_its_version_as_etag() {
    let api = Api::shared();
    let sku = fresh("sku");
    let path = format!("/v1/inventory/{sku}/locations/berlin");
    let answer = api.json("PUT", &path, &[("if-match", "\"0\"")], &json!({"on_hand": 9, "safety_stock": 2}));
    let body = answer.ok(200);
    assert_eq!(answer.header("etag"), Some(format!("\"{}\"", body["version"]).as_str()));
    assert_eq!(body["sku"], sku);
    counts(
        &body,
        &json!({"available": 7, "on_hand": 9, "safety_stock": 2, "held": 0, "pinned": 0, "committed": 0, "in_stock": true}),
    );
    let read = api.get(&format!("/v1/inventory/{sku}"));
    assert_eq!(read.ok(200), body);
    assert_eq!(read.header("etag"), answer.header("etag"));
}

#[test]
fn stock_is_the_sum_of_its_locations() {
    let api = Api::shared();
    let sku = fresh("sku");
    for (location, units) in [("berlin", 3), ("lyon", 4), ("oslo", 5)] {
        put(&api, &sku, location, units);
    }
    let body = stock(&api, &sku);
    counts(&body, &json!({"available": 12, "on_hand": 12}));
    let names: Vec<&str> =
        body["locations"].as_array().unwrap().iter().map(|place| place["location"].as_str().unwrap()).collect();
    assert_eq!(names, ["berlin", "lyon", "oslo"]);
}

#[test]
fn a_sku_nobody_stocked_is_not_found() {
    let api = Api::shared();
    let sku = fresh("sku");
    api.get(&format!("/v1/inventory/{sku}")).problem(404, "not_found");
    api.get(&format!("/v1/inventory/{sku}/movements")).problem(404, "not_found");
    let threshold = json!({"low_stock_threshold": 1});
    api.json("PATCH", &format!("/v1/inventory/{sku}"), &[], &threshold).problem(404, "not_found");
}

#[test]
fn a_count_below_what_is_taken_is_refused_and_changes_nothing() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    hold(&api, &sku, 3);
    let before = stock(&api, &sku);
    let path = format!("/v1/inventory/{sku}/locations/berlin");
    let refused = api.json("PUT", &path, &[("if-match", "*")], &json!({"on_hand": 2}));
    let problem = refused.problem(409, "count_below_taken");
    assert_eq!(
        [&problem["detail"], &problem["taken"], &problem["count"]],
        [&json!("3 are taken, the count says 2"), &json!(3), &json!(2)]
    );
    assert_eq!(stock(&api, &sku), before);
    counts(&put(&api, &sku, "berlin", 3), &json!({"available": 0, "on_hand": 3, "held": 3}));
}

#[test]
fn an_adjustment_moves_its_bucket_and_answers_201() {
    let api = Api::shared();
    let sku = stocked(&api, 10);
    let path = format!("/v1/inventory/{sku}/adjustments");
    let adjust = |bucket: &str, delta: i64| {
        post(&api, &path, &json!({"location": "berlin", "bucket": bucket, "delta": delta, "reason": "count"})).ok(201)
    };
    counts(&adjust("on_hand", 5), &json!({"on_hand": 15, "available": 15}));
    counts(&adjust("damaged", 4), &json!({"on_hand": 15, "damaged": 4, "available": 11}));
    counts(&adjust("quality_control", 2), &json!({"quality_control": 2, "available": 9}));
    counts(&adjust("damaged", -4), &json!({"damaged": 0, "available": 13}));
    counts(&adjust("on_hand", -13), &json!({"on_hand": 2, "available": 0, "in_stock": false}));
}

#[test]
fn an_adjustment_names_on_hand_if_no_bucket_is_given() {
    let api = Api::shared();
    let sku = stocked(&api, 1);
    let body = json!({"location": "berlin", "delta": 2, "reason": "delivery", "reference": "D-17"});
    let answer = post(&api, &format!("/v1/inventory/{sku}/adjustments"), &body);
    counts(&answer.ok(201), &json!({"on_hand": 3}));
    assert!(answer.header("etag").is_some());
}

#[test]
fn an_adjustment_never_takes_what_is_held() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    hold(&api, &sku, 4);
    let take = json!({"location": "berlin", "delta": -2, "reason": "theft"});
    let path = format!("/v1/inventory/{sku}/adjustments");
    let problem = post(&api, &path, &take).problem(409, "count_below_taken");
    assert_eq!(problem["detail"], "4 are taken, the count says 3");
    let broken = json!({"location": "berlin", "bucket": "damaged", "delta": 2, "reason": "broken"});
    let problem = post(&api, &path, &broken).problem(409, "count_below_taken");
    assert_eq!([&problem["taken"], &problem["count"]], [6, 5], "damaged units are taken too");
    let mended = json!({"location": "berlin", "bucket": "damaged", "delta": -1, "reason": "mended"});
    let key = crate::shop::fresh("key");
    let refused = api.keyed(&path, &key, &mended);
    assert_eq!(refused.problem(409, "count_below_taken")["detail"], "0 are taken, the count says -1");
    assert_eq!(api.keyed(&path, &key, &mended).bytes, refused.bytes, "kept under its key");
    counts(&stock(&api, &sku), &json!({"on_hand": 5, "held": 4, "available": 1}));
}

#[test]
fn an_adjustment_can_bring_a_sku_into_being_but_not_take_from_nothing() {
    let api = Api::shared();
    let sku = fresh("sku");
    let path = format!("/v1/inventory/{sku}/adjustments");
    post(&api, &path, &json!({"location": "berlin", "delta": -1, "reason": "x"})).problem(422, "unknown_sku");
    counts(&post(&api, &path, &json!({"location": "berlin", "delta": 3, "reason": "x"})).ok(201), &json!({"on_hand": 3}));
}

#[test]
fn low_stock_follows_the_threshold() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    assert_eq!(stock(&api, &sku)["low_stock"], false);
    let path = format!("/v1/inventory/{sku}");
    let set = api.json("PATCH", &path, &[], &json!({"low_stock_threshold": 3}));
    assert_eq!(set.ok(200)["low_stock"], false);
    hold(&api, &sku, 2);
    assert_eq!(stock(&api, &sku)["low_stock"], true);
}

#[test]
fn safety_stock_is_not_sold() {
    let api = Api::shared();
    let sku = fresh("sku");
    let path = format!("/v1/inventory/{sku}/locations/berlin");
    api.json("PUT", &path, &[("if-match", "*")], &json!({"on_hand": 5, "safety_stock": 3})).ok(200);
    post(&api, "/v1/reservations", &crate::shop::reservation(&sku, 3)).problem(409, "out_of_stock");
    hold(&api, &sku, 2);
    counts(&stock(&api, &sku), &json!({"available": 0, "held": 2, "safety_stock": 3}));
}

#[test]
fn a_location_that_has_it_all_goes_before_a_split_in_order_of_name() {
    let api = Api::shared();
    let sku = fresh("sku");
    for (location, units) in [("a", 2), ("b", 5), ("c", 3)] {
        put(&api, &sku, location, units);
    }
    let order = place(&api, &order_of(&[(&sku, 4)]));
    assert_eq!(order["lines"][0]["allocations"], json!([{"location": "b", "quantity": 4}]));
    let order = place(&api, &order_of(&[(&sku, 6)]));
    let split = json!([{"location": "a", "quantity": 2}, {"location": "b", "quantity": 1}, {"location": "c", "quantity": 3}]);
    assert_eq!(order["lines"][0]["allocations"], split);
    counts(&stock(&api, &sku), &json!({"available": 0, "held": 10}));
    api.act(&format!("/v1/orders/{}:cancel", id(&order))).ok(200);
    counts(&stock(&api, &sku), &json!({"available": 6, "held": 4}));
}

#[test]
fn a_lower_priority_number_gives_first() {
    let api = Api::shared();
    let sku = fresh("sku");
    for (location, priority) in [("a", 2), ("b", 1)] {
        let path = format!("/v1/inventory/{sku}/locations/{location}");
        api.json("PUT", &path, &[("if-match", "*")], &json!({"on_hand": 5, "priority": priority})).ok(200);
    }
    let order = place(&api, &order_of(&[(&sku, 1)]));
    assert_eq!(order["lines"][0]["allocations"], json!([{"location": "b", "quantity": 1}]));
}

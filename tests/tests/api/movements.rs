//! Movements: what moved the stock of a SKU, numbered from 1.

use crate::client::Api;
use crate::shop::{fresh, hold, id, order, place, post, put, stock, stocked};
use serde_json::{Value, json};

fn page(api: &Api, sku: &str, query: &str) -> Value {
    api.get(&format!("/v1/inventory/{sku}/movements{query}")).ok(200)
}

fn busy(api: &Api) -> String {
    let sku = stocked(api, 20);
    for _ in 0..3 {
        let held = hold(api, &sku, 2);
        api.delete(&format!("/v1/reservations/{}", id(&held)));
        let placed = place(api, &order(&sku, 1));
        api.act(&format!("/v1/orders/{}:confirm", id(&placed))).ok(200);
    }
    sku
}

#[test]
fn movements_are_numbered_from_1_without_a_gap() {
    let api = Api::shared();
    let sku = busy(&api);
    let all = page(&api, &sku, "");
    let items = all["items"].as_array().unwrap();
    let seqs: Vec<u64> = items.iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=13).collect::<Vec<u64>>());
    let (_, place) = all["next"].as_str().unwrap().split_once('~').unwrap();
    assert!(place.starts_with("13-") && place.len() == "13-00000000".len(), "{place}");
    assert_eq!(stock(&api, &sku)["version"], 13);
}

#[test]
fn a_movement_names_its_cause() {
    let api = Api::shared();
    let sku = fresh("sku");
    put(&api, &sku, "berlin", 5);
    post(
        &api,
        &format!("/v1/inventory/{sku}/adjustments"),
        &json!({"location": "berlin", "delta": -1, "reason": "broken", "reference": "R1"}),
    )
    .ok(201);
    let placed = place(&api, &order(&sku, 2));
    api.act(&format!("/v1/orders/{}:confirm", id(&placed))).ok(200);
    let all = page(&api, &sku, "");
    let kinds: Vec<&str> = all["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["set", "adjusted", "held", "committed"]);
    let adjusted = &all["items"][1];
    assert_eq!([&adjusted["reason"], &adjusted["reference"], &adjusted["location"]], ["broken", "R1", "berlin"]);
    assert_eq!(adjusted["quantity"], -1);
    let held = &all["items"][2];
    assert_eq!([&held["order_id"], &held["location"]], [&placed["id"], &json!("berlin")]);
    assert_eq!(held["quantity"].as_i64().unwrap().abs(), 2);
    assert!(held["at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn pages_of_any_size_give_the_same_list() {
    let api = Api::shared();
    let sku = busy(&api);
    let whole = page(&api, &sku, "?limit=1000")["items"].clone();
    for limit in [1, 2, 5, 13] {
        let (mut after, mut list) = ("0".to_owned(), Vec::new());
        loop {
            let part = page(&api, &sku, &format!("?after={after}&limit={limit}"));
            let items = part["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            if items.is_empty() {
                assert_eq!(part["next"], after);
                break;
            }
            list.extend(items.iter().cloned());
            after = part["next"].as_str().unwrap().to_owned();
        }
        assert_eq!(Value::Array(list), whole, "limit {limit}");
    }
}

#[test]
fn a_split_is_a_movement_per_location() {
    let api = Api::shared();
    let sku = fresh("sku");
    ["a", "b"].iter().for_each(|location| drop(put(&api, &sku, location, 2)));
    hold(&api, &sku, 3);
    let all = page(&api, &sku, "?after=2");
    let moved: Vec<(&str, i64)> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["location"].as_str().unwrap(), item["quantity"].as_i64().unwrap().abs()))
        .collect();
    assert_eq!(moved, [("a", 2), ("b", 1)]);
}

#[test]
fn a_cursor_that_is_none_is_refused() {
    let api = Api::shared();
    let sku = stocked(&api, 1);
    for query in ["?after=x", "?limit=-1", "?after=1&nonsense=2", "?after=1-00000000", "?after=0123456789abcdef~1"] {
        api.get(&format!("/v1/inventory/{sku}/movements{query}")).problem(400, "invalid_request");
    }
}

#[test]
fn a_cursor_from_the_future_is_refused_and_never_means_nothing_new() {
    let api = Api::shared();
    let sku = busy(&api);
    let all = page(&api, &sku, "");
    let (name, place) = all["next"].as_str().unwrap().split_once('~').unwrap();
    let (_, check) = place.split_once('-').unwrap();
    for after in ["14".to_owned(), u64::MAX.to_string(), format!("{name}~14-{check}"), format!("{name}~12-{check}")] {
        api.get(&format!("/v1/inventory/{sku}/movements?after={after}")).problem(409, "cursor_not_of_this_history");
    }
}

#[test]
fn a_number_of_before_cursors_had_names_is_read_on_from() {
    let api = Api::shared();
    let sku = busy(&api);
    let all = page(&api, &sku, "");
    let rest = page(&api, &sku, "?after=5");
    assert_eq!(rest["items"].as_array().unwrap()[..], all["items"].as_array().unwrap()[5..]);
    let end = page(&api, &sku, "?after=13");
    assert_eq!((&end["items"], &end["next"]), (&json!([]), &all["next"]));
}

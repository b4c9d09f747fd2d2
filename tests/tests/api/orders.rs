//! Orders: what a placed order answers, and its life without payment.

use crate::client::Api;
use crate::raw;
use crate::shop::{counts, fresh, id, order, order_becomes, order_now, order_of, paying, place, post, put, stock, stocked, with};
use serde_json::{Value, json};
use std::io::{Read, Write};

#[test]
fn an_order_holds_its_stock_and_answers_every_field_of_the_contract() {
    let api = Api::shared();
    let sku = stocked(&api, 10);
    let answer = post(&api, "/v1/orders", &with(order(&sku, 3), json!({"total": 750})));
    let body = answer.ok(201);
    assert!(id(&body).starts_with("ord_"));
    assert_eq!(answer.header("location"), Some(format!("/v1/orders/{}", id(&body)).as_str()));
    assert_eq!(answer.header("etag"), Some(format!("\"{}\"", body["version"]).as_str()));
    let expected = json!({"status": "awaiting_payment", "customer_id": "ada", "currency": "EUR", "total": 750});
    expected.as_object().unwrap().iter().for_each(|(name, value)| assert_eq!(&body[name], value, "{name}"));
    assert!(body["number"].as_u64().is_some_and(|number| number > 0));
    assert!(body["payment_status"].is_string() && body.get("payment").is_none());
    let line = &body["lines"][0];
    let expected = json!({"line": 1, "sku": sku, "quantity": 3, "unit_price": 250, "held": 3, "pinned": 0, "committed": 0,
        "allocations": [{"location": "berlin", "quantity": 3}]});
    expected.as_object().unwrap().iter().for_each(|(name, value)| assert_eq!(&line[name], value, "{name}"));
    assert!(line["reservation_id"].as_str().unwrap().starts_with("res_"));
    counts(&stock(&api, &sku), &json!({"held": 3, "available": 7}));
    let read = api.get(&format!("/v1/orders/{}", id(&body)));
    assert_eq!(read.header("etag"), answer.header("etag"));
    assert_eq!(read.ok(200), body);
}

#[test]
fn a_body_that_comes_in_pieces_is_read_whole() {
    let api = Api::shared();
    let order = order(&stocked(&api, 1), 1).to_string();
    // More than is buffered at once, and between two pieces the server has time to answer others.
    let body = " ".repeat(150_000) + &order;
    let mut socket = raw::connect(api.server());
    let head = format!("Content-Type: application/json\r\nIdempotency-Key: {}\r\nContent-Length: {}", fresh("key"), body.len());
    write!(socket, "POST /v1/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{head}\r\n\r\n").unwrap();
    for piece in body.as_bytes().chunks(30_000) {
        socket.write_all(piece).unwrap();
        (0..4).for_each(|_| drop(api.get("/livez").ok(200)));
    }
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created"), "{answer}");
}

#[test]
fn times_are_rfc_3339_in_utc_and_the_hold_lasts_900_seconds_by_default() {
    let api = Api::shared();
    let body = place(&api, &order(&stocked(&api, 1), 1));
    for name in ["created_at", "updated_at", "expires_at"] {
        assert!(body[name].as_str().unwrap().ends_with('Z'), "{name}");
    }
    assert_eq!(seconds(&body["expires_at"]) - seconds(&body["created_at"]), 900);
}

/// Seconds since the year 1970 of a day in the years 2001 to 2099, to the second.
pub(crate) fn seconds(time: &Value) -> u64 {
    let text = time.as_str().unwrap();
    let part = |from: usize, to: usize| text[from..to].parse::<u64>().unwrap();
    let (year, month, day) = (part(0, 4), part(5, 7), part(8, 10));
    let leap = u64::from(year.is_multiple_of(4) && month > 2);
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let days = (year - 1970) * 365 + (year - 1969) / 4 + before + leap + day - 1;
    days * 86_400 + part(11, 13) * 3600 + part(14, 16) * 60 + part(17, 19)
}

#[test]
fn what_the_caller_said_of_an_order_is_shown_again() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let lines = json!([{"sku": sku, "quantity": 1, "unit_price": 5, "seller_id": "shop-7", "metadata": {"gift": true}}]);
    let body = with(order(&sku, 1), json!({"lines": lines, "metadata": {"a": [1, 2]}, "shipping_address": {"city": "Köln"}}));
    let placed = place(&api, &body);
    assert_eq!(placed["metadata"], json!({"a": [1, 2]}));
    assert_eq!(placed["shipping_address"], json!({"city": "Köln"}));
    assert_eq!(placed["lines"][0]["seller_id"], "shop-7");
    assert_eq!(placed["lines"][0]["metadata"], json!({"gift": true}));
}

#[test]
fn order_numbers_are_unique() {
    let api = Api::shared();
    let sku = stocked(&api, 40);
    let mut numbers: Vec<u64> = (0..40).map(|_| place(&api, &order(&sku, 1))["number"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 40);
}

#[test]
fn an_order_takes_all_its_lines_or_none_and_is_kept_as_rejected() {
    let api = Api::shared();
    let (plenty, scarce) = (stocked(&api, 10), stocked(&api, 1));
    let refused = post(&api, "/v1/orders", &order_of(&[(&plenty, 2), (&scarce, 2)])).problem(409, "out_of_stock");
    assert_eq!(refused["lines"], json!([{"line": 2, "sku": scarce, "requested": 2, "available": 1}]));
    let kept = api.get(&format!("/v1/orders/{}", refused["order_id"].as_str().unwrap())).ok(200);
    assert_eq!(kept["status"], "rejected");
    assert_eq!(kept["lines"][0]["held"], 0);
    counts(&stock(&api, &plenty), &json!({"available": 10, "held": 0}));
    counts(&stock(&api, &scarce), &json!({"available": 1, "held": 0}));
}

#[test]
fn an_order_for_a_sku_nobody_stocked_is_refused_by_name() {
    let api = Api::shared();
    let (known, unknown) = (stocked(&api, 5), fresh("sku"));
    let refused = post(&api, "/v1/orders", &order_of(&[(&known, 1), (&unknown, 1)])).problem(422, "unknown_sku");
    assert!(refused["detail"].as_str().unwrap().contains(&unknown));
    counts(&stock(&api, &known), &json!({"available": 5}));
}

#[test]
fn lines_of_one_sku_are_summed() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let refused = post(&api, "/v1/orders", &order_of(&[(&sku, 3), (&sku, 3)])).problem(409, "out_of_stock");
    assert_eq!(refused["lines"][0]["requested"], 6);
    let placed = place(&api, &order_of(&[(&sku, 3), (&sku, 2)]));
    assert_eq!([&placed["lines"][0]["held"], &placed["lines"][1]["held"]], [3, 2]);
    counts(&stock(&api, &sku), &json!({"available": 0, "held": 5}));
}

#[test]
fn lines_of_one_sku_share_a_split_without_counting_a_unit_twice() {
    let api = Api::shared();
    let sku = fresh("sku");
    ["a", "b", "c"].iter().for_each(|location| drop(put(&api, &sku, location, 3)));
    let placed = place(&api, &order_of(&[(&sku, 4), (&sku, 4)]));
    let mut taken = std::collections::BTreeMap::<String, u64>::new();
    for line in placed["lines"].as_array().unwrap() {
        let units = |part: &Value| part["quantity"].as_u64().unwrap();
        let parts = line["allocations"].as_array().unwrap();
        assert_eq!(parts.iter().map(units).sum::<u64>(), 4);
        parts.iter().for_each(|part| *taken.entry(part["location"].as_str().unwrap().to_owned()).or_default() += units(part));
    }
    assert!(taken.values().all(|units| *units <= 3), "{taken:?}");
    let now = stock(&api, &sku);
    counts(&now, &json!({"held": 8, "available": 1}));
    for place in now["locations"].as_array().unwrap() {
        assert_eq!(place["held"], taken[place["location"].as_str().unwrap()]);
    }
}

#[test]
fn a_partial_order_takes_what_is_there_and_owes_for_that_alone() {
    let api = Api::shared();
    let (plenty, scarce) = (stocked(&api, 10), stocked(&api, 1));
    let body = with(order_of(&[(&plenty, 2), (&scarce, 3)]), json!({"allow_partial": true}));
    let placed = place(&api, &body);
    assert_eq!([&placed["lines"][0]["held"], &placed["lines"][1]["held"]], [2, 1]);
    assert_eq!(placed["total"], 750);
    counts(&stock(&api, &scarce), &json!({"available": 0, "held": 1}));
}

#[test]
fn a_partial_order_of_nothing_is_out_of_stock() {
    let api = Api::shared();
    let sku = stocked(&api, 0);
    post(&api, "/v1/orders", &with(order(&sku, 1), json!({"allow_partial": true}))).problem(409, "out_of_stock");
}

#[test]
fn a_total_that_is_not_the_sum_is_refused_and_holds_nothing() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let refused = post(&api, "/v1/orders", &with(order(&sku, 2), json!({"total": 501})));
    assert_eq!(refused.problem(422, "totals_mismatch")["expected"], 500);
    counts(&stock(&api, &sku), &json!({"available": 5, "held": 0}));
}

#[test]
fn cancelling_gives_the_stock_back_once() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let placed = place(&api, &order(&sku, 2));
    let path = format!("/v1/orders/{}:cancel", id(&placed));
    let cancelled = api.post(&path, &json!({"reason": "changed my mind"}));
    assert_eq!(cancelled.ok(200)["status"], "cancelled");
    assert_eq!(cancelled.json()["lines"][0]["held"], 0);
    assert_eq!(api.act(&path).ok(200)["status"], "cancelled");
    counts(&stock(&api, &sku), &json!({"available": 5, "held": 0}));
}

#[test]
fn confirming_sells_the_units_once() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let placed = place(&api, &order(&sku, 2));
    let path = format!("/v1/orders/{}:confirm", id(&placed));
    assert_eq!(api.post(&path, &json!({"reason": "invoice 9"})).ok(200)["status"], "confirmed");
    let again = api.act(&path).ok(200);
    assert_eq!(again["lines"][0]["committed"], 2);
    counts(&stock(&api, &sku), &json!({"available": 3, "held": 0, "committed": 2, "on_hand": 5}));
}

#[test]
fn an_order_that_is_over_says_its_state_and_what_is_allowed() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let placed = place(&api, &order(&sku, 1));
    api.act(&format!("/v1/orders/{}:cancel", id(&placed))).ok(200);
    let refused = api.act(&format!("/v1/orders/{}:confirm", id(&placed))).problem(409, "invalid_transition");
    assert_eq!([&refused["state"], &refused["allowed"]], [&json!("cancelled"), &json!([])]);
    let confirmed = place(&api, &order(&sku, 1));
    api.act(&format!("/v1/orders/{}:confirm", id(&confirmed))).ok(200);
    let refused = api.act(&format!("/v1/orders/{}:cancel", id(&confirmed))).problem(409, "invalid_transition");
    assert_eq!(refused["state"], "confirmed");
}

#[test]
fn an_order_being_paid_cannot_be_confirmed_by_invoice() {
    let api = Api::shared();
    let placed = place(&api, &paying(&stocked(&api, 1), 1));
    let refused = api.act(&format!("/v1/orders/{}:confirm", id(&placed))).problem(409, "invalid_transition");
    assert_eq!([&refused["state"], &refused["allowed"]], [&json!("payment_in_flight"), &json!(["cancel"])]);
}

#[test]
fn an_order_expires_and_its_stock_returns() {
    let api = Api::shared();
    let sku = stocked(&api, 2);
    let placed = place(&api, &with(order(&sku, 2), json!({"ttl_seconds": 1})));
    let expired = order_becomes(&api, &placed, "expired");
    assert_eq!(expired["lines"][0]["held"], 0);
    counts(&stock(&api, &sku), &json!({"available": 2, "held": 0}));
    api.act(&format!("/v1/orders/{}:confirm", id(&placed))).problem(409, "reservation_expired");
    post(&api, &format!("/v1/orders/{}/payments", id(&placed)), &json!({"provider": "sandbox"}))
        .problem(409, "reservation_expired");
}

#[test]
fn an_id_that_names_nothing_is_not_found() {
    let api = Api::shared();
    let nowhere = [
        "ord_00000000000000000000000000",
        "ord_x",
        "ord_",
        "x",
        "res_00000000000000000000000000",
        "ord_zzzzzzzzzzzzzzzzzzzzzzzzzz",
    ];
    for id in nowhere {
        api.get(&format!("/v1/orders/{id}")).problem(404, "not_found");
        api.get(&format!("/v1/orders/{id}/timeline")).problem(404, "not_found");
        api.act(&format!("/v1/orders/{id}:cancel")).problem(404, "not_found");
        api.act(&format!("/v1/orders/{id}:confirm")).problem(404, "not_found");
        post(&api, &format!("/v1/orders/{id}/payments"), &json!({"provider": "sandbox"})).problem(404, "not_found");
    }
}

#[test]
fn the_version_of_an_order_grows_with_its_facts() {
    let api = Api::shared();
    let placed = place(&api, &order(&stocked(&api, 1), 1));
    api.act(&format!("/v1/orders/{}:confirm", id(&placed))).ok(200);
    let now = order_now(&api, &placed);
    assert!(now["version"].as_u64() > placed["version"].as_u64());
    assert_eq!(now["created_at"], placed["created_at"]);
}

#[test]
fn a_reservation_of_an_order_shows_its_stock_side_but_is_not_moved_by_itself() {
    let api = Api::shared();
    let placed = place(&api, &order(&stocked(&api, 1), 1));
    let path = format!("/v1/reservations/{}", placed["lines"][0]["reservation_id"].as_str().unwrap());
    assert_eq!(api.get(&path).ok(200)["lines"][0]["held"], 1);
    api.delete(&path).problem(404, "not_found");
    api.act(&format!("{path}:commit")).problem(404, "not_found");
    assert_eq!(order_now(&api, &placed)["status"], "awaiting_payment");
}

//! Bounds and defaults: what is just inside is taken, what is just outside is refused by its place.

use crate::client::{Answer, Api};
use crate::orders::seconds;
use crate::shop::{counts, fresh, hold, id, order, place, post, put, reservation, stock, stocked, with};
use serde_json::{Value, json};

fn placed(api: &Api, body: &Value) -> Answer {
    post(api, "/v1/orders", body)
}

#[test]
fn a_hold_lasts_1_second_to_24_hours() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    for ttl in [1, 86_400] {
        let body = place(&api, &with(order(&sku, 1), json!({"ttl_seconds": ttl})));
        assert_eq!(seconds(&body["expires_at"]) - seconds(&body["created_at"]), ttl);
        post(&api, "/v1/reservations", &with(reservation(&sku, 1), json!({"ttl_seconds": ttl}))).ok(201);
    }
    let held = hold(&api, &sku, 1);
    for ttl in [json!(0), json!(86_401), json!(u64::MAX)] {
        let life = json!({"ttl_seconds": ttl});
        placed(&api, &with(order(&sku, 1), life.clone())).invalid("/ttl_seconds");
        post(&api, "/v1/reservations", &with(reservation(&sku, 1), life.clone())).invalid("/ttl_seconds");
        api.post(&format!("/v1/reservations/{}:extend", id(&held)), &life).invalid("/ttl_seconds");
    }
}

#[test]
fn an_order_has_1_to_500_lines() {
    let api = Api::shared();
    let sku = stocked(&api, 1000);
    let lines =
        |count: usize| -> Vec<Value> { (0..count).map(|_| json!({"sku": sku, "quantity": 1, "unit_price": 1})).collect() };
    let body = place(&api, &with(order(&sku, 1), json!({"lines": lines(500)})));
    assert_eq!(body["lines"].as_array().unwrap().len(), 500);
    assert_eq!(body["total"], 500);
    counts(&stock(&api, &sku), &json!({"held": 500}));
    for count in [0, 501] {
        placed(&api, &with(order(&sku, 1), json!({"lines": lines(count)}))).invalid("/lines");
    }
    post(&api, "/v1/reservations", &json!({"lines": []})).invalid("/lines");
}

#[test]
fn a_line_has_1_to_a_million_units() {
    let api = Api::shared();
    let sku = stocked(&api, 1_000_001);
    placed(&api, &order(&sku, 0)).invalid("/lines/0/quantity");
    placed(&api, &order(&sku, 1_000_001)).invalid("/lines/0/quantity");
    place(&api, &order(&sku, 1_000_000));
    counts(&stock(&api, &sku), &json!({"held": 1_000_000, "available": 1}));
}

#[test]
fn five_hundred_lines_of_a_million_units_are_counted_right() {
    let api = Api::shared();
    let sku = stocked(&api, 500_000_000);
    let line = json!({"sku": sku, "quantity": 1_000_000, "unit_price": 1});
    let body = place(&api, &with(order(&sku, 1), json!({"lines": vec![line; 500]})));
    assert_eq!(body["total"], 500_000_000);
    counts(&stock(&api, &sku), &json!({"held": 500_000_000, "available": 0}));
}

#[test]
fn a_sku_has_1_to_128_visible_characters() {
    let api = Api::shared();
    let longest = fresh("s").repeat(40)[..128].to_owned();
    put(&api, &longest, "berlin", 1);
    place(&api, &order(&longest, 1));
    for bad in [format!("{longest}x"), "has space".to_owned(), String::new(), "tab\t".to_owned()] {
        placed(&api, &order(&bad, 1)).invalid("/lines/0/sku");
        post(&api, "/v1/reservations", &reservation(&bad, 1)).invalid("/lines/0/sku");
    }
    let path = format!("/v1/inventory/{longest}x/locations/berlin");
    api.json("PUT", &path, &[("if-match", "*")], &json!({"on_hand": 1})).problem(400, "invalid_request");
    api.get(&format!("/v1/inventory/{longest}x")).problem(400, "invalid_request");
}

#[test]
fn a_sku_outside_ascii_is_the_same_in_path_and_body() {
    let api = Api::shared();
    let sku = format!("Größe-{}", fresh("ß"));
    let encoded: String = sku.bytes().map(|byte| format!("%{byte:02X}")).collect();
    put(&api, &encoded, "k%C3%B6ln", 2);
    let body = place(&api, &order(&sku, 1));
    assert_eq!(body["lines"][0]["allocations"][0]["location"], "köln");
    assert_eq!(stock(&api, &encoded)["sku"], sku);
}

#[test]
fn a_bucket_has_at_most_two_thousand_million_units() {
    let api = Api::shared();
    let sku = stocked(&api, 2_000_000_000);
    let path = format!("/v1/inventory/{sku}/locations/berlin");
    for units in [json!(2_000_000_001_u64), json!(u64::MAX)] {
        api.json("PUT", &path, &[("if-match", "*")], &json!({"on_hand": units})).invalid("/on_hand");
    }
    let more = json!({"location": "berlin", "delta": 1, "reason": "x"});
    post(&api, &format!("/v1/inventory/{sku}/adjustments"), &more).problem(409, "limit_reached");
    for delta in [json!(0), json!(2_000_000_001_u64), json!(i64::MIN)] {
        let body = json!({"location": "berlin", "delta": delta, "reason": "x"});
        post(&api, &format!("/v1/inventory/{sku}/adjustments"), &body).invalid("/delta");
    }
}

#[test]
fn money_is_never_negative_and_never_overflows() {
    let api = Api::shared();
    let sku = stocked(&api, 2_000_000);
    let price = |price: i64, quantity: u64| {
        with(order(&sku, 1), json!({"lines": [{"sku": sku, "quantity": quantity, "unit_price": price}]}))
    };
    placed(&api, &price(-1, 1)).invalid("/lines/0/unit_price");
    placed(&api, &price(i64::MAX, 2)).invalid("/lines");
    assert_eq!(place(&api, &price(i64::MAX, 1))["total"], i64::MAX);
    assert_eq!(place(&api, &price(0, 1))["total"], 0);
}

#[test]
fn a_body_has_at_most_1_mib() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let padded = |size: usize| {
        let body = order(&sku, 1).to_string();
        format!("{}{body}", " ".repeat(size - body.len()))
    };
    let send = |body: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "padded")];
        api.send("POST", "/v1/orders", &headers, Some(body.as_bytes()))
    };
    send(&padded(1024 * 1024)).ok(201);
    let refused = send(&padded(1024 * 1024 + 1)).problem(413, "too_large");
    assert_eq!(refused["limit"], "body_bytes");
    assert!(refused["detail"].as_str().unwrap().contains("1,048,576"), "{refused}");
}

#[test]
fn metadata_has_at_most_16_kib() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let text = |bytes: usize| json!("x".repeat(bytes - 2));
    place(&api, &with(order(&sku, 1), json!({"metadata": text(16 * 1024)})));
    for field in ["metadata", "shipping_address"] {
        placed(&api, &with(order(&sku, 1), json!({field: text(16 * 1024 + 1)}))).invalid(&format!("/{field}"));
    }
}

#[test]
fn every_mistake_of_a_body_is_told_at_once() {
    let api = Api::shared();
    let lines =
        json!([{"sku": "a b", "quantity": 0, "unit_price": -1}, {"sku": "x", "quantity": 1, "unit_price": 1, "seller_id": ""}]);
    let body = json!({"customer_id": "", "currency": "euro", "lines": lines, "ttl_seconds": 0, "payment": {"provider": "x", "return_url": "ftp://x"}});
    let problem = placed(&api, &body).problem(400, "invalid_request");
    let pointers: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    let expected = [
        "/customer_id",
        "/currency",
        "/ttl_seconds",
        "/lines/0/sku",
        "/lines/0/quantity",
        "/lines/0/unit_price",
        "/lines/1/seller_id",
        "/payment/provider",
        "/payment/return_url",
    ];
    assert_eq!(pointers, expected);
}

#[test]
fn unknown_fields_and_wrong_types_are_refused_by_their_place() {
    let api = Api::shared();
    let good = order("x", 1);
    placed(&api, &with(good.clone(), json!({"coupon": "x"}))).problem(400, "invalid_request");
    placed(&api, &with(good.clone(), json!({"customer_id": 7}))).invalid("/customer_id");
    placed(&api, &with(good.clone(), json!({"lines": [{"sku": "x", "quantity": "1", "unit_price": 1}]})))
        .invalid("/lines/0/quantity");
    placed(&api, &with(good.clone(), json!({"lines": [{"sku": "x", "quantity": 1.5, "unit_price": 1}]})))
        .invalid("/lines/0/quantity");
    placed(&api, &with(good, json!({"lines": "x"}))).invalid("/lines");
    let unknown = json!({"on_hand": 1, "colour": "red"});
    api.json("PUT", "/v1/inventory/x/locations/y", &[("if-match", "*")], &unknown).problem(400, "invalid_request");
    let adjustment = json!({"location": "y", "delta": 1, "reason": "x", "bucket": "held"});
    post(&api, "/v1/inventory/x/adjustments", &adjustment).invalid("/bucket");
}

#[test]
fn currencies_are_those_of_iso_4217() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    for currency in ["EUR", "USD", "JPY", "KWD"] {
        assert_eq!(place(&api, &with(order(&sku, 1), json!({"currency": currency})))["currency"], currency);
    }
    for currency in ["", "EURO", "eur", "XYZ", "€"] {
        placed(&api, &with(order(&sku, 1), json!({"currency": currency}))).invalid("/currency");
    }
}

#[test]
fn an_idempotency_key_is_1_to_255_visible_characters() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    let longest = fresh("k").repeat(40)[..255].to_owned();
    api.keyed("/v1/orders", &longest, &order(&sku, 1)).ok(201);
    for key in [format!("{longest}x"), String::new(), "has space".to_owned(), "\"\"".to_owned()] {
        api.keyed("/v1/orders", &key, &order(&sku, 1)).problem(400, "invalid_request");
    }
}

#[test]
fn a_page_has_1_to_a_thousand_entries() {
    let api = Api::shared();
    let sku = stocked(&api, 1);
    for path in ["/v1/events".to_owned(), format!("/v1/inventory/{sku}/movements")] {
        for limit in ["1", "1000"] {
            api.get(&format!("{path}?limit={limit}")).ok(200);
        }
        for limit in ["0", "1001", "-1", "many", ""] {
            api.get(&format!("{path}?limit={limit}")).problem(400, "invalid_request");
        }
    }
}

/// A caller who meets a limit finds it in `/v1/limits` by the name in the message.
#[test]
fn what_is_over_a_limit_names_it() {
    let api = Api::shared();
    let limits = api.get("/v1/limits").ok(200);
    let line = json!({"sku": "x", "quantity": 1, "unit_price": 1});
    let document = json!({"metadata": "x".repeat(16 * 1024)});
    let cases = [
        ("/v1/orders", with(order("x", 1), json!({"lines": vec![line; 501]})), "lines_per_order"),
        ("/v1/orders", order("x", 1_000_001), "line_quantity"),
        ("/v1/orders", with(order("x", 1), document), "metadata_bytes"),
        ("/v1/reservations:batch", json!({"items": vec![json!({"key": "k", "lines": []}); 4097]}), "batch_items"),
        ("/v1/availability:query", json!({"skus": vec!["x"; 1001]}), "availability_skus"),
    ];
    for (path, body, name) in cases {
        let problem = post(&api, path, &body).problem(400, "invalid_request");
        assert!(problem["errors"][0]["message"].as_str().unwrap().contains(name), "{problem}");
        assert!(limits[name].is_u64(), "{name} is in no list of limits");
    }
}

#[test]
fn the_limits_are_published() {
    let limits = Api::shared().get("/v1/limits").ok(200);
    let expected = json!({"body_bytes": 1_048_576, "lines_per_order": 500, "line_quantity": 1_000_000, "sku_characters": 128, "sku_bytes": 512, "batch_items": 4096,
        "locations_per_sku": 256, "allocations_per_order": 4096, "bucket_units": 2_000_000_000, "import_line_bytes": 65_536,
        "hold_life_seconds": 604_800, "hold_extensions": 1000, "payment_attempts": 5, "availability_skus": 1000, "hold_seconds": {"min": 1, "default": 900, "max": 86_400}});
    expected.as_object().unwrap().iter().for_each(|(name, value)| assert_eq!(&limits[name], value, "{name}"));
}

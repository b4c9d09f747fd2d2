//! Texts: what a name may be, and numbers that come back as they were sent.

use crate::client::{Answer, Api};
use crate::shop::{fresh, hold, order, place, post, put, reservation, stock, stocked, with};
use serde_json::{Value, json};

const VISIBLE: [&str; 4] = ["x", "ß", "字", "🛒"];
/// A zero-width space, a joiner, a mark of direction, a byte-order mark, a soft hyphen, a tag, variation selectors, a filler.
const INVISIBLE: [char; 10] =
    ['\u{200B}', '\u{200D}', '\u{202E}', '\u{FEFF}', '\u{AD}', '\u{E0041}', '\u{FE0F}', '\u{180B}', '\u{E0100}', '\u{3164}'];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn set(api: &Api, sku: &str, location: &str) -> Answer {
    let path = format!("/v1/inventory/{}/locations/{}", encoded(sku), encoded(location));
    api.json("PUT", &path, &[("if-match", "*")], &json!({"on_hand": 3}))
}

/// A fresh name of so many characters of this kind.
fn long(character: &str, characters: usize) -> String {
    let start = fresh("n");
    format!("{start}{}", character.repeat(characters - start.chars().count()))
}

#[test]
fn a_name_has_1_to_128_characters_of_any_script_and_a_location_64() {
    let api = Api::shared();
    for character in VISIBLE {
        let (sku, location, customer) = (long(character, 128), long(character, 64), long(character, 128));
        assert_eq!(set(&api, &sku, &location).ok(200)["sku"], sku);
        let placed = place(&api, &with(order(&sku, 1), json!({"customer_id": customer})));
        assert_eq!([&placed["customer_id"], &placed["lines"][0]["allocations"][0]["location"]], [&customer, &location]);
        assert_eq!(stock(&api, &encoded(&sku))["locations"][0]["location"], location);
        set(&api, &long(character, 129), "berlin").problem(400, "invalid_request");
        set(&api, &sku, &long(character, 65)).problem(400, "invalid_request");
        post(&api, "/v1/orders", &with(order(&sku, 1), json!({"customer_id": long(character, 129)}))).invalid("/customer_id");
        post(&api, "/v1/reservations", &with(reservation(&sku, 1), json!({"owner": long(character, 129)}))).invalid("/owner");
    }
}

#[test]
fn a_label_has_1_to_256_characters() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    let path = format!("/v1/inventory/{sku}/adjustments");
    let body = |reason: String| json!({"location": "berlin", "delta": 1, "reason": reason});
    for character in VISIBLE {
        post(&api, &path, &body(character.repeat(256))).ok(201);
        post(&api, &path, &body(character.repeat(257))).invalid("/reason");
    }
    let problem = post(&api, &path, &body(String::new())).problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["message"], "must be 1 to 256 printable characters");
}

#[test]
fn no_request_brings_a_name_with_a_character_that_nobody_sees() {
    let api = Api::shared();
    let known = stocked(&api, 9);
    for unseen in INVISIBLE {
        let odd = format!("{}{unseen}", fresh("n"));
        let refused = set(&api, &odd, "berlin").problem(400, "invalid_request");
        assert!(refused["detail"].as_str().unwrap().contains(&format!("U+{:04X}", u32::from(unseen))), "{refused}");
        set(&api, &known, &odd).problem(400, "invalid_request");
        let path = format!("/v1/inventory/{known}/adjustments");
        post(&api, &path, &json!({"location": odd, "delta": 1, "reason": "x"})).invalid("/location");
        post(&api, &path, &json!({"location": "berlin", "delta": 1, "reason": odd})).invalid("/reason");
        post(&api, &path, &json!({"location": "berlin", "delta": 1, "reason": "x", "reference": odd})).invalid("/reference");
        post(&api, "/v1/orders", &order(&odd, 1)).invalid("/lines/0/sku");
        post(&api, "/v1/orders", &with(order(&known, 1), json!({"customer_id": odd}))).invalid("/customer_id");
        let line = json!({"sku": known, "quantity": 1, "unit_price": 1, "seller_id": odd});
        post(&api, "/v1/orders", &with(order(&known, 1), json!({"lines": [line]}))).invalid("/lines/0/seller_id");
        post(&api, "/v1/reservations", &reservation(&odd, 1)).invalid("/lines/0/sku");
        post(&api, "/v1/reservations", &with(reservation(&known, 1), json!({"owner": odd}))).invalid("/owner");
        api.get(&format!("/v1/inventory/{}", encoded(&odd))).problem(404, "not_found");
    }
    assert_eq!(stock(&api, &known)["on_hand"], 9);
}

#[test]
fn no_reason_of_a_cancel_has_a_character_that_nobody_sees() {
    let api = Api::shared();
    let placed = place(&api, &order(&stocked(&api, 1), 1));
    let path = format!("/v1/orders/{}:cancel", placed["id"].as_str().unwrap());
    api.post(&path, &json!({"reason": "zero\u{200B}width"})).invalid("/reason");
    api.post(&path, &json!({"reason": "no longer wanted"})).ok(200);
}

#[test]
fn a_batch_and_an_import_refuse_the_items_that_bring_such_a_name_and_take_the_others() {
    let api = Api::shared();
    let (sku, odd) = (stocked(&api, 9), format!("{}\u{200B}", fresh("n")));
    let item = |sku: &str| json!({"key": fresh("key"), "lines": [{"sku": sku, "quantity": 1}]});
    let results = api.post("/v1/reservations:batch", &json!({"items": [item(&sku), item(&odd)]})).ok(200);
    assert_eq!([&results["results"][0]["status"], &results["results"][1]["status"]], [201, 400], "{results}");
    let row = |sku: &str| format!("{}\n", json!({"sku": sku, "location": "lyon", "on_hand": 2}));
    let rows = [row(&odd), row(&sku)].concat();
    let answer = api.send("POST", "/v1/inventory/imports", &[("content-type", "application/x-ndjson")], Some(rows.as_bytes()));
    let lines: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&lines[0]["line"], &lines[0]["code"]], [&json!(1), &json!("invalid_request")], "{lines:?}");
    assert_eq!(lines[1], json!({"imported": 1, "refused": 1}));
}

#[test]
fn names_are_compared_byte_by_byte() {
    let api = Api::shared();
    let base = fresh("caf");
    let (composed, decomposed) = (format!("{base}\u{E9}"), format!("{base}e\u{301}"));
    put(&api, &encoded(&composed), "berlin", 1);
    api.get(&format!("/v1/inventory/{}", encoded(&decomposed))).problem(404, "not_found");
    put(&api, &encoded(&decomposed), "berlin", 2);
    assert_eq!(
        [stock(&api, &encoded(&composed))["on_hand"].clone(), stock(&api, &encoded(&decomposed))["on_hand"].clone()],
        [1, 2]
    );
}

/// An order whose documents are this text, sent byte for byte.
fn documented(api: &Api, key: &str, document: &str) -> Answer {
    let sku = stocked(api, 9);
    documented_of(api, &sku, key, document)
}

fn documented_of(api: &Api, sku: &str, key: &str, document: &str) -> Answer {
    let body = format!(
        r#"{{"customer_id":"ada","currency":"EUR","lines":[{{"sku":"{sku}","quantity":1,"unit_price":1,"metadata":{document}}}],
            "shipping_address":{document},"metadata":{document}}}"#
    );
    let headers = [("content-type", "application/json"), ("idempotency-key", key)];
    api.send("POST", "/v1/orders", &headers, Some(body.as_bytes()))
}

#[test]
fn numbers_of_metadata_and_addresses_come_back_as_they_were_sent() {
    let api = Api::shared();
    let numbers = "[1,-1,0,-0,1.0,1.50,1E2,1e+2,1e400,-1e-400,12345678901234567890.123,9007199254740993,18446744073709551616]";
    let document = format!("{{\"b\":{numbers},\"a\":{{\"n\":1E2}}}}");
    let kept = format!("{{\"a\":{{\"n\":1E2}},\"b\":{numbers}}}");
    let placed = documented(&api, &fresh("key"), &document);
    assert_eq!(placed.status, 201, "{}", placed.text());
    assert_eq!(placed.text().matches(&kept).count(), 3, "{}", placed.text());
    let location = placed.header("location").unwrap().to_owned();
    let read = api.get(&location);
    assert_eq!(read.text().matches(&kept).count(), 3, "{}", read.text());
    // As numbers alone, too.
    let alone = documented(&api, &fresh("key"), "1e400");
    assert_eq!(alone.text().matches(":1e400").count(), 3, "{}", alone.text());
}

#[test]
fn a_document_sent_again_is_the_same_if_its_values_are_and_another_if_not() {
    let api = Api::shared();
    let (sku, key) = (stocked(&api, 9), fresh("key"));
    let first = documented_of(&api, &sku, &key, r#"{"a":1E2,"b":"x"}"#);
    assert_eq!(first.status, 201, "{}", first.text());
    for same in [r#"{"b":"x","a":1E2}"#, r#"{ "a" : 100.0, "b" : "\u0078" }"#] {
        let again = documented_of(&api, &sku, &key, same);
        assert!(again.replayed(), "{}", again.text());
        assert_eq!(again.bytes, first.bytes, "what was kept first");
    }
    documented_of(&api, &sku, &key, r#"{"a":101.0,"b":"x"}"#).problem(422, "idempotency_key_reused");
    let key = fresh("key");
    documented_of(&api, &sku, &key, "12345678901234567890.123").ok(201);
    documented_of(&api, &sku, &key, "12345678901234567890.124").problem(422, "idempotency_key_reused");
}

#[test]
fn a_document_that_is_ambiguous_or_too_deep_is_refused_by_its_place() {
    let api = Api::shared();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    documented(&api, &fresh("key"), &deep(100)).ok(201);
    for bad in [r#"{"a":1,"a":1}"#, r#"[{"a":1,"\u0061":2}]"#, r#""\ud800""#, &deep(101), &deep(50_000)] {
        let refused = documented(&api, &fresh("key"), bad);
        for pointer in ["/lines/0/metadata", "/shipping_address", "/metadata"] {
            refused.invalid(pointer);
        }
    }
}

#[test]
fn the_lengths_of_texts_are_published() {
    let limits = Api::shared().get("/v1/limits").ok(200);
    let expected = json!({"sku_characters": 128, "sku_bytes": 512, "name_characters": 128, "name_bytes": 512, "location_characters": 64,
        "location_bytes": 256, "label_characters": 256, "label_bytes": 1024, "metadata_bytes": 16_384, "metadata_levels": 100,
        "idempotency_key_bytes": 255, "correlation_id_bytes": 64, "page_items": {"default": 100, "max": 1000}});
    expected.as_object().unwrap().iter().for_each(|(name, value)| assert_eq!(&limits[name], value, "{name}"));
}

#[test]
fn a_request_id_of_the_caller_is_1_to_128_visible_characters() {
    let api = Api::shared();
    let asked = |id: &str| api.send("GET", "/v1/orders/ord_x", &[("x-request-id", id)], None).problem(404, "not_found");
    let longest = "r".repeat(128);
    assert_eq!(asked(&longest)["request_id"], longest);
    assert_ne!(asked(&format!("{longest}r"))["request_id"], format!("{longest}r"));
}

#[test]
fn a_hold_on_a_sku_of_the_longest_name_is_shown_with_it() {
    let api = Api::shared();
    let sku = long("🛒", 128);
    put(&api, &encoded(&sku), "berlin", 2);
    let held = hold(&api, &sku, 1);
    assert_eq!(held["lines"][0]["sku"], sku);
    let moved = api.get(&format!("/v1/inventory/{}/movements", encoded(&sku))).ok(200);
    assert_eq!(moved["items"].as_array().unwrap().len(), 2, "{moved}");
}

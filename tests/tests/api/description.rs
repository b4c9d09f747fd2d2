//! The description of the API and its pages: complete, true and offline.

use crate::client::Api;
use serde_json::Value;

#[test]
fn the_description_is_openapi_3_1() {
    let answer = Api::shared().get("/openapi.json");
    let description = answer.ok(200);
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!([&description["info"]["title"], &description["info"]["license"]["identifier"]], ["Holdfast", "Apache-2.0"]);
    references_resolve(&description, &description);
}

/// Every `$ref` points to something in the document.
fn references_resolve(whole: &Value, part: &Value) {
    match part {
        Value::Object(members) => members.iter().for_each(|(name, value)| match (name.as_str(), value) {
            ("$ref", Value::String(target)) => {
                let pointer = target.strip_prefix('#').unwrap_or_else(|| panic!("{target} is elsewhere"));
                assert!(whole.pointer(pointer).is_some(), "{target} names nothing");
            }
            (_, value) => references_resolve(whole, value),
        }),
        Value::Array(items) => items.iter().for_each(|item| references_resolve(whole, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_call_of_the_contract_is_described() {
    let description = Api::shared().get("/openapi.json").ok(200);
    let calls = [
        ("put", "/v1/inventory/{sku}/locations/{location}"),
        ("delete", "/v1/inventory/{sku}/locations/{location}"),
        ("get", "/v1/inventory"),
        ("get", "/v1/orders"),
        ("post", "/v1/inventory/{sku}/adjustments"),
        ("get", "/v1/inventory/{sku}"),
        ("patch", "/v1/inventory/{sku}"),
        ("get", "/v1/inventory/{sku}/movements"),
        ("post", "/v1/inventory/imports"),
        ("post", "/v1/availability:query"),
        ("post", "/v1/orders"),
        ("get", "/v1/orders/{id}"),
        ("get", "/v1/orders/{id}/timeline"),
        ("post", "/v1/orders/{id}/payments"),
        ("post", "/v1/orders/{id}:cancel"),
        ("post", "/v1/orders/{id}:confirm"),
        ("post", "/v1/reservations"),
        ("get", "/v1/reservations/{id}"),
        ("delete", "/v1/reservations/{id}"),
        ("post", "/v1/reservations/{id}:commit"),
        ("post", "/v1/reservations/{id}:extend"),
        ("post", "/v1/reservations:batch"),
        ("get", "/v1/events"),
        ("get", "/v1/events/stream"),
        ("get", "/livez"),
        ("get", "/readyz"),
        ("get", "/metrics"),
        ("get", "/v1/limits"),
        ("get", "/admin/v1/shards"),
        ("post", "/admin/v1/audit"),
        ("post", "/admin/v1/backups"),
        ("post", "/sandbox/payments/{attempt_id}/{step}"),
        ("get", "/sandbox/payments/{attempt_id}"),
        ("post", "/v1/webhooks/payments/sandbox"),
    ];
    for (method, path) in calls {
        assert!(description["paths"][path][method].is_object(), "{method} {path}");
    }
}

#[test]
fn every_path_described_is_answered_by_something_that_knows_it() {
    let api = Api::shared();
    let description = api.get("/openapi.json").ok(200);
    let mut seen = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys().filter(|method| *path != "/v1/events/stream" || *method != "get") {
            let filled = path.replace(['{', '}'], "");
            let body = ["post", "put", "patch"].contains(&method.as_str()).then_some(b"".as_slice());
            let answer = api.send(&method.to_uppercase(), &filled, &[], body);
            let known = match answer.status {
                404 => !answer.json()["detail"].as_str().unwrap().starts_with("no resource"),
                status => status != 405 && status < 500,
            };
            assert!(known, "{method} {path}: {}", answer.text());
            seen += 1;
        }
    }
    assert!(seen >= 30, "{seen}");
}

#[test]
fn a_resource_asked_by_another_method_is_405_and_a_path_nobody_serves_404() {
    let api = Api::shared();
    let description = api.get("/openapi.json").ok(200);
    for path in description["paths"].as_object().unwrap().keys() {
        let filled = path.replace(['{', '}'], "");
        api.send("OPTIONS", &filled, &[], None).problem(405, "method_not_allowed");
    }
    for path in ["/v1", "/v1/order", "/v2/orders", "/v1/orders/x/y/z", "/admin", "/v1/orders/a:b:cancel"] {
        api.get(path).problem(404, "not_found");
    }
}

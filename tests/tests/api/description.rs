//! The description of the API and its pages: complete, true and offline.

use crate::client::Api;
use crate::contract::calls::Call;
use crate::contract::{Contract, Operation};
use crate::shop::put;
use holdfast_tests::server::{Options, Server};
use serde_json::{Value, json};
use std::collections::BTreeSet;

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

/// A call made of what the description shows: `None` where it shows no example of something that is needed.
fn shown(contract: &Contract, template: &str, method: &str, operation: &Operation<'_>) -> Option<Call> {
    // A plan has an id of its own, and there may be one shard only.
    if ["apply_tuning", "move_partition"].contains(&operation.id) {
        return None;
    }
    let content = operation.described["requestBody"]["content"].as_object()?;
    let (content_type, content) = content.iter().next()?;
    let schema = contract.resolved(&content["schema"]);
    let mut call = Call::shaped(method, template, false).at(template).with("content-type", content_type);
    call.body = Some(schema["examples"][0].to_string().into_bytes());
    for parameter in operation.described["parameters"].as_array().into_iter().flatten().filter(|one| one["required"] == true) {
        let schema = contract.resolved(&parameter["schema"]);
        let example = parameter["example"].as_str().or(schema["examples"][0].as_str())?;
        call = match parameter["name"].as_str()? {
            "Idempotency-Key" => call.with("idempotency-key", example),
            "If-Match" => call.with("if-match", example),
            name => Call { path: call.path.replace(&format!("{{{name}}}"), example), ..call },
        };
    }
    Some(call)
}

#[test]
fn every_example_of_a_request_succeeds_as_it_is_shown() {
    let server = Server::start(Options::new());
    let api = Api::of(&server);
    for sku in ["DEMO-SHIRT", "DEMO-MUG"] {
        put(&api, sku, "berlin", 500);
    }
    let contract = Contract::of(api.base()).unwrap();
    let calls = contract.operations().filter_map(|(template, method, operation)| shown(contract, template, method, &operation));
    let calls: Vec<Call> = calls.collect();
    for call in &calls {
        let answer = call.send(&api);
        assert!(matches!(answer.status, 200 | 201), "{call:?}: {}", answer.shown());
        assert!(!answer.text().contains("refused\":1") && !answer.text().contains("\"code\""), "{call:?}: {}", answer.text());
    }
    assert_eq!(calls.len(), 9, "orders, reservations, batches, counts, adjustments, thresholds, queries, imports, plans");
}

#[test]
fn operations_have_unique_ids_and_a_key_is_asked_for_where_the_description_says_so() {
    let contract = Contract::of(Api::shared().base()).unwrap();
    let ids: Vec<String> = contract.operations().map(|(.., operation)| operation.id.to_owned()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert_eq!(contract.description["security"], json!([{}, {"api_key": []}]));
    assert_eq!(contract.description["components"]["securitySchemes"]["api_key"]["scheme"], "bearer");
    for (path, _, operation) in contract.operations() {
        let open = operation.described["security"] == json!([]);
        let guarded = path.starts_with("/v1/") || path.starts_with("/admin/") || path == "/metrics";
        let known = ["/v1/limits", "/v1/webhooks/payments/sandbox"].contains(&path);
        assert_eq!(open, !guarded || known, "{path}");
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
        ("post", "/admin/v1/partitions/{id}:move"),
        ("get", "/admin/v1/operations/{id}"),
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

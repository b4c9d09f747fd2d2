//! HTTP as RFC 9110 has it, on every route: methods, query parameters, headers that may be there once, codings, request ids.

use crate::client::{Answer, Api};
use crate::raw;
use crate::shop::{fresh, hold, id, order, place, post, put, reservation, stocked};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};

const JSON: (&str, &str) = ("content-type", "application/json");
const IMPORTS: &str = "/v1/inventory/imports";

/// A path of the description with names in it that nothing is known under, and its methods, in capitals.
fn routes(api: &Api) -> Vec<(String, BTreeSet<String>)> {
    let description = api.get("/openapi.json").ok(200);
    let paths = description["paths"].as_object().unwrap();
    let filled = |path: &str| {
        let id = if path.contains("reservations") { "res_" } else { "ord_" };
        let path = path.replace("{id}", &format!("{id}00000000000000000000000000"));
        path.replace("{step}", "approve").replace(['{', '}'], "")
    };
    let methods = |operations: &Value| operations.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
    let pages = ["/", "/openapi.json", "/problems", "/problems/not_found", "/docs", "/docs/index.html"];
    let pages = pages.map(|path| (path.to_owned(), BTreeSet::from(["GET".to_owned()])));
    paths.iter().map(|(path, operations)| (filled(path), methods(operations))).chain(pages).collect()
}

fn is_api(path: &str) -> bool {
    path.starts_with("/v1/") || path.starts_with("/admin/")
}

fn call(api: &Api, method: &str, path: &str) -> Answer {
    let body = ["POST", "PUT", "PATCH"].contains(&method).then_some(b"{}".as_slice());
    api.send(method, path, &[JSON][..usize::from(body.is_some())], body)
}

#[test]
fn a_method_that_a_path_does_not_take_is_405_and_the_answer_lists_those_it_takes() {
    let api = Api::shared();
    let mut seen = 0;
    for (path, mut methods) in routes(&api) {
        if path == IMPORTS {
            // It is the path of a SKU too.
            methods.extend(["GET".to_owned(), "PATCH".to_owned()]);
        }
        if methods.contains("GET") {
            methods.insert("HEAD".to_owned());
        }
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if methods.contains(method) {
                continue;
            }
            let answer = call(&api, method, &path);
            assert_eq!(answer.status, 405, "{method} {path}");
            let allowed = answer.header("allow").unwrap_or_else(|| panic!("{method} {path} has no Allow"));
            assert_eq!(allowed.split(", ").map(str::to_owned).collect::<BTreeSet<_>>(), methods, "{method} {path}");
            if method != "HEAD" {
                answer.problem(405, "method_not_allowed");
            }
            seen += 1;
        }
    }
    assert!(seen > 200, "{seen}");
    let unheard = exchange(&api, "BREW /v1/orders HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(
        unheard.starts_with("HTTP/1.1 405") && unheard.to_ascii_lowercase().contains("\r\nallow: post, get, head\r\n"),
        "{unheard}"
    );
}

#[test]
fn whatever_can_be_read_is_answered_to_head_with_the_same_headers_and_no_body() {
    let api = Api::shared();
    let (sku, placed) = (stocked(&api, 5), place(&api, &order(&stocked(&api, 1), 1)));
    let held = hold(&api, &sku, 1);
    let own = [format!("/v1/inventory/{sku}"), format!("/v1/orders/{}", id(&placed)), format!("/v1/reservations/{}", id(&held))];
    let reads = routes(&api).into_iter().filter(|(_, methods)| methods.contains("GET")).map(|(path, _)| path);
    for path in reads.chain(own).filter(|path| !path.ends_with("/stream")) {
        let (head, get) = (api.send("HEAD", &path, &[], None), api.get(&path));
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.bytes.is_empty(), "{path}");
        let measured = ["/metrics", "/v1/events", "/v1/inventory"].contains(&path.as_str());
        for header in ["content-type", "etag", "location", "retry-after", "content-length"] {
            if !(measured && header == "content-length") {
                assert_eq!(head.header(header), get.header(header), "{header} of {path}");
            }
        }
    }
}

/// Sends bytes and reads what is answered until the server closes.
fn exchange(api: &Api, request: &str) -> String {
    let mut socket = raw::connect(api.server());
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_answer_to_head_ends_with_its_headers_on_a_connection_that_goes_on() {
    let api = Api::shared();
    for path in ["/v1/limits", "/v1/events/stream", "/v1/orders/ord_x"] {
        let (head, get) =
            (format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"), "GET /livez HTTP/1.1\r\nHost: localhost\r\n");
        let answer = exchange(&api, &format!("{head}{get}Connection: close\r\n\r\n"));
        let (first, second) = answer.split_once("\r\n\r\n").unwrap();
        assert!(first.starts_with("HTTP/1.1 "), "{first}");
        assert!(second.starts_with("HTTP/1.1 200 OK") && second.ends_with("{\"status\":\"alive\"}"), "{path}: {second}");
    }
}

#[test]
fn the_stream_of_events_answers_head_with_what_it_would_be() {
    let answer = Api::shared().send("HEAD", "/v1/events/stream", &[], None);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn a_query_parameter_that_nobody_knows_is_refused_on_every_route_of_the_api() {
    let api = Api::shared();
    let mut seen = 0;
    for (path, methods) in routes(&api).into_iter().filter(|(path, _)| is_api(path)) {
        for method in methods {
            call(&api, &method, &format!("{path}?nonsense=1")).invalid("?nonsense");
            seen += 1;
        }
    }
    assert!(seen >= 25, "{seen}");
}

#[test]
fn a_query_parameter_that_is_repeated_or_does_not_parse_is_refused_by_its_name() {
    let api = Api::shared();
    let movements = format!("/v1/inventory/{}/movements", stocked(&api, 1));
    for path in ["/v1/events", movements.as_str()] {
        for (query, parameter) in [
            ("limit=1&limit=1", "?limit"),
            ("limit=1&%6cimit=1", "?limit"),
            ("after=&after=", "?after"),
            ("limit=x", "?limit"),
            ("limit=", "?limit"),
            ("limit=-1", "?limit"),
            ("limit=1.5", "?limit"),
            ("limit=%2B1", "?limit"),
            ("limit=99999999999999999999999", "?limit"),
            ("after=%ff", "?after"),
            ("after=%zz", "?after"),
            ("after=x", "?after"),
            ("LIMIT=1", "?LIMIT"),
            ("after[]=1", "?after[]"),
        ] {
            api.get(&format!("{path}?{query}")).invalid(parameter);
        }
        api.get(&format!("{path}?limit=1&after=")).ok(200);
    }
    api.get("/v1/events/stream?after=&after=").invalid("?after");
    api.get("/v1/events/stream?limit=1").invalid("?limit");
    api.get("/v1/events/stream?after=x").invalid("?after");
    api.send("GET", "/v1/events/stream", &[("last-event-id", "x")], None).problem(400, "invalid_request");
    api.send("GET", "/v1/events/stream", &[("last-event-id", "\u{e9}")], None).problem(400, "invalid_request");
    let press = format!("/sandbox/payments/pay_{}-1/approve", "0".repeat(26));
    api.act(&format!("{press}?duplicates=256")).invalid("?duplicates");
    api.act(&format!("{press}?delay=1")).invalid("?delay");
}

#[test]
fn a_header_that_says_one_thing_is_refused_when_it_is_there_twice() {
    let api = Api::shared();
    let (sku, key) = (stocked(&api, 9), fresh("key"));
    let body = order(&sku, 1).to_string();
    let place = |headers: &[(&str, &str)]| api.send("POST", "/v1/orders", headers, Some(body.as_bytes()));
    let own = ("idempotency-key", key.as_str());
    place(&[JSON, own, own]).problem(400, "invalid_request");
    place(&[JSON, own, ("idempotency-key", "other")]).problem(400, "invalid_request");
    place(&[JSON, JSON, own]).problem(400, "invalid_request");
    place(&[JSON, own, ("authorization", "Bearer a"), ("authorization", "Bearer a")]).problem(400, "invalid_request");
    place(&[JSON, own, ("content-encoding", "identity"), ("content-encoding", "gzip")]).problem(400, "invalid_request");
    api.send("GET", "/v1/events/stream", &[("last-event-id", "0"), ("last-event-id", "0")], None).problem(400, "invalid_request");
    let set = format!("/v1/inventory/{sku}/locations/berlin");
    let twice = [("if-match", "*"), ("if-match", "*")];
    api.json("PUT", &set, &twice, &json!({"on_hand": 1})).problem(400, "invalid_request");
    place(&[JSON, own]).ok(201);
}

#[test]
fn a_body_in_a_content_coding_is_415_and_the_answer_says_which_are_taken() {
    let api = Api::shared();
    let (sku, placed) = (stocked(&api, 9), place(&api, &order(&stocked(&api, 1), 1)));
    let calls = [
        ("POST", "/v1/orders".to_owned(), order(&sku, 1)),
        ("POST", "/v1/reservations".to_owned(), reservation(&sku, 1)),
        ("POST", "/v1/reservations:batch".to_owned(), json!({"items": []})),
        ("PUT", format!("/v1/inventory/{sku}/locations/berlin"), json!({"on_hand": 1})),
        ("PATCH", format!("/v1/inventory/{sku}"), json!({"low_stock_threshold": 1})),
        ("POST", format!("/v1/inventory/{sku}/adjustments"), json!({"location": "berlin", "delta": 1, "reason": "x"})),
        ("POST", format!("/v1/orders/{}:cancel", id(&placed)), json!({"reason": "x"})),
        ("POST", IMPORTS.to_owned(), json!({"sku": sku, "location": "berlin", "on_hand": 1})),
        ("POST", "/v1/webhooks/payments/sandbox".to_owned(), json!({})),
    ];
    for (method, path, body) in calls {
        let content_type = if path == IMPORTS { ("content-type", "application/x-ndjson") } else { JSON };
        for coding in ["gzip", "br", "x-custom", "gzip, identity", "identity, gzip"] {
            let headers = [content_type, ("idempotency-key", "k"), ("if-match", "*"), ("content-encoding", coding)];
            let without_condition = [headers[0], headers[1], headers[3]];
            let conditional = method == "PUT" || method == "PATCH";
            let headers = if conditional { headers.as_slice() } else { without_condition.as_slice() };
            let answer = api.send(method, &path, headers, Some(body.to_string().as_bytes()));
            answer.problem(415, "unsupported_media_type");
            assert_eq!(answer.header("accept-encoding"), Some("identity"), "{method} {path}");
        }
    }
    let headers = [JSON, ("idempotency-key", &*fresh("key")), ("content-encoding", "Identity")];
    api.send("POST", "/v1/orders", &headers, Some(order(&sku, 1).to_string().as_bytes())).ok(201);
}

#[test]
fn a_charset_other_than_utf_8_is_415_and_utf_8_is_taken_however_it_is_spelled() {
    let api = Api::shared();
    let sku = stocked(&api, 100);
    let body = order(&sku, 1).to_string();
    let place = |content_type: &str| {
        let headers = [("content-type", content_type), ("idempotency-key", &*fresh("key"))];
        api.send("POST", "/v1/orders", &headers, Some(body.as_bytes()))
    };
    for taken in [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        "application/json; CharSet=\"Utf-8\"",
        "application/json ; charset=\"utf\\-8\"",
        "application/json; version=1; charset=utf8",
    ] {
        place(taken).ok(201);
    }
    for refused in [
        "application/json; charset=latin1",
        "application/json; charset=\"iso-8859-1\"",
        "application/json; charset=utf-16",
        "application/json; charset=",
        "application/json; charset=utf-8; charset=latin1",
        "application/jsonp",
        "text/json",
    ] {
        place(refused).problem(415, "unsupported_media_type");
    }
    let row = json!({"sku": sku, "location": "berlin", "on_hand": 100}).to_string();
    let import = |kind| api.send("POST", IMPORTS, &[("content-type", kind)], Some(row.as_bytes()));
    assert_eq!(import("application/ndjson; charset=utf-8").status, 200);
    import("application/x-ndjson; charset=latin1").problem(415, "unsupported_media_type");
}

/// A body that is taken as an object, with the array that has the same members by their place.
fn bodies(sku: &str) -> Vec<(&'static str, String, Value)> {
    let line = json!([sku, 1, 100, null, null]);
    vec![
        ("POST", "/v1/orders".to_owned(), json!(["ada", "EUR", [line], null, null, false, null, null, null])),
        ("POST", "/v1/orders".to_owned(), json!({"customer_id": "ada", "currency": "EUR", "lines": [line]})),
        (
            "POST",
            "/v1/orders".to_owned(),
            json!({"customer_id": "ada", "currency": "EUR", "lines": [{"sku": sku, "quantity": 1, "unit_price": 1}], "payment": ["sandbox", null]}),
        ),
        ("POST", "/v1/reservations".to_owned(), json!([null, [{"sku": sku, "quantity": 1}], null])),
        ("POST", "/v1/reservations".to_owned(), json!({"lines": [[sku, 1]]})),
        ("POST", "/v1/reservations:batch".to_owned(), json!([[]])),
        ("POST", "/v1/reservations:batch".to_owned(), json!({"items": [["key", null, [{"sku": sku, "quantity": 1}], null]]})),
        ("POST", "/v1/reservations:batch".to_owned(), json!({"items": [{"key": "k", "lines": [[sku, 1]]}]})),
        ("PUT", format!("/v1/inventory/{sku}/locations/berlin"), json!([7, null, null])),
        ("PATCH", format!("/v1/inventory/{sku}"), json!([7])),
        ("POST", format!("/v1/inventory/{sku}/adjustments"), json!(["berlin", "on_hand", 5, "x", null])),
        ("POST", "/v1/availability:query".to_owned(), json!([[sku]])),
        ("POST", format!("/v1/orders/ord_{}:cancel", "0".repeat(26)), json!(["x"])),
        ("POST", format!("/v1/reservations/res_{}:extend", "0".repeat(26)), json!([7])),
        ("POST", format!("/v1/orders/ord_{}/payments", "0".repeat(26)), json!(["sandbox", null])),
    ]
}

#[test]
fn an_array_is_no_object_in_any_body() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    let before = crate::shop::stock(&api, &sku);
    for (method, path, body) in bodies(&sku) {
        let all = [("if-match", "*"), ("idempotency-key", &*fresh("key"))];
        let headers = if method == "POST" { &all[1..] } else { &all };
        let answer = api.json(method, &path, headers, &body);
        // Of an id that is none: the body is looked at before it.
        assert_eq!(answer.status, 400, "{method} {path} {body}: {}", answer.text());
    }
    let answer = api.send(
        "POST",
        IMPORTS,
        &[("content-type", "application/x-ndjson")],
        Some(format!("[\"{sku}\",\"berlin\",1,null]").as_bytes()),
    );
    assert_eq!(
        answer.text().lines().last().map(|last| serde_json::from_str::<Value>(last).unwrap()["refused"].clone()),
        Some(json!(1))
    );
    assert_eq!(crate::shop::stock(&api, &sku), before);
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    let place = |body: &str| {
        let headers = [JSON, ("idempotency-key", &*fresh("key"))];
        api.send("POST", "/v1/orders", &headers, Some(body.as_bytes()))
    };
    let line = format!("{{\"sku\":\"{sku}\",\"quantity\":1,\"unit_price\":1}}");
    let twice = format!("{{\"sku\":\"{sku}\",\"quantity\":1,\"unit_price\":1,\"quantity\":2}}");
    place(&format!("{{\"customer_id\":\"a\",\"customer_id\":\"b\",\"currency\":\"EUR\",\"lines\":[{line}]}}"))
        .problem(400, "invalid_request");
    place(&format!("{{\"customer_id\":\"a\",\"currency\":\"EUR\",\"lines\":[{twice}]}}")).problem(400, "invalid_request");
    place(&format!("{{\"customer_id\":\"a\",\"currency\":\"EUR\",\"lines\":[{line}]}}")).ok(201);
}

#[test]
fn every_answer_has_the_id_of_its_request() {
    let api = Api::shared();
    let (sku, placed) = (stocked(&api, 9), place(&api, &order(&stocked(&api, 1), 1)));
    let key = fresh("key");
    let calls: Vec<(&str, String, Option<Value>)> = vec![
        ("GET", "/livez".to_owned(), None),
        ("GET", "/".to_owned(), None),
        ("GET", "/docs/".to_owned(), None),
        ("GET", "/nothing/here".to_owned(), None),
        ("DELETE", "/v1/orders".to_owned(), None),
        ("HEAD", "/v1/limits".to_owned(), None),
        ("GET", "/v1/orders/ord_x".to_owned(), None),
        ("GET", format!("/v1/orders/{}", id(&placed)), None),
        ("GET", format!("/v1/inventory/{sku}"), None),
        ("POST", "/v1/orders".to_owned(), Some(order(&sku, 1))),
        ("POST", "/v1/orders".to_owned(), Some(order(&sku, 1))),
        ("POST", "/v1/orders".to_owned(), Some(json!({}))),
        ("POST", "/v1/orders".to_owned(), Some(order("nobody-stocked-this", 1))),
        ("POST", "/v1/availability:query".to_owned(), Some(json!({"skus": []}))),
    ];
    for (method, path, body) in calls {
        let headers = [JSON, ("idempotency-key", key.as_str()), ("x-request-id", "trace-42")];
        let body = body.map(|body| body.to_string());
        let answer =
            api.send(method, &path, &headers[if body.is_some() { 0 } else { 2 }..], body.as_ref().map(|body| body.as_bytes()));
        assert_eq!(answer.header("x-request-id"), Some("trace-42"), "{method} {path}");
    }
    let stream = api.open("/v1/events/stream", &[("x-request-id", "trace-42")]);
    assert_eq!(stream.headers()["x-request-id"], "trace-42");
    let foreign = api.send("GET", "/livez", &[("host", "evil.example"), ("x-request-id", "trace-42")], None);
    assert_eq!((foreign.status, foreign.header("x-request-id")), (421, Some("trace-42")));
}

#[test]
fn a_request_id_that_cannot_be_used_is_replaced_by_a_new_one() {
    let api = Api::shared();
    let long = "x".repeat(1000);
    for unusable in ["", "two words", long.as_str()] {
        let answer = api.send("GET", "/v1/orders/ord_x", &[("x-request-id", unusable)], None);
        let made = answer.header("x-request-id").unwrap();
        assert!(made.starts_with("req_"), "{made}");
        assert_eq!(answer.problem(404, "not_found")["request_id"], made);
    }
    let twice = api.send("GET", "/livez", &[("x-request-id", "a"), ("x-request-id", "b")], None);
    assert!(twice.header("x-request-id").unwrap().starts_with("req_"));
    let [one, other] = [api.get("/livez"), api.get("/livez")];
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
    let refused = post(&api, "/v1/orders", &json!({}));
    assert_eq!(refused.problem(400, "invalid_request")["request_id"], refused.header("x-request-id").unwrap());
}

#[test]
fn a_path_that_is_no_percent_encoded_text_is_refused_and_never_a_failure() {
    let api = Api::shared();
    for broken in ["%ff", "%C3", "%zz", "%", "a%2", "%ed%a0%80"] {
        let answer =
            exchange(&api, &format!("GET /v1/inventory/{broken} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 404"), "{broken}: {answer}");
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn a_sku_may_have_any_name_those_of_our_own_routes_too() {
    let api = Api::shared();
    let names = [
        "imports",
        "imports/..",
        "a:b",
        "x/y",
        ".",
        "..",
        "movements",
        "adjustments",
        "locations",
        "50%",
        "%2F",
        "a+b",
        "a?b#c",
        "größe-☕",
        "x:cancel",
        "{sku}",
        "\"q\"",
    ];
    for name in names {
        let path = format!("/v1/inventory/{}", encoded(name));
        put(&api, &encoded(name), &encoded(name), 5);
        let stock = api.get(&path).ok(200);
        assert_eq!(
            (&stock["sku"], &stock["locations"][0]["location"], &stock["on_hand"]),
            (&json!(name), &json!(name), &json!(5))
        );
        assert_eq!(api.json("PATCH", &path, &[], &json!({"low_stock_threshold": 7})).ok(200)["low_stock_threshold"], 7);
        let adjustment = json!({"location": name, "delta": 1, "reason": "x"});
        assert_eq!(post(&api, &format!("{path}/adjustments"), &adjustment).ok(201)["on_hand"], 6);
        let movements = api.get(&format!("{path}/movements")).ok(200);
        assert_eq!(movements["items"].as_array().unwrap().len(), 3, "{name}");
        place(&api, &order(name, 1));
    }
    // Unencoded, where the path allows it.
    assert_eq!(api.get("/v1/inventory/imports").ok(200)["sku"], "imports");
    assert_eq!(api.get("/v1/inventory/a:b").ok(200)["sku"], "a:b");
}

#[test]
fn an_id_has_one_spelling_and_nothing_behind_it_is_ignored() {
    let api = Api::shared();
    let (sku, placed) = (stocked(&api, 9), place(&api, &order(&stocked(&api, 1), 1)));
    let (order, held) = (id(&placed), hold(&api, &sku, 1));
    let bare = order.strip_prefix("ord_").unwrap();
    for wrong in [
        format!("{order}-1"),
        format!("{order}-99"),
        format!("{order}-"),
        format!("ord_{}", bare.to_uppercase()),
        format!("ORD_{bare}"),
        format!("res_{bare}"),
    ] {
        api.get(&format!("/v1/orders/{wrong}")).problem(404, "not_found");
        api.get(&format!("/v1/orders/{wrong}/timeline")).problem(404, "not_found");
        api.act(&format!("/v1/orders/{wrong}:cancel")).problem(404, "not_found");
        post(&api, &format!("/v1/orders/{wrong}/payments"), &json!({"provider": "sandbox"})).problem(404, "not_found");
    }
    assert_eq!(api.get(&format!("/v1/reservations/res_{bare}")).ok(200)["id"], format!("res_{bare}"));
    api.get(&format!("/v1/reservations/res_{bare}-1")).ok(200);
    for generation in ["-2", "-99", "-0", "-01", "-+1", "-", "-x", "-1-1"] {
        api.get(&format!("/v1/reservations/res_{bare}{generation}")).problem(404, "not_found");
        api.act(&format!("/v1/reservations/{}{generation}:commit", id(&held))).problem(404, "not_found");
        api.delete(&format!("/v1/reservations/{}{generation}", id(&held))).problem(404, "not_found");
    }
    assert_eq!(api.get(&format!("/v1/reservations/{}", id(&held))).ok(200)["status"], "held");
    api.act(&format!("/v1/reservations/{}-1:extend", id(&held))).ok(200);
    let paying = post(&api, &format!("/v1/orders/{order}/payments"), &json!({"provider": "sandbox"})).ok(201);
    let attempt = paying["attempt_id"].as_str().unwrap().strip_suffix("-1").unwrap();
    for wrong in ["-01", "-+1", "-", "-2"] {
        api.act(&format!("/sandbox/payments/{attempt}{wrong}/approve")).problem(404, "not_found");
    }
}

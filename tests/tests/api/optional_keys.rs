//! Idempotency keys where they may be left out: a mutation that is sent again after others does not take effect again.

use crate::client::{Answer, Api};
use crate::shop::{PATIENCE, counts, fresh, hold, id, order, place, put, stock, stocked};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};

/// A call that may have a key: method, path, body, and another body.
struct Call {
    method: &'static str,
    path: String,
    body: Value,
    other: Value,
}

/// Every such call, each on a resource of its own.
fn calls(api: &Api) -> Vec<Call> {
    let sku = stocked(api, 90);
    let placed = |verb: &str| format!("/v1/orders/{}:{verb}", id(&place(api, &order(&sku, 1))));
    let held = |verb: &str| format!("/v1/reservations/{}{verb}", id(&hold(api, &sku, 1)));
    let reason = || (json!({"reason": "one"}), json!({"reason": "other"}));
    let call = |method, path, (body, other): (Value, Value)| Call { method, path, body, other };
    vec![
        call("POST", placed("cancel"), reason()),
        call("POST", placed("confirm"), reason()),
        call("POST", held(":commit"), reason()),
        call("POST", held(":extend"), (json!({"ttl_seconds": 2000}), json!({"ttl_seconds": 3000}))),
        call("DELETE", held(""), (Value::Null, Value::Null)),
        call(
            "PATCH",
            format!("/v1/inventory/{}", stocked(api, 5)),
            (json!({"low_stock_threshold": 3}), json!({"low_stock_threshold": 4})),
        ),
        call(
            "PUT",
            format!("/v1/inventory/{}/locations/berlin", stocked(api, 5)),
            (json!({"on_hand": 7}), json!({"on_hand": 8})),
        ),
    ]
}

fn send(api: &Api, call: &Call, key: &str, body: &Value) -> Answer {
    let headers = [("idempotency-key", key), ("if-match", "*")];
    match body {
        Value::Null => api.send(call.method, &call.path, &headers, None),
        body => api.json(call.method, &call.path, &headers, body),
    }
}

#[track_caller]
fn same(first: &Answer, again: &Answer) {
    assert!(again.replayed(), "{}", again.text());
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    for header in ["content-type", "etag"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
}

#[test]
fn a_mutation_that_is_sent_again_under_its_key_is_answered_with_the_same_bytes() {
    let api = Api::shared();
    for call in calls(&api) {
        let key = fresh("key");
        let first = send(&api, &call, &key, &call.body);
        assert!(first.status < 300 && !first.replayed(), "{} {}: {}", call.method, call.path, first.text());
        same(&first, &send(&api, &call, &key, &call.body));
        same(&first, &send(&api, &call, &format!("\"{key}\""), &call.body));
    }
}

#[test]
fn a_key_of_a_mutation_that_is_sent_with_another_body_is_refused() {
    let api = Api::shared();
    for call in calls(&api).iter().filter(|call| call.other != Value::Null) {
        let key = fresh("key");
        let first = send(&api, call, &key, &call.body);
        send(&api, call, &key, &call.other).problem(422, "idempotency_key_reused");
        same(&first, &send(&api, call, &key, &call.body));
    }
}

#[test]
fn a_mutation_needs_no_key_and_refuses_one_that_is_none() {
    let api = Api::shared();
    for call in calls(&api) {
        let long = "x".repeat(256);
        for none in ["", "two words", "\u{e9}", long.as_str()] {
            send(&api, &call, none, &call.body).problem(400, "invalid_request");
        }
        let answer = match &call.body {
            Value::Null => api.send(call.method, &call.path, &[], None),
            body => api.json(call.method, &call.path, &[("if-match", "*")], body),
        };
        assert!(answer.status < 300, "{} {}: {}", call.method, call.path, answer.text());
    }
}

#[test]
fn a_count_that_is_sent_again_does_not_undo_what_was_counted_since() {
    let api = Api::shared();
    let (sku, key) = (stocked(&api, 5), fresh("key"));
    let path = format!("/v1/inventory/{sku}/locations/berlin");
    let set = |key: &str, units: u64| {
        api.json("PUT", &path, &[("if-match", "*"), ("idempotency-key", key)], &json!({"on_hand": units}))
    };
    let first = set(&key, 7);
    set(&fresh("key"), 40).ok(200);
    same(&first, &set(&key, 7));
    counts(&stock(&api, &sku), &json!({"on_hand": 40}));
}

#[test]
fn a_threshold_that_is_sent_again_does_not_undo_what_was_set_since() {
    let api = Api::shared();
    let (sku, key) = (stocked(&api, 5), fresh("key"));
    let set = |key: &str, units: u64| {
        api.json("PATCH", &format!("/v1/inventory/{sku}"), &[("idempotency-key", key)], &json!({"low_stock_threshold": units}))
    };
    let first = set(&key, 7);
    set(&fresh("key"), 2).ok(200);
    same(&first, &set(&key, 7));
    assert_eq!(stock(&api, &sku)["low_stock_threshold"], 2);
}

#[test]
fn an_extension_that_is_sent_again_extends_once() {
    let api = Api::shared();
    let held = hold(&api, &stocked(&api, 5), 1);
    let path = format!("/v1/reservations/{}", id(&held));
    let extend =
        |key: &str| api.json("POST", &format!("{path}:extend"), &[("idempotency-key", key)], &json!({"ttl_seconds": 5000}));
    let key = fresh("key");
    let first = extend(&key);
    first.ok(200);
    same(&first, &extend(&key));
    assert_eq!(api.get(&path).ok(200)["version"], first.json()["version"]);
    assert_ne!(extend(&fresh("key")).ok(200)["version"], first.json()["version"]);
}

#[test]
fn a_refusal_under_a_key_stays_what_it_was_when_it_would_succeed_now() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let held = hold(&api, &sku, 3);
    let path = format!("/v1/inventory/{sku}/locations/berlin");
    let set = |key: &str| api.json("PUT", &path, &[("if-match", "*"), ("idempotency-key", key)], &json!({"on_hand": 1}));
    let key = fresh("key");
    let first = set(&key);
    assert_eq!(first.status, 409, "{}", first.text());
    api.delete(&format!("/v1/reservations/{}", id(&held))).ok(204);
    same(&first, &set(&key));
    set(&fresh("key")).ok(200);
}

#[test]
fn a_cancelled_order_is_answered_under_the_key_as_it_was_then() {
    let api = Api::shared();
    let placed = place(&api, &order(&stocked(&api, 5), 1));
    let path = format!("/v1/orders/{}:confirm", id(&placed));
    let confirm = |key: &str| api.json("POST", &path, &[("idempotency-key", key)], &json!({}));
    let (key, late) = (fresh("key"), fresh("key"));
    let first = confirm(&key);
    assert_eq!(first.ok(200)["status"], "confirmed");
    // Twice is once: nothing is left to do, and the key is bound to that.
    let nothing = confirm(&late);
    assert_eq!((nothing.replayed(), &nothing.json()["version"]), (false, &first.json()["version"]));
    same(&nothing, &confirm(&late));
    same(&first, &confirm(&key));
}

#[test]
fn what_found_nothing_or_another_version_binds_no_key() {
    let api = Api::shared();
    let (sku, key) = (fresh("sku"), fresh("key"));
    let set = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers.iter().copied().chain([("idempotency-key", key.as_str())]).collect();
        api.json("PATCH", &format!("/v1/inventory/{sku}"), &headers, &json!({"low_stock_threshold": 3}))
    };
    set(&[]).problem(404, "not_found");
    put(&api, &sku, "berlin", 1);
    set(&[("if-match", "\"9\"")]).problem(412, "precondition_failed");
    set(&[]).ok(200);
}

#[test]
fn a_key_belongs_to_one_resource_and_one_verb() {
    let api = Api::shared();
    let (one, two, key) = (stocked(&api, 5), stocked(&api, 5), fresh("key"));
    for sku in [&one, &two] {
        for location in ["berlin", "lyon"] {
            let path = format!("/v1/inventory/{sku}/locations/{location}");
            let set = api.json("PUT", &path, &[("if-match", "*"), ("idempotency-key", &key)], &json!({"on_hand": 8}));
            assert!(!set.replayed() && set.status == 200, "{}", set.text());
        }
        let threshold =
            api.json("PATCH", &format!("/v1/inventory/{sku}"), &[("idempotency-key", &key)], &json!({"low_stock_threshold": 8}));
        assert!(!threshold.replayed() && threshold.status == 200, "{}", threshold.text());
    }
    let held = hold(&api, &one, 1);
    let path = format!("/v1/reservations/{}", id(&held));
    api.json("POST", &format!("{path}:extend"), &[("idempotency-key", &key)], &json!({})).ok(200);
    let released = api.send("DELETE", &path, &[("idempotency-key", &key)], None);
    assert!(released.status == 204 && !released.replayed());
}

#[test]
fn what_was_done_to_an_order_under_a_key_is_no_answer_about_its_stock_side() {
    let api = Api::shared();
    let (placed, key) = (place(&api, &order(&stocked(&api, 1), 1)), fresh("key"));
    let own = [("idempotency-key", key.as_str())];
    api.json("POST", &format!("/v1/orders/{}:cancel", id(&placed)), &own, &json!({})).ok(200);
    let reservation = format!("/v1/reservations/{}", id(&placed).replacen("ord", "res", 1));
    api.send("DELETE", &reservation, &own, None).problem(404, "not_found");
}

#[test]
fn an_import_that_is_sent_again_under_its_key_repeats_no_line() {
    let api = Api::shared();
    let (one, two, key) = (fresh("sku"), fresh("sku"), fresh("key"));
    let row = |sku: &str, units: u64| format!("{}\n", json!({"sku": sku, "location": "berlin", "on_hand": units}));
    let import = |key: &str, rows: &str| {
        let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", key)];
        let answer = api.send("POST", "/v1/inventory/imports", &headers, Some(rows.as_bytes()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let rows = format!("{}{}{}", row(&one, 3), row(&two, 4), row(&one, 5));
    assert_eq!(import(&key, &rows), [json!({"imported": 3, "refused": 0})]);
    put(&api, &one, "berlin", 77);
    assert_eq!(import(&key, &rows), [json!({"imported": 3, "refused": 0})]);
    counts(&stock(&api, &one), &json!({"on_hand": 77}));
    let changed = import(&key, &row(&one, 9));
    assert_eq!(changed[0]["code"], "idempotency_key_reused");
    import(&fresh("key"), &rows);
    counts(&stock(&api, &one), &json!({"on_hand": 5}));
}

#[test]
fn keys_of_mutations_outlive_a_kill_and_the_memory_of_their_orders() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    let calls = calls(&api);
    let answers: Vec<(String, Answer)> = calls
        .iter()
        .map(|call| {
            let key = fresh("key");
            (key.clone(), send(&api, call, &key, &call.body))
        })
        .collect();
    for _ in 0..2 {
        for (call, (key, first)) in calls.iter().zip(&answers) {
            same(first, &send(&api, call, key, &call.body));
            if call.other != Value::Null {
                send(&api, call, key, &call.other).problem(422, "idempotency_key_reused");
            }
        }
        server.restart();
    }
    server.kill();
    let (sound, said) = server.verify();
    assert!(sound, "{said}");
}

/// A client without a key, then with one, then with a renamed one: its retries meet its orders.
#[test]
fn a_scope_makes_retries_safe_when_keys_are_turned_on_or_renamed() {
    let mut server = Server::start(Options::new());
    let open = Api::of(&server);
    let (sku, key) = (stocked(&open, 9), fresh("key"));
    assert_eq!(open.get("/v1/limits").ok(200)["idempotency"]["scope"], "");
    let first = open.keyed("/v1/orders", &key, &order(&sku, 1));
    first.ok(201);
    let dir = server.data_dir().display().to_string();
    let new = |server: &Server, args: &[&str]| {
        let args: Vec<&str> = ["key", "new", "--data-dir", &dir, "--json"].iter().chain(args).copied().collect();
        let (status, said) = server.run(&args);
        assert!(status.success());
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let continued = new(&server, &["--name", "shop", "--scope", ""]);
    let renamed = new(&server, &["--name", "storefront", "--scope", ""]);
    let stranger = new(&server, &["--name", "stranger"]);
    assert_eq!((&continued["scope"], &stranger["scope"]), (&json!(""), &json!("stranger")));
    server.restart();
    let with_key = |made: &Value| Api::of(&server).with_key(made["key"].as_str().unwrap());
    for made in [&continued, &renamed] {
        let again = with_key(made).keyed("/v1/orders", &key, &order(&sku, 1));
        assert!(again.replayed() && again.text() == first.text(), "{}", again.text());
        assert_eq!(with_key(made).get("/v1/limits").ok(200)["idempotency"]["scope"], "");
    }
    let other = with_key(&stranger);
    assert_eq!(other.get("/v1/limits").ok(200)["idempotency"]["scope"], "stranger");
    assert_eq!(Api::of(&server).get("/v1/limits").ok(200)["idempotency"]["scope"], Value::Null);
    assert!(!other.keyed("/v1/orders", &key, &order(&sku, 1)).replayed());
    let shop = with_key(&continued);
    assert_eq!(poll(PATIENCE, || (stock(&shop, &sku)["held"] == 2).then_some(())), Some(()));
}

//! Conditional requests (RFC 9110, section 13): obeyed where there is a version, refused where there is none.

use crate::client::{Answer, Api};
use crate::shop::{counts, fresh, hold, id, order, order_now, place, reservation, stock, stocked};
use serde_json::{Value, json};

const CONDITIONS: [(&str, &str); 7] = [
    ("if-match", "\"1\""),
    ("if-match", "*"),
    ("if-none-match", "\"1\""),
    ("if-none-match", "*"),
    ("if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ("if-unmodified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ("if-range", "\"1\""),
];

fn etag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no ETag: {}", answer.text())).to_owned()
}

/// A resource of each kind that has a version.
fn versioned(api: &Api) -> [String; 3] {
    let sku = stocked(api, 50);
    let (placed, held) = (place(api, &order(&sku, 1)), hold(api, &sku, 1));
    [format!("/v1/inventory/{sku}"), format!("/v1/orders/{}", id(&placed)), format!("/v1/reservations/{}", id(&held))]
}

#[test]
fn a_read_of_the_version_that_the_caller_has_is_304_with_its_etag_and_no_body() {
    let api = Api::shared();
    for path in versioned(&api) {
        let current = etag(&api.get(&path));
        let weak = format!("W/{current}");
        for condition in [current.as_str(), weak.as_str(), "*", &format!("\"other\", {weak}"), &format!("\"0\",,{current}")] {
            for method in ["GET", "HEAD"] {
                let answer = api.send(method, &path, &[("if-none-match", condition)], None);
                assert_eq!((answer.status, answer.bytes.len()), (304, 0), "{method} {path} {condition}");
                assert_eq!(answer.header("etag"), Some(current.as_str()));
            }
        }
        for condition in ["\"0\"", "W/\"0\"", "\"a\", \"b\""] {
            api.send("GET", &path, &[("if-none-match", condition)], None).ok(200);
        }
    }
}

#[test]
fn a_read_of_another_version_than_the_caller_wants_is_412() {
    let api = Api::shared();
    for path in versioned(&api) {
        let current = etag(&api.get(&path));
        for condition in ["\"0\"", "\"a\", \"b\"", &format!("W/{current}")] {
            api.send("GET", &path, &[("if-match", condition)], None).problem(412, "precondition_failed");
        }
        for condition in [current.as_str(), "*", &format!("\"0\", {current}")] {
            api.send("GET", &path, &[("if-match", condition)], None).ok(200);
        }
    }
}

#[test]
fn a_condition_that_is_none_is_400_wherever_one_is_obeyed() {
    let api = Api::shared();
    for path in versioned(&api) {
        for condition in ["", "1", "\"1", "W/1", "'1'", "*, \"1\"", "\"1\" \"2\"", ","] {
            api.send("GET", &path, &[("if-none-match", condition)], None).problem(400, "invalid_request");
            api.send("GET", &path, &[("if-match", condition)], None).problem(400, "invalid_request");
        }
    }
    let sku = stocked(&api, 1);
    for condition in ["1", "\"1", "W/1", ""] {
        let path = format!("/v1/inventory/{sku}/locations/berlin");
        api.json("PUT", &path, &[("if-match", condition)], &json!({"on_hand": 9})).problem(400, "invalid_request");
    }
    counts(&stock(&api, &sku), &json!({"on_hand": 1}));
}

#[test]
fn a_tag_that_is_no_version_of_ours_is_another_version() {
    let api = Api::shared();
    let path = format!("/v1/inventory/{}", stocked(&api, 1));
    for tag in ["\"abc\"", "W/\"1\"", "\"-1\"", "\"99999999999999999999\"", "\"\""] {
        api.send("GET", &path, &[("if-match", tag)], None).problem(412, "precondition_failed");
        let threshold = json!({"low_stock_threshold": 5});
        let refused = api.json("PATCH", &path, &[("if-match", tag)], &threshold).problem(412, "precondition_failed");
        assert_eq!(refused["current_version"], 1, "{tag}");
    }
}

/// Writes that the version of their resource guards, each on a resource of its own: the call, its body, and where to read it.
fn writes(api: &Api) -> Vec<(&'static str, String, Value, String)> {
    let sku = stocked(api, 50);
    let placed = || format!("/v1/orders/{}", id(&place(api, &order(&sku, 1))));
    let held = || format!("/v1/reservations/{}", id(&hold(api, &sku, 1)));
    let on = |verb: &str, path: String, body: Value| ("POST", format!("{path}{verb}"), body, path);
    let other = || format!("/v1/inventory/{}", stocked(api, 5));
    let adjusted = other();
    let released = held();
    let thresholded = other();
    vec![
        on(":cancel", placed(), json!({})),
        on(":confirm", placed(), json!({})),
        on("/payments", placed(), json!({"provider": "sandbox"})),
        on(":commit", held(), json!({})),
        on(":extend", held(), json!({"ttl_seconds": 2000})),
        ("DELETE", released.clone(), Value::Null, released),
        on("/adjustments", adjusted, json!({"location": "berlin", "delta": 1, "reason": "x"})),
        ("PATCH", thresholded.clone(), json!({"low_stock_threshold": 3}), thresholded),
        {
            let path = other();
            ("PUT", format!("{path}/locations/berlin"), json!({"on_hand": 9}), path)
        },
    ]
}

fn write(api: &Api, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    match body {
        Value::Null => api.send(method, path, headers, None),
        body => api.json(method, path, headers, body),
    }
}

#[test]
fn a_write_of_a_version_that_is_no_more_is_412_and_changes_nothing() {
    let api = Api::shared();
    for (method, path, body, read) in writes(&api) {
        let before = api.get(&read);
        let current = etag(&before);
        let key = ("idempotency-key", &*fresh("key"));
        for stale in ["\"0\"", "\"999\"", "\"0\", \"999\"", &format!("W/{current}"), &format!("W/{current}, \"999\"")] {
            // Zero is a version of a location that is not there.
            let answer = write(&api, method, &path, &[("if-match", stale), key], &body);
            answer.problem(412, "precondition_failed");
            assert_eq!(api.get(&read).text(), before.text(), "{method} {path} {stale}");
        }
        let listed = format!("\"999\" , {current}");
        let done = write(&api, method, &path, &[("if-match", &listed), key], &body);
        assert!(done.status < 300, "{method} {path}: {}", done.text());
        assert_ne!(etag(&api.get(&read)), current, "{method} {path}");
    }
}

#[test]
fn a_write_that_was_done_is_answered_again_under_its_key_though_the_version_is_no_more() {
    let api = Api::shared();
    for (method, path, body, read) in writes(&api) {
        let current = etag(&api.get(&read));
        let headers = [("if-match", current.as_str()), ("idempotency-key", &*fresh("key"))];
        let first = write(&api, method, &path, &headers, &body);
        assert!(first.status < 300, "{method} {path}: {}", first.text());
        let again = write(&api, method, &path, &headers, &body);
        assert!(again.replayed(), "{method} {path}: {}", again.text());
        assert_eq!((again.status, again.text()), (first.status, first.text()), "{method} {path}");
    }
}

#[test]
fn a_star_takes_whatever_version_there_is() {
    let api = Api::shared();
    for (method, path, body, _) in writes(&api) {
        let answer = write(&api, method, &path, &[("if-match", "*"), ("idempotency-key", &*fresh("key"))], &body);
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
    }
}

#[test]
fn a_condition_of_another_kind_on_a_write_is_refused_and_changes_nothing() {
    let api = Api::shared();
    for (method, path, body, read) in writes(&api) {
        let before = api.get(&read);
        for condition in CONDITIONS.into_iter().filter(|(name, _)| *name != "if-match") {
            let headers = [condition, ("if-match", &*etag(&before)), ("idempotency-key", &*fresh("key"))];
            write(&api, method, &path, &headers, &body).problem(400, "condition_unsupported");
        }
        assert_eq!(api.get(&read).text(), before.text(), "{method} {path}");
    }
}

#[test]
fn a_condition_on_what_has_no_version_is_refused() {
    let api = Api::shared();
    let (sku, timeline) = (stocked(&api, 5), place(&api, &order(&stocked(&api, 1), 1)));
    let calls = [
        ("POST", "/v1/orders".to_owned(), order(&sku, 1)),
        ("POST", "/v1/reservations".to_owned(), reservation(&sku, 1)),
        (
            "POST",
            "/v1/reservations:batch".to_owned(),
            json!({"items": [{"key": fresh("key"), "lines": [{"sku": sku, "quantity": 1}]}]}),
        ),
        ("POST", "/v1/availability:query".to_owned(), json!({"skus": [sku]})),
        ("POST", "/v1/inventory/imports".to_owned(), json!({"sku": sku, "location": "berlin", "on_hand": 1})),
        ("POST", "/admin/v1/audit".to_owned(), json!({})),
        ("GET", "/admin/v1/shards".to_owned(), Value::Null),
        ("GET", "/v1/limits".to_owned(), Value::Null),
        ("GET", "/v1/events".to_owned(), Value::Null),
        ("GET", "/v1/events/stream".to_owned(), Value::Null),
        ("GET", format!("/v1/inventory/{sku}/movements"), Value::Null),
        ("GET", format!("/v1/orders/{}/timeline", id(&timeline)), Value::Null),
    ];
    for (method, path, body) in calls {
        for condition in CONDITIONS {
            let headers = [condition, ("idempotency-key", &*fresh("key"))];
            write(&api, method, &path, &headers, &body).problem(400, "condition_unsupported");
        }
    }
    counts(&stock(&api, &sku), &json!({"held": 0, "on_hand": 5}));
}

#[test]
fn a_date_is_no_version_of_a_read() {
    let api = Api::shared();
    for path in versioned(&api) {
        for condition in CONDITIONS.into_iter().filter(|(name, _)| name.ends_with("since") || *name == "if-range") {
            api.send("GET", &path, &[condition], None).problem(400, "condition_unsupported");
        }
    }
}

#[test]
fn of_two_writes_that_saw_the_same_version_one_is_done() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    for _ in 0..20 {
        let current = etag(&api.get(&format!("/v1/inventory/{sku}")));
        let write = |threshold: u64| {
            let path = format!("/v1/inventory/{sku}");
            api.json("PATCH", &path, &[("if-match", &current)], &json!({"low_stock_threshold": threshold})).status
        };
        let mut statuses: Vec<u16> = std::thread::scope(|scope| {
            let write = &write;
            let threads: Vec<_> = (0..4).map(|n| scope.spawn(move || write(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412]);
    }
}

#[test]
fn pages_and_probes_ignore_conditions() {
    let api = Api::shared();
    for path in ["/livez", "/readyz", "/metrics", "/", "/openapi.json", "/problems", "/docs/"] {
        for condition in CONDITIONS {
            assert_eq!(api.send("GET", path, &[condition], None).status, 200, "{path} {condition:?}");
        }
    }
}

#[test]
fn a_refused_condition_says_which_version_there_is() {
    let api = Api::shared();
    let placed = place(&api, &order(&stocked(&api, 1), 1));
    let path = format!("/v1/orders/{}:cancel", id(&placed));
    let refused = api.send("POST", &path, &[("if-match", "\"1\"")], Some(b"")).problem(412, "precondition_failed");
    assert_eq!(refused["current_version"], placed["version"]);
    assert_eq!(order_now(&api, &placed)["status"], "awaiting_payment");
}

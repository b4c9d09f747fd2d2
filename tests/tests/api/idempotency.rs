//! Idempotency: one key, one effect, one answer. After a restart: see `replay`.

use crate::client::{Answer, Api};
use crate::shop::{counts, fresh, id, order, order_now, place, post, reservation, stock, stocked, with};
use serde_json::{Value, json};

/// Sends the same again and checks that it is answered with the same bytes.
#[track_caller]
fn same_again(api: &Api, path: &str, key: &str, body: &Value) -> Answer {
    let first = api.keyed(path, key, body);
    assert!(!first.replayed());
    let second = api.keyed(path, key, body);
    assert!(second.replayed(), "{}", second.text());
    assert_eq!((second.status, second.text()), (first.status, first.text()));
    for header in ["content-type", "location", "etag"] {
        assert_eq!(second.header(header), first.header(header), "{header}");
    }
    first
}

/// Every call that takes a key, with a body that succeeds.
fn keyed_calls(api: &Api) -> Vec<(String, Value)> {
    let sku = stocked(api, 100);
    let placed = place(api, &order(&sku, 1));
    vec![
        ("/v1/orders".to_owned(), order(&sku, 2)),
        ("/v1/reservations".to_owned(), reservation(&sku, 3)),
        (format!("/v1/inventory/{sku}/adjustments"), json!({"location": "berlin", "delta": 5, "reason": "delivery"})),
        (format!("/v1/orders/{}/payments", id(&placed)), json!({"provider": "sandbox"})),
    ]
}

#[test]
fn the_same_request_is_answered_with_the_same_bytes() {
    let api = Api::shared();
    for (path, body) in keyed_calls(&api) {
        same_again(&api, &path, &fresh("key"), &body).ok(201);
    }
}

#[test]
fn the_same_request_takes_effect_once() {
    let api = Api::shared();
    let sku = stocked(&api, 100);
    let adjustment = json!({"location": "berlin", "delta": 5, "reason": "delivery"});
    same_again(&api, &format!("/v1/inventory/{sku}/adjustments"), &fresh("key"), &adjustment);
    same_again(&api, "/v1/orders", &fresh("key"), &order(&sku, 2));
    same_again(&api, "/v1/reservations", &fresh("key"), &reservation(&sku, 3));
    counts(&stock(&api, &sku), &json!({"on_hand": 105, "held": 5}));
}

#[test]
fn a_refusal_is_answered_with_the_same_bytes_even_when_it_would_succeed_now() {
    let api = Api::shared();
    let (sku, unknown) = (stocked(&api, 1), fresh("sku"));
    let cancelled = place(&api, &order(&sku, 1));
    api.act(&format!("/v1/orders/{}:cancel", id(&cancelled))).ok(200);
    let calls = [
        ("/v1/orders".to_owned(), order(&sku, 2), 409),
        ("/v1/orders".to_owned(), order(&unknown, 1), 422),
        ("/v1/reservations".to_owned(), reservation(&sku, 2), 409),
        (format!("/v1/inventory/{sku}/adjustments"), json!({"location": "berlin", "delta": -9, "reason": "x"}), 409),
        (format!("/v1/orders/{}/payments", id(&cancelled)), json!({"provider": "sandbox"}), 409),
    ];
    let answers: Vec<(String, Answer)> = calls
        .iter()
        .map(|(path, body, status)| {
            let key = fresh("key");
            let answer = same_again(&api, path, &key, body);
            assert_eq!(answer.status, *status, "{}", answer.text());
            (key, answer)
        })
        .collect();
    crate::shop::put(&api, &sku, "berlin", 50);
    crate::shop::put(&api, &unknown, "berlin", 50);
    for ((path, body, _), (key, first)) in calls.iter().zip(&answers) {
        let later = api.keyed(path, key, body);
        assert_eq!((later.status, later.text()), (first.status, first.text()));
    }
}

#[test]
fn a_key_used_for_another_body_is_refused_and_changes_nothing() {
    let api = Api::shared();
    for (path, body) in keyed_calls(&api) {
        let key = fresh("key");
        let first = api.keyed(&path, &key, &body);
        let other = if path.ends_with("payments") {
            with(body.clone(), json!({"return_url": "https://shop.example/back"}))
        } else if path.ends_with("adjustments") {
            with(body.clone(), json!({"delta": 6}))
        } else {
            with(body.clone(), json!({"ttl_seconds": 77}))
        };
        api.keyed(&path, &key, &other).problem(422, "idempotency_key_reused");
        assert_eq!(api.keyed(&path, &key, &body).text(), first.text());
    }
}

#[test]
fn a_request_without_a_key_is_refused() {
    let api = Api::shared();
    for (path, body) in keyed_calls(&api) {
        api.post(&path, &body).problem(400, "idempotency_key_missing");
    }
}

#[test]
fn a_quoted_key_and_a_bare_one_are_equal() {
    let api = Api::shared();
    for (path, body) in keyed_calls(&api) {
        let key = fresh("key");
        let bare = api.keyed(&path, &key, &body);
        let quoted = api.keyed(&path, &format!("\"{key}\""), &body);
        assert!(quoted.replayed(), "{}", quoted.text());
        assert_eq!(quoted.text(), bare.text());
    }
}

#[test]
fn a_body_that_means_the_same_is_the_same() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    let key = fresh("key");
    let first = api.keyed("/v1/orders", &key, &order(&sku, 1)).ok(201);
    let spaced = serde_json::to_vec_pretty(&with(order(&sku, 1), json!({"ttl_seconds": 900, "allow_partial": false}))).unwrap();
    let headers = [("content-type", "application/json; charset=utf-8"), ("idempotency-key", key.as_str())];
    let again = api.send("POST", "/v1/orders", &headers, Some(&spaced));
    assert_eq!(again.ok(201), first);
    assert!(again.replayed());
}

#[test]
fn a_key_belongs_to_its_route_and_its_resource() {
    let api = Api::shared();
    let (one, two) = (stocked(&api, 9), stocked(&api, 9));
    let key = fresh("key");
    api.keyed("/v1/orders", &key, &order(&one, 1)).ok(201);
    api.keyed("/v1/reservations", &key, &reservation(&one, 1)).ok(201);
    let delivery = json!({"location": "berlin", "delta": 1, "reason": "x"});
    api.keyed(&format!("/v1/inventory/{one}/adjustments"), &key, &delivery).ok(201);
    api.keyed(&format!("/v1/inventory/{two}/adjustments"), &key, &delivery).ok(201);
    counts(&stock(&api, &one), &json!({"held": 2, "on_hand": 10}));
}

#[test]
fn a_replay_shows_the_first_answer_whatever_became_of_the_order() {
    let api = Api::shared();
    let sku = stocked(&api, 9);
    let key = fresh("key");
    let first = api.keyed("/v1/orders", &key, &order(&sku, 1));
    api.act(&format!("/v1/orders/{}:cancel", id(&first.json()))).ok(200);
    assert_eq!(api.keyed("/v1/orders", &key, &order(&sku, 1)).text(), first.text());
    assert_eq!(order_now(&api, &first.json())["status"], "cancelled");
    counts(&stock(&api, &sku), &json!({"held": 0}));
}

#[test]
fn concurrent_duplicates_place_one_order() {
    let api = Api::shared();
    let sku = stocked(&api, 100);
    for _ in 0..20 {
        let key = fresh("key");
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let call = || api.keyed("/v1/orders", &key, &order(&sku, 1));
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
        assert!(made.windows(2).all(|pair| pair[0].text() == pair[1].text()));
        assert_eq!(made.iter().filter(|answer| !answer.replayed()).count(), 1);
        answers
            .iter()
            .filter(|answer| answer.status != 201)
            .for_each(|answer| drop(answer.problem(409, "idempotency_in_progress")));
    }
    counts(&stock(&api, &sku), &json!({"held": 20}));
}

#[test]
fn a_request_id_of_the_caller_is_echoed_in_its_problems() {
    let api = Api::shared();
    let headers = [("x-request-id", "trace-42"), ("idempotency-key", "k")];
    let problem = api.json("POST", "/v1/orders", &headers, &json!({})).problem(400, "invalid_request");
    assert_eq!(problem["request_id"], "trace-42");
    let sku = stocked(&api, 0);
    let refused = post(&api, "/v1/orders", &order(&sku, 1)).problem(409, "out_of_stock");
    assert!(refused["request_id"].as_str().unwrap().starts_with("req_"));
}

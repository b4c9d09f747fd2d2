//! Replay across lives of the process: what was answered once is answered with the same bytes after kill -9.

use crate::client::{Answer, Api};
use crate::shop::{counts, id, order, order_becomes, paying, place, post, put, reservation, stock, with};
use holdfast_tests::server::{Options, Server};
use serde_json::{Value, json};

/// One of each keyed call that succeeds, and of each refusal.
fn calls(api: &Api) -> Vec<(String, String, Value)> {
    put(api, "plenty", "berlin", 100);
    put(api, "scarce", "berlin", 1);
    let open = place(api, &order("plenty", 1));
    let over = place(api, &order("plenty", 1));
    api.act(&format!("/v1/orders/{}:cancel", id(&over))).ok(200);
    let calls = [
        ("/v1/orders".to_owned(), order("plenty", 2)),
        ("/v1/orders".to_owned(), paying("plenty", 1)),
        ("/v1/orders".to_owned(), order("scarce", 2)),
        ("/v1/orders".to_owned(), order("unknown", 1)),
        ("/v1/reservations".to_owned(), reservation("plenty", 3)),
        ("/v1/reservations".to_owned(), reservation("scarce", 3)),
        ("/v1/inventory/plenty/adjustments".to_owned(), json!({"location": "berlin", "delta": 5, "reason": "delivery"})),
        ("/v1/inventory/plenty/adjustments".to_owned(), json!({"location": "berlin", "delta": -500, "reason": "theft"})),
        (format!("/v1/orders/{}/payments", id(&open)), json!({"provider": "sandbox"})),
        (format!("/v1/orders/{}/payments", id(&over)), json!({"provider": "sandbox"})),
    ];
    calls.into_iter().enumerate().map(|(index, (path, body))| (path, format!("key-{index}"), body)).collect()
}

fn answers(api: &Api, calls: &[(String, String, Value)]) -> Vec<Answer> {
    calls.iter().map(|(path, key, body)| api.keyed(path, key, body)).collect()
}

#[track_caller]
fn replays(api: &Api, calls: &[(String, String, Value)], first: &[Answer]) {
    for ((answer, first), (path, key, _)) in answers(api, calls).iter().zip(first).zip(calls) {
        assert!(answer.replayed(), "{path} {key}: {}", answer.text());
        assert_eq!((answer.status, answer.text()), (first.status, first.text()), "{path} {key}");
    }
}

#[test]
fn answers_and_refusals_are_replayed_byte_for_byte_after_kill_9() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    let calls = calls(&api);
    let first = answers(&api, &calls);
    let statuses: Vec<u16> = first.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [201, 201, 409, 422, 201, 409, 201, 409, 201, 409]);
    let before = stock(&api, "plenty");
    for _ in 0..2 {
        server.kill();
        server.restart();
        replays(&Api::of(&server), &calls, &first);
        assert_eq!(stock(&Api::of(&server), "plenty"), before);
    }
    let other = with(order("plenty", 2), json!({"customer_id": "eve"}));
    Api::of(&server).keyed("/v1/orders", &calls[0].1, &other).problem(422, "idempotency_key_reused");
    server.terminate();
    replays_after_a_clean_stop(server, &calls, &first);
}

fn replays_after_a_clean_stop(mut server: Server, calls: &[(String, String, Value)], first: &[Answer]) {
    server.restart();
    replays(&Api::of(&server), calls, first);
    server.kill();
    let (ok, said) = server.verify();
    assert!(ok, "{said}");
}

#[test]
fn an_order_that_left_memory_is_still_replayed_and_read() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "plenty", "berlin", 10);
    let first = api.keyed("/v1/orders", "closed", &order("plenty", 1));
    let path = format!("/v1/orders/{}", id(&first.json()));
    let confirmed = api.act(&format!("{path}:confirm")).ok(200);
    server.terminate();
    server.restart();
    let api = Api::of(&server);
    assert_eq!(api.keyed("/v1/orders", "closed", &order("plenty", 1)).text(), first.text());
    let now = api.get(&path).ok(200);
    assert_eq!([&now["status"], &now["lines"]], [&confirmed["status"], &confirmed["lines"]]);
    assert_eq!(api.act(&format!("{path}:confirm")).ok(200)["status"], "confirmed");
    api.act(&format!("{path}:cancel")).problem(409, "invalid_transition");
    counts(&stock(&api, "plenty"), &json!({"committed": 1, "held": 0}));
}

#[test]
fn a_hold_whose_time_came_while_the_server_was_down_is_expired_after_the_restart() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "plenty", "berlin", 10);
    let short = place(&api, &with(order("plenty", 4), json!({"ttl_seconds": 1})));
    let long = post(&api, "/v1/reservations", &reservation("plenty", 3)).ok(201);
    server.kill();
    server.restart();
    let api = Api::of(&server);
    order_becomes(&api, &short, "expired");
    assert_eq!(api.get(&format!("/v1/reservations/{}", id(&long))).ok(200), long);
    counts(&stock(&api, "plenty"), &json!({"held": 3, "available": 7}));
}

#[test]
fn a_request_cut_off_by_a_kill_is_answered_once_when_sent_again() {
    let mut server = Server::start(Options::new());
    let api = Api::of(&server);
    put(&api, "plenty", "berlin", 1000);
    let before: Vec<Option<Answer>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let api = api.clone();
                scope.spawn(move || -> Vec<_> {
                    let key = |round: usize| format!("cut-{thread}-{round}");
                    (0..50).map(|round| api.try_keyed("/v1/orders", &key(round), &order("plenty", 1))).collect()
                })
            })
            .collect();
        let seen =
            holdfast_tests::server::poll(crate::shop::PATIENCE, || (stock(&api, "plenty")["held"].as_u64()? > 20).then_some(()));
        server.kill();
        assert!(seen.is_some(), "no order came through");
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    server.restart();
    let api = Api::of(&server);
    for (index, first) in before.iter().enumerate() {
        let again = api.keyed("/v1/orders", &format!("cut-{}-{}", index / 50, index % 50), &order("plenty", 1));
        again.ok(201);
        if let Some(first) = first {
            assert!(again.replayed());
            assert_eq!(again.text(), first.text());
        }
    }
    counts(&stock(&api, "plenty"), &json!({"held": 800, "available": 200}));
    crate::shop::audited(&api);
}

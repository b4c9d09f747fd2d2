//! Problems that belong to single operations, and a request that earns each.

use super::super::Contract;
use super::super::calls::{Call, good, page_of, webhook};
use super::super::seen::{Named, name_of};
use crate::catalogue::{expired, in_progress, paused, turned_off};
use crate::client::{Answer, Api};
use crate::shop::{
    PATIENCE, fresh, hold, id, order, paying, place, post, put, reservation, scattered, scattered_order, stocked, with,
};
use holdfast_tests::server::{Options, Server, poll};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) fn provoked(contract: &Contract) -> BTreeSet<Named> {
    let api = Api::shared();
    let mut seen = BTreeSet::new();
    let mut expect = |operation: &str, code: &str, answer: &Answer| {
        let name = name_of(operation, answer);
        assert_eq!(name.2, code, "{operation}: {}", answer.shown());
        seen.insert(name);
    };
    for (operation, change) in INVALID {
        expect(operation, "invalid_request", &change(&api, good(&api, operation)).send(&api));
    }
    for operation in ["place_order", "pay_order", "place_reservation", "adjust_stock"] {
        expect(operation, "idempotency_key_missing", &good(&api, operation).without("idempotency-key").send(&api));
    }
    for (operation, ..) in contract.named().iter().filter(|(.., code)| code == "idempotency_key_reused") {
        expect(operation, "idempotency_key_reused", &reused(&api, operation));
    }
    for (operation, path) in NOWHERE {
        let path = path.replace("{sku}", &fresh("sku"));
        expect(operation, "not_found", &good(&api, operation).at(path).send(&api));
    }
    for (operation, code, provoke) in TABLE {
        expect(operation, code, &provoke(&api));
    }
    seen
}

type Change = fn(&Api, Call) -> Call;

const INVALID: [(&str, Change); 24] = [
    ("plan_tuning", |_, call| call.json(&json!({"changes": {"engine.credits": 0}}))),
    ("apply_tuning", |_, call| call.json(&json!({"plan": "x", "note": ""}))),
    ("list_changes", |_, call| query(call, "limit=many")),
    ("place_order", |_, call| call.json(&json!({}))),
    ("cancel_order", |_, call| call.json(&json!({"reason": ""}))),
    ("confirm_order", |_, call| call.json(&json!({"reason": ""}))),
    ("pay_order", |_, call| call.json(&json!({"provider": "bank"}))),
    ("place_reservation", |_, call| call.json(&json!({"lines": []}))),
    ("place_reservations", |_, call| call.json(&json!({"items": []}))),
    ("commit_reservation", |_, call| call.json(&json!({"reason": ""}))),
    ("extend_reservation", |_, call| call.json(&json!({"ttl_seconds": 0}))),
    ("set_stock", |_, call| call.json(&json!({"on_hand": -1}))),
    ("adjust_stock", |_, call| call.json(&json!({"location": "berlin", "delta": 0, "reason": "x"}))),
    ("get_stock", |_, call| call.at(format!("/v1/inventory/{}", "x".repeat(1000)))),
    ("set_stock_threshold", |_, call| call.json(&json!({}))),
    ("list_movements", |_, call| query(call, "limit=many")),
    ("move_partition", |_, call| call.json(&json!({"shard": 64}))),
    ("query_availability", |_, call| call.json(&json!({"skus": ["a b"]}))),
    ("receive_sandbox_webhook", |api, _| webhook(api, "{}")),
    ("press_sandbox_button", |_, call| query(call, "delay_ms=soon")),
    ("list_events", |_, call| query(call, "after=nonsense")),
    ("stream_events", |_, call| query(call, "after=nonsense")),
    ("list_events", |_, call| query(call, "limit=many")),
    ("list_movements", |_, call| query(call, "after=nonsense")),
];

fn query(call: Call, query: &str) -> Call {
    let path = call.path.split('?').next().unwrap().to_owned();
    call.at(format!("{path}?{query}"))
}

const NOWHERE: [(&str, &str); 16] = [
    ("get_order", "/v1/orders/ord_00000000000000000000000000"),
    ("get_order_timeline", "/v1/orders/ord_00000000000000000000000000/timeline"),
    ("cancel_order", "/v1/orders/ord_00000000000000000000000000:cancel"),
    ("confirm_order", "/v1/orders/ord_00000000000000000000000000:confirm"),
    ("pay_order", "/v1/orders/ord_00000000000000000000000000/payments"),
    ("get_reservation", "/v1/reservations/res_00000000000000000000000000"),
    ("release_reservation", "/v1/reservations/res_00000000000000000000000000"),
    ("commit_reservation", "/v1/reservations/res_00000000000000000000000000:commit"),
    ("extend_reservation", "/v1/reservations/res_00000000000000000000000000:extend"),
    ("get_stock", "/v1/inventory/{sku}"),
    ("close_location", "/v1/inventory/{sku}/locations/berlin"),
    ("set_stock_threshold", "/v1/inventory/{sku}"),
    ("list_movements", "/v1/inventory/{sku}/movements"),
    ("move_partition", "/admin/v1/partitions/65535:move"),
    ("get_operation", "/admin/v1/operations/999999999"),
    ("show_sandbox_payment", "/sandbox/payments/pay_00000000000000000000000000-1"),
];

type Provoke = fn(&Api) -> Answer;

const TABLE: [(&str, &str, Provoke); 40] = [
    ("press_sandbox_button", "not_found", |api| api.act("/sandbox/payments/pay_00000000000000000000000000-1/approve")),
    ("press_sandbox_button", "not_found", |api| api.act(&(page_of(api) + "/wink"))),
    ("receive_sandbox_webhook", "unauthorized", |api| webhook(api, "{}").without("holdfast-signature").send(api)),
    ("place_order", "out_of_stock", |api| post(api, "/v1/orders", &order(&stocked(api, 1), 2))),
    ("place_order", "unknown_sku", |api| post(api, "/v1/orders", &order(&fresh("sku"), 1))),
    ("place_order", "totals_mismatch", |api| post(api, "/v1/orders", &with(order("x", 1), json!({"total": 1})))),
    ("place_order", "idempotency_in_progress", in_progress),
    ("place_order", "provider_unavailable", turned_off),
    ("place_order", "paused", |_| paused("/v1/orders", &order("x", 1))),
    ("place_reservation", "paused", |_| paused("/v1/reservations", &reservation("x", 1))),
    ("place_reservation", "out_of_stock", |api| post(api, "/v1/reservations", &reservation(&stocked(api, 1), 2))),
    ("place_order", "too_many_locations", |api| post(api, "/v1/orders", &scattered_order(api))),
    ("place_reservation", "too_many_locations", |api| post(api, "/v1/reservations", &json!({"lines": scattered(api)}))),
    ("place_reservation", "unknown_sku", |api| post(api, "/v1/reservations", &reservation(&fresh("sku"), 1))),
    ("set_stock", "count_below_taken", count_below_held),
    ("set_stock", "limit_reached", one_location_too_many),
    ("close_location", "location_in_use", |api| {
        good(api, "close_location").at(format!("/v1/inventory/{}/locations/berlin", stocked(api, 1))).send(api)
    }),
    ("adjust_stock", "count_below_taken", |api| adjust(api, &stocked(api, 1), -2)),
    ("adjust_stock", "unknown_sku", |api| adjust(api, &fresh("sku"), -1)),
    ("adjust_stock", "limit_reached", |api| adjust(api, &stocked(api, 2_000_000_000), 1)),
    ("cancel_order", "invalid_transition", |api| api.act(&format!("{}:cancel", confirmed(api)))),
    ("confirm_order", "invalid_transition", |api| {
        api.act(&format!("/v1/orders/{}:confirm", id(&place(api, &paying(&stocked(api, 1), 1)))))
    }),
    ("pay_order", "invalid_transition", |api| {
        post(api, &format!("{}/payments", confirmed(api)), &json!({"provider": "sandbox"}))
    }),
    ("release_reservation", "invalid_transition", |api| api.delete(&ended(api, ":commit"))),
    ("commit_reservation", "invalid_transition", |api| api.act(&format!("{}:commit", ended(api, "")))),
    ("extend_reservation", "invalid_transition", |api| api.act(&format!("{}:extend", ended(api, "")))),
    ("extend_reservation", "limit_reached", never_extended),
    ("commit_reservation", "reservation_expired", expired),
    ("extend_reservation", "reservation_expired", |api| api.act(&format!("{}:extend", late(api, "/v1/reservations")))),
    ("confirm_order", "reservation_expired", |api| api.act(&format!("{}:confirm", late(api, "/v1/orders")))),
    ("pay_order", "reservation_expired", |api| {
        post(api, &format!("{}/payments", late(api, "/v1/orders")), &json!({"provider": "sandbox"}))
    }),
    ("pay_order", "idempotency_in_progress", payment_in_progress),
    ("pay_order", "provider_unavailable", payment_turned_off),
    ("list_movements", "cursor_not_of_this_history", |api| {
        api.get(&format!("/v1/inventory/{}/movements?after=999", stocked(api, 1)))
    }),
    ("list_orders", "cursor_not_of_this_history", |api| {
        api.get("/v1/orders?customer_id=ada&after=0123456789abcdef~orders.0.1.1")
    }),
    ("list_stock", "cursor_not_of_this_history", |api| api.get("/v1/inventory?after=0123456789abcdef~stock.0.1.YQ")),
    ("apply_tuning", "plan_stale", |api| api.post("/admin/v1/tuning:apply", &json!({"plan": "plan_none"}))),
    ("make_backup", "backup_unavailable", |api| api.act("/admin/v1/backups")),
    ("list_events", "cursor_not_of_this_history", |api| api.get("/v1/events?after=999999999-0")),
    ("stream_events", "cursor_not_of_this_history", |api| api.get("/v1/events/stream?after=999999999-0")),
];

/// The same key with another body.
fn reused(api: &Api, operation: &str) -> Answer {
    let call = good(api, operation).keyed();
    assert!((200..300).contains(&call.send(api).status), "{operation}");
    let mut body: Value = serde_json::from_slice(call.body.as_deref().unwrap()).unwrap();
    match operation {
        "pay_order" => body["return_url"] = "http://localhost/".into(),
        "adjust_stock" => body["delta"] = 2.into(),
        "cancel_order" | "confirm_order" | "commit_reservation" => body["reason"] = "another".into(),
        "set_stock" => body["on_hand"] = 5.into(),
        "set_stock_threshold" => body["low_stock_threshold"] = 2.into(),
        _ => body["ttl_seconds"] = 7.into(),
    }
    call.json(&body).send(api)
}

fn adjust(api: &Api, sku: &str, delta: i64) -> Answer {
    let body = json!({"location": "berlin", "delta": delta, "reason": "x"});
    post(api, &format!("/v1/inventory/{sku}/adjustments"), &body)
}

fn count_below_held(api: &Api) -> Answer {
    let sku = stocked(api, 2);
    hold(api, &sku, 2);
    api.json("PUT", &format!("/v1/inventory/{sku}/locations/berlin"), &[("if-match", "*")], &json!({"on_hand": 1}))
}

fn one_location_too_many(api: &Api) -> Answer {
    let sku = fresh("sku");
    (0..256).for_each(|number| drop(put(api, &sku, &format!("shelf-{number}"), 1)));
    api.json("PUT", &format!("/v1/inventory/{sku}/locations/more"), &[("if-match", "*")], &json!({"on_hand": 1}))
}

/// The path of an order that is sold.
fn confirmed(api: &Api) -> String {
    let path = format!("/v1/orders/{}", id(&place(api, &order(&stocked(api, 1), 1))));
    api.act(&format!("{path}:confirm")).ok(200);
    path
}

/// The path of a reservation that is committed, or released if nothing is said.
fn ended(api: &Api, how: &str) -> String {
    let path = format!("/v1/reservations/{}", id(&hold(api, &stocked(api, 1), 1)));
    match how {
        "" => drop(api.delete(&path).ok(204)),
        how => drop(api.act(&format!("{path}{how}")).ok(200)),
    }
    path
}

/// The path of an order or reservation that has expired.
fn late(api: &Api, path: &str) -> String {
    let sku = stocked(api, 1);
    let body = if path.ends_with("orders") { order(&sku, 1) } else { reservation(&sku, 1) };
    let placed = post(api, path, &with(body, json!({"ttl_seconds": 1}))).ok(201);
    let path = format!("{path}/{}", id(&placed));
    crate::shop::becomes(api, &path, "expired");
    path
}

/// Duplicates of a payment are told to wait while the provider opens it.
fn payment_in_progress(api: &Api) -> Answer {
    let seen = poll(PATIENCE, || {
        let path = format!("/v1/orders/{}/payments", id(&place(api, &order(&stocked(api, 1), 1))));
        let (path, key) = (&path, &fresh("key"));
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let pay = move || api.keyed(path, key, &json!({"provider": "sandbox"}));
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(pay)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        answers.into_iter().find(|answer| answer.status == 409)
    });
    seen.expect("a payment in progress")
}

/// On a server where no hold is ever extended.
fn never_extended(_: &Api) -> Answer {
    let server = Server::start(Options::new().env("HOLDFAST__HOLDS__MAX_EXTENSIONS", "0"));
    let api = Api::of(&server);
    good(&api, "extend_reservation").send(&api)
}

fn payment_turned_off(_: &Api) -> Answer {
    let server = Server::start(Options::new().env("HOLDFAST__SANDBOX__ENABLED", "false"));
    let api = Api::of(&server);
    good(&api, "pay_order").send(&api)
}

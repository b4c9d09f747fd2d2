//! Payments through the sandbox: the provider behaves like a remote one, buttons are pressed over HTTP.

use crate::client::Api;
use crate::shop::{
    PATIENCE, audited, becomes, counts, id, order, order_becomes, order_now, paying, place, post, stock, stocked, with,
};
use holdfast_tests::server::{Options, poll};
use serde_json::{Value, json};
use std::sync::{Mutex, Weak};

/// A provider asked early, pins long enough to press buttons in peace.
fn patient() -> Api {
    static SERVER: Mutex<Weak<holdfast_tests::server::Server>> = Mutex::new(Weak::new());
    Api::shared_as(&SERVER, || asked_after_a_second(Options::new()))
}

/// Pins end after a second: what comes later is late.
fn hasty() -> Api {
    static SERVER: Mutex<Weak<holdfast_tests::server::Server>> = Mutex::new(Weak::new());
    Api::shared_as(&SERVER, || asked_after_a_second(Options::new()).env("HOLDFAST__PAYMENTS__PIN_SECONDS", "1"))
}

fn asked_after_a_second(options: Options) -> Options {
    options.env("HOLDFAST__PAYMENTS__QUERY_AFTER_SECONDS", "1").env("HOLDFAST__PAYMENTS__QUERY_MAX_SECONDS", "1")
}

fn press(api: &Api, order: &Value, button: &str) -> Value {
    let attempt = order["payment"]["attempt_id"].as_str().unwrap();
    api.act(&format!("/sandbox/payments/{attempt}/{button}")).ok(200)
}

fn provider_side(api: &Api, order: &Value) -> Value {
    let path = format!("/sandbox/payments/{}", order["payment"]["attempt_id"].as_str().unwrap());
    api.send("GET", &path, &[("accept", "application/json")], None).ok(200)["payment"].clone()
}

fn facts(api: &Api, order: &Value, kind: &str) -> usize {
    let timeline = api.get(&format!("/v1/orders/{}/timeline", id(order))).ok(200);
    timeline["items"].as_array().unwrap().iter().filter(|item| item["type"] == format!("holdfast.{kind}")).count()
}

#[test]
fn an_order_that_carries_payment_answers_its_attempt_with_the_holds_pinned() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &paying(&sku, 2));
    assert_eq!(placed["status"], "payment_in_flight");
    assert_eq!([&placed["lines"][0]["held"], &placed["lines"][0]["pinned"]], [0, 2]);
    let attempt = placed["payment"]["attempt_id"].as_str().unwrap();
    assert_eq!(placed["payment"]["status"], "pending");
    let link = placed["payment"]["redirect_url"].as_str().unwrap();
    let token = link.strip_prefix(&format!("{}/sandbox/payments/{attempt}.", api.base())).unwrap();
    assert_eq!(token.len(), 32, "128 bits that nobody can guess");
    counts(&stock(&api, &sku), &json!({"held": 0, "pinned": 2, "available": 3}));
}

#[test]
fn the_redirect_url_is_a_page_with_three_buttons() {
    let api = patient();
    let placed = place(&api, &paying(&stocked(&api, 5), 2));
    let path = format!("/sandbox/payments/{}", placed["payment"]["attempt_id"].as_str().unwrap());
    let page = api.get(&path);
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    for button in ["approve", "decline", "silence"] {
        assert!(page.text().contains(&format!("action=\"{path}/{button}\"")), "{button}");
    }
    assert!(page.text().contains("5.00 EUR"));
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
}

#[test]
fn the_page_shows_an_amount_with_the_digits_of_its_currency() {
    let api = patient();
    for (currency, amount) in [("JPY", "500 JPY"), ("EUR", "5.00 EUR"), ("KWD", "0.500 KWD")] {
        let placed = place(&api, &with(paying(&stocked(&api, 5), 2), json!({"currency": currency})));
        let page = api.get(&format!("/sandbox/payments/{}", placed["payment"]["attempt_id"].as_str().unwrap())).text();
        assert!(page.contains(&format!("<p class=amount>{amount}</p>")), "{amount}: {page}");
    }
}

#[test]
fn a_payment_started_later_answers_its_attempt() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &order(&sku, 2));
    let answer = post(&api, &format!("/v1/orders/{}/payments", id(&placed)), &json!({"provider": "sandbox"}));
    let attempt = answer.ok(201);
    assert_eq!(attempt["status"], "pending");
    let page = format!("/sandbox/payments/{}.", attempt["attempt_id"].as_str().unwrap());
    assert!(attempt["redirect_url"].as_str().unwrap().contains(&page));
    let now = order_now(&api, &placed);
    assert_eq!([&now["status"], &now["payment"]["attempt_id"]], [&json!("payment_in_flight"), &attempt["attempt_id"]]);
    counts(&stock(&api, &sku), &json!({"held": 0, "pinned": 2}));
}

#[test]
fn approval_confirms_the_order_and_sells_its_units() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &paying(&sku, 2));
    assert_eq!(press(&api, &placed, "approve")["status"], "captured");
    let confirmed = order_becomes(&api, &placed, "confirmed");
    assert_eq!([&confirmed["payment_status"], &confirmed["payment"]["status"]], ["captured", "captured"]);
    assert_eq!(confirmed["lines"][0]["committed"], 2);
    counts(&stock(&api, &sku), &json!({"pinned": 0, "committed": 2, "available": 3}));
}

#[test]
fn a_browser_is_sent_back_to_the_shop_after_its_decision() {
    let api = patient();
    let payment = json!({"payment": {"provider": "sandbox", "return_url": "https://shop.example/thanks"}});
    let placed = place(&api, &with(order(&stocked(&api, 1), 1), payment));
    let path = format!("/sandbox/payments/{}/approve", placed["payment"]["attempt_id"].as_str().unwrap());
    let form = [("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
    let answer = api.send("POST", &path, &form, Some(b""));
    assert_eq!((answer.status, answer.header("location")), (303, Some("https://shop.example/thanks")));
    order_becomes(&api, &placed, "confirmed");
}

#[test]
fn a_declined_buyer_keeps_the_hold_and_may_try_again() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &paying(&sku, 2));
    press(&api, &placed, "decline");
    let waiting = order_becomes(&api, &placed, "awaiting_payment");
    assert_eq!(waiting["payment"]["status"], "declined");
    let unpinned = poll(PATIENCE, || (stock(&api, &sku)["pinned"] == 0).then_some(()));
    assert!(unpinned.is_some());
    counts(&stock(&api, &sku), &json!({"held": 2, "pinned": 0, "available": 3}));
    let second = post(&api, &format!("/v1/orders/{}/payments", id(&placed)), &json!({"provider": "sandbox"})).ok(201);
    assert_ne!(second["attempt_id"], placed["payment"]["attempt_id"]);
    press(&api, &order_now(&api, &placed), "approve");
    order_becomes(&api, &placed, "confirmed");
    counts(&stock(&api, &sku), &json!({"committed": 2, "held": 0, "pinned": 0}));
}

#[test]
fn after_five_declined_attempts_the_order_is_cancelled() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &paying(&sku, 1));
    for attempt in 1..=5 {
        press(&api, &order_now(&api, &placed), "decline");
        if attempt < 5 {
            order_becomes(&api, &placed, "awaiting_payment");
            post(&api, &format!("/v1/orders/{}/payments", id(&placed)), &json!({"provider": "sandbox"})).ok(201);
        }
    }
    order_becomes(&api, &placed, "cancelled");
    let freed = poll(PATIENCE, || (stock(&api, &sku)["available"] == 5).then_some(()));
    assert!(freed.is_some());
}

#[test]
fn silence_leaves_the_outcome_unknown_with_the_units_pinned_until_it_is_known() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &with(paying(&sku, 2), json!({"ttl_seconds": 1})));
    press(&api, &placed, "silence");
    let unknown = order_becomes(&api, &placed, "payment_unknown");
    assert_eq!([&unknown["lines"][0]["pinned"], &unknown["payment"]["status"]], [&json!(2), &json!("unknown")]);
    counts(&stock(&api, &sku), &json!({"pinned": 2, "available": 3}));
    press(&api, &placed, "approve");
    order_becomes(&api, &placed, "confirmed");
    counts(&stock(&api, &sku), &json!({"pinned": 0, "committed": 2}));
}

#[test]
fn duplicate_and_late_webhooks_pay_once() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &paying(&sku, 2));
    press(&api, &placed, "approve?duplicates=5&delay_ms=300");
    order_becomes(&api, &placed, "confirmed");
    press(&api, &placed, "approve");
    press(&api, &placed, "decline");
    assert_eq!(facts(&api, &placed, "order.paid"), 1);
    assert_eq!(provider_side(&api, &placed)["state"], "captured");
    counts(&stock(&api, &sku), &json!({"committed": 2, "pinned": 0, "held": 0}));
}

#[test]
fn cancelling_while_paying_voids_the_attempt_and_frees_the_units() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &paying(&sku, 2));
    api.act(&format!("/v1/orders/{}:cancel", id(&placed))).ok(200);
    counts(&stock(&api, &sku), &json!({"pinned": 0, "available": 5}));
    let voided = poll(PATIENCE, || (provider_side(&api, &placed)["state"] == "voided").then_some(()));
    assert!(voided.is_some(), "{}", provider_side(&api, &placed));
}

#[test]
fn money_for_a_cancelled_order_is_refunded_once() {
    let api = patient();
    let sku = stocked(&api, 5);
    let placed = place(&api, &paying(&sku, 2));
    api.act(&format!("/v1/orders/{}:cancel", id(&placed))).ok(200);
    press(&api, &placed, "approve?duplicates=2");
    let refunded = order_becomes(&api, &placed, "refunded");
    assert_eq!(refunded["payment_status"], "refunded");
    assert_eq!([facts(&api, &placed, "refund.due"), facts(&api, &placed, "refund.done")], [1, 1]);
    counts(&stock(&api, &sku), &json!({"committed": 0, "available": 5}));
}

#[test]
fn money_after_expiry_takes_fresh_holds_where_there_is_stock() {
    let api = hasty();
    let sku = stocked(&api, 2);
    let placed = place(&api, &with(paying(&sku, 2), json!({"ttl_seconds": 1})));
    order_becomes(&api, &placed, "expired");
    press(&api, &placed, "approve");
    let confirmed = order_becomes(&api, &placed, "confirmed");
    assert_eq!(confirmed["lines"][0]["committed"], 2);
    assert_eq!([facts(&api, &placed, "order.reheld"), facts(&api, &placed, "refund.due")], [1, 0]);
    counts(&stock(&api, &sku), &json!({"committed": 2, "held": 0, "pinned": 0, "available": 0}));
}

#[test]
fn money_after_expiry_is_refunded_once_where_the_stock_is_gone() {
    let api = hasty();
    let sku = stocked(&api, 2);
    let placed = place(&api, &with(paying(&sku, 2), json!({"ttl_seconds": 1})));
    order_becomes(&api, &placed, "expired");
    crate::shop::hold(&api, &sku, 1);
    press(&api, &placed, "approve?duplicates=3");
    order_becomes(&api, &placed, "refunded");
    assert_eq!([facts(&api, &placed, "refund.due"), facts(&api, &placed, "refund.done")], [1, 1]);
    assert_eq!(provider_side(&api, &placed)["state"], "refunded");
    counts(&stock(&api, &sku), &json!({"committed": 0, "held": 1, "available": 1}));
}

#[test]
fn a_second_payment_while_one_is_open_is_refused_with_the_state() {
    let api = patient();
    let placed = place(&api, &paying(&stocked(&api, 1), 1));
    let refused = post(&api, &format!("/v1/orders/{}/payments", id(&placed)), &json!({"provider": "sandbox"}));
    assert_eq!(refused.problem(409, "invalid_transition")["state"], "payment_in_flight");
}

#[test]
fn only_known_providers_and_absolute_return_urls_are_taken() {
    let api = patient();
    let placed = place(&api, &order(&stocked(&api, 1), 1));
    let path = format!("/v1/orders/{}/payments", id(&placed));
    post(&api, &path, &json!({"provider": "stripe"})).invalid("/provider");
    post(&api, &path, &json!({"provider": "sandbox", "return_url": "/back"})).invalid("/return_url");
    post(&api, &path, &json!({"provider": "sandbox", "amount": 1})).problem(400, "invalid_request");
    becomes(&api, &format!("/v1/orders/{}", id(&placed)), "awaiting_payment");
}

#[test]
fn an_attempt_nobody_made_is_not_found() {
    let api = patient();
    for attempt in ["pay_x", "pay_00000000000000000000000000-1", "x"] {
        api.get(&format!("/sandbox/payments/{attempt}")).problem(404, "not_found");
        api.act(&format!("/sandbox/payments/{attempt}/approve")).problem(404, "not_found");
    }
    let placed = place(&api, &paying(&stocked(&api, 1), 1));
    let attempt = placed["payment"]["attempt_id"].as_str().unwrap();
    api.act(&format!("/sandbox/payments/{attempt}/bribe")).problem(404, "not_found");
    api.act(&format!("/sandbox/payments/{attempt}/approve?duplicates=x")).problem(400, "invalid_request");
    audited(&api);
}

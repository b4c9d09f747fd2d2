//! Webhooks: taken when signed and fresh, refused otherwise, recorded once however often told.

use crate::client::{Answer, Api};
use crate::shop::{counts, order_becomes, order_now, paying, place, stock, stocked};
use hmac::{Hmac, KeyInit, Mac};
use holdfast_tests::server::Server;
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const PATH: &str = "/v1/webhooks/payments/sandbox";

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn secret(api: &Api) -> Vec<u8> {
    secret_of(api.server())
}

pub(crate) fn secret_of(server: &Server) -> Vec<u8> {
    std::fs::read(server.data_dir().join("sandbox/webhook-secret")).unwrap()
}

/// The signature as its documentation says: HMAC-SHA-256 of "<t>.<body>".
pub(crate) fn signature(secret: &[u8], at: u64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let tag: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={tag}")
}

pub(crate) fn tell(api: &Api, body: &str, signature: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("holdfast-signature", signature)];
    api.send("POST", PATH, &headers, Some(body.as_bytes()))
}

pub(crate) fn told(order: &Value, kind: &str) -> String {
    json!({"id": "evt_1", "type": kind, "attempt_id": order["payment"]["attempt_id"]}).to_string()
}

#[test]
fn a_signed_fresh_webhook_is_taken_and_told_again_changes_nothing() {
    let api = Api::shared();
    let sku = stocked(&api, 5);
    let placed = place(&api, &paying(&sku, 2));
    let body = told(&placed, "payment.captured");
    for _ in 0..3 {
        assert_eq!(tell(&api, &body, &signature(&secret(&api), now(), &body)).ok(200)["received"], true);
    }
    let confirmed = order_becomes(&api, &placed, "confirmed");
    counts(&stock(&api, &sku), &json!({"committed": 2, "pinned": 0}));
    let late = told(&placed, "payment.declined");
    tell(&api, &late, &signature(&secret(&api), now(), &late)).ok(200);
    assert_eq!(order_now(&api, &placed)["status"], confirmed["status"]);
}

#[test]
fn an_unsigned_or_wrongly_signed_webhook_is_401_and_changes_nothing() {
    let api = Api::shared();
    let placed = place(&api, &paying(&stocked(&api, 1), 1));
    let body = told(&placed, "payment.captured");
    let secret = secret(&api);
    let other = signature(&secret, now(), &body.replace("captured", "declined"));
    let at = now();
    let shifted = signature(&secret, at, &body).replace(&format!("t={at}"), &format!("t={}", at + 1));
    let bad =
        [signature(b"guess", now(), &body), other, shifted, "v1=00".to_owned(), format!("t={}", now()), "nonsense".to_owned()];
    for signature in &bad {
        tell(&api, &body, signature).problem(401, "unauthorized");
    }
    api.send("POST", PATH, &[("content-type", "application/json")], Some(body.as_bytes())).problem(401, "unauthorized");
    assert_eq!(order_now(&api, &placed)["status"], "payment_in_flight");
}

#[test]
fn a_webhook_outside_the_replay_window_is_401() {
    let api = Api::shared();
    let placed = place(&api, &paying(&stocked(&api, 1), 1));
    let body = told(&placed, "payment.captured");
    for at in [now() - 310, now() + 310, 0, u64::MAX] {
        tell(&api, &body, &signature(&secret(&api), at, &body)).problem(401, "unauthorized");
    }
    assert_eq!(order_now(&api, &placed)["status"], "payment_in_flight");
    tell(&api, &body, &signature(&secret(&api), now() - 200, &body)).ok(200);
    order_becomes(&api, &placed, "confirmed");
}

#[test]
fn a_webhook_of_an_attempt_nobody_knows_is_taken_and_ignored() {
    let api = Api::shared();
    for attempt in ["pay_00000000000000000000000000-1", "pay_zzzzzzzzzzzzzzzzzzzzzzzzzz-9", "x"] {
        let body = json!({"id": "evt_1", "type": "payment.captured", "attempt_id": attempt}).to_string();
        assert_eq!(tell(&api, &body, &signature(&secret(&api), now(), &body)).ok(200)["ignored"], true);
    }
}

#[test]
fn a_signed_webhook_that_makes_no_sense_is_refused() {
    let api = Api::shared();
    for body in ["{}", "[]", "nonsense", r#"{"id":"e","type":"payment.stolen","attempt_id":"x"}"#] {
        tell(&api, body, &signature(&secret(&api), now(), body)).problem(400, "invalid_request");
    }
}

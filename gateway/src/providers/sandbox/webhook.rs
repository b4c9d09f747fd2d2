//! Webhooks of the sandbox: HMAC-signed with a timestamp, delivered until taken.
//!
//! The signature header is `t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">`. It may carry several `v1` parts, as a
//! provider sends them that rolls its secret: one that matches is enough.

use super::AttemptEvent;
use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use holdfast_storage::backoff::Backoff;
use sha2::Sha256;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Name of the signature header.
pub const SIGNATURE: &str = "Holdfast-Signature";

const TRIES: u32 = 12;
const PAUSES: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_millis(6400));

pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn mac(secret: &[u8], at: u64, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    Some(mac)
}

/// The header for a body signed at `at`.
pub(super) fn sign(secret: &[u8], at: u64, body: &[u8]) -> String {
    let tag = mac(secret, at, body).map(|mac| mac.finalize().into_bytes());
    format!("t={at},v1={}", data_encoding::HEXLOWER.encode(tag.as_deref().unwrap_or_default()))
}

/// Whether the body is signed with this secret and fresh. Compares in constant time.
pub(super) fn verify(secret: &[u8], header: &str, body: &[u8], window_seconds: u64) -> bool {
    let parts = |name: &'static str| header.split(',').filter_map(move |part| part.trim().strip_prefix(name));
    let Some(at) = parts("t=").next().and_then(|at| at.parse::<u64>().ok()) else { return false };
    let fresh = at.abs_diff(unix_seconds()) <= window_seconds;
    let Some(mac) = mac(secret, at, body).filter(|_| fresh) else { return false };
    let tags = parts("v1=").map(|tag| HEXLOWER_PERMISSIVE.decode(tag.as_bytes()).unwrap_or_default());
    tags.into_iter().any(|tag| mac.clone().verify_slice(&tag).is_ok())
}

/// Sends the webhook of a step until it is taken, then `duplicates` times more. False if nobody took it.
pub(super) async fn deliver(base_url: &str, secret: &[u8], attempt: &str, step: AttemptEvent, duplicates: u8) -> bool {
    let kind = if step == AttemptEvent::Approved { "payment.captured" } else { "payment.declined" };
    let event = format!("evt_{attempt}-{kind}");
    let body = serde_json::json!({"id": event, "type": kind, "attempt_id": attempt}).to_string();
    let (mut taken, mut pauses) = (0, PAUSES);
    for _ in 0..TRIES {
        if send(base_url, secret, &body).await {
            taken += 1;
        }
        if taken > u32::from(duplicates) {
            return true;
        }
        if taken == 0 {
            tokio::time::sleep(pauses.next_pause()).await;
        }
    }
    taken > 0
}

async fn send(base_url: &str, secret: &[u8], body: &str) -> bool {
    let url = format!("{base_url}/v1/webhooks/payments/sandbox");
    let request = awc::Client::default()
        .post(url)
        .insert_header((SIGNATURE, sign(secret, unix_seconds(), body.as_bytes())))
        .insert_header(("Content-Type", "application/json"));
    request.send_body(body.to_owned()).await.is_ok_and(|response| response.status().is_success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_body_its_secret_and_its_time_only() {
        let now = unix_seconds();
        let header = sign(b"secret", now, b"body");
        assert!(verify(b"secret", &header, b"body", 300));
        assert!(!verify(b"secret", &header, b"other", 300));
        assert!(!verify(b"wrong", &header, b"body", 300));
        assert!(!verify(b"secret", &sign(b"secret", now - 301, b"body"), b"body", 300));
        assert!(!verify(b"secret", "v1=00", b"body", 300));
        assert!(!verify(b"secret", &format!("t={now}"), b"body", 300));
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let now = unix_seconds();
        let of = |secret: &[u8]| sign(secret, now, b"body").split_once(",").unwrap().1.to_owned();
        let (old, new) = (of(b"old"), of(b"new"));
        assert!(verify(b"new", &format!("t={now},{old},{new}"), b"body", 300));
        assert!(verify(b"old", &format!("t={now}, {old}, {new}, v0=00"), b"body", 300));
        assert!(!verify(b"other", &format!("t={now},{old},{new}"), b"body", 300));
    }
}

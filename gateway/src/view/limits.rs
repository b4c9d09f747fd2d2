//! The limits of this server, as `/v1/limits` publishes them.
//!
//! Invariant: each is the constant that is enforced.

use super::to_json;
use holdfast_engine::limits;
use serde::Serialize;
use utoipa::ToSchema;

/// Every limit of this server.
#[derive(Serialize, ToSchema)]
#[schema(as = Limits)]
pub struct LimitsBody {
    body_bytes: usize,
    lines_per_order: usize,
    line_quantity: u32,
    sku_bytes: usize,
    hold_seconds: HoldSeconds,
    payment_attempts: u8,
    batch_items: usize,
    availability_skus: usize,
    metadata_bytes: usize,
    idempotency_key_bytes: usize,
    idempotency_window: &'static str,
}

/// How long a hold may last.
#[derive(Serialize, ToSchema)]
#[schema(as = HoldSecondsLimits)]
struct HoldSeconds {
    min: u64,
    default: u64,
    max: u64,
}

pub fn limits_json() -> Vec<u8> {
    let seconds = |millis: u64| millis / 1000;
    to_json(&LimitsBody {
        body_bytes: limits::MAX_BODY_BYTES,
        lines_per_order: limits::MAX_LINES,
        line_quantity: limits::MAX_LINE_QUANTITY,
        sku_bytes: limits::MAX_SKU_BYTES,
        hold_seconds: HoldSeconds {
            min: seconds(limits::MIN_TTL_MS),
            default: seconds(limits::DEFAULT_TTL_MS),
            max: seconds(limits::MAX_TTL_MS),
        },
        payment_attempts: limits::MAX_ATTEMPTS,
        batch_items: limits::MAX_BATCH,
        availability_skus: limits::MAX_QUERY,
        metadata_bytes: limits::MAX_JSON_BYTES,
        idempotency_key_bytes: limits::MAX_KEY_BYTES,
        idempotency_window: "orders and reservations: for life; other requests: kept with the data, at least 24 hours",
    })
}

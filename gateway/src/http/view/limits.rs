//! The limits of this server, as `/v1/limits` publishes them.
//!
//! Invariant: each is the constant or the setting that is enforced.

use crate::rates::ShownRate;
use crate::settings::Settings;
use crate::wire::json::to_json;
use holdfast_engine::limits;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Every limit of this server.
#[derive(Serialize, ToSchema)]
#[schema(as = Limits)]
pub struct LimitsBody<'a> {
    body_bytes: usize,
    lines_per_order: usize,
    line_quantity: u32,
    sku_characters: usize,
    sku_bytes: usize,
    /// Locations of one SKU.
    locations_per_sku: usize,
    /// Units of one bucket of one SKU at one location.
    bucket_units: u32,
    /// Locations that the SKUs of one order take their units from, all together: each SKU has an equal share.
    allocations_per_order: usize,
    location_characters: usize,
    location_bytes: usize,
    name_characters: usize,
    name_bytes: usize,
    label_characters: usize,
    label_bytes: usize,
    url_bytes: usize,
    page_items: PageItems,
    hold_seconds: HoldSeconds,
    /// How long after it was placed a hold that is extended ends at the latest.
    hold_life_seconds: u64,
    /// How often a hold is extended at most.
    hold_extensions: u32,
    payment_attempts: u8,
    batch_items: usize,
    /// Bytes of one line of an import.
    import_line_bytes: usize,
    availability_skus: usize,
    metadata_bytes: usize,
    metadata_levels: usize,
    correlation_id_bytes: usize,
    idempotency_key_bytes: usize,
    idempotency_window: &'static str,
    idempotency: Idempotency<'a>,
    /// Requests that the caller may send in how long, by groups of routes; a group that is not named has no limit. `RateLimit` of an answer says
    /// what is left.
    rate_limits: BTreeMap<&'static str, ShownRate>,
}

/// What the keys of a caller are bound to.
#[derive(Serialize, ToSchema)]
#[schema(as = IdempotencyLimits)]
struct Idempotency<'a> {
    /// The scope of the caller's API key: the same key of two scopes is two. Null without a valid API key where keys exist.
    #[schema(required = true)]
    scope: Option<&'a str>,
}

/// Entries of one page of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = PageLimits)]
struct PageItems {
    default: usize,
    max: usize,
}

/// How long a hold may last.
#[derive(Serialize, ToSchema)]
#[schema(as = HoldSecondsLimits)]
struct HoldSeconds {
    min: u64,
    default: u64,
    max: u64,
}

/// `scope` is what the keys of the caller are bound to.
pub fn limits_json(
    scope: Option<&str>,
    Settings { orders, holds, .. }: &Settings,
    rate_limits: BTreeMap<&'static str, ShownRate>,
) -> Vec<u8> {
    to_json(&LimitsBody {
        body_bytes: limits::MAX_BODY_BYTES,
        lines_per_order: limits::MAX_LINES,
        line_quantity: limits::MAX_LINE_QUANTITY,
        sku_characters: limits::SKU.characters,
        sku_bytes: limits::SKU.bytes,
        locations_per_sku: limits::MAX_LOCATIONS,
        bucket_units: limits::MAX_BUCKET,
        allocations_per_order: limits::MAX_ALLOCATIONS,
        location_characters: limits::LOCATION.characters,
        location_bytes: limits::LOCATION.bytes,
        name_characters: limits::NAME.characters,
        name_bytes: limits::NAME.bytes,
        label_characters: limits::LABEL.characters,
        label_bytes: limits::LABEL.bytes,
        url_bytes: limits::URL.bytes,
        page_items: PageItems { default: limits::DEFAULT_PAGE, max: limits::MAX_PAGE },
        hold_seconds: HoldSeconds { min: limits::MIN_TTL_MS / 1000, default: orders.ttl_seconds, max: orders.ttl_max_seconds },
        hold_life_seconds: holds.max_life_seconds,
        hold_extensions: holds.max_extensions,
        payment_attempts: limits::MAX_ATTEMPTS,
        batch_items: limits::MAX_BATCH,
        import_line_bytes: limits::MAX_IMPORT_LINE_BYTES,
        availability_skus: limits::MAX_QUERY,
        metadata_bytes: limits::MAX_JSON_BYTES,
        metadata_levels: limits::MAX_JSON_DEPTH,
        correlation_id_bytes: limits::CORRELATION_ID.bytes,
        idempotency_key_bytes: limits::IDEMPOTENCY_KEY.bytes,
        idempotency_window: "orders and reservations: for life; other requests: kept with the data, at least 24 hours",
        idempotency: Idempotency { scope },
        rate_limits,
    })
}
